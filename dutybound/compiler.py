"""The chain from a configuration on disk to a baseline:

    Path -> source.load -> Fields -> read -> Reading -> lower (+ catalog, pack) -> Baseline -> guardrails -> Checked

Each stage reports everything it finds; the chain stops only between stages.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dutybound import guardrails, source
from dutybound.baseline import Baseline
from dutybound.diagnostic import Checked, in_order
from dutybound.lower import lower
from dutybound.read import read
from dutybound.source import Fields


def compile_path(path: Path) -> Checked[Baseline]:
    """Compile a configuration folder or file. Bad input gives diagnostics, never an exception."""
    return _compiled(source.load(path))


def compile_text(text: str, path: str = "config.yaml") -> Checked[Baseline]:
    """Compile YAML text as if it stood in a file of that path."""
    return _compiled(source.loads(text, path))


def _compiled(loaded: Checked[Fields]) -> Checked[Baseline]:
    if loaded.failed or loaded.value is None:
        return Checked(None, loaded.diagnostics)
    reading = read(loaded.value)
    found = (*loaded.diagnostics, *reading.diagnostics)
    if reading.failed or reading.value is None:
        return Checked(None, in_order(found))
    baseline = lower(reading.value)
    found = (*found, *baseline.diagnostics)
    if baseline.failed:
        return Checked(None, in_order(found))
    found = in_order((*found, *guardrails.check(reading.value)))
    return replace(baseline, diagnostics=found)
