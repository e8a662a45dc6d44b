"""Tests of access: what a configuration says that somebody can and cannot do, run against what was decided.

`can` asks for one request that is allowed, as it stands. `cannot` and `can_only` speak of every request: any resource
the action can be about, and any condition keys that the test does not settle; so a test that passes is a promise, and
one that fails shows the request that breaks it. What the judge does not know fails.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache

from dutybound import catalog
from dutybound.accounts import places
from dutybound.arns import Where
from dutybound.baseline import Baseline
from dutybound.callers import ACCOUNT_ID, Caller, Session, callers, teams
from dutybound.catalog import Action
from dutybound.classes import variables_in
from dutybound.config import AccessRequest, AccessTest, Configuration, DutyUse
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted
from dutybound.evaluate import Decision, Judge, Request, in_account
from dutybound.grant import actions_named, duty_access, unknown_action_hint
from dutybound.guardrails import Result
from dutybound.lower import scope_of
from dutybound.managed import managed_policy
from dutybound.policy import Policy, Statement, glob
from dutybound.read import Reading
from dutybound.when import condition_key_type, near_keys
from dutybound.witness import Known, OwnSide, Side, Witness, naming, possible, witness


def results(
    reading: Reading, baseline: Baseline, keys: Collection[str] = (), today: date | None = None
) -> Iterator[Result]:
    """Run every test of access of a configuration that is about a destination, in the order written.

    `keys` are what `in` may say for it: its environment, its account. `today` is the day on which requests are made
    (without one, long ago).
    """
    if reading.configuration.access:
        # Other policies of the organization above some of its accounts: a test holds in each.
        every = [_Run(reading, replace(baseline, accounts=(account,)), today) for account in baseline.accounts[0].alike]
        known = places(reading.configuration)
        for test in reading.configuration.access:
            if test.in_ is not None and test.in_ not in known:
                message = f"no team and no role has anything in an environment {quoted(test.in_)}"
                hint = did_you_mean(test.in_, known) or "leave it out"
                wrong = Diagnostic("unknown-environment", message, test.in_.span, hint)
                yield Result(str(test.who), test.in_.span, wrong)
            elif test.in_ is None or test.in_ in keys:
                yield from map(_worst, zip(*(run.test(test) for run in every), strict=True))


def _worst(results: Sequence[Result]) -> Result:
    return next((result for result in results if result.failure is not None), results[0])


@dataclass(frozen=True, slots=True)
class _Who:
    """One caller of a test, signed in in one way."""

    caller: Caller
    session: Session
    side: OwnSide = field(compare=False)

    def __str__(self) -> str:
        how = {"no-mfa": " without MFA", "key": " with an access key alone"}.get(self.session, "")
        return f"{self.caller.name}{how}"


class _Run:
    def __init__(self, reading: Reading, baseline: Baseline, today: date | None) -> None:
        self.configuration: Configuration = reading.configuration
        self.duties = reading.duties
        account = baseline.accounts[0]
        self.account, self.region = account.id or ACCOUNT_ID, account.home_region
        self.partition = catalog.partition(self.region)
        self.callers = callers(baseline, account, self.partition)
        self.teams = teams(baseline, account, self.partition)
        members = {role.name: role.members for role in account.roles if role.members}
        self.members = {c.role: members[c.name] for c in self.callers if c.role and c.name in members}
        self.today = today or date(2000, 1, 1)
        self.sides: dict[object, OwnSide] = {}
        self.within: dict[object, frozenset[Action]] = {}

    def test(self, test: AccessTest) -> Iterator[Result]:
        who = self._who(test)
        if isinstance(who, Diagnostic):
            yield Result(str(test.who), test.who.span, who)
            return
        # Signed in without MFA is the most that somebody without MFA can be; a key alone is less. For a team its
        # somebody speaks, not each member.
        able = {(w.caller.kind, w.caller.name): w for w in reversed(who) if w.session != "key"}
        tried = list(reversed(able.values()))
        # People of the hub can what one of their roles here can, whichever they take.
        turns = [[one] for one in tried] if self._takes_roles(test, tried) else [tried]
        for request in test.can:
            failures = [self._can(request, turn) for turn in turns]
            yield self._result(test, "can", request, None if None in failures else failures[0])
        for request in test.cannot:
            yield self._result(test, "cannot", request, self._cannot(request, who))
        if test.can_only:
            names = ", ".join(str(o.name if isinstance(o, DutyUse) else o.action) for o in test.can_only)
            yield Result(f"{_subject(test)} can only {names}", test.who.span, self._can_only(test, who))

    def _result(self, test: AccessTest, verb: str, request: AccessRequest, failure: Diagnostic | None) -> Result:
        when = "".join(f", {key} = {' or '.join(values)}" for key, values in request.when.items())
        return Result(f"{_subject(test)} {verb} {request.action}{when}", request.action.span, failure)

    # -- who

    def _who(self, test: AccessTest) -> list[_Who] | Diagnostic:
        found = self._named(test)
        if isinstance(found, Diagnostic):
            return found
        without: tuple[Session, ...] = ("no-mfa", "key")
        out = []
        for caller in found:
            sessions = caller.sessions[:1] if test.without is None else [s for s in without if s in caller.sessions]
            out += [_Who(caller, session, self._side(caller)) for session in sessions]
        if not out:
            message = f"sessions of the role {quoted(test.who)} never carry MFA, so 'without: mfa' says nothing of it"
            return Diagnostic("wrong-value", message, test.span, "remove 'without'")
        return out

    def _named(self, test: AccessTest) -> list[Caller] | Diagnostic:
        who = test.who
        kind, _, name = who.rpartition(" ")
        if who == "everyone":
            # Whoever has the same policies and tags can do the same: one of them speaks for all, unless it depends on
            # the name.
            everyone = (c for c in reversed(self.callers) if c.kind != "break-glass")
            distinct = {(c.policies, c.tags, c.role, c.arn if _by_name(c, test) else ""): c for c in everyone}
            return list(reversed(distinct.values()))
        every = (*self.callers, *self.teams)
        fitting = [c for c in every if c.name == name and kind in ("", c.kind, "user")]
        if not fitting and kind in ("", "person", "user"):
            # People of the hub are here as their teams' roles, one at a time.
            taken = [c for c in self.callers if name in self.members.get(c.role, ())]
            if taken:
                return taken
        if not fitting:
            here = f" a {kind}" if kind else ""
            message = f"a test of access is about{here} {quoted(name)}, which does not exist in this account"
            near = did_you_mean(name, ("everyone", *(c.name for c in every)))
            return Diagnostic("unknown-principal", message, who.span, near)
        if len(fitting) > 1:
            kinds = " or ".join(sorted(f"'{c.kind} {name}'" for c in fitting))
            message = f"{quoted(name)} is the name of several"
            return Diagnostic("ambiguous-principal", message, who.span, f"write {kinds}")
        return [*fitting, *self._members(fitting[0])] if _by_name(fitting[0], test) else fitting

    def _takes_roles(self, test: AccessTest, who: Iterable[_Who]) -> bool:
        """Whether a test is about a person who is here as the roles of their teams."""
        name = test.who.rpartition(" ")[2]
        return name != "everyone" and all(name in self.members.get(one.caller.role, ()) for one in who)

    def _members(self, team: Caller) -> Iterator[Caller]:
        """Somebody in a team and in no other, by the name of each member."""
        for person in self.callers if team.kind == "team" else ():
            if any(group == team.name or group.startswith(f"{team.name}.") for group in person.groups):
                yield replace(team, arn=person.arn)

    def _side(self, caller: Caller) -> OwnSide:
        if caller.policies not in self.sides:
            self.sides[caller.policies] = OwnSide(caller.policies)
        return self.sides[caller.policies]

    # -- what

    def _asked(self, request: AccessRequest) -> tuple[list[Action], str, Known] | Diagnostic:
        pattern, _, resource = request.action.partition(" on ")
        actions = list(catalog.actions_of(pattern))
        if not actions:
            hint = unknown_action_hint(pattern) or "check the service and the name"
            return Diagnostic("unknown-action", f"there is no action {quoted(pattern)}", request.action.span, hint)
        for key in request.when:
            if condition_key_type(key) is None:
                message = f"there is no condition key {quoted(key)}"
                return Diagnostic("unknown-condition-key", message, key.span, did_you_mean(key, near_keys(key)))
        when = {str(k): str(v[0]) if len(v) == 1 else tuple(map(str, v)) for k, v in request.when.items()}
        return sorted(actions), resource, when

    def _where(self, who: _Who) -> Where:
        return Where(who.caller.arn, self.account, self.region, self.partition)

    def _can(self, request: AccessRequest, who: Iterable[_Who]) -> Diagnostic | None:
        asked = self._asked(request)
        if isinstance(asked, Diagnostic):
            return asked
        actions, resource, when = asked
        if "*" in resource or "?" in resource:
            message = f"'can' is about one resource, not {quoted(resource)}"
            return Diagnostic("wrong-resource", message, request.action.span, "name one, or leave it out for any")
        for one in who:
            known = self._usual(one, resource, when)
            for action in actions:
                found = witness(one.side, action, known, self._where(one), resource, free=False)
                if found is None or found.outcome == "unknown":
                    made = found.request if found is not None else self._example(one, action, resource, known)
                    return self._failed_can(one, action, made, one.side.decide(made), request.action)
        return None

    def _usual(self, who: _Who, resource: str, when: Known) -> Known:
        """What is known of an ordinary request: made today from where people work, as the guardrails want it."""
        region = resource.split(":")[3] if resource.count(":") >= 5 else ""
        usual: dict[str, str | tuple[str, ...] | None] = {
            "aws:CurrentTime": f"{self.today.isoformat()}T12:00:00Z",
            "aws:RequestedRegion": region or self.region,
        }
        guardrails = self.configuration.guardrails
        networks = [n for n in guardrails.from_ or () if not n.startswith("vpc-")]
        if networks and who.caller.kind != "role":
            usual["aws:SourceIp"] = networks[0].partition("/")[0]
        usual |= {f"aws:RequestTag/{tag}": "x" for tag in guardrails.require_tags or ()}
        for pattern in (guardrails.instance_types or ())[:1]:
            usual["ec2:InstanceType"] = next(t for t in catalog.instance_types() if glob(pattern).fullmatch(t))
        return {**usual, **who.caller.known(who.session), **when}

    def _example(self, who: _Who, action: Action, resource: str, known: Known) -> Request:
        """A request that is denied, if possible by a statement, for a message to show."""
        settled = {key: value for key, value in known.items() if value is not None}
        tried = [Request(who.caller.arn, str(action), on, settled) for on in self._some(action, resource)]
        return next((r for r in tried if who.side.decide(r).because), tried[0])

    def _some(self, action: Action, resource: str) -> list[str]:
        """The resource, or one of each type that the action is about."""
        types = catalog.service(action.service).types
        formats = [types[name].arn for name in catalog.action_keys(action).required or action.types if name in types]
        return [resource] if resource else ["*", *(self._filled_in(f) for f in formats)]

    def _filled_in(self, format_: str) -> str:
        given = {"${Partition}": self.partition, "${Region}": self.region, "${Account}": self.account}
        return re.sub(r"\$\{[^}]*\}", lambda found: given.get(found[0], "x"), format_)

    def _cannot(self, request: AccessRequest, who: Iterable[_Who]) -> Diagnostic | None:
        asked = self._asked(request)
        if isinstance(asked, Diagnostic):
            return asked
        actions, resource, when = asked
        for one in who:
            for known in self._ways(one, when):
                within = self._possible(one, known)
                for action in actions:
                    if action not in within or not self._is_way(one, known, when, action):
                        continue
                    found = witness(one.side, action, known, self._where(one), resource)
                    if found is not None:
                        return self._failed_cannot(one, found, request.action, "", when)
        return None

    def _ways(self, who: _Who, when: Known) -> list[Known]:
        """What is known of somebody's requests: direct ones, and those that a service makes for somebody with MFA.

        How long ago MFA was is left open.
        """
        own = who.caller.known(who.session)
        if who.session == "mfa":
            del own["aws:MultiFactorAuthAge"]
        direct = {**own, **when}
        if who.session not in ("mfa", "role") or any(key.lower() == _VIA.lower() for key in when):
            return [direct]
        return [direct, {**direct, _VIA: "true"}]

    def _is_way(self, who: _Who, known: Known, when: Known, action: Action) -> bool:
        """Whether an action is judged with what is known: through a service only where a statement allows by that.

        Elsewhere the call that the service was asked for by has been judged, as `guardrails.from` says.
        """
        return known.get(_VIA) != "true" or any(k.lower() == _VIA.lower() for k in when) or _through(who.side, action)

    def _possible(self, who: _Who, known: Known) -> frozenset[Action]:
        key = (id(who.side), who.session, tuple(sorted((k, v) for k, v in known.items() if v is not None)))
        if key not in self.within:
            self.within[key] = possible(who.caller.policies, known)
        return self.within[key]

    def _can_only(self, test: AccessTest, who: Iterable[_Who]) -> Diagnostic | None:
        policies: list[Policy] = []
        for only in test.can_only:
            made = self._duty(only) if isinstance(only, DutyUse) else self._request(only)
            if isinstance(made, Diagnostic):
                return made
            policies += made
        but = Judge(policies)
        for one in who:
            for known in self._ways(one, {}):
                for action in sorted(self._possible(one, known) - _unasked()):
                    if not self._is_way(one, known, {}, action):
                        continue
                    found = witness(one.side, action, known, self._where(one), but=but)
                    if found is not None:
                        return self._failed_cannot(one, found, test.who, ", which is beyond what 'can_only' names", {})
        return None

    def _duty(self, use: DutyUse) -> list[Policy] | Diagnostic:
        found: list[Diagnostic] = []
        access = duty_access(use, self.duties[use.name], found, scope_of(self.configuration))
        errors = [d for d in found if d.severity == "error"]
        if errors:
            return errors[0]
        own = in_account(Policy(access.statements), self.account, self.partition)
        return [own, *(managed_policy(name).policy for name in access.managed)]

    def _request(self, request: AccessRequest) -> list[Policy] | Diagnostic:
        asked = self._asked(request)
        if isinstance(asked, Diagnostic):
            return asked
        pattern, _, resource = request.action.partition(" on ")
        return [Policy((Statement("Only", "Allow", (pattern,), (resource or "*",)),))]

    # -- what failed

    def _failed_can(self, who: _Who, action: Action, request: Request, decision: Decision, at: Text) -> Diagnostic:
        resource = "" if request.resource == "*" else f" on {request.resource}"
        if decision.outcome == "unknown":
            message = f"whether {who} can {action}{resource} is unknown: {decision.reason}"
            hint = "name the resource and the condition keys that decide"
        elif decision.because:
            message = f"{who} cannot {action}{resource}: it is denied"
            hint = _change(decision.because, "leave it out, or do not promise this")
        else:
            message = f"{who} cannot {action}{resource}: nothing allows it"
            hint = _near(who.side, action) or "give a duty that grants it"
        return Diagnostic("broken-access-test", message, at.span, hint, (_asking(request), *_because(decision)))

    def _failed_cannot(self, who: _Who, found: Witness, at: Text, beyond: str, when: Known) -> Diagnostic:
        request = found.request
        decision = who.side.decide(request)
        resource = "" if request.resource == "*" else f" on {request.resource}"
        if found.outcome == "unknown":
            message = f"whether {who} can {request.action}{resource} is unknown: {found.reason or decision.reason}"
            return Diagnostic(
                "broken-access-test", message, at.span, "name the condition keys that decide", (_asking(request),)
            )
        known = {key.lower() for key in (*who.caller.known(who.session), *when)}
        extra = [
            f"{key} = {_shown(value)}"
            for key, value in request.context.items()
            if key.lower() not in known or (key, value) == (_VIA, "true")
        ]
        message = f"{who} can {request.action}{resource}{' with ' + ', '.join(extra) if extra else ''}{beyond}"
        hint = _change(decision.because, "take the duty away, or add it to 'never'")
        return Diagnostic("broken-access-test", message, at.span, hint, (_asking(request), *_because(decision)))


_NAMES = frozenset({"aws:principalarn", "aws:userid", "aws:username"})
"""Condition keys by which people with the same policies are told apart."""


def _by_name(who: Caller, test: AccessTest) -> bool:
    """Whether what somebody can do may hang on the name: a request names a resource, or a duty speaks of the name.

    That everybody may enrol their own devices depends on it only where a request names a user.
    """
    asked = [*test.can, *test.cannot, *(o for o in test.can_only if isinstance(o, AccessRequest))]
    if any(" on " in request.action for request in asked):
        return True
    policies = (*who.policies.identity, *(p for group in who.policies.groups for p in group))
    return any(_names(s) for p in policies for s in p.statements if all(o.duty != "mfa" for o in s.origins))


def _names(statement: Statement) -> bool:
    values = [value for condition in statement.conditions for value in condition.values]
    texts = (*statement.resources, *statement.not_resources, *values)
    keys = {condition.key.lower() for condition in statement.conditions}
    return bool(_NAMES & (keys | {name for text in texts for name in variables_in(text)}))


def _through(side: Side, action: Action) -> bool:
    """Whether something is allowed by whether a service calls on for somebody."""
    allows = (s for s in naming(side, action) if s.effect == "Allow")
    return any(c.key.lower() == _VIA.lower() for s in allows for c in s.conditions)


_VIA = "aws:ViaAWSService"


def _subject(test: AccessTest) -> str:
    return f"{test.who} without {test.without}" if test.without else str(test.who)


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else " and ".join(value)


def _asking(request: Request) -> str:
    told = {key: value for key, value in sorted(request.context.items()) if not key.startswith(_WHO_IT_IS)}
    said = ", ".join(f"{key}={_shown(value)}" for key, value in told.items())
    return f"request: {request.principal}: {request.action} on {request.resource}{f' ({said})' if said else ''}"


_WHO_IT_IS = ("aws:Principal", "aws:username", "aws:ViaAWSService")
"""How the names of condition keys begin that say no more than the principal does."""


@cache
def _unasked() -> frozenset[Action]:
    """Actions that AWS answers without asking any policy (AWS STS API Reference)."""
    return frozenset(actions_named(("sts:GetCallerIdentity", "sts:GetSessionToken")))


def _because(decision: Decision) -> Iterator[str]:
    if not decision.because:
        yield f"decision: {decision.outcome}, since no statement allows it"
    for statement in decision.because:
        name = statement.sid or "a statement"
        whose = _lines(statement) or " of an AWS managed policy"
        yield f"decision: {statement.effect.lower()} by {name}{whose}"


def _lines(statement: Statement) -> str:
    places = []
    for origin in statement.origins:
        asked = f" at {origin.asked.place}" if origin.asked else ""
        granted = f", grant at {origin.granted.place}" if origin.granted else ""
        places.append(f"{origin.duty}{asked}{granted}")
    return f" ({'; '.join(places)})" if places else ""


def _change(because: Iterable[Statement], otherwise: str) -> str:
    """The lines that would change it."""
    places = {o.asked.place: o.duty for s in because for o in s.origins if o.asked}
    return f"{', '.join(f'{duty} at {place}' for place, duty in sorted(places.items()))}: {otherwise}" if places else ""


def _near(side: Side, action: Action) -> str:
    """What allows the action, though not this request."""
    allows = [s for s in naming(side, action) if s.effect == "Allow"]
    if not allows:
        return ""
    where = ", ".join(sorted({r for s in allows for r in s.resources})[:3])
    when = ", ".join(sorted({f"{c.operator} {c.key}" for s in allows for c in s.conditions}))
    return f"it is allowed on {where or 'some resources'}{' under ' + when if when else ''}"


def as_junit(found: Mapping[str, Iterable[Result]]) -> str:
    """JUnit XML of the results, one suite for each name (an environment, or the configuration)."""
    from xml.etree import ElementTree as Xml

    root = Xml.Element("testsuites")
    for name, results_ in found.items():
        suite = Xml.SubElement(root, "testsuite", name=name)
        listed = list(results_)
        suite.set("tests", str(len(listed)))
        suite.set("failures", str(sum(r.failure is not None for r in listed)))
        for result in listed:
            case = Xml.SubElement(suite, "testcase", classname="access", name=result.says)
            if result.at is not None:
                case.set("file", result.at.source.path)
                case.set("line", str(result.at.line))
            if result.failure is not None:
                failed = Xml.SubElement(case, "failure", message=result.failure.message, type=result.failure.name)
                failed.text = "\n".join(filter(None, (result.failure.hint, *result.failure.notes)))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=False)
