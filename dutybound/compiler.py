"""The chain from a configuration on disk to a baseline:

    Path -> source.load -> Fields -> read -> Reading -> lower (+ catalog, pack) -> Baseline
         -> rules, guardrails, access, escalate -> Checked

Each stage reports everything it finds; the chain stops only between stages. A configuration of several accounts is
compiled for each of its destinations: the accounts that hold the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from dutybound import access, escalate, guardrails, organization, rules, source
from dutybound.accounts import Destination, destinations
from dutybound.baseline import Baseline, OrganizationPolicy
from dutybound.config import Configuration, environments
from dutybound.diagnostic import Checked, Diagnostic, Span, did_you_mean, in_order, quoted
from dutybound.guardrails import Result
from dutybound.identity_center import identity_center
from dutybound.lower import lower
from dutybound.organization import organization_policies
from dutybound.read import Reading, read
from dutybound.rollout import Deployment, management, stack_sets
from dutybound.source import Fields
from dutybound.waiver import Held, Settled, settled, waiver_errors


def compile_path(path: Path, environment: str | None = None, today: date | None = None) -> Checked[Baseline]:
    """Compile a configuration folder or file for one account. Bad input gives diagnostics, never an exception.

    `environment` is that of the account at hand, or the name of another destination, which a configuration must be told
    if it has several; `today` is the day on which waivers and memberships may have ended (without one, nothing has).
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
    """Compile a configuration for each of its destinations, by name and sorted.

    These are the environments and accounts that get contents of their own; None if it names neither. `shown` is what
    places call the path, where that is not how it was reached.
    """
    return compile_reading(read_path(path, shown), today)


def read_path(path: Path, shown: Path | None = None) -> Checked[Reading]:
    """What a configuration folder or file says, before anything is decided."""
    return _read(source.load(path, shown))


def compile_reading(reading: Checked[Reading], today: date | None = None) -> dict[str | None, Checked[Baseline]]:
    """Compile what was read for each of its destinations, by name and sorted."""
    if reading.failed or reading.value is None:
        return {None: Checked(None, reading.diagnostics)}
    run = _Run(reading.value, today)
    made = {d.name: run.compiled(reading, d) for d in destinations(reading.value.configuration)}
    # A waiver may be for what only one environment has: it is unused if it is in all of them.
    idle = _idle(made.values())
    return {
        name: replace(one, diagnostics=tuple(d for d in one.diagnostics if d.name != "unused-waiver" or d in idle))
        for name, one in made.items()
    }


def compile_for(reading: Checked[Reading], environment: str | None, today: date | None = None) -> Checked[Baseline]:
    """Compile what was read for one destination, which must be named if there is more than one."""
    if reading.failed or reading.value is None:
        return Checked(None, reading.diagnostics)
    configuration = reading.value.configuration
    chosen = _chosen(configuration, environment)
    if isinstance(chosen, Diagnostic):
        return Checked(None, in_order((*reading.diagnostics, chosen)))
    return _Run(reading.value, today).compiled(reading, chosen)


def compile_deployment(path: Path, environment: str | None = None, today: date | None = None) -> Checked[Deployment]:
    """Compile a configuration for all that a deployment touches: with `accounts` every destination, unless one is
    chosen, and otherwise the account at hand.
    """
    reading = read_path(path)
    if reading.failed or reading.value is None:
        return Checked(None, reading.diagnostics)
    configuration = reading.value.configuration
    every, whole = destinations(configuration), True
    if environment is not None or not configuration.accounts:
        chosen = _chosen(configuration, environment)
        if isinstance(chosen, Diagnostic):
            return Checked(None, in_order((*reading.diagnostics, chosen)))
        whole, every = len(every) == 1, (chosen,)
    run = _Run(reading.value, today)
    made = {d: run.compiled(reading, d) for d in every}
    baselines = tuple((d, checked.value) for d, checked in made.items() if checked.value is not None)
    # What is for the whole organization is known, and deployed, with the whole.
    policies = run.organization()[0] if whole else ()
    center = identity_center(configuration, baselines) if whole else None
    managing = management(configuration)
    deployment = Deployment(baselines, stack_sets(configuration, baselines), managing, policies, center)
    checked = Checked(deployment, in_order(_told_once(made.values())))
    return replace(checked, value=None) if checked.failed else checked


def _told_once(made: Iterable[Checked[Baseline]]) -> Iterator[Diagnostic]:
    """What is wrong in several destinations is wrong once; a waiver is idle if it is in all of them."""
    every = list(made)
    idle = _idle(every)
    told = dict.fromkeys(d for one in every for d in one.diagnostics)
    return (d for d in told if d.name != "unused-waiver" or d in idle)


def reading(path: Path) -> Checked[Reading]:
    """Read a configuration without deciding anything: the stages up to `read`."""
    return _read(source.load(path))


def promises(path: Path, environment: str | None = None, today: date | None = None) -> dict[str | None, list[Result]]:
    """Every test of a configuration and its result, for one destination or for each; none if it does not compile."""
    reading = read_path(path)
    if reading.failed or reading.value is None:
        return {}
    run = _Run(reading.value, today)
    return {
        d.name: [] if run.bound(d).failed else list(run.tests(d))
        for d in destinations(reading.value.configuration)
        if environment in (None, d.name)
    }


def findings(path: Path, environment: str | None = None, today: date | None = None) -> dict[str | None, list[Settled]]:
    """Everything that a waiver can accept, for one destination or for each: what is accepted with its waiver, which has
    the reason and the end, and what nobody accepts without one. Empty if the configuration cannot be read.
    """
    reading = read_path(path)
    if reading.failed or reading.value is None:
        return {}
    run = _Run(reading.value, today)
    every = destinations(reading.value.configuration)
    return {d.name: list(run.settled(d)) for d in every if environment in (None, d.name)}


def _read(loaded: Checked[Fields]) -> Checked[Reading]:
    if loaded.failed or loaded.value is None:
        return Checked(None, loaded.diagnostics)
    reading = read(loaded.value)
    found = (*loaded.diagnostics, *reading.diagnostics)
    if not reading.failed and reading.value is not None:
        found = (*found, *organization.check(reading.value.configuration))
    return replace(reading, diagnostics=in_order(found))


def _chosen(configuration: Configuration, environment: str | None) -> Destination | Diagnostic:
    """The destination of that name, or the only one, or what is wrong with the choice."""
    known = {d.name: d for d in destinations(configuration)}
    if environment in known:
        return known[environment]
    if environment is None and configuration.accounts and len(known) == 1:
        return next(iter(known.values()))
    called = sorted(filter(None, known))
    names = ", ".join(called)
    if environment is None:
        message = f"what is in this account depends on its environment: {names}"
        hint = f"choose one, as in '-c environment={called[0]}'"
        return Diagnostic("no-environment", message, _first_named(configuration), hint)
    message = f"no team and no role has anything in an environment {quoted(environment)}"
    near = did_you_mean(environment, called) or (f"known: {names}" if names else "leave it out")
    return Diagnostic("unknown-environment", message, None, near)


def _first_named(configuration: Configuration) -> Span | None:
    """The first place that names an environment, or the accounts."""
    named = [name.span for name in (*configuration.accounts, *environments(configuration).values()) if name.span]
    return min(named, key=lambda span: span.order, default=None)


def _idle(made: Iterable[Checked[Baseline]]) -> set[Diagnostic]:
    return set.intersection(*({d for d in one.diagnostics if d.name == "unused-waiver"} for one in made))


@dataclass
class _Run:
    """One compilation of a configuration: what was decided for its destinations, each once."""

    reading: Reading
    today: date | None
    _decided: dict[Destination, tuple[Checked[Baseline], tuple[Settled, ...]]] = field(default_factory=dict)
    _above: tuple[tuple[OrganizationPolicy, ...], tuple[Diagnostic, ...]] | None = None

    def compiled(self, reading: Checked[Reading], destination: Destination) -> Checked[Baseline]:
        """The baseline of a destination if all that must hold of it does, and everything found on the way."""
        baseline = self.bound(destination)
        found = (*reading.diagnostics, *baseline.diagnostics)
        if baseline.failed or baseline.value is None:
            return Checked(None, in_order(found))
        failures = [result.failure for result in self.tests(destination) if result.failure is not None]
        escalations = escalate.findings(baseline.value, tuple(self._elsewhere(destination)))
        checked = Checked(baseline.value, in_order((*found, *failures, *escalations)))
        return replace(checked, value=None) if checked.failed else checked

    def decided(self, destination: Destination) -> Checked[Baseline]:
        """The baseline of a destination, with what its rules find and no waiver accepts."""
        return self._of(destination)[0]

    def bound(self, destination: Destination) -> Checked[Baseline]:
        """The same, with the policies of the organization that bind it. What these say hangs on every destination."""
        baseline = self.decided(destination)
        if baseline.failed or baseline.value is None or self.reading.configuration.guardrails.organization is None:
            return baseline
        policies, wrong = self.organization()
        if wrong:
            return replace(baseline, value=None, diagnostics=in_order((*baseline.diagnostics, *wrong)))
        accounts = tuple(organization.above(account, policies) for account in baseline.value.accounts)
        return replace(baseline, value=replace(baseline.value, accounts=accounts))

    def organization(self) -> tuple[tuple[OrganizationPolicy, ...], tuple[Diagnostic, ...]]:
        """The policies of the organization, and what is wrong with them; else the errors of the destinations."""
        if self._above is None:
            self._above = self._organization()
        return self._above

    def _organization(self) -> tuple[tuple[OrganizationPolicy, ...], tuple[Diagnostic, ...]]:
        configuration = self.reading.configuration
        if configuration.guardrails.organization is None:
            return (), ()
        made = [(d, self.decided(d)) for d in destinations(configuration)]
        baselines = [(d, one.value) for d, one in made if one.value is not None and not one.failed]
        if len(baselines) < len(made):
            told = dict.fromkeys(d for _, one in made for d in one.diagnostics if d.severity == "error")
            return (), tuple(told)
        found: list[Diagnostic] = []
        policies = organization_policies(configuration, baselines, stack_sets(configuration, baselines), found)
        return policies, tuple(found)

    def settled(self, destination: Destination) -> tuple[Settled, ...]:
        """All that a waiver can accept, accepted or not."""
        return self._of(destination)[1]

    def tests(self, destination: Destination) -> Iterator[Result]:
        """The results of the duties' expectations and of the tests of access."""
        yield from guardrails.check(self.reading)
        baseline = self.bound(destination)
        if baseline.value is not None:
            yield from access.results(self.reading, baseline.value, destination.keys, self.today)

    def _of(self, destination: Destination) -> tuple[Checked[Baseline], tuple[Settled, ...]]:
        if destination not in self._decided:
            self._decided[destination] = self._lower(destination)
        return self._decided[destination]

    def _lower(self, destination: Destination) -> tuple[Checked[Baseline], tuple[Settled, ...]]:
        held: list[Held] = []
        baseline = lower(self.reading, today=self.today, destination=destination, held=held)
        if baseline.value is not None:
            held += rules.findings(self.reading, baseline.value)
        waivers = self.reading.configuration.waivers
        found = settled(held, waivers, self.today)
        wrong = [
            d for d in waiver_errors(found, waivers, self.today) if baseline.value is not None or d.severity == "error"
        ]
        left = [one.diagnostic for one in found if one.waiver is None]
        return replace(baseline, diagnostics=in_order((*baseline.diagnostics, *left, *wrong))), found

    def _elsewhere(self, destination: Destination) -> Iterator[escalate.Elsewhere]:
        """For the account that holds the people, the administrators' roles of the others."""
        if destination.standing == "hub":
            for other in destinations(self.reading.configuration):
                if other.standing == "member" and (made := self.decided(other).value) is not None:
                    yield from escalate.elsewhere(other.name or "", made)
