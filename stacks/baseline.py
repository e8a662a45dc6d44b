"""The constructs of a baseline: typed L1 constructs only, so that `cdk diff`, Aspects and cdk-nag see each resource."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_accessanalyzer as accessanalyzer
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

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
    Target,
    Topic,
    User,
)
from dutybound.managed import arn
from dutybound.policy import ACCOUNT, PARTITION

_FILLED_IN = "${AWS::"
_VARIABLE = re.compile(r"\$\{(?!AWS::)")


class BaselineStacks(Construct):
    """All stacks of one account of a baseline.

    They use no role of `cdk bootstrap`: whoever deploys does so with the rights of their own credentials.
    """

    def __init__(self, scope: Construct, baseline: Baseline, account: Account, target: Target | None = None) -> None:
        """Build every stack of `account` under `scope`, an `App` or a `Stage`; for `target`, where it has several."""
        super().__init__(scope, target.name if target else "Baseline")
        self.account, self.id = account, target.id if target else account.id
        scope = self if target else scope
        self.tags = [cdk.CfnTag(key=key, value=value) for key, value in baseline.tags]
        self.stacks = {stack.name: self._stack(scope, stack) for stack in account.stacks}
        self.policies = {policy.name: self._policy(policy) for policy in account.own_policies}
        self.groups = {group.name: self._group(group) for group in account.groups}
        self.secrets = {secret.logical_id: self._secret(secret) for secret in account.secrets}
        for user in account.users:
            self._user(user)
        self.identity_providers = {made.url: self._identity_provider(made) for made in account.identity_providers}
        for role in account.own_roles:
            self._role(role)
        if account.alarm is not None:
            self._alarm(account.alarm)
        for budget in account.budgets:
            self._budget(budget)
        for analyzer in account.analyzers:
            self._analyzer(analyzer)
        for stack in self.stacks.values():
            if not stack.node.children:
                meant_to_be_empty(stack)

    def _stack(self, scope: Construct, stack: Stack) -> cdk.Stack:
        return cdk.Stack(
            scope,
            stack.name,
            stack_name=stack.name,
            description=stack.description,
            env=cdk.Environment(account=self.id, region=stack.region),
            termination_protection=stack.protected,
            synthesizer=cdk.LegacyStackSynthesizer(),  # the only one that names no role of `cdk bootstrap`
        )

    def _kept(self, resource: cdk.CfnResource, stack: str) -> None:
        if next(s.retained for s in self.account.stacks if s.name == stack):
            resource.apply_removal_policy(cdk.RemovalPolicy.RETAIN)

    def _policy(self, policy: ManagedPolicy) -> iam.CfnManagedPolicy:
        made = iam.CfnManagedPolicy(
            self.stacks[policy.stack],
            policy.logical_id,
            managed_policy_name=policy.name,
            path=policy.path,
            policy_document=filled_in(policy.policy.document()),
        )
        self._kept(made, policy.stack)
        return made

    def _arns(self, stack: cdk.Stack, policies: Sequence[str], managed: Sequence[str]) -> list[str]:
        aws = [text(arn(id_, PARTITION)) for id_ in managed]
        return [*(self._arn(stack, name) for name in policies), *aws]

    def _arn(self, stack: cdk.Stack, name: str) -> str:
        """The ARN of a policy, for a resource in `stack`: by its name where it is in another, which then comes first.

        An export would do the same, and could neither change nor go while another stack imports it.
        """
        policy = self.account.policy(name)
        made = self.policies[name]
        if made.stack is stack:
            return made.ref
        stack.add_stack_dependency(made.stack)
        return text(f"arn:{PARTITION}:iam::{ACCOUNT}:policy{policy.path}{policy.name}")

    def _group_name(self, stack: cdk.Stack, name: str) -> str:
        """The name of a group, for a user in `stack`, as with `_arn`."""
        made = self.groups[name]
        if made.stack is stack:
            return made.ref
        stack.add_stack_dependency(made.stack)
        return name

    def _group(self, group: Group) -> iam.CfnGroup:
        made = iam.CfnGroup(
            self.stacks[group.stack],
            group.logical_id,
            group_name=group.name,
            path=group.path,
            managed_policy_arns=self._arns(self.stacks[group.stack], group.policies, group.managed),
        )
        made.add_metadata("Purpose", group.purpose)
        self._kept(made, group.stack)
        return made

    def _user(self, user: User) -> None:
        stack, boundary = self.stacks[user.stack], user.permissions_boundary
        made = iam.CfnUser(
            stack,
            user.logical_id,
            user_name=user.name,
            path=user.path,
            groups=[self._group_name(stack, name) for name in user.groups],
            login_profile=self._password(user.secret) if user.secret is not None else None,
            permissions_boundary=self._arn(stack, boundary) if boundary else None,
            tags=[*self.tags, *(cdk.CfnTag(key=key, value=value) for key, value in user.tags)],
        )
        self._kept(made, user.stack)

    def _password(self, secret: str) -> iam.CfnUser.LoginProfileProperty:
        """A password by reference: CloudFormation reads the secret while it makes the user, the template holds none.

        No change at first sign-in: it would make the sealed copy worthless.
        """
        reference = cdk.Fn.join("", ["{{resolve:secretsmanager:", self.secrets[secret].ref, ":SecretString:::}}"])
        return iam.CfnUser.LoginProfileProperty(password=reference, password_reset_required=False)

    def _secret(self, secret: Secret) -> secretsmanager.CfnSecret:
        stack = self.stacks[secret.stack]
        made = secretsmanager.CfnSecret(
            stack,
            secret.logical_id,
            name=secret.name,
            description=secret.description,
            generate_secret_string=secretsmanager.CfnSecret.GenerateSecretStringProperty(
                password_length=secret.length,
                exclude_characters=secret.without,
                require_each_included_type=True,
            ),
            tags=self.tags,
        )
        self._kept(made, secret.stack)
        fence = secretsmanager.CfnResourcePolicy(
            stack,
            f"{secret.logical_id}Policy",
            secret_id=made.ref,
            resource_policy=filled_in(secret.policy.document()),
            block_public_policy=True,
        )
        self._kept(fence, secret.stack)
        return made

    def _role(self, role: Role) -> None:
        stack, boundary = self.stacks[role.stack], role.permissions_boundary
        made = iam.CfnRole(
            stack,
            role.logical_id,
            role_name=role.name,
            path=role.path,
            description=role.purpose,
            assume_role_policy_document=filled_in(role.trust.document()),
            managed_policy_arns=self._arns(stack, role.policies, role.managed),
            max_session_duration=role.session_seconds,
            permissions_boundary=self._arn(stack, boundary) if boundary else None,
            tags=self.tags,
        )
        if role.instance_profile is not None:
            iam.CfnInstanceProfile(
                stack, role.instance_profile, instance_profile_name=role.name, path=role.path, roles=[made.ref]
            )
        if role.identity_provider is not None:
            # The trust names its ARN, which CloudFormation does not take for a reference.
            made.add_dependency(self.identity_providers[role.identity_provider])
        self._kept(made, role.stack)

    def _identity_provider(self, provider: IdentityProvider) -> iam.CfnOIDCProvider:
        made = iam.CfnOIDCProvider(
            self.stacks[provider.stack],
            provider.logical_id,
            url=provider.url,
            client_id_list=list(provider.audiences),
            tags=self.tags,
        )
        self._kept(made, provider.stack)
        return made

    def _alarm(self, alarm: Alarm) -> None:
        if alarm.topic is not None:
            self._topic(alarm.topic)
        if alarm.bus is not None:
            self._bus(alarm.bus)
        self._role(alarm.forwarder)
        for rule in alarm.rules:
            self._rule(rule)
            if rule.role is not None and rule.stack != alarm.forwarder.stack:
                # EventBridge takes the forwarder's role as soon as the rule stands.
                self.stacks[rule.stack].add_stack_dependency(self.stacks[alarm.forwarder.stack])
        if alarm.drill is not None:
            self._schedule(alarm.drill)

    def _topic(self, topic: Topic) -> None:
        made = sns.CfnTopic(
            self.stacks[topic.stack],
            topic.logical_id,
            topic_name=topic.name,
            tags=self.tags,
            subscription=[
                sns.CfnTopic.SubscriptionProperty(endpoint=address, protocol="email") for address in topic.addresses
            ],
        )
        sns.CfnTopicPolicy(
            self.stacks[topic.stack],
            f"{topic.logical_id}Policy",
            policy_document=filled_in(topic.policy.document()),
            topics=[made.ref],
        )

    def _bus(self, bus: EventBusPolicy) -> None:
        (statement,) = bus.policy.document()["Statement"]
        events.CfnEventBusPolicy(
            self.stacks[bus.stack],
            bus.logical_id,
            event_bus_name="default",
            statement_id=statement["Sid"],
            statement=filled_in(statement),
        )

    def _analyzer(self, analyzer: Analyzer) -> None:
        unused = None
        if analyzer.days is not None:
            unused = accessanalyzer.CfnAnalyzer.AnalyzerConfigurationProperty(
                unused_access_configuration=accessanalyzer.CfnAnalyzer.UnusedAccessConfigurationProperty(
                    unused_access_age=analyzer.days
                )
            )
        accessanalyzer.CfnAnalyzer(
            self.stacks[analyzer.stack],
            analyzer.logical_id,
            analyzer_name=analyzer.name,
            type=analyzer.type,
            analyzer_configuration=unused,
            tags=self.tags,
        )

    def _rule(self, rule: Rule) -> None:
        events.CfnRule(
            self.stacks[rule.stack],
            rule.logical_id,
            name=rule.name,
            description=rule.description,
            event_pattern=json.loads(rule.pattern),
            # Plain 'ENABLED' leaves out read-only calls, such as reading a secret or taking a role.
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
            targets=[
                events.CfnRule.TargetProperty(
                    id="target", arn=text(rule.target), role_arn=text(rule.role) if rule.role else None
                )
            ],
            tags=self.tags,
        )

    def _schedule(self, schedule: Schedule) -> None:
        events.CfnRule(
            self.stacks[schedule.stack],
            schedule.logical_id,
            name=schedule.name,
            description=schedule.description,
            schedule_expression=schedule.every,
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="target", arn=text(schedule.target), input=json.dumps(schedule.text, ensure_ascii=False)
                )
            ],
            tags=self.tags,
        )

    def _budget(self, budget: Budget) -> None:
        mails = [
            budgets.CfnBudget.SubscriberProperty(address=address, subscription_type="EMAIL")
            for address in budget.addresses
        ]
        budgets.CfnBudget(
            self.stacks[budget.stack],
            budget.logical_id,
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=budget.name,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=budget.limit, unit=budget.currency),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type="ACTUAL",
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=mails,
                )
                for percent in budget.alert_at
            ],
            resource_tags=[
                budgets.CfnBudget.ResourceTagProperty(key=str(tag.key), value=str(tag.value)) for tag in self.tags
            ],
        )


def meant_to_be_empty(stack: cdk.Stack) -> None:
    """Let a stack without resources pass the CDK's own checks: its deployment deletes what was in it."""
    rule = cdk.Acknowledgment(id="CloudFormation-Validate::F0001", reason="Its last resource was removed, or none came")
    cdk.Validations.of(stack).acknowledge(rule)


def text(value: str) -> str:
    """A text for a template, with CloudFormation's Fn::Sub where it names the partition or the account."""
    return cdk.Fn.sub(_VARIABLE.sub("${!", value)) if _FILLED_IN in value else value


def filled_in(value: Any) -> Any:
    """A policy document for a template. What a user wrote (`${aws:username}`) is escaped, so that CloudFormation does
    not take it for its own.
    """
    if isinstance(value, dict):
        return {key: filled_in(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled_in(inner) for inner in value]
    if isinstance(value, str) and _FILLED_IN in value:
        return {"Fn::Sub": _VARIABLE.sub("${!", value)}
    return value
