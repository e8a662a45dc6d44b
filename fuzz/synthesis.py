"""From an organisation to templates and back: what the CDK writes is what was decided.

Starting the CDK takes seconds, and then each organisation little: a process is kept for all.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dutybound import template
from dutybound.compare import compare_baselines, compare_trusts
from dutybound.compiler import compile_deployment
from fuzz import organizations
from fuzz.engine import Subject, check
from fuzz.inputs import TODAY

_ALARM = frozenset({"break-glass-alarm", "break-glass"})
"""Read back, the alarm's role is one of the roles, and the group of break-glass is a team like others."""


def small(dice: random.Random) -> str:
    """An organisation of one account: what several have in common is tested by the stacks' own tests."""
    while True:
        tree = organizations.organization(dice)
        holders = (*tree["teams"].values(), *tree.get("roles", {}).values())
        if "accounts" not in tree and not any("in" in one for one in holders):
            return organizations.text(tree)


def synthesized(text: str) -> bool:
    """Write the templates of an organisation and read them back: the same principals can do the same."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        config = Path(folder, "config.yaml")
        config.write_text(text, encoding="utf-8")
        checked = compile_deployment(config, None, TODAY)
        if checked.failed or checked.value is None:
            return False
        import aws_cdk as cdk  # it takes seconds

        from stacks import build

        app = cdk.App(
            outdir=str(Path(folder, "out")), analytics_reporting=False, builtin_cloud_formation_validation=False
        )
        build(app, checked.value, Path(folder))
        app.synth()
        (back,) = template.read(Path(folder, "out")).values()
    check(back.value is not None, "templates that cannot be read", back.diagnostics)
    ((_, baseline),) = checked.value.baselines
    if back.value is not None:
        changes = [c for c in compare_baselines(baseline, back.value.baseline) if c.name not in _ALARM]
        check(not changes, "templates of another meaning", changes[:1])
        trusts = [c for c in compare_trusts(baseline, back.value.baseline) if c.role not in _ALARM]
        check(not trusts, "templates of other trusts", trusts[:1])
    return True


SUBJECTS: Mapping[str, Subject] = {
    "synthesis": Subject(small, synthesized, "yaml", share=4, seconds=240, whole_lines=True),
}
