"""What must be there before the first deployment, as `dutybound bootstrap` reads, shows and hands it over."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dutybound import compiler
from dutybound.config import Configuration
from dutybound.diagnostic import Checked, Diagnostic, Text, in_order, visible
from dutybound.operate.cdk_roles import commands
from dutybound.operate.found import Found
from dutybound.operate.plan import Later, Note, Plan, Step, cdk_accounts

CURED = frozenset({"no-account-id", "no-identity-center", "unknown-unit"})
"""Errors of a configuration that say no more than that the organization is not there yet."""
IDS = "organization-ids.yaml"
_HEAD = "# Written by `dutybound bootstrap apply --write`, which writes it anew: change nothing here."
_SHOWN = 300
"""Characters of a parameter that people are shown."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 /_-]*[A-Za-z0-9]")


def read(path: Path) -> Checked[Configuration]:
    """The configuration, with what it lacks because there is no organization yet."""
    reading = compiler.reading(path)
    left = [d for d in reading.diagnostics if d.name not in CURED]
    if reading.value is None:
        return Checked(None, reading.diagnostics)
    configuration = reading.value.configuration
    management = configuration.organization.management
    account = configuration.accounts.get(management) if management is not None else None
    if (account is None or account.id is None) and not any(d.severity == "error" for d in left):
        message = "bootstrap works in the account that manages the organization, and its id is not given"
        hint = "list the account under 'accounts', with its id, and name it in 'organization.management'"
        left.append(Diagnostic("no-management-account", message, configuration.organization.span, hint))
    checked = Checked(configuration, in_order(left))
    return Checked(None, checked.diagnostics) if checked.failed else checked


def plan_text(planned: Plan, found: Found) -> str:
    """What is, what should be, and the calls, for people."""
    there = found.organization
    is_ = (
        f"organization {there.id}: {len(there.units)} units, {len(there.accounts)} accounts"
        if there
        else "no organization yet"
    )
    lines = [f"Account {found.account}, as {found.caller}; {is_}."]
    for at, step in enumerate(planned.steps, 1):
        lines += ["", *_step(at, step)]
    for heading, notes in (("Then:", planned.after), ("Left to people:", planned.people)):
        if notes:
            lines += ["", heading, *(f"  {note.what}: {note.todo}{_place(note)}" for note in notes)]
    count = len(planned.steps)
    lines += ["", f"{count} call{'s' if count != 1 else ''} to make." if count else "Nothing to do."]
    return "\n".join(map(visible, lines))


def plan_json(planned: Plan, found: Found) -> str:
    """The same for tools."""
    steps = [
        {
            "what": step.what,
            "is": step.now,
            "to_be": step.then,
            "call": f"{step.service}:{step.operation}",
            "account": step.account or found.account,
            "parameters": _parameters(step),
            "why": step.why,
            "place": step.span.place if step.span else None,
        }
        for step in planned.steps
    ]
    then, people = ([{"what": n.what, "todo": n.todo} for n in notes] for notes in (planned.after, planned.people))
    organization = found.organization.id if found.organization else None
    whole = {"account": found.account, "organization": organization, "steps": steps, "then": then, "people": people}
    return json.dumps(whole, indent=2, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids that AWS gave, as far as a configuration does not say them: keys of `organization`, and of `accounts`."""

    organization: tuple[tuple[str, str], ...] = ()
    units: tuple[tuple[str, str], ...] = ()
    accounts: tuple[tuple[str, str], ...] = ()

    def yaml(self, accounts: bool = True) -> str:
        """As YAML for the configuration; without `accounts`, what a file of its own can hold."""
        lines = ["organization:"] if self.organization or self.units else []
        lines += [f"  {key}: {value}" for key, value in self.organization]
        lines += ["  units:"] if self.units else []
        lines += [f"    {_key(path)}: {id_}" for path, id_ in self.units]
        if accounts and self.accounts:
            lines += ["accounts:", *(f'  {name}: {{id: "{id_}"}}' for name, id_ in self.accounts)]
        return "".join(f"{line}\n" for line in lines)


def ids(configuration: Configuration, found: Found, apart_from: Path | None = None) -> Ids:
    """The ids that a configuration needs and does not say, or says nowhere but in the file `apart_from`."""
    there, wanted = found.organization, configuration.organization
    if there is None:
        return Ids()

    def said(text: Text | None) -> bool:
        if text is None or apart_from is None or text.span is None:
            return text is not None
        return Path(text.span.source.path) != apart_from

    organization = [(key, value) for key, value in (("id", there.id), ("root", there.root))]
    organization = [(key, value) for key, value in organization if not said(getattr(wanted, key))]
    elsewhere = {str(path) for path in wanted.units if said(path)}
    units = [(path, there.units[path]) for path in _paths(configuration) if path in there.units]
    emails = {a.email.casefold(): a.id for a in there.accounts.values()}
    made = sorted((str(n), str(a.email).casefold()) for n, a in configuration.accounts.items() if a.id is None)
    return Ids(
        tuple(organization),
        tuple((path, id_) for path, id_ in units if path not in elsewhere),
        tuple((name, emails[email]) for name, email in made if email in emails),
    )


def write_ids(folder: Path, configuration: Configuration, found: Found) -> str:
    """Write the organization's ids into a file of the configuration; returns what was done, or why nothing was."""
    file = folder / IDS
    if not folder.is_dir():
        return f"{folder} is one file: put the ids into it yourself"
    if file.exists() and not file.read_text(encoding="utf-8").startswith(_HEAD):
        return f"{file} is somebody else's: put the ids into it yourself"
    wanted = ids(configuration, found, file)
    if wanted.units and any(path.span is None or Path(path.span.source.path) != file for path in _units(configuration)):
        return "organization.units stands in a file already: put the ids into it yourself"
    if not wanted.organization and not wanted.units:
        return "the configuration says all ids already"
    text = f"{_HEAD}\n{wanted.yaml(accounts=False)}"
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
    return f"wrote {file}"


def closing(path: Path, configuration: Configuration, found: Found, write: bool) -> Iterator[str]:
    """What is said at the end, as lines: the ids that the configuration needs, and the commands of `cdk bootstrap`."""
    if write:
        yield f"\n{write_ids(path, configuration, found)}"
    file = path / IDS if write and path.is_dir() else None
    missing = ids(configuration, found)
    if write and file is not None and file.exists():
        missing = Ids(accounts=missing.accounts)
    if text := missing.yaml():
        yield f"\nPut these ids into the configuration:\n\n{text.rstrip()}"
    if configuration.organization.cdk_roles:
        names, known = cdk_accounts(configuration), {**_given(configuration), **dict(missing.accounts)}
        yield "\nThe roles of the CDK, each with credentials of the account itself:\n"
        region = str(configuration.organization.home_region)
        yield from commands([known[name] for name in names if name in known], region, found.partition)


def _given(configuration: Configuration) -> dict[str, str]:
    return {str(name): str(account.id) for name, account in configuration.accounts.items() if account.id is not None}


def _units(configuration: Configuration) -> list[Text]:
    return list(configuration.organization.units)


def _paths(configuration: Configuration) -> list[str]:
    """The units that accounts stand in, and those above them."""
    parts = [a.unit.split("/") for a in configuration.accounts.values() if a.unit is not None]
    return sorted({"/".join(names[: depth + 1]) for names in parts for depth in range(len(names))})


def _key(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else json.dumps(path, ensure_ascii=False)


def _step(at: int, step: Step) -> list[str]:
    where = f" in account {step.account}" if step.account else ""
    parameters = json.dumps({k: _shortened(v) for k, v in _parameters(step).items()}, ensure_ascii=False)
    return [
        f"{at}. {step.what}",
        f"   is:    {step.now}",
        f"   to be: {step.then}",
        f"   call:  {step.service}:{step.operation}{where} {parameters}",
        f"   why:   {step.why}{_place(step)}",
    ]


def _shortened(value: object) -> object:
    """A policy is for tools to show: `--format json` has all of it."""
    long = isinstance(value, str) and len(value) > _SHOWN
    return f"<{len(str(value)):,} characters, in --format json>" if long else value


def _place(of: Step | Note) -> str:
    return f" ({of.span.place})" if of.span else ""


def _parameters(step: Step) -> dict[str, Any]:
    return {key: _shown(value) for key, value in step.parameters}


def _shown(value: object) -> object:
    if isinstance(value, Later):
        return str(value)
    return dict(value) if isinstance(value, tuple) else value
