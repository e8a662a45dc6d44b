"""IAM policies as values: statements, their exact JSON text, and their size as IAM counts it.

Two texts are filled in by CloudFormation at deployment and stand in ARNs as `${AWS::Partition}` and
`${AWS::AccountId}`; every other `${…}` is an IAM policy variable. Source: IAM User Guide, "IAM JSON policy elements
reference" and "IAM and AWS STS quotas".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from dutybound.diagnostic import Span, did_you_mean, quoted

Effect = Literal["Allow", "Deny"]
PrincipalKind = Literal["AWS", "Service", "Federated", "CanonicalUser", "*"]
"""Who may stand in a Principal; `*` is everybody, written without a kind."""
Document: TypeAlias = dict[str, Any]
"""A policy as the JSON object that IAM takes."""

VERSION = "2012-10-17"
OLD_VERSION = "2008-10-17"
"""The language of a policy that names no version: it has no policy variables, `${…}` is plain text."""
PARTITION = "${AWS::Partition}"
ACCOUNT = "${AWS::AccountId}"
_LONGEST = {PARTITION: "aws-us-gov", ACCOUNT: "0" * 12}


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked for a statement: the duty, the line that gives it to a principal, and the line of the grant.

    `duty` is the name of the duty, or of the part of the baseline ('mfa', 'break_glass') for a statement of ours.
    """

    duty: str
    asked: Span | None = None
    granted: Span | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a condition block: all conditions of a statement must hold, one of the values is enough."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a trust or resource policy speaks of. Everybody is `Principal("*", ("*",))`."""

    kind: PrincipalKind
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Tuples are kept sorted by their makers, so equal meaning is equal text.

    Equality is meaning: `origins` says where it came from and takes no part in it.
    """

    sid: str
    effect: Effect
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    principals: tuple[Principal, ...] = ()
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    not_principals: tuple[Principal, ...] = ()

    def document(self) -> Document:
        """The statement as IAM writes it; a list of one is written as its only member.

        Raises ValueError if two conditions have the same operator and key.
        """
        out: Document = {"Sid": self.sid, "Effect": self.effect}
        if self.principals:
            out["Principal"] = _principals(self.principals)
        if self.not_principals:
            out["NotPrincipal"] = _principals(self.not_principals)
        for key, values in (
            ("Action", self.actions),
            ("NotAction", self.not_actions),
            ("Resource", self.resources),
            ("NotResource", self.not_resources),
        ):
            if values:
                out[key] = _short(values)
        if self.conditions:
            block: dict[str, dict[str, Any]] = {}
            for c in self.conditions:
                tests = block.setdefault(c.operator, {})
                if c.key in tests:  # JSON has room for one: the other would be gone without a word
                    raise ValueError(f"{self.sid}: {c.operator} on {c.key} stands there twice")
                tests[c.key] = _short(c.values)
            out["Condition"] = block
        return out


@dataclass(frozen=True, slots=True)
class Policy:
    """An ordered set of statements: identity policy, trust policy or boundary alike."""

    statements: tuple[Statement, ...]
    version: str = VERSION
    id: str = ""

    def document(self) -> Document:
        """The policy as the JSON object that IAM takes."""
        named = {"Id": self.id} if self.id else {}
        return {"Version": self.version, **named, "Statement": [s.document() for s in self.statements]}

    def text(self) -> str:
        """The policy as minified JSON: the same statements always give the same bytes."""
        return minified(self.document())

    @property
    def size(self) -> int:
        """Characters as IAM counts them, at worst: the longest partition, no white space between tokens.

        Whether IAM also ignores spaces inside values is not documented; they are counted.
        """
        return worst_size(self.text())


def minified(value: object) -> str:
    """JSON without white space between tokens, keys in the order given."""
    return _MINIFIED.encode(value)


_MINIFIED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def worst_size(text: str) -> int:
    """Length of a text once CloudFormation has filled in the longest partition and an account id."""
    if "${AWS::" not in text:
        return len(text)
    return len(text) + sum(text.count(token) * (len(value) - len(token)) for token, value in _LONGEST.items())


def filled(text: str, account: str, partition: str = "aws") -> str:
    """The text as it is after deployment to this account, for whoever compares it with the real thing."""
    return text.replace(PARTITION, partition).replace(ACCOUNT, account)


LITERAL = {"*": "\ue000", "?": "\ue001"}
"""What stands in a glob for a star or question mark that is meant as itself: characters no AWS text can hold."""


@lru_cache(maxsize=65536)
def glob(text: str, any_case: bool = False) -> re.Pattern[str]:
    """A text with wildcards as a pattern for `fullmatch`: `*` and `?` match, everything else, `[` too, is itself.

    Between two stars the first place that fits is as good as any, so the pattern does not try the others: matching
    takes time linear in the text for each star, whatever a user wrote.
    """
    plain = {meant: mark for mark, meant in LITERAL.items()}

    def piece(part: str) -> str:
        return "".join("." if c == "?" else re.escape(plain.get(c, c)) for c in part)

    first, *rest = text.split("*")
    middle = "".join(f"(?>.*?{piece(part)})" for part in rest[:-1] if part)
    end = f".*{piece(rest[-1])}" if rest else ""
    return re.compile(piece(first) + middle + end, re.DOTALL | (re.IGNORECASE if any_case else 0))


def overlap(one: str, other: str) -> bool:
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


def _short(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _principals(principals: tuple[Principal, ...]) -> str | dict[str, str | list[str]]:
    if principals == (EVERYBODY,):
        return "*"
    return {p.kind: _short(p.values) for p in principals}


# --- from JSON ------------------------------------------------------------------------------------------------------

EVERYBODY = Principal("*", ("*",))
_POLICY = {"Version", "Id", "Statement"}
_ELEMENTS = {
    *("Sid", "Effect", "Principal", "NotPrincipal"),
    *("Action", "NotAction", "Resource", "NotResource", "Condition"),
}
_KINDS: tuple[PrincipalKind, ...] = ("AWS", "Service", "Federated", "CanonicalUser")


def parse(document: object) -> Policy:
    """A policy from the JSON object that IAM takes: the opposite of `Policy.document`.

    Without a Version it is the old one, as for IAM. Raises ValueError, naming the place, for whatever IAM's grammar
    does not know: an unknown element, a wrong type, an empty list, Action beside NotAction. Nothing is dropped in
    silence. Which condition operators exist is `conditions`' to say. Source: IAM User Guide, "Grammar of the IAM JSON
    policy language".
    """
    whole = _object(document, "the policy", _POLICY)
    version = whole.get("Version", OLD_VERSION)
    if version not in (VERSION, OLD_VERSION):
        raise ValueError(f"Version is {_shown(version)}; it can be '{VERSION}' or '{OLD_VERSION}'")
    if "Statement" not in whole:
        raise ValueError("the policy has no Statement")
    statements = whole["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    name = _text(whole.get("Id", ""), "Id")
    return Policy(tuple(_statement(s, f"Statement[{i}]") for i, s in enumerate(listed)), version, name)


def _statement(document: object, at: str) -> Statement:
    whole = _object(document, at, _ELEMENTS)
    effect = whole.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise ValueError(f"{at}: Effect is {_shown(effect)}; it can be 'Allow' or 'Deny'")
    for one, other in (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")):
        if one in whole and other in whole:
            raise ValueError(f"{at} holds both {one} and {other}")
    if "Action" not in whole and "NotAction" not in whole:
        raise ValueError(f"{at} has neither Action nor NotAction")
    texts = {e: _texts(whole[e], f"{at}.{e}") if e in whole else () for e in _LISTS}
    for action in (*texts["Action"], *texts["NotAction"]):
        if action != "*" and not re.fullmatch(r"[^:\s]+:[^:\s]+", action):
            raise ValueError(f"{at}: {_shown(action)} is no action; it is written service:Name")
    return Statement(
        sid=_text(whole.get("Sid", ""), f"{at}.Sid"),
        effect=effect,
        actions=texts["Action"],
        resources=texts["Resource"],
        not_actions=texts["NotAction"],
        not_resources=texts["NotResource"],
        conditions=_conditions(whole.get("Condition", {}), f"{at}.Condition"),
        principals=_who(whole["Principal"], f"{at}.Principal") if "Principal" in whole else (),
        not_principals=_who(whole["NotPrincipal"], f"{at}.NotPrincipal") if "NotPrincipal" in whole else (),
    )


_LISTS = ("Action", "NotAction", "Resource", "NotResource")


def _conditions(block: object, at: str) -> tuple[Condition, ...]:
    return tuple(
        Condition(operator, key, _values(values, f"{at}.{operator}.{key}"))
        for operator, tests in _object(block, at).items()
        for key, values in _object(tests, f"{at}.{operator}").items()
    )


def _who(value: object, at: str) -> tuple[Principal, ...]:
    if value == "*":
        return (EVERYBODY,)
    whole = _object(value, at, set(_KINDS))
    if not whole:
        raise ValueError(f"{at} is empty")
    principals = tuple(Principal(kind, _texts(whole[kind], f"{at}.{kind}")) for kind in whole if kind in _KINDS)
    for principal in principals:
        for text in principal.values:
            if ("*" in text or "?" in text) and (principal.kind, text) != ("AWS", "*"):
                raise ValueError(f"{at}: {_shown(text)} has a wildcard, which no principal but '*' can have")
    return principals


def _object(value: object, at: str, known: Collection[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{at} is {_shown(value)}; it must be an object")
    if known and (unknown := [key for key in value if key not in known]):
        hint = did_you_mean(unknown[0], known)
        raise ValueError(f"{at} holds {_shown(unknown[0])}, which is no element of it{'; ' if hint else ''}{hint}")
    return value


def _texts(value: object, at: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError(f"{at} is empty")
    return tuple(_text(v, at) for v in listed)


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{at} is {_shown(value)}; it must be a text")
    return value


def _values(value: object, at: str) -> tuple[str, ...]:
    return tuple(scalar(v, at) for v in (value if isinstance(value, list) else [value]))


def scalar(value: object, at: str) -> str:
    """A condition value as text: JSON's true is 'true', a number its digits. Raises ValueError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"{at} is {_shown(value)}; it must be a text, a number, true or false")


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else quoted(json.dumps(value, default=str))
