"""`access.md`: the whole report for people, from the overview down to each team, person and role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dutybound.report.facts import Becoming, Change, Facts, Held, Holder, Person, Role, Team
from dutybound.report.levels import Levels
from dutybound.report.text import code, counted, escaped, table


def access_md(facts: Facts) -> str:
    """The report as one page of Markdown."""
    return "\n".join(_Page(facts).lines()) + "\n"


class Access:
    """What holders have, in words; shared with the pages of `docs`."""

    def __init__(self, facts: Facts) -> None:
        self.facts, self.levels = facts, Levels(facts)
        self.summaries = {duty.name: duty.summary for duty in facts.duties}

    def where(self, account: int) -> str:
        """An account in a few words; nothing where there is only one."""
        here = self.facts.accounts[account]
        return here.environment or here.id if len(self.facts.accounts) > 1 else ""

    def holders(self, holders: Sequence[Holder]) -> Iterator[str]:
        """What somebody has in each account; once for accounts where it is the same."""
        alike: dict[tuple[object, ...], list[Holder]] = {}
        for holder in holders:
            alike.setdefault((holder.duties, holder.denies), []).append(holder)
        for same in alike.values():
            places = [self.where(holder.account) for holder in same]
            if any(places) and not (len(alike) == 1 and len(same) == len(self.facts.accounts)):
                yield from (f"In {', '.join(map(escaped, places))}:", "")
            yield from self._duties(same[0])
            yield from self._denies(same[0])

    def _duties(self, holder: Holder) -> Iterator[str]:
        rows = [
            (self._name(one), escaped(self.summaries[one.duty]), self.level(holder, one), code(one.at))
            for one in holder.duties
            if one.kind == "duty"
        ]
        lines = table(("duty", "what it does", "actions", "given at"), rows)
        yield from [*lines, ""] if lines else ["No duty.", ""]

    def _name(self, one: Held) -> str:
        given = (f"{p.name} {', '.join(p.values)}" for p in one.parameters)
        more = [*given, *(f"AWS's {name}" for name in one.managed)]
        return code(one.duty) + (f" ({escaped('; '.join(more))})" if more else "")

    def level(self, holder: Holder, one: Held) -> str:
        """How many actions of each level a duty comes to."""
        found = self.levels.of(holder, one)
        return ", ".join(f"{count:,} {level}" if count else "all" for level, count in found.items()) or "none"

    def _denies(self, holder: Holder) -> Iterator[str]:
        said: dict[str, dict[str, None]] = {}
        for denied in holder.denies:
            said.setdefault(denied.what, {})[denied.at] = None
        if said:
            yield "Denied, whatever grants it:"
            yield ""
            for what, places in sorted(said.items()):
                at = ", ".join(code(place) for place in places if place)
                yield f"- {escaped(what)}" + (f" ({at})" if at else "")
            yield ""


class _Page:
    """One page in the making."""

    def __init__(self, facts: Facts) -> None:
        self.facts, self.access = facts, Access(facts)

    def lines(self) -> Iterator[str]:
        facts = self.facts
        at = f", commit {code(facts.commit)}" if facts.commit else ""
        yield f"# Access in {escaped(facts.organization)}"
        yield ""
        yield f"Who has access to what in AWS, and why: {code(facts.configuration)} as of {facts.day}{at}."
        yield f"Owner: {escaped(facts.owner)}. Actions and levels: {escaped(facts.reference)}."
        yield ""
        yield from self._overview()
        yield from self._section("Teams", (line for team in facts.teams for line in self._team(team)))
        yield from self._section("People", self._people())
        yield from self._section("Roles", (line for role in facts.roles for line in self._role(role)))
        yield from self._section("Break-glass", self._break_glass())
        yield from self._section("Who can become which role", self._becoming())

    def _section(self, title: str, lines: Iterable[str]) -> Iterator[str]:
        listed = list(lines)
        if listed:
            yield from (f"## {title}", "", *listed)

    def _overview(self) -> Iterator[str]:
        facts = self.facts
        counts = [
            counted(len(facts.people), "person", "people"),
            counted(len(facts.teams), "team"),
            counted(sum(role.of == "role" for role in facts.roles), "role"),
            counted(len(facts.break_glass.users), "break-glass user"),
        ]
        counts += [counted(len(facts.findings), "finding"), counted(len(facts.waivers), "waiver")]
        yield f"{', '.join(counts)}. {escaped(facts.mfa)}."
        yield ""
        rows = [
            (escaped(a.environment) or "-", a.id or "-", a.region, *map(str, (a.groups, a.users, a.roles, a.policies)))
            for a in facts.accounts
        ]
        yield from (
            *table(("environment", "account", "home Region", "groups", "users", "roles", "policies"), rows),
            "",
        )
        findings = [
            (code(f.name), f.severity, escaped(f.message), code(f.at), escaped(", ".join(f.environments)))
            for f in facts.findings
        ]
        yield from self._table("Findings", ("finding", "severity", "what", "where", "only in"), findings)
        waivers = [
            (code(w.finding), escaped(w.subject), escaped(w.reason), w.until, code(w.at), _changed(w.changed))
            for w in facts.waivers
        ]
        yield from self._table("Waivers", ("finding", "for", "reason", "until", "where", "last change"), waivers)
        guardrails = [(code(g.key), escaped(g.says), code(g.at)) for g in facts.guardrails]
        yield from self._table("Guardrails", ("key", "what it says", "where"), guardrails)
        controls = [
            (escaped(c.id), escaped(c.benchmark), escaped(c.title), c.state, "; ".join(map(escaped, c.where)))
            for c in facts.compliance
        ]
        yield from self._table("Compliance", ("control", "of", "title", "state", "where"), controls)
        yield from self._table("Quotas", ("of", "used", "quota"), self._quotas())

    def _table(self, title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
        lines = table(head, rows)
        if lines:
            yield from (f"### {title}", "", *lines, "")

    def _quotas(self) -> Iterator[tuple[str, str, str]]:
        """The account's quotas, and the policies of whoever has the most."""
        for use in self.facts.quotas:
            where = self.access.where(use.account)
            most = f", at most {use.maximum:,}" if use.maximum > use.value else ""
            yield (
                f"{escaped(use.what)}{f' in {escaped(where)}' if where else ''}",
                f"{use.used:,}",
                f"{use.value:,}{most}",
            )
        limits = self.facts.limits
        named = [(f"team {team.name}", h) for team in self.facts.teams for h in team.holders]
        named += [(f"role {role.name}", h) for role in self.facts.roles for h in role.holders]
        used = sorted({(len(h.policies) + len(h.managed), who) for who, h in named}, key=lambda one: (-one[0], one[1]))
        for count, who in used[:10]:
            yield f"policies of {escaped(who)}", str(count), str(limits.policies)
        groups = sorted((-len(person.memberships), person.name) for person in self.facts.people)
        for count, name in groups[:1]:
            yield f"teams of {escaped(name)}, who is in the most", str(-count), str(limits.groups)

    def _team(self, team: Team) -> Iterator[str]:
        people = ", ".join(map(escaped, team.people)) or "nobody"
        yield from (f"### {escaped(team.name)}", "")
        yield f"{escaped(team.purpose)} ({code(team.at)}{_comma(_changed(team.changed))})."
        yield f"{counted(len(team.people), 'person', 'people')}: {people}."
        yield ""
        yield from self.access.holders(team.holders)

    def _people(self) -> Iterator[str]:
        rows = [
            (
                escaped(person.name),
                escaped(person.full_name),
                ", ".join(escaped(m.team) + (f" until {m.until}" if m.until else "") for m in person.memberships),
                self._roles_of(person),
                escaped(", ".join(f"{tag.key} = {tag.value}" for tag in person.tags)),
                escaped(person.boundary),
                _changed(person.changed),
            )
            for person in self.facts.people
        ]
        head = ("person", "name", "teams", "roles to take", "tags", "boundary", "last change")
        kept = [at for at in range(len(head)) if at in (0, 2) or any(row[at] for row in rows)]
        lines = table([head[at] for at in kept], ([row[at] for at in kept] for row in rows))
        yield from [*lines, ""] if lines else []

    def _roles_of(self, person: Person) -> str:
        teams = {m.team for m in person.memberships}
        mine = (
            b.role
            for b in self.facts.becoming
            if b.kind == "team" and b.how == "takes" and b.name in teams and (not b.people or person.name in b.people)
        )
        return ", ".join(map(escaped, sorted(set(mine))))

    def _role(self, role: Role) -> Iterator[str]:
        yield from (f"### {escaped(role.name)}", "")
        until = f", until {role.until}" if role.until else ""
        yield f"{escaped(role.purpose)} ({code(role.at)}{_comma(_changed(role.changed))}){until}. Who can take it:"
        yield ""
        for trust in role.trusts:
            when = f", when {escaped(' and '.join(trust.when))}" if trust.when else ""
            denied = "never " if trust.effect == "deny" else ""
            yield f"- {denied}{escaped(trust.says)}{when}"
        yield ""
        yield from self.access.holders(role.holders)

    def _break_glass(self) -> Iterator[str]:
        emergency = self.facts.break_glass
        users = ", ".join(map(code, emergency.users))
        how = "take the role break-glass" if emergency.through == "role" else "can do anything, with MFA"
        told = ", ".join(map(escaped, emergency.alert))
        yield f"{users} {how} ({code(emergency.at)}). Every use of them is told to {told}."
        yield ""

    def _becoming(self) -> Iterator[str]:
        rows = []
        for one in self.facts.becoming:
            where = escaped(self.access.where(one.account))
            rows.append((self._who(one), _how(one), code(one.role), where, escaped(_conditions(one)), code(one.at)))
        head = ("who", "how", "role", "in", "when", "where")
        kept = [at for at in range(len(head)) if head[at] != "in" or any(row[at] for row in rows)]
        yield from (*table([head[at] for at in kept], ([row[at] for at in kept] for row in rows)), "")

    def _who(self, one: Becoming) -> str:
        people = f": {', '.join(map(escaped, one.people))}" if one.people else ""
        kind = "" if one.name == one.kind else f"{one.kind.replace('-', ' ')} "
        return f"{kind}{escaped(one.name)}{people}"


def _conditions(one: Becoming) -> str:
    return " and ".join(one.when) if not one.doubt else f"not known: {one.doubt}"


def _how(one: Becoming) -> str:
    return "takes" if one.how == "takes" else f"hands to {escaped(one.service)}"


def _changed(change: Change | None) -> str:
    if change is None:
        return ""
    return f"{change.day} {escaped(change.author)}".strip()


def _comma(text: str) -> str:
    return f", last change {text}" if text else ""
