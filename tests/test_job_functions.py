"""docs/job-functions.md: what duties give of AWS's job functions is measured, and what it names exists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from dutybound import catalog
from dutybound.catalog import Action
from dutybound.grant import duty_access, example_use
from dutybound.guardrails import EXAMPLE_ACCOUNT
from dutybound.managed import managed_policy
from dutybound.policy import Statement, filled
from dutybound.read import library, library_duty
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "job-functions.md"
JOB_FUNCTIONS = (
    *("AdministratorAccess", "Billing", "DatabaseAdministrator", "DataScientist", "NetworkAdministrator"),
    *("PowerUserAccess", "SecurityAudit", "SupportUser", "SystemAdministrator", "ViewOnlyAccess"),
)
LEVELS = ("list", "read", "write", "tagging", "permissions")
CHANGES = frozenset({"write", "tagging", "permissions"})
_WIDE = re.compile(r"\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:([A-Za-z-]+[/:])?\*")
"""`*`, or the ARN of every resource of a type: `arn:aws:ec2:*:111122223333:instance/*`."""
_MEASURED = re.compile(r"(<!-- measured[^>]*-->\n).*?(<!-- end of measured -->)", re.DOTALL)


def duties_for(function: str) -> list[str]:
    """The duties that the page names for a job function."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {function}\n")[2].partition("\n## ")[0]
    return re.findall(r"`([a-z-]+)`", section.partition("Duties:")[2].partition("\n\n")[0])


def statements_of(policy: str) -> list[Statement]:
    """What an AWS managed policy allows."""
    return [s for s in managed_policy(policy).policy.statements if s.effect == "Allow"]


def actions_of(statements: Iterable[Statement]) -> set[Action]:
    """The actions of the reference that some of the statements allow."""
    out: set[Action] = set()
    for statement in statements:
        patterns = ["*:*" if p == "*" else p for p in statement.actions or statement.not_actions]
        named = {a for p in patterns for a in catalog.actions_of(p)}
        out |= named if statement.actions else set(catalog.actions_of("*:*")) - named
    return out


def on_everything(statements: Iterable[Statement]) -> int:
    """How many changing actions reach every resource, or every one of a type, without a condition."""
    wide = [s for s in statements if any(_WIDE.fullmatch(filled(r, EXAMPLE_ACCOUNT)) for r in s.resources)]
    wide = [s for s in wide if not s.conditions]
    return sum(a.level in CHANGES for a in actions_of(wide))


def measured(function: str) -> str:
    """A row of the table."""
    theirs, ours = statements_of(function), []
    for name in duties_for(function):
        access = duty_access(example_use(name, library_duty(name)), library_duty(name), [])
        ours += [*access.statements, *(s for policy in access.managed for s in statements_of(policy))]
    wanted, given = actions_of(theirs), actions_of(ours)
    both = Counter(a.level for a in wanted & given)
    policy = Counter(a.level for a in wanted)
    cells = [f"{both[level]:,} of {policy[level]:,}" for level in LEVELS]
    version = f"{managed_policy(function).version}, {managed_policy(function).date}"
    wide = [f"{on_everything(ours):,}", f"{on_everything(theirs):,}"]
    return f"| [{function}](#{function.lower()}) {version} | {' | '.join([*cells, *wide])} |"


def test_the_page_names_duties_that_exist() -> None:
    """Every job function has a section with duties of the library, each named once; there are no other sections."""
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Measured", *JOB_FUNCTIONS]
    for function in JOB_FUNCTIONS:
        named = duties_for(function)
        assert named, function
        assert len(named) == len(set(named)), function
        assert not set(named) - set(library()), function
    mentioned = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", text))
    assert not mentioned - set(library())


def test_only_administer_gives_access_to_everything() -> None:
    """No other combination reaches as many changing actions on every resource as the policy that it stands for."""
    for function in set(JOB_FUNCTIONS) - {"AdministratorAccess", "SecurityAudit", "ViewOnlyAccess"}:
        access = [duty_access(example_use(n, library_duty(n)), library_duty(n), []) for n in duties_for(function)]
        ours = [s for a in access for s in a.statements]
        assert on_everything(ours) < on_everything(statements_of(function)), function


def test_the_table_is_measured(golden: Callable[[Path, str], None]) -> None:
    """The table is what the pinned reference, the library and AWS's policies of this date give."""
    head = [
        f"In {catalog.version()}; versions and dates are those of AWS's policies.",
        "",
        "| job function | list | read | write | tagging | permissions | duties: on everything | AWS: on everything |",
        "|---|---|---|---|---|---|---|---|",
    ]
    table = "\n".join([*head, *map(measured, JOB_FUNCTIONS)])
    text = PAGE.read_text(encoding="utf-8")
    assert _MEASURED.search(text)
    golden(PAGE, _MEASURED.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text))
