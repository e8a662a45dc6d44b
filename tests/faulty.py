"""Runs commands of `dutybound` with a fault at a counted call; a job a line on stdin, an answer a line on stdout.

Each command runs in a fork of this process, in which everything is imported already, so that it costs a tenth of a
second instead of one. The calls that count are those that change what is on the disk, as Python's audit events tell of
them; the fault comes before the call, so the next count shows what is there after it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from dutybound.cli import cli, main

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def changes(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event tells of a change on the disk. The exchange of two folders shows in what it looks up."""
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & WRITING) and arguments[0] != os.devnull
    return event in CHANGES or (event == "ctypes.dlsym" and arguments[1] in ("renameat2", "renamex_np"))


def install(fault: str, at: int) -> None:
    """Let a fault come before a change: `kill`, or the name of an error (ENOSPC) that then comes at every later one."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if changes(event, arguments):
            count += 1
            if fault == "kill" and count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            # What is removed or moved needs no space.
            if fault != "kill" and count >= at and event in ("open", "os.mkdir"):
                raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))

    if fault in ("short", "half"):  # no file may grow beyond so many bytes: an error, or the end amid a write
        if fault == "half":
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, at))
    elif fault:
        sys.addaudithook(hook)


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Run one command and say how it ended: its exit code (-9: killed) and all it printed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code: object = 1
        with contextlib.suppress(BaseException):
            os.close(read)
            os.chdir(job["folder"])
            os.dup2(write, 1)
            os.dup2(write, 2)
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(n, "w", closefd=False)) for n in (1, 2))
            sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
            sys.argv = ["dutybound", *job["command"]]
            install(job["fault"], job["at"])
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as printed:
        said = printed.read()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "said": said}


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    for words in json.loads(sys.argv[2]):  # what is imported and read once for all
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            cli(words)
    gc.collect()
    gc.freeze()  # forks then copy less
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
