"""The reference as we read it: the level of every action."""

from __future__ import annotations

import pytest

from dutybound import catalog


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
