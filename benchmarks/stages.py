"""CPU seconds of each stage of one compilation, as a line of JSON: `python -m benchmarks.stages PATH`.

Meant for a process of its own: imports and what the first use of a stage loads count too. Guardrails are checked even
after an error of `lower`, so that what does not compile is measured whole.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

BYTES_PER_MB = 1024 * 1024


def main(path: Path) -> None:
    """Compile stage by stage and print what each took."""
    at = [time.process_time()]
    spent: dict[str, float] = {}

    def lap(name: str) -> None:
        at.append(time.process_time())
        spent[name] = at[-1] - at[-2]

    from dutybound import compiler, guardrails, rules, source
    from dutybound.lower import lower
    from dutybound.read import read
    from dutybound.waiver import Held, settled

    if not hasattr(compiler, "compile_path"):  # what `dutybound check` imports, and so part of what it costs
        raise SystemExit("this is not Dutybound's compiler")
    lap("import")
    loaded = source.load(path)
    if loaded.value is None:
        raise SystemExit(f"{path} cannot be read: {loaded.diagnostics[0].message}")
    lap("source")
    reading = read(loaded.value)
    if reading.failed or reading.value is None:
        raise SystemExit(f"{path} has errors: {reading.diagnostics[0].message}")
    lap("read")
    held: list[Held] = []
    baseline = lower(reading.value, held=held)
    lap("lower")
    if baseline.value is not None:
        held += rules.findings(reading.value, baseline.value)
    left = [s.diagnostic for s in settled(held, reading.value.configuration.waivers, None) if s.waiver is None]
    failures = [test.failure for test in guardrails.check(reading.value) if test.failure is not None]
    found = [*baseline.diagnostics, *left, *failures]
    lap("guardrails")
    errors = sorted({d.name for d in found if d.severity == "error"})
    print(json.dumps({**spent, "memory": peak_memory(), "errors": errors}))


def peak_memory() -> float:
    """MB of this process at its peak. `ru_maxrss` would count what the process that started it took as well."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (BYTES_PER_MB if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
