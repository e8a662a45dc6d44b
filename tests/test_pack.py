"""Packing keeps the meaning and the quotas, in the fewest policies, whatever the order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dutybound.pack import POLICIES_PER_GROUP, POLICY_SIZE, pack
from dutybound.policy import Policy, Statement

SERVICES = ("ec2", "s3", "rds", "lambda", "iam")


@st.composite
def statements(draw: st.DrawFn, largest: int = 25) -> list[Statement]:
    """Statements with different Sids, from small to larger than a policy."""
    count = draw(st.integers(0, largest))
    out = []
    for i in range(count):
        size = draw(st.sampled_from([1, 2, 5, 20, 60, 250]))
        service = draw(st.sampled_from(SERVICES))
        other = draw(st.sampled_from(SERVICES))
        actions = [f"{service if j % 3 else other}:Action{i}x{j}" for j in range(size)]
        out.append(Statement(f"Sid{i}", "Allow", actions=tuple(sorted(actions)), resources=(f"arn:aws:s3:::b{i}/*",)))
    return out


def meaning(policies: tuple[Policy, ...] | list[Statement]) -> set[tuple[str, str, str]]:
    """Every (Sid, action, resource) that is granted."""
    flat = [s for p in policies for s in (p.statements if isinstance(p, Policy) else (p,))]
    return {(s.sid, a, r) for s in flat for a in s.actions for r in s.resources}


@given(statements())
def test_meaning_and_quota(given_: list[Statement]) -> None:
    """Nothing is lost, nothing added, nothing over 6,144 characters."""
    packed = pack(given_, 40)
    assert packed is not None
    assert meaning(packed) == meaning(given_)
    assert all(p.size <= POLICY_SIZE for p in packed)
    for policy in packed:
        sids = [s.sid for s in policy.statements]
        assert len(sids) == len(set(sids))


@given(statements(), st.randoms(use_true_random=False))
def test_order_does_not_matter(given_: list[Statement], random: object) -> None:
    """Shuffled statements give the same policies."""
    shuffled = list(given_)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert pack(shuffled, 40) == pack(given_, 40)


@given(statements())
def test_fewest(given_: list[Statement]) -> None:
    """Never more than one policy above what the characters alone need, and none empty."""
    packed = pack(given_, 40)
    assert packed is not None
    text = sum(p.size for p in packed)
    assert all(p.statements for p in packed)
    if len(packed) > 1:
        assert text > (len(packed) - 2) * POLICY_SIZE


@given(statements(12), st.integers(0, 11))
def test_a_changed_grant_stays_where_it_is(given_: list[Statement], at: int) -> None:
    """One action more in one statement changes the policies that hold that statement, while there is room."""
    if not given_ or sum(len(s.actions) for s in given_) > 60:
        return  # small teams, which all but the largest are
    before = pack(given_, POLICIES_PER_GROUP)
    grown = given_[at % len(given_)]
    changed = replace(grown, actions=tuple(sorted([*grown.actions, "s3:OneMore"])))
    after = pack([changed if s is grown else s for s in given_], POLICIES_PER_GROUP)
    assert before is not None
    assert after is not None
    if len(before) != len(after):
        return
    touched = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(touched) <= 1


def test_one_more_grant_leaves_most_policies_alone() -> None:
    """Thirty typical grants in several policies: each addition in turn rewrites at most two policies."""
    base = [
        Statement(f"Duty{i}", "Allow", tuple(f"ec2:Action{i}x{j}" for j in range(20)), (f"arn:aws:s3:::b{i}",))
        for i in range(30)
    ]
    rewritten = []
    for i in range(20):
        more = Statement(f"New{i}", "Allow", ("s3:GetObject",), (f"arn:aws:s3:::new{i}",))
        before, after = pack(base, 10), pack([*base, more], 10)
        assert before is not None
        assert after is not None
        assert len(before) == len(after)
        rewritten.append(sum(a != b for a, b in zip(before, after, strict=True)))
    assert max(rewritten) <= 2
    assert sum(rewritten) / len(rewritten) <= 1.3


def test_too_much_is_refused() -> None:
    """What does not fit is None, not a policy too many."""
    large = [Statement(f"S{i}", "Allow", tuple(f"ec2:A{i}x{j}" for j in range(300)), ("*",)) for i in range(20)]
    assert pack(large, POLICIES_PER_GROUP) is None


def test_as_few_as_the_characters_need() -> None:
    """Statements of awkward sizes fill two policies, cut where needed, and not three."""
    awkward = [
        Statement(f"S{i}", "Allow", tuple(f"ec2:Act{i:02}x{j:03}" for j in range(120)), ("*",)) for i in range(6)
    ]
    packed = pack(awkward, 10)
    assert packed is not None
    total = sum(len(p.text()) for p in packed)
    assert len(packed) == -(-total // POLICY_SIZE)
