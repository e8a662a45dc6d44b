"""Who changed some lines last, and when: git's answer, or none where there is no git, no repository or no commit.

Every line is looked up in one `git blame` of its file as it was committed, and what differs from that is not committed
yet. git itself never looks at the working tree here: it would run the filters, converters and monitors that the
settings of a repository name, and a folder from elsewhere brings settings of its own. What was removed leaves no line
behind, and so no trace here.
Source: git's manual pages git-blame, gitattributes, githooks, and git-config, "safe.bareRepository".
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import SequenceMatcher
from operator import eq
from pathlib import Path

from dutybound.diagnostic import Span
from dutybound.report.facts import Change

_NOT_YET = "0" * 40
_SHOWN = 12
"""Characters of a commit that are shown: as good as unique in any repository."""
_SECONDS = 60


@dataclass
class History:
    """What git knows of files. Each is asked about once; whatever goes wrong there is 'unknown'."""

    _lines: dict[str, tuple[Change | None, ...]] = field(default_factory=dict)
    _times: dict[Change, int] = field(default_factory=dict)

    def last(self, *spans: Span | None) -> Change | None:
        """The newest change of the lines that the spans begin, with what stands indented below them.

        Lines that are not committed yet are the newest of all. None if nothing is known of any of them.
        """
        return self.newest(*(change for span in spans if span is not None for change in self._block(span)))

    def newest(self, *changes: Change | None) -> Change | None:
        """The newest of some changes that this history gave."""
        return max(filter(None, changes), key=lambda change: (self._times[change], change.commit), default=None)

    def line(self, *spans: Span | None) -> Change | None:
        """The newest change of just these lines."""
        lines = (self._of(span)[span.line - 1 : span.line] for span in spans if span is not None)
        return self.newest(*(change for line in lines for change in line))

    def _block(self, span: Span) -> tuple[Change | None, ...]:
        lines = span.source.lines
        first = lines[span.line - 1] if span.line <= len(lines) else ""
        end = span.line
        while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > _indent(first)):
            end += 1
        while end > span.line and not lines[end - 1].strip():
            end -= 1
        return self._of(span)[span.line - 1 : end]

    def _of(self, span: Span) -> tuple[Change | None, ...]:
        path = span.source.path
        if path not in self._lines:
            self._lines[path] = self._blamed(Path(path))
        return self._lines[path]

    def _blamed(self, path: Path) -> tuple[Change | None, ...]:
        """The change of each line of a file."""
        if path.is_symlink() or not path.is_file():
            return ()  # the lines of a link stand elsewhere
        text = _git(path.parent, "blame", "--porcelain", "--no-textconv", "HEAD", "--", path.name)
        about: dict[str, dict[str, str]] = {}
        commits: list[str] = []
        committed: list[str] = []
        for line in text.split("\n"):
            word, _, rest = line.partition(" ")
            if line.startswith("\t"):
                committed.append(line[1:])
            elif len(word) == len(_NOT_YET) and set(word) <= set("0123456789abcdef"):
                commits.append(word)
                about.setdefault(word, {})
            elif commits:
                about[commits[-1]].setdefault(word, rest)
        if not commits:
            return ()
        shallow = _git(path.parent, "rev-parse", "--is-shallow-repository").strip() == "true"
        changes = {commit: self._change(commit, told, shallow) for commit, told in about.items()}
        try:
            here = path.read_bytes().decode(errors="replace").removesuffix("\n").split("\n")
        except OSError:
            return ()
        return tuple(
            self._change(_NOT_YET, {}, False) if at is None else changes[commits[at]] for at in origins(committed, here)
        )

    def _change(self, commit: str, told: dict[str, str], shallow: bool) -> Change | None:
        if shallow and "boundary" in told:
            return None  # the oldest commit that is here says nothing of who wrote its lines
        if commit == _NOT_YET:
            change = Change("", "not committed yet")
            self._times[change] = 1 << 62
            return change
        seconds = int(told.get("author-time", "0"))
        day = datetime.fromtimestamp(seconds, UTC).date().isoformat()
        change = Change(day, told.get("author", ""), commit[:_SHOWN])
        self._times[change] = seconds
        return change


class NoHistory(History):
    """Knows nothing: for reports that must not depend on who committed what."""

    def _blamed(self, path: Path) -> tuple[Change | None, ...]:
        return ()


def commit_of(path: Path) -> str:
    """The commit that is checked out where a path is, with `+` if YAML under it is not as committed; or empty."""
    folder = path if path.is_dir() else path.parent
    commit = _git(folder, "rev-parse", f"--short={_SHOWN}", "HEAD").strip()
    return f"{commit}+" if commit and not _is_committed(folder) else commit


def _is_committed(folder: Path) -> bool:
    """Whether the YAML files below a folder are those of HEAD, by their ids: `git status` would run filters."""
    listed = _git(folder, "ls-tree", "-r", "-z", "HEAD", "--", ".").split("\0")
    entries = (line.partition("\t") for line in listed if line)
    wanted = {name: facts.split()[2] for facts, _, name in entries if _is_ours(name)}
    there = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*") if one.is_file() or one.is_symlink()}
    found = {name: one for name, one in there.items() if _is_ours(name)}
    return wanted.keys() == found.keys() and all(_id(one, wanted[name]) == wanted[name] for name, one in found.items())


def _is_ours(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and not any(part.startswith(".") for part in name.split("/"))


def _id(path: Path, like: str) -> str:
    """What git calls a file or link with this content, as long as another id is."""
    try:
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    except OSError:
        return ""
    made = hashlib.sha256() if len(like) > len(_NOT_YET) else hashlib.sha1(usedforsecurity=False)
    made.update(b"blob %d\0" % len(content) + content)
    return made.hexdigest()


def origins(committed: Sequence[str], here: Sequence[str]) -> Iterator[int | None]:
    """For each line of a file the number of the committed line that it is, None for one that is not committed yet."""
    old, new = ([line.rstrip("\r") for line in lines] for lines in (committed, here))
    found: list[int | None] = [None] * len(new)
    # Before the search, whose cost is the product of both, what is the same at both ends: mostly nearly all of it.
    same = list(map(eq, old, new))
    first = same.index(False) if False in same else len(same)
    ends = list(map(eq, reversed(old[first:]), reversed(new[first:])))
    last = ends.index(False) if False in ends else len(ends)
    found[:first] = range(first)
    found[len(new) - last :] = range(len(old) - last, len(old))
    middle = SequenceMatcher(None, old[first : len(old) - last], new[first : len(new) - last], autojunk=False)
    for block in middle.get_matching_blocks():
        start = first + block.b
        found[start : start + block.size] = range(first + block.a, first + block.a + block.size)
    yield from found


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, or nothing if it fails."""
    # Nothing is fetched, and no program that a repository names is started; of bare repositories none that merely lies
    # in the folder.
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    safe = ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "safe.bareRepository=explicit"]
    command = ["git", "-C", str(folder), *safe, *arguments]
    try:
        done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
