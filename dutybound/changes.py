"""What a change of a configuration means to whoever reviews it: two compilations -> Review.

Access first, by how much it matters: what each team, person and role gained and lost, with a request as proof, the
duties and lines behind it, and whom it concerns. Then all else that a reader of a pull request would want to be told:
who joined, MFA, boundaries, break-glass, trust, quotas, what CloudFormation would replace or fail at, findings. Facts
only; `dutybound.report.diff` puts them into words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Literal, TypeVar

from dutybound import catalog
from dutybound.assigned import assigned
from dutybound.baseline import Account, Baseline, Group, IdentityProvider, ManagedPolicy, Role, User
from dutybound.callers import Kind, Session, callers, teams
from dutybound.catalog import Action
from dutybound.compare import Change, Difference, compare_baselines, compare_trusts
from dutybound.config import LevelGrant
from dutybound.deployment import EFFECTS, Consequence, consequences
from dutybound.diagnostic import Checked, Diagnostic, Severity, Span, in_order
from dutybound.escalate import Openings
from dutybound.evaluate import Judge, Policies, Request
from dutybound.mfa import ENROL, MAKE_DEVICE, REMOVE_DEVICE, SEE_RULES
from dutybound.nearest import is_duty
from dutybound.policy import Origin, Statement
from dutybound.read import library_duty
from dutybound.remarks import Code, Environment, QuotaUse, Remark, quota_uses, remarks, renamed, teams_of
from dutybound.template import Gap, Reading

Side = Mapping[Environment, Checked[Baseline]]
"""One side: what `compile_everywhere` made of it. Empty where there is no configuration."""
Templates = Mapping[str | None, Checked[Reading]]
"""What `template.read` made of one side, by account."""
Risk = Literal["escalation", "permissions", "data read", "write", "tagging", "read", "list"]
RISKS: tuple[Risk, ...] = ("escalation", "permissions", "data read", "write", "tagging", "read", "list")
"""From the gravest. `escalation` is an action of a way to become an administrator all of whose actions are held;
`data read` what reads more than the set-up of things."""
Status = Literal["new", "removed", "changed"]
FailOn = Literal["changes", "gains", "escalation", "never"]
UNKNOWN = 3
Result = Literal["no access changes", "changed", "unknown"]
_T = TypeVar("_T", bound="AccessChange | TrustMoved | Remark | QuotaUse | Deployed | Unknown")


@dataclass(frozen=True, slots=True)
class Because:
    """The duty, or part of the baseline, behind a statement: where it is asked for, and where its grant is.

    Places are `config/teams.yaml:12`, or empty; the span is that of whichever is the user's own, the first first.
    """

    duty: str
    asked: str = ""
    granted: str = ""
    sid: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AccessChange:
    """Actions that somebody gained or lost, on the same resources, for the same reason: of one service, or on anything.

    `names` are teams, or those people or roles whom it concerns by themselves. `people` are the members whose own
    access changes with that of their team. `because` is what allows it, on the side that does, and `instead` what
    denies it on the other; empty where nothing there allows it. The action `*` is every one. Of people who changed
    teams an entry sums up all that is of one risk (`summed`): not every action then goes with every resource. Of
    whoever is gone one entry stands for everything, with its gravest risk and no actions.
    """

    gained: bool
    kind: Kind
    names: tuple[str, ...]
    risk: Risk
    sessions: tuple[Session, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    because: tuple[Because, ...]
    instead: tuple[Because, ...] = ()
    people: tuple[str, ...] = ()
    status: Status = "changed"
    summed: bool = False
    environments: tuple[Environment, ...] = ()
    witness: Request = field(default=Request("", "", ""), compare=False)

    @property
    def without_mfa(self) -> bool:
        """Whether somebody gained it who signed in without MFA, or with a long-term key."""
        return self.gained and bool({"no-mfa", "key"} & set(self.sessions))

    @property
    def services(self) -> tuple[str, ...]:
        """The services of the actions, sorted."""
        return tuple(sorted({action.partition(":")[0] for action in self.actions}))

    @property
    def order(self) -> tuple[object, ...]:
        """The gravest first, then by who and what."""
        return (not self.without_mfa, RISKS.index(self.risk), self.kind, self.names, self.actions)


@dataclass(frozen=True, slots=True)
class TrustMoved:
    """Who can take a role now, or no longer."""

    gained: bool
    role: str
    principals: tuple[str, ...]
    environments: tuple[Environment, ...] = ()
    because: tuple[Because, ...] = ()
    witness: Request = field(default=Request("", "", ""), compare=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnostic that only one side has; a new one is that of the head."""

    new: bool
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class Deployed:
    """What CloudFormation will do, in which environments."""

    consequence: Consequence
    environments: tuple[Environment, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be compared: it may have changed."""

    who: str
    actions: tuple[str, ...]
    resource: str
    reason: str
    environments: tuple[Environment, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that a change of a configuration does, the gravest first in each section."""

    environments: tuple[Environment, ...]
    access: tuple[AccessChange, ...] = ()
    trusts: tuple[TrustMoved, ...] = ()
    remarks: tuple[Remark, ...] = ()
    quotas: tuple[QuotaUse, ...] = ()
    deployment: tuple[Deployed, ...] = ()
    findings: tuple[Finding, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    in_place: int = 0
    """Resources that only change in place, most of them policies that say the same in other words."""

    @property
    def access_changed(self) -> bool:
        """Whether anybody can do more or less, for certain."""
        return bool(self.access or self.trusts)

    @property
    def result(self) -> Result:
        """`unknown` where anything is; it may not be taken for no change."""
        if self.unknown:
            return "unknown"
        return "changed" if self.access_changed else "no access changes"

    @property
    def empty(self) -> bool:
        """Whether there is nothing to say; what means the same in other words is nothing."""
        return not (self.access_changed or self.unknown or self.remarks or self.deployment or self.findings)

    @property
    def gains(self) -> tuple[AccessChange | TrustMoved, ...]:
        """Whatever somebody can do now that nobody of them could before."""
        return (*(a for a in self.access if a.gained), *(t for t in self.trusts if t.gained))

    def exit_code(self, fail_on: FailOn) -> int:
        """0, 1 where there is something of what is to fail, or 3 where anything is unknown."""
        if self.unknown:
            return UNKNOWN
        found = {
            "changes": not self.empty,
            "gains": bool(self.gains),
            "escalation": bool(self.escalations),
            "never": False,
        }
        return int(found[fail_on])

    @property
    def escalations(self) -> tuple[AccessChange, ...]:
        """Gains of actions that are part of a way to become an administrator."""
        return tuple(a for a in self.access if a.gained and a.risk == "escalation")


@dataclass(frozen=True, slots=True)
class Broken:
    """A comparison that cannot be made: what is wrong with the side, or the sides, that do not compile."""

    base: tuple[Diagnostic, ...] = ()
    head: tuple[Diagnostic, ...] = ()

    def exit_code(self, fail_on: FailOn) -> int:
        """3, whatever is asked: it may be anything."""
        return UNKNOWN


def review(old: Side, new: Side) -> Review | Broken:
    """Compare two sides, each environment of the one with that of the other.

    An environment that only one side has is compared with nothing, unless that side names none: then it stands for
    each. What several environments have in common is said once.
    """
    if any(checked.failed for side in (old, new) for checked in side.values()):
        return Broken(_wrong(old), _wrong(new))
    pairs = list(_pairs(old, new))
    everywhere = tuple(environment for environment, *_ in pairs)
    parts = [_Pair(environment, one, other).review() for environment, one, other in pairs]
    return Review(
        everywhere,
        tuple(sorted(_merged(a for p in parts for a in p.access), key=lambda a: a.order)),
        tuple(sorted(_merged(t for p in parts for t in p.trusts), key=lambda t: (not t.gained, t.role))),
        tuple(_merged([*_environments(old, new), *(r for p in parts for r in p.remarks)])),
        tuple(_merged(q for p in parts for q in p.quotas)),
        tuple(sorted(_merged(d for p in parts for d in p.deployment), key=_graver)),
        _findings(old, new),
        tuple(_merged(u for p in parts for u in p.unknown)),
        max((p.in_place for p in parts), default=0),
    )


def review_templates(old: Templates, new: Templates) -> Review | Broken:
    """Compare CloudFormation templates, by account: what `template.read` made of them.

    What the templates do not tell is unknown where it is not written the same on both sides. Of what a deployment does,
    that to named resources is told.
    """
    found = review(_baselines(old), _baselines(new))
    if isinstance(found, Broken):
        return found
    before, after = _gaps(old), _gaps(new)
    known = {gap.written for _, gap in before} & {gap.written for _, gap in after}
    odd = {
        Unknown(gap.place, (), "", f"{gap.what} is not the same on both sides", () if account is None else (account,))
        for account, gap in before | after
        if gap.written not in known
    }
    named = {name for side in (old, new) for checked in side.values() if checked.value for name in checked.value.named}
    return replace(
        found,
        unknown=(*found.unknown, *sorted(odd, key=lambda u: (u.who, u.reason))),
        deployment=tuple(d for d in found.deployment if d.consequence.name in named),
    )


def _baselines(side: Templates) -> Side:
    return {a: Checked(c.value.baseline if c.value else None, c.diagnostics) for a, c in side.items()}


def _gaps(side: Templates) -> set[tuple[str | None, Gap]]:
    return {(account, gap) for account, checked in side.items() if checked.value for gap in checked.value.gaps}


def _graver(deployed: Deployed) -> tuple[object, ...]:
    what = deployed.consequence
    return (EFFECTS.index(what.effect), what.kind, what.name, what.stack)


def _wrong(side: Side) -> tuple[Diagnostic, ...]:
    failed = any(checked.failed for checked in side.values())
    return in_order(d for checked in side.values() for d in checked.diagnostics) if failed else ()


def _pairs(old: Side, new: Side) -> Iterator[tuple[Environment, Baseline, Baseline]]:
    for name in sorted({*old, *new} - {None}, key=str) or [None]:
        sides = (side.get(name) or side.get(None) for side in (old, new))
        before, after = (checked.value if checked is not None else None for checked in sides)
        if before is not None or after is not None:
            yield name, before or _nothing(after), after or _nothing(before)


def _nothing(like: Baseline | None) -> Baseline:
    """A baseline without anything in it, where there is none yet or no more."""
    if like is None:
        raise ValueError("neither side has a configuration")
    first = like.accounts[0]
    empty = Account(first.id, first.home_region, (), (), (), (), ())
    return replace(like, accounts=(empty,))


def _environments(old: Side, new: Side) -> Iterator[Remark]:
    for name in sorted({*new} - {*old, None}, key=str):
        if old and None not in old:
            yield Remark("Environments", ("the environment ", Code(name), " is new"))
    for name in sorted({*old} - {*new, None}, key=str):
        if new and None not in new:
            yield Remark("Environments", ("the environment ", Code(name), " is gone"))


def _merged(entries: Iterable[_T]) -> list[_T]:
    """Entries that differ in nothing but their environments, as one."""
    merged: dict[_T, _T] = {}
    for entry in entries:
        alone = _nowhere(entry)
        merged[alone] = _with(entry, merged[alone]) if alone in merged else entry
    return list(merged.values())


def _nowhere(entry: _T) -> _T:
    """An entry without what may differ: its environments, and the lines of each."""
    if isinstance(entry, AccessChange | TrustMoved):
        return replace(entry, environments=(), because=())
    return replace(entry, environments=())


def _with(entry: _T, there: _T) -> _T:
    """An entry that is there already, now with the environments and the lines of one more."""
    environments = (*there.environments, *entry.environments)
    if isinstance(entry, AccessChange | TrustMoved) and isinstance(there, AccessChange | TrustMoved):
        return replace(there, environments=environments, because=tuple(dict.fromkeys((*there.because, *entry.because))))
    return replace(there, environments=environments)


# --- findings -------------------------------------------------------------------------------------------------------


def _findings(old: Side, new: Side) -> tuple[Finding, ...]:
    """Diagnostics that only one side has, told apart by what they say and not by their line."""
    before, after = _told(old), _told(new)
    found = [Finding(True, d) for key, d in after.items() if key not in before]
    found += [Finding(False, d) for key, d in before.items() if key not in after]
    return tuple(sorted(found, key=lambda f: (not f.new, f.diagnostic.severity, f.diagnostic.order)))


_LINE = re.compile(r"(\.ya?ml):\d+(:\d+)?")


def _told(side: Side) -> dict[tuple[Severity, str, str], Diagnostic]:
    found = (d for checked in side.values() for d in checked.diagnostics)
    return {(d.severity, d.name, _LINE.sub(r"\1", d.message)): d for d in found}


# --- one environment ------------------------------------------------------------------------------------------------

_Atom = tuple[str, str, Session]
"""An action on a resource pattern, signed in in one way: what is compared of two principals."""


class _Pair:
    """One environment on both sides."""

    def __init__(self, environment: Environment, old: Baseline, new: Baseline) -> None:
        self.environment, self.old, self.new = environment, old, new
        self.before, self.after = old.accounts[0], new.accounts[0]
        self.openings = {False: Openings(self.before), True: Openings(self.after)}
        self.groups = {False: teams_of(self.before), True: teams_of(self.after)}
        self.renamed = dict(renamed(self.before, self.after))
        self.holdings = {False: _Holding(self.before), True: _Holding(self.after)}
        self.changes = [c for c in compare_baselines(old, new) if not self._is_rename(c)]
        self.statuses: dict[tuple[Kind, str], Status] = {(c.kind, c.name): c.status for c in self.changes}
        self.trusts = compare_trusts(old, new)
        self._everybody: dict[tuple[bool, bool], dict[tuple[Kind, str], Policies]] = {}

    def review(self) -> Review:
        """All that changed in this environment."""
        here = (self.environment,)
        done = (
            *consequences(self.before, self.after),
            *assigned(self.old.identity_center, self.new.identity_center),
        )
        return Review(
            here,
            tuple(replace(a, environments=here) for a in self._access()),
            tuple(replace(t, environments=here) for t in self._trusts()),
            tuple(replace(r, environments=here) for r in remarks(self.old, self.new)),
            tuple(replace(q, environments=here) for q in quota_uses(self.before, self.after)),
            tuple(Deployed(c, here) for c in done),
            (),
            tuple(self._unknown()),
            _rewritten(self.before, self.after),
        )

    def _is_rename(self, change: Change) -> bool:
        names = self.renamed.keys() if change.status == "removed" else self.renamed.values()
        return change.kind == "team" and change.status != "changed" and change.name in names

    # -- access

    def _access(self) -> Iterator[AccessChange]:
        """What everybody gained and lost; those of whom the same is to be said, lines apart, share an entry."""
        merged: dict[AccessChange, list[AccessChange]] = {}
        for gained in (True, False):
            found = self._found(gained)
            of_teams = {name: atoms for (kind, name), atoms in found.items() if kind == "team"}
            for (kind, name), atoms in found.items():
                rest = atoms
                if kind == "person":
                    mine = [of_teams[t] for t in self.groups[gained].get(name, ()) if t in of_teams]
                    rest = {atom: d for atom, d in atoms.items() if not any(atom in theirs for theirs in mine)}
                team = self._of_team(gained, name, atoms, found) if kind == "team" else None
                for entry in team if team is not None else self._entries(gained, kind, name, rest):
                    merged.setdefault(replace(entry, names=(), people=(), because=()), []).append(entry)
        for alike in merged.values():
            yield replace(
                alike[0],
                names=tuple(sorted(n for one in alike for n in one.names)),
                people=tuple(sorted({p for one in alike for p in one.people})),
                because=tuple(dict.fromkeys(b for one in alike for b in one.because)),
            )

    def _found(self, gained: bool) -> dict[tuple[Kind, str], dict[_Atom, Difference]]:
        """What each principal gained or lost. Those with the same comparison share it."""
        out: dict[tuple[Kind, str], dict[_Atom, Difference]] = {}
        for change in self.changes:
            differences = change.comparison.gained if gained else change.comparison.lost
            atoms = out.setdefault((change.kind, change.name), {}) if differences else {}
            for difference in differences:
                everything = change.session in ("mfa", "role") and _is_everything(difference)
                if everything:
                    # What proves it best is allowed by nothing else.
                    there = atoms.get(("*", "*", change.session), difference)
                    fewer = len(difference.because) < len(there.because)
                    atoms["*", "*", change.session] = difference if fewer else there
                    continue
                for action in difference.actions:
                    atoms[action, difference.resource, change.session] = difference
        return out

    def _status(self, kind: Kind, name: str) -> Status:
        return self.statuses[kind, name]

    def _of_team(
        self,
        gained: bool,
        name: str,
        atoms: dict[_Atom, Difference],
        found: Mapping[tuple[Kind, str], dict[_Atom, Difference]],
    ) -> Iterator[AccessChange]:
        role = self.holdings[gained].roles.get(name)
        if role is not None and role.members:
            yield from (replace(e, people=role.members) for e in self._entries(gained, "team", name, atoms))
            return
        members = [person for person, teams in self.groups[gained].items() if name in teams]
        theirs = [(person, found.get(("person", person), {})) for person in sorted(members)]
        for entry in self._entries(gained, "team", name, atoms):
            if not entry.actions:
                yield entry
                continue
            wanted = [(a, r, s) for a in entry.actions for r in entry.resources for s in entry.sessions]
            people = tuple(p for p, own in theirs if own and any(atom in own for atom in wanted))
            yield replace(entry, people=people)

    def _entries(
        self, gained: bool, kind: Kind, name: str, atoms: Mapping[_Atom, Difference]
    ) -> Iterator[AccessChange]:
        """What one principal gained or lost, in as few entries as keep actions, resources and reasons together."""
        if not atoms:
            return
        status = self._status(kind, name)
        rows = list(self._rows(gained, kind, name, atoms))
        if status != "changed":
            rows = [own for row in rows if (own := _but_of_everybody(row)) is not None] or rows
        if status == "removed":
            sessions = tuple(sorted({s for row in rows for s in row.sessions}))
            gravest = min((row.risk for row in rows), key=RISKS.index)
            yield AccessChange(
                gained, kind, (name,), gravest, sessions, (), (), (), status=status, witness=rows[0].witness
            )
            return
        summed = kind == "person" and self.groups[False].get(name) != self.groups[True].get(name)
        for together in _together(rows, summed):
            first = together[0]
            yield AccessChange(
                gained,
                kind,
                (name,),
                first.risk,
                first.sessions,
                tuple(sorted({row.action for row in together})),
                tuple(sorted({row.resource for row in together})),
                tuple(dict.fromkeys(b for row in together for b in row.because)),
                tuple(dict.fromkeys(b for row in together for b in row.instead)),
                status=status,
                summed=summed,
                witness=self._witness(gained, kind, name, together),
            )

    def _rows(self, gained: bool, kind: Kind, name: str, atoms: Mapping[_Atom, Difference]) -> Iterator[_Row]:
        opening = self._opening(gained, kind, name)
        sessions: dict[tuple[str, str], list[Session]] = {}
        for action, resource, session in atoms:
            sessions.setdefault((action, resource), []).append(session)
        for (action, resource), signed_in in sorted(sessions.items()):
            difference = atoms[action, resource, signed_in[0]]
            yield _Row(
                action,
                resource,
                tuple(sorted(signed_in)),
                _risk(action, opening),
                _because(difference.because, self._attached(gained, kind, name)),
                _because(difference.instead, ()),
                difference.witness,
            )

    def _witness(self, gained: bool, kind: Kind, name: str, rows: Sequence[_Row]) -> Request:
        """A request for one of the rows' own actions; where the comparison's is for another, it is judged anew."""
        for row in rows:
            if row.witness.action == row.action or row.action == "*":
                return row.witness
        allows, denies = (self._judge(side, kind, name) for side in (gained, not gained))
        for row in rows:
            request = replace(row.witness, action=row.action)
            answers = [judge.decide(request).outcome for judge in (allows, denies)]
            if answers == ["allowed", "denied"]:
                return request
        return rows[0].witness

    def _judge(self, new: bool, kind: Kind, name: str) -> Judge:
        key = (new, kind == "team")
        if key not in self._everybody:
            baseline, account = (self.new, self.after) if new else (self.old, self.before)
            # A team is its group where its people are, and a role of its own elsewhere.
            everybody = (*callers(baseline, account), *(teams(baseline, account) if kind == "team" else ()))
            self._everybody[key] = {(caller.kind, caller.name): caller.policies for caller in everybody}
        return Judge(self._everybody[key].get((kind, name), Policies()))

    def _opening(self, gained: bool, kind: Kind, name: str) -> frozenset[str]:
        """The actions of a principal's that are part of a way to become an administrator, on the side that allows."""
        openings, holding = self.openings[gained], self.holdings[gained]
        if kind != "person" and name in holding.roles:
            return openings.of_role(name)
        if kind == "team":
            return openings.of_groups((name,))
        return openings.of_groups(holding.groups_of.get(name, ()))

    def _attached(self, gained: bool, kind: Kind, name: str) -> tuple[Origin, ...]:
        """What attaches the policies of AWS that a principal holds, whose statements know no line."""
        holding = self.holdings[gained]
        if kind != "person" and name in holding.roles:
            holders: list[Group | Role] = [holding.roles[name]]
        else:
            names = (name,) if kind == "team" else holding.groups_of.get(name, ())
            holders = [holding.groups[n] for n in names]
        ours = (Origin("break_glass", h.span) for h in holders if h.managed and not h.attached)
        return tuple(dict.fromkeys((*(origin for h in holders for _, origin in h.attached), *ours)))

    # -- trust and doubts

    def _trusts(self) -> Iterator[TrustMoved]:
        merged: dict[TrustMoved, list[str]] = {}
        for change in self.trusts:
            for gained, found in ((True, change.comparison.gained), (False, change.comparison.lost)):
                if found:
                    because = _because(found[0].because, ())
                    entry = TrustMoved(gained, change.role, (), because=because, witness=found[0].witness)
                    merged.setdefault(entry, []).append(change.principal)
        for entry, principals in merged.items():
            yield replace(entry, principals=tuple(sorted(set(principals))))

    def _unknown(self) -> Iterator[Unknown]:
        here = (self.environment,)
        found = {
            Unknown(f"{c.kind} {c.name}", d.actions, d.resource, d.reason, here)
            for c in self.changes
            for d in c.comparison.unknown
        }
        found |= {
            Unknown(f"role {t.role}", d.actions, d.resource, d.reason, here)
            for t in self.trusts
            for d in t.comparison.unknown
        }
        yield from sorted(found, key=lambda u: (u.who, u.actions, u.resource, u.reason))
        for account in {str(a.id): a for b in (self.old, self.new) for a in b.accounts[1:]}:
            yield Unknown(f"account {account}", ("*",), "*", "this version reviews one account alone", here)


class _Holding:
    """Groups and roles of an account by name, and the groups of each user."""

    def __init__(self, account: Account) -> None:
        self.groups = {group.name: group for group in account.groups}
        self.roles = {role.name: role for role in account.roles}
        self.groups_of = {user.name: user.groups for user in account.users}


@dataclass(frozen=True, slots=True)
class _Row:
    """One action on one resource pattern that somebody gained or lost."""

    action: str
    resource: str
    sessions: tuple[Session, ...]
    risk: Risk
    because: tuple[Because, ...]
    instead: tuple[Because, ...]
    witness: Request

    @property
    def service(self) -> str:
        return self.action.partition(":")[0]


def _but_of_everybody(row: _Row) -> _Row | None:
    """What is left of a row for somebody new or gone: that people can enrol a device, and do without MFA what that
    needs, is the same for everybody.
    """
    if all(b.duty == "mfa" for b in row.because) and row.because:
        return None
    if row.action not in _ENROLMENT:
        return row
    sessions = tuple(s for s in row.sessions if s not in ("no-mfa", "key"))
    return replace(row, sessions=sessions) if sessions else None


_ENROLMENT = frozenset(
    {*SEE_RULES, *ENROL, *MAKE_DEVICE, *REMOVE_DEVICE, "sts:GetCallerIdentity", "sts:GetSessionToken"}
)
"""What the MFA policy leaves people without MFA, or may leave them."""


def _together(rows: Iterable[_Row], summed: bool) -> Iterator[list[_Row]]:
    """Rows that one entry can say: the same actions on several resources, for the same reasons."""
    on_one: dict[tuple[object, ...], list[_Row]] = {}
    for row in rows:
        exactly = () if summed else (row.resource, row.because, row.instead)
        service = "" if summed or row.resource == "*" else row.service
        on_one.setdefault((row.sessions, row.risk, service, *exactly), []).append(row)
    entries: dict[tuple[object, ...], list[_Row]] = {}
    for key, listed in on_one.items():
        actions = tuple(sorted({row.action for row in listed}))
        entries.setdefault((*key[:3], *key[4:], actions), []).extend(listed)
    yield from entries.values()


def _is_everything(difference: Difference) -> bool:
    """Whether a statement that somebody holds grants everything; that of a boundary is only a ceiling."""
    held = (s for s in difference.because if s.actions == ("*",) and s.resources == ("*",))
    return not difference.instead and any(all(map(is_duty, s.origins)) for s in held)


def _because(statements: Iterable[Statement], attached: Iterable[Origin]) -> tuple[Because, ...]:
    """The origins behind statements, each once; those of AWS's own policies are whatever attaches such policies.

    A boundary's ceiling is left out where anything else grants.
    """
    found = [(s, origin) for s in statements for origin in s.origins or attached]
    granting = [(s, o) for s, o in found if s.actions != ("*",) or s.effect == "Deny" or is_duty(o)]
    return tuple(dict.fromkeys(_reason(origin, s.sid) for s, origin in granting or found))


def _reason(origin: Origin, sid: str) -> Because:
    asked, granted = origin.asked, origin.granted
    own = asked if asked is not None else granted
    return Because(origin.duty, asked.place if asked else "", granted.place if granted else "", sid, own)


# --- how much it matters --------------------------------------------------------------------------------------------


def _risk(action: str, opening: frozenset[str]) -> Risk:
    if action == "*" or action in opening:
        return "escalation"
    found = catalog.actions_of(action)
    level = found[0].level if found else "write"  # an action newer than the reference may do anything
    if level == "read" and not _shows_set_up(found[0]):
        return "data read"
    return next(risk for risk in RISKS if risk == level)


@lru_cache(maxsize=8192)
def _shows_set_up(action: Action) -> bool:
    """Whether reading this shows how things are set up and no data: whether the duty `view-everything` reads it."""
    return any(
        ("*" in grant.service or action.service in grant.service)
        and any(catalog.matches(p, action) for p in grant.only or ("*:*",))
        and not any(catalog.matches(p, action) for p in grant.except_)
        for grant in _set_up_grants()
    )


@cache
def _set_up_grants() -> tuple[LevelGrant, ...]:
    return tuple(g for g in library_duty("view-everything").grants if isinstance(g, LevelGrant))


def _rewritten(old: Account, new: Account) -> int:
    """Resources that are there on both sides and differ: CloudFormation changes them in place."""
    before, after = _made(old), _made(new)
    return sum(before[key] != after[key] for key in before.keys() & after.keys())


_Made = ManagedPolicy | Group | User | Role | IdentityProvider


def _made(account: Account) -> dict[tuple[str, str], _Made]:
    made: list[_Made] = [*account.policies, *account.groups, *account.users, *account.roles]
    made += account.identity_providers
    return {(resource.stack, resource.logical_id): resource for resource in made}
