"""What a holder can do through one duty, by level: the sets of actions of its rules, less what is denied everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from dutybound.report.facts import LEVELS, Change, Denied, Facts, Held, Holder, Level, Rule


class Levels:
    """The levels of a report's sets of actions, each worked out once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._kept: dict[_Reduced, dict[Level, int]] = {}

    @cached_property
    def _sets(self) -> list[frozenset[int]]:
        return [frozenset(one.actions) for one in self.facts.action_sets]

    def of(self, holder: Holder, duty: Held) -> dict[Level, int]:
        """How many actions of each level, from the highest; what is denied wherever it is allowed is left out.

        Of a duty that allows all actions there is no count: the highest level stands with 0.
        """
        allowed = [self.facts.rules[granted.rule] for granted in duty.rules]
        key = reduced(allowed, unconditional(self.facts.rules, holder.denies))
        if key not in self._kept:
            self._kept[key] = self._counts(key)
        return self._kept[key]

    def _counts(self, parts: _Reduced) -> dict[Level, int]:
        sets = self.facts.action_sets
        if any(sets[at].everything for at, _, _ in parts):
            return {"permissions": 0}
        left = (
            self._sets[at].difference(*(self._sets[one] for one in gone if not sets[one].everything))
            for at, _, gone in parts
        )
        actions = frozenset[int]().union(*left)
        found: dict[Level, int] = {}
        for level in reversed(LEVELS):
            if count := sum(self.facts.actions[at].level == level for at in actions):
                found[level] = count
        return found


_Reduced = frozenset[tuple[int, bool, frozenset[int]]]
"""Sets of actions, each with whether it is on every resource and the sets that are taken off it."""


def unconditional(rules: Sequence[Rule], denies: Iterable[Denied]) -> list[Rule]:
    """The denies that hold whatever the request."""
    return [rules[denied.rule] for denied in denies if not denied.unless]


def reduced(allowed: Iterable[Rule], denies: Sequence[Rule]) -> _Reduced:
    """What is left of rules that allow: their sets of actions, and those that are denied wherever they are allowed."""
    return frozenset(
        (rule.actions, "*" in rule.resources, frozenset(deny.actions for deny in denies if deny.covers(rule)))
        for rule in allowed
    )


def newest(changes: Iterable[Change | None]) -> Change | None:
    """The newest of some changes; what is not committed yet is newer than all else."""
    return max(filter(None, changes), key=lambda c: (c.day or "9999", c.commit), default=None)
