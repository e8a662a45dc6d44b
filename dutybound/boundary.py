"""The boundary of what teams create: roles under one path, none of which can do more than the boundary says.

Who holds the duty `create-roles` makes roles under `guardrails.boundary.path`, each with this boundary, and passes them
to the services named there (`boundary_duty_statements`). The boundary (`boundary_policy`) is what such a role may at
most do; its Allows grant nothing. The holder's own policies get denies (`guard_statements`), since another duty may
grant more of IAM than this one. Sources: IAM User Guide, "Permissions boundaries for IAM entities", "Delegating
responsibility to others using permissions boundaries", "Grant a user permissions to pass a role to an AWS service".

What stays open: a holder may let any account take a role of its own (`iam:UpdateAssumeRolePolicy` has no key for
whom), and a role that stood under the path before, without the boundary, can be passed. Service-linked roles have no
boundary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dutybound import catalog
from dutybound.asked import BOUNDARY_ARN
from dutybound.catalog import Action
from dutybound.config import WorkloadBoundary
from dutybound.diagnostic import Diagnostic, did_you_mean, quoted
from dutybound.grant import LOOKING
from dutybound.mfa import ENROL, OWN_KEYS, REMOVE_DEVICE, SELF
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Statement
from dutybound.shorten import shortened

CREATE_ROLES = "create-roles"
"""The duty whose holders the guards are for."""
BOUNDARY = BOUNDARY_ARN.rpartition("/")[2]
OUR_PATHS = ("/baseline/", "/break-glass/", "/duties/", "/people/", "/roles/", "/teams/")
_AWS_PATHS = ("/aws-reserved/", "/aws-service-role/", "/service-role/")
"""Paths of roles that AWS, or its console, makes: without the boundary."""
_IAM = f"arn:{PARTITION}:iam::{ACCOUNT}:"
_LINKED = ("autoscaling.amazonaws.com", "ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com")
"""Services whose linked role servers and containers need."""


def check(wanted: WorkloadBoundary) -> Iterator[Diagnostic]:
    """What is wrong with the values of `guardrails.boundary`."""
    for taken, whose in ((OUR_PATHS, "the baseline itself"), (_AWS_PATHS, "AWS")):
        if any(f"{wanted.path}".casefold().startswith(path) for path in taken):
            message = f"guardrails.boundary.path: {quoted(wanted.path)} is a path of {whose}"
            yield Diagnostic("reserved-path", message, wanted.path.span, "give these roles a path of their own")
    known = catalog.service_principals()
    for service in wanted.services:
        if catalog.service_principal(service) is None:
            message = f"guardrails.boundary.services: no service that takes roles is called {quoted(service)}"
            hint = did_you_mean(service, known) or f"known: {', '.join(sorted(known)[:12])} …"
            yield Diagnostic("unknown-service", message, service.span, hint)


def services_of(wanted: WorkloadBoundary) -> tuple[str, ...]:
    """The services that may take these roles, by their short names, sorted."""
    return tuple(sorted({service.removesuffix(".amazonaws.com") for service in wanted.services}))


def boundary_policy(
    wanted: WorkloadBoundary, stacks: Sequence[str], fences: Sequence[Statement] = (), left_out: Sequence[str] = ()
) -> Policy:
    """What a role that a team created may at most do. `stacks` are the names of the baseline's stacks; `fences` and
    `left_out` are denies and actions of the other guardrails.

    Everything but identity, and of that what its creator may do: so a role may create roles, with the same boundary.
    The denies are for what a resource policy could grant past a boundary, and for the baseline's own alarm and stacks.
    """
    duty = {s.sid: s for s in boundary_duty_statements(wanted)}
    keeping = [duty.pop(sid) for sid in ("KeepOwnRoles", "OwnPolicies", "OwnProfiles")]
    # One statement for three is as exact, since each action is about one of the kinds, and leaves room.
    keep = Statement(
        "KeepUnderThePath",
        "Allow",
        tuple(sorted(a for s in keeping for a in s.actions)),
        tuple(sorted(r for s in keeping for r in s.resources)),
    )
    statements = (
        Statement(
            "BoundaryThatGrantsNothing", "Allow", not_actions=tuple(sorted([*_IDENTITY, *left_out])), resources=("*",)
        ),
        Statement("LookAtIam", "Allow", actions=("iam:Get*", "iam:List*", "iam:Simulate*"), resources=("*",)),
        *duty.values(),
        keep,
        _no_doors(*(f"{_IAM}role/{name}" for name in ("break-glass/*", "cdk-*", "roles/*"))),
        *_no_tampering(stacks),
        *fences,
    )
    return Policy(tuple(_ours(wanted, statements)))


def boundary_duty_statements(wanted: WorkloadBoundary) -> tuple[Statement, ...]:
    """The changes that the duty `create-roles` allows: roles and policies under the path, each role with the boundary.

    The duty says the same in `dutybound/duties/create-roles.yaml`; the boundary holds it as a ceiling.
    """
    path = str(wanted.path)
    roles, policies, profiles = (f"{_IAM}{kind}{path}*" for kind in ("role", "policy", "instance-profile"))
    services = tuple(map(_principal, services_of(wanted)))
    bounded = (Condition("StringEquals", "iam:PermissionsBoundary", (BOUNDARY_ARN,)),)
    statements = (
        Statement("CreateAndGrantOnlyBounded", "Allow", _BOUNDED, (roles,), conditions=bounded),
        Statement("KeepOwnRoles", "Allow", _KEEP_ROLES, (roles,)),
        Statement("OwnPolicies", "Allow", _KEEP_POLICIES, (policies,)),
        Statement("OwnProfiles", "Allow", _KEEP_PROFILES, (profiles,)),
        Statement(
            "PassOwnRoles",
            "Allow",
            ("iam:PassRole",),
            (roles,),
            conditions=(Condition("StringEquals", "iam:PassedToService", services),),
        ),
        Statement(
            "NamedServiceLinkedRoles",
            "Allow",
            ("iam:CreateServiceLinkedRole",),
            (f"{_IAM}role/aws-service-role/*",),
            conditions=(Condition("StringEquals", "iam:AWSServiceName", _LINKED),),
        ),
    )
    return tuple(_ours(wanted, statements))


def guard_statements(wanted: WorkloadBoundary, stacks: Sequence[str]) -> tuple[Statement, ...]:
    """The denies for whoever creates roles: nothing in IAM beyond the path, whatever another duty grants.

    Which actions change roles, people and the account is read from the reference, so that a new one is denied too.
    What people do with their own devices, password and keys stays.
    """
    path = str(wanted.path)
    own = tuple(f"{_IAM}{kind}{path}*" for kind in ("instance-profile", "policy", "role"))
    services = tuple(map(_principal, services_of(wanted)))
    not_bounded = (Condition("StringNotEquals", "iam:PermissionsBoundary", (BOUNDARY_ARN,)),)
    mine = {*ENROL, *REMOVE_DEVICE, *OWN_KEYS}
    people = _changing("user", "group")
    statements = (
        Statement("GuardBoundaries", "Deny", ("iam:DeleteRolePermissionsBoundary",), ("*",)),
        Statement("GuardUnbounded", "Deny", _GRANTING, ("*",), conditions=not_bounded),
        Statement(
            "GuardTemplates",
            "Deny",
            ("iam:*",),
            ("*",),
            conditions=(Condition("Null", "iam:RoleTemplateARN", ("false",)),),
        ),
        Statement(
            "GuardPath", "Deny", _short_actions(_changing("role", "policy", "instance-profile")), not_resources=own
        ),
        Statement("GuardPeople", "Deny", _short_actions(a for a in people if str(a) not in mine), ("*",)),
        Statement("GuardOthers", "Deny", _short_actions(a for a in people if str(a) in mine), not_resources=SELF),
        Statement("GuardAccount", "Deny", ("account-access:*", *_short_actions(_changing_the_account())), ("*",)),
        Statement("GuardPassing", "Deny", ("iam:PassRole",), not_resources=(f"{_IAM}role{path}*",)),
        Statement(
            "GuardPassingTo",
            "Deny",
            ("iam:PassRole",),
            ("*",),
            conditions=(Condition("StringNotEquals", "iam:PassedToService", services),),
        ),
        _no_doors(f"{_IAM}role/break-glass/*", f"{_IAM}role/cdk-*"),
        *_no_tampering(stacks),
    )
    return tuple(_ours(wanted, statements))


# --- denies ---------------------------------------------------------------------------------------------------------


def _no_doors(*roles: str) -> Statement:
    """Roles that are stronger. Those of `cdk bootstrap` trust the whole account and deploy with all rights; those that
    AWS Organizations and Control Tower put into every member account trust the management account with all rights.
    """
    elsewhere = (f"arn:*:iam::*:role/{name}" for name in _MEMBER_ROLES)
    return Statement("GuardDoors", "Deny", ("sts:AssumeRole",), tuple(sorted((*roles, *elsewhere))))


_MEMBER_ROLES = ("AWSControlTower*", "OrganizationAcc*")
"""AWSControlTowerExecution and OrganizationAccountAccessRole, shortened to leave room for the other guardrails."""


def _no_tampering(stacks: Sequence[str]) -> Iterator[Statement]:
    """The baseline's stacks, and its alarm with what feeds it. Stars for partition and account leave room."""
    looking = ("cloudformation:Describe*", "cloudformation:Get*", "cloudformation:List*")
    ours = tuple(f"arn:*:cloudformation:*:*:stack/{name}/*" for name in covering(stacks))
    yield Statement("GuardStacks", "Deny", not_actions=looking, resources=ours)
    alarm = ("arn:*:events:*:*:rule/break-glass-*", "arn:*:sns:*:*:break-glass-alarm*")
    quiet = ("events:Describe*", "events:List*", "sns:Get*", "sns:List*")
    yield Statement("GuardAlarm", "Deny", not_actions=quiet, resources=alarm)
    # A bus may be given a key, which then encrypts its rules: whoever turns the key off turns them off (EventBridge
    # User Guide, "Encrypting EventBridge event buses with AWS KMS keys").
    feeding = ("arn:*:cloudtrail:*:*:trail/*", "arn:*:events:*:*:event-bus/default")
    yield Statement("GuardEvents", "Deny", (*TRAIL, "events:UpdateEventBus"), feeding)


def covering(names: Sequence[str]) -> list[str]:
    """The names, those that begin like another one (`acme-break-glass-alarm`) covered by a star behind that one."""
    shortest = [n for n in sorted(set(names)) if not any(n != o and n.startswith(f"{o}-") for o in names)]
    return [f"{n}*" if any(o.startswith(f"{n}-") for o in names) else n for n in shortest]


# --- actions of IAM -------------------------------------------------------------------------------------------------

_IDENTITY = (
    "account-access:*",
    "account:*",
    "iam:*",
    "identitystore:*",
    "organizations:*",
    "sso-directory:*",
    "sso:*",
    "sts:AssumeRoot",
)
_BOUNDED = (
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
)
_GRANTING = ("iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy")
_KEEP_ROLES = ("iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole")
_KEEP_POLICIES = (
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:SetDefaultPolicyVersion",
    "iam:TagPolicy",
)
_KEEP_PROFILES = (
    "iam:AddRoleToInstanceProfile",
    "iam:CreateInstanceProfile",
    "iam:DeleteInstanceProfile",
    "iam:RemoveRoleFromInstanceProfile",
)
TRAIL = ("cloudtrail:DeleteTrail", "cloudtrail:PutEventSelectors", "cloudtrail:StopLogging", "cloudtrail:UpdateTrail")
_HARMLESS = frozenset({"mfa", "server-certificate"})
"""Resource types of IAM that give nobody access: a device belongs to nobody until a user enables it."""
_APART = frozenset({"iam:CreateServiceLinkedRole", "iam:DeleteServiceLinkedRole", "iam:PassRole"})


def _changing(*types: str) -> list[Action]:
    return [a for a in _all_changing() if set(a.types) & set(types)]


def _changing_the_account() -> list[Action]:
    apart = {"role", "policy", "instance-profile", "user", "group", *_HARMLESS}
    return [a for a in _all_changing() if not set(a.types) & apart]


def _all_changing() -> list[Action]:
    iam = catalog.service("iam").actions.values()
    return [a for a in iam if a.level not in LOOKING and str(a) not in _APART]


def _short_actions(actions: Iterator[Action] | list[Action]) -> tuple[str, ...]:
    return shortened(actions, catalog.RANK)


def _ours(wanted: WorkloadBoundary, statements: Sequence[Statement]) -> Iterator[Statement]:
    origins = (Origin("guardrails", wanted.span),)
    return (s if s.origins else replace(s, origins=origins) for s in statements)


def _principal(service: str) -> str:
    row = catalog.service_principal(service)
    return row.principal if row else f"{service}.amazonaws.com"
