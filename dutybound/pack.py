"""Statements -> the fewest policies that fit a quota, stably.

Packing knows no earlier result, so what a policy holds must follow from the statements alone, and an edit must still
leave the other policies as they are. Three steps see to that:

1. Every statement has a home among the policies, decided by a hash of its duty. What a home has room for stays there,
   whatever happens in the other policies; so an edit reaches one policy.
2. What its home has no room for goes where room is left: whole, or cut by its actions or resources.
3. Only if that finds no place there is one policy more. Homes are such that statements then move into the new policy
   and nowhere else (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm").

Parts of one statement that land in one policy are written as one statement again. Statements are not merged with each
other: each keeps the Sid and the lines that asked for it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from dutybound.policy import Policy, Statement, minified, worst_size
from dutybound.quotas import quota

POLICY_SIZE = quota("managed-policy-size").value
POLICIES_PER_GROUP = quota("managed-policies-per-group").value
_FRAME = Policy(()).size - len(",")
"""Characters of a policy without statements; all statements are counted with a comma, though the last has none."""
_BUCKETS = 32
"""Into how many parts the resources of a large statement fall, each by its own hash."""


@dataclass(frozen=True)
class _Piece:
    """A statement under its one Sid, and how it may be cut."""

    statement: Statement
    cut: tuple[str, ...]
    """The actions or resources along which it may be cut; none where it is placed as a whole."""
    by_resources: bool = False

    @cached_property
    def size(self) -> int:
        """Characters of the whole, the comma after it included."""
        return _size(self.statement) + 1

    @cached_property
    def overhead(self) -> int:
        """Characters of what it takes in every policy that holds some of it."""
        return self.size if not self.cut else _size(self.holding(("", ""))) - len('"",""')

    def holding(self, values: Iterable[str]) -> Statement:
        """The statement with only these of its values."""
        if not self.cut:
            return self.statement
        kept = tuple(sorted(values))
        if kept == self.cut:
            return self.statement
        return replace(self.statement, resources=kept) if self.by_resources else replace(self.statement, actions=kept)


@dataclass(frozen=True)
class _Part:
    """Some values of one piece: what is placed together."""

    piece: _Piece
    values: tuple[str, ...]
    label: str
    """What the values have in common: a service, a bucket of resources; empty where they are all of the piece."""

    @cached_property
    def size(self) -> int:
        """Characters of the values, each with its quotes and comma."""
        return _list_size(self.values)

    @property
    def sid(self) -> str:
        """The Sid under which it is written."""
        return self.piece.statement.sid

    @cached_property
    def turn(self) -> tuple[bytes, str, str]:
        """Its turn in its home. Size has no say in it, so a statement that grows pushes in front of no other."""
        return _hash(f"{self.sid}|{self.label}"), self.sid, self.label

    @property
    def late_turn(self) -> tuple[int, tuple[bytes, str, str]]:
        """Its turn where room is left: large ones first, in classes of doubling size."""
        return -(self.size + self.piece.overhead).bit_length(), self.turn


@dataclass
class _Bin:
    """A policy being filled."""

    room: int
    values: dict[str, list[str]] = field(default_factory=dict)
    pieces: dict[str, _Piece] = field(default_factory=dict)

    def takes(self, part: _Part) -> bool:
        """Put the part in if there is room for it, and say so."""
        needed = part.size + (0 if part.sid in self.pieces else part.piece.overhead)
        if needed > self.room:
            return False
        self.room -= needed
        self.pieces[part.sid] = part.piece
        self.values.setdefault(part.sid, []).extend(part.values)
        return True

    def policy(self) -> Policy:
        """The policy that it holds."""
        return Policy(tuple(self.pieces[sid].holding(self.values[sid]) for sid in sorted(self.pieces)))


def pack(statements: Sequence[Statement], most: int, size: int = POLICY_SIZE) -> tuple[Policy, ...] | None:
    """The statements in the fewest policies found of at most `size` characters, or None if that takes more than `most`.

    The result does not depend on the order of the statements. Raises ValueError if two have the same Sid.
    """
    sids = {s.sid for s in statements}
    if len(sids) != len(statements):
        raise ValueError("two statements have the same Sid")
    if not statements:
        return ()
    pieces = [piece for s in statements for piece in _pieces(s, size, sids)]
    parts = _parts_with_homes(pieces, size // 4)
    for count in range(_least(pieces, size), most + 1):
        bins = _placed(parts, count, size)
        if bins is not None:
            return tuple(bin_.policy() for bin_ in bins if bin_.pieces)
    return None


def sizes_by_duty(statements: Iterable[Statement]) -> tuple[tuple[str, int], ...]:
    """The duties that asked for the statements, with the characters that each takes; the largest first."""
    sizes: Counter[str] = Counter()
    for statement in statements:
        sizes[_duty(statement)] += _size(statement) + 1
    return tuple(sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])))


# --- how a statement may be cut -------------------------------------------------------------------------------------


def _pieces(statement: Statement, size: int, sids: Collection[str]) -> Iterator[_Piece]:
    """The statement as what may be cut: along its actions, or along its resources if they are what makes it long.

    If both do, its actions are first dealt out to several statements with Sids of their own, none of `sids`.
    """
    long = size // 4
    resources = _list_size(statement.resources)
    if resources <= long:
        yield _Piece(statement, statement.actions if len(statement.actions) > 1 else ())
        return
    dealt = list(_dealt(statement.actions, long)) or [()]
    for i, actions in enumerate(dealt, 1):
        sid = statement.sid if len(dealt) == 1 else _unused(f"{statement.sid}Part{i}", sids)
        cut = statement.resources if len(statement.resources) > 1 else ()
        yield _Piece(replace(statement, sid=sid, actions=actions), cut, by_resources=True)


def _dealt(actions: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    """The actions in lists of at most this many characters."""
    some: tuple[str, ...] = ()
    for action in actions:
        if some and _list_size((*some, action)) > size:
            yield some
            some = ()
        some = (*some, action)
    if some:
        yield some


def _unused(sid: str, sids: Collection[str]) -> str:
    while sid in sids:
        sid += "x"
    return sid


def _parts(piece: _Piece, long: int) -> list[_Part]:
    """The piece as a whole if it is not long, and else by service, by bucket of resources, or by single values."""
    whole = _Part(piece, piece.cut, "")
    if not piece.cut or piece.size <= long:
        return [whole]
    groups: dict[str, list[str]] = {}
    for value in piece.cut:
        label = str(_hash(value)[0] % _BUCKETS) if piece.by_resources else value.partition(":")[0]
        groups.setdefault(label, []).append(value)
    parts = [_Part(piece, tuple(values), label) for label, values in groups.items()]
    return [fine for part in parts for fine in (_singles(part) if part.size > long else [part])]


def _singles(part: _Part) -> list[_Part]:
    return [_Part(part.piece, (value,), f"{part.label}|{value}") for value in part.values]


# --- where the parts go ---------------------------------------------------------------------------------------------


def _parts_with_homes(pieces: Iterable[_Piece], long: int) -> list[tuple[_Part, int]]:
    """Every part with the number that gives its home, in turn.

    What a duty grants shares a home as long as it is short together: whoever gets or loses a duty, or one bucket more,
    has one policy changed. Else every statement has a home of its own, and every service of a long one. (Homes for
    whole duties up to a quarter of a policy keep a few duties more in one policy, and spread single changes wider.)
    """
    by_duty: dict[str, list[_Piece]] = {}
    for piece in pieces:
        by_duty.setdefault(_duty(piece.statement), []).append(piece)
    out = []
    for duty, mine in by_duty.items():
        together = sum(piece.size for piece in mine) <= long // 2
        for part in (part for piece in mine for part in _parts(piece, long)):
            name = duty if together else f"{part.sid}|{part.label.partition('|')[0]}"
            out.append((part, int.from_bytes(_hash(name)[:8], "big")))
    return sorted(out, key=lambda entry: entry[0].turn)


def _placed(parts: Iterable[tuple[_Part, int]], count: int, size: int) -> list[_Bin] | None:
    """So many policies with all the parts in them, or None if no place was found for one."""
    bins = [_Bin(size - _FRAME) for _ in range(count)]
    homeless = [(part, key) for part, key in parts if not bins[_home(key, count)].takes(part)]
    for part, key in sorted(homeless, key=lambda entry: entry[0].late_turn):
        home = _home(key, count)
        others = [*bins[home:], *bins[:home]]
        if any(bin_.takes(part) for bin_ in others):
            continue
        cut = _singles(part) if part.piece.cut else [part]
        if not all(any(bin_.takes(single) for bin_ in others) for single in cut):
            return None
    return bins


def _home(key: int, count: int) -> int:
    """A number below `count` for a key: when `count` grows by one, a key keeps its number or gets the new one."""
    at, jump = -1, 0
    while jump < count:
        at = jump
        key = (key * 2862933555777941757 + 1) % 2**64
        jump = int((at + 1) * (2**31 / ((key >> 33) + 1)))
    return at


def _least(pieces: Iterable[_Piece], size: int) -> int:
    """How many policies the characters alone need."""
    return max(1, -(-sum(piece.size for piece in pieces) // (size - _FRAME)))


def _size(statement: Statement) -> int:
    return worst_size(minified(statement.document()))


def _list_size(values: Iterable[str]) -> int:
    return sum(map(_value_size, values))


@lru_cache(maxsize=65536)
def _value_size(value: str) -> int:
    """Characters of a value with its quotes and comma. Teams with the same duty ask for the same ones again."""
    return worst_size(minified(value)) + 1


def _duty(statement: Statement) -> str:
    return min((origin.duty for origin in statement.origins), default=statement.sid)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
