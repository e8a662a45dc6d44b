"""Who can become which role of an account: by what its trust says of services and others, and for everybody in the
account by the judge, who asks both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dutybound import catalog
from dutybound.baseline import Group, Role
from dutybound.callers import is_team
from dutybound.case import Case, Given, Ground, Question, team_of
from dutybound.catalog import Action
from dutybound.explain import Reach, WhoCan, who_of
from dutybound.nearest import speaks_of
from dutybound.policy import glob
from dutybound.report.facts import Becoming
from dutybound.report.words import ACCOUNT, conditions, place, plain, principal_of


def becoming(at: int, ground: Ground) -> Iterator[Becoming]:
    """Who can become which role in an account, sorted by role. `at` is the account's place in the report."""
    take, hand = _Asked.of(ground, "sts", "AssumeRole"), _Asked.of(ground, "iam", "PassRole")
    found: dict[Becoming, None] = {}
    for role in ground.account.roles:
        arn = f"arn:{ground.partition}:iam::{ground.id}:role{role.path}{role.name}"
        found.update(dict.fromkeys(_outside(at, ground, role)))
        found.update(dict.fromkeys(_told(at, ground, role, take.who(arn), "")))
        for service in sorted(_services(role)):
            answer = hand.who(arn, (("iam:PassedToService", (service,)),))
            found.update(dict.fromkeys(_told(at, ground, role, answer, service)))
    yield from sorted(found, key=lambda b: (b.role, b.kind, b.name, b.how, b.service, b.when, b.at))


def _outside(at: int, ground: Ground, role: Role) -> Iterator[Becoming]:
    """Whom a trust lets in that is not of this account."""
    for statement in role.trust.statements:
        when = conditions(statement, ground.partition)
        span = next((o.asked for o in statement.origins if o.asked), None)
        if is_team(role):
            # The trust is in the hub's people; which of them, a policy there says: those of the team.
            yield Becoming(at, "team", role.name, role.name, when=when, at=place(span))
            continue
        for principal in statement.principals if statement.effect == "Allow" else ():
            for text in principal.values:
                kind, name = principal_of(principal.kind, plain(text, ground.partition))
                if (kind, name) != ("account", ACCOUNT):
                    yield Becoming(at, kind, name, role.name, when=when, at=place(span))


def _services(role: Role) -> set[str]:
    """The services that may take a role."""
    principals = (p for s in role.trust.statements if s.effect == "Allow" for p in s.principals)
    return {name for p in principals if p.kind == "Service" for name in p.values}


@dataclass(frozen=True, slots=True)
class _Asked:
    """One action on roles, and who may be asked about: those whose policies speak of it, on patterns of ARNs.

    Nobody else can do it, and judging thousands of people who cannot would take long.
    """

    action: Action
    everybody: tuple[tuple[Case, tuple[re.Pattern[str], ...]], ...]

    @classmethod
    def of(cls, ground: Ground, service: str, name: str) -> _Asked:
        action = catalog.service(service).action(name)
        if action is None:
            raise ValueError(f"the reference knows no {service}:{name}")
        spoken: dict[tuple[str, str], tuple[re.Pattern[str], ...]] = {}
        holders: list[Group | Role] = [*ground.account.groups, *ground.account.roles]
        for holder in holders:
            allows = [s for _, p in ground.policies(holder) for s in p.statements if s.effect == "Allow"]
            texts = {r for s in allows if speaks_of(s, action) for r in s.resources or ("*",)}
            patterns = tuple(glob(_VARIABLE.sub("*", text)) for text in sorted(texts))
            spoken["role" if isinstance(holder, Role) else "group", holder.name] = patterns
        everybody = []
        for sort, who in ground.everybody:
            held = [("role", who)] if sort == "role" else [("group", name) for name in ground.users[who].groups]
            if patterns := tuple(pattern for one in held for pattern in spoken[one]):
                everybody.append((ground.case_of(sort, who), patterns))
        return cls(action, tuple(everybody))

    def who(self, arn: str, given: Given = ()) -> WhoCan:
        """Who can do it on a role."""
        cases = [case for case, patterns in self.everybody if any(p.fullmatch(arn) for p in patterns)]
        return who_of(cases, self.action, Question("", str(self.action), arn, given=given))


_VARIABLE = re.compile(r"\$\{[^}]*\}")


def _told(at: int, ground: Ground, role: Role, answer: WhoCan, service: str) -> Iterator[Becoming]:
    how: Literal["takes", "hands to a service"] = "hands to a service" if service else "takes"
    for reach in answer.reaches:
        way = reach.way
        when = conditions(way.statement, ground.partition, but="iam:PassedToService")
        if way.kind == "boundary" or way.kind == "organization" or (way.kind == "role" and way.holder == role.name):
            continue
        people = _people(ground, reach) if way.kind == "team" else ()
        span = next((o.asked for o in way.statement.origins if o.asked), way.declared)
        name = way.team if way.kind == "team" else way.holder
        yield Becoming(at, way.kind, name, role.name, how, service, when, people, place(span))
    for name, reason in answer.unknown:
        kind: Literal["role", "other"] = "role" if name in ground.roles else "other"
        yield Becoming(at, kind, name, role.name, how, service, doubt=reason)


def _people(ground: Ground, reach: Reach) -> tuple[str, ...]:
    """The people of a team whom a way serves; none if it is all of them."""
    members = {u.name for u in ground.account.users if reach.way.team in map(team_of, u.groups)}
    return () if members <= set(reach.names) else reach.names
