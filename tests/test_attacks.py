"""What SECURITY.md says of attacks, tried: each test is one way in, and what stands in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dutybound.cli import cli
from dutybound.compiler import compile_text
from tests.conftest import ROOT

ORGANIZATION = "version: 1\norganization: {name: acme, owner: owner@acme.example, home_region: eu-west-1}\n"
SECONDS = 20
"""Far above what an attack may cost here, and far below what an exponent costs."""


def _command(*words: str | Path) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def _bomb(levels: int, width: int, merge: bool = False) -> str:
    """Mappings or lists of the ones before them: `width` to the power of `levels` values."""
    lines = ["a0: &a0 {k: v}" if merge else "a0: &a0 [v]"]
    for level in range(1, levels):
        inner = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} " + (f"{{<<: [{inner}], k{level}: v}}" if merge else f"[{inner}]"))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (_bomb(30, 10), "too-many-values"),
        (_bomb(30, 10, merge=True), "too-many-values"),
        ("a: &a " + "{b: " * 60 + "c" + "}" * 60 + "\nd: [" + ", ".join(["*a"] * 9000) + "]\n", "too-many-values"),
        ("a: " + "[" * 100_000 + "]" * 100_000 + "\n", "too-deep"),
        ("a: " + "{b: " * 50_000 + "\n", "too-deep"),
        ("? " * 50_000 + "a\n", "too-deep"),
        ("- " * 50_000 + "a\n", "too-deep"),
        ("a: &a [*a]\n", "unknown-alias"),
        ("a: !!python/object/apply:os.system [touch owned]\n", "unknown-tag"),
        ("%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system [touch owned]\n", "unknown-tag"),
    ],
    ids=["lists", "merges", "one alias often", "brackets", "braces", "keys", "dashes", "itself", "object", "own tag"],
)
def test_yaml_that_is_meant_to_break_the_reader_is_refused_soon(text: str, name: str) -> None:
    """Memory and time stay bounded, and nothing is executed."""
    start = time.monotonic()
    checked = compile_text(text)
    assert name in {found.name for found in checked.diagnostics}
    assert time.monotonic() - start < SECONDS
    assert not Path("owned").exists()


TERMINAL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066"
"""Sets a window's title, clears the screen, colours, turns the direction of writing."""


@pytest.mark.parametrize(
    "made",
    [
        {"teams": {TERMINAL: {"purpose": "p", "members": ["john"], "duties": ["view-costs"]}}},
        {"teams": {"a": {"purpose": TERMINAL, "members": ["john"], "duties": ["view-costs"]}}},
        {"teams": {"a": {"purpose": "p", "members": [TERMINAL], "duties": ["view-costs"]}}},
        {"teams": {"a": {"purpose": "p", "members": ["john"], "duties": [TERMINAL]}}},
        {"teams": {"a": {"purpose": "p", "members": ["john"], "duties": [{"use-storage": {"buckets": [TERMINAL]}}]}}},
        {TERMINAL: 1},
        {"roles": {"a": {"purpose": TERMINAL, "trusts": {"service": TERMINAL}, "duties": ["view-costs"]}}},
        {"duties": {"own": {"purpose": TERMINAL, "because": TERMINAL, "grants": [{"actions": [TERMINAL]}]}}},
    ],
    ids=["team", "purpose", "member", "duty", "parameter", "key", "role", "own duty"],
)
def test_no_text_reaches_the_terminal_as_a_command(tmp_path: Path, made: dict[str, Any]) -> None:
    """Written with YAML's own escapes, so that no raw character gives it away; in messages, answers and reports."""
    (tmp_path / "access.yaml").write_text(ORGANIZATION + yaml.safe_dump(made), encoding="utf-8")
    answers = [
        _command("check", tmp_path, "--format", form).output for form in ("text", "github", "json", "sarif", "junit")
    ]
    answers.append(_command("list-access", "--config", tmp_path, "john").output)
    answers.append(_command("explain", "--config", tmp_path, TERMINAL, TERMINAL).output)
    if _command("report", tmp_path, "--out", tmp_path / "out").exit_code == 0:
        answers += [(tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("access.md", "access.csv")]
    for answer in answers:
        assert answer
        assert not set(answer) & set("\x1b\x07\x9b\u202e\u2066"), ascii(answer)


@pytest.mark.parametrize(
    "name", ["../../owned", "/owned", "a/b", "..", ".", "a\x00b", "a\\b", "-rf", "README", "a" * 300]
)
@pytest.mark.parametrize("kind", ["teams", "duties"])
def test_no_name_leads_out_of_the_folder_of_a_report(tmp_path: Path, name: str, kind: str) -> None:
    """Names become file names of pages; one that could be a path is an error, and nothing is written."""
    duty = {"purpose": "p", "grants": [{"service": "s3", "access": ["list"], "because": "b"}]}
    team = {"purpose": "p", "members": ["john"], "duties": [name if kind == "duties" else "view-costs"]}
    made = {"teams": {name if kind == "teams" else "a": team}} | ({"duties": {name: duty}} if kind == "duties" else {})
    inside = tmp_path / "config"
    inside.mkdir()
    (inside / "access.yaml").write_text(ORGANIZATION + yaml.safe_dump(made), encoding="utf-8")
    done = _command("report", inside, "--docs", tmp_path / "pages")
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - {inside / "access.yaml"}
    assert done.exit_code == 1, done.output
    assert not written
    assert "error[" in done.output


def test_a_report_replaces_links_and_writes_through_none(tmp_path: Path) -> None:
    """Whoever can put a link into the folder of reports cannot have another file written."""
    other = tmp_path / "other"
    other.write_text("mine", encoding="utf-8")
    (tmp_path / "out").mkdir()
    for name in ("access.md", "access.html", "access.json", "access.csv"):
        (tmp_path / "out" / name).symlink_to(other)
    assert _command("report", ROOT / "examples" / "personal", "--out", tmp_path / "out").exit_code == 0
    assert other.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "out" / "access.md").is_symlink()


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "pipe", "circle.yaml", "/proc/self/mem", "folder"])
def test_what_is_no_file_is_not_read_through_a_link(tmp_path: Path, target: str) -> None:
    """Neither without end nor without an answer."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    (tmp_path / "evil.yaml").symlink_to(target)
    done = subprocess.run(
        [sys.executable, "-c", "from dutybound.cli import main; main()", "check", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "error[unreadable-file]" in done.stderr
    assert "Traceback" not in done.stderr


def test_git_starts_no_program_that_a_repository_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters, converters, monitors, hooks and pagers of a folder from elsewhere, for whatever reads its history."""
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "owned"

    def git(*words: str) -> None:
        who = ("-c", "user.name=john", "-c", "user.email=john@acme.example")
        subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, check=True)

    git("init", "--initial-branch=main")
    config = tmp_path / "config"
    config.mkdir()
    (config / "access.yaml").write_bytes((ROOT / "examples" / "personal" / "account.yaml").read_bytes())
    git("add", ".")
    git("commit", "-m", "the base")
    evil = f"touch '{mark}-%s'; cat"
    for key in (
        *("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "core.askPass", "credential.helper"),
        *("diff.external", "diff.evil.textconv", "diff.evil.command", "filter.evil.clean", "filter.evil.smudge"),
        *("alias.blame", "alias.ls-tree", "gpg.program", "uploadpack.packObjectsHook", "pager.blame"),
    ):
        git("config", key, ("!" if key.startswith("alias") else "") + evil % key)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\n{evil % name}\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    git("config", "core.hooksPath", str(hooks))
    (tmp_path / ".git" / "info" / "attributes").write_text("*.yaml filter=evil diff=evil\n", encoding="utf-8")
    for left in tmp_path.glob("owned-*"):  # of the last calls above
        left.unlink()
    text = (config / "access.yaml").read_text(encoding="utf-8")
    (config / "access.yaml").write_text(text.replace("john", "jane"), encoding="utf-8")  # as long as before
    for words in ("diff", "diff HEAD", "diff HEAD HEAD", "report --out out", "report --docs"):
        assert "error" not in _command(*words.split()).output
        assert not list(tmp_path.glob("owned-*")), words
    report = json.loads((tmp_path / "out" / "access.json").read_bytes())
    assert report["commit"].endswith("+")
    assert "not committed yet" in json.dumps(report)


def test_a_folder_that_looks_like_a_repository_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can commit the files of a bare repository; its settings are not followed (safe.bareRepository)."""
    config = tmp_path / "config"
    subprocess.run(["git", "init", "--quiet", "--bare", str(config)], check=True)
    for key in ("core.fsmonitor", "core.sshCommand"):
        subprocess.run(["git", "-C", str(config), "config", key, f"touch '{tmp_path}/owned'"], check=True)
    (config / "access.yaml").write_bytes((ROOT / "examples" / "personal" / "account.yaml").read_bytes())
    monkeypatch.chdir(config)
    assert _command("report", ".", "--out", tmp_path / "out").exit_code == 0
    assert "bare repository" in _command("diff", "HEAD~1", "--config", ".").output
    assert not (tmp_path / "owned").exists()


def test_the_bootstrap_of_the_cdk_makes_no_role() -> None:
    """Whoever could take the roles of the CDK's own template could do everything in the account."""
    text = (ROOT / "stacks" / "bootstrap.yaml").read_text(encoding="utf-8")
    kinds = re.findall(r"^\s+Type: (AWS::\S+)", text, re.MULTILINE)
    assert "AWS::S3::Bucket" in kinds
    assert not [kind for kind in kinds if kind.startswith(("AWS::IAM::", "AWS::Lambda::"))]
