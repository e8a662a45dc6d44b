"""People in IAM Identity Center: which team has access where, and what its account needs: groups, sets, assignments.

What a team does in an account is decided by `lower`, as the role that Identity Center makes there of a permission set;
here these roles become permission sets and assignments. Sources: IAM Identity Center User Guide, "Manage AWS accounts
with permission sets", "IAM Identity Center quotas", "Referencing permission sets in resource policies"; CloudFormation
Template Reference, "AWS::SSO::Assignment".
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dutybound.accounts import Destination, destinations
from dutybound.baseline import (
    Account,
    Assignment,
    Baseline,
    DirectoryGroup,
    DirectoryUser,
    IdentityCenter,
    ManagedPolicy,
    Membership,
    PermissionSet,
    Role,
    Stack,
    Target,
    logical_id,
)
from dutybound.config import Configuration, Team, TeamTrust
from dutybound.diagnostic import Diagnostic, Text, quoted
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Principal, Statement, minified
from dutybound.quotas import quota

PARTS = 32
"""Stacks that teams are spread over. Never change it: an assignment that moves to another stack is there already,
so that making it fails, and whoever has it loses it when the old stack lets go of it."""
INLINE_SIZE = quota("permission-set-policy-size").value
POLICIES_PER_SET = quota("permission-set-managed-policies").value
_SETS = quota("permission-sets-per-instance")
_PROVISIONED = quota("permission-sets-per-account")
_PER_STACK = quota("resources-per-stack").value
_OUTPUTS = quota("outputs-per-stack").value
_NAME = 32
"""Characters of a permission set's name (IAM Identity Center API Reference, CreatePermissionSet)."""
MAKES_USERS = ("us-east-1",)
"""Regions with the type AWS::IdentityStore::User (CloudFormation's resource schemas, as carried by cfn-lint 1.58.0)."""
_USER_NAME = re.compile(r"\$\{\s*aws:username\s*\}", re.IGNORECASE)


def people_here(configuration: Configuration) -> bool:
    """Whether people sign in through Identity Center."""
    return configuration.organization.people_in == "identity-center"


# --- what a team has in an account ----------------------------------------------------------------------------------


def works_in(configuration: Configuration, name: str, team: Team, destination: Destination) -> bool:
    """Whether a team has any access in the accounts of a destination: duties, or a role that it may take."""
    duties = team.duties or any(team.in_.get(Text(key)) for key in destination.keys)
    takes = (
        isinstance(role.trusts, TeamTrust)
        and role.trusts.team == name
        and (not role.in_ or _named(role.in_, destination))
        for role in configuration.roles.values()
    )
    return bool(duties) or any(takes)


def _named(in_: Sequence[str], destination: Destination) -> bool:
    return any(key in in_ for key in destination.keys)


def group_names(name: str, team: Team) -> tuple[str, ...]:
    """The groups of a team: one, and one more for each day on which memberships end."""
    return (str(name), *(f"{name}.until-{day}" for day in sorted({str(m.until) for m in team.members if m.until})))


def members_of(group: str, name: str, team: Team) -> tuple[str, ...]:
    """Who is in a group of a team, sorted."""
    day = day_of(group, name)
    return tuple(sorted(str(m.name) for m in team.members if str(m.until or "") == day))


def day_of(group: str, name: str) -> str:
    """The day on which memberships in a group of a team end, or an empty text."""
    return group.removeprefix(str(name)).removeprefix(".until-")


def set_name(group: str, destination: str) -> str:
    """The name of the permission set of a group in a destination: both words, cut to a digest where they are long.

    No name holds a dot, so that two pairs never give one name.
    """
    whole = f"{group}.{destination}"
    if len(whole) <= _NAME:
        return whole
    return f"{whole[: _NAME - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def path_of_sets(configuration: Configuration) -> str:
    """The path of the roles that Identity Center makes: it names the Region of the instance, but for us-east-1."""
    region = home(configuration)
    return "/aws-reserved/sso.amazonaws.com/" + ("" if region == "us-east-1" else f"{region}/")


def home(configuration: Configuration) -> str:
    """The Region of the instance."""
    center = configuration.organization.identity_center
    own = center.region if center is not None else None
    return str(own or configuration.organization.home_region)


def trust_of_sets(origins: tuple[Origin, ...]) -> Policy:
    """What the trust of a role that Identity Center makes says: who signed in through it and was assigned the set.

    Nobody but Identity Center changes such a role. The provider's name has a digest that only AWS knows.
    """
    provider = f"arn:{PARTITION}:iam::{ACCOUNT}:saml-provider/AWSSSO_0123456789abcdef_DO_NOT_DELETE"
    signed_in = Condition("StringEquals", "SAML:aud", ("https://signin.aws.amazon.com/saml",))
    actions = ("sts:AssumeRoleWithSAML", "sts:TagSession")
    principals = (Principal("Federated", (provider,)),)
    statement = Statement("TrustSignIn", "Allow", actions, principals=principals, conditions=(signed_in,))
    return Policy((replace(statement, origins=origins),))


def role_patterns(path: str, sets: Iterable[str], account: str = ACCOUNT) -> tuple[str, ...]:
    """Patterns for the ARNs of the roles of permission sets. Behind the name stand sixteen digits that AWS chooses."""
    arn = f"arn:{PARTITION}:iam::{account}:role{path}AWSReservedSSO"
    return tuple(sorted(f"{arn}_{name}_{'?' * 16}" for name in sets))


def trust_in_team(path: str, sets: Iterable[str], origins: tuple[Origin, ...]) -> Policy:
    """The trust of a role that people of a team take, from the permission sets of the team in the same account.

    It cannot ask for MFA, which their sessions do not carry; the sign-in has.
    """
    ours = Condition("ArnLike", "aws:PrincipalArn", role_patterns(path, sets))
    root = Principal("AWS", (f"arn:{PARTITION}:iam::{ACCOUNT}:root",))
    statement = Statement("TrustTeam", "Allow", ("sts:AssumeRole",), principals=(root,), conditions=(ours,))
    return Policy((replace(statement, origins=origins),))


NAMELESS = "take the duty away; devices and passwords are managed in the access portal of Identity Center"
"""What to do about a duty that is about one's own IAM user, where nobody has one."""


def without_user_names(
    who: str, statements: Iterable[Statement], found: list[Diagnostic], hint: str = NAMELESS
) -> Iterator[Statement]:
    """Statements without those that allow by `${aws:username}`, which no session of a role has: they never match."""
    lost: dict[str, tuple[Statement, Origin]] = {}
    for statement in statements:
        texts = (*statement.resources, *(v for c in statement.conditions for v in c.values))
        if statement.effect == "Allow" and any(map(_USER_NAME.search, texts)):
            for origin in statement.origins:
                lost.setdefault(origin.duty, (statement, origin))
        else:
            yield statement
    for duty, (statement, origin) in sorted(lost.items(), key=lambda entry: entry[0]):
        message = (
            f"{who}: duty {quoted(duty)} is about one's own IAM user ('${{aws:username}}'), which no session of a "
        )
        message += f"role has; what it allows by that is left out: {', '.join(statement.actions[:2])}"
        found.append(Diagnostic("no-user-name", message, origin.asked, hint, severity="warning"))


def as_inline(name: str, statements: Sequence[Statement]) -> ManagedPolicy | None:
    """The statements as the inline policy of a permission set, or None where it cannot hold them.

    A set is one for many accounts: what names the account at hand has to stand in a policy of each account.
    """
    policy = Policy(tuple(sorted(statements, key=lambda s: s.sid)))
    text = minified(policy.document())
    size = len(re.sub(r"\s", "", text))
    if not statements or size > INLINE_SIZE or ACCOUNT in text:
        return None
    return ManagedPolicy(logical_id("Inline", name), "", name, "/inline/", policy, inline=True)


# --- what the configuration needs to say ----------------------------------------------------------------------------


def check(configuration: Configuration) -> Iterator[Diagnostic]:
    """What is wrong with teams and people for Identity Center, and what it would have too much of."""
    center = configuration.organization.identity_center
    lookup = people_here(configuration) and center is not None and center.groups == "lookup"
    for name, team in sorted(configuration.teams.items()):
        if team.group is not None and not lookup:
            message = f"team {quoted(name)}: 'group' is for 'identity_center: {{groups: lookup}}'"
            yield Diagnostic("contradiction", message, team.group.span, "remove it: the group is made")
    made = people_here(configuration) and not lookup
    for name, person in sorted(configuration.people.items()):
        if person.user is not None and not made:
            message = f"person {quoted(name)}: 'user' says nothing where no groups of Identity Center are made"
            yield Diagnostic("contradiction", message, person.user.span, "remove it")
    if not people_here(configuration) or center is None:
        return
    for name, team in sorted(configuration.teams.items()):
        if lookup:
            yield from _lookup_errors(name, team, center.store)
    if not lookup:
        yield from _user_errors(configuration, center.store)
    yield from _quota_errors(configuration)


def _lookup_errors(name: Text, team: Team, store: str) -> Iterator[Diagnostic]:
    if team.group is None:
        message = f"team {quoted(name)} is a group of an external directory, and its id is not given"
        attribute = f'{{"UniqueAttribute": {{"AttributePath": "displayName", "AttributeValue": "{name}"}}}}'
        find = f"aws identitystore get-group-id --identity-store-id {store} --alternate-identifier '{attribute}'"
        yield Diagnostic("no-group-id", message, name.span, "write it as 'group:' of the team", (f"find it: {find}",))
    for member in team.members:
        if member.until is not None:
            message = f"team {quoted(name)}: who is in it, and until when, an external directory says"
            hint = "remove 'until', and let the membership end there"
            yield Diagnostic("contradiction", message, member.until.span, hint)


def _user_errors(configuration: Configuration, store: str) -> Iterator[Diagnostic]:
    """Who is in a team is there, by an id, or is made, with an address."""
    makes = home(configuration) in MAKES_USERS
    members = {str(m.name): m.name for t in configuration.teams.values() for m in t.members}
    for name, at in sorted(members.items()):
        person = configuration.people.get(Text(name))
        if person is not None and (person.user is not None or (makes and person.email is not None)):
            continue
        attribute = f'{{"UniqueAttribute": {{"AttributePath": "userName", "AttributeValue": "{name}"}}}}'
        find = f"aws identitystore get-user-id --identity-store-id {store} --alternate-identifier '{attribute}'"
        if makes:
            message = f"{quoted(name)} gets a user in Identity Center, which takes an address to send the password to"
            hint = f"write 'people: {{{name}: {{email: …}}}}', or the id of the user who is there as 'user:'"
        else:
            message = f"CloudFormation makes no users of Identity Center in {home(configuration)}, and {quoted(name)} "
            message += "is nobody's id there"
            hint = f"make the user in the console, and write the id: 'people: {{{name}: {{user: …}}}}'"
        yield Diagnostic("no-directory-user", message, at.span, hint, (f"find it: {find}",))


def _quota_errors(configuration: Configuration) -> Iterator[Diagnostic]:
    """Quotas of an instance and of its stacks, over all destinations."""
    at = configuration.organization.identity_center
    span = at.span if at is not None else None
    by_destination = {d: tuple(_sets_in(configuration, d)) for d in destinations(configuration)}
    sets = sum(map(len, by_destination.values()))
    counts = [(sets, _SETS), *((len(found), _PROVISIONED) for found in by_destination.values())]
    for count, limit in counts:
        if count > limit.value:
            message = f"{count:,} {limit.unit} are more than the {limit.value:,} that AWS takes"
            yield Diagnostic("account-quota", message, span, "merge teams, or give fewer of them work in each account")
    yield from _stack_errors(configuration, by_destination)


def _stack_errors(
    configuration: Configuration, by_destination: Mapping[Destination, Sequence[str]]
) -> Iterator[Diagnostic]:
    """What is more than a stack holds; and more values than it hands to others."""
    at = configuration.organization.identity_center
    made, spread = at is not None and at.groups == "create", at is not None and at.spread
    prefix = str(configuration.organization.name)
    resources: Counter[str] = Counter()
    outputs: Counter[str] = Counter()
    for name, team in sorted(configuration.teams.items()):
        groups = group_names(name, team)
        resources[_stack_of(prefix, str(name))] += len(groups) if made else 0
        outputs[_stack_of(prefix, str(name))] += len(groups) if made else 0
        resources[f"{prefix}-identity-center-people"] += len(team.members) if made else 0
    resources[f"{prefix}-identity-center-people"] += (
        len({str(m.name) for t in configuration.teams.values() for m in t.members}) if made else 0
    )
    for destination, found in by_destination.items():
        for group in found:
            resources[_stack_of(prefix, group)] += 1
            outputs[_stack_of(prefix, group)] += 1 if spread else 0
            for target in destination.targets:
                resources[_stack_of_assignment(prefix, group, target.id, spread)] += 1
    span = at.span if at is not None else None
    counted = ((resources, "resources", _PER_STACK), (outputs, "outputs", _OUTPUTS))
    for counts, what, limit in counted:
        for stack, count in sorted(counts.items()):
            if count > limit:
                message = f"the stack {stack} would hold {count:,} {what}; CloudFormation takes {limit}"
                hint = "declare fewer teams and people, or leave groups to an external directory ('groups: lookup')"
                if what == "resources" and not spread and not stack.endswith("-people"):
                    hint = "write 'spread: true' under 'identity_center', best before anything is deployed"
                yield Diagnostic("too-many-resources", message, span, hint)


def _sets_in(configuration: Configuration, destination: Destination) -> Iterator[str]:
    """The groups that have a permission set in a destination."""
    for name, team in sorted(configuration.teams.items()):
        if works_in(configuration, name, team, destination):
            yield from group_names(name, team)


# --- what stands in the management account --------------------------------------------------------------------------


def identity_center(
    configuration: Configuration, baselines: Sequence[tuple[Destination, Baseline]]
) -> IdentityCenter | None:
    """Groups, permission sets and assignments of a configuration whose people are in Identity Center, else None.

    `baselines` are those of all its destinations: a part would take their access from the others.
    """
    organization = configuration.organization
    center, name = organization.identity_center, organization.management
    if not people_here(configuration) or center is None or name is None:
        return None
    prefix, region = str(organization.name), home(configuration)
    managing = configuration.accounts[name]
    sets, assignments = [], []
    for destination, baseline in baselines:
        for account in baseline.accounts:
            for role in account.roles:
                if role.permission_set is not None:
                    sets.append(_permission_set(role, account, prefix))
                    assignments += [_assignment(role, target, prefix, center.spread) for target in destination.targets]
    made = center.groups == "create"
    return IdentityCenter(
        str(center.instance),
        str(center.store),
        Target(str(name), str(managing.id), str(managing.unit) if managing.unit else None),
        tuple(_stacks(prefix, region, center.spread)),
        tuple(sorted({"managed-by": "dutybound", "organization": prefix, "owner": str(organization.owner)}.items())),
        tuple(_users(configuration, prefix)) if made else (),
        tuple(_groups(configuration, prefix)),
        tuple(sorted(_memberships(configuration, prefix), key=lambda m: (m.group, m.user))) if made else (),
        tuple(sorted(sets, key=lambda s: s.name)),
        tuple(sorted(assignments, key=lambda a: (a.group, a.account))),
        tuple(sorted((str(key), str(path)) for key, path in center.attributes.items())),
    )


def _stacks(prefix: str, region: str, spread: bool) -> Iterator[Stack]:
    first = f"{prefix}-identity-center"
    yield Stack(first, region, "What sessions of Identity Center carry", protected=True)
    for part in range(PARTS):
        yield Stack(f"{first}-{part:02}", region, "Teams with their permission sets", protected=True)
    yield Stack(f"{first}-people", region, "Users of Identity Center and their groups", protected=True)
    for part in range(PARTS if spread else 0):
        yield Stack(f"{first}-accounts-{part:02}", region, "Who has which permission set where", protected=True)


def _stack_of(prefix: str, group: str) -> str:
    """The stack of a group and its permission sets: that of the team, by its name alone, whatever else there is."""
    return f"{prefix}-identity-center-{_part(_team(group))}"


def _stack_of_assignment(prefix: str, group: str, account: str, spread: bool) -> str:
    """The stack of an assignment: with the set and the group that it refers to, so that CloudFormation knows what goes
    first when either goes; or where a team has too many, by its own names alone.
    """
    return f"{prefix}-identity-center-accounts-{_part(f'{group}:{account}')}" if spread else _stack_of(prefix, group)


def _team(group: str) -> str:
    """The team of a group. No name of a team has a dot."""
    return group.partition(".")[0]


def _part(name: str) -> str:
    """The number of a stack, from a name alone: others come and go without moving it."""
    digest = hashlib.sha256(name.encode()).digest()
    return f"{int.from_bytes(digest[:4], 'big') % PARTS:02}"


def _permission_set(role: Role, account: Account, prefix: str) -> PermissionSet:
    held = [account.policy(name) for name in role.policies]
    bounds = account.policy(str(role.permissions_boundary))
    inline = next((policy.policy for policy in held if policy.inline), None)
    return PermissionSet(
        logical_id("PermissionSet", str(role.permission_set)),
        _stack_of(prefix, role.name),
        str(role.permission_set),
        role.purpose,
        iso_8601(role.session_seconds),
        inline,
        tuple(sorted((policy.name, policy.path) for policy in held if not policy.inline)),
        role.managed,
        (bounds.name, bounds.path),
    )


def _assignment(role: Role, target: Target, prefix: str, spread: bool) -> Assignment:
    stack = _stack_of_assignment(prefix, role.name, target.id, spread)
    made = logical_id("Assignment", f"{role.name} {target.id}")
    return Assignment(made, stack, role.name, str(role.permission_set), target.id)


def iso_8601(seconds: int) -> str:
    """A duration as ISO 8601 says it, such as PT1H30M."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"PT{f'{hours}H' if hours else ''}{f'{minutes}M' if minutes or not hours else ''}"


def _users(configuration: Configuration, prefix: str) -> Iterator[DirectoryUser]:
    for name in sorted({str(m.name) for t in configuration.teams.values() for m in t.members}):
        person = configuration.people[Text(name)]
        made, stack = logical_id("DirectoryUser", name), f"{prefix}-identity-center-people"
        id_ = str(person.user) if person.user is not None else None
        yield DirectoryUser(made, stack, name, str(person.name or name), str(person.email or ""), id_)


def _groups(configuration: Configuration, prefix: str) -> Iterator[DirectoryGroup]:
    for name, team in sorted(configuration.teams.items()):
        id_ = str(team.group) if team.group is not None else None
        for group in group_names(name, team):
            made = logical_id("DirectoryGroup", group)
            yield DirectoryGroup(made, _stack_of(prefix, group), group, str(team.purpose), id_)


def _memberships(configuration: Configuration, prefix: str) -> Iterator[Membership]:
    for name, team in configuration.teams.items():
        for group in group_names(name, team):
            for user in members_of(group, name, team):
                made = logical_id("Membership", f"{group} {user}")
                yield Membership(made, f"{prefix}-identity-center-people", group, user)
