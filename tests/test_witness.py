"""The search finds a request wherever there is one, and never one that is not: compared with trying them all."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.arns import Where
from dutybound.catalog import Action
from dutybound.conditions import fits
from dutybound.evaluate import Judge, Policies, Request
from dutybound.policy import VERSION, Condition, Policy, Statement
from dutybound.witness import OwnSide, possible, witness

WHERE = Where("arn:aws:iam::111122223333:user/people/x", "111122223333", "eu-west-1")
HEAD = "arn:aws:sqs:eu-west-1:111122223333:"
SEND = next(iter(catalog.actions_of("sqs:SendMessage")))
NAMES = ["".join(letters) for length in (1, 2, 3) for letters in product("abx", repeat=length)]
VALUES = (None, "a", "ab", "b", "zz")
KEY = "aws:SourceVpc"

NAME_PATTERNS = st.text("ab*?", min_size=1, max_size=4)
RESOURCES = st.one_of(st.just("*"), NAME_PATTERNS.map(lambda name: f"{HEAD}{name}"), st.just("arn:aws:sqs:*:*:a*"))
CONDITIONS = st.one_of(
    st.just(()),
    st.builds(
        lambda operator, value: (Condition(operator, KEY, (value,)),),
        st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists", "StringNotLike"]),
        st.sampled_from(["a", "ab", "a*", "b", "*"]),
    ),
    st.sampled_from(["true", "false"]).map(lambda absent: (Condition("Null", KEY, (absent,)),)),
)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """A statement on sqs:SendMessage."""
    resources = tuple(draw(st.lists(RESOURCES, min_size=1, max_size=2)))
    negated = draw(st.booleans()) and draw(st.booleans())
    return Statement(
        "S",
        draw(st.sampled_from(["Allow", "Allow", "Deny"])),
        ("sqs:SendMessage",),
        resources=() if negated else resources,
        not_resources=resources if negated else (),
        conditions=draw(CONDITIONS),
    )


def everything(judge: Judge, but: Judge) -> bool:
    """Whether any of many requests is allowed by one and denied by the other."""
    for name, value in product(NAMES, VALUES):
        request = Request(WHERE.principal, "sqs:SendMessage", f"{HEAD}{name}", {KEY: value} if value else {})
        if judge.decide(request).outcome == "allowed" and but.decide(request).outcome == "denied":
            return True
    return False


@settings(max_examples=400)
@given(st.lists(statements(), max_size=4), st.lists(statements(), max_size=3))
def test_the_search_agrees_with_trying_everything(mine: list[Statement], theirs: list[Statement]) -> None:
    """Where many requests are tried and one makes the difference, the search finds one; what it finds does."""
    judge, but = Judge([Policy(tuple(mine))]), Judge([Policy(tuple(theirs))])
    found = witness(judge, SEND, {}, WHERE, but=but)
    if found is None:
        assert not everything(judge, but)
    else:
        assert found.outcome == "allowed"
        assert judge.decide(found.request).outcome == "allowed"
        assert but.decide(found.request).outcome == "denied"


def side(*statements_: Statement, boundary: tuple[Statement, ...] = ()) -> OwnSide:
    """One principal's own side."""
    return OwnSide(Policies((Policy(statements_),), boundary=Policy(boundary) if boundary else None))


def action(text: str) -> Action:
    """An action of the reference."""
    return next(iter(catalog.actions_of(text)))


def allow(text: str, *resources: str, conditions: tuple[Condition, ...] = ()) -> Statement:
    """An allowing statement."""
    return Statement("S", "Allow", (text,), resources or ("*",), conditions=conditions)


def test_a_boundary_narrows() -> None:
    """What the boundary does not allow is not found."""
    assert witness(side(allow("sqs:*")), SEND, {}, WHERE) is not None
    bounded = side(allow("sqs:*"), boundary=(allow("sqs:ReceiveMessage"),))
    assert witness(bounded, SEND, {}, WHERE) is None


def test_a_variable_is_filled_in() -> None:
    """A policy variable that is known is its value; one that is absent matches nothing."""
    own = side(allow("iam:GetUser", "arn:aws:iam::111122223333:user/people/${aws:username}"))
    found = witness(own, action("iam:GetUser"), {"aws:username": "maria"}, WHERE)
    assert found is not None
    assert found.request.resource == "arn:aws:iam::111122223333:user/people/maria"
    assert witness(own, action("iam:GetUser"), {"aws:username": None}, WHERE) is None


def test_a_request_that_names_several_resources() -> None:
    """A new server needs its instance, image and network: one that is denied stops it all."""
    run = action("ec2:RunInstances")
    few = side(allow("ec2:RunInstances", "arn:aws:ec2:*:*:image/*", "arn:aws:ec2:*::image/*"))
    assert witness(few, run, {}, WHERE) is None
    assert witness(side(allow("ec2:RunInstances")), run, {}, WHERE) is not None
    deny = Statement("S", "Deny", ("ec2:RunInstances",), ("arn:aws:ec2:*:*:instance/*",))
    assert witness(side(allow("ec2:RunInstances"), deny), run, {}, WHERE) is None


def test_other_accounts_and_regions_that_are_named() -> None:
    """An account and a Region that only a pattern names are found."""
    own = side(allow("sqs:SendMessage", "arn:aws:sqs:ap-south-1:999988887777:q"))
    found = witness(own, SEND, {}, WHERE)
    assert found is not None
    assert found.request.resource == "arn:aws:sqs:ap-south-1:999988887777:q"


def test_a_bound_that_is_hit_is_unknown() -> None:
    """Too many combinations of keys are never taken for none."""
    tags = [(Condition("StringLike", f"aws:PrincipalTag/t{i}", (f"v{i}*",)),) for i in range(15)]
    denies = (Statement("S", "Deny", ("sqs:SendMessage",), ("*",), conditions=tag) for tag in tags)
    mine = side(allow("sqs:SendMessage"), *denies)
    found = witness(mine, SEND, {}, WHERE, but=side())
    assert found is not None
    assert (found.outcome, found.bounded) == ("unknown", True)
    assert "cases" in found.reason
    # What is allowed at all takes no combinations.
    alone = witness(mine, SEND, {}, WHERE)
    assert alone is not None
    assert alone.outcome == "allowed"


def test_what_is_possible_holds_whatever_is_found() -> None:
    """The quick way leaves out nothing that the search finds."""
    known = {"aws:MultiFactorAuthPresent": None}
    deny = Statement(
        "S",
        "Deny",
        not_actions=("iam:ListMFADevices",),
        resources=("*",),
        conditions=(Condition("Null", "aws:MultiFactorAuthPresent", ("true",)),),
    )
    policies = Policies((Policy((allow("iam:*"), allow("sqs:SendMessage"), deny)),))
    assert {str(a) for a in possible(policies, known)} == {"iam:ListMFADevices"}
    with_mfa = {"aws:MultiFactorAuthPresent": "true"}
    assert len(possible(policies, with_mfa)) == len(catalog.service("iam").actions) + 1


def test_roles_of_other_accounts_can_be_taken() -> None:
    """A deny on one's own roles leaves those of every other account."""
    own = "arn:aws:iam::111122223333:role/*"
    deny = Statement("S", "Deny", ("sts:AssumeRole",), (own,))
    found = witness(side(allow("sts:AssumeRole"), deny), action("sts:AssumeRole"), {}, WHERE)
    assert found is not None
    assert ":000000000000:" in found.request.resource


def test_a_server_on_a_network_that_is_there() -> None:
    """Of what a new server takes, image and instance alone are in every request."""
    few = side(
        allow("ec2:RunInstances", "arn:aws:ec2:*:*:image/*", "arn:aws:ec2:*::image/*", "arn:aws:ec2:*:*:instance/*")
    )
    assert witness(few, action("ec2:RunInstances"), {}, WHERE) is not None


# --- what once was missed ---------------------------------------------------------------------------------------------


def deny(text: str, *resources: str, conditions: tuple[Condition, ...] = ()) -> Statement:
    """A denying statement."""
    return Statement("S", "Deny", (text,), resources or ("*",), conditions=conditions)


def test_a_known_name_in_a_condition_is_tried() -> None:
    """A tag that is equal to the name of the caller, and one that is not."""
    known = {"aws:username": "maria"}
    mine = (Condition("StringEquals", "aws:ResourceTag/owner", ("${aws:username}",)),)
    found = witness(side(allow("sqs:SendMessage", conditions=mine)), SEND, known, WHERE)
    assert found is not None
    assert found.outcome == "allowed"
    assert found.request.context["aws:ResourceTag/owner"] == "maria"
    others = deny("sqs:SendMessage", conditions=(Condition("StringNotEquals", mine[0].key, mine[0].values),))
    fresh = deny("sqs:SendMessage", conditions=(Condition("StringEquals", mine[0].key, ("fresh",)),))
    assert witness(side(allow("sqs:SendMessage"), others, fresh), SEND, known, WHERE) is not None
    assert witness(side(allow("sqs:SendMessage"), others, deny("sqs:*", conditions=mine)), SEND, known, WHERE) is None


@pytest.mark.parametrize(
    ("operators", "key", "low", "high"),
    [
        (("NumericGreaterThan", "NumericLessThan"), "aws:MultiFactorAuthAge", "1", "2"),
        (("NumericGreaterThan", "NumericLessThan"), "aws:MultiFactorAuthAge", "3599.5", "3599.6"),
        (("DateGreaterThan", "DateLessThan"), "aws:CurrentTime", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
    ],
)
def test_between_close_bounds(operators: tuple[str, str], key: str, low: str, high: str) -> None:
    """There is a number between any two, and none between a number and itself."""
    within = (Condition(operators[0], key, (low,)), Condition(operators[1], key, (high,)))
    found = witness(side(allow("sqs:SendMessage", conditions=within)), SEND, {}, WHERE)
    assert found is not None
    assert found.outcome == "allowed"
    nothing = (Condition(operators[0], key, (low,)), Condition(operators[1], key, (low,)))
    assert witness(side(allow("sqs:SendMessage", conditions=nothing)), SEND, {}, WHERE) is None


@pytest.mark.parametrize(("everywhere", "other"), [("0.0.0.0/0", ":"), ("::/0", ".")])
def test_addresses_of_the_other_version(everywhere: str, other: str) -> None:
    """Networks of one version say nothing of addresses of the other."""
    here = deny("sqs:SendMessage", conditions=(Condition("IpAddress", "aws:SourceIp", (everywhere,)),))
    found = witness(side(allow("sqs:SendMessage"), here), SEND, {"aws:SourceIp": None}, WHERE)
    assert found is not None
    there = (Condition("Null", "aws:SourceIp", ("false",)),)
    found = witness(side(allow("sqs:SendMessage", conditions=there), here), SEND, {}, WHERE)
    assert found is not None
    assert other in found.request.context["aws:SourceIp"]
    both = deny("sqs:SendMessage", conditions=(Condition("IpAddress", "aws:SourceIp", ("0.0.0.0/0", "::/0")),))
    assert witness(side(allow("sqs:SendMessage", conditions=there), both), SEND, {}, WHERE) is None


def test_a_free_variable_in_a_name_meets_wildcards() -> None:
    """Whose name is free has one that a deny spares, and one that it does not."""
    own = allow("sqs:SendMessage", f"{HEAD}home-${{aws:username}}")
    assert witness(side(own, deny("sqs:SendMessage", f"{HEAD}home-fresh*")), SEND, {}, WHERE) is not None
    found = witness(side(own, deny("sqs:SendMessage", f"{HEAD}home-?")), SEND, {}, WHERE)
    assert found is not None
    assert found.outcome == "allowed"
    only = Statement("S", "Deny", ("sqs:SendMessage",), not_resources=(f"{HEAD}home-a*",))
    found = witness(side(own, only), SEND, {}, WHERE)
    assert found is not None
    assert str(found.request.context["aws:username"]).startswith("a")
    assert witness(side(own, deny("sqs:SendMessage", f"{HEAD}home-*")), SEND, {}, WHERE) is None


def test_a_policy_of_the_old_version_has_no_variables() -> None:
    """`${…}` is a text as any other in a policy of 2008."""
    old = Policy((allow("sqs:SendMessage", f"{HEAD}${{aws:username}}"),), version="2008-10-17")
    assert witness(Judge([old]), SEND, {}, WHERE, f"{HEAD}maria") is None
    assert witness(Judge([replace(old, version=VERSION)]), SEND, {}, WHERE, f"{HEAD}maria") is not None


# --- everything tried, over small universes ---------------------------------------------------------------------------

USER, TAG, KEYS, AGE, FROM = (
    *("aws:username", "aws:ResourceTag/owner", "aws:TagKeys", "aws:MultiFactorAuthAge", "aws:SourceIp"),
)
UNIVERSE: dict[str, tuple[str | tuple[str, ...] | None, ...]] = {
    USER: (None, "a", "b", "ab", "aab"),
    TAG: (None, "a", "b", "ab", "zz"),
    KEYS: (None, ("a",), ("b",), ("a", "b"), ("ab", "b"), ("zz", "a"), ("zz",)),
    AGE: (None, "0", "1", "1.5", "2", "3"),
    FROM: (None, "10.0.0.1", "10.1.0.1", "192.0.2.7", "2001:db8::7"),
}
LETTERS = ["".join(letters) for length in (1, 2, 3) for letters in product("ab", repeat=length)]
TEXTS = st.sampled_from(
    ["a", "b", "ab", "a*", "*b", "?", "*", "${aws:username}", "${aws:username}b", "a${aws:username}*"]
)
IF_EXISTS = st.sampled_from(["", "", "IfExists"])


def on(key: str) -> st.SearchStrategy[Condition]:
    """A condition on a key of the universe."""
    texts = st.sampled_from(
        ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"]
    )
    sets = st.sampled_from(["ForAllValues:", "ForAnyValue:"])
    kinds: dict[str, tuple[st.SearchStrategy[str], st.SearchStrategy[str]]] = {
        USER: (texts, TEXTS.filter(lambda text: "$" not in text)),
        TAG: (texts, TEXTS),
        KEYS: (st.builds(str.__add__, sets, texts), TEXTS),
        AGE: (
            st.sampled_from(["NumericLessThan", "NumericGreaterThan", "NumericEquals", "NumericNotEquals"]),
            st.sampled_from(["1", "2"]),
        ),
        FROM: (
            st.sampled_from(["IpAddress", "NotIpAddress"]),
            st.sampled_from(["10.0.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "::/0"]),
        ),
    }
    operators, values = kinds[key]
    made = st.builds(
        lambda operator, more, wanted: Condition(operator + more, key, tuple(wanted)),
        operators,
        IF_EXISTS,
        st.lists(values, min_size=1, max_size=2, unique=True),
    )
    return st.one_of(made, st.sampled_from(["true", "false"]).map(lambda absent: Condition("Null", key, (absent,))))


@st.composite
def varied(draw: st.DrawFn, keys: list[str]) -> Statement:
    """A statement that speaks of sqs:SendMessage or does not, with conditions on some keys."""
    actions = draw(st.sampled_from([("sqs:SendMessage",), ("sqs:Send*",), ("sqs:ReceiveMessage",)]))
    resources = tuple(draw(st.lists(TEXTS.map(lambda name: f"{HEAD}{name}") | st.just("*"), min_size=1, max_size=2)))
    other_actions, others = draw(st.sampled_from([(False, False), (False, False), (True, False), (False, True)]))
    conditions = [draw(on(key)) for key in keys if draw(st.booleans())]
    return Statement(
        "S",
        draw(st.sampled_from(["Allow", "Deny"])),
        actions=() if other_actions else actions,
        not_actions=actions if other_actions else (),
        resources=() if others else resources,
        not_resources=resources if others else (),
        conditions=tuple(conditions),
    )


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(st.sampled_from([USER, TAG, KEYS, AGE, FROM]), min_size=1, max_size=2, unique=True))
def test_small_universes(data: st.DataObject, keys: list[str]) -> None:
    """None is said only where no request at all makes the difference; what is found is one that does."""
    mine = data.draw(st.lists(varied(keys), min_size=1, max_size=4))
    theirs = data.draw(st.lists(varied(keys), max_size=2))
    known = {key: data.draw(st.sampled_from(UNIVERSE[key])) for key in (USER, *keys) if data.draw(st.booleans())}
    wide = data.draw(st.sampled_from([(), (), (allow("sqs:*", f"{HEAD}a*"),)]))
    judge, but = Judge([Policy((*wide, *mine))]), Judge([Policy(tuple(theirs))])
    about = data.draw(st.sampled_from(["", "", "ab", "a*", "?"]))
    found = witness(judge, SEND, known, WHERE, f"{HEAD}{about}" if about else "", but=but)
    if found is not None and found.outcome == "allowed":
        assert fits(f"{HEAD}{about}" if about else "*", found.request.resource)
        assert judge.decide(found.request).outcome == "allowed"
        assert but.decide(found.request).outcome == "denied"
        assert {key: found.request.context.get(key) for key in known} == known
        return
    free = [key for key in dict.fromkeys((USER, *keys)) if key not in known]
    for chosen in product(*(UNIVERSE[key] for key in free)):
        context = {k: v for k, v in (*known.items(), *zip(free, chosen, strict=True)) if v is not None}
        for name in (name for name in LETTERS if fits(about or "*", name)):
            request = Request(WHERE.principal, "sqs:SendMessage", f"{HEAD}{name}", context)
            if judge.decide(request).outcome == "allowed" and but.decide(request).outcome == "denied":
                assert found is not None, request
                return
    if found is not None:
        event("unknown: " + found.reason.partition(" (")[0][:60])


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(st.sampled_from([USER, TAG, KEYS, AGE, FROM]), min_size=2, max_size=3, unique=True))
def test_what_allows_the_most_is_enough(data: st.DataObject, keys: list[str]) -> None:
    """For what is allowed at all: without the contexts that another outdoes the answer is the same."""
    judge = Judge([Policy(tuple(data.draw(st.lists(varied(keys), min_size=1, max_size=4))))])
    found = []
    for few in (10, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dutybound.witness._FEW_KEYS", few)
            found.append(witness(judge, SEND, {}, WHERE))
    best = found[1]
    outcomes = [one.outcome if one is not None else "denied" for one in found]
    assert outcomes[0] == outcomes[1], outcomes
    if best is not None and best.outcome == "allowed":
        assert judge.decide(best.request).outcome == "allowed"
