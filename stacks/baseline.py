"""The stacks of an account. Each resource is a typed construct, so that `cdk diff`, Aspects and cdk-nag see it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from aws_cdk.cloudformation_include import CfnInclude
from constructs import Construct

from dutybound.baseline import Account, Baseline
from dutybound.cloudformation import Template, templates


@dataclass(frozen=True, slots=True)
class Written:
    """A template in a file; without resources in none."""

    template: Template
    file: Path | None


def written(baseline: Baseline, account: Account, folder: Path) -> tuple[Written, ...]:
    """Put the templates of an account into `folder`, by the names of their stacks."""
    return tuple(_put(template, folder) for template in templates(baseline, account))


def _put(template: Template, folder: Path) -> Written:
    if not template.resources:
        return Written(template, None)
    file = folder / f"{template.stack.name}.template.json"
    # The CDK reads it as YAML: with line breaks several times as fast, and JSON only without what YAML counts as one.
    file.write_text(json.dumps({"Resources": template.bodies()}, indent=1), encoding="ascii")
    return Written(template, file)


class BaselineStacks(Construct):
    """All stacks of one account of a baseline.

    They use no role of `cdk bootstrap`: whoever deploys does so with the rights of their own credentials.
    """

    def __init__(self, scope: Construct, files: Sequence[Written], account: str | None, name: str = "") -> None:
        """Build every stack under `scope`, an `App` or a `Stage`, for the account with this id.

        Where accounts have the same stacks, `name` is the account's. The files have been read when
        this returns: one call a stack, where a call for each resource costs more than all else.
        """
        super().__init__(scope, name or "Baseline")
        self.stacks = {one.template.stack.name: _stack(self if name else scope, one, account) for one in files}
        for one in files:
            for first in one.template.after:
                self.stacks[one.template.stack.name].add_stack_dependency(self.stacks[first])


def _stack(scope: Construct, written: Written, account: str | None) -> cdk.Stack:
    wanted = written.template.stack
    stack = cdk.Stack(
        scope,
        wanted.name,
        stack_name=wanted.name,
        description=wanted.description,
        env=cdk.Environment(account=account, region=wanted.region),
        termination_protection=wanted.protected,
        synthesizer=cdk.LegacyStackSynthesizer(),  # the only one that names no role of `cdk bootstrap`
    )
    if written.file is not None:
        CfnInclude(stack, "Template", template_file=str(written.file))
    else:
        meant_to_be_empty(stack)
    return stack


def meant_to_be_empty(stack: cdk.Stack) -> None:
    """Let a stack without resources pass the CDK's own checks: its deployment deletes what was in it."""
    rule = cdk.Acknowledgment(id="CloudFormation-Validate::F0001", reason="Its last resource was removed, or none came")
    cdk.Validations.of(stack).acknowledge(rule)
