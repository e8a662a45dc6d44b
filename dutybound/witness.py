"""Requests that policies allow and that something else does not: found exactly, each with a witness.

Policies tell requests apart only by what they mention. So for one action the resources fall into classes (which of the
mentioned patterns match), and so do the values of each condition key; one request of each class speaks for all. The
classes of resources are found by walking the patterns' automata together, over the ARNs that the action's resource
types can have; those of a key by a value for each thing a condition can say of it. Every witness is a request that the
judge has answered. Where a bound is hit the answer is 'unknown', never 'none'.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice, product
from typing import Protocol

from dutybound import catalog
from dutybound.catalog import Action, spoken_of
from dutybound.evaluate import Decision, Judge, Outcome, Policies, Request
from dutybound.policy import Condition, Policy, Statement, glob, overlap

Values = tuple[str, ...]
Known = Mapping[str, "str | Values | None"]
"""What is known of a request: condition keys with their value, or None for a key that is absent. Others are free."""
MOST_STATES = 20_000
"""States of the automata of one set of patterns; ordinary policies need a few hundred."""
MOST_CONTEXTS = 5_000
"""Combinations of condition keys for one action."""
_FRESH = "fresh"
_OTHER_REGION = "xx-other-1"
_OTHER_ACCOUNT = "000000000000"


@dataclass(frozen=True, slots=True)
class Witness:
    """One request, as an answer: allowed where it should not be, or unknown with the reason."""

    outcome: Outcome
    request: Request
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """The account and Region that names are filled in with, and how a request is named."""

    principal: str
    account: str
    region: str
    partition: str = "aws"


def witness(
    judge: Side,
    action: Action,
    known: Known,
    where: Where,
    resource: str = "",
    but: Side | None = None,
    free: bool = True,
) -> Witness | None:
    """A request for the action that `judge` allows and `but` (where given) does not; None if there is none.

    Without `resource` any resource that the action can be about counts, and with wildcards in it any that matches.
    Condition keys that `known` does not settle can be anything, absent too; without `free` they are absent. The outcome
    is 'allowed', or 'unknown' where the judge or this search does not know.
    """
    mine = judge.naming(str(action))
    if not any(s.effect == "Allow" for s in mine) or _ruled_out(mine, action, known, where):
        return None
    every = [*mine, *(but.naming(str(action)) if but is not None else ())]
    doubt: Witness | None = None
    try:
        contexts = list(_contexts(every, known, resource)) if free else [_settled(known)]
        varying = {name for s in every for text in (*s.resources, *s.not_resources) for name in variables_in(text)}
        made: dict[tuple[object, ...], list[tuple[str, str]]] = {}
        answers: dict[tuple[object, ...], _Answer] = {}
        for context in contexts:
            # What stands for a variable is another one in each context, and so are the resources.
            here = tuple(sorted((key, value) for key, value in context.items() if key.lower() in varying))
            if here not in made:
                named = [("", on) for on in _named(resource, every, context)] if resource else None
                made[here] = named if named is not None else list(_resources(action, every, context, where))
            shared = tuple((key, value) for key, value in context.items() if "resourcetag/" not in key.lower())
            answer = answers.setdefault(shared, _Answer(_together(action, made[here])))
            _in_context(answer, judge, but, action, made[here], context, where)
            if answer.allowed is not None and not answer.missing:
                return answer.allowed
            doubt = doubt or (answer.doubt if not answer.missing else None)
    except _TooMany as reason:
        request = Request(where.principal, str(action), resource or "*", _settled(known))
        return Witness("unknown", request, str(reason))
    return doubt


@dataclass
class _Answer:
    """What was found so far for requests that differ in the tags of their resources alone.

    A request that names several resources (a new server: its image, its network, itself) is allowed if each of them is,
    and each has tags of its own; so all types that every request names must be, and one resource that `but` does not
    allow makes the difference.
    """

    missing: set[str]
    """Types that every request names and of which none was allowed yet."""
    allowed: Witness | None = None
    doubt: Witness | None = None


def _together(action: Action, resources: Iterable[tuple[str, str]]) -> set[str]:
    """The types that a request for the action names together; none where one resource is asked about."""
    needed = catalog.action_keys(action).required
    return set(needed) if len(needed) > 1 and any(type_ for type_, _ in resources) else set()


def _in_context(
    answer: _Answer,
    judge: Side,
    but: Side | None,
    action: Action,
    resources: Iterable[tuple[str, str]],
    context: Mapping[str, str | Values],
    where: Where,
) -> None:
    """Add what requests with these condition keys give."""
    for type_, on in resources:
        request = Request(where.principal, str(action), on, context)
        first = judge.decide(request)
        if first.outcome == "denied":
            continue
        answer.missing.discard(type_)
        second = but.decide(request) if but is not None else None
        if first.outcome == "allowed" and (second is None or second.outcome == "denied"):
            answer.allowed = answer.allowed or Witness("allowed", request)
            if not answer.missing:
                return
        elif second is None or second.outcome != "allowed":
            reason = first.reason or "the other side is unknown"
            answer.doubt = answer.doubt or Witness("unknown", request, reason)


class Side(Protocol):
    """What a search asks: a `Judge`, or what stands for one."""

    def naming(self, action: str) -> Iterable[Statement]:
        """The statements that speak of an action."""

    def decide(self, request: Request) -> Decision:
        """The answer to a request."""


class OwnSide:
    """What a principal's own policies and its boundary allow, whatever a key or another role says on its side.

    The key policy of AWS's default, and the trust of a role that delegates to its account, leave the decision to them.
    """

    def __init__(self, policies: Policies) -> None:
        """Prepare the identity policies, those of groups and the boundary; nothing else of `policies` is looked at."""
        identity = Judge([*policies.identity, *(p for group in policies.groups for p in group)])
        self.judges = [identity, *([Judge([policies.boundary])] if policies.boundary is not None else [])]

    def naming(self, action: str) -> list[Statement]:
        """The statements that speak of an action."""
        return [s for judge in self.judges for s in judge.naming(action)]

    def decide(self, request: Request) -> Decision:
        """Denied if one denies, unknown if one does not know, and allowed by the identity policies otherwise."""
        decisions = [judge.decide(request) for judge in self.judges]
        worst: dict[Outcome, int] = {"denied": 0, "unknown": 1, "allowed": 2}
        return min(decisions, key=lambda d: worst[d.outcome])


class _TooMany(Exception):
    """A bound of the search was hit; the message says which."""


def _settled(known: Known) -> dict[str, str | Values]:
    return {key: value for key, value in known.items() if value is not None}


def _ruled_out(statements: Iterable[Statement], action: Action, known: Known, where: Where) -> bool:
    """Whether a Deny on everything holds whatever is free: the quick way for most of 22,000 actions."""
    return any(s.effect == "Deny" and _everywhere(s, known) and _denies(s, action, known, where) for s in statements)


def _denies(statement: Statement, action: Action, known: Known, where: Where) -> bool:
    """Whether a denying statement denies the action on `*` with what is known."""
    request = Request(where.principal, str(action), "*", _settled(known))
    return bool(_alone(statement).decide(request).because)


@lru_cache(maxsize=4096)
def _alone(statement: Statement) -> Judge:
    return Judge([Policy((statement,))])


# --- classes of resources -------------------------------------------------------------------------------------------


def _named(resource: str, statements: Iterable[Statement], known: Known) -> Iterable[str]:
    """The resource, or one of each class of those that it matches."""
    return _classes(resource, _patterns(statements, known)) if "*" in resource or "?" in resource else (resource,)


def _patterns(statements: Iterable[Statement], known: Known) -> tuple[str, ...]:
    """What the statements say of resources, variables filled in; sorted."""
    texts = {text for s in statements for text in (*s.resources, *s.not_resources)}
    return tuple(sorted({_filled(text, known) for text in texts} - {"*"}))


def possible(policies: Policies, known: Known, where: Where) -> frozenset[Action]:
    """The actions that a principal may be allowed at all: granted, within the boundary, not denied everywhere.

    A quick way past most of the reference's 22,000 actions: what is not in it is denied whatever the request.
    """
    own = [*policies.identity, *(p for group in policies.groups for p in group)]
    levels = [own, *([[policies.boundary]] if policies.boundary is not None else [])]
    out: frozenset[Action] | None = None
    for level in levels:
        statements = [s for policy in level for s in policy.statements]
        granted = frozenset[Action]().union(*(spoken_of(s) for s in statements if s.effect == "Allow"))
        for statement in statements:
            if statement.effect == "Deny" and _everywhere(statement, known):
                action = next(iter(spoken_of(statement) & granted), None)
                if action is not None and _denies(statement, action, known, where):
                    granted -= spoken_of(statement)
        out = granted if out is None else out & granted
    return out or frozenset()


def _everywhere(statement: Statement, known: Known) -> bool:
    """Whether a statement is about every resource, under conditions that are all settled."""
    names = {key.lower() for key in known}
    return statement.resources == ("*",) and all(c.key.lower() in names for c in statement.conditions)


def _resources(
    action: Action, statements: Iterable[Statement], known: Known, where: Where
) -> Iterator[tuple[str, str]]:
    """One resource, with its type, of each class that the statements tell apart, of those the action can be about."""
    patterns = _patterns(statements, known)
    types = catalog.service(action.service).types
    formats = [(name, types[name].arn) for name in action.types if name in types]
    if not formats:
        yield "", "*"
    # Roles of any account can be taken; what else is in another account is for that account's policies to open.
    abroad = action.service == "sts"
    for name, format_ in formats:
        for shape in _shapes(format_, patterns, where, abroad):
            yield from ((name, found) for found in _classes(shape, patterns))


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def variables_in(text: str) -> Iterator[str]:
    """The condition keys whose values stand in a text as `${…}`, in small letters."""
    if "${" in text:
        for found in _VARIABLE.findall(text):
            if found not in ("*", "?", "$"):
                yield found.partition(",")[0].strip().lower()


def _filled(text: str, known: Known) -> str:
    """A pattern with the policy variables filled in; one without value and default stands for any text."""
    lowered = {key.lower(): value for key, value in known.items()}

    def value(found: re.Match[str]) -> str:
        name, _, rest = found[1].partition(",")
        held = lowered.get(name.strip().lower())
        return held if isinstance(held, str) else rest.strip().strip("'") or "*"

    return _VARIABLE.sub(value, text)


def _shapes(format_: str, patterns: Iterable[str], where: Where, abroad: bool) -> Iterator[str]:
    """The ARN format as globs: each account and Region that matters filled in, `?*` for what is free in the name.

    One's own come first, so that a message shows what is at hand. With `abroad`, an account that nothing names counts.
    """
    parts = format_.split(":", 5)
    written = [p.split(":", 5) for p in patterns if p.count(":") >= 5]
    named = sorted(_of_each_class({w[3] for w in written}, catalog.regions()))
    regions = dict.fromkeys((where.region, *named, _OTHER_REGION))
    others = sorted(_of_each_class({w[4] for w in written}, ()))
    accounts = dict.fromkeys((where.account, *others, *([_OTHER_ACCOUNT] if abroad else [])))
    for region in regions if "${" in parts[3] else [parts[3]]:
        for account in accounts if "${" in parts[4] else [parts[4]]:
            name = _VARIABLE.sub("?*", parts[5])
            yield ":".join((parts[0], where.partition, parts[2], region, account, name))


def _of_each_class(patterns: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """The patterns without wildcards; of those with some, a name for each set of them that one of `known` matches,
    or, if none does, the pattern with its wildcards filled in.
    """
    wild = []
    for pattern in sorted(set(patterns) - {"", "*"}):
        if set(pattern) & set("*?"):
            wild.append(pattern)
        else:
            yield pattern
    found: dict[tuple[str, ...], str] = {}
    for name in known if wild else ():
        found.setdefault(tuple(p for p in wild if glob(p).fullmatch(name)), name)
    yield from found.values()
    met = {pattern for matched in found for pattern in matched}
    yield from (p.replace("*", "").replace("?", "0") for p in wild if p not in met)


@lru_cache(maxsize=16384)
def _classes(shape: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """A text that matches `shape` for each set of patterns that such texts can match.

    The patterns' automata are walked together: a state is the positions reached in each. Raises _TooMany.
    """
    near = [p for p in patterns if _meets(shape, p)]
    globs = (shape, *near)
    letters = sorted({c for g in globs for c in g if c not in "*?"} | {"x"})
    start = tuple(_closed(g, frozenset({0})) for g in globs)
    todo: list[tuple[tuple[frozenset[int], ...], str]] = [(start, "")]
    reached = {start}
    found: dict[tuple[bool, ...], str] = {}
    at = 0
    while at < len(todo):
        state, text = todo[at]
        at += 1
        if len(globs[0]) in state[0]:
            found.setdefault(tuple(len(g) in s for g, s in zip(globs[1:], state[1:], strict=True)), text)
        for letter in _letters(globs, state, letters):
            after = tuple(_stepped(g, s, letter) for g, s in zip(globs, state, strict=True))
            if after[0] and after not in reached:
                reached.add(after)
                todo.append((after, text + letter))
        if len(reached) > MOST_STATES:
            raise _TooMany(f"the resources of {shape} fall into more than {MOST_STATES:,} classes")
    return tuple(found.values())


def _meets(shape: str, pattern: str) -> bool:
    """Whether some ARN of the shape matches the pattern, each of its six parts on its own.

    A `*` reaches over colons too, but no account and no Region holds the rest of an ARN.
    """
    mine, theirs = shape.split(":", 5), pattern.split(":", 5)
    if len(theirs) < 6 or len(mine) < 6:
        return overlap(shape, pattern)
    return all(overlap(a, b) for a, b in zip(mine, theirs, strict=True))


def _letters(globs: tuple[str, ...], state: tuple[frozenset[int], ...], letters: list[str]) -> list[str]:
    """The letters that make a difference here: those that some pattern waits for, and one that none does."""
    wanted = {g[i] for g, s in zip(globs, state, strict=True) for i in s if i < len(g) and g[i] not in "*?"}
    fresh = next((c for c in ("x", *letters, "y", "0", "z", "q") if c not in wanted), "~")
    return [fresh, *sorted(wanted)]


def _closed(glob: str, positions: frozenset[int]) -> frozenset[int]:
    out = set(positions)
    for position in positions:
        while position < len(glob) and glob[position] == "*":
            position += 1
            out.add(position)
    return frozenset(out)


@lru_cache(maxsize=65536)
def _stepped(glob: str, positions: frozenset[int], letter: str) -> frozenset[int]:
    out = set()
    for i in positions:
        if i < len(glob):
            if glob[i] == "*":
                out.add(i)
            elif glob[i] in ("?", letter):
                out.add(i + 1)
    return _closed(glob, frozenset(out))


# --- classes of condition keys --------------------------------------------------------------------------------------


def _contexts(statements: Iterable[Statement], known: Known, resource: str) -> Iterator[dict[str, str | Values]]:
    """What is known, with one value of each class for each key that is free: that a condition names, or a variable."""
    names = {key.lower() for key in known}
    free: dict[str, list[Condition]] = {}
    spelt: dict[str, str] = {}
    for statement in statements:
        for condition in statement.conditions:
            key = condition.key.lower()
            if key not in names:
                free.setdefault(key, []).append(condition)
                spelt.setdefault(key, condition.key)
        values = (value for condition in statement.conditions for value in condition.values)
        for text in (*statement.resources, *statement.not_resources, *values):
            for key in variables_in(text):
                if key not in names:
                    free.setdefault(key, [])
                    spelt.setdefault(key, key)
    named = _values_named({t for s in statements for t in (*s.resources, *s.not_resources)}, resource)
    choices = [
        [(spelt[key], value) for value in dict.fromkeys((*_representatives(conditions), *sorted(named.get(key, ()))))]
        for key, conditions in sorted(free.items())
    ]
    count = 1
    for options in choices:
        count *= len(options)
    if count > MOST_CONTEXTS:
        raise _TooMany(f"{', '.join(spelt[k] for k in sorted(free))} give {count:,} cases")
    for chosen in product(*choices):
        yield {**_settled(known), **{key: value for key, value in chosen if value is not None}}


def _values_named(texts: set[str], resource: str) -> dict[str, set[str]]:
    """Values of variables with which one text is about the resource asked for, or about what another text names."""
    out: dict[str, set[str]] = {}
    others = {resource, *(text for text in texts if "${" not in text)} - {"", "*"}
    for text in texts:
        names = list(variables_in(text))
        pieces = _VARIABLE.split(text)[::2]
        if names and len(pieces) == len(names) + 1:
            pattern = "(.+?)".join(re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in pieces)
            for found in filter(None, (re.fullmatch(pattern, other) for other in others)):
                for name, value in zip(names, found.groups(), strict=True):
                    if not set(value) & set("*?"):
                        out.setdefault(name, set()).add(value)
    return out


def _representatives(conditions: Iterable[Condition]) -> list[str | Values | None]:
    """Absent, and a value for each thing that the conditions can say of a key."""
    out: list[str | Values | None] = [None]
    patterns: set[str] = set()
    several = False
    for condition in conditions:
        set_, _, name = condition.operator.rpartition(":")
        several = several or bool(set_)
        make = next((m for start, m in _MAKERS.items() if name.startswith(start)), _texts)
        for value in condition.values:
            out += make(value)
        if make is _texts and "Like" in name:
            patterns.update(_VARIABLE.sub(_FRESH, value) for value in condition.values)
    # A value may be like several patterns at once: the walk finds one for each set of them that can be.
    seen = {_liked(value, patterns) for value in out if isinstance(value, str)}
    walked = _classes("*", tuple(sorted(patterns))) if patterns else ()
    out += [text for text in walked if _liked(text, patterns) not in seen]
    if len(out) == 1:
        out.append(_FRESH)  # only asked whether it is there, or what stands for a variable
    if several:
        single = list(dict.fromkeys(v for v in out if isinstance(v, str)))
        pairs = ((a, b) for i, a in enumerate(single) for b in islice(single, i))
        out = [None, *((v,) for v in single), *pairs, *([tuple(single)] if len(single) > 2 else [])]
    return list(dict.fromkeys(out))


def _liked(value: str, patterns: Iterable[str]) -> frozenset[str]:
    return frozenset(pattern for pattern in patterns if glob(pattern).fullmatch(value))


def _texts(value: str) -> list[str]:
    # A variable that is free has a fresh value, and so has whatever is compared with it.
    plain = _VARIABLE.sub(_FRESH, value)
    near = plain.replace("*", "x").replace("?", "x")
    empty = plain.replace("*", "").replace("?", "x")
    return [near, empty, f"{near}-{_FRESH}", _FRESH]


def _booleans(_value: str) -> list[str]:
    return ["true", "false"]


def _numbers(value: str) -> list[str]:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return [value]
    return [f"{number + step:f}" for step in (-1, 0, 1)] if number.is_finite() else [value]


def _moments(value: str) -> list[str]:
    if re.fullmatch(r"\d+", value):
        return _numbers(value)
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return [value]
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return [(moment + timedelta(seconds=step)).strftime("%Y-%m-%dT%H:%M:%SZ") for step in (-1, 0, 1)]


def _addresses(value: str) -> list[str]:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return [value]
    first, last = int(network.network_address), int(network.broadcast_address)
    most = 2**network.max_prefixlen - 1
    make = type(network.network_address)
    return [str(make(n)) for n in (first, last, first - 1, last + 1) if 0 <= n <= most]


_MAKERS: dict[str, Callable[[str], list[str]]] = {
    "Bool": _booleans,
    "Numeric": _numbers,
    "Date": _moments,
    "IpAddress": _addresses,
    "NotIpAddress": _addresses,
    "Null": lambda _value: [],
    "StringEqualsIgnoreCase": lambda value: [*_texts(value), value.swapcase()],
    "StringNotEqualsIgnoreCase": lambda value: [*_texts(value), value.swapcase()],
}
