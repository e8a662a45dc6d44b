"""Raw policies and requests as JSON, for anyone: read strictly, judged, and answered.

`one` judges a request against policies in files, `batch.Batch` a request a line. A policy that AWS would refuse is an
error, never skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dutybound.conditions import OPERATORS
from dutybound.diagnostic import did_you_mean, quoted
from dutybound.evaluate import Decision, Judge, Place, Policies, Request
from dutybound.policy import Policy, Principal, parse, scalar

POLICY_FIELDS = ("identity", "groups", "boundary", "scps", "rcps", "session", "resource_policy")
REQUEST_FIELDS = ("principal", "action", "resource", "context")


class BadLine(ValueError):
    """A line that cannot be judged; the message says why."""


# --- policies -------------------------------------------------------------------------------------------------------


def identity_policy(document: object, at: str) -> Policy:
    """A policy of an identity, a boundary, a session policy or an SCP. Raises BadLine for what AWS would refuse."""
    policy = _read(document, at)
    sids = [s.sid for s in policy.statements if s.sid]
    for i, statement in enumerate(policy.statements):
        here = f"{at}.Statement[{i}]"
        if statement.principals or statement.not_principals:
            raise BadLine(f"{here} holds a principal, which only resource and trust policies do")
        if not statement.resources and not statement.not_resources:
            raise BadLine(f"{here} has neither Resource nor NotResource")
        for resource in (*statement.resources, *statement.not_resources):
            if resource != "*" and not resource.startswith("arn:"):
                raise BadLine(f"{here}: the resource {quoted(resource)} is neither an ARN nor '*'")
        if not re.fullmatch(r"[A-Za-z0-9]*", statement.sid):
            raise BadLine(f"{here}: the Sid {quoted(statement.sid)} may hold letters and digits only")
        if sids.count(statement.sid) > 1:
            raise BadLine(f"{here}: the Sid {quoted(statement.sid)} stands twice")
    return policy


def resource_policy(document: object, at: str) -> Policy:
    """A policy of a resource, a role's trust or a key's policy. Raises BadLine for what AWS would refuse."""
    policy = _read(document, at)
    for i, statement in enumerate(policy.statements):
        if not statement.principals and not statement.not_principals:
            raise BadLine(f"{at}.Statement[{i}] has neither Principal nor NotPrincipal")
        for who in (*statement.principals, *statement.not_principals):
            for value in who.values if who.kind == "AWS" else ():
                if not _NAMED.fullmatch(value) or ":group/" in value:
                    raise BadLine(f"{at}.Statement[{i}]: {quoted(value)} is nobody that a policy can name")
    return policy


_NAMED = re.compile(r"\*|\d{12}|arn:.+|A[A-Z0-9]{15,}")
"""An AWS principal: everybody, an account, an ARN, or the id that is left of one that was deleted."""


def rcp(document: object, at: str) -> Policy:
    """A resource control policy. Raises BadLine for what AWS would refuse."""
    policy = resource_policy(document, at)
    for i, statement in enumerate(policy.statements):
        if statement.principals not in ((Principal("*", ("*",)),), (Principal("AWS", ("*",)),)):
            raise BadLine(f"{at}.Statement[{i}]: the Principal of an RCP is '*'")
        if not statement.resources and not statement.not_resources:
            raise BadLine(f"{at}.Statement[{i}] has neither Resource nor NotResource")
    return policy


def _read(document: object, at: str) -> Policy:
    try:
        policy = parse(document)
    except ValueError as error:
        raise BadLine(f"{at}: {error}") from None
    for i, statement in enumerate(policy.statements):
        for condition in statement.conditions:
            if condition.operator not in OPERATORS:
                hint = did_you_mean(condition.operator, OPERATORS)
                what = f"there is no condition operator {quoted(condition.operator)}"
                raise BadLine(f"{at}.Statement[{i}]: {what}{'; ' if hint else ''}{hint}")
    return policy


def _list(value: object, at: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadLine(f"{at} must be a list")
    return value


def _identity(value: object) -> tuple[Policy, ...]:
    return tuple(identity_policy(p, f"identity[{i}]") for i, p in enumerate(_list(value, "identity")))


def _groups(value: object) -> tuple[tuple[Policy, ...], ...]:
    """A group is a policy or a list of policies."""
    return tuple(
        tuple(identity_policy(p, f"groups[{i}][{j}]") for j, p in enumerate(group))
        if isinstance(group, list)
        else (identity_policy(group, f"groups[{i}]"),)
        for i, group in enumerate(_list(value, "groups"))
    )


def _single(name: str, read: Callable[[object, str], Policy]) -> Callable[[object], Policy | None]:
    return lambda value: None if value is None else read(value, name)


def _levels(
    name: str, read: Callable[[object, str], Policy]
) -> Callable[[object], tuple[tuple[Policy, ...], ...] | None]:
    def levels(value: object) -> tuple[tuple[Policy, ...], ...] | None:
        if value is None:
            return None
        return tuple(
            tuple(read(p, f"{name}[{i}][{j}]") for j, p in enumerate(_list(level, f"{name}[{i}]")))
            for i, level in enumerate(_list(value, name))
        )

    return levels


_READERS: dict[str, Callable[[object], Any]] = {
    "identity": _identity,
    "groups": _groups,
    "boundary": _single("boundary", identity_policy),
    "session": _single("session", identity_policy),
    "resource_policy": _single("resource_policy", resource_policy),
    "scps": _levels("scps", identity_policy),
    "rcps": _levels("rcps", rcp),
}


# --- requests -------------------------------------------------------------------------------------------------------


_PRINCIPAL = re.compile(r"\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:.+|\d{12}|[0-9a-f]{64}|[\w-]+(\.[\w-]+)+(/\S*)?")
_ACTION = re.compile(r"[^:*?\s]+:[^:*?\s]+")


def request(fields: Mapping[str, Any]) -> Request:
    """The request of a line's principal, action, resource and context. Raises BadLine."""
    principal, action, resource = fields.get("principal"), fields.get("action"), fields.get("resource")
    if not isinstance(action, str) or not _ACTION.fullmatch(action):
        raise BadLine("action must be one action, written service:Name")
    if not isinstance(resource, str) or not resource:
        raise BadLine("resource must be an ARN or '*'")
    if principal is not None and not isinstance(principal, str):
        raise BadLine("principal must be a text: an ARN, a service, '*' for anybody")
    if principal and not _PRINCIPAL.fullmatch(principal):
        raise BadLine(f"principal {quoted(principal)} is no ARN, account id, service or provider name, and not '*'")
    context = {} if fields.get("context") is None else fields["context"]
    if not isinstance(context, dict):
        raise BadLine("context must be an object of keys and values")
    values: dict[str, str | tuple[str, ...]] = {}
    try:
        for key, value in context.items():
            if isinstance(value, str):
                values[key.lower()] = value
            elif isinstance(value, list):
                values[key.lower()] = tuple([scalar(v, key) for v in value])
            else:
                values[key.lower()] = scalar(value, key)
    except ValueError as error:
        raise BadLine(f"context: {error}") from None
    if len(values) < len(context):
        raise BadLine("context names a key twice; keys are compared without case")
    return Request(principal or "", action, resource, values)


# --- answers --------------------------------------------------------------------------------------------------------


def answer(decision: Decision, texts: dict[Place, str] | None = None) -> str:
    """A decision as one line of JSON; `texts` keeps those of the statements named, for the next decision."""
    texts = {} if texts is None else texts
    if decision.silent:
        because = ",".join(f'{{"effect":"ImplicitDeny","level":"{level}"}}' for level in decision.silent)
    else:
        try:
            because = ",".join([texts[place] for place in decision.places])
        except KeyError:
            texts.update((place, _place(place)) for place in decision.places)
            because = ",".join([texts[place] for place in decision.places])
    reason = f',"reason":{json.dumps(decision.reason)}' if decision.reason else ""
    return f'{{"decision":"{decision.outcome}","because":[{because}]{reason}}}'


def _place(place: Place) -> str:
    return json.dumps(
        {
            "effect": place.statement.effect,
            "sid": place.statement.sid,
            "policy": place.policy,
            "statement": place.index,
        },
        separators=(",", ":"),
    )


def refusal(number: int, error: Exception) -> str:
    """The answer to a line that cannot be judged."""
    return json.dumps({"line": number, "error": str(error)}, separators=(",", ":"))


# --- JSON -----------------------------------------------------------------------------------------------------------


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadLine(f"{quoted(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise BadLine(f"{name} is no JSON")


JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
"""JSON as IAM takes it: an object holds no key twice. Raises ValueError, and RecursionError where it is too deep."""


def explained(error: Exception) -> Exception:
    """An error of reading a line, in words for whoever wrote it."""
    if isinstance(error, RecursionError):
        return BadLine("the line is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return BadLine(f"the line is not UTF-8: byte {error.start + 1}")
    if isinstance(error, json.JSONDecodeError):
        return BadLine(f"the line is no JSON: {error.msg.lower()} at column {error.colno}")
    return error


def policies(texts: Mapping[str, str]) -> Policies:
    """The policies of a line, from the JSON text of each field. Raises BadLine for what AWS would refuse."""
    return _judged({name: _READERS[name](JSON.decode(text)) for name, text in texts.items()})


def policies_of(document: object) -> Policies:
    """The policies of a file: one identity policy, a list of them, or the fields of a line. Raises BadLine."""
    if isinstance(document, list):
        return Policies(identity=_identity(document))
    if not isinstance(document, dict):
        raise BadLine("it must hold a policy, a list of policies, or an object of " + ", ".join(POLICY_FIELDS))
    if "Statement" in document or "Version" in document:
        return Policies(identity=(identity_policy(document, "the policy"),))
    for field in document:
        if field not in POLICY_FIELDS:
            hint = did_you_mean(field, ("Statement", *POLICY_FIELDS))
            raise BadLine(f"{quoted(field)} is no field of policies{'; ' if hint else ''}{hint}")
    if not document:
        raise BadLine("it holds no policy: write an empty list for a principal without any")
    return _judged({name: _READERS[name](value) for name, value in document.items()})


def document(name: str, text: str) -> object:
    """The JSON of a file. Raises BadLine, with its name."""
    return _document(name, text)


def _judged(read: Mapping[str, Any]) -> Policies:
    return Policies(**{"resource" if name == "resource_policy" else name: value for name, value in read.items()})


# --- one request ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision on one request, and the name of the file that each policy came from."""

    decision: Decision
    files: Mapping[str, str]

    def text(self) -> str:
        """For people: the decision, and under it each deciding statement with its file."""
        lines: list[str] = [self.decision.outcome]
        if self.decision.reason:
            lines.append(f"  {self.decision.reason}")
        for place in self.decision.places:
            statement = place.statement
            name = f"{statement.effect} {statement.sid}".rstrip()
            lines.append(f"  {name}: {self.files.get(place.policy, place.policy)}, statement {place.index + 1}")
        lines += [f"  {level} does not allow it" for level in self.decision.silent]
        return "\n".join(lines)


def one(files: Mapping[str, Iterable[tuple[str, str]]], asked: Mapping[str, Any]) -> Answer:
    """Judge one request against policies in files.

    `files` holds for each field of a line (identity, groups, boundary …) the names and texts of its files; a file of
    `groups`, `scps` or `rcps` may hold a list of policies: those of one group or level. Raises BadLine.
    """
    names: dict[str, str] = {}
    found: dict[str, Any] = {}
    for field, given in files.items():
        documents = [(name, _document(name, text)) for name, text in given]
        if field in ("boundary", "session", "resource_policy"):
            for name, document in documents[-1:]:
                names[field], found[field] = name, document
            continue
        levels = [d if isinstance(d, list) or field in ("identity", "groups") else [d] for _, d in documents]
        found[field] = levels if levels or field in ("identity", "groups") else None
        for i, (name, document) in enumerate(documents):
            names[f"{field}[{i}]"] = name
            names |= {f"{field}[{i}][{j}]": name for j in range(len(document) if isinstance(document, list) else 1)}
    try:
        policies = _judged({field: _READERS[field](value) for field, value in found.items()})
    except BadLine as error:
        at = re.match(r"[^.: ]+", str(error))
        file = names.get(at[0]) if at else None
        raise BadLine(f"{file}: {error}" if file else str(error)) from None
    return Answer(Judge(policies).decide(request(asked)), names)


def _document(name: str, text: str) -> object:
    try:
        return JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"{name}: {str(explained(error)).replace('the line', 'the file')}") from None
