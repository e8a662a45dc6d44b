"""Throws broken input and random organisations at Dutybound, for as long as there is time: `python -m fuzz`.

A subject is one kind of input with what its answer must be; `--list` prints them. What is wrong is written to
build/fuzz/, each kind once, as small as it could be made, and the exit code is 1. An input is known by subject, seed
and number: `--only NAME --seed N --number N` prints it, and what is wrong with it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fuzz import inputs, invariants, messages
from fuzz.engine import Amount, Subject, complaint, input_number, report
from fuzz.mutations import ROOT

SUBJECTS: Mapping[str, Subject] = {**inputs.SUBJECTS, **messages.SUBJECTS, **invariants.SUBJECTS}
MINUTES = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print what came of it, and say whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "").partition(":")[0])
    parser.add_argument(
        "--minutes", type=float, help=f"of all subjects together; {MINUTES:.0f} unless --count is given"
    )
    parser.add_argument("--count", type=int, help="inputs of each subject, or as many as the minutes allow")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=SUBJECTS, metavar="NAME", help="this subject alone")
    parser.add_argument("--number", type=int, help="print the input of this number (of --only) and its answer")
    parser.add_argument("--list", action="store_true", help="print the subjects with their parts of the time")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{name} {subject.share}" for name, subject in SUBJECTS.items()))
        return 0
    if options.number is not None:
        name = options.only or "yaml"
        text = input_number(name, SUBJECTS[name], options.seed, options.number)
        print(text)
        found = complaint(SUBJECTS[name], text)
        print(found if isinstance(found, bool) else found.text, file=sys.stderr)
        return 0
    good = True
    for name, amount in amounts(options.only, options.minutes, options.count).items():
        good = report(name, SUBJECTS, options.seed, amount, options.jobs, options.out) and good
    return 0 if good else 1


def amounts(only: str | None, minutes: float | None, count: int | None) -> dict[str, Amount]:
    """How much of which subjects to run: one alone, or each with its share of the time."""
    chosen = {only: 1} if only else {name: subject.share for name, subject in SUBJECTS.items() if subject.share}
    seconds = None if minutes is None and count is not None else (MINUTES if minutes is None else minutes) * 60
    whole = sum(chosen.values())
    return {name: Amount(count, None if seconds is None else seconds * s / whole) for name, s in chosen.items()}


if __name__ == "__main__":
    raise SystemExit(main())
