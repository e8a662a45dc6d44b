"""Packing keeps the meaning and the quotas, in few policies, whatever the order; an edit leaves most policies alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.grant import duty_access, example_use
from dutybound.pack import POLICIES_PER_GROUP, POLICY_SIZE, pack, sizes_by_duty
from dutybound.policy import ACCOUNT, PARTITION, Condition, Origin, Policy, Statement, glob
from dutybound.read import library, library_duty

SERVICES = ("ec2", "s3", "rds", "lambda", "iam")
MFA = (Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),)
REGION = (Condition("StringEquals", "aws:RequestedRegion", ("eu-west-1", "eu-central-1")), *MFA)


@st.composite
def statements(draw: st.DrawFn, largest: int = 20) -> list[Statement]:
    """Statements of every form with different Sids, from small to larger than a policy, of a few duties."""
    out = []
    for i in range(draw(st.integers(0, largest))):
        actions = draw(st.sampled_from([1, 2, 5, 20, 60, 250]))
        resources = draw(st.sampled_from([1, 1, 1, 3, 40, 300]))
        service, other = draw(st.sampled_from(SERVICES)), draw(st.sampled_from(SERVICES))
        names = tuple(sorted(f"{service if j % 3 else other}:Action{i}x{j}" for j in range(actions)))
        arns = tuple(sorted(f"arn:{PARTITION}:s3:::bucket-{i}-{j}/*" for j in range(resources)))
        plain = Statement(
            f"Sid{i}",
            draw(st.sampled_from(["Allow", "Allow", "Deny"])),
            actions=names,
            resources=arns,
            conditions=draw(st.sampled_from([(), (), MFA, REGION])),
            origins=(Origin(f"duty-{draw(st.integers(0, 5))}"),) if draw(st.booleans()) else (),
        )
        form = draw(st.sampled_from(["plain", "plain", "plain", "not-actions", "not-resources"]))
        if form == "not-actions":  # as a whole, so no longer than a policy
            plain = replace(plain, actions=(), not_actions=names[:60])
        elif form == "not-resources":
            plain = replace(plain, resources=(), not_resources=arns[:40])
        out.append(plain)
    return out


def meaning(given_: Iterable[Statement]) -> set[tuple[object, ...]]:
    """Every single thing that is allowed or denied, and when."""
    return {
        (s.effect, a, r, s.not_actions, s.not_resources, s.conditions, s.principals)
        for s in given_
        for a in s.actions or (None,)
        for r in s.resources or (None,)
    }


def unpacked(policies: Iterable[Policy]) -> list[Statement]:
    """The statements of all policies."""
    return [s for p in policies for s in p.statements]


def packed(given_: Sequence[Statement], most: int = 99, size: int = POLICY_SIZE) -> tuple[Policy, ...]:
    """What `pack` makes of statements that fit."""
    policies = pack(given_, most, size)
    assert policies is not None
    return policies


def changed(before: Sequence[Policy], after: Sequence[Policy]) -> int:
    """How many of the policies that were there before have another text after."""
    texts = [p.text() for p in after]
    return sum(p.text() != (texts[i] if i < len(texts) else "") for i, p in enumerate(before))


@given(statements(), st.sampled_from([POLICY_SIZE, 10_240]))
def test_meaning_and_quota(given_: list[Statement], size: int) -> None:
    """Nothing is lost, nothing added, nothing over the size, no Sid twice in a policy, and every origin kept."""
    policies = packed(given_, size=size)
    assert meaning(unpacked(policies)) == meaning(given_)
    assert all(p.size <= size for p in policies)
    origins = {s.sid: s.origins for s in given_}
    for policy in policies:
        sids = [s.sid for s in policy.statements]
        assert len(sids) == len(set(sids))
        for statement in policy.statements:
            assert statement.origins == origins[statement.sid.partition("Part")[0]]
            assert statement.sid.partition("Part")[0] in origins


@given(statements(), st.randoms(use_true_random=False))
def test_order_does_not_matter(given_: list[Statement], shuffle: random.Random) -> None:
    """Shuffled statements give the same policies."""
    shuffled = list(given_)
    shuffle.shuffle(shuffled)
    assert packed(shuffled) == packed(given_)


@given(statements())
def test_few(given_: list[Statement]) -> None:
    """No more policies than if each were filled to three quarters, and none empty."""
    policies = packed(given_)
    assert all(p.statements for p in policies)
    text = sum(p.size for p in policies)
    assert len(policies) <= max(1, -(-text * 4 // (3 * POLICY_SIZE)))


# --- real duties ----------------------------------------------------------------------------------------------------


@cache
def granted(duty: str) -> tuple[Statement, ...]:
    """The statements of a built-in duty with its example parameters."""
    return duty_access(example_use(duty, library_duty(duty)), library_duty(duty), []).statements


DUTIES = [name for name in library() if granted(name)]


def team(duties: Iterable[str]) -> list[Statement]:
    """The statements of a team with these duties, each Sid once."""
    found = {(s.sid, s): s for duty in duties for s in granted(duty)}
    seen: dict[str, int] = {}
    out = []
    for sid, statement in found:
        seen[sid] = seen.get(sid, 0) + 1
        out.append(statement if seen[sid] == 1 else replace(statement, sid=f"{sid}x{seen[sid]}"))
    return out


@cache
def expanded(pattern: str) -> frozenset[str]:
    """The actions of the reference that an action pattern matches."""
    prefix, _, name = pattern.partition(":")
    return frozenset(
        str(a) for a in catalog.service(prefix).actions.values() if glob(name, True).fullmatch(a.name) is not None
    )


@given(st.lists(st.sampled_from(DUTIES), min_size=1, max_size=12, unique=True))
def test_a_team_may_do_the_same(duties: list[str]) -> None:
    """Judged action by action over the whole reference: what the policies give is what the duties ask for."""

    def judged(given_: Iterable[Statement]) -> set[tuple[object, ...]]:
        return {
            (s.effect, a, r, s.conditions) for s in given_ for p in s.actions for a in expanded(p) for r in s.resources
        }

    statements_ = team(duties)
    policies = packed(statements_)
    assert judged(unpacked(policies)) == judged(statements_)
    assert all(p.size <= POLICY_SIZE for p in policies)


Edit = Callable[[list[Statement], int], list[Statement]]


def _one_action_more(given_: list[Statement], at: int) -> list[Statement]:
    grown = replace(given_[at], actions=tuple(sorted([*given_[at].actions, "s3:OneMoreAction"])))
    return [grown if i == at else s for i, s in enumerate(given_)]


def _one_action_less(given_: list[Statement], at: int) -> list[Statement]:
    shrunk = replace(given_[at], actions=given_[at].actions[1:] or given_[at].actions)
    return [shrunk if i == at else s for i, s in enumerate(given_)]


def _one_resource_more(given_: list[Statement], at: int) -> list[Statement]:
    more = (*given_[at].resources, f"arn:{PARTITION}:s3:::one-more-bucket-{ACCOUNT}/*")
    return [replace(s, resources=tuple(sorted(more))) if i == at else s for i, s in enumerate(given_)]


def _one_statement_more(given_: list[Statement], at: int) -> list[Statement]:
    return [*given_, replace(given_[at], sid="OneMoreStatement", origins=(Origin("one-more-duty"),))]


def _one_statement_less(given_: list[Statement], at: int) -> list[Statement]:
    return [s for i, s in enumerate(given_) if i != at]


@pytest.mark.parametrize(
    "edit", [_one_action_more, _one_action_less, _one_resource_more, _one_statement_more, _one_statement_less]
)
def test_an_edit_changes_the_policies_it_is_in(edit: Edit) -> None:
    """120 edits of teams with 3 to 9 duties and several policies: most leave all other policies byte for byte.

    Not all can: a policy that is full to the last character gives something up. A team that needs one policy more, or
    less, is left out: there statements have to move.
    """
    choose = random.Random(edit.__name__)  # noqa: S311
    others: list[int] = []
    while len(others) < 120:
        before = team(choose.sample(DUTIES, choose.randint(3, 9)))
        at = choose.randrange(len(before))
        edited = edit(before, at)
        policies, after = packed(before), packed(edited)
        if len(policies) == len(after) and len(policies) > 1:
            sid = before[at].sid if edit is not _one_statement_more else "OneMoreStatement"
            pairs = zip(policies, after, strict=True)
            others.append(sum(p != q and not (_holds(p, sid) or _holds(q, sid)) for p, q in pairs))
    assert sum(count == 0 for count in others) >= 0.7 * len(others)
    assert sum(count <= 1 for count in others) >= 0.9 * len(others)


def _holds(policy: Policy, sid: str) -> bool:
    return any(s.sid == sid for s in policy.statements)


def test_a_duty_more_changes_one_policy() -> None:
    """A duty that a team of 3 to 9 gets goes into one policy in most cases, though it is many statements."""
    choose = random.Random("duties")  # noqa: S311
    counts: list[int] = []
    while len(counts) < 120:
        *before, more = choose.sample(DUTIES, choose.randint(4, 10))
        policies, after = packed(team(before)), packed(team([*before, more]))
        if len(policies) == len(after) and len(policies) > 1:
            counts.append(changed(policies, after))
    assert sum(count <= 1 for count in counts) >= 0.5 * len(counts)
    assert sum(count <= 2 for count in counts) >= 0.9 * len(counts)


def test_statements_move_into_the_new_policy_only() -> None:
    """Small statements with room to spare: when a policy is added, no statement moves between the old ones."""
    base = [
        Statement(f"S{i}", "Allow", tuple(f"ec2:Action{i}x{j}" for j in range(4)), (f"arn:{PARTITION}:s3:::b{i}",))
        for i in range(120)
    ]
    for count in (1, 2, 3, 4):
        # As many statements as fit, and as need one policy more.
        fitting = next(n for n in range(len(base), 0, -1) if len(packed(base[:n])) <= count)
        if fitting == len(base):
            break
        before, after = packed(base[:fitting]), packed(base[: fitting + 1])
        homes = {s.sid: i for i, p in enumerate(before) for s in p.statements}
        moved = [s.sid for i, p in enumerate(after[:count]) for s in p.statements if homes.get(s.sid, i) != i]
        assert len(after) == count + 1
        assert len(moved) <= fitting // 10


# --- long statements ------------------------------------------------------------------------------------------------


def test_too_much_is_refused() -> None:
    """What does not fit is None, not a policy too many; so is one value that no policy can hold."""
    large = [Statement(f"S{i}", "Allow", tuple(f"ec2:A{i}x{j}" for j in range(300)), ("*",)) for i in range(20)]
    assert pack(large, POLICIES_PER_GROUP) is None
    assert pack([Statement("S", "Allow", ("s3:GetObject",), ("x" * POLICY_SIZE,))], POLICIES_PER_GROUP) is None
    assert pack([Statement("S", "Deny", not_actions=("x:" + "y" * POLICY_SIZE,), resources=("*",))], 3) is None


def test_as_few_as_the_characters_need() -> None:
    """Statements of awkward sizes fill two policies, cut where needed, and not three."""
    awkward = [
        Statement(f"S{i}", "Allow", tuple(f"ec2:Act{i:02}x{j:03}" for j in range(120)), ("*",)) for i in range(6)
    ]
    policies = packed(awkward)
    assert len(policies) == -(-sum(p.size for p in policies) // POLICY_SIZE)


def test_filled_to_the_last_character() -> None:
    """A policy of exactly the size is one policy; a character more, and it is two or does not fit."""
    one = Statement("S", "Allow", ("s3:GetObject", "s3:PutObject"), (f"arn:{PARTITION}:s3:::b/*",))
    exact = packed([one])[0].size
    assert len(packed([one], 1, exact)) == 1
    assert pack([one], 1, exact - 1) is None


@pytest.mark.parametrize("form", ["allow", "not-actions", "conditions"])
def test_many_resources(form: str) -> None:
    """A statement is cut by its resources if those make it long, under one Sid; one more changes one policy."""
    arns = [f"arn:{PARTITION}:s3:::a-bucket-with-a-long-name-{i:04}/*" for i in range(400)]
    plain = Statement("Files", "Allow", actions=("s3:GetObject", "s3:PutObject"), resources=tuple(arns))
    if form == "not-actions":
        plain = replace(plain, effect="Deny", actions=(), not_actions=("s3:GetObject",))
    if form == "conditions":
        plain = replace(plain, conditions=REGION)
    policies = packed([plain])
    assert len(policies) == -(-sum(p.size for p in policies) // POLICY_SIZE)
    assert {s.sid for s in unpacked(policies)} == {"Files"}
    assert meaning(unpacked(policies)) == meaning([plain])
    more = tuple(sorted([*arns, f"arn:{PARTITION}:s3:::one-more/*"]))
    assert changed(policies, packed([replace(plain, resources=more)])) <= 1


def test_many_actions_on_many_resources() -> None:
    """Where both are long, every action still meets every resource, and a Sid that is taken is left alone."""
    actions = tuple(f"ec2:SomeLongActionName{i:03}" for i in range(100))
    arns = tuple(f"arn:{PARTITION}:s3:::bucket-{i:03}/*" for i in range(100))
    both = [
        Statement("Wide", "Allow", actions, arns, conditions=MFA),
        Statement("WidePart1", "Allow", ("s3:GetObject",), ("*",)),
    ]
    policies = packed(both)
    assert meaning(unpacked(policies)) == meaning(both)
    assert all(p.size <= POLICY_SIZE for p in policies)
    assert {s.resources for s in unpacked(policies) if s.sid == "WidePart1"} == {("*",)}


def test_statements_with_the_same_sid_are_a_mistake_of_the_caller() -> None:
    """IAM takes a Sid once in a policy."""
    one = Statement("S", "Allow", ("s3:GetObject",), ("*",))
    with pytest.raises(ValueError, match="same Sid"):
        pack([one, replace(one, actions=("s3:PutObject",))], 10)


def test_sizes_by_duty() -> None:
    """What an error names: the largest duties first, equal ones by name."""
    small = Statement("A", "Allow", ("s3:GetObject",), ("*",), origins=(Origin("b"),))
    large = Statement("B", "Allow", tuple(f"ec2:Action{i}" for i in range(9)), ("*",), origins=(Origin("z"),))
    same = replace(small, sid="C", origins=(Origin("a"),))
    sizes = sizes_by_duty([small, same, large, replace(large, sid="D")])
    assert [duty for duty, _ in sizes] == ["z", "a", "b"]
    assert dict(sizes)["a"] == len(Policy((same,)).text()) - len(Policy(()).text()) + 1
