"""What the commands cost at every size: whole processes, as somebody types them."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.organization import Tree, access_tests, organization, write
from benchmarks.page import by_size
from benchmarks.plan import ROOT, Plan
from benchmarks.process import LIMIT, OUT, Cost, Figure, figure, measured, python
from tools.install import CLI, node

DUTYBOUND = ("-c", "import sys; from dutybound.cli import main; sys.argv[0] = 'dutybound'; main()")
UNVALIDATED = {"CDK_VALIDATION": "false"}
"""The CDK's own validation of templates is off on all sides: it costs seconds, and the same for everybody."""
EXAMPLE = "the example"
WORKS = (
    "`--help`",
    "`check`",
    "`check` with access tests",
    "`explain`",
    "`diff`",
    "`report`",
    "synthesis by the CDK CLI",
    "synthesis without it",
)
HELP, CHECK, TESTS, EXPLAIN, DIFF, REPORT, BY_CLI, ALONE = WORKS


def size_of(people: int) -> str:
    """What an organisation of so many people is called in a table."""
    return f"{people:,} people"


def measure(plan: Plan) -> list[Figure]:
    """The example of the repository, and an organisation of each size."""
    found = list(_example(plan))
    for people in plan.sizes:
        files = organization(people)
        folder = write(files, plan.folder / f"commands-{people}")
        tested = write({**files, "access.yaml": access_tests(files)}, plan.folder / f"commands-{people}-tested")
        changed = write(_changed(files), plan.folder / f"commands-{people}-changed")
        found += _works(plan, size_of(people), folder, "person.0003", tested, changed)
    return found


def _changed(files: Mapping[str, Tree]) -> Mapping[str, Tree]:
    """The same with one duty of many teams changed."""
    changed = copy.deepcopy(dict(files))
    duties = changed["duties.yaml"]["duties"]
    duties[min(duties)]["grants"][1]["actions"].append("cloudfront:GetInvalidation")
    return changed


def _example(plan: Plan) -> Iterator[Figure]:
    config = ROOT / "config"
    yield figure(HELP, EXAMPLE, plan.runs, lambda: python(*DUTYBOUND, "--help", codes=(0,)))
    yield from _works(plan, EXAMPLE, config, "john", None, config)


def _works(plan: Plan, size: str, folder: Path, who: str, tested: Path | None, changed: Path) -> Iterator[Figure]:
    """Every work on one configuration. One that holds its access tests itself has no second version with them."""
    yield figure(CHECK, size, plan.runs, lambda: python(*DUTYBOUND, "check", folder, codes=(0,)))
    if tested is not None:
        yield figure(TESTS, size, plan.runs, lambda: python(*DUTYBOUND, "check", tested, codes=(0,)))
    asked = ("explain", who, "s3:PutObject", "--config", folder)
    yield figure(EXPLAIN, size, plan.runs, lambda: python(*DUTYBOUND, *asked))
    compared = ("diff", "--fail-on", "never", folder, changed)
    yield figure(DIFF, size, plan.runs, lambda: python(*DUTYBOUND, *compared))
    yield figure(REPORT, size, plan.runs, lambda: python(*DUTYBOUND, "report", "--out", OUT, folder, codes=(0,)))
    yield figure(BY_CLI, size, plan.runs, lambda: by_cli(folder))
    yield figure(ALONE, size, plan.runs, lambda: synthesis(folder))


def by_cli(folder: Path) -> Cost:
    """What `make synth` runs, without its swap of `cdk.out`."""
    command = (node()[0], CLI, "synth", "--quiet", "--ci=false", "--output", OUT, "-c", f"config={folder}")
    return measured(command, given=UNVALIDATED, codes=(0,))


def synthesis(folder: Path, limit: float = LIMIT) -> Cost:
    """`python app.py`, as the CDK CLI starts it."""
    return measured((sys.executable, "app.py"), given=app_environment(folder, OUT), codes=(0,), limit=limit)


def app_environment(folder: Path, out: str | Path) -> Mapping[str, str]:
    """What the CDK CLI tells the app: where the configuration is and where to write."""
    settings = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return {
        **UNVALIDATED,
        "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps({**settings, "config": str(folder)}),
    }


def page(figures: list[Figure]) -> list[str]:
    """The table of the commands."""
    return [
        "# What the commands cost",
        "",
        "Whole processes with all that they start: CPU seconds, and the most memory held at one time. The example is "
        "`config/`. `diff` compares it with itself, the others with a version in which a duty of many teams changed. "
        "The CDK's own validation of templates is off.",
        "",
        *by_size(figures),
    ]
