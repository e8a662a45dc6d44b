"""People in one account who work in others: the roles that stand for their teams there, and what lets them take these.

Both halves come from here: a member account trusts the hub's people with MFA, and in the hub a team may take its own
roles and no others. Sources: IAM User Guide, "IAM tutorial: Delegate access across AWS accounts using IAM roles" and
"Secure API access with MFA"; AWS global condition context keys (aws:ResourceOrgID).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dutybound.accounts import Destination, destinations
from dutybound.baseline import Target, camel
from dutybound.break_glass import EMERGENCY_ROLE
from dutybound.config import Configuration, DutyUse, Role, Team, TeamTrust
from dutybound.diagnostic import Diagnostic, Text
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Statement
from dutybound.trust import PATH, people_with_mfa
from dutybound.when import MFA_KEYS, MFA_PRESENT

TEAM_PATH = "/teams/"
TEAM_BOUNDARY = "team-boundary"
MOST_ACCOUNTS = 50
"""Accounts that a policy names one by one; more, and it names the organization instead."""
LOOK = ("iam:GenerateServiceLastAccessedDetails", "iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy")


def duties_in(team: Team, destination: Destination) -> tuple[DutyUse, ...]:
    """What a team does in the accounts of a destination."""
    more = (use for key in destination.keys for use in team.in_.get(Text(key), ()))
    return (*team.duties, *more)


def is_in(role: Role, destination: Destination) -> bool:
    """Whether the accounts of a destination have a role."""
    return not role.in_ or any(key in role.in_ for key in destination.keys)


def team_trust(hub: str, origins: tuple[Origin, ...]) -> Policy:
    """The trust of a team's role in a member account: the hub's people. Which of them, the hub says (`takes`)."""
    return Policy((replace(people_with_mfa("TrustHub", hub), origins=origins),))


def takes(configuration: Configuration, name: Text, team: Team, found: list[Diagnostic]) -> Iterator[Statement]:
    """What lets the people of a team in the hub take the team's roles in the member accounts."""
    members = [d for d in destinations(configuration) if d.standing == "member"]
    if targets := [t for d in members if duties_in(team, d) for t in d.targets]:
        origins = (Origin("hub", name.span, configuration.organization.span),)
        yield take(f"Take{camel(name)}", f"role{TEAM_PATH}{name}", targets, configuration, origins, found)
    for role_name, role in sorted(configuration.roles.items()):
        if not isinstance(role.trusts, TeamTrust) or role.trusts.team != name:
            continue
        if targets := [t for d in members if is_in(role, d) for t in d.targets]:
            origins = (Origin("trusts", role.trusts.team.span, role.trusts.span),)
            yield take(f"Take{camel(role_name)}", f"role{PATH}{role_name}", targets, configuration, origins, found)


def takes_break_glass(configuration: Configuration, found: list[Diagnostic]) -> Statement | None:
    """What lets the break-glass users in the hub take the role of that name in the member accounts."""
    targets = [t for d in destinations(configuration) if d.standing == "member" for t in d.targets]
    if not targets:
        return None
    origins = (Origin("break_glass", configuration.break_glass.span),)
    return take("TakeBreakGlassElsewhere", EMERGENCY_ROLE, targets, configuration, origins, found)


def take(
    sid: str,
    role: str,
    targets: Sequence[Target],
    configuration: Configuration,
    origins: tuple[Origin, ...],
    found: list[Diagnostic],
) -> Statement:
    """The permission to take a role ('role/PATH/NAME') in each of these accounts and nowhere else.

    Many accounts are named by their organization: what has this path and name elsewhere in it is nobody's, since only
    the baseline makes such roles.
    """
    allow = Statement(sid, "Allow", actions=("sts:AssumeRole",), origins=origins)
    if len(targets) <= MOST_ACCOUNTS:
        arns = tuple(sorted(f"arn:{PARTITION}:iam::{target.id}:{role}" for target in targets))
        return replace(allow, resources=arns)
    organization = configuration.organization
    if organization.id is None:
        message = f"{len(targets)} accounts are more than the {MOST_ACCOUNTS} that a policy names one by one"
        hint = "give 'organization.id', so that it can name the organization"
        found.append(Diagnostic("no-organization-id", message, organization.span, hint))
    here = (Condition("StringEquals", "aws:ResourceOrgID", (str(organization.id),)),)
    return replace(allow, resources=(f"arn:{PARTITION}:iam::*:{role}",), conditions=here)


def proved(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Statements for a session that MFA was asked for: what asks whether there was any, is answered by the trust.

    Sessions of roles carry no MFA themselves. A limit on its age stays, and is reported where it can never hold.
    """
    for statement in statements:
        asked = {c.key.casefold() for c in statement.conditions} & MFA_KEYS
        if statement.effect == "Allow" and asked == {MFA_PRESENT.casefold()}:
            kept = tuple(c for c in statement.conditions if not _asks(c))
            statement = replace(statement, conditions=kept)
        yield statement


def _asks(condition: Condition) -> bool:
    return (condition.operator, condition.key.casefold(), condition.values) == (
        "Bool",
        MFA_PRESENT.casefold(),
        ("true",),
    )


def team_boundary(configuration: Configuration, taken: bool = False) -> Policy:
    """The permissions boundary of every team's role in a member account: nobody of a team changes the baseline itself.

    Its Allow grants nothing. Who deploys the baseline does not come as a team. With `taken` there are roles in the
    account that a team takes from here, and not from the hub.
    """
    origins = (Origin("organization", configuration.organization.span),)
    arns = tuple(f"arn:{PARTITION}:iam::{ACCOUNT}:{name}*" for name in _BASELINE)
    ceiling = Statement("BoundaryThatGrantsNothing", "Allow", actions=("*",), resources=("*",), origins=origins)
    # Passing a role is for whoever trusts it to refuse: of these, roles of the configuration alone trust services.
    left = (*LOOK, "iam:PassRole", *(("sts:AssumeRole",) if taken else ()))
    keep = Statement("KeepBaseline", "Deny", not_actions=left, resources=arns, origins=origins)
    return Policy((ceiling, keep))


_BASELINE = (
    "policy/baseline/",
    "policy/break-glass/",
    "policy/duties/",
    "role/break-glass/",
    "role/roles/",
    "role/teams/",
)
