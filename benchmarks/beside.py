"""Side by side in one run: synthesis by Dutybound, and the same resources by other tools."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import ALONE, BY_CLI, EXAMPLE, UNVALIDATED, app_environment, by_cli, synthesis
from benchmarks.organization import organization, write
from benchmarks.page import NONE, by_size, rows
from benchmarks.plan import ROOT, Plan
from benchmarks.process import OUT, Cost, Figure, NotMeasuredError, figure, kept, measured
from benchmarks.rivals.described import counted, described
from dutybound.compiler import compile_deployment
from tools.install import BUILD, SetupError, digest, node, run

PROGRAMS = Path(__file__).parent / "rivals"
PLACE = BUILD / "bench"
PYTHON, MODULES = PLACE / "venv" / "bin" / "python", PLACE / "npm" / "node_modules"
PARTS = 4
EMPTY, EMPTY_JS = "an empty CDK app, Python", "an empty CDK app, JavaScript"
L2, L2_JS, TROPO = "CDK L2, Python", "CDK L2, JavaScript", "troposphere"
SENTRY, DUMPS = "policy_sentry, its policies alone", "`json.dumps` of the templates"
BUILT = "its stacks alone, compiled before"
LARGE = "large"


@dataclass(frozen=True, slots=True)
class Beside:
    """The figures; of each size how many resources and stacks there are; what is not the same, in sentences."""

    figures: list[Figure]
    sizes: dict[str, tuple[int, int]]
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Subject:
    """One size: the configuration, compiled and pickled too, its finished templates, and their description."""

    size: str
    config: Path
    compiled: Path
    templates: Path
    description: Path


def measure(plan: Plan) -> Beside:
    """The example, and one large organisation."""
    absent = {"python": _reason(installed_python, plan.offline), "node": _reason(installed_node, plan.offline)}
    measured((sys.executable, PROGRAMS / "empty.py", "-", OUT), given=UNVALIDATED)  # the first start unpacks the CDK
    large = write(organization(plan.people_beside, PARTS), plan.folder / "beside")
    subjects = [subject(EXAMPLE, ROOT / "config", plan.folder), subject(LARGE, large, plan.folder)]
    remarks: list[str] = []
    figures = [one for each in subjects for one in _figures(each, plan.runs, absent, remarks)]
    return Beside(figures, {each.size: _extent(each) for each in subjects}, remarks)


def subject(size: str, config: Path, folder: Path) -> Subject:
    """Synthesize a configuration once, and describe what came out."""
    out = folder / f"templates-{size.replace(' ', '-')}"
    templates = kept((sys.executable, "app.py"), out, app_environment(config, OUT))
    compiled = out.with_suffix(".pickle")
    compiled.write_bytes(pickle.dumps(compile_deployment(config).value))
    description = out.with_suffix(".json")
    description.write_text(json.dumps(described(templates)), encoding="utf-8")
    return Subject(size, config, compiled, templates, description)


def _extent(each: Subject) -> tuple[int, int]:
    return counted(each.templates).total(), len(list(each.templates.rglob("*.template.json")))


def _figures(each: Subject, runs: int, absent: Mapping[str, str], remarks: list[str]) -> Iterator[Figure]:
    """Ours, and those beside it."""

    def beside(work: str, tool: str, program: str, *, same: bool = False, told: Path = each.description) -> Figure:
        def once() -> Cost:
            if absent.get(tool):
                raise NotMeasuredError(absent[tool])
            return by_tool(tool, program, told, (lambda out: compared(out, each.templates)) if same else _unseen)

        return figure(work, each.size, runs, once)

    yield figure(BY_CLI, each.size, runs, lambda: by_cli(each.config))
    yield figure(ALONE, each.size, runs, lambda: synthesis(each.config))
    yield beside(BUILT, "ours", "built.py", same=True, told=each.compiled)
    yield beside(EMPTY, "ours", "empty.py")
    yield beside(EMPTY_JS, "node", "empty.js")
    yield beside(L2, "ours", "l2.py", same=True)
    yield beside(L2_JS, "node", "l2.js", same=True)
    yield beside(TROPO, "python", "tropo.py", same=True)
    yield beside(SENTRY, "python", "sentry.py")
    yield beside(DUMPS, "ours", "dumps.py", same=True, told=each.templates)
    if not absent["python"]:
        answered = json.loads(by_tool("python", "sentry.py", each.description).output)
        remarks.append(f"policy_sentry has an answer for {answered['written']} of {answered['asked']} ({each.size})")


def _unseen(_: Path) -> None:
    """What was written is not looked at."""


def by_tool(tool: str, program: str, told: Path, look: Callable[[Path], None] = _unseen) -> Cost:
    """Run a program of `rivals`: with our own Python, that of the bench's environment, or Node."""
    interpreter = {"ours": Path(sys.executable), "python": PYTHON, "node": node()[0]}[tool]
    given = {**UNVALIDATED, "NODE_PATH": str(MODULES)}
    return measured((interpreter, PROGRAMS / program, told, OUT), given=given, codes=(0,), look=look)


def compared(theirs: Path, ours: Path) -> None:
    """Raises NotMeasuredError unless both make as many resources of each type: only then is one beside the other."""
    made, wanted = counted(theirs), counted(ours)
    if made != wanted:
        apart = sorted(set((made - wanted) + (wanted - made)))
        raise NotMeasuredError(f"it makes other resources than Dutybound: {', '.join(apart)}")


def _reason(install: Callable[[bool], None], offline: bool) -> str:
    """Install, and say in a few words why that did not work; an empty text if it did."""
    try:
        install(offline)
    except SetupError as why:
        return str(why).partition(":")[0]
    return ""


def installed_python(offline: bool) -> None:
    """Bring troposphere and policy_sentry into an environment of their own, unless they are there."""
    lock = PROGRAMS / "requirements.txt"
    if _stamped(PYTHON.parent.parent, lock, offline, "troposphere and policy_sentry"):
        return
    run("An environment for the benchmarks", [sys.executable, "-m", "venv", "--clear", PYTHON.parent.parent])
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--require-hashes", "--requirement", lock]
    run("troposphere and policy_sentry", command)
    _stamp(PYTHON.parent.parent, lock)


def installed_node(offline: bool) -> None:
    """Bring the CDK's library for JavaScript into a folder of its own, unless it is there."""
    lock = PROGRAMS / "package-lock.json"
    if _stamped(MODULES.parent, lock, offline, "aws-cdk-lib for JavaScript"):
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PROGRAMS / name, MODULES.parent / name)
    run("aws-cdk-lib for JavaScript", [*node()[1], "ci", "--ignore-scripts", "--prefix", MODULES.parent])
    _stamp(MODULES.parent, lock)


def _stamped(place: Path, lock: Path, offline: bool, what: str) -> bool:
    """Whether the place holds what the lock says. Raises SetupError if it does not and nothing may be installed."""
    stamp = place / "stamp"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest(lock):
        return True
    if offline:
        raise SetupError(f"{what} is not installed")
    place.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    return False


def _stamp(place: Path, lock: Path) -> None:
    (place / "stamp").write_text(digest(lock), encoding="utf-8")


def page(found: Beside) -> list[str]:
    """The table of all tools, the ratios, and what is not the same."""
    at = {(one.work, one.size): one for one in found.figures}
    ratios = [(f"ours / {work}", [_ratios(at, work, size) for size in found.sizes]) for work in FLOORS]
    sizes = [f"{size}: {made:,} resources in {stacks} stacks" for size, (made, stacks) in found.sizes.items()]
    return [
        "# Beside other tools",
        "",
        f"Synthesis of the same resources in the same run ({'; '.join(sizes)}): CPU seconds with children, and memory. "
        "Dutybound reads, compiles and judges its YAML as well, but for one row. The others are told what to make by a "
        "list, and leave out deletion policies, metadata and the order of stacks; each makes as many resources of each "
        "type, or is not measured. The CDK's own validation of templates is off on all sides.",
        "",
        *by_size(found.figures),
        *(line for remark in found.remarks for line in ("", f"{remark}.")),
        "",
        "Ours is the synthesis without the CLI; in brackets its stacks alone, told what to make as the others are:",
        "",
        *rows([("", list(found.sizes)), *ratios]),
    ]


FLOORS = (EMPTY, EMPTY_JS, L2, L2_JS, TROPO, SENTRY, DUMPS)


def _ratios(at: Mapping[tuple[str, str], Figure], theirs: str, size: str) -> str:
    return f"{ratio(at, ALONE, theirs, size)} ({ratio(at, BUILT, theirs, size)})"


def ratio(at: Mapping[tuple[str, str], Figure], ours: str, theirs: str, size: str) -> str:
    """How many times as much ours costs, as a cell."""
    ours_found, theirs_found = at.get((ours, size)), at.get((theirs, size))
    if not (ours_found and theirs_found and ours_found.seconds and theirs_found.seconds):
        return NONE
    return f"{ours_found.seconds / theirs_found.seconds:.2f}"
