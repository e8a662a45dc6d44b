"""Who may take a role: a role's `trusts` -> its trust policy, and what a team needs to take it.

Sources: IAM User Guide, "The confused deputy problem", "AWS JSON policy elements: Principal", "AWS global condition
context keys"; EKS User Guide, "Create IAM role with trust policy required by EKS Pod Identity"; IAM Roles Anywhere User
Guide, "Trust model".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from dutybound import catalog
from dutybound.baseline import camel
from dutybound.config import (
    AccountTrust,
    Certificate,
    EksPods,
    EksTrust,
    GithubTrust,
    GitlabTrust,
    OidcTrust,
    OrganizationTrust,
    Role,
    RolesAnywhereTrust,
    SamlTrust,
    ServiceTrust,
    TeamTrust,
)
from dutybound.diagnostic import Diagnostic, Text, did_you_mean, quoted
from dutybound.issuer import Identities, identities, stranger_errors
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Principal, Statement
from dutybound.quotas import quota

TRUST_SIZE = quota("trust-policy-size").value
SWITCHED_NAME = 64
"""Characters of path and name together for a role that people switch to in the console (the same page)."""
PATH = "/roles/"
MFA = (
    Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),
    Condition("NumericLessThan", "aws:MultiFactorAuthAge", ("3600",)),
)
"""The caller proved MFA, at most an hour ago. Only IAM users can: sessions of roles carry no MFA."""
_SIGN_IN = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}


def trust_policy(name: Text, role: Role, region: str, found: list[Diagnostic], people_in: str = ACCOUNT) -> Policy:
    """The trust policy of a role in an account with that home Region; `people_in` is the account that holds the people.

    Errors are added to `found`.
    """
    who = f"role {quoted(name)}"
    origins = (Origin("trusts", role.trusts.span or role.span),)
    statements = _statements(name, who, role, region, people_in, found)
    return Policy(tuple(replace(s, origins=origins) for s in statements))


def size_errors(name: Text, role: Role, policy: Policy) -> Iterator[Diagnostic]:
    """Whether a role's whole trust policy is more than IAM takes."""
    if policy.size > TRUST_SIZE:
        message = f"role {quoted(name)}: its trust policy has {policy.size:,} characters; IAM takes {TRUST_SIZE:,}"
        hint = "trust fewer, write patterns instead of lists, or make it two roles"
        yield Diagnostic("trust-too-large", message, role.trusts.span or role.span, hint)


def may_take(team: str, roles: Mapping[Text, Role]) -> Iterator[Statement]:
    """What the people of a team need to take the roles that trust it: the other half of `TeamTrust`.

    A trust policy cannot name a group. Naming the people would have to be changed with every joiner and leaver, and
    ends at 2,048 characters; so the trust asks for a person with MFA, and this permission for the team.
    """
    for name, role in sorted(roles.items()):
        if isinstance(role.trusts, TeamTrust) and role.trusts.team == team:
            yield Statement(
                f"Take{camel(name)}",
                "Allow",
                actions=("sts:AssumeRole",),
                resources=(f"arn:{PARTITION}:iam::{ACCOUNT}:role{PATH}{name}",),
                origins=(Origin("trusts", role.trusts.team.span, role.trusts.span),),
            )


def for_servers(role: Role) -> bool:
    """Whether EC2 hands the role to servers, which takes an instance profile."""
    return isinstance(role.trusts, ServiceTrust) and role.trusts.service in ("ec2", "ec2.amazonaws.com")


def _statements(
    name: Text, who: str, role: Role, region: str, people_in: str, found: list[Diagnostic]
) -> Iterator[Statement]:
    match role.trusts:
        case ServiceTrust() as trusts:
            yield from _service(trusts, who, found)
        case TeamTrust():
            yield _team(name, who, people_in, found)
        case AccountTrust() as trusts:
            yield _account(trusts, who, found)
        case OrganizationTrust() as trusts:
            yield _organization(trusts)
        case GithubTrust() | GitlabTrust() | OidcTrust() as trusts:
            taken = identities(trusts)
            if taken is not None:
                yield from _tokens(taken, who, found)
        case SamlTrust() as trusts:
            yield _saml(str(trusts.saml.provider), region)
        case EksTrust(eks=pods):
            yield _eks(pods, who, found)
        case RolesAnywhereTrust(roles_anywhere=certificate):
            yield _roles_anywhere(certificate)
        case other:
            assert_never(other)


def _allow(
    sid: str, principal: Principal, *conditions: Condition, actions: Iterable[str] = ("sts:AssumeRole",)
) -> Statement:
    ordered = tuple(sorted(conditions, key=lambda c: (c.operator, c.key)))
    return Statement(sid, "Allow", tuple(actions), principals=(principal,), conditions=ordered)


def _service(trusts: ServiceTrust, who: str, found: list[Diagnostic]) -> Iterator[Statement]:
    service, known = trusts.service, catalog.service_principals()
    row = catalog.service_principal(service)
    if row is None:
        message = f"{who} trusts a service that is not known to take roles: {quoted(service)}"
        hint = did_you_mean(service, known) or f"known: {', '.join(sorted(known)[:12])} …"
        found.append(Diagnostic("unknown-service", message, service.span, hint))
        return
    conditions = [_equals("aws:SourceAccount", ACCOUNT)] if row.source_account else []
    if trusts.source is not None:
        if not row.source_account:
            message = f"{who}: {quoted(service)} is not known to say for which resource it takes a role"
            hint = "remove 'source': with it nobody might be able to take the role"
            found.append(Diagnostic("unsupported-source", message, trusts.source[0].span, hint))
        conditions.append(Condition("ArnLike", "aws:SourceArn", _sorted(trusts.source)))
    yield _allow("TrustService", Principal("Service", (row.principal,)), *conditions)


def _team(name: Text, who: str, people_in: str, found: list[Diagnostic]) -> Statement:
    if len(PATH) + len(name) > SWITCHED_NAME:
        message = (
            f"{who}: people could not switch to it in the console: its path and name have "
            f"{len(PATH) + len(name)} characters; {SWITCHED_NAME} is the limit"
        )
        found.append(Diagnostic("name-too-long", message, name.span, f"use at most {SWITCHED_NAME - len(PATH)}"))
    return people_with_mfa("TrustTeam", people_in)


def people_with_mfa(sid: str, account: str) -> Statement:
    """The trust in the people of an account, with MFA at most an hour ago.

    It names the account and asks for the path of its people: a user named as principal has to exist before the role,
    and one that is made anew under the same name would not be trusted any more.
    """
    people = Condition("ArnLike", "aws:PrincipalArn", (f"arn:{PARTITION}:iam::{account}:user/people/*",))
    return _allow(sid, Principal("AWS", (f"arn:{PARTITION}:iam::{account}:root",)), *MFA, people)


def _account(trusts: AccountTrust, who: str, found: list[Diagnostic]) -> Statement:
    principal = Principal("AWS", (f"arn:{PARTITION}:iam::{trusts.account}:root",))
    external = [_equals("sts:ExternalId", str(trusts.external_id))] if trusts.external_id else []
    roles = [_roles(str(trusts.account), trusts.roles)] if trusts.roles else []
    if trusts.roles and trusts.mfa:
        message = f"{who}: a role's session never carries MFA, so that 'roles' and 'mfa' together let nobody in"
        found.append(Diagnostic("contradiction", message, trusts.roles[0].span, "remove one of them"))
    return _allow("TrustAccount", principal, *external, *(MFA if trusts.mfa else ()), *roles)


def _organization(trusts: OrganizationTrust) -> Statement:
    """A principal of '*' grants by itself inside the role's own account, where other accounts' principals need their
    account's leave too; so the own account is left out.
    """
    conditions = [
        _equals("aws:PrincipalOrgID", str(trusts.organization)),
        Condition("StringNotEquals", "aws:PrincipalAccount", (ACCOUNT,)),
        _roles("*", trusts.roles),
    ]
    if trusts.units:
        paths = tuple(sorted({f"{trusts.organization}/{unit}/*" for unit in trusts.units}))
        conditions.append(Condition("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", paths))
    return _allow("TrustOrganization", Principal("AWS", ("*",)), *conditions)


def _roles(account: str, patterns: Iterable[str]) -> Condition:
    arns = {f"arn:{PARTITION}:iam::{account}:role/{pattern}" for pattern in patterns}
    return Condition("ArnLike", "aws:PrincipalArn", tuple(sorted(arns)))


def _tokens(taken: Identities, who: str, found: list[Diagnostic]) -> Iterator[Statement]:
    found += stranger_errors(who, taken)
    if not taken.subjects:
        message = f"{who}: without ids and without the older form there is no subject to trust"
        found.append(Diagnostic("contradiction", message, taken.url.span, "add 'owner_id' and 'repository_id'"))
        return
    like = any(c in subject for subject in taken.subjects for c in "*?")
    conditions = [
        Condition("StringEquals", f"{taken.name}:aud", taken.audiences),
        Condition("StringLike" if like else "StringEquals", f"{taken.name}:sub", _sorted(taken.subjects)),
    ]
    if taken.session_name is not None:
        conditions.append(_equals("sts:RoleSessionName", taken.session_name))
    principal = Principal("Federated", (taken.arn,))
    yield _allow("TrustTokens", principal, *conditions, actions=("sts:AssumeRoleWithWebIdentity",))


def _saml(provider: str, region: str) -> Statement:
    principal = Principal("Federated", (f"arn:{PARTITION}:iam::{ACCOUNT}:saml-provider/{provider}",))
    audience = f"https://signin.{_SIGN_IN[catalog.partition(region)]}/saml"
    return _allow("TrustSaml", principal, _equals("SAML:aud", audience), actions=("sts:AssumeRoleWithSAML",))


def _eks(pods: EksPods, who: str, found: list[Diagnostic]) -> Statement:
    """The cluster is asked for by the session tags of EKS Pod Identity, which its guide documents."""
    cluster = _equals("aws:RequestTag/eks-cluster-name", str(pods.cluster))
    if pods.region is not None:
        if pods.region not in catalog.regions():
            message = f"{who}: there is no AWS Region {quoted(pods.region)}"
            hint = did_you_mean(pods.region, catalog.regions())
            found.append(Diagnostic("unknown-region", message, pods.region.span, hint))
        arn = f"arn:{PARTITION}:eks:{pods.region}:{ACCOUNT}:cluster/{pods.cluster}"
        cluster = _equals("aws:RequestTag/eks-cluster-arn", arn)
    return _allow(
        "TrustPods",
        Principal("Service", ("pods.eks.amazonaws.com",)),
        _equals("aws:SourceAccount", ACCOUNT),
        cluster,
        _equals("aws:RequestTag/kubernetes-namespace", str(pods.namespace)),
        _equals("aws:RequestTag/kubernetes-service-account", str(pods.service_account)),
        actions=("sts:AssumeRole", "sts:TagSession"),
    )


def _roles_anywhere(certificate: Certificate) -> Statement:
    anchor = str(certificate.trust_anchor)
    if not anchor.startswith("arn:"):
        anchor = f"arn:{PARTITION}:rolesanywhere:*:{ACCOUNT}:trust-anchor/{anchor}"
    unit = certificate.organizational_unit
    return _allow(
        "TrustCertificates",
        Principal("Service", ("rolesanywhere.amazonaws.com",)),
        Condition("ArnLike", "aws:SourceArn", (anchor,)),
        _equals("aws:PrincipalTag/x509Subject/CN", str(certificate.common_name)),
        *([_equals("aws:PrincipalTag/x509Subject/OU", str(unit))] if unit is not None else []),
        actions=("sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"),
    )


def _equals(key: str, value: str) -> Condition:
    return Condition("StringEquals", key, (value,))


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({str(text) for text in texts}))
