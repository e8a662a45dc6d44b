"""Reading -> Baseline: every decision is made here.

A duty's grants become statements (which actions, on which ARNs), a team's or role's statements become the fewest
policies that hold them, and teams, people, roles and break-glass become IAM resources with their names, paths, stacks
and logical ids. What comes after only translates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from dutybound import catalog
from dutybound.baseline import Account, Alarm, Baseline, Group, ManagedPolicy, Role, Rule, Stack, Topic, User
from dutybound.catalog import Action, ResourceType
from dutybound.config import (
    PARAMETER,
    AccountTrust,
    ActionGrant,
    Configuration,
    Duty,
    DutyUse,
    LevelGrant,
    ManagedGrant,
    Mfa,
    ServiceTrust,
    Team,
    parameters_in,
)
from dutybound.config import Role as RoleEntry
from dutybound.diagnostic import Checked, Diagnostic, Span, Text, did_you_mean, in_order, quoted
from dutybound.pack import POLICIES_PER_GROUP, POLICY_SIZE, pack
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Principal, Statement, glob, minified
from dutybound.read import Reading

LOOKING = frozenset({"list", "read"})
RESOURCES_PER_STACK = 500
"""CloudFormation User Guide, "Understand CloudFormation quotas"."""
PATTERN_SIZE = 2048
"""Characters of an event pattern (EventBridge User Guide, "Amazon EventBridge quotas")."""
MOST_RESOURCES = 1000
"""Resources that one text of a grant may give: far more than policies can hold."""
POLICIES_PER_ROLE = 10
"""Managed policies per role that no account has to ask for; sources differ on whether the default is 10 or 20."""
SELF = tuple(f"arn:{PARTITION}:iam::{ACCOUNT}:user/{path}${{aws:username}}" for path in ("", "*/"))
"""A person's own user. `user/NAME` matches no user with a path, so both forms stand everywhere."""
_DEVICES = (f"arn:{PARTITION}:iam::{ACCOUNT}:mfa/*",)
_VARIABLES = re.compile(r"aws:(username|userid|PrincipalAccount|PrincipalOrgID|PrincipalTag/[\w+=.@:/-]{1,128})")
"""Policy variables that a resource may name (IAM User Guide, "IAM policy elements: Variables and tags")."""


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


# --- names ----------------------------------------------------------------------------------------------------------


def logical_id(kind: str, name: str) -> str:
    """A CloudFormation logical id from a kind and a name alone: readable, and different for different names."""
    digest = hashlib.sha256(f"{kind}:{name}".encode()).hexdigest()[:6]
    return f"{kind}{_camel(name)[:80]}{digest}"


def _camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))


# --- duties -> statements -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """What one holder gets from duties: statements, and AWS managed policies by name."""

    statements: tuple[Statement, ...]
    managed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Grant:
    """One grant with what its errors must name."""

    duty: str
    values: Mapping[str, tuple[Text, ...]]
    """The parameters' values."""
    origin: Origin
    found: list[Diagnostic]

    def report(self, name: str, message: str, span: Span | None, hint: str = "") -> None:
        # A text that stands in several resources of a grant is wrong once.
        if not any(d.name == name and d.span == span and span is not None for d in self.found):
            self.found.append(Diagnostic(name, f"duty {quoted(self.duty)}: {message}", span, hint))


def duty_access(use: DutyUse, duty: Duty, found: list[Diagnostic]) -> Access:
    """The access that one use of a duty gives. Errors in its grants are added to `found`."""
    statements: list[Statement] = []
    managed: list[str] = []
    values = {str(name): given for name, given in use.parameters.items()}
    for grant in duty.grants:
        origin = Origin(str(use.name), use.span or use.name.span, grant.span)
        context = _Grant(str(use.name), values, origin, found)
        if isinstance(grant, ManagedGrant):
            managed += _managed(grant, context)
        elif isinstance(grant, LevelGrant):
            statements += _level_statements(grant, context)
        else:
            statements += _action_statements(grant, context)
    return Access(tuple(statements), tuple(managed))


def example_use(name: str, duty: Duty) -> DutyUse:
    """A use of the duty with its example parameters: for its documentation and its tests."""
    return DutyUse.model_construct(name=Text(name), parameters={p: v.example for p, v in duty.parameters.items()})


def _managed(grant: ManagedGrant, context: _Grant) -> list[str]:
    if grant.managed in catalog.aws_managed_policies():
        return [str(grant.managed)]
    known = list(catalog.aws_managed_policies())
    hint = did_you_mean(grant.managed, known) or f"supported now: {', '.join(known)}"
    message = f"the AWS managed policy {quoted(grant.managed)} is not supported yet"
    context.report("not-supported-yet", message, grant.managed.span, hint)
    return []


def _level_statements(grant: LevelGrant, context: _Grant) -> Iterator[Statement]:
    prefixes = _service_prefixes(grant, context)
    if not prefixes:
        return
    candidates = [
        action
        for prefix in prefixes
        for action in catalog.service(prefix).actions.values()
        if action.level in grant.access
    ]
    chosen = _filtered(grant, candidates, context)
    if not _reasons_given(grant, context, any(level not in LOOKING for level in grant.access)):
        return
    if grant.resources is None:
        named = [a for a in chosen if a.types or grant.wide is not False]
        yield from _statement(grant, context, named, "*" if "*" in grant.service else prefixes[0], ("*",))
        return
    arns = _arns(grant.resources, prefixes, context)
    by_types: dict[tuple[str, ...], list[Action]] = {}
    for action in chosen:
        types = tuple(sorted({t for t in action.types if t in grant.resources}))
        anywhere = not action.types and grant.wide is not False and (action.level in LOOKING or bool(grant.wide))
        if types or anywhere:
            by_types.setdefault(types, []).append(action)
    _unused_types(grant.resources, {t for types in by_types for t in types}, arns, context)
    for types, actions in by_types.items():
        for prefix in sorted({a.service for a in actions}):
            here = [a for a in actions if a.service == prefix]
            resources = {arn for t in types for arn in arns.get((prefix, t), ())} if types else {"*"}
            if resources:
                label = "".join(map(_camel, types[:2])) + ("AndMore" if len(types) > 2 else "")
                yield from _statement(grant, context, here, label or prefix, tuple(sorted(resources)))


def _service_prefixes(grant: LevelGrant, context: _Grant) -> list[str]:
    if "*" in grant.service:
        return list(catalog.services())
    known = []
    for name in grant.service:
        if name in catalog.services():
            known.append(str(name))
        else:
            hint = did_you_mean(name, catalog.services())
            context.report("unknown-service", f"there is no service {quoted(name)}", name.span, hint)
    return sorted(known)


def _filtered(grant: LevelGrant, candidates: list[Action], context: _Grant) -> list[Action]:
    by_service: dict[str, list[Action]] = {}
    for action in candidates:
        by_service.setdefault(action.service, []).append(action)
    chosen = candidates
    misses = 0
    for key, patterns in (("only", grant.only), ("except", grant.except_)):
        matched: set[Action] = set()
        for pattern in patterns:
            prefix, _, name = pattern.partition(":")
            near = candidates if prefix == "*" else by_service.get(prefix, [])
            matches = glob(name, True).fullmatch
            hits = [a for a in near if matches(a.name)]
            if not hits and candidates:
                _no_hit(key, pattern, candidates, context)
                misses += 1
            matched.update(hits)
        if patterns:
            chosen = [a for a in chosen if (a in matched) == (key == "only")]
    if not chosen and candidates and not misses:
        context.report("empty-grant", "a grant is left with no action at all", grant.span, "remove it, or widen it")
    if not candidates and grant.service:
        levels = ", ".join(grant.access)
        context.report("empty-grant", f"no action has the access level {levels} there", grant.span, "remove the grant")
    return chosen


def _no_hit(key: str, pattern: Text, candidates: Iterable[Action], context: _Grant) -> None:
    known = unknown_action_hint(pattern) if "*" not in pattern and "?" not in pattern else ""
    message = f"'{key}' names {quoted(pattern)}, which matches none of the grant's actions"
    hint = known or did_you_mean(pattern, (str(a) for a in candidates)) or "remove it, or check its access level"
    context.report("unknown-action", message, pattern.span, hint)


def unknown_action_hint(action: str) -> str:
    """What a user who wrote an unknown action may have meant, or an empty text if the action exists."""
    prefix, _, name = action.partition(":")
    if prefix not in catalog.services():
        near = did_you_mean(prefix, catalog.services())
        return f"there is no service '{prefix}'{'; ' + near if near else ''}"
    service = catalog.service(prefix)
    if service.action(name) is not None:
        return ""
    return did_you_mean(action, (str(a) for a in service.actions.values())) or f"{prefix} has no such action"


def _reasons_given(grant: LevelGrant | ActionGrant, context: _Grant, changes: bool) -> bool:
    """Whether a grant that reaches every resource says so and why."""
    if grant.resources is None and changes and not grant.wide:
        message = "a grant that changes things names its resources"
        context.report("wide-grant", message, grant.span, "add 'resources', or 'wide: true' with a 'why'")
        return False
    if grant.wide and not grant.why:
        context.report("wide-grant", "a wide grant says why", grant.span, "add 'why: …'")
        return False
    return True


def _action_statements(grant: ActionGrant, context: _Grant) -> Iterator[Statement]:
    actions = []
    for text in grant.actions:
        action = _action(text)
        if action is None:
            hint = unknown_action_hint(text)
            context.report("unknown-action", f"there is no action {quoted(text)}", text.span, hint)
        else:
            actions.append((text, action))
    changes = any(a.level not in LOOKING for _, a in actions)
    if not actions or not _reasons_given(grant, context, changes):
        return
    by_service: dict[str, list[tuple[Text, Action]]] = {}
    for text, action in actions:
        by_service.setdefault(action.service, []).append((text, action))
    arns = _arns(grant.resources or {}, sorted(by_service), context)
    used: set[str] = set()
    for _, here in sorted(by_service.items()):
        if grant.resources is None:
            yield from _statement(grant, context, [a for _, a in here], _first(here), ("*",))
            continue
        used |= {t for _, a in here for t in a.types}
        yield from _scoped_actions(grant, context, here, arns)
    _unused_types(grant.resources or {}, used, arns, context)


def _first(actions: list[tuple[Text, Action]]) -> str:
    return min(a.name for _, a in actions)


def _scoped_actions(
    grant: ActionGrant,
    context: _Grant,
    actions: list[tuple[Text, Action]],
    arns: Mapping[tuple[str, str], tuple[str, ...]],
) -> Iterator[Statement]:
    by_types: dict[tuple[str, ...], list[tuple[Text, Action]]] = {}
    for text, action in actions:
        types = tuple(t for t in action.types if (action.service, t) in arns)
        if not types and not (grant.wide and not action.types):
            known = ", ".join(action.types)
            hint = f"its resource types: {known}" if known else "it has no resource-level permissions: grant it apart"
            context.report("wrong-resource", f"{action} cannot be limited to these resources", text.span, hint)
            continue
        by_types.setdefault(types, []).append((text, action))
    for types, here in by_types.items():
        resources = {arn for t in types for arn in arns[(here[0][1].service, t)]} if types else {"*"}
        if resources:  # none where each had an error of its own
            yield from _statement(grant, context, [a for _, a in here], _first(here), tuple(sorted(resources)))


def _statement(
    grant: LevelGrant | ActionGrant, context: _Grant, actions: Iterable[Action], label: str, resources: tuple[str, ...]
) -> Iterator[Statement]:
    short = catalog.shortened(actions, LOOKING)
    if short:
        sid = f"{_camel(context.duty)}{'' if label == '*' else _camel(label)}"
        yield Statement(sid, "Allow", actions=short, resources=resources, origins=(context.origin,))


# --- resources without ARNs -----------------------------------------------------------------------------------------


def _arns(
    wanted: Mapping[Text, tuple[Text, ...]], prefixes: list[str], context: _Grant
) -> dict[tuple[str, str], tuple[str, ...]]:
    """ARNs by service and resource type, partition and account filled in."""
    out: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, texts in wanted.items():
        types = [t for p in prefixes if (t := catalog.service(p).types.get(name)) is not None]
        if not types and prefixes:
            known = [t for p in prefixes for t in catalog.service(p).types]
            hint = did_you_mean(name, known) or f"known: {', '.join(known[:12])}{' …' if len(known) > 12 else ''}"
            message = f"{' and '.join(prefixes[:3])} has no resource type {quoted(name)}"
            context.report("unknown-resource-type", message, name.span, hint)
        for type_ in types:
            filled = [
                arn for text in texts for value in _substituted(text, context) if (arn := _arn(type_, value, context))
            ]
            out[(type_.service, type_.name)] = tuple(filled)
    return out


def _substituted(text: Text, context: _Grant) -> Iterator[Text]:
    """The text with its parameters filled in, once for each combination of their values."""
    names = [n for n in dict.fromkeys(parameters_in(text)) if n in context.values]
    values = [context.values[n] for n in names]
    count = prod(map(len, values))
    if count > MOST_RESOURCES:
        message = f"{quoted(text)} gives {count:,} resources with these values; {MOST_RESOURCES:,} is the limit"
        context.report("too-many-resources", message, text.span, "use wildcards, or several duties")
        return
    for chosen in product(*values):
        span = next((v.span for v in chosen if v.span), text.span)
        yield Text(_replaced(text, dict(zip(names, chosen, strict=True))), span)


def _replaced(text: str, values: Mapping[str, str]) -> str:
    """Each parameter by its value, in one pass: what a value holds is not looked at again."""
    return PARAMETER.sub(lambda found: values.get(found[1], found[0]), text)


def _arn(type_: ResourceType, text: Text, context: _Grant) -> str | None:
    if not _variables_known(text, context):
        return None
    head, tail = _filled_in(type_.arn)
    if not tail:
        if text == "*":
            return head
        context.report("wrong-resource", f"there is only one {type_.name} in an account", text.span, "write '*'")
        return None
    if text == "*":
        return head + re.sub(r"\$\{[^}]*\}", "*", tail)
    if text.startswith("arn:"):
        message = f"{quoted(text)} is an ARN; a resource is its name alone"
        context.report("wrong-resource", message, text.span, f"write it as '{_shape(tail)}'")
        return None
    if not _can_name(text, tail):
        message = f"{quoted(text)} does not look like a {type_.name} of {type_.service}"
        context.report("wrong-resource", message, text.span, f"write it as '{_shape(tail)}'")
        return None
    if why := catalog.wrong_name(type_, text):
        context.report("wrong-resource", f"{quoted(text)} is no {type_.name}: {why}", text.span, "write the name alone")
        return None
    return head + text


def _filled_in(format_: str) -> tuple[str, str]:
    """An ARN format with partition, Region and account filled in: what is fixed, and the rest from its first variable.

    The reference names the account in several ways; it is what stands fifth.
    """
    parts = format_.split(":", 5)
    for at, value in ((1, PARTITION), (3, "*"), (4, ACCOUNT)):
        if "${" in parts[at]:
            parts[at] = value
    free = parts[5].find("${")
    fixed = ":".join((*parts[:5], parts[5] if free < 0 else parts[5][:free]))
    return fixed, "" if free < 0 else parts[5][free:]


def _shape(tail: str) -> str:
    return re.sub(r"\$\{([^}]*)\}", r"\1", tail)


def _can_name(text: str, tail: str) -> bool:
    """Whether a text, its `*` and `?` taken as wildcards, can name a resource of this format at all."""
    # A variable of the format is at least one character of anything.
    wanted = re.sub(r"\$\{[^}]*\}", "?*", tail)
    return _overlap(re.sub(r"\$\{[^}]*\}", "?*", text), wanted)


def _overlap(one: str, other: str) -> bool:
    """Whether some text matches both globs."""
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(one) and j == len(other):
            return True
        a, b = one[i : i + 1], other[j : j + 1]
        steps = []
        if a == "*":
            steps += [(i + 1, j)] + ([(i, j + 1)] if b else [])
        if b == "*":
            steps += [(i, j + 1)] + ([(i + 1, j)] if a else [])
        if a and b and "*" not in (a, b) and (a == b or "?" in (a, b)):
            steps.append((i + 1, j + 1))
        todo += [s for s in steps if s not in reached]
        reached.update(steps)
    return False


def _variables_known(text: Text, context: _Grant) -> bool:
    for name in re.findall(r"\$\{([^}]*)\}", text):
        if not _VARIABLES.fullmatch(name):
            hint = did_you_mean(name, ("aws:username", "aws:userid", "aws:PrincipalAccount", "aws:PrincipalOrgID"))
            context.report("unknown-variable", f"{quoted('${' + name + '}')} is no policy variable", text.span, hint)
            return False
    rest = re.sub(r"\$\{[^}]*\}", "", text)
    if parameters_in(rest):
        return False  # an unknown parameter, which `read` has reported
    if any(c in rest for c in "${}"):
        message = f"{quoted(text)} holds a '$', '{{' or '}}' that is neither a parameter nor a policy variable"
        context.report("wrong-resource", message, text.span, "write '{parameter}' or '${aws:username}'")
        return False
    return True


def _unused_types(
    wanted: Mapping[Text, tuple[Text, ...]],
    used: set[str],
    arns: Mapping[tuple[str, str], tuple[str, ...]],
    context: _Grant,
) -> None:
    for name in wanted:
        if name not in used and any(t == name for _, t in arns):
            message = f"no action of the grant can be limited to the resource type {quoted(name)}"
            context.report("unused-resource", message, name.span, "remove it, or add the access level it needs")


# --- principals -----------------------------------------------------------------------------------------------------


def mfa_policy(mfa: Mfa) -> Policy:
    """The policy that leaves a person without MFA nothing but enrolment.

    Two denies stand for one `BoolIfExists`: together they cover the same requests, but a long-term access key, which
    is what gets stolen, keeps a far shorter list and cannot enrol a device. Never for roles: their sessions carry no
    MFA information, and all would be denied. Source: IAM User Guide, "AWS: Allows MFA-authenticated IAM users to
    manage their own credentials on the Security credentials page", with its gaps closed (paths, forwarded requests).
    """
    with_mfa = (Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),)
    # Some services do not send the key: their forwarded calls are denied like direct ones, and not let through.
    direct = Condition("BoolIfExists", "aws:ViaAWSService", ("false",))
    enrolment = [*_SEE_RULES, *_ENROL, *_MAKE_DEVICE]
    session = set(enrolment) - {"iam:GetAccountSummary", "iam:GetLoginProfile"}
    if not mfa.first_password_change:
        session.discard("iam:ChangePassword")
    origins = (Origin("mfa", mfa.span),)
    statements = [
        Statement("SeeCredentialRules", "Allow", actions=_SEE_RULES, resources=("*",)),
        Statement("EnrolSelf", "Allow", actions=_ENROL, resources=SELF),
        Statement("MakeVirtualDevice", "Allow", actions=_MAKE_DEVICE, resources=_DEVICES),
        Statement(
            "RemoveDeviceWithMfa", "Allow", actions=_REMOVE_DEVICE, resources=(*SELF, *_DEVICES), conditions=with_mfa
        ),
        Statement(
            "DenySessionsWithoutMfa",
            "Deny",
            not_actions=tuple(sorted(session)),
            resources=("*",),
            conditions=(Condition("Bool", "aws:MultiFactorAuthPresent", ("false",)), direct),
        ),
        Statement(
            "DenyLongTermKeys",
            "Deny",
            not_actions=("iam:ListMFADevices", "sts:GetCallerIdentity", "sts:GetSessionToken"),
            resources=("*",),
            conditions=(Condition("Null", "aws:MultiFactorAuthPresent", ("true",)), direct),
        ),
        # What is left without MFA is left for oneself: a duty may grant the same actions on everybody.
        Statement(
            "DenyOthersWithoutMfa",
            "Deny",
            actions=tuple(sorted(session & set(_ENROL))),
            not_resources=SELF,
            conditions=(Condition("BoolIfExists", "aws:MultiFactorAuthPresent", ("false",)), direct),
        ),
    ]
    if mfa.own_access_keys:
        keys = Statement("OwnKeysWithMfa", "Allow", actions=_OWN_KEYS, resources=SELF, conditions=with_mfa)
        statements.insert(4, keys)
    return Policy(tuple(replace(s, origins=origins) for s in statements))


_SEE_RULES = ("iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:ListVirtualMFADevices")
_ENROL = (
    "iam:ChangePassword",
    "iam:EnableMFADevice",
    "iam:GetLoginProfile",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ResyncMFADevice",
)
_MAKE_DEVICE = ("iam:CreateVirtualMFADevice",)
_REMOVE_DEVICE = ("iam:DeactivateMFADevice", "iam:DeleteVirtualMFADevice")
_OWN_KEYS = (
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:GetAccessKeyLastUsed",
    "iam:ListAccessKeys",
    "iam:UpdateAccessKey",
)


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
            policies.append(
                _policy("enforce-mfa", "/baseline/", self._stack("teams"), mfa_policy(self.configuration.mfa))
            )
        roles = [self._role(name, role, policies) for name, role in sorted(self.configuration.roles.items())]
        users = self._people()
        emergency = self._break_glass(policies)
        alarm = self._alarm(policies)
        account = Account(
            id=None,
            home_region=self.region,
            stacks=self._stacks(),
            policies=tuple(sorted(policies, key=lambda p: p.name)),
            groups=tuple(sorted([*groups, emergency[0]], key=lambda g: g.name)),
            users=tuple(sorted([*users, *emergency[1]], key=lambda u: u.name)),
            roles=tuple(roles),
            alarm=alarm,
        )
        self._check_stack_sizes(account)
        return account

    def _stack(self, purpose: str) -> str:
        return f"{self.prefix}-{purpose}"

    def _stacks(self) -> tuple[Stack, ...]:
        # An empty stack stays in the list: the CDK deletes what an earlier deployment put into it, while a stack that
        # is not in the app any more stays in the account with all its access.
        out = [
            Stack(self._stack("teams"), self.region, "Teams, their people and their duties"),
            Stack(self._stack("roles"), self.region, "Roles for software and for others"),
        ]
        out.append(
            Stack(self._stack("break-glass"), self.region, "The way in for emergencies", protected=True, retained=True)
        )
        for region, name in sorted(self._alarm_stacks().items(), key=lambda entry: entry[1]):
            out.append(Stack(name, region, "Tells people of every use of break-glass", protected=True))
        return tuple(out)

    # -- teams and people

    def _team(self, name: Text, team: Team, policies: list[ManagedPolicy]) -> Group:
        access = self._access(team.duties)
        denies = [s for use in team.never for s in self._never(use)]
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
        for_servers = isinstance(role.trusts, ServiceTrust) and _service_name(role.trusts.service) == "ec2"
        return Role(
            logical_id("Role", name),
            stack,
            str(name),
            "/roles/",
            str(role.purpose),
            self._trust(role, who),
            tuple(p.name for p in mine),
            access.managed,
            instance_profile=logical_id("Profile", name) if for_servers else None,
            span=name.span,
        )

    def _trust(self, role: RoleEntry, who: str) -> Policy:
        origins = (Origin("trusts", role.trusts.span or role.span),)
        match role.trusts:
            case ServiceTrust(service=service):
                return Policy(tuple(replace(s, origins=origins) for s in self._service_trust(service, who)))
            case AccountTrust(account=account, external_id=external_id):
                principal = Principal("AWS", (f"arn:{PARTITION}:iam::{account}:root",))
                conditions = (Condition("StringEquals", "sts:ExternalId", (str(external_id),)),) if external_id else ()
                statement = Statement(
                    "TrustAccount",
                    "Allow",
                    actions=("sts:AssumeRole",),
                    principals=(principal,),
                    conditions=conditions,
                    origins=origins,
                )
                return Policy((statement,))

    def _service_trust(self, service: Text, who: str) -> Iterator[Statement]:
        known = catalog.service_principals()
        row = known.get(_service_name(service))
        if row is None:
            message = f"{who} trusts a service that is not known to take roles: {quoted(service)}"
            hint = did_you_mean(service, known) or f"known: {', '.join(sorted(known)[:12])} …"
            self.found.append(Diagnostic("unknown-service", message, service.span, hint))
            return
        conditions = (Condition("StringEquals", "aws:SourceAccount", (ACCOUNT,)),) if row.source_account else ()
        yield Statement(
            "TrustService",
            "Allow",
            actions=("sts:AssumeRole",),
            principals=(Principal("Service", (row.principal,)),),
            conditions=conditions,
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

    def _never(self, use: DutyUse) -> Iterator[Statement]:
        """Denies for what a duty does, save what a person needs to enrol MFA for themselves.

        Its changes, and the actions of its own `never`, are denied on every resource; what it looks at, where it looks.
        A duty that changes things also lists and reads everything (all servers, all metrics) to find its way, as many
        duties do: that is not what it is about, and stays.
        """
        duty = self.duties.get(use.name)
        if duty is None:
            return
        if any(isinstance(g, ManagedGrant) for g in duty.grants):
            message = f"'never' cannot name {quoted(use.name)}, which is an AWS managed policy as a whole"
            self.found.append(Diagnostic("wrong-never", message, use.name.span, "leave it out: nobody gets it unasked"))
            return
        origin = Origin(str(use.name), use.span or use.name.span, duty.span)
        own = _OWN | frozenset(_OWN_KEYS if self.configuration.mfa.own_access_keys else ())
        denied = _denied(use, duty, _Grant(str(use.name), {}, origin, self.found), own)
        for label, actions, where in denied:
            short = catalog.shortened(actions, catalog.RANK)
            if short:
                yield replace(where, sid=f"Never{_camel(use.name)}{label}", actions=short, origins=(origin,))

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
        return [_policy(n, "/duties/", stack, p) for n, p in zip(names, packed, strict=True)]

    # -- break-glass

    def _break_glass(self, policies: list[ManagedPolicy]) -> tuple[Group, list[User]]:
        """Users with all rights behind MFA, in a stack that needs no other: it must outlive whatever breaks."""
        wanted = self.configuration.break_glass
        stack = self._stack("break-glass")
        origin = (Origin("break_glass", wanted.span),)
        # Who signs in once a year gets the strict form: no key of their own, no password change without MFA.
        strict = Policy(tuple(replace(s, origins=origin) for s in mfa_policy(Mfa()).statements))
        policies.append(_policy("break-glass-mfa", "/break-glass/", stack, strict))
        group = Group(
            logical_id("BreakGlass", "group"),
            stack,
            "break-glass",
            "/break-glass/",
            "The way in when everything else fails",
            ("break-glass-mfa",),
            ("AdministratorAccess",),
            wanted.span,
        )
        users = [
            User(
                logical_id("BreakGlass", f"user {name}"), stack, str(name), "/break-glass/", ("break-glass",), name.span
            )
            for name in wanted.users
        ]
        return group, users

    def _alarm(self, policies: list[ManagedPolicy]) -> Alarm:
        home = self._stack("break-glass-alarm")
        users = sorted(map(str, self.configuration.break_glass.users))
        users_at = self.configuration.break_glass.users[0]
        forwarder = self._forwarder(home, policies)
        topic_arn = f"arn:{PARTITION}:sns:{self.region}:{ACCOUNT}:{_ALARM}"
        taken = f"arn:{PARTITION}:iam::{ACCOUNT}:role{forwarder.path}{forwarder.name}"
        rules = []
        for region, stack in sorted(self._alarm_stacks().items()):
            at_home = region == self.region
            target, role = (topic_arn, None) if at_home else (self._home_bus(), taken)
            for name, description, pattern in _patterns(users, self._stack("break-glass")):
                text = minified(pattern)
                rules.append(Rule(logical_id("Rule", name), stack, name, description, text, target, role))
        if any(len(rule.pattern) > PATTERN_SIZE for rule in rules):
            message = f"an EventBridge pattern that names all break-glass users is over {PATTERN_SIZE:,} characters"
            self.found.append(
                Diagnostic("too-many-break-glass-users", message, users_at.span, "name fewer users, or shorter ones")
            )
        addresses = tuple(sorted(set(map(str, self.configuration.break_glass.alert))))
        publish = Statement(
            "RulesPublish",
            "Allow",
            actions=("sns:Publish",),
            resources=(topic_arn,),
            principals=(Principal("Service", ("events.amazonaws.com",)),),
            # No condition: EventBridge User Guide, "Using resource-based policies", rules them out for SNS topics, and
            # an alarm that does not arrive is worse than one that somebody else can set off.
            origins=(Origin("break_glass", self.configuration.break_glass.span),),
        )
        topic = Topic(logical_id("Topic", _ALARM), home, _ALARM, addresses, Policy((publish,)))
        return Alarm(topic, tuple(rules), forwarder)

    def _alarm_stacks(self) -> dict[str, str]:
        """The name of the alarm's stack by Region: at home, and wherever break-glass events land."""
        home = self._stack("break-glass-alarm")
        return {self.region: home} | {r: f"{home}-{r}" for r in _landing_regions(self.region) if r != self.region}

    def _home_bus(self) -> str:
        return f"arn:{PARTITION}:events:{self.region}:{ACCOUNT}:event-bus/default"

    def _forwarder(self, stack: str, policies: list[ManagedPolicy]) -> Role:
        origins = (Origin("break_glass", self.configuration.break_glass.span),)
        put = Statement("ForwardToHome", "Allow", ("events:PutEvents",), (self._home_bus(),), origins=origins)
        policies.append(_policy(_ALARM, "/break-glass/", stack, Policy((put,))))
        trust = Statement(
            "TrustService",
            "Allow",
            actions=("sts:AssumeRole",),
            principals=(Principal("Service", ("events.amazonaws.com",)),),
            conditions=(
                Condition("ArnLike", "aws:SourceArn", _rule_arns()),
                Condition("StringEquals", "aws:SourceAccount", (ACCOUNT,)),
            ),
            origins=origins,
        )
        return Role(
            logical_id("Role", _ALARM),
            stack,
            _ALARM,
            "/break-glass/",
            "EventBridge hands break-glass events to the home Region",
            Policy((trust,)),
            (_ALARM,),
        )

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


def _service_name(service: str) -> str:
    return service.removesuffix(".amazonaws.com")


_OWN = frozenset({*_ENROL, *_REMOVE_DEVICE}) - {"iam:DeleteVirtualMFADevice"}
_UNOWNED = frozenset({*_SEE_RULES, *_MAKE_DEVICE, "iam:DeleteVirtualMFADevice"})
"""Enrolment that cannot be limited to a user: `never` leaves it alone."""


def _denied(
    use: DutyUse, duty: Duty, context: _Grant, own_names: frozenset[str]
) -> Iterator[tuple[str, set[Action], Statement]]:
    """What `never` denies of a duty: a label, actions, and the statement that says where.

    `own_names` are actions that people keep on themselves.
    """
    anywhere: dict[Text, tuple[Text, ...]] = {name: (Text("*"),) for name in duty.parameters}
    wide = DutyUse.model_construct(name=use.name, parameters=anywhere)
    access = duty_access(wide, duty, context.found)
    granted = {s: {a for p in s.actions for a in catalog.actions_of(p)} for s in access.statements}
    changes = {a for actions in granted.values() for a in actions if a.level not in LOOKING}
    named = set(_never_patterns(duty, context))
    everywhere = changes | named
    yield "", everywhere - _actions(own_names | _UNOWNED), Statement("", "Deny", resources=("*",))
    own = everywhere & _actions(own_names)
    looked_at: dict[tuple[str, ...], set[Action]] = {}
    for statement, actions in granted.items():
        looks = {a for a in actions if a.level in LOOKING} - everywhere - _actions(_UNOWNED)
        if statement.resources != ("*",) or not changes:
            own |= looks & _actions(own_names)
            looked_at.setdefault(statement.resources, set()).update(looks - _actions(own_names))
    yield "OfOthers", own, Statement("", "Deny", not_resources=SELF)
    for resources, actions in looked_at.items():
        yield "Looking", actions, Statement("", "Deny", resources=resources)


def _never_patterns(duty: Duty, context: _Grant) -> Iterator[Action]:
    for pattern in duty.never:
        hits = list(catalog.actions_of(pattern))
        if not hits:
            hint = unknown_action_hint(pattern) or "remove it"
            message = f"'never' names {quoted(pattern)}, which matches no action"
            context.report("unknown-action", message, pattern.span, hint)
        yield from hits


def _actions(names: Iterable[str]) -> set[Action]:
    return {action for name in names if (action := _action(name)) is not None}


def _action(text: str) -> Action | None:
    prefix, _, name = text.partition(":")
    return catalog.service(prefix).action(name) if prefix in catalog.services() else None


def _distinct(statements: Iterable[Statement]) -> list[Statement]:
    """Equal statements once, and Sids made different by their content where two would be the same."""
    merged: dict[Statement, Statement] = {}
    for statement in statements:
        there = merged.get(statement)
        merged[statement] = replace(statement, origins=there.origins + statement.origins) if there else statement
    shared = Counter(s.sid for s in merged)
    return [s if shared[s.sid] == 1 else replace(s, sid=f"{s.sid}{_digest(s)}") for s in merged.values()]


def _digest(statement: Statement) -> str:
    text = json.dumps([statement.effect, statement.actions, statement.resources, statement.not_resources])
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _policy(name: str, path: str, stack: str, policy: Policy) -> ManagedPolicy:
    return ManagedPolicy(logical_id("Policy", name), stack, name, path, policy)


# --- where break-glass events land ----------------------------------------------------------------------------------

_LANDING = {
    "cn-": ("cn-north-1",),
    "us-gov-": ("us-gov-west-1",),
    "": ("ap-southeast-2", "eu-north-1", "us-east-1", "us-east-2"),
}
"""Regions where the events of IAM and of sign-in through the global endpoint are logged, by the prefix of the home
Region. Source: CloudTrail User Guide, "AWS Management Console sign-in events"; China and GovCloud from experience."""


_ALARM = "break-glass-alarm"
_RULES = ("break-glass-call", "break-glass-sign-in", "break-glass-tampering")


def _rule_arns() -> tuple[str, ...]:
    """EventBridge User Guide, "Cross-service confused deputy prevention": the source of an event is its rule."""
    return tuple(f"arn:{PARTITION}:events:*:{ACCOUNT}:rule/{name}" for name in _RULES)


def _landing_regions(home: str) -> tuple[str, ...]:
    return next(regions for prefix, regions in _LANDING.items() if home.startswith(prefix))


_SIGN_IN = ["AWS Console Sign In via CloudTrail", "AWS Console Signin via CloudTrail"]
"""The EventBridge User Guide prints the second form, real events carry the first."""
_CALL = ["AWS API Call via CloudTrail"]
_CHANGES = [False, {"exists": False}]
"""`readOnly` of an event that changes something; an event that does not say counts as one."""


def _patterns(users: list[str], stacks: str) -> Iterator[tuple[str, str, object]]:
    """Name, description and event pattern of each rule; `stacks` is how the names of the break-glass stacks begin."""
    # By path too, so that a user who is no longer in the configuration, but still in the account, stays watched.
    who = {"$or": [{"userName": users}, {"arn": [{"wildcard": "arn:*:iam::*:user/break-glass/*"}]}]}
    yield (
        "break-glass-sign-in",
        "A break-glass user signed in, or tried to",
        {
            "detail-type": _SIGN_IN,
            "detail": {"eventSource": ["signin.amazonaws.com"], "userIdentity": {"type": ["IAMUser"], **who}},
        },
    )
    yield (
        "break-glass-call",
        "A break-glass user called AWS",
        {"detail-type": _CALL, "detail": {"userIdentity": who}},
    )
    yield (
        "break-glass-tampering",
        "Somebody changed a break-glass user, its alarm or the trail that feeds it",
        # Looking is not tampering: whoever reviews users would set the alarm off every day.
        {"detail-type": _CALL, "detail": {"readOnly": _CHANGES, "$or": list(_tampering(users, stacks))}},
    )


def _tampering(users: list[str], stacks: str) -> Iterator[object]:
    """What a call that tampers looks like, one form each."""
    emergency = [{"wildcard": "*/break-glass/*"}]

    def call(service: str, **parameters: object) -> dict[str, object]:
        return {"eventSource": [f"{service}.amazonaws.com"], "requestParameters": parameters}

    yield call("iam", userName=users)
    yield call("iam", groupName=["break-glass"])
    yield call("iam", roleName=[_ALARM])
    yield call("iam", policyArn=emergency)
    yield call("events", name=[{"prefix": "break-glass-"}])
    yield call("events", rule=[{"prefix": "break-glass-"}])
    yield call("sns", topicArn=[{"suffix": f":{_ALARM}"}])
    yield call("sns", subscriptionArn=[{"wildcard": f"*:{_ALARM}:*"}])
    yield call("cloudformation", stackName=[{"wildcard": f"*{stacks}*"}])
    yield {"eventSource": ["cloudtrail.amazonaws.com"]}
