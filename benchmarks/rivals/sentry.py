"""As many policies by policy_sentry as there are, and nothing else: `sentry.py DESCRIPTION OUT`.

It writes policies of access levels on ARNs. Each of ours is asked of it as reading and writing what its statements
name, or as its actions where they name no resource; it knows no conditions, no denials and no patterns of actions.
Where it fails for want of a service or an action there is no policy; how many there are is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy_sentry.command.write_policy import write_policy_with_template

PSEUDO = {"${AWS::Partition}": "aws", "${AWS::AccountId}": "123456789012", "${AWS::Region}": "eu-west-1"}


def listed(value: Any) -> list[str]:
    """One value or several, as several, with names for the partition, the account and the Region."""
    texts = value if isinstance(value, list) else [value]
    for name, stands in PSEUDO.items():
        texts = [text.replace(name, stands) for text in texts]
    return texts


def asked(told: Mapping[str, Any]) -> dict[str, Any]:
    """The question to policy_sentry for one policy."""
    allowed = [one for one in told["statements"] if one["Effect"] == "Allow"]
    arns = sorted({arn for one in allowed for arn in listed(one.get("Resource", [])) if arn.startswith("arn:")})
    if arns:
        return {"mode": "crud", "read": arns, "write": arns}
    actions = sorted({action for one in allowed for action in listed(one.get("Action", [])) if "*" not in action})
    return {"mode": "actions", "name": told["name"], "actions": actions}


def main(description: Path, out: Path) -> None:
    """Write a policy for each of the description's that policy_sentry has an answer for, and print how many."""
    out.mkdir(parents=True, exist_ok=True)
    stacks = json.loads(description.read_text(encoding="utf-8"))["stacks"]
    wanted = [policy for stack in stacks for policy in stack["policies"]]
    written = 0
    for policy in wanted:
        try:
            made = write_policy_with_template(asked(policy), None)
        except (KeyError, IndexError):
            continue
        written += 1
        (out / f"{policy['name']}.json").write_text(json.dumps(made, indent=1), encoding="utf-8")
    print(json.dumps({"asked": len(wanted), "written": written}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
