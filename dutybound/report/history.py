"""Who changed some lines last, and when: git's answer, or none where there is no git, no repository or no commit.

Every line is looked up in one `git blame` of its file. What was removed leaves no line behind, and so no trace here.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
        text = _git(path.parent, "blame", "--porcelain", "--", path.name) if path.is_file() else ""
        about: dict[str, dict[str, str]] = {}
        commits: list[str] = []
        for line in text.split("\n"):
            word, _, rest = line.partition(" ")
            if len(word) == len(_NOT_YET) and set(word) <= set("0123456789abcdef"):
                commits.append(word)
                about.setdefault(word, {})
            elif commits and not line.startswith("\t"):
                about[commits[-1]].setdefault(word, rest)
        shallow = bool(commits) and _git(path.parent, "rev-parse", "--is-shallow-repository").strip() == "true"
        changes = {commit: self._change(commit, told, shallow) for commit, told in about.items()}
        return tuple(changes[commit] for commit in commits)

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
    """The commit that is checked out where a path is, with `+` if something under it is not committed; or empty."""
    folder = path if path.is_dir() else path.parent
    commit = _git(folder, "rev-parse", f"--short={_SHOWN}", "HEAD").strip()
    changed = _git(folder, "status", "--porcelain", "--", ".") if commit else ""
    return f"{commit}+" if changed.strip() else commit


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, or nothing if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
