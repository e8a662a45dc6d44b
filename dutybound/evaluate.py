"""decide(request, policies) -> Decision: what IAM would answer, and never a guess.

An explicit deny wins; then every level that limits must allow, and a policy that grants; what nothing allows is
denied. `Policies` holds all that AWS looks at: identity policies, boundary, session policy, resource or trust policy,
SCPs and RCPs. Whatever the judge does not know (an operator, a multi-valued key without a set operator, a trust policy
that is not given) makes the answer 'unknown', which its callers treat as a failure.

Sources: IAM User Guide, "Policy evaluation logic", "How AWS enforcement code logic evaluates requests to allow or deny
access", "Policy evaluation for requests within a single account", "Cross-account policy evaluation logic", "Permissions
boundaries for IAM entities", "AWS JSON policy elements: Principal"; Organizations User Guide, "SCP evaluation" and "RCP
evaluation"; KMS Developer Guide, "Key policies in AWS KMS".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache
from typing import Literal, NamedTuple

from dutybound.baseline import Account, Group, Role
from dutybound.conditions import Keys, Match, Test, Unknown, Values, like, prepare
from dutybound.managed import managed_policy
from dutybound.policy import VERSION, Policy, Statement, filled, glob
from dutybound.principals import Caller, CallerKind, Named, PerhapsNamed, caller, named, spared

Outcome = Literal["allowed", "denied", "unknown"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call: who (ARN), which action on which resource (ARN or `*`), and the condition keys that hold.

    A key that is absent from `context` is absent from the request. Keys are compared without case. Besides ARNs, a
    principal can be a service (`lambda.amazonaws.com`), an identity provider, `*` for a caller without credentials, or
    empty where nothing depends on who calls.
    """

    principal: str
    action: str
    resource: str
    context: Mapping[str, str | Values] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything that decides over one principal and one resource.

    `groups` holds the policies of each group; `scps` those of each level from the root to the principal's account, and
    `rcps` those down to the resource's account. None says that there is no such policy: no boundary, no organization,
    or a principal that it does not apply to (SCPs and RCPs spare the management account). `guards` are SCPs that only
    deny, where FullAWSAccess is attached beside them at every level: a shorter way to write such `scps`.
    """

    identity: tuple[Policy, ...] = ()
    groups: tuple[tuple[Policy, ...], ...] = ()
    boundary: Policy | None = None
    session: Policy | None = None
    resource: Policy | None = None
    scps: tuple[tuple[Policy, ...], ...] | None = None
    rcps: tuple[tuple[Policy, ...], ...] | None = None
    guards: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a deciding statement stands: the policy ('identity[0]', 'scps[1][0]') and its index there, from 0."""

    policy: str
    index: int
    statement: Statement


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and the statements that gave it; for an implicit deny there are none."""

    outcome: Outcome
    because: tuple[Statement, ...] = ()
    reason: str = ""
    """Why the answer is unknown."""
    places: tuple[Place, ...] = ()
    """Where the statements of `because` stand, one for one."""
    silent: tuple[str, ...] = ()
    """For an implicit deny the levels that did not allow: 'identity', 'boundary', 'scp level 2', 'trust policy' …"""


def decide(request: Request, policies: Policies | Iterable[Policy]) -> Decision:
    """Judge one request. Policies in a row are the identity policies of its principal, judged alone (see Judge)."""
    return Judge(policies).decide(request)


class Yes(IntEnum):
    """A level's answer. All of several levels is their minimum, any of them the maximum."""

    NO = 0
    UNKNOWN = 1
    YES = 2


_NO, _MAYBE, _YES = Yes

_IDENTITY, _BOUNDARY, _SESSION, _RESOURCE, _GUARDS, _ORGANIZATION = range(6)
"""Levels; SCPs and then RCPs follow from `_ORGANIZATION` on, one number for each of their levels."""
_LINKED_ROLE = re.compile(r"arn:[^:]*:iam::\d*:role/aws-service-role/.*")
_ROLE = re.compile(r"arn:[^:]*:iam::\d*:role/.+", re.DOTALL)
_KEY = re.compile(r"arn:[^:]*:kms:[^:]*:\d*:key/.+", re.DOTALL)
_OWNER = re.compile(r"arn:[^:]*:[^:]*:[^:]*:(\d+):")
_MOST_ACTIONS = 1024
"""Actions that a judge keeps prepared at a time, so that its memory stays bounded whatever it is asked."""


class Judge:
    """The policies over one principal, prepared for many requests.

    Policies in a row are identity policies, judged alone: what they say of a request, whoever owns the resource and
    whatever its own policy says. `Policies` are judged together, as AWS does.
    """

    def __init__(self, policies: Policies | Iterable[Policy]) -> None:
        """Take all policies; the order of policies and statements within a level does not matter."""
        self._alone = not isinstance(policies, Policies)
        self._all = policies if isinstance(policies, Policies) else Policies(identity=tuple(policies))
        self._scps = range(_ORGANIZATION, _ORGANIZATION + len(self._all.scps or ()))
        self._rcps = range(self._scps.stop, self._scps.stop + len(self._all.rcps or ()))
        prepared = [
            _Prepared(number, level, Place(name, index, statement), policy.version == VERSION)
            for number, (level, name, policy, index, statement) in enumerate(_listed(self._all))
        ]
        self._prepared = prepared
        self._index = _Index(prepared)
        self._verdicts: dict[tuple[object, ...], _Verdict] = {}
        # RCPFullAWSAccess is attached everywhere and cannot be detached (Organizations User Guide, "RCP evaluation"):
        # a level of RCPs that only denies is read as having it, and narrows nothing beyond its denies.
        self._narrowing = [
            *self._scps,
            *(
                level
                for level, rcps in zip(self._rcps, self._all.rcps or (), strict=True)
                if any(s.effect == "Allow" for policy in rcps for s in policy.statements)
            ),
        ]

    @property
    def statements(self) -> tuple[Spoken, ...]:
        """All statements, each with its level."""
        return tuple(Spoken(p.level, p.place.statement, p.variables) for p in self._prepared)

    def naming(self, action: str) -> list[Statement]:
        """The statements that speak of an action, whatever the resource and the conditions."""
        return [prepared.place.statement for prepared in self._index.speaking(action.lower()).statements]

    def speaking(self, action: str) -> tuple[Spoken, ...]:
        """The statements that speak of an action, each with its level; equal ones decide alike.

        Actions of which the same statements speak are answered with the same tuple.
        """
        return self._index.speaking(action.lower()).spoken

    def decide(self, request: Request) -> Decision:
        """Judge one request."""
        keys = {k.lower(): (v,) if isinstance(v, str) else tuple(v) for k, v in request.context.items()}
        who = caller("" if self._alone else request.principal)
        skipped = self._skipped(who, keys)
        found = self._gather(request, keys, who, skipped)
        if found.denies:
            return _decision("denied", found.denies)
        own = _own_policy(request)
        verdict = self._verdict(_Standing(who.kind, skipped, self._case(request, keys, who), own), found)
        if verdict.granted is _NO:
            return Decision("denied", silent=verdict.silent)
        if verdict.granted is _YES and not any(prepared.denies for prepared, _ in found.doubts):
            level = _RESOURCE if verdict.by_resource_alone else _IDENTITY
            return _decision("allowed", [p for p in found.allows if p.level >= level])
        settled = {prepared.level for prepared in found.allows if prepared.level != _RESOURCE}
        doubts = [d for d in found.doubts if d[0].denies or (verdict.granted is _MAYBE and d[0].level not in settled)]
        reason = doubts[0][1] if doubts else f"the {own} is not given, and it must allow as well"
        return _decision("unknown", [prepared for prepared, _ in doubts], reason)

    def _gather(self, request: Request, keys: Keys, who: Caller, skipped: Sequence[int]) -> _Found:
        """Every statement that speaks of the request, and those that may."""
        denies: list[_Prepared] = []
        allows: list[_Prepared] = []
        doubts: list[tuple[_Prepared, str]] = []
        namings: set[Named] = set()
        perhaps: set[Named] = set()
        for prepared, doubt in self._index.speaking(request.action.lower()).on(request.resource, keys):
            if prepared.level in skipped:
                continue
            naming = Named.DIRECTLY
            try:
                if not prepared.plain:
                    naming = self._naming(prepared, who)
            except Unknown as unknown:
                doubt = unknown
                naming = unknown.most if isinstance(unknown, PerhapsNamed) else naming
            try:
                if naming is Named.NOT or not prepared.holds(request.resource, keys):
                    continue
            except Unknown as unknown:
                doubt = unknown
            if doubt is not None:
                doubts.append((prepared, str(doubt)))
                if prepared.level == _RESOURCE and not prepared.denies:
                    perhaps.add(naming)
                continue
            if prepared.denies:
                denies.append(prepared)
            else:
                allows.append(prepared)
                if prepared.level == _RESOURCE:
                    namings.add(naming)
        return _Found(denies, allows, doubts, namings, perhaps)

    def _skipped(self, who: Caller, keys: Keys) -> tuple[int, ...]:
        """The levels that do not apply to a principal.

        SCPs are for the users, roles and root of their account; neither they nor RCPs limit a service-linked role. The
        root user has no policies of its own, services and identity providers none in IAM.
        """
        if self._alone or who.kind in ("user", "federated", "unnamed"):
            return ()
        # The ARN of a session does not tell the path of its role, aws:PrincipalArn does.
        if any(map(is_linked_role, (who.text, *keys.get("aws:principalarn", ())))):
            return tuple(range(_GUARDS, self._rcps.stop))
        if who.kind == "root":
            return (_IDENTITY, _BOUNDARY, _SESSION)
        return () if who.inside else (_IDENTITY, _BOUNDARY, _SESSION, _GUARDS, *self._scps)

    def _naming(self, prepared: _Prepared, who: Caller) -> Named:
        statement = prepared.place.statement
        if prepared.level < _RESOURCE or prepared.level in (_GUARDS, *self._scps):
            raise Unknown("a policy of an identity or of an organization names a principal")
        if not statement.not_principals:
            return named(statement.principals, who)
        if not prepared.denies:
            raise Unknown("AWS does not support NotPrincipal in a statement that allows")
        if self._all.boundary is not None and who.kind in ("user", "role", "session"):
            return Named.DIRECTLY  # such a statement denies whoever has a boundary, named or not (NotPrincipal)
        return Named.NOT if spared(statement.not_principals, who) else Named.DIRECTLY

    def _verdict(self, standing: _Standing, found: _Found) -> _Verdict:
        """What follows from the levels that allow a request that nothing denies. It is worked out once."""
        allowing = frozenset([prepared.level for prepared in found.allows])
        doubted = frozenset([prepared.level for prepared, _ in found.doubts if not prepared.denies])
        key = (standing, allowing, doubted, frozenset(found.named), frozenset(found.perhaps))
        verdict = self._verdicts.get(key)
        if verdict is None:
            answers = self._answers(standing, allowing, doubted, found)
            verdict = _Verdict(answers.granted, answers.silent, answers.by_resource_alone)
            if len(self._verdicts) >= _MOST_ACTIONS:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        return verdict

    def _answers(
        self, standing: _Standing, allowing: frozenset[int], doubted: frozenset[int], found: _Found
    ) -> _Answers:
        kind, skipped = standing.kind, standing.skipped

        def level(number: int) -> Yes:
            return _YES if number in allowing else _MAYBE if number in doubted else _NO

        def naming(how: Named) -> Yes:
            return _YES if how in found.named else _MAYBE if how in found.perhaps else _NO

        session = _YES
        if _SESSION not in skipped:
            if self._all.session is not None:
                session = level(_SESSION)
            elif kind == "federated":
                session = _NO  # without a session policy a federated session has no permissions of its own
        return _Answers(
            identity=_YES if kind == "root" else level(_IDENTITY) if _IDENTITY not in skipped else _NO,
            boundary=_YES if self._all.boundary is None or _BOUNDARY in skipped else level(_BOUNDARY),
            session=session,
            directly=naming(Named.DIRECTLY),
            entity=naming(Named.ENTITY),
            account=naming(Named.ACCOUNT),
            organization=[(n, level(n)) for n in self._narrowing if n not in skipped],
            own=standing.own,
            own_given=self._all.resource is not None,
            case=standing.case,
            first_rcp=self._rcps.start,
        )

    def _case(self, request: Request, keys: Keys, who: Caller) -> _Case:
        if self._alone:
            return "alone"
        if not who.inside:
            return "outside"
        if who.kind == "root" and request.action.lower() == "sts:assumerole":
            return "root assumes"
        return "same account" if _same_account(request, keys, who) else "across accounts"


class Spoken(NamedTuple):
    """A statement where it decides: at which level, and whether `${…}` in it is a policy variable."""

    level: int
    statement: Statement
    variables: bool

    @property
    def grants(self) -> bool:
        """Whether it can allow by itself: an Allow of an identity or of a resource."""
        return self.statement.effect == "Allow" and self.level in (_IDENTITY, _RESOURCE)

    @property
    def own(self) -> bool:
        """Whether it is over the principal, whatever the resource: its identity, boundary, session and guards."""
        return self.level < _RESOURCE or self.level == _GUARDS


def is_linked_role(arn: str) -> bool:
    """Whether an ARN is that of a service-linked role, which no policy of the organization reaches."""
    return _LINKED_ROLE.fullmatch(arn) is not None


class _Found(NamedTuple):
    """The statements that speak of a request, and those that may."""

    denies: list[_Prepared]
    allows: list[_Prepared]
    doubts: list[tuple[_Prepared, str]]
    named: set[Named]
    """How the allowing statements of the resource policy name the caller."""
    perhaps: set[Named]
    """How, at most, those name the caller of which it is not known whether they allow."""


_Case = Literal["alone", "outside", "root assumes", "same account", "across accounts"]


class _Standing(NamedTuple):
    """What of a request decides which levels count, besides what they say."""

    kind: CallerKind
    skipped: tuple[int, ...]
    case: _Case
    own: str
    """The policy that must allow on its own side: 'trust policy', 'key policy' or nothing."""


class _Verdict(NamedTuple):
    """Whether all levels together allow, which do not, and whether the resource policy allows on its own."""

    granted: Yes
    silent: tuple[str, ...]
    by_resource_alone: bool


class _Answers(NamedTuple):
    """What each level answers, denies aside, and what follows."""

    identity: Yes
    boundary: Yes
    session: Yes
    directly: Yes
    entity: Yes
    account: Yes
    organization: list[tuple[int, Yes]]
    own: str
    own_given: bool
    case: _Case
    first_rcp: int

    @property
    def granted(self) -> Yes:
        """Whether all levels together allow."""
        grant = self._grant
        for _, answer in self.organization:
            if answer < grant:
                grant = answer
        return grant

    @property
    def _grant(self) -> Yes:
        if self.case == "alone":
            return self.identity
        if self.case == "outside":
            return self.directly
        if self.case == "root assumes":  # STS API Reference, "AssumeRole": root cannot, whatever is allowed
            return _NO
        if self.case == "across accounts":
            return min(self._shared, self.identity, self.boundary, self.session)
        if self.own and not self.own_given:
            return _MAYBE
        return max(self.directly, min(self._limited, self.boundary, self.session))

    @property
    def _shared(self) -> Yes:
        return max(self.directly, self.entity, self.account)

    @property
    def _limited(self) -> Yes:
        """The grant that boundary and session policy limit: by the identity, or to the role behind the session."""
        return max(self.entity, min(self.account, self.identity) if self.own else self.identity)

    @property
    def by_resource_alone(self) -> bool:
        """Whether identity policy, boundary and session policy took no part in an allow."""
        if self.case == "outside":
            return True
        within = min(self._limited, self.boundary, self.session)
        return self.case == "same account" and self.directly is _YES and within is not _YES

    @property
    def silent(self) -> tuple[str, ...]:
        """The levels that did not allow."""
        names = [_level_name(number, self.first_rcp) for number, answer in self.organization if answer is _NO]
        if self._grant is not _NO:
            return tuple(names)
        of_resource = (self.own or "resource policy", self._shared)
        of_identity = ("identity", max(self.identity, self.entity))
        limits = (("boundary", self.boundary), ("session", self.session))
        needed: tuple[tuple[str, Yes], ...]
        match self.case:
            case "alone":
                needed = (of_identity,)
            case "outside":
                needed = (of_resource,)
            case "root assumes":
                needed = (("root user", _NO),)
            case "across accounts":
                needed = (of_resource, ("identity", self.identity), *limits)
            case "same account":
                needed = ((of_resource,) if self.own else ()) + (of_identity, *limits)
        return (*names, *(name for name, answer in needed if answer is _NO))


def _level_name(number: int, first_rcp: int) -> str:
    if number < first_rcp:
        return f"scp level {number - _ORGANIZATION + 1}"
    return f"rcp level {number - first_rcp + 1}"


def _decision(outcome: Outcome, prepared: list[_Prepared], reason: str = "") -> Decision:
    places = tuple(p.place for p in sorted(prepared, key=lambda p: p.number))
    return Decision(outcome, tuple(p.statement for p in places), reason, places)


def _own_policy(request: Request) -> str:
    """The policy that must allow on its own side, or nothing: a role's trust policy, a key's policy."""
    service = request.action[:4].lower()
    if service == "sts:" and _ROLE.fullmatch(request.resource):
        return "trust policy"
    return "key policy" if service == "kms:" and _KEY.fullmatch(request.resource) else ""


def _same_account(request: Request, keys: Keys, who: Caller) -> bool:
    """Whether principal and resource are of one account; a resource that names none is taken to be of the caller's."""
    found = _OWNER.match(request.resource)
    owners = keys.get("aws:resourceaccount") or ((found[1],) if found else ())
    return not who.account or not owners or who.account in owners


def _listed(policies: Policies) -> Iterator[tuple[int, str, Policy, int, Statement]]:
    """Every statement with its level and the name of its policy."""
    named_: list[tuple[int, str, Policy]] = [(_IDENTITY, f"identity[{i}]", p) for i, p in enumerate(policies.identity)]
    for i, group in enumerate(policies.groups):
        for j, policy in enumerate(group):
            named_.append((_IDENTITY, f"groups[{i}]" + (f"[{j}]" if len(group) > 1 else ""), policy))
    for level, name, single in (
        (_BOUNDARY, "boundary", policies.boundary),
        (_SESSION, "session", policies.session),
        (_RESOURCE, "resource_policy", policies.resource),
    ):
        if single is not None:
            named_.append((level, name, single))
    named_ += [(_GUARDS, f"guards[{i}]", policy) for i, policy in enumerate(policies.guards)]
    level = _ORGANIZATION
    for name, levels in (("scps", policies.scps or ()), ("rcps", policies.rcps or ())):
        for i, attached in enumerate(levels):
            named_ += [(level, f"{name}[{i}][{j}]", policy) for j, policy in enumerate(attached)]
            level += 1
    for number, name, policy in named_:
        for index, statement in enumerate(policy.statements):
            yield number, name, policy, index, statement


# --- finding the statements that speak of a request -----------------------------------------------------------------


class _Prepared:
    """A statement, with what it takes to compare it; conditions and resources are prepared when first asked for."""

    __slots__ = ("_not_resources", "_resources", "_tests", "denies", "level", "number", "place", "plain", "variables")

    def __init__(self, number: int, level: int, place: Place, variables: bool) -> None:
        self.number, self.level, self.place, self.variables = number, level, place, variables
        self.denies = place.statement.effect == "Deny"
        self.plain = level != _RESOURCE and not place.statement.principals and not place.statement.not_principals
        self._tests: tuple[Test, ...] | None = None
        self._not_resources: tuple[Match, ...] = ()
        self._resources: tuple[tuple[str, Match | None], ...] | None = None

    @property
    def resources(self) -> tuple[tuple[str, Match | None], ...]:
        """The Resource patterns: the text before the first wildcard, and what the whole must match; None: nothing."""
        if self._resources is None:
            self._resources = tuple(self._split(resource) for resource in self.place.statement.resources)
        return self._resources

    def _split(self, resource: str) -> tuple[str, Match | None]:
        start = (_WILD if self.variables else _STAR).split(resource, maxsplit=1)[0]
        if resource == f"{start}*":
            return start, None
        return start, like(resource, self.variables)

    def holds(self, resource: str, keys: Keys) -> bool:
        """Whether NotResource and the conditions hold. Raises Unknown."""
        if self._tests is None:
            statement = self.place.statement
            self._not_resources = tuple(like(r, self.variables) for r in statement.not_resources)
            self._tests = tuple(prepare(c, not self.denies, self.variables) for c in statement.conditions)
        doubt: Unknown | None = None
        for match in self._not_resources:
            try:
                if match(resource, keys):
                    return False
            except Unknown as unknown:
                doubt = unknown
        for test in self._tests:
            try:
                if not test(keys):
                    return False
            except Unknown as unknown:
                doubt = doubt or unknown
        if doubt is not None:
            raise doubt
        return True


_STAR, _WILD = re.compile(r"[*?]"), re.compile(r"[*?]|\$\{")


class _Index:
    """The statements by the actions that they speak of, and by action once it was asked for."""

    def __init__(self, statements: list[_Prepared]) -> None:
        self._by_name: dict[str, list[_Prepared]] = {}
        self._by_service: dict[str, list[tuple[_Prepared, re.Pattern[str]]]] = {}
        """Patterns under their service; under no service those that can speak of any."""
        self._negated: list[tuple[_Prepared, _Actions]] = []
        self._speaking: dict[str, _Speaking] = {}
        self._same: dict[tuple[int, ...], _Speaking] = {}
        """The same by the statements: most actions are spoken of by the same few."""
        for prepared in statements:
            statement = prepared.place.statement
            actions = _actions_of(statement.actions or statement.not_actions)
            if not statement.actions:
                self._negated.append((prepared, actions))
                continue
            for name in actions.names:
                self._by_name.setdefault(name, []).append(prepared)
            for service, patterns in actions.patterns.items():
                self._by_service.setdefault(service, []).extend((prepared, pattern) for pattern in patterns)

    def speaking(self, action: str) -> _Speaking:
        """The statements that speak of an action, given in small letters."""
        found = self._speaking.get(action)
        if found is None:
            chosen = {p.number: p for p in self._by_name.get(action, ())}
            for service in (action.partition(":")[0], ""):
                chosen |= {p.number: p for p, pattern in self._by_service.get(service, ()) if pattern.fullmatch(action)}
            chosen |= {p.number: p for p, actions in self._negated if not actions.match(action)}
            numbers = tuple(sorted(chosen))
            if len(self._speaking) >= _MOST_ACTIONS:
                self._speaking.clear()
                self._same.clear()
            found = self._same.get(numbers)
            if found is None:
                found = self._same[numbers] = _Speaking([chosen[number] for number in numbers])
            self._speaking[action] = found
        return found


class _Actions:
    """An Action or NotAction: its names, and its patterns by service; a pattern that fits any is under no service."""

    def __init__(self, texts: Values) -> None:
        self.names: set[str] = set()
        self.patterns: dict[str, list[re.Pattern[str]]] = {}
        for text in texts:
            folded = text.lower()
            prefix = folded.partition(":")[0]
            if "*" in folded or "?" in folded:
                service = "" if "*" in prefix or "?" in prefix else prefix
                self.patterns.setdefault(service, []).append(glob(folded))
            else:
                self.names.add(folded)

    def match(self, action: str) -> bool:
        """Whether an action, given in small letters, is among them."""
        return action in self.names or any(
            pattern.fullmatch(action)
            for service in (action.partition(":")[0], "")
            for pattern in self.patterns.get(service, ())
        )


_actions_of = lru_cache(maxsize=8192)(_Actions)
"""Many judges hold the same statements; what was made of their actions is only read."""


class _Speaking:
    """The statements that speak of one action, to be found by resource.

    A pattern is filed under the text before its first wildcard, so that a request looks at few of many patterns.
    """

    def __init__(self, statements: list[_Prepared]) -> None:
        self.statements = statements
        self.spoken = tuple(Spoken(p.level, p.place.statement, p.variables) for p in statements)
        self._everywhere: list[_Prepared] = []
        self._by_start: dict[str, list[tuple[_Prepared, Match | None]]] = {}
        for prepared in statements:
            if not prepared.place.statement.resources:
                self._everywhere.append(prepared)
            for start, match in prepared.resources:
                if not start and match is None:
                    self._everywhere.append(prepared)
                else:
                    self._by_start.setdefault(start, []).append((prepared, match))
        self._lengths = sorted({len(start) for start in self._by_start})

    def on(self, resource: str, keys: Keys) -> list[tuple[_Prepared, Unknown | None]]:
        """The statements whose Resource speaks of a resource, in order, and those of which that is not known."""
        found: dict[int, tuple[_Prepared, Unknown | None]] = {p.number: (p, None) for p in self._everywhere}
        for length in self._lengths:
            if length > len(resource):
                break
            for prepared, match in self._by_start.get(resource[:length], ()):
                try:
                    if match is None or match(resource, keys):
                        found[prepared.number] = (prepared, None)
                except Unknown as unknown:
                    found.setdefault(prepared.number, (prepared, unknown))
        return [found[number] for number in sorted(found)]


# --- the policies of a baseline -------------------------------------------------------------------------------------


def policies_of(
    account: Account, name: str, account_id: str = "123456789012", partition: str = "aws"
) -> tuple[Policy, ...]:
    """All policies of a user (through its groups) or a role, ARNs filled in. Raises KeyError for an unknown name."""
    holders: list[Group | Role] = [r for r in account.roles if r.name == name]
    users = [u for u in account.users if u.name == name]
    if not users and not holders:
        raise KeyError(name)
    holders += [g for u in users for g in account.groups if g.name in u.groups]
    customer = {p for holder in holders for p in holder.policies}
    of_aws = {m for holder in holders for m in holder.managed}
    by_name = {p.name: p.policy for p in account.policies}
    own = [in_account(by_name[p], account_id, partition) for p in sorted(customer)]
    return (*own, *(managed_policy(m).policy for m in sorted(of_aws)))


def in_account(policy: Policy, account_id: str, partition: str = "aws") -> Policy:
    """The policy as it is once deployed: partition and account filled in."""

    def fill(values: Values) -> Values:
        return tuple(filled(v, account_id, partition) for v in values)

    return replace(policy, statements=tuple(_with_texts(s, fill) if _has_blanks(s) else s for s in policy.statements))


def _has_blanks(statement: Statement) -> bool:
    """Whether a statement holds what CloudFormation fills in: most hold nothing of it."""
    texts = (
        *(statement.resources, statement.not_resources),
        *(c.values for c in statement.conditions),
        *(p.values for p in (*statement.principals, *statement.not_principals)),
    )
    return any("${AWS::" in value for values in texts for value in values)


def _with_texts(statement: Statement, fill: Callable[[Values], Values]) -> Statement:
    return replace(
        statement,
        resources=fill(statement.resources),
        not_resources=fill(statement.not_resources),
        conditions=tuple(replace(c, values=fill(c.values)) for c in statement.conditions),
        principals=tuple(replace(p, values=fill(p.values)) for p in statement.principals),
        not_principals=tuple(replace(p, values=fill(p.values)) for p in statement.not_principals),
    )
