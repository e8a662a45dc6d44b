"""Throws broken input at Dutybound and sees that it answers: `python -m benchmarks.fuzz [--count N] [--seed N]`.

Three subjects: configurations (`yaml`), policies for `dutybound import-policy` (`policy`) and lines for `dutybound
simulate --batch` (`batch`). An answer is a result, or errors that can be shown; neither a traceback, nor silence, nor
more than two seconds. What is not an answer is written to build/fuzz/, each kind once, as small as it could be made.
Exits with 1 if there is any. An input is known by seed and number, whatever the number of jobs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.mutations import ROOT, Twister, as_json, as_yaml, mutated, seeds, trees
from benchmarks.simulate import policies
from dutybound import catalog
from dutybound.batch import Batch
from dutybound.carry import NotCarried, carried
from dutybound.compiler import compile_text
from dutybound.diagnostic import Checked, Diagnostic, as_github, as_sarif, render_all
from dutybound.diagnostic import as_json as diagnostics_as_json
from dutybound.evaluate import in_account
from dutybound.grant import duty_access, example_use
from dutybound.policy import Policy
from dutybound.read import library, library_duty
from dutybound.source import loads

LONGEST = 2.0
"""Seconds after which no answer is a wrong answer."""
TODAY = date(2026, 11, 24)
ACCOUNT = "111122223333"
_MINIMISING = 20.0
_TWISTS = (1, 1, 1, 2, 3, 6)
"""One twist is often enough to be wrong, and leaves more of the input to be compiled."""


class Hang(BaseException):
    """There was no answer in time. Not an Exception, so that nothing on the way takes it for one of its own."""


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
    """One kind of input: how it is made from dice, and what answers it (True for a result, False for errors)."""

    made: Callable[[random.Random], str]
    answers: Callable[[str], bool]
    suffix: str


class Wrong(Exception):
    """An answer that cannot be shown, or that contradicts itself."""


def check(holds: bool, what: str) -> None:
    """Raise Wrong if it does not hold."""
    if not holds:
        raise Wrong(what)


# --- configurations -------------------------------------------------------------------------------------------------


@cache
def _configurations() -> Twister:
    return Twister(trees())


def broken_configuration(dice: random.Random) -> str:
    """A configuration broken as text, twisted as a tree, or both."""
    if dice.random() < 0.4:
        return mutated(dice.choice(seeds()), dice, dice.randint(1, 8))
    text = as_yaml(_configurations().twisted(dice, dice.choice(_TWISTS)), dice)
    if text is None:
        return mutated(dice.choice(seeds()), dice, dice.randint(1, 8))
    return mutated(text, dice, dice.randint(1, 3)) if dice.random() < 0.2 else text


def compiles(text: str) -> bool:
    """Compile for each environment that the text names; True if there is a baseline."""
    checked = compile_text(text, today=TODAY)
    for diagnostic in checked.diagnostics:
        if diagnostic.name == "no-environment":
            for environment in diagnostic.message.rpartition(": ")[2].split(", "):
                checked = compile_text(text, environment=environment, today=TODAY)
                shown(checked)
            return checked.value is not None
    shown(checked)
    return checked.value is not None


def shown(checked: Checked[Any]) -> None:
    """See that there is a value or an error, never both, and that every form of output can show them."""
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    check(not (checked.value is not None and errors), "a value together with errors")
    check(not (checked.value is None and not errors), "neither a value nor an error")
    for diagnostic in checked.diagnostics:
        _speaks(diagnostic)
    check("Traceback" not in render_all(checked.diagnostics), "a traceback as a message")
    json.loads(diagnostics_as_json(checked.diagnostics))
    as_sarif(checked.diagnostics, "0", "config").encode()
    as_github(checked.diagnostics).encode()


def _speaks(diagnostic: Diagnostic) -> None:
    name, span = diagnostic.name, diagnostic.span
    check(bool(diagnostic.message), f"{name}: no message")
    for part in (diagnostic.message, diagnostic.hint, *diagnostic.notes):
        check(part.isprintable(), f"{name}: a text that cannot be printed")
        check(len(part) < 2000, f"{name}: a text without end")
    if span is not None:
        check(1 <= span.line <= len(span.source.lines), f"{name}: a line that is not there")
        check(1 <= span.column <= len(span.source.lines[span.line - 1]) + 1, f"{name}: a column that is not there")


# --- policies -------------------------------------------------------------------------------------------------------


@cache
def _policies() -> Twister:
    """The policies of the library's duties, and some of no sense."""
    known: list[Any] = []
    for name in library():
        duty = library_duty(name)
        statements = duty_access(example_use(name, duty), duty, []).statements
        if statements:
            known.append(in_account(Policy(statements), ACCOUNT).document())
    dice = random.Random(1)  # noqa: S311
    known += [document for _ in range(10) for document in policies(dice, 1500)["identity"]]
    return Twister([json.loads(json.dumps(document)) for document in known])


def broken_policy(dice: random.Random) -> str:
    """A policy document, twisted, and sometimes broken as text."""
    return _broken_json(_policies(), dice)


def _broken_json(twister: Twister, dice: random.Random) -> str:
    text = None
    while text is None:
        text = as_json(twister.twisted(dice, dice.randint(0, 4)))
    return mutated(text, dice, dice.randint(1, 3)) if dice.random() < 0.2 else text


def carries(text: str) -> bool:
    """Turn a policy into a duty as the command does; True if there is one, which then must be YAML."""
    try:
        made = carried(json.loads(text), "carried-over", "a policy")
    except (RecursionError, json.JSONDecodeError, NotCarried) as error:
        check("please report" not in str(error), f"a duty of another meaning: {error}")
        check(str(error).isprintable(), "a text that cannot be printed")
        return False
    for said in (*made.notes, *made.doubts):
        check(said.isprintable(), "a text that cannot be printed")
    check(not loads(made.yaml, "duty.yaml").failed, "a duty that is no YAML")
    return True


# --- lines ----------------------------------------------------------------------------------------------------------


@cache
def _lines() -> Twister:
    dice = random.Random(2)  # noqa: S311
    known = []
    for _ in range(30):
        policy = policies(dice, dice.choice([300, 1500]))
        statement = dict(policy["identity"][0]["Statement"][0])
        statement["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        if dice.random() < 0.5:
            policy["resource_policy"] = {"Version": "2012-10-17", "Statement": statement}
        if dice.random() < 0.5:
            policy["session"] = policy["boundary"]
        asked = {"action": "s3:GetObject", "resource": "arn:aws:s3:::a/b", "context": {"aws:username": "tom"}}
        known.append({**policy, "principal": f"arn:aws:iam::{ACCOUNT}:user/people/tom", **asked})
    return Twister(known)


def broken_line(dice: random.Random) -> str:
    """A line of a batch, twisted, and sometimes broken as text."""
    return _broken_json(_lines(), dice).replace("\n", " ")


_BATCH = Batch()


def judges(text: str) -> bool:
    """Judge a line twice, and in a batch that knows many others: one answer, in JSON, every time."""
    line = text.encode("utf-8", "surrogatepass")
    (first, good), (second, _) = Batch().answers([line, line])
    ((among, _),) = _BATCH.answers([line])
    check(isinstance(json.loads(first), dict), "an answer that is no object")
    check("\n" not in first, "an answer of several lines")
    numbered = [_unnumbered(answer) for answer in (first, second, among)]
    check(numbered[0] == numbered[1], "another answer the second time")
    check(numbered[0] == numbered[2], "another answer among other lines")
    return good


def _unnumbered(answer: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(answer).items() if key != "line"}


SUBJECTS: Mapping[str, Subject] = {
    "yaml": Subject(broken_configuration, compiles, "yaml"),
    "policy": Subject(broken_policy, carries, "json"),
    "batch": Subject(broken_line, judges, "json"),
}


# --- the run --------------------------------------------------------------------------------------------------------


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
        with guarded(of_cpu=of_cpu):
            return subject.answers(text)
    except (Exception, Hang) as error:  # whatever it is, it is a finding
        kind = type(error).__name__
        where = traceback.extract_tb(error.__traceback__)
        ours = next((f for f in reversed(where) if "dutybound" in Path(f.filename).parts), where[-1])
        at = f"{Path(ours.filename).name}-{ours.name.strip('<>')}"
        name = f"{kind}-{error}" if isinstance(error, Wrong) else kind if isinstance(error, Hang) else f"{kind}-{at}"
        return Complaint("".join(c if c.isalnum() else "-" for c in name)[:80], traceback.format_exc())


def examined(subject: Subject, text: str) -> Complaint | bool:
    """The same, but a hang has to spend its seconds: others may have kept the machine busy."""
    found = complaint(subject, text)
    return complaint(subject, text, of_cpu=True) if isinstance(found, Complaint) and found.kind == "Hang" else found


def input_number(name: str, seed: int, number: int) -> str:
    """An input by its number."""
    return SUBJECTS[name].made(random.Random(f"{seed} {name} {number}"))  # noqa: S311


def run(name: str, seed: int, numbers: Sequence[int]) -> Tally:
    """Examine the inputs with these numbers."""
    subject, tally, kinds = SUBJECTS[name], Tally(), set()
    sys.unraisablehook = lambda _: None  # Hang in what cleans up; it is raised again
    for number in numbers:
        text = input_number(name, seed, number)
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
    parts = text.splitlines(keepends=True) if subject.suffix == "yaml" else list(text)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print what came of it, and say whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--count", type=int, default=20_000, help="configurations; of the others a quarter as many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=SUBJECTS, help="this subject alone, all of the count")
    parser.add_argument("--number", type=int, help="print the input of this number (of --only) and its answer")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    options = parser.parse_args(arguments)
    if options.number is not None:
        name = options.only or "yaml"
        text = input_number(name, options.seed, options.number)
        print(text)
        print(complaint(SUBJECTS[name], text), file=sys.stderr)
        return 0
    counts = {options.only: options.count} if options.only else dict.fromkeys(SUBJECTS, options.count // 4)
    counts[options.only or "yaml"] = options.count
    good = True
    for name, count in counts.items():
        good = report(name, options.seed, count, options.jobs, options.out) and good
    return 0 if good else 1


def report(name: str, seed: int, count: int, jobs: int, out: Path) -> bool:
    """Examine so many inputs of one subject in several processes; print and write what came of it."""
    catalog.services()
    before, tally = time.perf_counter(), Tally()
    shares = [range(job, count, jobs) for job in range(jobs)]
    if jobs == 1:
        tally = run(name, seed, shares[0])
    else:
        with multiprocessing.Pool(jobs) as pool:
            for part in pool.starmap(run, [(name, seed, share) for share in shares]):
                tally.add(part)
    spent = time.perf_counter() - before
    kinds = {finding.complaint.kind: finding for finding in sorted(tally.findings, key=lambda f: -f.number)}
    print(
        f"{name}: {tally.inputs:,} inputs (seed {seed}) in {spent:.0f} s, {tally.good:,} with a result; "
        f"slowest {tally.slowest:.2f} s (number {tally.slowest_number}); {len(kinds)} kinds of findings"
    )
    for kind, finding in sorted(kinds.items()):
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{name}-{kind}.{SUBJECTS[name].suffix}"
        path.write_bytes(finding.input.encode("utf-8", "surrogatepass"))
        path.with_suffix(".txt").write_text(f"number {finding.number}\n{finding.complaint.text}", encoding="utf-8")
        print(f"  {kind}: number {finding.number}, {path}")
    sys.stdout.flush()
    return not kinds


if __name__ == "__main__":
    raise SystemExit(main())
