"""Shortened action lists mean what the long ones mean, in patterns that a person can read, and in few characters."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.catalog import Action
from dutybound.policy import glob
from dutybound.shorten import shortened

LOOKING = ("list", "read")
WORD_END = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s(?:[A-Z]|$))[a-z])")
LINKS = {"And", "By", "For", "From", "In", "Of", "On", "To", "With"}
TYPICAL = ["s3", "ec2", "iam", "rds", "cloudwatch", "sts", "tag", "dynamodb", "ssm", "cloudformation", "logs", "states"]


def expanded(patterns: Iterable[str]) -> set[Action]:
    """What patterns match over the whole reference, judged action by action."""
    out = set()
    for pattern in patterns:
        prefix, _, name = pattern.partition(":")
        matches = glob(name, True).fullmatch
        out |= {a for a in catalog.service(prefix).actions.values() if matches(a.name)}
    return out


def named(*names: str) -> set[Action]:
    """Actions by their names."""
    return {a for n in names if (a := catalog.service(n.partition(":")[0]).action(n.partition(":")[2])) is not None}


@st.composite
def action_sets(draw: st.DrawFn) -> set[Action]:
    """Some actions of one service, often all that start or end alike, as grants choose them."""
    actions = sorted(catalog.service(draw(st.sampled_from(TYPICAL))).actions.values())
    chosen = set(draw(st.lists(st.sampled_from(actions), min_size=1, max_size=40)))
    if draw(st.booleans()):
        words = draw(st.sampled_from(["Get", "List", "Describe", "GetObject", "DescribeInstance"]))
        chosen |= {a for a in actions if a.name.startswith(words)}
    if draw(st.booleans()):
        end = draw(st.sampled_from(["s", "Tags", "Status", "Policy", "Attribute"]))
        chosen -= {a for a in actions if a.name.endswith(end)}
    return chosen


@given(action_sets())
def test_the_same_actions(chosen: set[Action]) -> None:
    """Any set of actions, shortened at any levels, matches exactly itself."""
    for levels in ((), LOOKING, catalog.RANK):
        assert expanded(shortened(chosen, levels)) == chosen


@pytest.mark.parametrize("prefix", catalog.services())
def test_every_service(prefix: str) -> None:
    """All that looks, and a random half of it: exactly that comes back, never longer, and never `service:*`."""
    looking = sorted(a for a in catalog.service(prefix).actions.values() if a.level in LOOKING)
    half = random.Random(prefix).sample(looking, (len(looking) + 1) // 2)  # noqa: S311
    for actions in (looking, half):
        patterns = shortened(actions, LOOKING)
        assert expanded(patterns) == set(actions)
        assert f"{prefix}:*" not in patterns
        assert sum(map(len, patterns)) <= sum(len(str(a)) for a in actions)


@given(action_sets())
def test_only_the_levels_asked_for(chosen: set[Action]) -> None:
    """What changes something is written out, even where a pattern would match just it, and no pattern takes it in."""
    patterns = shortened(chosen, LOOKING)
    assert {str(a) for a in chosen if a.level not in LOOKING} <= set(patterns)
    starred = [p for p in patterns if "*" in p]
    assert {a.level for a in expanded(starred)} <= set(LOOKING)


@given(action_sets())
def test_a_person_can_read_it(chosen: set[Action]) -> None:
    """A pattern starts with a whole verb, is made of whole words, and stands for two actions at least."""
    for pattern in shortened(chosen, catalog.RANK):
        if "*" not in pattern:
            continue
        matched = expanded([pattern])
        assert len(matched) >= 2, pattern
        pieces = pattern.partition(":")[2].split("*")
        assert not LINKS & set(pieces), pattern
        assert any(_of_whole_words(pieces, a.name) for a in matched), pattern


def _of_whole_words(pieces: list[str], name: str) -> bool:
    """Whether the stars of a pattern stand at ends of words of this name; the `s` of a plural may be left to a star."""
    ends = {0, len(name), *(m.start() for m in WORD_END.finditer(name))}
    plural = {len(name) - 1} if name.endswith("s") else set()
    first, *rest = pieces
    if not name.startswith(first) or len(first) not in (ends | plural) - {0}:
        return False
    at = len(first)
    for piece in rest:
        starts = [m.start() for m in re.finditer(f"(?={re.escape(piece)})", name) if m.start() >= at]
        good = [i for i in starts if piece == "" or (i in ends and i + len(piece) in ends | plural)]
        if not good:
            return False
        at = good[-1] + len(piece) if piece else at
    return True


@given(action_sets(), st.randoms(use_true_random=False))
def test_order_does_not_matter(chosen: set[Action], shuffle: random.Random) -> None:
    """The same set in another order, or with actions named twice, gives the same patterns, sorted."""
    actions = sorted(chosen)
    again = [*actions, *actions[:3]]
    shuffle.shuffle(again)
    patterns = shortened(actions, LOOKING)
    assert shortened(again, LOOKING) == patterns
    assert list(patterns) == sorted(set(patterns))


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        (["sqs:ListQueues"], ["sqs:ListQueues"]),
        (["sqs:ListQueues", "sqs:ListQueueTags", "sqs:ListDeadLetterSourceQueues", "sqs:ListMessageMoveTasks"], None),
        (["ec2:DescribeVpcs", "ec2:DescribeRegions"], ["ec2:DescribeRegions", "ec2:DescribeVpcs"]),
        (
            ["ec2:DescribeTransitGatewayRouteTables", "ec2:DescribeRouteTables", "ec2:DescribeLocalGatewayRouteTables"],
            ["ec2:Describe*RouteTables"],
        ),
        (
            ["wafv2:ListWebACLs", "wafv2:ListResourcesForWebACL", "wafv2:ListTagsForResource"],
            ["wafv2:List*ACL*", "wafv2:List*Resource*"],
        ),
    ],
)
def test_examples(granted: list[str], expected: list[str] | None) -> None:
    """One action by its name; a whole verb; two that share no pattern; an end in common; an acronym as a word."""
    actions = named(*granted)
    assert len(actions) == len(granted)
    assert shortened(actions, LOOKING) == tuple(expected or ["sqs:List*"])


def test_writes_are_shortened_where_asked() -> None:
    """Denies, and duties that say so, pass the levels of what changes things."""
    writes = {a for a in catalog.service("sqs").actions.values() if a.name.startswith("Delete")}
    assert len(writes) > 1
    assert all("*" not in p for p in shortened(writes, LOOKING))
    assert shortened(writes, catalog.RANK) == ("sqs:Delete*",)


@st.composite
def small_sets(draw: st.DrawFn) -> list[Action]:
    """A few neighbours of one service, few enough to try every cover."""
    prefix = draw(st.sampled_from(["ec2", "cloudformation", "ssm", "s3", "logs", "codecommit", "glue"]))
    looking = sorted(a for a in catalog.service(prefix).actions.values() if a.level in LOOKING)
    at = draw(st.integers(0, len(looking) - 1))
    near = looking[at : at + 12]
    return draw(st.lists(st.sampled_from(near), min_size=2, max_size=6, unique=True))


@given(small_sets())
def test_as_short_as_any_cover(chosen: list[Action]) -> None:
    """Where all covers by patterns of this form can be tried, none of them is shorter."""
    frame = len(chosen[0].service) + 4
    size = sum(len(p) + 3 for p in shortened(chosen, LOOKING))
    patterns = {p: frozenset(expanded([f"{chosen[0].service}:{p}"])) for a in chosen for p in _forms(a.name)}
    usable = {m: p for p, m in sorted(patterns.items(), key=lambda e: -len(e[0])) if len(m) > 1 and m <= set(chosen)}
    best = sum(len(a.name) + frame for a in chosen)
    for count in range(1, 4):
        for masks in combinations(usable, count):
            bare = set(chosen).difference(*masks)
            best = min(best, sum(len(usable[m]) + frame for m in masks) + sum(len(a.name) + frame for a in bare))
    assert size <= best


def _forms(name: str) -> Iterator[str]:
    """All patterns that a name can stand in: `Verb…*`, `Verb…*End`, `Verb…*Part*`."""
    cuts = [m.start() for m in WORD_END.finditer(name)]
    for head in cuts or [len(name)]:
        yield f"{name[:head]}*"
        for start in [c for c in cuts if c >= head]:
            yield f"{name[:head]}*{name[start:]}"
            for end in [c for c in [*cuts, len(name)] if c > start and name[start:c] not in LINKS]:
                yield f"{name[:head]}*{name[start:end]}*"
    yield f"{name}*"
    if re.search(r"(?<!ie)(?<![su])s$", name):
        yield f"{name[:-1]}*"
