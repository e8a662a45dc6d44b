"""Revisions of a configuration: a git revision read into a folder of its own, without touching the working tree.

Nothing is checked out: the files come from git's object database, so an index, a stash, hooks and submodules are left
alone. Only what the compiler reads is written, `*.yaml` and `*.yml`.
Source: git's manual pages git-ls-tree, git-cat-file, git-rev-parse, git-merge-base (version 2.24 or newer).
"""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dutybound.diagnostic import quoted, visible

_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""Where a branch began from, the first that there is: what the remote calls its default branch, then usual names."""
_LINK = "120000"
_MOST_LINKS = 8
"""Links that are followed one after another; more are a circle."""
_OURS = (".yaml", ".yml")


class NoRevision(ValueError):
    """A revision cannot be read: what is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Version:
    """One side of a comparison: what it is called, where it can be read now, and what its files are called.

    `shown` stands for `path` in whatever is printed. `empty` says that there is no configuration in that revision.
    """

    name: str
    path: Path
    shown: Path
    empty: bool = False


@contextmanager
def versions(base: str | None, head: str | None, config: Path) -> Iterator[tuple[Version, Version]]:
    """Both sides of a comparison, readable inside of the `with`.

    Each is a folder or file with a configuration, or a git revision, in which `config` is the path of one; None is, for
    the base, where this branch began, and for the head, the working tree. Raises NoRevision, and OSError if there
    is no room for them.
    """
    try:
        made = TemporaryDirectory(prefix="dutybound-")
    except OSError as error:
        raise OSError(error.errno, error.strerror, "the temporary folder (TMPDIR)") from None
    with made as folder:
        yield (
            _version(base, config, Path(folder, "base")) if base is not None else _start(config, Path(folder, "base")),
            _version(head, config, Path(folder, "head"))
            if head is not None
            else Version("working tree", config, config),
        )


def _version(text: str, config: Path, into: Path) -> Version:
    """A folder or file of that name, or else the git revision."""
    if os.path.lexists(text):
        plain = not text.startswith(("/", "./", "../"))
        if plain and (text == "HEAD" or _is_revision(text)):
            hint = f"write ./{visible(text)} for the folder, or the commit's number for the revision"
            raise NoRevision(f"{quoted(text)} is a git revision and a folder too", hint)
        return Version(text, Path(text), Path(text))
    return _read(text, _commit(text), config, into)


def _start(config: Path, into: Path) -> Version:
    """Where the branch at hand left the default branch."""
    branch = next((b for b in _BRANCHES if _is_revision(b)), None)
    if branch is None:
        _top()  # says so where there is no repository at all
        raise NoRevision(
            f"the default branch is not here: there is none of {', '.join(_BRANCHES)}",
            "name BASE, or fetch the branch first (in GitHub's checkout action: fetch-depth: 0)",
        )
    found = _git("merge-base", branch, "HEAD", fails=True)
    if not found.strip():
        hint = "git fetch --unshallow (in GitHub's checkout action: fetch-depth: 0)" if _is_shallow() else "name BASE"
        shallow = ", and the clone is shallow" if _is_shallow() else ""
        raise NoRevision(f"HEAD and {branch} have no commit in common{shallow}", hint)
    return _read(branch, found.decode().strip(), config, into)


def _commit(text: str) -> str:
    """The commit that a revision names."""
    _top()
    found = "" if text.startswith("-") else _resolved(text)
    if not found:
        hint = "name a branch, a tag, a commit or a folder"
        if _is_shallow():
            hint = "the clone is shallow: git fetch --unshallow (in GitHub's checkout action: fetch-depth: 0)"
        raise NoRevision(f"there is no git revision and no folder {quoted(text)}", hint)
    return found


def _is_revision(text: str) -> bool:
    try:
        return bool(_resolved(text))
    except NoRevision:
        return False


def _resolved(text: str) -> str:
    wanted = f"{text}^{{commit}}"
    return _git("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, fails=True).decode().strip()


def _is_shallow() -> bool:
    return _git("rev-parse", "--is-shallow-repository").strip() == b"true"


def _top() -> Path:
    """The folder of the repository at hand."""
    return Path(os.fsdecode(_git("rev-parse", "--show-toplevel").removesuffix(b"\n")))


def _read(name: str, commit: str, config: Path, into: Path) -> Version:
    """The configuration of a commit, written below `into`."""
    place = os.path.relpath(config.parent.resolve() / config.name, _top().resolve())
    if place.startswith(".."):
        raise NoRevision(f"{quoted(config)} is outside of the git repository", "give --config a path inside of it")
    called = f"{name} ({commit[:10]})" if not commit.startswith(name) else commit[:10]
    tree = _Tree(commit, called)
    root = Path(place).as_posix()
    for _ in range(_MOST_LINKS):
        entry = tree.entry(root)
        if entry is None or entry.mode != _LINK:
            break
        root = tree.target(root, entry)
    if entry is None and root != ".":
        return Version(called, into, config, empty=True)
    if entry is not None and entry.kind == "blob":
        into.mkdir()
        file = into / posixpath.basename(root)
        file.write_bytes(tree.content(root, entry))
        return Version(called, file, config)
    files = dict(tree.below(root))
    plain = _contents([one.id for one in files.values() if one.mode != _LINK])
    for path, one in files.items():
        file = into / posixpath.relpath(path, root)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(plain[one.id] if one.mode != _LINK else tree.content(path, one))
    return Version(called, into, config, empty=not files)


def _contents(ids: Sequence[str]) -> dict[str, bytes]:
    """The bytes of files by their ids, asked for at once."""
    if not ids:
        return {}
    text = _git("cat-file", "--batch", asked="".join(f"{id_}\n" for id_ in ids).encode())
    found: dict[str, bytes] = {}
    at = 0
    while at < len(text):
        line = text.index(b"\n", at)
        id_, _, size = text[at:line].decode("ascii").split()
        found[id_] = text[line + 1 : line + 1 + int(size)]
        at = line + int(size) + 2
    return found


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    kind: str
    id: str


class _Tree:
    """The files of one commit."""

    def __init__(self, commit: str, called: str) -> None:
        self.commit, self.called = commit, called

    def entry(self, path: str) -> _Entry | None:
        """What stands under exactly this path; None for nothing, and for the whole tree."""
        return next((one for name, one in self._listed(path) if name == path), None)

    def below(self, folder: str) -> Iterator[tuple[str, _Entry]]:
        """The files of a folder that a configuration can consist of; submodules and links to folders are none."""
        for path, entry in self._listed(*(() if folder == "." else (f"{folder}/",)), all_below=True):
            if entry.kind == "blob" and path.endswith(_OURS):
                if ".." in path.split("/"):  # git makes no such tree, but somebody can
                    raise NoRevision(f"{self.called} holds the path {quoted(path)}")
                yield path, entry

    def content(self, path: str, entry: _Entry) -> bytes:
        """The bytes of a file; of a link those of the file that it leads to, inside of the repository."""
        for _ in range(_MOST_LINKS):
            if entry.mode != _LINK:
                return _git("cat-file", "blob", entry.id)
            path = self.target(path, entry)
            there = self.entry(path)
            if there is None or there.kind != "blob":
                raise NoRevision(f"{quoted(path)}, to which a link leads, is no file in {self.called}")
            entry = there
        raise NoRevision(f"{quoted(path)} is a link that leads in a circle in {self.called}")

    def target(self, path: str, entry: _Entry) -> str:
        """The path in the repository to which a link leads."""
        text = os.fsdecode(_git("cat-file", "blob", entry.id))
        path_there = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
        if path_there.startswith(("/", "..")):
            message = f"{quoted(path)} is a link that leads out of the repository in {self.called}"
            raise NoRevision(message, "put the file itself there")
        return path_there

    def _listed(self, *paths: str, all_below: bool = False) -> Iterator[tuple[str, _Entry]]:
        flags = ["-r"] if all_below else []
        listed = _git("ls-tree", *flags, "-z", "--full-tree", self.commit, "--", *paths)
        for line in listed.split(b"\0"):
            if line:
                facts, _, path = line.partition(b"\t")
                mode, kind, id_ = facts.decode("ascii").split()
                yield os.fsdecode(path), _Entry(mode, kind, id_)


def _git(*words: str, fails: bool = False, asked: bytes | None = None) -> bytes:
    """What git prints, given `asked`. With `fails`, a command that says no prints nothing. Raises NoRevision."""
    # Terminal prompts and locks are for people at work; texts are read, so they are git's own.
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        # A folder that looks like a bare repository brings settings of its own, and git would follow them.
        command = ["git", "--literal-pathspecs", "-c", "safe.bareRepository=explicit", *words]
        done = subprocess.run(command, env=env, input=asked, capture_output=True, check=False)
    except FileNotFoundError:
        raise NoRevision("there is no git on this machine", "install git, or compare two folders") from None
    if done.returncode == 0:
        return done.stdout
    said = visible(done.stderr.decode(errors="replace").strip().partition("\n")[0]).removeprefix("fatal: ")
    if "not a git repository" in said:
        raise NoRevision("this folder is in no git repository", "compare two folders: dutybound diff OLD NEW")
    if "dubious ownership" in said:
        raise NoRevision(f"git refuses this folder: {said}", 'git config --global --add safe.directory "$PWD"')
    if fails and done.returncode == 1:
        return b""
    raise NoRevision(f"git {words[0]} failed: {said or f'exit {done.returncode}'}")
