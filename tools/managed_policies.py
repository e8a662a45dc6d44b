"""Write the AWS managed policies that Dutybound carries: `python -m tools.managed_policies`.

The source is one file of the package moto. It is taken from this environment, or from build/moto, where it is installed
first if neither has it; it is read as text, so nothing of moto runs. What is written: an index, one line for each
policy, so that a person can read what an update changes; and the documents in blocks of a few policies, each compressed
on its own, so that one policy is read without the others.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import subprocess
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.install import BUILD, ROOT

MOTO = "moto==5.2.5"
"""The package with the policies; raise it by hand, here, and read what changes in the index."""
DATA = ROOT / "dutybound" / "data"
POLICIES_PER_BLOCK = 24
"""More makes the file smaller, and reading one policy slower."""
_MODULE = "moto/iam/aws_managed_policies.py"
_NAME = "aws_managed_policies_data"


@dataclass(frozen=True, slots=True)
class Written:
    """The two files as they are to stand in `dutybound/data`."""

    index: str
    blocks: bytes

    def save(self, folder: Path = DATA) -> None:
        """Write both."""
        (folder / "aws-managed-policies.json").write_text(self.index, encoding="utf-8", newline="\n")
        (folder / "aws-managed-policies.zlib").write_bytes(self.blocks)


def source() -> Path | None:
    """The file of the pinned moto, in this environment or in build/moto; None if neither has it."""
    for folder in (*sys.path, str(BUILD / "moto")):
        found = list(importlib.metadata.distributions(name="moto", path=[folder]))
        if found and f"moto=={found[0].version}" == MOTO:
            return Path(str(found[0].locate_file(_MODULE)))
    return None


def policies(module: Path) -> Mapping[str, Mapping[str, Any]]:
    """The policies by name, as moto has them. Raises ValueError if the file is not what it was."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == [_NAME]:
            found: Mapping[str, Mapping[str, Any]] = json.loads(ast.literal_eval(node.value))
            return found
    raise ValueError(f"{module} has no {_NAME}")


def written(policies: Mapping[str, Mapping[str, Any]]) -> Written:
    """The files for these policies: the same policies give the same bytes, whatever their order."""
    names = sorted(policies)
    blocks = [_block(names[at : at + POLICIES_PER_BLOCK], policies) for at in range(0, len(names), POLICIES_PER_BLOCK)]
    dates = {name: str(policies[name]["UpdateDate"])[:10] for name in names}
    facts = {
        "source": f"{MOTO}, {_MODULE}: the default version of each AWS managed policy and the day it became that; the "
        f"newest is of {max(dates.values())}",
        "licence": "moto: Apache-2.0, Copyright the moto authors; the documents are by AWS",
        "columns": ["path", "version", "date"],
        "policies_per_block": POLICIES_PER_BLOCK,
        "blocks": [len(block) for block in blocks],
    }
    rows = {name: [policies[name]["Path"], policies[name]["DefaultVersionId"], dates[name]] for name in names}
    head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in facts.items())
    body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    return Written(f'{{\n{head} "policies": {{\n{body}\n }}\n}}\n', b"".join(blocks))


def _block(names: list[str], policies: Mapping[str, Mapping[str, Any]]) -> bytes:
    documents = {name: policies[name]["Document"] for name in names}
    return zlib.compress(json.dumps(documents, separators=(",", ":"), sort_keys=True).encode(), 9)


def main() -> int:
    """Write the files from the pinned moto, installing it into build/moto if it is nowhere."""
    if source() is None:
        place = ("--target", str(BUILD / "moto"), "--upgrade")
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *place, MOTO], check=True)
    module = source()
    if module is None:
        raise SystemExit(f"error: {MOTO} was installed, but is not there")
    written(policies(module)).save()
    print(f"Wrote the AWS managed policies of {MOTO} to {DATA.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
