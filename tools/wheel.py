"""Build the wheel and the source archive into build/dist, the same bytes for the same commit.

They are made from a copy of what ships and nothing else, so that neither leftovers in build/ nor tests get in. The date
in them is SOURCE_DATE_EPOCH, or else that of the commit. Source: reproducible-builds.org, "Archive metadata".
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("LICENSE", "NOTICE", "README.md", "pyproject.toml", "dutybound", "examples", "stacks")
"""What the archives are made of: files and folders."""
OLDEST = 315532800
"""The first moment that a zip file can hold, 1980, where neither a variable nor git has one."""
_BUILD = """
import os, sys
from setuptools import build_meta
os.umask(0o022)
out = sys.argv[1]  # the backend writes its own words into sys.argv
print("made", build_meta.build_wheel(out), build_meta.build_sdist(out))
"""


class BuildError(Exception):
    """What the build backend said."""


def build(root: Path, out: Path) -> tuple[Path, Path]:
    """The wheel and the source archive of the project at `root`, written into `out`, which then holds nothing else.

    Raises BuildError where the project cannot be built, and OSError.
    """
    epoch = moment(root)
    with tempfile.TemporaryDirectory(prefix="dutybound-") as folder:
        copy, made = Path(folder, "source"), Path(folder, "made")
        made.mkdir()
        _copied(root, copy)
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-c", _BUILD, str(made)]
        run = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
        if run.returncode:
            raise BuildError(run.stderr or run.stdout)
        wheel, archive = (made / name for name in run.stdout.splitlines()[-1].split()[1:])
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        shutil.copy(wheel, out / wheel.name)
        _settle(archive, out / archive.name, epoch)
    return out / wheel.name, out / archive.name


def moment(root: Path) -> int:
    """The date of what is built, in seconds."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not given.isdecimal():
        given = _git(root, "log", "-1", "--format=%ct").decode().strip()
    return max(int(given), OLDEST) if given.isdecimal() else OLDEST


def _git(root: Path, *words: str) -> bytes:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False).stdout
    except FileNotFoundError:
        return b""


def _copied(root: Path, to: Path) -> None:
    """Copy what ships: the files that git knows, or all of them in a folder that is no repository."""
    names = [os.fsdecode(name) for name in _git(root, "ls-files", "-z", "--", *SOURCES).split(b"\0") if name]
    if not names:
        found = (path for source in SOURCES for path in [root / source, *(root / source).rglob("*")])
        names = [str(path.relative_to(root)) for path in found if path.is_file() and path.suffix != ".pyc"]
    for name in names:
        if (root / name).is_file():  # git knows a file that was just removed
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, to / name)
            (to / name).chmod(0o644)


def _settle(archive: Path, to: Path, epoch: int) -> None:
    """Write a .tar.gz anew without what differs from machine to machine: order, dates, owners."""
    with (
        tarfile.open(archive) as old,
        to.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() else 0o644, {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)


def main() -> int:
    """Build into build/dist."""
    try:
        for made in build(ROOT, ROOT / "build" / "dist"):
            print(f"build/dist/{made.name}")
    except (BuildError, OSError) as error:
        print(f"nothing was built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
