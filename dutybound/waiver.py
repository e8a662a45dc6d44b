"""Findings that somebody accepts on purpose: waivers, each with a reason and an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from dutybound.asked import Finding
from dutybound.config import Waiver
from dutybound.diagnostic import Diagnostic, quoted


@dataclass(frozen=True, slots=True)
class Held:
    """A finding and who holds the access that it speaks of: `team developers`, or `duty x` for what nobody has."""

    holder: str
    finding: Finding


def settled(held: Iterable[Held], waivers: Iterable[Waiver], today: date | None) -> Iterator[Diagnostic]:
    """What is left of the findings once waivers are taken into account, and what is wrong with the waivers.

    Without `today` no waiver has ended.
    """
    used: set[int] = set()
    live = [w for w in waivers if today is None or date.fromisoformat(w.until) >= today]
    ended = [w for w in waivers if w not in live]
    for one in held:
        covering = [w for w in live if w.finding == one.finding.name and w.for_ in _subjects(one)]
        used.update(map(id, covering))
        if not covering:
            yield _as_error(one)
    for waiver in ended:
        message = f"the waiver of {waiver.finding} for {waiver.for_} ended on {waiver.until}"
        hint = "remove it with what it accepted, or give it a new end"
        yield Diagnostic("expired-waiver", message, waiver.until.span, hint)
    for waiver in live:
        if id(waiver) not in used:
            message = f"the waiver of {waiver.finding} for {waiver.for_} accepts nothing"
            yield Diagnostic("unused-waiver", message, waiver.span, "remove it", severity="warning")


def _subjects(held: Held) -> tuple[str, str]:
    return held.holder, f"duty {held.finding.duty}"


def _as_error(held: Held) -> Diagnostic:
    finding = held.finding
    kind, _, name = held.holder.partition(" ")
    who = "" if held.holder == f"duty {finding.duty}" else f"{kind} {quoted(name)}: "
    message = f"{who}duty {quoted(finding.duty)}: {finding.message}"
    note = f"to accept it: 'waivers: [{{finding: {finding.name}, for: {held.holder}, reason: …, until: …}}]'"
    return Diagnostic(finding.name, message, finding.span, finding.hint, (note,))
