"""The synthesized templates are the Baseline, resource by resource, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dutybound.baseline import Account, Baseline
from dutybound.compiler import compile_path
from dutybound.policy import Document
from tests.conftest import CASES, ROOT

Template = dict[str, Any]


def synthesize(config: Path, out: Path, validation: bool = False) -> subprocess.CompletedProcess[str]:
    """Run app.py as the CDK CLI does, without the CLI."""
    env = {
        **os.environ,
        "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps({"config": str(config)}),
        "CDK_VALIDATION": str(validation).lower(),
    }
    return subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example synthesized, with the CDK's own validation on."""
    folder = tmp_path_factory.mktemp("cdk.out")
    run = synthesize(ROOT / "config", folder, validation=True)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def templates(out: Path) -> dict[str, Template]:
    """The templates by stack name."""
    files = sorted(out.glob("*.template.json"))
    return {f.name.removesuffix(".template.json"): json.loads(f.read_text(encoding="utf-8")) for f in files}


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """The example compiled."""
    checked = compile_path(ROOT / "config")
    assert checked.value is not None, checked.diagnostics
    return checked.value


def of_type(templates: dict[str, Template], kind: str) -> dict[str, tuple[str, Template]]:
    """Resources of a type by logical id, with their stack."""
    return {
        f"{stack}/{name}": (stack, resource)
        for stack, template in templates.items()
        for name, resource in template.get("Resources", {}).items()
        if resource["Type"] == kind
    }


def plain(value: Any) -> Any:
    """A policy document with CloudFormation's escapes undone, so that it reads as the Baseline has it."""
    if isinstance(value, dict):
        if set(value) == {"Fn::Sub"}:
            return value["Fn::Sub"].replace("${!", "${")
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def test_templates_are_as_a_person_read_them(
    templates: dict[str, Template], golden: Callable[[Path, str], None]
) -> None:
    """The golden files of the example: a change in them is read in review."""
    for name, template in templates.items():
        golden(CASES / "templates" / f"{name}.json", json.dumps(template, indent=1, ensure_ascii=False) + "\n")
    expected = {p.stem for p in (CASES / "templates").glob("*.json")}
    assert expected == set(templates)


def test_policies(templates: dict[str, Template], baseline: Baseline) -> None:
    """Every customer managed policy has its name, path and document; none is attached to a user or left over."""
    account = baseline.accounts[0]
    made = of_type(templates, "AWS::IAM::ManagedPolicy")
    assert set(made) == {f"{p.stack}/{p.logical_id}" for p in account.policies}
    for policy in account.policies:
        properties = made[f"{policy.stack}/{policy.logical_id}"][1]["Properties"]
        assert properties["ManagedPolicyName"] == policy.name
        assert properties["Path"] == policy.path
        assert plain(properties["PolicyDocument"]) == policy.policy.document()
        assert set(properties) == {"ManagedPolicyName", "Path", "PolicyDocument"}


def attached(properties: Template, stack: str, account: Account) -> tuple[set[str], set[str]]:
    """The customer managed and the AWS managed policies that a group or role lists, by name and id."""
    names = {(p.stack, p.logical_id): p.name for p in account.policies}
    arns = properties.get("ManagedPolicyArns", [])
    ours = {names[(stack, a["Ref"])] for a in arns if "Ref" in a}
    aws = {a["Fn::Sub"].partition(":policy/")[2] for a in arns if "Fn::Sub" in a}
    return ours, aws


def test_groups_users_and_roles(templates: dict[str, Template], baseline: Baseline) -> None:
    """Membership, attachments, trust and instance profiles are those of the Baseline."""
    account = baseline.accounts[0]
    groups = of_type(templates, "AWS::IAM::Group")
    assert set(groups) == {f"{g.stack}/{g.logical_id}" for g in account.groups}
    for group in account.groups:
        stack, resource = groups[f"{group.stack}/{group.logical_id}"]
        assert resource["Properties"]["GroupName"] == group.name
        assert resource["Properties"]["Path"] == group.path
        assert attached(resource["Properties"], stack, account) == (set(group.policies), set(group.managed))
    ids = {(g.stack, g.logical_id): g.name for g in account.groups}
    users = of_type(templates, "AWS::IAM::User")
    assert set(users) == {f"{u.stack}/{u.logical_id}" for u in account.users}
    for user in account.users:
        stack, resource = users[f"{user.stack}/{user.logical_id}"]
        assert set(resource["Properties"]) == {"UserName", "Path", "Groups", "Tags"}
        assert tuple(ids[(stack, g["Ref"])] for g in resource["Properties"]["Groups"]) == user.groups
    everyone = [*account.roles, *([account.alarm.forwarder] if account.alarm else [])]
    roles = of_type(templates, "AWS::IAM::Role")
    assert set(roles) == {f"{r.stack}/{r.logical_id}" for r in everyone}
    for role in everyone:
        stack, resource = roles[f"{role.stack}/{role.logical_id}"]
        assert plain(resource["Properties"]["AssumeRolePolicyDocument"]) == role.trust.document()
        assert attached(resource["Properties"], stack, account) == (set(role.policies), set(role.managed))
        assert resource["Properties"]["Description"] == role.purpose
    profiles = of_type(templates, "AWS::IAM::InstanceProfile")
    assert set(profiles) == {f"{r.stack}/{r.instance_profile}" for r in account.roles if r.instance_profile}
    assert len(profiles) == 1


def test_break_glass(out: Path, templates: dict[str, Template], baseline: Baseline) -> None:
    """A stack of its own, protected and kept; no password, no key; alarms where events land."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    emergency = templates["acme-break-glass"]["Resources"]
    assert {r["DeletionPolicy"] for r in emergency.values()} == {"Retain"}
    assert manifest["acme-break-glass"]["properties"]["terminationProtection"] is True
    assert '"LoginProfile":' not in json.dumps(templates)
    assert not of_type(templates, "AWS::IAM::AccessKey")
    rules = of_type(templates, "AWS::Events::Rule")
    assert {r["Properties"]["State"] for _, r in rules.values()} == {"ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"}
    regions = {
        a["environment"].rpartition("/")[2]
        for name, a in manifest.items()
        if name.startswith("acme-break-glass-alarm") and "environment" in a
    }
    assert regions == {"ap-southeast-2", "eu-north-1", "eu-west-1", "us-east-1", "us-east-2"}
    topics = of_type(templates, "AWS::SNS::Topic")
    assert [t["Properties"]["Subscription"] for _, t in topics.values()] == [
        [{"Endpoint": "security@acme.example", "Protocol": "email"}]
    ]
    for stack in baseline.accounts[0].stacks:
        assert manifest[stack.name]["environment"] == f"aws://unknown-account/{stack.region}"


def test_whatever_takes_tags_is_tagged(templates: dict[str, Template]) -> None:
    """Owner, organization and managed-by on users, roles, topics and rules."""
    wanted = {"owner": "security@acme.example", "organization": "acme", "managed-by": "dutybound"}
    for kind in ("AWS::IAM::User", "AWS::IAM::Role", "AWS::SNS::Topic", "AWS::Events::Rule"):
        for name, (_, resource) in of_type(templates, kind).items():
            assert {t["Key"]: t["Value"] for t in resource["Properties"]["Tags"]} == wanted, name


def test_no_whole_service_and_no_secret(templates: dict[str, Template]) -> None:
    """No `*` or `service:*` in a customer managed policy; no account id; nothing that looks like a credential."""
    for name, (_, resource) in of_type(templates, "AWS::IAM::ManagedPolicy").items():
        document: Document = resource["Properties"]["PolicyDocument"]
        for statement in document["Statement"]:
            actions = statement.get("Action", [])
            for action in [actions] if isinstance(actions, str) else actions:
                assert not action.endswith(":*"), f"{name}: {action}"
                assert action != "*", name
            if statement["Effect"] == "Allow":
                assert "NotAction" not in statement, name
    text = json.dumps(templates)
    assert not re.search(r"AKIA|ASIA|BEGIN [A-Z ]*PRIVATE KEY|Password\":", text)
    assert set(re.findall(r"(?<!\d)\d{12}(?!\d)", text)) == {"999988887777"}  # the partner in the example's trust


def test_cfn_lint_finds_no_error(out: Path) -> None:
    """The templates pass cfn-lint 1.58; warnings are not errors."""
    # A stack without resources is never deployed: the CDK CLI deletes it instead.
    files = sorted(str(f) for f in out.glob("*.template.json") if json.loads(f.read_bytes()).get("Resources"))
    lint = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run(
        [lint, "--non-zero-exit-code", "error", "--format", "parseable", "--", *files],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    )
    assert run.returncode == 0, run.stdout


def test_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    """Teams, members, duties and files in another order and another place, another hash seed: the same templates."""
    first, second = tmp_path / "one", tmp_path / "two"
    shuffled = tmp_path / "elsewhere with spaces" / "zzz"
    shuffled.mkdir(parents=True)
    text = (ROOT / "config" / "teams.yaml").read_text(encoding="utf-8")
    blocks = re.split(r"\n\n(?=  \w)", text.removeprefix("teams:\n").rstrip("\n"))
    reordered = "teams:\n" + "\n\n".join(reversed(blocks)) + "\n"
    reordered = reordered.replace("[john, maria, tom]", "[tom, john, maria]")
    reordered = reordered.replace("acme-dev-*, acme-artifacts", "acme-artifacts, acme-dev-*")
    (shuffled / "aa.yaml").write_text(reordered, encoding="utf-8")
    shutil.copy(ROOT / "config" / "roles.yaml", shuffled / "0.yml")
    shutil.copy(ROOT / "config" / "organization.yaml", shuffled / "nested.yaml")
    assert reordered != text
    os.environ["PYTHONHASHSEED"] = "1"
    one = synthesize(ROOT / "config", first)
    os.environ["PYTHONHASHSEED"] = "2"
    two = synthesize(shuffled, second)
    del os.environ["PYTHONHASHSEED"]
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    names = sorted(p.name for p in first.glob("*.template.json"))
    assert names == sorted(p.name for p in second.glob("*.template.json"))
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_renaming_one_team_changes_nothing_else(templates: dict[str, Template], tmp_path: Path) -> None:
    """Only the renamed team's group and policies, and its members' lists of groups, differ."""
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    teams = config / "teams.yaml"
    teams.write_text(teams.read_text(encoding="utf-8").replace("database-admins:", "data-keepers:"), encoding="utf-8")
    run = synthesize(config, tmp_path / "out")
    assert run.returncode == 0, run.stderr
    for name, template in templates.items():
        after = json.loads((tmp_path / "out" / f"{name}.template.json").read_text(encoding="utf-8"))
        changed = {
            k
            for k in {*template.get("Resources", {}), *after.get("Resources", {})}
            if template["Resources"].get(k) != after["Resources"].get(k)
        }
        if name != "acme-teams":
            assert changed == set()
        else:
            kinds = sorted(re.sub(r"[0-9a-f]{6}$", "", k) for k in changed)
            assert kinds == [
                "PersonDana",
                "PersonMaria",
                "PolicyTeamDataKeepers",
                "PolicyTeamDatabaseAdmins",
                "TeamDataKeepers",
                "TeamDatabaseAdmins",
            ]


def test_a_broken_configuration_stops_the_app(tmp_path: Path) -> None:
    """The app prints our diagnostics, no traceback, writes no template and exits with 1."""
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\nteams: {}\n", encoding="utf-8")
    run = synthesize(config, tmp_path / "out")
    assert run.returncode == 1
    assert "error[missing-key]" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "out").glob("*.template.json"))
