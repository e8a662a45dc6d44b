"""What an account should hold according to a baseline, and what it does hold according to its own APIs.

Both are the same plain shape, kind to name to facts, so that equality is the whole test and a difference reads well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from demo.server import Emulator
from dutybound.baseline import Account, Baseline, Budget, Role, Rule, Schedule
from dutybound.break_glass import NOT_IN_PASSWORDS
from dutybound.policy import Document, Policy, filled

Holdings: TypeAlias = dict[str, dict[str, dict[str, Any]]]
ALL_EVENTS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
"""The state of a rule that also sees read-only calls, such as AssumeRole."""
_OF_AWS = "arn:aws:iam::aws:policy/"


def expected(baseline: Baseline, account: Account, account_id: str) -> Holdings:
    """What deploying this account of the baseline makes of an empty account."""
    tags = dict(baseline.tags)
    roles = (*account.roles, *((account.alarm.forwarder,) if account.alarm else ()))
    return {
        "policies": {
            policy.name: {"path": policy.path, "document": document(policy.policy, account_id)}
            for policy in account.policies
        },
        "groups": {
            group.name: {
                "path": group.path,
                "members": sorted(user.name for user in account.users if group.name in user.groups),
                "policies": _attached(group.policies, group.managed),
                "inline": [],
            }
            for group in account.groups
        },
        "users": {
            user.name: {
                "path": user.path,
                "tags": tags | dict(user.tags),
                "boundary": user.permissions_boundary or "",
                "policies": [],
                "inline": [],
                "credentials": ["password"] if user.secret else [],
            }
            for user in account.users
        },
        "secrets": {
            secret.name: {
                "description": secret.description,
                "policy": document(secret.policy, account_id),
                "length": secret.length,
                "without": "",
                "tags": tags,
            }
            for secret in account.secrets
        },
        "budgets": {budget.name: _expected_budget(budget, tags) for budget in account.budgets},
        "roles": {role.name: _expected_role(role, tags, account_id) for role in roles},
        "identity providers": {
            provider.url.removeprefix("https://"): {"audiences": sorted(provider.audiences), "tags": tags}
            for provider in account.identity_providers
        },
        **_expected_alarm(account, tags, account_id),
    }


def document(policy: Policy, account_id: str) -> Document:
    """A policy as it stands in the account: partition and account id filled in."""
    made: Document = json.loads(filled(policy.text(), account_id))
    return made


def _attached(own: Iterable[str], of_aws: Iterable[str]) -> list[str]:
    return sorted([*own, *(f"{id_} (AWS)" for id_ in of_aws)])


def _expected_role(role: Role, tags: Mapping[str, str], account_id: str) -> dict[str, Any]:
    return {
        "path": role.path,
        "description": role.purpose,
        "trust": document(role.trust, account_id),
        "seconds": role.session_seconds,
        "boundary": role.permissions_boundary or "",
        "policies": _attached(role.policies, role.managed),
        "inline": [],
        "profiles": int(role.instance_profile is not None),
        "tags": dict(tags),
    }


def _expected_alarm(account: Account, tags: Mapping[str, str], account_id: str) -> Holdings:
    alarm = account.alarm
    if alarm is None:
        return {"topics": {}, "rules": {}, "event bus policies": {}}
    region_of = {stack.name: stack.region for stack in account.stacks}
    topics = {}
    if alarm.topic is not None:
        topics[f"{region_of[alarm.topic.stack]} {alarm.topic.name}"] = {
            "addresses": sorted(alarm.topic.addresses),
            "policy": document(alarm.topic.policy, account_id),
            "tags": dict(tags),
        }
    rules = {f"{region_of[rule.stack]} {rule.name}": _expected_rule(rule, tags, account_id) for rule in alarm.rules}
    if alarm.drill:
        name = f"{region_of[alarm.drill.stack]} {alarm.drill.name}"
        rules[name] = _expected_schedule(alarm.drill, tags, account_id)
    return {"topics": topics, "rules": rules, "event bus policies": _expected_buses(account, account_id)}


def _expected_buses(account: Account, account_id: str) -> dict[str, dict[str, Any]]:
    if account.alarm is None or (bus := account.alarm.bus) is None:
        return {}
    region = next(stack.region for stack in account.stacks if stack.name == bus.stack)
    return {f"{region} default": {"policy": document(bus.policy, account_id)}}


def _expected_budget(budget: Budget, tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        "limit": f"{budget.limit:g} {budget.currency}",
        "alerts": {str(percent): list(budget.addresses) for percent in budget.alert_at},
        "tags": dict(tags),
    }


def _expected_rule(rule: Rule, tags: Mapping[str, str], account_id: str) -> dict[str, Any]:
    return {
        "description": rule.description,
        "pattern": json.loads(rule.pattern),
        "every": "",
        "state": ALL_EVENTS,
        "targets": [[filled(rule.target, account_id), filled(rule.role or "", account_id), ""]],
        "tags": dict(tags),
    }


def _expected_schedule(schedule: Schedule, tags: Mapping[str, str], account_id: str) -> dict[str, Any]:
    return {
        "description": schedule.description,
        "pattern": None,
        "every": schedule.every,
        "state": "ENABLED",
        "targets": [[filled(schedule.target, account_id), "", json.dumps(schedule.text)]],
        "tags": dict(tags),
    }


def observed(emulator: Emulator, regions: Iterable[str]) -> Holdings:
    """What the account holds now, by its own APIs."""
    iam = emulator.client("iam")
    places = sorted(set(regions))
    return {
        "policies": {p["PolicyName"]: _policy(iam, p) for p in _pages(iam, "list_policies", "Policies", Scope="Local")},
        "groups": {g["GroupName"]: _group(iam, g) for g in _pages(iam, "list_groups", "Groups")},
        "users": {u["UserName"]: _user(iam, u["UserName"]) for u in _pages(iam, "list_users", "Users")},
        "roles": {r["RoleName"]: _role(iam, r["RoleName"]) for r in _pages(iam, "list_roles", "Roles")},
        "identity providers": dict(_identity_providers(iam)),
        "secrets": dict(_secrets(emulator)),
        "budgets": dict(_budgets(emulator)),
        "topics": {f"{place} {name}": facts for place in places for name, facts in _topics(emulator, place)},
        "rules": {f"{place} {name}": facts for place in places for name, facts in _rules(emulator, place)},
        "event bus policies": dict(_buses(emulator, places)),
    }


def _pages(client: Any, call: str, key: str, **params: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator(call).paginate(**params)
    return [item for page in pages for item in page[key]]


def _policy(iam: Any, policy: Mapping[str, Any]) -> dict[str, Any]:
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    return {"path": policy["Path"], "document": version["Document"]}


def _group(iam: Any, group: Mapping[str, Any]) -> dict[str, Any]:
    name = group["GroupName"]
    return {
        "path": group["Path"],
        "members": sorted(user["UserName"] for user in _pages(iam, "get_group", "Users", GroupName=name)),
        "policies": _names(_pages(iam, "list_attached_group_policies", "AttachedPolicies", GroupName=name)),
        "inline": _pages(iam, "list_group_policies", "PolicyNames", GroupName=name),
    }


def _user(iam: Any, name: str) -> dict[str, Any]:
    user = iam.get_user(UserName=name)["User"]
    keys = _pages(iam, "list_access_keys", "AccessKeyMetadata", UserName=name)
    return {
        "path": user["Path"],
        "tags": _tags(user),
        "boundary": user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "").rpartition("/")[2],
        "policies": _names(_pages(iam, "list_attached_user_policies", "AttachedPolicies", UserName=name)),
        "inline": _pages(iam, "list_user_policies", "PolicyNames", UserName=name),
        "credentials": [*(key["AccessKeyId"] for key in keys), *(["password"] if _has_password(iam, name) else [])],
    }


def _has_password(iam: Any, name: str) -> bool:
    try:
        iam.get_login_profile(UserName=name)
    except iam.exceptions.NoSuchEntityException:
        return False
    return True


def _role(iam: Any, name: str) -> dict[str, Any]:
    role = iam.get_role(RoleName=name)["Role"]
    return {
        "path": role["Path"],
        "description": role.get("Description", ""),
        "trust": role["AssumeRolePolicyDocument"],
        "seconds": role["MaxSessionDuration"],
        "boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "").rpartition("/")[2],
        "policies": _names(_pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=name)),
        "inline": _pages(iam, "list_role_policies", "PolicyNames", RoleName=name),
        "profiles": len(_pages(iam, "list_instance_profiles_for_role", "InstanceProfiles", RoleName=name)),
        "tags": _tags(role),
    }


def _identity_providers(iam: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """OpenID Connect providers by their issuer, which AWS keeps without https://."""
    for listed in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
        provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=listed["Arn"])
        issuer = provider["Url"].removeprefix("https://")
        yield issuer, {"audiences": sorted(provider["ClientIDList"]), "tags": _tags(provider)}


def _tags(entity: Mapping[str, Any]) -> dict[str, str]:
    """The tags that the configuration asks for; CloudFormation adds some of its own."""
    return {t["Key"]: t["Value"] for t in entity.get("Tags", []) if not t["Key"].startswith("aws:cloudformation:")}


def _names(attached: Iterable[Mapping[str, str]]) -> list[str]:
    own = [p["PolicyName"] for p in attached if not p["PolicyArn"].startswith(_OF_AWS)]
    arns = [p["PolicyArn"] for p in attached]
    return _attached(own, [arn.removeprefix(_OF_AWS) for arn in arns if arn.startswith(_OF_AWS)])


def _topics(emulator: Emulator, region: str) -> Iterator[tuple[str, dict[str, Any]]]:
    sns = emulator.client("sns", region)
    for topic in _pages(sns, "list_topics", "Topics"):
        arn = topic["TopicArn"]
        subscriptions = _pages(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn)
        yield (
            arn.rsplit(":", 1)[-1],
            {
                "addresses": sorted(s["Endpoint"] for s in subscriptions),
                "policy": json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]),
                "tags": _tags(sns.list_tags_for_resource(ResourceArn=arn)),
            },
        )


def _rules(emulator: Emulator, region: str) -> Iterator[tuple[str, dict[str, Any]]]:
    events = emulator.client("events", region)
    for rule in _pages(events, "list_rules", "Rules"):
        targets = _pages(events, "list_targets_by_rule", "Targets", Rule=rule["Name"])
        yield (
            rule["Name"],
            {
                "description": rule.get("Description", ""),
                "pattern": json.loads(rule["EventPattern"]) if rule.get("EventPattern") else None,
                "every": rule.get("ScheduleExpression", ""),
                "state": rule["State"],
                "targets": sorted([t["Arn"], t.get("RoleArn", ""), t.get("Input", "")] for t in targets),
                "tags": _tags(events.list_tags_for_resource(ResourceARN=rule["Arn"])),
            },
        )


def _buses(emulator: Emulator, places: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies of default buses that have one."""
    for place in places:
        policy = emulator.client("events", place).describe_event_bus(Name="default").get("Policy")
        if policy:
            yield f"{place} default", {"policy": json.loads(policy)}


def _secrets(emulator: Emulator) -> Iterator[tuple[str, dict[str, Any]]]:
    """Secrets by name. What is in them is measured and not kept."""
    client = emulator.client("secretsmanager")
    for secret in _pages(client, "list_secrets", "SecretList"):
        value = client.get_secret_value(SecretId=secret["ARN"])["SecretString"]
        policy = client.get_resource_policy(SecretId=secret["ARN"]).get("ResourcePolicy")
        yield (
            secret["Name"],
            {
                "description": secret.get("Description", ""),
                "policy": json.loads(policy) if policy else None,
                "length": len(value),
                "without": "".join(sorted(set(value) & set(NOT_IN_PASSWORDS))),
                "tags": _tags(secret),
            },
        )


def _budgets(emulator: Emulator) -> Iterator[tuple[str, dict[str, Any]]]:
    client = emulator.client("budgets", "us-east-1")
    for budget in _pages(client, "describe_budgets", "Budgets", AccountId=emulator.account):
        at = {"AccountId": emulator.account, "BudgetName": budget["BudgetName"]}
        alerts = {}
        for alert in _pages(client, "describe_notifications_for_budget", "Notifications", **at):
            told = client.describe_subscribers_for_notification(**at, Notification=alert)["Subscribers"]
            alerts[f"{alert['Threshold']:g}"] = sorted(each["Address"] for each in told)
        arn = f"arn:aws:budgets::{emulator.account}:budget/{budget['BudgetName']}"
        limit = budget["BudgetLimit"]
        yield (
            budget["BudgetName"],
            {
                "limit": f"{float(limit['Amount']):g} {limit['Unit']}",
                "alerts": alerts,
                "tags": {
                    t["Key"]: t["Value"] for t in client.list_tags_for_resource(ResourceARN=arn).get("ResourceTags", [])
                },
            },
        )


def differences(wanted: Holdings, found: Holdings) -> list[str]:
    """What is not as wanted, one line each; empty when the account is exactly as it should be."""
    out = []
    for kind in wanted:
        for name in sorted(wanted[kind].keys() | found[kind].keys()):
            facts, real = wanted[kind].get(name), found[kind].get(name)
            if facts is None:
                out.append(f"{kind}: {name} is there, but the configuration does not ask for it")
            elif real is None:
                out.append(f"{kind}: {name} is missing")
            else:
                out += [
                    f"{kind}: {name}: {fact} is {json.dumps(real[fact])}, the configuration says {json.dumps(value)}"
                    for fact, value in facts.items()
                    if real[fact] != value
                ]
    return out
