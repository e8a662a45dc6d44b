"""The judge against documented outcomes, and the properties that IAM's evaluation has."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dutybound.evaluate import Request, decide
from dutybound.policy import Condition, Policy, Statement, glob, parse
from tests.conftest import CASES

ENTRIES = [
    entry
    for file in sorted((CASES / "access").glob("*.yaml"))
    for entry in yaml.safe_load(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("entry", ENTRIES, ids=[e["case"] for e in ENTRIES])
def test_documented_outcomes(entry: dict[str, Any]) -> None:
    """One case of tests/cases/access."""
    raw = entry["request"]
    context = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.get("context", {}).items()}
    request = Request("arn:aws:iam::111122223333:user/people/tom", raw["action"], raw["resource"], context)
    decision = decide(request, [parse({"Statement": entry["statements"]})])
    assert decision.outcome == entry["outcome"], decision
    assert bool(decision.reason) == (decision.outcome == "unknown")


ACTIONS = st.sampled_from(["s3:GetObject", "s3:PutObject", "iam:CreateUser", "s3:*", "*", "s3:Get*"])
RESOURCES = st.sampled_from(["*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/x", "arn:aws:s3:::b/*"])
CONDITIONS = st.sampled_from(
    [
        (),
        (Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),),
        (Condition("StringEquals", "aws:username", ("tom",)),),
        (Condition("StringNotEqualsIfExists", "aws:username", ("tom",)),),
        (Condition("NoSuchOperator", "aws:username", ("tom",)),),
    ]
)


def statements(effect: st.SearchStrategy[Any]) -> st.SearchStrategy[Statement]:
    """Statements over a small universe."""
    return st.builds(
        lambda e, a, r, c: Statement("", e, actions=(a,), resources=(r,), conditions=c),
        effect,
        ACTIONS,
        RESOURCES,
        CONDITIONS,
    )


ANY = st.lists(statements(st.sampled_from(["Allow", "Deny"])), max_size=6)
REQUESTS = st.builds(
    lambda a, r, c: Request("arn:aws:iam::111122223333:user/tom", a, r, c),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "iam:CreateUser"]),
    st.sampled_from(["arn:aws:s3:::a/x", "arn:aws:s3:::b/y", "*"]),
    st.sampled_from([{}, {"aws:username": "tom"}, {"aws:username": "eve", "aws:MultiFactorAuthPresent": "true"}]),
)


def outcome(request: Request, given_: list[Statement]) -> str:
    """The decision on statements as one policy."""
    return decide(request, [Policy(tuple(given_))]).outcome


@given(REQUESTS, ANY, st.randoms(use_true_random=False))
def test_order_and_duplicates_do_not_matter(request_: Request, given_: list[Statement], random: Any) -> None:
    """Shuffled, doubled, or split over policies: the same decision."""
    expected = outcome(request_, given_)
    shuffled = [*given_, *given_]
    random.shuffle(shuffled)
    assert outcome(request_, shuffled) == expected
    assert decide(request_, [Policy((s,)) for s in given_]).outcome == expected


@given(REQUESTS, ANY, statements(st.just("Deny")))
def test_a_deny_never_allows_more(request_: Request, given_: list[Statement], deny: Statement) -> None:
    """Adding a deny turns nothing into allowed."""
    if outcome(request_, given_) != "allowed":
        assert outcome(request_, [*given_, deny]) != "allowed"


@given(REQUESTS, ANY, statements(st.just("Allow")))
def test_an_allow_never_denies_more(request_: Request, given_: list[Statement], allow: Statement) -> None:
    """Adding an allow takes nothing away, and overrules no deny."""
    before, after = outcome(request_, given_), outcome(request_, [*given_, allow])
    if before == "allowed":
        assert after == "allowed"
    denied = decide(request_, [Policy(tuple(given_))])
    if denied.outcome == "denied" and denied.because:
        assert after == "denied"


@given(REQUESTS, st.lists(statements(st.just("Deny")), max_size=4))
def test_default_deny(request_: Request, given_: list[Statement]) -> None:
    """Without an allow there is no access."""
    assert outcome(request_, given_) == "denied"


def test_many_wildcards_take_no_time() -> None:
    """A pattern that makes careless matchers try for hours."""
    policy = Policy((Statement("", "Allow", ("s3:GetObject",), ("arn:aws:s3:::a/" + "*a" * 30 + "*c",)),))
    assert decide(Request("", "s3:GetObject", "arn:aws:s3:::a/" + "a" * 200 + "b"), [policy]).outcome == "denied"
    assert decide(Request("", "s3:GetObject", "arn:aws:s3:::a/" + "a" * 200 + "c"), [policy]).outcome == "allowed"


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_globs_match_like_a_slow_matcher(pattern: str, text: str) -> None:
    """The quick matcher agrees with the definition."""

    def slow(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return slow(p[1:], t) or (bool(t) and slow(p, t[1:]))
        return bool(t) and p[0] in ("?", t[0]) and slow(p[1:], t[1:])

    assert (glob(pattern).fullmatch(text) is not None) == slow(pattern, text)


def test_placeholders_are_not_guessed_at() -> None:
    """A policy that is not filled in yet gives 'unknown', not an answer."""
    policy = Policy((Statement("", "Allow", ("s3:GetObject",), ("arn:${AWS::Partition}:s3:::a/*",)),))
    assert decide(Request("", "s3:GetObject", "arn:aws:s3:::a/x"), [policy]).outcome == "unknown"


def test_what_a_policy_holds_and_we_do_not_know_is_refused() -> None:
    """Reading a document drops nothing in silence."""
    with pytest.raises(ValueError, match="NotPrincipal"):
        parse({"Statement": [{"Effect": "Deny", "NotPrincipal": {"AWS": "*"}, "Action": "*", "Resource": "*"}]})
