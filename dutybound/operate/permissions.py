"""What the caller needs for the steps that a configuration may ask for, and for looking: a policy to paste.

Sources: Service Authorization Reference, "AWS Organizations", "AWS Account Management", "AWS Identity and Access
Management (IAM)", "AWS CloudFormation"; CloudFormation User Guide, "Activate trusted access for StackSets".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dutybound.config import Configuration
from dutybound.operate.cdk_roles import policy_arn
from dutybound.operate.plan import (
    STACK_SETS,
    cdk_accounts,
    contacts,
    inside,
    named_passwords,
    service_principal,
    trusted_services,
)
from dutybound.policy import Condition, Policy, Statement

_LOOK = (
    *("cloudformation:DescribeOrganizationsAccess", "iam:ListOrganizationsFeatures"),
    *(f"organizations:{call}" for call in ("DescribeOrganization", "ListAWSServiceAccessForOrganization")),
    *(f"organizations:{call}" for call in ("ListAccountsForParent", "ListCreateAccountStatus", "ListRoots")),
    *(f"organizations:{call}" for call in ("ListDelegatedAdministrators", "ListOrganizationalUnitsForParent")),
)
_SET_UP = (
    *("cloudformation:ActivateOrganizationsAccess", "iam:EnableOrganizationsRootCredentialsManagement"),
    *("iam:EnableOrganizationsRootSessions", "organizations:CreateOrganization", "organizations:EnablePolicyType"),
)
_LINKED = ("organizations.amazonaws.com", STACK_SETS, "stacksets.cloudformation.amazonaws.com")
"""Services whose linked role comes with the organization and with trusted access of StackSets."""


def permissions(configuration: Configuration) -> Policy:
    """The policy for a user or role of the management account, with what this configuration may need and no more."""
    return Policy(tuple(_statements(configuration)))


def inside_permissions(configuration: Configuration, account: str, partition: str = "aws") -> Policy:
    """What the role in another account has to allow: AWS's own OrganizationAccountAccessRole allows everything."""
    return Policy(tuple(_inside(configuration, account, partition)))


def _statements(configuration: Configuration) -> Iterator[Statement]:
    wanted = configuration.organization
    accounts = configuration.accounts
    partition = _partition(str(wanted.home_region))
    yield _allow("Look", _LOOK)
    yield _allow("SetUp", _SET_UP)
    services = (*trusted_services(configuration), STACK_SETS)
    yield _allow("TrustServices", ("organizations:EnableAWSServiceAccess",), "*", _service(services))
    linked = Condition("StringEquals", "iam:AWSServiceName", tuple(sorted(_LINKED)))
    linked_roles = f"arn:{partition}:iam::*:role/aws-service-role/*"
    yield _allow("LinkedRoles", ("iam:CreateServiceLinkedRole",), linked_roles, linked)
    if any(account.unit is not None for account in accounts.values()):
        yield _allow("Units", ("organizations:CreateOrganizationalUnit", "organizations:MoveAccount"))
    if any(account.id is None for account in accounts.values()):
        making = ("CreateAccount", "DescribeCreateAccountStatus", "TagResource")
        yield _allow("Accounts", (f"organizations:{call}" for call in making))
    if wanted.delegated:
        principals = _service(map(service_principal, wanted.delegated))
        yield _allow("Delegate", ("organizations:RegisterDelegatedAdministrator",), "*", principals)
    if contacts(configuration):
        yield _allow("Contacts", ("account:GetAlternateContact", "account:PutAlternateContact"))
    management = accounts[wanted.management] if wanted.management is not None else None
    others = [accounts[name].id for name in sorted(accounts) if name in inside(configuration)]
    if management is not None and management.id is not None:
        yield from _inside(configuration, str(management.id), partition)
    if ids := [id_ or "*" for id_ in others if management is None or id_ != management.id]:
        roles = tuple(sorted({f"arn:{partition}:iam::{id_}:role/{wanted.access_role}" for id_ in ids}))
        # An account that is still to come has no id; what it may be is one of the organization.
        ours = () if "*" not in ids or wanted.id is None else (str(wanted.id),)
        within = (Condition("StringEquals", "aws:ResourceOrgID", ours),) if ours else ()
        yield Statement("Enter", "Allow", ("sts:AssumeRole",), roles, conditions=within)


def _inside(configuration: Configuration, account: str, partition: str) -> Iterator[Statement]:
    if named_passwords(configuration):
        yield _allow("Passwords", ("iam:GetAccountPasswordPolicy", "iam:UpdateAccountPasswordPolicy"))
    if configuration.organization.cdk_roles and cdk_accounts(configuration):
        calls = ("CreatePolicy", "CreatePolicyVersion", "GetPolicy", "GetPolicyVersion", "ListPolicyVersions")
        yield _allow("ExecutionPolicy", (f"iam:{call}" for call in calls), policy_arn(account, partition))


def _allow(sid: str, actions: Iterable[str], resource: str = "*", *conditions: Condition) -> Statement:
    return Statement(sid, "Allow", tuple(sorted(actions)), (resource,), conditions=conditions)


def _service(services: Iterable[str]) -> Condition:
    return Condition("StringEquals", "organizations:ServicePrincipal", tuple(sorted(services)))


def _partition(region: str) -> str:
    prefixes = {"us-gov-": "aws-us-gov", "cn-": "aws-cn"}
    return next((partition for prefix, partition in prefixes.items() if region.startswith(prefix)), "aws")
