"""Documentation of permissions: a page of Markdown for each team and each duty that somebody has, and an index.

The pages are meant to be committed: nothing in them changes while the access does not, no date and no commit stands
there. A page that this module wrote begins with a mark, and no other file is ever changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dutybound.report.facts import Duty, Facts, Holder, Team
from dutybound.report.markdown import Access
from dutybound.report.publish import publish
from dutybound.report.text import code, escaped, table

MARK = "<!-- Written by dutybound report --docs; what is changed by hand is lost. -->"
INDEX = "README.md"


class NotOurs(Exception):
    """A file stands where a page goes, and this module did not write it."""


def pages(facts: Facts) -> dict[str, str]:
    """The pages by file name."""
    made = _Pages(facts)
    named = {INDEX: made.index()}
    named |= {f"team-{team.name}.md": made.team(team) for team in facts.teams}
    named |= {f"duty-{duty.name}.md": made.duty(duty) for duty in facts.duties if made.held(duty)}
    return {name: "\n".join([MARK, "", *lines]).rstrip("\n") + "\n" for name, lines in named.items()}


def write(facts: Facts, folder: Path) -> int:
    """Write the pages into a folder, remove those of teams and duties that are gone, and return how many there are.

    Raises NotOurs for a file that somebody else wrote under a page's name, and OSError; then nothing has changed.
    """
    made = pages(facts)
    there = {path.name for path in folder.glob("*.md")} if folder.is_dir() else set()
    ours = {name for name in there if _is_ours(folder / name)}
    if strangers := sorted((there - ours) & set(made)):
        raise NotOurs(str(folder / strangers[0]))
    publish(folder, made, sorted(ours - set(made)))
    return len(made)


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as page:
            return page.readline().rstrip("\r\n") == MARK
    except (OSError, UnicodeDecodeError):
        return False


class _Pages:
    """The pages of one report."""

    def __init__(self, facts: Facts) -> None:
        self.facts, self.access = facts, Access(facts)
        self.holding: dict[str, dict[str, Holder]] = {}
        """Who has each duty, in words, with one of the accounts where."""
        for team in facts.teams:
            self._hold(f"team [{escaped(team.name)}](team-{team.name}.md)", team.holders)
        for role in facts.roles:
            self._hold(f"role {code(role.name)}", role.holders)

    def _hold(self, who: str, holders: tuple[Holder, ...]) -> None:
        for holder in holders:
            for one in holder.duties:
                if one.kind == "duty":
                    self.holding.setdefault(one.duty, {}).setdefault(who, holder)

    def held(self, duty: Duty) -> bool:
        """Whether somebody has a duty."""
        return duty.name in self.holding

    def index(self) -> list[str]:
        """What there is."""
        facts = self.facts
        teams = [
            (f"[{escaped(t.name)}](team-{t.name}.md)", escaped(t.purpose), str(len(t.people))) for t in facts.teams
        ]
        duties = [
            (f"[{escaped(d.name)}](duty-{d.name}.md)", escaped(d.summary), "own" if d.own else "built in")
            for d in facts.duties
            if self.held(d)
        ]
        roles = [(code(r.name), escaped(r.purpose), code(r.at)) for r in facts.roles if r.of == "role"]
        return [
            f"# Permissions in {escaped(facts.organization)}",
            "",
            f"{escaped(facts.mfa)}.",
            "",
            *_section("Teams", table(("team", "purpose", "people"), teams)),
            *_section("Duties", table(("duty", "what it does", "of"), duties)),
            *_section("Roles", table(("role", "purpose", "where"), roles)),
        ]

    def team(self, team: Team) -> list[str]:
        """The page of a team."""
        return [
            f"# Team {escaped(team.name)}",
            "",
            f"{escaped(team.purpose)} ({code(team.at)}).",
            "",
            *_section("People", [f"- {escaped(name)}" for name in team.people]),
            "## Duties",
            "",
            *self.access.holders(team.holders),
            *_section("Roles that its people can take", list(self._roles(team))),
        ]

    def _roles(self, team: Team) -> Iterator[str]:
        found: dict[str, list[str]] = {}
        for one in self.facts.becoming:
            if (one.kind, one.name, one.how) == ("team", team.name, "takes"):
                found.setdefault(one.role, []).append(self.access.where(one.account))
        for role, places in sorted(found.items()):
            where = ", ".join(escaped(place) for place in places if place)
            yield f"- {code(role)}" + (f" in {where}" if where else "")

    def duty(self, duty: Duty) -> list[str]:
        """The page of a duty: what it grants and why, with the values of somebody who has it, and who has it."""
        holders = self.holding[duty.name]
        lines = [f"# Duty {escaped(duty.name)}", "", f"{escaped(duty.summary)} ({code(duty.at)}).", ""]
        lines += _section("Who has it", [f"- {who}" for who in holders])
        lines += ["## What it grants", ""]
        for who, holder in holders.items():
            for one in holder.duties:
                if one.kind == "duty" and one.duty == duty.name:
                    given = "; ".join(f"{p.name} {', '.join(p.values)}" for p in one.parameters)
                    lines += [f"### For {who}" + (f" ({escaped(given)})" if given else ""), ""]
                    lines += self._rules(duty, [(g.rule, g.grant) for g in one.rules])
                    lines += [""]
            if not duty.parameters:
                break  # everybody has the same
        return lines

    def _rules(self, duty: Duty, rules: list[tuple[int, int]]) -> Iterator[str]:
        by_grant: dict[int, list[int]] = {}
        for rule, grant in rules:
            by_grant.setdefault(grant, []).append(rule)
        for grant, places in sorted(by_grant.items()):
            if grant >= 0:
                why = escaped(duty.grants[grant].why)
                yield f"{why or 'Granted'} ({code(duty.grants[grant].at)}):"
                yield ""
            for place in places:
                yield from self._rule(place)
            yield ""

    def _rule(self, place: int) -> Iterator[str]:
        rule = self.facts.rules[place]
        set_ = self.facts.action_sets[rule.actions]
        actions = [code(text) for text in set_.written]
        every = "every action but " if set_.everything and set_.written != ("*",) else ""
        on = ", ".join(map(code, rule.resources)) or f"everything but {', '.join(map(code, rule.but))}"
        when = f", when {escaped(' and '.join(rule.when))}" if rule.when else ""
        yield f"- on {on}{when}: {every}{', '.join(actions)}"


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []
