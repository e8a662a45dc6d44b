"""Requests per CPU second of `dutybound simulate --batch`, on short policies and on 100 KB of them, and its memory.

Prints one line per load: requests per CPU second of the whole process (start-up and output with it), and the peak
memory after half of the lines and after all, which must not differ.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
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


def measure(name: str, size: int, principals: int, count: int) -> None:
    """Judge the lines in a process of their own, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        with path.open("wb") as file:
            file.writelines(lines(size, principals, count))
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        before, half = time.process_time(), 0.0
        with path.open("rb") as file, Path(os.devnull).open("w", encoding="utf-8") as sink:
            for number, (answer, _) in enumerate(Batch().answers(lines_of(file))):
                sink.write(answer)
                if number == count // 2:
                    half = _memory()
        spent = time.process_time() - before
        print(
            f"{name:16} {count / spent:9,.0f} requests per CPU second, "
            f"peak memory {half:.0f} MB at half, {_memory():.0f} MB at the end"
        )
        sys.stdout.flush()
        os._exit(0)


def main() -> None:
    """All loads."""
    measure("short policies", 600, 60, 200_000)
    measure("100 KB", 100_000, 5, 20_000)


if __name__ == "__main__":
    main()
