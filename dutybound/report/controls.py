"""How each control of a benchmark stands over all environments of a report: as in the worst of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dutybound import compliance
from dutybound.baseline import Baseline
from dutybound.report.facts import Control


def controls(baselines: Mapping[str | None, Baseline]) -> Iterator[Control]:
    """The controls in the order of their benchmarks; where environments differ, each line says of which it is."""
    found: dict[compliance.Control, list[tuple[str, compliance.Outcome]]] = {}
    for environment, baseline in sorted(baselines.items(), key=lambda pair: pair[0] or ""):
        for outcome in compliance.compliance(baseline):
            found.setdefault(outcome.control, []).append((environment or "", outcome))
    for control, outcomes in found.items():
        state = min((outcome.state for _, outcome in outcomes), key=("not met", "not ours", "met").index)
        alike = len({outcome.where for _, outcome in outcomes}) == 1
        lines = (line if alike else f"{where}: {line}" for where, outcome in outcomes for line in outcome.where)
        title = compliance.title(control.benchmark)
        yield Control(control.id, title, control.title, control.level, state, tuple(dict.fromkeys(lines)))
