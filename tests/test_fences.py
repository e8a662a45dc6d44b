"""The guardrails deny what they say and nothing else; break-glass is outside of all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dutybound import boundary, catalog, fence
from dutybound.baseline import Account
from dutybound.compiler import compile_text
from dutybound.config import Guardrails, WorkloadBoundary
from dutybound.diagnostic import render_all
from dutybound.evaluate import Judge, Request, decide, in_account, policies_of
from dutybound.grant import duty_access, example_use
from dutybound.pack import POLICY_SIZE
from dutybound.policy import Policy, Statement, glob
from dutybound.read import library_duty
from tests.test_stacks import synthesize

Keys = dict[str, str | tuple[str, ...]]
ACCOUNT = "123456789012"
IAM = f"arn:aws:iam::{ACCOUNT}:"
BASE = """\
version: 1
organization: {name: acme, owner: security@acme.example, home_region: eu-west-1}
break_glass: {users: [emergency], alert: [security@acme.example]}
teams:
  administrators: {purpose: Administer, members: [ann], duties: [administer]}
  developers: {purpose: Build, members: [tom], duties: [manage-servers, view-metrics]}
roles:
  web-server: {purpose: Serve, trusts: {service: ec2}, duties: [manage-servers]}
"""
FENCES = """\
guardrails:
  regions: [eu-west-1, us-east-1]
  instance_types: [t3.*, t4g.*]
  require_tags: [owner, cost-center]
  from: [203.0.113.0/24, 2001:db8::/32, vpc-0a1b2c3d4e5f60718]
  boundary: {path: /app/, services: [ec2, lambda, ecs-tasks]}
"""


def compiled(text: str) -> Account:
    """The account of a configuration without errors."""
    checked = compile_text(text)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value.accounts[0]


@pytest.fixture(scope="module")
def fenced() -> Account:
    """Everything fenced."""
    return compiled(BASE + FENCES)


def outcome(policies: Iterable[Policy], action: str, resource: str = "*", **keys: str | tuple[str, ...]) -> str:
    """The decision for a person or role with MFA at the office in the home Region, unless `keys` say otherwise.

    Keys are written with `__` for `:` and `_SLASH_` for `/`; an empty one is absent.
    """
    context: dict[str, str | tuple[str, ...]] = {
        "aws:MultiFactorAuthPresent": "true",
        "aws:ViaAWSService": "false",
        "aws:username": "tom",
        "aws:RequestedRegion": "eu-west-1",
        "aws:SourceIp": "203.0.113.9",
        **{k.replace("__", ":").replace("_SLASH_", "/"): v for k, v in keys.items()},
    }
    context = {k: v for k, v in context.items() if v}
    return decide(Request(f"{IAM}user/people/tom", action, resource, context), policies).outcome


# --- Regions


def test_every_exemption_exists() -> None:
    """Each exempt pattern matches an action of the reference, retired services of AWS's own list included."""
    for pattern in catalog.region_exemptions():
        assert any(catalog.actions_of(pattern)), pattern


@pytest.mark.parametrize(
    ("action", "region", "expected"),
    [
        ("ec2:RunInstances", "eu-west-1", "allowed"),
        ("s3:CreateBucket", "us-east-1", "allowed"),
        ("s3:CreateBucket", "us-east-2", "denied"),
        ("lambda:CreateFunction", "ap-southeast-2", "denied"),
        ("iam:CreateUser", "us-west-2", "allowed"),
        ("sts:GetCallerIdentity", "ap-south-1", "allowed"),
        ("signin:CreateOAuth2Token", "ap-south-1", "allowed"),
        ("cloudshell:CreateSession", "eu-central-1", "allowed"),
        ("cloudtrail:LookupEvents", "us-west-2", "allowed"),
        ("cloudtrail:StopLogging", "us-west-2", "denied"),
        ("s3:ListAllMyBuckets", "us-west-2", "allowed"),
        ("events:ListRules", "us-east-2", "denied"),
    ],
)
@pytest.mark.parametrize("via", ["false", "true", ""])
def test_regions(fenced: Account, action: str, region: str, expected: str, via: str) -> None:
    """An administrator's requests, direct, forwarded by a service, or by one that does not say so."""
    tags = {"aws:RequestTag_SLASH_owner": "x"}
    keys = {"aws__RequestedRegion": region, "aws__ViaAWSService": via, "ec2__InstanceType": "t3.micro", **tags}
    assert outcome(policies_of(fenced, "ann", ACCOUNT), action, "*", **keys) == expected


def test_the_alarm_is_deployed_from_behind_the_lock(fenced: Account) -> None:
    """Its stacks and rules stand where AWS logs sign-ins; an administrator works on them there, and on nothing else."""
    policies = policies_of(fenced, "ann", ACCOUNT)
    elsewhere = {"aws__RequestedRegion": "us-east-2"}
    stack = "arn:aws:cloudformation:us-east-2:123456789012:stack/"
    alarm = next(s for s in fenced.stacks if s.region == "us-east-2").name
    rule = "arn:aws:events:us-east-2:123456789012:rule/"
    for action in ("CreateChangeSet", "ExecuteChangeSet", "CreateStack", "UpdateStack", "DeleteStack"):
        assert outcome(policies, f"cloudformation:{action}", f"{stack}{alarm}/1", **elsewhere) == "allowed"
        assert outcome(policies, f"cloudformation:{action}", f"{stack}shop/1", **elsewhere) == "denied"
    for action in (
        "UpdateTerminationProtection",
        "ContinueUpdateRollback",
        "DescribeStackEvents",
        "DescribeChangeSet",
        "GetTemplate",
    ):
        assert outcome(policies, f"cloudformation:{action}", f"{stack}{alarm}/1", **elsewhere) == "allowed"
    for action in ("GetTemplateSummary", "ListStacks", "ValidateTemplate"):
        assert outcome(policies, f"cloudformation:{action}", "*", **elsewhere) == "allowed"
    for action in (
        "PutRule",
        "DescribeRule",
        "DeleteRule",
        "PutTargets",
        "RemoveTargets",
        "TagResource",
        "ListTagsForResource",
    ):
        assert outcome(policies, f"events:{action}", f"{rule}break-glass-call", **elsewhere) == "allowed"
        assert outcome(policies, f"events:{action}", f"{rule}mine", **elsewhere) == "denied"
    assert outcome(policies, "cloudformation:CreateStackSet", "*", **elsewhere) == "denied"


# --- instance types


@pytest.mark.parametrize(
    ("action", "resource", "keys", "expected"),
    [
        ("ec2:RunInstances", "instance/*", {"ec2__InstanceType": "t3.micro"}, "allowed"),
        ("ec2:RunInstances", "instance/*", {"ec2__InstanceType": "p5.48xlarge"}, "denied"),
        ("ec2:RunInstances", "instance/*", {}, "denied"),
        ("ec2:RunInstances", "subnet/subnet-1", {}, "allowed"),
        ("ec2:CreateFleet", "instance/*", {"ec2__InstanceType": "p5.48xlarge"}, "denied"),
        ("ec2:CreateFleet", "fleet/*", {}, "allowed"),
        ("ec2:AllocateHosts", "dedicated-host/*", {"ec2__InstanceType": "t3.micro"}, "allowed"),
        ("ec2:AllocateHosts", "dedicated-host/*", {}, "denied"),
        ("ec2:CreateCapacityReservation", "capacity-reservation/*", {"ec2__InstanceType": "p5.48xlarge"}, "denied"),
        ("ec2:ModifyInstanceAttribute", "instance/i-1", {"ec2__InstanceType": "t3.micro"}, "allowed"),
        ("ec2:ModifyInstanceAttribute", "instance/i-1", {"ec2__Attribute_SLASH_InstanceType": "p5.48xlarge"}, "denied"),
        ("ec2:ModifyInstanceAttribute", "instance/i-1", {"ec2__Attribute_SLASH_InstanceType": "t4g.nano"}, "allowed"),
        ("ec2:ModifyInstanceAttribute", "instance/i-1", {"ec2__InstanceType": "p5.48xlarge"}, "allowed"),
        ("ec2:StopInstances", "instance/i-1", {"ec2__InstanceType": "p5.48xlarge"}, "allowed"),
        ("ec2:TerminateInstances", "instance/i-1", {"ec2__InstanceType": "p5.48xlarge"}, "allowed"),
        ("ec2:RequestSpotFleet", "spot-fleet-request/*", {}, "denied"),
        ("autoscaling:CreateAutoScalingGroup", "x", {}, "allowed"),
        (
            "autoscaling:CreateAutoScalingGroup",
            "x",
            {"autoscaling__InstanceTypes": ("t3.micro", "t4g.nano")},
            "allowed",
        ),
        (
            "autoscaling:UpdateAutoScalingGroup",
            "x",
            {"autoscaling__InstanceTypes": ("t3.micro", "p5.4xlarge")},
            "denied",
        ),
        ("autoscaling:CreateLaunchConfiguration", "x", {"autoscaling__InstanceType": "p5.4xlarge"}, "denied"),
    ],
)
@pytest.mark.parametrize("via", ["false", "true"])
def test_instance_types(fenced: Account, action: str, resource: str, keys: Keys, expected: str, via: str) -> None:
    """Judged for an administrator: on the instance, not on what comes along, and through a service too."""
    arn = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:{resource}"
    got = outcome(policies_of(fenced, "ann", ACCOUNT), action, arn, **{**keys, "aws__ViaAWSService": via})
    assert got == expected


@given(st.lists(st.sampled_from(["t3.*", "t4g.*", "*.micro", "m7?.large", "p5.48xlarge"]), min_size=1, unique=True))
def test_every_type_is_in_or_out(patterns: list[str]) -> None:
    """A type starts if and only if a pattern matches it."""
    policy = Policy(
        (
            *fence.fence(Guardrails.model_validate({"instance_types": patterns}), "acme"),
            Statement("A", "Allow", ("*",), ("*",)),
        )
    )
    judge = Judge([policy])
    for type_ in catalog.instance_types():
        context = {"ec2:InstanceType": type_}
        request = Request("x", "ec2:RunInstances", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*", context)
        wanted = any(glob(p).fullmatch(type_) for p in patterns)
        assert (judge.decide(request).outcome == "allowed") is wanted, type_


def test_the_instance_types_are_those_of_botocore() -> None:
    """The file is made from the pinned botocore; a newer one says here what it brings."""
    import botocore.session

    known = botocore.session.get_session().get_service_model("ec2").shape_for("InstanceType").enum
    assert set(catalog.instance_types()) == set(known)


# --- tags


@pytest.mark.parametrize("who", ["tom", "web-server"])
def test_tags(fenced: Account, who: str) -> None:
    """Each tag alone is not enough; what takes none, and what is no creation, is not in the way."""
    policies = policies_of(fenced, who, ACCOUNT)
    owner, center = {"aws__RequestTag_SLASH_owner": "a"}, {"aws__RequestTag_SLASH_cost-center": "b"}
    small = {"ec2__InstanceType": "t3.micro"}
    ec2 = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:"
    for resource in ("instance/*", "volume/*"):
        for keys, expected in ((owner, "denied"), (center, "denied"), ({}, "denied"), ({**owner, **center}, "allowed")):
            assert outcome(policies, "ec2:RunInstances", ec2 + resource, **small, **keys) == expected, (resource, keys)
    for resource in ("subnet/s", "security-group/g", "network-interface/*", "key-pair/k"):
        assert outcome(policies, "ec2:RunInstances", ec2 + resource, **small) == "allowed"
    assert outcome(policies, "ec2:CreateVolume", f"{ec2}volume/*", **owner) == "denied"
    assert outcome(policies, "ec2:StartInstances", f"{ec2}instance/i-1") == "allowed"
    assert outcome(policies, "ec2:CreateTags", f"{ec2}instance/i-1") == "allowed"


@given(
    st.lists(
        st.sampled_from([a for s in ("ec2", "s3", "rds", "iam", "ecs") for a in catalog.service(s).actions.values()])
    )
)
def test_tag_denies_speak_of_creations_that_are_granted(actions: list[catalog.Action]) -> None:
    """Whatever is granted, only granted actions that create and take tags are denied without one."""
    wanted = Guardrails.model_validate({"require_tags": ["owner"]})
    granted = Statement("A", "Allow", tuple(sorted({str(a) for a in actions})), ("*",))
    denied = {
        action
        for s in fence.tags(wanted, [granted] if actions else [], [])
        for pattern in s.actions
        for action in catalog.actions_of(pattern)
    }
    assert denied <= set(actions)
    for action in set(actions):
        takes = action.name.lower() in catalog.tagged_types(action.service)
        creates = action.name.startswith(("Create", "Run", "Copy", "Allocate", "Restore", "Request", "Purchase"))
        assert (action in denied) == (
            takes and creates and action.level in ("write", "permissions") and action.name != "CreateVirtualMFADevice"
        )


@pytest.mark.parametrize("action", ["EC2:runinstances", "ec2:*", "*"])
def test_tags_however_the_grant_is_written(action: str) -> None:
    """IAM ignores the case of actions, and a raw statement may name them all."""
    wanted = Guardrails.model_validate({"require_tags": ["owner"]})
    for granted in (Statement("A", "Allow", (action,), ("*",)), Statement("A", "Allow", (), ("*",), ("iam:*",))):
        denied = Policy((*fence.tags(wanted, [granted], []), Statement("All", "Allow", ("*",), ("*",))))
        instance = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*"
        assert outcome([denied], "ec2:RunInstances", instance) == "denied"


def test_administrators_are_not_asked_for_tags(fenced: Account) -> None:
    """The denies of a thousand actions fit nowhere, and the baseline is deployed by them without stack tags."""
    policies = policies_of(fenced, "ann", ACCOUNT)
    assert outcome(policies, "s3:CreateBucket", "arn:aws:s3:::x") == "allowed"
    stack = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/acme-teams/1"
    assert outcome(policies, "cloudformation:CreateChangeSet", stack) == "allowed"


# --- places

OFFICE = {"aws__SourceIp": "203.0.113.9"}
HOME = {"aws__SourceIp": "198.51.100.7"}
SIXTH = {"aws__SourceIp": "2001:db8::7"}
OUR_VPC = {"aws__SourceIp": "", "aws__SourceVpc": "vpc-0a1b2c3d4e5f60718"}
OTHER_VPC = {"aws__SourceIp": "", "aws__SourceVpc": "vpc-11111111"}
NOWHERE = {"aws__SourceIp": ""}
FORWARDED = {"aws__SourceIp": "52.94.0.1", "aws__ViaAWSService": "true"}
SILENT = {"aws__SourceIp": "52.94.0.1", "aws__ViaAWSService": ""}


@pytest.mark.parametrize(
    ("networks", "allowed", "denied"),
    [
        (["203.0.113.0/24", "vpc-0a1b2c3d4e5f60718"], [OFFICE, OUR_VPC, FORWARDED], [HOME, SIXTH, OTHER_VPC, NOWHERE]),
        (["203.0.113.0/24"], [OFFICE, FORWARDED], [HOME, SIXTH, OUR_VPC, OTHER_VPC, NOWHERE, SILENT]),
        (["203.0.113.9", "2001:db8::/32"], [OFFICE, SIXTH], [HOME, OUR_VPC]),
        (["vpc-0a1b2c3d4e5f60718"], [OUR_VPC, FORWARDED], [OFFICE, HOME, OTHER_VPC, NOWHERE]),
    ],
)
def test_places(networks: list[str], allowed: list[dict[str, str]], denied: list[dict[str, str]]) -> None:
    """Over the internet the address counts, through an endpoint the VPC; a request with neither comes from nowhere."""
    account = compiled(f"{BASE}guardrails: {{from: {json.dumps(networks)}}}\n")
    for expected, places in (("allowed", allowed), ("denied", denied)):
        for place in places:
            for who, action in (("ann", "s3:CreateBucket"), ("tom", "cloudwatch:GetMetricData")):
                assert outcome(policies_of(account, who, ACCOUNT), action, "*", **place) == expected, (who, place)
    assert outcome(policies_of(account, "web-server", ACCOUNT), "ec2:DescribeInstances", "*", **HOME) == "allowed"


# --- all of it


def test_break_glass_is_outside(fenced: Account) -> None:
    """From anywhere, anywhere, of any size: the way in when a fence is drawn wrong."""
    policies = policies_of(fenced, "emergency", ACCOUNT)
    keys = {"ec2__InstanceType": "p5.48xlarge", "aws__RequestedRegion": "ap-south-1", **HOME}
    assert outcome(policies, "ec2:RunInstances", f"arn:aws:ec2:ap-south-1:{ACCOUNT}:instance/*", **keys) == "allowed"
    assert outcome(policies, "iam:DeletePolicy", f"{IAM}policy/baseline/guardrails-people", **keys) == "allowed"
    assert not any("guardrails" in p for g in fenced.groups if g.path == "/break-glass/" for p in g.policies)


def test_what_is_attached(fenced: Account) -> None:
    """One policy on every group of people, one on every role; nothing without the key, and only what the key asks."""
    for group in fenced.groups:
        assert ("guardrails-people" in group.policies) == (group.path == "/teams/")
        assert len(group.policies) + len(group.managed) <= 10
    assert all("guardrails-roles" in role.policies for role in fenced.roles)
    by_name = {p.name: p for p in fenced.policies}
    assert {n: (p.path, p.stack) for n, p in by_name.items() if p.path == "/baseline/"} == {
        "enforce-mfa": ("/baseline/", "acme-teams"),
        "guardrails-people": ("/baseline/", "acme-teams"),
        "guardrails-roles": ("/baseline/", "acme-roles"),
        "workload-boundary": ("/baseline/", "acme-boundary"),
    }
    assert all(p.policy.size <= POLICY_SIZE for p in fenced.policies)
    plain = compiled(BASE)
    assert [p.name for p in plain.policies if p.path == "/baseline/"] == ["enforce-mfa"]
    assert [s.name for s in plain.stacks if s.name == "acme-boundary"] == []
    assert compiled(BASE + "guardrails: {require_tags: [owner]}\n").policy("team-developers") != plain.policy(
        "team-developers"
    )
    only_place = compiled(BASE + "guardrails: {from: [203.0.113.0/24]}\n")
    assert all("guardrails-roles" not in r.policies for r in only_place.roles)


def test_guardrails_that_fit_nowhere() -> None:
    """A policy over the quota is an error, not a template that IAM refuses."""
    networks = ", ".join(f"203.0.{i}.{j}" for i in range(20) for j in range(20))
    checked = compile_text(f"{BASE}guardrails: {{from: [{networks}]}}\n")
    assert [d.name for d in checked.diagnostics] == ["too-many-guardrails"]


def test_synthesized(tmp_path: Path) -> None:
    """The whole of it, with the boundary of people, passes the CDK's validation and cfn-lint."""
    config = tmp_path / "config.yaml"
    config.write_text(f"{BASE}{FENCES}mfa: {{enforce_via: both, devices: fido}}\n", encoding="utf-8")
    run = synthesize(config, tmp_path / "out", validation=True)
    assert run.returncode == 0, run.stderr
    people = json.loads((tmp_path / "out" / "acme-teams.template.json").read_text(encoding="utf-8"))["Resources"]
    users = [r["Properties"] for r in people.values() if r["Type"] == "AWS::IAM::User"]
    bounds = {people[u["PermissionsBoundary"]["Ref"]]["Properties"]["ManagedPolicyName"] for u in users}
    assert (len(users), bounds) == (2, {"people-boundary"})
    kept = json.loads((tmp_path / "out" / "acme-boundary.template.json").read_text(encoding="utf-8"))["Resources"]
    assert [r["DeletionPolicy"] for r in kept.values()] == ["Retain"]
    templates = (tmp_path / "out").glob("*.template.json")
    files = sorted(str(f) for f in templates if json.loads(f.read_bytes()).get("Resources"))  # the CDK deploys no other
    lint = Path(sys.executable).with_name("cfn-lint")
    command = [str(lint), "--non-zero-exit-code", "error", "--format", "parseable", "--", *files]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


# --- the boundary of what teams create

Case = tuple[str, str, Keys]
WANTED = WorkloadBoundary.model_validate({"path": "/app/", "services": ["ec2", "lambda", "ecs-tasks"]})
STACKS = ("acme-boundary", "acme-break-glass", "acme-break-glass-alarm", "acme-roles", "acme-teams")
BOUND: Keys = {"iam__PermissionsBoundary": f"{IAM}policy/baseline/workload-boundary"}
WIDER: Keys = {"iam__PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
TO_EC2: Keys = {"iam__PassedToService": "ec2.amazonaws.com"}
ANYTHING = Policy((Statement("Anything", "Allow", ("*",), ("*",)),))
ACCESS = duty_access(
    example_use(boundary.CREATE_ROLES, library_duty(boundary.CREATE_ROLES)), library_duty(boundary.CREATE_ROLES), []
)
DUTY = in_account(Policy(ACCESS.statements), ACCOUNT)
GUARDS = in_account(Policy(boundary.guard_statements(WANTED, STACKS)), ACCOUNT)
BOUNDARY = in_account(boundary.boundary_policy(WANTED, STACKS), ACCOUNT)
STACK = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/"

WORK: list[Case] = [
    ("iam:CreateRole", f"{IAM}role/app/api", BOUND),
    ("iam:PutRolePolicy", f"{IAM}role/app/api", BOUND),
    ("iam:AttachRolePolicy", f"{IAM}role/app/api", BOUND),
    ("iam:PutRolePermissionsBoundary", f"{IAM}role/app/api", BOUND),
    ("iam:UpdateAssumeRolePolicy", f"{IAM}role/app/api", {}),
    ("iam:DeleteRole", f"{IAM}role/app/api", {}),
    ("iam:CreatePolicy", f"{IAM}policy/app/api", {}),
    ("iam:CreatePolicyVersion", f"{IAM}policy/app/api", {}),
    ("iam:AddRoleToInstanceProfile", f"{IAM}instance-profile/app/api", {}),
    ("iam:PassRole", f"{IAM}role/app/api", TO_EC2),
    (
        "iam:CreateServiceLinkedRole",
        f"{IAM}role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
        {"iam__AWSServiceName": "ecs.amazonaws.com"},
    ),
]
ESCALATIONS: list[Case] = [
    ("iam:CreatePolicyVersion", f"{IAM}policy/baseline/workload-boundary", {}),
    ("iam:SetDefaultPolicyVersion", f"{IAM}policy/baseline/workload-boundary", {}),
    ("iam:DeletePolicy", f"{IAM}policy/baseline/workload-boundary", {}),
    ("iam:CreatePolicyVersion", f"{IAM}policy/duties/team-developers", {}),
    ("iam:CreatePolicyVersion", f"{IAM}policy/somewhere-else", {}),
    ("iam:DeleteRolePermissionsBoundary", f"{IAM}role/app/api", BOUND),
    ("iam:DeleteUserPermissionsBoundary", f"{IAM}user/people/tom", {}),
    ("iam:PutRolePermissionsBoundary", f"{IAM}role/app/api", WIDER),
    ("iam:PutUserPermissionsBoundary", f"{IAM}user/people/tom", BOUND),
    ("iam:CreateRole", f"{IAM}role/app/api", {}),
    ("iam:CreateRole", f"{IAM}role/app/api", WIDER),
    ("iam:CreateRole", f"{IAM}role/api", BOUND),
    ("iam:CreateRole", f"{IAM}role/api", {"iam__RoleTemplateARN": "arn:aws:iam::aws:role-template/PowerUser", **BOUND}),
    ("iam:PutRolePolicy", f"{IAM}role/app/old-and-unbounded", {}),
    ("iam:AttachRolePolicy", f"{IAM}role/roles/web-server", BOUND),
    ("iam:AddUserToGroup", f"{IAM}group/teams/administrators", {}),
    ("iam:CreateGroup", f"{IAM}group/mine", {}),
    ("iam:AttachGroupPolicy", f"{IAM}group/teams/developers", {}),
    ("iam:PutGroupPolicy", f"{IAM}group/teams/developers", {}),
    ("iam:AttachUserPolicy", f"{IAM}user/people/tom", BOUND),
    ("iam:PutUserPolicy", f"{IAM}user/people/tom", BOUND),
    ("iam:CreateUser", f"{IAM}user/mine", BOUND),
    ("iam:CreateLoginProfile", f"{IAM}user/people/ann", {}),
    ("iam:UpdateLoginProfile", f"{IAM}user/people/ann", {}),
    ("iam:CreateAccessKey", f"{IAM}user/people/ann", {}),
    ("iam:DeactivateMFADevice", f"{IAM}user/people/ann", {}),
    ("iam:EnableMFADevice", f"{IAM}user/break-glass/emergency", {}),
    ("iam:UploadSigningCertificate", f"{IAM}user/people/ann", {}),
    ("iam:UpdateAssumeRolePolicy", f"{IAM}role/roles/web-server", {}),
    ("iam:UpdateAssumeRolePolicy", f"{IAM}role/OrganizationAccountAccessRole", {}),
    ("iam:AddRoleToInstanceProfile", f"{IAM}instance-profile/roles/web-server", {}),
    ("iam:PassRole", f"{IAM}role/roles/web-server", TO_EC2),
    ("iam:PassRole", f"{IAM}role/cdk-hnb659fds-cfn-exec-role-{ACCOUNT}-eu-west-1", TO_EC2),
    ("iam:PassRole", f"{IAM}role/app/api", {"iam__PassedToService": "cloudformation.amazonaws.com"}),
    ("iam:PassRole", f"{IAM}role/app/api", {}),
    ("iam:PutAccountProperties", "*", {"iam__AccountPropertyNamespaces": ("RoleManager",)}),
    ("iam:AcceptDelegationRequest", f"{IAM}delegation-request/1", {}),
    ("iam:SendDelegationToken", f"{IAM}delegation-request/1", {}),
    ("iam:CreateSAMLProvider", f"{IAM}saml-provider/x", {}),
    ("iam:CreateOpenIDConnectProvider", f"{IAM}oidc-provider/x", {}),
    ("iam:UpdateAccountPasswordPolicy", "*", {}),
    ("account-access:CreateEntitlement", "*", {}),
    ("sts:AssumeRole", f"{IAM}role/cdk-hnb659fds-deploy-role-{ACCOUNT}-eu-west-1", {}),
    ("sts:AssumeRole", f"{IAM}role/break-glass/break-glass", {}),
    ("cloudformation:UpdateStack", f"{STACK}acme-teams/1", {}),
    ("cloudformation:CreateChangeSet", f"{STACK}acme-boundary/1", {}),
    ("cloudformation:DeleteStack", f"{STACK}acme-break-glass-alarm-us-east-2/1", {}),
    ("events:DisableRule", f"arn:aws:events:us-east-1:{ACCOUNT}:rule/break-glass-call", {}),
    ("sns:Unsubscribe", f"arn:aws:sns:eu-west-1:{ACCOUNT}:break-glass-alarm", {}),
    ("cloudtrail:StopLogging", f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/main", {}),
]


@pytest.mark.parametrize("case", WORK, ids=lambda c: f"{c[0]} {c[1].rpartition(':')[2]}")
def test_creators_work(case: Case) -> None:
    """What the duty is for: allowed to the creator with the guards on, and to a bounded role that may do all else."""
    action, resource, keys = case
    assert outcome([DUTY, GUARDS], action, resource, **keys) == "allowed"
    assert outcome([BOUNDARY], action, resource, **keys) == "allowed"


@pytest.mark.parametrize("case", ESCALATIONS, ids=lambda c: f"{c[0]} {c[1].rpartition(':')[2]}")
def test_no_escalation(case: Case) -> None:
    """Denied to the creator by the duty alone, by the guards whatever else is granted, and by the boundary."""
    action, resource, keys = case
    assert outcome([DUTY], action, resource, **keys) == "denied"
    assert outcome([DUTY, GUARDS, ANYTHING], action, resource, **keys) == "denied"
    assert outcome([BOUNDARY], action, resource, **keys) == "denied"


PLACES = (
    *(f"{IAM}role/{name}" for name in ("app/api", "api", "roles/web-server", "cdk-x", "break-glass/alarm")),
    *(f"{IAM}policy/{name}" for name in ("app/api", "api", "baseline/workload-boundary", "duties/team-a")),
    *(f"{IAM}user/people/{name}" for name in ("tom", "ann")),
    *(f"{IAM}{name}" for name in ("group/teams/a", "instance-profile/app/x", "saml-provider/x", "oidc-provider/x")),
    "*",
)
CHANGES = [a for a in catalog.service("iam").actions.values() if a.level not in ("list", "read")]
KEYS: tuple[Keys, ...] = ({}, BOUND, WIDER, TO_EC2, {**BOUND, **TO_EC2})


@given(st.sampled_from(CHANGES), st.sampled_from(PLACES), st.sampled_from(KEYS))
def test_in_iam_only_the_path_and_oneself(action: catalog.Action, place: str, keys: Keys) -> None:
    """Any change in IAM, whatever else is granted: only under the path, on oneself, or on what is nobody's."""
    harmless = {"mfa", "server-certificate"} & set(action.types) or "ServiceLinkedRole" in action.name
    own = place.startswith((f"{IAM}role/app/", f"{IAM}policy/app/", f"{IAM}instance-profile/app/"))
    self_service = place == f"{IAM}user/people/tom"
    if outcome([DUTY, GUARDS, ANYTHING], str(action), place, **keys) == "allowed" and not harmless:
        assert own or self_service, (str(action), place)
        if self_service:
            assert "MFA" in action.name or action.name.endswith(("AccessKey", "ChangePassword")), str(action)
    if outcome([BOUNDARY], str(action), place, **keys) == "allowed":
        assert own or "ServiceLinkedRole" in action.name, (str(action), place)


def test_the_boundary_holds_what_the_duty_says() -> None:
    """The duty's file and the ceiling of the boundary allow the same changes."""
    levels = {str(a): a.level for a in catalog.service("iam").actions.values()}

    def changes(statements: Iterable[Statement]) -> set[tuple[str, object, object]]:
        return {
            (action, s.resources, s.conditions)
            for s in statements
            for action in s.actions
            if levels.get(action) not in ("list", "read", None)
        }

    assert changes(ACCESS.statements) == changes(boundary.boundary_duty_statements(WANTED))


def test_a_team_that_creates_roles() -> None:
    """From the configuration: works under its path, and not even another duty, or a raw statement, lets it out."""
    duty = """
duties:
  all-of-iam:
    summary: Everything in IAM
    grants: [{statements: [{Effect: Allow, Action: "iam:*", Resource: "*"}], why: To see the guards hold}]
    expect: [{allow: iam:CreateUser}, {deny: s3:CreateBucket}]
waivers:
  - {finding: wide-action, for: duty all-of-iam, reason: A test, until: 2027-01-31}
  - {finding: wide-resource, for: duty all-of-iam, reason: A test, until: 2027-01-31}
"""
    base = BASE.replace("[manage-servers, view-metrics]", "[create-roles, all-of-iam]")
    policies = policies_of(compiled(base + FENCES + duty), "tom", ACCOUNT)
    tags: Keys = {"aws__RequestTag_SLASH_owner": "a", "aws__RequestTag_SLASH_cost-center": "b"}
    for action, resource, keys in WORK:
        assert outcome(policies, action, resource, **keys, **tags) == "allowed", action
    for action, resource, keys in ESCALATIONS:
        assert outcome(policies, action, resource, **keys, **tags) == "denied", (action, resource)
    assert outcome(policies, "iam:CreateRole", f"{IAM}role/app/api", **BOUND) == "denied"  # no tags


def test_many_tags_are_no_way_to_an_administrator() -> None:
    """Each tag is there or not, and 24 of them are 16 million cases: no reason to find what is not."""
    tags = ", ".join(f"tag-{i}" for i in range(24))
    fences = f"guardrails: {{require_tags: [{tags}], boundary: {{path: /app/, services: [ec2]}}}}\n"
    checked = compile_text(BASE.replace("[manage-servers, view-metrics]", "[create-roles]") + fences)
    assert [d.message for d in checked.diagnostics if d.name == "escalation"] == []
    assert checked.value is not None


def test_creating_roles_takes_a_boundary() -> None:
    """Without `guardrails.boundary` the duty is refused."""
    checked = compile_text(BASE.replace("view-metrics", "create-roles"))
    assert {d.name for d in checked.diagnostics} == {"no-boundary"}


def test_roles_from_templates() -> None:
    """IAM role manager makes roles from AWS's templates: not even under the path, and with the boundary."""
    keys: Keys = {"iam__RoleTemplateARN": "arn:aws:iam::aws:role-template/PowerUser", **BOUND}
    assert outcome([DUTY, GUARDS], "iam:CreateRole", f"{IAM}role/app/api", **keys) == "denied"


def test_creators_keep_their_own_devices() -> None:
    """The guards are for people too, who enrol and change their password."""
    user = f"{IAM}user/people/tom"
    for action in ("iam:EnableMFADevice", "iam:ChangePassword", "iam:ResyncMFADevice", "iam:DeactivateMFADevice"):
        assert outcome([GUARDS, ANYTHING], action, user) == "allowed"
    assert outcome([GUARDS, ANYTHING], "iam:CreateVirtualMFADevice", f"{IAM}mfa/tom") == "allowed"


@given(
    st.lists(st.sampled_from(sorted(catalog.service_principals())), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from(catalog.regions()), min_size=1, max_size=8, unique=True),
)
def test_the_boundary_fits(services: list[str], regions: list[str]) -> None:
    """With five services, eight Regions and six families there is still room."""
    types = ["t3.*", "t4g.*", "m7i.*", "m7g.*", "c7i.*", "c7g.*"]
    wanted = WorkloadBoundary.model_validate({"path": "/workloads/", "services": services})
    guardrails = Guardrails.model_validate({"regions": regions, "instance_types": types})
    stacks = (*STACKS, "acme-break-glass-alarm-us-east-1", "acme-break-glass-alarm-us-east-2")
    policy = boundary.boundary_policy(wanted, stacks, *fence.workload_fence(guardrails))
    assert policy.size <= POLICY_SIZE


def test_the_boundary_keeps_the_fences(fenced: Account) -> None:
    """What a team's role may at most do is fenced like the team."""
    policies = [in_account(fenced.policy("workload-boundary").policy, ACCOUNT)]
    instance = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*"
    assert outcome(policies, "ec2:RunInstances", instance, ec2__InstanceType="t3.micro") == "allowed"
    assert outcome(policies, "ec2:RunInstances", instance, ec2__InstanceType="p5.48xlarge") == "denied"
    assert outcome(policies, "ec2:AllocateHosts", "*", ec2__InstanceType="t3.micro") == "denied"
    assert outcome(policies, "dynamodb:PutItem", "*", aws__RequestedRegion="ap-south-1") == "denied"
    assert outcome(policies, "dynamodb:PutItem", "*") == "allowed"
    for action in ("organizations:LeaveOrganization", "account:CloseAccount", "sso:CreatePermissionSet"):
        assert outcome(policies, action) == "denied"


def test_every_action_exists() -> None:
    """No name in the policies is a slip of the pen."""
    for statement in (*DUTY.statements, *GUARDS.statements, *BOUNDARY.statements):
        for pattern in (*statement.actions, *statement.not_actions):
            assert pattern == "*" or any(catalog.actions_of(pattern)), pattern
