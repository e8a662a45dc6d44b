"""Which stack holds what: by its own name alone, whatever else there is, and never more than CloudFormation takes."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.organization import organization, write
from dutybound import placement, source
from dutybound.baseline import Account, Baseline, Group, User, logical_id
from dutybound.compiler import compile_text
from dutybound.deployment import Consequence, consequences
from dutybound.diagnostic import render_all
from dutybound.lower import lower
from dutybound.read import read
from stacks.baseline import BaselineStacks, written

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,7}(-[a-z0-9]{1,6}){0,2}", fullmatch=True)
Edits = list[tuple[str, str, str]]
"""What is added, or removed if it is there: a kind, a name, and the team of a person or the duty of another."""
EXPECTED = ["acme-people-07", "acme-people-15", "acme-teams-15", "acme-roles-56"]
DUTIES = ("view-metrics", "view-servers", "view-quotas")


def placed(state: Mapping[str, Mapping[str, str]], parts: int) -> Account:
    """The account of a configuration with these teams (and their duty), people (and their team) and roles."""
    teams: dict[str, Any] = {t: {"purpose": "x", "duties": [d], "members": []} for t, d in state["team"].items()}
    for person, wanted in state["person"].items():
        if teams:
            team = wanted if wanted in teams else min(teams)
            # Memberships that end have groups and policies of their own.
            teams[team]["members"].append({"name": person, "until": "2030-12-31"} if len(person) % 2 else person)
    roles = {r: {"purpose": "x", "trusts": {"service": "ec2"}, "duties": [d]} for r, d in state["role"].items()}
    text = {
        "version": 1,
        "organization": {"name": "acme", "owner": "a@acme.example", "parts": parts},
        "break_glass": {"users": ["emergency", "emergency-2"], "alert": ["a@acme.example"]},
        "teams": teams,
        "roles": roles,
    }
    checked = compile_text(json.dumps(text))
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value.accounts[0]


def homes(account: Account) -> dict[str, str]:
    """The stack of each resource with a name, by its kind and logical id."""
    kinds = (account.policies, account.groups, account.users, account.roles)
    return {f"{type(one).__name__} {one.logical_id}": one.stack for kind in kinds for one in kind}


def edited(edits: Edits) -> Iterator[dict[str, dict[str, str]]]:
    """The configuration after each edit."""
    state: dict[str, dict[str, str]] = {"team": {}, "person": {}, "role": {}}
    for kind, name, with_ in edits:
        if state[kind].pop(name, None) is None:
            state[kind][name] = with_
        yield state


def edits_of(names: st.SearchStrategy[str], least: int, most: int) -> st.SearchStrategy[Edits]:
    """Edits in which what is there is often removed again."""
    few = st.lists(names, min_size=3, max_size=12, unique=True)
    return few.flatmap(
        lambda some: st.lists(
            st.one_of(
                st.tuples(st.just("team"), st.sampled_from(some), st.sampled_from(DUTIES)),
                st.tuples(st.just("person"), st.sampled_from(some), st.sampled_from(some)),
                st.tuples(st.just("role"), st.sampled_from(some), st.sampled_from(DUTIES)),
            ),
            min_size=least,
            max_size=most,
        )
    )


@settings(max_examples=12, deadline=None)
@given(edits_of(NAMES, 3, 8), st.sampled_from(placement.PARTS))
def test_no_edit_moves_anything_else(edits: Edits, parts: int) -> None:
    """Compiled after each of many edits: whatever is there before and after stands in the same stack."""
    before: dict[str, str] = {}
    for state in edited(edits):
        account = placed(state, parts)
        after = homes(account)
        assert {key: before[key] for key in before.keys() & after.keys()} == {
            key: after[key] for key in before.keys() & after.keys()
        }
        assert set(after.values()) <= {stack.name for stack in account.stacks}
        before.update(after)  # what comes back later comes back to where it was


@pytest.mark.parametrize("seed", range(20))
def test_thousands_of_edits(seed: int) -> None:
    """Thousands of sequences of edits of what is placed, in any order of everything: the same."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(100):
        edit_at_random(chance)


def edit_at_random(chance: random.Random) -> None:
    """One sequence: names come, go and come back, and nothing is anywhere else than before."""
    parts = chance.choice(placement.PARTS)
    names = ["".join(chance.choices("abcdefgh-", k=chance.randint(1, 9))) for _ in range(8)]
    there: set[tuple[str, str]] = set()
    known: dict[str, str] = {}
    for _ in range(chance.randint(5, 15)):
        there ^= {(chance.choice(("people", "teams")), chance.choice(names))}
        order = chance.sample(sorted(there), len(there))
        groups = tuple(Group(logical_id("Team", n), "x", n, "/teams/", "", ()) for k, n in order if k == "teams")
        users = tuple(User(logical_id("Person", n), "x", n, "/people/", ()) for k, n in order if k == "people")
        now = homes(placement.place(Account(None, "eu-west-1", (), (), groups, users, ()), "acme", parts))
        assert all(known.setdefault(key, stack) == stack for key, stack in now.items())


@given(st.sampled_from(("people", "roles", "teams")), NAMES, st.sampled_from((4, 16)))
def test_a_part_becomes_four(purpose: str, name: str, parts: int) -> None:
    """With four times the parts, a part's resources go to four stacks, itself among them: one refactoring."""
    part = int(placement.stack("acme", purpose, name, parts)[-2:])
    assert int(placement.stack("acme", purpose, name, parts * 4)[-2:]) % parts == part


def test_the_stacks_of_names_are_fixed() -> None:
    """The rule is part of what is deployed: another hash would move everybody."""
    assert [placement.stack("acme", "people", name, 16) for name in ("maria", "john")] == EXPECTED[:2]
    assert placement.stack("acme", "teams", "developers", 16) == EXPECTED[2]
    assert placement.stack("acme", "roles", "web-server", 64) == EXPECTED[3]
    assert placement.stack("acme", "people", "maria", 1) == "acme-teams"


def test_a_team_stands_together_and_what_all_share_stays() -> None:
    """Groups with their policies, roles with theirs; /baseline/ in the stack that it has with one part too."""
    state = {"team": {"dev": "view-metrics"}, "person": {"amy": "dev", "joe": "dev"}, "role": {"web": "view-quotas"}}
    account = placed(state, 16)
    mine = {g.stack for g in account.groups if g.path == "/teams/"}
    mine |= {p.stack for p in account.policies if p.name.startswith("team-")}
    assert len({g.name for g in account.groups if g.path == "/teams/"}) == 2  # one of them ends
    assert mine == {placement.stack("acme", "teams", "dev", 16)}
    role = placement.stack("acme", "roles", "web", 16)
    assert {r.stack for r in account.roles if r.path == "/roles/"} == {role} == {account.policy("role-web").stack}
    assert account.policy("enforce-mfa").stack == "acme-teams"


def lowered(people: int, folder: Path) -> Baseline:
    """The baseline of a made-up organisation, without what `check` finds after it."""
    loaded = source.load(write(organization(people), folder))
    assert loaded.value is not None
    reading = read(loaded.value)
    assert reading.value is not None
    checked = lower(reading.value)
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value


def test_the_largest_account_fits(tmp_path: Path) -> None:
    """5,000 users in 300 teams, as many as an account holds."""
    (account,) = lowered(5000, tmp_path).accounts
    assert len(account.users) == 5000
    loads = placement.loads(account)
    assert all(load.fits for load in loads.values())
    assert max(load.resources for load in loads.values()) < 400


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Account, dict[str, bytes], dict[str, list[str]]]:
    """Six hundred people in sixty teams: their account, templates, and which stack waits for which."""
    baseline = lowered(600, tmp_path_factory.mktemp("large"))
    (account,) = baseline.accounts
    app = cdk.App(outdir=str(tmp_path_factory.mktemp("out")), analytics_reporting=False)
    BaselineStacks(app, written(baseline, account, tmp_path_factory.mktemp("templates")), account.id)
    stacks = app.synth().stacks
    templates = {stack.stack_name: Path(stack.template_full_path).read_bytes() for stack in stacks}
    return account, templates, {s.stack_name: [str(d.id) for d in s.dependencies] for s in stacks}


def test_the_templates_of_a_large_account(large: tuple[Account, dict[str, bytes], dict[str, list[str]]]) -> None:
    """Every template fits, is no larger than it was taken for, and neither exports nor imports anything."""
    account, templates, after = large
    loads = placement.loads(account)
    for name, body in templates.items():
        template = json.loads(body)
        resources = template.get("Resources", {})
        assert len(resources) < placement.MOST_RESOURCES
        assert len(body) < placement.MOST_BYTES
        assert b"Fn::ImportValue" not in body
        assert "Outputs" not in template
        if re.search(r"-(teams|people|roles)(-\d\d)?$", name) and resources:
            assert loads[name].resources == len(resources)
            assert len(body) <= loads[name].size < 2.5 * len(body), name
    for group in account.groups:
        if group.path == "/teams/":
            assert "acme-teams" in after[group.stack]
    teams = {g.name: g.stack for g in account.groups}
    for user in account.users:
        assert {teams[name] for name in user.groups} - {user.stack} <= set(after[user.stack])


def test_one_part_more_is_asked_for_by_number() -> None:
    """What does not fit says with how many parts it does."""
    names = [f"p{i}" for i in range(1100)]
    text = f"teams: {{a: {{purpose: x, members: [{', '.join(names)}]}}}}\n"
    for parts, wanted in ((1, "4"), (4, None)):
        checked = compile_text(f"{_head(parts)}{text}")
        if wanted is None:
            assert checked.value is not None
            continue
        (error,) = checked.diagnostics
        assert error.name == "too-many-resources"
        assert error.hint is not None
        assert f"'organization.parts: {wanted}'" in error.hint


def test_parts_are_one_of_four_numbers() -> None:
    """Another number is an error that says which there are."""
    (error,) = compile_text(_head(8)).diagnostics
    assert "1, 4, 16" in render_all([error])


def _head(parts: int) -> str:
    return (
        f"version: 1\norganization: {{name: acme, owner: a@acme.example, parts: {parts}}}\n"
        "break_glass: {users: [emergency, emergency-2], alert: [a@acme.example]}\n"
    )


# -- what diff says


STATE = {
    "team": {f"team-{i}": "view-metrics" for i in range(12)},
    "person": {f"person-{i}": f"team-{i % 12}" for i in range(40)},
    "role": {f"app-{i}": "view-quotas" for i in range(8)},
}


def moves(before: int, after: int) -> list[Consequence]:
    """What another number of parts does."""
    return [c for c in consequences(placed(STATE, before), placed(STATE, after)) if c.effect == "fails"]


def test_more_parts_are_moved_by_operations_of_five_stacks() -> None:
    """Each move is in one operation, people before the groups they are in, and nothing is deleted."""
    old, new = placed(STATE, 1), placed(STATE, 16)
    found = consequences(old, new)
    assert {c.effect for c in found} == {"fails"}
    destinations = [c.name.split(", ") for c in found]
    assert all(1 <= len(some) <= 4 for some in destinations)
    every = list(itertools.chain(*destinations))
    assert sorted(every) == sorted(set(homes(new).values()) - set(homes(old).values()))
    assert [name.split("-")[1] for name in every] == sorted(name.split("-")[1] for name in every)
    for consequence in found:
        (create,) = [step for step in consequence.steps if "create-stack-refactor" in step]
        assert 2 <= create.count("StackName=") <= 5


def test_a_stack_that_would_be_empty_gets_something_first() -> None:
    """CloudFormation refuses a refactoring that leaves a stack without resources: here the roles' own."""
    filled = [c for c in moves(1, 16) if any("WaitConditionHandle" in step for step in c.steps)]
    assert [c.name for c in filled] == [[c.name for c in moves(1, 16) if "acme-roles" in c.name][-1]]


def test_four_times_the_parts_are_one_operation_for_each_part() -> None:
    """From 4 to 16 each part goes to at most three others."""
    found = moves(4, 16)
    assert len(found) <= 12
    assert all(len(c.name.split(", ")) <= 3 for c in found)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not here")
def test_the_printed_jq_leaves_what_does_not_move(tmp_path: Path) -> None:
    """The template that the steps make of the source has its other resources, and nothing else changed."""
    (step,) = [step for step in moves(1, 4)[0].steps if step.startswith("jq")]
    (tmp_path / "cdk.out").mkdir()
    for file in re.findall(r"cdk\.out/\S+", step):
        (tmp_path / file).write_text(json.dumps({"Resources": {f"P{file[-16:-14]}": {}}}), encoding="utf-8")
    source = {"Description": "d", "Resources": {"P00": {"a": 1}, "P03": {}, "Kept": {"Type": "x"}}}
    (tmp_path / "acme-teams.json").write_text(json.dumps(source), encoding="utf-8")
    subprocess.run(["bash", "-c", step], cwd=tmp_path, check=True)
    left = json.loads((tmp_path / "acme-teams.left.json").read_text(encoding="utf-8"))
    assert left == {"Description": "d", "Resources": {"Kept": {"Type": "x"}}}


def test_a_team_with_people_elsewhere_goes_in_two_steps() -> None:
    """Its group is in use until the people's stacks have changed, which come later: diff says to deploy them first."""
    gone = {**STATE, "team": {k: v for k, v in STATE["team"].items() if k != "team-3"}}
    found = [c for c in consequences(placed(STATE, 4), placed(gone, 4)) if c.effect == "left behind"]
    assert [(c.kind, c.name) for c in found] == [("group", "team-3"), ("group", "team-3.until-2030-12-31")]
    for one in found:
        people = sorted({u.stack for u in placed(STATE, 4).users if one.name in u.groups})
        assert one.steps == (f"npx cdk deploy --exclusively {' '.join(people)}  # before all others",)
    assert not [c for c in consequences(placed(STATE, 1), placed(gone, 1)) if c.effect == "left behind"]
