"""Files of a report onto the disk: all of them new, or all as they were.

Everything is written beside the folder first, and then moved into it name by name, with signals held back: only a
power cut or `kill -9` in those few microseconds can part two files. A lock on the folder keeps two runs from mixing.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def publish(folder: Path, files: Mapping[str, str], gone: Iterable[str] = ()) -> None:
    """Write files by name into a folder, which is made if need be, and remove those that are `gone`.

    Other files there stay. Raises OSError, and then the folder is as it was.
    """
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    for name in files:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name or 'report'}-", dir=folder if folder.is_dir() else parent))
    try:
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8", newline="")
        folder.mkdir(exist_ok=True)
        with _alone(folder), _undisturbed():
            for name in files:
                (beside / name).replace(folder / name)
            for name in gone:
                (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else publishes into the folder meanwhile, where the system can lock one."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and a polite end wait until it is done."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
