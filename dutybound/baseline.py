"""What was decided: the facts that a deployment needs, with no name left to resolve.

A `Baseline` is made by `lower` and only translated afterwards: `stacks` turns each value into one construct, the judge
reads the same policies that IAM will. Sequences are sorted by name, so that two baselines of equal meaning are equal.
`logical_id` is the CloudFormation name of a resource; it depends on the kind and the name alone, never on order, since
a changed one makes CloudFormation create a named resource a second time and fail.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import Literal

from dutybound.diagnostic import Span
from dutybound.policy import Origin, Policy

Kind = Literal["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"]
"""What a policy of AWS Organizations limits: the principals of accounts, or access to what they hold."""
StackName = str
"""The name of the stack that holds a resource: a `Stack.name` of the same account."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One CloudFormation stack. A protected one has termination protection; of a retained one the resources stay when
    it is deleted.
    """

    name: StackName
    region: str
    description: str
    protected: bool = False
    retained: bool = False


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A customer managed policy; an `inline` one stands in the permission set that holds it, and in no stack here."""

    logical_id: str
    stack: StackName
    name: str
    path: str
    policy: Policy
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """An IAM group of people. `policies` are customer managed policies by name, `managed` those of AWS by id: the end
    of the ARN, such as `job-function/Billing`.
    """

    logical_id: str
    stack: StackName
    name: str
    path: str
    purpose: str
    policies: tuple[str, ...]
    managed: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)
    attached: tuple[tuple[str, Origin], ...] = field(default=(), compare=False)
    """Which duty attaches each of `managed`."""


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user: no key and no policy of its own; access comes from its groups.

    `secret` is the logical id of the `Secret` in the same stack that holds its password; None is a user without one.
    `permissions_boundary` is a customer managed policy by name.
    """

    logical_id: str
    stack: StackName
    name: str
    path: str
    groups: tuple[str, ...]
    tags: tuple[tuple[str, str], ...] = ()
    """The person's own tags, besides those that everything carries."""
    secret: str | None = None
    span: Span | None = field(default=None, compare=False)
    permissions_boundary: str | None = None
    memberships: tuple[Span | None, ...] = field(default=(), compare=False)
    """Where each of `groups` is given to the person."""


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An OpenID Connect provider: whose tokens (`url`, with https://) for whom (`audiences`) the account takes."""

    logical_id: str
    stack: StackName
    url: str
    audiences: tuple[str, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """A password that AWS makes at deployment and nobody sees: `length` characters of all four classes, none of
    `without`. `policy` says who may not read or change it.
    """

    logical_id: str
    stack: StackName
    name: str
    description: str
    length: int
    without: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role. With `instance_profile` (a logical id) EC2 can hand it to a server.

    `identity_provider` is the `url` of the IdentityProvider that its trust names, which must be there first.
    """

    logical_id: str
    stack: StackName
    name: str
    path: str
    purpose: str
    trust: Policy
    policies: tuple[str, ...]
    managed: tuple[str, ...] = ()
    session_seconds: int = 3600
    instance_profile: str | None = None
    identity_provider: str | None = None
    span: Span | None = field(default=None, compare=False)
    attached: tuple[tuple[str, Origin], ...] = field(default=(), compare=False)
    """Which duty attaches each of `managed`."""
    permissions_boundary: str | None = None
    """A customer managed policy by name."""
    members: tuple[str, ...] = ()
    """For a role that stands for a team whose people sign in elsewhere, who is in the team."""
    permission_set: str | None = None
    """The permission set that Identity Center makes the role of. Then `name` is that of the team, and it is in no
    stack here."""


@dataclass(frozen=True, slots=True)
class Topic:
    """An SNS topic that mails each address; `policy` says who may publish to it."""

    logical_id: str
    stack: StackName
    name: str
    addresses: tuple[str, ...]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Rule:
    """An EventBridge rule on the default bus. `pattern` is its event pattern as minified JSON.

    A matching event goes to the ARN `target`: the alarm's topic, or, from another Region or account, the default bus
    where the same rule stands with the topic behind it. `role` is the ARN of the role that takes it there.
    """

    logical_id: str
    stack: StackName
    name: str
    description: str
    pattern: str
    target: str
    role: str | None = None


@dataclass(frozen=True, slots=True)
class EventBusPolicy:
    """A statement of the policy of the default bus: `policy` holds that one alone."""

    logical_id: str
    stack: StackName
    policy: Policy


@dataclass(frozen=True, slots=True)
class Schedule:
    """An EventBridge rule that sends a text to a topic, time and again. `every` is its schedule expression."""

    logical_id: str
    stack: StackName
    name: str
    description: str
    every: str
    target: str
    text: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """What tells people of break-glass use: rules in every Region where its events land, and one topic.

    Without a `topic` the rules hand their events to another account, whose alarm has one.
    """

    topic: Topic | None
    rules: tuple[Rule, ...]
    forwarder: Role
    """The role that EventBridge takes to hand events to the bus that has the topic behind it."""
    drill: Schedule | None = None
    """What reminds people to test the way in."""
    bus: EventBusPolicy | None = None
    """What lets the other accounts of the organization hand their events to this one's."""


AnalyzerType = Literal["ACCOUNT", "ORGANIZATION", "ACCOUNT_UNUSED_ACCESS", "ORGANIZATION_UNUSED_ACCESS"]


@dataclass(frozen=True, slots=True)
class Analyzer:
    """An analyzer of IAM Access Analyzer. `days` is after how many access counts as unused, where it looks for that."""

    logical_id: str
    stack: StackName
    name: str
    type: AnalyzerType
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """A monthly cost budget that mails each address when the spending passes a percentage of the limit."""

    logical_id: str
    stack: StackName
    name: str
    limit: float
    currency: str
    alert_at: tuple[int, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """What the account's password policy should say; None is a setting that stays as it is.

    CloudFormation has no type for it: the steps that people take change it. `max_age_days` 0 is "never expires".
    """

    minimum_length: int | None = None
    remember: int | None = None
    max_age_days: int | None = None
    require: tuple[str, ...] | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Target:
    """An AWS account that a baseline goes to: its name in the configuration, its id, and its unit by names from the
    root of the organization down (None is the root itself).
    """

    name: str
    id: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Everything in one AWS account, or in each of several with the same content: then `targets` are these.

    `id` is None for 'whatever account it is deployed to', and that of the first target otherwise.
    """

    id: str | None
    home_region: str
    stacks: tuple[Stack, ...]
    policies: tuple[ManagedPolicy, ...]
    groups: tuple[Group, ...]
    users: tuple[User, ...]
    roles: tuple[Role, ...]
    alarm: Alarm | None = None
    secrets: tuple[Secret, ...] = ()
    budgets: tuple[Budget, ...] = ()
    passwords: PasswordPolicy = PasswordPolicy()
    identity_providers: tuple[IdentityProvider, ...] = ()
    targets: tuple[Target, ...] = ()
    analyzers: tuple[Analyzer, ...] = ()
    analyzed_in: str | None = None
    """The id of the account whose analyzers, of the whole organization, look at this one too."""
    above: tuple[OrganizationPolicy, ...] = ()
    """The policies of the organization that bind one of its targets at least, sorted by name."""

    @property
    def own_policies(self) -> tuple[ManagedPolicy, ...]:
        """The policies that its stacks make."""
        return tuple(policy for policy in self.policies if not policy.inline)

    @property
    def own_roles(self) -> tuple[Role, ...]:
        """The roles that its stacks make; Identity Center makes the others."""
        return tuple(role for role in self.roles if role.permission_set is None)

    @property
    def alike(self) -> tuple[Account, ...]:
        """Itself for each set of targets that the same policies of the organization bind, those of its id first."""
        sets: dict[tuple[str, ...], list[Target]] = {}
        for target in self.targets:
            sets.setdefault(tuple(p.name for p in self.above if target.id in p.binds), []).append(target)
        if len(sets) < 2:
            return (self,)
        return tuple(replace(self, id=targets[0].id, targets=tuple(targets)) for targets in sets.values())

    @property
    def guards(self) -> tuple[OrganizationPolicy, ...]:
        """The service control policies over its principals, in the account of its id."""
        return tuple(p for p in self.above if p.kind == "SERVICE_CONTROL_POLICY" and self.id in p.binds)

    def policy(self, name: str) -> ManagedPolicy:
        """The customer managed policy of that name. Raises KeyError if there is none."""
        for policy in self.policies:
            if policy.name == name:
                return policy
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class StackSet:
    """A service-managed CloudFormation stack set: one template that CloudFormation itself takes to many accounts.

    `template` is the stack of the destination's account that it is made of. It goes to `accounts` within `units`, or to
    whatever account is in `units`, now or later, where `accounts` are none. `at_once` and `failures` are percent.
    """

    logical_id: str
    name: str
    destination: str
    template: StackName
    region: str
    units: tuple[str, ...]
    accounts: tuple[str, ...]
    retained: bool
    at_once: int
    failures: int


@dataclass(frozen=True, slots=True)
class OrganizationPolicy:
    """A policy of AWS Organizations. `targets` are the ids of what it is attached to: units, accounts or the root.

    `binds` are the ids of the accounts of the configuration that stand there or below. It only denies.
    """

    logical_id: str
    stack: StackName
    name: str
    kind: Kind
    description: str
    policy: Policy
    targets: tuple[str, ...]
    binds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """A person in Identity Center's own directory: there already, with an `id`, or made."""

    logical_id: str
    stack: StackName
    name: str
    shown: str
    """The person's own name, or again `name`."""
    email: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group of people in the directory. With an `id` it is there already, in an external directory that alone says
    who is in it; without, it is made.
    """

    logical_id: str
    stack: StackName
    name: str
    purpose: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A user of the directory in one of its groups, by the names of both."""

    logical_id: str
    stack: StackName
    group: str
    user: str


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """A permission set, of which Identity Center makes a role in each account that it is assigned in.

    `policies` are customer managed policies by name and path, which each of these accounts has; so is `boundary`.
    """

    logical_id: str
    stack: StackName
    name: str
    purpose: str
    session: str
    """How long a session lasts, as ISO 8601 says it: `PT8H`."""
    inline: Policy | None
    policies: tuple[tuple[str, str], ...]
    managed: tuple[str, ...]
    boundary: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A group that has a permission set in an account, by the names of both and the account's id."""

    logical_id: str
    stack: StackName
    group: str
    permission_set: str
    account: str


@dataclass(frozen=True, slots=True)
class IdentityCenter:
    """What stands in the account that manages the organization for people who sign in through Identity Center.

    `attributes` are what sessions carry as tags, each with where it comes from.
    """

    instance: str
    store: str
    account: Target
    stacks: tuple[Stack, ...]
    tags: tuple[tuple[str, str], ...]
    users: tuple[DirectoryUser, ...]
    groups: tuple[DirectoryGroup, ...]
    memberships: tuple[Membership, ...]
    permission_sets: tuple[PermissionSet, ...]
    assignments: tuple[Assignment, ...]
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """The whole of it: accounts, and the tags that everything taggable carries."""

    organization: str
    tags: tuple[tuple[str, str], ...]
    reference: str
    """The version of the IAM service reference that decided the actions."""
    accounts: tuple[Account, ...]


def logical_id(kind: str, name: str) -> str:
    """A CloudFormation logical id from a kind and a name alone: readable, and different for different names."""
    digest = hashlib.sha256(f"{kind}:{name}".encode()).hexdigest()[:6]
    return f"{kind}{camel(name)[:80]}{digest}"


def camel(name: str) -> str:
    """A name as one word of letters and digits: `view-metrics` becomes `ViewMetrics`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))


def customer_policy(name: str, path: str, stack: StackName, policy: Policy) -> ManagedPolicy:
    """A customer managed policy with the logical id that its name gives it."""
    return ManagedPolicy(logical_id("Policy", name), stack, name, path, policy)
