"""Synthesis for many accounts, by both ways of rolling out, without the CDK CLI."""

from __future__ import annotations

from typing import get_args

from benchmarks.accounts import Rollout, accounts
from benchmarks.commands import DUTYBOUND, synthesis
from benchmarks.organization import write
from benchmarks.page import NONE, by_size, rows
from benchmarks.plan import Plan
from benchmarks.process import Figure, figure, python

CHECK = "`check`"
MOST_OFTEN = 100
"""Accounts: more are synthesized once, since a run takes minutes by `stacks`."""


def measure(plan: Plan) -> list[Figure]:
    """The example organization with so many accounts."""
    return [one for count in plan.accounts for rollout in get_args(Rollout) for one in _figures(plan, count, rollout)]


def _figures(plan: Plan, count: int, rollout: Rollout) -> list[Figure]:
    """Its synthesis, and by stack sets what `check` costs too."""
    runs, size = plan.runs if count <= MOST_OFTEN else 1, f"{count:,} accounts"
    folder = write(accounts(count, rollout), plan.folder / f"accounts-{count}-{rollout}")
    found = [figure(f"synthesis, `{rollout}`", size, runs, lambda: synthesis(folder))]
    if rollout == "stack-sets":
        found.append(figure(CHECK, size, runs, lambda: python(*DUTYBOUND, "check", folder, codes=(0,))))
    return found


def page(found: list[Figure]) -> list[str]:
    """The table of accounts, and how much is written."""
    sizes = list(dict.fromkeys(one.size for one in found))
    written = {(one.work, one.size): one.written for one in found if one.written}
    works = list(dict.fromkeys(work for work, _ in written))
    lines = [
        (work, [f"{written[work, size]:,.0f} KB" if (work, size) in written else NONE for size in sizes])
        for work in works
    ]
    return [
        "# Many accounts",
        "",
        "`examples/organization` with more accounts in its two environments. CPU seconds with children, and memory; "
        "without the CDK CLI.",
        "",
        *by_size(found),
        "",
        "What the synthesis writes, templates and all that stands beside them:",
        "",
        *rows([("", sizes), *lines]),
    ]
