"""A baseline as text, all of it but the places in the user's files: `python -m benchmarks.dump PATH`.

The same meaning gives the same bytes, so what differs between two runs is a mistake.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from dutybound.baseline import Baseline
from dutybound.compiler import compile_path
from dutybound.diagnostic import render_all
from dutybound.policy import Policy


def dumped(baseline: Baseline) -> str:
    """Every value of a baseline in the order it has there, policies as IAM gets them."""
    return json.dumps(_plain(baseline), indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Policy):
        return value.document()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.compare}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def main(path: Path) -> None:
    """Compile and print."""
    checked = compile_path(path)
    if checked.value is None:
        raise SystemExit(render_all(checked.diagnostics))
    print(dumped(checked.value))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
