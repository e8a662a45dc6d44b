"""Requests that policies allow and that something else does not: found exactly, each with a witness.

Policies tell requests apart only by what they mention. So for one action the resources fall into classes, and so do the
condition keys (`classes`, `arns`); one request of each class speaks for all. Every witness is a request that the judge
has answered. Where a bound is hit the answer is 'unknown', never 'none'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from dutybound import catalog
from dutybound.arns import Others, Where, forms_of, is_beside, named, resources, services_of
from dutybound.catalog import Action, spoken_of
from dutybound.classes import Block, Context, Contexts, TooMany, values_inside, variables_in, with_known
from dutybound.conditions import Keys, Test, Unknown, Values, prepare, substituted
from dutybound.evaluate import Decision, Judge, Outcome, Policies, Request, Spoken
from dutybound.policy import VERSION, Condition, Statement

Known = Mapping[str, "str | Values | None"]
"""What is known of a request: condition keys with their value, or None for a key that is absent. Others are free."""


@dataclass(frozen=True, slots=True)
class Witness:
    """One request, as an answer: allowed where it should not be, or unknown with the reason."""

    outcome: Outcome
    request: Request
    reason: str = ""
    bounded: bool = False
    """Whether it is unknown since the search hit a bound, and not by what the policies say."""


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
    settled = _Settled(known)
    mine = settled.left(judge.speaking(str(action)))
    if not resource:
        services = services_of(action)
        mine = [s for s in mine if not is_beside(s.statement, services)]
    if not any(s.statement.effect == "Allow" for s in mine) or any(map(settled.rules_out, mine)):
        return None
    spoken = [*mine, *(settled.left(but.speaking(str(action))) if but is not None else ())]
    asked = {key: value for key, value in known.items() if value is not None}
    answers: dict[int, _Answer] = {}
    made: dict[object, list[tuple[str, str]]] = {}
    try:
        found = settled.contexts(spoken, resource, action, but is None) if free else _Found((Context((), 0, 0),), ())
        for context in found.contexts:
            if context.live not in made:
                keys = {**settled.keys, **dict(context.live)}
                made[context.live] = list(_resources(action, spoken, keys, where, resource))
            places = made[context.live]
            answer = answers.setdefault(context.base, _Answer(_together(action, places)))
            _in_context(answer, judge, but, action, places, {**asked, **dict(context.chosen)}, where)
            if answer.allowed is not None and not answer.missing:
                return answer.allowed
    except (TooMany, Unknown) as unknown:
        asking = Request(where.principal, str(action), resource or "*", asked)
        return Witness("unknown", asking, str(unknown), isinstance(unknown, TooMany))
    doubt = next((a.doubt for a in answers.values() if a.doubt is not None and not a.missing), None)
    if doubt is None and found.murky:
        reason = f"{found.murky[0]} is compared in several ways at once, and not all of its values were tried"
        doubt = Witness("unknown", Request(where.principal, str(action), resource or "*", asked), reason, True)
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

    def speaking(self, action: str) -> Sequence[Spoken]:
        """The statements that speak of an action."""

    def decide(self, request: Request) -> Decision:
        """The answer to a request."""


def naming(side: Side, action: Action) -> list[Statement]:
    """The statements of a side that speak of an action, whatever the resource and the conditions."""
    return [spoken.statement for spoken in side.speaking(str(action))]


class OwnSide:
    """What a principal's own policies and its boundary allow, whatever a key or another role says on its side.

    The key policy of AWS's default, and the trust of a role that delegates to its account, leave the decision to them.
    """

    def __init__(self, policies: Policies) -> None:
        """Prepare the identity policies, those of groups, the boundary and the guards; of `policies` no more counts."""
        held = (*policies.identity, *(p for group in policies.groups for p in group))
        identity = Judge([*held, *policies.guards])  # guards only deny, and a deny is one wherever it stands
        self.judges = [identity, *([Judge([policies.boundary])] if policies.boundary is not None else [])]

    def speaking(self, action: str) -> list[Spoken]:
        """The statements that speak of an action."""
        return [s for judge in self.judges for s in judge.speaking(action)]

    def decide(self, request: Request) -> Decision:
        """Denied if one denies, unknown if one does not know, and allowed by the identity policies otherwise."""
        decisions = [judge.decide(request) for judge in self.judges]
        worst: dict[Outcome, int] = {"denied": 0, "unknown": 1, "allowed": 2}
        return min(decisions, key=lambda d: worst[d.outcome])


# --- what is known of the keys --------------------------------------------------------------------------------------

_ALWAYS = ("aws:principalarn", "aws:resourceaccount")
"""Keys by which the judge itself tells which levels count."""
_FEW_KEYS = 10
"""Free keys of which every class is tried, whoever asks."""
_prepared = lru_cache(maxsize=16384)(prepare)


class _Found(NamedTuple):
    """A context of each class, and keys of which not all classes could be told."""

    contexts: tuple[Context, ...]
    murky: tuple[str, ...]


class _Settled:
    """The keys that are known, present or absent."""

    def __init__(self, known: Known) -> None:
        self.keys: Keys = {k.lower(): (v,) if isinstance(v, str) else v for k, v in known.items() if v is not None}
        self.names = frozenset(k.lower() for k in known)

    def left(self, spoken: Iterable[Spoken]) -> list[Spoken]:
        """The statements that may hold: those without a condition that what is known rules out."""
        return [s for s in spoken if not any(self.holds(s, c) is False for c in s.statement.conditions)]

    def rules_out(self, spoken: Spoken) -> bool:
        """Whether a statement denies everything whatever is free: the quick way for most of 22,000 actions."""
        s = spoken.statement
        everything = s.effect == "Deny" and s.resources == ("*",) and spoken.own
        return everything and all(self.holds(spoken, c) for c in s.conditions)

    def holds(self, spoken: Spoken, condition: Condition) -> bool | None:
        """Whether a condition holds; None if that hangs on free keys, or is unknown."""
        if condition.key.lower() not in self.names:
            return None
        if spoken.variables and any(v not in self.names for text in condition.values for v in variables_in(text)):
            return None
        test: Test = _prepared(condition, spoken.statement.effect == "Allow", spoken.variables)
        try:
            return test(self.keys)
        except Unknown:
            return None

    def contexts(self, spoken: Sequence[Spoken], resource: str, action: Action, alone: bool) -> _Found:
        """The contexts that statements tell apart, each with the keys that stand in names of resources.

        Of many keys, and where one side is asked `alone`, those that allow the most: a request is the nicer for every
        key that it does without, but each tag that must be there doubles the contexts.
        """
        blocks = {_block(s): None for s in spoken if s.statement.conditions}
        mentioned = frozenset[str]().union(*map(_mentioned, blocks))
        kept = {key: () for key in _ALWAYS if key in mentioned - self.names} | self._inside(spoken, resource)
        known = tuple(sorted((k, v) for k, v in self.keys.items() if k in mentioned))
        apart = not resource and len(catalog.action_keys(action).required) > 1
        best = alone and len(mentioned - self.names) > _FEW_KEYS
        return _contexts(tuple(blocks), known, mentioned & self.names, tuple(sorted(kept.items())), apart, best)

    def _inside(self, spoken: Iterable[Spoken], resource: str) -> dict[str, Values]:
        """Free keys that stand in names of resources, with values by which those meet others."""
        said = {resource, *(text for s in spoken for text in _on(s))} - {"", "*"}
        free = {text for s in spoken if s.variables for text in _on(s) if set(variables_in(text)) - self.names}
        out: dict[str, set[str]] = {}
        for text in sorted(free):
            for key, values in values_inside(with_known(text, self.keys), said - {text}).items():
                out.setdefault(key, set()).update(values)
        return {key: tuple(sorted(values)) for key, values in out.items() if key not in self.names}


def _on(spoken: Spoken) -> Values:
    return (*spoken.statement.resources, *spoken.statement.not_resources)


def _block(spoken: Spoken) -> Block:
    return Block(spoken.statement.conditions, spoken.statement.effect == "Allow", spoken.variables)


@lru_cache(maxsize=4096)
def _mentioned(block: Block) -> frozenset[str]:
    inside = (v for c in block.conditions for text in c.values for v in variables_in(text)) if block.variables else ()
    return frozenset((*(c.key.lower() for c in block.conditions), *inside))


@lru_cache(maxsize=512)
def _contexts(
    blocks: tuple[Block, ...],
    known: tuple[tuple[str, Values], ...],
    absent: frozenset[str],
    kept: tuple[tuple[str, Values], ...],
    apart: bool,
    best: bool,
) -> _Found:
    contexts = Contexts(blocks, dict(known), absent, dict(kept))
    return _Found(tuple(contexts.all(tags_apart=apart, best=best)), tuple(contexts.murky))


# --- resources ------------------------------------------------------------------------------------------------------


def _resources(
    action: Action, spoken: Iterable[Spoken], keys: Keys, where: Where, resource: str
) -> Iterator[tuple[str, str]]:
    """The resource asked about, or one of each class that statements tell apart, with its type."""
    if resource and not set(resource) & set("*?"):
        yield "", resource
        return
    texts_ = {substituted(text, keys) if s.variables and "${" in text else text for s in spoken for text in _on(s)}
    said = sorted(text for text in texts_ if text is not None and text != "*")
    if resource:
        yield from (("", text) for text in named(resource, said))
        return
    # Roles of any account can be taken; what else is in another account is for that account's policies to open.
    others: Others = "apart" if action.service == "sts" else "named"
    for type_, text in resources(action.service, forms_of(action), said, where, others):
        if text == "*" or text.split(":", 2)[1:2] == [where.partition]:
            yield type_, text


# --- many actions at once -------------------------------------------------------------------------------------------


def possible(policies: Policies, known: Known) -> frozenset[Action]:
    """The actions that a principal may be allowed at all: granted, within the boundary, not denied everywhere.

    A quick way past most of the reference's 22,000 actions: what is not in it is denied whatever the request.
    """
    settled = _Settled(known)
    own = [*policies.identity, *(p for group in policies.groups for p in group), *policies.guards]
    levels = [own, *([[policies.boundary]] if policies.boundary is not None else [])]
    out: frozenset[Action] | None = None
    for level in levels:
        statements = [Spoken(0, s, policy.version == VERSION) for policy in level for s in policy.statements]
        granted = frozenset[Action]().union(*(spoken_of(s.statement) for s in statements if s.grants))
        granted = granted.difference(*(spoken_of(s.statement) for s in statements if settled.rules_out(s)))
        out = granted if out is None else out & granted
    return out or frozenset()
