"""`access.csv`: a row for each person, duty and account, for the review of access that auditors ask for."""

from __future__ import annotations

from collections.abc import Iterator

from dutybound.report.facts import LEVELS, Account, Facts, Held, Holder, Level, Membership
from dutybound.report.levels import Levels, newest
from dutybound.report.text import csv_text

COLUMNS = (
    "account",
    "environment",
    "person",
    "name",
    "email",
    "duty",
    "what it does",
    "parameters",
    "levels",
    "teams",
    "purpose",
    "until",
    "roles that can be taken",
    "owner",
    "given at",
    "last change",
    "changed by",
    "commit",
)


def access_csv(facts: Facts) -> str:
    """The rows, sorted by account, person and duty."""
    return csv_text(COLUMNS, _rows(facts))


def _rows(facts: Facts) -> Iterator[tuple[str, ...]]:
    levels = Levels(facts)
    duties = {duty.name: duty for duty in facts.duties}
    teams = {team.name: team for team in facts.teams}
    for at, account, id_ in _accounts(facts):
        holders = {team.name: holder for team in facts.teams for holder in team.holders if holder.account == at}
        taken = _taken(facts, at)
        for person in facts.people:
            held: dict[str, list[tuple[Membership, Holder, Held]]] = {}
            for member in person.memberships:
                holder = holders.get(member.team)  # a team without any work in an account has nothing there
                for one in holder.duties if holder is not None else ():
                    if one.kind == "duty" and holder is not None:
                        held.setdefault(one.duty, []).append((member, holder, one))
            for name, ways in sorted(held.items()):
                of = [teams[team] for team in dict.fromkeys(member.team for member, _, _ in ways)]
                ends = [member.until for member, _, _ in ways]
                last = newest(c for m, _, o in ways for c in (m.changed, o.changed, duties[name].changed))
                yield (
                    id_,
                    account.environment,
                    person.name,
                    person.full_name,
                    person.email,
                    name,
                    duties[name].summary,
                    _parameters(one for _, _, one in ways),
                    _levels(levels.of(holder, one) for _, holder, one in ways),
                    "; ".join(team.name for team in of),
                    "; ".join(dict.fromkeys(team.purpose for team in of)),
                    max(ends) if all(ends) else "",
                    "; ".join(taken.get(person.name, ())),
                    facts.owner,
                    "; ".join(dict.fromkeys(one.at for _, _, one in ways)),
                    last.day if last else "",
                    last.author if last else "",
                    last.commit if last else "",
                )
        for user in facts.break_glass.users:
            changed = facts.break_glass.changed
            yield (
                id_,
                account.environment,
                user,
                "",
                "",
                "break-glass",
                "Do anything, in emergencies",
                "",
                "permissions, tagging, write, read, list",
                "",
                "The way in when everything else fails",
                "",
                "break-glass" if facts.break_glass.through == "role" else "",
                facts.owner,
                facts.break_glass.at,
                changed.day if changed else "",
                changed.author if changed else "",
                changed.commit if changed else "",
            )


def _accounts(facts: Facts) -> Iterator[tuple[int, Account, str]]:
    """Every account that is deployed to, with the place of the one that stands for it, and its own id."""
    for at, account in enumerate(facts.accounts):
        yield from ((at, account, id_) for id_ in account.ids or (account.id,))


def _levels(counts: Iterator[dict[Level, int]]) -> str:
    """The levels that somebody has, the highest first; a duty that allows all actions has all of them."""
    found = {level for one in counts for level in (LEVELS if 0 in one.values() else one)}
    return ", ".join(level for level in reversed(LEVELS) if level in found)


def _parameters(ways: Iterator[Held]) -> str:
    said = (f"{p.name}: {', '.join(p.values)}" for one in ways for p in one.parameters)
    return "; ".join(dict.fromkeys(said))


def _taken(facts: Facts, at: int) -> dict[str, list[str]]:
    """The roles that each person can take in an account, sorted."""
    teams = {team.name: team for team in facts.teams}
    found: dict[str, set[str]] = {}
    for one in facts.becoming:
        if one.account == at and one.kind == "team" and one.how == "takes":
            for name in one.people or teams[one.name].people:
                found.setdefault(name, set()).add(one.role)
    return {name: sorted(roles) for name, roles in found.items()}
