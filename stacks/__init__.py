"""Baseline -> CDK stacks, one construct per value. Nothing is decided here."""

from .baseline import BaselineStacks

__all__ = ["BaselineStacks"]
