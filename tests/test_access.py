"""Tests of access hold what they promise, and fail with the request that breaks it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import yaml
from click.testing import CliRunner

from dutybound.cli import cli
from dutybound.compiler import compile_text
from dutybound.diagnostic import render_all
from tests.conftest import CASES
from tests.test_compile import BASE

ENTRIES: list[dict[str, Any]] = yaml.safe_load((CASES / "access-tests.yaml").read_text(encoding="utf-8"))
ORGANIZATION = """
people:
  maria: {tags: {team: web}}
  tom: {}
  john: {}
teams:
  developers:
    purpose: Build
    members: [maria, {name: tom, until: 2027-01-31}]
    duties: [manage-servers, use-storage: {buckets: acme-dev-*}, own]
    in: {development: [view-costs], production: [view-billing]}
    never: [manage-people]
  administrators: {purpose: Look after it, members: [john], duties: [administer]}
  collectors: {purpose: Collect, members: [], duties: [collect]}
roles:
  web: {purpose: Serve, trusts: {service: ec2}, duties: [read-storage: {buckets: acme-assets}]}
duties:
  own:
    summary: Stop the servers of one's team, and hand roles to servers
    grants:
      - actions: [rds:StopDBInstance]
        resources: {db: "*"}
        when: {resource_tags: {team: "${aws:PrincipalTag/team}"}}
      - {pass: [role/app/*], to: [ec2], why: Servers take a role}
    expect:
      - allow: rds:StopDBInstance on arn:aws:rds:eu-west-1:111122223333:db:a
        when: {aws:ResourceTag/team: web, aws:PrincipalTag/team: web}
      - deny: rds:StopDBInstance on arn:aws:rds:eu-west-1:111122223333:db:a
  collect:
    summary: Collect metrics
    grants: [{managed: AWSConnector, why: "It says SNS:Publish, in capitals"}]
    expect: [{allow: iam:GetUser}, {deny: iam:CreateUser}]
guardrails:
  instance_types: [t3.*]
  regions: [us-east-1, eu-west-1]
  from: [203.0.113.0/24]
access:
"""


@pytest.mark.parametrize("entry", ENTRIES, ids=[e["name"] for e in ENTRIES])
def test_what_a_test_of_access_says(entry: dict[str, Any]) -> None:
    """Each entry holds, or breaks with the message that the entry gives."""
    config = BASE + ORGANIZATION + re.sub("^", "  ", entry["test"], flags=re.MULTILINE)
    environment = entry.get("environment", "development")
    checked = compile_text(config, environment=environment, today=date(2026, 12, 1))
    found = [d for d in checked.diagnostics if d.severity == "error"]
    wanted = entry.get("breaks", [])
    assert len(found) == len(wanted), render_all(found)
    for diagnostic, message in zip(found, wanted, strict=True):
        shown = " | ".join((diagnostic.message, diagnostic.hint, *diagnostic.notes))
        assert message in shown, shown


def test_there_are_enough_entries() -> None:
    """Both ways of ending are there."""
    assert sum("breaks" in e for e in ENTRIES) >= 15
    assert sum("breaks" not in e for e in ENTRIES) >= 15


def test_junit(tmp_path: Path) -> None:
    """Every test of every environment is a case; what does not compile is one too."""
    good = "  - {who: developers, can: [ec2:RunInstances], cannot: [iam:CreateUser, ec2:DescribeInstances]}\n"
    file = tmp_path / "config.yaml"
    file.write_text(BASE + ORGANIZATION + good, encoding="utf-8")
    run = CliRunner().invoke(cli, ["check", str(file), "--format", "junit"])
    assert run.exit_code == 1
    suites = Xml.fromstring(run.stdout).findall("testsuite")  # noqa: S314
    assert [s.get("name") for s in suites] == [file.as_posix(), "development", "production"]
    cases = suites[1].findall("testcase")
    assert [c.get("name") for c in cases] == [
        "duty collect allows iam:GetUser",
        "duty collect denies iam:CreateUser",
        "duty own allows rds:StopDBInstance on arn:aws:rds:eu-west-1:111122223333:db:a",
        "duty own denies rds:StopDBInstance on arn:aws:rds:eu-west-1:111122223333:db:a",
        "developers can ec2:RunInstances",
        "developers cannot iam:CreateUser",
        "developers cannot ec2:DescribeInstances",
    ]
    assert [c.find("failure") is not None for c in cases] == [False] * 6 + [True]
    file.write_text(BASE + "teams: {a: {purpose: x, duties: [nothing]}}\n", encoding="utf-8")
    run = CliRunner().invoke(cli, ["check", str(file), "--format", "junit"])
    assert run.exit_code == 1
    failure = Xml.fromstring(run.stdout).find("testsuite/testcase/failure")  # noqa: S314
    assert failure is not None
    assert failure.get("type") == "unknown-duty"
