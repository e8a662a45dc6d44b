"""`dutybound simulate`: the documented examples, bad input, and that reading quickly reads the same."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dutybound.batch import Batch, Kept, lines_of
from dutybound.simulate import POLICY_FIELDS
from tests.conftest import ROOT
from tests.test_cli import COMMAND, run

PAGE = (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8")
ALLOW: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
LINE: dict[str, Any] = {"identity": [ALLOW], "action": "s3:GetObject", "resource": "arn:aws:s3:::a/x"}
CONSOLE = [
    tuple(example)
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for example in re.findall(r"\$ dutybound (.*)\n((?:[^$].*\n)*)", block)
]


def answers(*lines: str | bytes) -> list[dict[str, Any]]:
    """The answers to lines of one batch."""
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    return [json.loads(text) for text, _ in Batch().answers(raw)]


@pytest.mark.parametrize(("command", "output"), CONSOLE)
def test_the_page_shows_what_happens(command: str, output: str, tmp_path: Path) -> None:
    """Every command of docs/simulate.md, with the files that the page shows."""
    for name, text in re.findall(r"`([\w.-]+)`:\n\n```json\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = run(*command.split(), cwd=tmp_path)
    assert (found.stdout, found.stderr) == (output, "")
    assert found.returncode == (0 if output.startswith("allowed") else 1)


def test_the_page_has_examples() -> None:
    assert len(CONSOLE) == 4


def test_a_batch_from_stdin() -> None:
    """The answers come in order, and a good batch exits with 0."""
    lines = [json.dumps({**LINE, "action": action}) for action in ("s3:GetObject", "ec2:RunInstances", "s3:PutObject")]
    found = subprocess.run(
        [*COMMAND, "simulate", "--batch"], input="\n".join(lines), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["decision"] for line in found.stdout.splitlines()] == ["allowed", "denied", "allowed"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param('{"identity": ' + "[" * 100_000, "nested too deeply", id="deep"),
        ("", "a line must be a JSON object"),
        ("[]", "a line must be a JSON object"),
        ("{", "column 2"),
        ('{"action": "s3:GetObject" "resource": "*"}', "column 27"),
        ('{"action": "s3:GetObject", "resource": "*"} x', "more after the object"),
        ('{"action": "s3:GetObject", "resource": "*",}', "column"),
        (b'{"action": "\xff"}', "not UTF-8"),
        ('{"action": "s3:GetObject"}', "resource"),
        ('{"resource": "*"}', "action"),
        ('{"action": "s3:*", "resource": "*"}', "action"),
        ('{"action": "GetObject", "resource": "*"}', "action"),
        ('{"action": "s3:GetObject", "resource": ["*"]}', "resource"),
        ('{"action": "s3:GetObject", "resource": "*", "principal": 1}', "principal"),
        ('{"action": "s3:GetObject", "resource": "*", "context": []}', "context"),
        ('{"action": "s3:GetObject", "resource": "*", "context": {"a": null}}', "context"),
        ('{"action": "s3:GetObject", "resource": "*", "context": {"a": {}}}', "context"),
        ('{"action": "s3:GetObject", "resource": "*", "context": {"a": "1", "A": "2"}}', "twice"),
        ('{"action": "s3:GetObject", "resource": "*", "context": {"a": "1", "a": "2"}}', "twice"),
        ('{"action": "s3:GetObject", "resource": "*", "context": {"a": NaN}}', "NaN"),
        ('{"action": "s3:GetObject", "resource": "*", "action": "s3:PutObject"}', "'action' stands twice"),
        ('{"action": "s3:GetObject", "resource": "*", "identity": [], "identity": []}', "'identity' stands twice"),
        ('{"action": "s3:GetObject", "resource": "*", "identify": []}', "did you mean 'identity'?"),
        ('{"action": "s3:GetObject", "resource": "*", "scps": [{}]}', "scps[0] must be a list"),
        ('{"action": "s3:GetObject", "resource": "*", "identity": [{"Statement": [1]}]}', "identity[0]"),
        (
            '{"identity": [{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}}], '
            '"action": "s3:GetObject", "resource": "*"}',
            "'Effect' stands twice",
        ),
        ('{"action": "s3:GetObject", "resource": "*", "principal": "tom"}', "principal 'tom'"),
    ],
)
def test_bad_lines(line: str | bytes, why: str) -> None:
    """Each gets an error with its number; the lines around it are judged."""
    good = json.dumps(LINE)
    before, bad, after = answers(good, line, good)
    assert before["decision"] == after["decision"] == "allowed"
    assert bad["line"] == 2
    assert why in bad["error"]


def test_lines_of_what_is_no_file() -> None:
    assert list(lines_of(io.BytesIO(b"a\nb"))) == [b"a\n", b"b"]


def test_a_bad_line_makes_the_batch_exit_with_1(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(f"{json.dumps(LINE)}\nno\n", encoding="utf-8")
    found = run("simulate", "--batch", "lines", cwd=tmp_path)
    assert (found.returncode, found.stderr, found.stdout.count("\n")) == (1, "", 2)


def policy(resource: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "s3:*", "Resource": resource}]}


POLICIES = st.sampled_from([policy("*"), policy("arn:aws:s3:::a/*"), policy("*", "Deny"), policy("arn:aws:s3:::b/*")])
LINES = st.fixed_dictionaries(
    {"action": st.sampled_from(["s3:GetObject", "iam:x"]), "resource": st.sampled_from(["arn:aws:s3:::a/x", "*"])},
    optional={
        "identity": st.lists(POLICIES, max_size=2),
        "groups": st.lists(POLICIES | st.lists(POLICIES, max_size=2), max_size=2),
        "boundary": st.none() | POLICIES,
        "scps": st.none() | st.lists(st.lists(POLICIES, max_size=2), max_size=2),
        "principal": st.sampled_from(["arn:aws:iam::111122223333:user/tom", "*"]),
        "context": st.dictionaries(
            st.sampled_from(["identity", "principal", "x"]), st.just('"principal": "'), max_size=2
        ),
    },
)


def written(line: dict[str, Any], order: list[str], style: int) -> str:
    """The line with its fields in an order, in one of several ways to write JSON."""
    ordered = {key: line[key] for key in sorted(line, key=order.index)}
    return json.dumps(ordered, separators=[(", ", ": "), (",", ":"), (" ,\t", " : ")][style])


ORDERS = st.permutations([*POLICY_FIELDS, "principal", "action", "resource", "context"])


@given(st.lists(LINES, min_size=1, max_size=4), ORDERS, st.integers(0, 2), st.integers(0, 3))
def test_knowing_a_policy_again_changes_no_answer(
    lines: list[dict[str, Any]], order: list[str], style: int, first: int
) -> None:
    """Lines in a batch, in any order of fields, are answered as each would be alone."""
    usual = [*POLICY_FIELDS, "principal", "action", "resource", "context"]
    texts = [written(line, usual if i < first else order, style) for i, line in enumerate(lines * 3)]
    assert answers(*texts) == [answers(text)[0] for text in texts]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "*", "arn:", "${a", "${a,b}", "s3:*"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["AWS", "a", "Bool"]), inner, max_size=2)
    ),
    max_leaves=4,
)
ELEMENTS = ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
STRANGE = st.dictionaries(st.sampled_from(ELEMENTS), JSON_VALUES, max_size=2).map(
    lambda strange: {"Version": "2012-10-17", "Statement": {**ALLOW["Statement"][0], **strange}}
)


@given(
    st.dictionaries(
        st.sampled_from([*POLICY_FIELDS, "principal", "action", "resource", "context", "else"]),
        JSON_VALUES | STRANGE | st.lists(STRANGE, max_size=2) | st.lists(st.lists(STRANGE, max_size=1), max_size=2),
        max_size=3,
    )
)
def test_nothing_that_a_line_can_hold_breaks_the_batch(strange: dict[str, Any]) -> None:
    """Whatever stands where: a decision, or an error with the number of the line."""
    (answer,) = answers(json.dumps({**LINE, **strange}))
    assert set(answer) in ({"decision", "because"}, {"decision", "because", "reason"}, {"line", "error"})


def test_what_is_kept_is_bounded() -> None:
    """The oldest goes when the texts get too long; what is asked for and gone is made again."""
    kept: Kept[int] = Kept(most=100)
    for i in range(50):
        kept.put(f"{i}", i, 40)
    assert [i for i in range(50) if kept.get(f"{i}") is not None] == [48, 49]
    kept.put("49", 7, 100)
    assert kept.get("49") == 7
    assert kept.get("48") is None


def test_wrong_use(tmp_path: Path) -> None:
    """Exit 2 for what cannot be meant, 1 for a policy that AWS would refuse, with its file."""
    assert run("simulate").returncode == 2
    assert run("simulate", "--batch", "--action", "s3:GetObject").returncode == 2
    assert run("simulate", "--batch", "--resource", "arn:aws:s3:::acme").returncode == 2
    assert run("simulate", "--action", "s3:GetObject", "--with", "x").returncode == 2
    (tmp_path / "p.json").write_text('{"Statement": [{"Effect": "Allow"}]}', encoding="utf-8")
    found = run("simulate", "--policy", "p.json", "--action", "s3:GetObject", cwd=tmp_path)
    assert found.returncode == 1
    assert "p.json: identity[0]: Statement[0] has neither Action nor NotAction" in found.stderr
    (tmp_path / "p.json").write_text("{", encoding="utf-8")
    found = run("simulate", "--boundary", "p.json", "--action", "s3:GetObject", cwd=tmp_path)
    assert found.returncode == 1
    assert "p.json: the file is no JSON" in found.stderr


def test_every_kind_of_file(tmp_path: Path) -> None:
    """Policies from files take part as they do in a line."""
    files = {
        "own": ALLOW,
        "group": [policy("arn:aws:s3:::a/*")],
        "scp": [policy("*")],
        "limit": policy("arn:aws:s3:::b/*"),
        "bucket": {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}},
    }
    for name, document in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    asked = ["simulate", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::a/x"]
    asked += ["--principal", "arn:aws:iam::111122223333:user/tom"]

    def out(*options: str) -> str:
        return run(*asked, *options, cwd=tmp_path).stdout

    assert out("--group", "group.json", "--scp", "scp.json", "--scp", "own.json") == (
        "allowed\n  Allow: group.json, statement 1\n  Allow: scp.json, statement 1\n  Allow A: own.json, statement 1\n"
    )
    assert out("--policy", "own.json", "--scp", "own.json", "--scp", "limit.json") == (
        "denied\n  scp level 2 does not allow it\n"
    )
    assert out("--policy", "own.json", "--boundary", "limit.json") == "denied\n  boundary does not allow it\n"
    assert out("--policy", "own.json", "--session", "limit.json") == "denied\n  session does not allow it\n"
    assert out("--resource-policy", "bucket.json", "--boundary", "limit.json").startswith("allowed\n  Allow: bucket")
    unknown = json.loads(out("--policy", "own.json", "--format", "json", "--with", "x=1", "--with", "x=2"))
    assert unknown["decision"] == "allowed"
