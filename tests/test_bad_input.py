"""Bad input ends in one clear error at its place: never in a traceback, never in a template."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dutybound.baseline import Baseline
from dutybound.compiler import compile_path
from dutybound.diagnostic import Checked, render_all
from tests.conftest import CASES

BASE = """\
version: 1
organization: {name: acme, owner: security@acme.example}
break_glass: {users: [emergency], alert: [security@acme.example]}
"""
BASE_LINES = BASE.count("\n")
UNSAID = frozenset({"empty-team", "lone-break-glass-user", "unheld-duty"})
"""What is not said of short examples, which leave it out: who is in a team, who has a duty, a second way in."""
ENTRIES = yaml.safe_load((CASES / "bad.yaml").read_text(encoding="utf-8"))


def run(entry: dict[str, object], folder: Path) -> Checked[Baseline]:
    """Compile an entry's input from a file, as a user would."""
    file = folder / "config.yaml"
    if "bytes" in entry:
        file.write_bytes(bytes.fromhex(str(entry["bytes"])))
    else:
        text = str(entry["text"]) if "text" in entry else BASE + str(entry["with"])
        file.write_text(text, encoding="utf-8")
    checked = compile_path(Path("config.yaml"))
    asked = {str(error).split()[0] for error in entry["errors"]}  # type: ignore[attr-defined]
    return replace(checked, diagnostics=tuple(d for d in checked.diagnostics if d.name not in UNSAID - asked))


@pytest.mark.parametrize("entry", ENTRIES, ids=[e["name"] for e in ENTRIES])
def test_every_error_at_its_place(entry: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All errors of the entry, in order, and no others; and no baseline."""
    monkeypatch.chdir(tmp_path)
    checked = run(entry, tmp_path)
    offset = BASE_LINES if "with" in entry else 0
    found = [f"{d.name} {d.span.line - offset}:{d.span.column}" if d.span else d.name for d in checked.diagnostics]
    assert found == entry["errors"], render_all(checked.diagnostics)
    if "means" in entry:
        suggested = [re.findall(r"did you mean '(.*?)'\?", d.hint) for d in checked.diagnostics]
        assert suggested == [[word] for word in entry["means"]], render_all(checked.diagnostics)  # type: ignore[attr-defined]
    assert checked.failed


def test_what_users_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[Path, str], None]) -> None:
    """The text of every error, to be read by a person."""
    monkeypatch.chdir(tmp_path)
    texts = [f"=== {e['name']}\n{render_all(run(e, tmp_path).diagnostics)}\n" for e in ENTRIES]
    golden(CASES / "bad.expected.txt", "\n".join(texts))


def test_there_are_enough_cases() -> None:
    """The list is not shortened by accident."""
    assert len(ENTRIES) >= 40
    assert len({e["name"] for e in ENTRIES}) == len(ENTRIES)
