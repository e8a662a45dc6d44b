"""Policies of AWS Organizations, in one stack of the account that manages the organization."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_organizations as organizations
from constructs import Construct

from dutybound.baseline import Baseline, OrganizationPolicy, Target


class OrganizationPolicies(cdk.Stack):
    """The service control policies and resource control policies, each attached to its targets."""

    def __init__(
        self, scope: Construct, baseline: Baseline, policies: Sequence[OrganizationPolicy], management: Target
    ) -> None:
        """Build the stack under `scope`. Tags and home Region are those of `baseline`."""
        super().__init__(
            scope,
            policies[0].stack,
            stack_name=policies[0].stack,
            description="What the accounts of the organization never do",
            env=cdk.Environment(account=management.id, region=baseline.accounts[0].home_region),
            termination_protection=True,
            synthesizer=cdk.LegacyStackSynthesizer(),
        )
        # The environment is that of one destination, and these are for all.
        tags = [cdk.CfnTag(key=key, value=value) for key, value in baseline.tags if key != "environment"]
        for wanted in policies:
            organizations.CfnPolicy(
                self,
                wanted.logical_id,
                # As an object: CloudFormation hands it on without white space, which Organizations would count, and
                # finds no drift in a text.
                content=wanted.policy.document(),
                name=wanted.name,
                type=wanted.kind,
                description=wanted.description,
                target_ids=list(wanted.targets),
                tags=tags,
            )
