"""The break-glass role, sealed passwords and the drill: who gets in, who does not, and that it deploys."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from demo.account import differences, expected, observed
from demo.deployment import deploy
from demo.server import running
from dutybound.baseline import Account
from dutybound.break_glass import password_setters
from dutybound.callers import ACCOUNT_ID
from dutybound.compiler import compile_path, compile_text
from dutybound.diagnostic import render_all
from dutybound.evaluate import Request, decide, in_account, policies_of
from dutybound.policy import Policy
from tests.test_proofs import guarded
from tests.test_stacks import synthesize

ME = "123456789012"
IAM = f"arn:aws:iam::{ME}"
WHOLE = """\
version: 1
organization: {name: acme, owner: security@acme.example, home_region: eu-west-1}
teams:
  administrators: {purpose: x, members: [john], duties: [administer]}
  identity: {purpose: x, members: [ina], duties: [manage-logins]}
  auditors: {purpose: x, members: [ada], duties: [view-everything]}
  readers: {purpose: x, members: [sam], duties: [read-all-secrets]}
roles:
  web: {purpose: x, trusts: {service: ec2}, duties: [read-all-secrets]}
  deployer: {purpose: x, trusts: {account: "999988887777", roles: [hub]}, duties: [administer]}
duties:
  read-all-secrets:
    summary: x
    grants: [{actions: [secretsmanager:GetSecretValue], resources: {Secret: "*"}, why: x}]
    expect:
      - allow: secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-a1B2c3
      - deny: secretsmanager:DeleteSecret on arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-a1B2c3
  manage-logins:
    summary: x
    grants: [{actions: [iam:UpdateLoginProfile], resources: {user: "break-glass/*"}, why: x}]
    expect:
      - allow: iam:UpdateLoginProfile on arn:aws:iam::111122223333:user/break-glass/x
      - deny: iam:UpdateLoginProfile on arn:aws:iam::111122223333:user/people/x
passwords: {minimum_length: 14}
budgets:
  monthly: {limit: 500, alert_at: [50, 100], notify: [security@acme.example]}
break_glass:
  users: [break-glass-2, break-glass-1]
  alert: [security@acme.example]
  through: role
  password: secret
  drill_every_days: 45
"""


def account_of(text: str = WHOLE) -> Account:
    checked = compile_text(text)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value.accounts[0]


@pytest.fixture(scope="module")
def account() -> Account:
    return account_of()


# --- the role ---------------------------------------------------------------------------------------------------------

FRESH = {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "60"}


@pytest.mark.parametrize(
    ("who", "context", "outcome"),
    [
        ("user/break-glass/break-glass-1", FRESH, "allowed"),
        ("user/break-glass/break-glass-2", FRESH, "allowed"),
        ("user/break-glass/break-glass-1", {**FRESH, "aws:MultiFactorAuthAge": "3599"}, "allowed"),
        ("user/break-glass/break-glass-1", {**FRESH, "aws:MultiFactorAuthAge": "3600"}, "denied"),
        ("user/break-glass/break-glass-1", {"aws:MultiFactorAuthPresent": "false"}, "denied"),
        ("user/break-glass/break-glass-1", {}, "denied"),  # a long-term key
        ("user/break-glass/break-glass-3", FRESH, "denied"),
        ("user/break-glass-1", FRESH, "denied"),
        ("user/people/john", FRESH, "denied"),
        ("role/roles/deployer", {}, "denied"),
        ("root", FRESH, "denied"),
    ],
)
def test_who_may_take_the_role(who: str, context: dict[str, str], outcome: str, account: Account) -> None:
    """Exactly the named users, with MFA of this hour."""
    role = next(r for r in account.roles if r.name == "break-glass")
    trust = in_account(role.trust, ME)
    assert [p.values for s in trust.statements for p in s.principals] == [(f"{IAM}:root",)]
    bare = Policy(tuple(replace(s, principals=()) for s in trust.statements))
    arn = f"{IAM}:{who}"
    request = Request(arn, "sts:AssumeRole", "*", {"aws:PrincipalArn": arn, **context})
    assert decide(request, [bare]).outcome == outcome


def test_the_role_holds_the_rights_and_the_user_only_the_way_to_it(account: Account) -> None:
    """AdministratorAccess is on the role, for an hour; the group takes the role and enrols, with MFA."""
    role = next(r for r in account.roles if r.name == "break-glass")
    assert (role.path, role.managed, role.policies, role.session_seconds) == (
        "/break-glass/",
        ("AdministratorAccess",),
        (),
        3600,
    )
    group = next(g for g in account.groups if g.name == "break-glass")
    assert (group.managed, group.policies) == ((), ("break-glass-mfa", "break-glass-role"))
    arn, taken = f"{IAM}:user/break-glass/break-glass-1", f"{IAM}:role/break-glass/break-glass"
    context = {"aws:PrincipalArn": arn, "aws:username": "break-glass-1", "aws:ViaAWSService": "false"}
    policies = policies_of(account, "break-glass-1", ME)

    def answer(action: str, resource: str, **more: str) -> str:
        return decide(Request(arn, action, resource, {**context, **more}), policies).outcome

    proven, unproven = {"aws:MultiFactorAuthPresent": "true"}, {"aws:MultiFactorAuthPresent": "false"}
    assert answer("sts:AssumeRole", taken, **proven) == "allowed"
    assert answer("sts:AssumeRole", taken, **unproven) == answer("sts:AssumeRole", taken) == "denied"
    assert answer("sts:AssumeRole", f"{IAM}:role/roles/web", **proven) == "denied"
    assert answer("iam:CreateUser", f"{IAM}:user/x", **proven) == "denied"


def test_user_is_the_default() -> None:
    """Written out or left out, it is the same account: rights on the group, no role, no secret, no drill."""
    short = re.sub(r"  through.*\n  password.*\n  drill.*\n", "", WHOLE)
    plain = account_of(short)
    assert plain == account_of(short + "  through: user\n  password: runbook\n")
    assert next(g for g in plain.groups if g.name == "break-glass").managed == ("AdministratorAccess",)
    assert [r.name for r in plain.roles] == ["deployer", "web"]
    assert plain.secrets == ()
    assert plain.alarm is not None
    assert plain.alarm.drill is None
    names = {"break-glass-call", "break-glass-root", "break-glass-sign-in", "break-glass-tampering"}
    assert {r.name for r in plain.alarm.rules} == names


# --- sealed passwords -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sealed_off"),
    [
        ("user/people/ada", True),
        ("user/people/sam", True),  # may read every secret, but not these
        ("role/roles/web", True),
        ("user/break-glass/break-glass-1", True),
        ("role/break-glass/break-glass", True),
        # Whoever may set the password anyway, and so whoever can deploy:
        ("user/people/john", False),
        ("user/people/ina", False),
        ("role/roles/deployer", False),
        # Whom Dutybound did not make:
        ("root", False),
        ("role/OrganizationAccountAccessRole", False),
        ("role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef", False),
    ],
)
@pytest.mark.parametrize("action", ["GetSecretValue", "PutResourcePolicy", "DeleteSecret", "UpdateSecret"])
def test_the_fence(who: str, sealed_off: bool, action: str, account: Account) -> None:
    """Nobody of ours who could not set the password reads it; nobody who can deploy is kept out."""
    assert [s.name for s in account.secrets] == ["break-glass/break-glass-1", "break-glass/break-glass-2"]
    for secret in account.secrets:
        fence = in_account(secret.policy, ME)
        assert {s.effect for s in fence.statements} == {"Deny"}
        assert {p.values for s in fence.statements for p in s.principals} == {("*",)}
        bare = Policy(tuple(replace(s, principals=()) for s in fence.statements))
        arn = f"{IAM}:{who}"
        denied = decide(Request(arn, f"secretsmanager:{action}", "*", {"aws:PrincipalArn": arn}), [bare]).because
        assert bool(denied) is sealed_off
        look = decide(Request(arn, "secretsmanager:DescribeSecret", "*", {"aws:PrincipalArn": arn}), [bare])
        assert not look.because


def test_a_name_that_no_secret_can_have() -> None:
    """An IAM user's name may hold a comma; its secret gets a name of its own, and the same one each time."""
    comma = account_of(WHOLE.replace("break-glass-2,", '"b,g",')).secrets
    assert [s.name for s in comma] == ["break-glass/SecretBGd8b257", "break-glass/break-glass-1"]


def test_in_doubt_somebody_may_set_the_password() -> None:
    """What a statement allows under a condition counts, what another denies under one does not: never too few."""
    names = password_setters(account_of(), ["break-glass-1"])
    assert [n.rpartition("/")[2] for n in names] == ["break-glass", "deployer", "ina", "john"]
    denied = WHOLE.replace("duties: [manage-logins]", "duties: [manage-logins], never: [manage-people]")
    names = password_setters(account_of(denied), ["break-glass-1"])
    assert [n.rpartition("/")[2] for n in names] == ["break-glass", "deployer", "john"]


def test_no_administrator_of_ours() -> None:
    """Without anybody to leave out, the condition that leaves them out is not there: an empty list matches nobody."""
    text = re.sub(r"\nteams:.*\npasswords", "\npasswords", WHOLE, flags=re.DOTALL)
    (first, *_) = account_of(text).secrets
    assert [c.operator for c in first.policy.statements[0].conditions] == ["ArnLike"]


def _users(most: int) -> tuple[str, str]:
    """The replacement of the two users by this many with short names, which fit into every event pattern."""
    return "[break-glass-2, break-glass-1]", f"[{', '.join(f'u{i}' for i in range(most))}]"


def _administrators(most: int) -> tuple[str, str]:
    """The replacement of the administrator by this many."""
    return "[john]", f"[{', '.join(f'administrator-{i}' for i in range(most))}]"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([_users(61), ("through: role", "through: user")], "61 sealed passwords"),
        ([_users(60), ("through: role", "through: user")], ""),
        ([_users(40), ("password: secret", "password: runbook")], "a trust policy"),
        ([_users(20), ("password: secret", "password: runbook")], ""),
        ([_administrators(400)], "402 people and roles may set"),
        ([_administrators(200), ("\npasswords", "\nguardrails: {administrators: 200}\npasswords")], ""),
    ],
    ids=["references", "references fit", "trust", "trust fits", "fence", "fence fits"],
)
def test_quotas(changes: list[tuple[str, str]], says: str) -> None:
    """What AWS would refuse at deployment is refused here, in words and at a place."""
    text = WHOLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    found = compile_text(text).diagnostics
    assert [d.message.startswith(says) and d.span is not None for d in found] == ([True] if says else [])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def templates(config: Path) -> dict[str, Any]:
    out = config.parent / "cdk.out"
    run = synthesize(config, out, validation=True)
    assert run.returncode == 0, run.stderr
    return {
        f.name.removesuffix(".template.json"): json.loads(f.read_text("utf-8")) for f in out.glob("*.template.json")
    }


def test_no_template_holds_a_password(templates: dict[str, Any]) -> None:
    """The only password is a reference to the secret of the same user; the only secret is made by AWS."""
    emergency = templates["acme-break-glass"]["Resources"]
    users = {r["Properties"]["UserName"]: r for r in emergency.values() if r["Type"] == "AWS::IAM::User"}
    assert set(users) == {"break-glass-1", "break-glass-2"}
    for name, user in users.items():
        profile = user["Properties"]["LoginProfile"]
        before, reference, after = profile["Password"]["Fn::Join"][1]
        assert (before, after) == ("{{resolve:secretsmanager:", ":SecretString:::}}")
        secret = emergency[reference["Ref"]]["Properties"]
        assert profile["PasswordResetRequired"] is False
        assert secret["Name"] == f"break-glass/{name}"
        assert set(secret) == {"Name", "Description", "GenerateSecretString", "Tags"}
        assert secret["GenerateSecretString"] == {
            "PasswordLength": 40,
            "RequireEachIncludedType": True,
            "ExcludeCharacters": '",./:;<>?\\`~',
        }
    whole = json.dumps(templates)
    assert whole.count('"Password"') == whole.count("{{resolve:") == 2
    assert '"SecretString"' not in whole
    assert {(r["DeletionPolicy"], r["UpdateReplacePolicy"]) for r in emergency.values()} == {("Retain", "Retain")}


def test_the_proofs_are_about_all_of_it(templates: dict[str, Any], account: Account) -> None:
    """Each resource of the stacks of break-glass, in each Region, and each stack is among what nobody else may change;
    the sealed passwords have a proof of their own.
    """
    looked_at = [(thing.service, thing.arn) for thing in guarded(account)]
    things: list[tuple[str, str]] = []
    for stack in (stack for stack in account.stacks if "break-glass" in stack.name):
        things.append(("cloudformation", f"arn:aws:cloudformation:{stack.region}:{ACCOUNT_ID}:stack/{stack.name}/7c1d"))
        for resource in templates[stack.name]["Resources"].values():
            things += _named_in(resource["Type"], resource["Properties"], stack.region)
    assert len(things) == len(set(things)) == 6 + 22 + 1 + 8  # stacks, rules, the topic, and what is in IAM
    for service, arn in things:
        assert any(service == at and fnmatchcase(arn, pattern) for at, pattern in looked_at), arn


def _named_in(kind: str, said: dict[str, Any], region: str) -> list[tuple[str, str]]:
    match kind.split("::")[1:]:
        case ["IAM", what]:
            name = said[{"ManagedPolicy": "ManagedPolicyName"}.get(what, f"{what}Name")]
            what = what.removeprefix("Managed").lower()
            return [("iam", f"arn:aws:iam::{ACCOUNT_ID}:{what}{said['Path']}{name}")]
        case ["Events", "Rule"]:
            return [("events", f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{said['Name']}")]
        case ["SNS", "Topic"]:
            return [("sns", f"arn:aws:sns:{region}:{ACCOUNT_ID}:{said['TopicName']}")]
    # The policy of the topic is changed by way of the topic.
    assert kind in {"AWS::SNS::TopicPolicy", "AWS::SecretsManager::ResourcePolicy", "AWS::SecretsManager::Secret"}
    return []


def test_the_drill(templates: dict[str, Any]) -> None:
    """A constant text to the alarm's topic, at home."""
    (rule,) = (
        r["Properties"]
        for template in templates.values()
        for r in template.get("Resources", {}).values()
        if r["Type"] == "AWS::Events::Rule" and "ScheduleExpression" in r["Properties"]
    )
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(45 days)", "ENABLED")
    assert "EventPattern" not in rule
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::Sub": "arn:${AWS::Partition}:sns:eu-west-1:${AWS::AccountId}:break-glass-alarm"}
    assert "drill" in json.loads(target["Input"])
    assert "RoleArn" not in target


@pytest.mark.parametrize(("days", "rate"), [(1, "rate(1 day)"), (2, "rate(2 days)"), (365, "rate(365 days)")])
def test_how_often(days: int, rate: str) -> None:
    """EventBridge wants the singular for one."""
    alarm = account_of(WHOLE.replace("drill_every_days: 45", f"drill_every_days: {days}")).alarm
    assert alarm is not None
    assert alarm.drill is not None
    assert alarm.drill.every == rate


def test_it_deploys_and_deploys_again(config: Path) -> None:
    """The real CDK command line against the emulator: the account holds what is asked for, sealed passwords too."""
    baseline = compile_path(config).value
    assert baseline is not None
    account = baseline.accounts[0]
    with running(ME, account.home_region) as emulator:
        first = deploy(emulator, config)
        assert first.ok, first.reason
        found = observed(emulator, [stack.region for stack in account.stacks])
        assert differences(expected(baseline, account, ME), found) == []
        secrets = emulator.client("secretsmanager")
        sealed = [secrets.get_secret_value(SecretId=s.name)["SecretString"] for s in account.secrets]
        assert len(set(sealed)) == 2
        # Nothing that was printed on the way holds one.
        assert not [s for s in sealed if s in first.output or s in emulator.log.read_text("utf-8", "replace")]
        again = deploy(emulator, config)
        assert again.unchanged == tuple(sorted(s.name for s in account.stacks))
        assert [secrets.get_secret_value(SecretId=s.name)["SecretString"] for s in account.secrets] == sealed
