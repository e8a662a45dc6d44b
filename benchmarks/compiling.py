"""What compiling costs at every size, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import DUTYBOUND
from benchmarks.organization import organization, write
from benchmarks.page import rows
from benchmarks.plan import Plan
from benchmarks.process import median, python

STAGES = ("import", "source", "read", "lower", "guardrails")
NOTHING = ("-c", "pass")
YAML_ALONE = (
    "-c",
    "import sys, yaml, pathlib\n"
    "for file in sorted(pathlib.Path(sys.argv[1]).rglob('*.yaml')):\n"
    "    yaml.load(file.read_text(encoding='utf-8'), Loader=yaml.CSafeLoader)",
)


@dataclass(frozen=True, slots=True)
class Size:
    """What one organisation took: CPU seconds, and MB at the peak."""

    people: int
    teams: int
    kilobytes: int
    check: float
    """`dutybound check` from start to end."""
    memory: float
    """Of the whole process."""
    yaml: float
    """Reading the same files with PyYAML's C parser, from start to end."""
    nothing: float
    """`python -c pass`."""
    stages: dict[str, float]
    errors: tuple[str, ...]
    """The names of what the compiler found wrong."""


def measure(plan: Plan) -> list[Size]:
    """The medians of each size. Raises RuntimeError if something does not run at all."""
    return [measured(people, plan.folder / f"compiling-{people}", plan.runs) for people in plan.sizes]


def measured(people: int, folder: Path, runs: int) -> Size:
    """The medians of one organisation."""
    files = organization(people)
    write(files, folder)
    checks = [python(*DUTYBOUND, "check", folder) for _ in range(runs)]
    stages = [json.loads(python("-m", "benchmarks.stages", folder).output) for _ in range(runs)]
    return Size(
        people=people,
        teams=sum(len(tree.get("teams", {})) for tree in files.values()),
        kilobytes=round(sum(file.stat().st_size for file in folder.rglob("*.yaml")) / 1024),
        check=median(check.seconds for check in checks),
        memory=median(check.memory for check in checks),
        yaml=median(python(*YAML_ALONE, folder).seconds for _ in range(runs)),
        nothing=median(python(*NOTHING).seconds for _ in range(runs)),
        stages={name: median(stage[name] for stage in stages) for name in STAGES},
        errors=tuple(stages[0]["errors"]),
    )


def page(sizes: Sequence[Size]) -> list[str]:
    """The table of compiling."""
    lines: list[tuple[str, list[str]]] = [
        ("", [f"{s.people:,} people" for s in sizes]),
        ("teams", [f"{s.teams}" for s in sizes]),
        ("YAML", [f"{s.kilobytes:,} KB" for s in sizes]),
        ("**`dutybound check`**", [f"**{s.check:.2f} s**" for s in sizes]),
        ("peak memory", [f"{s.memory:.0f} MB" for s in sizes]),
        ("times `python -c pass`", [f"{s.check / s.nothing:.1f}" for s in sizes]),
        ("times reading the YAML with PyYAML's C parser", [f"{s.check / s.yaml:.1f}" for s in sizes]),
        *((f"of this: {stage}", [f"{s.stages[stage]:.3f} s" for s in sizes]) for stage in STAGES),
        ("errors", [", ".join(s.errors) or "none" for s in sizes]),
    ]
    return ["# What compiling costs", "", "CPU seconds of processes of their own.", "", *rows(lines)]
