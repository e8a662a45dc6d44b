"""The chain from a configuration on disk to a baseline:

    Path -> source.load -> Fields -> read -> Reading -> lower (+ catalog, pack) -> Baseline
         -> rules (+ waivers) -> guardrails, access, escalate -> Checked

Each stage reports everything it finds; the chain stops only between stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from dutybound import access, escalate, guardrails, rules, source
from dutybound.baseline import Baseline
from dutybound.config import environments
from dutybound.diagnostic import Checked, Diagnostic, did_you_mean, in_order, quoted
from dutybound.guardrails import Result
from dutybound.lower import lower
from dutybound.read import Reading, read
from dutybound.source import Fields
from dutybound.waiver import Held, Settled, settled, waiver_errors


def compile_path(path: Path, environment: str | None = None, today: date | None = None) -> Checked[Baseline]:
    """Compile a configuration folder or file for one account. Bad input gives diagnostics, never an exception.

    `environment` is that of the account at hand, which a configuration must be told if it says `in:` anywhere; `today`
    is the day on which waivers and memberships may have ended (without one, nothing has).
    """
    return compile_for(read_path(path), environment, today)


def compile_text(
    text: str, path: str = "config.yaml", environment: str | None = None, today: date | None = None
) -> Checked[Baseline]:
    """Compile YAML text as if it stood in a file of that path."""
    return compile_for(_read(source.loads(text, path)), environment, today)


def compile_everywhere(
    path: Path, today: date | None = None, shown: Path | None = None
) -> dict[str | None, Checked[Baseline]]:
    """Compile a configuration for each environment that it names (or for None if it names none), sorted.

    `shown` is what places call the path, where that is not how it was reached.
    """
    return compile_reading(read_path(path, shown), today)


def read_path(path: Path, shown: Path | None = None) -> Checked[Reading]:
    """What a configuration folder or file says, before anything is decided."""
    return _read(source.load(path, shown))


def compile_reading(reading: Checked[Reading], today: date | None = None) -> dict[str | None, Checked[Baseline]]:
    """Compile what was read for each environment that it names (or for None if it names none), sorted."""
    if reading.failed or reading.value is None:
        return {None: Checked(None, reading.diagnostics)}
    known = environments(reading.value.configuration)
    made = {name: _compiled(reading, name, today) for name in (sorted(known) or (None,))}
    # A waiver may be for what only one environment has: it is unused if it is in all of them.
    idle = set.intersection(*({d for d in one.diagnostics if d.name == "unused-waiver"} for one in made.values()))
    return {
        name: replace(one, diagnostics=tuple(d for d in one.diagnostics if d.name != "unused-waiver" or d in idle))
        for name, one in made.items()
    }


def compile_for(reading: Checked[Reading], environment: str | None, today: date | None = None) -> Checked[Baseline]:
    """Compile what was read for one environment, which must be one that the configuration names, if it names any."""
    if reading.failed or reading.value is None:
        return Checked(None, reading.diagnostics)
    known = environments(reading.value.configuration)
    names = ", ".join(sorted(known))
    if environment is None and known:
        at = min(known.values(), key=lambda name: name.span.order if name.span else ("", 0, 0))
        message = f"what is in this account depends on its environment: {names}"
        wrong = Diagnostic("no-environment", message, at.span, "choose one, as in '-c environment=" + min(known) + "'")
    elif environment is not None and environment not in known:
        message = f"no team and no role has anything in an environment {quoted(environment)}"
        near = did_you_mean(environment, known) or (f"known: {names}" if known else "leave it out")
        wrong = Diagnostic("unknown-environment", message, None, near)
    else:
        return _compiled(reading, environment, today)
    return Checked(None, in_order((*reading.diagnostics, wrong)))


def promises(path: Path, environment: str | None = None, today: date | None = None) -> dict[str | None, list[Result]]:
    """Every test of a configuration and its result, for one environment or for each; none if it does not compile."""
    reading = _read(source.load(path))
    if reading.failed or reading.value is None:
        return {}
    known = environments(reading.value.configuration)
    chosen = (environment,) if environment is not None else sorted(known) or (None,)
    made = {name: _decided(reading.value, name, today)[0] for name in chosen}
    return {
        name: [] if baseline.failed else list(_tests(reading.value, baseline, name, today))
        for name, baseline in made.items()
    }


def findings(path: Path, environment: str | None = None, today: date | None = None) -> dict[str | None, list[Settled]]:
    """Everything that a waiver can accept, for one environment or for each: what is accepted with its waiver, which has
    the reason and the end, and what nobody accepts without one. Empty if the configuration cannot be read.
    """
    reading = _read(source.load(path))
    if reading.failed or reading.value is None:
        return {}
    known = environments(reading.value.configuration)
    chosen = (environment,) if environment is not None else sorted(known) or (None,)
    return {name: list(_decided(reading.value, name, today)[1]) for name in chosen}


def _read(loaded: Checked[Fields]) -> Checked[Reading]:
    if loaded.failed or loaded.value is None:
        return Checked(None, loaded.diagnostics)
    reading = read(loaded.value)
    return replace(reading, diagnostics=in_order((*loaded.diagnostics, *reading.diagnostics)))


def _compiled(reading: Checked[Reading], environment: str | None, today: date | None) -> Checked[Baseline]:
    if reading.value is None:
        return Checked(None, reading.diagnostics)
    baseline, _ = _decided(reading.value, environment, today)
    found = (*reading.diagnostics, *baseline.diagnostics)
    if baseline.failed or baseline.value is None:
        return Checked(None, in_order(found))
    failures = [r.failure for r in _tests(reading.value, baseline, environment, today) if r.failure is not None]
    checked = Checked(baseline.value, in_order((*found, *failures, *escalate.findings(baseline.value))))
    return replace(checked, value=None) if checked.failed else checked


def _decided(
    reading: Reading, environment: str | None, today: date | None
) -> tuple[Checked[Baseline], tuple[Settled, ...]]:
    """The baseline with what its rules find, and all of these findings, the accepted ones too."""
    held: list[Held] = []
    baseline = lower(reading, environment, today, held)
    if baseline.value is not None:
        held += rules.findings(reading, baseline.value)
    waivers = reading.configuration.waivers
    found = settled(held, waivers, today)
    wrong = [d for d in waiver_errors(found, waivers, today) if baseline.value is not None or d.severity == "error"]
    left = [one.diagnostic for one in found if one.waiver is None]
    return replace(baseline, diagnostics=in_order((*baseline.diagnostics, *left, *wrong))), found


def _tests(
    reading: Reading, baseline: Checked[Baseline], environment: str | None, today: date | None
) -> Iterator[Result]:
    yield from guardrails.check(reading)
    if baseline.value is not None:
        yield from access.results(reading, baseline.value, environment, today)
