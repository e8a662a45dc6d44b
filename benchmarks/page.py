"""Pieces of the page: tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.process import Figure

NONE = "–"


def rows(lines: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """The lines of a table; the first is its head."""
    made = [f"| {' | '.join([name, *cells])} |" for name, cells in lines]
    return [made[0], f"|{' --- |' + ' ---: |' * len(lines[0][1])}", *made[1:]]


def cost(found: Figure | None, floor: float | None = None) -> str:
    """A cell: seconds, in brackets times `floor` where there is one, and memory."""
    if found is None or found.seconds is None:
        return NONE
    times = f" ({found.seconds / floor:.1f})" if floor else ""
    return f"{found.seconds:.2f} s{times}" + (f", {found.memory:.0f} MB" if found.memory else "")


def by_size(figures: Sequence[Figure], floors: Mapping[str, float] | None = None) -> list[str]:
    """A table of works by sizes, both in the order in which they come, and under it what was not measured and why."""
    sizes, works = list(dict.fromkeys(f.size for f in figures)), list(dict.fromkeys(f.work for f in figures))
    at = {(figure.work, figure.size): figure for figure in figures}
    floor = floors or {}
    body = [(work, [cost(at.get((work, size)), floor.get(size)) for size in sizes]) for work in works]
    return [*rows([("", sizes), *body]), *missing(figures)]


def missing(figures: Sequence[Figure]) -> list[str]:
    """Why there is no figure, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for one in figures:
        if one.seconds is None:
            reasons.setdefault(one.missing, []).append(f"{one.work} ({one.size})")
    return ["", *(f"Not measured: {', '.join(which)}: {why}." for why, which in reasons.items())] if reasons else []
