"""Why somebody can or cannot do something, who can, and what one principal can: a Baseline and a question -> an answer.

Every answer is the judge's, over the policies that are deployed, with the statements that gave it and the lines that
asked for them. What the baseline does not hold (bucket and key policies, SCPs) is said in `notes`, never guessed.
`answers` puts the answers into words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dutybound import catalog
from dutybound.baseline import Baseline
from dutybound.callers import Session, is_team
from dutybound.case import (
    EVERYTHING,
    Case,
    Ground,
    Holder,
    Kind,
    Question,
    Way,
    WrongQuestion,
    account_of,
    is_arn,
    stands_for_team,
    team_of,
)
from dutybound.catalog import Action
from dutybound.denial import Denial, Type
from dutybound.diagnostic import did_you_mean, quoted, visible
from dutybound.evaluate import Decision, Judge, Outcome, Request
from dutybound.fence import key_of
from dutybound.grant import unknown_action_hint
from dutybound.managed import managed_policy
from dutybound.nearest import Near, allows, nearest
from dutybound.policy import Condition, Policy, Statement, glob
from dutybound.when import condition_key_type, near_keys
from dutybound.witness import Known, naming, witness

Stop = Literal["mfa", "guardrail", "organization", "never", "end", "deny"]
"""What an explicit deny is: MFA, a key of `guardrails`, a policy of the organization, a team's `never`, the end of a
membership or role, or a duty's own deny."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An explicit deny that stops a request. `key` is the key of `guardrails`, for a guardrail.

    `holds` are its conditions, which the request meets, with what it has for each.
    """

    kind: Stop
    way: Way
    key: str = ""
    holds: tuple[tuple[Condition, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Unmet:
    """A grant that would reach the resource, and the conditions that the request does not meet, with what it has."""

    way: Way
    conditions: tuple[tuple[Condition, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to a Question, with names and the action as they are written there.

    `chain` holds the statements that allow it, or that would if there were no `obstacles`.
    """

    question: Question
    kind: Kind
    teams: tuple[str, ...]
    outcome: Outcome
    chain: tuple[Way, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    provided: tuple[Condition, ...] = ()
    """What is supposed of the request: that these conditions of a deny do not hold."""
    unmet: tuple[Unmet, ...] = ()
    elsewhere: tuple[Way, ...] = ()
    """Statements that allow the action, on other resources."""
    nearest: tuple[Near, ...] = ()
    administrators: tuple[str, ...] = ()
    """Who has it through a policy of AWS, where no duty grants it."""
    role: str = ""
    """The role of the baseline that is asked about and that the principal may not take."""
    trusted: tuple[str, ...] = ()
    """The teams that the role is for."""
    limits: tuple[Obstacle, ...] = ()
    """Denies that leave some resource or request allowed, and stop others."""
    notes: tuple[str, ...] = ()
    aws: Denial | None = None
    reason: str = ""
    """Why the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Principals that a statement lets do something."""

    way: Way
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhoCan:
    """Who can do one action, out of `of` principals: the ways, and those for whom it is not known, with the reason."""

    action: str
    resource: str
    session: Session
    reaches: tuple[Reach, ...]
    unknown: tuple[tuple[str, str], ...] = ()
    of: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody who can, sorted."""
        return tuple(sorted({name for reach in self.reaches for name in reach.names}))


@dataclass(frozen=True, slots=True)
class ServiceAccess:
    """What somebody can do in one service: actions by level, on all resources or named ones, through which duties."""

    service: str
    levels: Mapping[str, tuple[str, ...]]
    everywhere: bool
    duties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessList:
    """What one principal can do on anything at all, by service; `unknown` are actions for which it is not known."""

    who: str
    kind: Kind
    session: Session
    services: tuple[ServiceAccess, ...]
    unknown: tuple[str, ...] = ()


# --- the questions --------------------------------------------------------------------------------------------------


def explain(baseline: Baseline, question: Question, others: Iterable[Baseline] = ()) -> Explanation:
    """Answer one question. `others` are the baselines of other accounts, whose roles it may be about.

    Raises WrongQuestion for a principal, an action, a resource or a condition key that does not exist.
    """
    _check(question)
    ground = Ground(baseline, question.account or account_of(question.who) or _account_of_resource(baseline, question))
    action = _action(question.action)
    role = _role_elsewhere(ground, question.resource, others) if action.service == "sts" else None
    answers = [_answer(case, action, question, role) for case in ground.cases(question.who)]
    # Somebody who is here as one team at a time can what one of them can.
    found = max(answers, key=lambda one: _BEST.index(one.outcome))
    return replace(found, notes=(*_taken(ground, question.who, [one.question.who for one in answers]), *found.notes))


def _account_of_resource(baseline: Baseline, question: Question) -> str:
    """The account of the resource, if that can be the baseline's; else the question is about another's resource."""
    account = account_of(question.resource)
    known = [target.id for target in baseline.accounts[0].targets]
    return account if not known or account in known else ""


_BEST: tuple[Outcome, ...] = ("denied", "unknown", "allowed")


def _taken(ground: Ground, who: str, names: Sequence[str]) -> Iterator[str]:
    """How somebody acts here whose user is in another account."""
    roles = [ground.roles[name] for name in names if name in ground.roles and is_team(ground.roles[name])]
    if not roles:
        return
    if sets := [role.permission_set for role in roles if role.permission_set is not None]:
        one = ", one at a time" if len(sets) > 1 else ""
        yield f"people sign in through Identity Center here, with the permission set {' or '.join(sets)}{one}"
        return
    principal = next(v for s in roles[0].trust.statements for p in s.principals for v in p.values)
    home = principal.split(":")[-2]
    taken = " or ".join(f"{role.path}{role.name}" for role in roles)
    name = who.strip().rpartition(":")[2]
    if name.casefold() in (n.casefold() for n in ground.of_people):
        one = ", one at a time" if len(roles) > 1 else ""
        yield f"{name} is of the account {home}, and takes the role {taken} from there{one}"
    else:
        yield f"{names[0]} is a team; its people take the role {taken} from the account {home}"


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A role of another account of the configuration, with its trust there."""

    name: str
    trust: Policy
    teams: tuple[str, ...]


def _role_elsewhere(ground: Ground, resource: str, others: Iterable[Baseline]) -> _Elsewhere | None:
    """The role that an ARN of another account names, if that account is one of these baselines'."""
    account = account_of(resource)
    if not ground.is_foreign(resource):
        return None
    for other in others:
        if any(target.id == account for target in other.accounts[0].targets):
            there = Ground(other, account)
            if (role := there.role_named(resource)) is not None:
                return _Elsewhere(role.name, there.of_resource(resource), (role.name,) if is_team(role) else ())
    return None


def _answer(case: Case, action: Action, question: Question, elsewhere: _Elsewhere | None = None) -> Explanation:
    session: Session = "role" if case.caller.role else question.session
    asked = replace(question, who=case.name, action=str(action), session=session)
    return _Explaining(case, action, asked, elsewhere).answer()


def explain_denial(baseline: Baseline, denial: Denial, question: Question) -> Explanation:
    """Explain a message of AWS, which says who, what and where; `question` says the rest.

    The reason that AWS gives is compared with the baseline's own. Raises NotOurs for a message about a principal that
    is not of this baseline, saying whose it is, and WrongQuestion as `explain` does.
    """
    _check(replace(question, resource=""))
    ground = Ground(baseline, question.account or account_of(denial.principal))
    case = ground.of_arn(denial.principal)
    action = _action(denial.action)
    resource, note = ground.resource(denial.resource)
    asked = replace(question, resource=resource, given=(*denial.given, *question.given))
    found = _answer(case, action, asked)
    notes = [note] if note else []
    named = denial.policy.rpartition("/")[2]
    if found.outcome == "allowed" and _may_lack_mfa(denial, found.question.session):
        for session in ("no-mfa", "key"):
            other = _answer(case, action, replace(asked, session=session))
            if other.outcome == "denied" and named in ("", *(o.way.policy for o in other.obstacles)):
                found = other
                notes.append("with MFA it is allowed; AWS's message does not say how the session was signed in")
                break
    above = denial.type == _SCP and bool(case.guards)
    if found.outcome == "allowed" and denial.effect == "explicit" and (above or denial.type not in _NOT_OURS):
        limits = [o for o in _Explaining(case, action, found.question).limits() if (o.kind == "organization") == above]
        found = replace(found, limits=tuple(o for o in limits if above or named in ("", o.way.policy)))
    return replace(found, notes=(*found.notes, *notes, *_compared(ground, found, denial)), aws=denial)


def _may_lack_mfa(denial: Denial, session: Session) -> bool:
    """Whether AWS's reason may be our MFA policy: a message does not tell how somebody signed in, a decoded one may."""
    told = any(key.lower() == "aws:multifactorauthpresent" for key, _ in denial.given)
    ours = denial.type in ("", "identity-based policy", "permissions boundary")
    return session == "mfa" and denial.effect == "explicit" and ours and not told


def who_can(baseline: Baseline, question: Question) -> tuple[WhoCan, ...]:
    """Who can do an action, or each action that a pattern takes in; `who` of the question is not looked at.

    Condition keys that nobody gives can be anything: the statements say under which conditions. Each distinct set of
    policies is judged once. Raises WrongQuestion.
    """
    actions = _actions(question.action)
    _check(question)
    ground = Ground(baseline, question.account or _account_of_resource(baseline, question))
    everybody = [ground.case_of(sort, name) for sort, name in ground.everybody]
    return tuple(who_of(everybody, action, question) for action in actions)


def who_of(everybody: Sequence[Case], action: Action, question: Question) -> WhoCan:
    """Who of these can do an action; `who` and `action` of the question are not looked at."""
    alike: dict[tuple[object, ...], list[Case]] = {}
    for case in everybody:
        alike.setdefault(case.decides(action, question.resource), []).append(case)
    reached: dict[tuple[str, str, Statement], tuple[Way, set[str]]] = {}
    unknown: list[tuple[str, str]] = []
    for cases in alike.values():
        case = cases[0]
        if not case.allowing(action):
            continue
        session: Session = "role" if case.caller.role else question.session
        known = case.known(replace(question, session=session))
        where = case.ground.where(case)
        hit = witness(case.about(action, question.resource), action, known, where, question.resource)
        if hit is not None and hit.outcome == "unknown":
            unknown += [(c.name, hit.reason) for c in cases]
        elif hit is not None:
            for way in case.granting(action, known, question.resource):
                names = reached.setdefault((way.holder, way.policy, way.statement), (way, set()))[1]
                names.update(c.name for c in cases)
    reaches = [Reach(way, tuple(sorted(names))) for way, names in reached.values()]
    reaches.sort(key=lambda r: (_ORDER.index(r.way.kind), r.way.holder, r.way.policy, r.way.statement.sid))
    found, doubts = tuple(reaches), tuple(sorted(unknown))
    return WhoCan(str(action), question.resource, question.session, found, doubts, len(everybody))


_ORDER = ("team", "role", "break-glass", "boundary")


def list_access(baseline: Baseline, question: Question) -> AccessList:
    """Everything that `who` of the question can do on anything at all, by service and level. Raises WrongQuestion."""
    _check(question)
    case = Ground(baseline, question.account or account_of(question.who)).case(question.who)
    session: Session = "role" if case.caller.role else question.session
    known = case.known(replace(question, resource="", session=session))
    side, where = case.side(), case.ground.where(case)
    found: dict[str, list[Action]] = {}
    ways: dict[str, dict[int, Way]] = {}
    unknown: list[str] = []
    answered: dict[tuple[object, ...], Outcome] = {}
    for prefix in catalog.services():
        for action in catalog.service(prefix).actions.values():
            speaking = naming(side, action)
            granting = [s for s in speaking if s.effect == "Allow" and _is_own(case, s)]
            if not granting:
                continue
            # Of an action, the answer hangs on the statements and on the resources that it can be about, no more.
            key = (prefix, action.types, *(id(s) for s in speaking))
            if key not in answered:
                hit = witness(side, action, known, where)
                answered[key] = hit.outcome if hit else "denied"
            if answered[key] == "unknown":
                unknown.append(str(action))
            elif answered[key] == "allowed":
                found.setdefault(prefix, []).append(action)
                ways.setdefault(prefix, {}).update({id(w): w for s in granting for w in case.ways(s)})
    services = tuple(_service(prefix, actions, ways[prefix].values()) for prefix, actions in found.items())
    return AccessList(case.name, case.kind, session, services, tuple(sorted(unknown)))


def _is_own(case: Case, statement: Statement) -> bool:
    ways = case.ways(statement)
    return bool(ways) and ways[0].kind not in ("boundary", "organization")


def _service(prefix: str, actions: Iterable[Action], ways: Iterable[Way]) -> ServiceAccess:
    levels: dict[str, list[str]] = {}
    for action in sorted(actions):
        levels.setdefault(action.level, []).append(action.name)
    every = list(ways)
    return ServiceAccess(
        prefix,
        {level: tuple(levels[level]) for level in LEVELS if level in levels},
        any("*" in w.statement.resources for w in every),
        tuple(sorted({duty for w in every for duty in w.duties})),
    )


LEVELS = ("list", "read", "write", "tagging", "permissions")


# --- what is asked about --------------------------------------------------------------------------------------------


def _action(text: str) -> Action:
    """The action of that name, in whatever case."""
    service, _, name = text.strip().partition(":")
    prefix = service.lower()
    known = catalog.service(prefix).action(name) if prefix in catalog.services() else None
    if known is None:
        hint = unknown_action_hint(f"{prefix}:{name}") if name else "write it as in s3:GetObject"
        raise WrongQuestion(f"there is no action {quoted(text)}; {hint}")
    return known


def _actions(pattern: str) -> tuple[Action, ...]:
    if not set(pattern) & set("*?"):
        return (_action(pattern),)
    service, _, name = pattern.strip().partition(":")
    prefix = service.lower()
    found = tuple(sorted(catalog.actions_of(f"{prefix}:{name or '*'}")))
    if not found:
        near = did_you_mean(prefix, catalog.services()) if prefix not in catalog.services() else ""
        raise WrongQuestion(f"{quoted(pattern)} matches no action{'; ' + near if near else ''}")
    return found


def _check(question: Question) -> None:
    for key, _ in question.given:
        if condition_key_type(key) is None:
            near = did_you_mean(key, near_keys(key))
            raise WrongQuestion(f"there is no condition key {quoted(key)}{'; ' + near if near else ''}")
    if question.resource not in ("", "*") and not is_arn(question.resource):
        example = "write it as in arn:aws:s3:::bucket/file, or leave it out"
        raise WrongQuestion(f"{quoted(question.resource)} is no ARN; {example}")
    if question.account and not re.fullmatch(r"[0-9]{12}", question.account):
        raise WrongQuestion(f"{quoted(question.account)} is no account id, which has 12 digits")


# --- one explanation ------------------------------------------------------------------------------------------------

_FROM_WHERE = ("aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip")
"""What every request carries one way or the other: from where it comes. Not said, it is supposed to be right."""


_FREE = ("sts:GetCallerIdentity", "sts:GetSessionToken")
"""STS API Reference: "No permissions are required to perform this operation"."""


class _Explaining:
    """One question about one principal. `context` is what is known of the request; the rest it does not carry."""

    def __init__(self, case: Case, action: Action, question: Question, elsewhere: _Elsewhere | None = None) -> None:
        self.case, self.action, self.question, self.elsewhere = case, action, question, elsewhere
        self.ground, self.resource = case.ground, question.resource
        self.known = case.known(question)
        self.where = self.ground.where(case)
        self.side = case.side(self.resource) if elsewhere is None else case.across(elsewhere.trust)
        self.context = {key: value for key, value in self.known.items() if value is not None}

    def answer(self) -> Explanation:
        groups = [h.name for h, _ in self.case.holders if stands_for_team(h)]
        teams = tuple(dict.fromkeys(map(team_of, groups)))
        blank = Explanation(self.question, self.case.kind, teams, "denied", notes=tuple(self._notes()))
        return self._on_resource(blank) if self.resource else self._on_anything(blank)

    def _on_anything(self, blank: Explanation) -> Explanation:
        hit = witness(self.side, self.action, self.known, self.where)
        if hit is not None and hit.outcome == "allowed":
            chain = self.case.granting(self.action, self.known)
            return replace(blank, outcome="allowed", chain=chain, limits=tuple(self.limits()))
        if hit is not None:
            return replace(blank, outcome="unknown", reason=hit.reason)
        bare = witness(self.case.bare(), self.action, self.known, self.where)
        if bare is not None and bare.outcome == "allowed":
            obstacles = self._certain(self.side.decide(bare.request))
            return replace(blank, obstacles=obstacles, chain=self._would())
        return self._not_granted(replace(blank, obstacles=self._denied_anyway()), None)

    def _denied_anyway(self) -> tuple[Obstacle, ...]:
        """The denies that would stop it on every resource, whatever else were granted."""
        if witness(self.case.at_most(), self.action, self.known, self.where) is not None:
            return ()
        everything = Judge([Policy((EVERYTHING,))])
        some = witness(everything, self.action, self.known, self.where)
        return self._certain(self.side.decide(some.request)) if some is not None else ()

    def _certain(self, decision: Decision) -> tuple[Obstacle, ...]:
        """The denies that hang on nothing that the question leaves open; all, if there are no such."""
        known = {key.lower() for key in self.known}
        obstacles = self._obstacles(decision)
        certain = [o for o in obstacles if all(c.key.lower() in known for c in o.way.statement.conditions)]
        return tuple(certain) or obstacles

    def limits(self) -> Iterator[Obstacle]:
        """The denies that may still apply, on some resource or with some condition keys."""
        for statement in dict.fromkeys(naming(self.side, self.action)):
            if statement.effect == "Deny":
                applies = Judge([Policy((replace(statement, effect="Allow"),))])
                if witness(applies, self.action, self.known, self.where, self.resource) is not None:
                    yield replace(self._obstacle(statement), holds=())

    def _on_resource(self, blank: Explanation) -> Explanation:
        request = self._request(self.context)
        decision, provided = self._from_the_right_place(self.side.decide(request))
        if decision.outcome == "allowed":
            chain = tuple(w for s in decision.because for w in self.case.ways(s) if w.kind != "boundary")
            if self.elsewhere is None and self.ground.is_foreign(self.resource):
                other = account_of(self.resource)
                reason = f"the resource is in the account {other}, whose own policy must allow it as well"
                return replace(blank, outcome="unknown", chain=chain, reason=reason)
            return replace(blank, outcome="allowed", chain=chain, provided=provided)
        if decision.outcome == "unknown":
            return replace(blank, outcome="unknown", reason=decision.reason)
        blank = replace(blank, obstacles=self._obstacles(decision))
        if self.elsewhere is not None and not blank.obstacles and "trust policy" in decision.silent:
            return replace(blank, role=self.elsewhere.name, trusted=self.elsewhere.teams)
        bare = self.case.bare(self.resource).decide(request)
        if bare.outcome == "allowed":
            return replace(blank, chain=self._would())
        role = self.ground.role_named(self.resource)
        if role is not None and self.action.service == "sts":
            return replace(blank, role=role.name, trusted=self._trusted())
        if self.elsewhere is not None and self.elsewhere.teams:
            return replace(blank, role=self.elsewhere.name, trusted=self.elsewhere.teams)
        return self._not_granted(blank, request)

    def _trusted(self) -> tuple[str, ...]:
        """The teams that may take the role that is asked about."""
        trusted = (
            team_of(group.name)
            for group in self.ground.account.groups
            for _, policy in self.ground.policies(group)
            for s in policy.statements
            if self.resource in s.resources and any(o.duty == "trusts" for o in s.origins)
        )
        return tuple(dict.fromkeys(trusted))

    def _request(self, context: Mapping[str, str | tuple[str, ...]]) -> Request:
        return Request(self.case.caller.arn, str(self.action), self.resource or "*", context)

    def _from_the_right_place(self, decision: Decision) -> tuple[Decision, tuple[Condition, ...]]:
        """The decision for a request that comes from where it may, if nobody said where it comes from."""
        said = {key.lower() for key in self.context}
        free = [c for s in _denies(decision) for c in s.conditions if c.key.lower() in _FROM_WHERE]
        free = [c for c in free if c.key.lower() not in said]
        if not free:
            return decision, ()
        keys = {c.key.lower() for c in free}
        absent = {c.key for s in naming(self.side, self.action) for c in s.conditions if c.key.lower() not in keys}
        hit = witness(self.side, self.action, self._with_absent(absent), self.where, self.resource)
        if hit is not None and hit.outcome == "allowed":
            return self.side.decide(hit.request), tuple(dict.fromkeys(free))
        others = tuple(s for s in _denies(decision) if not any(c in free for c in s.conditions))
        return (replace(decision, because=others) if decision.because else decision), ()

    def _with_absent(self, keys: Iterable[str]) -> Known:
        """What is known, and that the request carries none of the other keys."""
        known = {key.lower() for key in self.known}
        return {**{key: None for key in keys if key.lower() not in known}, **self.known}

    def _would(self) -> tuple[Way, ...]:
        """The ways by which it would be allowed, if nothing denied it."""
        found: list[Way] = []
        for statement in self.case.allowing(self.action):
            absent = {c.key for c in statement.conditions} if self.resource else ()
            side = Judge([Policy((statement,))])
            hit = witness(side, self.action, self._with_absent(absent), self.where, self.resource)
            if hit is not None and hit.outcome == "allowed":
                found += self.case.ways(statement)
        return tuple(found)

    def _not_granted(self, blank: Explanation, request: Request | None) -> Explanation:
        """What is missing: conditions, other resources, or a duty. Without a request any resource counts."""
        elsewhere: list[Way] = []
        unmet: list[Unmet] = []
        for statement in self.case.allowing(self.action):
            ways = self.case.ways(statement)
            if request is None or _reaches(statement, request):
                conditions = self._conditions(statement, met=False)
                unmet += [Unmet(way, conditions) for way in ways]
            else:
                elsewhere += ways
        found = replace(blank, unmet=tuple(unmet), elsewhere=tuple(elsewhere))
        if str(self.action) in _FREE and not blank.obstacles:
            return replace(blank, outcome="allowed", notes=(*blank.notes, "AWS asks for no permission for this call"))
        if unmet or any(way.is_of_duty for way in elsewhere) or self.case.kind == "break-glass":
            return found
        near = nearest(self.action, self.ground.account, {h.name for h, _ in self.case.holders})
        return replace(found, nearest=near, administrators=() if near else self._administrators())

    def _conditions(self, statement: Statement, met: bool) -> tuple[tuple[Condition, tuple[str, ...]], ...]:
        """The conditions of a statement that the request meets, or does not, with what it has for each."""
        keys = {k.lower(): (v,) if isinstance(v, str) else tuple(v) for k, v in self.context.items()}
        found = []
        for condition in statement.conditions:
            alone = replace(statement, effect="Allow", conditions=(condition,))
            alone = replace(alone, resources=("*",), not_resources=())
            held = Judge([Policy((alone,))]).decide(self._request(self.context)).outcome == "allowed"
            if held == met:
                found.append((condition, keys.get(condition.key.lower(), ())))
        return tuple(found)

    def _administrators(self) -> tuple[str, ...]:
        holders: list[Holder] = [*self.ground.account.groups, *self.ground.account.roles]
        return tuple(
            h.name
            for h in holders
            if any(allows(s, self.action) for id_ in h.managed for s in managed_policy(id_).policy.statements)
        )

    def _obstacles(self, decision: Decision) -> tuple[Obstacle, ...]:
        return tuple(self._obstacle(s) for s in dict.fromkeys(_denies(decision)))

    def _obstacle(self, statement: Statement) -> Obstacle:
        ways = self.case.ways(statement)
        way = ways[0] if ways else Way("", "role", "its trust policy", statement)
        kind, key = stop_of(statement)
        return Obstacle(kind, way, key, self._conditions(statement, met=True))

    def _notes(self) -> Iterator[str]:
        if self.resource not in ("", "*"):
            yield from self._wrong_type()
        if self.action.service == "kms" and "key" in self.action.types:
            yield "provided that the key's own policy leaves access to IAM, as AWS's default does"
        takes = self.action.service == "sts" and self.action.name.startswith("AssumeRole")
        if takes and self.elsewhere is None and self.ground.role_named(self.resource) is None:
            yield "provided that the trust policy of the role allows it as well"

    def _wrong_type(self) -> Iterator[str]:
        """Whether the resource is none that the action can be about."""
        types = catalog.service(self.action.service).types
        formats = [types[name].arn for name in self.action.types if name in types]
        if not formats:
            yield f"AWS judges {self.action} on '*' alone, whatever the resource is"
        elif not any(glob(_VARIABLE.sub("*", f)).fullmatch(self.resource) for f in formats):
            yield f"{self.action} is about other resources: {' or '.join(formats[:3])}"


_VARIABLE = re.compile(r"\$\{[^}]*\}")


def stop_of(statement: Statement) -> tuple[Stop, str]:
    """What an explicit deny is, and the key of `guardrails` for a guardrail."""
    duty = statement.origins[0].duty if statement.origins else ""
    ours: dict[str, Stop] = {"mfa": "mfa", "break_glass": "mfa", "guardrails": "guardrail", "until": "end"}
    ours |= {"guardrails.organization": "organization"}
    kind: Stop = ours.get(duty, "never" if statement.sid.startswith("Never") else "deny")
    return kind, key_of(statement.sid) if kind == "guardrail" else ""


def _denies(decision: Decision) -> tuple[Statement, ...]:
    return tuple(s for s in decision.because if s.effect == "Deny")


def _reaches(statement: Statement, request: Request) -> bool:
    """Whether a statement that allows reaches the resource, whatever its conditions."""
    return Judge([Policy((replace(statement, conditions=()),))]).decide(request).outcome == "allowed"


# --- what AWS says, beside what the baseline says -------------------------------------------------------------------

_SCP: Type = "service control policy"
_NOT_OURS: Mapping[Type, str] = {
    "service control policy": "at the SCPs of the organization",
    "resource control policy": "at the RCPs of the organization",
    "resource-based policy": "at the resource's own policy",
    "VPC endpoint policy": "at the policy of the VPC endpoint",
    "session policy": "at the policy that the session was made with",
    "role trust policy": "at the trust policy of the role",
}
"""Policies that are not the principal's own, and where to look for them."""


def _compared(ground: Ground, found: Explanation, denial: Denial) -> Iterator[str]:
    """What AWS's reason adds to the baseline's own, or where they differ."""
    if denial.policy and not (denial.type == _SCP and ground.account.guards):  # AWS names it by an id, which we lack
        name = denial.policy.rpartition("/")[2]
        ours = next((p for p in ground.account.policies if p.name == name), None)
        if ours is not None and denial.policy.endswith(f":policy{ours.path}{ours.name}"):
            yield f"the policy that AWS names, {ours.name}, is the baseline's"
        else:
            yield f"the policy that AWS names, {visible(denial.policy)}, is not the baseline's"
    if not denial.effect:
        return
    said = _said(denial)
    if (denial.effect, denial.type) == ("implicit", "permissions boundary"):
        yield f"AWS says that {said}; no boundary of the baseline leaves anything out, so another one is attached"
    elif denial.type == _SCP and any(o.kind == "organization" for o in (*found.obstacles, *found.limits)):
        also = "" if found.obstacles else ", if the request met the conditions of one of the denies above"
        yield f"AWS gives the same reason: {said}{also}"
    elif found.outcome == "allowed" and denial.type in _NOT_OURS:
        yield f"AWS says that {said}; the baseline's own policies allow it: look {_NOT_OURS[denial.type]}"
    elif found.outcome == "allowed" and found.limits:
        yield f"AWS says that {said}: it is one of the denies above, if the request met its conditions"
    elif found.outcome == "allowed":
        yield f"AWS says that {said}; the baseline allows it: deploy it if it has changed, or look for other policies"
    elif found.outcome == "denied" and denial.type in _NOT_OURS:
        yield f"AWS says that {said}; the baseline denies it by itself, too"
    elif found.outcome == "denied" and (denial.effect == "explicit") != bool(found.obstacles):
        mine = "there is an explicit deny" if found.obstacles else "there is none, and nothing grants it either"
        yield f"AWS says that {said}; in the baseline {mine}: the account may differ from it"
    elif found.outcome == "denied":
        yield f"AWS gives the same reason: {said}"


def _said(denial: Denial) -> str:
    kind = denial.type or "policy"
    if denial.effect == "implicit":
        return f"no {kind} allows it"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} denies it"
