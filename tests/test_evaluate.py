"""The judge against documented outcomes, and the properties that IAM's evaluation has."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dutybound.batch import Batch
from dutybound.conditions import fits
from dutybound.evaluate import Policies, Request, decide
from dutybound.policy import LITERAL, VERSION, Condition, Policy, Principal, Statement, glob, parse
from dutybound.simulate import BadLine
from tests.conftest import CASES


def entries(name: str) -> list[Any]:
    """The entries of one file of tests/cases/access, each as a test's parameter."""
    found = yaml.safe_load((CASES / "access" / f"{name}.yaml").read_text(encoding="utf-8"))
    return [pytest.param(entry, id=entry["case"]) for entry in found]


@pytest.mark.parametrize("entry", entries("basics"))
def test_identity_policies_alone(entry: dict[str, Any]) -> None:
    """Identity policies judged without anything else, as the guardrails do."""
    raw = entry["request"]
    context = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.get("context", {}).items()}
    request = Request("arn:aws:iam::111122223333:user/people/tom", raw["action"], raw["resource"], context)
    decision = decide(request, [parse({"Version": VERSION, "Statement": entry["statements"]})])
    assert decision.outcome == entry["outcome"], decision
    assert bool(decision.reason) == (decision.outcome == "unknown")


EVERYTHING: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.mark.parametrize("entry", entries("conditions"))
def test_conditions(entry: dict[str, Any]) -> None:
    """A condition in an allow, and in a deny beside an allow of everything."""
    by_allow = {True: "allowed", False: "denied", "unknown": "unknown", "malformed": "denied"}
    by_deny = {True: "denied", False: "allowed", "unknown": "unknown", "malformed": "unknown"}
    in_allow, in_deny = conditioned(entry)
    assert answered(in_allow)["decision"] == by_allow[entry["holds"]]
    assert answered(in_deny)["decision"] == by_deny[entry["holds"]]


def conditioned(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two lines of a batch that judge a condition: in an allow, and in a deny."""
    line = {"action": "x:Y", "resource": "*", "context": entry["context"]}
    statement = {**EVERYTHING, "Condition": entry["condition"]}
    in_deny = [EVERYTHING, {**statement, "Effect": "Deny"}]
    return {**line, "identity": [whole([statement])]}, {**line, "identity": [whole(in_deny)]}


USUAL = {"principal": "arn:aws:iam::111122223333:user/tom", "action": "s3:GetObject", "resource": "arn:aws:s3:::a/x"}
ONE, LIST, LEVELS = ("boundary", "session", "resource_policy"), ("identity", "groups"), ("scps", "rcps")


@pytest.mark.parametrize("entry", entries("levels"))
def test_every_kind_of_policy(entry: dict[str, Any]) -> None:
    """All levels together, through the same door as a line of a batch."""
    line = line_of(entry)
    if entry["decision"] == "refused":
        with pytest.raises(BadLine, match=re.escape(entry["why"])):
            answered(line)
        return
    got = answered(line)
    assert got["decision"] == entry["decision"], got
    assert entry.get("why", "") in got.get("reason", "")
    assert ("reason" in got) == (entry["decision"] == "unknown")
    if "sids" in entry:
        assert [b["sid"] for b in got["because"]] == entry["sids"]
    if "silent" in entry:
        assert got["because"] == [{"effect": "ImplicitDeny", "level": level} for level in entry["silent"]]


def line_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The line of a batch that an entry with policies of every kind stands for."""
    line = {**USUAL, **{k: v for k, v in entry.items() if k in (*USUAL, "context")}}
    line |= {k: whole(entry[k]) for k in ONE if k in entry}
    line |= {k: [whole(p) for p in listed(entry[k])] if listed(entry[k]) else entry[k] for k in LIST if k in entry}
    line |= {k: [[whole(p) for p in level] for level in entry[k]] if entry[k] else None for k in LEVELS if k in entry}
    return line


def whole(policy: Any) -> Any:
    """A policy of which an entry gives the statements alone."""
    return {"Version": VERSION, "Statement": policy} if isinstance(policy, list) else policy


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def answered(line: dict[str, Any]) -> dict[str, Any]:
    """The answer to one line of a batch."""
    found: dict[str, Any] = json.loads(Batch().answer(json.dumps(line)))
    return found


def test_every_case_says_where_it_is_from() -> None:
    """A page of AWS's documentation, or that it is a choice of ours; and there are enough of them."""
    found = [p.values[0] for name in ("basics", "conditions", "levels") for p in entries(name)]
    assert all(entry["source"] for entry in found)
    assert len({entry["case"] for entry in found}) == len(found) > 350


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


# --- all levels together --------------------------------------------------------------------------------------------

EVERYBODY = (Principal("*", ("*",)),)
TOM = "arn:aws:iam::111122223333:user/tom"
CALLERS = st.sampled_from(
    [
        TOM,
        "arn:aws:iam::111122223333:root",
        "arn:aws:iam::111122223333:role/app/dev",
        "arn:aws:sts::111122223333:assumed-role/dev/tom",
        "arn:aws:iam::444455556666:user/tom",
        "ec2.amazonaws.com",
        "*",
        "",
    ]
)
PLACES = st.sampled_from(
    [
        "arn:aws:s3:::a/x",
        "arn:aws:sqs:eu-west-1:111122223333:q",
        "arn:aws:sqs:eu-west-1:444455556666:q",
        "arn:aws:iam::111122223333:role/r",
        "arn:aws:kms:eu-west-1:111122223333:key/k",
    ]
)
CALLS = st.builds(
    lambda who, action, place, context: Request(who, action, place, context),
    CALLERS,
    st.sampled_from(["s3:GetObject", "sts:AssumeRole", "kms:Decrypt", "sqs:SendMessage"]),
    PLACES,
    st.sampled_from([{}, {"aws:username": "tom"}, {"aws:MultiFactorAuthPresent": "true"}]),
)
WHO = st.sampled_from(
    [
        (Principal("*", ("*",)),),
        (Principal("AWS", ("111122223333",)),),
        (Principal("AWS", (TOM,)),),
        (Principal("AWS", ("arn:aws:iam::111122223333:role/dev",)),),
        (Principal("Service", ("ec2.amazonaws.com",)),),
        (Principal("CanonicalUser", ("79a5",)),),
    ]
)
BROAD = st.builds(
    lambda effect, action, resource, conditions: Statement("", effect, (action,), (resource,), conditions=conditions),
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from(["*", "s3:*", "sts:AssumeRole", "kms:*"]),
    st.sampled_from(["*", "*", "arn:aws:s3:::a/*"]),
    CONDITIONS,
)
POLICY = st.lists(BROAD, max_size=3).map(lambda s: Policy(tuple(s)))
ORGANIZATION = st.none() | st.lists(POLICY.map(lambda p: (p,)), max_size=2).map(tuple)
RESOURCE = st.lists(st.builds(lambda s, who: replace(s, principals=who), BROAD, WHO), max_size=3)
SETS = st.builds(
    Policies,
    identity=POLICY.map(lambda p: (p,)),
    groups=st.lists(POLICY.map(lambda p: (p,)), max_size=1).map(tuple),
    boundary=st.none() | POLICY,
    session=st.none() | POLICY,
    resource=st.none() | RESOURCE.map(lambda s: Policy(tuple(s))),
    scps=ORGANIZATION,
    rcps=st.none() | st.just(((Policy((Statement("", "Allow", ("*",), ("*",), principals=EVERYBODY),)),),)),
)
EVERYBODY_ALLOWED = Statement("", "Allow", ("*",), ("*",))


def extended(policies: Policies, level: str, statement: Statement) -> Policies | None:
    """The policies with one statement more at a level that is there; None if it is not."""
    if level == "resource":
        statement = replace(statement, principals=EVERYBODY)
    here = getattr(policies, level)
    if not here:
        return None
    if level == "identity":
        return replace(policies, identity=(*here, Policy((statement,))))
    if level == "scps":
        return replace(policies, scps=((*here[0], Policy((statement,))), *here[1:]))
    return replace(policies, **{level: replace(here, statements=(*here.statements, statement))})


LEVEL = st.sampled_from(["identity", "boundary", "session", "resource", "scps"])
RANK = {"denied": 0, "unknown": 1, "allowed": 2}


@given(CALLS, SETS, LEVEL, BROAD)
def test_more_denies_allow_less_and_more_allows_more(
    call: Request, policies: Policies, level: str, statement: Statement
) -> None:
    """At whatever level: a deny never gives access, and an allow never takes any."""
    more = extended(policies, level, statement)
    if more is not None:
        before, after = decide(call, policies).outcome, decide(call, more).outcome
        if statement.effect == "Deny":
            assert RANK[after] <= RANK[before]
        else:
            assert RANK[after] >= RANK[before]


@given(CALLS, SETS, LEVEL)
def test_a_deny_wins_at_every_level(call: Request, policies: Policies, level: str) -> None:
    """A deny of everything denies, wherever the caller has that level at all."""
    more = extended(policies, level, replace(EVERYBODY_ALLOWED, effect="Deny"))
    inside = call.principal.startswith("arn:") or not call.principal
    own = inside and not call.principal.endswith(":root")
    if more is not None and (level == "resource" or (inside if level == "scps" else own)):
        assert decide(call, more).outcome == "denied"


@given(CALLS, SETS, POLICY)
def test_what_narrows_only_narrows(call: Request, policies: Policies, narrowing: Policy) -> None:
    """A boundary, a session policy, a level of SCPs or of RCPs: with it nothing is allowed that was not."""
    everybodys = Policy(tuple(replace(s, principals=EVERYBODY) for s in narrowing.statements))
    free = replace(policies, boundary=None, session=None)
    before = RANK[decide(call, free).outcome]
    assert RANK[decide(call, replace(free, boundary=narrowing)).outcome] <= before
    assert RANK[decide(call, replace(free, session=narrowing)).outcome] <= before
    assert RANK[decide(call, replace(free, scps=(*(free.scps or ()), (narrowing,)))).outcome] <= before
    assert RANK[decide(call, replace(free, rcps=(*(free.rcps or ()), (everybodys,)))).outcome] <= before


@given(CALLS, SETS)
def test_nothing_is_allowed_that_nothing_grants(call: Request, policies: Policies) -> None:
    """Boundaries, session policies, SCPs and RCPs give nothing."""
    bare = replace(policies, identity=(), groups=(), resource=None)
    if not call.principal.endswith(":root"):
        assert decide(call, bare).outcome != "allowed"
    if not call.resource.endswith(("role/r", "key/k")) and not call.principal.endswith(":root"):
        assert decide(call, bare).outcome == "denied"


@given(CALLS, SETS)
def test_order_and_duplicates_do_not_matter_at_any_level(call: Request, policies: Policies) -> None:
    """Everything doubled and turned round: the same decision, and the same statements."""

    def turned(policy: Policy | None) -> Policy | None:
        return policy and replace(policy, statements=(policy.statements * 2)[::-1])

    def all_turned(several: tuple[Policy, ...]) -> tuple[Policy, ...]:
        return tuple(replace(p, statements=(p.statements * 2)[::-1]) for p in (several * 2)[::-1])

    other = Policies(
        identity=all_turned(policies.identity),
        groups=tuple(map(all_turned, policies.groups[::-1])),
        boundary=turned(policies.boundary),
        session=turned(policies.session),
        resource=turned(policies.resource),
        scps=policies.scps and tuple(map(all_turned, policies.scps)),
        rcps=policies.rcps and tuple(map(all_turned, policies.rcps)),
    )
    before, after = decide(call, policies), decide(call, other)
    assert (before.outcome, before.silent) == (after.outcome, after.silent)
    assert set(before.because) == set(after.because)


@given(CALLS, SETS)
def test_a_decision_says_why(call: Request, policies: Policies) -> None:
    """Allowed and explicitly denied by statements of that effect, implicitly by levels, unknown for a reason."""
    decision = decide(call, policies)
    assert decision.because == tuple(place.statement for place in decision.places)
    effects = {statement.effect for statement in decision.because}
    assert bool(decision.reason) == (decision.outcome == "unknown")
    if decision.outcome == "denied":
        assert effects <= {"Deny"}
        assert bool(effects) != bool(decision.silent)
    if decision.outcome == "allowed":
        assert effects == {"Allow"} or call.principal.endswith(":root")


WILD = st.sampled_from(
    [
        *(
            "*",
            "arn:aws:s3:::a/x",
            "arn:aws:s3:::a/*",
            "arn:aws:s3:::*/x",
            "arn:aws:s3:::a/?",
            "arn:*",
            "arn:aws:s3:::a",
        ),
        *("arn:aws:s3:::a/${aws:username}", "arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::a/${x, 'x'}", "?rn:*:a/x"),
    ]
)
SPOKEN = st.lists(
    st.builds(
        lambda effect, actions, resources, but: Statement(
            "", effect, () if but else tuple(actions), tuple(resources), tuple(actions) if but else ()
        ),
        st.sampled_from(["Allow", "Deny"]),
        st.lists(st.sampled_from(["s3:*", "*", "s3:GetObject", "S3:get*", "*:Get*", "iam:*", "s?:*"]), min_size=1),
        st.lists(WILD, min_size=1, max_size=3),
        st.booleans(),
    ),
    max_size=8,
)


@given(SPOKEN, REQUESTS)
def test_the_index_finds_what_a_look_at_each_statement_finds(spoken: list[Statement], call: Request) -> None:
    """Many statements at once, or one by one: the same ones speak of a request."""

    def speaks(statement: Statement) -> bool:
        return decide(call, [Policy((replace(statement, effect="Allow"),))]).outcome == "allowed"

    denies = [s for s in spoken if s.effect == "Deny" and speaks(s)]
    allows = [s for s in spoken if s.effect == "Allow" and speaks(s)]
    decision = decide(call, [Policy(tuple(spoken))])
    assert list(decision.because) == (denies or allows)
    assert decision.outcome == ("allowed" if allows and not denies else "denied")


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


@given(st.text("ab*?" + "".join(LITERAL.values()), max_size=8), st.text("ab*?", max_size=8))
def test_patterns_fit_as_globs_match(pattern: str, text: str) -> None:
    """The matcher without regular expressions agrees with that with them."""
    assert fits(pattern, text) == (glob(pattern).fullmatch(text) is not None)


def test_placeholders_are_not_guessed_at() -> None:
    """A policy that is not filled in yet gives 'unknown', not an answer."""
    policy = Policy((Statement("", "Allow", ("s3:GetObject",), ("arn:${AWS::Partition}:s3:::a/*",)),))
    assert decide(Request("", "s3:GetObject", "arn:aws:s3:::a/x"), [policy]).outcome == "unknown"


def test_what_a_policy_holds_and_we_do_not_know_is_refused() -> None:
    """Reading a document drops nothing in silence."""
    with pytest.raises(ValueError, match="NotPrincipals"):
        parse({"Statement": [{"Effect": "Deny", "NotPrincipals": {"AWS": "*"}, "Action": "*", "Resource": "*"}]})
