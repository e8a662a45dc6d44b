"""The resources by troposphere: `tropo.py DESCRIPTION OUT`."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from troposphere import GetAtt, Join, Ref, Sub, Tags, Template, iam

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Ref": Ref,
    "Fn::Sub": Sub,
    "Fn::GetAtt": lambda value: GetAtt(*value),
    "Fn::Join": lambda value: Join(value[0], called(value[1])),
}


def filled(value: Any) -> Any:
    """A value with `Fn::Sub` where it names the partition, the account or the Region; other variables stay."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    if isinstance(value, str) and "${AWS::" in value:
        return Sub(value.replace("${", "${!").replace("${!AWS::", "${AWS::"))
    return value


def document(statements: Any) -> dict[str, Any]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": filled(statements)}


def named(value: Any) -> Any:
    """A boundary: a reference in this stack, or an ARN."""
    return Ref(value["Ref"]) if isinstance(value, dict) else filled(value)


def attached(told: Mapping[str, Any]) -> list[Any]:
    """The policies of a group or a role."""
    return [*(Ref(id_) for id_ in told["policies"]), *filled(told["arns"])]


def template(told: Mapping[str, Any]) -> Template:
    """One stack of the description."""
    made = Template()
    for policy in told["policies"]:
        made.add_resource(
            iam.ManagedPolicy(
                policy["id"],
                ManagedPolicyName=policy["name"],
                Path=policy["path"],
                PolicyDocument=document(policy["statements"]),
            )
        )
    for group in told["groups"]:
        made.add_resource(
            iam.Group(group["id"], GroupName=group["name"], Path=group["path"], ManagedPolicyArns=attached(group))
        )
    for role in told["roles"]:
        made.add_resource(
            iam.Role(
                role["id"],
                RoleName=role["name"],
                Path=role["path"],
                Description=role["description"],
                MaxSessionDuration=role["seconds"],
                AssumeRolePolicyDocument=document(role["trust"]),
                ManagedPolicyArns=attached(role),
                Tags=Tags(role["tags"]),
                **bounded(role),
            )
        )
    for user in told["users"]:
        made.add_resource(
            iam.User(
                user["id"],
                UserName=user["name"],
                Path=user["path"],
                Groups=[*(Ref(id_) for id_ in user["groups"]), *user["group_names"]],
                Tags=Tags(user["tags"]),
                **bounded(user),
                **password(user),
            )
        )
    for other in told["others"]:
        made.add_resource(of_type(other["type"]).from_dict(other["id"], called(other["properties"])))
    return made


def called(value: Any) -> Any:
    """Properties of a template, with troposphere's objects for functions."""
    if isinstance(value, list):
        return [called(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (name := next(iter(value))) in FUNCTIONS:
        return FUNCTIONS[name](value[name])
    return {key: tagged(inner) if key == "Tags" else called(inner) for key, inner in value.items()}


def tagged(tags: Any) -> Tags:
    """Tags as troposphere wants them."""
    return Tags({tag["Key"]: tag["Value"] for tag in tags})


def bounded(told: Mapping[str, Any]) -> dict[str, Any]:
    """The permissions boundary, where there is one."""
    return {} if told["boundary"] is None else {"PermissionsBoundary": named(told["boundary"])}


def password(told: Mapping[str, Any]) -> dict[str, Any]:
    """The password out of a secret, where there is one."""
    if told["secret"] is None:
        return {}
    return {
        "LoginProfile": iam.LoginProfile(Password=f"{{{{resolve:secretsmanager:{told['secret']}:SecretString:::}}}}")
    }


def of_type(name: str) -> Any:
    """The class of a type of CloudFormation."""
    _, service, kind = name.split("::")
    return getattr(importlib.import_module(f"troposphere.{service.lower()}"), kind)


def main(description: Path, out: Path) -> None:
    """Write a template for each stack."""
    out.mkdir(parents=True, exist_ok=True)
    for stack in json.loads(description.read_text(encoding="utf-8"))["stacks"]:
        if any(stack[word] for word in ("policies", "groups", "users", "roles", "others")):
            (out / f"{stack['name']}.template.json").write_text(template(stack).to_json(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
