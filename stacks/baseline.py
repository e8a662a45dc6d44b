"""The constructs of a baseline: typed L1 constructs only, so that `cdk diff`, Aspects and cdk-nag see each resource."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from dutybound.baseline import Account, Alarm, Baseline, Group, IdentityProvider, ManagedPolicy, Role, Rule, Stack, User
from dutybound.managed import arn
from dutybound.policy import PARTITION

_FILLED_IN = "${AWS::"
_VARIABLE = re.compile(r"\$\{(?!AWS::)")


class BaselineStacks(Construct):
    """All stacks of one account of a baseline.

    They use no role of `cdk bootstrap`: whoever deploys does so with the rights of their own credentials.
    """

    def __init__(self, scope: Construct, baseline: Baseline, account: Account) -> None:
        """Build every stack of `account` under `scope`, an `App` or a `Stage`."""
        super().__init__(scope, "Baseline")
        self.account = account
        self.tags = [cdk.CfnTag(key=key, value=value) for key, value in baseline.tags]
        self.stacks = {stack.name: self._stack(scope, stack) for stack in account.stacks}
        self.policies = {policy.name: self._policy(policy) for policy in account.policies}
        self.groups = {group.name: self._group(group) for group in account.groups}
        for user in account.users:
            self._user(user)
        self.identity_providers = {made.url: self._identity_provider(made) for made in account.identity_providers}
        for role in account.roles:
            self._role(role)
        if account.alarm is not None:
            self._alarm(account.alarm)

    def _stack(self, scope: Construct, stack: Stack) -> cdk.Stack:
        return cdk.Stack(
            scope,
            stack.name,
            stack_name=stack.name,
            description=stack.description,
            env=cdk.Environment(account=self.account.id, region=stack.region),
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
            policy_document=_filled_in(policy.policy.document()),
        )
        self._kept(made, policy.stack)
        return made

    def _arns(self, policies: Sequence[str], managed: Sequence[str]) -> list[str]:
        aws = [_text(arn(id_, PARTITION)) for id_ in managed]
        return [*(self.policies[name].ref for name in policies), *aws]

    def _group(self, group: Group) -> iam.CfnGroup:
        made = iam.CfnGroup(
            self.stacks[group.stack],
            group.logical_id,
            group_name=group.name,
            path=group.path,
            managed_policy_arns=self._arns(group.policies, group.managed),
        )
        made.add_metadata("Purpose", group.purpose)
        self._kept(made, group.stack)
        return made

    def _user(self, user: User) -> None:
        boundary = user.permissions_boundary
        made = iam.CfnUser(
            self.stacks[user.stack],
            user.logical_id,
            user_name=user.name,
            path=user.path,
            groups=[self.groups[name].ref for name in user.groups],
            permissions_boundary=self.policies[boundary].ref if boundary else None,
            tags=[*self.tags, *(cdk.CfnTag(key=key, value=value) for key, value in user.tags)],
        )
        self._kept(made, user.stack)

    def _role(self, role: Role) -> None:
        stack = self.stacks[role.stack]
        made = iam.CfnRole(
            stack,
            role.logical_id,
            role_name=role.name,
            path=role.path,
            description=role.purpose,
            assume_role_policy_document=_filled_in(role.trust.document()),
            managed_policy_arns=self._arns(role.policies, role.managed),
            max_session_duration=role.session_seconds,
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
        topic = sns.CfnTopic(
            self.stacks[alarm.topic.stack],
            alarm.topic.logical_id,
            topic_name=alarm.topic.name,
            tags=self.tags,
            subscription=[
                sns.CfnTopic.SubscriptionProperty(endpoint=address, protocol="email")
                for address in alarm.topic.addresses
            ],
        )
        sns.CfnTopicPolicy(
            self.stacks[alarm.topic.stack],
            f"{alarm.topic.logical_id}Policy",
            policy_document=_filled_in(alarm.topic.policy.document()),
            topics=[topic.ref],
        )
        self._role(alarm.forwarder)
        for rule in alarm.rules:
            self._rule(rule)
            if rule.role is not None:
                # EventBridge takes the forwarder's role as soon as the rule stands.
                self.stacks[rule.stack].add_stack_dependency(self.stacks[alarm.forwarder.stack])

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
                    id="target", arn=_text(rule.target), role_arn=_text(rule.role) if rule.role else None
                )
            ],
            tags=self.tags,
        )


def _text(value: str) -> str:
    """A text for a template, with CloudFormation's Fn::Sub where it names the partition or the account."""
    return cdk.Fn.sub(_VARIABLE.sub("${!", value)) if _FILLED_IN in value else value


def _filled_in(value: Any) -> Any:
    """A policy document for a template. What a user wrote (`${aws:username}`) is escaped, so that CloudFormation does
    not take it for its own.
    """
    if isinstance(value, dict):
        return {key: _filled_in(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled_in(inner) for inner in value]
    if isinstance(value, str) and _FILLED_IN in value:
        return {"Fn::Sub": _VARIABLE.sub("${!", value)}
    return value
