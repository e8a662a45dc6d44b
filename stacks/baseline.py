"""The stacks of an account. Each resource is a typed construct, so that `cdk diff`, Aspects and cdk-nag see it."""

from __future__ import annotations

import json
from pathlib import Path

import aws_cdk as cdk
from aws_cdk.cloudformation_include import CfnInclude
from constructs import Construct

from dutybound.baseline import Account, Baseline, Target
from dutybound.cloudformation import Template, templates


class BaselineStacks(Construct):
    """All stacks of one account of a baseline.

    They use no role of `cdk bootstrap`: whoever deploys does so with the rights of their own credentials.
    """

    def __init__(
        self, scope: Construct, baseline: Baseline, account: Account, folder: Path, target: Target | None = None
    ) -> None:
        """Build every stack of `account` under `scope`, an `App` or a `Stage`; for `target`, where it has several.

        The templates go to the CDK by way of files in `folder`, which it has read when this returns: one call a stack,
        where a call for each resource costs more than all else.
        """
        super().__init__(scope, target.name if target else "Baseline")
        scope, id_ = (self, target.id) if target else (scope, account.id)
        found = templates(baseline, account)
        self.stacks = {one.stack.name: _stack(scope, one, id_, folder) for one in found}
        for one in found:
            for first in one.after:
                self.stacks[one.stack.name].add_stack_dependency(self.stacks[first])


def _stack(scope: Construct, template: Template, account: str | None, folder: Path) -> cdk.Stack:
    wanted = template.stack
    stack = cdk.Stack(
        scope,
        wanted.name,
        stack_name=wanted.name,
        description=wanted.description,
        env=cdk.Environment(account=account, region=wanted.region),
        termination_protection=wanted.protected,
        synthesizer=cdk.LegacyStackSynthesizer(),  # the only one that names no role of `cdk bootstrap`
    )
    if template.resources:
        file = folder / f"{wanted.name}.template.json"
        # The CDK reads it as YAML, which with line breaks is several times as fast, and is JSON only without what YAML
        # calls a line break within a text.
        file.write_text(json.dumps({"Resources": template.bodies()}, indent=1), encoding="ascii")
        CfnInclude(stack, "Template", template_file=str(file))
    else:
        meant_to_be_empty(stack)
    return stack


def meant_to_be_empty(stack: cdk.Stack) -> None:
    """Let a stack without resources pass the CDK's own checks: its deployment deletes what was in it."""
    rule = cdk.Acknowledgment(id="CloudFormation-Validate::F0001", reason="Its last resource was removed, or none came")
    cdk.Validations.of(stack).acknowledge(rule)
