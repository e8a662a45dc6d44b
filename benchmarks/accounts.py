"""examples/organization with any number of accounts, made up the same way each time."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml

from benchmarks.organization import Tree

EXAMPLE = Path(__file__).parent.parent / "examples" / "organization"
FIRST_ID = 300_000_000_000
UNITS = {"development": "Workloads/Development", "production": "Workloads/Production"}
OWN = 3
"""Accounts that stand alone: the hub, the one that manages the organization, and one that a team names."""
Rollout = Literal["stacks", "stack-sets"]


def accounts(count: int, rollout: Rollout) -> dict[str, Tree]:
    """The files, by name, of an organization of so many accounts: three alone, the others in two environments."""
    files: dict[str, Tree] = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in EXAMPLE.glob("*.yaml")}
    own = {
        "identity": {"id": "111122223333", "environment": "shared", "unit": "Security"},
        "root": {"id": "999988887777", "environment": "management"},
        "data-dev": {"id": "222233335555", "environment": "development", "unit": UNITS["development"]},
    }
    made = {}
    for number in range(count - OWN):
        environment = tuple(UNITS)[number % len(UNITS)]
        id_ = str(FIRST_ID + number)
        made[f"{environment}-{number:04}"] = {"id": id_, "environment": environment, "unit": UNITS[environment]}
    files["accounts.yaml"] = {"accounts": {**own, **made}}
    files["organization.yaml"]["organization"] |= {
        "management": "root",
        "root": "r-ab12",
        "units": {
            "Security": "ou-ab12-11111111",
            "Workloads/Development": "ou-ab12-22222222",
            "Workloads/Production": "ou-ab12-33333333",
        },
    }
    files["organization.yaml"]["rollout"] = rollout
    return files
