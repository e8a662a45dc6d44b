"""Duties -> statements: what the grants of a duty mean in actions and ARNs.

A grant by access level becomes exactly the actions of the pinned reference; resources are named by type, and become
ARNs with partition and account filled in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from dutybound import catalog, managed
from dutybound.asked import Asked, Finding, Scope
from dutybound.baseline import camel
from dutybound.broad import broad_because
from dutybound.catalog import Action, ResourceType
from dutybound.config import (
    ActionGrant,
    Duty,
    DutyUse,
    LevelGrant,
    ManagedGrant,
    PassGrant,
    RawStatement,
    StatementGrant,
)
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Statement, filled, glob, overlap
from dutybound.read import library
from dutybound.shorten import shortened
from dutybound.when import Placed, block_conditions, carried, conditions_of

LOOKING = frozenset({"list", "read"})


@dataclass(frozen=True, slots=True)
class Access:
    """What one holder gets from duties: statements, AWS managed policies by id, and what a waiver must accept."""

    statements: tuple[Statement, ...]
    managed: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    attached: tuple[tuple[str, Origin], ...] = field(default=(), compare=False)
    """Which duty attaches each of `managed`."""


def duty_access(use: DutyUse, duty: Duty, found: list[Diagnostic], scope: Scope | None = None) -> Access:
    """The access that one use of a duty gives within a configuration's `scope`. Errors are added to `found`."""
    statements: list[Statement] = []
    of_aws: list[tuple[str, Origin]] = []
    findings: list[Finding] = []
    values = {str(name): given for name, given in use.parameters.items()}
    for grant in duty.grants:
        origin = Origin(str(use.name), use.span or use.name.span, grant.span)
        asked = Asked(str(use.name), values, origin, found, scope or Scope(), findings)
        match grant:
            case ManagedGrant():
                of_aws += [(id_, origin) for id_ in _managed(grant, asked)]
            case LevelGrant():
                statements += _level_statements(grant, asked)
            case ActionGrant():
                statements += _action_statements(grant, asked)
            case PassGrant():
                statements += _pass_statements(grant, asked)
            case StatementGrant():
                statements += _raw_statements(grant, asked)
    return Access(tuple(statements), tuple(id_ for id_, _ in of_aws), tuple(findings), tuple(of_aws))


def example_use(name: str, duty: Duty) -> DutyUse:
    """A use of the duty with its example parameters: for its documentation and its tests."""
    return DutyUse.model_construct(name=Text(name), parameters={p: v.example for p, v in duty.parameters.items()})


def _managed(grant: ManagedGrant, asked: Asked) -> list[str]:
    name, span = grant.managed, grant.managed.span
    try:
        policy = managed.managed_policy(name)
    except KeyError:
        near = did_you_mean(name.rpartition("/")[2], managed.names())
        hint = near or "the AWS Managed Policy Reference has their names"
        asked.report("unknown-managed-policy", f"there is no AWS managed policy {quoted(name)}", span, hint)
        return []
    if not policy.attachable:
        message = f"the AWS managed policy {quoted(name)} cannot be given: {policy.refused}"
        asked.report("unattachable-policy", message, span, "name another policy, or the actions that are needed")
        return []
    # The library's own use of one is reviewed with it; there is none but `administer`.
    if asked.duty not in library() and (because := broad_because(policy)):
        hint = "name duties instead, or a narrower policy"
        asked.findings.append(Finding("broad-managed-policy", asked.duty, f"{policy.name} {because}", span, hint))
    return [policy.id]


def _level_statements(grant: LevelGrant, asked: Asked) -> Iterator[Statement]:
    prefixes = _service_prefixes(grant, asked)
    if not prefixes:
        return
    wanted = _Wanted(
        tuple(prefixes),
        tuple(map(str, grant.access)),
        tuple(map(str, grant.only)),
        tuple(map(str, grant.except_)),
        None if grant.resources is None else frozenset(map(str, grant.resources)),
        grant.wide,
        grant.shorten,
    )
    _check_chosen(grant, wanted, asked)
    if not _reasons_given(grant, asked, any(level not in LOOKING for level in grant.access)):
        return
    parts = _parts(wanted)
    if grant.resources is None:
        label = "*" if "*" in grant.service else prefixes[0]
        for part in parts:
            yield from _statement(grant, asked, part.actions, label, ("*",), (), part.patterns)
        return
    arns = _arns(grant.resources, prefixes, asked)
    _unused_types(grant.resources, {t for part in parts for t in part.types}, arns, asked)
    for part in parts:
        types = part.types
        resources = {arn for t in types for arn in arns.get((part.service, t), ())} if types else {"*"}
        if resources:
            label = "".join(map(camel, types[:2])) + ("AndMore" if len(types) > 2 else "") or part.service
            yield from _statement(grant, asked, part.actions, label, tuple(sorted(resources)), types, part.patterns)


class _Wanted(NamedTuple):
    """What a grant by level says, without the values of parameters: the same for everybody who has the duty."""

    prefixes: tuple[str, ...]
    levels: tuple[str, ...]
    only: tuple[str, ...]
    except_: tuple[str, ...]
    types: frozenset[str] | None
    wide: bool | None
    shorten: bool


class _Part(NamedTuple):
    """Actions that one statement grants on resources of these types (none: on `*`), and the patterns for them."""

    types: tuple[str, ...]
    service: str
    actions: tuple[Action, ...]
    patterns: tuple[str, ...]


@lru_cache(maxsize=1024)
def _parts(wanted: _Wanted) -> tuple[_Part, ...]:
    """The actions that a grant by level takes in, by what they can be limited to and by service."""
    chosen = _chosen(wanted.prefixes, wanted.levels, wanted.only, wanted.except_).left
    grouped: dict[tuple[str, ...], list[Action]] = {}
    if wanted.types is None:
        grouped[()] = [a for a in chosen if a.types or wanted.wide is not False]
    else:
        for action in chosen:
            types = tuple(sorted({t for t in action.types if t in wanted.types}))
            anywhere = not action.types and wanted.wide is not False and (action.level in LOOKING or bool(wanted.wide))
            if types or anywhere:
                grouped.setdefault(types, []).append(action)
    levels = catalog.RANK if wanted.shorten else LOOKING
    if wanted.types is None:
        return tuple(_Part((), "", tuple(actions), shortened(actions, levels)) for actions in grouped.values())
    parts = []
    for types, actions in grouped.items():
        for prefix in sorted({a.service for a in actions}):
            here = tuple(a for a in actions if a.service == prefix)
            parts.append(_Part(types, prefix, here, shortened(here, levels)))
    return tuple(parts)


def _service_prefixes(grant: LevelGrant, asked: Asked) -> list[str]:
    if "*" in grant.service:
        return list(catalog.services())
    known = []
    for name in grant.service:
        if name in catalog.services():
            known.append(str(name))
        else:
            hint = did_you_mean(name, catalog.services())
            asked.report("unknown-service", f"there is no service {quoted(name)}", name.span, hint)
    return sorted(known)


def _candidates(prefixes: Iterable[str], levels: Collection[str]) -> list[Action]:
    """The actions of these services and access levels."""
    return [a for prefix in prefixes for a in catalog.service(prefix).actions.values() if a.level in levels]


class _Chosen(NamedTuple):
    """The actions that `only` and `except` leave of the candidates, and the patterns that match none of these."""

    candidates: int
    left: tuple[Action, ...]
    idle: frozenset[str]


@lru_cache(maxsize=1024)
def _chosen(
    prefixes: tuple[str, ...], levels: tuple[str, ...], only: tuple[str, ...], except_: tuple[str, ...]
) -> _Chosen:
    candidates = _candidates(prefixes, levels)
    by_service: dict[str, list[Action]] = {}
    for action in candidates:
        by_service.setdefault(action.service, []).append(action)
    chosen = candidates
    idle: set[str] = set()
    for keep, patterns in ((True, only), (False, except_)):
        matched: set[Action] = set()
        for pattern in patterns:
            prefix, _, name = pattern.partition(":")
            near = candidates if prefix == "*" else by_service.get(prefix, [])
            matches = glob(name, True).fullmatch
            hits = [a for a in near if matches(a.name)]
            matched.update(hits)
            if not hits:
                idle.add(pattern)
        if patterns:
            chosen = [a for a in chosen if (a in matched) == keep]
    return _Chosen(len(candidates), tuple(chosen), frozenset(idle))


def _check_chosen(grant: LevelGrant, wanted: _Wanted, asked: Asked) -> None:
    """Report patterns that match nothing, and a grant that nothing is left of."""
    found = _chosen(wanted.prefixes, wanted.levels, wanted.only, wanted.except_)
    if not found.candidates:
        levels = ", ".join(grant.access)
        asked.report("empty-grant", f"no action has the access level {levels} there", grant.span, "remove the grant")
        return
    for key, patterns in (("only", grant.only), ("except", grant.except_)):
        for pattern in patterns if found.idle else ():
            if pattern in found.idle:
                _no_hit(key, pattern, _candidates(wanted.prefixes, wanted.levels), asked)
    if not found.left and not found.idle:
        asked.report("empty-grant", "a grant is left with no action at all", grant.span, "remove it, or widen it")


def _no_hit(key: str, pattern: Text, candidates: Iterable[Action], asked: Asked) -> None:
    known = unknown_action_hint(pattern) if "*" not in pattern and "?" not in pattern else ""
    message = f"'{key}' names {quoted(pattern)}, which matches none of the grant's actions"
    hint = known or did_you_mean(pattern, (str(a) for a in candidates)) or "remove it, or check its access level"
    asked.report("unknown-action", message, pattern.span, hint)


def unknown_action_hint(action: str) -> str:
    """What a user who wrote an unknown action may have meant, or an empty text if the action exists."""
    return _unknown_action_hint(str(action))


@lru_cache(maxsize=1024)
def _unknown_action_hint(action: str) -> str:
    # An alias repeats a typo any number of times; the nearest of a service's actions takes milliseconds to find.
    prefix, _, name = action.partition(":")
    if prefix not in catalog.services():
        near = did_you_mean(prefix, catalog.services())
        return f"there is no service '{prefix}'{'; ' + near if near else ''}"
    service = catalog.service(prefix)
    if service.action(name) is not None:
        return ""
    return did_you_mean(action, (str(a) for a in service.actions.values())) or f"{prefix} has no such action"


def _reasons_given(grant: LevelGrant | ActionGrant, asked: Asked, changes: bool) -> bool:
    """Whether a grant that reaches every resource says so and why."""
    if grant.resources is None and changes and not grant.wide:
        message = "a grant that changes things names its resources"
        asked.report("wide-grant", message, grant.span, "add 'resources', or 'wide: true' with a 'why'")
        return False
    if grant.wide and not grant.why:
        asked.report("wide-grant", "a wide grant says why", grant.span, "add 'why: …'")
        return False
    return True


def _action_statements(grant: ActionGrant, asked: Asked) -> Iterator[Statement]:
    actions = []
    for text in grant.actions:
        action = action_named(text)
        if action is None:
            hint = unknown_action_hint(text)
            asked.report("unknown-action", f"there is no action {quoted(text)}", text.span, hint)
        else:
            actions.append((text, action))
    changes = any(a.level not in LOOKING for _, a in actions)
    if not actions or not _reasons_given(grant, asked, changes):
        return
    by_service: dict[str, list[tuple[Text, Action]]] = {}
    for text, action in actions:
        by_service.setdefault(action.service, []).append((text, action))
    arns = _arns(grant.resources or {}, sorted(by_service), asked)
    used: set[str] = set()
    for _, here in sorted(by_service.items()):
        if grant.resources is None:
            named = [a for _, a in here]
            yield from _statement(grant, asked, named, _first(here), ("*",), (), shortened(named, LOOKING))
            continue
        used |= {t for _, a in here for t in a.types}
        yield from _scoped_actions(grant, asked, here, arns)
    _unused_types(grant.resources or {}, used, arns, asked)


def _first(actions: list[tuple[Text, Action]]) -> str:
    return min(a.name for _, a in actions)


def _scoped_actions(
    grant: ActionGrant,
    asked: Asked,
    actions: list[tuple[Text, Action]],
    arns: Mapping[tuple[str, str], tuple[str, ...]],
) -> Iterator[Statement]:
    by_types: dict[tuple[str, ...], list[tuple[Text, Action]]] = {}
    for text, action in actions:
        types = tuple(t for t in action.types if (action.service, t) in arns)
        if not types and not (grant.wide and not action.types):
            known = _listed(action.types)
            hint = f"its resource types: {known}" if known else "it has no resource-level permissions: grant it apart"
            asked.report("wrong-resource", f"{action} cannot be limited to these resources", text.span, hint)
            continue
        by_types.setdefault(types, []).append((text, action))
    for types, here in by_types.items():
        resources = {arn for t in types for arn in arns[(here[0][1].service, t)]} if types else {"*"}
        passing = next((text for text, action in here if str(action) == "iam:PassRole"), None)
        if passing is not None and types and any(map(_every_role, resources)):
            asked.report(
                "wide-pass", "it passes every role there is", passing.span, "write 'pass: [role/app/*]' and 'to'"
            )
        if resources:  # none where each had an error of its own
            named = [a for _, a in here]
            patterns = shortened(named, LOOKING)
            yield from _statement(grant, asked, named, _first(here), tuple(sorted(resources)), types, patterns)


def _statement(
    grant: LevelGrant | ActionGrant,
    asked: Asked,
    actions: Iterable[Action],
    label: str,
    resources: tuple[str, ...],
    types: Iterable[str],
    patterns: tuple[str, ...],
) -> Iterator[Statement]:
    """The statement that grants actions, written as `patterns`, on resources of these types."""
    placed = conditions_of(grant.when, asked)
    carried(placed, actions, types, True, asked)
    if patterns:
        sid = f"{camel(asked.duty)}{'' if label == '*' else camel(label)}"
        conditions = tuple(p.condition for p in placed)
        yield Statement(
            sid, "Allow", actions=patterns, resources=resources, conditions=conditions, origins=(asked.origin,)
        )


# --- roles that are passed ------------------------------------------------------------------------------------------


def _pass_statements(grant: PassGrant, asked: Asked) -> Iterator[Statement]:
    """`iam:PassRole` on the roles, for the services alone.

    Source: IAM User Guide, "Grant a user permissions to pass a role to an AWS service".
    """
    role = catalog.service("iam").types["role"]
    arns = set()
    for text in asked.all_substituted(grant.pass_):
        path = Text(f"roles/{text}" if text in asked.scope.roles else text.removeprefix("role/"), text.span)
        arn = _arn(role, path, asked)
        if arn is not None and _every_role(arn):
            message = f"{quoted(text)} passes every role there is"
            asked.report("wide-pass", message, text.span, "name roles by a path or the start of a name")
        elif arn is not None:
            arns.add(arn)
    principals = passed_to(grant, asked)
    if not arns or not principals:
        return
    to = Placed(Condition("StringEquals", "iam:PassedToService", principals), grant.to[0])
    placed = conditions_of(grant.when, asked, (to,))
    passed = [a for a in (action_named("iam:PassRole"),) if a is not None]
    carried(placed, passed, ("role",), True, asked)
    yield Statement(
        f"{camel(asked.duty)}PassRole",
        "Allow",
        actions=("iam:PassRole",),
        resources=tuple(sorted(arns)),
        conditions=tuple(p.condition for p in placed),
        origins=(asked.origin,),
    )


def _every_role(arn: str) -> bool:
    """Whether an ARN names roles of any name: wildcards with nothing of a name beside them, or of a path."""
    name = glob(filled(arn, "").split(":", 5)[-1])
    # No role's name holds this character, so that only wildcards match it.
    return any(name.fullmatch(f"role/{path}{letters}") for path in ("", "~/") for letters in ("~", "~~", "~" * 60))


def passed_to(grant: PassGrant, asked: Asked) -> tuple[str, ...]:
    """The service principals that roles are passed to, sorted. Unknown ones are reported."""
    return tuple(sorted({p for text in asked.all_substituted(grant.to) if (p := _service_principal(text, asked))}))


def _service_principal(text: Text, asked: Asked) -> str | None:
    row = catalog.service_principal(text)
    if row is None:
        known = catalog.service_principals()
        message = f"roles are passed to a service that is not known to take them: {quoted(text)}"
        hint = did_you_mean(text, known) or f"known: {', '.join(sorted(known)[:12])} …"
        asked.report("unknown-service", message, text.span, hint)
        return None
    return row.principal


# --- statements as IAM writes them ----------------------------------------------------------------------------------


def _raw_statements(grant: StatementGrant, asked: Asked) -> Iterator[Statement]:
    asked = replace(asked, lenient=True)
    for number, raw in enumerate(grant.statements, 1):
        actions = _raw_actions(raw.action or raw.not_action or (), asked)
        resources = _raw_resources(raw.resource or raw.not_resource or (), actions, asked)
        placed = block_conditions(raw.condition, raw.effect, asked)
        if raw.action is not None and "*" not in raw.action:
            carried(placed, actions, (), False, asked)
        if raw.effect == "Allow":
            _raw_findings(raw, actions, asked)
        texts = tuple(sorted({str(a) for a in raw.action or raw.not_action or ()}))
        yield Statement(
            f"{camel(asked.duty)}{camel(raw.sid or f'Statement{number}')}",
            raw.effect,
            actions=texts if raw.action is not None else (),
            not_actions=texts if raw.not_action is not None else (),
            resources=resources if raw.resource is not None else (),
            not_resources=resources if raw.not_resource is not None else (),
            conditions=tuple(p.condition for p in placed),
            origins=(asked.origin,),
        )


def _raw_actions(texts: Iterable[Text], asked: Asked) -> list[Action]:
    """The actions that the patterns take in; a pattern that takes in none is an error."""
    out: list[Action] = []
    for text in texts:
        hits = list(catalog.actions_of(text))
        if not hits:
            hint = unknown_action_hint(text) or "check the service and the name"
            asked.report("unknown-action", f"no action is matched by {quoted(text)}", text.span, hint)
        out += hits
    return out


def _raw_resources(texts: Iterable[Text], actions: Iterable[Action], asked: Asked) -> tuple[str, ...]:
    """The resources, each `*` or an ARN that one of the actions' resource types can have."""
    services = {a.service for a in actions}
    formats = [t for s in sorted(services) for t in catalog.service(s).types.values()] if len(services) < 40 else []
    out = set()
    for text in asked.all_substituted(texts):
        if not asked.variables_known(text):
            continue
        if text != "*":
            _check_arn(text, formats, asked)
        out.add(str(text))
    return tuple(sorted(out))


def _check_arn(text: Text, formats: Iterable[ResourceType], asked: Asked) -> None:
    if len(filled(text, "").split(":", 5)) < 6 or not text.startswith("arn:"):
        message = f"{quoted(text)} is neither '*' nor an ARN of six parts"
        asked.report("wrong-resource", message, text.span, "write '*' or a whole ARN")
    elif formats and not any(matches_format(text, type_.arn) for type_ in formats):
        message = f"{quoted(text)} is no resource of {' or '.join(sorted({t.service for t in formats})[:3])}"
        asked.report("foreign-resource", message, text.span, "remove it, or name the action that it is for")


def _raw_findings(raw: RawStatement, actions: list[Action], asked: Asked) -> None:
    """What a reviewer must accept on purpose; built-in duties hold no raw statements."""

    def finding(name: str, message: str, at: Text | None, hint: str) -> None:
        span = at.span if at is not None else raw.span
        asked.findings.append(Finding(name, asked.duty, message, span, hint))

    if raw.not_action is not None or raw.not_resource is not None:
        message = "a statement allows everything but what it names, and so also what AWS adds tomorrow"
        finding("wide-action", message, (raw.not_action or raw.not_resource or (None,))[0], "name what it allows")
        return
    for text in raw.action or ():
        if text == "*" or not text.partition(":")[2].strip("*?"):
            # Security Hub IAM.1 and IAM.21: no `*` and no `service:*` in customer managed policies.
            finding("wide-action", f"{quoted(text)} allows every action there is", text, "name the actions")
    # An ARN that names nothing but an account is everything too.
    resources = asked.all_substituted(raw.resource or ())
    passes = action_named("iam:PassRole") in actions
    everything = (
        t for t in resources if not filled(t, "").split(":", 5)[-1].strip("*?:/") or (passes and _every_role(t))
    )
    wide = next(everything, None)
    changing = sorted({str(a) for a in actions if a.level not in LOOKING})
    if wide is not None and changing:
        more = f" and {len(changing) - 2} more" if len(changing) > 2 else ""
        message = f"{', '.join(changing[:2])}{more} on every resource"
        finding("wide-resource", message, wide, "name the resources")


# --- resources without ARNs -----------------------------------------------------------------------------------------


def _arns(
    wanted: Mapping[Text, tuple[Text, ...]], prefixes: list[str], asked: Asked
) -> dict[tuple[str, str], tuple[str, ...]]:
    """ARNs by service and resource type, partition and account filled in."""
    out: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, texts in wanted.items():
        types = [t for p in prefixes if (t := catalog.service(p).types.get(name)) is not None]
        if not types and prefixes:
            known = [t for p in prefixes for t in catalog.service(p).types]
            hint = did_you_mean(name, known) or f"known: {_listed(known)}"
            message = f"{' and '.join(prefixes[:3])} has no resource type {quoted(name)}"
            asked.report("unknown-resource-type", message, name.span, hint)
        for type_ in types:
            filled = [arn for text in texts for value in asked.substituted(text) if (arn := _arn(type_, value, asked))]
            out[(type_.service, type_.name)] = tuple(filled)
    return out


def _arn(type_: ResourceType, text: Text, asked: Asked) -> str | None:
    if not asked.variables_known(text):
        return None
    if text.startswith("arn:"):
        return _whole_arn(type_, text, asked)
    if "${" in type_.arn.split(":", 3)[2]:
        # IAM takes no wildcard for the service in an ARN.
        message = f"a {type_.name} of {type_.service} may belong to any of several services"
        asked.report(
            "wrong-resource", message, text.span, "write a whole ARN, as in 'arn:{partition}:ec2:*::snapshot/*'"
        )
        return None
    head, tail = _filled_in(type_.arn)
    if not tail:
        if text == "*":
            return head
        asked.report("wrong-resource", f"there is only one {type_.name} in an account", text.span, "write '*'")
        return None
    if text == "*":
        return head + re.sub(r"\$\{[^}]*\}", "*", tail)
    if not _can_name(text, tail):
        message = f"{quoted(text)} does not look like a {type_.name} of {type_.service}"
        asked.report("wrong-resource", message, text.span, f"write it as '{_shape(tail)}'")
        return None
    if why := catalog.wrong_name(type_, text):
        asked.report("wrong-resource", f"{quoted(text)} is no {type_.name}: {why}", text.span, "write the name alone")
        return None
    return head + text


def _whole_arn(type_: ResourceType, text: Text, asked: Asked) -> str | None:
    """An ARN that a user wrote in full, if the type's format allows it."""
    if matches_format(text, type_.arn):
        return str(text)
    message = f"{quoted(text)} is no ARN of a {type_.name} of {type_.service}"
    asked.report("wrong-resource", message, text.span, f"it looks like '{_shape(type_.arn)}'")
    return None


def matches_format(text: str, format_: str) -> bool:
    """Whether an ARN with wildcards can be one of a format of the reference.

    Part by part, since a `*` that stands for an account must not reach over the colons of the format.
    """
    mine, theirs = filled(text, "0" * 12).split(":", 5), format_.split(":", 5)
    if len(mine) < 6 or len(theirs) < 6:
        return False
    heads = all(_can_name(a, b) or (a == "" and "${" in b) for a, b in zip(mine[:5], theirs[:5], strict=True))
    return heads and _can_name(mine[5], theirs[5])


def _listed(names: Sequence[str]) -> str:
    """The first names of many, for a hint that stays a line."""
    return f"{', '.join(names[:12])}{' …' if len(names) > 12 else ''}"


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
    return _known_to_name(str(text), tail)  # a text of the user's would keep the file that it stands in


@lru_cache(maxsize=16384)
def _known_to_name(text: str, tail: str) -> bool:
    # A variable of the format is at least one character of anything.
    wanted = re.sub(r"\$\{[^}]*\}", "?*", tail)
    return overlap(re.sub(r"\$\{[^}]*\}", "?*", text), wanted)


def _unused_types(
    wanted: Mapping[Text, tuple[Text, ...]],
    used: set[str],
    arns: Mapping[tuple[str, str], tuple[str, ...]],
    asked: Asked,
) -> None:
    for name in wanted:
        if name not in used and any(t == name for _, t in arns):
            message = f"no action of the grant can be limited to the resource type {quoted(name)}"
            asked.report("unused-resource", message, name.span, "remove it, or add the access level it needs")


def actions_named(names: Iterable[str]) -> set[Action]:
    """The actions of the reference with these names (`service:Action`)."""
    return {action for name in names if (action := action_named(name)) is not None}


def action_named(text: str) -> Action | None:
    """The action that a text (`service:Action`, in any case) names, or None."""
    return _action_named(str(text))  # a text of the user's would keep the file that it stands in


@lru_cache(maxsize=16384)
def _action_named(text: str) -> Action | None:
    prefix, _, name = text.partition(":")
    return catalog.service(prefix).action(name) if prefix in catalog.services() else None
