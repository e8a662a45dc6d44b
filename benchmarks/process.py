"""What one process costs, with all that it starts: CPU seconds and memory.

CPU seconds are those of user and system, of the process and of every child that was waited for (`wait4`). Memory is
the most that all of them held at one time (`/proc`, looked at every 20 milliseconds), and no less than the peak of
any of them, which the kernel notes exactly. A machine without `/proc` gives the peak of the largest process alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.install import environment

ROOT = Path(__file__).parent.parent
PROC = Path("/proc")
SECONDS_BETWEEN_LOOKS = 0.02
LIMIT = 300.0
"""Seconds after which a process is ended, and not measured."""
ENOUGH = 12.0
"""CPU seconds of one figure after which it is not measured again."""
OUT = "{out}"
"""In a command: a folder that is not there yet, another one for each run."""
BYTES_PER_MB = 1024 * 1024


class NotMeasuredError(Exception):
    """Why there is no figure, in words for the page."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took, in CPU seconds and MB, what it printed, and the KB that it wrote into its folder."""

    seconds: float
    memory: float
    output: str
    written: float = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """The medians of one work at one size. Without seconds it was not measured, and `missing` says why."""

    work: str
    size: str
    seconds: float | None
    memory: float | None = None
    runs: int = 0
    written: float = 0
    missing: str = ""


def figure(work: str, size: str, runs: int, run: Callable[[], Cost]) -> Figure:
    """Measure up to so many times; what costs much is measured less often, and at least once."""
    costs: list[Cost] = []
    try:
        while len(costs) < runs and sum(cost.seconds for cost in costs) < ENOUGH:
            costs.append(run())
    except NotMeasuredError as why:
        return Figure(work, size, None, missing=str(why))
    return Figure(
        work,
        size,
        seconds=median(cost.seconds for cost in costs),
        memory=median(cost.memory for cost in costs),
        runs=len(costs),
        written=median(cost.written for cost in costs),
    )


def median(values: Iterable[float]) -> float:
    """The median, to a tenth of a millisecond."""
    return round(statistics.median(values), 4)


def python(*words: str | Path, codes: Sequence[int] = (0, 1)) -> Cost:
    """What this Python costs with these words."""
    return measured([sys.executable, *words], codes=codes)


def measured(
    words: Sequence[str | Path],
    *,
    given: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0, 1),
    limit: float = LIMIT,
    look: Callable[[Path], None] = lambda _: None,
) -> Cost:
    """Run a command in the repository's folder, with `given` in its environment. An exit code of 1 is that of findings.

    `look` gets the folder that it wrote, before that is removed.

    Raises RuntimeError where it fails, NotMeasuredError where it takes longer than `limit` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        out = Path(folder, "out")
        command = [str(word).replace(OUT, str(out)) for word in words]
        own = {name: value.replace(OUT, str(out)) for name, value in (given or {}).items()}
        surroundings = {**environment(), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", **own}
        with Path(folder, "said").open("w+b") as said, Path(folder, "complaints").open("w+b") as complaints:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complaints,
                cwd=ROOT,
                env=surroundings,
                start_new_session=True,  # by which its children are known
            )
            try:
                seconds, memory, code = _watched(child, limit)
            except BaseException:
                _end(child)
                raise
            said.seek(0)
            complaints.seek(0)
            wrong = complaints.read().decode(errors="replace")
            if code not in codes or "Traceback" in wrong:
                raise RuntimeError(f"{' '.join(command)} ended with {code}: {wrong[-2000:]}")
            look(out)
            return Cost(seconds, memory, said.read().decode(errors="replace"), _kilobytes(out))


def _watched(child: subprocess.Popen[bytes], limit: float) -> tuple[float, float, int]:
    """CPU seconds, MB and exit code of a process that is running."""
    end = time.monotonic() + limit
    held = 0.0
    peaks: dict[int, float] = {}
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > end:
            raise NotMeasuredError(f"more than {limit:.0f} seconds")
        now = dict(_sizes(child.pid))
        held = max(held, sum(size for size, _ in now.values()))
        peaks |= {process: peak for process, (_, peak) in now.items()}
        time.sleep(SECONDS_BETWEEN_LOOKS)
    largest = max(peaks.values(), default=0.0) if PROC.is_dir() else _largest(used.ru_maxrss)
    return used.ru_utime + used.ru_stime, max(held, largest), child.returncode


def _largest(peak: int) -> float:
    return peak / (BYTES_PER_MB if sys.platform == "darwin" else 1024)


def _sizes(session: int) -> Iterator[tuple[int, tuple[float, float]]]:
    """Of each process of a session what it holds, and the most that it ever held, in MB."""
    if not PROC.is_dir():
        return
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and (process := int(folder.name)) >= session:
            try:
                if os.getsid(process) == session:
                    status = (folder / "status").read_text(encoding="utf-8", errors="replace")
                    yield process, (_kilo(status, "VmRSS:") / 1024, _kilo(status, "VmHWM:") / 1024)
            except (OSError, IndexError):  # it ended meanwhile
                continue


def _kilo(status: str, name: str) -> int:
    return int(status.partition(name)[2].split()[0])


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _kilobytes(folder: Path) -> float:
    if folder.is_file():
        return folder.stat().st_size / 1024
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1024


def kept(words: Sequence[str | Path], folder: Path, given: Mapping[str, str] | None = None) -> Path:
    """Run a command once for what it writes, and put that at `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    own = {name: value.replace(OUT, str(folder)) for name, value in (given or {}).items()}
    measured([str(word).replace(OUT, str(folder)) for word in words], given=own, codes=(0,))
    return folder
