"""What one set of policies can do that another cannot, and the other way round: exactly, each with a witness.

A witness is one request that one side allows and the other denies; the judge has answered it for both before it is
shown. What cannot be decided is a `Doubt`, never 'no change'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dutybound import catalog
from dutybound.baseline import Account, Baseline
from dutybound.callers import ACCOUNT_ID, Caller, Kind, Session, callers, teams
from dutybound.catalog import Action
from dutybound.evaluate import Judge, Policies, Request
from dutybound.policy import Statement, glob
from dutybound.witness import Known, Where, witness


@dataclass(frozen=True, slots=True)
class Difference:
    """Actions that one side allows and the other denies."""

    actions: tuple[str, ...]
    resource: str
    witness: Request
    because: tuple[Statement, ...]
    instead: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Actions of which nobody can say whether the sides differ."""

    actions: tuple[str, ...]
    resource: str
    reason: str
    request: Request | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the new side gained and lost, and what is not known."""

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
    status: Literal["new", "removed", "changed"]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class TrustChange:
    """Who can take a role now, or no longer."""

    account: str | None
    role: str
    principal: str
    comparison: Comparison


ANYWHERE = Where("", ACCOUNT_ID, "eu-west-1")


def compare(
    old: Policies,
    new: Policies,
    known: Known | None = None,
    where: Where = ANYWHERE,
    actions: Iterable[Action] | None = None,
) -> Comparison:
    """Compare both ways."""
    known = known or {}
    before, after = Judge(old), Judge(new)
    gained: list[Difference] = []
    lost: list[Difference] = []
    unknown: list[Doubt] = []
    for action in sorted(actions or catalog.actions_of("*")):
        if before.naming(str(action)) == after.naming(str(action)):
            continue
        for allows, denies, out in ((after, before, gained), (before, after, lost)):
            found = witness(allows, action, known, where, but=denies)
            if found is None:
                continue
            if found.outcome == "unknown":
                unknown.append(Doubt((str(action),), found.request.resource, found.reason, found.request))
            else:
                out.append(_difference(found.request, allows, denies))
    return Comparison(tuple(gained), tuple(lost), tuple(unknown))


def _difference(request: Request, allows: Judge, denies: Judge) -> Difference:
    because, instead = allows.decide(request).because, denies.decide(request).because
    patterns = [p for s in because for p in s.resources if glob(p).fullmatch(request.resource)]
    return Difference((request.action,), patterns[0] if patterns else "*", request, because, instead)


def compare_baselines(old: Baseline, new: Baseline) -> tuple[Change, ...]:
    """Every principal whose access differs or may differ."""
    before, after = _principals(old), _principals(new)
    out: list[Change] = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        here = (other or one)
        assert here is not None
        account, caller = here
        status: Literal["new", "removed", "changed"] = "new" if one is None else "removed" if other is None else "changed"
        for session in caller.sessions:
            where = Where(caller.arn, account.id or ACCOUNT_ID, account.home_region)
            sides = [side[1].policies if side else Policies() for side in (one, other)]
            found = compare(sides[0], sides[1], caller.known(session), where)
            if not found.equal:
                out.append(Change(account.id, caller.name, caller.kind, session, status, found))
    return tuple(out)


def _principals(baseline: Baseline) -> dict[tuple[str, str, str], tuple[Account, Caller]]:
    return {
        (account.id or "", caller.kind, caller.name): (account, caller)
        for account in baseline.accounts
        for caller in (*callers(baseline, account), *teams(baseline, account))
    }


def compare_trusts(old: Baseline, new: Baseline) -> tuple[TrustChange, ...]:
    """Who can take a role now, or no longer."""
    raise NotImplementedError
