"""Baseline -> CDK stacks, one construct per value. Nothing is decided here."""

from .baseline import BaselineStacks
from .deployment import build
from .organization import OrganizationPolicies
from .stack_sets import StackSets

__all__ = ["BaselineStacks", "OrganizationPolicies", "StackSets", "build"]
