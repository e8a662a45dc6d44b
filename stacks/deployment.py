"""A whole deployment: a stage for each destination, a stack for each account and purpose, the stack sets, and the
policies of the organization.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from dutybound.rollout import Deployment

from .baseline import BaselineStacks, written
from .identity_center import IdentityCenterStacks
from .organization import OrganizationPolicies
from .stack_sets import StackSets


def build(app: Construct, deployment: Deployment, folder: Path) -> dict[str, cdk.Stack]:
    """Build everything under `app`, an `App` or a construct in one. The stacks, by their names in CloudFormation.

    Where an environment has several accounts, ENVIRONMENT/ACCOUNT/ stands before the name. Templates are written into
    `folder`; those that are too large for a stack set have to stay until the app is synthesized.
    """
    made: dict[str, cdk.Stack] = {}
    for destination, baseline in deployment.by_stacks():
        for account in baseline.accounts:
            files = written(baseline, account, folder)
            if not destination.targets:
                made |= BaselineStacks(app, files, account.id).stacks
                continue
            stage = cdk.Stage(app, str(destination.name))
            for target in destination.targets:
                stacks = BaselineStacks(stage, files, target.id, target.name).stacks
                made |= {f"{destination.name}/{target.name}/{name}": stack for name, stack in stacks.items()}
    baselines = {destination.name: baseline for destination, baseline in deployment.baselines}
    carriers: list[cdk.Stack] = []
    if deployment.management is not None:
        for name, sets in groupby(deployment.stack_sets, key=lambda s: s.destination):
            carriers.append(StackSets(app, baselines[name], list(sets), deployment.management, folder))
    if deployment.identity_center is not None:
        made |= IdentityCenterStacks(app, deployment.identity_center, carriers).stacks
    if deployment.policies and deployment.management is not None:
        _, first = deployment.baselines[0]
        carriers.append(OrganizationPolicies(app, first, deployment.policies, deployment.management))
    return made | {stack.stack_name: stack for stack in carriers}
