"""`dutybound check --watch`, for real: a process of its own, files that change under it, its output with a deadline."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dutybound.watch import saves
from tests.conftest import ROOT
from tests.test_bad_input import BASE

PATIENCE = 30.0
"""Seconds until a test gives up; a check takes about one."""
COMMAND = [sys.executable, "-c", "from dutybound.cli import main; main()", "check", "--watch"]


class Watching:
    """A running `dutybound check --watch` and the lines that it has written."""

    def __init__(self, path: str, cwd: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*COMMAND, path], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.put(line)

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def check(self) -> str:
        """The output of one whole check, as soon as it is there."""
        text = ""
        while "] watching " not in text:
            text += self.lines.get(timeout=PATIENCE)
        return text

    def end(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    """A watch on the folder `config` with one good file."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "base.yaml").write_text(BASE, encoding="utf-8")
    with Watching("config", tmp_path) as running:
        yield running


def test_a_working_day(watching: Watching, tmp_path: Path) -> None:
    """A save, a bad save, a rename as editors do it, a new file, a file removed, a folder that goes and comes back."""
    config, file = tmp_path / "config", tmp_path / "config" / "teams.yaml"
    assert "config: no errors. 1 groups" in watching.check()
    file.write_text("teams:\n  developers: {purpos: Build}\n", encoding="utf-8")
    found = watching.check()
    assert "error[unknown-key]" in found
    assert "config/teams.yaml:2:16" in found
    assert "\x1b" not in found
    (config / ".teams.yaml.swp").write_text("teams:\n  developers: {purpose: Build}\n", encoding="utf-8")
    (config / ".teams.yaml.swp").rename(file)
    assert "no errors. 2 groups" in watching.check()
    file.write_bytes(b"\x00\xff\xfe")
    assert "error[not-utf-8]" in watching.check()
    file.rename(config / "people.txt")
    assert "no errors. 1 groups" in watching.check()
    shutil.move(config, tmp_path / "elsewhere")
    assert "error[no-configuration]" in watching.check()
    config.mkdir()
    assert "holds no .yaml or .yml file" in watching.check()
    config.rmdir()
    shutil.move(tmp_path / "elsewhere", config)
    while "no errors" not in (found := watching.check()):  # the moment without a folder may be seen or not
        assert "error[no-configuration]" in found
    assert watching.end() == 130
    assert watching.lines.empty()


def test_one_file(tmp_path: Path) -> None:
    """A file instead of a folder, replaced by another of the same size; files beside it do not matter."""
    file = tmp_path / "one.yaml"
    file.write_text(BASE, encoding="utf-8")
    with Watching("one.yaml", tmp_path) as running:
        assert "one.yaml: no errors" in running.check()
        (tmp_path / "two.yaml").write_text("nonsense", encoding="utf-8")
        (tmp_path / "new").write_text(BASE.replace("version", "versoin"), encoding="utf-8")
        (tmp_path / "new").replace(file)
        assert "did you mean 'version'?" in running.check()
        assert running.end() == 130


def test_for_people_only() -> None:
    """A stream of JSON documents would be none: the formats for machines and --watch exclude each other."""
    found = subprocess.run(
        [*COMMAND, "--format", "json"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert found.returncode == 2
    assert "--format text only" in found.stderr


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """A change counts when two looks in a row see the same; what changes during a check is seen after it."""
    file = tmp_path / "x.yaml"
    steps = iter(["a", "ab", "abc", "", ""])

    def wait(_seconds: float) -> None:
        if step := next(steps, None):
            file.write_text(step, encoding="utf-8")
        elif step is None:
            raise KeyboardInterrupt

    read: list[str] = []

    def watch() -> None:
        for _ in saves(tmp_path, wait):
            read.append(file.read_text(encoding="utf-8") if file.exists() else "")
            if len(read) == 1:
                file.write_text("during the check", encoding="utf-8")

    with pytest.raises(KeyboardInterrupt):
        watch()
    assert read == ["", "abc"]
