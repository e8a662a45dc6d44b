"""The chain from a configuration on disk to a baseline:

    Path -> source.load -> Fields -> read -> Reading -> lower (+ catalog, pack) -> Baseline
         -> guardrails, escalate -> Checked

Each stage reports everything it finds; the chain stops only between stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from dutybound import access, escalate, guardrails, organization, source
from dutybound.accounts import Destination, destinations
from dutybound.baseline import Baseline, OrganizationPolicy
from dutybound.config import Configuration, environments
from dutybound.diagnostic import Checked, Diagnostic, Span, did_you_mean, in_order, quoted
from dutybound.guardrails import Result
from dutybound.lower import lower
from dutybound.organization import organization_policies
from dutybound.read import Reading, read
from dutybound.rollout import Deployment, management, stack_sets
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


def compile_everywhere(path: Path, today: date | None = None) -> dict[str | None, Checked[Baseline]]:
    """Compile a configuration for each of its destinations, by name and sorted.

    These are the environments and accounts that get contents of their own; None if it names neither.
    """
    reading = _read(source.load(path))
    if reading.failed or reading.value is None:
        return {None: Checked(None, reading.diagnostics)}
    compiled = {d: _compiled(reading, d, today) for d in destinations(reading.value.configuration)}
    _, wrong = _organization_wide(reading.value.configuration, compiled)
    made = {d.name: _with(one, wrong) for d, one in compiled.items()}
    # A waiver may be for what only one environment has: it is unused if it is in all of them.
    idle = set.intersection(*({d for d in one.diagnostics if d.name == "unused-waiver"} for one in made.values()))
    return {
        name: replace(one, diagnostics=tuple(d for d in one.diagnostics if d.name != "unused-waiver" or d in idle))
        for name, one in made.items()
    }


def compile_deployment(path: Path, environment: str | None = None, today: date | None = None) -> Checked[Deployment]:
    """Compile a configuration for all that a deployment touches: with `accounts` every destination, unless one is
    chosen, and otherwise the account at hand.
    """
    reading = _read(source.load(path))
    if reading.failed or reading.value is None:
        return Checked(None, reading.diagnostics)
    configuration = reading.value.configuration
    every = destinations(configuration)
    if environment is not None or not configuration.accounts:
        one = _chosen(reading, environment, today)
        if one.value is None:
            return Checked(None, one.diagnostics)
        where = next(d for d in every if environment in (None, d.name))
        made = {where: one}
    else:
        made = {d: _compiled(reading, d, today) for d in every}
    baselines = tuple((d, checked.value) for d, checked in made.items() if checked.value is not None)
    sets = stack_sets(configuration, baselines)
    # What is for the whole organization is known, and deployed, with the whole.
    policies, wrong = _organization_wide(configuration, made) if len(made) == len(every) else ((), ())
    found = in_order((*_told_once(made.values()), *wrong))
    checked = Checked(Deployment(baselines, sets, management(configuration), policies), found)
    return replace(checked, value=None) if checked.failed else checked


def _organization_wide(
    configuration: Configuration, made: Mapping[Destination, Checked[Baseline]]
) -> tuple[tuple[OrganizationPolicy, ...], tuple[Diagnostic, ...]]:
    """The policies of the organization, and what is wrong with them; none while a destination has errors."""
    baselines = tuple((d, one.value) for d, one in made.items() if one.value is not None)
    if len(baselines) < len(made):
        return (), ()
    found: list[Diagnostic] = []
    policies = organization_policies(configuration, baselines, stack_sets(configuration, baselines), found)
    return policies, tuple(found)


def _with(checked: Checked[Baseline], wrong: tuple[Diagnostic, ...]) -> Checked[Baseline]:
    """What was compiled, with errors that were found later."""
    return replace(checked, value=None, diagnostics=(*checked.diagnostics, *wrong)) if wrong else checked


def _told_once(made: Iterable[Checked[Baseline]]) -> Iterator[Diagnostic]:
    """What is wrong in several destinations is wrong once; a waiver is idle if it is in all of them."""
    every = list(made)
    idle = set.intersection(*({d for d in one.diagnostics if d.name == "unused-waiver"} for one in every))
    told = dict.fromkeys(d for one in every for d in one.diagnostics)
    return (d for d in told if d.name != "unused-waiver" or d in idle)


def promises(path: Path, environment: str | None = None, today: date | None = None) -> dict[str | None, list[Result]]:
    """Every test of a configuration and its result, for one destination or for each; none if it does not compile."""
    reading = _read(source.load(path))
    if reading.failed or reading.value is None:
        return {}
    chosen = [d for d in destinations(reading.value.configuration) if environment in (None, d.name)]
    made = {d: lower(reading.value, today=today, destination=d) for d in chosen}
    return {
        d.name: [] if baseline.failed else list(_tests(reading.value, baseline, d, today))
        for d, baseline in made.items()
    }


def _read(loaded: Checked[Fields]) -> Checked[Reading]:
    if loaded.failed or loaded.value is None:
        return Checked(None, loaded.diagnostics)
    reading = read(loaded.value)
    found = (*loaded.diagnostics, *reading.diagnostics)
    if not reading.failed and reading.value is not None:
        found = (*found, *organization.check(reading.value.configuration))
    return replace(reading, diagnostics=in_order(found))


def _chosen(reading: Checked[Reading], environment: str | None, today: date | None) -> Checked[Baseline]:
    """Compile for one destination, which must be named if there is more than one."""
    if reading.failed or reading.value is None:
        return Checked(None, reading.diagnostics)
    configuration = reading.value.configuration
    known = {d.name: d for d in destinations(configuration)}
    names = ", ".join(filter(None, known))
    first = min(filter(None, known), default="")
    if environment in known or (environment is None and configuration.accounts and len(known) == 1):
        return _compiled(reading, known[environment] if environment in known else next(iter(known.values())), today)
    if environment is None:
        message = f"what is in this account depends on its environment: {names}"
        hint = f"choose one, as in '-c environment={first}'"
        wrong = Diagnostic("no-environment", message, _first_named(configuration), hint)
    else:
        message = f"no team and no role has anything in an environment {quoted(environment)}"
        near = did_you_mean(environment, list(filter(None, known))) or (f"known: {names}" if names else "leave it out")
        wrong = Diagnostic("unknown-environment", message, None, near)
    return Checked(None, in_order((*reading.diagnostics, wrong)))


def _first_named(configuration: Configuration) -> Span | None:
    """The first place that names an environment, or the accounts."""
    named = [name.span for name in (*configuration.accounts, *environments(configuration).values()) if name.span]
    return min(named, key=lambda span: span.order, default=None)


def _compiled(reading: Checked[Reading], destination: Destination, today: date | None) -> Checked[Baseline]:
    if reading.value is None:
        return Checked(None, reading.diagnostics)
    baseline = lower(reading.value, today=today, destination=destination)
    found = (*reading.diagnostics, *baseline.diagnostics)
    if baseline.failed or baseline.value is None:
        return Checked(None, in_order(found))
    failures = [r.failure for r in _tests(reading.value, baseline, destination, today) if r.failure is not None]
    checked = Checked(baseline.value, in_order((*found, *failures, *escalate.findings(baseline.value))))
    return replace(checked, value=None) if checked.failed else checked


def _tests(
    reading: Reading, baseline: Checked[Baseline], destination: Destination, today: date | None
) -> Iterator[Result]:
    yield from guardrails.check(reading)
    if baseline.value is not None:
        yield from access.results(reading, baseline.value, destination.keys, today)
