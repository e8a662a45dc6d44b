"""The reference as we read it: levels, and action lists shortened without changing what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.catalog import Action

LOOKING = ("list", "read")


def expanded(patterns: tuple[str, ...]) -> set[Action]:
    """What patterns match over the whole service, judged pattern by pattern."""
    services = {p.partition(":")[0] for p in patterns}
    return {a for s in services for a in catalog.service(s).actions.values() for p in patterns if catalog.matches(p, a)}


@given(st.sampled_from(["s3", "ec2", "iam", "rds", "cloudwatch", "sts", "tag", "dynamodb"]), st.data())
def test_shortened_means_the_same(prefix: str, data: st.DataObject) -> None:
    """Any set of actions, shortened at any levels, matches exactly itself."""
    actions = sorted(catalog.service(prefix).actions.values())
    chosen = set(data.draw(st.lists(st.sampled_from(actions), min_size=1)))
    if data.draw(st.booleans()):
        words = data.draw(st.sampled_from(["Get", "List", "Describe", "GetObject", "DescribeInstance"]))
        chosen |= {a for a in actions if a.name.startswith(words)}
    for levels in ((), LOOKING, catalog.RANK):
        assert expanded(catalog.shortened(chosen, levels)) == chosen


@pytest.mark.parametrize("prefix", catalog.services())
def test_levels_of_a_service_shortened(prefix: str) -> None:
    """Every service: its list and read actions come back exactly, and never as `service:*`."""
    actions = {a for a in catalog.service(prefix).actions.values() if a.level in LOOKING}
    patterns = catalog.shortened(actions, LOOKING)
    assert expanded(patterns) == actions
    assert f"{prefix}:*" not in patterns
    assert len(patterns) <= len(actions)


def test_only_looking_is_shortened() -> None:
    """Write actions are listed one by one, even where a pattern would match them exactly."""
    writes = {a for a in catalog.service("s3").actions.values() if a.level == "write"}
    assert not any("*" in p for p in catalog.shortened(writes, LOOKING))


@pytest.mark.parametrize(
    ("action", "level"),
    [
        ("iam:PassRole", "permissions"),
        ("iam:CreateUser", "permissions"),
        ("iam:CreateAccessKey", "permissions"),
        ("iam:CreateLoginProfile", "permissions"),
        ("iam:AddUserToGroup", "permissions"),
        ("iam:UpdateAssumeRolePolicy", "permissions"),
        ("s3:GetObject", "read"),
        ("s3:ListBucket", "list"),
        ("s3:PutObject", "write"),
        ("s3:PutBucketPolicy", "permissions"),
        ("ec2:CreateTags", "tagging"),
    ],
)
def test_levels(action: str, level: str) -> None:
    """Levels as the house counts them; what hands out access is never 'write'."""
    prefix, _, name = action.partition(":")
    found = catalog.service(prefix).action(name)
    assert found is not None
    assert found.level == level


def test_every_compound_level_is_one() -> None:
    """The reference names two levels for some actions; each action has one of ours."""
    levels = {a.level for s in catalog.services() for a in catalog.service(s).actions.values()}
    assert levels == set(catalog.RANK)
