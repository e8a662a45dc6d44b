"""Statements -> the fewest policies that fit IAM's quota, stably.

Every statement has a favourite policy, decided by its own Sid alone (rendezvous hashing), and goes there while there is
room. So an added, changed or removed grant touches the policy it is in; only when one policy more is needed do
statements move, and then only into the new one where there is room. A large statement is cut by service, and where
that saves a policy action by action; its parts that land in one policy are written as one statement again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dutybound.policy import Policy, Statement, minified, worst_size

POLICY_SIZE = 6144
"""Characters of a customer managed policy, white space aside (IAM User Guide, "IAM and AWS STS quotas")."""
POLICIES_PER_GROUP = 10
"""Managed policies per group, fixed (same page)."""
_FRAME = Policy(()).size
_LARGE = POLICY_SIZE // 4
"""A statement above this is cut by service, so that it can fill gaps."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some actions of one statement: what is placed as a whole."""

    statement: Statement
    actions: tuple[str, ...]
    key: str
    size: int
    """Characters of the actions alone."""


def pack(statements: Sequence[Statement], most: int) -> tuple[Policy, ...] | None:
    """The statements in the fewest policies of at most 6,144 characters, or None if that takes more than `most`.

    The result does not depend on the order of the statements. Raises ValueError if two have the same Sid.
    """
    if not statements:
        return ()
    ordered = sorted((part for s in statements for part in _shorter(s)), key=lambda s: s.sid)
    if len({s.sid for s in ordered}) != len(ordered):
        raise ValueError("two statements have the same Sid")
    for count in range(_fewest(ordered), most + 1):
        for parts in (_parts(ordered, _LARGE), _parts(ordered, 0)):
            placed = _placed(parts, count)
            if placed is not None:
                return tuple(_policy(bin_) for bin_ in placed if bin_)
    return None


def _shorter(statement: Statement) -> list[Statement]:
    """A statement whose resources alone would fill half a policy, cut into several by its resources."""
    bare = _overhead(replace(statement, resources=()))
    room = POLICY_SIZE // 2 - bare
    sizes = [worst_size(minified(r)) + 1 for r in statement.resources]
    if sum(sizes) <= room:
        return [statement]
    chunks: list[list[str]] = [[]]
    used = 0
    for resource, size in zip(statement.resources, sizes, strict=True):
        if chunks[-1] and used + size > room:
            chunks.append([])
            used = 0
        chunks[-1].append(resource)
        used += size
    return [replace(statement, sid=f"{statement.sid}Part{i}", resources=tuple(c)) for i, c in enumerate(chunks, 1)]


def _fewest(statements: Iterable[Statement]) -> int:
    total = sum(_overhead(s) + sum(map(_action_size, s.actions)) for s in statements)
    return max(1, -(-total // (POLICY_SIZE - _FRAME)))


def _action_size(action: str) -> int:
    return len(action) + 3


def _overhead(statement: Statement) -> int:
    """Characters of a statement without its actions, the comma after it included."""
    return worst_size(minified(replace(statement, actions=("", "")).document())) - 5 + 1


def _parts(statements: Iterable[Statement], large: int) -> list[_Part]:
    parts = []
    for statement in statements:
        size = _overhead(statement) + sum(map(_action_size, statement.actions))
        if size <= (large or 0) or len(statement.actions) < 2:
            parts.append(_part(statement, statement.actions))
            continue
        services: dict[str, list[str]] = {}
        for action in statement.actions:
            services.setdefault(action if not large else action.partition(":")[0], []).append(action)
        for group in services.values():
            whole = _part(statement, tuple(group))
            parts += [whole] if whole.size <= POLICY_SIZE // 2 else [_part(statement, (a,)) for a in group]
    return parts


def _part(statement: Statement, actions: tuple[str, ...]) -> _Part:
    return _Part(statement, actions, f"{statement.sid}|{min(actions, default='')}", sum(map(_action_size, actions)))


def _placed(parts: Iterable[_Part], count: int) -> list[list[_Part]] | None:
    bins: list[list[_Part]] = [[] for _ in range(count)]
    used = [_FRAME] * count
    inside: list[set[str]] = [set() for _ in range(count)]
    # Large ones first, in classes of doubling size, so that a few characters more or less change no turn.
    for part in sorted(parts, key=lambda p: (-(p.size + _overhead(p.statement)).bit_length(), _score(p.key, -1))):
        sid = part.statement.sid
        for i in sorted(range(count), key=lambda i: _score(_favourite(part), i), reverse=True):
            extra = part.size + (0 if sid in inside[i] else _overhead(part.statement))
            if used[i] + extra <= POLICY_SIZE:
                bins[i].append(part)
                used[i] += extra
                inside[i].add(sid)
                break
        else:
            return None
    return bins


def _favourite(part: _Part) -> str:
    """Parts of one service of one statement like the same policy, so that cutting finer moves little."""
    return (
        f"{part.statement.sid}|{min(part.actions, default='').partition(':')[0]}"
        if part.actions != part.statement.actions
        else part.statement.sid
    )


def _score(key: str, bin_: int) -> bytes:
    return hashlib.sha256(f"{key}|{bin_}".encode()).digest()


def _policy(parts: Iterable[_Part]) -> Policy:
    whole: dict[str, Statement] = {}
    for part in parts:
        sid = part.statement.sid
        actions = (*whole[sid].actions, *part.actions) if sid in whole else part.actions
        whole[sid] = replace(part.statement, actions=tuple(sorted(actions)))
    return Policy(tuple(whole[sid] for sid in sorted(whole)))
