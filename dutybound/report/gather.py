"""A configuration and its baselines -> `Facts`: what a report shows, said once each.

What somebody can do is what the policies of the baseline say, merged where they were cut to fit; who can become whom is
the judge's answer, as `who-can` gives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dutybound import catalog
from dutybound.baseline import Baseline
from dutybound.baseline import Group as GroupOf
from dutybound.baseline import Role as RoleOf
from dutybound.callers import is_team, name_in_arn
from dutybound.case import Ground
from dutybound.conditions import prepare
from dutybound.config import Configuration, DutyUse, TeamTrust
from dutybound.diagnostic import Diagnostic, Span, Text
from dutybound.explain import stop_of
from dutybound.hub import TEAM_BOUNDARY, TEAM_PATH
from dutybound.lower import PEOPLE_BOUNDARY, account_counts
from dutybound.managed import managed_policy
from dutybound.pack import POLICIES_PER_GROUP, POLICY_SIZE
from dutybound.policy import Condition, Origin, Policy, Statement, glob
from dutybound.quotas import quota
from dutybound.read import GROUPS_PER_USER, Reading
from dutybound.report.becoming import becoming
from dutybound.report.facts import (
    ANYTHING,
    LEVELS,
    Account,
    Action,
    ActionSet,
    BreakGlass,
    Control,
    Denied,
    Duty,
    Facts,
    Finding,
    Grant,
    Granted,
    Guardrail,
    Held,
    Holder,
    Level,
    Limits,
    Membership,
    Parameter,
    Person,
    PolicySize,
    QuotaUse,
    Role,
    Rule,
    Service,
    Tag,
    Team,
    Trust,
    Waiver,
)
from dutybound.report.history import History
from dutybound.report.levels import reduced, unconditional
from dutybound.report.words import ACCOUNT, conditions, place, plain, principal_of


def facts(
    reading: Reading,
    baselines: Mapping[str | None, Baseline],
    found: Mapping[str | None, Iterable[Diagnostic]],
    history: History,
    configuration: str,
    day: str,
    commit: str,
    compliance: Iterable[Control] = (),
) -> Facts:
    """Everything that a report of a configuration shows.

    `baselines` are those of `compile_reading`, one for each environment, `found` what it found for each; `history`
    knows who changed which line last. `configuration` is the path as the user gave it; `day` and `commit` say of when
    and of what the report is.
    """
    made = _Gathering(reading, baselines, history)
    teams, people, roles = tuple(made.teams()), tuple(made.people()), tuple(made.roles())
    break_glass, guardrails = made.break_glass(), tuple(made.guardrails())
    actions, action_sets = made.tables()
    organization = reading.configuration.organization
    return Facts(
        organization=str(organization.name),
        owner=str(organization.owner),
        configuration=configuration,
        day=day,
        commit=commit,
        reference=made.grounds[0].baseline.reference,
        accounts=tuple(made.accounts()),
        limits=Limits(POLICIES_PER_GROUP, POLICY_SIZE, GROUPS_PER_USER),
        mfa=_mfa(reading.configuration),
        actions=actions,
        action_sets=action_sets,
        rules=tuple(made.rules),
        duties=tuple(made.duties()),
        teams=teams,
        people=people,
        roles=roles,
        break_glass=break_glass,
        becoming=tuple(b for at, ground in enumerate(made.grounds) for b in becoming(at, ground)),
        guardrails=guardrails,
        findings=tuple(_findings(found)),
        waivers=tuple(made.waivers()),
        quotas=tuple(made.quotas()),
        compliance=tuple(compliance),
    )


@dataclass(frozen=True, slots=True)
class _Merged:
    """A statement as it was before it was cut to fit into policies. `of_aws` is the policy of AWS that it is in."""

    statement: Statement
    of_aws: str = ""


class _Gathering:
    """One report in the making: its tables, and what is worked out once."""

    def __init__(self, reading: Reading, baselines: Mapping[str | None, Baseline], history: History) -> None:
        self.configuration: Configuration = reading.configuration
        self.library, self.history = reading.duties, history
        self.environments, ordered = zip(*sorted(baselines.items(), key=lambda pair: pair[0] or ""), strict=True)
        self.grounds = [Ground(baseline, "") for baseline in ordered]
        self.rules: list[Rule] = []
        self._places: dict[Rule, int] = {}
        self.sets: dict[tuple[tuple[str, ...], bool], int] = {}
        self.members: list[frozenset[catalog.Action]] = []
        """Of each set the actions that the reference knows."""
        self.used: set[str] = set()
        self.uses = dict(_uses(self.configuration))
        self.services: dict[object, tuple[Service, ...]] = {}

    # -- tables

    def tables(self) -> tuple[tuple[Action, ...], tuple[ActionSet, ...]]:
        """The actions that somebody names, and the sets of them."""
        listed = {
            (written, but): sorted({a for pattern in written if pattern != "*" for a in catalog.actions_of(pattern)})
            for written, but in self.sets
        }
        known = sorted({action for actions in listed.values() for action in actions})
        places = {action: at for at, action in enumerate(known)}
        sets = (
            ActionSet(written, tuple(places[a] for a in actions), but or "*" in written)
            for (written, but), actions in listed.items()
        )
        return tuple(Action(str(action), _level(action)) for action in known), tuple(sets)

    def rule(self, at: int, statement: Statement) -> int:
        """The place of a statement's rule."""
        actions = self.set_of(statement.actions or statement.not_actions, not statement.actions)
        fill = self.grounds[at].partition
        rule = Rule(
            "allow" if statement.effect == "Allow" else "deny",
            actions,
            tuple(sorted(plain(r, fill) for r in statement.resources)),
            tuple(sorted(plain(r, fill) for r in statement.not_resources)),
            conditions(statement, fill),
        )
        if rule not in self._places:
            self._places[rule] = len(self.rules)
            self.rules.append(rule)
        return self._places[rule]

    def set_of(self, patterns: Iterable[str], but: bool) -> int:
        """The place of a set of actions."""
        written = ("*",) if "*" in patterns and not but else tuple(sorted(set(patterns)))
        key = (written, but)
        if key not in self.sets:
            self.sets[key] = len(self.sets)
            named = frozenset(a for pattern in written for a in catalog.actions_of(pattern))
            self.members.append(frozenset(catalog.actions_of("*")) - named if but else named)
        return self.sets[key]

    # -- what somebody has

    def holder(self, at: int, group: GroupOf | RoleOf, bounds: Iterable[Policy] = ()) -> Holder:
        """What a group or role has in an account. What `bounds` allow grants nothing; what they deny counts."""
        policies = {p.name: p for p in self.grounds[at].account.policies if p.name in group.policies}
        held: dict[tuple[str, str, str], list[Granted]] = {}
        abouts: dict[tuple[str, str, str], Held] = {}
        denies: list[Denied] = []
        allowed: dict[int, Rule] = {}
        for merged in self._merged(at, group, (*bounds, self._above(at, group))):
            statement = merged.statement
            if statement.effect == "Deny":
                denies += (d for part in self._parted(at, statement) if (d := self._denied(at, part)) is not None)
                continue
            number = self.rule(at, statement)
            allowed[number] = self.rules[number]
            for origin in statement.origins or (Origin("break_glass", group.span),):
                about = self._held(origin, statement)
                key = (about.kind, about.duty, about.at)
                abouts.setdefault(key, about)
                if merged.of_aws and merged.of_aws not in abouts[key].managed:
                    abouts[key] = replace(abouts[key], managed=(*abouts[key].managed, merged.of_aws))
                held.setdefault(key, []).append(Granted(number, self._grant(origin)))
        return Holder(
            at,
            tuple(replace(abouts[key], rules=tuple(held[key])) for key in sorted(held, key=_by_kind)),
            tuple(sorted(denies, key=lambda d: (d.kind, d.what, d.rule))),
            self._services(allowed.values(), unconditional(self.rules, denies)),
            tuple(PolicySize(name, policies[name].policy.size) for name in sorted(policies)),
            tuple(sorted(group.managed)),
        )

    def _above(self, at: int, group: GroupOf | RoleOf) -> Policy:
        """What policies of the organization deny to a holder, without the conditions on who it is."""
        ground = self.grounds[at]
        name = name_in_arn(group) if isinstance(group, RoleOf) else "somebody"
        kind = "role" if isinstance(group, RoleOf) else "user"
        path = "/people/" if group.path == TEAM_PATH and kind == "user" else group.path
        who = {"aws:principalarn": (f"arn:{ground.partition}:iam::{ground.id}:{kind}{path}{name}",)}
        left: list[Statement] = []
        for statement in (s for guard in ground.account.guards for s in guard.policy.statements):
            asking = [c for c in statement.conditions if c.key == "aws:PrincipalArn"]
            if all(prepare(c, allows=False)(who) for c in asking):
                others = tuple(c for c in statement.conditions if c not in asking)
                left.append(replace(statement, conditions=others))
        return Policy(tuple(left))

    def _merged(self, at: int, group: GroupOf | RoleOf, bounds: Iterable[Policy]) -> Iterator[_Merged]:
        """The statements of a holder and the denies of its boundaries; those that were cut by actions are one again."""
        own = {p.name: p.policy for p in self.grounds[at].account.policies if p.name in group.policies}
        whole: dict[object, tuple[Statement, list[str], list[str]]] = {}
        mine = (s for name in sorted(own) for s in own[name].statements)
        denies = (s for policy in bounds for s in policy.statements if s.effect == "Deny")
        for statement in (*mine, *denies):
            origins = tuple((o.duty, _order(o.asked), _order(o.granted)) for o in statement.origins)
            sort = (statement.effect, statement.conditions, origins, stop_of(statement))
            where = (statement.resources, statement.not_resources)
            _, actions, left = whole.setdefault((sort, where, bool(statement.actions)), (statement, [], []))
            actions += statement.actions
            left += statement.not_actions
        for statement, actions, left in whole.values():
            yield _Merged(replace(statement, actions=tuple(sorted(actions)), not_actions=tuple(sorted(left))))
        attached = dict(group.attached)
        for id_ in group.managed:
            attaching = (attached[id_],) if id_ in attached else ()
            for statement in managed_policy(id_).policy.statements:
                yield _Merged(replace(statement, origins=attaching), id_)

    def _held(self, origin: Origin, statement: Statement) -> Held:
        """The duty, or the part of the baseline that stands for one, behind a statement that allows; without rules."""
        at, changed = place(origin.asked), self.history.line(origin.asked)
        if origin.duty == "mfa":
            return Held("enrol-mfa", at, kind="mfa")
        if origin.duty == "break_glass":
            return Held("break-glass", at, kind="break-glass")
        if origin.duty in ("trusts", "hub"):
            return Held(statement.resources[0].rpartition("/")[2], at, kind="take", changed=changed)
        self.used.add(origin.duty)
        use = self.uses.get((origin.duty, _order(origin.asked)))
        given = sorted(use.parameters.items()) if use else ()
        parameters = tuple(Parameter(str(name), tuple(map(str, values))) for name, values in given)
        return Held(origin.duty, at, parameters=parameters, changed=changed)

    def _grant(self, origin: Origin) -> int:
        """The place of the grant behind a statement, among those of its duty."""
        duty = self.library.get(origin.duty)
        if duty is None or origin.granted is None:
            return -1
        wanted = origin.granted.order
        return next((at for at, grant in enumerate(duty.grants) if _order(grant.span) == wanted), -1)

    def _parted(self, at: int, statement: Statement) -> Iterator[Statement]:
        """A deny in two: the actions that it denies on everything that they can be about, on `*`, and the rest."""
        if not statement.actions or not statement.resources or "*" in statement.resources:
            yield statement
            return
        partition = self.grounds[at].partition
        fits = [glob(plain(resource, partition)).fullmatch for resource in statement.resources]
        whole = {
            action
            for action in catalog.spoken_of(statement)
            if (names := _formats(action, partition)) and all(any(fit(name) for fit in fits) for name in names)
        }
        if rest := catalog.spoken_of(statement) - whole:
            yield replace(statement, actions=tuple(sorted(map(str, rest)))) if whole else statement
        if whole:
            yield replace(statement, actions=tuple(sorted(map(str, whole))), resources=("*",))

    def _denied(self, at: int, statement: Statement) -> Denied | None:
        """A deny in words; None for one that stops nobody who uses MFA."""
        if any(map(_spares_mfa, statement.conditions)):
            return None
        kind, key = stop_of(statement)
        duty = statement.origins[0].duty if statement.origins else ""
        what = {
            "mfa": "devices that the key 'mfa' does not take",
            "guardrail": f"guardrails.{key}",
            "organization": "guardrails.organization",
            "never": f"never {duty}",
            "end": "after the end",
        }.get(kind, f"denied by {duty or 'a policy of AWS'}")
        fill = self.grounds[at].partition
        when = conditions(statement, fill, but="aws:ViaAWSService")
        span = next((o.asked for o in statement.origins if o.asked), None)
        return Denied(kind, what, self.rule(at, statement), place(span), " and ".join(when))

    def _services(self, allowed: Iterable[Rule], denies: Sequence[Rule]) -> tuple[Service, ...]:
        """What rules come to by service, less what is denied."""
        parts = reduced(allowed, denies)
        if parts not in self.services:
            everywhere: set[str] = set()
            left: set[catalog.Action] = set()
            for at, wide, gone in parts:
                actions = self.members[at].difference(*(self.members[one] for one in gone))
                left |= actions
                everywhere |= {action.service for action in actions} if wide else set()
            counts: dict[str, list[int]] = {}
            for action in left:
                counts.setdefault(action.service, [0] * len(LEVELS))[_RANK[action.level]] += 1
            self.services[parts] = tuple(
                Service(prefix, (n[0], n[1], n[2], n[3], n[4]), prefix in everywhere)
                for prefix, n in sorted(counts.items())
            )
        return self.services[parts]

    # -- who

    def accounts(self) -> Iterator[Account]:
        """The accounts, in the order of their environments."""
        for environment, ground in zip(self.environments, self.grounds, strict=True):
            made = ground.account
            id_ = "" if ground.stands_for_any else ground.id
            yield Account(
                environment or "",
                id_,
                made.home_region,
                ground.partition,
                len(made.groups),
                len(made.users),
                len(made.roles),
                len(made.policies),
                tuple(target.id for target in made.targets) if len(made.targets) > 1 else (),
            )

    def teams(self) -> Iterator[Team]:
        """The teams, each with what it has in every account."""
        for name, team in sorted(self.configuration.teams.items()):
            yield Team(
                str(name),
                str(team.purpose),
                place(name.span),
                tuple(self._of_team(str(name))),
                tuple(sorted({str(member.name) for member in team.members})),
                tuple(sorted(str(use.name) for use in team.never)),
                self.history.last(name.span),
            )

    def _of_team(self, name: str) -> Iterator[Holder]:
        """What a team has in each account: as a group where its people are, as a role that they take elsewhere."""
        for at, ground in enumerate(self.grounds):
            bounds = [p.policy for p in ground.account.policies if p.name == PEOPLE_BOUNDARY]
            role = ground.roles.get(name)
            if name in ground.groups:
                yield self.holder(at, ground.groups[name], bounds)
            elif role is not None and is_team(role):
                yield self.holder(at, role, [p.policy for p in ground.account.policies if p.name == TEAM_BOUNDARY])

    def people(self) -> Iterator[Person]:
        """The people, with the teams that they are in."""
        memberships: dict[str, list[Membership]] = {}
        spans: dict[str, list[Span | None]] = {}
        for team, listing in sorted(self.configuration.teams.items()):
            for member in listing.members:
                name, at = str(member.name), member.name.span
                one = Membership(str(team), place(at), str(member.until or ""), self.history.line(at))
                memberships.setdefault(name, []).append(one)
                spans.setdefault(name, []).append(at)
        keys = {str(name): name for name in self.configuration.people}
        users = {name: user for ground in self.grounds for name, user in ground.users.items()}
        for name, listed in sorted(memberships.items()):
            user = users.get(name)  # none of those who sign in through Identity Center
            key = keys.get(name)
            entry = self.configuration.people[key] if key is not None else None
            own = self.history.last(key.span if key is not None else None)
            yield Person(
                name,
                place(key.span if key is not None else spans[name][0]),
                tuple(listed),
                str(entry.name or "") if entry else "",
                str(entry.email or "") if entry else "",
                tuple(Tag(str(k), str(v)) for k, v in sorted(entry.tags.items())) if entry else (),
                (user.permissions_boundary or "") if user is not None else "",
                self.history.newest(own, *(m.changed for m in listed)),
            )

    def roles(self) -> Iterator[Role]:
        """The roles of the configuration, and those of break-glass, each with what it has where it is."""
        roles = [{r.name: r for r in g.roles.values() if not is_team(r)} for g in self.grounds]
        names = sorted({name for here in roles for name in here})
        entries = {str(name): (name, entry) for name, entry in self.configuration.roles.items()}
        for name in names:
            here = [(at, made[name]) for at, made in enumerate(roles) if name in made]
            first, made = here[0]
            key, entry = entries.get(name, (None, None))
            span = key.span if key is not None else made.span
            yield Role(
                name,
                made.purpose,
                place(span),
                tuple(self.holder(at, role) for at, role in here),
                tuple(self._trusts(first, made)),
                "break-glass" if made.path == "/break-glass/" else "role",
                str(entry.until or "") if entry else "",
                made.session_seconds,
                self.history.last(span),
            )

    def _trusts(self, at: int, role: RoleOf) -> Iterator[Trust]:
        """Who may take a role, in words."""
        fill = self.grounds[at].partition
        entry = next((e for n, e in self.configuration.roles.items() if n == role.name), None)
        for statement in role.trust.statements:
            when = conditions(statement, fill)
            for principal in statement.principals:
                for text in principal.values:
                    kind, who = principal_of(principal.kind, plain(text, fill))
                    says = {
                        "service": f"the service {who}",
                        "account": f"the account {who}",
                        "identity-provider": f"whoever {who} signs in",
                        "everybody": "anybody",
                    }.get(kind, who)
                    if (kind, who) == ("account", ACCOUNT):
                        says = "whoever in this account is allowed to"
                    if entry is not None and isinstance(entry.trusts, TeamTrust):
                        says = f"the people of the team {entry.trusts.team}"
                    yield Trust(kind, who, says, when, "allow" if statement.effect == "Allow" else "deny")

    def break_glass(self) -> BreakGlass:
        """The way in for emergencies."""
        wanted = self.configuration.break_glass
        groups = [(at, g) for at, ground in enumerate(self.grounds) for g in ground.account.groups if _is_emergency(g)]
        return BreakGlass(
            tuple(sorted(map(str, wanted.users))),
            wanted.through,
            tuple(sorted(map(str, wanted.alert))),
            place(wanted.span),
            tuple(self.holder(at, group) for at, group in groups),
            self.history.last(wanted.span),
        )

    # -- the rest

    def duties(self) -> Iterator[Duty]:
        """The duties that somebody has, and all of the configuration's own."""
        own = {str(name): name for name in self.configuration.duties}
        for name in sorted(self.used | set(own)):
            duty = self.library[name]
            span = own[name].span if name in own else duty.span
            grants = tuple(Grant(place(g.span), str(getattr(g, "why", None) or "")) for g in duty.grants)
            changed = self.history.last(span) if name in own else None
            parameters = tuple(sorted(map(str, duty.parameters)))
            yield Duty(name, str(duty.summary), place(span), grants, name in own, parameters, changed)

    def guardrails(self) -> Iterator[Guardrail]:
        """The keys of `guardrails`, in words, with the denies behind them."""
        wanted = self.configuration.guardrails
        rules: dict[str, dict[int, None]] = {}
        for at, ground in enumerate(self.grounds):
            for policy in ground.account.policies:
                for statement in policy.policy.statements if policy.path == "/baseline/" else ():
                    kind, key = stop_of(statement)
                    if statement.effect == "Deny" and kind == "guardrail":
                        rules.setdefault(key, {})[self.rule(at, statement)] = None
        for key, texts, says in (
            ("regions", wanted.regions, "Nothing in a Region other than {}, save what is global"),
            ("instance_types", wanted.instance_types, "No server of a type other than {}"),
            ("require_tags", wanted.require_tags, "Nothing that can carry tags is created without {}"),
            ("from", wanted.from_, "People do nothing from anywhere but {}"),
        ):
            if texts:
                listed = ", ".join(map(str, texts))
                yield Guardrail(key, says.format(listed), place(_first(texts)), tuple(rules.get(key, ())))
        if wanted.boundary is not None:
            bounds = wanted.boundary
            services = ", ".join(map(str, bounds.services))
            says = f"Roles that teams create stand under {bounds.path}, within a boundary that leaves out IAM and more"
            says += f", and are taken by {services} alone" if services else ""
            yield Guardrail("boundary", says, place(bounds.span), tuple(rules.get("boundary", ())))

    def waivers(self) -> Iterator[Waiver]:
        """The waivers, by what they accept."""
        for w in sorted(self.configuration.waivers, key=lambda w: (w.finding, w.for_, w.until)):
            changed = self.history.last(w.span)
            yield Waiver(w.finding, str(w.for_), str(w.reason), str(w.until), place(w.span), changed)

    def quotas(self) -> Iterator[QuotaUse]:
        """How much of each account's quotas the baseline uses."""
        for at, ground in enumerate(self.grounds):
            for name, count in account_counts(ground.account).items():
                limit = quota(name)
                yield QuotaUse(
                    at, name.removesuffix("-per-account").replace("-", " "), count, limit.value, limit.maximum
                )


# --- words ----------------------------------------------------------------------------------------------------------


def _mfa(configuration: Configuration) -> str:
    """What holds for people without MFA."""
    how = {"group": "a policy of every team", "boundary": "a permissions boundary", "both": "a policy and a boundary"}
    center = configuration.organization.identity_center
    if center is not None:
        if center.mfa is None:
            return "Identity Center decides when people need MFA; the configuration does not say that it always asks"
        return "Identity Center asks people for MFA at every sign-in, as the configuration says of its settings"
    devices = "any device" if configuration.mfa.devices == "any" else "a security key"
    left = f"Without MFA people can only enrol {devices} for themselves"
    return f"{left}; enforced by {how[configuration.mfa.enforce_via]}"


def _findings(found: Mapping[str | None, Iterable[Diagnostic]]) -> Iterator[Finding]:
    """What was found, each once, with the environments that have it where it is not all."""
    where: dict[Diagnostic, list[str]] = {}
    for environment, diagnostics in sorted(found.items(), key=lambda pair: pair[0] or ""):
        for diagnostic in diagnostics:
            where.setdefault(diagnostic, []).append(environment or "")
    for d, environments in sorted(where.items(), key=lambda pair: pair[0].order):
        some = tuple(environments) if len(environments) < len(found) else ()
        yield Finding(d.name, d.severity, d.message, place(d.span), d.hint, some)


def _formats(action: catalog.Action, partition: str) -> list[str]:
    """The names, with any text for what varies, that the resources of an action have in its own account."""
    known = catalog.service(action.service).types
    own = {"Partition": partition, "Account": ACCOUNT}
    formats = [known[name].arn if name in known else "" for name in action.types]
    return [_VARIABLE.sub(lambda found: own.get(found[1], ANYTHING), text) for text in formats]


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def _spares_mfa(condition: Condition) -> bool:
    """Whether no request with MFA meets a condition."""
    if condition.key.lower() != "aws:multifactorauthpresent":
        return False
    absent = condition.operator == "Null" and condition.values == ("true",)
    return absent or (condition.operator.startswith("Bool") and condition.values == ("false",))


def _uses(configuration: Configuration) -> Iterator[tuple[tuple[str, tuple[str, int, int]], DutyUse]]:
    teams, roles = configuration.teams.values(), configuration.roles.values()
    lists = [*(t.duties for t in teams), *(more for t in teams for more in t.in_.values()), *(r.duties for r in roles)]
    for use in (use for listed in lists for use in listed):
        yield (str(use.name), _order(use.span or use.name.span)), use


def _order(span: Span | None) -> tuple[str, int, int]:
    return span.order if span else ("", 0, 0)


def _first(texts: Iterable[Text]) -> Span | None:
    return next((text.span for text in texts if text.span), None)


def _is_emergency(group: GroupOf) -> bool:
    return group.path == "/break-glass/"


def _by_kind(key: tuple[str, str, str]) -> tuple[int, str, str]:
    return ("duty", "take", "mfa", "break-glass").index(key[0]), key[1], key[2]


def _level(action: catalog.Action) -> Level:
    return LEVELS[_RANK[action.level]]


_RANK: Mapping[str, int] = {level: at for at, level in enumerate(LEVELS)}
