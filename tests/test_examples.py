"""The examples are configurations that somebody could start with today, and keep what their comments promise."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dutybound import catalog, init
from dutybound.baseline import Account
from dutybound.cli import EXAMPLES
from dutybound.compiler import compile_everywhere, compile_path
from dutybound.config import schema
from dutybound.diagnostic import render_all
from dutybound.evaluate import Judge, Request, in_account, policies_of
from dutybound.policy import Policy
from dutybound.read import library
from dutybound.source import Fields, Items, load, loads
from tests.conftest import ROOT

FOLDER = ROOT / "examples"
ACCOUNT = "123456789012"
DAYS = (date(2026, 12, 1), date(2027, 6, 1))
ENVIRONMENTS = {
    "personal": [None],
    "small-team": [None],
    "company": ["development", "production"],
    "regulated": ["development", "production"],
    "organization": ["data-dev", "development", "identity", "production"],
    "identity-center": ["data-dev", "development", "management", "production"],
}
FILES = sorted(FOLDER.glob("*/*.yaml"))
PROSE = {"purpose", "summary", "why", "reason", "description"}


def test_every_folder_is_an_example() -> None:
    """What `dutybound init` offers is what there is."""
    assert sorted(EXAMPLES) == sorted(f.name for f in FOLDER.iterdir()) == sorted(ENVIRONMENTS)


@pytest.mark.parametrize("today", DAYS, ids=str)
@pytest.mark.parametrize("example", EXAMPLES)
def test_it_compiles_without_a_warning(example: str, today: date) -> None:
    """In every environment that it names, today and next summer."""
    checked = compile_everywhere(FOLDER / example, today)
    assert list(checked) == ENVIRONMENTS[example]
    for one in checked.values():
        assert one.diagnostics == (), render_all(one.diagnostics)
        assert one.value is not None


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_an_editor_agrees(file: Path) -> None:
    """The first line leads to the schema, and the schema finds nothing to mark."""
    text = file.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    assert first == "# yaml-language-server: $schema=../../config.schema.json"
    assert (file.parent / first.rpartition("=")[2]).resolve() == ROOT / "config.schema.json"
    found = list(Draft202012Validator(schema(library())).iter_errors(plain(load(file).value)))
    assert found == []


def plain(value: Any) -> Any:
    """The tree without its places."""
    if isinstance(value, Fields):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Items):
        return [plain(v) for v in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_readme_names_its_files(example: str) -> None:
    """Links lead to files; every file is named, but those that speak for themselves in `teams` and `people`."""
    text = (FOLDER / example / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    there = {f.name for f in (FOLDER / example).iterdir()} - {"README.md"}
    assert linked == there
    for said in ("For ", "**Change first", "**By hand, after the deployment**"):
        assert said in text


def test_personal_is_one_short_file() -> None:
    """Somebody who was told not to use root reads it in a minute."""
    (file,) = (FOLDER / "personal").glob("*.yaml")
    assert len(file.read_text(encoding="utf-8").splitlines()) < 30


def test_what_init_relies_on() -> None:
    """Lists that answers replace stand on one line, people on a line each, and prose speaks of no one by name."""
    for example in EXAMPLES:
        for name, text in init.texts(example).items():
            if name.endswith(".yaml"):
                tree = loads(text, name).value
                assert tree is not None
                for path in (("teams", "administrators", "members"), ("break_glass", "users"), ("guardrails", "from")):
                    found: Any = tree
                    for key in path:
                        found = next((v for k, v in found.items() if k == key), {}) if isinstance(found, Fields) else {}
                    assert len({span.line for span in getattr(found, "spans", ())}) <= 1, (example, path)
                people: Any = next((v for k, v in tree.items() if k == "people"), {})
                lines = text.split("\n")
                for key in people:
                    assert lines[key.span.line - 1].endswith("}")
                for prose in sentences(tree):
                    assert "acme" not in prose.lower()


def sentences(value: Any) -> list[str]:
    """Whatever is written for people below a value."""
    if isinstance(value, Fields):
        own = [str(v) for k, v in value.items() if k in PROSE]
        return own + [s for v in value.values() for s in sentences(v)]
    return [s for v in value for s in sentences(v)] if isinstance(value, Items) else []


def test_the_wheel_takes_them_along() -> None:
    """Every file matches a glob of the package's data; the folder is a package of the wheel."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "dutybound.examples" in tool["packages"]
    assert ROOT / tool["package-dir"]["dutybound.examples"] == FOLDER
    globs = tool["package-data"]["dutybound.examples"]
    for file in (f for f in FOLDER.rglob("*") if f.is_file()):
        name = file.relative_to(FOLDER).as_posix()
        assert any(fnmatch.fnmatchcase(name, glob) for glob in globs), name


# --- what they promise


class Person:
    """Somebody of an example, judged with group policies and boundary, at the office, in the home Region, with MFA."""

    def __init__(self, example: str, environment: str | None, name: str) -> None:
        checked = compile_path(FOLDER / example, environment, DAYS[0])
        assert checked.value is not None
        account: Account = checked.value.accounts[0]
        self.user = next(u for u in account.users if u.name == name)
        self.judges = [Judge(policies_of(account, name, ACCOUNT))]
        self.judges += [Judge([b]) for b in boundaries(account, self.user.permissions_boundary)]
        self.name = name

    def may(self, action: str, resource: str = "*", **keys: str) -> bool:
        """Whether IAM lets the person. Keys are written with `__` for `:`; an empty one is absent."""
        context: dict[str, str | tuple[str, ...]] = {
            "aws:MultiFactorAuthPresent": "true",
            "aws:MultiFactorAuthAge": "60",
            "aws:ViaAWSService": "false",
            "aws:CurrentTime": "2026-12-01T10:00:00Z",
            "aws:username": self.name,
            "aws:RequestedRegion": "eu-west-1",
            "aws:SourceIp": "203.0.113.9",
            **{k.replace("__", ":").replace("_SLASH_", "/"): v for k, v in keys.items()},
        }
        context = {k: v for k, v in context.items() if v}
        arn = f"arn:aws:iam::{ACCOUNT}:user{self.user.path}{self.name}"
        got = {judge.decide(Request(arn, action, resource, context)).outcome for judge in self.judges}
        assert "unknown" not in got, (action, resource, context)
        return got == {"allowed"}


def boundaries(account: Account, name: str | None) -> list[Policy]:
    """The permissions boundary of that name, as deployed."""
    return [in_account(p.policy, ACCOUNT) for p in account.policies if name is not None and p.name == name]


def test_personal_is_root_no_more() -> None:
    """All rights with MFA, none without."""
    john = Person("personal", None, "john-admin")
    assert john.may("iam:CreateUser")
    assert not john.may("iam:CreateUser", aws__MultiFactorAuthPresent="false")


def test_small_team() -> None:
    """Developers build and do not pay; the intern's access ends; the bookkeeper sees bills and no server."""
    john, tom, ines = (Person("small-team", None, name) for name in ("john", "tom", "ines"))
    assert john.may("s3:PutObject", "arn:aws:s3:::acme-dev-data/x")
    assert not john.may("s3:PutObject", "arn:aws:s3:::acme-payroll/x")
    assert not john.may("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/people/maria")
    server = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"
    assert john.may("ec2:RunInstances", server, ec2__InstanceType="t3.micro")
    assert not john.may("ec2:RunInstances", server, ec2__InstanceType="p5.48xlarge")
    assert tom.may("ec2:StopInstances", server)
    assert not tom.may("ec2:StopInstances", server, aws__CurrentTime="2028-07-01T00:00:01Z")
    assert ines.may("billing:GetBillingData")
    assert not ines.may("ec2:DescribeInstances")


def test_company() -> None:
    """More in development than in production; support looks up one order at a time; roles only within the boundary."""
    server = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"
    for environment, expected in (("development", True), ("production", False)):
        maria = Person("company", environment, "maria")
        assert maria.may("ec2:StopInstances", server) is expected
        assert maria.may("ec2:DescribeInstances")
        assert not maria.may("ec2:StopInstances", server, aws__RequestedRegion="ap-southeast-2")
        lee = Person("company", environment, "lee")
        role = f"arn:aws:iam::{ACCOUNT}:role/app/web"
        boundary = f"arn:aws:iam::{ACCOUNT}:policy/baseline/workload-boundary"
        tag = {"aws__RequestTag_SLASH_owner": "lee"}
        assert lee.may("iam:CreateRole", role, iam__PermissionsBoundary=boundary, **tag) is expected
        assert not lee.may("iam:CreateRole", role, **tag)
        kim = Person("company", environment, "kim")
        orders = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/acme-orders"
        assert kim.may("dynamodb:GetItem", orders) is not expected
        assert not kim.may("dynamodb:GetItem", orders, aws__MultiFactorAuthAge="30000")
        assert not kim.may("dynamodb:Scan", orders)


READS = {
    "iam:GetAccountPasswordPolicy",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ListVirtualMFADevices",
}


@pytest.mark.parametrize("name", ["anna-admin", "john", "vera"])
def test_regulated_without_mfa_only_enrolment(name: str) -> None:
    """Of every action of the reference: a security key is enrolled and nothing else, and that at the office."""
    person = Person("regulated", "production", name)
    own = f"arn:aws:iam::{ACCOUNT}:user/people/{name}"
    without = {"aws__MultiFactorAuthPresent": "false", "aws__MultiFactorAuthAge": ""}
    allowed = {
        str(action)
        for service in catalog.services()
        for action in catalog.actions_of(f"{service}:*")
        if any(person.may(str(action), place, iam__RegisterSecurityKey="Create", **without) for place in ("*", own))
    }
    assert allowed == READS | {"iam:EnableMFADevice"}
    assert not person.may("iam:EnableMFADevice", own, **without)  # a code of six digits
    away = {"iam__RegisterSecurityKey": "Create", "aws__SourceIp": "198.51.100.1"}
    assert not person.may("iam:EnableMFADevice", own, **away, **without)


def test_organization() -> None:
    """Whoever signs in to the hub does nothing there but take roles; what the roles do, tests/test_hub.py judges."""
    for name in ("john", "maria", "olga", "dana"):
        person = Person("organization", "identity", name)
        assert not person.may("ec2:DescribeInstances")
        assert not person.may("sts:AssumeRole", "arn:aws:iam::333344445555:role/teams/administrators")
    olga = Person("organization", "identity", "olga")
    assert olga.may("sts:AssumeRole", "arn:aws:iam::333344445555:role/teams/operators")
    assert not olga.may("sts:AssumeRole", "arn:aws:iam::222233334444:role/teams/operators")


def test_regulated() -> None:
    """Nobody leaves the Region or the office; production is changed by operators alone, by tag, with fresh MFA."""
    server = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"
    john = Person("regulated", "development", "john")
    assert john.may("ec2:StopInstances", server)
    assert not john.may("ec2:StopInstances", server, aws__RequestedRegion="us-east-1")
    assert not john.may("ec2:StopInstances", server, aws__SourceIp="198.51.100.1")
    assert not Person("regulated", "production", "john").may("ec2:StopInstances", server)
    for name in ("anna-admin", "john", "dana", "sam", "vera"):
        person = Person("regulated", "production", name)
        assert not person.may("s3:PutObject", "arn:aws:s3:::acme-releases/x", aws__RequestedRegion="eu-central-1")
        assert not person.may("ec2:DescribeInstances", aws__SourceIp="198.51.100.1")
    dana = Person("regulated", "production", "dana")
    tag = {"aws__ResourceTag_SLASH_service": "payments"}
    assert dana.may("ec2:RebootInstances", server, **tag)
    assert not dana.may("ec2:RebootInstances", server)
    assert not dana.may("ec2:RebootInstances", server, aws__MultiFactorAuthAge="3600", **tag)
    group = f"arn:aws:autoscaling:eu-west-1:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/payments-a"
    assert dana.may("autoscaling:SetDesiredCapacity", group)
    assert not dana.may("autoscaling:SetDesiredCapacity", group, aws__MultiFactorAuthAge="3600")
    assert not dana.may("autoscaling:SetDesiredCapacity", group, aws__CurrentTime="2028-07-01T00:00:01Z")
    vera = Person("regulated", "production", "vera")
    assert vera.may("cloudtrail:LookupEvents")
    assert not vera.may("cloudtrail:LookupEvents", aws__CurrentTime="2028-04-01T00:00:01Z")
    # Break-glass has no fence: it is for the day when the fence is wrong.
    emergency = Person("regulated", "production", "break-glass-1")
    assert emergency.may(
        "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/break-glass/break-glass", aws__SourceIp="192.0.2.1"
    )
