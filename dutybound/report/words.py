"""What reports say in words: conditions, places, who a principal is."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from dutybound.answers import words
from dutybound.diagnostic import Span
from dutybound.policy import Condition, Statement, filled

ACCOUNT = "ACCOUNT"
"""What stands in ARNs for the id of an account that a baseline does not name."""
MFA = "with MFA"
PrincipalKind = Literal["service", "account", "identity-provider", "everybody", "other"]


def conditions(statement: Statement, partition: str, but: str = "") -> tuple[str, ...]:
    """The conditions of a statement in words, without those on the key `but`; what another one says is left out."""
    told = [said(plain_condition(c, partition)) for c in statement.conditions if c.key != but]
    return tuple(text for text in told if text != MFA or not any(other.startswith(f"{MFA} ") for other in told))


def said(condition: Condition) -> str:
    """A condition as people say it, MFA in particular."""
    key, name = condition.key.lower(), condition.operator
    if key == "aws:multifactorauthpresent" and (name, condition.values) == ("Bool", ("true",)):
        return MFA
    if key == "aws:multifactorauthage" and name == "NumericLessThan" and condition.values[0].isdecimal():
        return f"{MFA} in the last {_minutes(int(condition.values[0]))}"
    return words(condition)


def _minutes(seconds: int) -> str:
    if seconds % 3600 == 0:
        return "hour" if seconds == 3600 else f"{seconds // 3600} hours"
    return f"{seconds // 60} minutes" if seconds % 60 == 0 else f"{seconds} seconds"


def principal_of(kind: str, text: str) -> tuple[PrincipalKind, str]:
    """What a principal of a trust policy is, and its name: the id of an account, the issuer of a provider."""
    if kind == "Service":
        return "service", text
    if text == "*":
        return "everybody", "*"
    if kind == "Federated":
        return "identity-provider", text.partition("-provider/")[2] or text
    if kind == "AWS" and text.endswith(":root"):
        return "account", text.split(":")[4]
    return "other", text


def plain(text: str, partition: str) -> str:
    """A text of a policy with the partition filled in, and `ACCOUNT` for the account."""
    return filled(text, ACCOUNT, partition)


def plain_condition(condition: Condition, partition: str) -> Condition:
    """The same of a condition's values."""
    return replace(condition, values=tuple(plain(v, partition) for v in condition.values))


def place(span: Span | None) -> str:
    """The file and line of a span, if there is one."""
    return span.place if span else ""
