"""The emulator that stands in for AWS: it refuses what it cannot do, and is reached without the caller's AWS set-up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import demo
from demo import DemoError
from demo.server import ROOT, Credentials, Emulator, require_loopback, run, running

GROUP = "AWS::IAM::Group"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running() as started:
        yield started


def _template(**resources: tuple[str, dict[str, Any]]) -> str:
    return json.dumps({"Resources": {k: {"Type": t, "Properties": p} for k, (t, p) in resources.items()}})


def _failure(emulator: Emulator, name: str, template: str, first: str | None = None) -> str:
    """Why a stack could not be created, or updated when there is a first template; empty when it could."""
    cloudformation = emulator.client("cloudformation")
    arguments = {"StackName": name, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    try:
        if first:
            cloudformation.create_stack(TemplateBody=first, **arguments)
            assert _settled(cloudformation, name) == "CREATE_COMPLETE"
            cloudformation.update_stack(TemplateBody=template, **arguments)
        else:
            cloudformation.create_stack(TemplateBody=template, **arguments)
    except ClientError as error:
        return str(error)
    if _settled(cloudformation, name) in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return ""
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    return "\n".join(e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("_FAILED"))


def _settled(cloudformation: Any, name: str) -> str:
    for _ in range(200):
        status = str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
        if not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(0.05)
    raise AssertionError(f"{name} does not settle: {status}")


TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}


def _trust(principal: dict[str, str]) -> dict[str, Any]:
    return {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": principal}]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (("AWS::SQS::Queue", {}), "Unrecognized resource types"),
        ((GROUP, {"GroupName": "g", "Policies": []}), "the emulator would drop Policies"),
        ((GROUP, {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/NoSuchThing"]}), "NoSuchEntity"),
        (("AWS::IAM::User", {"UserName": "u", "Groups": ["nowhere"]}), "NoSuchEntity"),
        (
            (
                "AWS::IAM::Role",
                {"AssumeRolePolicyDocument": _trust({"AWS": "arn:aws:iam::123456789012:user/nobody"})},
            ),
            "Invalid principal",
        ),
        (("AWS::IAM::ManagedPolicy", {"ManagedPolicyName": "p", "PolicyDocument": {"Statement": [{}]}}), "Malformed"),
        (("AWS::Events::Rule", {"State": "ALWAYS", "EventPattern": {"source": ["x"]}}), "State ALWAYS"),
        (("AWS::SNS::TopicPolicy", {"Topics": ["arn:aws:sns:eu-west-1:123456789012:x"]}), "NotFound"),
    ],
)
def test_what_cannot_be_done_fails_the_stack(
    emulator: Emulator, resource: tuple[str, dict[str, Any]], reason: str, request: pytest.FixtureRequest
) -> None:
    name = f"refused-{request.node.callspec.indices['resource']}"
    assert reason in _failure(emulator, name, _template(It=resource))


def test_a_service_role_has_to_exist(emulator: Emulator) -> None:
    """The CDK CLI names one for some synthesizers, and a deployment to a fresh account fails by it."""
    cloudformation = emulator.client("cloudformation")
    role = "arn:aws:iam::123456789012:role/cdk-hnb659fds-cfn-exec-role-123456789012-eu-west-1"
    with pytest.raises(ClientError, match="is invalid or cannot be assumed"):
        cloudformation.create_stack(StackName="role", TemplateBody=_template(G=(GROUP, {})), RoleARN=role)


def test_a_group_is_updated_in_place(emulator: Emulator) -> None:
    iam = emulator.client("iam")
    before = {"GroupName": "moved", "Path": "/a/", "ManagedPolicyArns": ["arn:aws:iam::aws:policy/SecurityAudit"]}
    after = {"GroupName": "moved", "Path": "/b/", "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"]}
    assert _failure(emulator, "group", _template(G=(GROUP, after)), first=_template(G=(GROUP, before))) == ""
    group = iam.get_group(GroupName="moved")["Group"]
    assert (group["Path"], group["Arn"]) == ("/b/", "arn:aws:iam::123456789012:group/b/moved")
    attached = iam.list_attached_group_policies(GroupName="moved")["AttachedPolicies"]
    assert [p["PolicyName"] for p in attached] == ["AdministratorAccess"]


def test_a_group_with_a_foreign_member_is_not_deleted(emulator: Emulator) -> None:
    iam, cloudformation = emulator.client("iam"), emulator.client("cloudformation")
    assert _failure(emulator, "crowd", _template(G=(GROUP, {"GroupName": "crowd"}))) == ""
    iam.create_user(UserName="stranger")
    iam.add_user_to_group(GroupName="crowd", UserName="stranger")
    cloudformation.delete_stack(StackName="crowd")
    assert _settled(cloudformation, "crowd") == "DELETE_FAILED"


def test_an_identity_provider_is_one_for_its_issuer(emulator: Emulator) -> None:
    """Its audiences and tags change in place; a second one for the same issuer is refused; deletion removes it."""
    iam, cloudformation, kind = emulator.client("iam"), emulator.client("cloudformation"), "AWS::IAM::OIDCProvider"
    before = {"Url": "https://id.acme.example/a", "ClientIdList": ["x"], "Tags": [{"Key": "owner", "Value": "a"}]}
    after = {**before, "ClientIdList": ["x", "y"], "Tags": [{"Key": "owner", "Value": "b"}]}
    assert _failure(emulator, "issuer", _template(P=(kind, after)), first=_template(P=(kind, before))) == ""
    arn = "arn:aws:iam::123456789012:oidc-provider/id.acme.example/a"
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (found["Url"].removeprefix("https://"), found["ClientIDList"]) == ("id.acme.example/a", ["x", "y"])
    assert found["Tags"] == [{"Key": "owner", "Value": "b"}]
    assert "EntityAlreadyExists" in _failure(emulator, "issuer-again", _template(P=(kind, before)))
    cloudformation.delete_stack(StackName="issuer")
    for _ in range(200):
        left = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        if not left:
            break
        time.sleep(0.05)
    assert left == []


def test_a_role_keeps_its_boundary(emulator: Emulator) -> None:
    boundary = "arn:aws:iam::aws:policy/SecurityAudit"
    role = {
        "RoleName": "bounded",
        "PermissionsBoundary": boundary,
        "AssumeRolePolicyDocument": _trust({"Service": "ec2.amazonaws.com"}),
    }
    assert _failure(emulator, "bounded", _template(R=("AWS::IAM::Role", role))) == ""
    found = emulator.client("iam").get_role(RoleName="bounded")["Role"]
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary


def test_somebody_elses_device_proves_nothing(emulator: Emulator) -> None:
    iam = emulator.client("iam")
    for name in ("owner", "thief"):
        iam.create_user(UserName=name)
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="owner")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(
        UserName="owner", SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321"
    )
    thief = Credentials.of(iam.create_access_key(UserName="thief")["AccessKey"])
    sts = emulator.client("sts", credentials=thief)
    with pytest.raises(ClientError, match="MultiFactorAuthentication failed"):
        sts.get_session_token(SerialNumber=device, TokenCode="123456")


def test_the_callers_aws_setup_takes_no_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://203.0.113.1:1",
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIANOTTOBEUSED00000",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-used",
        "AWS_SESSION_TOKEN": "not-to-be-used",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_CA_BUNDLE": str(tmp_path / "missing"),
        "AWS_RETRY_MODE": "nonsense",
        "HTTP_PROXY": "http://203.0.113.1:1",
        "HTTPS_PROXY": "http://203.0.113.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").write_text("[profile production]\nregion = mars\n")
    before = dict(os.environ)
    with running("210987654321", "eu-north-1") as emulator:
        client = emulator.client("sts")
        assert client.get_caller_identity()["Account"] == "210987654321"
        assert client.meta.region_name == "eu-north-1"
        code, seen = run([sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"], emulator, ROOT)
    assert code == 0
    assert "203.0.113.1" not in seen
    assert "not-to-be-used" not in seen
    assert "production" not in seen
    assert json.loads(seen)["AWS_ENDPOINT_URL"] == emulator.url
    assert dict(os.environ) == before


@pytest.mark.parametrize("url", ["http://203.0.113.1:4566", "https://iam.amazonaws.com", "http://localhost.example"])
def test_only_the_loopback_is_spoken_to(url: str) -> None:
    require_loopback("http://127.0.0.1:4566/x")
    with pytest.raises(DemoError, match="not this machine"):
        require_loopback(url)


def test_another_version_of_the_emulator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MINISTACK", "0.0.0")
    with pytest.raises(DemoError, match=r"demo/emulator\.py changes the inside of ministack 0\.0\.0"), running():
        pass


WAITING = """
import time
from demo.server import running
with running() as emulator:
    print(emulator.log.parent, emulator.url.rsplit(":", 1)[1], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_the_emulator_ends_with_its_parent(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        folder, port = parent.stdout.readline().split()
        assert _listens(int(port))
        parent.send_signal(number)
        assert parent.wait(10) == code
    until = time.monotonic() + 5
    while (_listens(int(port)) or Path(folder).exists()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _listens(int(port))
    assert not Path(folder).exists()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
