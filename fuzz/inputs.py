"""Broken input: configurations, policies, lines of a batch, templates, questions, revisions.

An answer is a result, or errors that can be shown; neither a traceback, nor silence, nor more than two seconds.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.simulate import policies
from dutybound import answers, template
from dutybound.baseline import Baseline
from dutybound.batch import Batch
from dutybound.carry import NotCarried, carried
from dutybound.case import Question, WrongQuestion
from dutybound.changes import Broken, review, review_templates
from dutybound.compiler import compile_reading, compile_text
from dutybound.diagnostic import Checked, Diagnostic, as_github, as_sarif, render_all
from dutybound.diagnostic import as_json as diagnostics_as_json
from dutybound.evaluate import in_account
from dutybound.explain import explain, list_access, who_can
from dutybound.grant import duty_access, example_use
from dutybound.policy import Policy
from dutybound.read import library, library_duty, read
from dutybound.report import diff
from dutybound.source import loads
from fuzz.engine import Subject, check
from fuzz.mutations import EDGES, ROOT, Twister, as_json, as_yaml, mutated, seeds, trees

TODAY = date(2026, 11, 24)
ACCOUNT = "111122223333"
_TWISTS = (1, 1, 1, 2, 3, 6)
"""One twist is often enough to be wrong, and leaves more of the input to be compiled."""


# --- configurations -------------------------------------------------------------------------------------------------


@cache
def _configurations() -> Twister:
    return Twister(trees())


def broken_configuration(dice: random.Random) -> str:
    """A configuration broken as text, twisted as a tree, or both."""
    if dice.random() < 0.4:
        return mutated(dice.choice(seeds()), dice, dice.randint(1, 8))
    text = as_yaml(_configurations().twisted(dice, dice.choice(_TWISTS)), dice)
    if text is None:
        return mutated(dice.choice(seeds()), dice, dice.randint(1, 8))
    return mutated(text, dice, dice.randint(1, 3)) if dice.random() < 0.2 else text


def compiles(text: str) -> bool:
    """Compile for each environment that the text names; True if there is a baseline."""
    checked = compile_text(text, today=TODAY)
    for diagnostic in checked.diagnostics:
        if diagnostic.name == "no-environment":
            for environment in diagnostic.message.rpartition(": ")[2].split(", "):
                checked = compile_text(text, environment=environment, today=TODAY)
                shown(checked)
            return checked.value is not None
    shown(checked)
    return checked.value is not None


def shown(checked: Checked[Any]) -> None:
    """See that there is a value or an error, never both, and that every form of output can show them."""
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    check(not (checked.value is not None and errors), "a value together with errors")
    check(not (checked.value is None and not errors), "neither a value nor an error")
    for diagnostic in checked.diagnostics:
        _speaks(diagnostic)
    check("Traceback" not in render_all(checked.diagnostics), "a traceback as a message")
    json.loads(diagnostics_as_json(checked.diagnostics))
    as_sarif(checked.diagnostics, "0", "config").encode()
    as_github(checked.diagnostics).encode()


def _speaks(diagnostic: Diagnostic) -> None:
    name, span = diagnostic.name, diagnostic.span
    check(bool(diagnostic.message), f"{name}: no message")
    for part in (diagnostic.message, diagnostic.hint, *diagnostic.notes):
        check(part.isprintable(), f"{name}: a text that cannot be printed")
        check(len(part) < 2000, f"{name}: a text without end")
    if span is not None:
        check(1 <= span.line <= len(span.source.lines), f"{name}: a line that is not there")
        check(1 <= span.column <= len(span.source.lines[span.line - 1]) + 1, f"{name}: a column that is not there")


# --- policies -------------------------------------------------------------------------------------------------------


@cache
def _policies() -> Twister:
    """The policies of the library's duties, and some of no sense."""
    known: list[Any] = []
    for name in library():
        duty = library_duty(name)
        statements = duty_access(example_use(name, duty), duty, []).statements
        if statements:
            known.append(in_account(Policy(statements), ACCOUNT).document())
    dice = random.Random(1)  # noqa: S311
    known += [document for _ in range(10) for document in policies(dice, 1500)["identity"]]
    return Twister([json.loads(json.dumps(document)) for document in known])


def broken_policy(dice: random.Random) -> str:
    """A policy document, twisted, and sometimes broken as text."""
    return _broken_json(_policies(), dice)


def _broken_json(twister: Twister, dice: random.Random) -> str:
    text = None
    while text is None:
        text = as_json(twister.twisted(dice, dice.randint(0, 4)))
    return mutated(text, dice, dice.randint(1, 3)) if dice.random() < 0.2 else text


def carries(text: str) -> bool:
    """Turn a policy into a duty as the command does; True if there is one, which then must be YAML."""
    try:
        made = carried(json.loads(text), "carried-over", "a policy")
    except (RecursionError, json.JSONDecodeError, NotCarried) as error:
        check("please report" not in str(error), f"a duty of another meaning: {error}")
        check(str(error).isprintable(), "a text that cannot be printed")
        return False
    for said in (*made.notes, *made.doubts):
        check(said.isprintable(), "a text that cannot be printed")
    check(not loads(made.yaml, "duty.yaml").failed, "a duty that is no YAML")
    return True


# --- lines ----------------------------------------------------------------------------------------------------------


@cache
def _lines() -> Twister:
    dice = random.Random(2)  # noqa: S311
    known = []
    for _ in range(30):
        policy = policies(dice, dice.choice([300, 1500]))
        statement = dict(policy["identity"][0]["Statement"][0])
        statement["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        if dice.random() < 0.5:
            policy["resource_policy"] = {"Version": "2012-10-17", "Statement": statement}
        if dice.random() < 0.5:
            policy["session"] = policy["boundary"]
        asked = {"action": "s3:GetObject", "resource": "arn:aws:s3:::a/b", "context": {"aws:username": "tom"}}
        known.append({**policy, "principal": f"arn:aws:iam::{ACCOUNT}:user/people/tom", **asked})
    return Twister(known)


def broken_line(dice: random.Random) -> str:
    """A line of a batch, twisted, and sometimes broken as text."""
    return _broken_json(_lines(), dice).replace("\n", " ")


_BATCH = Batch()


def judges(text: str) -> bool:
    """Judge a line twice, and in a batch that knows many others: one answer, in JSON, every time."""
    line = text.encode("utf-8", "surrogatepass")
    (first, good), (second, _) = Batch().answers([line, line])
    ((among, _),) = _BATCH.answers([line])
    check(isinstance(json.loads(first), dict), "an answer that is no object")
    check("\n" not in first, "an answer of several lines")
    numbered = [_unnumbered(answer) for answer in (first, second, among)]
    check(numbered[0] == numbered[1], "another answer the second time")
    check(numbered[0] == numbered[2], "another answer among other lines")
    return good


def _unnumbered(answer: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(answer).items() if key != "line"}


# --- templates ------------------------------------------------------------------------------------------------------


@cache
def _templates() -> Twister:
    """Templates of ours, and those that the tests tell apart."""
    cases = ROOT / "tests" / "cases"
    known = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((cases / "templates").glob("*.json"))]
    for pair in yaml.safe_load((cases / "template-changes.yaml").read_text(encoding="utf-8")):
        for side in ("old", "new"):
            body = {**pair.get("resources", {}), **pair.get(side, {})}
            known.append({"Parameters": pair.get("parameters", {}), "Resources": body})
    return Twister([one for one in known if len(json.dumps(one)) < 40_000])


def broken_template(dice: random.Random) -> str:
    """A template, twisted, and sometimes broken as text."""
    return _broken_json(_templates(), dice)


def reads_template(text: str) -> bool:
    """Read a template from its file; compared with itself it changes nothing."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, "stack.json")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        made = template.read(path)
    for checked in made.values():
        shown(checked)
    found = review_templates(made, made)
    if isinstance(found, Broken):
        return False
    check(not found.access and not found.trusts, "a template differs from itself", found)
    return True


# --- revisions ------------------------------------------------------------------------------------------------------


@cache
def _base() -> tuple[Any, ...]:
    """Configurations that compile, small enough to be compared often."""
    return tuple(tree for tree in trees() if isinstance(tree.get("teams"), dict) and len(tree["teams"]) < 6)


def broken_revision(dice: random.Random) -> str:
    """Two configurations, as JSON: one, and the same twisted."""
    tree = dice.choice(_base())
    old = as_yaml(tree, dice) or ""
    new = as_yaml(Twister([tree]).twisted(dice, dice.choice(_TWISTS)), dice) or ""
    return json.dumps([old, mutated(new, dice, 1) if new and dice.random() < 0.2 else new])


def reviews(text: str) -> bool:
    """Compare two revisions and print what changed, in each form; True if both compile."""
    try:
        old, new = json.loads(text)
    except ValueError:
        return False
    sides = [compile_everywhere_text(old), compile_everywhere_text(new)]
    found = review(*sides)
    if isinstance(found, Broken):
        check(bool(found.base or found.head), "a broken revision without a reason")
        return False
    for made in (diff.text, diff.markdown):
        check(bool(made(found, diff.Sides("old", "new"))), "a review that says nothing")
    if old == new:
        check(not found.access, "a revision differs from itself", found.access)
    return True


def compile_everywhere_text(text: object) -> dict[str | None, Checked[Baseline]]:
    """Compile a text for each of its destinations."""
    loaded = loads(str(text), "config.yaml")
    if loaded.failed or loaded.value is None:
        return {None: Checked(None, loaded.diagnostics)}
    return compile_reading(read(loaded.value), TODAY)


# --- questions ------------------------------------------------------------------------------------------------------


@cache
def example() -> Baseline:
    """The baseline of the repository's own configuration."""
    text = "".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "config").glob("*.yaml")))
    checked = compile_text(text, today=TODAY)
    if checked.value is None:
        raise ValueError(render_all(checked.diagnostics))
    return checked.value


_QUESTIONS: tuple[dict[str, Any], ...] = (
    {"who": "maria", "action": "s3:PutObject", "resource": "arn:aws:s3:::acme-dev-data/x", "session": "mfa"},
    {"who": "team:developers", "action": "ec2:RunInstances", "resource": "", "session": "no-mfa"},
    {"who": "role:web-server", "action": "s3:Get*", "resource": "arn:aws:s3:::acme-assets/*", "session": "role"},
    {"who": "break-glass-1", "action": "iam:CreateUser", "resource": "arn:aws:iam::111122223333:user/x"},
    {"who": "arn:aws:iam::111122223333:user/people/john", "action": "sts:AssumeRole", "day": "2026-11-24"},
    {"who": "ada", "action": "kms:Decrypt", "account": "111122223333", "given": [["aws:SourceIp", ["203.0.113.7"]]]},
)


def broken_question(dice: random.Random) -> str:
    """A question about access, with its parts broken."""
    asked = dict(dice.choice(_QUESTIONS))
    for _ in range(dice.randrange(3)):
        key = dice.choice([*asked, "given"])
        if key == "given":
            asked[key] = [[str(dice.choice(EDGES)), [str(dice.choice(EDGES))]]]
        elif key != "session":
            other = dice.choice(_QUESTIONS).get(key, "")
            asked[key] = mutated(str(asked.get(key) or other), dice, 1) if dice.random() < 0.7 else str(other)
    return json.dumps(asked)


def replies(text: str) -> bool:
    """Ask why, who and what; True if there was an answer to each, in both forms."""
    try:
        asked = json.loads(text)
        given = tuple((str(k), tuple(map(str, v))) for k, v in asked.pop("given", ()))
        question = Question(**asked, given=given)
    except (ValueError, TypeError, AttributeError):
        return False
    try:
        why = explain(example(), question)
        spoken = [answers.explanation_text(why), answers.explanation_json(why)]
        who = who_can(example(), question) if "*" not in question.action else ()
        spoken += [answers.who_can_text(who), answers.who_can_json(who)]
        what = list_access(example(), question)
        spoken += [answers.access_text(what), answers.access_json(what)]
    except WrongQuestion as error:
        check(str(error).isprintable(), "a text that cannot be printed")
        return False
    for text_, form in zip(spoken[::2], spoken[1::2], strict=True):
        check(all(c.isprintable() or c == "\n" for c in text_), "an answer that cannot be printed", text_)
        json.loads(form)
    return True


SUBJECTS: Mapping[str, Subject] = {
    "yaml": Subject(broken_configuration, compiles, "yaml", share=24, whole_lines=True),
    "policy": Subject(broken_policy, carries, "json", share=6),
    "batch": Subject(broken_line, judges, "json", share=6),
    "template": Subject(broken_template, reads_template, "json", share=6, seconds=20),
    "revision": Subject(broken_revision, reviews, "json", share=6, seconds=20),
    "question": Subject(broken_question, replies, "json", share=4, seconds=10),
}
