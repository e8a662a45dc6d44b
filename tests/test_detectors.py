"""Analyzers, changes of identities, and one bus for the alarms of all accounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ministack.services import eventbridge

from dutybound import catalog
from dutybound.baseline import Account
from dutybound.compiler import compile_everywhere
from dutybound.detectors import BUS_RULE, IDENTITY_RULE
from dutybound.diagnostic import render_all
from dutybound.evaluate import Policies, Request, decide, in_account
from dutybound.policy import Policy, Statement
from tests.conftest import CASES
from tests.test_alarm import EVENTS, fired, seen
from tests.test_stacks import synthesize

HUB, SHOP, ROOT_ACCOUNT = "111122223333", "222233334444", "333344445555"
ALONE = "organization: {name: acme, owner: x, home_region: eu-west-1}"
SEVERAL = f"""\
organization: {{name: acme, owner: x, home_region: eu-west-1, hub: identity, id: o-a1b2c3d4e5MANAGED}}
accounts: {{identity: {{id: "{HUB}"}}, shop: {{id: "{SHOP}"}}, root: {{id: "{ROOT_ACCOUNT}"}}}}"""
UNMANAGED = SEVERAL.replace("MANAGED", "")
MANAGED = SEVERAL.replace("MANAGED", ", management: root")


def text(head: str, detectors: str | None, more: str = "") -> str:
    asked = f"detectors: {detectors}\n" if detectors else ""
    users = "break_glass: {users: [break-glass-1, break-glass-2], alert: [a@b.example], drill_every_days: 45}"
    return f"version: 1\n{head}\n{users}\n{asked}{more}"


def made(folder: Path, head: str, detectors: str | None, more: str = "") -> dict[str | None, Account]:
    file = folder / "config.yaml"
    file.write_text(text(head, detectors, more), encoding="utf-8")
    out = {}
    for name, checked in compile_everywhere(file).items():
        assert checked.value is not None, render_all(checked.diagnostics)
        (out[name],) = checked.value.accounts
    return out


def analyzers(account: Account) -> list[tuple[str, str, str, int | None]]:
    region = {stack.name: stack.region for stack in account.stacks}
    return [(region[a.stack], a.name, a.type, a.days) for a in account.analyzers]


# --- IAM Access Analyzer --------------------------------------------------------------------------------------------

REGIONS = "guardrails: {regions: [eu-central-1, eu-west-1]}\n"
BOTH = "{external_access: true, unused_access: {days: 30}}"


def test_nothing_unless_asked(tmp_path: Path) -> None:
    """Absent, nothing is there, no stack either; turned off, the stack stays so that the deployment deletes."""
    (account,) = made(tmp_path, ALONE, None).values()
    assert not account.analyzers
    assert not any("detectors" in stack.name for stack in account.stacks)
    (account,) = made(tmp_path, ALONE, "{external_access: false}").values()
    assert not account.analyzers
    assert any(stack.name == "acme-detectors" for stack in account.stacks)


def test_alone_one_in_each_region_and_what_costs_once(tmp_path: Path) -> None:
    (account,) = made(tmp_path, ALONE, BOTH, REGIONS).values()
    assert analyzers(account) == [
        ("eu-west-1", "acme-external-access", "ACCOUNT", None),
        ("eu-west-1", "acme-unused-access", "ACCOUNT_UNUSED_ACCESS", 30),
        ("eu-central-1", "acme-external-access", "ACCOUNT", None),
    ]
    (account,) = made(tmp_path, ALONE, "{unused_access: {}}", REGIONS).values()
    assert analyzers(account) == [("eu-west-1", "acme-unused-access", "ACCOUNT_UNUSED_ACCESS", 90)]


def test_the_managing_account_looks_at_the_whole_organization(tmp_path: Path) -> None:
    accounts = made(tmp_path, MANAGED, BOTH)
    assert [kind for _, _, kind, _ in analyzers(accounts["root"])] == ["ORGANIZATION", "ORGANIZATION_UNUSED_ACCESS"]
    assert accounts["root"].analyzed_in is None
    for name in ("identity", "shop"):
        assert not accounts[name].analyzers
        assert accounts[name].analyzed_in == ROOT_ACCOUNT
    without = made(tmp_path, UNMANAGED, BOTH)
    assert {kind for a in without.values() for _, _, kind, _ in analyzers(a)} == {"ACCOUNT", "ACCOUNT_UNUSED_ACCESS"}
    # Another name for another type, since AWS changes no type.
    names = [{a.name for a in accounts["root"].analyzers}, {a.name for a in without["root"].analyzers}]
    assert not names[0] & names[1]


# --- changes of identities ------------------------------------------------------------------------------------------

CASES_ = yaml.safe_load((CASES / "identity.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES_, ids=[case["event"] for case in CASES_])
def test_changes_of_identities_are_heard(case: dict[str, Any], tmp_path: Path) -> None:
    """Judged by the emulator's EventBridge pattern matcher, which is not ours."""
    wanted = "{identity_changes: true, deployers: [deploy-baseline]}"
    (account,) = made(tmp_path, ALONE, wanted).values()
    assert account.alarm is not None
    event = {**case, "detail-type": "AWS API Call via CloudTrail"}
    assert (IDENTITY_RULE in fired(event, account.alarm)) is case["heard"]


def test_every_change_of_a_policy_is_heard(tmp_path: Path) -> None:
    """All that the reference says changes permissions in IAM, and what CIS names, is not among what is let pass."""
    (account,) = made(tmp_path, ALONE, "{identity_changes: true}").values()
    assert account.alarm is not None
    changing = {a.name for a in catalog.service("iam").actions.values() if a.level == "permissions"}
    assert len(changing) > 20
    for name in changing - {"ChangePassword", "CreateServiceLinkedRole", "ResyncMFADevice"}:
        detail = {"eventSource": "iam.amazonaws.com", "eventName": name, "readOnly": False}
        event = {"detail-type": "AWS API Call via CloudTrail", "detail": detail}
        assert IDENTITY_RULE in fired(event, account.alarm), name


@pytest.mark.parametrize(
    ("home", "places"),
    [
        ("eu-west-1", ["eu-west-1", "us-east-1"]),
        ("us-east-1", ["us-east-1"]),
        ("us-gov-east-1", ["us-gov-east-1", "us-gov-west-1"]),
    ],
)
def test_where_changes_of_identities_land(home: str, places: list[str], tmp_path: Path) -> None:
    """IAM logs in one Region of the partition; its events go on to the home Region, where the mail is."""
    (account,) = made(tmp_path, ALONE.replace("eu-west-1", home), "{identity_changes: true}").values()
    assert account.alarm is not None
    region = {stack.name: stack.region for stack in account.stacks}
    rules = [rule for rule in account.alarm.rules if rule.name == IDENTITY_RULE]
    assert sorted(region[rule.stack] for rule in rules) == places
    for rule in rules:
        assert eventbridge._event_pattern_error(rule.pattern) is None
        ends = ":break-glass-alarm" if region[rule.stack] == home else f":{home}:${{AWS::AccountId}}:event-bus/default"
        assert rule.target.endswith(ends)
    trusted = {c.key: c.values for s in account.alarm.forwarder.trust.statements for c in s.conditions}["aws:SourceArn"]
    assert any(arn.endswith(f":rule/{IDENTITY_RULE}") for arn in trusted)


# --- one bus --------------------------------------------------------------------------------------------------------

ONE_BUS = "{identity_changes: true, one_bus: true}"


def test_every_account_hands_its_events_to_one(tmp_path: Path) -> None:
    """No topic but the hub's; all rules of all Regions of the others go there in one step, by a role that may."""
    accounts = made(tmp_path, UNMANAGED, ONE_BUS)
    hub = accounts["identity"].alarm
    assert hub is not None
    assert hub.topic is not None
    assert hub.drill is not None
    bus = f"arn:${{AWS::Partition}}:events:eu-west-1:{HUB}:event-bus/default"
    for name in ("shop", "root"):
        alarm = accounts[name].alarm
        assert alarm is not None
        assert (alarm.topic, alarm.drill, alarm.bus) == (None, None, None)
        assert {rule.target for rule in alarm.rules} == {bus}
        assert all(rule.role is not None for rule in alarm.rules)
        forwarding = accounts[name].policy(alarm.forwarder.name).policy
        assert [s.resources for s in forwarding.statements] == [(bus,)]
    assert [rule.name for rule in hub.rules].count(BUS_RULE) == 1


@pytest.mark.parametrize("case", EVENTS, ids=[event["event"] for event in EVENTS])
def test_what_a_member_hands_over_is_heard(case: dict[str, Any], accounts: dict[str | None, Account]) -> None:
    """EventBridge matches a handed-over event against the rules of the bus it reaches: the hub's are no narrower."""
    shop, hub = accounts["shop"].alarm, accounts["identity"].alarm
    assert shop is not None
    assert hub is not None
    assert set(fired(case, shop)) <= set(fired(case, hub))


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Account]:
    return made(tmp_path_factory.mktemp("one-bus"), UNMANAGED, ONE_BUS)


def test_the_bus_takes_events_of_the_organization_alone(accounts: dict[str | None, Account]) -> None:
    """Asked of the judge: whoever is in it may put events, and nobody else; nothing but that."""
    alarm = accounts["identity"].alarm
    assert alarm is not None
    assert alarm.bus is not None
    anything = Policy((Statement("Own", "Allow", ("*",), ("*",)),))
    policies = Policies(identity=(anything,), resource=in_account(alarm.bus.policy, HUB))
    bus = f"arn:aws:events:eu-west-1:{HUB}:event-bus/default"
    caller = f"arn:aws:sts::{SHOP}:assumed-role/break-glass-alarm/x"

    def outcome(action: str, organization: str | None) -> str:
        context = {"aws:PrincipalOrgID": organization} if organization else {}
        return decide(Request(caller, action, bus, context), policies).outcome

    assert outcome("events:PutEvents", "o-a1b2c3d4e5") == "allowed"
    assert outcome("events:PutEvents", "o-zzzzzzzzzz") == "denied"
    assert outcome("events:PutEvents", None) == "denied"
    assert outcome("events:PutRule", "o-a1b2c3d4e5") == "denied"


def test_who_changes_the_policy_of_the_bus_is_heard(accounts: dict[str | None, Account]) -> None:
    alarm = accounts["identity"].alarm
    assert alarm is not None
    for name in ("PutPermission", "RemovePermission"):
        detail = {"eventSource": "events.amazonaws.com", "eventName": name, "readOnly": False}
        event = {"detail-type": "AWS API Call via CloudTrail", "detail": detail}
        assert seen(event)
        assert BUS_RULE in fired(event, alarm)


@pytest.mark.parametrize("name", ["PutPermission", "RemovePermission"])
def test_roles_that_teams_create_leave_the_bus_alone(name: str, tmp_path: Path) -> None:
    """Where other accounts hand over their alarms, and nowhere else: elsewhere the bus carries none."""
    found = made(tmp_path, UNMANAGED, ONE_BUS, "guardrails: {boundary: {path: /app/, services: [ec2]}}\n")
    anything = Policy((Statement("Own", "Allow", ("*",), ("*",)),))
    for account, expected in (("identity", "denied"), ("shop", "allowed")):
        bounds = in_account(found[account].policy("workload-boundary").policy, HUB)
        request = Request(f"arn:aws:sts::{HUB}:assumed-role/made/x", f"events:{name}", "*")
        assert decide(request, Policies(identity=(anything,), boundary=bounds)).outcome == expected


# --- budgets --------------------------------------------------------------------------------------------------------


def test_each_account_has_the_budget(tmp_path: Path) -> None:
    """The same in each: it counts what that account costs."""
    more = "budgets: {monthly: {limit: 500, alert_at: [100], notify: [a@b.example]}}\n"
    found = made(tmp_path, UNMANAGED, None, more)
    assert {tuple(b.name for b in account.budgets) for account in found.values()} == {
        tuple(b.name for b in found["shop"].budgets)
    }
    assert all(len(account.budgets) == 1 for account in found.values())


# --- templates ------------------------------------------------------------------------------------------------------


def test_the_templates(tmp_path: Path) -> None:
    """Every analyzer and the statement of the bus arrive as CloudFormation takes them."""
    file = tmp_path / "config.yaml"
    file.write_text(text(MANAGED, "{external_access: true, unused_access: {days: 30}, one_bus: true}"), "utf-8")
    run = synthesize(file, tmp_path / "out")
    assert run.returncode == 0, run.stderr
    kinds: dict[str, list[dict[str, Any]]] = {}
    for template in (tmp_path / "out").rglob("*.template.json"):
        for resource in json.loads(template.read_text(encoding="utf-8")).get("Resources", {}).values():
            kinds.setdefault(resource["Type"], []).append(resource["Properties"])
    found = {p["Type"]: p for p in kinds["AWS::AccessAnalyzer::Analyzer"]}
    assert set(found) == {"ORGANIZATION", "ORGANIZATION_UNUSED_ACCESS"}
    unused = found["ORGANIZATION_UNUSED_ACCESS"]["AnalyzerConfiguration"]
    assert unused == {"UnusedAccessConfiguration": {"UnusedAccessAge": 30}}
    (policy,) = kinds["AWS::Events::EventBusPolicy"]
    assert policy["StatementId"] == policy["Statement"]["Sid"]
    assert policy["EventBusName"] == "default"
    assert policy["Statement"]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}
    assert len(kinds["AWS::SNS::Topic"]) == 1
