"""Dutybound compiles teams and duties into a least-privilege baseline for AWS."""

__version__ = "0.1.0"
