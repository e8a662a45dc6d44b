"""MFA for people: the policy that leaves whoever has none nothing but enrolment."""

from __future__ import annotations

from dataclasses import replace

from dutybound.config import Mfa
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Statement

SELF = tuple(f"arn:{PARTITION}:iam::{ACCOUNT}:user/{path}${{aws:username}}" for path in ("", "*/"))
"""A person's own user. `user/NAME` matches no user with a path, so both forms stand everywhere."""
_DEVICES = (f"arn:{PARTITION}:iam::{ACCOUNT}:mfa/*",)


def mfa_policy(mfa: Mfa) -> Policy:
    """The policy that leaves a person without MFA nothing but enrolment.

    Two denies stand for one `BoolIfExists`: together they cover the same requests, but a long-term access key, which
    is what gets stolen, keeps a far shorter list and cannot enrol a device. Never for roles: their sessions carry no
    MFA information, and all would be denied. Source: IAM User Guide, "AWS: Allows MFA-authenticated IAM users to
    manage their own credentials on the Security credentials page", with its gaps closed (paths, forwarded requests).
    """
    with_mfa = (Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),)
    # Some services do not send the key: their forwarded calls are denied like direct ones, and not let through.
    direct = Condition("BoolIfExists", "aws:ViaAWSService", ("false",))
    enrolment = [*SEE_RULES, *ENROL, *MAKE_DEVICE]
    session = set(enrolment) - {"iam:GetAccountSummary", "iam:GetLoginProfile"}
    if not mfa.first_password_change:
        session.discard("iam:ChangePassword")
    origins = (Origin("mfa", mfa.span),)
    statements = [
        Statement("SeeCredentialRules", "Allow", actions=SEE_RULES, resources=("*",)),
        Statement("EnrolSelf", "Allow", actions=ENROL, resources=SELF),
        Statement("MakeVirtualDevice", "Allow", actions=MAKE_DEVICE, resources=_DEVICES),
        Statement(
            "RemoveDeviceWithMfa", "Allow", actions=REMOVE_DEVICE, resources=(*SELF, *_DEVICES), conditions=with_mfa
        ),
        Statement(
            "DenySessionsWithoutMfa",
            "Deny",
            not_actions=tuple(sorted(session)),
            resources=("*",),
            conditions=(Condition("Bool", "aws:MultiFactorAuthPresent", ("false",)), direct),
        ),
        Statement(
            "DenyLongTermKeys",
            "Deny",
            not_actions=("iam:ListMFADevices", "sts:GetCallerIdentity", "sts:GetSessionToken"),
            resources=("*",),
            conditions=(Condition("Null", "aws:MultiFactorAuthPresent", ("true",)), direct),
        ),
        # What is left without MFA is left for oneself: a duty may grant the same actions on everybody.
        Statement(
            "DenyOthersWithoutMfa",
            "Deny",
            actions=tuple(sorted(session & set(ENROL))),
            not_resources=SELF,
            conditions=(Condition("BoolIfExists", "aws:MultiFactorAuthPresent", ("false",)), direct),
        ),
    ]
    if mfa.own_access_keys:
        keys = Statement("OwnKeysWithMfa", "Allow", actions=OWN_KEYS, resources=SELF, conditions=with_mfa)
        statements.insert(4, keys)
    return Policy(tuple(replace(s, origins=origins) for s in statements))


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
