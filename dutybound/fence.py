"""The key `guardrails` -> denies that stand whatever a duty grants: where, on what, with which tags, from where.

Each is a statement of its own, and a deny: it takes away and never grants. They are for people and roles; break-glass
users are outside, so that a fence drawn wrong locks nobody out for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from dutybound import catalog
from dutybound.baseline import camel
from dutybound.catalog import Action
from dutybound.config import Guardrails
from dutybound.diagnostic import Diagnostic, Span, Text, did_you_mean, quoted
from dutybound.grant import LOOKING
from dutybound.managed import managed_policy
from dutybound.mfa import MAKE_DEVICE
from dutybound.networks import names_one_inside, network, unseen
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Statement, glob
from dutybound.shorten import shortened


def fence(wanted: Guardrails, prefix: str) -> tuple[Statement, ...]:
    """The denies that hold for people and roles alike: Regions and instance types.

    `prefix` is how the names of the baseline's stacks begin.
    """
    return tuple(_with_origin(wanted, (*_regions(wanted, prefix), *_instance_types(wanted))))


def workload_fence(wanted: Guardrails) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """The same for the roles that teams create: denies for their boundary, and actions that it leaves out whole.

    A boundary is one policy, so what is rare (hosts, reservations, Spot requests) goes whole, whatever its type.
    """
    types = {s.sid: s for s in _instance_types(wanted)}
    kept = [types.pop(sid) for sid in ("OnlyOurTypes", "OnlyToOurTypes", "OnlyOurTypesInGroups") if sid in types]
    left_out = tuple(sorted(action for s in types.values() for action in s.actions))
    return tuple(_with_origin(wanted, (*_region_lock(wanted, ()), *kept))), left_out


def region_lock(wanted: Guardrails) -> tuple[Statement, ...]:
    """The deny for work in other Regions, with no exemption for the baseline's own alarm."""
    return tuple(_with_origin(wanted, _region_lock(wanted, ())))


def instance_types(wanted: Guardrails) -> tuple[Statement, ...]:
    """The denies for EC2 instances of other types."""
    return tuple(_with_origin(wanted, _instance_types(wanted)))


def place(wanted: Guardrails) -> tuple[Statement, ...]:
    """The deny that holds for people alone: where they work from.

    A request through a VPC endpoint has a VPC and no public address: it is denied unless its VPC is listed. One over
    the internet has an address and no VPC: it is denied unless its address is listed. A service that acts for a person
    comes from an address of AWS and says so (`aws:ViaAWSService`): the person's own call was judged before. Source: IAM
    User Guide, "AWS: Denies access to AWS based on the source IP", and "AWS global condition context keys".
    """
    vpcs = tuple(sorted({str(n) for n in wanted.from_ if n.startswith("vpc-")}))
    networks = tuple(sorted({str(made) for n in wanted.from_ if (made := network(n)) is not None}))
    conditions = []
    if networks:
        conditions.append(Condition("NotIpAddressIfExists", "aws:SourceIp", networks))
    if vpcs:
        conditions.append(Condition("StringNotEqualsIfExists", "aws:SourceVpc", vpcs))
    if not conditions:
        return ()
    conditions.append(Condition("BoolIfExists", "aws:ViaAWSService", ("false",)))
    deny = Statement("OnlyFromOurNetworks", "Deny", ("*",), ("*",), conditions=tuple(conditions))
    return (replace(deny, origins=(_origin(wanted, wanted.from_[0].span),)),)


def tags(wanted: Guardrails, statements: Iterable[Statement], managed: Iterable[str]) -> tuple[Statement, ...]:
    """Denies for the creating actions among what a holder is granted, one per tag: nothing is made without it.

    An action is denied on the resource types that the reference says take tags with the request. `managed` are AWS
    managed policies by id. Whoever has AdministratorAccess gets none: denies for all creating actions of AWS take
    more policies than a group can hold, and the baseline's own stacks could not be deployed.
    """
    names = tuple(managed)
    if not wanted.require_tags or "AdministratorAccess" in names:
        return ()
    granted = granted_actions([*statements, *(s for name in names for s in managed_policy(name).policy.statements)])
    made = {action: types for action in granted if (types := _types_to_tag(action)) is not None}
    return tuple(_tag_denies(wanted, made))


def granted_actions(statements: Iterable[Statement]) -> set[Action]:
    """The actions of the reference that statements allow on anything at all; denies are not taken off."""
    return {action for s in statements if s.effect == "Allow" for action in catalog.spoken_of(s)}


# --- Regions --------------------------------------------------------------------------------------------------------

_LOOK_AT_STACKS = (
    "cloudformation:Describe*",
    "cloudformation:Get*",
    "cloudformation:List*",
    "cloudformation:ValidateTemplate",
)
_DEPLOY_ALARM = (
    "cloudformation:*ChangeSet",
    "cloudformation:*Stack",
    "cloudformation:*TerminationProtection",
    "cloudformation:*agResource",
    "cloudformation:ContinueUpdateRollback",
    "events:*Rule",
    "events:*Targets",
    "events:*agResource",
    "events:ListTagsForResource",
)
"""What a deployment of the alarm calls; the same list is left out of one deny and limited to the alarm by the other."""


def _regions(wanted: Guardrails, prefix: str) -> Iterator[Statement]:
    """Work in other Regions is denied, direct or through a service that acts for the caller.

    A service that copies data into another Region for somebody is what a lock on Regions is for, so forwarded requests
    are not left out; Control Tower's control does the same. Left out are the services of `region_exemptions`, and the
    stacks and rules of the break-glass alarm, which stand where AWS logs sign-ins: an administrator deploys them.
    """
    alarm = (
        f"arn:{PARTITION}:cloudformation:*:{ACCOUNT}:stack/{prefix}-break-glass-alarm*",
        # Budgets stand in the partition's first Region; the service itself is among the exemptions.
        f"arn:{PARTITION}:cloudformation:*:{ACCOUNT}:stack/{prefix}-budgets*",
        f"arn:{PARTITION}:events:*:{ACCOUNT}:rule/break-glass-*",
    )
    for lock in _region_lock(wanted, (*_LOOK_AT_STACKS, *_DEPLOY_ALARM)):
        yield lock
        yield replace(
            lock, sid="OnlyTheAlarmElsewhere", not_actions=(), resources=(), actions=_DEPLOY_ALARM, not_resources=alarm
        )


def _region_lock(wanted: Guardrails, besides: tuple[str, ...]) -> Iterator[Statement]:
    if wanted.regions:
        exempt = tuple(sorted([*catalog.region_exemptions(), *besides]))
        ours = tuple(sorted({*map(str, wanted.regions)}))
        elsewhere = (Condition("StringNotEquals", "aws:RequestedRegion", ours),)
        yield Statement("OnlyInOurRegions", "Deny", not_actions=exempt, resources=("*",), conditions=elsewhere)


def _check_regions(wanted: Guardrails, home: Text) -> Iterator[Diagnostic]:
    for region in wanted.regions:
        if region not in catalog.regions():
            hint = did_you_mean(region, catalog.regions())
            yield Diagnostic("unknown-region", f"there is no AWS Region {quoted(region)}", region.span, hint)
        elif home in catalog.regions() and catalog.partition(region) != catalog.partition(home):
            here, there = catalog.partition(home), catalog.partition(region)
            message = f"guardrails.regions: {quoted(region)} is of the partition {there}, the home Region of {here}"
            yield Diagnostic("other-partition", message, region.span, "remove it: no account works in both")
    if wanted.regions and home in catalog.regions() and home not in wanted.regions:
        message = f"guardrails.regions leaves out the home Region {quoted(home)}, where the baseline itself stands"
        yield Diagnostic("home-region-locked", message, wanted.regions[0].span or wanted.span, f"add '{home}'")


# --- instance types -------------------------------------------------------------------------------------------------


def _instance_types(wanted: Guardrails) -> Iterator[Statement]:
    """EC2 instances of other types are neither started nor paid for in another way.

    The keys are those of the reference: `ec2:InstanceType` is the type asked for where an instance, a dedicated host or
    a reserved capacity is made, and the present type where an instance is changed; the new one is then
    `ec2:Attribute/InstanceType` (by the key's description; not tried against AWS). A launch template of an Auto Scaling
    group is judged as a RunInstances of the caller, what overrides it has a key of its own. The two calls for Spot that
    say no type are denied: the fleets and RunInstances do the same and say it. Source: Amazon EC2 Auto Scaling User
    Guide, "Control Amazon EC2 launch template usage in Auto Scaling groups".
    """
    if not wanted.instance_types:
        return
    types = tuple(sorted({*map(str, wanted.instance_types)}))
    other = (Condition("StringNotLike", "ec2:InstanceType", types),)
    instance = _any("ec2", "instance")
    yield Statement("OnlyOurTypes", "Deny", ("ec2:CreateFleet", "ec2:RunInstances"), (instance,), conditions=other)
    # `*` is exact: both actions are about these resources alone.
    reserved = ("ec2:AllocateHosts", "ec2:CreateCapacityReservation")
    yield Statement("OnlyOurTypesReserved", "Deny", reserved, ("*",), conditions=other)
    changed = (
        Condition("Null", "ec2:Attribute/InstanceType", ("false",)),
        Condition("StringNotLike", "ec2:Attribute/InstanceType", types),
    )
    yield Statement("OnlyToOurTypes", "Deny", ("ec2:ModifyInstanceAttribute",), (instance,), conditions=changed)
    overridden = (Condition("ForAnyValue:StringNotLike", "autoscaling:InstanceTypes", types),)
    groups = ("autoscaling:CreateAutoScalingGroup", "autoscaling:UpdateAutoScalingGroup")
    yield Statement("OnlyOurTypesInGroups", "Deny", groups, ("*",), conditions=overridden)
    launched = (Condition("StringNotLike", "autoscaling:InstanceType", types),)
    configuration = ("autoscaling:CreateLaunchConfiguration",)
    yield Statement("OnlyOurTypesInLaunches", "Deny", configuration, ("*",), conditions=launched)
    yield Statement("NoTypelessSpot", "Deny", ("ec2:RequestSpotFleet", "ec2:RequestSpotInstances"), ("*",))


def _any(service: str, type_: str) -> str:
    """Every resource of a type, in a deny: the shortest ARN that matches all of them."""
    format_ = catalog.service(service).types[type_].arn
    parts = format_.split(":", 5)
    filled = [*(re.sub(r".*\$\{.*", "*", part) for part in parts[:5]), re.sub(r"\$\{[^}]*\}", "*", parts[5])]
    return ":".join(filled)


def _check_instance_types(wanted: Guardrails) -> Iterator[Diagnostic]:
    known = catalog.instance_types()
    for pattern in wanted.instance_types:
        hits = sum(glob(pattern).fullmatch(type_) is not None for type_ in known)
        if not hits:
            families = [f"{type_.partition('.')[0]}.*" for type_ in known]
            hint = did_you_mean(pattern, dict.fromkeys([*families, *known]))
            message = f"guardrails.instance_types: no EC2 instance type matches {quoted(pattern)}"
            yield Diagnostic("unknown-instance-type", message, pattern.span, hint or "write it as in 't3.*'")
        elif hits == len(known):
            message = f"guardrails.instance_types: {quoted(pattern)} matches every type, so it fences nothing"
            yield Diagnostic("useless-guardrail", message, pattern.span, "remove the key, or name families")


# --- tags -----------------------------------------------------------------------------------------------------------

_CREATES = re.compile(r"(Allocate|Copy|Create|Purchase|Request|Restore|Run)[A-Z].*")
"""How the names of actions begin that make something new and nothing else. `Put…` and `Import…` also change what is
there, and take no tags then; `Start…` and `Register…` run and enter what is there."""
_MEANT: Mapping[str, tuple[str, ...]] = {
    "ec2:CreateFleet": ("fleet",),
    "ec2:RunInstances": ("instance", "volume"),
}
"""Where the reference names types that come along: a network interface may exist already, and what a fleet starts
carries the tags of its launch template."""


def _types_to_tag(action: Action) -> tuple[str, ...] | None:
    """The resource types of a creating action that take tags (none: whatever it is about), or None for another one."""
    if action.level in LOOKING or not _CREATES.fullmatch(action.name) or action.name == "CreateTags":
        return None
    if str(action) in MAKE_DEVICE:
        return None  # nobody could enrol: the console sends no tags with a device
    types = catalog.tagged_types(action.service).get(action.name.lower())
    if types is None:
        return None
    types = _MEANT.get(str(action), types)
    return () if set(types) == set(action.types) else types


def _tag_denies(wanted: Guardrails, made: Mapping[Action, tuple[str, ...]]) -> Iterator[Statement]:
    by_types: dict[tuple[str, tuple[str, ...]], set[Action]] = {}
    for action, types in made.items():
        by_types.setdefault((action.service if types else "", types), set()).add(action)
    for (service, types), actions in sorted(by_types.items()):
        resources = tuple(sorted(_any(service, type_) for type_ in types)) or ("*",)
        label = camel(service) + "".join(map(camel, types))
        for tag in sorted({*map(str, wanted.require_tags)}):
            # One statement each: several keys under one `Null` are denied only when all are absent.
            yield Statement(
                f"Require{_letters(tag)}{label}",
                "Deny",
                shortened(actions, catalog.RANK),
                resources,
                conditions=(Condition("Null", f"aws:RequestTag/{tag}", ("true",)),),
                origins=(_origin(wanted, wanted.require_tags[0].span),),
            )


def _letters(tag: str) -> str:
    return camel(tag) or "Tag"


def _check_tags(wanted: Guardrails) -> Iterator[Diagnostic]:
    first: dict[str, Text] = {}
    for tag in wanted.require_tags:
        if first.setdefault(tag.casefold(), tag) is not tag:
            message = f"guardrails.require_tags names {quoted(tag)} twice; IAM compares the names of keys without case"
            yield Diagnostic("duplicate-name", message, tag.span, "remove one")


# --- networks -------------------------------------------------------------------------------------------------------


def _check_networks(wanted: Guardrails) -> Iterator[Diagnostic]:
    for text in wanted.from_:
        if not text.startswith("vpc-"):
            yield from _check_network(text)


def _check_network(text: Text) -> Iterator[Diagnostic]:
    named = network(text)
    if named is None:
        message = f"guardrails.from: {quoted(text)} is no network"
        yield Diagnostic("wrong-network", message, text.span, "write it as in '203.0.113.0/24' or '2001:db8::/32'")
    elif named.prefixlen == 0:
        message = f"guardrails.from: {quoted(text)} is the whole internet, so it fences nothing"
        yield Diagnostic("useless-guardrail", message, text.span, "name the networks that people work from")
    elif (why := unseen(named)) is not None:
        what, source = why
        what += f" ({source})" if source else ""
        message = f"guardrails.from: {quoted(text)} is {what}; AWS sees the public address behind it"
        hint = "name the public address of the office or VPN, or the VPC ('vpc-…') whose endpoints are used"
        yield Diagnostic("wrong-network", message, text.span, hint)
    elif names_one_inside(text):
        message = f"guardrails.from: {quoted(text)} has bits set behind its /{named.prefixlen}"
        yield Diagnostic("wrong-network", message, text.span, f"write '{named}'")


# --- checks ---------------------------------------------------------------------------------------------------------


def check(wanted: Guardrails, home: Text) -> Iterator[Diagnostic]:
    """What is wrong with the values of `guardrails`; `home` is the home Region."""
    yield from _check_regions(wanted, home)
    yield from _check_instance_types(wanted)
    yield from _check_tags(wanted)
    yield from _check_networks(wanted)


_KEYS = {
    "OnlyInOurRegions": "regions",
    "OnlyTheAlarmElsewhere": "regions",
    "OnlyFromOurNetworks": "from",
    "Require": "require_tags",
    "Guard": "boundary",
    "Only": "instance_types",
    "NoTypelessSpot": "instance_types",
}
"""The beginnings of Sids, the longer ones first, and the key of `guardrails` that each stands for."""


def key_of(sid: str) -> str:
    """The key of `guardrails` that a deny with this Sid comes from; empty for the Sid of none."""
    return next((key for start, key in _KEYS.items() if sid.startswith(start)), "")


def _with_origin(wanted: Guardrails, statements: Iterable[Statement]) -> Iterator[Statement]:
    firsts = {"regions": wanted.regions, "instance_types": wanted.instance_types}
    for statement in statements:
        texts = firsts.get(key_of(statement.sid), ())
        yield replace(statement, origins=(_origin(wanted, texts[0].span if texts else None),))


def _origin(wanted: Guardrails, at: Span | None) -> Origin:
    return Origin("guardrails", at or wanted.span)
