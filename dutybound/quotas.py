"""AWS's quotas and rules for names, as data: `dutybound/data/quotas.json` says of each where and when it was read.

A quota that an account can have raised has two numbers: what every account has, and how far AWS raises it. What holds
in any account is built on the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """The page that a number comes from, and when it was read."""

    page: str
    read: str


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota: `value` without asking for more, `maximum` after asking; the same where it is fixed."""

    name: str
    value: int
    maximum: int
    unit: str
    source: Source
    note: str


@dataclass(frozen=True, slots=True)
class NameRule:
    """What the name of one kind of thing may be; `longest` is None where no limit is documented."""

    kind: str
    shortest: int
    longest: int | None
    characters: str
    """A regular expression for the whole name, whatever its length."""
    source: Source
    note: str

    def allows(self, name: str) -> bool:
        """Whether AWS takes this name."""
        right_length = self.shortest <= len(name) <= (len(name) if self.longest is None else self.longest)
        return right_length and re.fullmatch(self.characters, name) is not None


def quota(name: str) -> Quota:
    """The quota of that name, such as `managed-policy-size`. Raises KeyError for one that is not recorded."""
    return quotas()[name]


def name_rule(kind: str) -> NameRule:
    """The rule for names of that kind, such as `user`. Raises KeyError for one that is not recorded."""
    return name_rules()[kind]


@cache
def quotas() -> Mapping[str, Quota]:
    """All quotas by name."""
    return {
        row["name"]: Quota(
            row["name"], row["value"], row.get("maximum", row["value"]), row["unit"], _source(row), row.get("note", "")
        )
        for row in _facts()["quotas"]
    }


@cache
def name_rules() -> Mapping[str, NameRule]:
    """All rules for names by kind."""
    return {
        row["kind"]: NameRule(
            row["kind"], row["shortest"], row.get("longest"), row["characters"], _source(row), row.get("note", "")
        )
        for row in _facts()["names"]
    }


def _source(row: Mapping[str, Any]) -> Source:
    return Source(_facts()["pages"][row["page"]], _facts()["read"])


@cache
def _facts() -> Any:
    return json.loads((resources.files("dutybound") / "data" / "quotas.json").read_text(encoding="utf-8"))
