"""AWS managed policies as carried: names, ARNs, documents, and why some of them are too broad."""

from __future__ import annotations

import json

import pytest

from dutybound import broad
from dutybound.broad import breadth, broad_because
from dutybound.config import Duty, ManagedGrant
from dutybound.diagnostic import Diagnostic, Text
from dutybound.evaluate import Request, decide
from dutybound.grant import duty_access, example_use
from dutybound.managed import managed_policy, names
from dutybound.policy import parse
from tools import managed_policies
from tools.managed_policies import written


def test_every_document_is_understood() -> None:
    """Each parses without loss into a policy that says the same, and each has a version and a day."""
    assert len(names()) == 1582
    assert list(names()) == sorted(names())
    for name in names():
        policy = managed_policy(name)
        assert parse(policy.policy.document()).statements == policy.policy.statements
        assert policy.document["Version"] == "2012-10-17"  # the older one has no policy variables
        assert policy.version[0] == "v"
        assert len(policy.date) == len("2026-09-30")
        assert policy.name == name


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("AdministratorAccess", "AdministratorAccess"),
        ("Billing", "job-function/Billing"),
        ("job-function/Billing", "job-function/Billing"),
        ("AWSLambdaBasicExecutionRole", "service-role/AWSLambdaBasicExecutionRole"),
    ],
)
def test_arns_have_the_path(name: str, id_: str) -> None:
    assert managed_policy(name).id == id_
    assert managed_policy(name).arn() == f"arn:aws:iam::aws:policy/{id_}"
    assert managed_policy(name).arn("aws-us-gov") == f"arn:aws-us-gov:iam::aws:policy/{id_}"


@pytest.mark.parametrize("name", ["", "Biling", "billing", "service-role/Billing", "/Billing", "job-function/"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(KeyError):
        managed_policy(name)


def test_policies_of_services_are_refused() -> None:
    """A service-linked role's policy cannot be given to anybody; the one with the like name can."""
    assert not managed_policy("AutoScalingServiceRolePolicy").attachable
    assert managed_policy("AutoScalingServiceRolePolicy").refused
    assert not managed_policy("S3UnlockBucketPolicy").attachable
    assert managed_policy("AWSLambdaBasicExecutionRole").attachable


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("job-function/Biling", "unknown-managed-policy", "did you mean 'Billing'?"),
        ("Qqqqqqqqqqqqq", "unknown-managed-policy", "AWS Managed Policy Reference"),
        ("AutoScalingServiceRolePolicy", "unattachable-policy", "name another policy"),
    ],
)
def test_a_grant_of_what_cannot_be_given(name: str, code: str, words: str) -> None:
    """The error says what is wrong and, where a name is near, which one was meant."""
    grant = ManagedGrant.model_construct(managed=Text(name), why=Text("A reason"))
    duty = Duty.model_construct(summary=Text("A duty"), grants=(grant,), parameters={}, expect=())
    found: list[Diagnostic] = []
    assert duty_access(example_use("bills", duty), duty, found).managed == ()
    assert [d.name for d in found] == [code]
    assert words in found[0].hint


def test_the_judge_knows_what_they_mean() -> None:
    policies = [managed_policy("ViewOnlyAccess").policy]
    asked = [Request("arn:aws:iam::111122223333:user/x", a, "*") for a in ("ec2:DescribeInstances", "s3:GetObject")]
    assert [decide(request, policies).outcome for request in asked] == ["allowed", "denied"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("AdministratorAccess", "does everything"),
        ("PowerUserAccess", "secretsmanager:GetSecretValue"),
        ("AIDevOpsAgentActionsPolicy", "every action but those of"),
        ("AdministratorAccess-Amplify", "lets its holder pass any role to any service (iam:PassRole on *)"),
        ("AWSCodePipeline_FullAccess", "lets its holder pass any role to codepipeline.amazonaws.com"),
        ("SecretsManagerReadWrite", "reads every secret"),
        ("AmazonSSMManagedInstanceCore", "reads every parameter in Parameter Store (ssm:GetParameter on *)"),
        ("AmazonSNSFullAccess", "has all of sns on everything"),
        ("AmazonS3ReadOnlyAccess", "S3 objects (s3:GetObject on *)"),
        ("AmazonCognitoReadOnly", "cognito-identity:GetCredentialsForIdentity"),
        ("CloudWatchReadOnlyAccess", ""),
        ("AWSSupportAccess", ""),
        ("ViewOnlyAccess", ""),
        ("IAMReadOnlyAccess", ""),
        ("IAMUserChangePassword", ""),
        ("AmazonEC2ReadOnlyAccess", ""),
        ("AWSBillingReadOnlyAccess", ""),
    ],
)
def test_what_is_broad(name: str, words: str) -> None:
    because = broad_because(managed_policy(name))
    assert words in because
    assert bool(because) is bool(words)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ({"Action": "iam:*", "Resource": "*"}, "change all access"),
        ({"Action": "IAM:PASSROLE", "Resource": "arn:aws:iam::*:role/*"}, "any role to any service"),
        ({"Action": "iam:Pass*", "NotResource": "arn:aws:iam::*:role/x"}, "any role to any service"),
        ({"Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/ec2-*"}, ""),
        ({"Action": "sts:AssumeRole", "Resource": "*"}, "take every role"),
        ({"Action": "sts:AssumeRole", "Resource": "*", "Condition": {"Bool": {"aws:ViaAWSService": "true"}}}, ""),
        ({"Action": "iam:CreatePolicyVersion", "Resource": "*"}, "changes who may do what"),
        ({"Action": "lambda:AddPermission", "Resource": "*"}, "opens resources to others"),
        ({"Action": ["lambda:RemovePermission", "s3:ListAllMyBuckets"], "Resource": "*"}, ""),
        ({"Action": "retired:*", "Resource": "*"}, ""),
    ],
)
def test_the_rule(statement: dict[str, object], words: str) -> None:
    """Each kind of reason, and its near neighbours that are none; a Deny of the same takes it away."""
    allowed = {"Effect": "Allow", **statement}
    because = breadth(parse({"Statement": allowed}))
    assert words in because
    assert bool(because) is bool(words)
    denied = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    assert not breadth(parse({"Statement": [allowed, denied]}))


def test_what_is_written_by_hand_names_policies() -> None:
    assert set(broad._known()["policies"]) <= set(names())


def test_the_files_are_those_of_moto() -> None:
    """The shipped files say what the pinned moto says; compared by meaning, since bytes differ by zlib."""
    source = managed_policies.source()
    if source is None:
        pytest.skip(f"{managed_policies.MOTO} is not here; python -m tools.managed_policies installs it in build/moto")
    policies = managed_policies.policies(source)
    assert set(policies) == set(names())
    for name, facts in policies.items():
        ours = managed_policy(name)
        assert (ours.path, ours.version) == (facts["Path"], facts["DefaultVersionId"])
        assert facts["UpdateDate"].startswith(ours.date)
        assert ours.document == facts["Document"]


def test_the_order_of_the_source_does_not_matter() -> None:
    rows = {
        f"P{n:02}": {"Path": "/", "DefaultVersionId": "v1", "UpdateDate": "2026-01-01T00:00", "Document": {"n": n}}
        for n in range(30)
    }
    made = written(rows)
    assert made == written(dict(reversed(rows.items())))
    assert len(json.loads(made.index)["blocks"]) == 2
