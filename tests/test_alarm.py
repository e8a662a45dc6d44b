"""The break-glass alarm fires on what it must, and not on look-alikes.

Judged by the emulator's EventBridge pattern matcher, which is not ours.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ministack.services import eventbridge

from dutybound.baseline import Alarm
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


@pytest.mark.parametrize("case", EVENTS, ids=[e["event"] for e in EVENTS])
def test_rules_fire(case: dict[str, Any], alarm: Alarm) -> None:
    """Exactly the rules of the case match its event."""
    event = {"Source": f"aws.{case['detail']['eventSource'].split('.')[0]}", "DetailType": case["detail-type"]}
    view = eventbridge._pattern_event_view({**event, "Detail": json.dumps(case["detail"])})
    home = [r for r in alarm.rules if r.stack == alarm.topic.stack]
    assert len(home) == 3
    assert [r.name for r in home if eventbridge._matches_pattern_view(r.pattern, view)] == case["fires"]


def test_the_same_rules_everywhere(alarm: Alarm) -> None:
    """Each Region has the three rules of the home Region, and EventBridge takes their patterns."""
    patterns = {(r.name, r.pattern) for r in alarm.rules}
    assert len(patterns) == 3
    assert len(alarm.rules) == 3 * len({r.stack for r in alarm.rules})
    for rule in alarm.rules:
        assert len(rule.pattern) <= 2048
        assert eventbridge._event_pattern_error(rule.pattern) is None


def test_too_many_users_for_a_pattern() -> None:
    """EventBridge takes 2,048 characters: more break-glass users than that are refused, not left unwatched."""
    users = ", ".join(f"break-glass-{'x' * 40}-{i}" for i in range(40))
    text = f"version: 1\norganization: {{name: a, owner: b}}\nbreak_glass: {{users: [{users}], alert: [a@b.example]}}\n"
    assert [d.name for d in compile_text(text).diagnostics] == ["too-many-break-glass-users"]
