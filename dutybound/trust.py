"""Who may take a role: a role's `trusts` -> its trust policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dutybound import catalog
from dutybound.config import AccountTrust, Role, ServiceTrust
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Principal, Statement


def trust_policy(role: Role, who: str, found: list[Diagnostic]) -> Policy:
    """The trust policy of a role; `who` names it in messages. Errors are added to `found`."""
    trusts = role.trusts
    origins = (Origin("trusts", trusts.span or role.span),)
    match trusts:
        case ServiceTrust(service=service):
            statements = _service(service, who, found)
        case AccountTrust():
            statements = _account(trusts)
    return Policy(tuple(replace(s, origins=origins) for s in statements))


def for_servers(role: Role) -> bool:
    """Whether EC2 hands the role to servers, which takes an instance profile."""
    return isinstance(role.trusts, ServiceTrust) and _short(role.trusts.service) == "ec2"


def _account(trusts: AccountTrust) -> Iterator[Statement]:
    principal = Principal("AWS", (f"arn:{PARTITION}:iam::{trusts.account}:root",))
    external = trusts.external_id
    conditions = (Condition("StringEquals", "sts:ExternalId", (str(external),)),) if external else ()
    yield Statement(
        "TrustAccount", "Allow", actions=("sts:AssumeRole",), principals=(principal,), conditions=conditions
    )


def _service(service: Text, who: str, found: list[Diagnostic]) -> Iterator[Statement]:
    known = catalog.service_principals()
    row = known.get(_short(service))
    if row is None:
        message = f"{who} trusts a service that is not known to take roles: {quoted(service)}"
        hint = did_you_mean(service, known) or f"known: {', '.join(sorted(known)[:12])} …"
        found.append(Diagnostic("unknown-service", message, service.span, hint))
        return
    conditions = (Condition("StringEquals", "aws:SourceAccount", (ACCOUNT,)),) if row.source_account else ()
    yield Statement(
        "TrustService",
        "Allow",
        actions=("sts:AssumeRole",),
        principals=(Principal("Service", (row.principal,)),),
        conditions=conditions,
    )


def _short(service: str) -> str:
    return service.removesuffix(".amazonaws.com")
