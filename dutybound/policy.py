"""IAM policies as values: statements, their exact JSON text, and their size as IAM counts it.

Two texts are filled in by CloudFormation at deployment and stand in ARNs as `${AWS::Partition}` and
`${AWS::AccountId}`; every other `${…}` is an IAM policy variable. Source: IAM User Guide, "IAM JSON policy elements
reference" and "IAM and AWS STS quotas".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from dutybound.diagnostic import Span

Effect = Literal["Allow", "Deny"]
PrincipalKind = Literal["AWS", "Service", "Federated"]
Document: TypeAlias = dict[str, Any]
"""A policy as the JSON object that IAM takes."""

VERSION = "2012-10-17"
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
    """Who a trust policy speaks of."""

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

    def document(self) -> Document:
        """The statement as IAM writes it; a list of one is written as its only member."""
        out: Document = {"Sid": self.sid, "Effect": self.effect}
        if self.principals:
            out["Principal"] = {p.kind: _short(p.values) for p in self.principals}
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
                block.setdefault(c.operator, {})[c.key] = _short(c.values)
            out["Condition"] = block
        return out


@dataclass(frozen=True, slots=True)
class Policy:
    """An ordered set of statements: identity policy, trust policy or boundary alike."""

    statements: tuple[Statement, ...]

    def document(self) -> Document:
        """The policy as the JSON object that IAM takes."""
        return {"Version": VERSION, "Statement": [s.document() for s in self.statements]}

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
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def worst_size(text: str) -> int:
    """Length of a text once CloudFormation has filled in the longest partition and an account id."""
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


def _short(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def parse(document: Document) -> Policy:
    """A policy from the JSON object that IAM takes: the opposite of `Policy.document`.

    Raises ValueError for an element that `Statement` cannot hold, so that nothing is dropped in silence.
    """
    statements = document.get("Statement", [])
    return Policy(tuple(_statement(s) for s in (statements if isinstance(statements, list) else [statements])))


_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


def _statement(document: Document) -> Statement:
    if unknown := set(document) - _ELEMENTS:
        raise ValueError(f"a statement holds what is not understood: {', '.join(sorted(unknown))}")
    principals = document.get("Principal", {})
    if not isinstance(principals, dict):
        principals = {"AWS": principals}
    return Statement(
        sid=document.get("Sid", ""),
        effect=document["Effect"],
        actions=_long(document.get("Action")),
        resources=_long(document.get("Resource")),
        not_actions=_long(document.get("NotAction")),
        not_resources=_long(document.get("NotResource")),
        conditions=tuple(
            Condition(operator, key, _long(values))
            for operator, tests in document.get("Condition", {}).items()
            for key, values in tests.items()
        ),
        principals=tuple(Principal(kind, _long(values)) for kind, values in principals.items()),
    )


def _long(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    return tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in values)
