"""Condition operators, policy variables and how one value is compared with another.

A condition is prepared once for many requests: `prepare(condition, …)` gives a test of the request's keys. What AWS
documents no answer for raises `Unknown`, so that nobody takes a guess for an answer. Sources: IAM User Guide, "IAM
JSON policy elements: Condition operators", "Single-valued vs. multivalued context keys", "Set operators for
multivalued context keys", "Conditions with multiple context keys or values" and "IAM policy elements: Variables and
tags".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from dutybound.policy import LITERAL, Condition, glob

Values = tuple[str, ...]
Keys = Mapping[str, Values]
"""The keys of a request, in small letters, each with its values; a key that is absent is absent from the request."""
Test = Callable[[Keys], bool]
"""Whether a condition holds for the keys of a request. Raises Unknown."""
Match = Callable[[str, Keys], bool]
"""Whether a value of the request matches one value of the policy. Raises Unknown."""


class Unknown(Exception):
    """The judge does not know; the message says what."""


# --- policy variables -----------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DEFAULT = re.compile(r"\s*'(.*)'\s*", re.DOTALL)
_MARKED = str.maketrans(LITERAL)
_PLAIN = str.maketrans({meant: mark for mark, meant in LITERAL.items()})


def has_variable(text: str) -> bool:
    """Whether a value of a policy holds `${…}`."""
    return _VARIABLE.search(text) is not None


def substituted(text: str, keys: Keys) -> str | None:
    """A value of a policy with its variables replaced; None if one has no value, which is equal to and like nothing.

    A wildcard that comes out of a variable stands for itself, and is marked so for `glob`.
    """
    values = [_variable(name, keys) for name in _VARIABLE.findall(text)]
    if any(value is None for value in values):
        return None
    left = iter(values)
    return _VARIABLE.sub(lambda _: (next(left) or "").translate(_MARKED), text)


def _variable(text: str, keys: Keys) -> str | None:
    if text in ("*", "?", "$"):
        return text
    if text.startswith("AWS::"):
        raise Unknown(f"the policy still holds ${{{text}}}, which is filled in at deployment")
    name, _, rest = text.partition(",")
    values = keys.get(name.strip().lower(), ())
    if len(values) > 1:
        raise Unknown(f"the policy variable {name.strip()} has several values")
    if values:
        return values[0]
    default = _DEFAULT.fullmatch(rest)
    return default[1] if default else None


def like(pattern: str, variables: bool = True) -> Match:
    """The match of a pattern with `*` and `?`; with `variables`, those are replaced first."""
    if variables and has_variable(pattern):

        def filled(value: str, keys: Keys) -> bool:
            text = substituted(pattern, keys)
            return text is not None and fits(text, value)

        return filled
    return lambda value, _keys: fits(pattern, value)


def fits(pattern: str, value: str) -> bool:
    """Whether a value is like a pattern, in which `LITERAL` marks what is no wildcard.

    Between two stars the first place that fits is as good as any. There are too many patterns, once variables are
    replaced, to make a regular expression of each.
    """
    if "?" in pattern:
        return glob(pattern).fullmatch(value) is not None
    first, *rest = pattern.split("*")
    if any(mark in pattern for mark in LITERAL.values()):
        first, *rest = (piece.translate(_PLAIN) for piece in (first, *rest))
    if not rest:
        return first == value
    *middle, last = rest
    at, stop = len(first), len(value) - len(last)
    if at > stop or not value.startswith(first) or not value.endswith(last):
        return False
    for piece in middle:
        at = value.find(piece, at, stop)
        if at < 0:
            return False
        at += len(piece)
    return True


# --- one value against another --------------------------------------------------------------------------------------


def _equal(any_case: bool) -> Callable[[str, bool], Match]:
    def prepared(wanted: str, variables: bool) -> Match:
        if not variables or not has_variable(wanted):
            exact = wanted.lower() if any_case else wanted
            return lambda value, _keys: (value.lower() if any_case else value) == exact

        def filled(value: str, keys: Keys) -> bool:
            text = substituted(wanted, keys)
            if text is None:
                return False
            plain = text.translate(_PLAIN)
            return plain.lower() == value.lower() if any_case else plain == value

        return filled

    return prepared


def _arn(wanted: str, variables: bool) -> Match:
    if not variables or not has_variable(wanted):
        return lambda value, _keys: _fits_arn(wanted, value)

    def filled(value: str, keys: Keys) -> bool:
        text = substituted(wanted, keys)
        return text is not None and _fits_arn(text, value)

    return filled


@lru_cache(maxsize=65536)
def _fits_arn(pattern: str, value: str) -> bool:
    """Six parts, each matched on its own: a `*` in one does not reach into the next. A lone `*` is any ARN.

    It is kept: every request of one principal asks whether the same ARN is among those that a policy spares.
    """
    patterns, parts = pattern.split(":", 5), value.split(":", 5)
    if len(patterns) != 6:
        return pattern == "*" or _unlike(pattern, value)
    if len(parts) != 6:
        return _unlike(pattern, value)
    return all(fits(p, v) for p, v in zip(patterns, parts, strict=True))


class _Malformed(Unknown):
    """A value that its operator cannot read."""


def _unlike(wanted: str, value: str) -> bool:
    raise _Malformed(f"'{wanted}' and '{value}' cannot be compared")


def _bool(wanted: str, variables: bool) -> Match:
    def test(value: str, keys: Keys) -> bool:
        text = substituted(wanted, keys) if variables else wanted
        if text is None:
            return False
        if text.lower() not in ("true", "false") or value.lower() not in ("true", "false"):
            return _unlike(wanted, value)
        return text.lower() == value.lower()

    return test


def _binary(wanted: str, _variables: bool) -> Match:
    """Byte for byte; the policy's value is base64, the request's may be base64 or the bytes as a text."""
    try:
        exact = base64.b64decode(wanted, validate=True)
    except binascii.Error:
        return lambda value, _keys: _unlike(wanted, value)

    def test(value: str, _keys: Keys) -> bool:
        try:
            return base64.b64decode(value, validate=True) == exact
        except binascii.Error:
            return value.encode("utf-8", "surrogatepass") == exact

    return test


@lru_cache(maxsize=4096)
def _number(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)", text, re.ASCII) else None


_MOMENT = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[-+]\d\d:\d\d)?)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def moment(text: str) -> Decimal | None:
    """Seconds since 1970: epoch time, or a W3C date (NOTE-datetime); without a zone it is read as UTC.

    Four digits can be a year or an epoch, and are neither.
    """
    if re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII):
        return None if re.fullmatch(r"\d{4}", text) else Decimal(text)
    found = _MOMENT.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        made = datetime(int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    shift = timedelta(0)
    if zone and zone != "Z":
        shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    whole = made.replace(tzinfo=UTC) - _EPOCH - shift
    return Decimal(whole.days * 86400 + whole.seconds) + Decimal(fraction or 0)


def _ordered(
    read: Callable[[str], Decimal | None], compare: Callable[[Decimal, Decimal], bool]
) -> Callable[[str, bool], Match]:
    def prepared(wanted: str, _variables: bool) -> Match:
        limit = read(wanted)

        def test(value: str, _keys: Keys) -> bool:
            made = read(value)
            return _unlike(wanted, value) if made is None or limit is None else compare(made, limit)

        return test

    return prepared


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _ip(wanted: str, _variables: bool) -> Match:
    """An address in a network of its own version; an address without a prefix is itself only."""
    network: _Network | None
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        network = None

    def test(value: str, _keys: Keys) -> bool:
        address = _address(value)
        return _unlike(wanted, value) if address is None or network is None else address in network

    return test


_ORDERS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "Equals": lambda a, b: a == b,
    "LessThan": lambda a, b: a < b,
    "LessThanEquals": lambda a, b: a <= b,
    "GreaterThan": lambda a, b: a > b,
    "GreaterThanEquals": lambda a, b: a >= b,
}
_MATCHES: dict[str, Callable[[str, bool], Match]] = {
    "StringEquals": _equal(any_case=False),
    "StringEqualsIgnoreCase": _equal(any_case=True),
    "StringLike": like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": _bool,
    "BinaryEquals": _binary,
    "IpAddress": _ip,
    **{f"Numeric{name}": _ordered(_number, order) for name, order in _ORDERS.items()},
    **{f"Date{name}": _ordered(moment, order) for name, order in _ORDERS.items()},
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
_SETS = ("ForAllValues", "ForAnyValue")
_SINGLE = (*_MATCHES, *_NEGATED)
OPERATORS = frozenset(
    {"Null"} | {f"{s}{name}{e}" for s in ("", *(f"{s}:" for s in _SETS)) for name in _SINGLE for e in ("", "IfExists")}
)
"""Every condition operator, as it is written in a policy."""


# --- a condition ----------------------------------------------------------------------------------------------------


def prepare(condition: Condition, allows: bool, variables: bool = True) -> Test:
    """The test of one condition of a statement that `allows` or denies; `variables` says whether `${…}` is one.

    Several values of the policy are alternatives; for a negated operator none of them may match. Values of the request
    that the operator cannot read match nothing. Where that could give access (in a deny, under a negated operator) AWS
    documents no outcome, and the test raises Unknown.
    """
    if condition.operator not in OPERATORS:
        return _always_unknown(f"the condition operator {condition.operator} is not known")
    if not condition.values:
        return _always_unknown(f"the condition on {condition.key} has no values")
    key = condition.key.lower()
    if condition.operator == "Null":
        return _null(key, condition)
    set_operator, _, rest = condition.operator.rpartition(":")
    name = rest.removesuffix("IfExists")
    negated = name in _NEGATED
    holds = _one_value(_NEGATED.get(name, name), condition.values, variables, negated, lenient=allows and not negated)
    if set_operator:
        return _of_several(key, holds, set_operator, if_exists=rest != name)
    return _of_one(key, holds, condition.key, without=negated or rest != name)


def _one_value(name: str, wanted: Values, variables: bool, negated: bool, lenient: bool) -> Match:
    if name == "StringEquals" and not (variables and any(map(has_variable, wanted))):
        exact = frozenset(wanted)
        return lambda value, _keys: (value in exact) is not negated
    matches = [_MATCHES[name](text, variables) for text in wanted]

    def holds(value: str, keys: Keys) -> bool:
        doubt: Unknown | None = None
        for match in matches:
            try:
                if match(value, keys):
                    return not negated
            except _Malformed as malformed:
                doubt = doubt if lenient else malformed
            except Unknown as unknown:
                doubt = unknown
        if doubt is not None:
            raise doubt
        return negated

    return holds


def _of_one(key: str, holds: Match, written: str, without: bool) -> Test:
    def test(keys: Keys) -> bool:
        values = keys.get(key)
        if not values:
            return without
        if len(values) > 1:
            raise Unknown(f"{written} has several values, and the condition no set operator")
        return holds(values[0], keys)

    return test


def _of_several(key: str, holds: Match, set_operator: str, if_exists: bool) -> Test:
    """An absent key, no values or one empty value: true for ForAllValues, false for ForAnyValue without IfExists."""
    every = set_operator == "ForAllValues"

    def test(keys: Keys) -> bool:
        values = keys.get(key)
        if not values:
            return every or if_exists
        if values == ("",):
            return every
        doubt: Unknown | None = None
        for value in values:
            try:
                if holds(value, keys) is not every:
                    return not every
            except Unknown as unknown:
                doubt = unknown
        if doubt is not None:
            raise doubt
        return every

    return test


def _null(key: str, condition: Condition) -> Test:
    wanted = {value.lower() for value in condition.values}
    if not wanted <= {"true", "false"}:
        return _always_unknown(f"Null on {condition.key} asks for neither true nor false")
    return lambda keys: ("false" if keys.get(key) else "true") in wanted


def _always_unknown(why: str) -> Test:
    def test(_keys: Keys) -> bool:
        raise Unknown(why)

    return test
