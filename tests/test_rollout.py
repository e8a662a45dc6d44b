"""How a baseline gets into many accounts: a stage of stacks for each destination, or stack sets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dutybound.compiler import compile_deployment
from dutybound.diagnostic import render_all
from dutybound.rollout import Deployment

_HEAD = """\
version: 1
organization:
  name: acme
  owner: security@acme.example
  home_region: eu-west-1
  hub: identity
  management: root
  id: o-a1b2c3d4e5
  units: {Workloads/Development: ou-ab12-11112222, Workloads/Production: ou-ab12-33334444}
teams:
  administrators: {purpose: Look after the accounts, members: [john-admin], duties: [administer]}
  developers:
    purpose: Build and run the product
    members: [john, maria]
    in: {development: [manage-servers], production: [view-servers]}
break_glass: {users: [break-glass-1, break-glass-2], alert: [security@acme.example]}
"""


def _accounts(development: int, production: int = 1, more: Iterable[str] = ()) -> str:
    lines = ['  root: {id: "100000000000"}', '  identity: {id: "111122223333"}', *more]
    for environment, count, first in (("development", development, 2), ("production", production, 3)):
        unit = f"Workloads/{environment.capitalize()}"
        lines += [
            f'  {environment[:4]}{n}: {{id: "{first}{n:011}", environment: {environment}, unit: {unit}}}'
            for n in range(count)
        ]
    return "\n".join(["accounts:", *lines, ""])


def _compiled(tmp_path: Path, text: str) -> Deployment:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    checked = compile_deployment(file)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value


def _errors(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return {d.name: d.hint for d in compile_deployment(file).diagnostics if d.severity == "error"}


def _assembly(tmp_path: Path, deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Every template that is deployed, by its stage and stack."""
    import aws_cdk as cdk

    from stacks import build

    app = cdk.App(outdir=str(tmp_path / "out"), analytics_reporting=False, builtin_cloud_formation_validation=False)
    (tmp_path / "large").mkdir(parents=True)
    build(app, deployment, tmp_path / "large")
    assembly = app.synth()
    found = {stack.stack_name: stack.template for stack in assembly.stacks}
    for nested in assembly.nested_assemblies:
        for stack in nested.nested_assembly.stacks:
            account = stack.environment.account
            found[f"{nested.display_name}/{account}/{stack.stack_name}"] = stack.template
    return found


def test_few_accounts_get_stacks_and_many_stack_sets(tmp_path: Path) -> None:
    """Twenty accounts with one content are few; the hub and the management account never get stack sets."""
    few = _compiled(tmp_path, _HEAD + _accounts(20))
    assert few.stack_sets == ()
    assert [d.name for d, _ in few.by_stacks()] == ["development", "identity", "production", "root"]
    many = _compiled(tmp_path, _HEAD + _accounts(21))
    assert {s.destination for s in many.stack_sets} == {"development"}
    assert [d.name for d, _ in many.by_stacks()] == ["identity", "production", "root"]


@pytest.mark.parametrize(("word", "destinations"), [("stacks", set()), ("stack-sets", {"development", "production"})])
def test_a_configuration_may_say_how(tmp_path: Path, word: str, destinations: set[str]) -> None:
    """`rollout` decides, whatever the number of accounts."""
    made = _compiled(tmp_path, f"{_HEAD}{_accounts(30)}rollout: {word}\n")
    assert {s.destination for s in made.stack_sets} == destinations


def test_how_many_change_at_once_can_be_said(tmp_path: Path) -> None:
    """Ten percent at a time, and none may fail, unless it says otherwise."""
    usual = _compiled(tmp_path, f"{_HEAD}{_accounts(1)}rollout: stack-sets\n").stack_sets[0]
    assert (usual.at_once, usual.failures) == (10, 0)
    text = f"{_HEAD}{_accounts(1)}rollout: {{by: stack-sets, at_once: 50, failures: 5}}\n"
    bold = _compiled(tmp_path, text).stack_sets[0]
    assert (bold.at_once, bold.failures) == (50, 5)


def test_what_a_member_holds_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    """The stack sets of ten accounts and of a thousand are the same."""
    made = [_compiled(tmp_path, f"{_HEAD}{_accounts(n)}rollout: stack-sets\n") for n in (10, 1000)]
    assert made[0].stack_sets == made[1].stack_sets
    for deployment in made:
        (development,) = (b for d, b in deployment.baselines if d.name == "development")
        assert {r.name for r in development.accounts[0].roles} >= {"administrators", "developers"}


def test_a_unit_with_accounts_of_two_contents_is_not_taken_whole(tmp_path: Path) -> None:
    """Then the accounts are named; so they are in the root, which holds every unit."""
    odd = '  odd: {id: "222200000000", environment: production, unit: Workloads/Development}'
    sets = _compiled(tmp_path, f"{_HEAD}{_accounts(2, more=[odd])}rollout: stack-sets\n").stack_sets
    reach = {s.destination: (s.units, s.accounts) for s in sets}
    assert reach["development"] == (("ou-ab12-11112222",), ("200000000000", "200000000001"))
    assert reach["production"] == (("ou-ab12-11112222", "ou-ab12-33334444"), ("222200000000", "300000000000"))
    below = '  odd: {id: "222200000000", environment: production, unit: Workloads/Development/Special}'
    units = "units: {Workloads/Development/Special: ou-ab12-55556666, "
    text = f"{_HEAD}{_accounts(2, more=[below])}rollout: stack-sets\n".replace("units: {", units)
    named = {s.destination: s.accounts for s in _compiled(tmp_path, text).stack_sets}
    assert named == {
        "development": ("200000000000", "200000000001"),
        "production": (),  # nobody else is below its two units
    }


def test_what_stack_sets_need_is_asked_for(tmp_path: Path) -> None:
    """The management account, the ids of units and that of the root."""
    text = f"{_HEAD}{_accounts(1)}rollout: stack-sets\n"
    without = text.replace("  management: root\n", "")
    assert list(_errors(tmp_path, without)) == ["no-management-account", "unknown-unit"]
    assert list(_errors(tmp_path, text.replace("Workloads/Production: ou-ab12-33334444", ""))) == ["unknown-unit"]
    rootless = text.replace(", unit: Workloads/Production", "")
    assert list(_errors(tmp_path, rootless)) == ["unknown-unit"]
    root = rootless.replace("  hub: identity\n", "  hub: identity\n  root: r-ab12\n")
    assert {s.accounts for s in _compiled(tmp_path, root).stack_sets if s.destination == "production"} == {
        ("300000000000",)
    }


def test_the_templates_of_stack_sets_are_those_of_stacks(tmp_path: Path) -> None:
    """An account gets the same by either way, and everything in one assembly is deployable by the CDK."""
    by_stacks = _assembly(tmp_path / "a", _compiled(tmp_path, f"{_HEAD}{_accounts(2)}rollout: stacks\n"))
    by_sets = _assembly(tmp_path / "b", _compiled(tmp_path, f"{_HEAD}{_accounts(2)}rollout: stack-sets\n"))
    assert {name for name in by_sets if "/" not in name} == {
        "acme-stack-sets-development",
        "acme-stack-sets-production",
    }
    sets = by_sets["acme-stack-sets-development"]["Resources"]
    for resource in sets.values():
        properties = resource["Properties"]
        assert properties["PermissionModel"] == "SERVICE_MANAGED"
        assert properties["AutoDeployment"]["Enabled"] is True
        assert properties["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
        stack = properties["Description"].partition(" ")[0]
        for account in ("200000000000", "200000000001"):
            assert json.loads(properties["TemplateBody"]) == by_stacks[f"development/{account}/{stack}"]
    full = {name.rpartition("/")[2] for name, t in by_stacks.items() if "/200000000000/" in name and t.get("Resources")}
    assert {r["Properties"]["Description"].partition(" ")[0] for r in sets.values()} == full
    rules = [r for r in sets.values() if "alarm-" in r["Properties"]["StackSetName"]]
    assert rules
    assert all(r["DependsOn"] for r in rules)


def test_choosing_one_destination_leaves_the_others_alone(tmp_path: Path) -> None:
    """Each destination's stack sets are a stack of their own, so that a part can be deployed."""
    file = tmp_path / "config.yaml"
    file.write_text(f"{_HEAD}{_accounts(2)}rollout: stack-sets\n", encoding="utf-8")
    checked = compile_deployment(file, "production")
    assert checked.value is not None
    assert {s.destination for s in checked.value.stack_sets} == {"production"}


def test_parts_in_stack_sets(tmp_path: Path) -> None:
    """With parts, a stack set of a part waits for that of what its roles share, and neither exports anything."""
    head = _HEAD.replace("  name: acme\n", "  name: acme\n  parts: 4\n")
    deployment = _compiled(tmp_path, f"{head}{_accounts(2)}rollout: stack-sets\n")
    sets = _assembly(tmp_path, deployment)["acme-stack-sets-production"]["Resources"]
    by_name = {r["Properties"]["StackSetName"]: (name, r) for name, r in sets.items()}
    shared, _ = by_name["acme-production-teams"]
    parts = [r for name, (_, r) in by_name.items() if name.startswith("acme-production-teams-0")]
    assert parts
    assert all(shared in r["DependsOn"] for r in parts)
    assert "Fn::ImportValue" not in json.dumps(sets)
