"""How a baseline gets into many accounts: by the CDK command line, or by CloudFormation StackSets.

Nothing of ours goes from account to account: a stack set is one resource in the management account, whatever the number
of accounts, and CloudFormation deploys it. Sources: CloudFormation User Guide, "Service-managed permissions" and
"Account-level targets for service-managed stack sets"; Template Reference, "AWS::CloudFormation::StackSet".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dutybound.accounts import Destination, destinations
from dutybound.baseline import Baseline, Stack, StackSet, Target, logical_id
from dutybound.config import Configuration, Rollout
from dutybound.diagnostic import Diagnostic, Text, quoted

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
    """The account that holds the stack sets."""

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


def stack_sets(
    configuration: Configuration, baselines: Iterable[tuple[Destination, Baseline]], found: list[Diagnostic]
) -> tuple[StackSet, ...]:
    """The stack sets of a configuration, sorted by name. Errors are added to `found`."""
    wanted = configuration.rollout or Rollout(by="stack-sets")
    every = destinations(configuration)
    made: list[StackSet] = []
    for destination, baseline in baselines:
        if not by_stack_sets(configuration, destination):
            continue
        units, accounts = _reach(configuration, destination, every, found)
        stacks = (stack for account in baseline.accounts for stack in account.stacks)
        made += [_made(destination, baseline, stack, units, accounts, wanted) for stack in stacks]
    if made and configuration.organization.management is None:
        message = "stack sets stand in the account that manages the organization, and none is named"
        hint = "name it in 'organization.management', or write 'rollout: stacks'"
        found.append(Diagnostic("no-management-account", message, configuration.organization.span, hint))
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
    configuration: Configuration, destination: Destination, every: Iterable[Destination], found: list[Diagnostic]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The units that the stack sets of a destination are for, and the accounts in them, if not all.

    A unit is taken whole if every account that the configuration has in it, or below it, gets the same: then one that
    is added to it later is covered too.
    """
    organization = configuration.organization
    units = sorted({target.unit for target in destination.targets if target.unit is not None})
    others = {target.unit for d in every if d != destination for target in d.targets}
    mixed = any(unit == other or (other or "").startswith(f"{unit}/") for unit in units for other in others)
    in_root = any(target.unit is None for target in destination.targets)
    ids = [_unit_id(configuration, destination, unit, found) for unit in units]
    if in_root:
        if organization.root is None:
            message = f"{quoted(_first_in_root(destination))} is in no unit, and the id of the root is not given"
            hint = "give the account a unit, or 'organization.root'"
            found.append(Diagnostic("unknown-unit", message, organization.span, hint))
        ids.append(str(organization.root))
    accounts = tuple(sorted(t.id for t in destination.targets)) if mixed or in_root else ()
    return tuple(sorted(set(filter(None, ids)))), accounts


def _unit_id(configuration: Configuration, destination: Destination, unit: str, found: list[Diagnostic]) -> str:
    known: Mapping[Text, Text] = configuration.organization.units
    if unit in known:
        return str(known[Text(unit)])
    name = next(t.name for t in destination.targets if t.unit == unit)
    at = configuration.accounts[Text(name)].unit
    message = f"the id of the unit {quoted(unit)} is not known, and stack sets need it"
    hint = "put it into 'organization.units'; 'aws organizations list-organizational-units-for-parent' shows it"
    found.append(Diagnostic("unknown-unit", message, at.span if at else None, hint))
    return ""


def _first_in_root(destination: Destination) -> str:
    return next(target.name for target in destination.targets if target.unit is None)
