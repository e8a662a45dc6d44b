"""Reading -> Baseline: every decision is made here, or in the modules that this one calls.

A team's or role's duties become statements (`grant`, `never`), the statements the fewest policies that hold them
(`pack`), and teams, people, roles (`trust`) and break-glass become IAM resources with their names, paths, stacks and
logical ids. What comes after only translates.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from dutybound import catalog
from dutybound.baseline import Account, Baseline, Group, ManagedPolicy, Role, Stack, User, customer_policy, logical_id
from dutybound.break_glass import break_glass
from dutybound.config import Configuration, DutyUse, Team
from dutybound.config import Role as RoleEntry
from dutybound.diagnostic import Checked, Diagnostic, Span, Text, did_you_mean, in_order, quoted
from dutybound.grant import Access, duty_access, example_use
from dutybound.mfa import mfa_policy
from dutybound.never import never
from dutybound.pack import POLICIES_PER_GROUP, POLICY_SIZE, pack
from dutybound.policy import Statement, minified
from dutybound.read import Reading
from dutybound.trust import for_servers, trust_policy

RESOURCES_PER_STACK = 500
"""CloudFormation User Guide, "Understand CloudFormation quotas"."""
POLICIES_PER_ROLE = 10
"""Managed policies per role that no account has to ask for; sources differ on whether the default is 10 or 20."""


def lower(reading: Reading) -> Checked[Baseline]:
    """Decide the baseline of a configuration: the Baseline, or None with every error found on the way."""
    work = _Lowering(reading)
    account = work.account()
    found = in_order(work.found)
    if any(d.severity == "error" for d in found):
        return Checked(None, found)
    organization = reading.configuration.organization
    tags = (("managed-by", "dutybound"), ("organization", str(organization.name)), ("owner", str(organization.owner)))
    return Checked(Baseline(str(organization.name), tags, catalog.version(), (account,)), found)


class _Lowering:
    """One run: the reading, the diagnostics found, and the parts of the account in the order they are decided."""

    def __init__(self, reading: Reading) -> None:
        self.configuration: Configuration = reading.configuration
        self.duties = reading.duties
        self.found: list[Diagnostic] = []
        self.prefix = str(self.configuration.organization.name)
        self.region = str(self.configuration.organization.home_region)

    def account(self) -> Account:
        """The one account: everything that the configuration asks for."""
        self._check_region()
        self._check_unused_duties()
        policies: list[ManagedPolicy] = []
        groups = [self._team(name, team, policies) for name, team in sorted(self.configuration.teams.items())]
        if groups:
            policy = mfa_policy(self.configuration.mfa)
            policies.append(customer_policy("enforce-mfa", "/baseline/", self._stack("teams"), policy))
        roles = [self._role(name, role, policies) for name, role in sorted(self.configuration.roles.items())]
        users = self._people()
        emergency = break_glass(self.configuration.break_glass, self.prefix, self.region, self.found)
        account = Account(
            id=None,
            home_region=self.region,
            stacks=(*self._stacks(), *emergency.stacks),
            policies=tuple(sorted([*policies, *emergency.policies], key=lambda p: p.name)),
            groups=tuple(sorted([*groups, emergency.group], key=lambda g: g.name)),
            users=tuple(sorted([*users, *emergency.users], key=lambda u: u.name)),
            roles=tuple(roles),
            alarm=emergency.alarm,
        )
        self._check_stack_sizes(account)
        return account

    def _stack(self, purpose: str) -> str:
        return f"{self.prefix}-{purpose}"

    def _stacks(self) -> tuple[Stack, ...]:
        # An empty stack stays in the list: the CDK deletes what an earlier deployment put into it, while a stack that
        # is not in the app any more stays in the account with all its access.
        return (
            Stack(self._stack("teams"), self.region, "Teams, their people and their duties"),
            Stack(self._stack("roles"), self.region, "Roles for software and for others"),
        )

    # -- teams and people

    def _team(self, name: Text, team: Team, policies: list[ManagedPolicy]) -> Group:
        access = self._access(team.duties)
        own_keys = self.configuration.mfa.own_access_keys
        denied = [(use, self.duties[use.name]) for use in team.never if use.name in self.duties]
        denies = [s for use, duty in denied for s in never(use, duty, own_keys, self.found)]
        slots = POLICIES_PER_GROUP - 1 - len(access.managed)
        stack = self._stack("teams")
        statements = _distinct([*access.statements, *denies])
        mine = self._packed(f"team {quoted(name)}", f"team-{name}", name, statements, slots, stack)
        policies += mine
        return Group(
            logical_id("Team", name),
            stack,
            str(name),
            "/teams/",
            str(team.purpose),
            tuple(sorted([*(p.name for p in mine), "enforce-mfa"])),
            access.managed,
            name.span,
        )

    def _people(self) -> list[User]:
        teams_of: dict[str, list[str]] = {}
        spans: dict[str, Span | None] = {}
        for name, team in sorted(self.configuration.teams.items()):
            for member in team.members:
                teams_of.setdefault(str(member.name), []).append(str(name))
                spans.setdefault(str(member.name), member.name.span)
        stack = self._stack("teams")
        return [
            User(logical_id("Person", name), stack, name, "/people/", tuple(teams), spans[name])
            for name, teams in sorted(teams_of.items())
        ]

    # -- roles

    def _role(self, name: Text, role: RoleEntry, policies: list[ManagedPolicy]) -> Role:
        access = self._access(role.duties)
        stack = self._stack("roles")
        who = f"role {quoted(name)}"
        mine = self._packed(
            who, f"role-{name}", name, _distinct(access.statements), POLICIES_PER_ROLE - len(access.managed), stack
        )
        policies += mine
        return Role(
            logical_id("Role", name),
            stack,
            str(name),
            "/roles/",
            str(role.purpose),
            trust_policy(role, who, self.found),
            tuple(p.name for p in mine),
            access.managed,
            instance_profile=logical_id("Profile", name) if for_servers(role) else None,
            span=name.span,
        )

    # -- what principals may do

    def _access(self, uses: Iterable[DutyUse]) -> Access:
        statements: list[Statement] = []
        managed: set[str] = set()
        for use in uses:
            if use.name in self.duties:
                access = duty_access(use, self.duties[use.name], self.found)
                statements += access.statements
                managed.update(access.managed)
        return Access(tuple(statements), tuple(sorted(managed)))

    def _packed(
        self, who: str, name: str, at: Text, statements: list[Statement], most: int, stack: str
    ) -> list[ManagedPolicy]:
        packed = pack(statements, most)
        if packed is None:
            sizes: Counter[str] = Counter()
            for statement in statements:
                for origin in statement.origins[:1]:
                    sizes[origin.duty] += len(minified(statement.document()))
            largest = ", ".join(f"{duty} {size:,}" for duty, size in sizes.most_common(5))
            message = f"{who} needs more than the {most} policies of {POLICY_SIZE:,} characters that IAM leaves for it"
            notes = (f"its largest duties, in characters: {largest}",)
            hint = "split it in two, or give it narrower duties"
            self.found.append(Diagnostic("too-much-access", message, at.span, hint, notes))
            return []
        names = [name if i == 0 else f"{name}.{i + 1}" for i in range(len(packed))]
        return [customer_policy(n, "/duties/", stack, p) for n, p in zip(names, packed, strict=True)]

    # -- checks that need the whole

    def _check_region(self) -> None:
        region = self.configuration.organization.home_region
        if region not in catalog.regions():
            message = f"there is no AWS Region {quoted(region)}"
            self.found.append(
                Diagnostic("unknown-region", message, region.span, did_you_mean(region, catalog.regions()))
            )

    def _check_unused_duties(self) -> None:
        """An own duty that nobody holds is compiled too, so that its errors do not wait for its first holder."""
        used = {use.name for t in self.configuration.teams.values() for use in t.duties}
        used |= {use.name for r in self.configuration.roles.values() for use in r.duties}
        for name, duty in self.configuration.duties.items():
            if name not in used:
                duty_access(example_use(name, duty), duty, self.found)

    def _check_stack_sizes(self, account: Account) -> None:
        resources = (account.policies, account.groups, account.users, account.roles)
        counts = Counter(resource.stack for kind in resources for resource in kind)
        counts.update(r.stack for r in account.roles if r.instance_profile)
        for stack, count in sorted(counts.items()):
            if count > RESOURCES_PER_STACK:
                message = (
                    f"the stack {stack} would hold {count} resources; CloudFormation takes {RESOURCES_PER_STACK}, "
                    "and this version does not split stacks yet"
                )
                at = self.configuration.organization.span
                self.found.append(Diagnostic("too-many-resources", message, at, "declare fewer people and teams"))


def _distinct(statements: Iterable[Statement]) -> list[Statement]:
    """Equal statements once, and Sids made different by their content where two would be the same."""
    merged: dict[Statement, Statement] = {}
    for statement in statements:
        there = merged.get(statement)
        merged[statement] = replace(statement, origins=there.origins + statement.origins) if there else statement
    shared = Counter(s.sid for s in merged)
    return [s if shared[s.sid] == 1 else replace(s, sid=f"{s.sid}{_digest(s)}") for s in merged.values()]


def _digest(statement: Statement) -> str:
    text = minified(replace(statement, sid="").document())
    return hashlib.sha256(text.encode()).hexdigest()[:6]
