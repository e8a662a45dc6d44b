"""Files of a report onto the disk: all of them new, or all as they were.

Everything is written beside the folder first. A folder that holds nothing else is then exchanged for the new one in one
step. In any other, files are replaced name by name, with signals held back: only a power cut or `kill -9` in those few
microseconds can part two of them. A lock on the folder keeps two runs from mixing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dutybound.disk import alone, beside, exchange, put_folder, undisturbed


def publish(folder: Path, files: Mapping[str, str], gone: Iterable[str] = ()) -> None:
    """Write files by name into a folder, which is made if need be, and remove those that are `gone`.

    Other files there stay. Raises OSError, and then the folder is as it was.
    """
    for place in (folder, *folder.absolute().parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    for name in files:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))
    gone = set(gone)
    with beside(folder) as draft:
        new = draft / "new"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8", newline="")
        with undisturbed():
            if put_folder(new, folder):
                return
            with alone(folder):
                if _others(folder, files, gone) or not exchange(new, folder):
                    for name in files:
                        (new / name).replace(folder / name)
                    for name in gone:
                        (folder / name).unlink(missing_ok=True)
                for late in _others(new, files, gone):  # it came into the old folder just before the exchange
                    (new / late).rename(folder / late)


def _others(folder: Path, files: Mapping[str, str], gone: set[str]) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - files.keys() - gone
