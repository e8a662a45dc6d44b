"""Classes of texts and of requests' condition keys that policies tell apart, with one example of each.

Policies tell requests apart only by what they mention. `texts` walks the automata of patterns together and finds one
text for each set of patterns that a text can match. `contexts` goes through the condition keys one by one: after each
it keeps one combination of values for every outcome of the conditions so far, so that what no condition can tell apart
is never multiplied. Both are exact; where a bound is hit they raise `TooMany`, which their callers report as unknown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from dutybound.conditions import Keys, Test, Unknown, Values, moment, prepare, substituted
from dutybound.policy import LITERAL, Condition, overlap
from dutybound.when import condition_key_type

MOST_STATES = 20_000
"""States of the automata of one set of patterns, and combinations of condition keys; most policies need few hundred."""
FRESH = "fresh"
"""A value that no policy mentions."""


class TooMany(Exception):
    """A bound of the search was hit, or what it cannot take apart; the message says which."""


# --- texts ----------------------------------------------------------------------------------------------------------


class Token(NamedTuple):
    """One letter of a pattern, or any number of them with `many`: one of `only` (any where empty), none of `but`."""

    only: str = ""
    but: str = ""
    many: bool = False


Tokens = tuple[Token, ...]
ANY = Token(many=True)
_PART = Token(but=":", many=True)
_MARKS = {mark: wildcard for wildcard, mark in LITERAL.items()}


def exactly(text: str) -> Tokens:
    """A text that is itself alone."""
    return tuple(Token(c) for c in text)


def in_any_case(text: str) -> Tokens:
    """A text whose case makes no difference."""
    return tuple(Token(c if c.lower() == c.upper() else c.lower() + c.upper()) for c in text)


@lru_cache(maxsize=65536)
def like(text: str, any_case: bool = False) -> Tokens:
    """A text with the wildcards `*` and `?`; `LITERAL` marks those that are meant as themselves."""
    return _joined(_wild(c, "", any_case) for c in text)


def like_arn(text: str) -> Tokens | None:
    """A pattern of ARN operators: six parts, and no wildcard of the first five reaches over a colon."""
    parts = text.split(":", 5)
    if len(parts) < 6:
        return (ANY,) if text == "*" else None
    head = [_wild(c, ":", False) if c != ":" else Token(c) for c in ":".join(parts[:5]) + ":"]
    return _joined([*head, *(_wild(c, "", False) for c in parts[5])])


ARN = (*exactly("arn:"), *(t for _ in range(4) for t in (_PART, Token(":"))), Token(), ANY)
"""What every ARN is like."""


def _wild(letter: str, but: str, any_case: bool) -> Token:
    if letter in "*?":
        return Token(but=but, many=letter == "*")
    letter = _MARKS.get(letter, letter)
    return Token(letter if not any_case or letter.lower() == letter.upper() else letter.lower() + letter.upper())


def _joined(tokens: Iterable[Token]) -> Tokens:
    """Without a star that follows the same star."""
    out: list[Token] = []
    for token in tokens:
        if not (token.many and out and out[-1] == token):
            out.append(token)
    return tuple(out)


class _Automaton:
    """The positions reached in a pattern, as bits of a number, and where a letter leads."""

    __slots__ = ("_many", "_steps", "_tokens", "_waiting", "accepts", "start")

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._many = sum(1 << i for i, token in enumerate(tokens) if token.many)
        self._steps: dict[str, tuple[int, int]] = {}
        self._waiting: dict[int, tuple[frozenset[str], str]] = {}
        self.accepts = 1 << len(tokens)
        self.start = self._closed(1)

    def _closed(self, reached: int) -> int:
        return reached | (reached & self._many) << 1

    def step(self, reached: int, letter: str) -> int:
        """The positions after one more letter."""
        masks = self._steps.get(letter)
        if masks is None:
            fits = sum(
                1 << i
                for i, token in enumerate(self._tokens)
                if (letter in token.only if token.only else letter not in token.but)
            )
            masks = self._steps[letter] = (fits & self._many, fits & ~self._many)
        stay, go = masks
        return self._closed((reached & stay) | (reached & go) << 1)

    def waiting(self, reached: int) -> tuple[frozenset[str], str]:
        """The letters that come next, each of which makes a difference, and letters to choose from."""
        found = self._waiting.get(reached)
        if found is None:
            wanted: set[str] = set()
            offered = ""
            for i, token in enumerate(self._tokens):
                if reached >> i & 1:
                    if len(token.only) > 2:
                        offered += token.only  # such as the digits of an account
                    else:
                        wanted.update(token.only, token.but)
            found = self._waiting[reached] = (frozenset(wanted), offered)
        return found

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        reached = self.start
        for letter in text:
            reached = self.step(reached, letter)
            if not reached:
                return False
        return bool(reached & self.accepts)


@lru_cache(maxsize=65536)
def _automaton(tokens: Tokens) -> _Automaton:
    return _Automaton(tokens)


def matched(patterns: Iterable[Tokens], text: str) -> tuple[bool, ...]:
    """Which of the patterns a text matches."""
    return tuple(_automaton(p).matches(text) for p in patterns)


_PREFERRED = "xyz0qwk7~"
_OTHERS = "".join(c for c in map(chr, range(33, 0x2000)) if c.isprintable() and c not in "*?$:")


@lru_cache(maxsize=16384)
def texts(shape: Tokens, patterns: tuple[Tokens, ...], nice: tuple[str, ...] = ()) -> Mapping[tuple[bool, ...], str]:
    """A text of the shape for each set of the patterns that such texts can match, by which it matches.

    Those of `nice` that are of the shape are taken first. Raises TooMany.
    """
    machines = [_automaton(shape), *map(_automaton, patterns)]
    found: dict[tuple[bool, ...], str] = {}
    for text in nice:
        if machines[0].matches(text):
            found.setdefault(matched(patterns, text), text)
    start = tuple(m.start for m in machines)
    todo: list[tuple[tuple[int, ...], str]] = [(start, "")]
    reached = {start}
    for state, text in todo:  # it grows while it is read
        if state[0] & machines[0].accepts:
            found.setdefault(tuple(bool(s & m.accepts) for s, m in zip(state[1:], machines[1:], strict=True)), text)
        for letter in _letters(machines, state):
            after = tuple([m.step(s, letter) if s else 0 for m, s in zip(machines, state, strict=True)])
            if after[0] and after not in reached:
                reached.add(after)
                todo.append((after, text + letter))
        if len(reached) > MOST_STATES:
            raise TooMany(f"{len(patterns)} patterns fall into more than {MOST_STATES:,} classes of texts")
    return found


def _letters(machines: Sequence[_Automaton], state: tuple[int, ...]) -> list[str]:
    """The letters that make a difference here: those that a pattern waits for, and one that none does."""
    wanted: set[str] = set()
    offered = ""
    for machine, reached in zip(machines, state, strict=True):
        if reached:
            letters, more = machine.waiting(reached)
            wanted |= letters
            offered += more
    fresh = next((c for c in chain(offered, _PREFERRED, _OTHERS) if c not in wanted), "")
    return [fresh, *sorted(wanted)]


# --- values of one condition key ------------------------------------------------------------------------------------

_FAMILIES = {"Numeric": "number", "Date": "date", "Ip": "address", "NotIp": "address", "Bool": "bool", "Arn": "arn"}
Value = str | Values


def _family(operator: str) -> str:
    name = operator.rpartition(":")[2]
    return "" if name == "Null" else next((f for start, f in _FAMILIES.items() if name.startswith(start)), "text")


def _of_kind(kind: str | None) -> str:
    base = (kind or "").removeprefix("ArrayOf")
    return {"ARN": "arn", "Bool": "bool", "Numeric": "number", "Date": "date", "IPAddress": "address"}.get(base, "")


def values_of(conditions: Sequence[tuple[Condition, bool]], keys: Keys, kind: str | None) -> list[str]:
    """A value for each class of those that conditions can tell apart, variables filled in from `keys`.

    With each condition stands whether `${…}` in it is a variable. `kind` is the type of the key in the reference, if it
    has one: such a key has no other values. Raises TooMany, and Unknown for a variable of several values.
    """
    wanted: dict[str, list[tuple[str, str]]] = {}
    for condition, variables in conditions:
        family = _family(condition.operator)
        if family:
            filled = (substituted(v, keys) if variables else v for v in condition.values)
            wanted.setdefault(family, []).extend((condition.operator, v) for v in filled if v is not None)
    out: list[str] = []
    if set(wanted) & {"text", "arn"} or "bool" in wanted or not wanted:
        out += _texts(wanted, kind)
    for family, make in _POINTS.items():
        if family in wanted:
            out += make([value for _, value in wanted[family]])
    return list(dict.fromkeys(out))


def mixed(conditions: Iterable[Condition], kind: str | None) -> bool:
    """Whether a key is compared in ways whose classes are not found together: as a number and as a text."""
    families = {f for c in conditions if (f := _family(c.operator))} - {"arn"}
    if _of_kind(kind) == "bool" or families == {"text", "bool"}:
        families.discard("bool")
    return len(families) > 1


def _texts(wanted: Mapping[str, list[tuple[str, str]]], kind: str | None) -> Iterable[str]:
    of_kind = _of_kind(kind)
    if of_kind == "bool" or set(wanted) == {"bool"}:
        return ("true", "false")
    if not wanted:
        return (_EXAMPLES.get(of_kind, FRESH),)
    patterns: set[Tokens] = set()
    nice: list[str] = []
    for operator, value in (pair for family in ("text", "arn", "bool") for pair in wanted.get(family, ())):
        tokens = _tokens(operator, value)
        if tokens is not None:
            patterns.add(tokens)
        plain = value if "Like" in operator or operator.startswith("Arn") else None
        nice += [value] if plain is None else [plain.replace("*", "x").replace("?", "x"), plain.replace("*", "")]
    shape = ARN if of_kind == "arn" or "arn" in wanted else (ANY,)
    nice = [text.translate(_UNMARKED) for text in nice]
    nice += [_EXAMPLES["arn"], "*", "?"] if shape is ARN else [FRESH]
    return texts(shape, tuple(sorted(patterns)), tuple(nice)).values()


_UNMARKED = str.maketrans(_MARKS)
_EXAMPLES = {
    "arn": "arn:aws:x:xx-other-1:000000000000:fresh",
    "bool": "true",
    "number": "1",
    "date": "2000-01-01T00:00:00Z",
    "address": "192.0.2.1",
}


def _tokens(operator: str, value: str) -> Tokens | None:
    name = operator.rpartition(":")[2]
    if name.startswith("Arn"):
        return like_arn(value)
    if "Like" in name:
        return like(value)
    plain = value.translate(_UNMARKED)
    return in_any_case(plain) if "IgnoreCase" in name or name.startswith("Bool") else exactly(plain)


def _between(bounds: Iterable[Decimal]) -> list[Decimal]:
    """The bounds, what lies between each two, and what lies below and above all."""
    ordered = sorted(set(bounds))
    inner = [_middle(low, high) for low, high in pairwise(ordered)]
    return [*ordered, *inner, ordered[0] - 1, ordered[-1] + 1] if ordered else []


def _middle(low: Decimal, high: Decimal) -> Decimal:
    whole = (low + 1).to_integral_value(rounding="ROUND_FLOOR")
    return whole if low < whole < high else (low + high) / 2


def _numbers(values: Iterable[str]) -> list[str]:
    bounds = []
    for value in values:
        try:
            bounds.append(Decimal(value))
        except InvalidOperation:
            continue
    return [f"{n:f}" for n in _between(b for b in bounds if b.is_finite())] or ["1"]


def _moments(values: Iterable[str]) -> list[str]:
    points = _between(p for p in map(moment, values) if p is not None)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    out = []
    for point in points:
        try:
            at = start + timedelta(seconds=float(point))
        except OverflowError:
            out.append(f"{point:f}")
            continue
        whole = point == point.to_integral_value() and at.year >= 1000
        out.append(at.strftime("%Y-%m-%dT%H:%M:%SZ") if whole else f"{point:f}")
    return out or [_EXAMPLES["date"]]


def _addresses(values: Iterable[str]) -> list[str]:
    out = ["192.0.2.1", "2001:db8::1"]
    for value in values:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            continue
        first, last = int(network.network_address), int(network.broadcast_address)
        make = type(network.network_address)
        most = 2**network.max_prefixlen - 1
        out += [str(make(n)) for n in (first, last, first - 1, last + 1) if 0 <= n <= most]
    return out


_POINTS: dict[str, Callable[[Iterable[str]], list[str]]] = {
    "number": _numbers,
    "date": _moments,
    "address": _addresses,
}


# --- requests' keys together ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """The conditions of a statement, what it does with them, and whether `${…}` in them is a variable."""

    conditions: tuple[Condition, ...]
    allows: bool
    variables: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """Condition keys of a request (those that are free), and for which blocks they do not hold or may not.

    `false` and `unknown` have a bit for each block. `base` is the same number for contexts that differ in the tags of
    the resource alone.
    """

    chosen: tuple[tuple[str, Value], ...]
    false: int
    unknown: int
    base: int = 0
    live: tuple[tuple[str, Values], ...] = field(default=(), compare=False)


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def variables_in(text: str) -> Iterator[str]:
    """The condition keys whose values stand in a text as `${…}`, in small letters."""
    if "${" in text:
        for found in _VARIABLE.findall(text):
            if found not in ("*", "?", "$") and not found.startswith("AWS::"):
                yield found.partition(",")[0].strip().lower()


def with_known(text: str, known: Keys) -> str:
    """A text with the variables filled in that are known."""

    def value(found: re.Match[str]) -> str:
        held = known.get(found[1].partition(",")[0].strip().lower(), ())
        return held[0] if len(held) == 1 else found[0]

    return _VARIABLE.sub(value, text)


def values_inside(template: str, others: Iterable[str]) -> dict[str, list[str]]:
    """For each variable of a text, values with which the text meets others with wildcards, one for each class of them.

    Raises TooMany.
    """
    names = list(variables_in(template))
    out: dict[str, list[str]] = {name: [] for name in names}
    pieces = _VARIABLE.split(template)[::2]
    if len(pieces) != len(names) + 1:
        return out  # ${*} and its like stand in it
    wide = "?*".join(pieces)
    near = sorted({_VARIABLE.sub("*", other) for other in others if other != template})
    met = tuple(like(other) for other in near if overlap(wide, other))
    between = "(.+?)".join(re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in pieces)
    for text in texts(like(wide), met).values() if met else ():
        if found := re.fullmatch(between, text, re.DOTALL):
            for name, value in zip(names, found.groups(), strict=True):
                out[name].append(value)
    return out


class Contexts:
    """The condition keys that blocks speak of, and the classes of their values."""

    def __init__(
        self, blocks: Sequence[Block], known: Keys, absent: Iterable[str], kept: Mapping[str, Sequence[str]]
    ) -> None:
        """`known` and `absent` are settled; `kept` are keys whose value counts as itself, with values to try."""
        self.blocks, self.known, self.kept = blocks, known, kept
        settled = {*known, *absent}
        self._spelt: dict[str, str] = {}
        self._tests: list[tuple[int, Test, frozenset[str]]] = []
        self._on: dict[str, list[tuple[Condition, bool]]] = {}
        self._named: dict[str, set[str]] = {}
        """For each key the free keys that stand as variables in what it is compared with."""
        self._beside: list[tuple[str, Values]] = []
        """Texts with free variables, each with the known values that are compared with it."""
        for number, block in enumerate(blocks):
            for condition in block.conditions:
                key = condition.key.lower()
                inside = {v for text in condition.values for v in variables_in(text)} if block.variables else set()
                free = frozenset({key, *inside} - settled)
                self._tests.append((number, prepare(condition, block.allows, block.variables), free))
                if key in free:
                    self._spelt.setdefault(key, condition.key)
                    self._on.setdefault(key, []).append((condition, block.variables))
                    self._named.setdefault(key, set()).update(inside - settled - {key})
                if key in known and inside - settled:
                    self._beside += [(v, known[key]) for v in condition.values if any(variables_in(v))]
                for name in inside - settled:
                    self._spelt.setdefault(name, name)
                    self._named.setdefault(name, set())
        for key in kept:
            if key not in settled:
                self._spelt.setdefault(key, key)
                self._named.setdefault(key, set())
        self._inside: dict[str, list[str]] = {}
        """Values of variables with which what they stand in meets other values of its key."""
        self.murky = [self._spelt[k] for k, on in self._on.items() if mixed((c for c, _ in on), self._kind(k))]
        self._look_inside()

    def _look_inside(self) -> None:
        """Find `_inside`. A variable that is compared itself too, or stands in resources, is not told for certain."""
        meetings = [(text, set(values)) for text, values in self._beside]
        for on in self._on.values():
            said = {value for c, _ in on if _family(c.operator) for value in c.values}
            own = sorted({v for c, variables in on if variables for v in c.values if any(variables_in(v))})
            meetings += [(text, said - {text}) for text in own]
        for text, others in meetings:
            for name, values in values_inside(with_known(text, self.known), others).items():
                if name in self._spelt:
                    self._inside.setdefault(name, []).extend(values)
        for name in self._inside.keys() | self.kept.keys():
            tried = {*self._inside.get(name, ()), *self.kept.get(name, ())}
            compared = any(_family(c.operator) for c, _ in self._on.get(name, ()))
            if name in self._spelt and len(tried) > 1 and (compared or (name in self._inside and name in self.kept)):
                self.murky.append(self._spelt[name])

    def _kind(self, key: str) -> str | None:
        return condition_key_type(self._spelt[key])

    def settled(self) -> tuple[int, int]:
        """The blocks that do not hold, or may not, whatever the free keys are: bits as in `Context`."""
        false, unknown, _ = self._outcome(frozenset(), self.known)
        return false, unknown & ~false

    def certain(self) -> int:
        """The blocks that hold whatever the free keys are."""
        false, unknown = self.settled()
        free = sum(1 << n for n in {number for number, _, free in self._tests if free})
        return ~(false | unknown | free) & ((1 << len(self.blocks)) - 1)

    def _outcome(self, done: frozenset[str], keys: Keys, new: str = "") -> tuple[int, int, str]:
        """The blocks whose tests fail or are unknown, of the tests that `new` completes (or that need no free key).

        With them, a letter for each test: several values of a key can fail a block each and hold together.
        """
        false = unknown = 0
        each = ""
        for number, test, free in self._tests:
            if (new in free and free <= done) if new else not free:
                try:
                    holds = test(keys)
                    false |= 0 if holds else 1 << number
                    each += "y" if holds else "n"
                except Unknown:
                    unknown |= 1 << number
                    each += "?"
        return false, unknown, each

    def all(self, tags_apart: bool = False, best: bool = False) -> list[Context]:
        """One context of each class. With `tags_apart`, tags of resources are told from the rest by `base`.

        With `best`, without those of which another allows as much: enough for whoever asks what is allowed at all.
        """
        false, unknown = self.settled()
        states = [Context((), false, unknown & ~false)]
        order = self._order(tags_apart)
        done: frozenset[str] = frozenset()
        based = False
        for i, key in enumerate(order):
            if tags_apart and not based and _tag_of_resource(key):
                states, based = [replace(s, base=n) for n, s in enumerate(states)], True
            done |= {key}
            needed = self._needed(order[i + 1 :], done)
            states = self._with(key, states, done, needed, best)
        return states if based or not tags_apart else [replace(s, base=n) for n, s in enumerate(states)]

    def _order(self, tags_apart: bool) -> list[str]:
        """Keys that stand in values before those that are compared with them; of resources' tags the last."""
        todo = sorted(self._spelt, key=lambda k: (tags_apart and _tag_of_resource(k), k))
        out: list[str] = []
        while todo:
            ready = next((k for k in todo if not self._named.get(k, set()) & set(todo)), None)
            if ready is None:
                raise TooMany(f"{', '.join(self._spelt[k] for k in todo)} are compared with one another")
            todo.remove(ready)
            out.append(ready)
        return out

    def _needed(self, left: Sequence[str], done: frozenset[str]) -> frozenset[str]:
        """Keys whose values count later: those of tests that are not complete, and those that are kept."""
        open_ = {key for _, _, free in self._tests if free & set(left) for key in free & done}
        return frozenset(open_ | (set(self.kept) & done))

    def _with(
        self, key: str, states: list[Context], done: frozenset[str], needed: frozenset[str], best: bool
    ) -> list[Context]:
        alone = not self._named.get(key) and not any(key in free and len(free) > 1 for _, _, free in self._tests)
        own = self._choices(key, {}, done, key in needed) if alone else None
        if own is not None and best and key not in needed:
            own = self._best(own)
        found: dict[tuple[object, ...], Context] = {}
        for state in states:
            held = dict(state.live)
            for value, false, unknown in own if own is not None else self._choices(key, held, done, key in needed):
                false |= state.false
                unknown = (unknown | state.unknown) & ~false
                live = state.live
                if value is not None and key in needed:
                    live = (*live, (key, (value,) if isinstance(value, str) else value))
                live = tuple(pair for pair in live if pair[0] in needed)
                signature = (false, unknown, live, state.base)
                if signature not in found:
                    chosen = state.chosen if value is None else (*state.chosen, (self._spelt[key], value))
                    found[signature] = Context(chosen, false, unknown, state.base, live)
            if len(found) > MOST_STATES:
                raise TooMany(f"{len(self._spelt)} condition keys give more than {MOST_STATES:,} cases")
        return list(found.values())

    def _choices(
        self, key: str, held: Mapping[str, Values], done: frozenset[str], keep: bool
    ) -> list[tuple[Value | None, int, int]]:
        """The values of a key, absent first, each with the blocks that it makes false or unknown; one of each class."""
        keys = {**self.known, **held}
        kind = self._kind(key)
        on = self._on.get(key, [])
        try:
            single = [*values_of(on, keys, kind), *self.kept.get(key, ()), *self._inside.get(key, ())]
        except Unknown as unknown_:
            raise TooMany(str(unknown_)) from None
        found: dict[object, tuple[Value | None, int, int]] = {}
        tried: set[tuple[str, Value | None]] = set()

        def add(value: Value | None) -> bool:
            with_ = {**keys, key: (value,) if isinstance(value, str) else value} if value is not None else keys
            false, unknown, each = self._outcome(done, with_, key)
            own = value if keep else None
            if (each, own) in tried:
                return False
            if len(tried) > MOST_STATES:
                raise TooMany(f"the values of {self._spelt[key]} give more than {MOST_STATES:,} cases")
            tried.add((each, own))
            found.setdefault((false, unknown, own), (value, false, unknown))
            return True

        add(None)
        distinct = [v for v in single if add(v)]
        sets = any(":" in c.operator for c, _ in on)
        if (kind or "").startswith("ArrayOf") or (sets and kind is None):
            self._several(add, distinct)
        return list(found.values())

    def _best(self, choices: list[tuple[Value | None, int, int]]) -> list[tuple[Value | None, int, int]]:
        """Without choices than which another is as good for every block: an Allow that holds, a Deny that does not.

        More of either never turns a request that is allowed into one that is not, whatever the other keys are.
        """
        allows = sum(1 << number for number, block in enumerate(self.blocks) if block.allows)
        every = (1 << len(self.blocks)) - 1

        def good(choice: tuple[Value | None, int, int]) -> int:
            """A bit for each block that is as wanted, and above these one for each that may be."""
            _, false, unknown = choice
            certain = (~(false | unknown) & allows) | (false & ~allows & every)
            perhaps = (~false & allows) | ((false | unknown) & ~allows & every)
            return certain | perhaps << len(self.blocks)

        found: list[tuple[Value | None, int, int]] = []
        for i, choice in enumerate(choices):
            mine = good(choice)
            others = ((good(o) | mine, good(o), n) for n, o in enumerate(choices) if n != i)
            if not any(both == theirs and (theirs != mine or n < i) for both, theirs, n in others):
                found.append(choice)
        return found

    def _several(self, add: Callable[[Value], bool], single: Sequence[str]) -> None:
        """Sets of values: one more value at a time, as long as that makes a difference."""
        todo: list[Values] = [(value,) for value in single]
        for chosen in todo:  # it grows while it is read
            todo += [(*chosen, value) for value in single if value not in chosen and add((*chosen, value))]


def _tag_of_resource(key: str) -> bool:
    return "resourcetag/" in key
