"""The chain from a configuration on disk to a baseline:

    Path -> source.load -> Fields -> read -> Reading -> lower (+ catalog, pack) -> Baseline
         -> guardrails, escalate -> Checked

Each stage reports everything it finds; the chain stops only between stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from dutybound import access, escalate, guardrails, source
from dutybound.baseline import Baseline
from dutybound.config import environments
from dutybound.diagnostic import Checked, Diagnostic, did_you_mean, in_order, quoted
from dutybound.guardrails import Result
from dutybound.lower import lower
from dutybound.read import Reading, read
from dutybound.source import Fields


def compile_path(path: Path, environment: str | None = None, today: date | None = None) -> Checked[Baseline]:
    """Compile a configuration folder or file for one account. Bad input gives diagnostics, never an exception.

    `environment` is that of the account at hand, which a configuration must be told if it says `in:` anywhere; `today`
    is the day on which waivers and memberships may have ended (without one, nothing has).
    """
    return _chosen(_read(source.load(path)), environment, today)


def compile_text(
    text: str, path: str = "config.yaml", environment: str | None = None, today: date | None = None
) -> Checked[Baseline]:
    """Compile YAML text as if it stood in a file of that path."""
    return _chosen(_read(source.loads(text, path)), environment, today)


def compile_everywhere(
    path: Path, today: date | None = None, shown: Path | None = None
) -> dict[str | None, Checked[Baseline]]:
    """Compile a configuration for each environment that it names (or for None if it names none), sorted.

    `shown` is what places call the path, where that is not how it was reached.
    """
    reading = _read(source.load(path, shown))
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


def promises(path: Path, environment: str | None = None, today: date | None = None) -> dict[str | None, list[Result]]:
    """Every test of a configuration and its result, for one environment or for each; none if it does not compile."""
    reading = _read(source.load(path))
    if reading.failed or reading.value is None:
        return {}
    known = environments(reading.value.configuration)
    chosen = (environment,) if environment is not None else sorted(known) or (None,)
    made = {name: lower(reading.value, name, today) for name in chosen}
    return {
        name: [] if baseline.failed else list(_tests(reading.value, baseline, name, today))
        for name, baseline in made.items()
    }


def _read(loaded: Checked[Fields]) -> Checked[Reading]:
    if loaded.failed or loaded.value is None:
        return Checked(None, loaded.diagnostics)
    reading = read(loaded.value)
    return replace(reading, diagnostics=in_order((*loaded.diagnostics, *reading.diagnostics)))


def _chosen(reading: Checked[Reading], environment: str | None, today: date | None) -> Checked[Baseline]:
    """Compile for one environment, which must be one that the configuration names, if it names any."""
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


def _compiled(reading: Checked[Reading], environment: str | None, today: date | None) -> Checked[Baseline]:
    if reading.value is None:
        return Checked(None, reading.diagnostics)
    baseline = lower(reading.value, environment, today)
    found = (*reading.diagnostics, *baseline.diagnostics)
    if baseline.failed or baseline.value is None:
        return Checked(None, in_order(found))
    failures = [r.failure for r in _tests(reading.value, baseline, environment, today) if r.failure is not None]
    checked = Checked(baseline.value, in_order((*found, *failures, *escalate.findings(baseline.value))))
    return replace(checked, value=None) if checked.failed else checked


def _tests(
    reading: Reading, baseline: Checked[Baseline], environment: str | None, today: date | None
) -> Iterator[Result]:
    yield from guardrails.check(reading)
    if baseline.value is not None:
        yield from access.results(reading, baseline.value, environment, today)
