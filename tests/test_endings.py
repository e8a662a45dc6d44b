"""What ends by itself: memberships, roles, waivers; and what only some environments have."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from dutybound.clock import today
from dutybound.compiler import compile_everywhere, compile_text
from dutybound.diagnostic import render_all
from dutybound.evaluate import Request, decide, policies_of
from tests.test_compile import BASE, compiled

ACCOUNT = "123456789012"
TEAMS = """
teams:
  developers:
    purpose: Build
    members: [maria, {name: tom, until: 2027-01-31}, {name: eva, until: 2027-01-31}]
    duties: [view-servers, use-storage: {buckets: acme-dev}]
    never: [manage-billing]
  auditors:
    purpose: Audit
    members: [tom]
    duties: [view-costs]
"""


def allowed(config: str, who: str, action: str, when: str, resource: str = "*") -> bool:
    """Whether somebody with MFA may do something at a moment."""
    account = compiled(config).accounts[0]
    context = {
        "aws:MultiFactorAuthPresent": "true",
        "aws:ViaAWSService": "false",
        "aws:username": who,
        "aws:CurrentTime": when,
    }
    request = Request(f"arn:aws:iam::{ACCOUNT}:user/people/{who}", action, resource, context)
    decision = decide(request, policies_of(account, who, ACCOUNT))
    assert decision.outcome != "unknown"
    return decision.outcome == "allowed"


@pytest.mark.parametrize(("when", "wanted"), [("2027-01-31T23:59:59Z", True), ("2027-02-01T00:00:00Z", False)])
def test_a_membership_ends_with_its_day(when: str, wanted: bool) -> None:
    """What the team gives ends; what another team gives, and MFA for oneself, stay; nobody else is touched."""
    assert allowed(TEAMS, "tom", "ec2:DescribeInstances", when) is wanted
    assert allowed(TEAMS, "tom", "s3:PutObject", when, "arn:aws:s3:::acme-dev/x") is wanted
    assert allowed(TEAMS, "tom", "ce:GetCostAndUsage", when, "*")
    assert allowed(TEAMS, "maria", "ec2:DescribeInstances", when)
    assert not allowed(TEAMS, "tom", "budgets:ModifyBudget", when)


def test_members_with_one_end_share_a_group() -> None:
    """One group for each day; a person's groups name it."""
    account = compiled(TEAMS).accounts[0]
    assert [g.name for g in account.groups] == [
        "auditors",
        "break-glass",
        "developers",
        "developers.until-2027-01-31",
    ]
    groups = {u.name: u.groups for u in account.users}
    assert groups["tom"] == ("auditors", "developers.until-2027-01-31")
    assert groups["eva"] == ("developers.until-2027-01-31",)
    assert groups["maria"] == ("developers",)


def test_an_administrator_for_a_while() -> None:
    """An AWS managed policy knows no end: after the day everything is denied."""
    config = """
teams:
  administrators: {purpose: Help, members: [{name: tom, until: 2027-01-31}], duties: [administer]}
"""
    assert allowed(config, "tom", "ec2:RunInstances", "2027-01-31T23:59:59Z")
    assert not allowed(config, "tom", "ec2:RunInstances", "2027-02-01T00:00:00Z")


def test_a_role_ends_in_trust_and_permissions() -> None:
    """Nobody takes the role after its last day, and sessions that are still open do nothing."""
    config = """
roles:
  partner:
    purpose: Yearly audit
    trusts: {account: "999988887777", external_id: acme-1}
    duties: [view-servers]
    session: 2h
    until: 2027-03-31
"""
    account = compiled(config).accounts[0]
    role = account.roles[0]
    assert role.session_seconds == 7200
    assert role.trust.document()["Statement"][0]["Condition"] == {
        "DateLessThan": {"aws:CurrentTime": "2027-04-01T00:00:00Z"},
        "StringEquals": {"sts:ExternalId": "acme-1"},
    }
    for when, outcome in (("2027-03-31T12:00:00Z", "allowed"), ("2027-04-01T00:00:00Z", "denied")):
        session = f"arn:aws:sts::{ACCOUNT}:assumed-role/partner/x"
        request = Request(session, "ec2:DescribeInstances", "*", {"aws:CurrentTime": when})
        assert decide(request, policies_of(account, "partner", ACCOUNT)).outcome == outcome


def test_what_has_ended_is_said() -> None:
    """On the day after, and not before; the template stays the same."""
    before = compile_text(BASE + TEAMS, today=date(2027, 1, 31))
    after = compile_text(BASE + TEAMS, today=date(2027, 2, 1))
    assert before.diagnostics == ()
    assert [(d.name, d.severity) for d in after.diagnostics] == [("ended", "warning")] * 2
    assert before.value == after.value


def test_a_waiver_ends() -> None:
    """An expired waiver is an error, and what it accepted is back."""
    config = """
duties:
  old:
    summary: The old policy
    grants: [{why: Old, statements: [{Effect: Allow, Action: "s3:PutObject", Resource: "*"}]}]
    expect: [{allow: "s3:PutObject on arn:aws:s3:::x/y"}, {deny: "iam:CreateUser"}]
teams:
  team: {purpose: Do it, members: [maria], duties: [old]}
waivers: [{finding: wide-resource, for: team team, reason: Old, until: 2027-01-31}]
"""
    assert compile_text(BASE + config, today=date(2027, 1, 31)).diagnostics == ()
    names = [d.name for d in compile_text(BASE + config, today=date(2027, 2, 1)).diagnostics]
    assert names == ["wide-resource", "expired-waiver"]


ENVIRONMENTS = """
teams:
  developers:
    purpose: Build
    members: [maria]
    duties: [view-costs]
    in: {development: [manage-servers], production: [view-servers]}
roles:
  web: {purpose: Serve, trusts: {service: ec2}, duties: [view-tags], in: [production]}
"""


def test_an_environment_has_its_own_duties() -> None:
    """Duties and roles of the environment at hand, and those that hold everywhere."""
    made = {e: compile_text(BASE + ENVIRONMENTS, environment=e) for e in ("development", "production")}
    for name, checked in made.items():
        assert checked.value is not None, render_all(checked.diagnostics)
        assert ("environment", name) in checked.value.tags
        account = checked.value.accounts[0]
        duties = {o.duty for s in account.policy("team-developers").policy.statements for o in s.origins}
        assert duties == {"view-costs", "manage-servers" if name == "development" else "view-servers"}
        assert [r.name for r in account.roles] == (["web"] if name == "production" else [])


def test_check_looks_at_every_environment(tmp_path: Path) -> None:
    """Without a choice all are compiled; a wrong or missing choice is an error."""
    file = tmp_path / "config.yaml"
    file.write_text(BASE + ENVIRONMENTS, encoding="utf-8")
    assert {e: c.failed for e, c in compile_everywhere(file).items()} == {"development": False, "production": False}
    wrong = compile_text(BASE + ENVIRONMENTS, environment="prodction")
    assert [d.name for d in wrong.diagnostics] == ["unknown-environment"]
    assert "did you mean 'production'?" in render_all(wrong.diagnostics)
    assert [d.name for d in compile_text(BASE, environment="production").diagnostics] == ["unknown-environment"]


def test_people_are_tagged() -> None:
    """Address and tags of a person are tags of the user; the name is for reports."""
    config = """
people:
  maria: {name: "Maria O'Neill", email: maria@acme.example, tags: {cost-center: "42"}}
teams:
  developers: {purpose: Build, members: [maria], duties: [view-costs]}
"""
    users = {u.name: u.tags for u in compiled(config).accounts[0].users}
    assert users["maria"] == (("cost-center", "42"), ("email", "maria@acme.example"))


@pytest.mark.parametrize(("epoch", "day"), [("0", date(1970, 1, 1)), ("1941000000", date(2031, 7, 5))])
def test_source_date_epoch_stands_for_the_clock(monkeypatch: pytest.MonkeyPatch, epoch: str, day: date) -> None:
    """What is built twice is the same twice."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert today() == day


@pytest.mark.parametrize("epoch", ["", "soon", "-1", "9" * 30, "9" * 5000])
def test_what_is_no_moment_leaves_the_clock(monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    """No traceback for what the calendar cannot hold."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert today() >= date(2026, 1, 1)
