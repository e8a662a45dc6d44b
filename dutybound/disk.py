"""Files and folders onto the disk: made beside their place, then put into it in one move.

Whoever is killed leaves the old or the new one, and beside it at most a hidden folder, which the next run removes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

DRAFTS = ".dutybound-"
"""How the folders begin in which something is made; hidden, so that nobody compiles what is in them."""
_HERE = -100  # AT_FDCWD of Linux
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_NOT_HERE = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """An empty folder on the disk of `target`, which need not be there yet; it is gone afterwards.

    It is made where `target` is; or, where nothing can be made there, in the folder `target`. Raises OSError.
    """
    real = Path(os.path.realpath(target))
    try:
        draft, held = _drafted(real.parent)
    except OSError as error:
        if error.errno not in _NOT_HERE or not real.is_dir():
            raise
        draft, held = _drafted(real)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(held)


def _drafted(place: Path) -> tuple[Path, int]:
    """A new folder with a lock on it, which says that its maker lives; those of the dead are removed first."""
    for old in place.glob(f"{DRAFTS}*/"):
        with contextlib.suppress(OSError), _opened(old) as found:
            if _lock(found, wait=False):
                shutil.rmtree(old, ignore_errors=True)
    while True:
        draft = Path(tempfile.mkdtemp(prefix=DRAFTS, dir=place))
        with contextlib.suppress(
            FileNotFoundError
        ):  # before the lock, somebody else may have taken it for a dead one's
            held = os.open(draft, os.O_RDONLY)
            _lock(held)
            if _is_at(held, draft):
                return draft, held
            os.close(held)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that is there, so that two runs do not mix; nothing where the system has none."""
    while True:
        with _opened(folder) as held:
            _lock(held)
            if _is_at(held, folder):  # else it was exchanged meanwhile
                yield
                return


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)


def _lock(opened: int, wait: bool = True) -> bool:
    """Lock an open folder until it is closed. Returns whether it is locked."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or the file system knows no locks
        return False
    return True


def _is_at(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and a polite end wait until it is done."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def put_folder(new: Path, target: Path) -> bool:
    """Put a folder where there is none, or an empty one, in one step; False, with nothing done, if it cannot be."""
    try:
        if os.path.lexists(target) and not _alike(new, target):
            return False
        new.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY):
            return False
        raise
    return True


def exchange(new: Path, target: Path) -> bool:
    """Exchange two folders in one step that nothing can part; False, with nothing done, where that cannot be.

    Source: rename(2) of Linux (RENAME_EXCHANGE), renamex_np of macOS (RENAME_SWAP).
    """
    if not _alike(new, target):
        return False
    library = ctypes.CDLL(None)
    names = os.fsencode(new), os.fsencode(target)
    try:
        if sys.platform == "darwin":
            return not library.renamex_np(*names, _EXCHANGE)
        return not library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    except AttributeError:  # an old C library
        return False


def _alike(new: Path, target: Path) -> bool:
    """Make a new folder as open as the old one; False where nobody would like the old one to go.

    Who works in a folder would be left in one that is gone, and a link to it would be a folder of its own.
    """
    old = target.stat()
    real = Path(os.path.realpath(target))
    if target.is_symlink() or Path.cwd().is_relative_to(real):
        return False
    if old.st_uid != new.stat().st_uid or not os.access(target, os.W_OK):
        return False
    new.chmod(stat.S_IMODE(old.st_mode))
    return True
