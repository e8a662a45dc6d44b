"""MFA for people: the policy that leaves whoever has none nothing but enrolment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dutybound.config import Mfa
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Statement

SELF = tuple(f"arn:{PARTITION}:iam::{ACCOUNT}:user/{path}${{aws:username}}" for path in ("", "*/"))
"""A person's own user. `user/NAME` matches no user with a path, so both forms stand everywhere."""
_DEVICES = (f"arn:{PARTITION}:iam::{ACCOUNT}:mfa/*",)
_WITH_MFA = (Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),)


def mfa_policy(mfa: Mfa) -> Policy:
    """What every group of people holds: enrolment for oneself, and, unless a boundary does it, no more without MFA.

    Never for roles: their sessions carry no MFA information, and all would be denied. Source: IAM User Guide, "AWS:
    Allows MFA-authenticated IAM users to manage their own credentials on the Security credentials page", with its gaps
    closed (paths, forwarded requests).
    """
    denies = () if mfa.enforce_via == "boundary" else tuple(_denies(mfa))
    return _from_mfa(mfa, (*_allows(mfa), *denies))


def people_boundary(mfa: Mfa) -> Policy | None:
    """The permissions boundary of every person, if the configuration asks for one.

    Its Allow grants nothing: a boundary is only what its holder may at most be granted (IAM User Guide, "Permissions
    boundaries for IAM entities"). Its denies are those of the groups, and stay when somebody is taken out of a group.
    """
    if mfa.enforce_via == "group":
        return None
    ceiling = Statement("BoundaryThatGrantsNothing", "Allow", actions=("*",), resources=("*",))
    return _from_mfa(mfa, (ceiling, *_denies(mfa)))


def _from_mfa(mfa: Mfa, statements: tuple[Statement, ...]) -> Policy:
    origins = (Origin("mfa", mfa.span),)
    return Policy(tuple(replace(s, origins=origins) for s in statements))


def _allows(mfa: Mfa) -> Iterator[Statement]:
    yield Statement("SeeCredentialRules", "Allow", actions=SEE_RULES, resources=("*",))
    if mfa.devices == "fido":
        enrol = tuple(a for a in ENROL if a not in _OTHER_DEVICES and a != _ENABLE)
        yield Statement("EnrolSelf", "Allow", actions=enrol, resources=SELF)
        key = (Condition("Null", _SECURITY_KEY, ("false",)),)
        yield Statement("EnrolSecurityKey", "Allow", actions=(_ENABLE,), resources=SELF, conditions=key)
    else:
        yield Statement("EnrolSelf", "Allow", actions=ENROL, resources=SELF)
        yield Statement("MakeVirtualDevice", "Allow", actions=MAKE_DEVICE, resources=_DEVICES)
    yield Statement(
        "RemoveDeviceWithMfa", "Allow", actions=REMOVE_DEVICE, resources=(*SELF, *_DEVICES), conditions=_WITH_MFA
    )
    if mfa.own_access_keys:
        yield Statement("OwnKeysWithMfa", "Allow", actions=OWN_KEYS, resources=SELF, conditions=_WITH_MFA)


def _denies(mfa: Mfa) -> Iterator[Statement]:
    """Two denies stand for one `BoolIfExists`: together they cover the same requests, but a long-term access key, which
    is what gets stolen, keeps a far shorter list and cannot enrol a device.
    """
    # Some services do not send the key: their forwarded calls are denied like direct ones, and not let through.
    direct = Condition("BoolIfExists", "aws:ViaAWSService", ("false",))
    session = {*SEE_RULES, *ENROL, *MAKE_DEVICE} - {"iam:GetAccountSummary", "iam:GetLoginProfile"}
    if not mfa.first_password_change:
        session.discard("iam:ChangePassword")
    if mfa.devices == "fido":
        session -= _OTHER_DEVICES
    yield Statement(
        "DenySessionsWithoutMfa",
        "Deny",
        not_actions=tuple(sorted(session)),
        resources=("*",),
        conditions=(Condition("Bool", "aws:MultiFactorAuthPresent", ("false",)), direct),
    )
    yield Statement(
        "DenyLongTermKeys",
        "Deny",
        not_actions=("iam:ListMFADevices", "sts:GetCallerIdentity", "sts:GetSessionToken"),
        resources=("*",),
        conditions=(Condition("Null", "aws:MultiFactorAuthPresent", ("true",)), direct),
    )
    # What is left without MFA is left for oneself: a duty may grant the same actions on everybody.
    yield Statement(
        "DenyOthersWithoutMfa",
        "Deny",
        actions=tuple(sorted(session & set(ENROL))),
        not_resources=SELF,
        conditions=(Condition("BoolIfExists", "aws:MultiFactorAuthPresent", ("false",)), direct),
    )
    if mfa.devices == "fido":
        # Which value the key has is not settled, that it is there for security keys alone is.
        other = (Condition("Null", _SECURITY_KEY, ("true",)),)
        yield Statement("DenyVirtualDevices", "Deny", actions=MAKE_DEVICE, resources=("*",))
        yield Statement("DenyOtherThanSecurityKeys", "Deny", actions=(_ENABLE,), resources=("*",), conditions=other)


SEE_RULES = ("iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:ListVirtualMFADevices")
ENROL = (
    "iam:ChangePassword",
    "iam:EnableMFADevice",
    "iam:GetLoginProfile",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ResyncMFADevice",
)
MAKE_DEVICE = ("iam:CreateVirtualMFADevice",)
REMOVE_DEVICE = ("iam:DeactivateMFADevice", "iam:DeleteVirtualMFADevice")
OWN_KEYS = (
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:GetAccessKeyLastUsed",
    "iam:ListAccessKeys",
    "iam:UpdateAccessKey",
)
_ENABLE = "iam:EnableMFADevice"
_OTHER_DEVICES = frozenset({*MAKE_DEVICE, "iam:ResyncMFADevice"})
"""What devices with six digits alone need."""
_SECURITY_KEY = "iam:RegisterSecurityKey"
