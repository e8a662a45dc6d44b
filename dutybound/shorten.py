"""Action lists as IAM patterns that match, in the pinned reference, exactly the granted actions, in few characters.

A pattern is made of whole words: `Describe*`, `Describe*Tags`, `Describe*Subnet*`. It starts with a whole verb and
stands for two actions at least. `D*ts` would be shorter still, and a reviewer could not tell what it grants; worse,
IAM applies a pattern to what AWS adds tomorrow as well, and under a whole verb that is more of the same kind. Source of
the form: IAM User Guide, "IAM JSON policy elements: Action" (`*` and `?` anywhere in the name, in whatever case).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from heapq import heapify, heappop, heappush

from dutybound import catalog
from dutybound.catalog import Action

_WORD_END = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s(?:[A-Z]|$))[a-z])")
"""Where a word of an action's name ends: `Describe·VPC·Endpoints`, `Web·ACLs`."""
_LINKS = frozenset({"and", "by", "for", "from", "in", "of", "on", "to", "with"})
"""Words that say nothing alone."""
_PLURAL = re.compile(r"(?<!ie)(?<![su])s$")
_LAST = "\uffff"
"""Comes after every character of an action's name."""
_FRAME = len('"":,')
"""What JSON and the colon after the service add to a pattern."""


def shortened(actions: Iterable[Action], levels: Iterable[str]) -> tuple[str, ...]:
    """The actions as IAM patterns that match, in this reference, exactly them; sorted.

    Only actions of `levels` are shortened; the rest stand by their names. Never `service:*`.
    """
    wanted = frozenset(levels)
    soft: dict[str, dict[str, str]] = {}
    out = set()
    for action in actions:
        if action.level in wanted:
            soft.setdefault(action.service, {})[action.name.lower()] = action.name
        else:
            out.add(str(action))
    for prefix, names in soft.items():
        out.update(_known_patterns(prefix, tuple(sorted(names.values()))))
    return tuple(sorted(out))


@lru_cache(maxsize=4096)
def _known_patterns(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns for some actions of one service. Teams with the same duty ask for the same ones again and again."""
    return tuple(f"{prefix}:{pattern}" for pattern in _patterns(prefix, {name.lower(): name for name in names}))


def _patterns(prefix: str, names: dict[str, str]) -> Iterator[str]:
    """Patterns for some actions of one service, given by small-letter name, verb by verb."""
    if len(names) < 2:
        yield from names.values()
        return
    granted, everything = sorted(names), _keys(prefix)
    by_verb: dict[str, list[str]] = {}
    for key in granted:
        by_verb.setdefault(_verb(names[key]).lower(), []).append(key)
    whole = None
    for verb, keys in sorted(by_verb.items()):
        if whole and verb.startswith(whole):
            continue  # `Sign*` has taken in what starts with `Signal`
        near = _starting(everything, verb)
        mine = len(near) if len(keys) == len(near) else len(_starting(granted, verb))
        if mine == len(near) > 1:
            whole = verb
            yield f"{_verb(names[keys[0]])}*"
        elif len(keys) == 1:
            yield names[keys[0]]
        else:
            barred = [key for key in near if key not in names]
            yield from _fewest([names[key] for key in keys], barred, len(prefix) + _FRAME)


@cache
def _keys(prefix: str) -> list[str]:
    return sorted(catalog.service(prefix).actions)


def _verb(name: str) -> str:
    end = _WORD_END.search(name)
    return name[: end.start()] if end else name


def _starting(ordered: list[str], start: str) -> list[str]:
    return ordered[bisect_left(ordered, start) : bisect_left(ordered, start + _LAST)]


# --- candidates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A pattern or a name, what it costs, and which of the names it matches, one bit each."""

    text: str
    cost: int
    mask: int

    @property
    def order(self) -> tuple[int, str]:
        """Cheap ones first, never two alike."""
        return self.cost, self.text


def _candidates(names: Sequence[str], barred: list[str], frame: int) -> list[_Candidate]:
    """For every set of two names or more that some pattern matches, the cheapest such pattern; then the names alone."""
    found: dict[int, _Candidate] = {}
    for text, mask in _matches(names, barred):
        if mask & (mask - 1):
            # A star costs a third of a character: at equal length the plainer pattern is taken.
            candidate = _Candidate(text, 3 * (len(text) + frame) + text.count("*"), mask)
            if mask not in found or candidate.order < found[mask].order:
                found[mask] = candidate
    alone = [_Candidate(name, 3 * (len(name) + frame), 1 << i) for i, name in enumerate(names)]
    return sorted([*found.values(), *alone], key=lambda c: c.order)


def _matches(names: Sequence[str], barred: list[str]) -> Iterator[tuple[str, int]]:
    """Patterns that match none of the barred, and which of the names they match.

    Only the widest ones: where `Describe*Tags` will do, `Describe*VolumeTags` is not asked for.
    """
    lower = [name.lower() for name in names]
    heads: dict[str, _Head] = {}
    for name, key in zip(names, lower, strict=True):
        cuts = [m.start() for m in _WORD_END.finditer(name)]
        ends = [*cuts, len(name)] + ([len(name) - 1] if _PLURAL.search(name) else [])
        for end in sorted(ends):
            start = key[:end]
            head = heads.get(start)
            if head is None:
                heads[start] = head = _Head.of(start, lower, barred)
            if not head.barred:
                yield f"{name[:end]}*", head.starting
                break
            yield from head.widest(name, key, [c for c in cuts if c >= end], sorted(e for e in ends if e > end))


@dataclass(frozen=True, slots=True)
class _Head:
    """What starts alike: the rests of the names, and those of the barred in one text."""

    start: str
    rests: tuple[tuple[int, str], ...]
    barred: str
    seen: dict[str, int]
    """Which names the patterns match that were asked for before, by what follows the first star."""

    @classmethod
    def of(cls, start: str, lower: Sequence[str], barred: Sequence[str]) -> _Head:
        """The head of this text among the names and the barred."""
        size = len(start)
        rests = tuple((1 << i, key[size:]) for i, key in enumerate(lower) if key.startswith(start))
        return cls(start, rests, "".join(f"{key[size:]}\n" for key in barred if key.startswith(start)), {})

    @property
    def starting(self) -> int:
        return sum(bit for bit, _ in self.rests)

    def widest(self, name: str, key: str, cuts: list[int], ends: list[int]) -> Iterator[tuple[str, int]]:
        """The widest patterns of this head that match a name: by its end, and by words within it."""
        at = len(self.start)
        for cut in reversed(cuts):
            if f"{key[cut:]}\n" not in self.barred:
                yield f"{name[:at]}*{name[cut:]}", self._ending(key[cut:])
                break
        for cut in cuts:
            for end in ends:
                if end > cut and key[cut:end] not in _LINKS and key[cut:end] not in self.barred:
                    yield f"{name[:at]}*{name[cut:end]}*", self._holding(key[cut:end])
                    break

    def _ending(self, end: str) -> int:
        mask = self.seen.get(f"{end}\n")
        if mask is None:
            mask = self.seen[f"{end}\n"] = sum([bit for bit, rest in self.rests if rest.endswith(end)])
        return mask

    def _holding(self, part: str) -> int:
        mask = self.seen.get(part)
        if mask is None:
            mask = self.seen[part] = sum([bit for bit, rest in self.rests if part in rest])
        return mask


# --- the cheapest cover ---------------------------------------------------------------------------------------------


def _fewest(names: Sequence[str], barred: list[str], frame: int) -> Iterator[str]:
    """Patterns and names that match the names, none of the barred, and take the fewest characters that were found."""
    candidates = _candidates(names, barred, frame)
    return (c.text for c in _improved(_greedy(candidates, (1 << len(names)) - 1), candidates))


def _greedy(candidates: Sequence[_Candidate], wanted: int) -> list[_Candidate]:
    """A cover of `wanted`: again and again the candidate that costs least for each name it adds."""
    queue = [(c.cost / (c.mask & wanted).bit_count(), i) for i, c in enumerate(candidates) if c.mask & wanted]
    heapify(queue)
    chosen = []
    while wanted:
        _, i = heappop(queue)
        candidate = candidates[i]
        new = (candidate.mask & wanted).bit_count()
        if not new:
            continue
        # What a candidate adds only shrinks: if its present price beats the others' old ones, it is the best.
        price = (candidate.cost / new, i)
        if queue and price > queue[0]:
            heappush(queue, price)
            continue
        chosen.append(candidate)
        wanted &= ~candidate.mask
    return chosen


def _improved(chosen: list[_Candidate], candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The cover made cheaper: each of its members in turn gives way if the others, mended, cost less without it."""
    chosen = _spared(chosen)
    better = len(chosen) > 1
    while better:
        better = False
        shared = _shared(chosen)
        for out in sorted(chosen, key=lambda c: c.order, reverse=True):
            if out not in chosen:
                continue
            bare = out.mask & ~shared
            usable = [c for c in candidates if c.mask & bare and c is not out]
            if not usable:
                continue  # nothing but its name matches it
            mended = _spared([*(c for c in chosen if c is not out), *_greedy(usable, bare)])
            if _cost(mended) < _cost(chosen):
                chosen, better = mended, True
                shared = _shared(chosen)
    return chosen


def _spared(chosen: list[_Candidate]) -> list[_Candidate]:
    """The cover without the members that the others make up for, the dearest first."""
    shared = _shared(chosen)
    for candidate in sorted(chosen, key=lambda c: c.order, reverse=True):
        if not candidate.mask & ~shared:
            chosen = [c for c in chosen if c is not candidate]
            shared = _shared(chosen)
    return chosen


def _shared(candidates: Iterable[_Candidate]) -> int:
    """The names that two candidates or more match."""
    once = twice = 0
    for candidate in candidates:
        twice |= once & candidate.mask
        once |= candidate.mask
    return twice


def _cost(candidates: Iterable[_Candidate]) -> int:
    return sum(c.cost for c in candidates)
