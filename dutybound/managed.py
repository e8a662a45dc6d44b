"""The AWS managed policies: what AWS publishes under each name, as of the date in `dutybound/data`.

AWS changes them at any time, without asking; a version and its date say which text the compiler judged. Written by
`tools/managed_policies.py`. Sources: IAM User Guide, "Managed policies and inline policies"; AWS Managed Policy
Reference.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from dutybound.policy import Document, Policy, parse

_DATA = resources.files("dutybound") / "data"
_REFUSED = {
    "/aws-service-role/": "AWS attaches it to the role of a service, and to nothing else",
    "/root-task/": "it limits a root session (sts:AssumeRoot), and is not for people or roles",
}
"""Paths of policies that nobody is given. Sources: AWS Managed Policy Reference ("You cannot attach this policy to your
users, groups, or roles"); AWS STS API Reference, "AssumeRoot".
"""


@dataclass(frozen=True, slots=True)
class AwsManagedPolicy:
    """One AWS managed policy in its default version; `date` is the day of that version, as `2026-09-30`."""

    name: str
    path: str
    version: str
    date: str
    text: str
    """The document as minified JSON."""

    @property
    def id(self) -> str:
        """The end of the ARN, by which a `Baseline` names the policy: `job-function/Billing`."""
        return f"{self.path[1:]}{self.name}"

    def arn(self, partition: str = "aws") -> str:
        """The ARN of the policy in a partition."""
        return arn(self.id, partition)

    @property
    def refused(self) -> str:
        """Why it cannot be given to a group or role; empty if it can."""
        return _REFUSED.get(self.path, "")

    @property
    def attachable(self) -> bool:
        """Whether a group or role can have it."""
        return not self.refused

    @property
    def document(self) -> Document:
        """The document, made anew for each caller."""
        document: Document = json.loads(self.text)
        return document

    @property
    def policy(self) -> Policy:
        """The document as the judge takes it."""
        return parse(self.document)


def arn(id_: str, partition: str = "aws") -> str:
    """The ARN of the AWS managed policy with this id, such as `job-function/Billing`."""
    return f"arn:{partition}:iam::aws:policy/{id_}"


def names() -> tuple[str, ...]:
    """The names of all AWS managed policies, sorted, without their paths."""
    return tuple(_index()["policies"])


@cache
def managed_policy(name: str) -> AwsManagedPolicy:
    """The policy of that name, or of that id (`job-function/Billing`). Raises KeyError if there is none."""
    plain = name.rpartition("/")[2]
    path, version, date = _index()["policies"][plain]
    if name not in (plain, f"{path[1:]}{plain}"):
        raise KeyError(name)
    return AwsManagedPolicy(plain, path, version, date, json.dumps(_documents(plain)[plain], separators=(",", ":")))


def source() -> str:
    """Where the policies come from and of what date they are, for the output."""
    return str(_index()["source"])


@cache
def _index() -> Any:
    return json.loads((_DATA / "aws-managed-policies.json").read_bytes())


def _documents(name: str) -> Any:
    """The documents of the block that holds a policy, by name."""
    return _block(names().index(name) // _index()["policies_per_block"])


@lru_cache(maxsize=1)  # whoever reads all policies, by name, reads each block once
def _block(number: int) -> Any:
    lengths = _index()["blocks"]
    with (_DATA / "aws-managed-policies.zlib").open("rb") as file:
        file.seek(sum(lengths[:number]))
        return json.loads(zlib.decompress(file.read(lengths[number])))
