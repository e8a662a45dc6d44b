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
    """A finding and whom it concerns, as a waiver's `for` says it: `team developers`, `duty x` for what nobody has,
    `organization`.
    """

    holder: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Settled:
    """A finding and the waiver that accepts it, if one does: of several, the one that holds longest."""

    held: Held
    waiver: Waiver | None = None

    @property
    def diagnostic(self) -> Diagnostic:
        """The finding as `check` says it while no waiver accepts it."""
        holder, finding = self.held.holder, self.held.finding
        message = finding.message
        if finding.duty:
            kind, _, name = holder.partition(" ")
            who = "" if holder == f"duty {finding.duty}" else f"{kind} {quoted(name)}: "
            message = f"{who}duty {quoted(finding.duty)}: {message}"
        note = f"to accept it: 'waivers: [{{finding: {finding.name}, for: {holder}, reason: …, until: …}}]'"
        return Diagnostic(finding.name, message, finding.span, finding.hint, (note,), finding.severity)


def settled(held: Iterable[Held], waivers: Iterable[Waiver], today: date | None) -> tuple[Settled, ...]:
    """Every finding once, in the order of the files, with the waiver that accepts it.

    Without `today` no waiver has ended.
    """
    live = sorted((w for w in waivers if not _ended(w, today)), key=lambda w: w.until)
    by_subject: dict[tuple[str, str], Waiver] = {(w.finding, w.for_): w for w in live}
    found = [Settled(one, _accepting(one, by_subject)) for one in held]
    once = {(one.held, one.diagnostic.order): one for one in found}
    return tuple(once[key] for key in sorted(once, key=lambda key: (key[1], key[0].holder)))


def waiver_errors(found: Iterable[Settled], waivers: Iterable[Waiver], today: date | None) -> Iterator[Diagnostic]:
    """What is wrong with the waivers themselves: those that have ended, and those that accept nothing."""
    there = {(one.held.finding.name, subject) for one in found for subject in _subjects(one.held)}
    for waiver in waivers:
        if _ended(waiver, today):
            message = f"the waiver of {waiver.finding} for {waiver.for_} ended on {waiver.until}"
            hint = "remove it with what it accepted, or give it a new end"
            yield Diagnostic("expired-waiver", message, waiver.until.span, hint)
        elif (waiver.finding, waiver.for_) not in there:
            message = f"the waiver of {waiver.finding} for {waiver.for_} accepts nothing"
            yield Diagnostic("unused-waiver", message, waiver.span, "remove it", severity="warning")


def _ended(waiver: Waiver, today: date | None) -> bool:
    return today is not None and date.fromisoformat(waiver.until) < today


def _accepting(held: Held, waivers: dict[tuple[str, str], Waiver]) -> Waiver | None:
    found = [w for s in _subjects(held) if (w := waivers.get((held.finding.name, s))) is not None]
    return max(found, key=lambda w: w.until, default=None)


def _subjects(held: Held) -> tuple[str, ...]:
    return (held.holder, f"duty {held.finding.duty}") if held.finding.duty else (held.holder,)
