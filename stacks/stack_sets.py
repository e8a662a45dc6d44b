"""Stack sets: the templates of many accounts, in one stack of the account that manages the organization."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from dutybound.baseline import Baseline, StackSet, Target
from dutybound.cloudformation import Template, templates

MOST_IN_PLACE = 51_200
"""Bytes of a template that a stack set holds itself (CloudFormation User Guide, "Quotas"); more goes by way of S3."""


class StackSets(cdk.Stack):
    """The stack sets of one destination. Deploying the stack deploys all accounts: CloudFormation does the rest."""

    def __init__(
        self, scope: Construct, baseline: Baseline, sets: Sequence[StackSet], management: Target, folder: Path
    ) -> None:
        """Build the stack under `scope`; templates that are too large to be held are written into `folder`."""
        name = f"{baseline.organization}-stack-sets-{sets[0].destination}"
        super().__init__(
            scope,
            name,
            stack_name=name,
            description=f"Baseline of the accounts of {sets[0].destination}",
            env=cdk.Environment(account=management.id, region=baseline.accounts[0].home_region),
            termination_protection=True,
            synthesizer=cdk.LegacyStackSynthesizer(),
        )
        self.folder, self.baseline = folder, baseline
        # A template without resources is none; without its stack set, CloudFormation removes what was there.
        found = {t.stack.name: t for a in baseline.accounts for t in templates(baseline, a) if t.resources}
        made = {s.template: self._stack_set(s, _text(found[s.template])) for s in sets if s.template in found}
        for name in sorted(made):
            for needed in found[name].after:
                if needed in made:
                    made[name].add_resource_dependency(made[needed])

    def _stack_set(self, wanted: StackSet, template: str) -> cdk.CfnStackSet:
        body: str | None = template
        url: str | None = None
        if len(template.encode()) > MOST_IN_PLACE:
            file = self.folder / f"{wanted.name}.json"
            file.write_text(template, encoding="utf-8")
            body, url = None, assets.Asset(self, f"{wanted.logical_id}Template", path=str(file)).http_url
        return cdk.CfnStackSet(
            self,
            wanted.logical_id,
            stack_set_name=wanted.name,
            description=f"{wanted.template} of {wanted.destination}",
            permission_model="SERVICE_MANAGED",
            # With it an account that joins one of the units gets the baseline by itself.
            auto_deployment=cdk.CfnStackSet.AutoDeploymentProperty(
                enabled=True, retain_stacks_on_account_removal=wanted.retained
            ),
            capabilities=["CAPABILITY_NAMED_IAM"],
            managed_execution={"Active": True},
            operation_preferences=cdk.CfnStackSet.OperationPreferencesProperty(
                failure_tolerance_percentage=wanted.failures,
                max_concurrent_percentage=wanted.at_once,
                # Strict would change one account at a time while none may fail.
                concurrency_mode="SOFT_FAILURE_TOLERANCE",
            ),
            stack_instances_group=[
                cdk.CfnStackSet.StackInstancesProperty(
                    deployment_targets=cdk.CfnStackSet.DeploymentTargetsProperty(
                        organizational_unit_ids=list(wanted.units),
                        accounts=list(wanted.accounts) or None,
                        account_filter_type="INTERSECTION" if wanted.accounts else None,
                    ),
                    regions=[wanted.region],
                )
            ],
            template_body=body,
            template_url=url,
            tags=[cdk.CfnTag(key=key, value=value) for key, value in self.baseline.tags],
        )


def _text(template: Template) -> str:
    return json.dumps(template.document(), separators=(",", ":"), sort_keys=True)
