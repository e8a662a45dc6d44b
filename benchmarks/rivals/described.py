"""What finished templates hold, in words that any tool can build from: `python -m benchmarks.rivals.described FOLDER`.

The folder is a cloud assembly. Policies, groups, users and roles come as plain values, with `${AWS::Partition}` and the
like as text; everything else as `others`, with type and properties as they stand. Names of other resources of the same
stack are ids; resources of other stacks are named in full. What is left out: deletion policies, metadata, `DependsOn`,
the order and the protection of stacks.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

IAM = "AWS::IAM::"
PLAIN = {"ManagedPolicy": "policies", "Group": "groups", "User": "users", "Role": "roles"}
"""Types of IAM that are described, and under which word."""


def templates(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and content of each template of an assembly, those of its stages too."""
    for file in sorted(folder.rglob("*.template.json")):
        yield file.name.removesuffix(".template.json"), json.loads(file.read_text(encoding="utf-8"))


def counted(folder: Path) -> Counter[str]:
    """How many resources of each type the templates of a folder make."""
    made: Counter[str] = Counter()
    for _, template in templates(folder):
        made.update(resource["Type"] for resource in template.get("Resources", {}).values())
    return made


def described(folder: Path) -> dict[str, Any]:
    """The description, made to be written as JSON."""
    return {"stacks": [_stack(name, template) for name, template in templates(folder)]}


def _stack(name: str, template: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, **{word: [] for word in PLAIN.values()}, "others": []}
    for id_, resource in template.get("Resources", {}).items():
        word = PLAIN.get(resource["Type"].removeprefix(IAM)) if resource["Type"].startswith(IAM) else None
        if word is None:
            made["others"].append({"id": id_, "type": resource["Type"], "properties": resource.get("Properties", {})})
        else:
            made[word].append({"id": id_, **_WORDS[word](resource["Properties"], template["Resources"])})
    return made


def _policy(properties: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": properties["ManagedPolicyName"],
        "path": properties.get("Path", "/"),
        "statements": _plain(properties["PolicyDocument"])["Statement"],
    }


def _group(properties: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": properties["GroupName"], "path": properties.get("Path", "/"), **_attached(properties)}


def _user(properties: Mapping[str, Any], resources: Mapping[str, Any]) -> dict[str, Any]:
    groups = properties.get("Groups", [])
    return {
        "name": properties["UserName"],
        "path": properties.get("Path", "/"),
        "groups": [group["Ref"] for group in groups if isinstance(group, dict)],
        "group_names": [group for group in groups if isinstance(group, str)],
        "secret": _secret(properties.get("LoginProfile"), resources),
        "boundary": _plain(properties.get("PermissionsBoundary")),
        "tags": _tags(properties),
    }


def _role(properties: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": properties["RoleName"],
        "path": properties.get("Path", "/"),
        "description": properties.get("Description", ""),
        "seconds": properties.get("MaxSessionDuration", 3600),
        "trust": _plain(properties["AssumeRolePolicyDocument"])["Statement"],
        "boundary": _plain(properties.get("PermissionsBoundary")),
        "tags": _tags(properties),
        **_attached(properties),
    }


_WORDS = {"policies": _policy, "groups": _group, "users": _user, "roles": _role}


def _attached(properties: Mapping[str, Any]) -> dict[str, Any]:
    arns = [_plain(arn) for arn in properties.get("ManagedPolicyArns", [])]
    return {
        "policies": [arn["Ref"] for arn in arns if isinstance(arn, dict)],
        "arns": [arn for arn in arns if isinstance(arn, str)],
    }


def _tags(properties: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}


def _secret(login: Mapping[str, Any] | None, resources: Mapping[str, Any]) -> str | None:
    """The name of the secret that a password is read from."""
    if login is None:
        return None
    named = [part["Ref"] for part in login["Password"]["Fn::Join"][1] if isinstance(part, dict)]
    return str(resources[named[0]]["Properties"]["Name"])


def _plain(value: Any) -> Any:
    """A value with the text of its `Fn::Sub`; a reference stays `{"Ref": id}`."""
    if isinstance(value, dict):
        if value.keys() == {"Fn::Sub"}:
            return value["Fn::Sub"].replace("${!", "${")
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def main(folder: Path) -> None:
    """Print the description."""
    print(json.dumps(described(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
