"""The benchmarks run at small sizes, find what is planted, and their organisations mean the same in any order."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from benchmarks import __main__ as bench
from benchmarks import fuzz
from benchmarks.mutations import Twister, as_yaml, slots
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


@pytest.mark.parametrize("name", fuzz.SUBJECTS)
def test_the_fuzz_finds_nothing(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A few inputs of every subject, in this process."""
    arguments = ["--only", name, "--count", "40", "--seed", "1", "--jobs", "1", "--out", str(tmp_path / "found")]
    assert fuzz.main(arguments) == 0, capsys.readouterr().out
    assert f"{name}: 40 inputs" in capsys.readouterr().out
    assert not (tmp_path / "found").exists()


def test_inputs_are_known_by_number() -> None:
    """Seed and number say what an input is."""
    for name in fuzz.SUBJECTS:
        assert fuzz.input_number(name, 7, 3) == fuzz.input_number(name, 7, 3)
        assert fuzz.input_number(name, 7, 3) != fuzz.input_number(name, 8, 3)


def _sleeps(_text: str) -> bool:
    time.sleep(3)
    return True


def _crashes(text: str) -> bool:
    if "bad" in text:
        raise ZeroDivisionError(text)
    return True


def test_the_fuzz_finds_what_is_planted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A crash ends with exit code 1 and is written once, made small."""
    subject = fuzz.Subject(lambda dice: f"good\nbad {dice.random()}\nmore\n", _crashes, "yaml")
    monkeypatch.setitem(fuzz.SUBJECTS, "yaml", subject)
    assert fuzz.main(["--only", "yaml", "--count", "3", "--jobs", "1", "--out", str(tmp_path)]) == 1
    assert "1 kinds of findings" in capsys.readouterr().out
    (found,) = tmp_path.glob("*.yaml")
    assert found.read_text(encoding="utf-8").startswith("bad ")
    assert found.read_text(encoding="utf-8").count("\n") == 1
    assert "ZeroDivisionError" in found.with_suffix(".txt").read_text(encoding="utf-8")


def test_a_hang_is_found() -> None:
    """Whatever does not answer is interrupted."""
    before = time.monotonic()
    found = fuzz.complaint(fuzz.Subject(lambda _: "", _sleeps, "yaml"), "")
    assert isinstance(found, fuzz.Complaint)
    assert found.kind == "Hang"
    assert time.monotonic() - before < 3


def test_twists_leave_the_known_trees_alone() -> None:
    """A tree is twisted in a copy, whatever stands in it."""
    known = [{"teams": {"a": {"members": ["x", "y"], "purpose": "z"}}, "version": 1}]
    before = str(known)
    twister = Twister(known)
    dice = Random(5)  # noqa: S311
    made = {as_yaml(twister.twisted(dice, 3), dice) for _ in range(60)}
    assert str(known) == before
    assert len(made) > 40
    endless: dict[str, object] = {}
    endless["a"] = endless
    assert len(list(slots(endless))) == 1
