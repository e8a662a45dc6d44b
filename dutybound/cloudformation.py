"""An account's stacks as CloudFormation templates: each value of the baseline one resource. Nothing is decided here.

The CDK makes a typed construct of each resource (`stacks`); a stack set takes the text as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dutybound.baseline import (
    Account,
    Alarm,
    Analyzer,
    Baseline,
    Budget,
    EventBusPolicy,
    Group,
    IdentityProvider,
    ManagedPolicy,
    Role,
    Rule,
    Schedule,
    Secret,
    Stack,
    StackName,
    Topic,
    User,
)
from dutybound.managed import arn
from dutybound.policy import ACCOUNT, PARTITION

_FILLED_IN = "${AWS::"
_VARIABLE = re.compile(r"\$\{(?!AWS::)")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a stack. Properties that are None are left out; a `retained` one outlives its stack."""

    logical_id: str
    stack: StackName
    type: str
    properties: Mapping[str, Any]
    metadata: Mapping[str, str] | None = None
    depends_on: str | None = None
    retained: bool = False

    def document(self) -> dict[str, Any]:
        """It as a template has it, with the keys in the order in which the CDK writes them."""
        kept = {"UpdateReplacePolicy": "Retain", "DeletionPolicy": "Retain"} if self.retained else {}
        return {
            "Type": self.type,
            "Properties": {key: value for key, value in self.properties.items() if value is not None},
            **({"DependsOn": [self.depends_on]} if self.depends_on else {}),
            **kept,
            **({"Metadata": dict(self.metadata)} if self.metadata else {}),
        }


@dataclass(frozen=True, slots=True)
class Template:
    """The template of a stack. The stacks called `after` have to stand before it does."""

    stack: Stack
    resources: tuple[Resource, ...]
    after: tuple[StackName, ...]

    def bodies(self) -> dict[str, dict[str, Any]]:
        """What `Resources` of the template holds."""
        return {resource.logical_id: resource.document() for resource in self.resources}

    def document(self) -> dict[str, Any]:
        """The template as CloudFormation takes it."""
        return {"Description": self.stack.description, "Resources": self.bodies()}


def templates(baseline: Baseline, account: Account) -> tuple[Template, ...]:
    """The template of each stack of an account, in their order; those without a resource too."""
    made = _Templates(baseline, account)
    found: dict[StackName, list[Resource]] = {stack.name: [] for stack in account.stacks}
    for resource in made.resources():
        found[resource.stack].append(resource)
    return tuple(
        Template(stack, tuple(found[stack.name]), tuple(sorted(made.after[stack.name]))) for stack in account.stacks
    )


class _Templates:
    """Makes the resources of one account, and notes in `after` which stack needs which."""

    def __init__(self, baseline: Baseline, account: Account) -> None:
        self.account = account
        self.tags = _tags(baseline.tags)
        self.retained = {stack.name: stack.retained for stack in account.stacks}
        self.policies = {policy.name: policy for policy in account.own_policies}
        self.groups = {group.name: group for group in account.groups}
        self.providers = {provider.url: provider for provider in account.identity_providers}
        self.after: dict[StackName, set[StackName]] = {stack.name: set() for stack in account.stacks}

    def resources(self) -> Iterator[Resource]:
        """All of them, what is referred to before what refers to it."""
        account = self.account
        yield from map(self._policy, account.own_policies)
        yield from map(self._group, account.groups)
        for secret in account.secrets:
            yield from self._secret(secret)
        yield from map(self._user, account.users)
        yield from map(self._identity_provider, account.identity_providers)
        for role in account.own_roles:
            yield from self._role(role)
        if account.alarm is not None:
            yield from self._alarm(account.alarm)
        yield from map(self._budget, account.budgets)
        yield from map(self._analyzer, account.analyzers)

    def _policy(self, policy: ManagedPolicy) -> Resource:
        return Resource(
            policy.logical_id,
            policy.stack,
            "AWS::IAM::ManagedPolicy",
            {
                "ManagedPolicyName": policy.name,
                "Path": policy.path,
                "PolicyDocument": filled_in(policy.policy.document()),
            },
            retained=self.retained[policy.stack],
        )

    def _arns(self, stack: StackName, policies: Sequence[str], managed: Sequence[str]) -> list[Any] | None:
        aws = [text(arn(id_, PARTITION)) for id_ in managed]
        return [*(self._arn(stack, name) for name in policies), *aws] or None

    def _arn(self, stack: StackName, name: str) -> Any:
        """The ARN of a policy, for a resource in `stack`: by its name where it is in another, which then comes first.

        An export would do the same, and could neither change nor go while another stack imports it.
        """
        policy = self.policies[name]
        if policy.stack == stack:
            return _ref(policy.logical_id)
        self.after[stack].add(policy.stack)
        return text(f"arn:{PARTITION}:iam::{ACCOUNT}:policy{policy.path}{policy.name}")

    def _boundary(self, made: User | Role) -> Any:
        return self._arn(made.stack, made.permissions_boundary) if made.permissions_boundary else None

    def _group_name(self, stack: StackName, name: str) -> Any:
        """The name of a group, for a user in `stack`, as with `_arn`."""
        group = self.groups[name]
        if group.stack == stack:
            return _ref(group.logical_id)
        self.after[stack].add(group.stack)
        return name

    def _group(self, group: Group) -> Resource:
        return Resource(
            group.logical_id,
            group.stack,
            "AWS::IAM::Group",
            {
                "GroupName": group.name,
                "ManagedPolicyArns": self._arns(group.stack, group.policies, group.managed),
                "Path": group.path,
            },
            metadata={"Purpose": group.purpose},
            retained=self.retained[group.stack],
        )

    def _user(self, user: User) -> Resource:
        return Resource(
            user.logical_id,
            user.stack,
            "AWS::IAM::User",
            {
                "Groups": [self._group_name(user.stack, name) for name in user.groups] or None,
                "LoginProfile": _password(user.secret) if user.secret is not None else None,
                "Path": user.path,
                "PermissionsBoundary": self._boundary(user),
                "Tags": self._tagged(user.tags),
                "UserName": user.name,
            },
            retained=self.retained[user.stack],
        )

    def _tagged(self, own: Iterable[tuple[str, str]]) -> list[dict[str, str]] | None:
        return _merged(self.tags, _tags(own)) or None

    def _secret(self, secret: Secret) -> Iterator[Resource]:
        retained = self.retained[secret.stack]
        yield Resource(
            secret.logical_id,
            secret.stack,
            "AWS::SecretsManager::Secret",
            {
                "Description": secret.description,
                "GenerateSecretString": {
                    "ExcludeCharacters": secret.without,
                    "PasswordLength": secret.length,
                    "RequireEachIncludedType": True,
                },
                "Name": secret.name,
                "Tags": self._tagged(()),
            },
            retained=retained,
        )
        yield Resource(
            f"{secret.logical_id}Policy",
            secret.stack,
            "AWS::SecretsManager::ResourcePolicy",
            {
                "BlockPublicPolicy": True,
                "ResourcePolicy": filled_in(secret.policy.document()),
                "SecretId": _ref(secret.logical_id),
            },
            retained=retained,
        )

    def _role(self, role: Role) -> Iterator[Resource]:
        yield Resource(
            role.logical_id,
            role.stack,
            "AWS::IAM::Role",
            {
                "AssumeRolePolicyDocument": filled_in(role.trust.document()),
                "Description": role.purpose,
                "ManagedPolicyArns": self._arns(role.stack, role.policies, role.managed),
                "MaxSessionDuration": role.session_seconds,
                "Path": role.path,
                "PermissionsBoundary": self._boundary(role),
                "RoleName": role.name,
                "Tags": self._tagged(()),
            },
            depends_on=self._provider(role),
            retained=self.retained[role.stack],
        )
        if role.instance_profile is not None:
            yield Resource(
                role.instance_profile,
                role.stack,
                "AWS::IAM::InstanceProfile",
                {"InstanceProfileName": role.name, "Path": role.path, "Roles": [_ref(role.logical_id)]},
            )

    def _provider(self, role: Role) -> str | None:
        """The logical id of a role's provider: the trust names its ARN, which CloudFormation takes for no reference."""
        if role.identity_provider is None:
            return None
        provider = self.providers[role.identity_provider]
        if provider.stack == role.stack:
            return provider.logical_id
        self.after[role.stack].add(provider.stack)
        return None

    def _identity_provider(self, provider: IdentityProvider) -> Resource:
        return Resource(
            provider.logical_id,
            provider.stack,
            "AWS::IAM::OIDCProvider",
            {"ClientIdList": list(provider.audiences), "Tags": self._tagged(()), "Url": provider.url},
            retained=self.retained[provider.stack],
        )

    def _alarm(self, alarm: Alarm) -> Iterator[Resource]:
        if alarm.topic is not None:
            yield from self._topic(alarm.topic)
        if alarm.bus is not None:
            yield _bus(alarm.bus)
        yield from self._role(alarm.forwarder)
        for rule in alarm.rules:
            yield self._rule(rule)
            if rule.role is not None and rule.stack != alarm.forwarder.stack:
                # EventBridge takes the forwarder's role as soon as the rule stands.
                self.after[rule.stack].add(alarm.forwarder.stack)
        if alarm.drill is not None:
            yield self._schedule(alarm.drill)

    def _topic(self, topic: Topic) -> Iterator[Resource]:
        yield Resource(
            topic.logical_id,
            topic.stack,
            "AWS::SNS::Topic",
            {
                "Subscription": [{"Endpoint": address, "Protocol": "email"} for address in topic.addresses],
                "Tags": self._tagged(()),
                "TopicName": topic.name,
            },
        )
        yield Resource(
            f"{topic.logical_id}Policy",
            topic.stack,
            "AWS::SNS::TopicPolicy",
            {"PolicyDocument": filled_in(topic.policy.document()), "Topics": [_ref(topic.logical_id)]},
        )

    def _rule(self, rule: Rule) -> Resource:
        target = {"Arn": text(rule.target), "Id": "target", **({"RoleArn": text(rule.role)} if rule.role else {})}
        return Resource(
            rule.logical_id,
            rule.stack,
            "AWS::Events::Rule",
            {
                "Description": rule.description,
                "EventPattern": json.loads(rule.pattern),
                "Name": rule.name,
                # Plain 'ENABLED' leaves out read-only calls, such as reading a secret or taking a role.
                "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
                "Tags": self._tagged(()),
                "Targets": [target],
            },
        )

    def _schedule(self, schedule: Schedule) -> Resource:
        said = json.dumps(schedule.text, ensure_ascii=False)
        return Resource(
            schedule.logical_id,
            schedule.stack,
            "AWS::Events::Rule",
            {
                "Description": schedule.description,
                "Name": schedule.name,
                "ScheduleExpression": schedule.every,
                "State": "ENABLED",
                "Tags": self._tagged(()),
                "Targets": [{"Arn": text(schedule.target), "Id": "target", "Input": said}],
            },
        )

    def _budget(self, budget: Budget) -> Resource:
        mails = [{"Address": address, "SubscriptionType": "EMAIL"} for address in budget.addresses]
        return Resource(
            budget.logical_id,
            budget.stack,
            "AWS::Budgets::Budget",
            {
                "Budget": {
                    "BudgetLimit": {"Amount": budget.limit, "Unit": budget.currency},
                    "BudgetName": budget.name,
                    "BudgetType": "COST",
                    "TimeUnit": "MONTHLY",
                },
                "NotificationsWithSubscribers": [
                    {"Notification": _notification(percent), "Subscribers": mails} for percent in budget.alert_at
                ],
                "ResourceTags": self._tagged(()),
            },
        )

    def _analyzer(self, analyzer: Analyzer) -> Resource:
        unused = {"UnusedAccessConfiguration": {"UnusedAccessAge": analyzer.days}}
        return Resource(
            analyzer.logical_id,
            analyzer.stack,
            "AWS::AccessAnalyzer::Analyzer",
            {
                "AnalyzerConfiguration": unused if analyzer.days is not None else None,
                "AnalyzerName": analyzer.name,
                "Tags": self._tagged(()),
                "Type": analyzer.type,
            },
        )


def _bus(bus: EventBusPolicy) -> Resource:
    (statement,) = bus.policy.document()["Statement"]
    return Resource(
        bus.logical_id,
        bus.stack,
        "AWS::Events::EventBusPolicy",
        {"EventBusName": "default", "Statement": filled_in(statement), "StatementId": statement["Sid"]},
    )


def _password(secret: str) -> dict[str, Any]:
    """A password by reference: CloudFormation reads the secret while it makes the user, the template holds none.

    No change at first sign-in: it would make the sealed copy worthless.
    """
    parts = ["{{resolve:secretsmanager:", _ref(secret), ":SecretString:::}}"]
    return {"Password": {"Fn::Join": ["", parts]}, "PasswordResetRequired": False}


def _notification(percent: int) -> dict[str, Any]:
    return {
        "ComparisonOperator": "GREATER_THAN",
        "NotificationType": "ACTUAL",
        "Threshold": percent,
        "ThresholdType": "PERCENTAGE",
    }


def _ref(logical_id: str) -> dict[str, str]:
    return {"Ref": logical_id}


def _tags(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def _merged(*tags: list[dict[str, str]]) -> list[dict[str, str]]:
    """By key, of which the last stands, as the CDK has them."""
    by_key = {tag["Key"]: tag for several in tags for tag in several}
    return [by_key[key] for key in sorted(by_key)]


def text(value: str) -> Any:
    """A text for a template, with CloudFormation's Fn::Sub where it names the partition or the account."""
    return {"Fn::Sub": _VARIABLE.sub("${!", value)} if _FILLED_IN in value else value


def filled_in(value: Any) -> Any:
    """A policy document for a template. What a user wrote (`${aws:username}`) is escaped, so that CloudFormation does
    not take it for its own.
    """
    if isinstance(value, dict):
        return {key: filled_in(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled_in(inner) for inner in value]
    return text(value) if isinstance(value, str) else value
