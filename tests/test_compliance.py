"""`dutybound compliance`: what a configuration makes of each control, and that data, functions and docs agree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dutybound import compliance as module
from dutybound.baseline import Account, Baseline
from dutybound.cli import cli
from dutybound.compiler import compile_everywhere, compile_text
from dutybound.compliance import BENCHMARKS, FUNCTIONS, STATES, Outcome, compliance, controls
from dutybound.diagnostic import render_all
from dutybound.mfa import SELF
from dutybound.policy import Condition, Policy, Principal, Statement
from tests.conftest import CASES, ROOT

BASE: dict[str, Any] = {
    "version": 1,
    "organization": {"name": "acme", "owner": "a@b.example", "home_region": "eu-west-1"},
    "break_glass": {"users": ["emergency-1", "emergency-2"], "alert": ["a@b.example"]},
    "teams": {"developers": {"purpose": "Build", "members": ["john"], "duties": ["view-metrics"]}},
}
ENTRIES: list[dict[str, Any]] = yaml.safe_load((CASES / "compliance.yaml").read_text(encoding="utf-8"))
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())
BY_CONSTRUCTION = {"groups-only", "no-inline-decrypting", "no-keys-at-setup"}
"""What a baseline cannot say otherwise; `test_templates_hold_what_is_met_by_construction` looks at the templates."""


def made(config: dict[str, Any]) -> Baseline:
    """The baseline of the smallest configuration with these keys, one key a line."""
    text = "".join(f"{key}: {json.dumps(value, default=str)}\n" for key, value in {**BASE, **config}.items())
    checked = compile_text(text)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value


# --- changes that the language cannot say ---------------------------------------------------------------------------


def _statements(account: Account, change: Callable[[str, Statement], Statement | None]) -> Account:
    policies = []
    for policy in account.policies:
        kept = tuple(filter(None, (change(policy.name, s) for s in policy.policy.statements)))
        policies.append(replace(policy, policy=Policy(kept)))
    return replace(account, policies=tuple(policies))


def _in_the_team(**values: Any) -> Callable[[Account], Account]:
    """The statements of the team's own policy say this instead."""
    return lambda account: _statements(
        account, lambda name, s: replace(s, **values) if name == "team-developers" else s
    )


def _enrolment_for_others(account: Account) -> Account:
    def change(name: str, statement: Statement) -> Statement | None:
        if name == "enforce-mfa" and statement.resources == SELF and not statement.conditions:
            return replace(statement, resources=("*",))
        return None if statement.sid == "DenyOthersWithoutMfa" else statement

    return _statements(account, change)


def _enrolment_with_a_key(account: Account) -> Account:
    def change(_name: str, statement: Statement) -> Statement:
        spared = (*statement.not_actions, "iam:EnableMFADevice")
        return replace(statement, not_actions=spared) if statement.sid == "DenyLongTermKeys" else statement

    return _statements(account, change)


def _without_rights(account: Account) -> Account:
    return replace(account, groups=tuple(replace(group, managed=()) for group in account.groups))


def _topic(*conditions: Condition) -> Callable[[Account], Account]:
    def change(account: Account) -> Account:
        assert account.alarm is not None
        assert account.alarm.topic is not None
        everybody = Statement("All", "Allow", ("sns:Publish",), ("*",), principals=(Principal("*", ("*",)),))
        topic = replace(account.alarm.topic, policy=Policy((replace(everybody, conditions=conditions),)))
        return replace(account, alarm=replace(account.alarm, topic=topic))

    return change


def _without_alarm(account: Account) -> Account:
    return replace(account, alarm=None)


CHANGES: dict[str, Callable[[Account], Account]] = {
    "all actions": _in_the_team(actions=("*",), resources=("*",)),
    "all but": _in_the_team(actions=(), not_actions=("iam:*",)),
    "break-glass without rights": _without_rights,
    "no alarm": _without_alarm,
    "enrolment with a key": _enrolment_with_a_key,
    "enrolment for others": _enrolment_for_others,
    "no deny of MFA": lambda account: _statements(account, lambda _, s: None if s.effect == "Deny" else s),
    "open topic": _topic(),
    "topic of an organization": _topic(Condition("StringEquals", "aws:PrincipalOrgID", ("o-1234567890",))),
}


def outcome(baseline: Baseline, name: str) -> Outcome:
    """The outcome of the control of this name, which is the same in every benchmark that has it."""
    found = [o for o in compliance(baseline) if o.control.name == name]
    assert len({(o.state, o.where) for o in found}) == 1
    return found[0]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e['control']} {e.get('name', e['state'])}")
def test_cases(entry: dict[str, Any]) -> None:
    """Each case has the state that it says, and lines that say why."""
    baseline = made(entry.get("config", {}))
    if "change" in entry:
        changed = CHANGES[entry["change"]](baseline.accounts[0])
        assert changed != baseline.accounts[0]
        baseline = replace(baseline, accounts=(changed,))
    found = outcome(baseline, entry["control"])
    assert found.state == entry["state"], found.where
    for text in entry.get("where", ()):
        assert any(text in line for line in found.where), found.where


def test_each_function_is_shown_in_two_states() -> None:
    """One input that meets a control and one that does not; passwords are never met, since people have to set them."""
    assert {entry["control"] for entry in ENTRIES} == set(FUNCTIONS)
    for name in FUNCTIONS:
        shown = {entry["state"] for entry in ENTRIES if entry["control"] == name}
        assert shown == {"met"} if name in BY_CONSTRUCTION else "not met" in shown and len(shown) > 1, name
    assert {entry.get("change") for entry in ENTRIES} - {None} == set(CHANGES)


def test_templates_hold_what_is_met_by_construction() -> None:
    """No template has a key, an inline policy or a policy on a user."""
    templates = [json.loads(file.read_text("utf-8")) for file in sorted((CASES / "templates").glob("*.json"))]
    resources = [resource for template in templates for resource in template.get("Resources", {}).values()]
    kinds = {resource["Type"] for resource in resources}
    assert {"AWS::IAM::User", "AWS::IAM::Role", "AWS::IAM::Group"} <= kinds
    inline = {f"AWS::IAM::{kind}" for kind in ("AccessKey", "Policy", "GroupPolicy", "RolePolicy", "UserPolicy")}
    assert not kinds & inline
    for resource in resources:
        properties = resource.get("Properties", {})
        if resource["Type"].startswith("AWS::IAM::"):
            assert "Policies" not in properties
        if resource["Type"] == "AWS::IAM::User":
            assert "ManagedPolicyArns" not in properties
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            assert "Users" not in properties


# --- the data -------------------------------------------------------------------------------------------------------


def test_every_control_is_decided_once() -> None:
    """By a function or by the text that says who has to do what, never by both."""
    entries = json.loads((ROOT / "dutybound" / "data" / "controls.json").read_text("utf-8"))["controls"]
    elsewhere = {entry["name"] for entry in entries if "elsewhere" in entry}
    assert not elsewhere & set(FUNCTIONS)
    assert elsewhere | set(FUNCTIONS) == {entry["name"] for entry in entries}
    assert len(entries) == len({entry["name"] for entry in entries})
    for benchmark in BENCHMARKS:
        ids = [control.id for control in controls(benchmark)]
        assert len(ids) == len(set(ids))
    assert {entry["name"] for entry in entries} == {c.name for b in BENCHMARKS for c in controls(b)}


def test_controls_stand_in_the_order_of_their_benchmark() -> None:
    """2.9 before 2.10, and the whole of chapter 2 of version 7 and chapter 1 of version 5."""
    seven, five = ([c.id.removeprefix("CIS ") for c in controls(b)] for b in BENCHMARKS[:2])
    assert seven == [
        *(f"2.1.{n}" for n in range(1, 7)),
        *(f"2.{n}" for n in range(2, 22)),
        *("5.2", "5.3", "5.4", "5.15"),
    ]
    assert five == [*(f"1.{n}" for n in range(1, 22)), "4.2", "4.3", "4.4", "4.15"]
    best = [c.id for c in controls("fsbp")]
    assert best == ["Account.1", *(f"IAM.{n}" for n in range(1, 9)), "IAM.21", "KMS.1", "KMS.2"]


def test_several_accounts_are_as_good_as_the_worst() -> None:
    """Not met in one account is not met, and each line says in which account."""
    baseline = made({})
    one, other = (replace(baseline.accounts[0], id=id_) for id_ in ("111122223333", "444455556666"))
    lax = CHANGES["all actions"](other)
    found = outcome(replace(baseline, accounts=(one, lax)), "no-own-full-rights")
    assert found.state == "not met"
    assert [line.partition(":")[0] for line in found.where] == ["111122223333", "444455556666"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_keep_to_the_best_practices(path: Path) -> None:
    """In every environment; the password policy alone is left open where an example names none."""
    for checked in compile_everywhere(path).values():
        assert checked.value is not None
        found = {o.control.id for o in compliance(checked.value, ["fsbp"]) if o.state == "not met"}
        assert found <= {"IAM.7"}


# --- the command ----------------------------------------------------------------------------------------------------


def ran(*words: str) -> Result:
    """What the command prints in the repository's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        result = CliRunner().invoke(cli, ["compliance", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_text_of_the_configuration_that_ships(golden: Callable[[Path, str], None]) -> None:
    """All three benchmarks of `config/`, as people see them, and nothing but a name beyond 100 columns."""
    result = ran(*(word for benchmark in BENCHMARKS for word in ("--benchmark", benchmark)))
    assert result.exit_code == 1
    golden(CASES / "compliance.expected.txt", result.output)
    assert max(map(len, result.output.splitlines())) <= module.WIDTH


def test_json_and_markdown_say_the_same() -> None:
    """Every control with its state in all three forms; the default is CIS 7 and AWS's best practices."""
    text, table = ran().output, ran("--format", "markdown").output
    answer = json.loads(ran("--format", "json").output)
    assert [c["benchmark"] for c in answer["controls"]] == ["cis-7"] * 30 + ["fsbp"] * 12
    assert sum(answer["counts"].values()) == len(answer["controls"])
    assert list(answer["counts"]) == list(STATES)
    for control in answer["controls"]:
        assert re.search(rf"^{control['state']} +{re.escape(control['id'])} ", text, re.MULTILINE)
        assert re.search(rf"^\| {re.escape(control['id'])} \| .* \| {control['state']} \| ", table, re.MULTILINE)


def test_exit_codes(tmp_path: Path) -> None:
    """0 if nothing is 'not met', 1 if something is, and errors of the configuration as `check` prints them."""
    good = tmp_path / "good.yaml"
    passwords = {"minimum_length": 14, "require": ["lowercase", "uppercase", "numbers", "symbols"]}
    good.write_text(json.dumps({**BASE, "passwords": passwords}), encoding="utf-8")
    assert ran(str(good), "--benchmark", "fsbp").exit_code == 0
    assert ran(str(good), "--benchmark", "cis-7").exit_code == 1
    bad = tmp_path / "bad.yaml"
    bad.write_text(json.dumps({**BASE, "teams": {"a": {"purpose": "x", "duties": ["no-such"]}}}), encoding="utf-8")
    result = ran(str(bad))
    assert result.exit_code == 1
    assert "error[unknown-duty]" in result.output
    assert ran("--benchmark", "cis-1").exit_code == 2


# --- the docs -------------------------------------------------------------------------------------------------------


def test_the_page_lists_every_control() -> None:
    """docs/compliance.md has a row for each control, with what decides it, and shows real output."""
    entries = json.loads((ROOT / "dutybound" / "data" / "controls.json").read_text("utf-8"))["controls"]
    rows = [
        f"| {entry.get('cis-7', '')} | {entry.get('cis-5', '')} | {entry.get('security_hub', '')} "
        f"| {entry['title']} | {'by others' if 'elsewhere' in entry else 'here'} |"
        for entry in entries
    ]
    page = (ROOT / "docs" / "compliance.md").read_text("utf-8")
    shown = re.search(r"```console\n\$ dutybound compliance (.*?)\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    said = ran(*shown[1].split()).output.splitlines()
    assert all(line in said for line in shown[2].splitlines() if line != "…")
    listed = [row for row in page.splitlines() if row.endswith((" by others |", " here |"))]
    assert listed == rows, "\n".join(rows)
