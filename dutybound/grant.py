"""Duties -> statements: what the grants of a duty mean in actions and ARNs.

A grant by access level becomes exactly the actions of the pinned reference; resources are named by type, and become
ARNs with partition and account filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from dutybound import catalog
from dutybound.baseline import camel
from dutybound.catalog import Action, ResourceType
from dutybound.config import PARAMETER, ActionGrant, Duty, DutyUse, LevelGrant, ManagedGrant, parameters_in
from dutybound.diagnostic import Diagnostic, Span, Text, did_you_mean, quoted
from dutybound.policy import ACCOUNT, PARTITION, Origin, Statement, glob

LOOKING = frozenset({"list", "read"})
MOST_RESOURCES = 1000
"""Resources that one text of a grant may give: far more than policies can hold."""
_VARIABLES = re.compile(r"aws:(username|userid|PrincipalAccount|PrincipalOrgID|PrincipalTag/[\w+=.@:/-]{1,128})")
"""Policy variables that a resource may name (IAM User Guide, "IAM policy elements: Variables and tags")."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one holder gets from duties: statements, and AWS managed policies by name."""

    statements: tuple[Statement, ...]
    managed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One grant with what its errors must name."""

    duty: str
    values: Mapping[str, tuple[Text, ...]]
    """The parameters' values."""
    origin: Origin
    found: list[Diagnostic]

    def report(self, name: str, message: str, span: Span | None, hint: str = "") -> None:
        """Add a diagnostic of the duty; the same one at the same place only once."""
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
        context = Asked(str(use.name), values, origin, found)
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


def _managed(grant: ManagedGrant, context: Asked) -> list[str]:
    if grant.managed in catalog.aws_managed_policies():
        return [str(grant.managed)]
    known = list(catalog.aws_managed_policies())
    hint = did_you_mean(grant.managed, known) or f"supported now: {', '.join(known)}"
    message = f"the AWS managed policy {quoted(grant.managed)} is not supported yet"
    context.report("not-supported-yet", message, grant.managed.span, hint)
    return []


def _level_statements(grant: LevelGrant, context: Asked) -> Iterator[Statement]:
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
                label = "".join(map(camel, types[:2])) + ("AndMore" if len(types) > 2 else "")
                yield from _statement(grant, context, here, label or prefix, tuple(sorted(resources)))


def _service_prefixes(grant: LevelGrant, context: Asked) -> list[str]:
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


def _filtered(grant: LevelGrant, candidates: list[Action], context: Asked) -> list[Action]:
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


def _no_hit(key: str, pattern: Text, candidates: Iterable[Action], context: Asked) -> None:
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


def _reasons_given(grant: LevelGrant | ActionGrant, context: Asked, changes: bool) -> bool:
    """Whether a grant that reaches every resource says so and why."""
    if grant.resources is None and changes and not grant.wide:
        message = "a grant that changes things names its resources"
        context.report("wide-grant", message, grant.span, "add 'resources', or 'wide: true' with a 'why'")
        return False
    if grant.wide and not grant.why:
        context.report("wide-grant", "a wide grant says why", grant.span, "add 'why: …'")
        return False
    return True


def _action_statements(grant: ActionGrant, context: Asked) -> Iterator[Statement]:
    actions = []
    for text in grant.actions:
        action = action_named(text)
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
    context: Asked,
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
    grant: LevelGrant | ActionGrant, context: Asked, actions: Iterable[Action], label: str, resources: tuple[str, ...]
) -> Iterator[Statement]:
    short = catalog.shortened(actions, LOOKING)
    if short:
        sid = f"{camel(context.duty)}{'' if label == '*' else camel(label)}"
        yield Statement(sid, "Allow", actions=short, resources=resources, origins=(context.origin,))


# --- resources without ARNs -----------------------------------------------------------------------------------------


def _arns(
    wanted: Mapping[Text, tuple[Text, ...]], prefixes: list[str], context: Asked
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


def _substituted(text: Text, context: Asked) -> Iterator[Text]:
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


def _arn(type_: ResourceType, text: Text, context: Asked) -> str | None:
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


def _variables_known(text: Text, context: Asked) -> bool:
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
    context: Asked,
) -> None:
    for name in wanted:
        if name not in used and any(t == name for _, t in arns):
            message = f"no action of the grant can be limited to the resource type {quoted(name)}"
            context.report("unused-resource", message, name.span, "remove it, or add the access level it needs")


def actions_named(names: Iterable[str]) -> set[Action]:
    """The actions of the reference with these names (`service:Action`)."""
    return {action for name in names if (action := action_named(name)) is not None}


def action_named(text: str) -> Action | None:
    """The action that a text (`service:Action`, in any case) names, or None."""
    prefix, _, name = text.partition(":")
    return catalog.service(prefix).action(name) if prefix in catalog.services() else None
