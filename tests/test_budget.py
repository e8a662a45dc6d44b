"""Budgets: what reaches AWS, and that a changed one deploys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.server import Emulator, running
from dutybound.baseline import Budget
from dutybound.compiler import compile_text
from dutybound.diagnostic import render_all
from tests.test_stacks import synthesize

BASE = """\
version: 1
organization: {{name: acme, owner: x, home_region: {region}}}
break_glass: {{users: [break-glass-1], alert: [a@b.example]}}
budgets:
  monthly: {{{keys}}}
"""
KEYS = {"limit": "500", "alert_at": "[50, 100]", "notify": "[a@b.example]"}


def text(region: str = "eu-north-1", **keys: str) -> str:
    return BASE.format(region=region, keys=", ".join(f"{k}: {v}" for k, v in {**KEYS, **keys}.items()))


def budget(region: str = "eu-north-1", **keys: str) -> Budget:
    checked = compile_text(text(region, **keys))
    assert checked.value is not None, render_all(checked.diagnostics)
    (found,) = checked.value.accounts[0].budgets
    return found


def test_order_and_repetition_mean_nothing() -> None:
    one = budget(alert_at="[100, 50, 50]", notify="[b@b.example, a@b.example]")
    assert one == budget(alert_at="[50, 100]", notify="[a@b.example, b@b.example, a@b.example]")
    assert one.alert_at == (50, 100)
    assert one.addresses == ("a@b.example", "b@b.example")


def test_the_name_changes_with_what_can_only_be_replaced() -> None:
    """And with nothing else: a changed limit keeps the budget and its history."""
    first = budget()
    assert first.name.startswith("acme-monthly-")
    assert budget(limit="750.25").name == first.name
    changed = [budget(alert_at="[50]"), budget(alert_at="[50, 90]"), budget(notify="[b@b.example]")]
    assert len({first.name, *(b.name for b in changed)}) == 4
    assert {b.logical_id for b in changed} == {first.logical_id}


@pytest.mark.parametrize(
    ("home", "stands"), [("eu-north-1", "us-east-1"), ("us-east-1", "us-east-1"), ("cn-northwest-1", "cn-north-1")]
)
def test_where_it_stands(home: str, stands: str) -> None:
    """Not every Region has the type: the first of the partition has, also without a budget, so that the last goes."""
    for more in ({"currency": "CNY"} if home.startswith("cn") else {},):
        checked = compile_text(text(home, **more))
        assert checked.value is not None, render_all(checked.diagnostics)
        assert [s.region for s in checked.value.accounts[0].stacks if s.name == "acme-budgets"] == [stands]
    empty = compile_text(text(home).partition("budgets:")[0])
    assert empty.value is not None
    assert [s.region for s in empty.value.accounts[0].stacks if s.name == "acme-budgets"] == [stands]


@pytest.mark.parametrize(
    ("region", "keys", "error"),
    [
        ("us-gov-west-1", {}, "no-budgets-here"),
        ("cn-north-1", {}, "wrong-currency"),
        ("eu-west-1", {"currency": "CNY"}, "wrong-currency"),
        ("eu-west-1", {"alert_at": str(list(range(1, 12)))}, "budget-quota"),
        ("eu-west-1", {"notify": f"[{', '.join(f'a{i}@b.example' for i in range(11))}]"}, "budget-quota"),
    ],
)
def test_what_aws_does_not_take(region: str, keys: dict[str, str], error: str) -> None:
    assert [d.name for d in compile_text(text(region, **keys)).diagnostics] == [error]


def test_what_aws_takes_just_so() -> None:
    """Ten alerts and ten addresses."""
    full = budget(alert_at=str(list(range(1, 11))), notify=f"[{', '.join(f'a{i}@b.example' for i in range(10))}]")
    assert (len(full.alert_at), len(full.addresses)) == (10, 10)


# --- at the emulator --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running() as started:
        yield started


def _template(folder: Path, **keys: str) -> dict[str, Any]:
    config = folder / "config.yaml"
    config.write_text(text(**keys), encoding="utf-8")
    run = synthesize(config, folder / "out")
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads((folder / "out" / "acme-budgets.template.json").read_text(encoding="utf-8"))
    return found


def _deploy(emulator: Emulator, template: dict[str, Any], first: bool = False) -> str:
    client = emulator.client("cloudformation", "us-east-1")
    call = client.create_stack if first else client.update_stack
    call(StackName="acme-budgets", TemplateBody=json.dumps(template))
    while True:
        status = str(client.describe_stacks(StackName="acme-budgets")["Stacks"][0]["StackStatus"])
        if not status.endswith("IN_PROGRESS"):
            return status


def _held(emulator: Emulator) -> dict[str, tuple[float, list[float]]]:
    """Budgets of the account: limit and alerts by name."""
    client = emulator.client("budgets", "us-east-1")
    out = {}
    for found in client.describe_budgets(AccountId=emulator.account).get("Budgets", []):
        at = {"AccountId": emulator.account, "BudgetName": found["BudgetName"]}
        alerts = client.describe_notifications_for_budget(**at)["Notifications"]
        out[found["BudgetName"]] = (float(found["BudgetLimit"]["Amount"]), sorted(a["Threshold"] for a in alerts))
    return out


def test_a_changed_budget_deploys(emulator: Emulator, tmp_path: Path) -> None:
    """A new limit in place, new alerts by replacement; and the same under one name fails, as it does at AWS."""
    assert _deploy(emulator, _template(tmp_path), first=True) == "CREATE_COMPLETE"
    first = budget().name
    assert _held(emulator) == {first: (500, [50, 100])}
    assert _deploy(emulator, _template(tmp_path, limit="750.25")) == "UPDATE_COMPLETE"
    assert _held(emulator) == {first: (750.25, [50, 100])}
    changed = _template(tmp_path, limit="750.25", alert_at="[50, 90, 100]")
    assert _deploy(emulator, changed) == "UPDATE_COMPLETE"
    second = budget(alert_at="[50, 90, 100]").name
    assert _held(emulator) == {second: (750.25, [50, 90, 100])}

    same_name = _template(tmp_path, limit="750.25", alert_at="[80]")
    (resource,) = same_name["Resources"].values()
    resource["Properties"]["Budget"]["BudgetName"] = second
    assert _deploy(emulator, same_name) == "UPDATE_ROLLBACK_COMPLETE"
    events = emulator.client("cloudformation", "us-east-1").describe_stack_events(StackName="acme-budgets")
    assert any("already exists" in e.get("ResourceStatusReason", "") for e in events["StackEvents"])
