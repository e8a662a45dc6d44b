"""What the built-in duties are, for `dutybound duties`: as plain values for tools, and as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from dutybound.catalog import RANK, actions_of
from dutybound.config import Duty, ManagedGrant
from dutybound.grant import Access, duty_access, example_use
from dutybound.policy import ACCOUNT, PARTITION, Statement
from dutybound.read import library, library_duty

WIDTH = 80
_OTHERS = "Use what is there"
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "See how things are, and change nothing": ("view", "audit"),
    "Read what is stored": ("read", "pull", "install"),
    _OTHERS: (),
    "Look after": ("manage",),
    "Make things, and give them roles": (
        *("create", "deploy", "give", "monitor", "record", "restore", "route", "schedule", "take", "train"),
    ),
    "Delete for good": ("delete", "erase"),
    "People and access": ("administer", "create-roles", "enrol", "manage-people", "rotate"),
}
"""Groups of the list by what a duty's name says first: a whole name before its verb; a verb unknown here is work."""


def group_of(name: str) -> str:
    """The heading under which a duty is listed."""
    for said in (name, name.partition("-")[0]):
        for group, words in _GROUPS.items():
            if said in words:
                return group
    return _OTHERS


def listed() -> list[dict[str, Any]]:
    """Every built-in duty in short, in the order of the list: name, group, summary, parameters."""
    order = {group: at for at, group in enumerate(_GROUPS)}
    names = sorted(library(), key=lambda name: (order[group_of(name)], name))
    return [_short(name, library_duty(name)) for name in names]


def described(name: str) -> dict[str, Any]:
    """One built-in duty with all that it grants, with its example parameters. Raises KeyError for an unknown name."""
    if name not in library():
        raise KeyError(name)
    duty = library_duty(name)
    grants = [_grant(name, duty.model_copy(update={"grants": (grant,)})) for grant in duty.grants]
    return {
        **_short(name, duty),
        "notes": _notes(name),
        "grants": grants,
        "never": [str(pattern) for pattern in duty.never],
        "expect": [
            {
                "outcome": "allow" if e.allow else "deny",
                "request": str(e.request),
                "when": {str(k): [str(v) for v in values] for k, values in e.when.items()},
            }
            for e in duty.expect
        ],
    }


def _short(name: str, duty: Duty) -> dict[str, Any]:
    parameters = {
        str(p): {"description": str(v.description or ""), "example": [str(e) for e in v.example]}
        for p, v in duty.parameters.items()
    }
    return {"name": name, "group": group_of(name), "summary": str(duty.summary), "parameters": parameters}


def _notes(name: str) -> str:
    """The comment at the top of the duty's file: what is left out, and what its holders should know."""
    text = (resources.files("dutybound") / "duties" / f"{name}.yaml").read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[2:])
    return "\n".join(lines)


def _grant(name: str, duty: Duty) -> dict[str, Any]:
    access: Access = duty_access(example_use(name, duty), duty, [])
    (grant,) = duty.grants
    made: dict[str, Any] = {"why": str(grant.why or ""), "statements": [_statement(s) for s in access.statements]}
    if isinstance(grant, ManagedGrant):
        made["attaches"] = list(access.managed)
    return made


def _statement(statement: Statement) -> dict[str, Any]:
    actions = {str(a): a.level for pattern in statement.actions for a in actions_of(pattern)}
    return {
        "actions": {
            level: names for level in reversed(RANK) if (names := sorted(a for a, at in actions.items() if at == level))
        },
        "resources": [_plain(r) for r in statement.resources],
        "conditions": [
            {"operator": c.operator, "key": c.key, "values": [_plain(v) for v in c.values]}
            for c in statement.conditions
        ],
    }


def _plain(text: str) -> str:
    """A text of a policy as a person writes it: `aws` and `ACCOUNT` for what CloudFormation fills in."""
    return text.replace(PARTITION, "aws").replace(ACCOUNT, "ACCOUNT")


# --- as text --------------------------------------------------------------------------------------------------------


def list_text() -> str:
    """The list as text, by groups, for 80 columns."""
    rows = listed()
    width = max(len(row["name"]) for row in rows)
    lines: list[str] = []
    group = ""
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            lines += ["", group] if lines else [group]
        lines += _wrapped(row["summary"], f"  {row['name']:{width}}  ", " " * (width + 4))
    return "\n".join(lines)


def text(name: str) -> str:
    """One built-in duty as text, for 80 columns where its words and ARNs are not longer."""
    return "\n".join(_text(described(name)))


def _text(row: Mapping[str, Any]) -> Iterator[str]:
    yield from _wrapped(f"{row['name']}: {row['summary']}", "", "  ")
    if row["notes"]:
        yield ""
        yield from _reflowed(row["notes"])
    if row["parameters"]:
        yield from ("", "Parameters")
        for parameter, about in row["parameters"].items():
            said = f"{about['description']}, such as" if about["description"] else "such as"
            yield from _wrapped(f"{parameter}: {said} {', '.join(about['example'])}", "  ", "    ")
    for grant in row["grants"]:
        yield from _grant_text(grant)
    if row["never"]:
        yield from ("", "A team's 'never' with this duty also denies")
        yield from (f"  {pattern}" for pattern in row["never"])
    yield from ("", "Checked on every run, with the examples above, in account 111122223333")
    for one in row["expect"]:
        yield f"  {one['outcome']:5}  {one['request']}"
        yield from (f"         when {key} is {' and '.join(values)}" for key, values in one["when"].items())


def _grant_text(grant: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield from _wrapped(f"Grants: {grant['why']}" if grant["why"] else "Grants", "", "  ")
    yield from (f"  attaches AWS's {policy}" for policy in grant.get("attaches", ()))
    for statement in grant["statements"]:
        for level, actions in statement["actions"].items():
            first, *more = statement["resources"]
            yield f"  {level} on {first}"
            yield from (f"    and {resource}" for resource in more)
            for condition in statement["conditions"]:
                yield f"    when {condition['operator']} {condition['key']}: {', '.join(condition['values'])}"
            yield from (f"    {action}" for action in actions)


def _reflowed(notes: str) -> Iterator[str]:
    """Notes for a narrower page: paragraphs end where their lines are short, and items of a list stay items."""
    paragraph: list[str] = []
    for line in [*notes.splitlines(), ""]:
        item = line.startswith("- ")
        if paragraph and (item or not line):
            yield from _paragraph(paragraph)
            paragraph = []
        if line:
            paragraph.append(line)
        # A short line that ends a sentence ends the paragraph.
        if paragraph and len(line) < 96 and line.endswith((".", ":", ";")):
            yield from _paragraph(paragraph)
            paragraph = []


def _paragraph(lines: list[str]) -> list[str]:
    said = " ".join(line.strip() for line in lines)
    return _wrapped(said, "", "  " if said.startswith("- ") else "")


def _wrapped(said: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        said, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
