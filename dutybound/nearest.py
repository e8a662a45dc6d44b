"""Which duties would grant an action: those that others of the baseline have, then the narrowest of the library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from dutybound import catalog
from dutybound.baseline import Account, Group, Role
from dutybound.catalog import Action
from dutybound.diagnostic import Span
from dutybound.fence import granted_actions
from dutybound.grant import Access, duty_access, example_use
from dutybound.policy import Origin, Statement
from dutybound.read import library, library_duty

_OURS = frozenset(
    {"mfa", "break_glass", "guardrails", "guardrails.organization", "hub", "organization", "until", "trusts"}
)
"""Parts of the baseline that stand as a duty in an `Origin`."""
_MOST = 3


@dataclass(frozen=True, slots=True)
class Near:
    """A duty that grants an action. `holders` are the teams and roles that have it; a built-in one may have none.

    `actions` is how many it grants; `parameters` are what it must be told; `grant` is where it grants the action.
    """

    duty: str
    actions: int
    parameters: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    built_in: bool = True
    grant: Span | None = None


def is_duty(origin: Origin) -> bool:
    """Whether an origin is a duty, and not a part of the baseline of ours."""
    return origin.duty not in _OURS


def nearest(action: Action, account: Account, but: Iterable[str] = ()) -> tuple[Near, ...]:
    """At most three duties that grant the action: first those that somebody in the account has; the narrowest first.

    `but` are holders that do not count. Duties that attach a policy of AWS as a whole are left out.
    """
    held = _held(action, account, frozenset(but))
    rest = [near for near in _of_library(action) if near.duty not in {h.duty for h in held}]
    return (*sorted(held, key=_narrowest), *sorted(rest, key=_narrowest))[:_MOST]


def _narrowest(near: Near) -> tuple[int, str]:
    return near.actions, near.duty


def _of_library(action: Action) -> Iterator[Near]:
    for name, access in _library().items():
        granting = [s for s in access.statements if allows(s, action)]
        if granting:
            yield _near(name, granted_actions(access.statements), (), granting)


def _near(name: str, granted: set[Action], holders: tuple[str, ...], granting: list[Statement]) -> Near:
    built_in = name in library()
    parameters = tuple(library_duty(name).parameters) if built_in else ()
    at = next((o.granted for s in granting for o in s.origins if o.duty == name), None)
    return Near(name, len(granted), tuple(map(str, parameters)), holders, built_in, at)


def allows(statement: Statement, action: Action) -> bool:
    """Whether a statement allows the action on anything at all."""
    return statement.effect == "Allow" and speaks_of(statement, action)


def speaks_of(statement: Statement, action: Action) -> bool:
    """Whether a statement is about the action, on some resource and under some conditions."""
    patterns = statement.actions or statement.not_actions
    named = any(p == "*" or catalog.matches(_folded(p), action) for p in patterns)
    return named == bool(statement.actions)


def _folded(pattern: str) -> str:
    service, _, name = pattern.partition(":")
    return f"{service.lower()}:{name or '*'}"


@cache
def _library() -> dict[str, Access]:
    """The access of every built-in duty with its example parameters. It takes half a second, so it is made once."""
    made = {}
    for name in library():
        duty = library_duty(name)
        made[name] = duty_access(example_use(name, duty), duty, [])
    return made


def _held(action: Action, account: Account, but: frozenset[str]) -> list[Near]:
    """The duties that somebody in the account has and that grant the action."""
    policies = {p.name: p.policy for p in account.policies}
    holders: list[Group | Role] = [*account.groups, *account.roles]
    granting: dict[str, list[Statement]] = {}
    everything: dict[str, list[Statement]] = {}
    who: dict[str, set[str]] = {}
    for holder in holders:
        if holder.name in but:
            continue
        for statement in (s for name in holder.policies for s in policies[name].statements if s.effect == "Allow"):
            for origin in filter(is_duty, statement.origins):
                everything.setdefault(origin.duty, []).append(statement)
                if allows(statement, action):
                    granting.setdefault(origin.duty, []).append(statement)
                    who.setdefault(origin.duty, set()).add(holder.name)
    return [
        _near(name, granted_actions(everything[name]), tuple(sorted(who[name])), statements)
        for name, statements in granting.items()
    ]
