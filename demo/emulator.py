"""ministack with what it lacks: what Dutybound deploys is either done as AWS does it, or refused.

Run as `python -m demo.emulator`, always as a child of `demo.server.running`. ministack is changed in three places:

* CloudFormation. Only the resource types of `KINDS` exist, each with the properties that were seen to arrive; another
  type or property fails the deployment instead of being dropped. `AWS::IAM::Group`, `AWS::IAM::OIDCProvider`,
  `AWS::Budgets::Budget`, `AWS::Events::EventBusPolicy` and `AWS::SecretsManager::ResourcePolicy` are new, and
  `AWS::AccessAnalyzer::Analyzer` is recorded and does nothing. Around the others stand the checks of AWS
  that ministack leaves out: a name that is taken, a policy, principal or service role that does not exist, a deletion
  while something still hangs on the resource.
* Events. Rules see read-only calls where their state says so, and pass events on to another Region's bus.
* IAM. An update of the password policy resets what it leaves out. Enforcement knows policy variables, the MFA and
  service keys of a request and the paths in the ARNs of users, roles and groups, and ends in an error for
  a condition operator that would otherwise silently not match.

What stays different from AWS: a six-digit code is not compared with the device's seed; `AssumeRole` with a serial
number is not taken as MFA (make an MFA session first); `GetSessionToken` without one may call IAM, so that it can
stand for a console session without MFA; `iam:PassRole`, service control policies and the policies of topics and secrets
are not enforced.
"""

from __future__ import annotations

import contextvars
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions
from ministack.core import iam_evaluator as evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import budgets, eventbridge, iam, secretsmanager, sns, sts
from ministack.services.cloudformation import handlers, helpers, provisioners

from demo import DemoError, require_ministack

MANAGED_POLICIES = "EMULATOR_MANAGED_POLICIES"
"""Environment variable: a JSON file of AWS managed policies, ARN to document, beside the few that ministack knows."""
FOLDER = "EMULATOR_FOLDER"
"""Environment variable: the folder that was made for this run. When set, the emulator ends as soon as its standard
input does, and takes the folder with it: nothing outlives a parent that was killed."""

Properties = Mapping[str, Any]
Made = tuple[str, dict[str, Any]]
"""Physical id and attributes of a resource, as CloudFormation gets them."""
Provisioner = dict[str, Any]
"""ministack's entry for one resource type: `create`, `update`, `delete` and its flags."""


class Refused(ValueError):
    """AWS would not do this. ministack turns a ValueError into a failed resource with this reason."""


# --- CloudFormation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type that may be deployed: its properties, and the checks and repairs around ministack's own work."""

    properties: frozenset[str]
    before_create: Callable[[Properties], None] = lambda _: None
    before_update: Callable[[str, Properties], None] = lambda _id, _: None
    before_delete: Callable[[str, Properties], None] = lambda _id, _: None
    after: Callable[[str, Properties, Properties], None] = lambda _id, _old, _new: None
    """Completes what was created or updated: physical id, properties before (empty on creation), properties now."""


def _call(action: Callable[[Mapping[str, str]], tuple[int, Any, Any]], **params: str) -> None:
    """One IAM API call from within. Raises Refused with IAM's code and message."""
    status, _, body = action(params)
    if status >= 400:
        text = body.decode() if isinstance(body, bytes) else str(body)
        code, message = re.search("<Code>(.*?)</Code>", text), re.search("<Message>(.*?)</Message>", text, re.DOTALL)
        raise Refused(f"{code[1]}: {message[1]}" if code and message else text)


def _strings(value: object) -> tuple[str, ...]:
    """A property that may be one text, a list of texts, or absent."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(v) for v in value) if isinstance(value, list) else ()


def _statements(document: object) -> list[dict[str, Any]]:
    parsed = json.loads(document) if isinstance(document, str) else document
    found = parsed.get("Statement", []) if isinstance(parsed, dict) else []
    return [found] if isinstance(found, dict) else list(found)


def _require_policies(properties: Properties) -> None:
    """IAM attaches no policy, and takes no boundary, that does not exist."""
    for arn in (*_strings(properties.get("ManagedPolicyArns")), *_strings(properties.get("PermissionsBoundary"))):
        if not iam.policy_known(arn):
            raise Refused(f"NoSuchEntity: Policy {arn} does not exist or is not attachable.")


def _require_free(kind: str, name: str | None, taken: Iterable[str]) -> None:
    if name and name in taken:
        raise Refused(f"EntityAlreadyExists: {kind} with name {name} already exists.")


def _require_detached(kind: str, left: Iterable[str], what: str) -> None:
    names = sorted(left)
    if names:
        raise Refused(f"DeleteConflict: Cannot delete the {kind}, it still has {what}: {', '.join(names)}.")


def _beside(record: Mapping[str, Any] | None, properties: Properties) -> set[str]:
    """Policies attached to an entity by somebody other than its template."""
    return set(record.get("AttachedPolicies", []) if record else []) - set(
        _strings(properties.get("ManagedPolicyArns"))
    )


def _create_group(logical_id: str, properties: Properties, stack: str) -> Made:
    name = properties.get("GroupName") or provisioners._physical_name(stack, logical_id, max_len=128)
    _call(iam._create_group, GroupName=name, Path=properties.get("Path") or "/")
    _attach_to_group(name, {}, properties)
    return name, {"Arn": iam._groups[name]["Arn"]}


def _update_group(name: str, old: Properties, new: Properties, stack: str, logical_id: str | None = None) -> Made:
    group = iam._groups[name]
    path = new.get("Path") or "/"
    group["Path"], group["Arn"] = path, f"arn:aws:iam::{get_account_id()}:group{path}{name}"
    _attach_to_group(name, old, new)
    return name, {"Arn": group["Arn"]}


def _delete_group(name: str, properties: Properties) -> None:
    if name in iam._groups:
        _attach_to_group(name, properties, {})
        _call(iam._delete_group, GroupName=name)


def _attach_to_group(name: str, old: Properties, new: Properties) -> None:
    before, after = set(_strings(old.get("ManagedPolicyArns"))), set(_strings(new.get("ManagedPolicyArns")))
    for arn in sorted(before - after):
        iam.detach_managed_policy(iam._groups[name], arn)
    for arn in sorted(after - before):
        _call(iam._attach_group_policy, GroupName=name, PolicyArn=arn)


def _before_group_delete(name: str, properties: Properties) -> None:
    group = iam._groups.get(name)
    if group:
        _require_detached("group", group["Users"], "members")
        _require_detached("group", _beside(group, properties), "policies")


def _create_oidc_provider(logical_id: str, properties: Properties, stack: str) -> Made:
    audiences = _strings(properties.get("ClientIdList"))
    tags = properties.get("Tags") or []
    _call(
        iam._create_oidc_provider,
        Url=properties["Url"],
        **{f"ClientIDList.member.{i}": audience for i, audience in enumerate(audiences, 1)},
        **{f"Tags.member.{i}.{part}": tag[part] for i, tag in enumerate(tags, 1) for part in ("Key", "Value")},
    )
    made = next(arn for arn, record in iam._oidc_providers.items() if record["Url"] == properties["Url"])
    return made, {"Arn": made}


def _update_oidc_provider(arn: str, old: Properties, new: Properties, stack: str) -> Made:
    iam._oidc_providers[arn]["ClientIDList"] = list(_strings(new.get("ClientIdList")))
    iam._oidc_providers[arn]["Tags"] = list(new.get("Tags") or [])
    return arn, {"Arn": arn}


def _delete_oidc_provider(arn: str, _: Properties) -> None:
    iam._oidc_providers.pop(arn, None)


def _before_user_create(properties: Properties) -> None:
    _require_free("User", properties.get("UserName"), iam._users)
    _require_policies(properties)


def _before_user_delete(name: str, properties: Properties) -> None:
    devices = [serial for serial, device in iam._mfa_devices.items() if device.get("User") == name]
    _require_detached("user", devices, "MFA devices")
    member_of = {group for group, record in iam._groups.items() if name in record["Users"]}
    _require_detached("user", member_of - set(_strings(properties.get("Groups"))), "groups")


def _before_policy_create(properties: Properties) -> None:
    taken = {record["PolicyName"] for record in iam._policies.values()}
    _require_free("Policy", properties.get("ManagedPolicyName"), taken)
    _require_valid(properties)


def _require_valid(properties: Properties) -> None:
    document = properties.get("PolicyDocument", {})
    wrong = evaluator.validate_policy_document(document if isinstance(document, str) else json.dumps(document))
    if wrong:
        raise Refused(f"MalformedPolicyDocument: {wrong}")


def _before_policy_delete(arn: str, _: Properties) -> None:
    stores = {"user": iam._users, "group": iam._groups, "role": iam._roles}
    holders = [
        f"{kind} {name}"
        for kind, store in stores.items()
        for name, record in store.items()
        if arn in record.get("AttachedPolicies", []) or arn == record.get("PermissionsBoundary")
    ]
    _require_detached("policy", holders, "entities")


def _before_role_create(properties: Properties) -> None:
    _require_free("Role", properties.get("RoleName"), iam._roles)
    _before_role_update("", properties)


def _before_role_update(_: str, properties: Properties) -> None:
    _require_policies(properties)
    _require_principals(properties.get("AssumeRolePolicyDocument"))


def _require_principals(trust: object) -> None:
    """IAM refuses a trust policy that names a user or role of this account that does not exist."""
    known = {record["Arn"] for store in (iam._users, iam._roles) for record in store.values()}
    own = re.compile(rf"arn:aws:iam::{get_account_id()}:(user|role)/")
    for statement in _statements(trust):
        principal = statement.get("Principal")
        for arn in _strings(principal.get("AWS")) if isinstance(principal, dict) else ():
            if own.match(arn) and arn not in known:
                raise Refused(f"MalformedPolicyDocument: Invalid principal in policy: {arn}")


def _after_role(name: str, _: Properties, new: Properties) -> None:
    """ministack takes a role's boundary through its API only, not from a template."""
    iam._roles[name]["PermissionsBoundary"] = new.get("PermissionsBoundary")


def _before_role_delete(name: str, properties: Properties) -> None:
    _require_detached("role", _beside(iam._roles.get(name), properties), "policies")
    profiles = [profile for profile, record in iam._instance_profiles.items() if name in record["Roles"]]
    _require_detached("role", profiles, "instance profiles")


def _require_roles(properties: Properties) -> None:
    for name in _strings(properties.get("Roles")):
        if name not in iam._roles:
            raise Refused(f"NoSuchEntity: The role with name {name} cannot be found.")


def _before_topic_create(properties: Properties) -> None:
    _require_free("Topic", properties.get("TopicName"), [topic["name"] for topic in sns._topics.values()])


def _require_topics(*arns: str) -> None:
    for arn in arns:
        if arn not in sns._topics:
            raise Refused(f"NotFoundException: Topic {arn} does not exist.")


def _after_topic(arn: str, _: Properties, __: Properties) -> None:
    """An address has to confirm its subscription by the mail it gets: nothing is delivered before."""
    topic = sns._topics[arn]
    for subscription in topic["subscriptions"]:
        if subscription["protocol"].startswith("email"):
            subscription["confirmed"] = False
            subscription["attributes"]["PendingConfirmation"] = "true"
    sns._refresh_subscription_counts(topic)


_STATES = ("ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")


def _before_rule_create(properties: Properties) -> None:
    _require_free("Rule", properties.get("Name"), [rule["Name"] for rule in eventbridge._rules.values()])
    _before_rule_update("", properties)


def _before_rule_update(_: str, properties: Properties) -> None:
    if properties.get("State", "ENABLED") not in _STATES:
        raise Refused(f"ValidationException: State {properties['State']} is not one of {', '.join(_STATES)}.")
    if schedule := properties.get("ScheduleExpression"):
        if not _SCHEDULE.fullmatch(schedule):
            raise Refused(f"ValidationException: Parameter ScheduleExpression is not valid: {schedule}")
        return _require_targets(properties)
    pattern = properties.get("EventPattern", "")
    wrong = eventbridge._event_pattern_error(pattern if isinstance(pattern, str) else json.dumps(pattern))
    if wrong:
        raise Refused(f"InvalidEventPatternException: {wrong}")
    _require_targets(properties)


_SCHEDULE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)|cron\(.+\)")


def _require_targets(properties: Properties) -> None:
    targets = properties.get("Targets") or []
    if len(targets) > 5:
        raise Refused("LimitExceededException: a rule has at most 5 targets.")
    for target in targets:
        _require_target(target)


def _require_target(target: Mapping[str, Any]) -> None:
    """A target has an id, an ARN that EventBridge can reach, and the role that reaching another Region's bus needs."""
    if not target.get("Id"):
        raise Refused(f"ValidationException: the target {target.get('Arn')} has no Id.")
    refused = eventbridge._validate_target_arn(target)
    if refused:
        raise Refused(str(refused[2]))
    role = target.get("RoleArn")
    if role and role not in {record["Arn"] for record in iam._roles.values()}:
        raise Refused(f"ValidationException: the role {role} of target {target['Id']} does not exist.")


def _put_secret_policy(logical_id: str, properties: Properties, stack: str) -> Made:
    document = properties.get("ResourcePolicy") or {}
    request = {"SecretId": properties.get("SecretId"), "ResourcePolicy": json.dumps(document)}
    _json_call(secretsmanager._put_resource_policy, request)
    return str(properties["SecretId"]), {}


def _record_analyzer(logical_id: str, properties: Properties, stack: str) -> Made:
    """An analyzer by its ARN alone: ministack has no Access Analyzer, and nothing here looks for access."""
    name = properties["AnalyzerName"]
    arn = f"arn:aws:access-analyzer:{get_region()}:{get_account_id()}:analyzer/{name}"
    return arn, {"Arn": arn}


def _put_bus_statement(logical_id: str, properties: Properties, stack: str) -> Made:
    bus, sid = properties["EventBusName"], properties["StatementId"]
    _delete_bus_statement(f"{bus}|{sid}", properties)
    policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
    policy["Statement"].append({**properties["Statement"], "Sid": sid})
    return f"{bus}|{sid}", {}


def _delete_bus_statement(name: str, _: Properties) -> None:
    bus, _bar, sid = name.partition("|")
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": sid})


def _require_secret_policy(properties: Properties) -> None:
    document = json.dumps(properties.get("ResourcePolicy") or {})
    if not _statements(document):
        raise Refused("MalformedPolicyDocumentException: This resource policy contains invalid Json.")
    if len(document) > 20480:
        raise Refused("MalformedPolicyDocumentException: The resource policy is too long.")


def _json_call(action: Callable[[dict[str, Any]], tuple[int, Any, Any]], request: dict[str, Any]) -> None:
    """One call of a JSON service from within. Raises Refused with its code and message."""
    status, _, body = action(request)
    if status >= 400:
        answer = json.loads(body)
        raise Refused(f"{str(answer.get('__type', '')).rsplit('#')[-1]}: {answer.get('message', answer)}")


def _create_budget(logical_id: str, properties: Properties, stack: str) -> Made:
    budget = {"BudgetName": provisioners._physical_name(stack, logical_id)} | json.loads(
        json.dumps(properties["Budget"])
    )
    unit, known = budget.get("BudgetLimit", {}).get("Unit"), "CNY" if get_region().startswith("cn-") else "USD"
    if unit != known:
        raise Refused(f"Unable to create/update budget - {unit} is not in the supported unit set: [{known}]")
    request = {
        "AccountId": get_account_id(),
        "Budget": budget,
        "NotificationsWithSubscribers": json.loads(json.dumps(properties.get("NotificationsWithSubscribers") or [])),
        "ResourceTags": list(properties.get("ResourceTags") or []),
    }
    _json_call(budgets._create_budget, request)
    return str(budget["BudgetName"]), {}


def _update_budget(name: str, old: Properties, new: Properties, stack: str, logical_id: str | None = None) -> Made:
    """Name and notifications are replaced, the new before the old is gone; the rest changes in place."""
    named = new["Budget"].get("BudgetName", name)
    if named != name or new.get("NotificationsWithSubscribers") != old.get("NotificationsWithSubscribers"):
        made = _create_budget(logical_id or name, new, stack)
        provisioners._delete_predecessor(_delete_budget, name, old)
        return made
    wanted = {"BudgetName": name} | json.loads(json.dumps(new["Budget"]))
    _json_call(budgets._update_budget, {"AccountId": get_account_id(), "NewBudget": wanted})
    return name, {}


def _delete_budget(name: str, _: Properties) -> None:
    budgets._delete_budget({"AccountId": get_account_id(), "BudgetName": name})


_TAGS = frozenset({"Tags"})
KINDS: Mapping[str, Kind] = {
    "AWS::IAM::Group": Kind(
        properties=frozenset({"GroupName", "Path", "ManagedPolicyArns"}),
        before_create=_require_policies,
        before_update=lambda _, new: _require_policies(new),
        before_delete=_before_group_delete,
    ),
    "AWS::IAM::User": Kind(
        properties=_TAGS | {"UserName", "Path", "Groups", "ManagedPolicyArns", "PermissionsBoundary", "LoginProfile"},
        before_create=_before_user_create,
        before_update=lambda _, new: _require_policies(new),
        before_delete=_before_user_delete,
    ),
    "AWS::IAM::ManagedPolicy": Kind(
        properties=frozenset({"ManagedPolicyName", "Path", "Description", "PolicyDocument"}),
        before_create=_before_policy_create,
        before_update=lambda _, new: _require_valid(new),
        before_delete=_before_policy_delete,
    ),
    "AWS::IAM::Role": Kind(
        properties=_TAGS
        | {"RoleName", "Path", "Description", "AssumeRolePolicyDocument", "ManagedPolicyArns", "MaxSessionDuration"}
        | {"PermissionsBoundary", "Policies"},
        before_create=_before_role_create,
        before_update=_before_role_update,
        before_delete=_before_role_delete,
        after=_after_role,
    ),
    "AWS::IAM::InstanceProfile": Kind(
        properties=frozenset({"InstanceProfileName", "Path", "Roles"}),
        before_create=_require_roles,
        before_update=lambda _, new: _require_roles(new),
    ),
    "AWS::IAM::OIDCProvider": Kind(properties=_TAGS | {"Url", "ClientIdList"}),
    "AWS::SNS::Topic": Kind(
        properties=_TAGS | {"TopicName", "DisplayName", "Subscription"},
        before_create=_before_topic_create,
        after=_after_topic,
    ),
    "AWS::SNS::Subscription": Kind(
        properties=frozenset({"TopicArn", "Protocol", "Endpoint"}),
        before_create=lambda new: _require_topics(new.get("TopicArn", "")),
        after=lambda _, old, new: _after_topic(new["TopicArn"], old, new),
    ),
    "AWS::SNS::TopicPolicy": Kind(
        properties=frozenset({"Topics", "PolicyDocument"}),
        before_create=lambda new: _require_topics(*_strings(new.get("Topics"))),
        before_update=lambda _, new: _require_topics(*_strings(new.get("Topics"))),
    ),
    "AWS::Events::Rule": Kind(
        properties=_TAGS
        | {"Name", "Description", "EventBusName", "EventPattern", "State", "Targets", "RoleArn"}
        | {"ScheduleExpression"},
        before_create=_before_rule_create,
        before_update=_before_rule_update,
    ),
    "AWS::SecretsManager::Secret": Kind(
        properties=_TAGS | {"Name", "Description", "GenerateSecretString"},
        before_create=lambda new: _require_free("Secret", new.get("Name"), secretsmanager._secrets),
    ),
    "AWS::SecretsManager::ResourcePolicy": Kind(
        properties=frozenset({"SecretId", "ResourcePolicy", "BlockPublicPolicy"}),
        before_create=_require_secret_policy,
        before_update=lambda _, new: _require_secret_policy(new),
    ),
    "AWS::AccessAnalyzer::Analyzer": Kind(properties=_TAGS | {"AnalyzerName", "Type", "AnalyzerConfiguration"}),
    "AWS::Events::EventBusPolicy": Kind(properties=frozenset({"EventBusName", "StatementId", "Statement"})),
    "AWS::Budgets::Budget": Kind(properties=frozenset({"Budget", "NotificationsWithSubscribers", "ResourceTags"})),
    # The bucket of stacks/bootstrap.yaml, through which the CDK CLI hands over templates above 50 KiB.
    "AWS::S3::Bucket": Kind(
        properties=_TAGS
        | {"BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls", "LifecycleConfiguration"}
    ),
    "AWS::CDK::Metadata": Kind(properties=frozenset({"Analytics"})),
}
"""Every resource type that can be deployed here, and nothing else."""


def _guarded(kind: str, rules: Kind, inner: Provisioner) -> Provisioner:
    """ministack's provisioner for one type with the rules of `Kind` around it."""
    takes_logical_id = inner.get("update_with_logical_id", False)

    def known(properties: Properties) -> None:
        surplus = sorted(set(properties) - rules.properties)
        if surplus:
            raise Refused(f"{kind}: the emulator would drop {', '.join(surplus)}: teach demo/emulator.py first")

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        known(properties)
        rules.before_create(properties)
        made: Made = inner["create"](logical_id, properties, stack)
        rules.after(made[0], {}, properties)
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str | None = None) -> Made:
        known(new)
        rules.before_update(physical_id, new)
        rest = (logical_id,) if takes_logical_id else ()
        made: Made = inner["update"](physical_id, old, new, stack, *rest)
        rules.after(made[0], old, new)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        rules.before_delete(physical_id, properties)
        inner["delete"](physical_id, properties)

    out: Provisioner = {"create": create, "delete": delete}
    return out | ({"update": update, "update_with_logical_id": True} if "update" in inner else {})


def _install_types() -> None:
    """Leave ministack exactly the types of `KINDS`, each one guarded."""
    types = provisioners._RESOURCE_HANDLERS
    types["AWS::IAM::Group"] = {
        "create": _create_group,
        "update": _update_group,
        "update_with_logical_id": True,
        "delete": _delete_group,
    }
    types["AWS::SecretsManager::ResourcePolicy"] = {
        "create": _put_secret_policy,
        "update": lambda _id, _old, new, stack, logical_id=None: _put_secret_policy(logical_id or "", new, stack),
        "update_with_logical_id": True,
        "delete": lambda name, _: secretsmanager._delete_resource_policy({"SecretId": name}) and None,
    }
    types["AWS::AccessAnalyzer::Analyzer"] = {
        "create": _record_analyzer,
        "update": lambda name, _old, _new, _stack: (name, {"Arn": name}),
        "delete": lambda _name, _properties: None,
    }
    provisioners._REPLACING_PROPERTIES["AWS::AccessAnalyzer::Analyzer"] = ("AnalyzerName", "Type")
    types["AWS::Events::EventBusPolicy"] = {
        "create": _put_bus_statement,
        "update": lambda _name, _old, new, stack: _put_bus_statement("", new, stack),
        "delete": _delete_bus_statement,
    }
    types["AWS::Budgets::Budget"] = {
        "create": _create_budget,
        "update": _update_budget,
        "update_with_logical_id": True,
        "delete": _delete_budget,
    }
    provisioners._REPLACING_PROPERTIES["AWS::IAM::Group"] = ("GroupName",)
    types["AWS::IAM::OIDCProvider"] = {
        "create": _create_oidc_provider,
        "update": _update_oidc_provider,
        "delete": _delete_oidc_provider,
    }
    provisioners._REPLACING_PROPERTIES["AWS::IAM::OIDCProvider"] = ("Url",)
    guarded = {kind: _guarded(kind, rules, types[kind]) for kind, rules in KINDS.items()}
    types.clear()
    types.update(guarded)


def _install_service_role() -> None:
    """CloudFormation works with the service role that it is given, or not at all: ministack does not look at it."""

    def guarded(action: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(params: Any) -> Any:
            role = helpers._p(params, "RoleARN")
            if role and role not in {record["Arn"] for record in iam._roles.values()}:
                return helpers._error("ValidationError", f"Role {role} is invalid or cannot be assumed")
            return action(params)

        return answer

    for name in ("CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet"):
        handlers._ACTION_HANDLERS[name] = guarded(handlers._ACTION_HANDLERS[name])


def _install_subscriptions() -> None:
    """A list of subscriptions shows no ARN for one that nobody has confirmed."""
    listed = sns._list_subscriptions_by_topic

    def answer(params: Any) -> Any:
        status, headers, body = listed(params)
        topic = sns._topics.get(sns._p(params, "TopicArn"))
        for subscription in topic["subscriptions"] if topic else ():
            if not subscription["confirmed"]:
                body = body.replace(subscription["arn"].encode(), b"PendingConfirmation")
        return status, headers, body

    sns._list_subscriptions_by_topic = answer


def _install_password_policy() -> None:
    """`UpdateAccountPasswordPolicy` has no partial update: what a call leaves out falls back to its default."""
    update, limits = iam._update_account_password_policy, {"MaxPasswordAge": 1095, "PasswordReusePrevention": 24}

    def replaced(params: Any) -> Any:
        for name, most in limits.items():
            given = iam._p(params, name, "")
            if given and not 1 <= int(given) <= most:
                return iam._error(400, "ValidationError", f"{name} is not between 1 and {most}", ns="iam")
        iam._account_password_policy["policy"] = {"MinimumPasswordLength": 6}
        return update(params)

    iam._IAM_HANDLERS["UpdateAccountPasswordPolicy"] = replaced


# --- events ---------------------------------------------------------------------------------------------------------

_ALL_EVENTS = _STATES[-1]


def _install_events() -> None:
    """Rules in the state that takes read-only calls as well, and the way from one Region's bus to another's."""
    dispatch, to_bus = eventbridge._dispatch_event, eventbridge._dispatch_to_event_bus

    def dispatched(event: dict[str, Any], view: Any = None) -> None:
        dispatch(event, view)
        view = view or eventbridge._pattern_event_view(event)
        bus, passed = event.get("EventBusName", "default"), event.get("_DispatchPath") or ()
        waiting = [
            (key, rule)
            for key, rule in eventbridge._rules.items()
            if rule["State"] == _ALL_EVENTS and rule["EventBusName"] == bus and key not in passed
        ]
        for key, rule in waiting:
            if eventbridge._matches_pattern_view(rule["EventPattern"], view, key):
                for target in eventbridge._targets.get(key, []):
                    _invoke(target, event, rule, view)

    def to_any_bus(spec: Any, event: dict[str, Any], rule: Any, path: Any, payload: Any) -> None:
        account = get_account_id()
        if spec.region == get_region() or spec.account_id != account:
            to_bus(spec, event, rule, path, payload)
        elif not event.get("_FromAfar"):  # an event crosses from Region to Region once
            with request_scope(account, spec.region):
                eventbridge._ensure_default_bus()
                bus = spec.resource.split("/", 1)[1]
                # The path is left behind: the same rule may stand, by its name, on both sides.
                eventbridge._dispatch_event({**event, "EventBusName": bus, "_DispatchPath": [], "_FromAfar": True})

    eventbridge._dispatch_event, eventbridge._dispatch_to_event_bus = dispatched, to_any_bus


def _invoke(target: Mapping[str, Any], event: dict[str, Any], rule: Any, view: Any) -> None:
    """Hand an event to one target; to a bus only as far as the target's role may put events there."""
    role = str(target.get("RoleArn", "")).rsplit("/", 1)[-1]
    if role:
        policies = evaluator._gather_role_policies(role, get_account_id())
        request = evaluator.EvalContext(
            principal_arn=target["RoleArn"],
            principal_type="AssumedRole",
            principal_account=get_account_id(),
            action="events:PutEvents",
            resource_arn=target["Arn"],
            region=get_region(),
        )
        if evaluator.evaluate(request, policies).decision != "Allow":
            return
    eventbridge._invoke_target(target, event, rule, view)


# --- IAM enforcement ------------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_with_mfa: contextvars.ContextVar[bool] = contextvars.ContextVar("with_mfa", default=False)


def _filled(values: Iterable[str], context: Any) -> list[str]:
    """Policy texts with their variables filled in. One whose variable has no value can match nothing: it is left out.

    Raises Refused for `${*}` and its like, which ministack's matcher has no way to express.
    """
    texts = list(values)
    known = {name: _variable(name, context) for text in texts for name in _VARIABLE.findall(text)}
    complete = [text for text in texts if all(known[name] is not None for name in _VARIABLE.findall(text))]
    return [_VARIABLE.sub(lambda match: str(known[match[1]]), text) for text in complete]


def _variable(text: str, context: Any) -> str | None:
    key, comma, default = text.partition(",")
    if key.strip() in ("*", "?", "$"):
        raise Refused(f"the emulator cannot match the policy variable ${{{text}}}")
    value = evaluator._resolve_condition_key(key.strip(), context)
    if isinstance(value, str):
        return value
    return default.strip().strip("'") if comma else None


_MATCHES_NOTHING = ["\0"]


def _install_variables() -> None:
    """Policy variables in resources and conditions; an operator that ministack does not know is an error."""
    first_match, conditions_met = evaluator._first_match, evaluator._conditions_met
    operators = {*evaluator._CONDITION_OPS, "null"}

    def resources(values: list[str], context: Any) -> list[str]:
        # An empty list would mean "no Resource element", which matches everything.
        return _filled(values, context) or (_MATCHES_NOTHING if values else [])

    def matching(context: Any, statements: Iterable[Any], effect: str) -> Any:
        filled = [
            replace(s, resources=resources(s.resources, context), not_resources=resources(s.not_resources, context))
            for s in statements
        ]
        return first_match(context, filled, effect)

    def met(conditions: Mapping[str, Mapping[str, Any]], context: Any) -> bool:
        filled: dict[str, dict[str, list[str]]] = {}
        for operator, block in (conditions or {}).items():
            plain = operator.lower().removesuffix("ifexists").split(":")[-1]
            if plain not in operators:
                raise Refused(f"the emulator does not know the condition operator {operator}")
            for key, values in block.items():
                texts = values if isinstance(values, list) else [values]
                filled.setdefault(operator, {})[key] = _filled(map(_text, texts), context)
        return bool(conditions_met(filled, context))

    evaluator._first_match, evaluator._conditions_met = matching, met


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _install_request_keys() -> None:
    """The context of a request as AWS describes it: MFA, calls by services, transport, the ARN behind a session."""
    principal_keys, resolve = evaluator._principal_keys, evaluator._resolve_condition_key

    def keys(credential: Any) -> dict[str, Any]:
        out: dict[str, Any] = principal_keys(credential)
        # Nothing that a person calls here is a service's call on their behalf.
        out |= {"aws:viaawsservice": "false", "aws:principalisawsservice": "false"}
        session = sts._sessions.get(credential.access_key_id)
        # A long-term key says nothing about MFA, and neither does a role's session.
        out.pop("aws:multifactorauthpresent", None)
        if session is not None and credential.principal_type != "AssumedRole":
            out["aws:multifactorauthpresent"] = "true" if session.get("MFA") else "false"
            if session.get("MFA"):
                out["aws:multifactorauthage"] = str(int(time.time() - session["IssuedAt"]))
        return out

    def condition_key(key: str, context: Any) -> Any:
        folded = key.lower()
        if folded == "aws:securetransport":
            return "true"  # the loopback stands for the TLS endpoints of AWS
        if folded == "aws:principalarn" and context.principal_type == "AssumedRole":
            role = iam._roles.get(evaluator._role_name_from_assumed_arn(context.principal_arn))
            return role["Arn"] if role else context.principal_arn
        return resolve(key, context)

    evaluator._principal_keys = sts._principal_keys = keys
    evaluator._resolve_condition_key = condition_key


def _install_mfa_sessions() -> None:
    """`GetSessionToken` with the serial number of one's own device gives an MFA session; with another's, nothing."""
    handle, register = sts.handle_request, sts.register_session

    async def answer(method: str, path: str, headers: Any, body: bytes, query_params: Any) -> Any:
        params = {**query_params, **parse_qs((body or b"").decode("utf-8", "replace"))}
        serial = params.get("SerialNumber", [""])[0] if params.get("Action") == ["GetSessionToken"] else ""
        if serial and not _proves_mfa(serial, params.get("TokenCode", [""])[0], headers, query_params):
            message = "MultiFactorAuthentication failed with invalid MFA one time pass code."
            return sts._error(403, "AccessDenied", message, ns="sts")
        token = _with_mfa.set(bool(serial))
        try:
            return await handle(method, path, headers, body, query_params)
        finally:
            _with_mfa.reset(token)

    def remember(access_key: str, session: dict[str, Any]) -> None:
        register(access_key, {**session, "MFA": True} if _with_mfa.get() else session)

    sts.handle_request, sts.register_session = answer, remember


def _proves_mfa(serial: str, code: str, headers: Any, query_params: Any) -> bool:
    caller = evaluator.resolve_credential(extract_access_key_id(headers, query_params) or "", get_account_id())
    device = iam._mfa_devices.get(serial)
    owner = device.get("User") if device else None
    return owner is not None and owner == getattr(caller, "principal_name", None) and bool(re.fullmatch(r"\d{6}", code))


_ENTITIES = (
    ("RoleName", "role", iam._roles),
    ("UserName", "user", iam._users),
    ("GroupName", "group", iam._groups),
    ("InstanceProfileName", "instance-profile", iam._instance_profiles),
)
_ON_ONESELF = {"GetUser", "ChangePassword", "ListMFADevices", "ListAccessKeys", "CreateAccessKey", "DeleteAccessKey"}
_ON_OTHER = {
    "AddUserToGroup": "GroupName",
    "RemoveUserFromGroup": "GroupName",
    "AddRoleToInstanceProfile": "InstanceProfileName",
    "RemoveRoleFromInstanceProfile": "InstanceProfileName",
}
"""Actions that name two entities and are judged on this one."""


def _iam_resource(params: Mapping[str, Any]) -> str:
    """The ARN that an IAM request is judged on, with its path: ministack leaves every path out."""

    def given(name: str) -> str:
        value = params.get(name, "")
        return str(value[0] if isinstance(value, list) and value else value or "")

    action, account = given("Action"), get_account_id()
    fields = [entity for entity in _ENTITIES if _ON_OTHER.get(action, entity[0]) == entity[0]]
    for field, kind, store in fields:
        name = given(field)
        if name:
            record = store.get(name)
            return str(record["Arn"]) if record else f"arn:aws:iam::{account}:{kind}{given('Path') or '/'}{name}"
    if given("VirtualMFADeviceName"):
        return f"arn:aws:iam::{account}:mfa{given('Path') or '/'}{given('VirtualMFADeviceName')}"
    if action == "CreatePolicy":
        return f"arn:aws:iam::{account}:policy{given('Path') or '/'}{given('PolicyName')}"
    if action in _ON_ONESELF:
        return str(evaluator.caller_arn())
    return given("PolicyArn") or given("SerialNumber") or given("OpenIDConnectProviderArn") or "*"


_PARTS_OF_A_SERVER = ("instance", "network-interface", "security-group", "subnet", "volume")


def _install_resources() -> None:
    """Requests are judged on the resources that AWS judges them on: IAM's with their paths, all parts of a server."""
    extract, enforce = iam_actions.extract_resource_arn, evaluator.enforce

    def resource(
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        if service == "iam":
            return _iam_resource(params)
        return str(extract(service, method, path, headers, body, params, region, account))

    def judge(
        access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        arns = [resource_arn]
        if action == "ec2:RunInstances":
            image = f"arn:aws:ec2:{region}::image/{resource_arn.rsplit('/', 1)[-1]}"
            arns = [f"arn:aws:ec2:{region}:{get_account_id()}:{part}/*" for part in _PARTS_OF_A_SERVER] + [image]
        answers = (enforce(access_key, action, service, region, arn, service_context) for arn in arns)
        return next((refused for refused in answers if refused), None)

    iam_actions.extract_resource_arn, evaluator.enforce = resource, judge


# --- the process ----------------------------------------------------------------------------------------------------


def install() -> None:
    """Change the ministack of this process. Raises DemoError unless it is the pinned version."""
    require_ministack()
    _install_types()
    _install_service_role()
    _install_password_policy()
    _install_subscriptions()
    _install_events()
    _install_variables()
    _install_request_keys()
    _install_mfa_sessions()
    _install_resources()
    app._collect_scripts = lambda *_: []  # scripts that lie about on this machine are not part of the account


def _publish_managed_policies(path: Path) -> None:
    """Let AWS own these policies. The file is ours (`demo.server`): ARN to policy document."""
    for arn, document in json.loads(path.read_text("utf-8")).items():
        name = arn.removeprefix(iam._AWS_MANAGED_POLICY_PREFIX)
        iam._aws_managed_policies[arn] = iam._make_aws_managed_record(name, json.dumps(document))


def _stop_with_parent(folder: Path) -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=wait, daemon=True, name="parent").start()


def _stay_on_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every bind and every connection beyond this machine: ministack opens ports of its own accord, and some of
    its services call out. Raises PermissionError.
    """
    if event in ("socket.bind", "socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name not in ("127.0.0.1", "::1", "localhost"):
        raise PermissionError(f"the emulator stays on this machine: {event} {name or 'everywhere'}")


def main() -> None:
    """Serve until stopped; address, account and Region come from ministack's environment variables."""
    try:
        install()
    except DemoError as error:
        raise SystemExit(f"error: {error}") from None
    if MANAGED_POLICIES in os.environ:
        _publish_managed_policies(Path(os.environ[MANAGED_POLICIES]))
    if FOLDER in os.environ:
        _stop_with_parent(Path(os.environ[FOLDER]))
    sys.addaudithook(_stay_on_loopback)
    app.main()


if __name__ == "__main__":
    main()
