"""Which accounts a configuration is for, and which of them hold the same: its destinations.

What is in an account follows from its environment, from what `in` gives to it by name and from its standing, never
from its id; so accounts that agree in these are one destination. It is compiled, judged and written once, however many
accounts there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dutybound.baseline import Target
from dutybound.config import Account, Configuration, environments
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted

Standing = Literal["alone", "hub", "member", "management"]
"""Alone: people and what they do in one account. Hub: people, who take roles elsewhere. Member: no people. Management:
that of the organization, which for people in Identity Center holds the break-glass users and no other."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Accounts that get the same. `name` is their environment, or that of the account if it has more to itself; None
    is whatever account it is deployed to.
    """

    name: str | None = None
    environment: str | None = None
    standing: Standing = "alone"
    targets: tuple[Target, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The words of an `in` that mean this destination: its environment, and its account where that stands alone."""
        own = self.name if self.name != self.environment else None
        return tuple(key for key in (self.environment, own) if key)


def destinations(configuration: Configuration) -> tuple[Destination, ...]:
    """The destinations of a configuration, sorted by name.

    Without `accounts`, each environment that it names is one, whichever account that may be.
    """
    if not configuration.accounts:
        known = sorted(environments(configuration)) or (None,)
        return tuple(Destination(name, name) for name in known)
    grouped: dict[tuple[Standing, str | None, str | None], list[Target]] = {}
    named = set(environments(configuration)) & set(map(str, configuration.accounts))
    for name, account in sorted(configuration.accounts.items()):
        standing = _standing(configuration, str(name))
        environment = str(account.environment) if account.environment else None
        special = name in (configuration.organization.hub, configuration.organization.management)
        alone = special or name in named or environment is None
        grouped.setdefault((standing, environment, str(name) if alone else None), []).append(
            _target(str(name), account)
        )
    found = (
        Destination(own or environment, environment, standing, tuple(targets))
        for (standing, environment, own), targets in grouped.items()
    )
    return tuple(sorted(found, key=lambda d: d.name or ""))


def places(configuration: Configuration) -> tuple[str, ...]:
    """What an `in` may name: with accounts, their environments and themselves; without, what one names is there."""
    if not configuration.accounts:
        return tuple(sorted(environments(configuration)))
    environment = (a.environment for a in configuration.accounts.values() if a.environment)
    return tuple(sorted({*map(str, environment), *map(str, configuration.accounts)}))


def hub(configuration: Configuration) -> str | None:
    """The id of the account that holds the people, where it is another than the one they work in."""
    name = configuration.organization.hub if configuration.organization.people_in == "iam" else None
    return str(configuration.accounts[name].id) if name is not None and name in configuration.accounts else None


def break_glass_home(configuration: Configuration) -> str | None:
    """The id of the account that holds the break-glass users, where not each account has its own."""
    organization, known = configuration.organization, configuration.accounts
    name = organization.hub if organization.people_in == "iam" else organization.management
    return str(known[name].id) if name is not None and name in known else None


def check(configuration: Configuration) -> Iterator[Diagnostic]:
    """What is wrong with the accounts, and with what the organization says of them."""
    yield from _organization_errors(configuration)
    ids: dict[str, Text] = {}
    for name, account in sorted(configuration.accounts.items()):
        for kind, own in (("id", account.id), ("email", account.email)):
            first = name if own is None else ids.setdefault(own.casefold(), name)
            if own is not None and first is not name:
                message = f"account {quoted(name)} has the {kind} of {quoted(first)}"
                yield Diagnostic("duplicate-account", message, own.span, "each account stands here once")
        if account.id is None:
            message = f"account {quoted(name)} has no id, and what is in it needs one"
            hint = "'dutybound bootstrap apply' makes the account, and prints its id"
            yield Diagnostic("no-account-id", message, name.span, hint)
        if any(name == other.environment for other in configuration.accounts.values()):
            message = f"{quoted(name)} is an account and an environment, and 'in' could mean either"
            yield Diagnostic("duplicate-name", message, name.span, "rename the account")
    if configuration.accounts:
        known = places(configuration)
        for word, at in sorted(environments(configuration).items()):
            if word not in known:
                hint = did_you_mean(word, known) or f"known: {', '.join(known)}"
                message = f"no account is {quoted(word)}, or in an environment of that name"
                yield Diagnostic("unknown-environment", message, at.span, hint)


def _organization_errors(configuration: Configuration) -> Iterator[Diagnostic]:
    wanted, accounts = configuration.organization, configuration.accounts
    for key, name in (("hub", wanted.hub), ("management", wanted.management)):
        if name is not None and name not in accounts:
            hint = did_you_mean(name, accounts) or (f"accounts: {', '.join(sorted(accounts))}" if accounts else "")
            message = f"organization.{key} is an account that does not exist: {quoted(name)}"
            yield Diagnostic("unknown-account", message, name.span, hint or "list it under 'accounts'")
    for service, name in sorted(wanted.delegated.items()):
        if name not in accounts:
            message = f"{quoted(service)} is delegated to an account that does not exist: {quoted(name)}"
            hint = did_you_mean(name, accounts) or "list it under 'accounts'"
            yield Diagnostic("unknown-account", message, name.span, hint)
        elif name == wanted.management:
            message = f"{quoted(service)} is delegated to the account that manages the organization"
            yield Diagnostic("contradiction", message, name.span, "it administers every service: name another account")
    if wanted.people_in == "iam":
        if len(accounts) > 1 and wanted.hub is None:
            message = "several accounts have no place for their people"
            hint = "name the one that holds them in 'organization.hub', or write 'people_in: identity-center'"
            yield Diagnostic("no-hub", message, wanted.span, hint)
        if wanted.identity_center is not None:
            message = "'identity_center' says nothing while people are in IAM"
            hint = "write 'people_in: identity-center', or remove it"
            yield Diagnostic("contradiction", message, wanted.identity_center.span, hint)
    else:
        if wanted.hub is not None:
            message = "'hub' says nothing while people are in Identity Center"
            yield Diagnostic("contradiction", message, wanted.hub.span, "remove it, or write 'people_in: iam'")
        missing = [key for key in ("identity_center", "management") if getattr(wanted, key) is None]
        if missing or not accounts:
            needs = " and ".join(f"organization.{key}" for key in missing) or "accounts"
            message = "people in Identity Center need to be given the instance, and the account that manages it"
            yield Diagnostic("no-identity-center", message, wanted.span, f"give {needs}")


def _standing(configuration: Configuration, name: str) -> Standing:
    wanted = configuration.organization
    if wanted.people_in == "identity-center":
        return "management" if name == wanted.management else "member"
    if wanted.hub is None:
        return "alone"
    return "hub" if name == wanted.hub else "member"


def _target(name: str, account: Account) -> Target:
    return Target(name, str(account.id), str(account.unit) if account.unit else None)
