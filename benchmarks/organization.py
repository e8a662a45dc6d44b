"""Organisations of any size, made up the same way each time, for whatever has to be measured at size.

An organisation is a few files, as trees of plain values. Nothing of the product is imported, so that what measures it
stays small itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Tree: TypeAlias = dict[str, Any]
"""A piece of YAML to be written: the one place where loose mappings are the thing itself."""
TEAMS_PER_FILE = 10
PEOPLE_PER_TEAM = 10
MOST_OWN_DUTIES = 40
MOST_PEOPLE = 4998
"""An account holds 5,000 users, and two of them are for break-glass."""
PEOPLE_IN_ONE_STACK = 300
PARTS = 16
LOOKING = (
    *("view-metrics", "view-servers", "view-functions", "view-health", "view-tables", "view-backups"),
    *("view-quotas", "view-keys", "view-messaging", "view-workflows"),
)
WORKING: Mapping[str, Tree] = {
    "use-storage": {"buckets": ["{team}-dev-*", "{team}-artifacts"]},
    "read-storage": {"buckets": ["{team}-assets"]},
    "manage-functions": {"functions": ["{team}-*"]},
    "use-tables": {"tables": ["{team}-*"]},
    "use-queues": {"queues": ["{team}-jobs"]},
    "publish-messages": {"topics": ["{team}-news"]},
    "view-logs": {"log_groups": ["/{team}/*"]},
    "read-secrets": {"secrets": ["{team}/*"]},
    "manage-parameters": {"parameters": ["{team}/*"]},
    "push-images": {"repositories": ["{team}/web"]},
    "manage-alarms": {"alarms": ["{team}-*"]},
    "manage-dashboards": {"dashboards": ["{team}-*"]},
    "run-workflows": {"workflows": ["{team}-orders-*"]},
    "send-events": {"buses": ["{team}-orders"]},
}
SEEING: Mapping[str, str] = {
    "view-metrics": "cloudwatch:ListMetrics",
    "view-servers": "ec2:DescribeInstances",
    "view-functions": "lambda:ListFunctions",
    "view-tables": "dynamodb:ListTables",
    "view-backups": "backup:ListBackupVaults",
    "view-keys": "kms:ListKeys",
    "view-workflows": "states:ListStateMachines",
}
UNSEEN = ("iam:CreateUser", "s3:DeleteBucket", "rds:DeleteDBCluster", "organizations:*")
FORBIDDEN = ("view-billing", "manage-billing", "manage-people")
TRUSTS: tuple[Tree, ...] = (
    {"service": "ec2"},
    {"service": "lambda"},
    {"team": "{team}"},
    {"github": {"repository": "acme/{team}", "branch": "main"}},
    {"account": "999988887777", "external_id": "acme-{team}-9f3c2b71"},
)
DEPARTMENTS = ("shop", "payments", "data", "platform")


def organization(people: int, parts: int | None = None) -> dict[str, Tree]:
    """The files, by name, of an organisation of so many people: a team for ten, a role for each team up to 100.

    `parts` is over how many stacks of a kind they are spread; without it as many as they need.

    Of 5,000 people the last two are left out, since an account does not hold them.
    """
    dice = random.Random(people)  # noqa: S311
    teams = [f"{DEPARTMENTS[i % len(DEPARTMENTS)]}-{i:03}" for i in range(max(3, min(300, people // PEOPLE_PER_TEAM)))]
    owned = [f"release-{team}" for team in teams[:MOST_OWN_DUTIES]]
    names = [f"person.{i:04}" for i in range(min(people, MOST_PEOPLE))]
    members: dict[str, list[str]] = {team: [] for team in teams}
    for name in names:
        for team in dice.sample(teams, dice.choice((1, 1, 1, 2, 2, 3))):
            members[team].append(name)
    files: dict[str, Tree] = {
        "organization.yaml": _frame(parts or (1 if people <= PEOPLE_IN_ONE_STACK else PARTS)),
        "people.yaml": {"people": {name: _person(name, dice) for name in names}},
        "duties.yaml": {"duties": {name: _duty(name.removeprefix("release-"), dice) for name in owned}},
        "roles.yaml": {"roles": {f"app-{team}": _role(team, dice) for team in teams[:100]}},
    }
    for start in range(0, len(teams), TEAMS_PER_FILE):
        some = teams[start : start + TEAMS_PER_FILE]
        made = {team: _team(team, members[team], owned, dice) for team in some}
        files[f"teams/{start:03}.yaml"] = {"teams": made}
    return files


def access_tests(files: Mapping[str, Tree]) -> Tree:
    """Tests of access for an organisation, all of which hold: what each team can see, and nobody can."""
    tests = []
    for name, team in ((n, t) for tree in files.values() for n, t in tree.get("teams", {}).items()):
        seen = [SEEING[use] for use in team["duties"] if isinstance(use, str) and use in SEEING]
        tests.append({"who": f"team {name}", "can": seen, "cannot": list(UNSEEN)})
    return {"access": tests}


def shuffled(tree: Any, dice: random.Random) -> Any:
    """The same meaning with every mapping and every list in another order."""
    if isinstance(tree, dict):
        keys = dice.sample(list(tree), len(tree))
        return {key: shuffled(tree[key], dice) for key in keys}
    if isinstance(tree, list):
        return [shuffled(value, dice) for value in dice.sample(tree, len(tree))]
    return tree


def write(files: Mapping[str, Tree], folder: Path) -> Path:
    """Write the files below a folder, and return it."""
    for name, tree in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120)
        path.write_text(text, encoding="utf-8")
    return folder


_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _frame(parts: int) -> Tree:
    named: Tree = {"name": "acme", "owner": "security@acme.example", "home_region": "eu-west-1"}
    return {
        "version": 1,
        "organization": named if parts == 1 else {**named, "parts": parts},
        "break_glass": {"users": ["break-glass-1", "break-glass-2"], "alert": ["security@acme.example"]},
        "guardrails": {
            "regions": ["eu-west-1", "eu-central-1", "us-east-1"],
            "instance_types": ["t3.*", "t4g.*", "m7g.*"],
            "from": ["203.0.113.0/24", "198.51.100.0/24"],
        },
        "budgets": {"all": {"limit": 20000, "alert_at": [50, 80, 100], "notify": ["finance@acme.example"]}},
    }


def _person(name: str, dice: random.Random) -> Tree:
    return {
        "name": f"Person {name.removeprefix('person.')}",
        "email": f"{name}@acme.example",
        "tags": {"department": dice.choice(DEPARTMENTS), "cost-center": f"cc-{dice.randrange(1000):03}"},
    }


def _team(team: str, members: list[str], owned: list[str], dice: random.Random) -> Tree:
    uses: list[Any] = [*dice.sample(LOOKING, 3)]
    uses += [{name: filled(WORKING[name], team)} for name in dice.sample(list(WORKING), 3)]
    if (own := f"release-{team}") in owned or dice.random() < 0.3:
        name = own if own in owned else dice.choice(owned)
        uses.append({name: {"sites": [f"{team}-site", f"{team}-preview"]}})
    dated: list[Any] = list(members)
    if dated and dice.random() < 0.1:
        dated[0] = {"name": dated[0], "until": "2030-12-31"}
    return {
        "purpose": f"Build and run {team}",
        "members": dated,
        "duties": uses,
        "never": dice.sample(FORBIDDEN, dice.randrange(3)),
    }


def _role(team: str, dice: random.Random) -> Tree:
    uses = [{name: filled(WORKING[name], team)} for name in dice.sample(list(WORKING), 2)]
    return {"purpose": f"The software of {team}", "trusts": filled(dice.choice(TRUSTS), team), "duties": uses}


def _duty(team: str, dice: random.Random) -> Tree:
    when = dice.choice(
        (
            {"mfa": True},
            {"regions": ["eu-west-1"]},
            {"from": ["203.0.113.0/24"]},
            {"conditions": {"StringEquals": {"aws:PrincipalTag/department": [DEPARTMENTS[0]]}}},
        )
    )
    asked = {
        "aws:RequestedRegion": "eu-west-1",
        "aws:SourceIp": "203.0.113.7",
        "aws:PrincipalTag/department": DEPARTMENTS[0],
    }
    site = "arn:aws:s3:::acme-web"
    return {
        "summary": f"Publish the sites of {team}",
        "parameters": {"sites": {"example": "acme-web"}},
        "grants": [
            {
                "service": "s3",
                "access": ["list", "read", "write"],
                "resources": {"bucket": "{sites}", "object": "{sites}/*"},
                "except": ["s3:DeleteBucket"],
                "wide": False,
                "when": when,
            },
            {
                "actions": ["cloudfront:CreateInvalidation"],
                "resources": {"distribution": "*"},
                "why": "The cache is cleared after each release",
            },
        ],
        "expect": [
            {"allow": f"s3:PutObject on {site}/index.html", "when": asked},
            {"deny": f"s3:DeleteBucket on {site}"},
        ],
    }


def filled(tree: Any, team: str) -> Any:
    """A tree with the team's name where `{team}` stands."""
    if isinstance(tree, dict):
        return {key: filled(value, team) for key, value in tree.items()}
    if isinstance(tree, list):
        return [filled(value, team) for value in tree]
    return tree.replace("{team}", team) if isinstance(tree, str) else tree
