"""Random organisations: small, and with a bit of everything that the language has.

Most of them compile. Nothing of the product is imported but the names and examples of the library's duties. A team, a
role or a duty is a line of the text, so that taking lines away takes those away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, TypeAlias

import yaml

from benchmarks.organization import UNSEEN, filled
from fuzz.mutations import ROOT

Tree: TypeAlias = dict[str, Any]
TEAMS = ("shop", "payments", "data-platform", "web", "ops-2")
PEOPLE = ("ana", "bob.b", "cy+x@acme.example", "dora_d", "eve=5", "f", "gus")
ENVIRONMENTS = ("development", "production")
_NOT_FOR_MANY = frozenset({"administer", "enrol-mfa", "create-roles"})
_PARTS = ("organization", "accounts", "people", "teams", "duties", "roles", "waivers")


@cache
def library() -> dict[str, dict[str, str]]:
    """The library's duties, each with its parameters and their examples."""
    found = {}
    for file in sorted((ROOT / "dutybound" / "duties").glob("*.yaml")):
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        found[file.stem] = {name: one["example"] for name, one in (tree.get("parameters") or {}).items()}
    return found


def organization(dice: Random) -> Tree:
    """One organisation: of one account, or of several with a hub or with Identity Center."""
    kind = dice.choice(["one", "one", "one", "environments", "hub", "identity-center"])
    teams = dice.sample(TEAMS, dice.randint(1, 4))
    owned = {f"own-{i}": _own_duty(i, dice) for i in range(dice.choice([0, 1, 1, 2, 3]))}
    # A duty of one's own that nobody holds is a finding.
    tree: Tree = {"version": 1, **_frame(kind, dice), **_extras(kind, dice)}
    places = () if kind == "one" else ENVIRONMENTS
    made = {team: _team(team, owned, places, kind, dice) for team in teams}
    for number, name in enumerate(owned):
        made[teams[number % len(teams)]]["duties"].append({name: {"names": _names("acme", dice)}})
    if dice.random() < 0.8:
        people = ["root-admin"] if dice.random() < 0.7 else ["root-admin", dice.choice(PEOPLE)]
        made["admins"] = {"purpose": "Look after it", "members": people, "duties": ["administer"]}
    tree["teams"] = made
    tree["duties"] = owned
    tree["roles"] = {f"app-{i}": _role(teams[0], places, dice) for i in range(dice.choice([0, 0, 1, 2, 3]))}
    if dice.random() < 0.3 or kind == "identity-center":
        members = {m if isinstance(m, str) else m["name"] for team in made.values() for m in team["members"]}
        tree["people"] = {name: _person(name, kind, dice) for name in sorted(members)}
    return {key: value for key, value in tree.items() if value not in ({}, [])}


def text(tree: Tree) -> str:
    """The organisation as YAML, a team, role, duty or other entry a line."""
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict) and key in _PARTS:
            lines += [f"{key}:", *(f"  {json.dumps(name)}: {_flow(one)}" for name, one in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _frame(kind: str, dice: Random) -> Tree:
    named: Tree = {"name": dice.choice(["acme", "a", "acme-group-2"]), "owner": "security@acme.example"}
    named["home_region"] = dice.choice(["eu-west-1", "us-east-1", "ap-southeast-2"])
    if dice.random() < 0.2:
        named["parts"] = 4
    accounts: Tree = {}
    if kind in ("hub", "identity-center"):
        accounts = {
            "central": {"id": "111122223333", "environment": "shared"},
            "dev": {"id": "222233334444", "environment": "development", "unit": "Workloads"},
            "prod": {"id": "333344445555", "environment": "production"},
        }
        if dice.random() < 0.4:
            accounts["dev-2"] = {"id": "222233335555", "environment": "development"}
        named["id"] = "o-a1b2c3d4e5"
    if kind == "hub":
        named["hub"] = "central"
    if kind == "identity-center":
        center = {"instance": "arn:aws:sso:::instance/ssoins-1234567890abcdef", "store": "d-1234567890"}
        center |= {"groups": "create", "mfa": "every-sign-in"}
        named |= {"people_in": "identity-center", "management": "central", "identity_center": center}
    glass: Tree = {"users": ["break-glass-1", "break-glass-2"], "alert": ["security@acme.example"]}
    if dice.random() < 0.4:
        glass["through"] = "role"
    if dice.random() < 0.3:
        glass["password"] = "secret"  # noqa: S105  # the name of a way, no password
    if dice.random() < 0.3:
        glass["drill_every_days"] = dice.choice([1, 45])
    return {"organization": named, "accounts": accounts, "break_glass": glass}


def _extras(kind: str, dice: Random) -> Tree:
    tree: Tree = {}
    if kind != "identity-center" and dice.random() < 0.6:
        tree["mfa"] = {
            "enforce_via": dice.choice(["group", "boundary", "both"]),
            "devices": dice.choice(["any", "any", "fido"]),
            "first_password_change": dice.random() < 0.3,
            "own_access_keys": dice.random() < 0.3,
        }
    guardrails: Tree = {}
    if dice.random() < 0.3:
        guardrails["regions"] = ["eu-west-1", "us-east-1", "ap-southeast-2"]
    if dice.random() < 0.3:
        guardrails["instance_types"] = ["t3.*", "m7g.large"]
    if dice.random() < 0.2:
        guardrails["require_tags"] = ["owner"]
    if dice.random() < 0.3:
        guardrails["from"] = ["203.0.113.0/24", "2001:db8::/32"]
    if dice.random() < 0.4:
        guardrails["boundary"] = {"path": "/app/", "services": ["ec2", "lambda", "ecs-tasks"]}
    tree["guardrails"] = guardrails
    if dice.random() < 0.2:
        tree["budgets"] = {"all": {"limit": 500, "alert_at": [50, 100], "notify": ["finance@acme.example"]}}
    if dice.random() < 0.2:
        tree["passwords"] = {"minimum_length": 14, "remember": 24}
    if dice.random() < 0.2:
        tree["detectors"] = {"external_access": True, "identity_changes": True}
    return tree


def _person(name: str, kind: str, dice: Random) -> Tree:
    person: Tree = {"name": f"Person {name}"}
    if kind == "identity-center":
        person["user"] = f"906700000a-00000000-0000-4000-8000-{sum(map(ord, name)):012}"
    if dice.random() < 0.7:
        person["tags"] = {"cost-center": f"cc-{dice.randrange(9)}"}
    return person


def _names(team: str, dice: Random) -> list[str]:
    return [f"{team}-{word}" for word in dice.sample(["dev-*", "files", "x?y", "2026.logs"], dice.randint(1, 2))]


def _use(team: str, dice: Random, names: tuple[str, ...] = ()) -> Any:
    """A duty of the library, with its example's values or with others of their form."""
    name = dice.choice(names or tuple(n for n in library() if n not in _NOT_FOR_MANY))
    values = {key: _value(example, team, dice) for key, example in library()[name].items()}
    return {name: values} if values else name


def _value(example: str, team: str, dice: Random) -> Any:
    kind = dice.random()
    if kind < 0.4 or not example.startswith("acme-"):
        return example
    other = example.replace("acme", team, 1)
    return [example, other] if kind < 0.6 else other


def _unique(uses: Iterator[Any]) -> list[Any]:
    """Each duty once: a second time under other values is said in one use."""
    found: Tree = {}
    for use in uses:
        found.setdefault(use if isinstance(use, str) else next(iter(use)), use)
    return list(found.values())


def _team(team: str, owned: Tree, places: tuple[str, ...], kind: str, dice: Random) -> Tree:
    members: list[Any] = dice.sample(PEOPLE, dice.randint(1, 3))
    if dice.random() < 0.2 and len(members) > 1 and kind != "identity-center":
        members[0] = {"name": members[0], "until": dice.choice(["2026-12-31", "2030-01-31"])}
    made: Tree = {"purpose": f"Build {team}", "members": members}
    made["duties"] = _unique(_use(team, dice) for _ in range(dice.randint(1, 5)))
    if places and dice.random() < 0.7:
        named = {use if isinstance(use, str) else next(iter(use)) for use in made["duties"]}
        inside = {}
        for place in dice.sample(places, dice.randint(1, len(places))):
            uses = _unique(_use(team, dice) for _ in range(dice.randint(1, 3)))
            inside[place] = [u for u in uses if (u if isinstance(u, str) else next(iter(u))) not in named]
        made["in"] = {place: uses for place, uses in inside.items() if uses}
    if dice.random() < 0.4:
        # What the team itself has cannot be denied to it.
        given = {u if isinstance(u, str) else next(iter(u)) for u in made["duties"]}
        given |= {u if isinstance(u, str) else next(iter(u)) for uses in made.get("in", {}).values() for u in uses}
        chosen = [n for n in dice.sample(list(library()), 3) if n not in given | _NOT_FOR_MANY | set(owned)]
        made["never"] = chosen[: dice.randint(1, 2)]
    if kind in ("hub", "identity-center") and dice.random() < 0.3:
        made["session"] = dice.choice(["1h", "4h"])
    return made


_ROLE_DUTIES = (
    *("use-storage", "read-storage", "use-tables", "use-queues", "publish-messages", "read-secrets", "write-logs"),
    *("read-parameters", "push-images", "view-metrics", "send-events", "run-workflows", "invoke-functions"),
)


def _role(team: str, places: tuple[str, ...], dice: Random) -> Tree:
    trusts: tuple[Any, ...] = (
        {"service": "ec2"},
        {"service": "lambda"},
        {"team": team},
        {"github": {"repository": "acme/web", "branch": "main"}},
        {"account": "999988887777", "external_id": "acme-9f3c2b71"},
    )
    made: Tree = {"purpose": "The software of {team}", "trusts": dice.choice(trusts)}
    made["duties"] = _unique(_use(team, dice, _ROLE_DUTIES) for _ in range(dice.randint(1, 3)))
    if places and dice.random() < 0.5:
        made["in"] = [dice.choice(places)]
    if dice.random() < 0.2:
        made["until"] = "2030-03-31"
    found: Tree = filled(made, team)
    return found


# --- duties of one's own --------------------------------------------------------------------------------------------

WHENS: tuple[tuple[Tree | None, Tree], ...] = (
    (None, {}),
    (None, {}),
    ({"mfa": True}, {"aws:MultiFactorAuthPresent": "true"}),
    ({"regions": ["eu-west-1"]}, {"aws:RequestedRegion": "eu-west-1"}),
    ({"from": ["203.0.113.0/24"]}, {"aws:SourceIp": "203.0.113.7"}),
    ({"until": "2030-12-31"}, {"aws:CurrentTime": "2026-11-24T12:00:00Z"}),
    ({"conditions": {"StringEquals": {"aws:PrincipalTag/team": ["x"]}}}, {"aws:PrincipalTag/team": "x"}),
)
"""When a grant holds, and the keys of a request with which it does."""


def _own_duty(number: int, dice: Random) -> Tree:
    """A duty on storage or tables, with a condition or none, and what it must and must not allow."""
    when, keys = dice.choice(WHENS)
    holds: Tree = {"when": when} if when else {}
    asked: Tree = {"when": keys} if keys else {}
    if dice.random() < 0.5:
        access = dice.sample(["list", "read", "write", "tagging"], dice.randint(1, 3))
        access = sorted({*access, "read"})
        resources = {"bucket": "{names}", "object": "{names}/*"}
        grant: Tree = {"service": "s3", "access": access, "resources": resources, "wide": False, **holds}
        if dice.random() < 0.5:
            grant["except"] = ["s3:GetBucketPolicy"]
        if dice.random() < 0.3:
            grant["shorten"] = True
        allow = "s3:GetObject on arn:aws:s3:::acme-web/x"
    else:
        actions = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
        grant = {"actions": [*dice.sample(actions, 2), "dynamodb:Scan"], "resources": {"table": "{names}"}, **holds}
        allow = "dynamodb:Scan on arn:aws:dynamodb:eu-west-1:111122223333:table/acme-web"
    grants = [grant]
    if dice.random() < 0.3:
        raw = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:*:*:{names}"}
        grants.append({"statements": [raw], "why": "Copied from the old policy"})
    if dice.random() < 0.2:
        grants.append({"managed": "CloudWatchReadOnlyAccess", "why": "Dashboards"})
    if dice.random() < 0.2:
        grants.append({"pass": [f"role/app/web-{number}-*"], "to": ["ec2"], "why": "Servers need it"})
    return {
        "summary": f"Work on the files of number {number}",
        "parameters": {"names": {"example": "acme-web"}},
        "grants": grants,
        "expect": [{"allow": allow, **asked}, {"deny": dice.choice(UNSEEN[:3]) + " on *"}],
    }
