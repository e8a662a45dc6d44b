"""An IAM policy that exists -> a duty in YAML, for whoever starts from what the account has.

Allowing statements become grants: by access level where the levels of a service give exactly the actions that the
policy allows, by actions otherwise, conditions kept. What a grant cannot say (Deny, NotAction, NotResource, `*`) stays
a statement in IAM's words. The result is compiled again and compared, action by action over the pinned reference, with
what the policy said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from dutybound import catalog, source
from dutybound.catalog import Action, ResourceType
from dutybound.config import Duty, parameters_in
from dutybound.diagnostic import Checked, Diagnostic, quoted, visible
from dutybound.evaluate import Judge
from dutybound.grant import LOOKING, Access, duty_access, example_use, matches_format
from dutybound.guardrails import judge_of, judged
from dutybound.policy import VERSION, Policy, Statement, parse
from dutybound.read import shaped_duty

Tree: TypeAlias = dict[str, Any]
"""A piece of YAML to be written: the one place where loose mappings are the thing itself."""
Said: TypeAlias = frozenset[tuple[str, str, str, frozenset[tuple[str, str, frozenset[str]]]]]
"""What a policy says of one action: effect, Resource or NotResource, one pattern, and the conditions."""
_DENIABLE = (
    "iam:CreateUser",
    "iam:PassRole",
    "s3:DeleteBucket",
    "ec2:TerminateInstances",
    "kms:ScheduleKeyDeletion",
    "organizations:LeaveOrganization",
    "account:CloseAccount",
)
"""What a duty that was carried over is first expected not to do: the gravest that it does not do indeed."""


class NotCarried(Exception):
    """The policy cannot become a duty; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A duty made from a policy."""

    yaml: str
    """A configuration file with the duty."""
    notes: tuple[str, ...]
    """What the policy named that has no meaning in the pinned reference, and so is not in the duty."""
    doubts: tuple[str, ...]
    """What the policy says, and the duty with it, that may mean something else than it seems to."""


def carried(document: object, name: str, origin: str) -> Carried:
    """A duty called `name` from a policy document; `origin` is where it came from, for the reason that grants give.

    `document` is the JSON of an identity policy, alone or as `aws iam get-policy-version` prints it. Raises NotCarried
    for what is no identity policy, allows everything, or would mean something else as a duty.
    """
    policy = _policy(document)
    if any(s.effect == "Allow" and s.actions == ("*",) and s.resources == ("*",) for s in policy.statements):
        raise NotCarried("the policy allows everything: give the built-in duty 'administer' instead")
    _refuse_lost_meaning(policy)
    notes: list[str] = []
    why = f"Carried over from {origin}"
    grants = [grant for s in policy.statements for grant in _grants(s, why, notes)]
    if not grants:
        raise NotCarried("nothing in the policy has a meaning in the IAM service reference")
    tree: Tree = {"summary": f"What {origin} allowed", "grants": grants}
    # Without tests first, since which requests are allowed is seen once it is compiled.
    duty = _compiled(tree, name)
    access, doubts = _access(duty, name)
    if difference := _difference(policy, access):
        raise NotCarried(f"as a duty the policy would mean something else for {difference}; please report this")
    tree["expect"] = _expectations(policy, access)
    return Carried(source.dumped({"duties": {name: tree}}), tuple(dict.fromkeys(notes)), doubts)


def _policy(document: object) -> Policy:
    if isinstance(document, dict) and isinstance(document.get("PolicyVersion"), dict):
        document = document["PolicyVersion"].get("Document")
    if not isinstance(document, dict):
        raise NotCarried("this is not the JSON object of an IAM policy")
    try:
        policy = parse(document)
    except ValueError as error:
        raise NotCarried(f"this is not an IAM policy: {error}") from None
    if any(s.principals or s.not_principals for s in policy.statements):
        raise NotCarried("a statement names a Principal: this is the policy of a resource or the trust of a role")
    if not policy.statements:
        raise NotCarried("the policy holds no statement")
    for text in _texts(policy):
        for word in parameters_in(text):
            raise NotCarried(f"{quoted(f'{{{word}}}')} stands in {quoted(text)}: in a duty it would be a parameter")
    return policy


def _texts(policy: Policy) -> Iterator[str]:
    """What a duty would read parameters in."""
    for statement in policy.statements:
        yield from (*statement.resources, *statement.not_resources)
        yield from (value for condition in statement.conditions for value in condition.values)


def _refuse_lost_meaning(policy: Policy) -> None:
    """Raise NotCarried where a duty would allow more than the policy, and the comparison over the reference miss it."""
    if policy.version != VERSION and (text := next((t for t in _texts(policy) if "${" in t), "")):
        message = (
            f"its Version is {policy.version}, in which {quoted(text)} is plain text; in a duty it would be a variable"
        )
        raise NotCarried(f"{message}: decide what is meant, and set the Version to {VERSION} or replace it")
    for statement in policy.statements:
        allows = statement.effect == "Allow"
        for pattern in statement.not_actions if allows else statement.actions:
            if not catalog.actions_of(pattern):
                excepted = "leaves out" if allows else "denies"
                message = f"the policy {excepted} {visible(pattern)}, which {catalog.version()} does not know"
                raise NotCarried(
                    f"{message}: a duty cannot name it, and would allow more; remove it if AWS has no such action"
                )


# --- statements -> grants -------------------------------------------------------------------------------------------


def _grants(statement: Statement, why: str, notes: list[str]) -> Iterator[Tree]:
    simple = statement.effect == "Allow" and not (statement.not_actions or statement.not_resources)
    if not simple or any(_is_pattern(a.partition(":")[0]) for a in statement.actions):
        yield _raw(statement, why, notes)
        return
    by_service: dict[str, list[str]] = {}
    for pattern in map(_lower_prefix, statement.actions):
        if any(True for _ in catalog.actions_of(pattern)):
            by_service.setdefault(pattern.partition(":")[0], []).append(pattern)
        else:
            notes.append(f"{visible(pattern)}: no such action in {catalog.version()}")
    for service, patterns in sorted(by_service.items()):
        here = replace(statement, actions=tuple(sorted(set(patterns))))
        made = list(_service_grants(service, here, why, notes))
        # A condition on a key that some of the actions do not know is refused in a grant, not in a raw statement.
        yield from made if not made or not _fails({"summary": "x", "grants": made}) else [_raw(here, why, notes)]


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _lower_prefix(pattern: str) -> str:
    prefix, _, name = pattern.partition(":")
    return f"{prefix.lower()}:{name}"


def _service_grants(service: str, statement: Statement, why: str, notes: list[str]) -> Iterator[Tree]:
    """The actions of one service, on everything or on the resource types that the statement's ARNs can be."""
    actions = {a for pattern in statement.actions for a in catalog.actions_of(pattern)}
    if "*" in statement.resources:
        yield from _on(actions, None, service, statement, why)
        return
    types = catalog.service(service).types
    fitting = {name: sorted(r for r in statement.resources if _can_be(r, type_)) for name, type_ in types.items()}
    useful = {a for a in actions if any(fitting.get(t) for t in a.types)}
    named = {str(a): a for a in actions - useful}
    notes += [
        f"{visible(text)}: cannot be limited to the resources that the policy names, so it was never allowed"
        for text in statement.actions
        if text in named
    ]
    notes += [
        f"{visible(resource)}: no action of {service} that the statement allows is about it"
        for resource in statement.resources
        if not any(resource in fitting.get(t, ()) for a in useful for t in a.types)
    ]
    if useful:
        yield from _on(useful, {t: arns for t, arns in sorted(fitting.items()) if arns}, service, statement, why)


@lru_cache(maxsize=16384)
def _can_be(resource: str, type_: ResourceType) -> bool:
    """Whether an ARN can be one of a resource type."""
    return matches_format(resource, type_.arn) and not catalog.wrong_name(type_, resource.split(":", 5)[5])


def _on(
    actions: set[Action], resources: Mapping[str, list[str]] | None, service: str, statement: Statement, why: str
) -> Iterator[Tree]:
    """One grant by levels for those that the levels give exactly, and one for the rest.

    The rest are levels again, kept to the policy's own patterns, or actions where it names them.
    """
    everything = [
        a
        for a in catalog.service(service).actions.values()
        if resources is None or any(t in resources for t in a.types)
    ]
    levels = _whole_levels(actions, everything)
    rest = [level for level in reversed(catalog.RANK) if any(a.level == level for a in actions) and level not in levels]
    if levels:
        tail = _tail(resources, (a for a in actions if a.level in levels), statement)
        wide: Tree = {"wide": False} if resources is not None else _wide(levels)
        yield {"service": service, "access": levels, **tail, **wide, "why": why}
    if not rest:
        return
    left = {a for a in actions if a.level in rest}
    patterns = [p for p in statement.actions if any(a in left for a in catalog.actions_of(p))]
    tail = _tail(resources, left, statement)
    if any(map(_is_pattern, patterns)):
        wide = {"wide": False} if resources is not None else _wide(rest)
        yield {"service": service, "access": rest, "only": patterns, **tail, **wide, "why": why}
    else:
        wide = {} if resources is not None else _wide(rest)
        yield {"actions": sorted(map(str, left)), **tail, **wide, "why": why}


def _whole_levels(actions: set[Action], everything: Iterable[Action]) -> list[str]:
    """The levels of which the policy allows every action, unless they are so few that their names say more."""
    by_level: dict[str, set[Action]] = {}
    for action in everything:
        by_level.setdefault(action.level, set()).add(action)
    whole = [level for level in reversed(catalog.RANK) if by_level.get(level, set()) <= actions and level in by_level]
    return whole if any(len(by_level[level]) > 2 for level in whole) else []


def _tail(resources: Mapping[str, list[str]] | None, actions: Iterable[Action], statement: Statement) -> Tree:
    """The resources of a grant, as far as its actions are about them, and its conditions."""
    tail: Tree = {}
    if resources is not None:
        used = {t for a in actions for t in a.types}
        tail["resources"] = {t: _short(arns) for t, arns in resources.items() if t in used}
    if statement.conditions:
        block: dict[str, Tree] = {}
        for condition in statement.conditions:
            block.setdefault(condition.operator, {})[condition.key] = _short(condition.values)
        tail["when"] = {"conditions": block}
    return tail


def _wide(levels: Iterable[str]) -> Tree:
    return {"wide": True} if set(levels) - LOOKING else {}


def _raw(statement: Statement, why: str, notes: list[str]) -> Tree:
    """The statement in IAM's words; actions that the reference does not know are left out where that takes nothing from
    what is denied, and said.
    """
    known: dict[str, tuple[str, ...]] = {}
    for key, patterns in (("actions", statement.actions), ("not_actions", statement.not_actions)):
        kept = []
        for pattern in patterns:
            if catalog.actions_of(pattern):
                kept.append(pattern if pattern == "*" else _lower_prefix(pattern))
            else:
                notes.append(f"{visible(pattern)}: no such action in {catalog.version()}")
        known[key] = tuple(kept)
    document = replace(statement, actions=known["actions"], not_actions=known["not_actions"]).document()
    if not document["Sid"]:
        del document["Sid"]
    return {"statements": [document], "why": why}


def _short(values: Iterable[str]) -> Any:
    found = list(values)
    return found[0] if len(found) == 1 else found


# --- compiled again -------------------------------------------------------------------------------------------------


def _compiled(tree: Tree, name: str) -> Duty:
    shaped = _shaped(tree, name)
    if shaped.value is None or shaped.failed:
        raise NotCarried("; ".join(d.message for d in shaped.diagnostics))
    return shaped.value


def _shaped(tree: Tree, name: str) -> Checked[Duty]:
    loaded = source.loads(source.dumped(tree), "the duty")
    if loaded.value is None:
        return Checked(None, loaded.diagnostics)
    return shaped_duty(loaded.value, name)


def _fails(tree: Tree) -> bool:
    shaped = _shaped(tree, "duty")
    if shaped.value is None or shaped.failed:
        return True
    found: list[Diagnostic] = []
    duty_access(example_use("duty", shaped.value), shaped.value, found)
    return any(d.severity == "error" for d in found)


def _access(duty: Duty, name: str) -> tuple[Access, tuple[str, ...]]:
    """What the duty gives, and what is doubtful in it."""
    found: list[Diagnostic] = []
    access = duty_access(example_use(name, duty), duty, found)
    errors = [d for d in found if d.severity == "error"]
    if errors:
        raise NotCarried("; ".join(f"{d.message} ({d.hint})" if d.hint else d.message for d in errors))
    return access, tuple(d.message for d in found)


def _difference(policy: Policy, access: Access) -> str:
    """The first action of which the policy and the duty say different things, or an empty text."""
    before, after = _meaning(policy.statements), _meaning(access.statements)
    return next((str(a) for a in sorted({*before, *after}) if before.get(a) != after.get(a)), "")


def _meaning(statements: Iterable[Statement]) -> dict[Action, Said]:
    """What statements say of each action of the reference: only of resources that the action can be about."""
    out: dict[Action, set[Any]] = {}
    for statement in statements:
        conditions = frozenset((c.operator, c.key, frozenset(c.values)) for c in statement.conditions)
        for action in catalog.spoken_of(statement):
            said = out.setdefault(action, set())
            resources = ("*",) if "*" in statement.resources else statement.resources
            said.update((statement.effect, "Resource", r, conditions) for r in resources if _about(action, r))
            if statement.not_resources:
                said.add((statement.effect, "NotResource", " ".join(sorted(statement.not_resources)), conditions))
    return {action: frozenset(said) for action, said in out.items() if said}


def _about(action: Action, resource: str) -> bool:
    types = catalog.service(action.service).types
    return resource == "*" or any(_can_be(resource, types[t]) for t in action.types if t in types)


# --- tests of the duty ----------------------------------------------------------------------------------------------


def _expectations(policy: Policy, access: Access) -> list[Tree]:
    out = []
    keys, judge = _keys(policy), judge_of(access)
    allows = (a for s in policy.statements if s.effect == "Allow" if (a := _an_allow(s, judge, keys)))
    if (allow := next(allows, None)) is not None:
        out.append(allow)
    # One action in twenty tells as well whether anything is denied; all of them take seconds where nothing is.
    denied = (a for a in (*_DENIABLE, *islice(_all_actions(), 0, None, 20)) if judged(judge, a).outcome == "denied")
    if (action := next(denied, None)) is not None:
        out.append({"deny": action})
    return out


def _all_actions() -> Iterator[str]:
    return map(str, catalog.actions_of("*"))


def _keys(policy: Policy) -> dict[str, str]:
    """Condition keys of a request that the allowing statements may want, and that keep clear of the denying ones."""
    keys: dict[str, str] = {}
    for statement in sorted(policy.statements, key=lambda s: s.effect):
        for condition in statement.conditions:
            operator = condition.operator.rpartition(":")[2]
            wanted = (statement.effect == "Allow") != (operator.startswith("Not") or "Not" in operator)
            if wanted and operator != "Null":
                keys.setdefault(condition.key, _concrete(condition.values[0]))
            elif operator == "Null" and "false" in condition.values:
                keys.setdefault(condition.key, "x")
    return keys


def _an_allow(statement: Statement, judge: Judge, keys: Mapping[str, str]) -> Tree | None:
    """A request that the statement allows; None if none is found quickly."""
    actions = (a for p in statement.actions if p != "*" for a in catalog.actions_of(p))
    candidates = ((a, r) for a in actions for r in statement.resources if _about(a, r))
    wanted = {c.key for c in statement.conditions}
    for action, resource in islice(candidates, 200):
        on = _concrete(resource) if resource != "*" else ""
        for when in ({k: v for k, v in keys.items() if k in wanted}, dict(keys)):
            if judged(judge, str(action), on, when).outcome == "allowed":
                return {"allow": f"{action} on {on}" if on else str(action), **({"when": when} if when else {})}
    return None


def _concrete(text: str) -> str:
    """A text that the pattern matches: wildcards and variables filled in."""
    return re.sub(r"\$\{[^}]*\}", "example", text).replace("*", "x").replace("?", "x").partition("/32")[0]
