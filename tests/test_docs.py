"""What the documentation names exists, and what it shows works."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from dutybound import catalog
from dutybound.compiler import compile_path, compile_text
from dutybound.diagnostic import Diagnostic, render_all
from dutybound.grant import duty_access, example_use
from dutybound.read import library, library_duty
from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_make_targets_exist(page: Path) -> None:
    """Every `make target` of a page is in the Makefile."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_examples_of_the_language_compile() -> None:
    """The smallest configuration compiles, also with the page's own duty in it."""
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    smallest = next(b for b in blocks if b.startswith("version: 1"))
    own = next(b for b in blocks if "release-website:" in b)
    for config in (smallest, smallest + own):
        checked = compile_text(config)
        assert checked.value is not None, render_all(checked.diagnostics)


def test_the_error_in_the_readme_is_what_users_see() -> None:
    """The diagnostic that the README shows is rendered as it stands there."""
    shown = re.search(r"```\n(error\[.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    config = "\n" * 8 + "teams:\n  payments:\n    purpose: Pay\n    duties:\n\n      - view-metric\n"
    base = "version: 1\norganization: {name: acme, owner: x}\nbreak_glass: {users: [e], alert: [a@b.example]}\n"
    checked = compile_text(base + config[3:], "config/teams.yaml")
    assert render_all(checked.diagnostics).removesuffix("\n\n1 error") == shown[1].rstrip("\n")


def test_the_problem_matcher_finds_every_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of docs/editors.md, held against real output: each error with a place is found, line after line."""
    text = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")
    (task,) = (json.loads(b) for b in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"problemMatcher"' in b)
    matcher = task["tasks"][0]["problemMatcher"]
    first, second = (re.compile(p["regexp"], re.ASCII) for p in matcher["pattern"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b: c").mkdir()
    file = tmp_path / "a b: c" / "teams.yaml"
    file.write_text("versoin: 1\nteams:\n  é: {purpose: 'İ'}\n  b: {members: 'a\\n'}\n", encoding="utf-8")
    checked = compile_path(Path("a b: c"))
    lines = render_all(checked.diagnostics).splitlines()
    found = [
        (what[2], place[1], int(place[2]), int(place[3]))
        for line, after in pairwise(lines)
        if (what := first.match(line)) and (place := second.match(after))
    ]
    wanted = [(d.name, d.span.source.path, d.span.line, d.span.column) for d in checked.diagnostics if d.span]
    assert found == wanted
    assert len(found) >= 5
    background = matcher["background"]
    assert re.match(background["beginsPattern"], f"[12:34:56] checking {file}")
    assert re.match(background["endsPattern"], f"[12:34:56] watching {file}; Ctrl-C ends")


def test_the_page_of_duties(golden: Callable[[Path, str], None]) -> None:
    """docs/duties.md is made from the library: what each duty is for, its parameters, and how far it reaches."""
    lines = [
        "# Built-in duties",
        "",
        f"Written from `dutybound/duties/`; numbers of actions by access level, in {catalog.version()}.",
        "Which of them do the work of AWS's job functions: [job-functions.md](job-functions.md).",
        "",
        "| duty | what its holder does | parameters | list | read | write | tagging | permissions |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in library():
        duty = library_duty(name)
        found: list[Diagnostic] = []
        access = duty_access(example_use(name, duty), duty, found)
        assert found == []
        levels: Counter[str] = Counter()
        patterns = {a for s in access.statements for a in s.actions}
        for prefix in sorted({p.partition(":")[0] for p in patterns}):
            here = [p for p in patterns if p.startswith(f"{prefix}:")]
            levels.update(a.level for a in {a for p in here for a in catalog.actions_of(p)})
        counts = [str(levels[level]) for level in ("list", "read", "write", "tagging", "permissions")]
        if access.managed:
            counts = [f"AWS's {access.managed[0]}", "", "", "", ""]
        parameters = ", ".join(f"`{p}` such as `{v.example[0]}`" for p, v in duty.parameters.items())
        lines.append(
            f"| [{name}](../dutybound/duties/{name}.yaml) | {duty.summary} | {parameters} | {' | '.join(counts)} |"
        )
    golden(ROOT / "docs" / "duties.md", "\n".join(lines) + "\n")
