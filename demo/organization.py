"""The emulator in an account without an organization, with what bootstrap asks for and ministack lacks.

Run as `python -m demo.organization`, as a child of `demo.server.running`. Beside ministack's units, accounts and policy
types there are: creating an organization, trusted access, delegated administrators, IAM's central root access,
StackSets' access, alternate contacts, and accounts that take a moment to be made. As AWS does, listings come in pages,
a thing that is there is not made again, and what needs trusted access is refused without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, request_scope
from ministack.services import account, iam, organizations
from ministack.services.cloudformation import handlers as cloudformation
from ministack.services.cloudformation import helpers

from demo import emulator

Answer = Any
"""Status, headers and body, as ministack takes them."""
Payload = Mapping[str, Any]
PAGE = 2
"""Entries of a page, so that everybody who reads only the first one is found out."""
LOOKS = 2
"""How often an account that is being made is looked at until it is there."""

_on: dict[str, set[str]] = {"trusted": set(), "root": set(), "stack_sets": set(), "delegated": set()}
_contacts: dict[tuple[str, str], Payload] = {}
_coming: dict[str, tuple[int, Payload]] = {}
"""Accounts that are being made: looks that are left, and the account, by the request."""


def _reset() -> None:
    for each in _on.values():
        each.clear()
    _contacts.clear()
    _coming.clear()


def _refused(code: str, message: str) -> Answer:
    return error_response_json(code, message, 400)


def _body(answer: Answer) -> Any:
    return json.loads(answer[2])


def _create_organization(payload: Payload) -> Answer:
    if "self" in organizations._orgs:
        return _refused("AlreadyInOrganizationException", "The account is in an organization.")
    organizations._ensure_org()
    organizations._orgs["self"]["FeatureSet"] = payload.get("FeatureSet", "ALL")
    for root in organizations._roots.values():
        root["PolicyTypes"] = []
    return organizations._json(200, {"Organization": dict(organizations._orgs["self"])})


def _enable_access(payload: Payload) -> Answer:
    _on["trusted"].add(payload["ServicePrincipal"])
    return organizations._json(200, {})


def _list_access(_payload: Payload) -> Answer:
    every = [{"ServicePrincipal": service, "DateEnabled": 0} for service in sorted(_on["trusted"])]
    return organizations._json(200, {"EnabledServicePrincipals": every})


def _register(payload: Payload) -> Answer:
    service, id_ = payload["ServicePrincipal"], payload["AccountId"]
    if service not in _on["trusted"]:
        return _refused("ConstraintViolationException", f"{service} has no trusted access.")
    if id_ not in organizations._accounts or id_ == get_account_id():
        return _refused("AccountNotFoundException", f"{id_} is no member.")
    if f"{service} {id_}" in _on["delegated"]:
        return _refused("AccountAlreadyRegisteredException", "It is registered.")
    _on["delegated"].add(f"{service} {id_}")
    return organizations._json(200, {})


def _list_delegated(payload: Payload) -> Answer:
    pairs = [pair.split() for pair in sorted(_on["delegated"])]
    every = [{"Id": id_} for service, id_ in pairs if service == payload.get("ServicePrincipal", service)]
    return organizations._json(200, {"DelegatedAdministrators": every})


def _create_unit(payload: Payload) -> Answer:
    same = (payload["ParentId"], payload["Name"])
    if any((unit["_ParentId"], unit["Name"]) == same for unit in organizations._ous.values()):
        return _refused("DuplicateOrganizationalUnitException", "An OU with the same name exists.")
    return organizations._create_organizational_unit(payload)


def _move(payload: Payload) -> Answer:
    there = organizations._accounts.get(payload["AccountId"])
    if there is not None and there["_ParentId"] != payload["SourceParentId"]:
        return _refused("SourceParentNotFoundException", "The account is not there.")
    return organizations._move_account(payload)


def _create_account(payload: Payload) -> Answer:
    management = get_account_id()
    emails = {a["Email"] for a in (*organizations._accounts.values(), *(a for _, a in _coming.values()))}
    answer = organizations._create_account(payload)
    status = organizations._create_statuses[_body(answer)["CreateAccountStatus"]["Id"]]
    made = organizations._accounts.pop(status.pop("AccountId"))
    if payload["Email"] in emails:
        status |= {"State": "FAILED", "FailureReason": "EMAIL_ALREADY_EXISTS"}
    else:
        status["State"] = "IN_PROGRESS"
        _coming[status["Id"]] = (LOOKS, made)
        with request_scope(made["Id"], get_region()):
            _way_in(payload["RoleName"], management)
    return organizations._json(200, {"CreateAccountStatus": status})


def _way_in(role: str, management: str) -> None:
    """The role that AWS puts into a new account."""
    principal = {"AWS": f"arn:aws:iam::{management}:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    iam._create_role(
        {"RoleName": role, "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trust]})}
    )
    iam._attach_role_policy({"RoleName": role, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"})


def _progress(payload: Payload) -> Answer:
    request = payload["CreateAccountRequestId"]
    if request in _coming:
        left, made = _coming[request]
        _coming[request] = (left - 1, made)
        if left == 1:
            del _coming[request]
            organizations._accounts[made["Id"]] = made
            organizations._create_statuses[request] |= {"State": "SUCCEEDED", "AccountId": made["Id"]}
    return organizations._describe_create_account_status(payload)


def _list_progress(payload: Payload) -> Answer:
    states = payload.get("States") or ("IN_PROGRESS", "SUCCEEDED", "FAILED")
    every = [status for status in organizations._create_statuses.values() if status["State"] in states]
    return organizations._json(200, {"CreateAccountStatuses": every})


def _paged(key: str, list_: Callable[[Payload], Answer]) -> Callable[[Payload], Answer]:
    def one(payload: Payload) -> Answer:
        answer = list_(payload)
        if answer[0] != 200:
            return answer
        body, first = _body(answer), int(payload.get("NextToken", 0))
        more = {"NextToken": str(first + PAGE)} if len(body[key]) > first + PAGE else {}
        return organizations._json(200, {key: body[key][first : first + PAGE], **more})

    return one


def _in_use(call: Callable[[Payload], Answer]) -> Callable[[Payload], Answer]:
    def checked(payload: Payload) -> Answer:
        if "self" not in organizations._orgs:
            return _refused("AWSOrganizationsNotInUseException", "The account is not a member of an organization.")
        return call(payload)

    return checked


def _root_features(name: str | None) -> Callable[[Any], Answer]:
    operation = f"EnableOrganizations{name}" if name else "ListOrganizationsFeatures"

    def call(_params: Any) -> Answer:
        if "iam.amazonaws.com" not in _on["trusted"]:
            return iam._error(400, "ServiceAccessNotEnabledException", "No trusted access.")
        if name is not None:
            _on["root"].add(name)
        members = "".join(f"<member>{feature}</member>" for feature in sorted(_on["root"]))
        inner = f"<EnabledFeatures>{members}</EnabledFeatures>"
        return iam._xml(200, f"{operation}Response", f"<{operation}Result>{inner}</{operation}Result>")

    return call


def _activate(_params: Any) -> Answer:
    if "self" not in organizations._orgs:
        return helpers._error("InvalidOperationException", "No organization.")
    _on["stack_sets"].add("on")
    _on["trusted"].add("member.org.stacksets.cloudformation.amazonaws.com")
    return helpers._xml(200, "ActivateOrganizationsAccessResponse", "<ActivateOrganizationsAccessResult/>")


def _activated(_params: Any) -> Answer:
    status = "ENABLED" if _on["stack_sets"] else "DISABLED"
    inner = f"<DescribeOrganizationsAccessResult><Status>{status}</Status></DescribeOrganizationsAccessResult>"
    return helpers._xml(200, "DescribeOrganizationsAccessResponse", inner)


def _contact(call: Callable[[tuple[str, str], Payload], Answer]) -> Callable[[Payload], Answer]:
    def checked(payload: Payload) -> Answer:
        id_ = payload.get("AccountId")
        if id_ == get_account_id():
            return _refused("ValidationException", "An account does not name itself.")
        if id_ is not None and "account.amazonaws.com" not in _on["trusted"]:
            return _refused("AccessDeniedException", "No trusted access.")
        return call((id_ or get_account_id(), payload["AlternateContactType"]), payload)

    return checked


def _put_contact(whose: tuple[str, str], payload: Payload) -> Answer:
    _contacts[whose] = {key: value for key, value in payload.items() if key != "AccountId"}
    return account._json(200, {})


def _get_contact(whose: tuple[str, str], _payload: Payload) -> Answer:
    if whose not in _contacts:
        return error_response_json("ResourceNotFoundException", "There is none.", 404)
    return account._json(200, {"AlternateContact": _contacts[whose]})


_LISTS = {
    "ListAccountsForParent": "Accounts",
    "ListAWSServiceAccessForOrganization": "EnabledServicePrincipals",
    "ListCreateAccountStatus": "CreateAccountStatuses",
    "ListDelegatedAdministrators": "DelegatedAdministrators",
    "ListOrganizationalUnitsForParent": "OrganizationalUnits",
}


def install() -> None:
    """Change the ministack of this process."""
    calls = organizations._DISPATCH
    calls |= {
        "CreateAccount": _create_account,
        "CreateOrganizationalUnit": _create_unit,
        "DescribeCreateAccountStatus": _progress,
        "EnableAWSServiceAccess": _enable_access,
        "ListAWSServiceAccessForOrganization": _list_access,
        "ListCreateAccountStatus": _list_progress,
        "ListDelegatedAdministrators": _list_delegated,
        "MoveAccount": _move,
        "RegisterDelegatedAdministrator": _register,
    }
    for name, key in _LISTS.items():
        calls[name] = _paged(key, calls[name])
    for name, call in calls.items():
        calls[name] = _in_use(call)
    calls["CreateOrganization"] = _create_organization
    iam._IAM_HANDLERS["ListOrganizationsFeatures"] = _root_features(None)
    for feature in ("RootCredentialsManagement", "RootSessions"):
        iam._IAM_HANDLERS[f"EnableOrganizations{feature}"] = _root_features(feature)
    cloudformation._ACTION_HANDLERS["ActivateOrganizationsAccess"] = _activate
    cloudformation._ACTION_HANDLERS["DescribeOrganizationsAccess"] = _activated
    account._DISPATCH["/getAlternateContact"] = _contact(_get_contact)
    account._DISPATCH["/putAlternateContact"] = _contact(_put_contact)
    account.reset = _reset


if __name__ == "__main__":
    install()
    emulator.main()
