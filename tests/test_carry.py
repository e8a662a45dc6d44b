"""A policy that exists becomes a duty that means the same, or a reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound import carry, catalog, managed
from dutybound.carry import NotCarried, carried
from dutybound.cli import cli
from dutybound.compiler import compile_text
from dutybound.diagnostic import render_all
from tests.test_compile import BASE


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy document of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """An allowing statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


CASES = {
    "levels where they match exactly": (
        allow(["s3:Get*", "s3:List*"], ["arn:aws:s3:::acme-web", "arn:aws:s3:::acme-web/*"]),
        "- service: s3\n      access: [read, list]\n"
        "      resources: {bucket: 'arn:aws:s3:::acme-web', object: 'arn:aws:s3:::acme-web/*'}\n",
    ),
    "the policy's own patterns where levels say too much": (
        allow(["ec2:Describe*"]),
        "- service: ec2\n      access: [list]\n      only: ['ec2:Describe*']\n",
    ),
    "actions where they are named": (
        allow("s3:PutObject", "arn:aws:s3:::a/*"),
        "- actions: ['s3:PutObject']\n      resources: {object: 'arn:aws:s3:::a/*'}\n",
    ),
    "conditions are kept": (
        allow("s3:PutObject", "arn:aws:s3:::a/*", Condition={"Bool": {"aws:SecureTransport": True}}),
        "when:\n        conditions:\n          Bool: {'aws:SecureTransport': 'true'}\n",
    ),
    "a denial stays a statement": (
        {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*", "Sid": "OnlyIam"},
        "- statements:\n      - {Sid: OnlyIam, Effect: Deny, NotAction: 'iam:*', Resource: '*'}\n",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_statement(name: str) -> None:
    """Each kind of statement, and the duty compiles with its own tests in a configuration."""
    statement, wanted = CASES[name]
    document = policy(statement) if statement["Effect"] == "Allow" else policy(statement, allow("iam:GetUser"))
    made = carried(document, "old-policy", "old.json")
    assert wanted in made.yaml
    team = "teams: {old: {purpose: Carry on, duties: [old-policy]}}\n"
    waiver = "waivers: [{finding: wide-action, for: team old, reason: Old, until: 2030-01-01}]\n"
    checked = compile_text(BASE + made.yaml + team + (waiver if "NotAction" in str(document) else ""))
    assert not [d for d in checked.diagnostics if d.severity == "error" and d.name not in ("wide-action",)], render_all(
        checked.diagnostics
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "not the JSON object"),
        ({"Statement": []}, "no statement"),
        (policy(allow("*")), "'administer'"),
        (policy({**allow("s3:GetObject"), "Principal": "*"}), "Principal"),
        (policy({"Effect": "Allow", "Resource": "*"}), "not an IAM policy|nothing in the policy"),
        (policy(allow("s3:GetObjct")), "nothing in the policy"),
    ],
)
def test_what_cannot_be_carried_over(document: object, reason: str) -> None:
    """A reason, and never a duty that means something else."""
    with pytest.raises(NotCarried, match=reason):
        carried(document, "old", "old.json")


def test_what_never_meant_anything_is_said() -> None:
    """Unknown actions, and actions on resources that they cannot be limited to."""
    actions = ["s3:GetObject", "s3:GetObjct", "s3:ListAllMyBuckets"]
    document = policy(allow(actions, ["arn:aws:s3:::a/*", "arn:aws:sqs:*:*:q"]))
    notes = carried(document, "old", "old.json").notes
    assert [n.partition(": ")[0] for n in notes] == ["s3:GetObjct", "s3:ListAllMyBuckets", "arn:aws:sqs:*:*:q"]


def test_a_difference_would_be_seen() -> None:
    """The comparison sees an action, a resource or a condition that is lost."""

    def meaning(statement: dict[str, Any]) -> object:
        return carry._meaning(carry._policy(policy(statement)).statements)

    both = ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"]
    whole = meaning(allow("s3:GetObject", both))
    assert whole == meaning(allow("s3:GetObject", [*both, "arn:aws:sqs:*:*:q"]))
    assert whole != meaning(allow("s3:GetObject", both[:1]))
    assert whole != meaning(allow(["s3:GetObject", "s3:PutObject"], both))
    assert whole != meaning(allow("s3:GetObject", both, Condition={"Bool": {"aws:SecureTransport": "true"}}))


SERVICES = ("s3", "ec2", "iam", "lambda", "sqs", "dynamodb", "kms", "logs")
PATTERNS = st.one_of(
    st.sampled_from([str(a) for s in SERVICES for a in catalog.service(s).actions.values()]),
    st.builds("{}:{}*".format, st.sampled_from(SERVICES), st.sampled_from(["Get", "List", "Describe", "Put", "", "C"])),
)
RESOURCES = st.sampled_from(
    [
        *("*", "arn:aws:s3:::a", "arn:aws:s3:::a/*", "arn:aws:s3:::*", "arn:aws:ec2:*:*:instance/*"),
        *("arn:aws:iam::*:role/app/*", "arn:aws:lambda:*:111122223333:function:web-*", "arn:*:logs:*:*:*"),
        *("arn:aws:sqs:eu-west-1:*:*", "arn:aws:kms:*:*:key/*"),
    ]
)
STATEMENTS = st.builds(allow, st.lists(PATTERNS, min_size=1, max_size=4), st.lists(RESOURCES, min_size=1, max_size=3))


@settings(max_examples=60)
@given(st.lists(STATEMENTS, min_size=1, max_size=3))
def test_any_policy_keeps_its_meaning(statements: list[dict[str, Any]]) -> None:
    """`carried` compares before it answers: what it gives means the same, action by action."""
    reason = ""
    try:
        assert carried(policy(*statements), "old", "old.json").yaml.startswith("duties:\n  old:\n")
    except NotCarried as refusal:
        reason = str(refusal)
    assert reason in ("", "nothing in the policy has a meaning in the IAM service reference")


@pytest.mark.parametrize("name", managed.names()[::60])
def test_aws_managed_policies_can_be_carried_over(name: str) -> None:
    """Real policies, every sixtieth: whatever becomes a duty means the same."""
    reason = ""
    try:
        assert "grants:" in carried(managed.managed_policy(name).document, "old", name).yaml
    except NotCarried as refusal:
        reason = str(refusal)
    assert reason in ("", "nothing in the policy has a meaning in the IAM service reference")


def test_the_command(tmp_path: Path) -> None:
    """A file as AWS prints it, standard input, and what is no policy."""
    file = tmp_path / "policy.json"
    document = policy(allow("s3:PutObject", "arn:aws:s3:::a/*"))
    file.write_text(json.dumps({"PolicyVersion": {"Document": document}}), encoding="utf-8")
    run = CliRunner().invoke(cli, ["import-policy", str(file), "--name", "old"])
    assert run.exit_code == 0
    assert run.stdout.startswith("duties:\n  old:\n    summary: What policy.json allowed\n")
    again = CliRunner().invoke(cli, ["import-policy", "-"], input=json.dumps(document))
    assert again.exit_code == 0
    for text in ("{", "[]", ""):
        file.write_text(text, encoding="utf-8")
        run = CliRunner().invoke(cli, ["import-policy", str(file)])
        assert run.exit_code == 1
        assert run.stderr.startswith("error[not-carried-over]: ")
        assert run.stdout == ""
    assert CliRunner().invoke(cli, ["import-policy", str(tmp_path / "none.json")]).exit_code == 1
