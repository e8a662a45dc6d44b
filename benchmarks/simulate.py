"""Requests per CPU second of `dutybound simulate --batch`, on short policies and on 100 KB of them, and its memory.

Prints one line per load: requests per CPU second of the whole process (start-up and output with it), and the peak
memory after half of the lines and after all, which must not differ. `python -m benchmarks.simulate [--share 0.1]
[--json]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dutybound.batch import Batch, lines_of

ACCOUNT = "111122223333"
SERVICES = ("s3", "ec2", "sqs", "sns", "dynamodb", "lambda", "logs", "iam", "kms", "events")
VERBS = ("Get", "List", "Describe", "Put", "Create", "Delete", "Update", "Start", "Stop", "Tag")
NOUNS = ("Item", "Queue", "Topic", "Function", "Rule", "Object", "Table", "Group", "Stream", "Key")
FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def statement(dice: random.Random, number: int) -> dict[str, Any]:
    """One statement: a few actions of one service, a few ARNs, sometimes a condition, sometimes a deny."""
    service = dice.choice(SERVICES)
    made: dict[str, Any] = {
        "Sid": f"S{number}",
        "Effect": "Deny" if dice.random() < 0.1 else "Allow",
        "Action": [f"{service}:{dice.choice(VERBS)}{dice.choice(('*', dice.choice(NOUNS)))}" for _ in range(6)],
        "Resource": [f"arn:aws:{service}:eu-west-1:{ACCOUNT}:team-{dice.randrange(50)}/*" for _ in range(3)],
    }
    if dice.random() < 0.5:
        made["Resource"] = "*"
    if dice.random() < 0.4:
        made["Condition"] = dice.choice(
            (
                {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
                {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}},
                {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}},
                {"StringLike": {"aws:PrincipalTag/team": ["pay*", "${aws:username}"]}},
            )
        )
    return made


def policies(dice: random.Random, size: int) -> dict[str, Any]:
    """The policies of one principal, `size` characters of them, with a boundary and two levels of SCPs."""
    identity: list[dict[str, Any]] = []
    count, length = 0, 0
    while length < size:
        statements = [statement(dice, count + i) for i in range(min(10, 1 + size // 500))]
        count += len(statements)
        identity.append({"Version": "2012-10-17", "Statement": statements})
        length += len(json.dumps(identity[-1]))
    fields = {"groups": [], "boundary": FULL, "scps": [[FULL], [FULL]], "rcps": None, "session": None}
    return {"identity": identity, **fields, "resource_policy": None}


def lines(size: int, principals: int, count: int) -> Iterator[bytes]:
    """Requests of a number of principals, in no order."""
    dice = random.Random(7)  # noqa: S311
    heads = [json.dumps(policies(dice, size))[:-1] for _ in range(principals)]
    for _ in range(count):
        service = dice.choice(SERVICES)
        asked = {
            "principal": f"arn:aws:iam::{ACCOUNT}:user/people/tom",
            "action": f"{service}:{dice.choice(VERBS)}{dice.choice(NOUNS)}",
            "resource": f"arn:aws:{service}:eu-west-1:{ACCOUNT}:team-{dice.randrange(50)}/{dice.randrange(10**6)}",
            "context": {
                "aws:MultiFactorAuthPresent": dice.choice(("true", "false")),
                "aws:RequestedRegion": "eu-west-1",
                "aws:SourceIp": f"203.0.113.{dice.randrange(256)}",
                "aws:PrincipalTag/team": "payments",
                "aws:username": "tom",
            },
        }
        yield f"{dice.choice(heads)}, {json.dumps(asked)[1:]}\n".encode()


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What judging one kind of lines took: requests per CPU second, and MB at the peak at half and at the end."""

    name: str
    rate: float
    half: float
    end: float

    def __str__(self) -> str:
        memory = f"peak memory {self.half:.0f} MB at half, {self.end:.0f} MB at the end"
        return f"{self.name:16} {self.rate:9,.0f} requests per CPU second, {memory}"


def measure(name: str, size: int, principals: int, count: int) -> Load:
    """Judge the lines in a process of their own. Raises RuntimeError if that does not end well."""
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder) / "lines", Path(folder) / "result"
        with path.open("wb") as file:
            file.writelines(lines(size, principals, count))
        child = os.fork()
        if not child:
            status = 1
            try:
                result.write_text(json.dumps(_judged(path, count)), encoding="ascii")
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError(f"{name}: the judge did not end well")
        spent, half, end = json.loads(result.read_text(encoding="ascii"))
        return Load(name, count / spent, half, end)


def _judged(path: Path, count: int) -> tuple[float, float, float]:
    """CPU seconds, and the memory at half and at the end."""
    before, half = time.process_time(), 0.0
    with path.open("rb") as file, Path(os.devnull).open("w", encoding="utf-8") as sink:
        for number, (answer, _) in enumerate(Batch().answers(lines_of(file))):
            sink.write(answer)
            if number == count // 2:
                half = _memory()
    return time.process_time() - before, half, _memory()


def main(arguments: Sequence[str] | None = None) -> None:
    """All loads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate")
    parser.add_argument("--share", type=float, default=1.0, help="the part of the lines to judge (default: all)")
    parser.add_argument("--json", action="store_true", help="print a list of loads as JSON")
    options = parser.parse_args(arguments)
    loads = [
        measure("short policies", 600, 60, round(200_000 * options.share)),
        measure("100 KB", 100_000, 5, round(20_000 * options.share)),
    ]
    print(json.dumps([asdict(load) for load in loads]) if options.json else "\n".join(map(str, loads)))


if __name__ == "__main__":
    main()
