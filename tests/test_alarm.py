"""The break-glass alarm fires on what it must, and not on look-alikes.

Judged by the emulator's EventBridge pattern matcher, which is not ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import yaml
from botocore.loaders import Loader
from botocore.model import ServiceModel
from ministack.services import eventbridge

from dutybound.baseline import Account, Alarm
from dutybound.callers import ACCOUNT_ID
from dutybound.catalog import Action
from dutybound.compiler import compile_path, compile_text
from tests.conftest import CASES, ROOT
from tests.test_proofs import Guarded, guarded

EVENTS = yaml.safe_load((CASES / "alarm.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alarm() -> Alarm:
    """The example's alarm."""
    checked = compile_path(ROOT / "config")
    assert checked.value is not None
    found = checked.value.accounts[0].alarm
    assert found is not None
    return found


def alarm_with(**more: str) -> Alarm:
    """The alarm of two break-glass users, with these keys besides."""
    found = account_with(**more).alarm
    assert found is not None
    return found


def account_with(**more: str) -> Account:
    """The account of two break-glass users, with these keys besides."""
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    text = (
        "version: 1\norganization: {name: acme, owner: x, home_region: eu-west-1}\n"
        f"break_glass: {{users: [break-glass-1, break-glass-2], alert: [a@b.example]{keys}}}\n"
    )
    checked = compile_text(text)
    assert checked.value is not None
    return checked.value.accounts[0]


def member_alarm() -> Alarm:
    """The alarm of an account whose people, and break-glass users, are in another."""
    text = (
        "version: 1\norganization: {name: acme, owner: x, home_region: eu-west-1, hub: identity}\n"
        'accounts: {identity: {id: "111122223333"}, shop: {id: "222233334444"}}\n'
        "break_glass: {users: [break-glass-1, break-glass-2], alert: [a@b.example], password: secret}\n"
    )
    checked = compile_text(text, environment="shop")
    assert checked.value is not None
    found = checked.value.accounts[0].alarm
    assert found is not None
    return found


MEMBER = member_alarm()
EVERYTHING = alarm_with(through="role", password="secret", drill_every_days="45")


@pytest.mark.parametrize("case", EVENTS, ids=[e["event"] for e in EVENTS])
def test_rules_fire(case: dict[str, Any], alarm: Alarm) -> None:
    """Exactly the rules of the case match its event, and with every key set no others.

    In another account than that of the users, what says nothing of a user by name sets off the same, but for passwords.
    """
    if not re.search("break-glass-[12]|break-glass/", json.dumps(case["detail"])) or case.get("in") == "member":
        assert fired(case, MEMBER) == case["fires"]
    if case.get("in") == "member":
        return
    simple = alarm_with(**case["with"]) if "with" in case else alarm
    assert fired(case, simple) == case["fires"]
    assert fired(case, EVERYTHING) == case["fires"]


LANDING = ("ap-southeast-2", "eu-north-1", "us-east-1", "us-east-2")
"""Where a sign-in through the global endpoint is logged (CloudTrail User Guide, "AWS Management Console sign-in
events")."""


@pytest.mark.parametrize("name", ["break-glass-sign-in", "break-glass-root"])
@pytest.mark.parametrize("region", [*LANDING, "eu-west-1"])
def test_a_sign_in_is_seen_wherever_it_lands(region: str, name: str) -> None:
    """In each such Region a rule matches the event, and hands it to the home Region's bus, or there to the topic.

    The root user's lands in us-east-1; should AWS change that, the others hear it too.
    """
    account = account_with()
    assert account.alarm is not None
    here = {stack.name for stack in account.stacks if stack.region == region}
    signing_in = (case for case in EVENTS if case["detail"]["eventName"] == "ConsoleLogin")
    view = seen(next(case for case in signing_in if case["fires"] == [name]), region)
    rules = [r for r in account.alarm.rules if r.stack in here and eventbridge._matches_pattern_view(r.pattern, view)]
    assert [rule.name for rule in rules] == [name]
    at_home = region == account.home_region
    assert rules[0].target.endswith(":break-glass-alarm" if at_home else ":event-bus/default")
    assert f":{account.home_region}:" in rules[0].target


def seen(case: dict[str, Any], region: str = "eu-west-1") -> Any:
    """The event of a case as EventBridge sees it in a Region."""
    source = f"aws.{case['detail']['eventSource'].split('.')[0]}"
    detail = json.dumps({**case["detail"], "awsRegion": region})
    return eventbridge._pattern_event_view({"Source": source, "DetailType": case["detail-type"], "Detail": detail})


def fired(case: dict[str, Any], alarm: Alarm) -> list[str]:
    """The rules of the home Region that match the event of a case."""
    view = seen(case)
    home = [r for r in alarm.rules if r.stack == alarm.forwarder.stack]
    assert len(home) >= len(EVERYWHERE)
    return [r.name for r in home if eventbridge._matches_pattern_view(r.pattern, view)]


EVERYWHERE = {"break-glass-call", "break-glass-root", "break-glass-sign-in", "break-glass-tampering"}


def test_the_same_rules_everywhere(alarm: Alarm) -> None:
    """Each Region has the rules of the home Region, may hand events on, and EventBridge takes their patterns."""
    assert {r.name for r in alarm.rules} == EVERYWHERE
    assert len({(r.name, r.pattern) for r in alarm.rules}) == len(EVERYWHERE)
    assert len(alarm.rules) == len(EVERYWHERE) * len({r.stack for r in alarm.rules})
    trusted = {c.key: c.values for s in alarm.forwarder.trust.statements for c in s.conditions}["aws:SourceArn"]
    assert {arn.rpartition("/")[2] for arn in trusted} == EVERYWHERE
    for rule in alarm.rules:
        assert len(rule.pattern) <= 2048
        assert eventbridge._event_pattern_error(rule.pattern) is None


def test_patterns_of_every_kind_are_taken() -> None:
    """EventBridge takes the patterns of a role and of sealed passwords; Secrets Manager logs at home only."""
    for rule in EVERYTHING.rules:
        assert len(rule.pattern) <= 2048
        assert eventbridge._event_pattern_error(rule.pattern) is None
    names = [r.name for r in EVERYTHING.rules if r.stack != EVERYTHING.forwarder.stack]
    assert set(names) == EVERYWHERE
    told = (ROOT / "docs" / "break-glass.md").read_text(encoding="utf-8")
    assert all(f"\n| `{rule.name}` | " in told for rule in EVERYTHING.rules)


# --- whoever changes any of it is heard ------------------------------------------------------------------------------

UNHEARD = {
    "cloudformation:RecordHandlerProgress": "for the makers of resource types: it names no stack",
    "cloudformation:TagResource": "not a call: asked for beside one that names the stack",
    "cloudformation:UntagResource": "not a call: asked for beside one that names the stack",
    "events:TagResource": "a label",
    "events:UntagResource": "a label",
    "iam:ChangePassword": "one's own, so that break-glass-call hears it",
    "iam:CreatePolicy": "there is a policy of this name; to delete it is heard",
    "iam:CreateServiceLinkedRole": "for AWS's own path",
    "iam:PassRole": "not a call: asked for beside one that uses the role",
    "secretsmanager:CreateSecret": "there is a secret of this name; to delete it is heard",
    "sns:CreateTopic": "there is a topic of this name; to delete it is heard",
}
"""Changing actions that may pass without a mail, and why."""
NAMING = {
    "cloudformation": {"stackDefinitions", "stackName", "stackRefactorId"},
    "cloudtrail": {"name", "resourceId", "trailName"},
    "events": {"name", "rule"},
    "secretsmanager": {"secretId"},
    "sns": {"resourceArn", "subscriptionArn", "topicArn"},
    "sts": {"roleArn"},
}
"""The parameters that name something of break-glass, in CloudTrail's spelling; in IAM it depends on what it is."""


@cache
def service(name: str) -> ServiceModel:
    """AWS's own model of a service's calls."""
    return ServiceModel(Loader().load_service_model(name, "service-2"))


def all_of(account: Account) -> Iterator[Guarded]:
    """What is guarded, with the sealed passwords, and names where the proof has patterns."""
    names = {"user": "break-glass-1", "group": "break-glass", "policy": "break-glass-mfa", "role": "break-glass"}
    for thing in guarded(account):
        pattern = thing.arn.endswith("/break-glass/*")
        yield replace(thing, arn=f"{thing.arn[:-1]}{names[thing.type]}") if pattern else thing
    for secret in account.secrets:
        arn = f"arn:aws:secretsmanager:{account.home_region}:{ACCOUNT_ID}:secret:{secret.name}-a1B2c3"
        yield Guarded("secretsmanager", "Secret", arn)


def named(thing: Guarded, parameter: str) -> list[Any]:
    """What a call gives for this parameter when it is about a thing: its ARN, its name, or either."""
    name = thing.arn.split(":", 5)[5].partition("/")[2].removesuffix("/*")
    match parameter:
        case "stackDefinitions":
            return [[{"stackName": "web"}, {"stackName": name}], [{"stackName": thing.arn}]]
        case "stackName" | "name" | "trailName":
            return [name, *([thing.arn] if thing.service != "events" else [])]
        case "secretId":
            return [thing.arn, thing.arn.split(":", 6)[6].rpartition("-")[0]]
        case "subscriptionArn":
            return [f"{thing.arn}:4f2c"]
        case "rule" | "userName" | "groupName" | "roleName":
            return [name.rpartition("/")[2]]
    return [thing.arn]


def calls(thing: Guarded, action: Action) -> Iterator[dict[str, Any]]:
    """The events of an action on a thing, one for each way to name it."""
    model = service(thing.service)
    known = action.name in model.operation_names
    members = set(model.operation_model(action.name).input_shape.members) if known else ()
    own = {"policy": {"policyArn"}}.get(thing.type, {f"{thing.type}Name"})
    for parameter in sorted(f"{m[0].lower()}{m[1:]}" for m in members):
        for value in named(thing, parameter) if parameter in NAMING.get(thing.service, own) else ():
            yield {
                "detail-type": "AWS API Call via CloudTrail",
                "detail": {
                    "eventSource": f"{thing.service}.amazonaws.com",
                    "eventName": action.name,
                    "eventType": "AwsApiCall",
                    "readOnly": False,
                    "userIdentity": {"type": "IAMUser", "userName": "john-admin"},
                    "requestParameters": {parameter: value},
                },
            }


def test_whoever_changes_break_glass_is_heard() -> None:
    """Every action that changes any of it, however the call names it; AWS's models of the calls say how it can."""
    account = account_with(through="role", password="secret", drill_every_days="45")
    assert account.alarm is not None
    unheard, heard = set(), 0
    for thing in all_of(account):
        for action in thing.changes():
            events = list(calls(thing, action))
            heard += len(events)
            if not events or not all(fired(event, account.alarm) for event in events):
                unheard.add(str(action))
    assert unheard == UNHEARD.keys()
    assert heard > 200


def test_too_many_users_for_a_pattern() -> None:
    """EventBridge takes 2,048 characters: more break-glass users than that are refused, not left unwatched."""
    users = ", ".join(f"break-glass-{'x' * 40}-{i}" for i in range(40))
    text = f"version: 1\norganization: {{name: a, owner: b}}\nbreak_glass: {{users: [{users}], alert: [a@b.example]}}\n"
    assert [d.name for d in compile_text(text).diagnostics] == ["too-many-break-glass-users"]
