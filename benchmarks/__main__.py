"""What compiling costs at 10, 300 and 5,000 people: `python -m benchmarks [--runs N] [--date YYYY-MM-DD]`.

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
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.organization import organization, write

SIZES = (10, 300, 5000)
STAGES = ("import", "source", "read", "lower", "guardrails")
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results if they have a date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure (default: 5)")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="PEOPLE")
    parser.add_argument("--date", help="the day to state in benchmarks/results.*; without it nothing is written")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        sizes = [measured(people, Path(folder, str(people)), options.runs) for people in options.sizes]
    text = table(sizes, options.runs, options.date)
    print(text, end="")
    if options.date:
        (HERE / "results.md").write_text(text, encoding="utf-8")
        record = {**circumstances(options.runs, options.date), "sizes": [asdict(size) for size in sizes]}
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
    for number, (name, cells) in enumerate(rows):
        lines.append(f"| {' | '.join([name, *cells])} |")
        if not number:
            lines.append(f"|{' --- |' + ' ---: |' * len(cells)}")
    if any("too-many-resources" in s.errors for s in sizes):
        lines += [
            "",
            "`too-many-resources` is CloudFormation's limit of 500 resources in a stack. It is found at the very end, "
            "so everything before it was done and is measured.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
