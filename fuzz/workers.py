"""The same compilation in other processes: `python -m fuzz.workers` compiles each line that it reads."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.dump import dumped
from dutybound.diagnostic import render_all
from fuzz.inputs import compile_everywhere_text
from fuzz.mutations import ROOT


def dump(text: str) -> str:
    """A digest of everything that comes of a configuration: baselines, and what is said of them."""
    digest = hashlib.sha256()
    for name, checked in compile_everywhere_text(text).items():
        digest.update(f"{name}\n{render_all(checked.diagnostics)}\n".encode())
        digest.update(dumped(checked.value).encode() if checked.value is not None else b"-")
    return digest.hexdigest()


class Worker:
    """A process with an environment of its own, kept for many compilations."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        everything = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.workers"],
            cwd=ROOT,
            env=everything,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def dump(self, text: str) -> str:
        """What `dump` gives there."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a process without pipes")
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def main() -> None:
    """Answer line by line until the pipe is closed."""
    for line in sys.stdin:
        print(dump(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
