"""What the judge's answers cost, and its batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiling import NOTHING
from benchmarks.organization import access_tests, organization, write
from benchmarks.page import NONE, rows
from benchmarks.plan import Plan
from benchmarks.process import median, python

ANSWERS = {
    "explain": "`explain`, the first question",
    "explain again": "`explain`, the next",
    "who-can": "`who-can s3:PutObject`",
    "list-access": "`list-access` of one person",
    "escalation": "escalation, everybody",
}
MOST_RUNS = 3
MOST_JUDGED = 1000
"""People: with 5,000 the questions take more than three minutes, most of it the escalation of everybody."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge's answers about one organisation took, without the compilation before."""

    tests: int
    """How many tests of access there are, each counted once for every request."""
    tests_per_second: float
    answers: dict[str, float]
    memory: float


@dataclass(frozen=True, slots=True)
class Load:
    """One batch of `simulate`: requests a CPU second, and MB at half and at the end."""

    name: str
    rate: float
    half: float
    end: float


@dataclass(frozen=True, slots=True)
class Judging:
    """Everything of this table; an organisation that is too large to ask everything about has None."""

    sizes: dict[int, Judged | None]
    loads: list[Load]
    nothing: float
    """`python -c pass`."""


def measure(plan: Plan) -> Judging:
    """The medians of each size, and the batches once."""
    share = ("--share", plan.simulate_share)
    loads = json.loads(python("-m", "benchmarks.simulate", "--json", *share).output)
    return Judging(
        sizes={people: _of(people, plan) for people in plan.sizes},
        loads=[Load(load["name"], load["rate"], load["half"], load["end"]) for load in loads],
        nothing=median(python(*NOTHING).seconds for _ in range(plan.runs)),
    )


def _of(people: int, plan: Plan) -> Judged | None:
    if people > MOST_JUDGED:
        return None
    files = organization(people)
    tested = {**files, "access.yaml": access_tests(files)}
    return judged(write(tested, plan.folder / f"judging-{people}"), plan.runs)


def judged(folder: Path, runs: int) -> Judged | None:
    """The medians of the judge's answers about an organisation with tests of access."""
    found = [json.loads(python("-m", "benchmarks.judge", folder).output) for _ in range(min(runs, MOST_RUNS))]
    if found[0] is None:
        return None
    tests = found[0]["tests"]
    return Judged(
        tests=tests,
        tests_per_second=round(tests / median(one["seconds"]["tests"] for one in found)),
        answers={name: median(one["seconds"][name] for one in found) for name in ANSWERS},
        memory=median(one["memory"] for one in found),
    )


def page(found: Judging) -> list[str]:
    """The tables of the judge."""

    def cells(cell: Callable[[Judged], str]) -> list[str]:
        return [cell(judge) if judge else NONE for judge in found.sizes.values()]

    def answer(name: str) -> list[str]:
        return cells(lambda judge: f"{judge.answers[name]:.3f} s ({judge.answers[name] / found.nothing:.1f})")

    lines = [
        "# What judging costs",
        "",
        f"CPU seconds after the compilation, medians of at most {MOST_RUNS} runs; in brackets times `python -c pass`. "
        "A first answer loads the service reference.",
        "",
        *rows(
            [
                ("", [f"{people:,} people" for people in found.sizes]),
                ("tests of access", cells(lambda judge: f"{judge.tests:,}")),
                ("**a CPU second**", cells(lambda judge: f"**{judge.tests_per_second:,.0f}**")),
                *((label, answer(name)) for name, label in ANSWERS.items()),
                ("peak memory", cells(lambda judge: f"{judge.memory:.0f} MB")),
            ]
        ),
    ]
    if None in found.sizes.values():
        lines += ["", f"{NONE}: not measured; the questions about so many people take minutes."]
    return [*lines, "", "`dutybound simulate --batch`, start-up and output with it:", "", *_batches(found)]


def _batches(found: Judging) -> Sequence[str]:
    loads = found.loads
    return rows(
        [
            ("", [load.name for load in loads]),
            ("**requests a CPU second**", [f"**{load.rate:,.0f}**" for load in loads]),
            ("requests in the time of `python -c pass`", [f"{load.rate * found.nothing:,.0f}" for load in loads]),
            ("peak memory at half", [f"{load.half:.0f} MB" for load in loads]),
            ("peak memory at the end", [f"{load.end:.0f} MB" for load in loads]),
        ]
    )
