"""What goes wrong around the commands: killed, a full disk, a closed pipe, no git, and so on. Each has its line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import CASES, ROOT

DATA: dict[str, Any] = yaml.safe_load((CASES / "faults.yaml").read_text(encoding="utf-8"))
EPOCH = "1796083200"
SIZES = (0, 100, 5000)
"""Bytes that a file may have, for the end amid a write."""
Tree = dict[str, bytes]


class Runner:
    """Commands with faults, each in a fork of one process."""

    def __init__(self, folder: Path) -> None:
        write(folder)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": EPOCH}
        commands = [case["command"] for case in DATA["whole"]]
        call = [sys.executable, "-m", "tests.faulty", str(folder), json.dumps(commands)]
        self.process = subprocess.Popen(
            call, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def run(self, folder: Path, command: list[str], fault: str = "", at: int = 0) -> tuple[int, str]:
        """Run a command. Returns its exit code (-9: killed) and all it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = {"folder": str(folder), "command": command, "fault": fault, "at": at}
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], answer["said"]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One for all cases."""
    made = Runner(tmp_path_factory.mktemp("warm"))
    yield made
    made.process.communicate("")


def write(folder: Path, files: dict[str, str] | None = None) -> None:
    """The files of every case, and some of its own, into a folder."""
    for name, text in {**DATA["files"], **(files or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")


def tree(folder: Path, drafts: bool = False) -> Tree:
    """All files below a folder; with `drafts` what killed runs left, too."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes() if path.is_file() else b""
        for name, path in names.items()
        if drafts or not name.startswith(".dutybound-")
    }


class Case:
    """One command with its old and its new output."""

    def __init__(self, case: dict[str, Any], runner: Runner, place: Path) -> None:
        self.command, self.runner, self.work = case["command"], runner, place / "work"
        self.together = case.get("together", True)
        self.mended: set[frozenset[tuple[str, bytes]]] = set()
        self.before = place / "before"
        self.before.mkdir()
        write(self.before)
        for command in case.get("before", ()):
            code, said = runner.run(self.before, command)
            assert code == 0, said
        write(self.before, case.get("files"))
        for folder in case.get("folders", ()):
            (self.before / folder).mkdir()
        self.old = tree(self.before)
        code, said = self.run()
        assert code == 0, said
        self.new = tree(self.work, drafts=True)
        assert self.new != self.old

    def run(self, fault: str = "", at: int = 0) -> tuple[int, str]:
        """Run it on the old output."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.before, self.work)
        return self.runner.run(self.work, self.command, fault, at)

    def is_whole(self) -> bool:
        """Whether what is there is the old or the new."""
        found = tree(self.work)
        if self.together:
            return found in (self.old, self.new)
        absent = object()
        names = {*found, *self.old, *self.new}
        return all(found.get(n, absent) in (self.old.get(n, absent), self.new.get(n, absent)) for n in names)

    def mend(self) -> None:
        """The next run makes the new output, and takes away what was left."""
        left = tree(self.work, drafts=True)
        state = frozenset((re.sub(r"^[.]dutybound-[^/]*", "draft", name), text) for name, text in left.items())
        if state not in self.mended and (tree(self.work) != self.new or self.command[0] != "init"):
            # (init writes over nothing)
            self.mended.add(state)
            code, said = self.runner.run(self.work, self.command)
            assert code == 0, said
            assert tree(self.work, drafts=True) == self.new


@pytest.fixture(params=DATA["whole"], ids=lambda case: case["name"])
def case(request: pytest.FixtureRequest, runner: Runner, tmp_path: Path) -> Case:
    """A case of the part `whole`."""
    return Case(request.param, runner, tmp_path)


def test_killed_at_any_moment(case: Case) -> None:
    """Before each change on the disk, and amid a write: the old output or the new, and the next run is as any."""
    reached = 0
    while case.run("kill", reached + 1)[0] == -9:
        reached += 1
        assert case.is_whole(), reached
        case.mend()
    assert reached > 3
    assert tree(case.work, drafts=True) == case.new
    for size in SIZES:
        code, _ = case.run("half", size)
        assert code in (0, -25)
        assert case.is_whole(), size
        case.mend()


def test_a_full_disk_at_any_moment(case: Case) -> None:
    """One line, exit 1, the old output, and nothing beside it."""
    at = 1
    while True:
        code, said = case.run("ENOSPC", at)
        if code == 0:
            break
        assert (code, said.count("no space left on device"), "Traceback" in said) == (1, 1, False), said
        assert case.is_whole(), at
        assert not list(case.work.glob(".dutybound-*"))
        at += 1
    assert at > 3
    code, said = case.run("short", 100)
    assert (code, said.count("file too large"), "Traceback" in said) == (1, 1, False), said
    assert case.is_whole()


def shell(line: str, folder: Path, **names: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in a folder, with `dutybound` and `poor` as commands."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    scripts = {
        "dutybound": f"""exec '{sys.executable}' -c 'from dutybound.cli import main; main()' "$@\"""",
        # Root may write everywhere, unless it gives that right up.
        "poor": 'exec setpriv --bounding-set=-dac_override,-dac_read_search -- "$@"'
        if not os.geteuid()
        else 'exec "$@"',
    }
    for name, text in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    bare = folder.parent / "bare"
    bare.mkdir(exist_ok=True)
    for name in ("sh", "env"):
        if not (bare / name).exists():
            (bare / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LC_", "PYTHON"))}
    env = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "BIN": f"{tools}:{bare}",
        "SOURCE_DATE_EPOCH": EPOCH,
        **names,
    }
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False, timeout=120
    )


@pytest.mark.parametrize("case", DATA["commands"], ids=lambda case: case["name"])
def test_what_is_said(case: dict[str, Any], tmp_path: Path) -> None:
    """One clear line, the exit code, no traceback, and nothing half beside the output."""
    if "poor " in case["run"] and not os.geteuid() and not shutil.which("setpriv"):
        pytest.skip("root writes everywhere, and there is no setpriv to give that up")
    work = tmp_path / "work"
    write(work)
    ended = shell(case["run"], work)
    codes = case["code"] if isinstance(case["code"], list) else [case["code"]]
    assert ended.returncode in codes, ended
    assert "Traceback" not in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if case.get("says", "?") in line]) == ("says" in case), ended
    assert case.get("out", "") in ended.stdout
    assert not list(work.rglob(".dutybound-*"))


def test_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """Locale, time zone, line endings and a byte order mark change nothing."""
    same = DATA["same"]
    made = {}
    for number, one in enumerate(same["machines"]):
        work = tmp_path / str(number) / "work"
        write(work, same["files"])
        (work / one["folder"]).rename(work / "config")
        ended = shell(same["run"], work, **one.get("env", {}))
        assert ended.returncode == 0, (one["name"], ended)
        made[one["name"]] = ended
    first = made["as it is"]
    assert "Bauen für 日本" in first.stdout
    assert "ended" in first.stderr
    for name, ended in made.items():
        assert (ended.stdout, ended.stderr) == (first.stdout, first.stderr), name


def test_two_runs_at_once(runner: Runner, tmp_path: Path) -> None:
    """Reports in one folder, and first configurations: one of them is whole, and one configuration is written."""
    write(tmp_path)
    reports: list[Tree] = []
    for name in ("old", "new"):
        assert runner.run(tmp_path, ["report", f"{name}.yaml"])[0] == 0
        reports.append(tree(tmp_path / "report"))
    line = """
        for n in 1 2; do for f in old new; do dutybound report $f.yaml > /dev/null & done; done
        for n in 1 2; do dutybound init mine --name acme --owner it@acme.example 2>&1 & done
        wait"""
    ended = shell(line, tmp_path)
    assert ended.stderr == ""
    assert tree(tmp_path / "report") in reports
    assert ended.stdout.count("with your answers. Next:") == 1
    assert ended.stdout.count("nothing was written") == 1
    assert not list(tmp_path.rglob(".dutybound-*"))
