"""Without MFA a person can enrol, and nothing else; a key alone can ask for a session, and nothing else.

Judged over every action of the reference, for every person of the example and each kind of caller (IAM User Guide,
"AWS global condition context keys", aws:MultiFactorAuthPresent).
"""

from __future__ import annotations

from functools import cache

import pytest

from dutybound import catalog
from dutybound.baseline import Account
from dutybound.compiler import compile_path, compile_text
from dutybound.evaluate import Judge, Request, decide, in_account, policies_of
from dutybound.policy import Policy, Statement
from tests.conftest import ROOT

ACCOUNT = "123456789012"
LONG_TERM_KEY: dict[str, str] = {}
SESSION = {"aws:MultiFactorAuthPresent": "false"}
SILENT = {"aws:ViaAWSService": ""}
"""A service that does not send aws:ViaAWSService; EC2 is said to be one."""
MFA_SESSION = {"aws:MultiFactorAuthPresent": "true"}
ENROLMENT = {
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:GetAccountPasswordPolicy",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ListVirtualMFADevices",
    "iam:ResyncMFADevice",
}


@pytest.fixture(scope="module")
def account() -> Account:
    """The example's account."""
    checked = compile_path(ROOT / "config")
    assert checked.value is not None
    return checked.value.accounts[0]


def arn(account: Account, name: str) -> str:
    """The ARN of a user."""
    path = next(u.path for u in account.users if u.name == name)
    return f"arn:aws:iam::{ACCOUNT}:user{path}{name}"


def decided(policies: tuple[Policy, ...] | Judge, user: str, action: str, resource: str, caller: dict[str, str]) -> str:
    """What the judge says of a direct call."""
    judge = policies if isinstance(policies, Judge) else Judge(policies)
    context = {
        "aws:username": user.rpartition("/")[2],
        "aws:PrincipalArn": user,
        "aws:ViaAWSService": "false",
        **caller,
    }
    context = {key: value for key, value in context.items() if value}
    return judge.decide(Request(user, action, resource, context)).outcome


EVERY_ACTION = [str(a) for s in catalog.services() for a in catalog.service(s).actions.values()]


@cache
def alike(*levels: tuple[Policy, ...]) -> list[list[str]]:
    """Every action, those together of which the same statements speak: judges of these answer the same for them."""
    judges = [Judge(policies) for policies in levels]
    together: dict[tuple[int, ...], list[str]] = {}
    for action in EVERY_ACTION:
        together.setdefault(tuple(id(s) for judge in judges for s in judge.naming(action)), []).append(action)
    return list(together.values())


def allowed_anywhere(account: Account, name: str, caller: dict[str, str]) -> set[str]:
    """Every action that the person may call on anything: judged on its own user, its device, a stranger and `*`."""
    policies = policies_of(account, name, ACCOUNT)
    judge, user = Judge(policies), arn(account, name)
    places = (user, f"arn:aws:iam::{ACCOUNT}:mfa/{name}", f"arn:aws:iam::{ACCOUNT}:user/people/stranger", "*")
    return {
        action
        for actions in alike(policies)
        if any(decided(judge, user, actions[0], place, caller) != "denied" for place in places)
        for action in actions
    }


def test_actions_are_alike_to_the_judge(account: Account) -> None:
    """One action stands for those of which the same statements speak: on its own each gets the same answer."""
    policies = policies_of(account, "tom", ACCOUNT)
    judge, user = Judge(policies), arn(account, "tom")
    for caller in (SESSION, MFA_SESSION):
        for first, *others in alike(policies):
            for resource in (user, "*"):
                expected = decided(judge, user, first, resource, caller)
                for action in others[::9]:
                    assert decided(judge, user, action, resource, caller) == expected, (action, first)


def test_without_mfa_only_enrolment(account: Account) -> None:
    """A console session without MFA, for everybody: the strict list, and no password change."""
    for user in account.users:
        assert allowed_anywhere(account, user.name, SESSION) == ENROLMENT, user.name


def test_a_key_alone_asks_for_a_session(account: Account) -> None:
    """A stolen access key lists the devices of its user; GetSessionToken and GetCallerIdentity need no permission."""
    for user in account.users:
        assert allowed_anywhere(account, user.name, LONG_TERM_KEY) <= {
            "iam:ListMFADevices",
            "sts:GetSessionToken",
            "sts:GetCallerIdentity",
        }, user.name


@pytest.mark.parametrize("caller", [LONG_TERM_KEY, SESSION])
def test_a_service_that_does_not_say_on_whose_behalf(account: Account, caller: dict[str, str]) -> None:
    """Where aws:ViaAWSService is absent, MFA is asked for all the same."""
    for user in account.users:
        judge = Judge(policies_of(account, user.name, ACCOUNT))
        instance = "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"
        for action, resource in (("ec2:TerminateInstances", instance), ("iam:CreateUser", "*")):
            got = decided(judge, arn(account, user.name), action, resource, {**caller, **SILENT})
            assert got == "denied", (user.name, action)


@pytest.mark.parametrize("caller", [LONG_TERM_KEY, SESSION, MFA_SESSION], ids=["key", "session", "mfa"])
def test_never_on_somebody_else(account: Account, caller: dict[str, str]) -> None:
    """Nobody touches another person's devices without MFA, not even an administrator."""
    # The password rules and the list of devices are the account's; a new device is nobody's until it is enabled.
    unowned = {"iam:GetAccountPasswordPolicy", "iam:ListVirtualMFADevices", "iam:CreateVirtualMFADevice"}
    actions = [*sorted(ENROLMENT - unowned), "iam:DeactivateMFADevice", "iam:ChangePassword"]
    for user in account.users:
        judge = Judge(policies_of(account, user.name, ACCOUNT))
        administrator = bool({"administrators", "break-glass"} & set(user.groups))
        for action in actions:
            other = f"arn:aws:iam::{ACCOUNT}:user/people/{user.name}2"
            got = decided(judge, arn(account, user.name), action, other, caller)
            # With MFA auditors see how people are set up, and administrators do as they must.
            looking = action.startswith(("iam:Get", "iam:List")) and "auditors" in user.groups
            with_mfa = caller is MFA_SESSION and (administrator or looking)
            assert got == ("allowed" if with_mfa else "denied"), (user.name, action)


def test_with_mfa_the_duties_work(account: Account) -> None:
    """The same people, with MFA, do their work."""
    cases = [
        ("maria", "ec2:RunInstances", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1", "allowed"),
        ("maria", "rds:CreateDBInstance", "arn:aws:rds:eu-west-1:123456789012:db:main", "allowed"),
        ("tom", "rds:CreateDBInstance", "arn:aws:rds:eu-west-1:123456789012:db:main", "denied"),
        ("tom", "s3:PutObject", "arn:aws:s3:::acme-dev-data/x", "allowed"),
        ("tom", "s3:PutObject", "arn:aws:s3:::acme-payroll/x", "denied"),
        ("tom", "cloudwatch:GetMetricData", "*", "allowed"),
        ("tom", "iam:CreateUser", "arn:aws:iam::123456789012:user/people/x", "denied"),
        ("tom", "ce:GetCostAndUsage", "*", "denied"),
        ("tom", "aws-portal:ViewBilling", "*", "denied"),
        ("ada", "ec2:DescribeInstances", "*", "allowed"),
        ("ada", "s3:GetObject", "arn:aws:s3:::acme-dev-data/x", "denied"),
        ("ada", "ec2:TerminateInstances", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1", "denied"),
        ("dana", "rds:DescribeDBInstances", "*", "allowed"),
        ("dana", "ec2:RunInstances", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1", "denied"),
        ("john-admin", "iam:CreateUser", "arn:aws:iam::123456789012:user/people/x", "allowed"),
        ("break-glass-1", "iam:CreateUser", "arn:aws:iam::123456789012:user/people/x", "allowed"),
        ("tom", "iam:EnableMFADevice", "arn:aws:iam::123456789012:user/people/tom", "allowed"),
        ("tom", "iam:GetUser", "arn:aws:iam::123456789012:user/people/tom", "allowed"),
    ]
    for name, action, resource, expected in cases:
        got = decided(policies_of(account, name, ACCOUNT), arn(account, name), action, resource, MFA_SESSION)
        assert got == expected, (name, action, resource)


def test_forwarded_requests_are_not_in_the_way(account: Account) -> None:
    """A service that acts for a person who came with MFA brings 'false' and aws:ViaAWSService: not denied."""
    policies = policies_of(account, "tom", ACCOUNT)
    user = arn(account, "tom")
    context = {"aws:username": "tom", "aws:MultiFactorAuthPresent": "false", "aws:ViaAWSService": "true"}
    request = Request(user, "s3:GetObject", "arn:aws:s3:::acme-dev-data/x", context)
    assert decide(request, policies).outcome == "allowed"


def test_taking_the_mfa_policy_away_is_noticed(account: Account) -> None:
    """The mutation: without the policy, people work without MFA, and the tests above would fail."""
    mfa = next(p.policy for p in account.policies if p.name == "enforce-mfa")
    policies = policies_of(account, "tom", ACCOUNT)
    without = tuple(p for p in policies if {s.sid for s in p.statements} != {s.sid for s in mfa.statements})
    assert len(without) == len(policies) - 1
    user = arn(account, "tom")
    assert decided(without, user, "s3:GetObject", "arn:aws:s3:::acme-dev-data/x", SESSION) == "allowed"
    assert decided(policies, user, "s3:GetObject", "arn:aws:s3:::acme-dev-data/x", SESSION) == "denied"


def test_options() -> None:
    """The two options of `mfa` add exactly what they say."""
    base = """
version: 1
organization: {name: acme, owner: x}
break_glass: {users: [emergency], alert: [a@b.example]}
teams: {developers: {purpose: Build, members: [tom]}}
"""
    plain, change, keys = (
        compile_text(base + more)
        for more in ("", "mfa: {first_password_change: true}\n", "mfa: {own_access_keys: true}\n")
    )
    accounts = [c.value.accounts[0] for c in (plain, change, keys) if c.value is not None]
    assert len(accounts) == 3
    assert allowed_anywhere(accounts[0], "tom", SESSION) == ENROLMENT
    assert allowed_anywhere(accounts[1], "tom", SESSION) == ENROLMENT | {"iam:ChangePassword"}
    assert allowed_anywhere(accounts[2], "tom", SESSION) == ENROLMENT
    own = "arn:aws:iam::123456789012:user/people/tom"
    with_keys = policies_of(accounts[2], "tom", ACCOUNT)
    assert decided(with_keys, own, "iam:CreateAccessKey", own, MFA_SESSION) == "allowed"
    assert decided(with_keys, own, "iam:CreateAccessKey", own, SESSION) == "denied"
    assert decided(with_keys, own, "iam:CreateAccessKey", own, LONG_TERM_KEY) == "denied"
    assert decided(policies_of(accounts[0], "tom", ACCOUNT), own, "iam:CreateAccessKey", own, MFA_SESSION) == "denied"
    assert allowed_anywhere(accounts[1], "emergency", SESSION) == ENROLMENT  # break-glass stays strict


BASE = """
version: 1
organization: {name: acme, owner: x}
break_glass: {users: [emergency], alert: [a@b.example]}
teams:
  administrators: {purpose: Administer, members: [ann], duties: [administer]}
  developers: {purpose: Build, members: [tom], duties: [view-metrics]}
"""


def built(mfa: str) -> Account:
    """The account of two teams with these options of `mfa`."""
    checked = compile_text(f"{BASE}mfa: {mfa}\n")
    assert checked.value is not None, checked.diagnostics
    return checked.value.accounts[0]


class Bounded:
    """A person as IAM judges them: what the groups allow, and of that what the boundary lets through."""

    def __init__(self, account: Account, name: str) -> None:
        user = next(u for u in account.users if u.name == name)
        bounds = [account.policy(user.permissions_boundary).policy] if user.permissions_boundary else []
        self.arn = arn(account, name)
        self.levels = (policies_of(account, name, ACCOUNT), *((in_account(b, ACCOUNT),) for b in bounds))
        self.judges = [Judge(policies) for policies in self.levels]

    def may(self, action: str, resource: str, caller: dict[str, str]) -> bool:
        """Whether all of them allow it."""
        return all(decided(judge, self.arn, action, resource, caller) == "allowed" for judge in self.judges)

    def all_of(self, caller: dict[str, str]) -> set[str]:
        """Every action allowed on oneself, one's device, a stranger or `*`."""
        stranger = f"arn:aws:iam::{ACCOUNT}:user/people/stranger"
        places = (self.arn, f"arn:aws:iam::{ACCOUNT}:mfa/x", stranger, "*")
        return {
            action
            for actions in alike(*self.levels)
            if any(self.may(actions[0], place, caller) for place in places)
            for action in actions
        }


@pytest.mark.parametrize("via", ["group", "boundary", "both"])
def test_wherever_it_is_enforced(via: str) -> None:
    """Group, boundary or both: the same enrolment without MFA, the same work with it."""
    account = built(f"{{enforce_via: {via}}}")
    administrator = Bounded(account, "ann")
    assert administrator.all_of(SESSION) == ENROLMENT
    key_alone = {"iam:ListMFADevices", "sts:GetSessionToken", "sts:GetCallerIdentity"}
    assert administrator.all_of(LONG_TERM_KEY) == key_alone
    for name in ("ann", "tom"):
        person = Bounded(account, name)
        assert person.may("cloudwatch:GetMetricData", "*", MFA_SESSION)
        assert not person.may("iam:EnableMFADevice", f"arn:aws:iam::{ACCOUNT}:user/people/x", SESSION)
    assert not Bounded(account, "tom").may("s3:CreateBucket", "*", MFA_SESSION)
    assert {p.name for p in account.policies if p.path == "/baseline/"} == {
        "group": {"enforce-mfa"},
        "boundary": {"enrol-mfa", "people-boundary"},
        "both": {"enforce-mfa", "people-boundary"},
    }[via]


def test_who_has_the_boundary() -> None:
    """Every person and no break-glass user; taken out of all groups, a person with a group's rights has no more."""
    account = built("{enforce_via: boundary}")
    bounds = {u.name: u.permissions_boundary for u in account.users}
    assert bounds == {"ann": "people-boundary", "tom": "people-boundary", "emergency": None}
    assert all(u.permissions_boundary is None for u in built("{}").users)
    granted = Judge([Policy((Statement("All", "Allow", ("*",), ("*",)),))])
    boundary = Judge([in_account(account.policy("people-boundary").policy, ACCOUNT)])
    tom = arn(account, "tom")
    assert decided(granted, tom, "s3:CreateBucket", "*", SESSION) == "allowed"
    assert decided(boundary, tom, "s3:CreateBucket", "*", SESSION) == "denied"
    assert decided(boundary, tom, "s3:CreateBucket", "*", MFA_SESSION) == "allowed"
    assert not [s for s in account.policy("enrol-mfa").policy.statements if s.effect == "Deny"]


KEY = {"iam:RegisterSecurityKey": "Create"}
CODES = {"iam:CreateVirtualMFADevice", "iam:ResyncMFADevice"}


@pytest.mark.parametrize("via", ["group", "boundary", "both"])
def test_security_keys_alone(via: str) -> None:
    """With `devices: fido` a key or passkey can be enrolled and nothing else, whoever one is, with MFA or without."""
    account = built(f"{{enforce_via: {via}, devices: fido}}")
    administrator = Bounded(account, "ann")
    assert administrator.all_of({**SESSION, **KEY}) == ENROLMENT - CODES
    assert administrator.all_of(SESSION) == ENROLMENT - CODES - {"iam:EnableMFADevice"}
    assert "iam:EnableMFADevice" not in administrator.all_of({**LONG_TERM_KEY, **KEY})
    for name in ("ann", "tom"):
        person = Bounded(account, name)
        for caller in (SESSION, MFA_SESSION):
            assert person.may("iam:EnableMFADevice", person.arn, {**caller, **KEY})
            assert not person.may("iam:EnableMFADevice", person.arn, caller)
            assert not person.may("iam:CreateVirtualMFADevice", f"arn:aws:iam::{ACCOUNT}:mfa/x", caller)
        assert person.may("iam:DeactivateMFADevice", person.arn, MFA_SESSION)
    assert Bounded(account, "emergency").may("iam:CreateVirtualMFADevice", f"arn:aws:iam::{ACCOUNT}:mfa/x", SESSION)
