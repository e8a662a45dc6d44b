"""Configurations that once gave more than they said, or whose tests of access passed although a request was allowed."""

from __future__ import annotations

from typing import Any

import pytest

from dutybound.carry import NotCarried, carried
from dutybound.compiler import compile_text
from dutybound.diagnostic import render_all
from dutybound.policy import Condition, Statement
from tests.test_compile import BASE, compiled

OWN = """
duties:
  own:
    summary: What is tested
{parameters}    grants: [{grant}, {{actions: [s3:GetObject], resources: {{object: own/*}}}}]
    expect: [{{allow: "s3:GetObject on arn:aws:s3:::own/x"}}, {{deny: s3:DeleteBucket}}]
"""
WAIVERS = """
waivers:
  - {finding: wide-action, for: duty own, reason: it is tested, until: 2030-01-01}
  - {finding: wide-resource, for: duty own, reason: it is tested, until: 2030-01-01}
"""
TEAM = "teams: {dev: {purpose: x, members: [amy, zed], duties: [own]}}\n"
DELETE = "actions: [s3:DeleteObject], resources: {object: home/*}"


def config(grant: str, team: str = TEAM, parameters: str = "", base: str = BASE) -> str:
    """A configuration with a team whose duty has this grant."""
    return base + WAIVERS + OWN.format(grant=grant, parameters=parameters) + team


def errors(text: str) -> list[str]:
    """The names of the errors in a configuration."""
    return [d.name for d in compile_text(text).diagnostics if d.severity == "error"]


# --- what is compiled -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        "{until: 2026-12-31}",
        '{conditions: {DateLessThan: {"aws:currenttime": "2027-01-01T00:00:00Z"}}}',
    ],
)
def test_two_ends_both_stand_in_the_policy(when: str) -> None:
    """The end of a membership does not take the place of the grant's own, which comes before it."""
    team = TEAM.replace("[amy, zed]", "[{name: tom, until: 2027-12-31}]")
    account = compiled(config(f"{{{DELETE}, when: {when}}}", team)[len(BASE) :]).accounts[0]
    text = account.policy("team-dev.until-2027-12-31").policy.text()
    assert "2027-01-01T00:00:00Z" in text
    assert "2028-01-01T00:00:00Z" in text


def test_a_statement_with_a_condition_twice_is_never_written() -> None:
    """The JSON has room for one of them; the other would be gone without a word."""
    twice = tuple(Condition("StringEquals", "aws:RequestedRegion", (r,)) for r in ("eu-west-1", "us-east-1"))
    with pytest.raises(ValueError, match="twice"):
        Statement("S", "Allow", ("s3:GetObject",), ("*",), conditions=twice).document()


@pytest.mark.parametrize(
    ("grant", "name"),
    [
        (
            "{pass: [role/app/x], to: [ec2], "
            'when: {conditions: {StringEquals: {"iam:PassedToService": x.amazonaws.com}}}}',
            "duplicate-condition",
        ),
        ('{pass: ["arn:aws:iam::111122223333:role/*"], to: [ec2]}', "wide-pass"),
        ('{pass: ["arn:{partition}:iam::{account}:*"], to: [ec2]}', "wide-pass"),
        ('{pass: ["role/*/*"], to: [ec2]}', "wide-pass"),
        ('{actions: [iam:PassRole], resources: {role: "*"}}', "wide-pass"),
        (
            f"{{{DELETE}, when: {{conditions: {{StringEqualsIfExists: {{aws:MultiFactorAuthPresent: true}}}}}}}}",
            "weak-mfa-condition",
        ),
        (
            f'{{{DELETE}, when: {{conditions: {{NumericLessThanIfExists: {{aws:MultiFactorAuthAge: "60"}}}}}}}}',
            "weak-mfa-condition",
        ),
    ],
)
def test_refused(grant: str, name: str) -> None:
    """What would let more through than it says is an error."""
    assert errors(config(grant)) == [name]


@pytest.mark.parametrize(
    ("action", "resource", "findings"),
    [
        ("s3:**", "arn:aws:s3:::a/*", ["wide-action"]),
        ("s3:?*", "arn:aws:s3:::a/*", ["wide-action"]),
        ("s3:PutObject", "arn:aws:s3:::*", ["wide-resource"]),
        ("iam:CreateUser", "arn:aws:iam::*:*", ["wide-resource"]),
        ("iam:PassRole", "arn:aws:iam::111122223333:role/*", ["wide-resource"]),
        ("s3:PutObject", "arn:aws:s3:::a*", []),
    ],
)
def test_findings_cannot_be_written_away(action: str, resource: str, findings: list[str]) -> None:
    """Everything in other words is everything, and needs its waiver."""
    grant = f'{{statements: [{{Effect: Allow, Action: "{action}", Resource: "{resource}"}}], why: x}}'
    assert errors(config(grant).replace(WAIVERS, "")) == findings


def test_findings_see_values_of_parameters() -> None:
    """A parameter that is everything is a finding of whoever gives it."""
    grant = '{statements: [{Effect: Allow, Action: "s3:PutObject", Resource: "{where}"}], why: x}'
    parameters = '    parameters: {where: {example: "arn:aws:s3:::a/x"}}\n'
    text = config(grant, TEAM.replace("[own]", '[own: {where: "*"}]'), parameters)
    assert errors(text.replace(WAIVERS, "")) == ["wide-resource"]


def test_values_of_parameters_are_of_the_keys_type() -> None:
    """IAM refuses a network that is none, at deployment."""
    grant = f'{{{DELETE}, when: {{conditions: {{IpAddress: {{aws:SourceIp: "{{net}}"}}}}}}}}'
    parameters = "    parameters: {net: {example: 203.0.113.0/24}}\n"
    assert errors(config(grant, TEAM.replace("[own]", "[own: {net: office}]"), parameters)) == ["wrong-value"]


def _denied(grant: str, parameters: str = "") -> list[Statement]:
    team = "teams: {dev: {purpose: x, members: [amy], duties: [view-costs], never: [own]}}\n"
    account = compiled(config(grant, team, parameters)[len(BASE) :]).accounts[0]
    return [s for s in account.policy("team-dev").policy.statements if s.effect == "Deny"]


def test_never_of_what_is_looked_at_everywhere_else() -> None:
    """A grant on all but some resources is denied on all but these, in a statement that IAM takes."""
    grant = '{statements: [{Effect: Allow, Action: "s3:ListBucket", NotResource: "arn:aws:s3:::a"}], why: x}'
    found = [s for s in _denied(grant) if s.actions == ("s3:ListBucket",)]
    assert [(s.resources, s.not_resources) for s in found] == [((), ("arn:aws:s3:::a",))]


def test_never_of_passing_to_whom_a_parameter_names() -> None:
    """No value is given there, so it is denied to every service."""
    found = _denied('{pass: [role/app/*], to: ["{service}"]}', "    parameters: {service: {example: ec2}}\n")
    assert [s.conditions for s in found if s.actions == ("iam:PassRole",)] == [()]


def test_the_seal_of_passwords_holds_for_roles_that_teams_make() -> None:
    """Such a role may be given all of Secrets Manager by its maker; and a role is not its namesake."""
    text = BASE.replace("[security@acme.example]", "[security@acme.example], password: secret")
    assert text != BASE
    text += """
guardrails: {boundary: {path: /app/, services: [ec2]}}
teams:
  makers: {purpose: x, members: [amy], duties: [create-roles]}
  administrators: {purpose: x, members: [ops], duties: [administer]}
roles:
  ops: {purpose: x, trusts: {service: ec2}, duties: [view-metrics]}
"""
    checked = compile_text(text)
    assert checked.value is not None, render_all(checked.diagnostics)
    (sealed, *_) = checked.value.accounts[0].secrets[0].policy.statements
    values = {c.operator: [v.rpartition(":")[2] for v in c.values] for c in sealed.conditions}
    assert values == {"ArnLike": ["role/app/*", "role/roles/*", "user/people/*"], "ArnNotEquals": ["user/people/ops"]}


# --- tests of access --------------------------------------------------------------------------------------------------

OVERLAP = (
    f'{{{DELETE}, when: {{conditions: {{StringLike: {{aws:PrincipalTag/t: "*.micro"}}}}}}}}, {{statements: '
    '[{Effect: Deny, Action: s3:DeleteObject, Resource: "*", '
    'Condition: {StringNotLike: {aws:PrincipalTag/t: "t3.*"}}}], why: x}'
)
ATTACH = (
    "{statements: [{Effect: Allow, Action: ec2:AttachVolume, Resource: 'arn:aws:ec2:*:*:volume/*', Condition: "
    "{StringEquals: {aws:ResourceTag/x: a}}}, {Effect: Allow, Action: ec2:AttachVolume, Resource: "
    "'arn:aws:ec2:*:*:instance/*', Condition: {StringEquals: {aws:ResourceTag/x: b}}}], why: x}"
)


@pytest.mark.parametrize(
    ("grant", "test"),
    [
        (
            '{actions: [ec2:TerminateInstances], resources: {instance: "arn:aws:ec2:eu-*:111122223333:instance/*"}}',
            "who: dev, cannot: [ec2:TerminateInstances]",
        ),
        (
            '{actions: [sqs:SendMessage], resources: {queue: "arn:aws:sqs:*:9999*:q"}}',
            "who: dev, cannot: [sqs:SendMessage]",
        ),
        (OVERLAP, "who: dev, cannot: [s3:DeleteObject]"),
        (ATTACH, "who: dev, cannot: [ec2:AttachVolume]"),
        (
            '{actions: [s3:DeleteObject], resources: {object: "home/${aws:userid}/*"}}',
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            '{actions: [s3:DeleteObject], resources: {object: "home/${aws:PrincipalTag/team}/*"}}',
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            '{actions: [s3:DeleteObject], resources: {object: "home/${aws:PrincipalTag/team}/*"}}',
            'who: dev, cannot: ["s3:DeleteObject on arn:aws:s3:::home/payroll/x"]',
        ),
        (
            f"{{{DELETE}, when: {{conditions: {{StringEqualsIgnoreCase: {{aws:PrincipalTag/t: prod}}}}}}}}, "
            '{statements: [{Effect: Deny, Action: s3:DeleteObject, Resource: "*", '
            "Condition: {StringEquals: {aws:PrincipalTag/t: prod}}}], why: x}",
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            '{actions: [ec2:CreateTags], resources: {instance: "*"}, when: {conditions: {'
            '"ForAnyValue:StringEquals": {aws:TagKeys: a}, "ForAnyValue:StringLike": {aws:TagKeys: "b*"}, '
            '"ForAnyValue:StringEqualsIgnoreCase": {aws:TagKeys: c}}}}',
            "who: dev, cannot: [ec2:CreateTags]",
        ),
        (
            f'{{{DELETE}, when: {{conditions: {{StringEquals: {{"aws:PrincipalTag/team": "${{aws:userid}}"}}}}}}}}',
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            f"{{{DELETE}, when: {{conditions: {{StringEquals: {{aws:username: zed}}}}}}}}",
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            f"{{{DELETE}, when: {{conditions: {{StringEquals: {{aws:username: zed}}}}}}}}",
            "who: everyone, cannot: [s3:DeleteObject]",
        ),
        (
            '{actions: [s3:DeleteObject], resources: {object: "home/${aws:username}/*"}}',
            'who: everyone, cannot: ["s3:DeleteObject on arn:aws:s3:::home/zed/x"]',
        ),
        (
            f"{{{DELETE}, when: {{conditions: {{Bool: {{aws:ViaAWSService: true}}}}}}}}",
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            f"{{{DELETE}, when: {{conditions: {{Bool: {{aws:ViaAWSService: true}}}}}}}}",
            "who: dev, can_only: [enrol-mfa, 's3:GetObject']",
        ),
        (
            f'{{{DELETE}, when: {{conditions: {{NumericGreaterThan: {{aws:MultiFactorAuthAge: "7200"}}}}}}}}',
            "who: dev, cannot: [s3:DeleteObject]",
        ),
        (
            "{actions: [s3:ListBucket], resources: {bucket: home}, "
            'when: {conditions: {NumericLessThan: {s3:max-keys: "0.5"}}}}',
            "who: dev, cannot: [s3:ListBucket]",
        ),
    ],
)
def test_what_can_be_done_is_found(grant: str, test: str) -> None:
    """A test that something cannot be done fails where a request is allowed, however odd."""
    text = config(grant)
    assert errors(text) == []
    assert errors(f"{text}access: [{{{test}}}]\n") == ["broken-access-test"]


def test_the_partition_is_that_of_the_home_region() -> None:
    """In China ARNs begin with arn:aws-cn, and what they allow is found."""
    base = BASE.replace("owner: ", "home_region: cn-north-1, owner: ")
    assert base != BASE
    grant = '{actions: [s3:DeleteObject], resources: {object: "arn:aws-cn:s3:::home/*"}}'
    text = config(grant, base=base)
    assert errors(text) == []
    assert errors(f"{text}access: [{{who: dev, cannot: [s3:DeleteObject]}}]\n") == ["broken-access-test"]
    assert errors(f"{text}access: [{{who: dev, can: [s3:DeleteObject]}}]\n") == []


def test_a_direct_call_is_not_one_through_a_service() -> None:
    """What the guardrails stop for direct calls is not found through a service that no statement speaks of."""
    text = config(f"{{{DELETE}}}") + "guardrails: {from: [203.0.113.0/24]}\n"
    asked = "{action: s3:DeleteObject, when: {aws:SourceIp: 198.51.100.1}}"
    assert errors(f"{text}access: [{{who: dev, cannot: [{asked}]}}]\n") == []


# --- policies that are carried over -----------------------------------------------------------------------------------

ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a/*"}


@pytest.mark.parametrize(
    ("statements", "version", "reason"),
    [
        (
            [{"Effect": "Allow", "NotAction": ["iam:*", "tomorrow:*"], "Resource": "*"}],
            "2012-10-17",
            "leaves out tomorrow:*",
        ),
        (
            [ALLOW, {"Effect": "Deny", "Action": ["s3:Brandnew*", "s3:PutObject"], "Resource": "*"}],
            "2012-10-17",
            "denies s3:Brandnew*",
        ),
        ([{**ALLOW, "Resource": "arn:aws:s3:::a/${aws:username}/*"}], "2008-10-17", "plain text"),
    ],
)
def test_not_carried_over(statements: list[dict[str, Any]], version: str, reason: str) -> None:
    """What the duty could not say is refused, and not left out."""
    with pytest.raises(NotCarried) as refusal:
        carried({"Version": version, "Statement": statements}, "old", "old")
    assert reason in str(refusal.value)


def test_the_case_of_a_service_does_not_matter() -> None:
    """IAM ignores it, also in what denies."""
    deny = {"Effect": "Deny", "Action": "S3:PutObject", "Resource": "*"}
    assert "s3:PutObject" in carried({"Version": "2012-10-17", "Statement": [ALLOW, deny]}, "old", "old").yaml
