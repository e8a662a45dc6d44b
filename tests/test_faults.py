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
        return all(
            found.get(n, absent) in (self.old.get(n, absent), self.new.get(n, absent))  # type: ignore[arg-type]
            for n in names
        )

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
