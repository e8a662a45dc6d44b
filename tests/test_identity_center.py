"""People in Identity Center: the same duties as in a hub, as permission sets, assigned in the right accounts."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dutybound import identity_center as center
from dutybound.accounts import Destination
from dutybound.baseline import Account, Baseline, IdentityCenter, Target
from dutybound.callers import callers
from dutybound.case import Question
from dutybound.changes import Review, review
from dutybound.compare import compare
from dutybound.compiler import compile_deployment, compile_everywhere, read_path
from dutybound.diagnostic import Diagnostic, Text, render_all
from dutybound.escalate import escalations
from dutybound.evaluate import Judge, Policies, Request, in_account
from dutybound.explain import explain, list_access, who_can
from dutybound.policy import Statement
from dutybound.report.gather import facts
from dutybound.report.history import NoHistory
from dutybound.rollout import Deployment
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "identity-center"
DAY = date(2026, 12, 1)
INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
MANAGEMENT = "111122223333"
ID = "a1b2c3d4-5678-90ab-cdef-111122223333"
THROUGH_HUB = "  hub: identity\n"
THROUGH_CENTER = f"""\
  people_in: identity-center
  management: identity
  identity_center: {{instance: "{INSTANCE}", store: d-1234567890, mfa: every-sign-in}}
"""
ORGANIZATION = """\
version: 1
organization:
  name: acme
  owner: security@acme.example
  home_region: us-east-1
  id: o-a1b2c3d4e5
{people_in}break_glass: {{users: [break-glass-1, break-glass-2], alert: [a@b.example], through: role, password: secret}}
accounts:
  identity: {{id: "111122223333", environment: shared}}
  dev: {{id: "222233334444", environment: development}}
  test: {{id: "222233335555", environment: development}}
  shop: {{id: "333344445555", environment: production}}
people:
  ann: {{email: ann@acme.example}}
  john: {{email: john@acme.example}}
  maria: {{email: maria@acme.example}}
  olga: {{email: olga@acme.example}}
guardrails: {{regions: [us-east-1], instance_types: ["t3.*"], require_tags: [cost-center]}}
teams:
  administrators: {{purpose: Look after it, members: [ann], duties: [administer]}}
  operators:
    purpose: Run it
    never: [manage-people]
    members: [olga]
    in: {{production: [manage-servers, erase-storage: {{buckets: [a-*]}}]}}
  developers:
    purpose: Build it
    members: [john, maria]
    session: 90m
    in:
      development: [manage-servers, use-storage: {{buckets: [acme-*]}}]
      test: [view-metrics]
      production: [view-servers]
"""
TEAMS = "teams:\n" + "".join(f"  t{i}: {{purpose: x, members: [ann], duties: [view-metrics]}}\n" for i in range(999))
ACCOUNTS = "".join(f'  a{i}: {{id: "{400000000000 + i}", environment: development}}\n' for i in range(600))
ACCOUNTS += "rollout: stacks\npeople:\n"


def configuration(through: str = THROUGH_CENTER) -> str:
    return ORGANIZATION.format(people_in=through)


def compiled(folder: Path, text: str) -> dict[str, Baseline]:
    """The baseline of each destination of a configuration without errors."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    made = {}
    for name, checked in compile_everywhere(folder, DAY).items():
        assert checked.value is not None, render_all(checked.diagnostics)
        made[str(name)] = checked.value
    return made


def found(folder: Path, text: str) -> list[Diagnostic]:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return list(dict.fromkeys(d for one in compile_everywhere(folder, DAY).values() for d in one.diagnostics))


def deployed(folder: Path, text: str) -> IdentityCenter:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    checked = compile_deployment(folder, None, DAY)
    assert checked.value is not None, render_all(checked.diagnostics)
    assert checked.value.identity_center is not None
    return checked.value.identity_center


@cache
def example() -> Deployment:
    checked = compile_deployment(EXAMPLE, None, DAY)
    assert checked.diagnostics == (), render_all(checked.diagnostics)
    assert checked.value is not None
    return checked.value


def team_policies(account: Account, baseline: Baseline, team: str) -> Policies:
    """What decides over a session of a team in a member account."""
    (caller,) = (c for c in callers(baseline, account) if (c.kind, c.name) == ("team", team))
    return caller.policies


# --- the same access as in a hub


def test_a_move_changes_no_permissions(tmp_path: Path) -> None:
    """In each account and for each team, what the role of a hub allows the permission set allows, and the other way."""
    hub = compiled(tmp_path / "hub", configuration(THROUGH_HUB))
    moved = compiled(tmp_path / "center", configuration())
    compared = 0
    for name in ("development", "test", "production"):
        old, new = hub[name], moved[name]
        teams = {r.name for r in old.accounts[0].roles if r.path == "/teams/"}
        assert teams == {r.name for r in new.accounts[0].roles if r.permission_set is not None}
        for team in sorted(teams):
            before = team_policies(old.accounts[0], old, team)
            after = team_policies(new.accounts[0], new, team)
            comparison = compare(before, after)
            assert (comparison.gained, comparison.lost, comparison.unknown) == ((), (), ()), (name, team)
            compared += 1
    assert compared == 7


def test_the_comparison_would_tell(tmp_path: Path) -> None:
    """The test above can fail: one duty more is found."""
    hub = compiled(tmp_path / "hub", configuration(THROUGH_HUB))["production"]
    more = configuration().replace("production: [view-servers]", "production: [view-servers, view-metrics]")
    moved = compiled(tmp_path / "center", more)["production"]
    old, new = (team_policies(b.accounts[0], b, "developers") for b in (hub, moved))
    assert not compare(old, new).equal


# --- what stands where


def test_break_glass_users_are_the_only_users(tmp_path: Path) -> None:
    """They stand in the management account; every other trusts exactly them, and they may take exactly these roles."""
    made = compiled(tmp_path, configuration())
    for name, baseline in made.items():
        account = baseline.accounts[0]
        wanted = ["break-glass-1", "break-glass-2"] if name == "identity" else []
        assert [u.name for u in account.users] == wanted
        assert {g.name for g in account.groups} == ({"break-glass"} if wanted else set())
        (role,) = (r for r in account.roles if r.path == "/break-glass/")
        (trusted,) = (p.values for s in role.trust.statements for p in s.principals)
        home = "${AWS::AccountId}" if wanted else MANAGEMENT
        assert trusted == (f"arn:${{AWS::Partition}}:iam::{home}:root",)
    statements = {s.sid: s for p in made["identity"].accounts[0].policies for s in p.policy.statements}
    accounts = {re.sub(r"\D", "", arn.split("::")[-1])[:12] for arn in statements["TakeBreakGlassElsewhere"].resources}
    assert accounts == {"222233334444", "222233335555", "333344445555"}


def test_no_team_opens_a_sealed_password(tmp_path: Path) -> None:
    """A team with work in the management account, and all secrets, is kept from those of break-glass."""
    duty = "duties: [read-secrets: {secrets: 'break-glass/*'}]"
    baseline = compiled(tmp_path, configuration().replace("developers:\n", f"developers:\n    {duty}\n"))["identity"]
    account = baseline.accounts[0]
    fence = in_account(account.secrets[0].policy, MANAGEMENT)
    role = next(c for c in callers(baseline, account) if c.name == "developers")
    secret = f"arn:aws:secretsmanager:us-east-1:{MANAGEMENT}:secret:break-glass/break-glass-1-abcdef"
    region = {"aws:RequestedRegion": "us-east-1"}
    request = Request(role.arn, "secretsmanager:GetSecretValue", secret, {"aws:PrincipalArn": role.role, **region})
    assert Judge(role.policies).decide(request).outcome == "allowed"
    assert Judge(replace(role.policies, resource=fence)).decide(request).outcome == "denied"


def test_inline_where_it_fits_and_elsewhere_policies_of_the_account(tmp_path: Path) -> None:
    """A set is one for many accounts, so what names the account stands in each; what it refers to is there."""
    made = compiled(tmp_path, configuration())
    every = deployed(tmp_path, configuration())
    by_name = {s.name: s for s in every.permission_sets}
    assert by_name["developers.production"].inline is not None
    assert by_name["operators.production"].inline is None
    assert ("team-operators", "/duties/") in by_name["operators.production"].policies
    for wanted in every.permission_sets:
        destination = wanted.name.rpartition(".")[2]
        there = {(p.name, p.path) for p in made[destination].accounts[0].own_policies}
        assert {*wanted.policies, wanted.boundary} <= there
        if wanted.inline is not None:
            text = json.dumps(wanted.inline.document())
            assert "AWS::AccountId" not in text
            assert len(re.sub(r"\s", "", text)) <= 10_240


def test_what_is_too_long_to_be_inline(tmp_path: Path) -> None:
    """10,240 characters without white space; above it the account's own policies carry the same statements."""
    whole = [Statement(f"S{i}", "Allow", ("s3:GetObject",), (f"arn:aws:s3:::{'b' * 50}{i}/*",)) for i in range(200)]
    sizes = {}
    for count in range(1, 200):
        made = center.as_inline("team-x", whole[:count])
        sizes[count] = None if made is None else len(re.sub(r"\s", "", json.dumps(made.policy.document())))
    fitting = [size for size in sizes.values() if size is not None]
    assert fitting == sorted(fitting)
    assert 10_000 < fitting[-1] <= 10_240
    assert sizes[len(fitting) + 1] is None


def test_assignments_are_per_group_and_account(tmp_path: Path) -> None:
    """Each group in exactly the accounts where the team has work, with the set of that destination."""
    every = deployed(tmp_path, configuration())
    assigned = {(a.group, a.account): a.permission_set for a in every.assignments}
    assert assigned == {
        ("administrators", "111122223333"): "administrators.identity",
        ("administrators", "222233334444"): "administrators.development",
        ("administrators", "222233335555"): "administrators.test",
        ("administrators", "333344445555"): "administrators.production",
        ("developers", "222233334444"): "developers.development",
        ("developers", "222233335555"): "developers.test",
        ("developers", "333344445555"): "developers.production",
        ("operators", "333344445555"): "operators.production",
    }
    assert {s.name: s.session for s in every.permission_sets}["developers.test"] == "PT1H30M"


def test_an_assignment_never_moves(tmp_path: Path) -> None:
    """Its stack follows from its own names: more accounts and teams leave it where it is, and the parts are even."""
    more = "".join(f'  a{i}: {{id: "{400000000000 + i}", environment: development}}\n' for i in range(1000))
    spread = configuration().replace("mfa: every-sign-in", "mfa: every-sign-in, spread: true")
    few = deployed(tmp_path, spread).assignments
    text = spread.replace("people:\n", more + "rollout: stacks\npeople:\n", 1)
    many = deployed(tmp_path, text).assignments
    assert {a for a in few if a.account != "222233334444"} <= set(many)
    assert {(a.group, a.account, a.stack, a.logical_id) for a in few} <= {
        (a.group, a.account, a.stack, a.logical_id) for a in many
    }
    counts = Counter(a.stack for a in many)
    assert len(many) == 2008
    assert len(counts) == center.PARTS
    assert max(counts.values()) < 110


def test_what_belongs_together_stands_together(tmp_path: Path) -> None:
    """A team's group, sets and assignments are in one stack, so that CloudFormation knows what goes first."""
    every = deployed(tmp_path, configuration().replace("[john, maria]", "[john, {name: maria, until: 2027-01-31}]"))
    homes: dict[str, set[str]] = {}
    named = [*((g.name, g.stack) for g in every.groups), *((s.name, s.stack) for s in every.permission_sets)]
    for name, stack in named:
        homes.setdefault(name.partition(".")[0], set()).add(stack)
    for assigned in every.assignments:
        homes[assigned.group.partition(".")[0]].add(assigned.stack)
    assert homes == {
        "administrators": {"acme-identity-center-15"},
        "developers": {"acme-identity-center-10"},
        "operators": {"acme-identity-center-28"},
    }


@pytest.mark.parametrize("spread", ["", ", spread: true"])
def test_no_stack_exports_anything(tmp_path: Path, spread: str) -> None:
    """An export cannot change while it is imported: what stacks tell each other is read when they are deployed."""
    import aws_cdk as cdk

    from stacks import build

    text = configuration().replace("mfa: every-sign-in", f"mfa: every-sign-in{spread}")
    app = cdk.App(outdir=str(tmp_path / "out"), analytics_reporting=False, builtin_cloud_formation_validation=False)
    build(app, Deployment((), identity_center=deployed(tmp_path, text)), tmp_path)
    stacks = app.synth().stacks
    whole = json.dumps([s.template for s in stacks])
    assert "Export" not in whole
    assert "Fn::ImportValue" not in whole
    assert [message for s in stacks for message in s.messages] == []
    every = [(s, r) for s in stacks for r in s.template.get("Resources", {}).values()]
    reading = [(s, r["Type"], re.findall(r'"StackName": "([^"]+)"', json.dumps(r))) for s, r in every]
    kinds = {kind for _, kind, read in reading if read}
    assert kinds == {"AWS::IdentityStore::GroupMembership", *(["AWS::SSO::Assignment"] if spread else [])}
    for stack, _, read in reading:
        assert set(read) <= {d.id for d in stack.dependencies}


@pytest.mark.parametrize("spread", ["", ", spread: true"])
def test_no_edit_moves_anything_of_a_team(tmp_path: Path, spread: str) -> None:
    """Whatever comes, goes and comes back: each set, group and assignment is where it was, under one logical id."""
    chance = random.Random(7)  # noqa: S311
    text = configuration().replace("mfa: every-sign-in", f"mfa: every-sign-in{spread}")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    read_once = read_path(tmp_path)
    assert read_once.value is not None
    baselines = [(Destination("production", "production", "member"), compiled(tmp_path, text)["production"])]
    known: dict[tuple[str, str], tuple[str, str]] = {}
    (account,) = baselines[0][1].accounts
    sets = [role for role in account.roles if role.permission_set is not None]
    assert len(sets) == 3
    for _ in range(2000):
        some = tuple(
            replace(role, name=f"t{chance.randrange(40)}", permission_set=f"t{chance.randrange(40)}.x")
            for role in chance.choices(sets, k=chance.randint(1, 3))
        )
        targets = tuple(Target(f"a{n}", f"{n:012}") for n in chance.sample(range(60), chance.randint(1, 4)))
        edited = replace(baselines[0][1], accounts=(replace(account, roles=some),))
        made = center.identity_center(
            read_once.value.configuration, [(replace(baselines[0][0], targets=targets), edited)]
        )
        assert made is not None
        for one in made.assignments:
            place = (one.stack, one.logical_id)
            assert known.setdefault((one.group, one.account), place) == place


def told(folder: Path, old: str, new: str) -> Review:
    """The review of a change."""
    sides = []
    for name, text in (("old", old), ("new", new)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.yaml").write_text(text, encoding="utf-8")
        sides.append(compile_everywhere(folder / name, DAY))
    found_ = review(*sides)
    assert isinstance(found_, Review)
    return found_


def test_diff_says_who_is_assigned_where(tmp_path: Path) -> None:
    """Sets that come and go, accounts that assignments come to, sessions, and who is in a group."""
    new = configuration().replace("session: 90m", "session: 4h").replace("[john, maria]", "[john]")
    new = new.replace("  shop: {", '  shop-2: {id: "333344446666", environment: production}\n  shop: {')
    new = new.replace("[manage-servers, erase-storage: {buckets: [a-*]}]}", "[manage-servers], test: [view-metrics]}")
    found_ = told(tmp_path, configuration(), new)
    said = {"".join(r.words) for r in found_.remarks if r.topic in ("Identity Center", "People")}
    assert said == {
        "the permission set operators.test is new and assigned to operators in the account test (222233335555)",
        "a session of developers.development lasts 4 hours instead of 1.5",
        "a session of developers.production lasts 4 hours instead of 1.5",
        "a session of developers.test lasts 4 hours instead of 1.5",
        "maria left the group developers",
        "assignments of administrators, developers, operators come to the account shop-2 (333344446666)",
    }
    back = {"".join(r.words) for r in told(tmp_path, new, configuration()).remarks if r.topic == "Identity Center"}
    gone = "the permission set operators.test is gone and no longer assigned to operators in the account test"
    assert f"{gone} (222233335555)" in back
    assert "assignments of administrators, developers, operators go from the account shop-2 (333344446666)" in back


def done(found_: Review) -> set[tuple[str, str, str]]:
    kinds = ("assignment", "permission set", "directory group", "directory user")
    every = (d.consequence for d in found_.deployment)
    return {(c.effect, c.kind, c.name) for c in every if c.kind in kinds or "identity-center" in c.name}


def test_diff_says_what_the_deployment_does(tmp_path: Path) -> None:
    """What cannot change in place is made anew; what goes is said, and what would be left."""
    old = configuration()
    moved = old.replace(
        '{id: "222233335555", environment: development}', '{id: "222233335555", environment: production}'
    )
    moved = moved.replace("      test: [view-metrics]\n", "")
    assert ("replaced", "assignment", "developers in 222233335555") in done(told(tmp_path, old, moved))
    one = old.replace("olga@acme.example", "olga@new.example")
    assert done(told(tmp_path, old, one)) == {("fails", "directory user", "olga")}
    less = re.sub(r"  operators:.*?(?=  developers:)", "", old, flags=re.DOTALL)
    assert done(told(tmp_path, old, less)) == {
        ("deleted", "permission set", "operators.production"),
        ("deleted", "directory group", "operators"),
        ("deleted", "directory user", "olga"),
    }
    hub = configuration(THROUGH_HUB)
    assert ("left behind", "stack", "acme-identity-center-10") in done(told(tmp_path, old, hub))


def test_spread_assignments_go_first(tmp_path: Path) -> None:
    """A set that is assigned in other stacks cannot go with its own: diff prints what to deploy before it."""
    old = configuration().replace("mfa: every-sign-in", "mfa: every-sign-in, spread: true")
    less = re.sub(r"  operators:.*?(?=  developers:)", "", old, flags=re.DOTALL)
    every = deployed(tmp_path, old)
    (stack,) = (a.stack for a in every.assignments if a.group == "operators")
    (left,) = (d.consequence for d in told(tmp_path, old, less).deployment if d.consequence.kind == "permission set")
    assert left.effect == "left behind"
    assert left.steps == (f"npx cdk deploy --exclusively {stack}  # before all others",)
    together = done(told(tmp_path, configuration(), old))
    assert ("fails", "assignment", "operators in 333344445555") in together


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("teams:\n", TEAMS, "4,004 permission sets are more than the 3,500"),
        (
            "[john, maria]",
            f"[{', '.join(f'p{i}' for i in range(300))}]",
            "identity-center-people would hold 604 resources",
        ),
        ("people:\n", ACCOUNTS, "acme-identity-center-10 would hold"),
    ],
)
def test_what_is_too_much(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    """Quotas of the instance, of an account and of stacks are errors before anything is deployed."""
    (tmp_path / "config.yaml").write_text(configuration().replace(old, new, 1), encoding="utf-8")
    assert any(wanted in d.message for d in read_path(tmp_path).diagnostics), render_all(
        read_path(tmp_path).diagnostics
    )


def test_names_are_short_and_different() -> None:
    """32 characters; two pairs of names never give one."""
    names = [center.set_name(g, d) for g in ("a", "a-b", "x" * 40, "x" * 41) for d in ("b-c", "c", "y" * 30)]
    assert max(map(len, names)) <= 32
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("seconds", "text"), [(3600, "PT1H"), (5400, "PT1H30M"), (43_200, "PT12H")])
def test_durations(seconds: int, text: str) -> None:
    assert center.iso_8601(seconds) == text


def test_a_part_is_not_the_whole() -> None:
    """Stacks of Identity Center come only with all destinations: a part of them would take away the others' access."""
    checked = compile_deployment(EXAMPLE, "production", DAY)
    assert checked.value is not None
    assert checked.value.identity_center is None


def test_memberships_end(tmp_path: Path) -> None:
    """Who leaves on a day has a group and a set of their own, which allow nothing after it."""
    text = configuration().replace("[john, maria]", "[john, {name: maria, until: 2027-01-31}]")
    every = deployed(tmp_path, text)
    assert [(m.group, m.user) for m in every.memberships if m.user == "maria"] == [
        ("developers.until-2027-01-31", "maria")
    ]
    baseline = compiled(tmp_path, text)["test"]
    policies = team_policies(baseline.accounts[0], baseline, "developers.until-2027-01-31")
    asked = Request("", "cloudwatch:ListMetrics", "*", {"aws:RequestedRegion": "us-east-1"})
    outcomes = {
        day: Judge(policies).decide(replace(asked, context={**asked.context, "aws:CurrentTime": day})).outcome
        for day in ("2027-01-31T12:00:00Z", "2027-02-01T00:00:00Z")
    }
    assert outcomes == {"2027-01-31T12:00:00Z": "allowed", "2027-02-01T00:00:00Z": "denied"}


def test_a_role_that_trusts_a_team(tmp_path: Path) -> None:
    """It trusts the permission sets of the team in its own account, and no other principal; the set may take it."""
    role = (
        "roles:\n  release: {purpose: Release, trusts: {team: developers}, in: [production], duties: [view-metrics]}\n"
    )
    baseline = compiled(tmp_path, configuration() + role)["production"]
    account = baseline.accounts[0]
    trust = in_account(next(r for r in account.roles if r.name == "release").trust, "333344445555")
    target = "arn:aws:iam::333344445555:role/roles/release"
    answers = {}
    for caller in callers(baseline, account):
        known = {k: v for k, v in caller.known("role").items() if v is not None}
        request = Request(caller.arn, "sts:AssumeRole", target, known)
        answers[caller.name] = Judge(replace(caller.policies, resource=trust)).decide(request).outcome
    assert answers["developers"] == "allowed"
    assert answers["operators"] == "denied"
    assert escalations(baseline) == ()


# --- what it needs to be told


def test_a_directory_elsewhere(tmp_path: Path) -> None:
    """Groups by their ids; nothing is made, and nobody is put into one."""
    text = configuration().replace("mfa: every-sign-in", "mfa: every-sign-in, groups: lookup")
    errors = found(tmp_path, text)
    assert {d.name for d in errors} == {"no-group-id"}
    assert "aws identitystore get-group-id --identity-store-id d-1234567890" in errors[0].notes[0]
    given = re.sub(r"^    purpose:", f"    group: {ID}\n    purpose:", text, flags=re.MULTILINE)
    given = given.replace("{purpose: Look", f"{{group: {ID}, purpose: Look")
    every = deployed(tmp_path, given)
    assert {g.id for g in every.groups} == {ID}
    assert (every.users, every.memberships) == ((), ())


def test_users_where_cloudformation_makes_none(tmp_path: Path) -> None:
    """Only us-east-1 has the type; elsewhere ids are asked for, with the command that finds them."""
    text = configuration().replace("store: d-1234567890", "store: d-1234567890, region: eu-west-1")
    errors = found(tmp_path, text)
    assert {d.name for d in errors} == {"no-directory-user"}
    assert "aws identitystore get-user-id" in errors[0].notes[0]
    every = deployed(tmp_path, re.sub(r"(@acme.example)\}", rf"\1, user: {ID}}}", text))
    assert {u.id for u in every.users} == {ID}
    assert {stack.region for stack in every.stacks} == {"eu-west-1"}


def test_one_s_own_iam_user_is_left_out(tmp_path: Path) -> None:
    """Nobody has one; a warning says what is left out and where devices are managed."""
    text = configuration().replace("test: [view-metrics]", "test: [view-metrics, rotate-own-keys]")
    warnings = [d for d in found(tmp_path, text) if d.name == "no-user-name"]
    assert [d.severity for d in warnings] == ["warning"]
    account = compiled(tmp_path, text)["test"].accounts[0]
    role = next(r for r in account.roles if r.name == "developers")
    held = [s for name in role.policies for s in account.policy(name).policy.statements if s.effect == "Allow"]
    assert held
    assert not any("aws:username" in resource for s in held for resource in s.resources)


def test_mfa_is_what_the_console_says(tmp_path: Path) -> None:
    """Until it is said that every sign-in asks for MFA, what asks for it is never allowed, and a warning says so."""
    own = "duties:\n  careful:\n    summary: Empty queues\n    grants:\n      - actions: [sqs:PurgeQueue]\n"
    own += "        resources: {queue: '*'}\n        why: All queues\n        when: {mfa: true}\n"
    own += "    expect:\n      - allow: sqs:PurgeQueue on arn:aws:sqs:eu-west-1:111122223333:x\n"
    own += "        when: {aws:MultiFactorAuthPresent: 'true'}\n"
    own += "      - deny: sqs:PurgeQueue on arn:aws:sqs:eu-west-1:111122223333:x\n"
    own += "        when: {aws:MultiFactorAuthPresent: 'false'}\n"
    text = configuration().replace("test: [view-metrics]", "test: [view-metrics, careful]") + own
    for said, outcome in ((True, "allowed"), (False, "denied")):
        asked = text if said else text.replace(", mfa: every-sign-in", "")
        warnings = {d.name: d.hint for d in found(tmp_path, asked) if d.name == "mfa-in-role"}
        baseline = compiled(tmp_path, asked)["test"]
        policies = team_policies(baseline.accounts[0], baseline, "developers")
        queue = Request(
            "", "sqs:PurgeQueue", "arn:aws:sqs:us-east-1:222233335555:x", {"aws:RequestedRegion": "us-east-1"}
        )
        assert Judge(policies).decide(queue).outcome == outcome
        assert said or "every-sign-in" in warnings["mfa-in-role"]


# --- from the outside


def test_questions_are_answered() -> None:
    """People, teams and the roles that Identity Center makes, by their names and by the ARN that AWS prints."""
    (production,) = (b for d, b in example().baselines if d.name == "production")
    for who in (
        "olga",
        "operators",
        "arn:aws:sts::333344445555:assumed-role/AWSReservedSSO_operators.production_fedcba9876543210/olga",
    ):
        assert explain(production, Question(who, "ec2:StopInstances")).outcome == "allowed", who
    answer = explain(production, Question("maria", "ec2:StopInstances"))
    assert answer.outcome == "denied"
    assert "permission set developers.production" in answer.notes[0]
    (reach,) = who_can(production, Question("", "ec2:StopInstances"))
    assert "operators" in reach.names
    assert "developers" not in reach.names
    services = {s.service for s in list_access(production, Question("developers", "")).services}
    assert {"ec2", "cloudwatch"} <= services


def test_placement_is_of_names() -> None:
    """Of nothing else, and under every hash seed: pinned."""
    assert center.set_name("developers", "production") == "developers.production"
    destination = Destination("production", "production", "member")
    assert destination.keys == ("production",)
    assert center.day_of("developers.until-2027-01-31", Text("developers")) == "2027-01-31"


def test_templates_pass_cfn_lint(tmp_path: Path) -> None:
    """The emulator has no Identity Center; AWS's own resource schemas take the templates."""
    made = deployed(tmp_path, configuration().replace("mfa:", 'attributes: {team: "${path:userType}"}, mfa:'))
    assert linted(tmp_path / "made", made) == {
        "AWS::IdentityStore::Group": 3,
        "AWS::IdentityStore::GroupMembership": 4,
        "AWS::IdentityStore::User": 4,
        "AWS::SSO::Assignment": 8,
        "AWS::SSO::InstanceAccessControlAttributeConfiguration": 1,
        "AWS::SSO::PermissionSet": 8,
    }
    there = example().identity_center
    assert there is not None
    assert linted(tmp_path / "there", there) == {"AWS::SSO::Assignment": 11, "AWS::SSO::PermissionSet": 9}


def linted(folder: Path, center_: IdentityCenter) -> dict[str, int]:
    """How many resources of each type its templates hold, in which cfn-lint finds nothing."""
    import aws_cdk as cdk

    from stacks import build

    app = cdk.App(outdir=str(folder), analytics_reporting=False, builtin_cloud_formation_validation=False)
    build(app, Deployment((), identity_center=center_), folder)
    full: dict[str, dict[str, Any]] = {
        s.template_full_path: s.template for s in app.synth().stacks if s.template.get("Resources")
    }
    lint = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run(
        [lint, "-r", center_.stacks[0].region, "-t", *full], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")
    return dict(Counter(r["Type"] for template in full.values() for r in template["Resources"].values()))


def test_reports_know_the_teams() -> None:
    """A team is a team with its duties in each account, and its people are people without a user."""
    reading = read_path(EXAMPLE)
    assert reading.value is not None
    baselines = {d.name: b for d, b in example().baselines}
    made = facts(reading.value, baselines, {}, NoHistory(), "config", "2026-12-01", "", ())
    assert [len(team.holders) for team in made.teams] == [4, 1, 3, 1]
    assert [person.name for person in made.people] == ["anna", "dana", "john", "maria", "olga"]
    assert "developers" not in {role.name for role in made.roles}


def test_policies_of_the_organization_stand_over_permission_sets(tmp_path: Path) -> None:
    """They take away from the roles of Identity Center alone what they name, and nobody gains."""
    units = {"dev": "Workloads/Development", "test": "Workloads/Development", "shop": "Workloads/Production"}
    placed = configuration()
    for name, unit in units.items():
        placed = re.sub(rf"(  {name}: {{id: \"\d+\", environment: \w+)}}", rf"\1, unit: {unit}}}", placed)
    given = "  units: {Workloads/Development: ou-ab12-22222222, Workloads/Production: ou-ab12-33333333}\n"
    placed = placed.replace("  home_region: us-east-1\n", f"  home_region: us-east-1\n{given}")
    rules = "organization: {rules: [stay, no-users, perimeter]}, regions: [us-east-1]"
    bound = placed.replace("guardrails: {regions: [us-east-1]", f"guardrails: {{{rules}")
    found_ = told(tmp_path, placed, bound)
    assert not found_.unknown
    assert not found_.gains
    lost = {(name, a.because[0].duty) for a in found_.access for name in a.names if "iam:CreateUser" in a.actions}
    assert lost == {("administrators", "administer")}
    production = compiled(tmp_path / "bound", bound)["production"]
    answer = explain(production, Question("administrators", "iam:CreateUser"))
    assert (answer.outcome, [o.kind for o in answer.obstacles]) == ("denied", ["organization"])
