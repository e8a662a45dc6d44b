"""A whole deployment: a stage for each destination, a stack for each account and purpose, the stack sets, and the
policies of the organization.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from dutybound.rollout import Deployment

from .baseline import BaselineStacks
from .identity_center import IdentityCenterStacks
from .organization import OrganizationPolicies
from .stack_sets import StackSets


def build(app: Construct, deployment: Deployment, folder: Path) -> None:
    """Build everything under `app`, an `App` or a construct in one.

    Templates that are too large for a stack set are written into `folder`.
    """
    for destination, baseline in deployment.by_stacks():
        for account in baseline.accounts:
            if not destination.targets:
                BaselineStacks(app, baseline, account)
                continue
            stage = cdk.Stage(app, str(destination.name))
            for target in destination.targets:
                BaselineStacks(stage, baseline, account, target)
    baselines = {destination.name: baseline for destination, baseline in deployment.baselines}
    carriers = []
    for name, sets in groupby(deployment.stack_sets, key=lambda s: s.destination):
        if deployment.management is not None:
            carriers.append(StackSets(app, baselines[name], list(sets), deployment.management, folder))
    if deployment.identity_center is not None:
        IdentityCenterStacks(app, deployment.identity_center, carriers)
    if deployment.policies and deployment.management is not None:
        _, first = deployment.baselines[0]
        OrganizationPolicies(app, first, deployment.policies, deployment.management)
