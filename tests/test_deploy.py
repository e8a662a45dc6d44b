"""The real CDK CLI deploys a configuration to an emulator of AWS on this machine, and the account is read back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from demo.account import Holdings, differences, expected, observed
from demo.deployment import Deployment, cdk, deploy, destroy
from demo.server import ROOT, Credentials, Emulator, running
from demo.trials import chosen, judged
from dutybound.baseline import Account, Baseline
from dutybound.compiler import compile_path
from dutybound.diagnostic import render_all

pytestmark = pytest.mark.skipif(
    not (ROOT / "node_modules").exists(), reason="the CDK CLI is not installed: run `make test`"
)

CONFIG = """
version: 1
organization: {name: acme, owner: security@acme.example, home_region: eu-west-1}
break_glass: {users: [break-glass-1, break-glass-2], alert: [security@acme.example]}
teams:
  administrators:
    purpose: Look after the account
    members: [ann-admin]
    duties: [administer]
  developers:
    purpose: Build the product
    members: [bob, carol]
    duties:
      - manage-servers
      - use-storage: {buckets: [acme-dev-*]}
  database-admins:
    purpose: Keep the databases running
    members: [carol]
    duties: [manage-databases]
roles:
  web-server:
    purpose: The web servers read their assets
    trusts: {service: ec2}
    duties:
      - read-storage: {buckets: [acme-assets]}
  pipeline:
    purpose: GitHub publishes the assets from the main branch
    trusts:
      github: {repository: acme/web, branch: main, owner_id: 101, repository_id: 202, older_form: false}
    duties:
      - use-storage: {buckets: acme-assets}
  partner-audit:
    purpose: Our partner looks at the audit trail
    trusts: {account: "999988887777", external_id: acme-9f3c2b7148d0}
    duties: [view-audit-trail]
"""
CHANGED = CONFIG.replace("members: [bob, carol]", "members: [bob]").replace(
    "      - manage-servers\n", "      - manage-servers\n      - view-audit-trail\n"
)


@dataclass(frozen=True)
class Site:
    """A configuration on disk and the emulator that it is deployed to."""

    emulator: Emulator
    config: Path

    def baseline(self) -> Baseline:
        checked = compile_path(self.config)
        assert not checked.failed, render_all(checked.diagnostics)
        assert checked.value is not None
        return checked.value

    def account(self) -> Account:
        return self.baseline().accounts[0]

    def wanted(self) -> Holdings:
        return expected(self.baseline(), self.account(), self.emulator.account)

    def found(self) -> Holdings:
        return observed(self.emulator, [stack.region for stack in self.account().stacks])

    def write(self, text: str) -> None:
        (self.config / "organization.yaml").write_text(text, "utf-8")

    def must(self, deployment: Deployment) -> Deployment:
        assert deployment.ok, deployment.output
        return deployment


def _site(emulator: Emulator, folder: Path) -> Site:
    site = Site(emulator, folder)
    site.write(CONFIG)
    site.must(deploy(emulator, folder))
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running() as emulator:
        yield _site(emulator, tmp_path_factory.mktemp("config"))


def test_the_account_holds_exactly_the_baseline(site: Site) -> None:
    wanted, found = site.wanted(), site.found()
    assert differences(wanted, found) == []
    assert found == wanted
    assert all(
        found[kind] for kind in ("policies", "groups", "users", "roles", "identity providers", "topics", "rules")
    )


def test_the_instance_profile_holds_its_role(site: Site) -> None:
    found = site.emulator.client("iam").get_instance_profile(InstanceProfileName="web-server")["InstanceProfile"]
    assert [role["RoleName"] for role in found["Roles"]] == ["web-server"]


def test_an_identity_provider_that_nobody_asked_for_is_seen(site: Site) -> None:
    """The account trusts one issuer for one audience; another one beside it is found."""
    asked_for = {"token.actions.githubusercontent.com": ["sts.amazonaws.com"]}
    assert {name: facts["audiences"] for name, facts in site.found()["identity providers"].items()} == asked_for
    iam = site.emulator.client("iam")
    made = iam.create_open_id_connect_provider(Url="https://login.stranger.example", ClientIDList=["x"])
    try:
        (difference,) = differences(site.wanted(), site.found())
        assert difference.startswith("identity providers: login.stranger.example is there")
    finally:
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=made["OpenIDConnectProviderArn"])
    assert differences(site.wanted(), site.found()) == []


def test_addresses_are_asked_before_they_get_alarms(site: Site) -> None:
    sns = site.emulator.client("sns")
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    assert [sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsConfirmed"] for arn in topics] == ["0"]


def test_a_sign_in_rings_from_every_region(site: Site) -> None:
    """A queue listens beside the mail addresses: a break-glass user and the root user ring, somebody else does not."""
    sqs, sns = site.emulator.client("sqs"), site.emulator.client("sns")
    arn = f"arn:aws:sqs:{site.emulator.region}:{site.emulator.account}:listener"
    listening = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [listening]})
    queue = sqs.create_queue(QueueName="listener", Attributes={"Policy": policy})["QueueUrl"]
    topic = sns.list_topics()["Topics"][0]["TopicArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    try:
        for region in sorted({stack.region for stack in site.account().stacks}):
            for who in ({"type": "IAMUser", "userName": "break-glass-1"}, {"type": "Root"}, BOB):
                _sign_in(site.emulator.client("events", region), who)
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            bodies = [message["Body"] for message in messages]
            assert [sum(who in body for body in bodies) for who in ("break-glass-1", "Root", "bob")] == [1, 1, 0], (
                region
            )
            sqs.purge_queue(QueueUrl=queue)
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)


BOB = {"type": "IAMUser", "userName": "bob"}


def _sign_in(events: Any, who: dict[str, str]) -> None:
    detail = {"eventSource": "signin.amazonaws.com", "eventType": "AwsConsoleSignIn", "userIdentity": who}
    entry = {"Source": "test", "DetailType": "AWS Console Sign In via CloudTrail", "Detail": json.dumps(detail)}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_every_call_is_answered_as_the_configuration_promises(site: Site) -> None:
    verdicts = list(judged(site.emulator, site.account(), chosen(site.account())))
    assert [v for v in verdicts if not v.agrees] == []
    assert {v.who for v in verdicts} >= {"ann-admin", "bob", "carol", "break-glass-1", "web-server", "partner-audit"}
    for who, standing in (("bob", "MFA"), ("ann-admin", "MFA"), ("web-server", "role"), ("partner-audit", "role")):
        answers = {v.answered for v in verdicts if (v.who, v.standing) == (who, standing)}
        assert answers == {"allowed", "denied"}, who
    assert differences(site.wanted(), site.found()) == []


def test_the_partner_needs_the_external_id(site: Site) -> None:
    sts = site.emulator.client("sts", credentials=Credentials("999988887777", "test"))
    arn = f"arn:aws:iam::{site.emulator.account}:role/roles/partner-audit"
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=arn, RoleSessionName="partner")
    sts.assume_role(RoleArn=arn, RoleSessionName="partner", ExternalId="acme-9f3c2b7148d0")


def test_the_checks_fail_when_mfa_is_not_enforced(site: Site) -> None:
    """A mutation of the account that the same checks must see."""
    iam = site.emulator.client("iam")
    arn = f"arn:aws:iam::{site.emulator.account}:policy/baseline/enforce-mfa"
    held = {"GroupName": "administrators", "PolicyArn": arn}
    iam.detach_group_policy(**held)
    try:
        people = [user for user in site.account().users if user.name == "ann-admin"]
        broken = [v for v in judged(site.emulator, site.account(), people) if not v.agrees]
        assert {(v.standing, v.answered) for v in broken if v.trial.action == "iam:CreateUser"} == {
            ("access key", "allowed"),
            ("no MFA", "allowed"),
        }
        assert differences(site.wanted(), site.found()) != []
    finally:
        iam.attach_group_policy(**held)


def test_a_second_deployment_changes_nothing(site: Site) -> None:
    again = site.must(deploy(site.emulator, site.config))
    # The example has no budget, and a stack without resources is not deployed.
    filled = [stack.name for stack in site.account().stacks if stack.name != "acme-budgets"]
    assert again.unchanged == tuple(sorted(filled))


def test_a_changed_configuration_is_deployed(site: Site) -> None:
    before = site.found()
    site.write(CHANGED)
    site.must(deploy(site.emulator, site.config))
    after = site.found()
    assert differences(site.wanted(), after) == []
    assert "carol" not in after["groups"]["developers"]["members"]
    assert "carol" in before["groups"]["developers"]["members"]
    assert "cloudtrail:" in str(after["policies"]["team-developers"])
    assert "cloudtrail:" not in str(before["policies"]["team-developers"])
    assert before["users"] == after["users"]


def test_the_last_role_and_the_last_team_are_removed_too(site: Site) -> None:
    """What is no longer in the configuration is no longer in the account, also where its stack is left empty."""
    assert "web-server" in site.found()["roles"]
    site.write(CHANGED.partition("teams:")[0])
    site.must(deploy(site.emulator, site.config))
    after = site.found()
    assert differences(site.wanted(), after) == []
    assert set(after["groups"]) == {"break-glass"}
    assert set(after["roles"]) == {"break-glass-alarm"}
    assert set(after["users"]) == {"break-glass-1", "break-glass-2"}


def test_a_type_that_the_emulator_does_not_know_fails_the_deployment(site: Site) -> None:
    """A green deployment means something only because an unknown resource makes it red."""
    cloudformation = site.emulator.client("cloudformation")
    with pytest.raises(cloudformation.exceptions.ClientError, match="Unrecognized resource types"):
        cloudformation.create_stack(
            StackName="unknown", TemplateBody='{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
        )


def test_destroying_leaves_only_what_is_to_be_kept(tmp_path: Path) -> None:
    with running() as emulator:
        site = _site(emulator, tmp_path)
        kept = {stack.name for stack in site.account().stacks if stack.retained}
        assert kept == {"acme-break-glass"}
        refused = destroy(emulator, site.config)
        assert not refused.ok
        assert "TerminationProtection is enabled" in refused.output.replace(
            "Termination Protection", "TerminationProtection"
        )
        assert "break-glass-1" in site.found()["users"]
        for stack in site.account().stacks:
            if stack.protected:
                cloudformation = emulator.client("cloudformation", stack.region)
                assert _protected(cloudformation, stack.name)
                cloudformation.update_termination_protection(StackName=stack.name, EnableTerminationProtection=False)
        site.must(destroy(emulator, site.config))
        assert differences(_retained(site, kept), site.found()) == []


def _protected(cloudformation: Any, stack: str) -> bool:
    return bool(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["EnableTerminationProtection"])


def _retained(site: Site, kept: set[str]) -> Holdings:
    """What the baseline keeps in an account whose stacks are destroyed: the way in."""
    account = site.account()
    alarm_roles = (account.alarm.forwarder,) if account.alarm else ()
    stays = {
        "policies": {policy.name for policy in account.policies if policy.stack in kept},
        "groups": {group.name for group in account.groups if group.stack in kept},
        "users": {user.name for user in account.users if user.stack in kept},
        "roles": {role.name for role in (*account.roles, *alarm_roles) if role.stack in kept},
        "identity providers": set[str](),
        "topics": set[str](),
        "rules": set[str](),
    }
    wanted = site.wanted()
    return {kind: {name: wanted[kind][name] for name in names} for kind, names in stays.items()}


def _demo(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "demo", "--config", str(config)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_demo_says_that_all_is_as_promised(tmp_path: Path) -> None:
    (tmp_path / "organization.yaml").write_text(CONFIG, "utf-8")
    with _demo(tmp_path) as child:
        output, errors = child.communicate(timeout=120)
    assert (child.returncode, errors) == (0, "")
    assert "every answer is the one the configuration promises" in output


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "organization.yaml").write_text(CONFIG, "utf-8")
    with _demo(tmp_path) as child:
        assert child.stdout is not None
        url = next(word.rstrip(".") for word in child.stdout.readline().split() if word.startswith("http"))
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    assert errors.strip() == "interrupted: the emulator is stopped, nothing is left"
    with pytest.raises(urllib.error.URLError):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2)


def test_a_demo_of_a_broken_configuration_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "organization.yaml").write_text("version: 1\n", "utf-8")
    with _demo(tmp_path) as child:
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert errors.splitlines()[-1] == f"error: {tmp_path} does not compile"
    assert "Traceback" not in errors


def test_a_broken_configuration_is_not_deployed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "organization.yaml").write_text("version: 1\n", "utf-8")
    assert not cdk(site.emulator, tmp_path, "synth", "--quiet").ok
