"""The resources by the CDK's own constructs (L2) in Python: `l2.py DESCRIPTION OUT`.

What has no such construct, or one that makes a Lambda function, is a `CfnResource`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

PSEUDO = {
    "${AWS::Partition}": cdk.Aws.PARTITION,
    "${AWS::AccountId}": cdk.Aws.ACCOUNT_ID,
    "${AWS::Region}": cdk.Aws.REGION,
}


def filled(value: Any) -> Any:
    """A value with the CDK's tokens where it names the partition, the account or the Region."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    if isinstance(value, str) and "${AWS::" in value:
        for name, token in PSEUDO.items():
            value = value.replace(name, token)
    return value


def many(value: Any) -> list[Any] | None:
    """What a policy has as one value or several, or not at all."""
    return None if value is None else filled(value if isinstance(value, list) else [value])


class Stack(cdk.Stack):
    """One stack of the description."""

    def __init__(self, scope: cdk.App, told: Mapping[str, Any]) -> None:
        """Make every resource."""
        super().__init__(scope, told["name"], stack_name=told["name"], synthesizer=cdk.LegacyStackSynthesizer())
        self.policies = {policy["id"]: self.policy(policy) for policy in told["policies"]}
        self.groups = {group["id"]: self.group(group) for group in told["groups"]}
        self.roles = {role["id"]: self.role(role) for role in told["roles"]}
        for user in told["users"]:
            self.user(user)
        for other in told["others"]:
            cdk.CfnResource(self, other["id"], type=other["type"], properties=self.referred(other["properties"]))

    def policy(self, told: Mapping[str, Any]) -> iam.ManagedPolicy:
        """A managed policy, statement by statement."""
        statements = [self.statement(statement) for statement in told["statements"]]
        name, path = told["name"], told["path"]
        return iam.ManagedPolicy(self, told["id"], managed_policy_name=name, path=path, statements=statements)

    def statement(self, told: Mapping[str, Any]) -> iam.PolicyStatement:
        """A statement of a policy, or one of a trust that denies."""
        return iam.PolicyStatement(
            sid=told.get("Sid"),
            effect=iam.Effect.ALLOW if told["Effect"] == "Allow" else iam.Effect.DENY,
            actions=many(told.get("Action")),
            not_actions=many(told.get("NotAction")),
            resources=many(told.get("Resource")),
            not_resources=many(told.get("NotResource")),
            conditions=filled(told.get("Condition")),
            principals=self.principals(told) if "Principal" in told else None,
        )

    def principals(self, told: Mapping[str, Any]) -> list[iam.PrincipalBase]:
        """Whom a statement of a trust names."""
        named = told["Principal"]
        if named == "*":
            return [iam.AnyPrincipal()]
        return [self.principal(kind, one, told) for kind, value in named.items() for one in many(value) or ()]

    def principal(self, kind: str, name: str, told: Mapping[str, Any]) -> iam.PrincipalBase:
        """One of them."""
        if kind == "Service":
            return iam.ServicePrincipal(name)
        if kind == "Federated":
            action = told["Action"] if isinstance(told["Action"], str) else told["Action"][0]
            return iam.FederatedPrincipal(name, {}, action)
        return iam.AnyPrincipal() if name == "*" else iam.ArnPrincipal(name)

    def attached(self, told: Mapping[str, Any]) -> list[iam.IManagedPolicy]:
        """The policies of a group or a role: objects of this stack, others by ARN."""
        arns = [
            iam.ManagedPolicy.from_managed_policy_arn(self, f"{told['id']}{number}", filled(arn))
            for number, arn in enumerate(told["arns"])
        ]
        return [*(self.policies[id_] for id_ in told["policies"]), *arns]

    def group(self, told: Mapping[str, Any]) -> iam.Group:
        """A group with its policies."""
        attached = self.attached(told)
        return iam.Group(self, told["id"], group_name=told["name"], path=told["path"], managed_policies=attached)

    def role(self, told: Mapping[str, Any]) -> iam.Role:
        """A role with its trust, its policies and its tags."""
        allowed = [one for one in told["trust"] if one["Effect"] == "Allow"]
        trusted = [
            principal.with_conditions(filled(one["Condition"])) if "Condition" in one else principal
            for one in allowed
            for principal in self.principals(one)
        ]
        role = iam.Role(
            self,
            told["id"],
            role_name=told["name"],
            path=told["path"],
            description=told["description"] or None,
            max_session_duration=cdk.Duration.seconds(told["seconds"]),
            assumed_by=iam.CompositePrincipal(*trusted) if len(trusted) > 1 else trusted[0],
            managed_policies=self.attached(told),
            permissions_boundary=self.boundary(told),
        )
        for one in told["trust"]:
            if one["Effect"] == "Deny" and role.assume_role_policy is not None:
                role.assume_role_policy.add_statements(self.statement(one))
        self.tag(role, told["tags"])
        return role

    def user(self, told: Mapping[str, Any]) -> None:
        """A user with its groups, its tags and perhaps a password."""
        away = [
            iam.Group.from_group_name(self, f"{told['id']}{number}", name)
            for number, name in enumerate(told["group_names"])
        ]
        secret = told["secret"]
        user = iam.User(
            self,
            told["id"],
            user_name=told["name"],
            path=told["path"],
            groups=[*(self.groups[id_] for id_ in told["groups"]), *away],
            password=cdk.SecretValue.secrets_manager(secret) if secret else None,
            permissions_boundary=self.boundary(told),
        )
        self.tag(user, told["tags"])

    def boundary(self, told: Mapping[str, Any]) -> iam.IManagedPolicy | None:
        """The permissions boundary of a user or a role."""
        named = told["boundary"]
        if isinstance(named, dict):
            return self.policies[named["Ref"]]
        if named is None:
            return None
        return iam.ManagedPolicy.from_managed_policy_arn(self, f"{told['id']}Boundary", filled(named))

    def tag(self, made: cdk.Resource, tags: Mapping[str, str]) -> None:
        """The tags that are not on everything."""
        for key, value in tags.items():
            if key not in SHARED:
                cdk.Tags.of(made).add(key, value)

    def referred(self, value: Any) -> Any:
        """Properties of a template, with the ids of roles as the CDK names them."""
        if isinstance(value, list):
            return [self.referred(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if (id_ := value.get("Ref")) in self.roles:
            return self.roles[id_].role_name
        if (got := value.get("Fn::GetAtt")) is not None and got[0] in self.roles:
            return self.roles[got[0]].role_arn
        return {key: self.referred(inner) for key, inner in value.items()}


SHARED: dict[str, str] = {}
"""Tags of everything."""


def shared(stacks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The tags that every user and role has."""
    tagged = [set(one["tags"].items()) for stack in stacks for one in (*stack["users"], *stack["roles"])]
    return dict(set.intersection(*tagged)) if tagged else {}


def main(description: Path, out: str) -> None:
    """Synthesize the description."""
    stacks = json.loads(description.read_text(encoding="utf-8"))["stacks"]
    app = cdk.App(outdir=out, analytics_reporting=False)
    SHARED.update(shared(stacks))
    for key, value in sorted(SHARED.items()):
        cdk.Tags.of(app).add(key, value)
    for stack in stacks:
        Stack(app, stack)
    app.synth()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
