"""AWS -> `Found`: reads everything that a plan for a configuration is made from, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dutybound.config import Configuration
from dutybound.operate.aws import Aws, Failed, Refused
from dutybound.operate.cdk_roles import policy_arn
from dutybound.operate.found import (
    ContactKind,
    Found,
    FoundAccount,
    FoundContact,
    FoundOrganization,
    FoundPolicy,
    Inside,
)
from dutybound.operate.plan import ACCOUNTS, contacts, inside, named_passwords, service_principal

_PASSWORD_SETTINGS = frozenset(
    {
        *("AllowUsersToChangePassword", "HardExpiry", "MaxPasswordAge", "MinimumPasswordLength"),
        *("PasswordReusePrevention", "RequireLowercaseCharacters", "RequireNumbers", "RequireSymbols"),
        "RequireUppercaseCharacters",
    }
)


def look(aws: Aws, configuration: Configuration) -> Found:
    """What is there. `configuration` names the account that manages the organization.

    Raises Failed where the credentials are of another account, where the organization has no use for a plan, and where
    a call is refused.
    """
    identity = aws.call("sts", "GetCallerIdentity")
    account, caller = str(identity["Account"]), str(identity["Arn"])
    management = configuration.organization.management
    wanted = configuration.accounts[management] if management is not None else None
    if wanted is None or wanted.id != account:
        told = f"{management} is {wanted.id}" if wanted is not None else "no account is named"
        raise Failed(f"these are credentials of account {account}, and organization.management says {told}")
    there = _organization(aws, configuration, account)
    here = {account} if there is None else set(there.accounts)
    given = {str(name): str(a.id) for name, a in configuration.accounts.items() if a.id is not None}
    ids = given | _by_email(configuration, there)
    known = {name: id_ for name, id_ in ids.items() if id_ in here}
    entered = [known[name] for name in inside(configuration) if name in known]
    partition = caller.split(":")[1]
    return Found(
        account,
        caller,
        there,
        _contacts(aws, configuration, account, there, known.values()),
        {id_: _inside(aws, configuration, account, id_, partition) for id_ in entered},
    )


def _organization(aws: Aws, configuration: Configuration, account: str) -> FoundOrganization | None:
    try:
        found = aws.call("organizations", "DescribeOrganization")["Organization"]
    except Refused as refused:
        if refused.code == "AWSOrganizationsNotInUseException":
            return None
        raise
    if found["MasterAccountId"] != account:
        raise Failed(
            f"account {account} is a member of {found['Id']}, which {found['MasterAccountId']} manages: "
            "name that account in organization.management, and use its credentials"
        )
    if found["FeatureSet"] != "ALL":
        raise Failed(
            f"organization {found['Id']} does consolidated billing only, and every member has to agree to more: "
            "run 'aws organizations enable-all-features', and see that each accepts"
        )
    root = next(aws.pages("organizations", "ListRoots", "Roots"))
    units, accounts = _tree(aws, str(root["Id"]))
    services = aws.pages("organizations", "ListAWSServiceAccessForOrganization", "EnabledServicePrincipals")
    trusted = frozenset(str(service["ServicePrincipal"]) for service in services)
    return FoundOrganization(
        str(found["Id"]),
        str(root["Id"]),
        frozenset(str(t["Type"]) for t in root.get("PolicyTypes", ()) if t["Status"] in ("ENABLED", "PENDING_ENABLE")),
        units,
        accounts,
        _making(aws),
        trusted,
        aws.call("cloudformation", "DescribeOrganizationsAccess").get("Status") == "ENABLED",
        _root_access(aws) if "iam.amazonaws.com" in trusted else frozenset(),
        frozenset(_delegated(aws, configuration, trusted)),
    )


def _tree(aws: Aws, root: str) -> tuple[dict[str, str], dict[str, FoundAccount]]:
    """Every unit by its names, and every account: one listing for each unit says which stand in it."""
    units: dict[str, str] = {}
    accounts: dict[str, FoundAccount] = {}
    open_: list[tuple[str, str]] = [("", root)]
    while open_:
        path, parent = open_.pop()
        under = {"ParentId": parent}
        for a in aws.pages("organizations", "ListAccountsForParent", "Accounts", under):
            status = str(a.get("State") or a.get("Status", ""))
            accounts[a["Id"]] = FoundAccount(a["Id"], a.get("Name", ""), a.get("Email", ""), status, parent)
        for unit in aws.pages("organizations", "ListOrganizationalUnitsForParent", "OrganizationalUnits", under):
            name = f"{path}/{unit['Name']}".lstrip("/")
            units[name] = unit["Id"]
            open_.append((name, unit["Id"]))
    return units, accounts


def _making(aws: Aws) -> dict[str, str]:
    wanted = {"States": ["IN_PROGRESS"]}
    asked = aws.pages("organizations", "ListCreateAccountStatus", "CreateAccountStatuses", wanted)
    return {str(status["AccountName"]): str(status["Id"]) for status in asked}


def _root_access(aws: Aws) -> frozenset[str]:
    return frozenset(map(str, aws.call("iam", "ListOrganizationsFeatures").get("EnabledFeatures", ())))


def _delegated(aws: Aws, configuration: Configuration, trusted: frozenset[str]) -> Iterable[tuple[str, str]]:
    for service in sorted(configuration.organization.delegated):
        principal = service_principal(service)
        if principal in trusted:
            wanted = {"ServicePrincipal": principal}
            for found in aws.pages("organizations", "ListDelegatedAdministrators", "DelegatedAdministrators", wanted):
                yield principal, str(found["Id"])


def _by_email(configuration: Configuration, there: FoundOrganization | None) -> dict[str, str]:
    """Accounts without an id that are there all the same."""
    emails = {a.email.casefold(): a.id for a in there.accounts.values()} if there else {}
    wanted = {str(n): a.email.casefold() for n, a in configuration.accounts.items() if a.id is None and a.email}
    return {name: emails[email] for name, email in wanted.items() if email in emails}


def _contacts(
    aws: Aws, configuration: Configuration, account: str, there: FoundOrganization | None, known: Iterable[str]
) -> dict[tuple[str, ContactKind], FoundContact | None]:
    """The contacts that can be asked for: without trusted access, only those of the account itself."""
    found: dict[tuple[str, ContactKind], FoundContact | None] = {}
    all_ = there is not None and ACCOUNTS in there.trusted
    for id_ in sorted(id_ for id_ in known if all_ or id_ == account):
        for kind in contacts(configuration):
            whose = {} if id_ == account else {"AccountId": id_}
            try:
                answer = aws.call("account", "GetAlternateContact", {"AlternateContactType": kind, **whose})
            except Refused as refused:
                if refused.code != "ResourceNotFoundException":
                    raise
                found[id_, kind] = None
                continue
            c = answer["AlternateContact"]
            found[id_, kind] = FoundContact(
                c.get("Name", ""), c.get("Title", ""), c.get("EmailAddress", ""), c.get("PhoneNumber", "")
            )
    return found


def _inside(aws: Aws, configuration: Configuration, own: str, account: str, partition: str) -> Inside | None:
    where = None if account == own else account
    if where is not None:
        role = f"arn:{partition}:iam::{account}:role/{configuration.organization.access_role}"
        try:
            aws.enter(account, role)
        except Refused as refused:
            if refused.denied:
                return None
            raise
    passwords = _passwords(aws, where) if named_passwords(configuration) else None
    policies: dict[str, FoundPolicy] = {}
    if configuration.organization.cdk_roles:
        arn = policy_arn(account, partition)
        policy = _policy(aws, where, arn)
        policies = {arn: policy} if policy is not None else {}
    return Inside(passwords, policies)


def _passwords(aws: Aws, where: str | None) -> dict[str, int | bool] | None:
    found = _unless_absent(aws, where, "GetAccountPasswordPolicy", {})
    if found is None:
        return None
    there = {k: v for k, v in found["PasswordPolicy"].items() if k != "ExpirePasswords" and v is not None}
    if strange := sorted(set(there) - _PASSWORD_SETTINGS):
        raise Failed(f"AWS has password settings that a change would reset: {', '.join(strange)}. Nothing was changed")
    return {key: value for key, value in there.items() if value is False or value != 0}


def _policy(aws: Aws, where: str | None, arn: str) -> FoundPolicy | None:
    found = _unless_absent(aws, where, "GetPolicy", {"PolicyArn": arn})
    if found is None:
        return None
    version = {"PolicyArn": arn, "VersionId": found["Policy"]["DefaultVersionId"]}
    document = aws.call("iam", "GetPolicyVersion", version, where)["PolicyVersion"]["Document"]
    versions = aws.call("iam", "ListPolicyVersions", {"PolicyArn": arn}, where)["Versions"]
    return FoundPolicy(document, len(versions))


def _unless_absent(aws: Aws, where: str | None, operation: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return aws.call("iam", operation, parameters, where)
    except Refused as refused:
        if refused.code in ("NoSuchEntity", "NoSuchEntityException"):
            return None
        raise
