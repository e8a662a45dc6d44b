"""Reading -> Baseline: every decision is made here, or in the modules that this one calls.

A team's or role's duties become statements (`grant`, `never`), the statements the fewest policies that hold them
(`pack`), and teams, people, roles (`trust`) and break-glass become IAM resources with their names, paths, stacks and
logical ids. What comes after only translates.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from dutybound import accounts, boundary, catalog, detectors, fence, identity_center, placement
from dutybound.accounts import Destination
from dutybound.asked import Scope
from dutybound.baseline import (
    Account,
    Baseline,
    Group,
    ManagedPolicy,
    PasswordPolicy,
    Role,
    Stack,
    User,
    customer_policy,
    logical_id,
)
from dutybound.break_glass import break_glass, break_glass_stacks
from dutybound.budget import budget, budgets_stack
from dutybound.config import Configuration, Duty, DutyUse, Passwords, Team, TeamTrust, seconds
from dutybound.config import Role as RoleEntry
from dutybound.diagnostic import Checked, Diagnostic, Severity, Span, Text, did_you_mean, in_order, quoted
from dutybound.grant import Access, duty_access, example_use
from dutybound.hub import (
    TEAM_BOUNDARY,
    TEAM_PATH,
    duties_in,
    is_in,
    proved,
    takes,
    takes_break_glass,
    team_boundary,
    team_trust,
)
from dutybound.issuer import identities, identity_providers
from dutybound.mfa import mfa_policy, people_boundary
from dutybound.never import never
from dutybound.pack import POLICIES_PER_GROUP, POLICY_SIZE, pack, sizes_by_duty
from dutybound.policy import ACCOUNT, Condition, Origin, Policy, Statement, minified
from dutybound.quotas import quota
from dutybound.read import Reading
from dutybound.trust import PATH, SWITCHED_NAME, for_servers, may_take, size_errors, trust_policy
from dutybound.waiver import Held
from dutybound.when import MFA_PRESENT, after_end, before_end

FOR_PEOPLE, FOR_ROLES = "guardrails-people", "guardrails-roles"
"""Two policies, since the stacks of teams and of roles stand alone; a group or role holds one of them."""
PEOPLE_BOUNDARY = "people-boundary"
POLICIES_PER_ROLE = quota("managed-policies-per-role").value
SHORTEST_SESSION, LONGEST_SESSION = quota("role-session-duration").value, quota("role-session-duration").maximum


def lower(
    reading: Reading,
    environment: str | None = None,
    today: date | None = None,
    destination: Destination | None = None,
    held: list[Held] | None = None,
) -> Checked[Baseline]:
    """Decide the baseline of a destination: the Baseline, or None with every error found on the way.

    Without `accounts` in the configuration, `environment` is that of the account at hand, for what it says `in:` some;
    with them, `destination` is one of `accounts.destinations`. `today` is the day on which what has ended is reported
    (without one, nothing has). What a waiver must accept is added to `held`.
    """
    destination = destination or Destination(environment, environment)
    environment = destination.environment
    work = _Lowering(reading, destination, today, [] if held is None else held)
    account = work.account()
    found = in_order(work.found)
    if any(d.severity == "error" for d in found):
        return Checked(None, found)
    organization = reading.configuration.organization
    tags = [("managed-by", "dutybound"), ("organization", str(organization.name)), ("owner", str(organization.owner))]
    if environment is not None:
        tags.append(("environment", environment))
    return Checked(Baseline(str(organization.name), tuple(sorted(tags)), catalog.version(), (account,)), found)


def scope_of(configuration: Configuration) -> Scope:
    """What duties may refer to in a configuration."""
    roles = frozenset(map(str, configuration.roles))
    bounds = configuration.guardrails.boundary
    if bounds is None:
        return Scope(roles, boundary_path=None)
    return Scope(roles, str(bounds.path).strip("/") + "/", boundary.services_of(bounds))


class _Lowering:
    """One run: the reading, the diagnostics found, and the parts of the account in the order they are decided."""

    def __init__(self, reading: Reading, destination: Destination, today: date | None, held: list[Held]) -> None:
        self.configuration: Configuration = reading.configuration
        self.duties = reading.duties
        self.destination, self.today = destination, today
        self.has_people = destination.standing in ("alone", "hub")
        self.hub = accounts.hub(self.configuration) or ACCOUNT
        self.through_center = identity_center.people_here(self.configuration)
        self.found: list[Diagnostic] = []
        self.held = held
        self.scope = scope_of(self.configuration)
        self.prefix = str(self.configuration.organization.name)
        self.region = str(self.configuration.organization.home_region)
        self.watch = detectors.watch(self.configuration, destination)
        self.parts = self.configuration.organization.parts
        self.issuers: set[str] = set()
        self.denials: dict[str, list[Statement]] = {}

    def account(self) -> Account:
        """Everything that the configuration asks for in the accounts of the destination."""
        self._check_region()
        self._check_unused_duties()
        self._check_guardrails()
        self.found += detectors.check(self.configuration)
        stacks = (*self._stacks(), *break_glass_stacks(self.prefix, self.region))
        self.guards = self._guards(stacks)
        policies: list[ManagedPolicy] = [*self._shared_policies(stacks)]
        teams = sorted(self.configuration.teams.items())
        groups = [g for name, team in teams for g in self._team(name, team, policies)] if self.has_people else []
        providers = identity_providers(self.configuration, self._here(), self._stack("roles"), self.found)
        self.issuers = {provider.url for provider in providers}
        roles = [self._role(name, role, policies) for name, role in sorted(self._here().items())]
        if not self.has_people and self.hub != ACCOUNT:
            roles += [r for name, team in teams for r in self._team_role(name, team, policies)]
        if self.through_center:
            roles += [r for name, team in teams for r in self._team_sets(name, team, policies)]
        users = self._people() if self.has_people else []
        targets = self.destination.targets
        account = Account(
            id=targets[0].id if targets else None,
            home_region=self.region,
            stacks=stacks,
            policies=tuple(policies),
            groups=tuple(groups),
            users=tuple(users),
            roles=tuple(roles),
            budgets=tuple(
                budget(name, wanted, self.prefix, self.region, self.found)
                for name, wanted in sorted(self.configuration.budgets.items())
            ),
            passwords=_password_policy(self.configuration.passwords),
            identity_providers=providers,
            targets=targets,
            analyzers=detectors.analyzers(self.configuration, self.destination),
            analyzed_in=detectors.analyzed_in(self.configuration, self.destination),
        )
        account = self._with_break_glass(account)
        account = placement.place(account, self.prefix, self.parts)
        self._check_stack_sizes(account)
        self._check_account_quotas(account)
        return account

    def _here(self) -> dict[Text, RoleEntry]:
        """The roles of this destination."""
        return {name: role for name, role in self.configuration.roles.items() if is_in(role, self.destination)}

    def _with_break_glass(self, account: Account) -> Account:
        wanted, passwords = self.configuration.break_glass, self.configuration.passwords
        bounds = self.configuration.guardrails.boundary
        path = str(bounds.path) if bounds is not None else None
        elsewhere = self.destination.standing == "member"
        users_in = accounts.break_glass_home(self.configuration) if elsewhere else None
        taken = None
        if self.destination.standing in ("hub", "management"):
            taken = takes_break_glass(self.configuration, self.found)
        emergency = break_glass(
            wanted, passwords, account, self.prefix, self.found, path, users_in or ACCOUNT, taken, self.watch
        )
        return replace(
            account,
            policies=tuple(sorted([*account.policies, *emergency.policies], key=lambda p: p.name)),
            groups=tuple(sorted([*account.groups, *emergency.groups], key=lambda g: g.name)),
            users=tuple(sorted([*account.users, *emergency.users], key=lambda u: u.name)),
            roles=tuple(sorted([*account.roles, *emergency.roles], key=lambda r: r.name)),
            alarm=emergency.alarm,
            secrets=emergency.secrets,
        )

    def _stack(self, purpose: str) -> str:
        return f"{self.prefix}-{purpose}"

    def _stacks(self) -> tuple[Stack, ...]:
        # An empty stack stays in the list: the CDK deletes what an earlier deployment put into it, while a stack that
        # is not in the app any more stays in the account with all its access.
        made = [
            Stack(self._stack("teams"), self.region, "Teams, their people and their duties"),
            Stack(self._stack("roles"), self.region, "Roles for software and for others"),
            *placement.stacks(self.prefix, self.region, self.parts),
            budgets_stack(self.prefix, self.region),
            *detectors.stacks(self.configuration),
        ]
        if self.configuration.guardrails.boundary is not None:
            # Kept in the account even when it leaves the app: the roles that teams created need it.
            what = "What roles that teams create may at most do"
            made.append(Stack(self._stack("boundary"), self.region, what, protected=True, retained=True))
        return tuple(made)

    # -- what everybody shares

    def _shared_policies(self, stacks: tuple[Stack, ...]) -> Iterator[ManagedPolicy]:
        """The policies under /baseline/: MFA, the guardrails and the boundaries, each in the stack that uses it."""
        configuration, guardrails = self.configuration, self.configuration.guardrails
        fences = fence.fence(guardrails, self.prefix)
        people = (*fences, *fence.place(guardrails))
        if configuration.teams:
            if self.has_people:
                yield self._shared(self._mfa_name(), "teams", mfa_policy(configuration.mfa))
                if (bounds := people_boundary(configuration.mfa)) is not None:
                    yield self._shared(PEOPLE_BOUNDARY, "teams", bounds)
            elif self.hub != ACCOUNT or self.through_center:
                taken = self.through_center and any(isinstance(r.trusts, TeamTrust) for r in self._here().values())
                yield self._shared(TEAM_BOUNDARY, "teams", team_boundary(configuration, taken))
            if people:
                yield self._shared(FOR_PEOPLE, "teams", Policy(people))
        if configuration.roles and fences:
            yield self._shared(FOR_ROLES, "roles", Policy(fences))
        if guardrails.boundary is not None:
            names = self._names(stacks)
            policy = boundary.boundary_policy(
                guardrails.boundary, names, *fence.workload_fence(guardrails), one_bus=self.watch.hears
            )
            yield self._shared(boundary.BOUNDARY, "boundary", policy)

    def _shared(self, name: str, stack: str, policy: Policy) -> ManagedPolicy:
        if policy.size > POLICY_SIZE:
            message = f"the policy '{name}' would have {policy.size:,} characters; IAM takes {POLICY_SIZE:,}"
            hint = "name fewer Regions, instance types, networks and services; '*' in a type stands for many"
            at = self.configuration.guardrails.span
            self.found.append(Diagnostic("too-many-guardrails", message, at, hint))
        return customer_policy(name, "/baseline/", self._stack(stack), policy)

    def _mfa_name(self) -> str:
        # Without its denies the policy enforces nothing, and is not called so.
        return "enrol-mfa" if self.configuration.mfa.enforce_via == "boundary" else "enforce-mfa"

    def _fences_people(self) -> bool:
        guardrails = self.configuration.guardrails
        return bool(fence.fence(guardrails, self.prefix) or fence.place(guardrails))

    def _guards(self, stacks: tuple[Stack, ...]) -> tuple[Statement, ...]:
        """Denies for those who create roles."""
        wanted = self.configuration.guardrails.boundary
        return () if wanted is None else boundary.guard_statements(wanted, self._names(stacks), self.watch.hears)

    def _names(self, stacks: tuple[Stack, ...]) -> list[str]:
        """The names of the stacks, and how those of a purpose with parts begin, which then stands for all of them."""
        return [*(stack.name for stack in stacks), *([self._stack("people")] if self.parts > 1 else [])]

    def _denied_anyway(self, uses: Iterable[DutyUse], access: Access) -> Iterator[Statement]:
        """What the guardrails take from a holder of these duties, in its own policies."""
        if any(use.name == boundary.CREATE_ROLES for use in uses):
            yield from self.guards
        yield from fence.tags(self.configuration.guardrails, access.statements, access.managed)

    # -- teams and people

    def _team(self, name: Text, team: Team, policies: list[ManagedPolicy]) -> Iterator[Group]:
        """The team's group, and one more for each day on which memberships end."""
        uses = duties_in(team, self.destination)
        access = self._access(f"team {name}", uses)
        taken = (*may_take(name, self._here()), *takes(self.configuration, name, team, self.found))
        access = replace(access, statements=(*access.statements, *taken))
        self._session(f"team {quoted(name)}", team.session)
        denies = [*self._never(team), *self._denied_anyway(uses, access)]
        yield self._group(name, team, None, access, denies, policies)
        for day in sorted({str(m.until) for m in team.members if m.until}):
            yield self._group(name, team, day, _ending(access, day), denies, policies)
        for member in team.members:
            if member.until is not None:
                self._check_end(f"the membership of {quoted(member.name)} in team {quoted(name)}", member.until)
                if access.managed:
                    self._check_alone(name, member.name)

    def _never(self, team: Team) -> list[Statement]:
        denied = [(use, self.duties[use.name]) for use in team.never if use.name in self.duties]
        return [s for use, duty in denied for s in self._denied_by(use, duty)]

    def _denied_by(self, use: DutyUse, duty: Duty) -> list[Statement]:
        """What `never` denies of a duty: the same for every team that names it, but for the line that does."""
        if use.name not in self.denials:
            before = len(self.found)
            own_keys = self.configuration.mfa.own_access_keys
            made = list(never(use, duty, own_keys, self.found, self.scope))
            if len(self.found) > before:
                return made  # each team has an error of its own
            self.denials[str(use.name)] = made
        origin = Origin(str(use.name), use.span or use.name.span, duty.span)
        return [replace(s, origins=(origin,)) for s in self.denials[use.name]]

    def _team_role(self, name: Text, team: Team, policies: list[ManagedPolicy]) -> Iterator[Role]:
        """The role that stands for a team of the hub, if the team does anything here."""
        uses = duties_in(team, self.destination)
        if not uses:
            return
        who = f"team {quoted(name)}"
        access = self._access(f"team {name}", uses)
        hint = f"give it where its people are users alone: 'in: {{{self.configuration.organization.hub}: [...]}}'"
        named = identity_center.without_user_names(who, proved(access.statements), self.found, hint)
        access = replace(access, statements=tuple(named))
        self._check_mfa(who, access, "its trust asks for MFA already: give it a duty that asks for no fresh one")
        if len(TEAM_PATH) + len(name) > SWITCHED_NAME:
            message = f"{who}: people could not switch to its role in the console: its path and name have "
            message += f"{len(TEAM_PATH) + len(name)} characters; {SWITCHED_NAME} is the limit"
            hint = f"use at most {SWITCHED_NAME - len(TEAM_PATH)}"
            self.found.append(Diagnostic("name-too-long", message, name.span, hint))
        shared = [FOR_PEOPLE] if self._fences_people() else []
        slots = self._slots(who, name, access, shared, POLICIES_PER_ROLE)
        statements = _distinct([*access.statements, *self._never(team), *self._denied_anyway(uses, access)])
        stack = self._stack("teams")
        mine = self._packed(who, f"team-{name}", name, statements, slots, stack)
        policies += mine
        yield Role(
            logical_id("TeamRole", name),
            stack,
            str(name),
            TEAM_PATH,
            str(team.purpose),
            team_trust(self.hub, (Origin("hub", name.span, self.configuration.organization.span),)),
            tuple(sorted([*(p.name for p in mine), *shared])),
            access.managed,
            session_seconds=self._session(who, team.session),
            span=name.span,
            attached=access.attached,
            permissions_boundary=TEAM_BOUNDARY,
            members=tuple(sorted(str(m.name) for m in team.members)),
        )

    def _team_sets(self, name: Text, team: Team, policies: list[ManagedPolicy]) -> Iterator[Role]:
        """The roles that Identity Center makes for a team here: one, and one for each day on which memberships end."""
        if not identity_center.works_in(self.configuration, name, team, self.destination):
            return
        who = f"team {quoted(name)}"
        uses = duties_in(team, self.destination)
        access = self._access(f"team {name}", uses)
        access = replace(access, statements=(*access.statements, *may_take(name, self._here())))
        center = self.configuration.organization.identity_center
        if center is not None and center.mfa is not None:
            access = replace(access, statements=tuple(proved(access.statements)))
            hint = "the sign-in asks for MFA already: give it a duty that asks for no fresh one"
        else:
            hint = "set MFA at every sign-in in the console of Identity Center (Settings, Authentication), and say so: "
            hint += "'identity_center: {mfa: every-sign-in}'"
        named = identity_center.without_user_names(who, access.statements, self.found)
        access = replace(access, statements=tuple(named))
        self._check_mfa(who, access, hint)
        denies = [*self._never(team), *self._denied_anyway(uses, access)]
        for group in identity_center.group_names(name, team):
            day = identity_center.day_of(group, name)
            ending = _ending(access, day) if day else access
            yield self._set_role(name, team, group, ending, denies, policies)
        for member in team.members:
            if member.until is not None:
                self._check_end(f"the membership of {quoted(member.name)} in team {quoted(name)}", member.until)

    def _set_role(
        self,
        name: Text,
        team: Team,
        group: str,
        access: Access,
        denies: list[Statement],
        policies: list[ManagedPolicy],
    ) -> Role:
        who = f"team {quoted(name)}"
        shared = [FOR_PEOPLE] if self._fences_people() else []
        statements = _distinct([*access.statements, *denies])
        inline = identity_center.as_inline(f"team-{group}", statements)
        # The set becomes a role in each account, which takes no more there.
        most = min(POLICIES_PER_ROLE, identity_center.POLICIES_PER_SET)
        slots = self._slots(who, name, access, shared, most)
        mine = [inline] if inline else self._packed(who, f"team-{group}", name, statements, slots, self._stack("teams"))
        policies += mine
        return Role(
            logical_id("TeamRole", group),
            "",
            group,
            identity_center.path_of_sets(self.configuration),
            str(team.purpose),
            identity_center.trust_of_sets((Origin("identity_center", name.span),)),
            tuple(sorted([*(p.name for p in mine), *shared])),
            access.managed,
            session_seconds=self._session(who, team.session),
            span=name.span,
            attached=access.attached,
            permissions_boundary=TEAM_BOUNDARY,
            members=identity_center.members_of(group, name, team),
            permission_set=identity_center.set_name(group, str(self.destination.name)),
        )

    def _group(
        self,
        name: Text,
        team: Team,
        until: str | None,
        access: Access,
        denies: list[Statement],
        policies: list[ManagedPolicy],
    ) -> Group:
        called = _group_name(name, until)
        shared = [self._mfa_name(), *([FOR_PEOPLE] if self._fences_people() else [])]
        who = f"team {quoted(name)}"
        slots = self._slots(who, name, access, shared, POLICIES_PER_GROUP)
        stack = self._stack("teams")
        statements = _distinct([*access.statements, *denies])
        mine = self._packed(who, f"team-{called}", name, statements, slots, stack)
        policies += mine
        return Group(
            logical_id("Team", called),
            stack,
            called,
            "/teams/",
            str(team.purpose),
            tuple(sorted([*(p.name for p in mine), *shared])),
            access.managed,
            name.span,
            access.attached,
        )

    def _people(self) -> list[User]:
        groups_of: dict[str, list[str]] = {}
        spans: dict[str, list[Span | None]] = {}
        for name, team in sorted(self.configuration.teams.items()):
            for member in team.members:
                groups_of.setdefault(str(member.name), []).append(_group_name(name, member.until))
                spans.setdefault(str(member.name), []).append(member.name.span)
        stack = self._stack("teams")
        bounds = PEOPLE_BOUNDARY if people_boundary(self.configuration.mfa) is not None else None
        return [
            User(
                logical_id("Person", name),
                stack,
                name,
                "/people/",
                tuple(groups),
                self._tags(name),
                span=spans[name][0],
                permissions_boundary=bounds,
                memberships=tuple(spans[name]),
            )
            for name, groups in sorted(groups_of.items())
        ]

    def _tags(self, name: str) -> tuple[tuple[str, str], ...]:
        person = self.configuration.people.get(Text(name))
        if person is None:
            return ()
        email = {"email": str(person.email)} if person.email else {}
        return tuple(sorted({**email, **{str(k): str(v) for k, v in person.tags.items()}}.items()))

    # -- roles

    def _role(self, name: Text, role: RoleEntry, policies: list[ManagedPolicy]) -> Role:
        access = self._access(f"role {name}", role.duties)
        stack = self._stack("roles")
        who = f"role {quoted(name)}"
        self._check_mfa(who, access)
        shared = [FOR_ROLES] if fence.fence(self.configuration.guardrails, self.prefix) else []
        slots = self._slots(who, name, access, shared, POLICIES_PER_ROLE)
        # Whoever takes a team's role is a person, and works from where people work.
        places = fence.place(self.configuration.guardrails) if isinstance(role.trusts, TeamTrust) else ()
        statements = _distinct([*access.statements, *self._denied_anyway(role.duties, access), *places])
        trust = self._trust(name, role)
        if role.until is not None:
            self._check_end(who, role.until)
            statements.append(_after_end(role.until, Origin("until", role.until.span)))
            trust = Policy(tuple(_until(s, role.until) for s in trust.statements))
        self.found += size_errors(name, role, trust)
        mine = self._packed(who, f"role-{name}", name, statements, slots, stack)
        policies += mine
        taken = identities(role.trusts)
        return Role(
            logical_id("Role", name),
            stack,
            str(name),
            PATH,
            str(role.purpose),
            trust,
            tuple(sorted([*(p.name for p in mine), *shared])),
            access.managed,
            session_seconds=self._role_session(who, role),
            instance_profile=logical_id("Profile", name) if for_servers(role) else None,
            identity_provider=str(taken.url) if taken is not None and taken.url in self.issuers else None,
            span=name.span,
            attached=access.attached,
        )

    def _trust(self, name: Text, role: RoleEntry) -> Policy:
        trust = trust_policy(name, role, self.region, self.found, self.hub)
        if self.through_center and isinstance(role.trusts, TeamTrust):
            team = self.configuration.teams[role.trusts.team]
            groups = identity_center.group_names(role.trusts.team, team)
            sets = [identity_center.set_name(group, str(self.destination.name)) for group in groups]
            path, origins = identity_center.path_of_sets(self.configuration), trust.statements[0].origins
            return identity_center.trust_in_team(path, sets, origins)
        return trust

    def _role_session(self, who: str, role: RoleEntry) -> int:
        """How long the role's sessions last: its own word, or that of the team that it trusts."""
        if role.session is None and isinstance(role.trusts, TeamTrust):
            name = role.trusts.team
            return self._session(f"team {quoted(name)}", self.configuration.teams[name].session)
        return self._session(who, role.session)

    def _session(self, who: str, wanted: Text | None) -> int:
        """IAM API Reference, CreateRole: MaxSessionDuration is 3,600 to 43,200 seconds."""
        length = seconds(wanted) if wanted is not None else SHORTEST_SESSION
        if not SHORTEST_SESSION <= length <= LONGEST_SESSION:
            message = f"{who}: a session lasts 1h to 12h, not {wanted}"
            self.found.append(Diagnostic("wrong-session", message, wanted.span if wanted else None, "write 1h to 12h"))
        return length

    # -- what principals may do

    def _access(self, holder: str, uses: Iterable[DutyUse]) -> Access:
        statements: list[Statement] = []
        managed: dict[str, Origin] = {}
        for use in uses:
            if use.name in self.duties:
                access = duty_access(use, self.duties[use.name], self.found, self.scope)
                statements += access.statements
                for id_, origin in access.attached:
                    managed.setdefault(id_, origin)
                self.held += [Held(holder, finding) for finding in access.findings]
        return Access(tuple(statements), tuple(sorted(managed)), attached=tuple(sorted(managed.items(), key=_first)))

    def _slots(self, who: str, at: Text, access: Access, shared: Sequence[str], most: int) -> int:
        """How many policies of its own somebody may have beside the baseline's and AWS's; if these are too many alone,
        that is the one error.
        """
        left = most - len(shared) - len(access.managed)
        if left >= 0:
            return left
        message = f"{who} has {len(access.managed)} AWS managed policies, and IAM attaches "
        message += f"{most - len(shared)} at most beside the baseline's own"
        counts = Counter(origin.duty for _, origin in access.attached)
        duties = ", ".join(f"{duty} {count}" for duty, count in sorted(counts.items(), key=lambda c: (-c[1], c[0])))
        hint = "give its duties services or actions in the place of 'managed', or split it in two"
        self.found.append(Diagnostic("too-much-access", message, at.span, hint, (f"they come from: {duties}",)))
        return most

    def _packed(
        self, who: str, name: str, at: Text, statements: list[Statement], most: int, stack: str
    ) -> list[ManagedPolicy]:
        packed = pack(statements, most)
        if packed is None:
            dearest = sizes_by_duty(statements)[:5]
            largest = ", ".join(f"{duty} {size:,}" for duty, size in dearest)
            message = f"{who} needs more than the {most} policies of {POLICY_SIZE:,} characters that IAM leaves for it"
            if most == 0:
                message = f"{who} needs policies of its own, and AWS managed ones take every place that IAM has for it"
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

    def _check_guardrails(self) -> None:
        guardrails = self.configuration.guardrails
        self.found += fence.check(guardrails, self.configuration.organization.home_region)
        if guardrails.boundary is not None:
            self.found += boundary.check(guardrails.boundary)

    def _check_mfa(self, who: str, access: Access, hint: str = "give it to a team, or a duty without that") -> None:
        """IAM User Guide, "Secure API access with MFA": credentials of a role do not carry the MFA of who took it."""
        dead: dict[str, list[Statement]] = {}
        for statement in access.statements:
            if statement.effect == "Allow" and any(_asks_for_mfa(c) for c in statement.conditions):
                for origin in statement.origins:
                    dead.setdefault(origin.duty, []).append(statement)
        for duty, statements in sorted(dead.items()):
            actions = sorted({action for s in statements for action in s.actions})
            more = f" and {len(actions) - 2} more" if len(actions) > 2 else ""
            message = f"{who}: duty {quoted(duty)} asks for MFA for {', '.join(actions[:2])}{more}; "
            message += "sessions of roles carry none, so these are never allowed"
            at = next((o.asked for s in statements for o in s.origins if o.duty == duty), None)
            self.found.append(Diagnostic("mfa-in-role", message, at, hint, severity="warning"))

    def _check_end(self, what: str, until: Text) -> None:
        if self.today is not None and date.fromisoformat(until) < self.today:
            message = f"{what} ended on {until}, and stays in the account without any use"
            self.found.append(Diagnostic("ended", message, until.span, "remove it", severity="warning"))

    def _check_alone(self, team: Text, member: Text) -> None:
        """An AWS managed policy cannot end by itself: what ends is everything, which only fits a person in one team."""
        teams = [n for n, t in self.configuration.teams.items() if any(m.name == member for m in t.members)]
        if len(teams) > 1:
            others = ", ".join(sorted(quoted(n) for n in teams if n != team))
            message = f"{quoted(member)} leaves team {quoted(team)} by itself, whose AWS managed policy ends with all "
            message += f"else, and is in {others} too"
            hint = "give the team duties without 'managed', or the person a second user"
            self.found.append(Diagnostic("shared-end", message, member.span, hint))

    def _check_unused_duties(self) -> None:
        """An own duty that nobody holds here is compiled too, so that its errors do not wait for its first holder."""
        teams = self.configuration.teams.values()
        used = {use.name for t in teams for use in duties_in(t, self.destination)}
        used |= {use.name for r in self.configuration.roles.values() for use in r.duties}
        for name, duty in self.configuration.duties.items():
            if name not in used:
                access = duty_access(example_use(name, duty), duty, self.found, self.scope)
                self.held += [Held(f"duty {name}", finding) for finding in access.findings]

    def _check_account_quotas(self, account: Account) -> None:
        """What an account holds at most: an error above what AWS raises a quota to, a warning above what is there."""
        at = self.configuration.organization.span
        for name, count in account_counts(account).items():
            limit = quota(name)
            if count > limit.value:
                final = count > limit.maximum
                message = f"{count:,} {limit.unit} are more than the {limit.value:,} that an account holds"
                raised = f"AWS raises it to {limit.maximum:,} at most" if limit.maximum > limit.value else "it is fixed"
                hint = raised if final else f"ask AWS to raise the quota first: {limit.maximum:,} at most"
                severity: Severity = "error" if final else "warning"
                self.found.append(Diagnostic("account-quota", message, at, hint, severity=severity))

    def _check_stack_sizes(self, account: Account) -> None:
        full = {name: load for name, load in placement.loads(account).items() if not load.fits}
        if not full:
            return
        number = placement.enough(account, self.prefix, self.parts)
        for name, load in full.items():
            message = f"the stack {name} would hold {load.resources:,} resources in about {load.size:,} bytes; "
            message += f"CloudFormation takes {placement.MOST_RESOURCES} in {placement.MOST_BYTES:,}"
            hint = "declare fewer people and teams, or split the configuration into several accounts"
            if number is not None:
                hint = f"write 'organization.parts: {number}'; if it is deployed already, 'dutybound diff' prints how "
                hint += "its resources move"
            at = self.configuration.organization.span
            self.found.append(Diagnostic("too-many-resources", message, at, hint))


def account_counts(account: Account) -> dict[str, int]:
    """How much of each quota of an account its baseline uses, by the name of the quota."""
    return {
        "groups-per-account": len(account.groups),
        "oidc-providers-per-account": len(account.identity_providers),
        "policies-per-account": len(account.own_policies),
        "roles-per-account": len(account.roles) + 1,  # that of the alarm
        "users-per-account": len(account.users),
    }


def _first(pair: tuple[str, Origin]) -> str:
    return pair[0]


def _asks_for_mfa(condition: Condition) -> bool:
    return condition.key.casefold() == MFA_PRESENT.casefold()


def _group_name(team: str, until: str | None) -> str:
    """The group of a team's members, or of those whose membership ends on a day. No team's name holds a dot."""
    return f"{team}.until-{until}" if until else str(team)


def _ending(access: Access, day: str) -> Access:
    """The access of those whose membership ends: allowed until then, and what AWS's own policies allow denied after.

    A group's policies know no end, so its members with one have a group of their own.
    """
    statements = [_until(s, day) if s.effect == "Allow" else s for s in access.statements]
    if access.managed:
        statements.append(_after_end(day, Origin("until")))
    return replace(access, statements=tuple(statements))


def _until(statement: Statement, day: str) -> Statement:
    end = before_end(day)
    taken = {(c.operator, c.key.casefold()) for c in statement.conditions}
    # A block holds an operator on a key once, and the grant may have an end of its own. Every request carries the time,
    # so that these operators say the same.
    operators = (f"{set_}{end.operator}{suffix}" for set_ in ("", "ForAllValues:") for suffix in ("", "IfExists"))
    free = next((o for o in operators if (o, end.key.casefold()) not in taken), end.operator)
    conditions = sorted((*statement.conditions, replace(end, operator=free)), key=lambda c: (c.operator, c.key))
    return replace(statement, conditions=tuple(conditions))


def _after_end(day: str, origin: Origin) -> Statement:
    """Sessions outlive the trust of their role, and AWS managed policies take no condition: both end by this."""
    return Statement("AfterTheEnd", "Deny", ("*",), ("*",), conditions=(after_end(day),), origins=(origin,))


def _password_policy(wanted: Passwords | None) -> PasswordPolicy:
    if wanted is None:
        return PasswordPolicy()
    require = None if wanted.require is None else tuple(sorted(set(wanted.require)))
    return PasswordPolicy(wanted.minimum_length, wanted.remember, wanted.max_age_days, require, wanted.span)


def _distinct(statements: Iterable[Statement]) -> list[Statement]:
    """Equal statements once, and Sids made different by their content where two would be the same."""
    merged: dict[Statement, Statement] = {}
    for statement in statements:
        there = merged.get(statement)
        merged[statement] = replace(statement, origins=there.origins + statement.origins) if there else statement
    shared = Counter(s.sid for s in merged)
    # By where and when it holds, so that an action more or less changes no Sid; by everything where that is the same.
    places = Counter((s.sid, _digest(_where(s))) for s in merged if shared[s.sid] > 1)
    out = []
    for statement in merged.values():
        sid = statement.sid
        if shared[sid] > 1:
            place = _where(statement)
            told_by = place if places[sid, _digest(place)] == 1 else statement
            statement = replace(statement, sid=f"{sid}{_digest(told_by)}")
        out.append(statement)
    return out


def _where(statement: Statement) -> Statement:
    return replace(statement, actions=(), not_actions=())


def _digest(statement: Statement) -> str:
    text = minified(replace(statement, sid="").document())
    return hashlib.sha256(text.encode()).hexdigest()[:6]
