"""CloudFormation templates -> the baseline that they make, so that a review of templates is one of access.

Whoever wrote them: groups, users, roles, their policies and trusts are read out of the resources of type AWS::IAM::*,
with CloudFormation's functions worked out as far as the templates tell. What they do not tell (a parameter, a
condition, a transform, a nested stack) is a gap: it has a name, and stands for the same as long as it is written the
same. Where a gap is new, gone or written otherwise, nobody can say what changed, and that is unknown.

A resource without a name of its own gets one from CloudFormation; here its logical id stands for it, which no pattern
but `*` is meant to match. Policies of resources are not those of principals: a change of one is a gap too. Sources:
CloudFormation Template Reference, "Intrinsic functions", "Pseudo parameters" and the types of AWS::IAM.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dutybound.baseline import Account, Baseline, Group, ManagedPolicy, Role, Stack, User
from dutybound.diagnostic import Checked, Diagnostic
from dutybound.managed import managed_policy
from dutybound.policy import ACCOUNT, PARTITION, Policy
from dutybound.simulate import BadLine, identity_policy, resource_policy
from dutybound.source import template

_REGION = "eu-west-1"
"""Stands for the Region of a stack that does not say in which it is."""
_UNKNOWN = "unknown-"
"""How the text begins that stands for a gap."""
_ALONE = "template"
"""The stack of a template by itself: that of the other side, whatever the files are called."""
_MOST_LEVELS = 80
_MOST_VALUES = 500_000
"""More than a template of 1 MB has, which is the most that CloudFormation takes."""
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": PARTITION,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NotificationARNs": "",
}
_NAMES = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SecretsManager::Secret": "Name",
}
"""The property that names a resource, of the types whose ARN is made of nothing but that name."""
_ARNS = {
    "AWS::IAM::Role": "arn:{partition}:iam::{account}:role{path}{name}",
    "AWS::IAM::User": "arn:{partition}:iam::{account}:user{path}{name}",
    "AWS::IAM::Group": "arn:{partition}:iam::{account}:group{path}{name}",
    "AWS::IAM::ManagedPolicy": "arn:{partition}:iam::{account}:policy{path}{name}",
    "AWS::IAM::InstanceProfile": "arn:{partition}:iam::{account}:instance-profile{path}{name}",
    "AWS::S3::Bucket": "arn:{partition}:s3:::{name}",
    "AWS::DynamoDB::Table": "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
    "AWS::Lambda::Function": "arn:{partition}:lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
}
"""ARNs by type; those of others end in the name alone, after the service and the account."""
_REF_IS_ARN = {"AWS::IAM::ManagedPolicy", "AWS::SNS::Topic", "AWS::SecretsManager::Secret"}
_READ = {
    *("AWS::IAM::Group", "AWS::IAM::User", "AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::InstanceProfile"),
    *("AWS::IAM::Policy", "AWS::IAM::GroupPolicy", "AWS::IAM::UserPolicy", "AWS::IAM::RolePolicy"),
    "AWS::IAM::UserToGroupAddition",
}
_DECIDES = re.compile(
    r"AWS::(IAM|SSO|IdentityStore|Organizations|RolesAnywhere|AccountAccess|Serverless)::|AWS::CloudFormation::(Stack|StackSet|Macro)$"
    r"|Custom::|AWS::CloudFormation::CustomResource$|AWS::KMS::(Key|ReplicaKey)$|AWS::Lambda::(Permission|LayerVersionP)"
    r"|::(\w*Policy)$|AWS::EKS::(AccessEntry|PodIdentityAssociation)$"
)
"""Types that say who may do what and that are not read: a policy of a resource, an assignment, a stack in a stack."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something in a template that the templates do not tell: where, what it is, and how it is written."""

    place: str
    what: str
    written: str
    """A digest: two gaps written the same are the same."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The baseline that templates make, the gaps in it, and the names that its resources have by themselves: others get
    theirs from CloudFormation, and collide with nothing.
    """

    baseline: Baseline
    gaps: frozenset[Gap]
    named: frozenset[str] = frozenset()


def read(path: Path) -> dict[str | None, Checked[Reading]]:
    """Read a template, a folder of templates or a cloud assembly (`cdk.out`), by account.

    Stacks that name no account are under None. What is no template, or has a policy that IAM would refuse, gives
    diagnostics that name the file.
    """
    found: list[Diagnostic] = []
    by_account: dict[str | None, dict[str, _Stack]] = {}
    for account, stack in _stacks(path, found):
        by_account.setdefault(account, {})[stack.name] = stack
    if not by_account or any(d.severity == "error" for d in found):
        if not found:
            found.append(_unreadable(path, "there is no template in it"))
        return {None: Checked(None, tuple(found))}
    return {account: _Reader(stacks).read() for account, stacks in sorted(by_account.items(), key=_by_name)}


def _by_name(entry: tuple[str | None, object]) -> str:
    return entry[0] or ""


@dataclass(frozen=True)
class _Stack:
    name: str
    region: str
    file: str
    body: Mapping[str, Any]

    @cached_property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """Those that are mappings, as every resource is."""
        return {name: one for name, one in self.section("Resources").items() if isinstance(one, dict)}

    def section(self, name: str) -> Mapping[str, Any]:
        """A part of the template; an empty one where it is no mapping."""
        return _mapping(self.body.get(name))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# --- files ----------------------------------------------------------------------------------------------------------


def _unreadable(path: Path, why: str) -> Diagnostic:
    return Diagnostic("unreadable-template", f"{path.as_posix()}: {why}", None, "name a template, or a folder of some")


def _stacks(path: Path, found: list[Diagnostic]) -> Iterator[tuple[str | None, _Stack]]:
    if (path / "manifest.json").is_file():
        yield from _assembly(path, found)
    elif path.is_dir():
        suffixes = {".json", ".yaml", ".yml", ".template"}
        for file in sorted(f for f in path.rglob("*") if f.suffix in suffixes and f.is_file()):
            body = _body(file, found)
            if body is not None and "Resources" in body:
                yield None, _Stack(file.name.partition(".")[0], _REGION, file.as_posix(), body)
    else:
        body = _body(path, found)
        if body is None:
            return
        if "Resources" not in body:
            found.append(_unreadable(path, "it has no Resources"))
            return
        yield None, _Stack(_ALONE, _REGION, path.as_posix(), body)


def _assembly(folder: Path, found: list[Diagnostic]) -> Iterator[tuple[str | None, _Stack]]:
    """The stacks of a cloud assembly and of those in it (AWS CDK, cloud-assembly-schema)."""
    manifest = _body(folder / "manifest.json", found) or {}
    for artifact, one in sorted(_mapping(manifest.get("artifacts")).items()):
        one, properties = _mapping(one), _mapping(_mapping(one).get("properties"))
        if one.get("type") == "cdk:cloud-assembly":
            yield from _assembly(folder / str(properties.get("directoryName")), found)
        if one.get("type") != "aws:cloudformation:stack":
            continue
        body = _body(folder / str(properties.get("templateFile")), found)
        if body is None:
            continue
        account, _, region = str(one.get("environment", "")).removeprefix("aws://").partition("/")
        name = str(properties.get("stackName", artifact))
        region = region if region and not region.startswith("unknown") else _REGION
        file = (folder / str(properties.get("templateFile"))).as_posix()
        yield account if re.fullmatch(r"\d{12}", account) else None, _Stack(name, region, file, body)


def _body(file: Path, found: list[Diagnostic]) -> dict[str, Any] | None:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found.append(_unreadable(file, str(getattr(error, "strerror", None) or "it is not UTF-8").lower()))
        return None
    try:
        body = template(text)
    except ValueError as error:
        found.append(_unreadable(file, str(error)))
        return None
    except RecursionError:
        found.append(_unreadable(file, "it is nested more deeply than any template"))
        return None
    if not isinstance(body, dict):
        found.append(_unreadable(file, "it is no template: the whole of it must be a mapping"))
        return None
    if why := _refused(body):
        found.append(_unreadable(file, why))
        return None
    return body


def _refused(body: Mapping[str, Any]) -> str:
    """Why something is no template; empty if it may be one. YAML can hold itself, and grow without end by aliases."""
    left: list[tuple[int, object]] = [(0, body)]
    seen = 0
    while left:
        level, value = left.pop()
        inner = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        seen += len(inner)
        if level > _MOST_LEVELS:
            return "it is nested more deeply than any template"
        if seen > _MOST_VALUES:
            return "it has more values than any template"
        left += [(level + 1, one) for one in inner]
    return ""


# --- one account ----------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, stacks: Mapping[str, _Stack]) -> None:
        self.stacks = stacks
        self.gaps: set[Gap] = set()
        self.found: list[Diagnostic] = []
        self.policies: dict[str, ManagedPolicy] = {}
        self.by_arn: dict[str, str] = {}
        self.held: dict[tuple[str, str], list[str]] = {}
        self.managed: dict[tuple[str, str], list[str]] = {}
        self.groups_of: dict[str, list[str]] = {}
        self.named: set[str] = set()
        self.under_way: set[int] = set()
        """The functions that are being worked out, by their place in memory."""
        self.level = 0
        """How deep the value is that is being worked out."""

    def read(self) -> Checked[Reading]:
        for stack in self.stacks.values():
            self._look_at(stack)
        for stack, name, resource in self._of("AWS::IAM::ManagedPolicy"):
            self._policy(stack, name, resource)
        for kind in ("AWS::IAM::Policy", "AWS::IAM::GroupPolicy", "AWS::IAM::UserPolicy", "AWS::IAM::RolePolicy"):
            for stack, name, resource in self._of(kind):
                self._inline_elsewhere(stack, name, resource)
        for stack, name, resource in self._of("AWS::IAM::UserToGroupAddition"):
            at = _Value(self, stack, name)
            for user in at.texts(_properties(resource).get("Users")):
                self.groups_of.setdefault(user, []).extend(at.texts([_properties(resource).get("GroupName")]))
        groups = [self._group(*one) for one in self._of("AWS::IAM::Group")]
        users = [self._user(*one) for one in self._of("AWS::IAM::User")]
        roles = [self._role(*one) for one in self._of("AWS::IAM::Role")]
        groups += list(self._strange_groups({g.name for g in groups}, users))
        account = Account(
            None,
            next(iter(self.stacks.values())).region,
            tuple(Stack(s.name, s.region, str(s.body.get("Description", ""))) for s in self.stacks.values()),
            tuple(sorted(self.policies.values(), key=lambda p: p.name)),
            tuple(sorted(groups, key=lambda g: g.name)),
            tuple(sorted(users, key=lambda u: u.name)),
            tuple(sorted(roles, key=lambda r: r.name)),
        )
        reading = Reading(Baseline("", (), "", (account,)), frozenset(self.gaps), frozenset(self.named))
        failed = any(d.severity == "error" for d in self.found)
        return Checked(None if failed else reading, tuple(self.found))

    def gap(self, place: str, what: str, written: object) -> str:
        """Note a gap; the text that stands for it."""
        text = json.dumps(written, sort_keys=True, default=str)
        digest = hashlib.sha256(f"{what} {text}".encode()).hexdigest()[:12]
        self.gaps.add(Gap(place, what, digest))
        return f"{_UNKNOWN}{digest}"

    def _of(self, kind: str) -> Iterator[tuple[_Stack, str, Mapping[str, Any]]]:
        for stack in self.stacks.values():
            for name, resource in sorted(stack.resources.items()):
                if resource.get("Type") == kind:
                    yield stack, name, resource

    def _look_at(self, stack: _Stack) -> None:
        """Note what decides over access and is not read."""
        if "Transform" in stack.body:
            self.gap(stack.file, f"the transform {_shown(stack.body['Transform'])}", stack.body)
        for name, resource in stack.resources.items():
            kind = str(resource.get("Type"))
            if kind not in _READ and _DECIDES.search(kind):
                self.gap(f"{stack.file}: {name}", f"a resource of type {kind}", [name, resource])
            elif kind in _READ and "Condition" in resource:
                asked = _shown(resource["Condition"])
                condition = stack.section("Conditions").get(asked)
                self.gap(f"{stack.file}: {name}", f"whether the condition {asked} holds", [name, condition])

    # -- policies

    def _policy(self, stack: _Stack, name: str, resource: Mapping[str, Any]) -> None:
        at, properties = _Value(self, stack, name), _properties(resource)
        called = self._free(at.name(resource))
        path = at.text(properties.get("Path", "/"))
        document = self._document(at, properties.get("PolicyDocument"), identity_policy)
        self.policies[called] = ManagedPolicy(name, stack.name, called, path, document)
        self.by_arn[at.arn(name, resource)] = called
        for kind in ("Groups", "Roles", "Users"):
            for holder in at.texts(properties.get(kind)):
                self.held.setdefault((kind, holder), []).append(called)

    def _inline_elsewhere(self, stack: _Stack, name: str, resource: Mapping[str, Any]) -> None:
        at, properties = _Value(self, stack, name), _properties(resource)
        called = self._inline(at, at.text(properties.get("PolicyName", name)), properties.get("PolicyDocument"))
        kinds = {"Groups": "GroupName", "Roles": "RoleName", "Users": "UserName"}
        for kind, single in kinds.items():
            holders = at.texts(properties.get(kind)) + at.texts(properties.get(single))
            for holder in holders:
                self.held.setdefault((kind, holder), []).append(called)

    def _inline(self, at: _Value, name: str, document: object) -> str:
        """A policy inside a holder, as one of its own."""
        called = self._free(f"{at.resource}/{name}")
        policy = self._document(at, document, identity_policy)
        self.policies[called] = ManagedPolicy(f"{at.resource}{len(self.policies)}", at.stack.name, called, "/", policy)
        return called

    def _free(self, name: str) -> str:
        number = 2
        free = name
        while free in self.policies:
            free, number = f"{name} ({number})", number + 1
        return free

    def _document(self, at: _Value, document: object, read: Callable[[object, str], Policy]) -> Policy:
        worked_out = at.value(document)
        try:
            policy = read(worked_out, at.place)
        except BadLine as error:
            message = str(error)
            self.found.append(Diagnostic("refused-policy", message, None, "CloudFormation would fail at it"))
            return Policy(())
        return policy

    def _attached(self, at: _Value, arns: object, kind: str, holder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The customer managed policies of a holder by name, and those of AWS by id."""
        own, managed = list(self.held.get((kind, holder), ())), []
        for arn in at.texts(arns):
            id_ = arn.partition(":iam::aws:policy/")[2]
            if arn in self.by_arn:
                own.append(self.by_arn[arn])
            elif id_ and _known(id_):
                managed.append(id_)
            elif not arn.startswith(_UNKNOWN):
                self.gap(at.place, f"the policy {arn}, which is in none of the templates", arn)
        return tuple(sorted(set(own))), tuple(sorted(set(managed)))

    # -- principals

    def _group(self, stack: _Stack, name: str, resource: Mapping[str, Any]) -> Group:
        at, properties = _Value(self, stack, name), _properties(resource)
        called = at.name(resource)
        own, managed = self._holds(at, properties, "Groups", called)
        return Group(name, stack.name, _as_team(called), "/teams/", "", own, managed)

    def _holds(
        self, at: _Value, properties: Mapping[str, Any], kind: str, called: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        inline = [
            self._inline(at, at.text(one.get("PolicyName", "")), one.get("PolicyDocument"))
            for one in at.mappings(properties.get("Policies"))
        ]
        own, managed = self._attached(at, properties.get("ManagedPolicyArns"), kind, called)
        return tuple(sorted({*own, *inline})), managed

    def _user(self, stack: _Stack, name: str, resource: Mapping[str, Any]) -> User:
        at, properties = _Value(self, stack, name), _properties(resource)
        called = at.name(resource)
        own, managed = self._holds(at, properties, "Users", called)
        groups = [_as_team(g) for g in (*at.texts(properties.get("Groups")), *self.groups_of.get(called, ()))]
        if own or managed:
            # What a user holds itself is told as that of a group of one.
            groups.append(f"{called}.own")
            self.held[("own", called)] = list(own)
            self.managed[("own", called)] = list(managed)
        path = at.text(properties.get("Path", "/"))
        bounds = self._boundary(at, properties.get("PermissionsBoundary"))
        tags = tuple(
            sorted((at.text(t.get("Key")), at.text(t.get("Value"))) for t in at.mappings(properties.get("Tags")))
        )
        return User(name, stack.name, called, path, tuple(sorted(set(groups))), tags, permissions_boundary=bounds)

    def _role(self, stack: _Stack, name: str, resource: Mapping[str, Any]) -> Role:
        at, properties = _Value(self, stack, name), _properties(resource)
        called = at.name(resource)
        own, managed = self._holds(at, properties, "Roles", called)
        trust = self._document(at, properties.get("AssumeRolePolicyDocument"), resource_policy)
        path = at.text(properties.get("Path", "/"))
        seconds = properties.get("MaxSessionDuration", 3600)
        return Role(
            name,
            stack.name,
            called,
            path,
            at.text(properties.get("Description", "")),
            trust,
            own,
            managed,
            session_seconds=int(seconds) if str(seconds).isdigit() else 3600,
            permissions_boundary=self._boundary(at, properties.get("PermissionsBoundary")),
        )

    def _boundary(self, at: _Value, value: object) -> str | None:
        if value is None:
            return None
        arn = at.text(value)
        if not arn or arn.startswith(_UNKNOWN):
            return None  # not there, or a gap already
        id_ = arn.partition(":iam::aws:policy/")[2]
        if arn in self.by_arn:
            return self.by_arn[arn]
        if id_ and _known(id_):
            if id_ not in self.policies:
                self.policies[id_] = ManagedPolicy(f"Aws{id_}", at.stack.name, id_, "/", managed_policy(id_).policy)
            return id_
        self.gap(at.place, f"the boundary {arn}, which is in none of the templates", arn)
        return None

    def _strange_groups(self, known: set[str], users: list[User]) -> Iterator[Group]:
        """Groups that users are in and no template makes; and those that stand for what a user holds itself."""
        for user in users:
            for group in user.groups:
                if group == f"{user.name}.own":
                    own, managed = self.held[("own", user.name)], self.managed[("own", user.name)]
                    yield Group(group, user.stack, group, "/own/", "", tuple(own), tuple(managed))
                elif group not in known:
                    known.add(group)
                    self.gap(user.name, f"the group {group}, which is in none of the templates", group)
                    yield Group(group, user.stack, group, "/elsewhere/", "", ())


def _properties(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = resource.get("Properties")
    return properties if isinstance(properties, dict) else {}


def _as_team(name: str) -> str:
    """A group by the name of a team. A dot is what the groups of memberships with an end have, and no other."""
    return name if ".until-" in name else name.replace(".", "_")


def _known(id_: str) -> bool:
    try:
        managed_policy(id_)
    except (KeyError, ValueError):
        return False
    return True


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


# --- values ---------------------------------------------------------------------------------------------------------

_NOTHING = object()
"""What AWS::NoValue stands for: as if the property were not there."""
_DYNAMIC = re.compile(r"\{\{resolve:[^}]*\}\}")
_NAMED = re.compile(r"\$\{([^!][^}]*)\}")


class _Value:
    """Values of one resource, with CloudFormation's functions worked out."""

    def __init__(self, reader: _Reader, stack: _Stack, resource: str) -> None:
        self.reader, self.stack, self.resource = reader, stack, resource
        self.place = f"{stack.file}: {resource}"

    def text(self, value: object) -> str:
        """A value that must be a text."""
        worked_out = self.value(value)
        if isinstance(worked_out, str):
            return worked_out
        if worked_out is None or worked_out is _NOTHING:
            return ""
        return str(worked_out) if isinstance(worked_out, int) else self._gap("a text", worked_out)

    def texts(self, value: object) -> list[str]:
        """A value that must be a list of texts; none without one."""
        worked_out = self.value(value)
        if worked_out is None or worked_out is _NOTHING:
            return []
        listed = worked_out if isinstance(worked_out, list) else [worked_out]
        return [one if isinstance(one, str) else self._gap("a text", one) for one in listed]

    def mappings(self, value: object) -> list[dict[str, Any]]:
        """A value that must be a list of mappings; its own values are not worked out yet."""
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("Fn::"):
            self._gap(next(iter(value)), value)
            return []
        listed = value if isinstance(value, list) else []
        whole = [one for one in listed if isinstance(one, dict)]
        for one in whole:
            if len(one) == 1 and next(iter(one)).startswith("Fn::"):
                self._gap(next(iter(one)), one)
        return [one for one in whole if not (len(one) == 1 and next(iter(one)).startswith("Fn::"))]

    def value(self, value: object) -> Any:
        """Any value: mappings and lists of it too. A function that is not known becomes the text of a gap."""
        if self.reader.level >= _MOST_LEVELS:
            return self._gap("a value that leads too far", value)
        self.reader.level += 1
        try:
            return self._worked_out(value)
        finally:
            self.reader.level -= 1

    def _worked_out(self, value: object) -> Any:
        if isinstance(value, list):
            listed = [self.value(one) for one in value]
            return [one for one in listed if one is not _NOTHING]
        if isinstance(value, str):
            return _DYNAMIC.sub(lambda found: self._gap("a dynamic reference", found[0]), value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, inner), *_ = value.items()
            if name in _FUNCTIONS:
                return self._function(name, inner, id(value))
            if name.startswith("Fn::") or (name == "Condition" and isinstance(inner, str)):
                return self._gap(name, [inner, self._conditions_in(inner)])
        pairs = ((key, self.value(inner)) for key, inner in value.items())
        return {key: inner for key, inner in pairs if inner is not _NOTHING}

    def name(self, resource: Mapping[str, Any]) -> str:
        """The physical name of a resource, or its logical id where CloudFormation makes one."""
        given = _properties(resource).get(_NAMES.get(str(resource.get("Type")), ""))
        if given is None:
            return self.resource
        name = self.text(given)
        self.reader.named.add(name)
        return name

    def arn(self, name: str, resource: Mapping[str, Any]) -> str:
        """The ARN of the resource with that logical id."""
        kind = str(resource.get("Type"))
        service = kind.split("::")[1].lower() if kind.count("::") == 2 else "cloudformation"
        other = f"arn:{{partition}}:{service}:{{region}}:{{account}}:{{name}}"
        mine = _Value(self.reader, self.stack, name)
        path = mine.text(_properties(resource).get("Path", "/"))
        return _ARNS.get(kind, other).format(
            partition=PARTITION, account=ACCOUNT, region=self.stack.region, path=path, name=mine.name(resource)
        )

    def _gap(self, what: str, written: object) -> str:
        return self.reader.gap(self.place, what, written)

    def _conditions_in(self, inner: object) -> object:
        """What Fn::If asks, so that another condition under the same name is another gap."""
        name = inner[0] if isinstance(inner, list) and inner else inner
        return self.stack.section("Conditions").get(name) if isinstance(name, str) else None

    def _function(self, name: str, inner: Any, place: int) -> Any:
        """The value of a function; what is asked for while it is worked out already, CloudFormation refuses."""
        if place in self.reader.under_way:
            return self._gap(f"{name} of itself", inner)
        self.reader.under_way.add(place)
        try:
            return _FUNCTIONS[name](self, inner)
        except (KeyError, IndexError, TypeError, ValueError):
            return self._gap(name, inner)
        finally:
            self.reader.under_way.remove(place)

    def _ref(self, inner: Any) -> Any:
        if inner == "AWS::NoValue":
            return _NOTHING
        if inner in ("AWS::Region", "AWS::StackName"):
            return self.stack.region if inner == "AWS::Region" else self.stack.name
        if inner in _PSEUDO:
            return _PSEUDO[inner]
        if inner in self.stack.section("Parameters"):
            return self._gap(f"the parameter {inner}", [inner, self.stack.section("Parameters")[inner]])
        resource = self.stack.resources[inner]
        if resource.get("Type") in _REF_IS_ARN:
            return self.arn(inner, resource)
        return _Value(self.reader, self.stack, inner).name(resource)

    def _get_att(self, inner: Any) -> Any:
        name, attribute = inner.split(".", 1) if isinstance(inner, str) else inner
        resource = self.stack.resources[name]
        if attribute in ("Arn", "TopicArn", "QueueArn", "RoleArn"):
            return self.arn(name, resource)
        return f"{name}.{attribute}"

    def _sub(self, inner: Any) -> str:
        text, own = inner if isinstance(inner, list) else (inner, {})

        def value(found: re.Match[str]) -> str:
            key = found[1].strip()
            if key in own:
                return self.text(own[key])
            made = self._get_att(key) if "." in key else self._ref(key)
            return made if isinstance(made, str) else str(made)

        # What is escaped is a policy variable, for IAM to fill in.
        return _NAMED.sub(value, text).replace("${!", "${")

    def _join(self, inner: Any) -> str:
        separator, parts = inner
        worked_out = self.value(parts)
        if not isinstance(worked_out, list):
            raise TypeError(parts)
        return str(separator).join(map(str, worked_out))

    def _select(self, inner: Any) -> Any:
        index, parts = inner
        worked_out = self.value(parts)
        if not isinstance(worked_out, list):
            raise TypeError(parts)
        return worked_out[int(index)]

    def _split(self, inner: Any) -> list[str]:
        separator, text = inner
        worked_out = self.value(text)
        if not isinstance(worked_out, str) or _UNKNOWN in worked_out:
            raise TypeError(text)
        return worked_out.split(separator)

    def _find_in_map(self, inner: Any) -> Any:
        name, first, second = map(self.text, inner)
        return self.value(self.stack.section("Mappings")[name][first][second])

    def _import(self, inner: Any) -> Any:
        wanted = self.text(inner)
        for stack in self.reader.stacks.values():
            for output in map(_mapping, stack.section("Outputs").values()):
                at = _Value(self.reader, stack, "Outputs")
                if at.text(_mapping(output.get("Export")).get("Name")) == wanted:
                    return at.value(output["Value"])
        raise KeyError(wanted)


_FUNCTIONS: dict[str, Callable[[_Value, Any], Any]] = {
    "Ref": _Value._ref,
    "Fn::GetAtt": _Value._get_att,
    "Fn::Sub": _Value._sub,
    "Fn::Join": _Value._join,
    "Fn::Select": _Value._select,
    "Fn::Split": _Value._split,
    "Fn::FindInMap": _Value._find_in_map,
    "Fn::ImportValue": _Value._import,
}
