"""What the judge's answers about one organisation cost, as a line of JSON: `python -m benchmarks.judge PATH`.

Meant for a process of its own. The compilation before is not counted; what an answer is the first to load is. An
organisation that is too large for one stack has no baseline to ask about, and its line says so with `null`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.stages import peak_memory

PERSON, OTHER = "person.0003", "person.0004"


def main(path: Path) -> None:
    """Compile, ask each question once, and print CPU seconds."""
    from dutybound import access, escalate, explain, source
    from dutybound.case import Question
    from dutybound.lower import lower
    from dutybound.read import read

    loaded = source.load(path)
    if loaded.value is None or (reading := read(loaded.value).value) is None:
        raise SystemExit(f"{path} cannot be read")
    baseline = lower(reading)
    if baseline.value is None:
        print(json.dumps(None))
        return
    made = baseline.value
    tests = list(access.results(reading, made))  # the reference of services is loaded now
    failed = [test.failure.message for test in tests if test.failure is not None]
    if failed:
        raise SystemExit(f"a test of access fails: {failed[0]}")
    spent = {
        "tests": _spent(lambda: list(access.results(reading, made))),
        "explain": _spent(lambda: explain.explain(made, Question(PERSON, "s3:DeleteBucket"))),
        "explain again": _spent(lambda: explain.explain(made, Question(OTHER, "s3:PutObject"))),
        "who-can": _spent(lambda: explain.who_can(made, Question("", "s3:PutObject"))),
        "list-access": _spent(lambda: explain.list_access(made, Question(PERSON, ""))),
        "escalation": _spent(lambda: escalate.escalations(made)),
    }
    print(json.dumps({"seconds": spent, "tests": len(tests), "memory": peak_memory()}))


def _spent(answer: Callable[[], object]) -> float:
    before = time.process_time()
    answer()
    return time.process_time() - before


if __name__ == "__main__":
    main(Path(sys.argv[1]))
