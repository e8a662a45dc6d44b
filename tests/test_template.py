"""Templates read back as the baseline that they make: our own, and pairs of anybody's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dutybound.changes import Broken, Review, review_templates
from dutybound.compare import compare_baselines, compare_trusts
from dutybound.compiler import compile_path
from dutybound.report.diff import Sides, text
from dutybound.template import read
from tests.conftest import CASES, ROOT

PAIRS = yaml.safe_load((CASES / "template-changes.yaml").read_text(encoding="utf-8"))
COMMON = {
    "Data": {"Type": "AWS::S3::Bucket"},
    "Read": {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "ManagedPolicyName": "read",
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Data.Arn}/*"}},
                ],
            },
        },
    },
    "Reader": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": "reader",
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            "ManagedPolicyArns": [{"Ref": "Read"}],
        },
    },
}
"""What each pair has on both sides."""


def _put(folder: Path, name: str, pair: Mapping[str, Any], side: str) -> Path:
    resources = {**COMMON, **pair.get("resources", {}), **pair.get(side, {})}
    body = {"Parameters": pair.get("parameters", {}), "Resources": resources}
    file = folder / name
    file.write_text(json.dumps(body), encoding="utf-8")
    return file


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p["name"].replace(" ", "-"))
def test_pairs(pair: dict[str, Any], tmp_path: Path) -> None:
    """What is gained, lost and not known is said, and nothing else."""
    old, new = _put(tmp_path, "old.json", pair, "old"), _put(tmp_path, "new.json", pair, "new")
    found = review_templates(read(old), read(new))
    if pair.get("refused"):
        assert isinstance(found, Broken)
        assert all("new.json: Read" in d.message for d in found.head)
        return
    assert isinstance(found, Review)
    told = " ".join(text(found, Sides("old", "new")).split())
    for sign, key in ((True, "gains"), (False, "losses")):
        entries = [a.gained for a in found.access] + [t.gained for t in found.trusts]
        assert (sign in entries) == bool(pair.get(key)), told
        for words in pair.get(key, ()):
            assert words in told
    assert len(found.unknown) == len(pair.get("unknown", ())), found.unknown
    for words in pair.get("unknown", ()):
        assert words in told
    assert found.exit_code("changes") == (
        3 if pair.get("unknown") else int(bool(pair.get("gains") or pair.get("losses")))
    )


def test_turned_round_a_pair_says_the_opposite(tmp_path: Path) -> None:
    """Gains become losses, and what is unknown stays so."""
    for pair in PAIRS:
        if pair.get("refused"):
            continue
        old, new = _put(tmp_path, "old.json", pair, "old"), _put(tmp_path, "new.json", pair, "new")
        there, back = review_templates(read(old), read(new)), review_templates(read(new), read(old))
        assert isinstance(there, Review)
        assert isinstance(back, Review)
        gained = sorted((a.names, a.actions, a.resources) for a in there.access if a.gained)
        lost = sorted((a.names, a.actions, a.resources) for a in back.access if not a.gained)
        assert gained == lost, pair["name"]
        assert len(there.unknown) == len(back.unknown)


def test_our_own_templates_are_the_baseline(tmp_path: Path) -> None:
    """What is synthesized from the example can do what the compiler decided, principal by principal."""
    environment = {
        **os.environ,
        "CDK_OUTDIR": str(tmp_path),
        "CDK_CONTEXT_JSON": json.dumps({"config": str(ROOT / "config")}),
        "CDK_VALIDATION": "false",
    }
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    (checked,) = read(tmp_path).values()
    compiled = compile_path(ROOT / "config").value
    assert checked.value is not None
    assert compiled is not None
    # The group of break-glass is a team like others here, and the alarm's role one of the roles.
    alarm = {"break-glass-alarm"}
    changes = [
        change
        for change in compare_baselines(compiled, checked.value.baseline)
        if change.name not in alarm and (change.kind, change.name) != ("team", "break-glass")
    ]
    assert changes == []
    assert {c.role for c in compare_trusts(compiled, checked.value.baseline)} <= alarm
    assert {gap.what for gap in checked.value.gaps} == {"a resource of type AWS::SNS::TopicPolicy"}


def test_yaml_with_short_forms_is_the_same_template(tmp_path: Path) -> None:
    """`!Sub` and `Fn::Sub` are one; a date stays the text that it is in a policy."""
    short = tmp_path / "short.yaml"
    short.write_text(
        """\
Resources:
  Data: {Type: AWS::S3::Bucket}
  Read:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      ManagedPolicyName: read
      PolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Action: s3:GetObject, Resource: !Join ["", [!GetAtt Data.Arn, "/*"]]}]
  Reader:
    Type: AWS::IAM::Role
    Properties:
      RoleName: reader
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: sts:AssumeRole}]
      ManagedPolicyArns: [!Ref Read]
""",
        encoding="utf-8",
    )
    found = review_templates(read(short), read(_put(tmp_path, "long.json", {}, "new")))
    assert isinstance(found, Review)
    assert found.result == "no access changes"
    assert found.empty


def test_exports_are_followed_between_stacks(tmp_path: Path) -> None:
    """A policy of one template, attached in another."""
    for name, actions in (("old", "s3:GetObject"), ("new", ["s3:GetObject", "s3:DeleteObject"])):
        folder = tmp_path / name
        folder.mkdir()
        shared = json.loads(json.dumps(COMMON["Read"]))
        shared["Properties"]["PolicyDocument"]["Statement"][0] |= {"Action": actions, "Resource": "arn:aws:s3:::data/*"}
        output = {"Shared": {"Value": {"Ref": "Read"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-read"}}}}
        policies = {"Resources": {"Read": shared}, "Outputs": output}
        (folder / "policies.json").write_text(json.dumps(policies), encoding="utf-8")
        reader = json.loads(json.dumps(COMMON["Reader"]))
        reader["Properties"]["ManagedPolicyArns"] = [{"Fn::ImportValue": "policies-read"}]
        (folder / "roles.json").write_text(json.dumps({"Resources": {"Reader": reader}}), encoding="utf-8")
    found = review_templates(read(tmp_path / "old"), read(tmp_path / "new"))
    assert isinstance(found, Review)
    assert found.unknown == ()
    assert [(a.gained, a.names, a.actions) for a in found.access] == [(True, ("reader",), ("s3:DeleteObject",))]


BOMB = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 9))
GROUP, USER = {"Type": "AWS::IAM::Group"}, {"Type": "AWS::IAM::User"}


@pytest.mark.parametrize(
    ("body", "gap"),
    [
        ({"Resources": {"Team": {**GROUP, "Properties": {"GroupName": {"Ref": "Team"}}}}}, "Ref of itself"),
        (
            {
                "Resources": {"Team": {**GROUP, "Properties": {"GroupName": {"Fn::ImportValue": "x"}}}},
                "Outputs": {"X": {"Value": {"Fn::ImportValue": "x"}, "Export": {"Name": "x"}}, "Y": []},
            },
            "Fn::ImportValue of itself",
        ),
        (
            {
                "Resources": {
                    f"G{i}": {**GROUP, "Properties": {"GroupName": {"Fn::Sub": f"a${{G{i + 1}}}"}}} for i in range(400)
                }
            },
            "a value that leads too far",
        ),
        ({"Resources": {"Tom": {**USER, "Properties": {"Groups": [{"Ref": "T"}]}}, "T": [{}]}}, "Ref"),
        ({"Resources": {"Tom": {**USER, "Condition": {"a": {}}}}}, 'whether the condition {"a": {}} holds'),
        ({"Resources": {"Tom": {**USER, "Condition": "A"}}, "Conditions": []}, "whether the condition A holds"),
    ],
)
def test_what_cloudformation_would_refuse_is_a_gap(body: dict[str, Any], gap: str, tmp_path: Path) -> None:
    """References to themselves, ever further, or to what is no resource."""
    file = tmp_path / "template.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    ((checked),) = read(file).values()
    assert checked.value is not None
    assert gap in {one.what for one in checked.value.gaps}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.json", None, "no such file"),
        ("broken.json", "{", "Expecting"),
        ("broken.yaml", "a: [b", "line"),
        ("list.json", "[1]", "mapping"),
        ("other.yaml", "version: 1\n", "no Resources"),
        ("deep.json", '{"Resources": ' + '{"a": ' * 90 + "1" + "}" * 91, "nested"),
        ("deeper.json", '{"Resources": ' + "[" * 100_000, "nested"),
        ("itself.yaml", "Resources: &a\n  b: *a\n", "nested"),
        ("bomb.yaml", f"Resources: {{a: 1}}\nx0: &x0 [1]\n{BOMB}", "more values"),
    ],
)
def test_what_is_no_template_is_said(name: str, content: str | None, says: str, tmp_path: Path) -> None:
    """One line each, with the file, and exit 3: nothing is known."""
    file = tmp_path / name
    if content is not None:
        file.write_text(content, encoding="utf-8")
    run_it = "from dutybound.cli import main; main()"
    command = [sys.executable, "-c", run_it, "diff", "--template", str(file), str(file)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 3
    assert says in run.stdout + run.stderr
    assert name in run.stdout
    assert "Traceback" not in run.stderr
