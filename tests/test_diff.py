"""`dutybound diff`: a real git history, what each change of it means, and the exact comment that a reviewer reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from click.testing import CliRunner, Result

from dutybound.cli import cli
from dutybound.deployment import FIXED
from dutybound.report.review import LARGEST_COMMENT, MARKER, phrases
from tests.conftest import CASES
from tests.test_explain import NOVEMBER

FOLDER = CASES / "diff"
GIT = {
    "GIT_AUTHOR_DATE": "2026-11-23T12:00:00Z",
    "GIT_COMMITTER_DATE": "2026-11-23T12:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Somebody"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "somebody@acme.example"),
}
"""The same commits on every run, so that their numbers can stand in golden files."""


def git(*words: str, cwd: Path) -> str:
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("GIT_")}, **GIT}
    return subprocess.run(["git", *words], cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> None:
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", message, cwd=folder)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the configuration of the cases on `main`, and a branch on which to change it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "repository"
    shutil.copytree(FOLDER / "config", folder / "config")
    git("init", "-q", "-b", "main", ".", cwd=folder)
    commit(folder, "The configuration as it was")
    git("switch", "-q", "-c", "change", cwd=folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", NOVEMBER)
    return folder


def diff(*words: str) -> Result:
    result = CliRunner().invoke(cli, ["diff", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def stable(text: str) -> str:
    """Without the lines of the library's own files, which move."""
    return re.sub(r"(dutybound/duties/[a-z-]+\.yaml:)\d+", r"\1N", text)


@dataclass(frozen=True)
class Edit:
    """One text of one file in the place of another."""

    file: str
    old: str
    new: str

    def apply(self, folder: Path) -> None:
        path = folder / "config" / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, self
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def split_files(folder: Path) -> None:
    """Teams in a file of their own each, in another order, their lists turned round."""
    config = folder / "config"
    text = (config / "teams.yaml").read_text(encoding="utf-8")
    _, *blocks = re.split(r"\n(?=  [a-z]+:\n)|^teams:", text, flags=re.MULTILINE)
    for block in filter(str.strip, blocks):
        name = block.strip().partition(":")[0]
        turned = block.replace("[john, maria, tom]", "[tom, john, maria]")
        (config / f"team-{name}.yaml").write_text(f"teams:\n{turned.strip(chr(10))}\n", encoding="utf-8")
    (config / "teams.yaml").unlink()
    Edit("duties.yaml", "  answer-alarms:\n", "  # Told apart from manage-alarms.\n  answer-alarms:\n").apply(folder)


Change = Callable[[Path], None] | tuple[Edit, ...]
HISTORY: Mapping[str, tuple[Change, int]] = {
    "refactoring": (split_files, 0),
    "same-in-two-grants": (
        (
            Edit(
                "duties.yaml",
                "      - actions: [cloudwatch:DescribeAlarms, cloudwatch:SetAlarmState]\n"
                '        resources: {alarm: "site-*"}\n',
                '      - {actions: [cloudwatch:DescribeAlarms], resources: {alarm: "site-*"}}\n'
                '      - {actions: [cloudwatch:SetAlarmState], resources: {alarm: "site-*"}}\n',
            ),
        ),
        0,
    ),
    "new-duty": (
        (
            Edit(
                "teams.yaml",
                "      - view-metrics\n",
                "      - view-metrics\n      - read-secrets: {secrets: [app/*]}\n",
            ),
        ),
        1,
    ),
    "widened-bucket": ((Edit("teams.yaml", "buckets: [acme-dev-site]", "buckets: [acme-dev-*]"),), 1),
    "mfa-condition-dropped": (
        (
            Edit("duties.yaml", "        when: {mfa: 15m}\n", ""),
            Edit("roles.yaml", '"111100001111", mfa: true', '"111100001111", roles: [deployer]'),
        ),
        1,
    ),
    "without-mfa": (
        (
            Edit(
                "organization.yaml", "mfa: {enforce_via: both}", "mfa: {enforce_via: both, first_password_change: true}"
            ),
        ),
        1,
    ),
    "boundary-removed": ((Edit("organization.yaml", "enforce_via: both", "enforce_via: group"),), 1),
    "trust-opened": (
        (
            Edit("roles.yaml", "{service: ec2}", "{service: lambda}"),
            Edit("roles.yaml", '{account: "999988887777", external_id: acme-9f3c2b7148d0}', "{team: developers}"),
        ),
        1,
    ),
    "member-moved": (
        (
            Edit("teams.yaml", "members: [john, maria, tom]", "members: [john, tom]"),
            Edit("teams.yaml", "members: [ada]", "members: [ada, maria]"),
        ),
        1,
    ),
    "new-administrator": ((Edit("teams.yaml", "members: [john-admin]", "members: [john-admin, eve]"),), 1),
    "team-renamed": ((Edit("teams.yaml", "  developers:\n", "  engineers:\n"),), 1),
    "team-in-another-case": ((Edit("teams.yaml", "  developers:\n", "  Developers:\n"),), 1),
    "person-removed": ((Edit("teams.yaml", "members: [john, maria, tom]", "members: [john, maria]"),), 1),
    "team-removed": (
        (
            Edit(
                "teams.yaml",
                "  auditors:\n    purpose: Show that we keep to the rules\n    members: [ada]\n"
                "    duties: [view-billing, audit-security]\n",
                "",
            ),
        ),
        1,
    ),
    "way-to-administrator": (
        (
            Edit(
                "teams.yaml",
                "      - view-metrics\n",
                "      - view-metrics\n      - manage-functions: {functions: [site-*]}\n",
            ),
        ),
        1,
    ),
    "break-glass": (
        (
            Edit("organization.yaml", "users: [break-glass-1, break-glass-2]", "users: [break-glass-1, emergency]"),
            Edit(
                "organization.yaml",
                "alert: [security@acme.example]",
                "alert: [security@acme.example, cto@acme.example]\n  password: secret",
            ),
        ),
        1,
    ),
    "organization-renamed": ((Edit("organization.yaml", "name: acme,", "name: apex,"),), 1),
}


@pytest.mark.parametrize("name", HISTORY)
def test_the_comment_on_a_change(name: str, repository: Path, golden: Callable[[Path, str], None]) -> None:
    """Each change of the history, committed on its branch, and what a reviewer reads of it."""
    change, code = HISTORY[name]
    if isinstance(change, tuple):
        for edit in change:
            edit.apply(repository)
    else:
        change(repository)
    commit(repository, name)
    found = diff("main", "change", "--format", "markdown")
    golden(FOLDER / f"{name}.md", stable(found.output))
    assert found.exit_code == code, found.output
    assert found.output.startswith(f"{MARKER}\n")
