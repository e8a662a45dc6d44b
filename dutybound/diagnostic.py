"""What is wrong, where, and what to do about it.

Every stage returns `Checked`: its value and all the diagnostics it found. Nothing here reads a user's files or knows
the language; a `Span` carries the text it points into, so rendering needs no second look at the disk.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Generic, Literal, NamedTuple, TypeVar
from urllib.parse import quote

T = TypeVar("T")
Severity = Literal["error", "warning"]
_SHOWN = 60
"""Characters of a user's own text that a message repeats; a longer one is cut, so one line stays one line."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text that was read: its path as the user gave it, and its lines without their line ends."""

    path: str
    lines: tuple[str, ...] = field(repr=False)


class Span(NamedTuple):
    """A place in a source. Line and column count from 1, in characters; the length is at least 1.

    A tuple, since each value of a file has one and a dataclass takes three times as long to make.
    """

    source: Source
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"

    @property
    def place(self) -> str:
        """Path and line, for a sentence: `config/teams.yaml:14`."""
        return f"{self.source.path}:{self.line}"

    @property
    def order(self) -> tuple[str, int, int]:
        """The key that sorts spans by file, line and column."""
        return (self.source.path, self.line, self.column)


class Text(str):
    """A string that knows where a user wrote it. Equality is meaning: the place takes no part in it."""

    __slots__ = ("span",)
    span: Span | None

    def __new__(cls, value: str, span: Span | None = None) -> Text:
        """A text written at `span`; without one for a text of ours."""
        text = str.__new__(cls, value)
        text.span = span
        return text


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a kebab-case name, what is wrong in a sentence, its place, and what to do."""

    name: str
    message: str
    span: Span | None = None
    hint: str = ""
    """What to do, in a few words; stands beside the caret."""
    notes: tuple[str, ...] = ()
    severity: Severity = "error"

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """File, line and column first, so that a run reads from top to bottom."""
        return (*(self.span.order if self.span else ("", 0, 0)), self.name, self.message)


@dataclass(frozen=True, slots=True)
class Checked(Generic[T]):
    """What a stage made (None if it could not) and everything it found on the way."""

    value: T | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def failed(self) -> bool:
        """True when the next stage must not run: there is no value, or there is an error."""
        return self.value is None or any(d.severity == "error" for d in self.diagnostics)


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics in file order, each once."""
    return tuple(sorted(dict.fromkeys(diagnostics), key=lambda d: d.order))


def visible(text: str) -> str:
    """The text with every character that a terminal would act on or hide written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c.isprintable() and unicodedata.category(c) != "Cf" else c.encode("unicode_escape").decode() for c in text
    )


def quoted(text: object) -> str:
    """A user's own word for a message: quoted, made visible, and cut when it is very long."""
    shown = visible(str(text))
    return f"'{shown[: _SHOWN - 1]}…'" if len(shown) > _SHOWN else f"'{shown}'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest known word, or an empty text when nothing is near.

    Case and `_` against `-` make no difference. Words before the last that both begin with (`manage-`, `s3:`) say
    nothing: the rest must be alike too. Of equally near words the first in the alphabet is taken.
    """
    spelt = {_folded(k): k for k in sorted(known, reverse=True)}
    folded = _folded(word[:256])
    if folded in spelt:
        return f"did you mean '{spelt[folded]}'?"
    short = len(folded) <= _SHORT
    near = difflib.get_close_matches(folded, spelt, n=8, cutoff=0.5 if short else 0.6)
    likely = [k for k in near if _rests_alike(folded, k) and (not short or k[:1] == folded[:1])]
    if not likely:
        return ""
    best = min(likely, key=lambda k: (-_likeness(folded, k), k))
    return f"did you mean '{spelt[best]}'?"


_SHORT = 4
"""Letters up to which a word is like too many others: there the first letter must be right."""


def _folded(word: str) -> str:
    return word.casefold().replace("_", "-").strip()


def _likeness(word: str, other: str) -> float:
    # difflib keeps what it knows of the second: the order in which get_close_matches asks.
    return difflib.SequenceMatcher(None, other, word).ratio()


def _rests_alike(word: str, other: str) -> bool:
    common = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    start = max(word.rfind(c, 0, common) for c in "-:. ") + 1
    return not start or _likeness(word[start:], other[start:]) >= 0.5


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _excerpt(span: Span, hint: str) -> list[str]:
    lines = span.source.lines
    line = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
    start = span.column - 1
    before, marked = visible(line[:start]), visible(line[start : start + span.length])
    after = visible(line[start + span.length :])
    if len(before) > 100:
        before = "…" + before[-80:]
    if len(marked) > 100:
        marked, after = marked[:100] + "…", ""
    gutter = " " * len(str(span.line))
    carets = "^" * max(1, _width(marked))
    return [
        f"{gutter} |",
        f"{span.line} | {(before + marked + after[:100]).rstrip()}",
        f"{gutter} | {' ' * _width(before)}{carets}{' ' + hint if hint else ''}",
    ]


def render(diagnostic: Diagnostic, paint: bool = False) -> str:
    """One diagnostic as text: what, where, the line with a caret under the place, and what to do.

    `paint` adds ANSI colour; the caller decides it, since only the caller knows whether a terminal reads.
    """
    head = f"{diagnostic.severity}[{diagnostic.name}]"
    if paint:
        head = f"\x1b[{'31' if diagnostic.severity == 'error' else '33'};1m{head}\x1b[0m"
    out = [f"{head}: {diagnostic.message}"]
    if diagnostic.span:
        out.append(f"  --> {visible(diagnostic.span.source.path)}:{diagnostic.span.line}:{diagnostic.span.column}")
        out += _excerpt(diagnostic.span, diagnostic.hint)
    elif diagnostic.hint:
        out.append(f"  = {diagnostic.hint}")
    out += [f"  = {note}" for note in diagnostic.notes]
    return "\n".join(out)


def render_all(diagnostics: Iterable[Diagnostic], paint: bool = False) -> str:
    """All diagnostics in file order, a blank line between them, and a closing count."""
    found = in_order(diagnostics)
    counts = []
    for severity in ("error", "warning"):
        n = sum(d.severity == severity for d in found)
        if n:
            counts.append(f"{n} {severity}{'s' if n > 1 else ''}")
    return "\n\n".join([*(render(d, paint) for d in found), *([" and ".join(counts)] if counts else [])])


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """A JSON list, one object each: name, severity, message, hint, notes, and the place if there is one."""
    return json.dumps([_record(d) for d in in_order(diagnostics)], indent=2, ensure_ascii=False)


def _record(diagnostic: Diagnostic) -> dict[str, object]:
    span = diagnostic.span
    place = (
        {"path": span.source.path, "line": span.line, "column": span.column, "length": span.length} if span else None
    )
    return {
        "name": diagnostic.name,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "notes": list(diagnostic.notes),
        "place": place or None,
    }


def as_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Workflow commands that GitHub shows beside the lines (GitHub Docs, "Workflow commands for GitHub Actions")."""

    def value(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def parameter(text: object) -> str:
        return value(str(text)).replace(":", "%3A").replace(",", "%2C")

    lines = []
    for d in in_order(diagnostics):
        at = {"title": d.name}
        if d.span:
            at |= {"file": d.span.source.path, "line": str(d.span.line), "col": str(d.span.column)}
        where = ",".join(f"{key}={parameter(text)}" for key, text in at.items())
        lines.append(f"::{d.severity} {where}::{value('. '.join(filter(None, (d.message, d.hint, *d.notes))))}")
    return "\n".join(lines)


def as_sarif(diagnostics: Iterable[Diagnostic], version: str, checked: str) -> str:
    """A SARIF 2.1.0 log of one run, for code scanning; `version` is that of the tool.

    `checked` is the path that was checked: what has no place of its own is put there, since code scanning wants one
    for each result (GitHub Docs, "SARIF support for code scanning").
    """
    found = in_order(diagnostics)
    results = []
    for d in found:
        result: dict[str, object] = {
            "ruleId": d.name,
            "level": d.severity,
            "message": {"text": ". ".join(filter(None, (d.message, d.hint, *d.notes)))},
        }
        region: dict[str, int] = {"startLine": 1}
        if d.span:
            start, length = d.span.column, d.span.length
            region = {"startLine": d.span.line, "startColumn": start, "endColumn": start + length}
        uri = quote(d.span.source.path if d.span else checked)
        result["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}]
        results.append(result)
    rules = [_rule(name) for name in sorted({d.name for d in found})]
    driver = {"name": "dutybound", "version": version, "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _rule(name: str) -> dict[str, object]:
    """What SARIF says of a rule, from its page. `helpUri` would have to be absolute: the page has no address yet."""
    rule: dict[str, object] = {"id": name, "name": "".join(map(str.capitalize, name.split("-")))}
    if page := _pages().get(name):
        where = f"See docs/diagnostics/{name}.md for a bad and a good example."
        rule["shortDescription"] = {"text": page["says"]}
        rule["fullDescription"] = {"text": f"{page['says']} {page['why']}"}
        rule["help"] = {"text": f"{page['why']} {where}"}
    return rule


@cache
def _pages() -> Mapping[str, Mapping[str, str]]:
    """What the page of each name says, and why; written by the test of the pages."""
    file = resources.files("dutybound") / "data" / "diagnostics.json"
    pages: Mapping[str, Mapping[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return pages
