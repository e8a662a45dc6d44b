"""Who is asked about, and everything that decides over them: a Baseline in its account, and one principal of it.

A `Case` knows for each statement the way by which it reaches the principal: the group or role that holds it, the
policy, and the lines behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from dutybound import catalog
from dutybound.arns import Where
from dutybound.baseline import Account, Baseline, Group, Role, User
from dutybound.callers import ACCOUNT_ID, Caller, Session, callers, is_team, name_in_arn
from dutybound.catalog import Action
from dutybound.diagnostic import Span, did_you_mean, quoted
from dutybound.evaluate import Judge, Policies, in_account
from dutybound.hub import TEAM_PATH
from dutybound.lower import PEOPLE_BOUNDARY
from dutybound.managed import managed_policy
from dutybound.nearest import is_duty, speaks_of
from dutybound.policy import Policy, Principal, Statement
from dutybound.witness import Known, OwnSide, Side, witness

Given = tuple[tuple[str, tuple[str, ...]], ...]
"""Condition keys of a request, each with its values."""
Kind = Literal["person", "team", "role", "break-glass"]
Holder = Group | Role


class WrongQuestion(ValueError):
    """A question about what does not exist; the error says what, and what may have been meant."""


class NotOurs(WrongQuestion):
    """A message of AWS about somebody whom the baseline does not know; the error says who it is."""


@dataclass(frozen=True, slots=True)
class Question:
    """May `who` do `action`, on `resource` (empty: on anything at all), signed in like this, with these condition keys?

    `day` is today; `account` is the id of the account that the baseline is deployed to, where it matters.
    """

    who: str
    action: str
    resource: str = ""
    session: Session = "mfa"
    given: Given = ()
    day: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """How a statement reaches a principal: the group or role that holds it, the policy, and the lines behind it.

    A boundary, and a policy of the organization, stand over it, held by nobody.
    """

    holder: str
    kind: Literal["team", "role", "break-glass", "boundary", "organization"]
    policy: str
    statement: Statement
    member: Span | None = None
    """Where the person is put into the team."""
    declared: Span | None = None
    """Where the team or role is declared."""
    of_aws: bool = False
    """Whether the policy is AWS's."""

    @property
    def team(self) -> str:
        """The team of a group: one whose memberships end has a group for each day."""
        return team_of(self.holder)

    @property
    def duties(self) -> tuple[str, ...]:
        """The duties, or parts of the baseline, that the statement comes from."""
        return tuple(dict.fromkeys(o.duty for o in self.statement.origins))

    @property
    def is_of_duty(self) -> bool:
        """Whether the statement comes from a duty, and not from a part of the baseline that nobody chose."""
        return self.of_aws or any(map(is_duty, self.statement.origins))


def team_of(group: str) -> str:
    """The team that a group is of. No team's name holds a dot."""
    return group.partition(".until-")[0]


def stands_for_team(holder: Holder) -> bool:
    """Whether a group or role is that of a team."""
    return is_team(holder) if isinstance(holder, Role) else holder.path == TEAM_PATH


def account_of(arn: str) -> str:
    """The account id in an ARN, or an empty text."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and re.fullmatch(r"\d{12}", parts[4]) else ""


# --- the account ----------------------------------------------------------------------------------------------------


class Ground:
    """A baseline in the account that it is deployed to, and everybody in it."""

    def __init__(self, baseline: Baseline, account: str) -> None:
        """`account` is an id, or empty for one that stands for any. Raises WrongQuestion for another account's."""
        first = baseline.accounts[0]
        known = [target.id for target in first.targets]
        if known and account not in ("", *known):
            which = f"which is {known[0]}" if len(known) == 1 else f"whose accounts are {', '.join(known)}"
            raise WrongQuestion(f"the account {account} is not the baseline's, {which}")
        self.baseline = baseline
        self.id = account or first.id or ACCOUNT_ID
        self.stands_for_any = not (first.id or account)
        self.account: Account = replace(first, id=self.id)
        self.partition = catalog.partition(first.home_region)
        self.users = {u.name: u for u in self.account.users}
        self.groups = {g.name: g for g in self.account.groups}
        self.roles = {r.name: r for r in self.account.roles}
        self.of_people: dict[str, list[str]] = {}
        """For people whose users are in another account, the roles of their teams here."""
        for role in self.account.roles:
            for member in role.members:
                self.of_people.setdefault(member, []).append(role.name)
        everybody = callers(baseline, self.account, self.partition)
        self.everybody = {("role" if c.role else "user", c.name): c for c in everybody}
        self._policies = {p.name: in_account(p.policy, self.id, self.partition) for p in self.account.policies}
        self._held: dict[tuple[str, str], tuple[tuple[str, Policy], ...]] = {}
        self._personal: dict[tuple[str, str], tuple[Statement, ...]] = {}
        self._about: dict[tuple[int, Action], tuple[Policy, Policy]] = {}

    def policies(self, holder: Holder) -> tuple[tuple[str, Policy], ...]:
        """The policies of a group or role with their names; those of AWS say which duty attaches them."""
        key = (type(holder).__name__, holder.name)
        if key not in self._held:
            attached = dict(holder.attached)
            own = [(name, self._policies[name]) for name in holder.policies]
            for id_ in holder.managed:
                policy = managed_policy(id_).policy
                origins = (attached[id_],) if id_ in attached else ()
                statements = tuple(replace(s, origins=origins) for s in policy.statements)
                own.append((id_, replace(policy, statements=statements)))
            self._held[key] = tuple(own)
        return self._held[key]

    def personal(self, held: tuple[str, str]) -> tuple[Statement, ...]:
        """The statements of a group or role ('Group', name) that may answer two people differently."""
        if held not in self._personal:
            holder: Holder = self.groups[held[1]] if held[0] == "Group" else self.roles[held[1]]
            every = (s for _, policy in self.policies(holder) for s in policy.statements)
            self._personal[held] = tuple(s for s in every if _asks_who(s))
        return self._personal[held]

    def about(self, policy: Policy, action: Action) -> Policy:
        """What a policy says of an action. Most of who holds it have it in common, so it is kept."""
        key = (id(policy), action)
        if key not in self._about:
            self._about[key] = (policy, _kept(policy, lambda s: speaks_of(s, action)))  # both, so that the id stays
        return self._about[key][1]

    def policy(self, name: str) -> Policy:
        """A customer managed policy by name, with the account filled in."""
        return self._policies[name]

    def where(self, case: Case) -> Where:
        """What a search fills names in with."""
        return Where(case.caller.arn, self.id, self.account.home_region, self.partition)

    def is_foreign(self, resource: str) -> bool:
        """Whether a resource is in another account, whose own policies must allow what is done with it."""
        return account_of(resource) not in ("", self.id)

    def role_named(self, resource: str) -> Role | None:
        """The role of this baseline that an ARN names."""
        prefix = f"arn:{self.partition}:iam::{self.id}:role"
        return next((r for r in self.account.roles if resource == f"{prefix}{r.path}{name_in_arn(r)}"), None)

    def of_resource(self, resource: str) -> Policy:
        """The policy that decides on the resource's side: of a role its trust; else the account's, which leaves it to
        identity policies, as AWS's default for keys does.
        """
        role = self.role_named(resource)
        if role is not None:
            return in_account(role.trust, self.id, self.partition)
        root = Principal("AWS", (f"arn:{self.partition}:iam::{self.id}:root",))
        left = ("kms:*", "sts:*")
        return Policy((Statement("LeftToIdentityPolicies", "Allow", left, ("*",), principals=(root,)),))

    # -- whom a question is about

    def case(self, who: str) -> Case:
        """The person, team, role or break-glass user of that name, in whatever case, or of that ARN.

        `role:web` says which, where a name stands for more than one. Raises WrongQuestion.
        """
        found = self.cases(who)
        if len(found) > 1:
            names = " or ".join(f"'team:{case.name}'" for case in found)
            raise WrongQuestion(f"{quoted(who.strip())} is here as one team at a time; write {names}")
        return found[0]

    def cases(self, who: str) -> tuple[Case, ...]:
        """The same; somebody whose user is in another account is here as the role of each of their teams."""
        text = who.strip()
        if text.startswith("arn:"):
            return (self.of_arn(text),)
        wanted, _, name = text.rpartition(":")
        roles = [r.name for r in self.account.roles if wanted == "role" or not is_team(r)]
        people = [*self.users, *(p for p in self.of_people if p not in self.users)]
        named: dict[str, Iterable[str]] = {"person": people, "team": self._teams(), "role": roles}
        folded = name.casefold()
        hits = [(kind, n) for kind, names in named.items() for n in names if n.casefold() == folded]
        hits = [(kind, n) for kind, n in hits if wanted in ("", kind)]
        if len(hits) > 1:
            raise WrongQuestion(f"{quoted(text)} is more than one; write {' or '.join(f'{k}:{n}' for k, n in hits)}")
        if not hits:
            near = did_you_mean(name, [n for names in named.values() for n in names])
            hint = near or "name a person, a team, a role or a break-glass user"
            raise WrongQuestion(f"nobody in the configuration is called {quoted(text)}; {hint}")
        ((kind, exact),) = hits
        if kind == "person" and exact not in self.users:
            return tuple(self.case_of("role", role) for role in self.of_people[exact])
        if kind == "team" and exact in self.groups:
            return (self._team(exact),)
        return (self.case_of("user" if kind == "person" else "role", exact),)

    def _teams(self) -> list[str]:
        groups = [g.name for g in self.account.groups if g.path == TEAM_PATH and team_of(g.name) == g.name]
        return [*groups, *(r.name for r in self.account.roles if is_team(r))]

    def case_of(self, sort: str, name: str) -> Case:
        """A 'user' or 'role' by its exact name. Raises KeyError."""
        caller = self.everybody[sort, name]
        if caller.role:
            role = self.roles[name]
            return Case(self, caller, caller.kind, ((role, None),), role.permissions_boundary or "")
        user = self.users[name]
        spans = user.memberships or (user.span,) * len(user.groups)
        holders = tuple((self.groups[g], span) for g, span in zip(user.groups, spans, strict=True))
        kind: Kind = "break-glass" if caller.kind == "break-glass" else "person"
        return Case(self, caller, kind, holders, user.permissions_boundary or "")

    def _team(self, name: str) -> Case:
        """A team is judged as somebody who is in it and in no other."""
        group = self.groups[name]
        bounded = PEOPLE_BOUNDARY if PEOPLE_BOUNDARY in self._policies else ""
        somebody = User("", group.stack, name, "/people/", (name,), permissions_boundary=bounded or None)
        (caller,) = callers(self.baseline, replace(self.account, users=(somebody,), roles=()), self.partition)
        return Case(self, caller, "team", ((group, None),), bounded)

    def of_arn(self, arn: str) -> Case:
        """The user or role that an ARN of AWS names. Raises NotOurs for everybody else, saying who it is."""
        if arn.lower().startswith("anonymous"):
            raise NotOurs("the request carried no credentials: it is nobody's; sign in first")
        found = re.fullmatch(r"arn:[^:]*:(?:iam|sts)::(\d*):([a-z-]+)(?:/(.*))?", arn)
        if not found:
            raise NotOurs(f"{quoted(arn)} is no user and no role: a service or an identity provider calls here")
        account, kind, rest = found[1], found[2], found[3] or ""
        if account != self.id and not self.stands_for_any:
            raise NotOurs(f"{quoted(arn)} is of the account {account}, not of {self.id}")
        if kind == "root":
            raise NotOurs("it was the root user, whom no policy of the baseline limits or grants anything")
        name = rest.partition("/")[0] if kind == "assumed-role" else rest.rpartition("/")[2]
        sort = "user" if kind == "user" else "role"
        if provisioned := _PROVISIONED.fullmatch(name):
            role = next((r for r in self.account.roles if r.permission_set == provisioned[1]), None)
            if role is not None:
                return self.case_of("role", role.name)
        if kind not in ("user", "role", "assumed-role") or (sort, name) not in self.everybody:
            near = did_you_mean(name, [n for s, n in self.everybody if s == sort])
            what = "federated user" if kind == "federated-user" else sort
            says = f"the baseline has no {what} {quoted(name)}: somebody else made it"
            raise NotOurs(f"{says}{'; ' + near if near else ''}")
        caller = self.everybody[sort, name]
        own = (caller.role or caller.arn).split(":", 5)[5]
        if kind != "assumed-role" and own != f"{kind}/{rest}":
            raise NotOurs(f"{quoted(f'{kind}/{rest}')} is not the baseline's {quoted(own)}: the path is another")
        return self.case_of(sort, name)

    def resource(self, text: str) -> tuple[str, str]:
        """The ARN of a resource as a message of AWS names it ('user bob' in IAM), and a note where there is none."""
        if not text or text == "*" or is_arn(text):
            return text, ""
        kind, _, name = text.partition(" ")
        made: dict[str, User | Role] = {}
        made.update(self.users if kind == "user" else self.roles if kind == "role" else {})
        if name in made:
            return f"arn:{self.partition}:iam::{self.id}:{kind}{made[name].path}{name}", ""
        return "", f"AWS calls the resource {quoted(text)}, which is no ARN: any resource counts"


_PROVISIONED = re.compile(r"AWSReservedSSO_(.+)_[0-9a-f]{16}")
"""The name of a role that Identity Center makes, with that of its permission set."""


def is_arn(text: str) -> bool:
    """Whether a text has the parts of an ARN."""
    return text.startswith("arn:") and text.count(":") >= 5


# --- one principal --------------------------------------------------------------------------------------------------


class Case:
    """One principal, and everything that decides over it, with the way each statement reaches it."""

    def __init__(
        self,
        ground: Ground,
        caller: Caller,
        kind: Kind,
        holders: tuple[tuple[Holder, Span | None], ...],
        boundary: str = "",
    ) -> None:
        """`holders` are its groups, each with where the person is put into it, or the role itself."""
        self.ground, self.caller, self.kind, self.name = ground, caller, kind, caller.name
        self.holders, self.boundary = holders, boundary
        self.policies = [(p, name, h, at) for h, at in holders for name, p in ground.policies(h)]
        """Each policy with its name, who holds it, and where the person is put into the group."""
        self.limit = ground.policy(boundary) if boundary else None
        self.guards = tuple(guard.policy for guard in ground.account.guards)
        self._ways: dict[int, tuple[Way, ...]] = {}
        self._sides: dict[str, Side] = {}

    def decides(self, action: Action, resource: str) -> tuple[object, ...]:
        """What tells this principal's answer from another's; those who have the same need one judgement.

        Without a resource, what a statement says of one's own user it says of everybody's.
        """
        held = tuple((type(h).__name__, h.name) for h, _ in self.holders)
        personal = (s for key in held for s in self.ground.personal(key) if speaks_of(s, action))
        mine = any(resource or _asks_who_in_conditions(s) for s in personal)
        return (held, self.boundary, self.name if mine else "")

    def ways(self, statement: Statement) -> tuple[Way, ...]:
        """How one of its statements reaches it; none for what a resource's policy says.

        Two groups may hold the same policy. What every team holds, such as the MFA policy, is named once.
        """
        if not self._ways:
            found: dict[int, list[Way]] = {}
            for policy, name, holder, at in self.policies:
                for held in policy.statements:
                    found.setdefault(id(held), []).append(_way(held, name, holder, at))
            for limiting in self.limit.statements if self.limit is not None else ():
                found[id(limiting)] = [Way(self.boundary, "boundary", self.boundary, limiting)]
            for guard in self.ground.account.guards:
                for denying in guard.policy.statements:
                    found[id(denying)] = [Way(guard.name, "organization", guard.name, denying)]
            self._ways = {key: tuple(ways if ways[0].is_of_duty else ways[:1]) for key, ways in found.items()}
        return self._ways.get(id(statement), ())

    def side(self, resource: str = "") -> Side:
        """Everything that decides over it, on a resource or on anything at all."""
        if resource not in self._sides:
            self._sides[resource] = self._side(lambda _: True, resource)
        return self._sides[resource]

    def about(self, action: Action, resource: str = "") -> Side:
        """What of it speaks of one action."""
        return self._side(lambda _: True, resource, action)

    def bare(self, resource: str = "") -> Side:
        """The same without denies."""
        return self._side(lambda s: s.effect == "Allow", resource)

    def across(self, trust: Policy) -> Side:
        """Everything that decides over taking a role of another account, whose trust this is."""
        held = tuple(p for p, *_ in self.policies)
        return Judge(Policies(identity=held, boundary=self.limit, guards=self.guards, resource=trust))

    def at_most(self) -> Side:
        """The same with everything granted: what is denied here is denied whatever is granted."""
        identity = (Policy((EVERYTHING,)), *(_kept(p, lambda s: s.effect == "Deny") for p, *_ in self.policies))
        return OwnSide(Policies(identity=identity, boundary=self.limit, guards=self.guards))

    def only(self, statement: Statement, action: Action, resource: str = "") -> Side:
        """What is said of an action by one of the statements that allow, and all denies."""
        return self._side(lambda s: s.effect == "Deny" or s is statement or self._limits(s), resource, action)

    def _limits(self, statement: Statement) -> bool:
        return self.limit is not None and any(s is statement for s in self.limit.statements)

    def _side(self, keep: Callable[[Statement], bool], resource: str, action: Action | None = None) -> Side:
        """The statements that are kept; with an action, of those that speak of it."""

        def left(policy: Policy) -> Policy:
            return _kept(policy if action is None else self.ground.about(policy, action), keep)

        identity = tuple(left(p) for p, *_ in self.policies)
        limit = self.limit and left(self.limit)
        own = Policies(identity=identity, boundary=limit, guards=tuple(map(left, self.guards)))
        if not resource or self.ground.is_foreign(resource):
            return OwnSide(own)
        return Judge(replace(own, resource=self.ground.of_resource(resource)))

    def granting(self, action: Action, known: Known, resource: str = "") -> tuple[Way, ...]:
        """The ways by which it can do what it can: each statement that allows it by itself, in spite of all denies.

        Where none does, it takes several: for a request that names several resources.
        """
        found: list[Way] = []
        allowing = self.allowing(action)
        for statement in allowing:
            hit = witness(self.only(statement, action, resource), action, known, self.ground.where(self), resource)
            if hit is not None and hit.outcome == "allowed":
                found += self.ways(statement)
        return tuple(found) or tuple(way for statement in allowing for way in self.ways(statement))

    def allowing(self, action: Action) -> list[Statement]:
        """Its own statements that allow an action on anything at all, each once."""
        speaking = (s for p, *_ in self.policies for s in self.ground.about(p, action).statements)
        return list({id(s): s for s in speaking if s.effect == "Allow"}.values())

    def known(self, question: Question) -> dict[str, str | tuple[str, ...] | None]:
        """What is known of a request of it, before anything is supposed."""
        keys = self.caller.known(question.session)
        keys["aws:SecureTransport"] = "true"
        if question.resource:
            region = question.resource.split(":", 5)[3] if is_arn(question.resource) else ""
            named = region if region and not set(region) & set("*?") else self.ground.account.home_region
            keys["aws:RequestedRegion"] = named
            keys["aws:ResourceAccount"] = account_of(question.resource) or self.ground.id
        if question.day:
            keys["aws:CurrentTime"] = f"{question.day}T12:00:00Z"
        spelt = {key.lower(): key for key in keys}
        for key, values in question.given:
            keys[spelt.get(key.lower(), key)] = values[0] if len(values) == 1 else values
        return keys


EVERYTHING = Statement("Everything", "Allow", ("*",), ("*",))
_PERSONAL = ("aws:username", "aws:userid", "aws:principalarn", "aws:principaltag/")


def _asks_who(statement: Statement) -> bool:
    """Whether a statement asks who calls: by a condition, or by a policy variable."""
    texts = (text.lower() for text in (*statement.resources, *statement.not_resources))
    return _asks_who_in_conditions(statement) or any(f"${{{key}" in text for text in texts for key in _PERSONAL)


def _asks_who_in_conditions(statement: Statement) -> bool:
    return any(
        c.key.lower().startswith(_PERSONAL) or any(f"${{{key}" in v.lower() for v in c.values for key in _PERSONAL)
        for c in statement.conditions
    )


def _kept(policy: Policy, keep: Callable[[Statement], bool]) -> Policy:
    return replace(policy, statements=tuple(s for s in policy.statements if keep(s)))


def _way(statement: Statement, policy: str, holder: Holder, at: Span | None) -> Way:
    kind: Literal["team", "role", "break-glass"] = "role" if isinstance(holder, Role) else "team"
    if holder.path == "/break-glass/":
        kind = "break-glass"
    elif stands_for_team(holder):
        kind = "team"
    return Way(holder.name, kind, policy, statement, at, holder.span, policy in holder.managed)
