"""decide(request, policies) -> Decision: what IAM would answer, and never a guess.

One account, identity policies: an explicit deny wins, then an allow, then the implicit deny. Whatever the judge does
not know (an operator, a multi-valued key without a set operator, a trust policy) makes the answer 'unknown', which its
callers treat as a failure. Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements: Condition
operators", "Set operators for multi-valued context keys", "IAM policy elements: Variables and tags".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from dutybound.baseline import Account, Group, Role
from dutybound.managed import managed_policy
from dutybound.policy import LITERAL, Condition, Policy, Statement, filled, glob

Outcome = Literal["allowed", "denied", "unknown"]
Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One call: who (ARN), which action on which resource (ARN or `*`), and the condition keys that hold.

    A key that is absent from `context` is absent from the request. Keys are compared without case.
    """

    principal: str
    action: str
    resource: str
    context: Mapping[str, str | Values] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and the statements that gave it; for an implicit deny there are none."""

    outcome: Outcome
    because: tuple[Statement, ...] = ()
    reason: str = ""
    """Why the answer is unknown."""


def decide(request: Request, policies: Iterable[Policy]) -> Decision:
    """Judge one request against the identity policies of its principal."""
    return Judge(policies).decide(request)


class Judge:
    """The policies of one principal, prepared for many requests."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        """Take all identity policies of the principal; their order does not matter."""
        self._statements = [(s, _Actions(s)) for policy in policies for s in policy.statements]
        self._by_action: dict[str, list[Statement]] = {}

    def decide(self, request: Request) -> Decision:
        """Judge one request."""
        keys = {k.lower(): (v,) if isinstance(v, str) else tuple(v) for k, v in request.context.items()}
        allows: list[Statement] = []
        denies: list[Statement] = []
        doubts: list[tuple[Statement, str]] = []
        for statement in self.naming(request.action):
            try:
                if _applies(statement, request, keys):
                    (denies if statement.effect == "Deny" else allows).append(statement)
            except _Unknown as unknown:
                doubts.append((statement, str(unknown)))
        if denies:
            return Decision("denied", tuple(denies))
        in_the_way = [d for d in doubts if d[0].effect == "Deny" or not allows]
        if in_the_way and (allows or any(s.effect == "Allow" for s, _ in in_the_way)):
            return Decision("unknown", tuple(s for s, _ in in_the_way), in_the_way[0][1])
        return Decision("allowed", tuple(allows)) if allows else Decision("denied")

    def naming(self, action: str) -> list[Statement]:
        """The statements that speak of an action, whatever the resource and the conditions."""
        folded = action.lower()
        if folded not in self._by_action:
            self._by_action[folded] = [s for s, actions in self._statements if actions.match(folded)]
        return self._by_action[folded]


class _Actions:
    """The Action or NotAction of a statement, sorted by service so that few patterns are tried."""

    def __init__(self, statement: Statement) -> None:
        self.negated = not statement.actions
        self.names: set[str] = set()
        self.patterns: dict[str, list[re.Pattern[str]]] = {}
        for text in statement.not_actions if self.negated else statement.actions:
            folded = text.lower()
            prefix = folded.partition(":")[0]
            if "*" in folded or "?" in folded:
                service = "" if "*" in prefix or "?" in prefix else prefix
                self.patterns.setdefault(service, []).append(glob(folded))
            else:
                self.names.add(folded)

    def match(self, action: str) -> bool:
        """Whether the statement speaks of an action, given in small letters."""
        service = action.partition(":")[0]
        tried = (*self.patterns.get(service, ()), *self.patterns.get("", ()))
        named = action in self.names or any(p.fullmatch(action) for p in tried)
        return named is not self.negated


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

    return Policy(
        tuple(
            replace(
                s,
                resources=fill(s.resources),
                not_resources=fill(s.not_resources),
                conditions=tuple(replace(c, values=fill(c.values)) for c in s.conditions),
                principals=tuple(replace(p, values=fill(p.values)) for p in s.principals),
            )
            for s in policy.statements
        )
    )


# --- one statement --------------------------------------------------------------------------------------------------


class _Unknown(Exception):
    """The judge does not know; the message says what."""


def _applies(statement: Statement, request: Request, keys: Mapping[str, Values]) -> bool:
    """Whether a statement that speaks of the action speaks of the request."""
    if statement.principals:
        raise _Unknown("trust and resource policies are not judged yet")
    if statement.resources and not any(_like(r, request.resource, keys) for r in statement.resources):
        return False
    if any(_like(r, request.resource, keys) for r in statement.not_resources):
        return False
    doubt: _Unknown | None = None
    for condition in statement.conditions:
        try:
            if not _holds(condition, keys):
                return False
        except _Unknown as unknown:
            doubt = unknown
    if doubt is not None:
        raise doubt
    return True


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def _substituted(text: str, keys: Mapping[str, Values]) -> str | None:
    """A value of a policy with its variables replaced; None if one has no value, which matches nothing.

    A wildcard that comes out of a variable stands for itself, and is marked so for `glob`.
    """
    if "${" not in text:
        return text
    values = [_variable(name, keys) for name in _VARIABLE.findall(text)]
    if any(value is None for value in values):
        return None
    left = iter(values)
    marked = str.maketrans(LITERAL)
    return _VARIABLE.sub(lambda _: (next(left) or "").translate(marked), text)


def _variable(text: str, keys: Mapping[str, Values]) -> str | None:
    if text in ("*", "?", "$"):
        return text
    if text.startswith("AWS::"):
        raise _Unknown(f"the policy still holds ${{{text}}}, which is filled in at deployment")
    name, comma, default = text.partition(",")
    values = keys.get(name.strip().lower(), ())
    if len(values) > 1:
        raise _Unknown(f"the policy variable {name} has several values")
    if values:
        return values[0]
    return default.strip().strip("'") if comma else None


def _like(pattern: str, value: str, keys: Mapping[str, Values]) -> bool:
    text = _substituted(pattern, keys)
    return text is not None and glob(text).fullmatch(value) is not None


# --- conditions -----------------------------------------------------------------------------------------------------

_Test = Callable[[str, str, Mapping[str, Values]], bool]
"""(value in the policy, value in the request, all keys) -> whether they match."""


def _string(any_case: bool) -> _Test:
    plain = str.maketrans({meant: mark for mark, meant in LITERAL.items()})

    def equal(wanted: str, value: str, keys: Mapping[str, Values]) -> bool:
        text = _substituted(wanted, keys)
        if text is None:
            return False
        exact = text.translate(plain)
        return exact.lower() == value.lower() if any_case else exact == value

    return equal


def _arn(wanted: str, value: str, keys: Mapping[str, Values]) -> bool:
    """Six parts, each matched on its own: a `*` in one does not reach into the next."""
    text = _substituted(wanted, keys)
    if text is None:
        return False
    patterns, parts = text.split(":", 5), value.split(":", 5)
    if len(patterns) != 6 or len(parts) != 6:
        return wanted == "*"
    return all(glob(p).fullmatch(v) is not None for p, v in zip(patterns, parts, strict=True))


def _bool(wanted: str, value: str, _keys: Mapping[str, Values]) -> bool:
    if wanted.lower() not in ("true", "false"):
        raise _Unknown(f"'{wanted}' is neither true nor false")
    return wanted.lower() == value.lower()


def _number(text: str) -> float:
    if not re.fullmatch(r"[-+]?\d+(\.\d+)?", text):
        raise ValueError(text)
    return float(text)


def _moment(text: str) -> float:
    if re.fullmatch(r"-?\d+", text):
        return float(text)
    made = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()


def _ordered(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> _Test:
    def test(wanted: str, value: str, _keys: Mapping[str, Values]) -> bool:
        try:
            return compare(read(value), read(wanted))
        except ValueError as error:
            raise _Unknown(f"'{wanted}' and '{value}' cannot be compared: {error}") from None

    return test


def _ip(wanted: str, value: str, _keys: Mapping[str, Values]) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError as error:
        raise _Unknown(f"'{wanted}' and '{value}' cannot be compared: {error}") from None


_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "Equals": lambda a, b: a == b,
    "LessThan": lambda a, b: a < b,
    "LessThanEquals": lambda a, b: a <= b,
    "GreaterThan": lambda a, b: a > b,
    "GreaterThanEquals": lambda a, b: a >= b,
}
_TESTS: dict[str, _Test] = {
    "StringEquals": _string(False),
    "StringEqualsIgnoreCase": _string(True),
    "StringLike": _like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": _bool,
    "IpAddress": _ip,
    **{f"Numeric{name}": _ordered(_number, order) for name, order in _ORDERS.items()},
    **{f"Date{name}": _ordered(_moment, order) for name, order in _ORDERS.items()},
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}


def _holds(condition: Condition, keys: Mapping[str, Values]) -> bool:
    values = keys.get(condition.key.lower())
    if condition.operator == "Null":
        absent = not values
        return any(_bool(wanted, str(absent).lower(), keys) for wanted in condition.values)
    set_operator, _, rest = condition.operator.rpartition(":")
    name = rest.removesuffix("IfExists")
    test = _TESTS.get(_NEGATED.get(name, name))
    if test is None or set_operator not in ("", "ForAllValues", "ForAnyValue"):
        raise _Unknown(f"the condition operator {condition.operator} is not known")
    negated = name in _NEGATED
    if not values:
        if set_operator:
            return set_operator == "ForAllValues" or rest != name
        return negated or rest != name
    results = [any(test(wanted, value, keys) for wanted in condition.values) is not negated for value in values]
    if set_operator == "ForAllValues":
        return all(results)
    if set_operator == "ForAnyValue":
        return any(results)
    if len(results) > 1:
        raise _Unknown(f"{condition.key} has several values, and the condition no set operator")
    return results[0]
