"""When a grant holds: its `when`, or the Condition block of a raw statement -> checked conditions.

IAM takes a condition on a key that a request never carries, and the statement then says nothing, or everything. So
each key is looked up in the pinned reference for each action, each operator against the key's type, and the forms that
let through what they seem to stop are refused. Sources: IAM User Guide, "IAM JSON policy elements: Condition
operators", "Set operators for multi-valued context keys", "AWS global condition context keys".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dutybound import catalog
from dutybound.asked import Asked
from dutybound.catalog import Action
from dutybound.config import ConditionOperator, When, seconds
from dutybound.diagnostic import Text, did_you_mean, quoted
from dutybound.networks import names_one_inside, network, unseen
from dutybound.policy import Condition, Effect

MFA_PRESENT = "aws:MultiFactorAuthPresent"
MFA_KEYS = frozenset({MFA_PRESENT.casefold(), "aws:multifactorauthage"})
Block = Mapping[ConditionOperator, Mapping[Text, tuple[Text, ...]]]
"""A Condition block as it was written: operator, key, values."""
_KINDS = {
    "Numeric": frozenset({"Numeric"}),
    "Date": frozenset({"Date", "Numeric"}),
    "Bool": frozenset({"Bool"}),
    "BinaryEquals": frozenset({"Binary"}),
    "IpAddress": frozenset({"IPAddress"}),
    "Arn": frozenset({"ARN", "String"}),
    "String": frozenset({"String", "ARN", "Binary", "IPAddress", "Bool", "Numeric", "Date"}),
}
"""Types of keys that a family of operators compares; text operators compare anything by its text."""
_ORDERS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
OPERATORS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase"), _KINDS["String"]),
    **dict.fromkeys(("StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"), _KINDS["String"]),
    **{f"Numeric{order}": _KINDS["Numeric"] for order in _ORDERS},
    **{f"Date{order}": _KINDS["Date"] for order in _ORDERS},
    **dict.fromkeys(("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"), _KINDS["Arn"]),
    **dict.fromkeys(("IpAddress", "NotIpAddress"), _KINDS["IpAddress"]),
    "Bool": _KINDS["Bool"],
    "BinaryEquals": _KINDS["BinaryEquals"],
}
"""The operators of IAM, and the types of keys that each compares; `Null` and the prefixes and suffix come besides."""
_SETS = ("ForAllValues", "ForAnyValue")


@dataclass(frozen=True, slots=True)
class Placed:
    """A condition and the text to blame for it."""

    condition: Condition
    at: Text


def start_of(day: str) -> str:
    """The first moment of a day, in UTC, as IAM writes it."""
    return f"{day}T00:00:00Z"


def end_of(day: str) -> str:
    """The moment at which a day is over: the first of the next day, in UTC, as IAM writes it."""
    return start_of((date.fromisoformat(day) + timedelta(days=1)).isoformat())


def before_end(day: str) -> Condition:
    """The condition that a day is not over yet."""
    return Condition("DateLessThan", "aws:CurrentTime", (end_of(day),))


def after_end(day: str) -> Condition:
    """The condition that a day is over: what denies with it."""
    return Condition("DateGreaterThanEquals", "aws:CurrentTime", (end_of(day),))


def conditions_of(when: When | None, asked: Asked, besides: Iterable[Placed] = ()) -> list[Placed]:
    """The conditions of a grant's `when` and those that the grant has `besides`, sorted. Errors in it are reported."""
    placed = list(besides)
    if when is None:
        return placed
    placed += [*_mfa(when), *_place_and_time(when, asked), *_tags(when, asked)]
    placed += block_conditions(when.conditions or {}, "Allow", asked)
    return _sorted(placed, asked)


def _mfa(when: When) -> Iterator[Placed]:
    if when.mfa is None:
        return
    yield Placed(Condition("Bool", MFA_PRESENT, ("true",)), when.mfa)
    if when.mfa != "true":
        yield Placed(Condition("NumericLessThan", "aws:MultiFactorAuthAge", (str(seconds(when.mfa)),)), when.mfa)


def _place_and_time(when: When, asked: Asked) -> Iterator[Placed]:
    if when.from_ is not None:
        networks = [n for n in when.from_ if _network(n, asked)]
        yield Placed(Condition("IpAddress", "aws:SourceIp", tuple(sorted(set(map(str, networks))))), when.from_[0])
    if when.regions is not None:
        for region in when.regions:
            if region not in catalog.regions():
                hint = did_you_mean(region, catalog.regions())
                asked.report("unknown-region", f"there is no AWS Region {quoted(region)}", region.span, hint)
        values = tuple(sorted(set(map(str, when.regions))))
        yield Placed(Condition("StringEquals", "aws:RequestedRegion", values), when.regions[0])
    if when.since is not None:
        yield Placed(Condition("DateGreaterThanEquals", "aws:CurrentTime", (start_of(when.since),)), when.since)
    if when.until is not None:
        yield Placed(before_end(when.until), when.until)
        if when.since is not None and when.since > when.until:
            message = f"it ends on {when.until}, before it starts on {when.since}"
            asked.report("empty-period", message, when.until.span, "swap the days")


def _network(text: Text, asked: Asked) -> bool:
    named = network(text)
    if named is None:
        message = f"{quoted(text)} is no network"
        asked.report("wrong-network", message, text.span, "write it as in 203.0.113.0/24 or 2001:db8::/32")
        return False
    why = unseen(named)
    if why is not None or named.prefixlen == 0:
        what = f"{why[0]}: AWS sees the public address behind it" if why is not None else "the whole internet"
        asked.report("wrong-network", f"{quoted(text)} is {what}", text.span, "write the public networks")
    elif names_one_inside(text):
        asked.report("wrong-network", f"{quoted(text)} is an address inside a network", text.span, f"write {named}")
    return True


def _tags(when: When, asked: Asked) -> Iterator[Placed]:
    for kind, tags in (("ResourceTag", when.resource_tags), ("RequestTag", when.request_tags)):
        for key, texts in (tags or {}).items():
            values = tuple(sorted({str(v) for v in asked.all_substituted(texts) if asked.variables_known(v)}))
            if values:
                like = any("*" in _plain(v) or "?" in _plain(v) for v in values)
                operator = "StringLike" if like else "StringEquals"
                yield Placed(Condition(operator, f"aws:{kind}/{key}", values), key)


def _plain(value: str) -> str:
    return re.sub(r"\$\{[^}]*\}", "", value)


def _sorted(placed: list[Placed], asked: Asked) -> list[Placed]:
    by_name: dict[tuple[str, str], Placed] = {}
    for one in placed:
        condition = one.condition
        if by_name.setdefault((condition.operator, condition.key.casefold()), one) is not one:
            message = f"{condition.operator} on {condition.key} is said twice"
            asked.report("duplicate-condition", message, one.at.span, "remove one")
    return [by_name[name] for name in sorted(by_name)]


# --- conditions as IAM writes them ----------------------------------------------------------------------------------


def block_conditions(block: Block, effect: Effect, asked: Asked) -> list[Placed]:
    """The conditions of a Condition block, sorted. Operators, types and values are checked; errors are reported."""
    placed = []
    for operator, tests in block.items():
        if not _known_operator(operator, asked):
            continue
        for key, texts in tests.items():
            given = [v for v in asked.all_substituted(texts) if asked.variables_known(v)]
            values = tuple(sorted(set(map(str, given))))
            if values and _fits(operator, key, given, asked):
                placed.append(Placed(Condition(str(operator), str(key), values), key))
    for one in placed:
        _trap(one, effect, [p.condition for p in placed], asked)
    return _sorted(placed, asked)


def _parts(operator: str) -> tuple[str, str, bool]:
    """The set operator or an empty text, the operator itself, and whether it ends in `IfExists`."""
    set_, _, rest = operator.rpartition(":")
    name = rest.removesuffix("IfExists")
    return set_, name, name != rest


def _known_operator(operator: Text, asked: Asked) -> bool:
    set_, name, if_exists = _parts(operator)
    known = (name in OPERATORS or (name == "Null" and not if_exists)) and set_ in ("", *_SETS)
    if not known:
        every = [
            *OPERATORS,
            "Null",
            *(f"{n}IfExists" for n in OPERATORS),
            *(f"{s}:{n}" for s in _SETS for n in OPERATORS),
        ]
        message = f"there is no condition operator {quoted(operator)}"
        asked.report("unknown-operator", message, operator.span, did_you_mean(operator, every))
    return known


def condition_key_type(key: str) -> str | None:
    """The type of a condition key (`String`, `ArrayOfString`, `Bool` …), or None if no service knows it."""
    kind = catalog.global_key(key)
    prefix = key.partition(":")[0].lower()
    if kind is None:
        kind = catalog.service_key(prefix, key)
    if kind is None and prefix == "aws":
        kind = next((k for t, k in _TAG_KEYS.items() if key.lower().startswith(t.lower())), None)
    return kind


_TAG_KEYS = {"aws:ResourceTag/": "String", "aws:RequestTag/": "String", "aws:TagKeys": "ArrayOfString"}


def _fits(operator: Text, key: Text, values: Iterable[Text], asked: Asked) -> bool:
    """Whether the key exists, has a type that the operator compares, and the values are of that type."""
    kind = condition_key_type(key)
    if kind is None:
        message = f"there is no condition key {quoted(key)}"
        asked.report("unknown-condition-key", message, key.span, did_you_mean(key, near_keys(key)))
        return False
    set_, name, _ = _parts(operator)
    if name == "Null":
        return all(_is_value("Bool", v, asked) for v in values)
    several = kind.startswith("ArrayOf")
    if several and not set_:
        message = f"{key} holds several values, and {operator} compares one"
        hint = f"write 'ForAnyValue:{operator}' or 'ForAllValues:{operator}'"
        asked.report("wrong-operator", message, operator.span, hint)
        if not asked.lenient:
            return False
    if kind.removeprefix("ArrayOf") not in OPERATORS[name]:
        message = f"{operator} does not compare {key}, which is of the type {kind}"
        asked.report("wrong-operator", message, operator.span, _fitting(kind))
        if not asked.lenient:
            return False  # what is only a warning must stay: without its condition an Allow would allow everything
    wrong = [v for v in values if not _is_value(name, v, asked)]  # every one of them is reported
    return not wrong


def _fitting(kind: str) -> str:
    base = kind.removeprefix("ArrayOf")
    named = [name for name, kinds in OPERATORS.items() if base in kinds and not name.startswith("String")]
    return f"use {' or '.join(named[:2]) or 'StringEquals'}"


def near_keys(key: str) -> list[str]:
    """The condition keys that somebody who wrote an unknown one may have meant."""
    prefix = key.partition(":")[0].lower()
    near = [*catalog.global_keys(), *_TAG_KEYS]
    if prefix in catalog.services():
        near += catalog.service_keys(prefix)
    return [k.replace("${TagKey}", "team") for k in near]


def _is_value(operator: str, text: Text, asked: Asked) -> bool:
    if "${" in text:
        return True  # known at the request only
    wanted = _VALUES.get(next((k for k in _VALUES if operator.startswith(k)), ""))
    if wanted is None or wanted[0](text):
        return True
    asked.report("wrong-value", f"{quoted(text)} is not {wanted[1]}, which {operator} compares", text.span, wanted[2])
    return False


def _is_moment(text: str) -> bool:
    if re.fullmatch(r"[0-9]{1,15}", text):
        return True
    try:
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


_VALUES: dict[str, tuple[Callable[[str], bool], str, str]] = {
    "Bool": (lambda t: t in ("true", "false"), "true or false", "write true or false"),
    "Numeric": (lambda t: re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", t) is not None, "a number", "write a number"),
    "Date": (_is_moment, "a moment", "write it as in 2027-01-31T00:00:00Z"),
    "IpAddress": (lambda t: network(t) is not None, "a network", "write it as in 203.0.113.0/24"),
    "NotIpAddress": (lambda t: network(t) is not None, "a network", "write it as in 203.0.113.0/24"),
}


def _trap(one: Placed, effect: Effect, all_: list[Condition], asked: Asked) -> None:
    """Forms that IAM takes and that mean something else than they seem to."""
    set_, name, if_exists = _parts(one.condition.operator)
    key = one.condition.key
    if effect == "Allow" and if_exists and key.casefold() in MFA_KEYS and "Not" not in name and name != "Bool":
        message = f"{one.condition.operator} lets access keys through, whose requests do not carry the key"
        asked.report("weak-mfa-condition", message, one.at.span, f"write '{name}', or 'when: {{mfa: true}}'")
    if key.casefold() == MFA_PRESENT.casefold() and name == "Bool":
        wants = "true" in one.condition.values
        if effect == "Allow" and wants and if_exists:
            message = "BoolIfExists lets access keys through, whose requests do not carry the key"
            asked.report("weak-mfa-condition", message, one.at.span, "write 'Bool', or 'when: {mfa: true}'")
        guarded = any(c.operator == "Null" and c.key.casefold() == key.casefold() for c in all_)
        if effect == "Deny" and not wants and not if_exists and not guarded:
            message = "Bool in a Deny lets access keys through, whose requests do not carry the key"
            asked.report("weak-mfa-condition", message, one.at.span, "write 'BoolIfExists'")
    present = any(c.operator == "Null" and c.key.casefold() == key.casefold() and c.values == ("false",) for c in all_)
    if effect == "Allow" and set_ == "ForAllValues" and not present:
        message = f"ForAllValues lets every request through that does not carry {key}"
        asked.report("open-set-condition", message, one.at.span, f"add 'Null: {{{key}: false}}'")


# --- whether requests carry what is asked of them --------------------------------------------------------------------


def carried(
    placed: Iterable[Placed], actions: Iterable[Action], types: Iterable[str], every: bool, asked: Asked
) -> None:
    """Report conditions on keys that requests for the actions, on these resource types, never carry.

    With `every`, each action must carry the key; without, one of them, for patterns in raw statements.
    """
    wanted, on = list(actions), tuple(types)
    for one in placed:
        key = one.condition.key
        if catalog.global_key(key) is not None:
            continue
        without = [a for a in wanted if not catalog.action_keys(a).carried(key, on)]
        if without and (every or len(without) == len(wanted)):
            named = ", ".join(map(str, without[:3])) + (f" and {len(without) - 3} more" if len(without) > 3 else "")
            where = f" for {' and '.join(on)}" if on else ""
            message = f"requests for {named}{where} do not carry {key}: the condition never fits them"
            asked.report("unsupported-condition", message, one.at.span, "grant these actions apart, without it")
