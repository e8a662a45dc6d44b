"""The real CDK CLI deploys a hub and a member account to the emulator, and people take roles from one in the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from demo.account import differences, expected, observed
from demo.deployment import deploy
from demo.server import Credentials, Emulator, running
from demo.trials import Actor, Standing, equipped
from dutybound.compiler import compile_path
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / "node_modules").exists(), reason="the CDK CLI is not installed: run `make test`"
)
CONFIG = """
version: 1
organization: {name: acme, owner: x@acme.example, home_region: eu-west-1, hub: identity, id: o-a1b2c3d4e5}
accounts:
  identity: {id: "111122223333"}
  shop: {id: "222233334444", environment: production}
teams:
  operators: {purpose: Run it, members: [olga], in: {production: [manage-servers]}}
  auditors: {purpose: Look at it, members: [vera], in: {production: [view-servers]}}
break_glass: {users: [break-glass-1], alert: [a@b.example], through: role}
detectors: {external_access: true, identity_changes: true, one_bus: true}
"""
HUB, SHOP = "111122223333", "222233334444"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of both accounts."""
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def accounts(config: Path) -> Iterator[dict[str, Emulator]]:
    """Both accounts, deployed."""
    with running() as emulator:
        made = {"identity": emulator.of(HUB), "production": emulator.of(SHOP)}
        for name, account in made.items():
            deployment = deploy(account, config, name)
            assert deployment.ok, deployment.output
        yield made


@pytest.mark.parametrize("name", ["identity", "production"])
def test_each_account_holds_exactly_its_baseline(name: str, accounts: dict[str, Emulator], config: Path) -> None:
    """Read back from its own APIs: users in the hub alone, roles with their boundary in the other."""
    baseline = compile_path(config, name).value
    assert baseline is not None
    (account,) = baseline.accounts
    emulator = accounts[name]
    found = observed(emulator, [stack.region for stack in account.stacks])
    assert differences(expected(baseline, account, emulator.account), found) == []
    assert bool(found["users"]) == (name == "identity")


def test_people_take_their_roles_from_the_hub(accounts: dict[str, Emulator], config: Path) -> None:
    """With MFA, their own team's, and only what the team does there; without MFA or for another team's, nothing."""
    baseline = compile_path(config, "identity").value
    assert baseline is not None
    users = {user.name: user for user in baseline.accounts[0].users}
    hub = accounts["identity"]
    for name, team, other in (("olga", "operators", "auditors"), ("vera", "auditors", "operators")):
        with equipped(hub, users[name]) as actor:
            session = taken(hub, actor, "MFA", f"teams/{team}")
            assert session is not None
            ec2 = accounts["production"].client("ec2", credentials=session)
            assert ec2.describe_instances()["Reservations"] == []
            assert allowed(lambda ec2=ec2: ec2.create_key_pair(KeyName="x")) == (name == "olga")
            assert taken(hub, actor, "no MFA", f"teams/{team}") is None
            assert taken(hub, actor, "access key", f"teams/{team}") is None
            assert taken(hub, actor, "MFA", f"teams/{other}") is None
            assert taken(hub, actor, "MFA", "break-glass/break-glass") is None
    with equipped(hub, users["break-glass-1"]) as actor:
        assert taken(hub, actor, "no MFA", "break-glass/break-glass") is None
        assert taken(hub, actor, "MFA", "teams/operators") is None
        session = taken(hub, actor, "MFA", "break-glass/break-glass")
        assert session is not None
        iam = accounts["production"].client("iam", credentials=session)
        assert {role["RoleName"] for role in iam.list_roles()["Roles"]} >= {"operators", "break-glass"}


def taken(hub: Emulator, actor: Actor, standing: Standing, role: str) -> Credentials | None:
    """A session of a role of the other account, taken by somebody of the hub; None if that is denied."""
    sts = hub.client("sts", credentials=actor.credentials[standing])
    try:
        answer = sts.assume_role(RoleArn=f"arn:aws:iam::{SHOP}:role/{role}", RoleSessionName="test")
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return None
    return Credentials.of(answer["Credentials"])


def allowed(call: Any) -> bool:
    """Whether a call is not denied."""
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "UnauthorizedOperation"):
            raise
        return False
    return True
