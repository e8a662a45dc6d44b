"""Policies of AWS Organizations, proved by the judge: they stop what they must, and nothing that the baseline needs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from dutybound import catalog
from dutybound.baseline import Account, OrganizationPolicy
from dutybound.callers import callers
from dutybound.changes import Review, review
from dutybound.compiler import compile_deployment, compile_everywhere
from dutybound.config import Duty
from dutybound.diagnostic import render_all
from dutybound.evaluate import Judge, Policies, Request
from dutybound.grant import LOOKING
from dutybound.organization import MOST_RCPS, MOST_SCPS, RCP, RCP_SIZE, SCP, SCP_SIZE
from dutybound.policy import EVERYBODY, Policy, Statement, minified
from dutybound.read import library, library_duty
from dutybound.rollout import Deployment
from tests.conftest import CASES, ROOT
from tests.test_explain import asked

TEXT = (CASES / "organization.yaml").read_text(encoding="utf-8")
CENTER = """\
version: 1
organization:
  name: acme
  owner: security@acme.example
  home_region: eu-west-1
  people_in: identity-center
  management: root
  identity_center: {instance: "arn:aws:sso:::instance/ssoins-1234567890abcdef", store: d-1234567890}
accounts: {root: {id: "100000000000"}, dev: {id: "200000000000", environment: development}}
roles:
  deploy: {purpose: Deploy, trusts: {github: {repository: acme/web, environment: production}}, duties: [view-metrics]}
break_glass: {users: [emergency], alert: [security@acme.example]}
guardrails: {organization: [no-users, keep-baseline]}
"""
_EXAMPLE = "\n".join(f.read_text(encoding="utf-8") for f in sorted((ROOT / "examples" / "organization").glob("*.yaml")))
EXAMPLE = (
    _EXAMPLE.replace("\naccounts:\n", '\naccounts:\n  management: {id: "100000000000"}\n')
    .replace("  hub: identity ", "  management: management\n  root: r-ab12\n  hub: identity ")
    .replace(
        "  regions: [eu-west-1]\n",
        "  regions: [eu-west-1]\n  organization:\n    root: true\n"
        "    rules: [no-root, stay, keep-baseline, keep-trail, regions, perimeter]\n",
    )
)
"""The example of an organization, with policies over all of it."""
ACCOUNT = "200000000000"
IAM = f"arn:aws:iam::{ACCOUNT}:"
ROWS: list[dict[str, Any]] = yaml.safe_load((CASES / "organization-policies.yaml").read_text(encoding="utf-8"))
ALL = Policy((Statement("All", "Allow", ("*",), ("*",)),))
OPEN = Policy((Statement("Open", "Allow", ("*",), ("*",), principals=(EVERYBODY,)),))
EXEMPT = (
    "role/OrganizationAccountAccessRole",
    "role/cdk-acme-cfn-exec-role-200000000000-eu-west-1",
    "role/stacksets-exec-0a1b",
    "role/break-glass/break-glass",
    "user/break-glass/emergency",
)
CREATES = {
    "ec2:AllocateAddress": "elastic-ip/*",
    "ec2:CreateImage": "image/*",
    "ec2:CreateKeyPair": "key-pair/*",
    "ec2:CreateSnapshot": "snapshot/*",
    "ec2:CreateVolume": "volume/*",
    "ec2:RunInstances": "instance/*",
}
"""What the developers' duty creates, on the type that takes the tags."""


@cache
def compiled(text: str) -> Deployment:
    """The deployment of a configuration without errors."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(text, encoding="utf-8")
        checked = compile_deployment(file)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value


def errors(tmp_path: Path, text: str) -> dict[str, str]:
    """The errors of a configuration by name, with their messages."""
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return {d.name: d.message for one in compile_everywhere(file).values() for d in one.diagnostics}


def over(policies: Sequence[OrganizationPolicy], kind: str) -> tuple[tuple[Policy, ...], ...]:
    """The levels of one kind: the root, and a unit that ours are attached to."""
    return ((ALL,), (ALL, *(p.policy for p in policies if p.kind == kind)))


def judge(policies: Sequence[OrganizationPolicy], identity: tuple[Policy, ...] = (ALL,)) -> Judge:
    """The judge of a principal of a member account, where resources let everybody in."""
    scps, rcps = over(policies, SCP), over(policies, RCP)
    rcps = tuple(tuple(p for p in level if p is not ALL) for level in rcps)
    return Judge(Policies(identity=identity, resource=OPEN, scps=scps, rcps=rcps))


def requested(by: str, action: str, on: str = "*", when: Mapping[str, Any] | None = None) -> Request:
    """A request as a row of the table writes it."""
    context: dict[str, Any] = {
        "aws:RequestedRegion": "eu-west-1",
        "aws:RequestTag/owner": "a",
        "aws:RequestTag/cost-center": "b",
        "aws:PrincipalOrgID": "o-a1b2c3d4e5",
        "aws:PrincipalIsAWSService": "false",
    }
    account, _, name = by.rpartition(":")
    account = account or ACCOUNT
    if by == "*":
        principal = by
    elif by.endswith(".amazonaws.com"):
        principal = by
        del context["aws:PrincipalOrgID"]
        context["aws:PrincipalIsAWSService"] = "true"
    else:
        context["aws:PrincipalAccount"] = account
        context["aws:PrincipalArn"] = principal = f"arn:aws:iam::{account}:{name}"
        if name.startswith("role/"):
            principal = f"arn:aws:sts::{account}:assumed-role/{name.rpartition('/')[2]}/session"
    for key, value in (when or {}).items():
        context[key] = tuple(value) if isinstance(value, list) else value
    context = {key: value for key, value in context.items() if value is not None}
    if on.startswith(("arn:aws:s3:", "arn:aws:iam:")):
        context.setdefault("aws:ResourceAccount", ACCOUNT)
    return Request(principal, action, on.replace("{iam}", IAM), context)


def wrong(policies: Sequence[OrganizationPolicy], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows that come out otherwise than they say."""
    one = judge(policies)
    out = []
    for row in rows:
        decision = one.decide(requested(row["by"], row["action"], row.get("resource", "*"), row.get("when")))
        if decision.outcome != row["is"]:
            out.append(
                f"{row['by']}: {row['action']} on {row.get('resource', '*')} is {decision.outcome} {decision.reason}"
            )
    return out


def untagged(policies: Sequence[OrganizationPolicy]) -> list[str]:
    """What is made without one of the tags, or cannot be made with both."""
    one = judge(policies)
    out = []
    for action, kind in CREATES.items():
        arn = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:{kind}"
        arn = arn.replace(f"{ACCOUNT}:", ":") if kind in ("image/*", "snapshot/*") else arn
        for tags, outcome in (({}, "allowed"), ({"owner": None}, "denied"), ({"cost-center": None}, "denied")):
            when = {"ec2:InstanceType": "t3.micro", **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}
            if one.decide(requested("role/admin", action, arn, when)).outcome != outcome:
                out.append(f"{action} without {sorted(tags)} is not {outcome}")
    return out


def rows_with(name: str) -> list[dict[str, Any]]:
    """The rows about one of the two organizations."""
    return [row for row in ROWS if row.get("with", "iam") == name]


# --- what they stop, and what they leave alone ----------------------------------------------------------------------


def test_the_table() -> None:
    """Every row, and every tag."""
    policies = compiled(TEXT).policies
    assert wrong(policies, rows_with("iam")) == []
    assert untagged(policies) == []
    assert wrong(compiled(CENTER).policies, rows_with("no-users")) == []
    assert len(ROWS) > 95


def without(policies: Sequence[OrganizationPolicy], sid: str) -> list[OrganizationPolicy]:
    """The policies without one of their statements."""
    kept = ((p, tuple(s for s in p.policy.statements if s.sid != sid)) for p in policies)
    return [replace(p, policy=replace(p.policy, statements=statements)) for p, statements in kept]


@pytest.mark.parametrize(("text", "name"), [(TEXT, "iam"), (CENTER, "no-users")], ids=["iam", "center"])
def test_no_statement_is_idle(text: str, name: str) -> None:
    """Without any one of them, a row of the table or a tag comes out otherwise; the shared ones count once."""
    policies = compiled(text).policies
    rows = rows_with(name)
    idle = []
    for sid in sorted(s.sid for p in policies for s in p.policy.statements):
        fewer = without(policies, sid)
        if not wrong(fewer, rows) and not (name == "iam" and untagged(fewer)):
            idle.append(sid)
    shown_with_iam = {"KeepAlarm", "KeepBus", "KeepExempt", "KeepStacks"} if name == "no-users" else set()
    assert set(idle) - shown_with_iam == set()


@pytest.mark.parametrize("text", [TEXT, EXAMPLE], ids=["iam", "example"])
def test_nobody_of_the_baseline_gets_an_exemption(text: str) -> None:
    """No caller of any account, administrators and an administrator made by hand too, makes or changes what is spared,
    hands it to a service, or moves a user there; only break-glass is spared itself.
    """
    deployment = compiled(text)
    exempt = [name for name in EXEMPT if text == TEXT or not name.startswith(("role/cdk", "role/stack"))]
    changing = [a for a in catalog.actions_of("iam:*") if {"role", "user"} & set(a.types) and a.level not in LOOKING]
    changing = [a for a in changing if a.name not in ("CreateServiceLinkedRole", "DeleteServiceLinkedRole")]
    assert len(changing) > 40
    tried = 0
    for _, baseline in deployment.baselines:
        for account in baseline.accounts:
            known = [
                (c.arn, c.role or c.arn, c.policies) for c in callers(baseline, account) if c.kind != "break-glass"
            ]
            by_hand = f"arn:aws:iam::{account.id}:role/admin"
            known.append((by_hand, by_hand, Policies(identity=(ALL,))))
            for arn, principal, policies in known:
                one = Judge(replace(policies, scps=over(deployment.policies, SCP)))
                for name in exempt:
                    for action in changing:
                        kind = name.partition("/")[0]
                        if kind in action.types:
                            resource = f"arn:aws:iam::{account.id}:{name}"
                            context = {"aws:PrincipalArn": principal, "aws:MultiFactorAuthPresent": "true"}
                            request = Request(arn, str(action), resource, context)
                            assert one.decide(request).outcome == "denied", request
                            tried += 1
    assert tried > 1000


@dataclass(frozen=True)
class Use:
    """What a duty of the library promises to allow."""

    duty: str
    action: str
    resource: str
    when: Mapping[str, Any]


def uses() -> list[Use]:
    """Every request that the library's duties allow by their own tests."""
    out = []
    for name in library():
        duty: Duty = library_duty(name)
        for expectation in duty.expect:
            if expectation.allow:
                action, _, resource = expectation.request.partition(" on ")
                when = {str(k): list(map(str, v)) for k, v in expectation.when.items()}
                out.append(Use(name, action, resource or "*", {k: v[0] if len(v) == 1 else v for k, v in when.items()}))
    return out


STOPPED = {
    "administer iam:CreateUser on arn:aws:iam::111122223333:user/people/maria": "people come with the baseline",
}
"""What a duty allows and the policies stop, and why that is meant."""


def test_ordinary_duties_still_work() -> None:
    """Whatever a duty of the library promises to allow is still allowed, in our Regions, with our types and tags."""
    one = judge(compiled(TEXT).policies)
    found = uses()
    assert len(found) > 250
    stopped = set()
    for use in found:
        region = use.resource.split(":")[3] if use.resource.count(":") >= 5 else ""
        when = {"ec2:InstanceType": "t3.micro", **use.when}
        if region in ("", "*", "eu-west-1", "us-east-1"):
            when.setdefault("aws:RequestedRegion", region if region not in ("", "*") else "eu-west-1")
        request = requested("111122223333:user/people/example", use.action, use.resource, when)
        if one.decide(request).outcome == "denied":
            stopped.add(f"{use.duty} {use.action} on {use.resource}")
    assert stopped == set(STOPPED)


KEPT = {
    "AWS::Events::EventBusPolicy": "its calls know no resource: see the table",
    "AWS::Events::Rule": "",
    "AWS::IAM::Group": "",
    "AWS::IAM::InstanceProfile": "",
    "AWS::IAM::ManagedPolicy": "",
    "AWS::IAM::OIDCProvider": "",
    "AWS::IAM::Role": "",
    "AWS::IAM::User": "break-glass as a whole, of people what gives access",
    "AWS::SNS::Topic": "",
    "AWS::SNS::TopicPolicy": "the topic's",
    "AWS::SecretsManager::ResourcePolicy": "the secret's",
    "AWS::SecretsManager::Secret": "",
}
"""What the stacks of accounts make and `keep-baseline` keeps, by type, with whose it is or how."""
NOT_KEPT = {
    "AWS::AccessAnalyzer::Analyzer": "where such policies are, only the management account has any, which none binds",
    "AWS::Budgets::Budget": "it mails and limits nothing, and whoever plans costs may change it",
}
"""What else they make, and why no statement keeps it."""
MANAGEMENT = {
    *("CfnAssignment", "CfnGroup", "CfnGroupMembership", "CfnInstanceAccessControlAttributeConfiguration"),
    *("CfnPermissionSet", "CfnPolicy", "CfnStackSet", "CfnUser"),
}
"""What stands in the management account alone, which no such policy binds: the classes of the CDK."""


def test_whatever_the_stacks_make_is_kept_or_not_for_a_reason() -> None:
    """A new kind of resource needs a statement that keeps it, or a reason here why none does."""
    written = (ROOT / "dutybound" / "cloudformation.py").read_text(encoding="utf-8")
    texts = [node.value for node in ast.walk(ast.parse(written)) if isinstance(node, ast.Constant)]
    made = {text for text in texts if isinstance(text, str) and re.fullmatch(r"AWS::\w+::\w+", text)}
    assert made == KEPT.keys() | NOT_KEPT.keys()
    assert not KEPT.keys() & NOT_KEPT.keys()
    modules = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted((ROOT / "stacks").glob("*.py"))]
    used = {node.attr for module in modules for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    assert {name for name in used if name.startswith("Cfn")} == MANAGEMENT | {"CfnTag"}


@pytest.mark.parametrize("text", [TEXT, CENTER], ids=["iam", "center"])
def test_analyzers_are_where_no_policy_binds(text: str) -> None:
    """So nothing has to keep them: those of the management account look at every other one."""
    deployment = compiled(
        text.replace("guardrails:", "detectors: {external_access: true}\nguardrails:", 1) if text == CENTER else text
    )
    accounts = [account for _, baseline in deployment.baselines for account in baseline.accounts]
    assert any(account.analyzers for account in accounts)
    assert not any(account.analyzers for account in accounts if account.above)


def made_by(account: Account, by_sets: bool) -> Iterator[tuple[str, str, str]]:
    """What a deployment of an account's baseline calls: Region, service and all its actions, ARN of what is made.

    The policy of a topic or secret is changed by calls on these; that of the bus by calls on nothing.
    """
    home, own = account.home_region, f"arn:aws:iam::{account.id}:"
    for stack in account.stacks:
        in_set = f"StackSet-acme-development-{stack.name.removeprefix('acme-')}-0a1b"
        for name in (stack.name, in_set) if by_sets else (stack.name,):
            yield stack.region, "cloudformation", f"arn:aws:cloudformation:{stack.region}:{account.id}:stack/{name}/x"
    for policy in account.policies:
        yield home, "iam", f"{own}policy{policy.path}{policy.name}"
    for kind, named in (("group", account.groups), ("user", account.users), ("role", account.roles)):
        for one in named:
            yield home, "iam", f"{own}{kind}{one.path}{one.name}"
    for role in account.roles:
        if role.instance_profile is not None:
            yield home, "iam", f"{own}instance-profile{role.path}{role.name}"
    for provider in account.identity_providers:
        yield home, "iam", f"{own}oidc-provider/{provider.url.removeprefix('https://')}"
    for secret in account.secrets:
        yield home, "secretsmanager", f"arn:aws:secretsmanager:{home}:{account.id}:secret:{secret.name}-AbCdEf"
    yield from alarm_of(account)


def alarm_of(account: Account) -> Iterator[tuple[str, str, str]]:
    """The same for its alarm."""
    home, own = account.home_region, f"arn:aws:iam::{account.id}:"
    assert account.alarm is not None
    yield home, "iam", f"{own}role{account.alarm.forwarder.path}{account.alarm.forwarder.name}"
    if account.alarm.bus is not None:
        yield home, "events", "*"
    if (topic := account.alarm.topic) is not None:
        yield home, "sns", f"arn:aws:sns:{home}:{account.id}:{topic.name}"
    regions = {stack.name: stack.region for stack in account.stacks}
    drill = (account.alarm.drill,) if account.alarm.drill is not None else ()
    for rule in (*account.alarm.rules, *drill):
        region = regions[rule.stack]
        yield region, "events", f"arn:aws:events:{region}:{account.id}:rule/{rule.name}"


@pytest.mark.parametrize("text", [TEXT, CENTER, EXAMPLE], ids=["iam", "center", "example"])
def test_whoever_deploys_can_deploy_it_all(text: str) -> None:
    """In every account and Region, without tags, by each of those who are spared; nobody else changes any of it."""
    deployment = compiled(text)
    deployers = EXEMPT if text == TEXT else [name for name in EXEMPT if "role/cdk" not in name and "sets" not in name]
    tried = 0
    for _, baseline in deployment.baselines:
        (account,) = baseline.accounts
        one = judge(deployment.policies)
        for region, service, arn in made_by(account, text == TEXT):
            actions = [a for a in catalog.actions_of(f"{service}:*") if a.level not in LOOKING and a.name != "Publish"]
            kind = arn.split(":", 5)[5].partition("/")[0] if arn != "*" else ""
            mine = [a for a in actions if service != "iam" or kind in a.types]
            mine = [a for a in mine if kind or a.name in ("PutPermission", "RemovePermission")]
            when = {"aws:RequestedRegion": region, "aws:RequestTag/owner": None, "aws:RequestTag/cost-center": None}
            for by in deployers:
                for action in mine:
                    request = requested(f"{account.id}:{by}", str(action), arn, when)
                    assert one.decide(request).outcome == "allowed", request
                    tried += 1
            if "user/people/" not in arn and "policy/" not in arn:
                changes = [a for a in mine if a.name not in ("PassRole", "GetSecretValue")]
                outcomes = {one.decide(requested(f"{account.id}:role/x", str(a), arn, when)).outcome for a in changes}
                assert outcomes == {"denied"}, arn
    assert tried > 5000


# --- quotas, and where they go --------------------------------------------------------------------------------------


def test_all_options_at_once_fit() -> None:
    """As many Regions and types as the policies of accounts take, and many tags, deployers, partners and environments:
    within the quotas, of which Organizations counts every character.
    """
    regions = [r for r in catalog.regions() if r[:3] in ("eu-", "us-") and catalog.partition(r) == "aws"]
    families = sorted({t.partition(".")[0] for t in catalog.instance_types()})[:6]
    deployers = ", ".join(f"ops/deployer-of-environment-{i}" for i in range(15))
    partners = ", ".join(f'"{i:012}"' for i in range(1, 101))
    environments = "".join(f'\n  e{i}: {{id: "40000000{i:04}", environment: environment-{i}}}' for i in range(12))
    text = (
        TEXT.replace("regions: [eu-west-1, us-east-1]", f"regions: [{', '.join(regions)}]")
        .replace("instance_types: [t3.*, t4g.*]", f"instance_types: [{', '.join(f'{f}.*' for f in families)}]")
        .replace("[owner, cost-center]", "[owner, cost-center, environment, data-class]")
        .replace("[OrganizationAccountAccessRole, cdk", f"[OrganizationAccountAccessRole, {deployers}, cdk")
        .replace('["999988887777", o-partner0001]', f'["999988887777", o-partner0001, {partners}]')
        .replace("accounts:\n", f"accounts:{environments}\n", 1)
        .replace("id: o-a1b2c3d4e5\n", "id: o-a1b2c3d4e5\n  root: r-ab12\n")
    )
    policies = compiled(text).policies
    for kind, most, size in ((SCP, MOST_SCPS, SCP_SIZE), (RCP, MOST_RCPS, RCP_SIZE)):
        mine = [p for p in policies if p.kind == kind]
        assert 1 <= len(mine) <= most
        assert all(len(minified(p.policy.document())) <= size for p in mine)
    assert (MOST_SCPS, MOST_RCPS, SCP_SIZE, RCP_SIZE) == (9, 4, 10240, 5120)


def test_what_fits_nowhere_is_an_error(tmp_path: Path) -> None:
    """No rule is left out."""
    partners = ", ".join(f'"{i:012}"' for i in range(1, 400))
    text = TEXT.replace("o-partner0001]", f"o-partner0001, {partners}]")
    assert errors(tmp_path, text).keys() == {"too-many-guardrails"}


@pytest.mark.parametrize(
    ("where", "targets"),
    [
        ("", ("200000000000", "ou-ab12-00001111", "ou-ab12-33334444")),
        ("units: [Workloads/Production]", ("ou-ab12-33334444",)),
        ("root: true", ("r-ab12",)),
    ],
)
def test_where_they_are_attached(where: str, targets: tuple[str, ...]) -> None:
    """Never to the root unless it says so; the management account is nobody's target."""
    text = TEXT.replace(", unit: Workloads/Development}", "}").replace("id: o-a1", "root: r-ab12\n  id: o-a1")
    text = text.replace("    partners:", f"    {where}\n    partners:" if where else "    partners:")
    assert {p.targets for p in compiled(text).policies} == {targets}


def test_a_unit_below_another_is_covered_by_it() -> None:
    """Attached to both, the statements would say the same twice and take room."""
    text = TEXT.replace("units: {Security", "units: {Workloads: ou-ab12-99999999, Security")
    text = text.replace("unit: Workloads/Development}", "unit: Workloads}")
    assert {p.targets for p in compiled(text).policies} == {("ou-ab12-00001111", "ou-ab12-99999999")}


def test_without_the_key_there_are_none(tmp_path: Path) -> None:
    """Nor when only one destination is compiled: they are for the whole."""
    assert compiled(TEXT[: TEXT.index("  organization:\n    rules")]).policies == ()
    file = tmp_path / "config.yaml"
    file.write_text(TEXT, encoding="utf-8")
    one = compile_deployment(file, "development").value
    assert one is not None
    assert one.policies == ()


def test_the_stack(tmp_path: Path) -> None:
    """One protected stack in the management account; each policy as an object, attached and without white space."""
    import aws_cdk as cdk

    from stacks import OrganizationPolicies

    deployment = compiled(TEXT)
    assert deployment.management is not None
    app = cdk.App(outdir=str(tmp_path / "out"), analytics_reporting=False)
    _, baseline = deployment.baselines[0]
    OrganizationPolicies(app, baseline, deployment.policies, deployment.management)
    (stack,) = app.synth().stacks
    assert stack.stack_name == "acme-organization-policies"
    assert stack.environment.account == "100000000000"
    assert stack.termination_protection
    found = [r["Properties"] for r in stack.template["Resources"].values()]
    assert {r["Type"] for r in stack.template["Resources"].values()} == {"AWS::Organizations::Policy"}
    by_name = {p["Name"]: p for p in found}
    assert set(by_name) == {p.name for p in deployment.policies}
    for policy in deployment.policies:
        made = by_name[policy.name]
        assert made["Content"] == json.loads(policy.policy.text())
        assert made["TargetIds"] == list(policy.targets)
        assert made["Type"] == policy.kind
        assert "environment" not in {tag["Key"] for tag in made["Tags"]}
    cfn_lint = str(Path(sys.executable).with_name("cfn-lint"))
    lint = [cfn_lint, "--non-zero-exit-code", "error", "--", str(stack.template_full_path)]
    run = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


# --- what is wrong with them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("  management: root\n", "", "no-management-account"),
        ("  id: o-a1b2c3d4e5\n", "", "no-organization-id"),
        ("Workloads/Production: ou-ab12-33334444", "", "unknown-unit"),
        ("    partners:", "    units: [Workloads/Prod]\n    partners:", "unknown-unit"),
        ("    partners:", "    root: true\n    partners:", "unknown-unit"),
        ("    partners:", "    root: true\n    units: [Security]\n    partners:", "contradiction"),
        ("  regions: [eu-west-1, us-east-1]\n", "", "useless-guardrail"),
        ("  instance_types: [t3.*, t4g.*]\n", "", "useless-guardrail"),
        ("  require_tags: [owner, cost-center]\n", "", "useless-guardrail"),
        (", perimeter]", "]", "contradiction"),
        (", perimeter]", ", perimeter, no-users]", "self-stopping-rule"),
        ('"999988887777", o-p', "o-p", "self-stopping-rule"),
        ("cdk-acme-cfn-exec-role-*]", "app/deployer]", "open-exemption"),
        ("cdk-acme-cfn-exec-role-*]", '"*"]', "open-exemption"),
        ("cdk-acme-cfn-exec-role-*]", "teams/administrators]", "open-exemption"),
        ("cdk-acme-cfn-exec-role-*]", "roles/w*]", "open-exemption"),
        ("cdk-acme-cfn-exec-role-*]", "roles/wep]", "unknown-role"),
        ("rules: [no-root,", "rules: [no-root, no-root,", "duplicate-name"),
        ("rules: [no-root,", "rules: [no-root: {units: [Workloads/Prod]},", "unknown-unit"),
        ("rules: [no-root,", "rules: [no-root: {unit: [Security]},", "unknown-key"),
        ("rules: [no-root,", "rules: [no-rot: {units: [Security]},", "invalid-value"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, name: str) -> None:
    """Unknown places, rules without what they say, exemptions within reach, rules that stop the baseline itself."""
    assert old in TEXT
    text = TEXT.replace(old, new).replace("rollout: stack-sets\n", "rollout: stacks\n")
    assert name in errors(tmp_path, text)


def test_a_rule_that_stops_the_baseline_elsewhere_only_is_fine() -> None:
    """In units without people no-users holds for people in IAM too; what trusts outsiders may stand elsewhere."""
    text = TEXT.replace(", perimeter]", ", perimeter, no-users]")
    text = text.replace('    partners: ["999988887777", o-partner0001]\n', "    units: [Workloads/Development]\n")
    assert {p.targets for p in compiled(text).policies} == {("ou-ab12-11112222",)}


def test_a_role_of_the_configuration_may_deploy() -> None:
    """Named by its whole name it is spared, and kept from everybody else."""
    text = TEXT.replace("cdk-acme-cfn-exec-role-*]", "roles/web]")
    rows = [
        {"by": "role/roles/web", "action": "iam:DeleteRole", "resource": "{iam}role/roles/vendor", "is": "allowed"},
        {"by": "role/admin", "action": "iam:PassRole", "resource": "{iam}role/roles/web", "is": "denied"},
        {"by": "role/admin", "action": "iam:PassRole", "resource": "{iam}role/roles/vendor", "is": "allowed"},
    ]
    assert wrong(compiled(text).policies, rows) == []


# --- the judge knows them -------------------------------------------------------------------------------------------

PLACED = TEXT.replace(" regions, instance-types", " instance-types").replace(
    "rules: [", "rules: [regions: {units: [Workloads/Production]}, "
)
"""The same with one rule in one unit."""


def test_what_people_read(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    """`explain` and `who-can` where policies stand above an account, and where none does."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "acme.yaml").write_text(PLACED, encoding="utf-8")
    folder, out = CASES / "explain", []
    for command in yaml.safe_load((folder / "organization.yaml").read_text(encoding="utf-8"))["ask"]:
        text, code = asked(command, tmp_path)
        out.append(f"$ dutybound {command}\n{text.rstrip()}\n[exit {code}]\n")
    golden(folder / "organization.expected.txt", "\n".join(out))


@pytest.mark.parametrize("text", [TEXT, PLACED, CENTER], ids=["iam", "placed", "center"])
def test_guards_are_a_short_way_to_write_policies_of_the_organization(text: str) -> None:
    """For whoever is in the configuration: they only deny, so that FullAWSAccess beside them says the rest."""
    tried = 0
    for _, baseline in compiled(text).baselines:
        (account,) = baseline.accounts
        assert all(s.effect == "Deny" for p in account.above for s in p.policy.statements)
        if "management" in text and account.id == "100000000000":
            assert account.above == ()
        for caller in callers(baseline, account):
            short = replace(caller.policies, resource=OPEN)
            long = replace(short, guards=(), scps=((ALL,), (ALL, *short.guards)))
            judges = [Judge(replace(p, identity=(ALL, *p.identity))) for p in (short, long)]
            for row in ROWS:
                request = requested("role/x", row["action"], row.get("resource", "*"), row.get("when"))
                keys = {k: v for k, v in caller.known(caller.sessions[0]).items() if v is not None}
                request = replace(request, principal=caller.arn, context={**request.context, **keys})
                answers = {one.decide(request).outcome for one in judges}
                assert len(answers) == 1, request
                tried += 1
    assert tried > 300


@pytest.mark.parametrize("by", ["role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX", "role/admin"])
def test_guards_spare_whom_such_policies_spare(by: str) -> None:
    """Service-linked roles, and services, which no account holds; nobody else."""
    guards = tuple(p.policy for p in compiled(TEXT).policies if p.kind == SCP)
    one = Judge(Policies(identity=(ALL,), resource=OPEN, guards=guards))
    linked = "aws-service-role" in by
    assert one.decide(requested(by, "cloudtrail:StopLogging")).outcome == ("allowed" if linked else "denied")
    assert one.decide(requested("sns.amazonaws.com", "cloudtrail:StopLogging")).outcome == "allowed"


def test_the_perimeter_stops_nobody_of_the_configuration() -> None:
    """So answers about its principals need no resource control policies."""
    deployment = compiled(TEXT)
    (perimeter,) = (p.policy for p in deployment.policies if p.kind == RCP)
    denies = Policy(tuple(replace(s, principals=(), effect="Allow") for s in perimeter.statements))
    asked_of = [a for s in perimeter.statements for p in s.actions for a in catalog.actions_of(p)]
    for _, baseline in deployment.baselines:
        for caller in callers(baseline, baseline.accounts[0]):
            known = {k: v for k, v in caller.known(caller.sessions[0]).items() if v is not None}
            known["aws:PrincipalOrgID"] = "o-a1b2c3d4e5"
            for action in asked_of:
                if action.name not in ("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):  # nobody signed in yet
                    assert Judge([denies]).decide(Request(caller.arn, str(action), "*", known)).outcome == "denied"


def test_a_test_of_access_holds_in_each_account(tmp_path: Path) -> None:
    """Accounts of one environment under different policies: what one of them lets through is no 'cannot', and what one
    stops is no 'can'.
    """
    other = '  shop-too: {id: "400000000000", environment: production, unit: Workloads/Development}\nrollout:'
    placed = TEXT.replace("rollout:", other, 1).replace("keep-trail,", "keep-trail: {units: [Workloads/Production]},")
    whole = TEXT.replace("rollout:", other, 1)
    test = "access: [{who: team administrators, in: production, %s: ['cloudtrail:StopLogging']}]\n"
    broken = {"broken-access-test"}
    assert errors(tmp_path, whole + test % "cannot") == {}
    assert errors(tmp_path, placed + test % "cannot").keys() == broken
    assert errors(tmp_path, placed + test % "can").keys() == broken
    assert errors(tmp_path, whole.replace("keep-trail, ", "") + test % "can") == {}


def test_a_changed_rule_is_access_gained_or_lost(tmp_path: Path) -> None:
    """With a request as proof, which one side allows and the other denies; the line is that of the rule."""
    sides = []
    for text in (TEXT.replace("keep-trail, ", ""), TEXT):
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        sides.append(compile_everywhere(file))
    without, with_it = sides
    for old, new, gained in ((without, with_it, False), (with_it, without, True)):
        found = review(old, new)
        assert isinstance(found, Review)
        assert found.unknown == ()
        assert {(a.gained, a.kind, a.names) for a in found.access} == {(gained, "team", ("administrators",))}
        for one in found.access:
            assert "cloudtrail:StopLogging" in one.actions
            assert {b.duty for b in one.instead} == {"guardrails.organization"}
            assert "root" not in one.environments
