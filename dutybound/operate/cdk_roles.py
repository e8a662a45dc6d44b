"""What CloudFormation may do when it deploys the stacks through a role of `cdk bootstrap`.

Without it that role is an administrator, and so is whoever may pass it. One policy is both its permissions and its
boundary: whatever somebody attaches to the role later adds nothing. It holds what the resource types of the stacks need
(their handlers, in CloudFormation's resource schemas), on the baseline's own paths and names; what the template of a
baseline has no use for, such as inline policies and access keys, it leaves out. Who may write roles that administrators
take can become one: what this stops is everything beside the baseline. Sources: CDK Developer Guide, "Customize AWS CDK
bootstrapping"; IAM User Guide, "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from dutybound.policy import ACCOUNT, PARTITION, Condition, Policy, Statement

NAME = "cdk-execution"
PATH = "/baseline/"
"""A path that the guards of teams, and the boundary of their roles, keep everybody out of."""
_IAM = f"arn:{PARTITION}:iam::{ACCOUNT}:"
_OUR_POLICIES = tuple(f"{_IAM}policy/{path}/*" for path in ("baseline", "break-glass", "duties"))
_GROUPS = tuple(f"{_IAM}group/{path}/*" for path in ("break-glass", "teams"))
_USERS = tuple(f"{_IAM}user/{path}/*" for path in ("break-glass", "people"))
_ROLES = tuple(f"{_IAM}role/{path}/*" for path in ("break-glass", "roles", "teams"))


def execution_policy(organization: str, manages: bool = False) -> Policy:
    """The policy, for stacks whose names begin with the organization's name.

    `manages` is whether it is for the account that manages the organization: Identity Center and the policies of the
    organization are there alone.
    """
    prefix = f"{organization}-"
    here = f"{ACCOUNT}:"
    only_ours = Condition("ArnLike", "iam:PolicyARN", (*_OUR_POLICIES, f"arn:{PARTITION}:iam::aws:policy/*"))
    stack_sets = tuple(
        f"arn:{PARTITION}:cloudformation:*:{here}{kind}/{prefix}*" for kind in ("stackset", "stackset-target")
    )
    types = f"arn:{PARTITION}:cloudformation:*::type/resource/*"
    own = Condition("StringEquals", "aws:ResourceAccount", (ACCOUNT,))
    return Policy(
        (
            _allow("Look", _LOOK, ("*",)),
            _allow("Policies", _POLICIES, _OUR_POLICIES),
            _allow("Attach", _ATTACH, (*_GROUPS, *_ROLES, *_USERS), only_ours),
            _allow("Groups", _GROUP_ACTIONS, _GROUPS),
            _allow("Users", _USER_ACTIONS, (*_GROUPS, *_USERS)),
            _allow("SealedPasswords", _PASSWORDS, (f"{_IAM}user/break-glass/*",)),
            _allow("Roles", _ROLE_ACTIONS, _ROLES),
            _allow("Profiles", _PROFILES, (f"{_IAM}instance-profile/roles/*", f"{_IAM}role/roles/*")),
            _allow("Issuers", _ISSUERS, (f"{_IAM}oidc-provider/*",)),
            _pass("ToServers", f"{_IAM}role/roles/*", "ec2.amazonaws.com"),
            _pass("ToTheAlarm", f"{_IAM}role/break-glass/*", "events.amazonaws.com"),
            _allow("Topic", _TOPIC, (f"arn:{PARTITION}:sns:*:{here}break-glass-*",)),
            _allow("Rules", _RULES, (f"arn:{PARTITION}:events:*:{here}rule/break-glass-*",)),
            _allow("Secrets", _SECRETS, (f"arn:{PARTITION}:secretsmanager:*:{here}secret:break-glass*",)),
            _allow("Budgets", _BUDGETS, (f"arn:{PARTITION}:budgets::{here}budget/{prefix}*",)),
            _allow(
                "Detectors",
                _DETECTORS,
                (
                    f"arn:{PARTITION}:access-analyzer:*:{here}analyzer/*",
                    f"arn:{PARTITION}:events:*:{here}event-bus/default",
                    f"{_IAM}role/aws-service-role/access-analyzer.amazonaws.com/*",
                ),
            ),
            _allow("StackSets", _STACK_SETS, (*stack_sets, types)),
            *(_managing() if manages else ()),
            _allow("Templates", ("s3:GetObject",), (f"arn:{PARTITION}:s3:::cdk*/*",), own),
            _allow("Versions", ("ssm:GetParameters",), (f"arn:{PARTITION}:ssm:*:{here}parameter/cdk-bootstrap/*",)),
            Statement(
                "KeepItsOwnLimits",
                "Deny",
                not_actions=("iam:Get*", "iam:List*"),
                resources=(f"{_IAM}policy{PATH}{NAME}", f"{_IAM}role/cdk-*"),
            ),
        )
    )


def _managing() -> tuple[Statement, ...]:
    """What only the account that manages the organization needs. Ids of permission sets and groups AWS chooses."""
    reserved = (f"{_IAM}role/aws-reserved/sso.amazonaws.com/*", f"{_IAM}saml-provider/AWSSSO_*")
    return (
        _allow("IdentityCenter", _IDENTITY_CENTER, ("*",)),
        # Identity Center makes the roles of this account in the caller's name.
        _allow("ReservedRoles", ("iam:*",), reserved),
    )


def policy_arn(account: str, partition: str = "aws") -> str:
    """The ARN of the policy in an account."""
    return f"arn:{partition}:iam::{account}:policy{PATH}{NAME}"


def commands(accounts: Iterable[str], region: str, partition: str = "aws") -> list[str]:
    """The commands that make the roles, one for each account id: each is run with the account's own credentials."""
    return [
        shlex.join(
            [
                *("cdk", "bootstrap", f"aws://{account}/{region}"),
                *("--custom-permissions-boundary", f"{PATH.strip('/')}/{NAME}"),
                *("--cloudformation-execution-policies", policy_arn(account, partition)),
                *("--termination-protection", "true"),
            ]
        )
        for account in accounts
    ]


def _allow(sid: str, actions: Iterable[str], resources: Iterable[str], *conditions: Condition) -> Statement:
    return Statement(sid, "Allow", tuple(sorted(actions)), tuple(sorted(resources)), conditions=conditions)


def _pass(sid: str, role: str, service: str) -> Statement:
    return _allow(
        f"Pass{sid}", ("iam:PassRole",), (role,), Condition("StringEquals", "iam:PassedToService", (service,))
    )


_LOOK = (
    *("billing:GetBillingViewData", "events:ListRules", "iam:Get*", "iam:List*"),
    *("secretsmanager:GetRandomPassword", "secretsmanager:ListSecrets"),
    # They name no topic: a subscription is looked at and ended by its own ARN.
    *("sns:GetSubscriptionAttributes", "sns:ListSubscriptions", "sns:ListTopics", "sns:Unsubscribe"),
    *("cloudformation:GetTemplateSummary", "cloudformation:ListStackSets"),
)
_POLICIES = ("iam:CreatePolicy*", "iam:DeletePolicy*", "iam:SetDefaultPolicyVersion")
_ATTACH = ("iam:Attach*Policy", "iam:Detach*Policy")
_GROUP_ACTIONS = ("iam:CreateGroup", "iam:DeleteGroup*", "iam:UpdateGroup")
_USER_ACTIONS = (
    *("iam:AddUserToGroup", "iam:CreateUser", "iam:DeleteAccessKey", "iam:DeleteLoginProfile", "iam:DeleteUser*"),
    *("iam:PutUserPermissionsBoundary", "iam:RemoveUserFromGroup", "iam:TagUser", "iam:UntagUser", "iam:UpdateUser"),
)
_PASSWORDS = ("iam:CreateLoginProfile", "iam:UpdateLoginProfile")
_ROLE_ACTIONS = (
    *("iam:CreateRole", "iam:DeleteRole*", "iam:PutRolePermissionsBoundary", "iam:TagRole", "iam:UntagRole"),
    *("iam:UpdateAssumeRolePolicy", "iam:UpdateRole*"),
)
_PROFILES = (
    *("iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile"),
    *("iam:RemoveRoleFromInstanceProfile",),
)
_ISSUERS = ("iam:*OpenIDConnectProvider*",)
_TOPIC = ("sns:*Resource", "sns:*Topic*", "sns:Get*", "sns:List*", "sns:SetSubscriptionAttributes", "sns:Subscribe")
_RULES = ("events:*Resource", "events:*Rule", "events:*Targets", "events:Describe*", "events:List*")
_SECRETS = tuple(f"secretsmanager:{name}" for name in ("*Resource", "*ResourcePolicy", "*Secret", "GetSecretValue"))
_BUDGETS = tuple(
    f"budgets:{name}" for name in ("ListTagsForResource", "ModifyBudget", "TagResource", "UntagResource", "ViewBudget")
)
_DETECTORS = (
    *("access-analyzer:*Analyzer*", "access-analyzer:*Resource", "events:*Permission", "events:DescribeEventBus"),
    "iam:CreateServiceLinkedRole",
)
_IDENTITY_CENTER = ("identitystore:*", "organizations:*Polic*", "organizations:*Resource", "sso:*")
"""Whoever writes permission sets gives any access in any account: less than the whole of it would limit nothing."""
_STACK_SETS = (
    *("cloudformation:*StackInstance*", "cloudformation:*StackSet*"),
    *("cloudformation:TagResource", "cloudformation:UntagResource"),
)
