"""What one changed duty costs to compare, without the two compilations."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.compiling import NOTHING
from benchmarks.page import rows
from benchmarks.plan import Plan
from benchmarks.process import median, python

MOST_RUNS = 3


@dataclass(frozen=True, slots=True)
class Change:
    """CPU seconds of comparing everybody, and of all that `diff` does; MB at the peak; `python -c pass`."""

    people: int
    compare: float
    diff: float
    memory: float
    nothing: float


def measure(plan: Plan) -> list[Change]:
    """The medians of each size."""
    return [_change(people, min(plan.runs, MOST_RUNS)) for people in plan.sizes]


def _change(people: int, runs: int) -> Change:
    found = [json.loads(python("-m", "benchmarks.compare", str(people)).output) for _ in range(runs)]
    return Change(
        people,
        compare=median(one["compare"] for one in found),
        diff=median(one["diff"] for one in found),
        memory=median(one["memory"] for one in found),
        nothing=median(python(*NOTHING).seconds for _ in range(runs)),
    )


def page(found: list[Change]) -> list[str]:
    """The table of changes."""

    def cell(seconds: float, change: Change) -> str:
        return f"{seconds:.2f} s ({seconds / change.nothing:.1f})"

    return [
        "# What a change costs",
        "",
        f"One duty of many teams is changed. CPU seconds, medians of at most {MOST_RUNS} runs; in brackets times "
        "`python -c pass`.",
        "",
        *rows(
            [
                ("", [f"{change.people:,} people" for change in found]),
                ("comparing everybody", [cell(change.compare, change) for change in found]),
                ("`dutybound diff`, without the two compilations", [cell(change.diff, change) for change in found]),
                ("peak memory", [f"{change.memory:.0f} MB" for change in found]),
            ]
        ),
    ]
