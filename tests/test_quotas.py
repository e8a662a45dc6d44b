"""The quotas are data that can be relied on: complete, sourced, and known to be what AWS says today."""

from __future__ import annotations

import re

import pytest

from dutybound.quotas import name_rule, name_rules, quota, quotas


@pytest.mark.parametrize("name", quotas())
def test_every_quota_has_its_source(name: str) -> None:
    """A number, the page that it is from, when it was read, and a maximum that is not below the default."""
    row = quota(name)
    assert row.name == name
    assert 0 < row.value <= row.maximum
    assert row.source.page
    assert re.search(r"\b20\d\d\b", row.source.read)
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)


@pytest.mark.parametrize(
    ("name", "value", "maximum"),
    [
        ("managed-policy-size", 6144, 6144),
        ("inline-policies-size-per-user", 2048, 2048),
        ("inline-policies-size-per-group", 5120, 5120),
        ("inline-policies-size-per-role", 10240, 10240),
        ("trust-policy-size", 2048, 8192),
        ("managed-policies-per-group", 10, 10),
        ("managed-policies-per-role", 10, 25),
        ("managed-policies-per-user", 10, 20),
        ("groups-per-user", 10, 10),
        ("resources-per-stack", 500, 500),
        ("dynamic-references-per-stack", 60, 60),
        ("service-control-policy-size", 10240, 10240),
        ("permission-set-policy-size", 10240, 10240),
    ],
)
def test_numbers_that_the_compiler_relies_on(name: str, value: int, maximum: int) -> None:
    """A slip of a digit in the data is a failed deployment."""
    assert (quota(name).value, quota(name).maximum) == (value, maximum)


@pytest.mark.parametrize("kind", name_rules())
def test_every_rule_for_names_works(kind: str) -> None:
    """It has a source, its expression compiles, and it sets the limits that it says."""
    rule = name_rule(kind)
    assert rule.kind == kind
    assert rule.source.page
    assert not rule.allows("naïve—😀")
    if rule.longest is not None:
        assert not rule.allows("a" * (rule.longest + 1))


@pytest.mark.parametrize(
    ("kind", "name", "allowed"),
    [
        ("user", "a" * 64, True),
        ("user", "a" * 65, False),
        ("user", "", False),
        ("user", "maria.silva+aws=ok,@-_", True),
        ("user", "maria silva", False),
        ("user", "maria\n", False),
        ("group", "g" * 128, True),
        ("permission-set", "p" * 33, False),
        ("saml-provider", "a+b", False),
        ("path", "/", True),
        ("path", "/a/b/", True),
        ("path", "/a", False),
        ("managed-policy-path", "/", True),
        ("managed-policy-path", "/a/b/", True),
        ("managed-policy-path", "/a!/", False),
        ("sid", "ViewServers1", True),
        ("sid", "View-Servers", False),
        ("policy-text", "Zürich\t1", True),
        ("policy-text", "a — b", False),
        ("external-id", "x", False),
        ("external-id", "x:/y", True),
        ("role-session", "x/y", False),
        ("stack", "1st", False),
        ("stack", "acme-teams", True),
    ],
)
def test_names(kind: str, name: str, allowed: bool) -> None:
    """Lengths and characters as the pages say."""
    assert name_rule(kind).allows(name) is allowed


def test_what_is_not_recorded_is_an_error() -> None:
    """No guess for a quota or a kind of name that nobody looked up."""
    with pytest.raises(KeyError):
        quota("managed-policy-length")
    with pytest.raises(KeyError):
        name_rule("flow")
