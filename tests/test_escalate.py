"""Who can become an administrator: each path of the catalogue open once, and closed by what closes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dutybound import catalog, escalate, source
from dutybound.baseline import Baseline
from dutybound.compiler import compile_everywhere, compile_text
from dutybound.diagnostic import render_all
from dutybound.escalate import Escalation, Path, escalations, paths
from dutybound.grant import example_use
from dutybound.lower import lower
from dutybound.read import library, library_duty, read
from tests.conftest import CASES, ROOT
from tests.test_bad_input import UNSAID
from tests.test_compile import compiled

_WAIVED = ("wide-action", "wide-resource", "broad-managed-policy")
_VARIED = ("statements", "roles", "teams", "more", "never", "duties")


def configuration(case: dict[str, Any]) -> str:
    """The configuration that an entry of the cases stands for."""
    own = {"own": case.get("statements", ())}
    own |= {name: duty["statements"] for name, duty in case.get("duties", {}).items()}
    duties = {name: _duty(statements) for name, statements in own.items()}
    web = {"purpose": "x", "duties": ["own"], "members": case.get("members", ["maria"])}
    if "never" in case:
        web["never"] = case["never"]
    administrators = {"purpose": "x", "duties": ["administer"], "members": ["ann"]}
    waivers = [
        {"finding": finding, "for": f"duty {name}", "reason": "A test", "until": "2099-01-01"}
        for finding in _WAIVED
        for name in duties
    ]
    whole = {
        "version": 1,
        "organization": {"name": "acme", "owner": "security@acme.example", "home_region": "eu-west-1"},
        "break_glass": case.get("break_glass", {"users": ["emergency"], "alert": ["a@b.example"]}),
        "duties": duties,
        "teams": {"web": web, "administrators": administrators, **case.get("teams", {})},
        "roles": case.get("roles", {}),
        "waivers": waivers,
        **case.get("more", {}),
    }
    return yaml.safe_dump({key: value for key, value in whole.items() if value})


def _duty(statements: Any) -> dict[str, Any]:
    raw = [{"Effect": "Allow", **s} for s in statements]
    grants = [{"statements": raw, "why": "A test"}, {"actions": ["ec2:DescribeVpcs"], "why": "A test"}]
    return {"summary": "x", "grants": grants, "expect": [{"allow": "ec2:DescribeVpcs"}, {"deny": "ec2:DeleteVpc"}]}


def baseline_of(case: dict[str, Any]) -> Baseline:
    """Its baseline, as it is decided before anybody looks for ways to escalate in it."""
    loaded = source.loads(configuration(case), "config.yaml")
    assert loaded.value is not None, render_all(loaded.diagnostics)
    reading = read(loaded.value)
    assert reading.value is not None, render_all(reading.diagnostics)
    decided = lower(reading.value)
    assert decided.value is not None, render_all(decided.diagnostics)
    return decided.value


@dataclass(frozen=True)
class Case:
    """One entry, or one of its changes that close the way."""

    name: str
    text: dict[str, Any]
    opens: frozenset[str]
    shut: str = ""
    """A path that must not be open; without one, and with nothing that opens, none must."""


def cases() -> Iterator[Case]:
    for file in sorted((CASES / "escalation").glob("*.yaml")):
        for entry in yaml.safe_load(file.read_text(encoding="utf-8")):
            opens = frozenset(entry["opens"])
            yield Case(f"{file.stem}: {entry['name']}", entry, opens)
            for by, change in entry.get("closed", {}).items():
                assert set(change) <= {*_VARIED}, by
                yield Case(f"{file.stem}: {entry['name']}, closed by {by}", {**entry, **change}, frozenset())
    for path in paths():
        if path.way in ("pass", "use"):
            yield from served(path)


def served(path: Path) -> Iterator[Case]:
    """The cases of a path by a service: a role of the configuration, and what closes the way to it."""
    known = {row.principal: name for name, row in catalog.service_principals().items()}
    service = known.get(path.to)
    others = [a for a in path.actions if a != "iam:PassRole"]
    # Not the stacks of the baseline, which are a way by themselves.
    everywhere = "arn:aws:cloudformation:*:{account}:*/web-*" if path.to.startswith("cloudformation") else "*"
    everywhere = "*" if "stackset" in path.id else everywhere
    launch = {"Action": others, "Resource": everywhere}
    mine = "arn:aws:iam::{account}:role/roles/*" if service else "*"

    def case(name: str, role: str, to: str, trusts: str | None, *more: object, opens: bool = False) -> Case:
        passing = {
            "Action": "iam:PassRole",
            "Resource": role,
            "Condition": {"StringEquals": {"iam:PassedToService": to}},
        }
        statements = [*([passing] if "iam:PassRole" in path.actions else []), launch, *more]
        roles = {"strong": {"purpose": "x", "trusts": {"service": trusts}, "duties": ["administer"]}} if trusts else {}
        text = {"statements": statements, "roles": roles}
        return Case(f"{path.id}: {name}", text, frozenset({path.id} if opens else ()), "" if opens else path.id)

    yield case("open", mine, path.to, service, opens=True)
    denied = {"Effect": "Deny", "Action": others[-1], "Resource": "*"}
    yield case("closed by a deny", mine, path.to, service, denied)
    if service:
        other = "glue" if service != "glue" else "sagemaker"
        yield case("closed by the trust", mine, path.to, other)
    if "iam:PassRole" in path.actions:
        yield case("closed by the path", "arn:aws:iam::{account}:role/app/*", path.to, service)
        yield case("closed by the condition", mine, "edgelambda.amazonaws.com", service)
    else:
        tagged = {**launch, "Condition": {"StringEquals": {"aws:ResourceTag/team": "web"}}}
        yield Case(
            f"{path.id}: closed by a tag",
            {**case("", "", "", service).text, "statements": [tagged]},
            frozenset(),
            path.id,
        )


def found(case: dict[str, Any]) -> tuple[Escalation, ...]:
    return escalations(baseline_of(case))


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_open_and_closed(case: Case) -> None:
    """What an entry opens is found, with exactly whom it concerns; what closes it leaves nothing."""
    here = found(case.text)
    if case.shut:
        assert case.shut not in [id_ for e in here for id_ in e.paths]
        return
    if not case.opens:
        assert [(e.principal, e.paths, e.steps) for e in here] == []
        return
    who = case.text.get("who", "team web")
    assert [e.principal for e in here] == sorted([who, *case.text.get("also", ())])
    mine = next(e for e in here if e.principal == who)
    assert set(mine.paths) >= case.opens
    assert mine.names == (() if "who" in case.text else tuple(case.text.get("people", ["maria"])))
    assert mine.steps


def test_every_path_is_open_once() -> None:
    """Each path of the catalogue is opened by a case, or says why it is not judged."""
    opened = {id_ for case in cases() for id_ in case.opens}
    assert [path.id for path in paths() if path.way != "none" and path.id not in opened] == []
    assert [path.id for path in paths() if (path.way == "none") != bool(path.why)] == []


# --- what must not be found -----------------------------------------------------------------------------------------

_BOUNDED = {"guardrails": {"boundary": {"path": "/app/", "services": ["ec2", "ecs-tasks", "lambda"]}}}
_ROLES = {
    "server": {"purpose": "x", "trusts": {"service": "ec2"}, "duties": ["view-metrics"]},
    "function": {"purpose": "x", "trusts": {"service": "lambda"}, "duties": ["view-metrics"]},
}


def _with_duties(teams: dict[str, list[str]]) -> str:
    """A configuration of teams with built-in duties, each with its example parameters."""

    def written(name: str) -> object:
        values = {str(k): list(map(str, v)) for k, v in example_use(name, library_duty(name)).parameters.items()}
        return {name: values} if values else name

    made = {
        name: {"purpose": "x", "duties": [written(d) for d in duties], "members": ["maria", f"m{i}"]}
        for i, (name, duties) in enumerate(teams.items())
    }
    return yaml.safe_dump({"teams": made, "roles": _ROLES, **_BOUNDED})


def test_the_library_makes_no_administrators() -> None:
    """Every built-in duty but `administer`, alone (m0, m1 …), and those that do something all together (maria)."""
    names = [name for name in library() if name != "administer"]
    for at in range(0, len(names), 9):
        assert escalations(compiled(_with_duties({f"t-{name}"[:30]: [name] for name in names[at : at + 9]}))) == ()
    acting = [name for name in names if not name.startswith(("view-", "audit-", "read-"))]
    eight = {f"t-{at}": acting[at::8] for at in range(8)}
    assert escalations(compiled(_with_duties(eight))) == ()


def test_the_shipped_configuration_makes_none() -> None:
    """`config/` and every configuration in `examples/`."""
    folders = [ROOT / "config", *sorted(p for p in (ROOT / "examples").glob("*") if p.is_dir())]
    for folder in folders:
        for checked in compile_everywhere(folder).values():
            assert checked.value is not None
            assert escalations(checked.value) == ()


def test_declared_administrators_are_not_reported() -> None:
    """Who holds `administer`, by a team or a role, and break-glass."""
    role = {"ci": {"purpose": "x", "trusts": {"service": "codebuild"}, "duties": ["administer"]}}
    assert found({"statements": [{"Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}], "roles": role}) == ()


def test_both_teams_together() -> None:
    """What two teams open together is found for who is in both, and for nobody else."""
    duties = {"other": {"statements": [{"Action": "lambda:CreateFunction", "Resource": "*"}]}}
    case = {
        "statements": [
            {"Action": "iam:PassRole", "Resource": "arn:aws:iam::{account}:role/roles/*"},
            {"Action": "lambda:InvokeFunction", "Resource": "*"},
        ],
        "duties": duties,
        "members": ["maria", "tom"],
        "teams": {"other": {"purpose": "x", "duties": ["other"], "members": ["maria", "zoe"]}},
        "roles": {"strong": {"purpose": "x", "trusts": {"service": "lambda"}, "duties": ["administer"]}},
    }
    assert [(e.principal, e.names) for e in found(case)] == [("team web", ("maria",))]


def test_a_team_without_people_is_judged() -> None:
    """Its first member should not be the first to be judged."""
    case = {"statements": [{"Action": "iam:PutGroupPolicy", "Resource": "*"}], "members": []}
    (one,) = found(case)
    assert one.names == (f"somebody in {one.principal.removeprefix('team ')}",)


def test_a_stolen_key_opens_nothing() -> None:
    """People are denied all of it without MFA, so the weakest session that is enough has it."""
    (one,) = found(
        {"statements": [{"Action": "iam:PutUserPolicy", "Resource": "arn:aws:iam::{account}:user/people/*"}]}
    )
    assert one.session == "mfa"


def test_what_a_user_sees() -> None:
    """The chain of requests, each with the line that allows it, at the line that gives the duty."""
    case = {
        "statements": [
            {"Action": "iam:PassRole", "Resource": "arn:aws:iam::{account}:role/roles/strong"},
            {"Action": ["lambda:CreateFunction", "lambda:InvokeFunction"], "Resource": "*"},
        ],
        "roles": {"strong": {"purpose": "x", "trusts": {"service": "lambda"}, "duties": ["administer"]}},
    }
    checked = compile_text(configuration(case))
    (error,) = [d for d in checked.diagnostics if d.name == "escalation"]
    assert error.message == (
        "team 'web' (maria) can become an administrator: iam:PassRole on role/roles/strong to lambda.amazonaws.com → "
        "lambda:CreateFunction on function:x → lambda:InvokeFunction on function:x → administrator"
    )
    assert error.span is not None
    assert "- own" in error.span.source.lines[error.span.line - 1]
    assert [note.partition(", allowed by own (config.yaml:")[1] != "" for note in error.notes[:3]] == [True] * 3
    assert "passrole.lambda-invoke" in error.notes[-1]


@cache
def _open() -> list[Case]:
    return [case for case in cases() if case.opens]


_ACTIONS = sorted({a for p in paths() if p.way != "none" for a in p.actions})


@given(st.data())
def test_a_deny_opens_nothing(data: st.DataObject) -> None:
    """With one more deny nobody becomes an administrator who could not become one before."""
    case = data.draw(st.sampled_from(_open()))
    actions = data.draw(st.lists(st.sampled_from(_ACTIONS), min_size=1, max_size=3))
    resource = data.draw(st.sampled_from(["*", "arn:aws:iam::{account}:user/*", "arn:aws:iam::{account}:role/*"]))
    deny = {"Effect": "Deny", "Action": actions, "Resource": resource}
    before = {(e.principal, e.names) for e in found(case.text)}
    after = {(e.principal, e.names) for e in found({**case.text, "statements": [*case.text["statements"], deny]})}
    assert {who for who, _ in after} <= {who for who, _ in before}


def test_many_people_are_judged_once() -> None:
    """Four hundred people of twenty teams: one finding a team."""
    teams = {
        f"team-{i}": {"purpose": "x", "duties": ["own"], "members": [f"p{i}-{n}" for n in range(20)]} for i in range(20)
    }
    statements = [{"Action": "iam:PutUserPolicy", "Resource": "arn:aws:iam::{account}:user/people/*"}]
    here = found({"statements": statements, "teams": {**teams, "web": {"purpose": "x", "duties": ["own"]}}})
    assert len(here) == 21
    assert {len(e.names) for e in here} == {1, 20}


def test_every_empty_team_is_judged() -> None:
    """Two teams without anybody: the first that could begin a way does not stand for the second."""
    text = """\
version: 1
organization: {name: acme, owner: x}
break_glass: {users: [e], alert: [a@b.example]}
teams:
  a: {purpose: A, duties: [fine]}
  b: {purpose: B, duties: [bad]}
duties:
  fine:
    summary: Takes a role
    grants: [{actions: [sts:AssumeRole], resources: {role: app/x}}]
    expect:
      - allow: sts:AssumeRole on arn:aws:iam::111122223333:role/app/x
      - deny: iam:CreateUser on arn:aws:iam::111122223333:user/people/x
  bad:
    summary: Changes its own team
    grants: [{actions: [iam:AttachGroupPolicy], resources: {group: teams/b}}]
    expect:
      - allow: iam:AttachGroupPolicy on arn:aws:iam::111122223333:group/teams/b
      - deny: iam:CreateUser on arn:aws:iam::111122223333:user/people/x
"""
    (found,) = (d for d in compile_text(text).diagnostics if d.name not in UNSAID)
    assert (found.name, "team 'b'" in found.message) == ("escalation", True)


def test_what_the_search_does_not_know_is_said_so() -> None:
    """A bound that is hit is an error that claims no more than it knows; what is certain is found beside it."""
    clash = {"aws:UserAgent": "${aws:Referer}", "aws:Referer": "${aws:UserAgent}"}
    murky = {"Action": "iam:CreatePolicyVersion", "Resource": "*", "Condition": {"StringEquals": clash}}
    certain = {"Action": "iam:PutGroupPolicy", "Resource": "*"}
    for statements, said in (
        ([murky], "team 'web' (maria) can become an administrator is not known: aws:"),
        ([murky, certain], "team 'web' (maria) can become an administrator: iam:PutGroupPolicy"),
    ):
        checked = compile_text(configuration({"statements": statements}))
        found = [d for d in checked.diagnostics if d.name == "escalation"]
        assert [d.severity for d in found] == ["error"], render_all(checked.diagnostics)
        assert said in found[0].message


def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge with all statements and look at all users, one by one: the slow way, with no index and no short cut."""
    world = escalate._World
    monkeypatch.setattr(escalate._Digests, "cut", lambda _facts, policies: policies)
    monkeypatch.setattr(world, "_could_take", lambda *_: True)
    monkeypatch.setattr(world, "_allowing", lambda self, actor, action, resource=None: (
        [s for s in self.judge(actor, resource).naming(action) if s.effect == "Allow"]
    ))  # fmt: skip
    monkeypatch.setattr(escalate, "_open", lambda _named: escalate.paths())
    monkeypatch.setattr(world, "_worth_signing_in_as", lambda self, path, actor: (
        [who for who in self.users if who != actor.who]
    ))  # fmt: skip


@given(st.data())
def test_short_cuts_change_no_answer(data: st.DataObject) -> None:
    """Organizations of several duties out of the cases, open and closed, answered in the quick way and in the slow."""
    chosen = data.draw(st.lists(st.sampled_from(list(_all())), min_size=1, max_size=3))
    case = chosen[0].text | {"members": data.draw(st.sampled_from([["maria"], ["maria", "noor"], []]))}
    statements = [s for one in chosen for s in one.text.get("statements", ())]
    baseline = baseline_of(case | {"statements": statements})
    quick = escalations(baseline)
    with pytest.MonkeyPatch.context() as monkeypatch:
        _plain(monkeypatch)
        assert escalations(baseline) == quick


@cache
def _all() -> tuple[Case, ...]:
    return tuple(cases())
