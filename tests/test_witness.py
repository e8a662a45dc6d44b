"""The search finds a request wherever there is one, and never one that is not: compared with trying them all."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.arns import Where
from dutybound.catalog import Action
from dutybound.evaluate import Judge, Policies, Request
from dutybound.policy import Condition, Policy, Statement
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
    found = witness(side(allow("sqs:SendMessage"), *denies), SEND, {}, WHERE)
    assert found is not None
    assert found.outcome == "unknown"
    assert "cases" in found.reason


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
