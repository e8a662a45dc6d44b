"""Texts of users in Markdown and CSV: whatever they wrote stays text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from dutybound.diagnostic import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&$])")
_BLOCK = re.compile(r"^(\d*)([-+=.)])")
"""What begins a list or a heading where it stands first in a line."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escaped(text: str) -> str:
    """A text in Markdown, in a line or a cell of a table: every character that means something there is escaped.

    CommonMark, "Backslash escapes", and GitHub's additions: bars of tables, `~`, links without brackets.
    """
    shown = _SPECIAL.sub(r"\\\1", visible(text).strip()).replace("://", r"\://").replace("www.", r"www\.")
    return _BLOCK.sub(r"\1\\\2", shown)


def code(text: str) -> str:
    """A text as code in Markdown, in a line or in a cell of a table."""
    shown = visible(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    room = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{room}{shown}{room}{fence}" if shown else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown; its cells are Markdown. Without rows there is none."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *lines] if lines else []


def csv_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV (RFC 4180).

    Spreadsheets run cells that begin like a formula (OWASP, "CSV Injection"): such a cell gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([defused(cell) for cell in row] for row in rows)
    return out.getvalue()


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    shown = visible(cell)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def counted(number: int, what: str, many: str = "") -> str:
    """`1 team`, `2 teams`, `3 people`."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"
