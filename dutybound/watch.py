"""Waiting for a configuration to change on disk.

It looks at the files a few times a second instead of asking the system for events: those do not arrive from network
file systems and out of containers, differ between systems, and get lost when a folder is replaced; and a configuration
has few files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISDIR
from typing import TypeAlias

from dutybound.source import files

PAUSE = 0.2
"""Seconds between two looks."""
Seen: TypeAlias = frozenset[tuple[str, int, int, int, int]]


def saves(path: Path, wait: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yield at once, and again after each change of the files that `path` stands for. It never ends by itself.

    Files added, removed, renamed and replaced count, and so does a folder that vanishes or comes back. What changes
    while the caller works is noticed afterwards. A change counts once two looks in a row see the same, so that a
    half-written file is not read.
    """
    given = before = _seen(path)
    yield
    while True:
        wait(PAUSE)
        now = _seen(path)
        if now == before and now != given:
            given = now
            yield
        before = now


def _seen(path: Path) -> Seen:
    """What tells one state of the files from another: name, file number, size, and both times of change."""
    seen = set()
    for file in (path, *files(path)[0]):
        try:
            stat = file.stat()
        except (OSError, ValueError):
            continue  # it vanished, or is a link to nothing: checking says so
        if S_ISDIR(stat.st_mode):
            seen.add((file.as_posix(), stat.st_ino, 0, 0, 0))  # its times speak of files that are none of ours
        else:
            seen.add((file.as_posix(), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return frozenset(seen)
