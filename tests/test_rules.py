"""The rules over a whole configuration: each fires and keeps silent as its cases say, and can be waived."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound import compiler, rules
from dutybound.asked import Scope
from dutybound.config import FINDINGS
from dutybound.diagnostic import Diagnostic, render_all
from dutybound.grant import example_use
from dutybound.read import library, library_duty
from dutybound.rules import RULES
from tests.conftest import CASES, ROOT
from tests.test_bad_input import BASE, UNSAID

TODAY = date(2026, 12, 1)
RULE_CASES: dict[str, Any] = yaml.safe_load((CASES / "rules.yaml").read_text(encoding="utf-8"))
FIRES = [(rule, what, case) for rule, cases in RULE_CASES.items() for what, case in cases["fires"].items()]
SILENT = [(rule, what, text) for rule, cases in RULE_CASES.items() for what, text in cases["silent"].items()]


def found_in(text: str, folder: Path) -> list[Diagnostic]:
    """What `check` finds in a configuration below a valid beginning, in all its environments."""
    file = folder / "config.yaml"
    file.write_text(BASE + text, encoding="utf-8")
    made = compiler.compile_everywhere(file, TODAY)
    return list(dict.fromkeys(d for one in made.values() for d in one.diagnostics))


def test_each_finding_has_cases() -> None:
    """Every name that a waiver may have fires somewhere and is silent somewhere; every rule is such a name."""
    assert set(RULE_CASES) == set(FINDINGS)
    assert {rule.name for rule in RULES} < set(FINDINGS)
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert list(FINDINGS) == sorted(FINDINGS)


@pytest.mark.parametrize(("rule", "what", "case"), FIRES, ids=[f"{rule}: {what}" for rule, what, _ in FIRES])
def test_fires_and_is_waived(rule: str, what: str, case: dict[str, str], tmp_path: Path) -> None:
    """Only this is found; a waiver for whom it concerns accepts it; after its end it is back; the report has it all."""
    found = found_in(case["yaml"], tmp_path)
    assert {d.name for d in found} - UNSAID | {d.name for d in found if d.name == rule} == {rule}, render_all(found)
    hits = [d for d in found if d.name == rule]
    severities = {r.name: r.severity for r in RULES}
    assert {d.severity for d in hits} == {severities.get(rule, "error")}
    assert all(f"finding: {rule}, for: {case['for']}, reason" in note for d in hits for note in d.notes)

    waiver = f'waivers: [{{finding: {rule}, for: "{case["for"]}", reason: A test, until: 2026-12-01}}]\n'
    left = found_in(case["yaml"] + waiver, tmp_path)
    assert {d.name for d in left} <= UNSAID - {rule}, render_all(left)
    reported = [s for listed in compiler.findings(tmp_path / "config.yaml", None, TODAY).values() for s in listed]
    accepted = {(s.held.finding.name, s.waiver.reason, s.waiver.until) for s in reported if s.waiver is not None}
    assert accepted == {(rule, "A test", "2026-12-01")}
    assert {s.held.finding.name for s in reported if s.waiver is None} <= UNSAID

    ended = found_in(case["yaml"] + waiver.replace("2026-12-01", "2026-11-30"), tmp_path)
    assert {d.name for d in ended} - (UNSAID - {rule}) == {rule, "expired-waiver"}


@pytest.mark.parametrize(("rule", "what", "text"), SILENT, ids=[f"{rule}: {what}" for rule, what, _ in SILENT])
def test_silent(rule: str, what: str, text: str, tmp_path: Path) -> None:
    """A near miss gives no finding at all."""
    found = found_in(text, tmp_path)
    assert {d.name for d in found} <= UNSAID - {rule}, render_all(found)


MANY = """
mfa: {own_access_keys: true}
people: {maria: {}, john: {}, tom: {}}
teams:
  developers: {purpose: Build, members: [maria, john], duties: [use-storage: {buckets: "*"}]}
  idle: {purpose: Wait, duties: [read-secrets: {secrets: "*"}]}
roles:
  partner: {purpose: Audit, trusts: {account: "999988887777"}, session: 12h}
"""
ALL = (
    ("wide-parameter", "team developers"),
    ("wide-parameter", "team idle"),
    ("wide-trust", "role partner"),
    ("empty-team", "team idle"),
    ("lone-break-glass-user", "break-glass"),
    ("long-lived-keys", "organization"),
    ("long-session", "role partner"),
    ("person-without-team", "person tom"),
)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(ALL), unique=True), st.randoms(use_true_random=False))
def test_a_waiver_accepts_its_own_finding_alone(accepted: list[tuple[str, str]], chance: Any) -> None:
    """Whatever is accepted, in whatever order, the rest is found as before."""
    chance.shuffle(accepted)
    rows = ", ".join(f"{{finding: {name}, for: {who}, reason: A test, until: 2030-01-01}}" for name, who in accepted)
    checked = compiler.compile_text(BASE + MANY + (f"waivers: [{rows}]\n" if rows else ""), today=TODAY)
    left = sorted(
        (d.name, found[1])
        for d in checked.diagnostics
        for note in d.notes
        if (found := re.search(r"for: (.*?), reason", note))
    )
    assert left == sorted(set(ALL) - set(accepted))
    assert checked.failed == any(d.severity == "error" for d in checked.diagnostics)


def test_built_in_duties_only_look_where_they_say_so() -> None:
    """The rule for names holds for the library too."""
    looking = [name for name in library() if name.startswith(("view-", "audit-"))]
    assert len(looking) > 25
    for name in looking:
        duty = library_duty(name)
        assert rules._grave(rules._allows(example_use(name, duty), duty, duty.grants, Scope())) == [], name


IMPOSSIBLE = {
    "a break-glass user without anybody told": (
        "organization: {name: acme, owner: x}\nbreak_glass: {users: [emergency], alert: []}\n",
        "empty-list",
    ),
    "a subject of wildcards": (
        "roles: {a: {purpose: x, trusts: {oidc: {issuer: 'https://id.acme.example', audience: a, subject: '*'}}}}\n",
        "invalid-value",
    ),
    "a stranger's repository": (
        "roles: {a: {purpose: x, trusts: {oidc: {issuer: 'https://token.actions.githubusercontent.com', "
        "audience: sts.amazonaws.com, subject: 'repo:acme*'}}}}\n",
        "open-trust",
    ),
    "people without MFA": ("mfa: {enforce_via: nothing}\n", "invalid-value"),
    "writing on everything without a reason": (
        "duties: {a: {summary: x, grants: [{actions: [s3:PutObject]}], expect: "
        "[{allow: 's3:PutObject on arn:aws:s3:::a/b'}, {deny: iam:CreateUser}]}}\n",
        "wide-grant",
    ),
    "passing every role": (
        "duties: {a: {summary: x, grants: [{pass: ['role/*'], to: ec2}], expect: "
        "[{allow: 'iam:PassRole on arn:aws:iam::111122223333:role/a'}, {deny: iam:CreateUser}]}}\n",
        "wide-pass",
    ),
    "an access key": ("people: {maria: {access_key: true}}\n", "unknown-key"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_the_language_cannot_say(what: str, tmp_path: Path) -> None:
    """No rule is needed for what is refused."""
    text, error = IMPOSSIBLE[what]
    whole = f"version: 1\n{text}" if "break_glass" in text else BASE + text
    (tmp_path / "config.yaml").write_text(whole, encoding="utf-8")
    (one,) = compiler.compile_everywhere(tmp_path, TODAY).values()
    assert one.failed
    assert error in {d.name for d in one.diagnostics}, render_all(one.diagnostics)


def test_the_table_in_the_docs() -> None:
    """docs/language.md lists every finding with how grave it is."""
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[`([a-z-]+)`\]\(diagnostics/\1\.md\) \| (error|warning) \|", text, re.MULTILINE))
    severities = dict.fromkeys(FINDINGS, "error") | {rule.name: rule.severity for rule in RULES}
    assert rows == severities
