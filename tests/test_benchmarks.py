"""The benchmarks run at small sizes, find what is planted, and their organisations mean the same in any order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks import __main__ as bench
from benchmarks.organization import organization, shuffled, write
from dutybound.compiler import compile_path
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
    monkeypatch.setattr(bench, "SIMULATE_SHARE", "0.005")
    bench.main(["--runs", "1", "--sizes", "10", "--date", "2026-11-24"])
    record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (size,) = record["sizes"]
    assert size["check"] > size["nothing"] > 0
    assert size["memory"] > 10
    assert all(size["stages"][stage] >= 0 for stage in bench.STAGES)
    assert size["errors"] == []
    assert size["judge"]["tests"] > 10
    assert size["judge"]["tests_per_second"] > 100
    assert set(size["judge"]["answers"]) == set(bench.ANSWERS)
    assert [load["name"] for load in record["simulate"]] == ["short policies", "100 KB"]
    assert all(load["rate"] > 100 for load in record["simulate"])
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_a_broken_child_is_no_figure() -> None:
    """What does not run is not measured."""
    with pytest.raises(RuntimeError, match="boom"):
        bench._run("-c", "raise SystemError('boom')")
