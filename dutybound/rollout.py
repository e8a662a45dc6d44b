"""How a baseline gets into many accounts: by the CDK command line, or by CloudFormation StackSets.

Nothing of ours goes from account to account: a stack set is one resource in the management account, whatever the number
of accounts, and CloudFormation deploys it. Sources: CloudFormation User Guide, "Service-managed permissions" and
"Account-level targets for service-managed stack sets"; Template Reference, "AWS::CloudFormation::StackSet".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dutybound.accounts import Destination, destinations
from dutybound.baseline import Baseline, IdentityCenter, OrganizationPolicy, Stack, StackSet, Target, logical_id
from dutybound.config import Configuration, Rollout
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted

MOST_BY_STACKS = 20
"""Accounts with one content that get stacks of their own, where the configuration does not say how."""
NAME = 128
"""Characters of a stack set's name (CloudFormation API Reference, CreateStackSet)."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that is deployed: each destination with its baseline, and how the members get theirs."""

    baselines: tuple[tuple[Destination, Baseline], ...]
    stack_sets: tuple[StackSet, ...] = ()
    management: Target | None = None
    """The account that holds the stack sets and the policies."""
    policies: tuple[OrganizationPolicy, ...] = ()
    identity_center: IdentityCenter | None = None
    """What stands there for people in Identity Center; None as well where a part of the whole is deployed."""

    def by_stacks(self) -> Iterator[tuple[Destination, Baseline]]:
        """The destinations whose accounts get stacks of their own."""
        sets = {made.destination for made in self.stack_sets}
        return ((destination, baseline) for destination, baseline in self.baselines if destination.name not in sets)


def by_stack_sets(configuration: Configuration, destination: Destination) -> bool:
    """Whether the accounts of a destination get their stacks from stack sets. Only members do: StackSets skip the
    management account, and the hub is one account that everything else waits for.
    """
    if destination.standing != "member" or management(configuration) in destination.targets:
        return False
    wanted = configuration.rollout
    return len(destination.targets) > MOST_BY_STACKS if wanted is None else wanted.by == "stack-sets"


def check(configuration: Configuration) -> Iterator[Diagnostic]:
    """What stack sets need of a configuration and do not get."""
    sets = [d for d in destinations(configuration) if by_stack_sets(configuration, d)]
    organization = configuration.organization
    if sets and organization.management is None:
        message = "stack sets stand in the account that manages the organization, and none is named"
        hint = "name it in 'organization.management', or write 'rollout: stacks'"
        yield Diagnostic("no-management-account", message, organization.span, hint)
    told: set[str | None] = set()
    for target in (target for destination in sets for target in destination.targets):
        if target.unit in told:
            continue
        told.add(target.unit)
        unit = configuration.accounts[Text(target.name)].unit
        if unit is not None and unit not in organization.units:
            message = (
                f"stack sets go to the unit {quoted(unit)} of account {quoted(target.name)}, whose id is not given"
            )
            hint = "put it into 'organization.units'; 'aws organizations list-organizational-units-for-parent' shows it"
            yield Diagnostic("unknown-unit", message, unit.span, did_you_mean(unit, organization.units) or hint)
        elif unit is None and organization.root is None:
            message = f"stack sets go to the account {quoted(target.name)}, which is in no unit"
            yield Diagnostic("unknown-unit", message, organization.span, "give it a unit, or give 'organization.root'")


def stack_sets(configuration: Configuration, baselines: Iterable[tuple[Destination, Baseline]]) -> tuple[StackSet, ...]:
    """The stack sets of a configuration that `check` finds nothing in, sorted by destination and name."""
    wanted = configuration.rollout or Rollout(by="stack-sets")
    every = destinations(configuration)
    made: list[StackSet] = []
    for destination, baseline in baselines:
        if by_stack_sets(configuration, destination):
            units, accounts = _reach(configuration, destination, every)
            stacks = (stack for account in baseline.accounts for stack in account.stacks)
            made += [_made(destination, baseline, stack, units, accounts, wanted) for stack in stacks]
    return tuple(sorted(made, key=lambda s: (s.destination, s.name)))


def management(configuration: Configuration) -> Target | None:
    """The account that manages the organization, if the configuration names it."""
    name = configuration.organization.management
    if name is None or name not in configuration.accounts:
        return None
    account = configuration.accounts[name]
    return Target(str(name), str(account.id), str(account.unit) if account.unit else None)


def _made(
    destination: Destination,
    baseline: Baseline,
    stack: Stack,
    units: tuple[str, ...],
    accounts: tuple[str, ...],
    wanted: Rollout,
) -> StackSet:
    purpose = stack.name.removeprefix(f"{baseline.organization}-")
    name = f"{baseline.organization}-{destination.name}-{purpose}"[:NAME]
    return StackSet(
        logical_id("StackSet", name),
        name,
        str(destination.name),
        stack.name,
        stack.region,
        units,
        accounts,
        stack.retained,
        wanted.at_once,
        wanted.failures,
    )


def _reach(
    configuration: Configuration, destination: Destination, every: Iterable[Destination]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids of the units that the stack sets of a destination are for, and the accounts in them, if not all.

    A unit is taken whole if every account that the configuration has in it, or below it, gets the same: then one that
    is added to it later is covered too.
    """
    organization = configuration.organization
    units = {target.unit for target in destination.targets}
    others = {target.unit for d in every if d != destination for target in d.targets}
    whole = None not in units and not any(within(other, str(unit)) for unit in units for other in others)
    ids = {str(organization.units[Text(unit)] if unit is not None else organization.root) for unit in units}
    accounts = () if whole else tuple(sorted(t.id for t in destination.targets))
    return tuple(sorted(ids)), accounts


def within(unit: str | None, of: str) -> bool:
    """Whether a unit is the other one, or below it."""
    return unit is not None and f"{unit}/".startswith(f"{of}/")
