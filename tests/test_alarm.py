"""The break-glass alarm fires on what it must, and not on look-alikes.

Judged by the emulator's EventBridge pattern matcher, which is not ours.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ministack.services import eventbridge

from dutybound.baseline import Account, Alarm
from dutybound.compiler import compile_path, compile_text
from tests.conftest import CASES, ROOT

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


EVERYTHING = alarm_with(through="role", password="secret", drill_every_days="45")


@pytest.mark.parametrize("case", EVENTS, ids=[e["event"] for e in EVENTS])
def test_rules_fire(case: dict[str, Any], alarm: Alarm) -> None:
    """Exactly the rules of the case match its event, and with every key set no others."""
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
    view = seen(next(case for case in EVENTS if "Console Sign" in case["detail-type"] and case["fires"] == [name]), region)
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
    home = [r for r in alarm.rules if r.stack == alarm.topic.stack]
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
    names = [r.name for r in EVERYTHING.rules if r.stack != EVERYTHING.topic.stack]
    assert set(names) == EVERYWHERE


def test_too_many_users_for_a_pattern() -> None:
    """EventBridge takes 2,048 characters: more break-glass users than that are refused, not left unwatched."""
    users = ", ".join(f"break-glass-{'x' * 40}-{i}" for i in range(40))
    text = f"version: 1\norganization: {{name: a, owner: b}}\nbreak_glass: {{users: [{users}], alert: [a@b.example]}}\n"
    assert [d.name for d in compile_text(text).diagnostics] == ["too-many-break-glass-users"]
