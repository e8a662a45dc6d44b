"""Baseline -> CDK stacks, one construct per value. Nothing is decided here."""

try:
    import aws_cdk as _aws_cdk  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "aws_cdk":
        raise
    message = "the stacks need the AWS CDK: pip install 'dutybound[cdk]'"
    raise ModuleNotFoundError(message, name="aws_cdk") from None

from .baseline import BaselineStacks, written
from .construct import DutyboundBaseline, InvalidConfiguration
from .deployment import build
from .organization import OrganizationPolicies
from .stack_sets import StackSets

__all__ = [
    "BaselineStacks",
    "DutyboundBaseline",
    "InvalidConfiguration",
    "OrganizationPolicies",
    "StackSets",
    "build",
    "written",
]
