"""What grants mean beyond actions and names: conditions, passed roles, raw statements, whole ARNs, placeholders."""

from __future__ import annotations

import re

import pytest

from dutybound import catalog
from dutybound.asked import Asked
from dutybound.baseline import Account
from dutybound.compiler import compile_text
from dutybound.diagnostic import Diagnostic, Text, render_all
from dutybound.evaluate import Request, decide, policies_of
from dutybound.grant import _arn, _filled_in
from dutybound.policy import Condition, Origin, Statement, filled
from tests.test_compile import BASE, compiled

DUTY = """
duties:
  own:
    summary: Something of our own
    grants:
      - {grant}
    expect: [{{allow: "{allow}"{keys}}}, {{deny: "{deny}"}}]
teams:
  team: {{purpose: Do it, duties: [own], members: [maria]}}
roles:
  web-server: {{purpose: Serve, trusts: {{service: ec2}}}}
"""
ACCOUNT = "123456789012"
INSTANCE = "arn:aws:ec2:eu-west-1:111122223333:instance/i-1"


def account(grant: str, allow: str, deny: str = "iam:CreateUser", keys: str = "") -> Account:
    """The account of a team whose one duty has one grant."""
    return compiled(DUTY.format(grant=grant, allow=allow, deny=deny, keys=keys)).accounts[0]


def granted(grant: str, allow: str, deny: str = "iam:CreateUser", keys: str = "") -> Statement:
    """The one statement of that duty."""
    statements = account(grant, allow, deny, keys).policy("team-team").policy.statements
    assert len(statements) == 1
    return statements[0]


def test_when_becomes_conditions() -> None:
    """Each key of `when` is the condition of IAM that it stands for."""
    when = (
        "{mfa: 15m, from: [203.0.113.0/24], since: 2026-01-01, until: 2099-12-31, regions: [eu-west-1, eu-north-1], "
        "resource_tags: {team: web, stage: 'dev-*'}, conditions: {StringLike: {aws:PrincipalTag/stage: ['a*', b]}}}"
    )
    keys = (
        ", when: {aws:SourceIp: 203.0.113.7, aws:CurrentTime: 2030-01-01T00:00:00Z, aws:RequestedRegion: eu-west-1, "
        "aws:ResourceTag/team: web, aws:ResourceTag/stage: dev-1, aws:PrincipalTag/stage: b}"
    )
    grant = f'{{actions: [ec2:StartInstances], resources: {{instance: "*"}}, when: {when}}}'
    statement = granted(grant, f"ec2:StartInstances on {INSTANCE}", keys=keys)
    assert statement.conditions == (
        Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),
        Condition("DateGreaterThanEquals", "aws:CurrentTime", ("2026-01-01T00:00:00Z",)),
        Condition("DateLessThan", "aws:CurrentTime", ("2100-01-01T00:00:00Z",)),
        Condition("IpAddress", "aws:SourceIp", ("203.0.113.0/24",)),
        Condition("NumericLessThan", "aws:MultiFactorAuthAge", ("900",)),
        Condition("StringEquals", "aws:RequestedRegion", ("eu-north-1", "eu-west-1")),
        Condition("StringEquals", "aws:ResourceTag/team", ("web",)),
        Condition("StringLike", "aws:PrincipalTag/stage", ("a*", "b")),
        Condition("StringLike", "aws:ResourceTag/stage", ("dev-*",)),
    )


@pytest.mark.parametrize(
    ("context", "outcome"),
    [
        ({"aws:MultiFactorAuthAge": "899"}, "allowed"),
        ({"aws:MultiFactorAuthAge": "900"}, "denied"),
        ({}, "denied"),
    ],
)
def test_mfa_within_a_time(context: dict[str, str], outcome: str) -> None:
    """With MFA that is too long ago, or without its age, the grant does not hold."""
    here = account(
        '{actions: [ec2:StartInstances], resources: {instance: "*"}, when: {mfa: 15m}}',
        allow=f"ec2:StartInstances on {INSTANCE}",
    )
    keys = {"aws:MultiFactorAuthPresent": "true", "aws:ViaAWSService": "false", "aws:username": "maria", **context}
    request = Request(
        f"arn:aws:iam::{ACCOUNT}:user/people/maria",
        "ec2:StartInstances",
        INSTANCE.replace("111122223333", ACCOUNT),
        keys,
    )
    assert decide(request, policies_of(here, "maria", ACCOUNT)).outcome == outcome


def test_pass_names_roles_and_services() -> None:
    """A path of roles, and a role of the configuration by its name; never another service."""
    found = granted(
        "{pass: [role/app/web-*, web-server], to: [ec2, ecs-tasks]}",
        allow="iam:PassRole on arn:aws:iam::111122223333:role/app/web-1",
        deny="iam:PassRole on arn:aws:iam::111122223333:role/app/web-1",
        keys=", when: {iam:PassedToService: ec2.amazonaws.com}",
    )
    arn = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role"
    assert found.sid == "OwnPassRole"
    assert found.actions == ("iam:PassRole",)
    assert found.resources == (f"{arn}/app/web-*", f"{arn}/roles/web-server")
    assert found.conditions == (
        Condition("StringEquals", "iam:PassedToService", ("ec2.amazonaws.com", "ecs-tasks.amazonaws.com")),
    )


def test_raw_statements_are_kept_as_they_are() -> None:
    """A statement in IAM's own words keeps its meaning; its Sid says whose it is."""
    grant = (
        "{why: Carried over, statements: [{Sid: Old, Effect: Allow, Action: ['s3:Get*', 's3:PutObject'], "
        "Resource: ['arn:aws:s3:::legacy/${aws:username}/*', 'arn:{partition}:s3:::b-{account}/*'], "
        "Condition: {Bool: {aws:MultiFactorAuthPresent: true}}}, "
        "{Effect: Deny, Action: 's3:GetObjectAcl', NotResource: 'arn:aws:s3:::legacy/*'}]}"
    )
    allow = "s3:GetObject on arn:aws:s3:::legacy/example/y"
    statements = (
        account(grant, allow, "s3:GetObject on arn:aws:s3:::legacy/maria/y").policy("team-team").policy.statements
    )
    assert [s.document() for s in statements] == [
        {
            "Sid": "OwnOld",
            "Effect": "Allow",
            "Action": ["s3:Get*", "s3:PutObject"],
            "Resource": [
                "arn:${AWS::Partition}:s3:::b-${AWS::AccountId}/*",
                "arn:aws:s3:::legacy/${aws:username}/*",
            ],
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        },
        {
            "Sid": "OwnStatement2",
            "Effect": "Deny",
            "Action": "s3:GetObjectAcl",
            "NotResource": "arn:aws:s3:::legacy/*",
        },
    ]


def test_a_whole_arn_stands_for_a_name() -> None:
    """A resource may be an ARN, if it is one of its type."""
    found = granted(
        '{actions: [s3:GetObject], resources: {object: ["arn:aws:s3:::acme-web/*", "acme-blog/*"]}}',
        allow="s3:GetObject on arn:aws:s3:::acme-web/x",
    )
    assert found.resources == ("arn:${AWS::Partition}:s3:::acme-blog/*", "arn:aws:s3:::acme-web/*")


def test_placeholders_stand_for_the_account() -> None:
    """`{account}` and `{partition}` are filled in by CloudFormation."""
    found = granted(
        '{actions: [sqs:SendMessage], resources: {queue: "arn:{partition}:sqs:eu-west-1:{account}:jobs"}}',
        allow="sqs:SendMessage on arn:aws:sqs:eu-west-1:111122223333:jobs",
    )
    assert found.resources == ("arn:${AWS::Partition}:sqs:eu-west-1:${AWS::AccountId}:jobs",)


def test_changing_actions_are_shortened_only_on_demand() -> None:
    """Write actions stand by their names unless the grant says `shorten: true`."""
    grant = '{{service: sqs, access: [write], resources: {{queue: "jobs"}}{}}}'
    allow = "sqs:SendMessage on arn:aws:sqs:eu-west-1:111122223333:jobs"
    assert not any("*" in a for a in granted(grant.format(""), allow).actions)
    assert any("*" in a for a in granted(grant.format(", shorten: true"), allow).actions)


def test_never_denies_what_a_duty_passes_by_its_services() -> None:
    """A denied duty that passes roles takes its services away, and leaves other duties their passing."""
    config = """
duties:
  pass-to-servers:
    summary: Give servers their role
    grants: [{pass: [role/app/*], to: [ec2]}]
    expect:
      - allow: iam:PassRole on arn:aws:iam::111122223333:role/app/x
        when: {iam:PassedToService: ec2.amazonaws.com}
      - deny: iam:PassRole on arn:aws:iam::111122223333:role/app/x
        when: {iam:PassedToService: lambda.amazonaws.com}
teams:
  team: {purpose: Do it, never: [pass-to-servers], members: [maria]}
"""
    statements = compiled(config).accounts[0].policy("team-team").policy.statements
    assert [(s.effect, s.actions, s.resources, s.conditions) for s in statements] == [
        (
            "Deny",
            ("iam:PassRole",),
            ("*",),
            (Condition("StringEquals", "iam:PassedToService", ("ec2.amazonaws.com",)),),
        )
    ]


def test_a_waiver_accepts_a_finding() -> None:
    """What would be an error is accepted for whom the waiver names, until its end."""
    config = DUTY.format(
        grant="{why: Carried over, statements: [{Effect: Allow, Action: 's3:PutObject', Resource: '*'}]}",
        allow="s3:PutObject on arn:aws:s3:::x/y",
        deny="iam:CreateUser",
        keys="",
    )
    assert [d.name for d in compile_text(BASE + config).diagnostics] == ["wide-resource"]
    for subject in ("team team", "duty own"):
        waiver = f"waivers: [{{finding: wide-resource, for: {subject}, reason: Old, until: 2027-01-31}}]\n"
        checked = compile_text(BASE + config + waiver)
        assert checked.diagnostics == (), render_all(checked.diagnostics)


def test_every_resource_type_can_be_named() -> None:
    """A name makes an ARN of every type of the reference, but for one that belongs to several services."""
    wrong = []
    for service in catalog.services():
        for type_ in catalog.service(service).types.values():
            found: list[Diagnostic] = []
            asked = Asked("own", {}, Origin("own"), found)
            name = re.sub(r"\$\{[^}]*\}", "xyz", _filled_in(type_.arn)[1]) or "*"
            arn = filled(_arn(type_, Text(name), asked) or "", "111122223333")
            if found or "${" in arn or len(arn.split(":", 5)) != 6 or not arn.startswith("arn:"):
                wrong.append(f"{service} {type_.name}")
    assert wrong == ["backup recoveryPoint"]


@pytest.mark.parametrize(
    ("operator", "value"),
    [("IpAddress", "203.0.113.0/24"), ("Bool", "true"), ("DateLessThan", "2027-01-31"), ("NumericEquals", "1")],
)
def test_a_doubtful_condition_of_a_raw_statement_stays(operator: str, value: str) -> None:
    """An operator that does not compare the key's type is a warning there; dropped, the Allow would be wide open."""
    bucket = "arn:aws:s3:::acme"
    condition = f"{{{operator}: {{'aws:RequestedRegion': '{value}'}}}}"
    doubtful = f"{{Effect: Allow, Action: 's3:GetObject', Resource: '{bucket}/*', Condition: {condition}}}"
    plain = f"{{Effect: Allow, Action: 's3:ListBucket', Resource: '{bucket}'}}"
    grant = f"{{why: Carried over, statements: [{doubtful}, {plain}]}}"
    text = DUTY.format(grant=grant, allow=f"s3:ListBucket on {bucket}", deny=f"s3:GetObject on {bucket}/x", keys="")
    checked = compile_text(BASE + text)
    assert [d.name for d in checked.diagnostics] == ["wrong-operator"], render_all(checked.diagnostics)
    assert checked.value is not None
    statements = checked.value.accounts[0].policy("team-team").policy.statements
    (kept,) = (s.conditions for s in statements if s.actions == ("s3:GetObject",))
    assert kept == (Condition(operator, "aws:RequestedRegion", (value,)),)
