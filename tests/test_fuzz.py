"""Whatever is in the file: diagnostics or a baseline, never an exception, never silence."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound.baseline import Account, ManagedPolicy
from dutybound.compiler import compile_text
from dutybound.diagnostic import render_all
from dutybound.policy import Policy, Statement
from fuzz import invariants
from fuzz.__main__ import SUBJECTS, amounts, main
from fuzz.engine import Amount, Complaint, Subject, Wrong, complaint, input_number, run
from fuzz.mutations import BITS, Twister, as_yaml, mutated, seeds, slots


def judged(text: str) -> None:
    """Compile, and see that there is a baseline or an error that can be shown."""
    checked = compile_text(text)
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    assert (checked.value is None) == bool(errors), text
    assert "Traceback" not in render_all(checked.diagnostics)
    for diagnostic in checked.diagnostics:
        assert diagnostic.message
        assert "\n" not in diagnostic.message
        assert diagnostic.message.isprintable()
        assert diagnostic.hint.isprintable()


@settings(max_examples=150)
@given(st.sampled_from(seeds()), st.integers(0, 2**32), st.integers(1, 8))
def test_mutated_configurations(seed: str, chance: int, times: int) -> None:
    """Real configurations, broken at random."""
    judged(mutated(seed, random.Random(chance), times))  # noqa: S311


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(BITS))
KEYS = (
    *("teams", "roles", "duties", "members", "purpose", "trusts", "service", "account", "grants", "resources"),
    *("actions", "expect", "allow", "deny", "users", "alert", "name", "owner", "parameters", "example", "never"),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(["version", "organization", "teams", "roles", "duties", "break_glass", "mfa", "x"]), TREES
    )
)
def test_any_tree(tree: dict[str, object]) -> None:
    """Any values under our keys."""
    judged(yaml.safe_dump(tree, allow_unicode=False))


def test_long_paths_and_odd_files(tmp_path: Path) -> None:
    """What the file system makes of a path is a diagnostic too."""
    from dutybound.compiler import compile_path

    for path in (Path("a" * 300), tmp_path / "x\x00y", tmp_path / ("d/" * 2000)):
        assert compile_path(path).value is None
        assert compile_path(path).diagnostics


# --- the run ---------------------------------------------------------------------------------------------------------


COUNTS = {
    "organization": 2,
    "determinism": 1,
    "comparison": 1,
    "properties": 1,
    "question": 2,
    "revision": 5,
    "template": 20,
}
"""Inputs of what takes its time. The CDK has tests of its own."""


@pytest.mark.parametrize("name", [name for name, subject in SUBJECTS.items() if subject.share and name != "synthesis"])
def test_the_fuzz_finds_nothing(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A few inputs of every subject, in this process."""
    count = str(COUNTS.get(name, 40))
    arguments = ["--only", name, "--count", count, "--minutes", "5", "--jobs", "1", "--out", str(tmp_path / "found")]
    assert main(arguments) == 0, capsys.readouterr().out
    assert f"{name}: {count} inputs" in capsys.readouterr().out
    assert not (tmp_path / "found").exists()


def test_inputs_are_known_by_number() -> None:
    """Seed and number say what an input is."""
    for name, subject in SUBJECTS.items():
        assert input_number(name, subject, 7, 3) == input_number(name, subject, 7, 3)
        assert input_number(name, subject, 7, 3) != input_number(name, subject, 8, 3)


def test_time_is_shared_out() -> None:
    """Each subject has its part of the minutes; a count alone takes as long as it takes."""
    found = amounts(None, 2, None)
    assert sum(a.seconds or 0 for a in found.values()) == pytest.approx(120)
    assert {name for name, s in SUBJECTS.items() if s.share} == set(found)
    assert amounts("yaml", None, 7) == {"yaml": Amount(7, None)}
    assert amounts("quotas", 1, None) == {"quotas": Amount(None, 60)}
    before = time.monotonic()
    assert run("yaml", SUBJECTS["event"], 1, range(10**6), 0.2).inputs > 0
    assert time.monotonic() - before < 10


def _sleeps(_text: str) -> bool:
    time.sleep(3)
    return True


def _crashes(text: str) -> bool:
    if "bad" in text:
        raise ZeroDivisionError(text)
    return True


def test_the_fuzz_finds_what_is_planted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A crash ends with exit code 1 and is written once, made small."""
    subject = Subject(lambda dice: f"good\nbad {dice.random()}\nmore\n", _crashes, "yaml", whole_lines=True)
    monkeypatch.setitem(SUBJECTS, "yaml", subject)
    assert main(["--only", "yaml", "--count", "3", "--jobs", "1", "--out", str(tmp_path)]) == 1
    assert "1 kinds of findings" in capsys.readouterr().out
    (found,) = tmp_path.glob("*.yaml")
    assert found.read_text(encoding="utf-8").startswith("bad ")
    assert found.read_text(encoding="utf-8").count("\n") == 1
    assert "ZeroDivisionError" in found.with_suffix(".txt").read_text(encoding="utf-8")


def test_a_hang_is_found() -> None:
    """Whatever does not answer is interrupted."""
    before = time.monotonic()
    found = complaint(Subject(lambda _: "", _sleeps, "yaml"), "")
    assert isinstance(found, Complaint)
    assert found.kind == "Hang"
    assert time.monotonic() - before < 3


def test_twists_leave_the_known_trees_alone() -> None:
    """A tree is twisted in a copy, whatever stands in it."""
    known = [{"teams": {"a": {"members": ["x", "y"], "purpose": "z"}}, "version": 1}]
    before = str(known)
    twister = Twister(known)
    dice = Random(5)  # noqa: S311
    made = {as_yaml(twister.twisted(dice, 3), dice) for _ in range(60)}
    assert str(known) == before
    assert len(made) > 40
    endless: dict[str, object] = {}
    endless["a"] = endless
    assert len(list(slots(endless))) == 1


# --- the invariants find what is planted ----------------------------------------------------------------------------

PLAIN = """\
version: 1
organization: {name: acme, owner: security@acme.example}
break_glass: {users: [break-glass-1, break-glass-2], alert: [security@acme.example]}
teams:
  web: {purpose: Build, members: [ana, tom], duties: [use-storage: {buckets: [acme-dev-*]}], never: [use-tables]}
  ops: {purpose: Run, members: [ana, kim], duties: [use-tables: {tables: [acme-*]}]}
"""


def planted(change: Callable[[Account], Account]) -> invariants.Compiled:
    """A plain organisation with something wrong in its account."""
    org = invariants.compiled(PLAIN)
    assert org is not None
    made = tuple((d, replace(b, accounts=tuple(map(change, b.accounts)))) for d, b in org.made)
    return replace(org, made=made)


def with_statement(*statements: Statement, less: str = "") -> Callable[[Account], Account]:
    """Puts statements into all policies of duties, and takes those out whose Sid starts with `less`."""

    def changed(policy: ManagedPolicy) -> ManagedPolicy:
        kept = tuple(s for s in policy.policy.statements if not (less and s.sid.startswith(less)))
        more = statements if policy.path == "/duties/" else ()
        return replace(policy, policy=Policy((*kept, *more)))

    return lambda account: replace(account, policies=tuple(map(changed, account.policies)))


PLANTED = {
    "permissions": [
        (with_statement(Statement("X", "Allow", ("iam:CreateUser",), ("*",))), "nobody asked for"),
        (with_statement(less="UseTables"), "missing"),
    ],
    "never": [(with_statement(less="NeverUseTables"), "never is not denied")],
    "mfa": [(with_statement(less="Deny"), "more than enrolment without MFA")],
    "quotas": [
        (with_statement(Statement("X", "Allow", ("s3:" + "x" * 6200,), ("*",))), "too large"),
        (with_statement(Statement("X", "Deny", ("s3:A",)), Statement("X", "Deny", ("s3:B",))), "stands twice"),
        (lambda account: replace(account, policies=()), "not there"),
    ],
    "escalation": [
        (with_statement(Statement("X", "Allow", ("iam:AttachUserPolicy",), ("*",))), "step to administrator"),
        (with_statement(Statement("X", "Allow", ("iam:CreatePolicyVersion",), ("*",))), "step to administrator"),
    ],
}


@pytest.mark.parametrize("name", invariants.ALL)
def test_an_invariant_finds_what_is_planted(name: str) -> None:
    """It holds of the organisation as it is, and not of any with a mistake in it."""
    invariants.ALL[name](planted(lambda account: account))
    for change, says in PLANTED[name]:
        with pytest.raises(Wrong, match=says):
            invariants.ALL[name](planted(change))


def test_another_answer_in_another_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process says is held against this one's."""

    class Liar:
        environment = "another"

        def dump(self, _text: str) -> str:
            return "other bytes"

    monkeypatch.setattr(invariants, "_WORKERS", [Liar()])
    with pytest.raises(Wrong, match="another process"):
        invariants.determinism(planted(lambda account: account))


def test_a_silent_comparison_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gain that nobody tells of is found by asking."""
    edited = PLAIN.replace("duties: [use-tables: {tables: [acme-*]}]", "duties: [view-metrics]")
    both = f"{PLAIN}{invariants._BETWEEN}{edited}"
    assert invariants.comparison(both)
    monkeypatch.setattr(invariants, "compare_baselines", lambda _old, _new: ())
    with pytest.raises(Wrong, match="a loss that is not told"):
        invariants.comparison(both)


def test_most_organizations_compile() -> None:
    """What is random is a configuration, and not only errors."""
    texts = [invariants.made(Random(number)) for number in range(12)]  # noqa: S311
    assert len(set(texts)) == len(texts)
    assert sum(invariants.compiled(text) is not None for text in texts) >= 9
