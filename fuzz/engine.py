"""Runs a subject: makes its inputs, sees what is wrong with the answers, and makes what fails small.

An input is known by subject, seed and number, whatever the number of jobs and however long a run took.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dutybound import catalog

LONGEST = 2.0
"""Seconds after which no answer to a broken input is a wrong answer."""
_MINIMISING = 20.0


class Hang(BaseException):
    """There was no answer in time. Not an Exception, so that nothing on the way takes it for one of its own."""


class Wrong(Exception):
    """An answer that cannot be shown, that contradicts itself, or that breaks an invariant.

    Its first argument says which one, and is the same for all inputs; the second says what it is of this one.
    """


def check(holds: bool, what: str, detail: object = "") -> None:
    """Raise Wrong if it does not hold."""
    if not holds:
        raise Wrong(what, detail)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with an answer. Complaints of one kind have one cause."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A complaint with the input that caused it."""

    number: int
    complaint: Complaint
    input: str


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one subject."""

    inputs: int = 0
    good: int = 0
    """Inputs that had a result rather than errors."""
    slowest: float = 0.0
    slowest_number: int = -1
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another job found."""
        self.inputs += other.inputs
        self.good += other.good
        if other.slowest > self.slowest:
            self.slowest, self.slowest_number = other.slowest, other.slowest_number
        self.findings += other.findings


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of input: how it is made from dice, and what answers it (True for a result, False for errors).

    `share` is its part of a run's time, `seconds` how long an answer may take. What fails is made small by lines, or
    where `whole_lines` is False by characters.
    """

    made: Callable[[random.Random], str]
    answers: Callable[[str], bool]
    suffix: str
    share: int = 1
    seconds: float = LONGEST
    whole_lines: bool = False


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of a subject is run: so many inputs, or so many seconds."""

    count: int | None = None
    seconds: float | None = None


@contextmanager
def guarded(seconds: float = LONGEST, of_cpu: bool = False) -> Iterator[None]:
    """Raise Hang in what takes longer: by the clock, or by what it spends `of_cpu`."""
    timer, number = (signal.ITIMER_PROF, signal.SIGPROF) if of_cpu else (signal.ITIMER_REAL, signal.SIGALRM)

    def ring(_signal: int, _frame: object) -> None:
        raise Hang

    before = signal.signal(number, ring)
    signal.setitimer(timer, seconds, 0.1)  # again and again, since what cleans up swallows it
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, before)


def complaint(subject: Subject, text: str, of_cpu: bool = False) -> Complaint | bool:
    """What is wrong with the answer to an input, or whether the answer is a result."""
    try:
        with guarded(subject.seconds, of_cpu):
            return subject.answers(text)
    except (Exception, Hang) as error:  # whatever it is, it is a finding
        return Complaint(_kind(error), traceback.format_exc())


def _kind(error: BaseException) -> str:
    kind = type(error).__name__
    if isinstance(error, Wrong):
        kind = f"{kind}-{error.args[0]}"
    elif not isinstance(error, Hang):
        where = traceback.extract_tb(error.__traceback__)
        ours = next((f for f in reversed(where) if "dutybound" in Path(f.filename).parts), where[-1])
        kind = f"{kind}-{Path(ours.filename).name}-{ours.name.strip('<>')}"
    return "".join(c if c.isalnum() else "-" for c in kind)[:80]


def examined(subject: Subject, text: str) -> Complaint | bool:
    """The same, but a hang has to spend its seconds: others may have kept the machine busy."""
    found = complaint(subject, text)
    return complaint(subject, text, of_cpu=True) if isinstance(found, Complaint) and found.kind == "Hang" else found


def input_number(name: str, subject: Subject, seed: int, number: int) -> str:
    """An input by its number."""
    return subject.made(random.Random(f"{seed} {name} {number}"))  # noqa: S311


def run(name: str, subject: Subject, seed: int, numbers: Iterable[int], seconds: float | None = None) -> Tally:
    """Examine the inputs with these numbers, or as many of them as there is time for."""
    tally, kinds = Tally(), set()
    end = None if seconds is None else time.monotonic() + seconds
    sys.unraisablehook = lambda _: None  # Hang in what cleans up; it is raised again
    for number in numbers:
        if end is not None and time.monotonic() > end:
            break
        text = input_number(name, subject, seed, number)
        before = time.perf_counter()
        found = examined(subject, text)
        spent = time.perf_counter() - before
        tally.inputs += 1
        if spent > tally.slowest:
            tally.slowest, tally.slowest_number = spent, number
        if not isinstance(found, Complaint):
            tally.good += found
        elif found.kind not in kinds:
            kinds.add(found.kind)
            tally.findings.append(Finding(number, found, smaller(subject, text, found.kind)))
    return tally


def smaller(subject: Subject, text: str, kind: str) -> str:
    """The input with as much taken away as time allows while the complaint stays of its kind."""
    end = time.monotonic() + _MINIMISING
    parts = text.splitlines(keepends=True) if subject.whole_lines else list(text)
    size = max(1, len(parts) // 2)
    while size:
        at = 0
        while at < len(parts):
            if time.monotonic() > end:
                return "".join(parts)
            fewer = parts[:at] + parts[at + size :]
            found = complaint(subject, "".join(fewer), of_cpu=kind == "Hang")
            if isinstance(found, Complaint) and found.kind == kind:
                parts = fewer
            else:
                at += size
        size //= 2
    return "".join(parts)


def report(name: str, subjects: Mapping[str, Subject], seed: int, amount: Amount, jobs: int, out: Path) -> bool:
    """Examine so much of one subject in several processes; print and write what came of it, and say if all is well."""
    catalog.services()
    before, tally, subject = time.perf_counter(), Tally(), subjects[name]
    most = sys.maxsize if amount.count is None else amount.count
    shares = [range(job, most, jobs) for job in range(jobs)]
    if jobs == 1:
        tally = run(name, subject, seed, shares[0], amount.seconds)
    else:
        with multiprocessing.Pool(jobs) as pool:
            for part in pool.starmap(run, [(name, subject, seed, share, amount.seconds) for share in shares], 1):
                tally.add(part)
    spent = time.perf_counter() - before
    kinds = {finding.complaint.kind: finding for finding in sorted(tally.findings, key=lambda f: -f.number)}
    print(
        f"{name}: {tally.inputs:,} inputs (seed {seed}) in {spent:.0f} s, {tally.good:,} with a result; "
        f"slowest {tally.slowest:.2f} s (number {tally.slowest_number}); {len(kinds)} kinds of findings"
    )
    for kind, finding in sorted(kinds.items()):
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{name}-{kind}.{subject.suffix}"
        path.write_bytes(finding.input.encode("utf-8", "surrogatepass"))
        path.with_suffix(".txt").write_text(
            f"number {finding.number}\n{finding.complaint.text}", encoding="utf-8", errors="backslashreplace"
        )
        print(f"  {kind}: number {finding.number}, {path}")
    sys.stdout.flush()
    return not kinds
