"""What one set of policies can do that another cannot, and the other way round: exactly, each with a witness.

A witness is one request that one side allows and the other denies; fresh judges of both sides have answered it before
it is shown. What cannot be decided is a `Doubt`, never 'no change'.

Only what statements of the two sides speak of can differ, and only where they are not the same on both. So actions of
which the same statements speak are looked at together; for them the classes of resources and of condition keys are
found (`classes`), and one request of each is judged. Condition keys that are not known can be anything, absent too, and
each of them independently: a key that AWS never sends without another one still counts as free.

Where no resource policy is given, keys and roles are taken to leave the decision to the identity policies, as AWS's
default key policy does: what is compared is what the identity policies give. Sources: IAM User Guide, "Policy
evaluation logic", "IAM JSON policy elements: Condition"; Service Authorization Reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from dutybound import catalog
from dutybound.arns import STRANGER, Forms, Others, Where, forms_of, is_beside, plain, resources, services_of
from dutybound.baseline import Account, Baseline
from dutybound.callers import ACCOUNT_ID, Caller, Kind, Session, callers, teams
from dutybound.catalog import Action, spoken_of
from dutybound.classes import (
    ANY,
    Block,
    Context,
    Contexts,
    Token,
    Tokens,
    TooMany,
    Value,
    like,
    texts,
    values_inside,
    variables_in,
)
from dutybound.conditions import Keys, Unknown, fits, prepare, substituted
from dutybound.evaluate import Decision, Judge, Outcome, Policies, Request, Spoken, in_account, is_linked_role
from dutybound.policy import VERSION, Condition, Policy, Principal, Statement, overlap
from dutybound.principals import caller as caller_of
from dutybound.witness import Known

Status = Literal["new", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Actions that one side allows and the other denies, by the same statements and for the same requests.

    `resource` is the pattern as the allowing side grants it, `*` for a NotResource. `because` are the statements that
    allow the witness, `instead` those that deny it on the other side: none for an implicit deny.
    """

    actions: tuple[str, ...]
    resource: str
    witness: Request
    because: tuple[Statement, ...]
    instead: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Actions of which nobody can say whether the sides differ, and why; `request` shows it, where one does."""

    actions: tuple[str, ...]
    resource: str
    reason: str
    request: Request | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the new side gained and lost, and what is not known; each sorted."""

    gained: tuple[Difference, ...] = ()
    lost: tuple[Difference, ...] = ()
    unknown: tuple[Doubt, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether both sides allow the same requests, for certain."""
        return not (self.gained or self.lost or self.unknown)


@dataclass(frozen=True, slots=True)
class Change:
    """What one principal of one account, signed in in one way, gained and lost."""

    account: str | None
    name: str
    kind: Kind
    session: Session
    status: Status
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class TrustChange:
    """Who can take a role now, or no longer: an ARN, a service, an identity provider, `*` for anybody."""

    account: str | None
    role: str
    principal: str
    comparison: Comparison


ANYWHERE = Where("", ACCOUNT_ID, "eu-west-1")
"""For policies of which nobody says whose they are."""
_NOTHING: Known = {}


def compare(
    old: Policies,
    new: Policies,
    known: Known = _NOTHING,
    where: Where = ANYWHERE,
    actions: Iterable[Action] | None = None,
) -> Comparison:
    """What `new` allows that `old` does not (gained), and the other way round (lost), over all requests.

    `known` settles condition keys (None: absent), `actions` narrows the search to some. If a resource policy is given
    and `where` names no principal, whoever the policies name, and strangers, are tried.
    """
    chosen = None if actions is None else tuple(actions)
    work = _Work()
    if where.principal or (old.resource is None and new.resource is None):
        return _Pair(work, _Sides(old, new, where), known, where).compared(chosen)
    sides = _Sides(old, new, where)
    found = [
        _Pair(work, sides, known, replace(where, principal=who)).compared(chosen)
        for who in named_principals((old.resource, new.resource), where.account)
    ]
    return Comparison(
        _distinct(d for one in found for d in one.gained),
        _distinct(d for one in found for d in one.lost),
        tuple(dict.fromkeys(Doubt(d.actions, d.resource, d.reason, d.request) for one in found for d in one.unknown)),
    )


def _distinct(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """One of those that differ in the caller alone."""
    found: dict[object, Difference] = {}
    for one in differences:
        key = (one.actions, one.resource, one.because, one.instead, tuple(one.witness.context.items()))
        found.setdefault(key, one)
    return tuple(sorted(found.values(), key=_order))


def _order(one: Difference) -> tuple[object, ...]:
    return one.resource, one.actions, one.witness.resource, tuple(map(repr, one.witness.context.items()))


# --- one pair of policies -------------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """A statement where it decides, by numbers: equal statements have the same."""

    level: int
    number: int
    variables: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """A request on which the sides differ, or may (with a reason), but for who makes it."""

    gained: bool
    pattern: str
    resource: str
    chosen: tuple[tuple[str, Value], ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Group:
    """Actions that are answered alike: of which the same statements speak, about resources of the same forms."""

    old: tuple[_Entry, ...]
    new: tuple[_Entry, ...]
    forms: Forms
    """Types and formats of ARNs; none for actions on `*` alone, or where no statement names a resource."""
    required: tuple[str, ...]
    kind: Literal["", "sts", "kms", "unlisted"]


class _Work:
    """What pairs share: statements by number, what they speak of, and the answers found for groups of actions."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[Statement, int]] = {}
        self._numbers: dict[Statement, int] = {}
        self.statements: list[Statement] = []
        self._mentions: dict[int, frozenset[str]] = {}
        self._unlisted: dict[int, tuple[str, ...]] = {}
        self.answers: dict[object, tuple[_Found, ...]] = {}
        self.judged = 0
        """Requests that were judged, by which the work of a comparison is measured, whatever the machine."""

    def number(self, statement: Statement) -> int:
        """The number of a statement; equal ones have the same."""
        known = self._by_id.get(id(statement))
        if known is None:
            number = self._numbers.setdefault(statement, len(self.statements))
            if number == len(self.statements):
                self.statements.append(statement)
            known = self._by_id[id(statement)] = (statement, number)  # kept, so that its id stays its own
        return known[1]

    def mentions(self, number: int) -> frozenset[str]:
        """The condition keys that a statement mentions, in small letters, as variables too."""
        found = self._mentions.get(number)
        if found is None:
            s = self.statements[number]
            texts_ = [*s.resources, *s.not_resources, *(v for c in s.conditions for v in c.values)]
            keys = {c.key.lower() for c in s.conditions} | {v for text in texts_ for v in variables_in(text)}
            found = self._mentions[number] = frozenset(keys)
        return found

    def unlisted(self, number: int) -> tuple[str, ...]:
        """What a statement says of actions that takes in none of the reference."""
        found = self._unlisted.get(number)
        if found is None:
            s = self.statements[number]
            found = tuple(t for t in (*s.actions, *s.not_actions) if not _listed(t))
            self._unlisted[number] = found
        return found


@lru_cache(maxsize=65536)
def _listed(text: str) -> bool:
    return bool(catalog.actions_of(text))


@cache
def _delegation(account: str) -> Policy:
    """What leaves every decision to the identity policies of an account."""
    everyone = Principal("AWS", (f"arn:aws:iam::{account}:root",))
    return Policy((Statement("LeftToTheAccount", "Allow", ("*",), ("*",), principals=(everyone,)),))


class _Sides:
    """The policies of both sides, prepared: for everybody who has the same ones."""

    def __init__(self, old: Policies, new: Policies, where: Where) -> None:
        self.own = old.resource is None and new.resource is None
        account = caller_of(where.principal).account or where.account
        self.delegated = _delegation(account)
        self.policies = [replace(p, resource=self.delegated) if self.own else p for p in (old, new)]
        self.judges = [Judge(p) for p in self.policies]
        self.fresh = [Judge(p) for p in self.policies]
        """What replays witnesses: judges that took no part in the search."""
        self.structures = [_structure(p) for p in self.policies]
        self.groups: dict[_Group, list[tuple[str, str]]] | None = None

    @property
    def same(self) -> bool:
        """Whether both have the same levels, so that they differ by their statements alone."""
        return self.structures[0] == self.structures[1]


class _Pair:
    """Two sides, over one principal."""

    def __init__(self, work: _Work, sides: _Sides, known: Known, where: Where) -> None:
        self.work, self.sides, self.where, self.known = work, sides, where, known
        self.principal = where.principal or f"arn:{where.partition}:iam::{where.account}:user/somebody"
        self.keys: Keys = {k.lower(): (v,) if isinstance(v, str) else v for k, v in known.items() if v is not None}
        self.absent = frozenset(k.lower() for k, v in known.items() if v is None)
        self._entries: dict[int, tuple[tuple[Spoken, ...], tuple[_Entry, ...]]] = {}
        self._kept_of: dict[tuple[tuple[_Entry, ...], frozenset[str]], tuple[_Entry, ...]] = {}

    def compared(self, actions: Iterable[Action] | None) -> Comparison:
        """Both directions."""
        out = _Shown(self)
        if self.sides.groups is None or actions is not None:
            self.sides.groups = self._groups(actions)
        for group, named in self.sides.groups.items():
            try:
                found = self._answers(group, named[0])
            except (TooMany, Unknown) as reason:
                out.doubts.setdefault(("*", str(reason), None), set()).update(label for label, _ in named)
                continue
            for one in found:
                out.add(one, group, named)
        return out.comparison()

    def _numbered(self, spoken: Iterable[Spoken]) -> Iterator[_Entry]:
        for level, statement, variables in spoken:
            if statement is not self.sides.delegated.statements[0]:
                yield _Entry(level, self.work.number(statement), variables)

    def _speaking(self, judge: Judge, action: str) -> tuple[_Entry, ...]:
        spoken = judge.speaking(action)
        held = self._entries.get(id(spoken))
        if held is None:
            held = self._entries[id(spoken)] = (spoken, tuple(sorted(set(self._numbered(spoken)))))
        return held[1]

    def _meant(self, action: Action, entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
        """Without denies that cannot be about what the action is about: one of everything but looking, on roles alone,
        is nothing to buckets.
        """
        known = self._kept_of.get((entries, services := services_of(action)))
        if known is None:
            known = tuple(e for e in entries if not is_beside(self.work.statements[e.number], services))
            self._kept_of[entries, services] = known
        return known

    # -- which actions

    def _groups(self, actions: Iterable[Action] | None) -> dict[_Group, list[tuple[str, str]]]:
        """The actions that may differ, each as it is shown and as it is asked for, by what answers for them."""
        old, new = (set(self._numbered(judge.statements)) for judge in self.sides.judges)
        same = self.sides.same
        changed = old ^ new if same else old | new
        found: dict[_Group, list[tuple[str, str]]] = {}
        listed = actions if actions is not None else self._candidates(changed, old | new)
        for action in sorted(listed):
            sides = [self._meant(action, self._speaking(judge, str(action))) for judge in self.sides.judges]
            if (same and sides[0] == sides[1]) or not any(map(self._grants, sides)):
                continue
            found.setdefault(self._group(action, *sides), []).append((str(action), str(action)))
        if actions is None:
            for label, name in self._unlisted(old | new):
                sides = [self._speaking(judge, name) for judge in self.sides.judges]
                if not (same and sides[0] == sides[1]) and any(map(self._grants, sides)):
                    group = _Group(sides[0], sides[1], (), (), "unlisted")
                    found.setdefault(group, []).append((label, name))
        return found

    def _grants(self, entries: Iterable[_Entry]) -> bool:
        return any(self._granting(entry) for entry in entries)

    def _granting(self, entry: _Entry) -> bool:
        return Spoken(entry.level, self.work.statements[entry.number], entry.variables).grants

    def _candidates(self, changed: Iterable[_Entry], every: Iterable[_Entry]) -> Iterable[Action]:
        """Actions of the reference that a changed statement may speak of, and that any side grants."""
        named: set[Action] = set()
        for entry in changed:
            statement = self.work.statements[entry.number]
            if not self._granting(entry) and (statement.not_actions or "*" in statement.actions):
                granting = [self.work.statements[e.number] for e in every if self._granting(e)]
                return frozenset[Action]().union(*map(spoken_of, granting))
            named |= spoken_of(statement)
        return named

    def _group(self, action: Action, old: tuple[_Entry, ...], new: tuple[_Entry, ...]) -> _Group:
        kind: Literal["", "sts", "kms"] = "sts" if action.service == "sts" else "kms" if action.service == "kms" else ""
        statements = [self.work.statements[e.number] for e in (*old, *new)]
        if all(s.resources == ("*",) for s in statements) and not kind:
            return _Group(old, new, (), (), kind)
        required = catalog.action_keys(action).required
        return _Group(old, new, forms_of(action), required if len(required) > 1 else (), kind)

    def _unlisted(self, entries: Iterable[_Entry]) -> Iterator[tuple[str, str]]:
        """Actions that the reference lacks, for what the statements say of them: as written, and one of each class."""
        numbers = {e.number for e in entries}
        unlisted = {text for n in numbers for text in self.work.unlisted(n)}
        if not unlisted:
            return
        said = {t for n in numbers for t in (*self.work.statements[n].actions, *self.work.statements[n].not_actions)}
        for text in sorted(unlisted):
            if "*" not in text and "?" not in text:
                yield text, text
                continue
            near = tuple(like(t.lower()) for t in sorted(said) if t != "*" and overlap(t.lower(), text.lower()))
            for name in texts(like(text.lower()), near, (text.lower().replace("*", "x").replace("?", "x"),)).values():
                yield text, name

    # -- what differs

    def _answers(self, group: _Group, action: tuple[str, str]) -> tuple[_Found, ...]:
        entries = (*group.old, *group.new)
        mentioned = {key for e in entries for key in self.work.mentions(e.number)} | {"aws:resourceaccount"}
        known = tuple(sorted((k, v) for k, v in self.keys.items() if k in mentioned))
        absent = tuple(sorted(self.absent & mentioned))
        who = caller_of(self.principal)
        here = (self.where.account, self.where.region, self.where.partition, who.kind, who.account)
        linked = any(map(is_linked_role, (self.principal, *self.keys.get("aws:principalarn", ()))))
        caller = "" if self.sides.own and not linked else self.principal
        key = (group, known, absent, *self.sides.structures, here, caller)
        found = self.work.answers.get(key)
        if found is None:
            found = self.work.answers[key] = tuple(_Search(self, group, action[1]).found())
        return found

    def decide(self, side: int, action: str, resource: str, context: Mapping[str, Value]) -> Decision:
        """What a side says of a request."""
        self.work.judged += 1
        return self.sides.judges[side].decide(Request(self.principal, action, resource, context))


_ALWAYS = frozenset({"aws:principalarn", "aws:resourceaccount"})
"""Keys by which the judge itself tells which levels count."""


def _structure(policies: Policies) -> tuple[object, ...]:
    """Which levels there are, and which of the RCPs narrow."""
    rcps = policies.rcps
    return (
        policies.boundary is not None,
        policies.session is not None,
        policies.resource is not None,
        None if policies.scps is None else len(policies.scps),
        None
        if rcps is None
        else tuple(any(s.effect == "Allow" for p in level for s in p.statements) for level in rcps),
    )


class _Shown:
    """What was found, as it is handed out: replayed for this principal, actions of one kind together."""

    def __init__(self, pair: _Pair) -> None:
        self.pair = pair
        self.known = {k: v for k, v in pair.known.items() if v is not None}
        self.differences: dict[tuple[object, ...], tuple[Difference, set[str]]] = {}
        self.doubts: dict[tuple[str, str, Request | None], set[str]] = {}
        self._requests: dict[tuple[object, ...], Request] = {}

    def add(self, found: _Found, group: _Group, named: Sequence[tuple[str, str]]) -> None:
        """One request, for all actions of its group."""
        labels = {label for label, _ in named}
        request = Request(self.pair.where.principal, named[0][1], found.resource, {**self.known, **dict(found.chosen)})
        if found.reason:
            self._doubt(found, request, found.reason, labels)
            return
        asked = replace(request, principal=self.pair.principal)
        before, after = (judge.decide(asked) for judge in self.pair.sides.fresh)
        allows, denies = (after, before) if found.gained else (before, after)
        if (allows.outcome, denies.outcome) != ("allowed", "denied"):
            reason = f"the search and the judge disagree: {denies.outcome} and {allows.outcome}"
            self._doubt(found, request, reason, labels)
            return
        because = tuple(s for s in allows.because if s is not self.pair.sides.delegated.statements[0])
        numbers = (tuple(map(self.pair.work.number, because)), tuple(map(self.pair.work.number, denies.because)))
        # What the denying side grants otherwise (with MFA, elsewhere) is no new action, and stands apart from those.
        otherwise = tuple(e.number for e in (group.old if found.gained else group.new) if self.pair._granting(e))
        key = (found.gained, found.pattern, numbers, found.chosen, otherwise)
        if key not in self.differences:
            self.differences[key] = (Difference((), found.pattern, request, because, denies.because), set())
        self.differences[key][1].update(labels)

    def _doubt(self, found: _Found, request: Request, reason: str, labels: set[str]) -> None:
        # Of the requests that one reason is about, the first found shows it.
        shown = self._requests.setdefault((found.pattern, reason), request)
        key = (found.pattern, reason, None)
        self.doubts.setdefault(key, set()).update(labels)
        self._requests[key] = shown

    def comparison(self) -> Comparison:
        """All of it, sorted."""
        sides: dict[bool, list[Difference]] = {True: [], False: []}
        for (gained, *_), (difference, labels) in self.differences.items():
            sides[bool(gained)].append(replace(difference, actions=tuple(sorted(labels))))
        doubts = [
            Doubt(tuple(sorted(labels)), pattern, reason, self._requests.get((pattern, reason)))
            for (pattern, reason, _), labels in self.doubts.items()
        ]
        return Comparison(
            tuple(sorted(sides[True], key=_order)),
            tuple(sorted(sides[False], key=_order)),
            tuple(sorted(doubts, key=lambda d: (d.resource, d.actions, d.reason))),
        )


# --- one group of actions -------------------------------------------------------------------------------------------


class _Answer(NamedTuple):
    """What both sides say of a class of requests."""

    outcomes: tuple[Outcome, Outcome]
    reason: str
    """Why it is not known whether they differ; empty where it is."""
    by: tuple[tuple[int, ...], tuple[int, ...]]
    """For each side, the entries that grant the request."""


class _Search:
    """All classes of requests for one group of actions."""

    def __init__(self, pair: _Pair, group: _Group, action: str) -> None:
        self.pair, self.group, self.action = pair, group, action
        self.same = pair.sides.same
        self.answers: dict[object, _Answer] = {}
        self.places: dict[object, list[_Place]] = {}
        self.entries: list[_Entry] = []
        self.statements: list[Statement] = []
        self.of_side: list[int] = []
        self.masks: list[int] = []
        self.granting: list[int] = []

    def found(self) -> Iterator[_Found]:
        """A request for each granting statement and pattern by which one side allows what the other denies."""
        sides = self._left()
        if self.same and sides[0] == sides[1]:
            return
        self.entries = sorted(sides[0] | sides[1])
        self.statements = [self.pair.work.statements[e.number] for e in self.entries]
        self.of_side = [sum(1 << i for i, e in enumerate(self.entries) if e in side) for side in sides]
        self.granting = [i for i, e in enumerate(self.entries) if self.pair._granting(e)]
        if not self.granting:
            return
        blocks = [self._block(e) for e in self.entries]
        of_block = {b: sum(1 << i for i, o in enumerate(blocks) if o == b) for b in dict.fromkeys(blocks)}
        self.masks = list(of_block.values())
        contexts = Contexts(list(of_block), self.pair.keys, self.pair.absent, self._kept())
        yield from self._differences(contexts)
        for key in contexts.murky:
            reason = f"{key} is compared in several ways at once, and not all of its values were tried"
            yield _Found(True, "*", "*", (), reason)

    def _left(self) -> list[set[_Entry]]:
        """The entries of each side that what is known does not rule out; none where it is denied whatever is asked."""
        every = sorted({*self.group.old, *self.group.new})
        contexts = Contexts([self._block(e) for e in every], self.pair.keys, self.pair.absent, {})
        false, certain = contexts.settled()[0], contexts.certain()
        out: list[set[_Entry]] = []
        for entries in (self.group.old, self.group.new):
            left = {e for i, e in enumerate(every) if e in entries and not false >> i & 1}
            sure = {e for i, e in enumerate(every) if certain >> i & 1}
            out.append(set() if any(self._rules_out(e) for e in left & sure) else left)
        return out

    def _rules_out(self, entry: _Entry) -> bool:
        s = self.pair.work.statements[entry.number]
        return s.effect == "Deny" and s.resources == ("*",) and Spoken(entry.level, s, entry.variables).own

    def _block(self, entry: _Entry) -> Block:
        s = self.pair.work.statements[entry.number]
        return Block(s.conditions, s.effect == "Allow", entry.variables)

    def _kept(self) -> dict[str, list[str]]:
        """Keys that stand in names of resources, with values by which those meet others, and those the judge reads."""
        out: dict[str, list[str]] = {}
        said = {t for s in self.statements for t in (*s.resources, *s.not_resources)} - {"*"}
        settled = self.pair.keys.keys() | self.pair.absent
        templates = {
            text
            for e, s in zip(self.entries, self.statements, strict=True)
            for text in (*s.resources, *s.not_resources)
            if e.variables and not settled.issuperset(variables_in(text))
        }
        for text in sorted(templates):
            for key, values in values_inside(text, said).items():
                if key not in settled:
                    out.setdefault(key, []).extend(values)
        for key in _ALWAYS - self.pair.keys.keys() - self.pair.absent:
            if any(key in self.pair.work.mentions(e.number) for e in self.entries):
                out.setdefault(key, [])
        return {key: sorted(set(values)) for key, values in out.items()}

    def _differences(self, contexts: Contexts) -> Iterator[_Found]:
        apart = bool(self.group.required)
        by_base: dict[int, list[Context]] = {}
        for context in contexts.all(tags_apart=apart):
            by_base.setdefault(context.base if apart else 0, []).append(context)
        seen: set[tuple[object, ...]] = set()
        for listed in by_base.values():
            # A request that names several resources is allowed if each of them is, and each has tags of its own.
            missing = (set(self.group.required), set(self.group.required))
            found = [one for context in listed for one in self._with(context, missing)]
            for side, entry, one in found:
                key = (one.gained, entry, one.pattern, one.reason)
                if not missing[side] and key not in seen:
                    seen.add(key)
                    yield one

    def _with(self, context: Context, missing: tuple[set[str], set[str]]) -> Iterator[tuple[int, int, _Found]]:
        """What requests with these keys show: the side that allows (or may), the entry by which, and the request."""
        false, unknown = (self._of_entries(bits) for bits in (context.false, context.unknown))
        changed = self.of_side[0] ^ self.of_side[1]
        keys = {key.lower(): (v,) if isinstance(v, str) else v for key, v in context.chosen}
        for place in self._places(context):
            sure, maybe = place.on & ~false & ~unknown, place.on & unknown
            if self.same and not (sure | maybe) & changed and not missing[0] and not missing[1]:
                continue
            special = (place.account, *(keys.get(key) for key in sorted(_ALWAYS)))
            answer = self.answers.get((sure, maybe, special))
            if answer is None:
                answer = self.answers[sure, maybe, special] = self._answer(context, place)
            for side in (0, 1):
                if answer.outcomes[side] == "allowed":
                    missing[side].discard(place.type)
            yield from self._told(answer, context, place)

    def _told(self, answer: _Answer, context: Context, place: _Place) -> Iterator[tuple[int, int, _Found]]:
        old, new = answer.outcomes
        side = 1 if (old, new) == ("denied", "allowed") or (answer.reason and new != "denied") else 0
        if not answer.reason and (old == new or "unknown" in (old, new)):
            return
        for entry in answer.by[side] or (self.granting if answer.reason else ()):
            for pattern in place.patterns.get(entry, ()):
                found = _Found(side == 1, pattern, place.text, context.chosen, answer.reason)
                yield side, entry, found
                if answer.reason:
                    return

    def _of_entries(self, bits: int) -> int:
        """Bits of entries for bits of their blocks."""
        out, number = 0, 0
        while bits:
            if bits & 1:
                out |= self.masks[number]
            bits >>= 1
            number += 1
        return out

    def _answer(self, context: Context, place: _Place) -> _Answer:
        known = {k: v for k, v in self.pair.known.items() if v is not None}
        asked = {**known, **dict(context.chosen)}
        old, new = (self.pair.decide(side, self.action, place.text, asked) for side in (0, 1))
        by = tuple(tuple(i for i in self.granting if self._takes_part(i, decision)) for decision in (old, new))
        reason = ""
        if "unknown" in (old.outcome, new.outcome) and _doubts(old) != _doubts(new):
            reason = new.reason or old.reason
        return _Answer((old.outcome, new.outcome), reason, (by[0], by[1]))

    def _takes_part(self, entry: int, decision: Decision) -> bool:
        number = self.entries[entry].number
        return any(self.pair.work.number(s) == number for s in decision.because)

    # -- resources

    def _places(self, context: Context) -> list[_Place]:
        found = self.places.get(context.live)
        if found is None:
            keys = {**self.pair.keys, **dict(context.live)}
            found = self.places[context.live] = [self._place(type_, text, keys) for type_, text in self._texts(keys)]
        return found

    def _texts(self, keys: Keys) -> Iterator[tuple[str, str]]:
        """A resource, with its type, of each class that the statements tell apart."""
        said = sorted(
            {
                filled
                for e, s in zip(self.entries, self.statements, strict=True)
                for text in (*s.resources, *s.not_resources)
                if (filled := substituted(text, keys) if e.variables else text) is not None
            }
            - {"*"}
        )
        others: Others = "apart" if not self.pair.sides.own or self.group.kind != "" else "told"
        if self.group.kind == "unlisted":
            patterns = tuple(map(like, said))
            yield from (("", text) for text in texts(_SOMETHING, patterns, ("*", *map(plain, said))).values())
            return
        service = self.action.partition(":")[0]
        yield from resources(service, self.group.forms, said, self.pair.where, others)

    def _place(self, type_: str, text: str, keys: Keys) -> _Place:
        on = 0
        patterns: dict[int, tuple[str, ...]] = {}
        for i, (entry, s) in enumerate(zip(self.entries, self.statements, strict=True)):
            if s.not_resources:
                if not any(_fits(p, text, keys, entry.variables) for p in s.not_resources):
                    on |= 1 << i
                    patterns[i] = ("*",)
            elif not s.resources:  # a resource's own policy need not name it
                on |= 1 << i
                patterns[i] = ("*",)
            elif met := tuple(p for p in s.resources if _fits(p, text, keys, entry.variables)):
                on |= 1 << i
                patterns[i] = met
        account = text.split(":", 5)[4] if text.count(":") > 4 else ""
        return _Place(type_, text, on, patterns, account)


class _Place(NamedTuple):
    """A resource: which entries speak of it (as bits), and by which of their patterns."""

    type: str
    text: str
    on: int
    patterns: Mapping[int, tuple[str, ...]]
    account: str


_SOMETHING: Tokens = (Token(), ANY)


def _fits(pattern: str, text: str, keys: Keys, variables: bool) -> bool:
    filled = substituted(pattern, keys) if variables and "${" in pattern else pattern
    return filled is not None and fits(filled, text)


def _doubts(decision: Decision) -> object:
    """What the answer hangs on, where it is not known: levels and statements, in no order."""
    return decision.outcome, frozenset((p.policy.partition("[")[0], p.statement) for p in decision.places)


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


# --- principals -----------------------------------------------------------------------------------------------------


def named_principals(policies: Iterable[Policy | None], account: str, partition: str = "aws") -> tuple[str, ...]:
    """Callers that tell resource policies apart: whom they name, somebody of each account, and strangers; sorted."""
    out = {f"arn:{partition}:iam::{a}:user/somebody" for a in (account, STRANGER)} | {"*", "stranger.amazonaws.com"}
    for policy in filter(None, policies):
        for statement in policy.statements:
            for principal in (*statement.principals, *statement.not_principals):
                out.update(_callers(value, partition) for value in principal.values)
    return tuple(sorted(out))


def _callers(value: str, partition: str) -> str:
    """Whom a value of a Principal speaks of; for an account, somebody in it."""
    who = caller_of(value)
    return f"arn:{partition}:iam::{who.account}:user/somebody" if who.kind == "root" else value


# --- baselines ------------------------------------------------------------------------------------------------------


def compare_baselines(old: Baseline, new: Baseline) -> tuple[Change, ...]:
    """Every person, team, role and break-glass user whose access differs or may differ, in each way to sign in; sorted.

    Principals are the same by account, kind and name. Who is in one baseline only gains or loses all that they have.
    """
    compared = _Compared()
    before, after = (compared.principals(side) for side in _side_by_side(old, new))
    out: list[Change] = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one is None or other is None or not one.same(other):
            out += compared.changes(one, other)
    return tuple(out)


def _side_by_side(old: Baseline, new: Baseline, most: int | None = None) -> tuple[Baseline, Baseline]:
    """Both sides as they are in an account that both are for: another account that comes or goes changes nobody here.

    One for each set of targets that the same policies of the organization bind, and `most` of them.
    """
    one, other = old.accounts[0], new.accounts[0]
    both = [t.id for t in other.targets if t.id in {t.id for t in one.targets}]
    if not both:
        return old, new
    sets = {tuple(g.policy for a in (one, other) for g in replace(a, id=id_).guards): id_ for id_ in reversed(both)}
    ids = [id_ for id_ in both if id_ in sets.values()][:most]
    left, right = ((*(replace(a, id=id_) for id_ in ids), *side.accounts[1:]) for side, a in ((old, one), (new, other)))
    return replace(old, accounts=left), replace(new, accounts=right)


MOST_REQUESTS = 400_000
"""Requests that are judged for two baselines; of whoever is left then, nobody knows. Half a minute or so."""
_NOBODY = Policies()
_MOST_SIDES = 64
"""Pairs of policies that are kept prepared at a time, so that memory stays bounded."""
_ORDER: tuple[Kind, ...] = ("person", "team", "role", "break-glass")


@dataclass(frozen=True, slots=True)
class _Standing:
    """A principal, with its account."""

    account: Account
    caller: Caller

    def same(self, other: _Standing) -> bool:
        """Whether nothing of it changed that a policy can speak of."""
        mine, theirs = self.caller, other.caller
        return mine.policies is theirs.policies and all(mine.known(s) == theirs.known(s) for s in mine.sessions[:1])

    @property
    def where(self) -> Where:
        """Where its requests are made."""
        region = self.account.home_region
        return Where(self.caller.arn, self.caller.arn.split(":")[4], region, catalog.partition(region))


class _Compared:
    """Principals of two baselines; equal policies are one value, so that what is unchanged is seen at a glance."""

    def __init__(self) -> None:
        self.work = _Work()
        self._policies: dict[Policy, Policy] = {}
        self._by_id: dict[int, tuple[Policy, Policy]] = {}
        self._sets: dict[object, Policies] = {}
        self._sides: dict[object, tuple[_Sides, Sequence[Policies]]] = {}

    def principals(self, baseline: Baseline) -> dict[tuple[str, int, str], _Standing]:
        """All of them, by account, kind and name."""
        found: dict[tuple[str, int, str], _Standing] = {}
        for account in baseline.accounts:
            partition = catalog.partition(account.home_region)
            for caller in (*callers(baseline, account, partition), *teams(baseline, account, partition)):
                key = (account.id or "", _ORDER.index(caller.kind), caller.name)
                found[key] = _Standing(account, replace(caller, policies=self._one_set(caller.policies)))
        return found

    def _one_set(self, policies: Policies) -> Policies:
        """The one value for policies that are equal."""
        identity = tuple(map(self._one, policies.identity))
        groups = tuple(tuple(map(self._one, group)) for group in policies.groups)
        boundary = None if policies.boundary is None else self._one(policies.boundary)
        guards = tuple(map(self._one, policies.guards))
        key = (*(tuple(map(id, own)) for own in (identity, *groups, guards)), id(boundary))
        return self._sets.setdefault(key, Policies(identity, groups, boundary, guards=guards))

    def _one(self, policy: Policy) -> Policy:
        known = self._by_id.get(id(policy))
        if known is None:  # both are kept, so that the id stays its own
            known = self._by_id[id(policy)] = (policy, self._policies.setdefault(policy, policy))
        return known[1]

    def changes(self, one: _Standing | None, other: _Standing | None) -> Iterator[Change]:
        """What somebody gained and lost, signed in in each way."""
        here = other or one
        if here is None:
            return
        status: Status = "new" if one is None else "removed" if other is None else "changed"
        caller = here.caller
        if self.work.judged > MOST_REQUESTS:
            doubt = Doubt(("*",), "*", f"not compared: more than {MOST_REQUESTS:,} requests were judged before", None)
            yield Change(
                here.account.id, caller.name, caller.kind, caller.sessions[0], status, Comparison((), (), (doubt,))
            )
            return
        for session in caller.sessions:
            known = [_known((standing or here).caller, session) for standing in (one, other)]
            policies = [standing.caller.policies if standing else _NOBODY for standing in (one, other)]
            moved = {k for k in known[0].keys() | known[1].keys() if known[0].get(k) != known[1].get(k)}
            try:
                policies = (
                    [_settled(p, of, moved) for p, of in zip(policies, known, strict=True)] if moved else policies
                )
            except Unknown as reason:
                unknown = Comparison((), (), (Doubt(("*",), "*", str(reason), None),))
                yield Change(here.account.id, caller.name, caller.kind, session, status, unknown)
                continue
            common = {key: value for key, value in known[1].items() if key not in moved}
            sides = self._prepared(policies, here.where)
            comparison = _Pair(self.work, sides, common, here.where).compared(None)
            if not comparison.equal:
                yield Change(here.account.id, caller.name, caller.kind, session, status, comparison)

    def _prepared(self, policies: Sequence[Policies], where: Where) -> _Sides:
        key = (*map(id, policies), where.account)
        if key not in self._sides:
            if len(self._sides) >= _MOST_SIDES:
                self._sides.clear()
            self._sides[key] = (_Sides(policies[0], policies[1], where), policies)  # kept, so that the ids stay theirs
        return self._sides[key][0]


def _settled(policies: Policies, known: Known, moved: Iterable[str]) -> Policies:
    """Policies as they read for somebody whose keys `moved` differ between the sides. Raises Unknown."""
    keys: Keys = {k.lower(): (v,) if isinstance(v, str) else v for k, v in known.items() if v is not None}
    names = frozenset(k.lower() for k in moved)
    told = names | {k.lower() for k in known}

    def settled(policy: Policy) -> Policy:
        read = (_statement_settled(s, keys, names, told, policy.version == VERSION) for s in policy.statements)
        return replace(policy, statements=tuple(s for s in read if s is not None))

    return replace(
        policies,
        identity=tuple(map(settled, policies.identity)),
        groups=tuple(tuple(map(settled, group)) for group in policies.groups),
        boundary=policies.boundary and settled(policies.boundary),
        guards=tuple(map(settled, policies.guards)),
    )


def _statement_settled(
    statement: Statement, keys: Keys, names: frozenset[str], told: frozenset[str], variables: bool
) -> Statement | None:
    """A statement without the conditions on `names` that hold for certain; None if one does not. `told` is known."""
    left: list[Condition] = []
    for condition in statement.conditions:
        inside = {v for text in condition.values for v in variables_in(text)} if variables else set()
        if condition.key.lower() not in names:
            values = tuple(_filled(v, keys, names) for v in condition.values) if inside & names else condition.values
            left.append(replace(condition, values=values))
        elif inside - told:
            raise Unknown(f"{condition.key} changed, and is compared with {', '.join(sorted(inside - told))}")
        elif not prepare(condition, statement.effect == "Allow", variables)(keys):
            return None
    return replace(
        statement,
        conditions=tuple(left),
        resources=tuple(_filled(r, keys, names) for r in statement.resources) if variables else statement.resources,
        not_resources=tuple(_filled(r, keys, names) for r in statement.not_resources),
    )


def _filled(text: str, keys: Keys, names: frozenset[str]) -> str:
    """A text with those variables filled in; one without a value matches nothing."""

    def value(found: re.Match[str]) -> str:
        name, _, rest = found[1].partition(",")
        if name.strip().lower() not in names:
            return found[0]
        held = keys.get(name.strip().lower())
        return held[0] if held else rest.strip().strip("'") or _NO_VALUE

    return _VARIABLE.sub(value, text) if "${" in text else text


_NO_VALUE = "\ue002"
"""Stands for a variable without a value: a character that no AWS text can hold, so that nothing matches."""


# --- who takes a role -----------------------------------------------------------------------------------------------

_ANY_RIGHTS = Policy((Statement("AnyRights", "Allow", ("*",), ("*",)),))


def _known(caller: Caller, session: Session) -> Known:
    """What the requests of a caller say, but not how long ago MFA was used: conditions ask for that."""
    return {k: v for k, v in caller.known(session).items() if k != "aws:MultiFactorAuthAge" or v is None}


def compare_trusts(old: Baseline, new: Baseline) -> tuple[TrustChange, ...]:
    """Who can take a role of either baseline now, or no longer, whatever their own policies say; sorted.

    Whoever a trust policy names is tried, somebody of each account that it names, and strangers.
    """
    work = _Work()
    before, after = (_trusts(side) for side in _side_by_side(old, new, 1))
    out: list[TrustChange] = []
    for key in sorted(before.keys() | after.keys()):
        sides = [trusts.get(key) for trusts in (before, after)]
        if None not in sides and sides[0] is not None and sides[1] is not None and sides[0][1] == sides[1][1]:
            continue
        account = next(a for a, _ in filter(None, sides))
        policies = [None if side is None else side[1] for side in sides]
        for who in named_principals(policies, account.id or ACCOUNT_ID, catalog.partition(account.home_region)):
            where = Where(who, account.id or ACCOUNT_ID, account.home_region, catalog.partition(account.home_region))
            old_, new_ = (Policies((_ANY_RIGHTS,), resource=policy or _CLOSED) for policy in policies)
            found = _Pair(work, _Sides(old_, new_, where), _NOTHING, where).compared(None)
            found = Comparison(_by_trust(found.gained), _by_trust(found.lost), found.unknown)
            if not found.equal:
                out.append(TrustChange(account.id, key[1], who, found))
    return tuple(out)


def _by_trust(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Without what the caller has of its own: who is judged here may do everything that a role lets it do."""
    mine = _ANY_RIGHTS.statements[0]
    found: dict[object, Difference] = {}
    for one in differences:
        because = tuple(s for s in one.because if s is not mine)
        key = (one.actions, because, one.instead, tuple(one.witness.context.items()))
        found.setdefault(key, replace(one, because=because, resource=one.witness.resource))
    return tuple(found.values())


_CLOSED = Policy(())


def _trusts(baseline: Baseline) -> dict[tuple[str, str], tuple[Account, Policy]]:
    """The trust policy of each role, for the role alone, by account and name."""
    found = {}
    for account in baseline.accounts:
        partition = catalog.partition(account.home_region)
        id_ = account.id or ACCOUNT_ID
        for role in account.roles:
            arn = f"arn:{partition}:iam::{id_}:role{role.path}{role.name}"
            trust = in_account(role.trust, id_, partition)
            read = tuple(replace(s, resources=(arn,)) for s in trust.statements)
            found[account.id or "", role.name] = (account, replace(trust, statements=read))
    return found
