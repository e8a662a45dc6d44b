"""Templates by the compiler, and that the CDK takes them as they are."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound.baseline import Account, Baseline
from dutybound.cloudformation import filled_in, templates, text
from dutybound.compiler import compile_deployment, compile_path
from dutybound.policy import Condition
from stacks.baseline import BaselineStacks, written
from tests.conftest import ROOT


def by_the_cdk(baseline: Baseline, account: Account) -> dict[str, str]:
    """Every template that holds a resource by its stack, as the CDK writes it."""
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(
            outdir=str(Path(folder, "out")), analytics_reporting=False, builtin_cloud_formation_validation=False
        )
        BaselineStacks(app, written(baseline, account, Path(folder)), account.id)
        found = {stack.stack_name: stack.template for stack in app.synth().stacks}
        return {name: json.dumps(template) for name, template in found.items() if "Resources" in template}


def by_the_compiler(baseline: Baseline, account: Account) -> dict[str, str]:
    """The same by the compiler."""
    return {t.stack.name: json.dumps(t.document()) for t in templates(baseline, account) if t.resources}


@functools.cache
def _smallest() -> Baseline:
    checked = compile_path(ROOT / "examples" / "personal")
    assert checked.value is not None
    return checked.value


@pytest.mark.parametrize(("example", "environment"), [("small-team", None), ("regulated", "production")])
def test_the_cdk_adds_nothing_and_leaves_nothing_out(example: str, environment: str | None) -> None:
    """Every template, in the order of its keys too."""
    checked = compile_deployment(ROOT / "examples" / example, environment)
    assert checked.value is not None
    ((_, made),) = checked.value.by_stacks()
    (account,) = made.accounts
    assert by_the_cdk(made, account) == by_the_compiler(made, account)


ODD = [
    *("${aws:username}", "${!Literal}", "${AWS::Partition} and ${aws:username}", "Ref", "Fn::Sub", "{{resolve:ssm:x}}"),
    *("2012-10-17", "1e3", "0123", "yes", "null", "~", "- a", "a: b", "#", "'", '"', "\\", "%", "!Ref x", "&a *a", ""),
    *("\u0085", "\u2028\u2029", "\ufeff", "\x7f\x9f", "\t", "\n", " a ", "é", "\U0001f512", "\u202e", "<<", "={}"),
]


def _said(texts: list[str]) -> tuple[Baseline, Account]:
    """Each text as the purpose of a group, in a statement, and as the value of a tag."""
    baseline = _smallest()
    (account,) = baseline.accounts
    group, policy = account.groups[0], account.own_policies[0]
    (first, *_) = policy.policy.statements
    groups = tuple(replace(group, name=f"g{i}", logical_id=f"Group{i}", purpose=t) for i, t in enumerate(texts))
    odd = replace(first, conditions=(Condition("StringEquals", "aws:PrincipalTag/x", tuple(texts)),))
    changed = replace(policy, policy=replace(policy.policy, statements=(odd,)))
    others = tuple(p for p in account.policies if p.name != policy.name)
    tagged = replace(baseline, tags=tuple((f"k{i}", t) for i, t in enumerate(texts)))
    return tagged, replace(account, groups=groups, users=(), policies=(changed, *others))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=200))
def test_any_text_reaches_the_template_as_it_is(texts: list[str]) -> None:
    """The CDK reads what it gets as YAML, where much has a meaning."""
    made = _said([*ODD, *texts])
    assert by_the_cdk(*made) == by_the_compiler(*made)


def test_only_what_cloudformation_fills_in_is_left_to_it() -> None:
    """What a user wrote with ${} stays, whatever stands beside it."""
    assert text("${aws:username}") == "${aws:username}"
    assert filled_in({"a": ["arn:${AWS::Partition}:s3:::${aws:username}", 1]}) == {
        "a": [{"Fn::Sub": "arn:${AWS::Partition}:s3:::${!aws:username}"}, 1]
    }
