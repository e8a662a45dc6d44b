"""`explain`, `who-can` and `list-access`: questions and what people read, and that the answers are the judge's."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.answers import WIDTH
from dutybound.baseline import Baseline, User
from dutybound.callers import callers
from dutybound.case import Question
from dutybound.cli import cli
from dutybound.compiler import compile_path, compile_text
from dutybound.denial import Denial, NotADenial, denial
from dutybound.evaluate import Policies, Request, decide
from dutybound.explain import explain, list_access, who_can
from tests.conftest import CASES, ROOT
from tests.test_compile import BASE

FOLDER = CASES / "explain"
NOVEMBER = "1795392000"
"""2026-11-23, as SOURCE_DATE_EPOCH."""


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    checked = compile_path(FOLDER / "config")
    assert checked.value is not None
    return checked.value


def output(command: str, folder: Path) -> tuple[str, int]:
    """What a command prints, and its exit code; of a wrong call only what is wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SOURCE_DATE_EPOCH", NOVEMBER)
        result = CliRunner().invoke(cli, shlex.split(command))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    wrong = result.exit_code == 2
    return (result.output[result.output.rindex("Error: ") :] if wrong else result.output), result.exit_code


def asked(command: str, folder: Path) -> tuple[str, int]:
    """The same without the lines of the library's own files, which move."""
    text, code = output(command, folder)
    return stable(text), code


def stable(text: str) -> str:
    return re.sub(r"(dutybound/duties/[a-z-]+\.yaml:)\d+", r"\1N", text)


@pytest.mark.parametrize("name", ["decisions", "messages"])
def test_what_people_read(name: str, golden: Callable[[Path, str], None]) -> None:
    """Every question of the cases, its answer and its exit code."""
    out = []
    for command in yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["ask"]:
        text, code = asked(command, FOLDER)
        out.append(f"$ dutybound {command}\n{text.rstrip()}\n[exit {code}]\n")
    golden(FOLDER / f"{name}.expected.txt", "\n".join(out))


@pytest.mark.parametrize("name", ["decisions", "messages", "organization"])
def test_lines_fit(name: str) -> None:
    """No line is wider than 100 columns, save for one word that is."""
    for line in (FOLDER / f"{name}.expected.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith(("$ ", "Error: ")) and len(line) > WIDTH:
            assert len(line.split()) <= 3, line


def test_the_page_shows_what_happens(golden: Callable[[Path, str], None], request: pytest.FixtureRequest) -> None:
    """Every command of docs/explain.md, with the configuration of this repository; `--rewrite` writes it anew."""

    def shown(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ dutybound (.*)$", block[1], re.MULTILINE)
        return "```console\n" + "".join(f"$ dutybound {c}\n{output(c, ROOT)[0]}" for c in commands) + "```"

    path = ROOT / "docs" / "explain.md"
    page = path.read_text(encoding="utf-8")
    now, blocks = re.subn(r"```console\n(.*?)```", shown, page, flags=re.DOTALL)
    assert blocks == 3
    if request.config.getoption("--rewrite") or stable(now) != stable(page):
        golden(path, now)


# --- messages of AWS ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", yaml.safe_load((CASES / "denials.yaml").read_text(encoding="utf-8")), ids=lambda c: c["text"][:40]
)
def test_messages_are_read(case: dict[str, Any]) -> None:
    """Each message says what stands beside it, and nothing else."""
    found = denial(case["text"])
    said = {f.name: getattr(found, f.name) for f in fields(Denial) if getattr(found, f.name)}
    assert said == {key: value for key, value in case.items() if key != "text"}


def test_a_decoded_message_is_read_in_both_forms() -> None:
    """As STS answers, and as `--query DecodedMessage --output text` prints it."""
    inner = {
        "allowed": False,
        "explicitDeny": False,
        "context": {
            "principal": {"id": "AIDA", "arn": "arn:aws:iam::123456789012:user/people/ana"},
            "action": "ec2:RunInstances",
            "resource": "arn:aws:ec2:eu-west-1:123456789012:instance/*",
            "conditions": {"items": [{"key": "ec2:Tenancy", "values": {"items": [{"value": "default"}]}}]},
        },
    }
    found = denial(json.dumps(inner))
    assert found == denial(json.dumps({"DecodedMessage": json.dumps(inner)}))
    assert (found.action, found.effect, found.given) == (
        "ec2:RunInstances",
        "implicit",
        (("ec2:Tenancy", ("default",)),),
    )


@given(st.text() | st.from_regex(r"\{.{0,40}\}|User: .{0,20} is not authorized to perform: .{0,30}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever is pasted: an answer or NotADenial, never another error."""
    with contextlib.suppress(NotADenial):
        assert denial(text) != Denial()


# --- the answers are the judge's ------------------------------------------------------------------------------------


def some_actions(count: int) -> list[str]:
    chosen = random.Random(7)  # noqa: S311 - the same actions on every run
    names = [
        str(a)
        for p in ("s3", "ec2", "iam", "kms", "sts", "ce", "cloudwatch")
        for a in catalog.service(p).actions.values()
    ]
    return chosen.sample(names, count)


def test_the_three_commands_agree(baseline: Baseline) -> None:
    """Who can do an action is exactly who is told that it is allowed, and whose list names it."""
    who = [
        *(u.name for u in baseline.accounts[0].users if u.path == "/people/"),
        *(r.name for r in baseline.accounts[0].roles if r.path == "/roles/"),
    ]
    lists = {}
    for name in who:
        found = list_access(baseline, Question(name, "", day="2026-11-23"))
        assert found.unknown == ()
        lists[name] = {f"{s.service}:{a}" for s in found.services for names in s.levels.values() for a in names}
    for action in [*some_actions(8), "s3:GetObject", "ec2:StopInstances", "iam:CreateUser", "sts:AssumeRole"]:
        (can,) = who_can(baseline, Question("", action, day="2026-11-23"))
        told = [n for n in who if explain(baseline, Question(n, action, day="2026-11-23")).outcome == "allowed"]
        assert [n for n in can.names if n in who] == sorted(told) == sorted(n for n in who if action in lists[n]), (
            action
        )


RESOURCES = (
    "arn:aws:s3:::acme-web/a",
    "arn:aws:s3:::acme-web/archive/a",
    "arn:aws:s3:::payroll",
    "arn:aws:ec2:eu-west-1:111122223333:instance/i-1",
    "arn:aws:ec2:eu-central-1:111122223333:instance/i-1",
    "arn:aws:iam::111122223333:user/people/maria",
)


def decisions(baseline: Baseline) -> Iterator[tuple[str, str, str, str, bool]]:
    """Name, session, action, resource and the judge's own answer, with every key said that `explain` supposes."""
    for caller in callers(baseline, baseline.accounts[0]):
        for session in caller.sessions:
            for action in [*some_actions(12), "s3:GetObject", "s3:PutObject", "ec2:StopInstances"]:
                for resource in RESOURCES:
                    context = {
                        **{k: v for k, v in caller.known(session).items() if v is not None},
                        "aws:RequestedRegion": resource.split(":")[3] or "eu-west-1",
                        "aws:CurrentTime": "2026-11-23T12:00:00Z",
                        "aws:SourceIp": "203.0.113.4",
                        "aws:ResourceAccount": "111122223333",
                        "aws:SecureTransport": "true",
                    }
                    policies = replace(caller.policies, resource=None)
                    assert isinstance(policies, Policies)
                    decision = decide(Request(caller.arn, action, resource, context), policies)
                    if decision.outcome != "unknown":
                        yield caller.name, session, action, resource, decision.outcome == "allowed"


def test_explanations_decide_as_the_judge_does(baseline: Baseline) -> None:
    """For everybody, every way to sign in, and requests on resources of all kinds."""
    count = allowed = 0
    every = list(decisions(baseline))
    for name, session, action, resource, answer in random.Random(5).sample(every, 250):  # noqa: S311
        from_work = (("aws:SourceIp", ("203.0.113.4",)),)
        question = Question(name, action, resource, session, from_work, "2026-11-23")  # type: ignore[arg-type]
        found = explain(baseline, question)
        assert (found.outcome == "allowed") is answer, question
        assert found.chain if answer else (found.obstacles or not found.chain)
        count, allowed = count + 1, allowed + answer
    assert count == 250
    assert 20 < allowed < 200


def test_what_is_suggested_helps(baseline: Baseline, tmp_path: Path) -> None:
    """A duty that an answer names as the nearest allows the action, once a team has it."""
    found = explain(baseline, Question("lena", "s3:DeleteBucket"))
    near = found.nearest[0]
    text = (FOLDER / "config" / "acme.yaml").read_text(encoding="utf-8")
    use = f"{near.duty}: {{{', '.join(f'{p}: [acme-ops]' for p in near.parameters)}}}"
    (tmp_path / "acme.yaml").write_text(text.replace("duties: [no-uploads,", f"duties: [no-uploads, {use},"), "utf-8")
    checked = compile_path(tmp_path)
    assert checked.value is not None
    assert explain(checked.value, Question("lena", "s3:DeleteBucket")).outcome == "allowed"


def test_a_thousand_people_are_asked_once_for_each_set_of_policies(baseline: Baseline) -> None:
    """5,000 people in two teams are two judgements: who-can takes no longer than the people take to list."""
    account = baseline.accounts[0]
    pattern = next(u for u in account.users if u.name == "maria")
    crowd = tuple(_in(pattern, i) for i in range(5000))
    big = replace(baseline, accounts=(replace(account, users=(*account.users, *crowd)),))
    start = time.process_time()
    (can,) = who_can(big, Question("", "s3:GetObject"))
    assert len(can.names) > 5000
    assert time.process_time() - start < 5


def _in(pattern: User, number: int) -> User:
    group = ("web", "operations")[number % 2]
    return replace(pattern, name=f"person-{number}", groups=(group,), memberships=(None,), tags=())


def test_json_says_what_the_text_says() -> None:
    """The decision, the chain with its lines, and what is missing."""
    text, code = asked("explain maria s3:GetObject --format json", FOLDER)
    found = json.loads(text)
    (way,) = found["chain"][:1]
    assert (code, found["decision"], found["who"], way["duties"][0]["duty"]) == (0, "allowed", "maria", "use-storage")
    assert way["member"].startswith("config/acme.yaml:")
    denied = json.loads(asked("explain server s3:PutObject --format json", FOLDER)[0])
    assert denied["decision"] == "denied"
    assert denied["nearest"][0]["duty"] == "use-storage"
    (can,) = json.loads(asked("who-can s3:GetObject --format json", FOLDER)[0])
    assert "maria" in can["who"]
    listed = json.loads(asked("list-access server --format json", FOLDER)[0])
    assert "GetObject" in listed["services"][0]["levels"]["read"]


def test_bad_configurations_and_odd_names(tmp_path: Path) -> None:
    """Its diagnostics and 1; a name with control characters is made visible."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.yaml").write_text("version: 1\n", encoding="utf-8")
    text, code = asked("explain maria s3:GetObject", tmp_path)
    assert code == 1
    assert "error[missing-key]" in text
    text, code = asked("explain $'\\x1b[31mx' s3:GetObject", FOLDER)
    assert code == 2
    assert "\x1b" not in text


def test_a_message_from_stdin() -> None:
    """`-` reads what AWS said from stdin, broken into lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FOLDER)
        said = (
            "User: arn:aws:sts::123456789012:assumed-role/server/i-0123\nis not authorized to perform: s3:GetObject\n"
        )
        result = CliRunner().invoke(cli, ["explain", "-"], input=said)
        garbled = CliRunner().invoke(cli, ["explain", "-"], input=b"\xff\xfe")
    assert garbled.exit_code == 2
    assert (result.exit_code, result.output.splitlines()[0]) == (
        0,
        "allowed: server can do s3:GetObject on the resources below",
    )


SEVERAL = (
    BASE
    + """
duties:
  own:
    summary: Start servers
    grants:
      - {actions: [ec2:RunInstances], resources: {image: "*"}}
      - {actions: [ec2:RunInstances], resources: {instance: "*"}}
    expect:
      - {allow: "ec2:RunInstances on arn:aws:ec2:eu-west-1:111122223333:instance/i"}
      - {deny: "s3:DeleteBucket"}
teams: {dev: {purpose: x, members: [amy], duties: [own]}}
"""
)


def test_what_several_statements_allow_together() -> None:
    """A new server takes an image and an instance, each of which another statement allows."""
    baseline = compile_text(SEVERAL).value
    assert baseline is not None
    (can,) = who_can(baseline, Question("", "ec2:RunInstances"))
    through_duties = [r for r in can.reaches if r.way.kind == "team"]
    assert [r.names for r in through_duties] == [("amy",), ("amy",)]
    told = explain(baseline, Question("amy", "ec2:RunInstances"))
    assert told.outcome == "allowed"
    assert {way.statement for way in told.chain} == {r.way.statement for r in through_duties}
