"""The built-in duties keep what they promise, and what the house promises of them."""

from __future__ import annotations

import pytest

from dutybound import catalog
from dutybound.grant import duty_access, example_use
from dutybound.guardrails import expectations
from dutybound.read import library, library_duty

CHANGES = {"write", "tagging", "permissions"}
VIEWS = [name for name in library() if name.startswith(("view-", "read-", "audit-"))]


@pytest.mark.parametrize("name", library())
def test_expectations_hold(name: str) -> None:
    """Every allow of the duty is allowed, every deny denied, and there are enough of both."""
    duty = library_duty(name)
    assert [d.message for d in expectations(name, duty)] == []
    assert sum(e.allow is not None for e in duty.expect) >= 1
    assert name == "administer" or sum(e.deny is not None for e in duty.expect) >= 1


@pytest.mark.parametrize("name", library())
def test_no_action_is_a_whole_service(name: str) -> None:
    """No `*` and no `service:*` in what a duty writes itself."""
    found: list[object] = []
    access = duty_access(example_use(name, library_duty(name)), library_duty(name), found)  # type: ignore[arg-type]
    assert not found
    for statement in access.statements:
        assert statement.effect == "Allow"
        assert statement.actions
        assert not statement.not_actions
        for action in statement.actions:
            assert action.partition(":")[2] not in ("*", "")
            assert action.partition(":")[0] in catalog.services()


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_changes_nothing(name: str) -> None:
    """A duty that is named for looking grants list and read actions only."""
    found: list[object] = []
    access = duty_access(example_use(name, library_duty(name)), library_duty(name), found)  # type: ignore[arg-type]
    assert access.managed == ()
    patterns = [a for s in access.statements for a in s.actions]
    for pattern in patterns:
        actions = catalog.service(pattern.partition(":")[0]).actions.values()
        hits = [a for a in actions if catalog.matches(pattern, a)]
        assert hits
        assert {a.level for a in hits} <= {"list", "read"}, pattern


@pytest.mark.parametrize("name", library())
def test_every_wide_grant_says_why(name: str) -> None:
    """A grant that reaches every resource has a reason in writing."""
    for grant in library_duty(name).grants:
        if getattr(grant, "resources", None) is None:
            assert grant.why, grant


def test_only_administer_attaches_an_aws_managed_policy() -> None:
    """AdministratorAccess is for the one duty that says so."""
    holders = [n for n in library() if any(hasattr(g, "managed") for g in library_duty(n).grants)]
    assert holders == ["administer"]
