"""What the figures should be, beside what they are. Nothing fails where a target is missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.beside import BUILT, EMPTY, L2, LARGE
from benchmarks.commands import ALONE, CHECK, EXAMPLE, HELP, REPORT, size_of
from benchmarks.page import NONE, rows
from benchmarks.process import Figure

MOST_PEOPLE = 5000


@dataclass(frozen=True, slots=True)
class Target:
    """At most `most` of `unit`: seconds, MB, or times what `beside` costs at the same size."""

    says: str
    work: str
    size: str
    most: float
    unit: str
    beside: str = ""


TARGETS = (
    Target("synthesis of the example, beside an empty CDK app", ALONE, EXAMPLE, 1.3, "times", EMPTY),
    Target("its stacks alone, compiled before", BUILT, EXAMPLE, 1.3, "times", EMPTY),
    Target("synthesis of 2,000 resources, beside CDK L2 in Python", ALONE, LARGE, 0.35, "times", L2),
    Target("their stacks alone, compiled before", BUILT, LARGE, 0.35, "times", L2),
    Target("`check` of the example", CHECK, EXAMPLE, 0.3, "s"),
    Target("`check` of 5,000 people", CHECK, size_of(MOST_PEOPLE), 1.5, "s"),
    Target("memory of that", CHECK, size_of(MOST_PEOPLE), 300, "MB"),
    Target("`--help`", HELP, EXAMPLE, 0.1, "s"),
    Target("`report` of 5,000 people", REPORT, size_of(MOST_PEOPLE), 10, "s"),
)


def measured(target: Target, commands: Iterable[Figure], beside: Iterable[Figure]) -> float | None:
    """The value of a target; None where it was not measured. A ratio is of the side-by-side run alone."""
    among = {(one.work, one.size): one for one in (beside if target.beside else commands)}
    found = among.get((target.work, target.size))
    if found is None or found.seconds is None:
        return None
    if target.unit == "MB":
        return found.memory
    if not target.beside:
        return found.seconds
    other = among.get((target.beside, target.size))
    return found.seconds / other.seconds if other is not None and other.seconds else None


def page(commands: list[Figure], beside: list[Figure]) -> list[str]:
    """The table of targets."""
    lines = []
    for target in TARGETS:
        value = measured(target, commands, beside)
        reached = NONE if value is None else ("yes" if value <= target.most else "no")
        shown = NONE if value is None else f"{value:.0f} MB" if target.unit == "MB" else f"{value:.2f} {target.unit}"
        lines.append((target.says, [f"{target.most:g} {target.unit}", shown, reached]))
    return ["# Targets", "", *rows([("", ["at most", "measured", "reached"]), *lines])]
