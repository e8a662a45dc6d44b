"""Secrets in clear text are found by their shape, and repeated nowhere."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dutybound import diagnostic
from dutybound.cleartext import _SHAPES, cleartext_errors, may_hold_secrets
from dutybound.compiler import compile_text
from dutybound.diagnostic import Source
from dutybound.source import loads
from tests.conftest import ROOT
from tests.test_bad_input import BASE

BASE64 = string.ascii_letters + string.digits + "+/"


def found_in(text: str) -> list[str]:
    """The places of what is found in a text."""
    return [str(d.span) for d in cleartext_errors(Source("x.yaml", tuple(text.split("\n"))), text)]


@given(
    st.one_of(
        st.from_regex(r"(AKIA|ASIA)[A-Z0-9]{16}", fullmatch=True),
        st.from_regex(r"ghp_[A-Za-z0-9]{36}", fullmatch=True),
        st.from_regex(r"glpat-[A-Za-z0-9]{20}", fullmatch=True),
        st.just("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ),
    st.sampled_from(["teams: {a: {purpose: %s, membrs: []}}\n", "x: [%s\n", "# %s\n", "%s: 1\n%s: 2\n"]),
)
def test_nothing_repeats_a_secret(secret: str, around: str) -> None:
    """Not the message, not the line that is shown, in no format, and whatever else is wrong in the file."""
    checked = compile_text(BASE + around.replace("%s", secret))
    assert {d.name for d in checked.diagnostics} == {"cleartext-secret"}
    assert checked.failed
    for shown in (
        diagnostic.render_all(checked.diagnostics),
        diagnostic.as_json(checked.diagnostics),
        diagnostic.as_sarif(checked.diagnostics, "1", "x"),
        diagnostic.as_github(checked.diagnostics),
        repr(checked.diagnostics),
    ):
        assert secret not in shown


@given(st.from_regex(_SHAPES), st.text(), st.text())
def test_the_quick_look_misses_no_shape(shaped: str, before: str, after: str) -> None:
    """Whatever stands around it, and whether or not its line is a secret in the end."""
    text = before + shaped + after
    assert may_hold_secrets(text) or _SHAPES.search(text) is None


def test_a_private_key_on_one_line() -> None:
    """Its body stands behind the words by which it is known, and is covered too."""
    (found,) = compile_text(BASE + 'x: "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBg\\n"\n').diagnostics
    assert found.name == "cleartext-secret"
    assert "MIIE" not in diagnostic.render_all([found])


@pytest.mark.parametrize("around", ["{}", "'{}'", "aws_secret_access_key={}", "key: {} # old", "[{}, x]", "x:{};"])
def test_where_a_secret_can_stand(around: str) -> None:
    """As a value, in a comment, behind an equals sign."""
    assert len(found_in(around.format("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))) == 1


def test_most_secret_access_keys_are_known() -> None:
    """They have no prefix: of random ones, at most one in fifty is missed."""
    chance = random.Random(7)  # noqa: S311
    keys = ["".join(chance.choices(BASE64, k=40)) for _ in range(2000)]
    assert sum(not found_in(f"key: {key}") for key in keys) <= 40


@pytest.mark.parametrize(
    "text",
    [
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",  # SHA-1, a commit
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
        "arn:aws:iam::111122223333:role/teams/ReadOnly2026/AcmeProductionDeployer1",
        "ProductionDeployerForAllAccountsOf2026Ab",
        "Acme2026/DeployRole/Service1/Bucket/Logs",
        "backups/2026/11/25/AcmeProdEuWest1/Orders",
        "external_id: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        'external_id: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
        "0a1b2c3d-1111-2222-3333-444455556666",
        "AKIA is how ids of access keys begin",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYwJalrXUtnFEMI",  # longer
    ],
)
def test_what_is_no_secret(text: str) -> None:
    """Hashes, names, external ids."""
    assert found_in(text) == []


def test_nothing_of_ours_is_a_secret() -> None:
    """The library, the examples and their like are read without a false alarm."""
    files = [f for folder in ("dutybound", "examples", "config") for f in sorted((ROOT / folder).rglob("*.yaml"))]
    assert len(files) > 140
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert found_in(text) == [], file
        assert loads(text, file.name).value is not None
