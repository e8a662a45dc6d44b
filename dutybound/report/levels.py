"""What a holder can do through one duty, by level: the sets of actions of its rules, less what is denied everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from dutybound.report.facts import LEVELS, Change, Facts, Held, Holder, Level


class Levels:
    """The levels of a report's sets of actions, each worked out once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._kept: dict[tuple[frozenset[int], frozenset[int]], dict[Level, int]] = {}

    @cached_property
    def _sets(self) -> list[frozenset[int]]:
        return [frozenset(one.actions) for one in self.facts.action_sets]

    def of(self, holder: Holder, duty: Held) -> dict[Level, int]:
        """How many actions of each level, from the highest; those that are denied on every resource are left out.

        Of a duty that allows all actions there is no count: the highest level stands with 0.
        """
        rules = self.facts.rules
        mine = frozenset(rules[granted.rule].actions for granted in duty.rules)
        denied = (rules[d.rule] for d in holder.denies if not d.unless)
        gone = frozenset(rule.actions for rule in denied if rule.resources == ("*",))
        if (mine, gone) not in self._kept:
            self._kept[mine, gone] = self._counts(mine, gone)
        return self._kept[mine, gone]

    def _counts(self, mine: Iterable[int], gone: Iterable[int]) -> dict[Level, int]:
        sets = self.facts.action_sets
        if any(sets[at].everything for at in mine):
            return {"permissions": 0}
        without = frozenset[int]().union(*(self._sets[at] for at in gone if not sets[at].everything))
        actions = frozenset[int]().union(*(self._sets[at] for at in mine)) - without
        found: dict[Level, int] = {}
        for level in reversed(LEVELS):
            if count := sum(self.facts.actions[at].level == level for at in actions):
                found[level] = count
        return found


def newest(changes: Iterable[Change | None]) -> Change | None:
    """The newest of some changes; what is not committed yet is newer than all else."""
    return max(filter(None, changes), key=lambda c: (c.day or "9999", c.commit), default=None)
