"""The built-in duties keep what they promise, and what the house promises of them."""

from __future__ import annotations

from functools import cache
from importlib import resources

import pytest

from dutybound import catalog
from dutybound.asked import BOUNDARY_ARN, Scope
from dutybound.catalog import Action
from dutybound.compiler import compile_text
from dutybound.config import Duty, DutyUse, Expectation, ManagedGrant, Mfa, PassGrant, StatementGrant
from dutybound.diagnostic import Diagnostic, Text
from dutybound.grant import Access, duty_access, example_use
from dutybound.guardrails import expectations, judge_of, judged
from dutybound.mfa import mfa_policy
from dutybound.policy import ACCOUNT, Statement
from dutybound.read import library, library_duty
from tests.test_compile import BASE

LOOKING = {"list", "read"}
VIEWS = [name for name in library() if name.startswith(("view-", "read-", "audit-"))]
FOR_PEOPLE = "For people only: "
"""How the file of a duty begins that needs MFA throughout, and so is of no use to a role."""
UNSCOPED_BEARERS = {("install-packages", "sts:GetServiceBearerToken")}
"""Escalation actions without resources; each is limited by a condition instead."""


@cache
def access_of(name: str) -> Access:
    """What the duty gives with its example parameters."""
    return given(example_use(name, library_duty(name)), library_duty(name))


def actions_in(statement: Statement) -> list[Action]:
    """The actions of the reference that a statement takes in."""
    return [action for pattern in statement.actions for action in catalog.actions_of(pattern)]


def notes(name: str) -> str:
    """The comment at the top of the duty's file."""
    text = (resources.files("dutybound") / "duties" / f"{name}.yaml").read_text(encoding="utf-8")
    return "\n".join(line for line in text.partition("summary:")[0].splitlines())


@pytest.mark.parametrize("name", library())
def test_expectations_hold(name: str) -> None:
    """Every allow of the duty is allowed, every deny denied, and there are enough of both."""
    duty = library_duty(name)
    assert [r.failure.message for r in expectations(name, duty) if r.failure is not None] == []
    assert sum(e.allow is not None for e in duty.expect) >= 1
    assert name == "administer" or sum(e.deny is not None for e in duty.expect) >= 3


@pytest.mark.parametrize("name", library())
def test_no_action_is_a_whole_service(name: str) -> None:
    """No `*` and no `service:*` in what a duty writes itself."""
    for statement in access_of(name).statements:
        assert statement.effect == "Allow"
        assert statement.actions
        assert not statement.not_actions
        for action in statement.actions:
            assert action.partition(":")[2] not in ("*", "")
            assert action.partition(":")[0] in catalog.services()


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_changes_nothing(name: str) -> None:
    """A duty that is named for looking grants list and read actions only."""
    assert access_of(name).managed == ()
    for statement in access_of(name).statements:
        found = actions_in(statement)
        assert found
        assert {a.level for a in found} <= LOOKING, statement.actions


@pytest.mark.parametrize("name", library())
def test_every_wide_grant_says_why(name: str) -> None:
    """A grant that reaches every resource, or every one of a type, has a reason in writing; so has every pass."""
    for grant in library_duty(name).grants:
        named = getattr(grant, "resources", None)
        everywhere = named is None or any(str(text) == "*" for texts in named.values() for text in texts)
        if everywhere or isinstance(grant, PassGrant):
            assert grant.why, grant


@pytest.mark.parametrize("name", library())
def test_no_escalation_on_everything(name: str) -> None:
    """What hands out access is never granted on `*`, nor on all users, roles, groups or policies of the account."""
    all_of_iam = tuple(f"iam::{ACCOUNT}:{kind}/*" for kind in ("group", "instance-profile", "policy", "role", "user"))
    for statement in access_of(name).statements:
        wide = [r for r in statement.resources if r == "*" or r.endswith(all_of_iam)]
        handed_out = {str(a) for a in actions_in(statement) if a.level == "permissions"} if wide else set()
        for action in handed_out:
            assert (name, action) in UNSCOPED_BEARERS, (action, wide)
            assert statement.conditions


@pytest.mark.parametrize("name", [n for n in library() if library_duty(n).parameters])
def test_parameters_scope_the_duty(name: str) -> None:
    """Where a parameter names something else, something that the duty is expected to allow is out of reach.

    Each parameter has a description for whoever fills it in.
    """
    duty = library_duty(name)
    assert all(p.description for p in duty.parameters.values())
    for parameter, about in duty.parameters.items():
        other = Text("zz-other/zz-other" if "/" in about.example[0] else "zz-other")
        values = {p: (other,) if p == parameter else v.example for p, v in duty.parameters.items()}
        access = given(DutyUse.model_construct(name=Text(name), parameters=values), duty)
        allows = [e for e in duty.expect if e.allow]
        kept = [e for e in allows if allowed(access, e)]
        assert len(kept) < len(allows), parameter


def given(use: DutyUse, duty: Duty) -> Access:
    """What one use of a duty gives."""
    found: list[Diagnostic] = []
    access = duty_access(use, duty, found)
    assert not found
    return access


def allowed(access: Access, expectation: Expectation) -> bool:
    """Whether this access allows the request of an expectation."""
    action, _, resource = expectation.request.partition(" on ")
    when = {str(k): tuple(map(str, v)) for k, v in expectation.when.items()}
    return judged(judge_of(access), action, resource, when).outcome == "allowed"


@pytest.mark.parametrize("name", library())
def test_mfa_is_for_people(name: str) -> None:
    """Sessions of roles carry no MFA, so a duty that asks for it says whom it is for."""
    asks = [g for g in library_duty(name).grants if getattr(g, "when", None) and g.when.mfa]  # type: ignore[union-attr]
    if asks:
        assert "people" in notes(name), name
        assert "roles of software" not in notes(name)
    assert not notes(name).startswith(f"# {FOR_PEOPLE}") or asks


def test_only_administer_attaches_an_aws_managed_policy() -> None:
    """AdministratorAccess is for the one duty that says so, and benchmarks look for AWSSupportAccess by its name; no
    duty holds raw statements.
    """
    grants = [(name, grant) for name in library() for grant in library_duty(name).grants]
    assert [name for name, grant in grants if isinstance(grant, ManagedGrant)] == ["administer", "contact-aws-support"]
    assert not [name for name, grant in grants if isinstance(grant, StatementGrant)]


def test_enrol_mfa_is_what_everybody_has() -> None:
    """The duty allows exactly what the policy for everyone allows, so that neither drifts from the other."""

    def allows(statements: tuple[Statement, ...]) -> set[tuple[str, str, object]]:
        return {
            (str(action), resource, statement.conditions)
            for statement in statements
            if statement.effect == "Allow"
            for action in actions_in(statement)
            for resource in statement.resources
            if resource == "*" or resource.split(":")[5].split("/")[0] in action.types
        }

    mine, everybody = allows(access_of("enrol-mfa").statements), allows(mfa_policy(Mfa()).statements)
    assert mine == everybody


@pytest.mark.parametrize("name", ["create-roles", "enrol-mfa", "install-packages", "delete-backups"])
def test_never_takes_every_duty(name: str) -> None:
    """A duty can be denied to a team whether or not the configuration declares what the duty needs."""
    checked = compile_text(f"{BASE}teams:\n  team: {{purpose: x, members: [maria], never: [{name}]}}\n")
    assert checked.diagnostics == ()
    assert checked.value is not None
    denied = {a for s in checked.value.accounts[0].policy("team-team").policy.statements for a in s.actions}
    assert denied


def test_create_roles_needs_a_boundary() -> None:
    """Without a boundary there is nothing to make roles within: an error, and no statement that lacks it."""
    found: list[Diagnostic] = []
    duty = library_duty("create-roles")
    access = duty_access(example_use("create-roles", duty), duty, found, Scope(boundary_path=None))
    assert {d.name for d in found} == {"no-boundary"}
    assert not [s for s in access.statements if "iam:CreateRole" in s.actions]
    (makes,) = [s for s in access_of("create-roles").statements if "iam:CreateRole" in s.actions]
    assert [c.values for c in makes.conditions] == [(BOUNDARY_ARN,)]


def test_roles_of_the_configuration_are_passed_by_name() -> None:
    """A parameter for roles takes a path and name, or the name of one of `roles`; never every role there is."""
    config = (
        "roles: {{web-server: {{purpose: Serve, trusts: {{service: ec2}}}}}}\n"
        "teams:\n  team:\n    purpose: Run servers\n    members: [maria]\n"
        "    duties: [{{give-roles-to-servers: {{servers: 'i-0*', roles: {roles}}}}}]\n"
    )
    checked = compile_text(BASE + config.format(roles="[web-server, app/web-*]"))
    assert checked.diagnostics == ()
    assert checked.value is not None
    statements = checked.value.accounts[0].policy("team-team").policy.statements
    (passes,) = [s for s in statements if s.actions == ("iam:PassRole",)]
    assert [r.partition(":role/")[2] for r in passes.resources] == ["app/web-*", "roles/web-server"]
    assert [d.name for d in compile_text(BASE + config.format(roles="'*'")).diagnostics] == ["wide-pass"]
