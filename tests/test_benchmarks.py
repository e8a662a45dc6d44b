"""The benchmarks run at small sizes, find what is planted, and their organisations mean the same in any order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import NamedTuple, get_args

import pytest

from benchmarks import __main__ as bench
from benchmarks import beside, compiling, judging, page, process, targets
from benchmarks import commands as commands_
from benchmarks.accounts import Rollout, accounts
from benchmarks.organization import organization, shuffled, write
from benchmarks.plan import Plan
from benchmarks.rivals.described import counted
from dutybound.compiler import compile_deployment, compile_path
from dutybound.diagnostic import render_all
from tests.conftest import ROOT


@pytest.mark.parametrize("people", [10, 300])
def test_organizations_compile(people: int, tmp_path: Path) -> None:
    """What is measured is a real baseline of that size."""
    checked = compile_path(write(organization(people), tmp_path))
    assert checked.value is not None, render_all(checked.diagnostics)
    assert not checked.diagnostics
    (account,) = checked.value.accounts
    assert len(account.users) == people + 2  # of break-glass
    assert len({str(policy.policy) for policy in account.policies}) > people // 10
    assert any(group.name.endswith(".until-2030-12-31") for group in account.groups) == (people == 300)


def test_order_means_nothing(tmp_path: Path) -> None:
    """300 people: the same bytes whatever the order of files, keys and lists, and of Python's own hashes."""
    files = organization(300)
    dice = Random(3)  # noqa: S311
    names = dice.sample(list(files), len(files))
    renamed = {f"{i:02}.yaml": shuffled(files[name], dice) for i, name in enumerate(names)}
    assert list(renamed.values()) != list(files.values())
    written = [write(files, tmp_path / "written"), write(renamed, tmp_path / "shuffled")]
    dumps = set()
    for seed in ("0", "1"):
        for path in written:
            made = subprocess.run(
                [sys.executable, "-m", "benchmarks.dump", str(path)],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                capture_output=True,
                check=True,
            )
            dumps.add(made.stdout)
    assert len(dumps) == 1
    (dump,) = dumps
    assert dump.count(b'"Version"') > 50


def test_the_bench_measures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One run at the smallest size: every figure is there, and the results are written where a date is given."""
    monkeypatch.setattr(bench, "HERE", tmp_path)
    wanted = ["--only", "compiling", "judging", "changing", "--sizes", "10", "--share", "0.005"]
    bench.main(["--runs", "1", *wanted, "--date", "2026-11-24"])
    record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (size,) = record["compiling"]
    assert size["check"] > size["nothing"] > 0
    assert size["memory"] > 10
    assert all(size["stages"][stage] >= 0 for stage in compiling.STAGES)
    assert size["errors"] == []
    judge = record["judging"]["sizes"]["10"]
    assert judge["tests"] > 10
    assert judge["tests_per_second"] > 0
    assert set(judge["answers"]) == set(judging.ANSWERS)
    assert [load["name"] for load in record["judging"]["loads"]] == ["short policies", "100 KB"]
    assert (tmp_path / "results.md").read_text(encoding="utf-8").strip() == capsys.readouterr().out.strip()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["results.json", "results.md"]


def test_an_interrupted_bench_leaves_the_old_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is written before all is measured."""

    def interrupted(_: Plan) -> None:
        raise KeyboardInterrupt

    (tmp_path / "results.md").write_text("old", encoding="utf-8")
    monkeypatch.setattr(bench, "HERE", tmp_path)
    monkeypatch.setitem(bench.TABLES, "compiling", bench.Table(interrupted, lambda _: []))
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--only", "compiling", "--date", "2026-11-24"])
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == "old"
    assert not (tmp_path / "results.json").exists()


def test_a_broken_child_is_no_figure() -> None:
    """What does not run is not measured."""
    with pytest.raises(RuntimeError, match="boom"):
        process.python("-c", "raise SystemError('boom')")


def test_children_and_memory_count() -> None:
    """The CPU seconds of a child are those of its parent too, and so is its memory."""
    work = "held = bytearray(b'1') * 90_000_000; sum(range(6_000_000))"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    alone, with_child = process.python("-c", "pass"), process.python("-c", parent)
    assert with_child.seconds > alone.seconds
    assert with_child.memory > 85


def test_what_takes_too_long_is_ended() -> None:
    """It is no figure, and the page says why."""
    slow = [sys.executable, "-c", "import time; time.sleep(60)"]
    found = process.figure("sleep", "10 people", 3, lambda: process.measured(slow, limit=0.2))
    assert (found.seconds, found.runs) == (None, 0)
    assert page.by_size([found])[-1] == "Not measured: sleep (10 people): more than 0 seconds."


def test_costly_work_is_measured_less_often() -> None:
    """The median of as many runs as are cheap."""
    costs = iter([process.Cost(3, 10, ""), process.Cost(1, 30, ""), process.Cost(9, 20, ""), process.Cost(9, 20, "")])
    found = process.figure("work", "size", 9, lambda: next(costs))
    assert (found.seconds, found.memory, found.runs) == (3, 20, 3)


def test_the_targets_are_read_off_the_figures() -> None:
    """Each as what it is: seconds, memory, or a ratio of the same run."""
    commands = [
        process.Figure(commands_.CHECK, commands_.EXAMPLE, 0.2, 40, 3),
        process.Figure(commands_.CHECK, "5,000 people", 2.0, 299.0, 3),
    ]
    side = [
        process.Figure(commands_.ALONE, commands_.EXAMPLE, 1.5, 100, 3),
        process.Figure(beside.EMPTY, commands_.EXAMPLE, 1.0, 100, 3),
        process.Figure(beside.L2, beside.LARGE, None, missing="why"),
    ]
    lines = "\n".join(targets.page(commands, side))
    assert "| synthesis of the example, beside an empty CDK app | 1.3 times | 1.50 times | no |" in lines
    assert "| synthesis of 2,000 resources, beside CDK L2 in Python | 0.35 times | – | – |" in lines
    assert "| `check` of the example | 0.3 s | 0.20 s | yes |" in lines
    assert "| `check` of 5,000 people | 1.5 s | 2.00 s | no |" in lines
    assert "| memory of that | 300 MB | 299 MB | yes |" in lines


def test_a_table_says_what_is_missing() -> None:
    """Works by sizes; what is not measured has its reason below."""
    figures = [
        process.Figure("check", "10 people", 1.234, 40.4, 3),
        process.Figure("check", "300 people", None, missing="no registry"),
        process.Figure("report", "300 people", 2.0, None, 1),
    ]
    assert page.by_size(figures) == [
        "|  | 10 people | 300 people |",
        "| --- | ---: | ---: |",
        "| check | 1.23 s, 40 MB | – |",
        "| report | – | 2.00 s |",
        "",
        "Not measured: check (300 people): no registry.",
    ]


@pytest.mark.parametrize("rollout", get_args(Rollout))
def test_organizations_of_many_accounts_compile(rollout: Rollout, tmp_path: Path) -> None:
    """All accounts are in it, without a finding, both ways."""
    checked = compile_deployment(write(accounts(60, rollout), tmp_path), None)
    assert checked.value is not None, render_all(checked.diagnostics)
    assert not checked.failed
    found = [target for _, one in checked.value.baselines for a in one.accounts for target in a.targets]
    assert len(found) == 60


class Built(NamedTuple):
    """The example, synthesized and described once."""

    subject: beside.Subject
    out: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The example's templates."""
    folder = tmp_path_factory.mktemp("beside")
    return Built(beside.subject("example", ROOT / "config", folder), folder)


@pytest.mark.parametrize(
    ("tool", "program"),
    [("ours", "l2.py"), ("ours", "built.py"), ("ours", "dumps.py"), ("node", "l2.js"), ("python", "tropo.py")],
)
def test_other_tools_make_the_same(tool: str, program: str, built: Built) -> None:
    """As many resources of each type as Dutybound; a tool that is not installed is left out."""
    if not {"ours": True, "node": beside.MODULES.is_dir(), "python": beside.PYTHON.exists()}[tool]:
        pytest.skip("make bench installs it")
    others = {"dumps.py": built.subject.templates, "built.py": built.subject.compiled}
    told = others.get(program, built.subject.description)
    looked = []

    def look(out: Path) -> None:
        beside.compared(out, built.subject.templates)
        looked.append(counted(out).total())

    beside.by_tool(tool, program, told, look)
    assert looked[0] > 40


def test_other_resources_are_not_beside(built: Built, tmp_path: Path) -> None:
    """A tool that leaves something out is not measured."""
    (tmp_path / "a.template.json").write_text('{"Resources": {"A": {"Type": "AWS::IAM::User"}}}', encoding="utf-8")
    with pytest.raises(process.NotMeasuredError, match="AWS::IAM::Group"):
        beside.compared(tmp_path, built.subject.templates)


def test_what_is_not_installed_has_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Offline nothing is installed, and the bench goes on."""
    monkeypatch.setattr(beside, "MODULES", tmp_path / "npm" / "node_modules")
    assert beside._reason(beside.installed_node, True) == "aws-cdk-lib for JavaScript is not installed"
