"""CPU seconds and memory of comparing two baselines that differ in one duty: `python -m benchmarks.compare [PEOPLE]`.

What compiling takes is not counted; `diff` is the whole review, with its comparison.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.organization import Tree, organization, write
from benchmarks.stages import peak_memory
from dutybound import source
from dutybound.baseline import Baseline
from dutybound.changes import review
from dutybound.compare import compare_baselines, compare_trusts
from dutybound.diagnostic import Checked
from dutybound.lower import lower
from dutybound.read import read

PEOPLE = 5000


def main(people: int) -> None:
    """Compare, and print what it took."""
    files = organization(people)
    changed = copy.deepcopy(files)
    duties = changed["duties.yaml"]["duties"]
    duties[min(duties)]["grants"][1]["actions"].append("cloudfront:GetInvalidation")
    old, new = _baseline(files), _baseline(changed)
    start = time.process_time()
    changes, trusts = compare_baselines(old, new), compare_trusts(old, new)
    spent = time.process_time() - start
    start = time.process_time()
    review({None: Checked(old, ())}, {None: Checked(new, ())})
    whole = time.process_time() - start
    found = {"people": people, "compare": spent, "diff": whole, "changes": len(changes), "trusts": len(trusts)}
    print(json.dumps({**found, "memory": peak_memory()}))


def _baseline(files: Mapping[str, Tree]) -> Baseline:
    with tempfile.TemporaryDirectory() as folder:
        loaded = source.load(write(files, Path(folder)))
    reading = read(loaded.value).value if loaded.value is not None else None
    if reading is None:
        raise SystemExit("the organisation has errors")
    checked = lower(reading)
    if checked.value is None:
        raise SystemExit(f"the organisation has errors: {checked.diagnostics[0].message}")
    return checked.value


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE)
