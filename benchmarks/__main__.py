"""What compiling and judging cost at 10, 300 and 5,000 people: `python -m benchmarks [--runs N] [--date YYYY-MM-DD]`.

Every figure is the median of several runs, each in a process of its own, CPU seconds of user and system together. The
process that measures does nothing else, so what its caches hold takes no part. Ratios are of the same run: against
reading the same files with PyYAML's C parser alone, and against starting Python and nothing else. With `--date` the
results are also written to benchmarks/results.md and results.json; no name of a machine is in them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.organization import access_tests, organization, write

SIZES = (10, 300, 5000)
STAGES = ("import", "source", "read", "lower", "guardrails")
ANSWERS = {
    "explain": "`explain`, the first question",
    "explain again": "`explain`, the next",
    "who-can": "`who-can s3:PutObject`",
    "list-access": "`list-access` of one person",
    "escalation": "escalation, everybody",
}
MOST_JUDGE_RUNS = 3
MOST_JUDGED = 1000
"""People: with 5,000 the questions take more than three minutes, most of it the escalation of everybody."""
SIMULATE_SHARE = "0.1"
"""Of the lines that `python -m benchmarks.simulate` judges."""
HERE = Path(__file__).parent
ROOT = HERE.parent
NOTHING = ("-c", "pass")
YAML_ALONE = (
    "-c",
    "import sys, yaml, pathlib\n"
    "for file in sorted(pathlib.Path(sys.argv[1]).rglob('*.yaml')):\n"
    "    yaml.load(file.read_text(encoding='utf-8'), Loader=yaml.CSafeLoader)",
)
CHECK = ("-c", "import sys; from dutybound.cli import main; sys.argv[0] = 'dutybound'; main()", "check")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge's answers about one organisation took, without the compilation before."""

    tests: int
    """How many tests of access there are, each counted once for every request."""
    tests_per_second: float
    answers: dict[str, float]
    memory: float


@dataclass(frozen=True, slots=True)
class Size:
    """What one organisation took: CPU seconds, and MB at the peak."""

    people: int
    teams: int
    kilobytes: int
    check: float
    """`dutybound check` from start to end."""
    memory: float
    yaml: float
    """Reading the same files with PyYAML's C parser, from start to end."""
    nothing: float
    """`python -c pass`."""
    stages: dict[str, float]
    errors: tuple[str, ...]
    """The names of what the compiler found wrong."""
    judge: Judged | None
    """None for an organisation that does not compile, or is too large to ask everything about."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results if they have a date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure (default: 5)")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="PEOPLE")
    parser.add_argument("--date", help="the day to state in benchmarks/results.*; without it nothing is written")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        sizes = [measured(people, Path(folder, str(people)), options.runs) for people in options.sizes]
    loads = json.loads(_run("-m", "benchmarks.simulate", "--json", "--share", SIMULATE_SHARE)[1])
    changed = {
        people: [json.loads(_run("-m", "benchmarks.compare", str(people))[1]) for _ in range(min(options.runs, 3))]
        for people in options.sizes
    }
    nothing = _median(size.nothing for size in sizes)
    text = table(sizes, options.runs, options.date) + judge_tables(sizes, loads) + compare_table(changed, nothing)
    print(text, end="")
    if options.date:
        (HERE / "results.md").write_text(text, encoding="utf-8")
        record = {
            **circumstances(options.runs, options.date),
            "sizes": [asdict(size) for size in sizes],
            "simulate": loads,
            "compare": changed,
        }
        (HERE / "results.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def measured(people: int, folder: Path, runs: int) -> Size:
    """The medians of one organisation. Raises RuntimeError if something does not run at all."""
    files = organization(people)
    write(files, folder)
    path = str(folder)
    stages = [json.loads(_run("-m", "benchmarks.stages", path)[1]) for _ in range(runs)]
    return Size(
        people=people,
        teams=sum(len(tree.get("teams", {})) for tree in files.values()),
        kilobytes=round(sum(file.stat().st_size for file in folder.rglob("*.yaml")) / 1024),
        check=_median(_run(*CHECK, path)[0] for _ in range(runs)),
        memory=_median(stage["memory"] for stage in stages),
        yaml=_median(_run(*YAML_ALONE, path)[0] for _ in range(runs)),
        nothing=_median(_run(*NOTHING)[0] for _ in range(runs)),
        stages={name: _median(stage[name] for stage in stages) for name in STAGES},
        errors=tuple(stages[0]["errors"]),
        judge=None
        if people > MOST_JUDGED
        else judged(write({**files, "access.yaml": access_tests(files)}, folder.with_name(f"{people}-judged")), runs),
    )


def compare_table(changed: Mapping[int, Sequence[Mapping[str, float]]], nothing: float) -> str:
    """What one changed duty costs to compare, at each size."""
    head = " | ".join(f"{people:,} people" for people in changed)
    rows = []
    for name, says in (("compare", "comparing everybody"), ("diff", "`dutybound diff`, without the two compilations")):
        medians = [_median(one[name] for one in runs) for runs in changed.values()]
        rows.append(f"| {says} | {' | '.join(f'{m:.2f} s ({m / nothing:.1f})' for m in medians)} |")
    memory = " | ".join(f"{_median(one['memory'] for one in runs):.0f} MB" for runs in changed.values())
    return "\n".join(
        [
            "\n# What a change costs\n",
            "One duty of many teams is changed. CPU seconds, medians of at most 3 runs; in brackets times "
            "`python -c pass`.\n",
            f"|  | {head} |",
            f"| --- |{' ---: |' * len(changed)}",
            *rows,
            f"| peak memory | {memory} |",
            "",
        ]
    )


def judged(folder: Path, runs: int) -> Judged | None:
    """The medians of the judge's answers about an organisation with tests of access."""
    found = [json.loads(_run("-m", "benchmarks.judge", str(folder))[1]) for _ in range(min(runs, MOST_JUDGE_RUNS))]
    if found[0] is None:
        return None
    tests = found[0]["tests"]
    return Judged(
        tests=tests,
        tests_per_second=round(tests / _median(one["seconds"]["tests"] for one in found)),
        answers={name: _median(one["seconds"][name] for one in found) for name in ANSWERS},
        memory=_median(one["memory"] for one in found),
    )


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 4)


def _run(*words: str) -> tuple[float, str]:
    """CPU seconds and output of a Python of its own. An exit code of 1 is that of findings."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen([sys.executable, *words], stdout=out, stderr=complaints, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        complaints.seek(0)
        said = complaints.read().decode(errors="replace")
        if child.returncode not in (0, 1) or "Traceback" in said:
            raise RuntimeError(f"python {' '.join(words)} ended with {child.returncode}: {said[-2000:]}")
        return used.ru_utime + used.ru_stime, out.read().decode()


def circumstances(runs: int, day: str | None) -> dict[str, str | int | None]:
    """Under which the figures hold: all but the machine's name."""
    return {
        "date": day,
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "pydantic": metadata.version("pydantic"),
        "pyyaml": metadata.version("PyYAML"),
        "runs": runs,
    }


def table(sizes: Sequence[Size], runs: int, day: str | None) -> str:
    """All figures as a Markdown page."""
    facts = circumstances(runs, day)
    said = f"Python {facts['python']}, pydantic {facts['pydantic']}, PyYAML {facts['pyyaml']}, {facts['architecture']}"
    lines = [
        "# What compiling costs",
        "",
        f"Measured by `make bench`{f' on {day}' if day else ''}: {facts['cores']} cores, {said}. "
        f"CPU seconds, medians of {runs} runs in processes of their own.",
        "",
    ]
    rows: list[tuple[str, list[str]]] = [
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
    lines += _rows(rows)
    return "\n".join(lines) + "\n"


def judge_tables(sizes: Sequence[Size], loads: Sequence[Mapping[str, Any]]) -> str:
    """What the judge costs, as the rest of the page."""

    def cells(cell: Callable[[Size, Judged], str]) -> list[str]:
        return [cell(size, size.judge) if size.judge else "–" for size in sizes]

    def answer(name: str) -> list[str]:
        return cells(lambda size, judge: f"{judge.answers[name]:.3f} s ({judge.answers[name] / size.nothing:.1f})")

    runs = f"medians of at most {MOST_JUDGE_RUNS} runs"
    lines = [
        "",
        "# What judging costs",
        "",
        f"CPU seconds after the compilation, {runs}; in brackets times `python -c pass`. A first answer loads the "
        "service reference.",
        "",
    ]
    rows = [
        ("", [f"{size.people:,} people" for size in sizes]),
        ("tests of access", cells(lambda _, judge: f"{judge.tests:,}")),
        ("**a CPU second**", cells(lambda _, judge: f"**{judge.tests_per_second:,.0f}**")),
        *((label, answer(name)) for name, label in ANSWERS.items()),
        ("peak memory", cells(lambda _, judge: f"{judge.memory:.0f} MB")),
    ]
    lines += _rows(rows)
    if any(size.judge is None for size in sizes):
        lines += ["", "–: not measured; the questions about so many people take minutes."]
    nothing = min(size.nothing for size in sizes)
    lines += ["", "`dutybound simulate --batch`, start-up and output with it:", ""]
    lines += _rows(
        [
            ("", [load["name"] for load in loads]),
            ("**requests a CPU second**", [f"**{load['rate']:,.0f}**" for load in loads]),
            ("requests in the time of `python -c pass`", [f"{load['rate'] * nothing:,.0f}" for load in loads]),
            ("peak memory at half", [f"{load['half']:.0f} MB" for load in loads]),
            ("peak memory at the end", [f"{load['end']:.0f} MB" for load in loads]),
        ]
    )
    return "\n".join(lines) + "\n"


def _rows(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """The lines of a table; the first row is its head."""
    lines = [f"| {' | '.join([name, *cells])} |" for name, cells in rows]
    return [lines[0], f"|{' --- |' + ' ---: |' * len(rows[0][1])}", *lines[1:]]


if __name__ == "__main__":
    main()
