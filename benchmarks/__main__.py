"""The benchmarks, in one go: `python -m benchmarks [--runs N] [--only NAME...] [--date YYYY-MM-DD]`.

Every figure is the median of several runs, each in processes of its own: CPU seconds of user and system together,
children included. What costs much is run less often. Ratios are of the same run. With `--date` the results are also
written to benchmarks/results.md and results.json, when all is measured; no name of a machine is in them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import beside, changing, commands, compiling, judging, many, targets
from benchmarks.plan import Plan
from benchmarks.process import PROC

SIZES = (10, 300, 5000)
ACCOUNTS = (10, 100, 1000)
PEOPLE_BESIDE = 1320
"""They make about 2,000 resources."""
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Table:
    """One part of the page: what it measures, and how that reads."""

    measure: Callable[[Plan], Any]
    page: Callable[[Any], list[str]]


TABLES = {
    "compiling": Table(compiling.measure, compiling.page),
    "judging": Table(judging.measure, judging.page),
    "changing": Table(changing.measure, changing.page),
    "commands": Table(commands.measure, commands.page),
    "beside": Table(beside.measure, beside.page),
    "accounts": Table(many.measure, many.page),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print each table when it is done, and write the results if they have a date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="most runs of each figure (default: 3)")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="these tables alone")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="PEOPLE")
    parser.add_argument("--accounts", type=int, nargs="+", default=list(ACCOUNTS), metavar="COUNT")
    parser.add_argument("--beside", type=int, default=PEOPLE_BESIDE, metavar="PEOPLE", help="built by other tools too")
    parser.add_argument("--share", default="0.1", help="of the lines of the batches (default: 0.1)")
    parser.add_argument("--offline", action="store_true", help="install none of the other tools")
    parser.add_argument("--date", help="the day to state in benchmarks/results.*; without it nothing is written")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs: at least 1")
    with tempfile.TemporaryDirectory(prefix="benchmarks.") as folder:
        plan = Plan(
            runs=options.runs,
            sizes=tuple(options.sizes),
            accounts=tuple(options.accounts),
            people_beside=options.beside,
            folder=Path(folder),
            offline=options.offline,
            simulate_share=options.share,
        )
        found = measured(plan, options.only, circumstances(options.runs, options.date))
    if options.date:
        _write(*found)


def measured(plan: Plan, names: Sequence[str], facts: dict[str, str | int | None]) -> tuple[str, dict[str, Any]]:
    """Page and record of these tables. Each is printed when it is there."""
    record: dict[str, Any] = {**facts}
    said: list[str] = []

    def add(lines: Sequence[str]) -> None:
        text = "\n".join([*lines, "", ""])
        print(text, end="", flush=True)
        said.append(text)

    add(head(facts))
    figures: dict[str, Any] = {}
    for name in TABLES:
        if name in names:
            print(f"Measuring: {name}.", file=sys.stderr, flush=True)
            figures[name] = TABLES[name].measure(plan)
            record[name] = plain(figures[name])
            add(TABLES[name].page(figures[name]))
    if {"commands", "beside"} & set(figures):
        side = figures["beside"].figures if "beside" in figures else []
        add(targets.page(figures.get("commands", []), side))
    return "".join(said).rstrip("\n") + "\n", record


def _write(text: str, record: dict[str, Any]) -> None:
    """Put both results in place, each in one move."""
    for name, content in (("results.md", text), ("results.json", json.dumps(record, indent=2) + "\n")):
        draft = HERE / f"{name}.new"
        draft.write_text(content, encoding="utf-8")
        draft.replace(HERE / name)


def plain(value: Any) -> Any:
    """Figures as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def circumstances(runs: int, day: str | None) -> dict[str, str | int | None]:
    """Under which the figures hold: all but the machine's name."""
    return {
        "date": day,
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "memory": "all processes at one time" if PROC.is_dir() else "the largest process",
        **{name: metadata.version(package) for name, package in _packages()},
        "runs": runs,
    }


def _packages() -> Iterator[tuple[str, str]]:
    yield from (("pydantic", "pydantic"), ("pyyaml", "PyYAML"), ("cdk", "aws-cdk-lib"))


def head(facts: dict[str, str | int | None]) -> list[str]:
    """Under which circumstances the page came about."""
    said = f"Python {facts['python']}, pydantic {facts['pydantic']}, PyYAML {facts['pyyaml']}, CDK {facts['cdk']}"
    day = f" on {facts['date']}" if facts["date"] else ""
    return [
        f"Measured by `make bench`{day}: {facts['cores']} cores, {facts['architecture']}, {said}. CPU seconds of user "
        f"and system with all children, medians of at most {facts['runs']} runs; fewer of what costs much. Memory is "
        f"that of {facts['memory']}. Ratios are of the same run."
    ]


if __name__ == "__main__":
    main()
