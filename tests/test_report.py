"""Reports: what they say is what the judge says, what people wrote stays text, and files are whole or as they were."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dutybound.case import Question
from dutybound.compiler import compile_reading, read_path
from dutybound.explain import list_access
from dutybound.report import docs, publish
from dutybound.report.controls import controls
from dutybound.report.facts import LEVELS, Becoming, Facts, Granted, Holder, Rule, from_json, to_json
from dutybound.report.formats import written
from dutybound.report.gather import facts
from dutybound.report.history import History, NoHistory, commit_of, origins
from dutybound.report.levels import newest
from dutybound.report.review import COLUMNS, access_csv
from dutybound.report.text import code, defused, escaped
from tests.conftest import CASES, ROOT
from tests.test_cli import run

EXAMPLES = (
    "config",
    *(f"examples/{name}" for name in ("personal", "small-team", "company", "regulated", "organization")),
)
WHOLE = """version: 1
organization: {name: acme, owner: o@acme.example, home_region: eu-west-1}
break_glass: {users: [emergency], alert: [o@acme.example]}
"""


def gathered(path: Path, history: History | None = None) -> Facts:
    """The facts of a configuration that compiles; without a history, a day or a commit that change."""
    reading = read_path(path)
    assert reading.value is not None, reading.diagnostics
    made = compile_reading(reading)
    baselines = {name: one.value for name, one in made.items() if one.value is not None}
    assert len(baselines) == len(made), made
    found = {name: one.diagnostics for name, one in made.items()}
    return facts(reading.value, baselines, found, history or NoHistory(), path.as_posix(), "2026-11-25", "")


@cache
def example(name: str) -> Facts:
    """The facts of a configuration of the repository, with places as somebody at its top sees them."""
    with contextlib.chdir(ROOT):
        return gathered(Path(name))


def whole(folder: Path, text: str) -> Path:
    """A configuration of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "acme.yaml").write_text(WHOLE + text, encoding="utf-8")
    return folder


# --- what is said is true -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "environment", "who"),
    [
        ("config", None, "team:developers"),
        ("config", None, "role:partner-audit"),
        ("examples/company", "development", "team:platform"),
        ("examples/company", "production", "role:deployer"),
        ("examples/regulated", "production", "team:security"),
        ("examples/regulated", "production", "team:auditors"),
        ("examples/regulated", "production", "role:break-glass"),
    ],
)
def test_services_are_what_the_judge_allows(name: str, environment: str | None, who: str) -> None:
    """The counts of a holder by service and level are those of `list-access`, which judges every action."""
    found = example(name)
    at = [account.environment for account in found.accounts].index(environment or "")
    kind, _, named = who.partition(":")
    holders = [h for one in (found.teams if kind == "team" else found.roles) if one.name == named for h in one.holders]
    (holder,) = (h for h in holders if h.account == at)
    baseline = compile_reading(read_path(ROOT / name))[environment].value
    assert baseline is not None
    judged = list_access(baseline, Question(who, ""))
    wanted = {s.service: tuple(len(s.levels.get(level, ())) for level in LEVELS) for s in judged.services}
    assert judged.unknown == ()
    assert {service.prefix: service.counts for service in holder.services} == wanted


def test_becoming_is_judged_on_both_sides() -> None:
    """Who can take or hand on a role: teams, roles, services, other accounts and break-glass; nobody else."""
    found = [b for b in example("examples/company").becoming if b.account == 1]
    said = {(b.kind, b.name, b.how, b.role) for b in found}
    assert {(b.kind, b.name) for b in found if b.role == "operator"} == {
        ("team", "administrators"),
        ("team", "platform"),
    }
    assert ("role", "deployer", "hands to a service", "web-server") in said
    assert ("service", "ec2.amazonaws.com", "takes", "web-server") in said
    assert ("account", "999988887777", "takes", "partner-audit") in said
    assert ("break-glass", "break-glass", "takes", "break-glass") in said
    assert not any(b.kind == "team" and b.role == "break-glass" for b in found)
    assert not any(b.name in ("developers", "support", "finance") for b in found)


def test_only_those_of_a_team_who_can_become_a_role(tmp_path: Path) -> None:
    """Another team of somebody's denies it to them: the others of the team are named."""
    text = """teams:
  operators: {purpose: Operate, members: [ann, bob]}
  careful: {purpose: Be careful, members: [bob], duties: [deny-taking]}
duties:
  deny-taking:
    summary: Take no role
    grants:
      - statements:
          - {Effect: Deny, Action: "sts:AssumeRole", Resource: "*"}
          - {Effect: Allow, Action: "cloudwatch:ListMetrics", Resource: "*"}
        why: Nobody in it should
    expect:
      - allow: cloudwatch:ListMetrics
      - deny: sts:AssumeRole on arn:aws:iam::111122223333:role/x
roles:
  operator: {purpose: Operate, trusts: {team: operators}, duties: [view-metrics]}
"""
    found = gathered(whole(tmp_path / "c", text))
    (team,) = (b for b in found.becoming if b.kind == "team")
    assert team == Becoming(0, "team", "operators", "operator", people=("ann",), at=team.at)
    assert team.at.endswith(":19")


def test_boundaries_grant_nothing() -> None:
    """The Allow of a boundary is no grant, and a holder without duties has enrolment alone."""
    found = example("examples/regulated")
    assert all(person.boundary for person in found.people)
    for team in found.teams:
        if not team.name.startswith("admin"):
            assert all(not found.action_sets[found.rules[g.rule].actions].everything for g in granted(team.holders[0]))


def granted(holder: Holder) -> list[Granted]:
    """The rules of all duties of a holder."""
    return [rule for duty in holder.duties for rule in duty.rules]


@pytest.mark.parametrize(
    ("deny", "allow", "covers"),
    [
        ("*", "arn:aws:s3:::a", True),
        ("arn:aws:s3:::*", "arn:aws:s3:::a-*/x", True),
        ("arn:aws:s3:::a-*", "arn:aws:s3:::*", False),
        ("arn:aws:s3:::a?", "arn:aws:s3:::a*", False),
        ("arn:aws:s3:::a?", "arn:aws:s3:::a?", True),
        ("arn:aws:s3:::?", "arn:aws:s3:::b", True),
    ],
)
def test_a_deny_covers_what_it_surely_covers(deny: str, allow: str, covers: bool) -> None:
    """Never more: what is said not to be covered is shown as allowed."""
    assert Rule("deny", 0, (deny,)).covers(Rule("allow", 0, (allow,))) is covers


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_place_and_reference_is_there(name: str) -> None:
    """Tables are pointed into within their bounds, every duty that is held is described, every grant has its line."""
    found = example(name)
    duties = {duty.name: duty for duty in found.duties}
    holders = [*(h for t in found.teams for h in t.holders), *(h for r in found.roles for h in r.holders)]
    holders += found.break_glass.holders
    assert holders
    for holder in holders:
        assert 0 <= holder.account < len(found.accounts)
        for one in holder.duties:
            for rule in one.rules:
                assert found.rules[rule.rule].effect == "allow"
                if one.kind == "duty":
                    assert duties[one.duty].grants[rule.grant].at
                    assert rule.grant >= 0
        assert all(found.rules[d.rule].effect == "deny" for d in holder.denies)
    for actions in found.action_sets:
        assert list(actions.actions) == sorted(set(actions.actions))
        assert all(0 <= at < len(found.actions) for at in actions.actions)
    assert all(0 <= rule.actions < len(found.action_sets) for rule in found.rules)


@pytest.mark.parametrize("name", EXAMPLES)
def test_json_comes_back(name: str) -> None:
    """What is written as JSON is read as the same facts."""
    assert from_json(to_json(example(name))) == example(name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_row_for_each_person_duty_and_account(name: str) -> None:
    """Rows of the CSV: for each account every duty of every person, and every break-glass user."""
    found = example(name)
    wanted = []
    for at, account in ((at, a) for at, a in enumerate(found.accounts) for _ in a.ids or (a.id,)):
        here = set()
        for team in found.teams:
            for holder in team.holders:
                if holder.account == at:
                    duties = [one.duty for one in holder.duties if one.kind == "duty"]
                    here |= {(account.environment, person, duty) for person in team.people for duty in duties}
        wanted += [*here, *((account.environment, user, "break-glass") for user in found.break_glass.users)]
    head, *rows = csv.reader(io.StringIO(access_csv(found)))
    assert tuple(head) == COLUMNS
    assert {row[0] for row in rows} >= {id_ for account in found.accounts for id_ in account.ids}
    assert sorted((row[1], row[2], row[5]) for row in rows) == sorted(wanted)
    assert all(len(row) == len(COLUMNS) for row in rows)


# --- golden files ---------------------------------------------------------------------------------------------------


def test_the_report_of_the_example(golden: Callable[[Path, str], None]) -> None:
    """`access.md` and `access.csv` of config/, read by a person whenever they change."""
    made = written(example("config"), ("md", "csv"))
    golden(CASES / "report" / "access.md", made["access.md"])
    golden(CASES / "report" / "access.csv.txt", made["access.csv"].replace("\r\n", "\n"))


def test_the_pages_of_the_example(golden: Callable[[Path, str], None]) -> None:
    """The index, a team and a duty with parameters."""
    made = docs.pages(example("config"))
    for name in ("README.md", "team-developers.md", "duty-use-storage.md"):
        golden(CASES / "report" / "docs" / f"{name}.txt", made[name])


# --- texts stay texts -----------------------------------------------------------------------------------------------

NASTY = (
    "<script>alert(1)</script>",
    "| a | b",
    "**bold** _it_ `code` ~~gone~~ # no",
    "[x](javascript:alert(1)) ![x](https://x.example/i.png)",
    "https://evil.example and www.evil.example",
    "&lt;b&gt; &amp; \\ end\\",
    "=HYPERLINK(A1)",
    "$x^2$",
    "- a list",
    "+ a list",
    "1. a list",
    "2) a list",
    "=====",
    "-----",
    "# a heading",
    "> a quotation",
    "    code",
)


@pytest.mark.parametrize("text", NASTY)
def test_markdown_shows_what_was_written(text: str) -> None:
    """Escaped text reads as it was written, at the start of a line, in it and in a cell, and makes no element."""
    markdown = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    cell = f"| h |\n| --- |\n| {escaped(text)} |"
    for source in (escaped(text), f"x\n{escaped(text)}", f"x\n\n{escaped(text)}\ny", f"x {escaped(text)} y", cell):
        tokens = markdown.parse(source)
        if source != cell:
            assert {token.type for token in tokens} == {"paragraph_open", "inline", "paragraph_close"}
        children = [token for token in tokens if token.type == "inline"][-1].children
        assert children is not None
        assert {child.type for child in children} <= {"text", "text_special", "softbreak"}
        assert text.strip() in "".join(child.content for child in children)


@pytest.mark.parametrize("text", ["a|b", "`a`", "a``b", "arn:aws:s3:::x-*/*", "<b>"])
def test_code_shows_what_was_written(text: str) -> None:
    """In a cell of a table, where a bar would end it."""
    markdown = MarkdownIt("commonmark").enable("table")
    inline = [t for t in markdown.parse(f"| h |\n| --- |\n| {code(text)} |") if t.type == "inline"][-1]
    assert inline.children is not None
    assert [(child.type, child.content) for child in inline.children] == [("code_inline", text)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    """A spreadsheet would run it."""
    assert defused(text)[0] not in "=+-@\t\r"


def test_a_report_of_nasty_names(tmp_path: Path) -> None:
    """Purposes and names with markup and formulas: every cell of the CSV is text, Markdown has no element of theirs."""
    text = """people:
  ann: {name: "=cmd|'/C calc'!A0", tags: {"department": "+1"}}
teams:
  t: {purpose: "<img src=x onerror=alert(1)> | x", members: [ann], duties: [view-metrics]}
"""
    made = written(gathered(whole(tmp_path / "c", text)))
    _, row, _ = csv.reader(io.StringIO(made["access.csv"]))
    assert row[3] == "'=cmd|'/C calc'!A0"
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(made["access.md"])
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; | x" in html


# --- git ------------------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str, day: str = "2026-11-01", author: str = "Ann") -> None:
    """Run git as somebody, on a day."""
    when = f"{day}T12:00:00Z"
    names = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _identity(author, when)}
    env = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "-C", str(folder), *arguments], env=env, check=True, capture_output=True)


def _identity(author: str, when: str) -> list[tuple[str, str]]:
    return [("NAME", author), ("EMAIL", f"{author.lower()}@acme.example"), ("DATE", when)]


TEAMS = """teams:
  one:
    purpose: The first
    members:
      - ann
    duties: [view-metrics]
  two:
    purpose: The second
    members:
      - bob
    duties: [view-logs: {log_groups: ["/a/*"]}]
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A configuration that Ann wrote and Bob changed: the second member of the second team."""
    folder = whole(tmp_path / "repository", TEAMS)
    git(tmp_path / "repository", "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    whole(folder, TEAMS.replace("      - bob\n", "      - bob\n      - cy\n"))
    git(folder, "commit", "-qam", "cy", day="2026-11-20", author="Bob")
    return folder


def test_the_last_change_comes_from_git(repository: Path) -> None:
    """Of a team its block, of a membership its line, with who made it and when; what is not committed says so."""
    commit = commit_of(repository)
    assert re.fullmatch("[0-9a-f]{12}", commit)
    found = gathered(repository, History())
    one, two = found.teams
    assert (one.changed and one.changed.day, one.changed and one.changed.author) == ("2026-11-01", "Ann")
    assert two.changed is not None
    assert (two.changed.day, two.changed.author, two.changed.commit) == ("2026-11-20", "Bob", commit)
    bob, cy = found.people[1:]
    assert (bob.changed and bob.changed.author, cy.changed and cy.changed.author) == ("Ann", "Bob")
    rows = {row[2]: row for row in csv.reader(io.StringIO(access_csv(found)))}
    assert rows["cy"][-3:] == ["2026-11-20", "Bob", commit]
    whole(repository, TEAMS.replace("- ann", "- dan"))
    assert commit_of(repository) == f"{commit}+"
    assert gathered(repository, History()).people[-1].changed is not None
    (dan,) = (person for person in gathered(repository, History()).people if person.name == "dan")
    assert dan.changed is not None
    assert (dan.changed.day, dan.changed.author, dan.changed.commit) == ("", "not committed yet", "")
    assert newest([two.changed, dan.changed]) == dan.changed


def test_a_shallow_clone_says_nothing_of_what_it_does_not_have(repository: Path, tmp_path: Path) -> None:
    """Its oldest commit is not who wrote the lines."""
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "clone")
    found = gathered(tmp_path / "clone", History())
    assert found.teams[0].changed is None
    assert commit_of(tmp_path / "clone") == commit_of(repository)


def test_without_git_or_a_repository(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are unknown, and nothing fails."""
    plain = whole(tmp_path / "plain", TEAMS)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert commit_of(plain) == ""
    assert gathered(plain, History()) == gathered(plain)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert commit_of(repository) == ""
    assert gathered(repository, History()) == gathered(repository)


# --- files ----------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path) -> None:
    """It writes the four files, the chosen ones, and pages; an environment that is not there exits with 1."""
    made = run("report", "--out", str(tmp_path / "r"), "examples/company", SOURCE_DATE_EPOCH="1764028800")
    assert (made.returncode, made.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        *("access.csv", "access.html", "access.json", "access.md")
    ]
    found = from_json((tmp_path / "r" / "access.json").read_text(encoding="utf-8"))
    assert (found.day, found.organization, found.configuration) == ("2025-11-25", "acme", "examples/company")
    one = run("report", "examples/company", "--out", str(tmp_path / "one"), "--environment=production", "--format=csv")
    assert (one.returncode, [path.name for path in (tmp_path / "one").iterdir()]) == (0, ["access.csv"])
    rows = csv.reader(io.StringIO((tmp_path / "one" / "access.csv").read_text(encoding="utf-8")))
    assert {row[1] for row in rows} == {"environment", "production"}
    wrong = run("report", "examples/company", "--out", str(tmp_path / "x"), "--environment=prod")
    assert (wrong.returncode, (tmp_path / "x").exists()) == (1, False)
    assert "unknown-environment" in wrong.stderr
    pages = run("report", "config", f"--docs={tmp_path / 'd'}")
    assert (pages.returncode, pages.stdout) == (0, f"{tmp_path / 'd'}: 13 pages\n")


def test_controls_stand_as_in_the_worst_environment(tmp_path: Path) -> None:
    """What one environment does not meet is not met; asked for alone, since it takes long."""
    text = """teams:
  one: {purpose: One, members: [ann], in: {development: [view-metrics]}}
roles:
  support: {purpose: Support, trusts: {team: one}, duties: [ask-support], in: [production]}
duties:
  ask-support:
    summary: Talk to AWS
    grants: [{managed: AWSSupportAccess, why: Benchmarks look for it}]
    expect:
      - allow: support:CreateCase
      - deny: iam:CreateUser on arn:aws:iam::111122223333:user/x
waivers:
  - {finding: broad-managed-policy, for: duty ask-support, reason: It is named, until: "2030-01-01"}
"""
    made = compile_reading(read_path(whole(tmp_path / "c", text)))
    baselines = {name: one.value for name, one in made.items() if one.value is not None}
    assert set(baselines) == {"development", "production"}, made
    both = {(c.benchmark, c.id): c.state for c in controls(baselines)}
    alone = [{(c.benchmark, c.id): c.state for c in controls({name: one})} for name, one in baselines.items()]
    assert alone[0] != alone[1]
    order = ("not met", "not ours", "met")
    assert both == {key: min((one[key] for one in alone), key=order.index) for key in both}
    assert example("config").compliance == ()


def test_pages_do_not_go_into_a_configuration(tmp_path: Path) -> None:
    """`report --docs config` means PATH, and says so."""
    found = run("report", "--docs", str(whole(tmp_path / "c", TEAMS)))
    assert (found.returncode, [path.name for path in (tmp_path / "c").iterdir()]) == (2, ["acme.yaml"])
    assert "holds a configuration; write PATH before --docs" in found.stderr


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One clear line, exit 1, nothing left behind."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        for options in (("--out", str(out)), (f"--docs={out}",)):
            found = run("report", *options)
            assert (found.returncode, found.stdout) == (1, "")
            assert re.fullmatch(f"dutybound: {re.escape(str(out))} cannot be written: .*\n", found.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    """Two runs with two seeds write the same reports and pages."""
    for seed in ("1", "2"):
        out = tmp_path / seed
        for option in (f"--out={out}", f"--docs={out / 'docs'}"):
            made = run("report", "examples/regulated", option, PYTHONHASHSEED=seed, SOURCE_DATE_EPOCH="1764028800")
            assert made.returncode == 0
    first = {path.relative_to(tmp_path / "1"): path.read_bytes() for path in (tmp_path / "1").rglob("*.*")}
    second = {path.relative_to(tmp_path / "2"): path.read_bytes() for path in (tmp_path / "2").rglob("*.*")}
    assert len(first) > 10
    assert first == second


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file does not fit: the first is not replaced either, and nothing stands beside them."""
    folder = tmp_path / "report"
    publish.publish(folder, {"a": "old", "b": "old"})
    write = Path.write_text

    def full(path: Path, *arguments: object, **more: object) -> int:
        if path.name == "b":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        publish.publish(folder, {"a": "new", "b": "new"})
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {"a": "old", "b": "old"}


def test_a_run_that_is_killed_leaves_the_old_report(tmp_path: Path) -> None:
    """Killed while the second file is written, it has replaced nothing; the next run is as any."""
    folder = tmp_path / "report"
    publish.publish(folder, {"a": "old", "b": "old"})
    script = f"""
import os, signal
from pathlib import Path
from dutybound.report import publish
write = Path.write_text
def dying(path, *arguments, **more):
    if path.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *arguments, **more)
Path.write_text = dying
publish.publish(Path({str(folder)!r}), {{"a": "new", "b": "new"}})
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [(folder / name).read_text(encoding="utf-8") for name in ("a", "b")] == ["old", "old"]
    publish.publish(folder, {"a": "new", "b": "new"})
    assert [(folder / name).read_text(encoding="utf-8") for name in ("a", "b")] == ["new", "new"]


def test_two_runs_do_not_mix(tmp_path: Path) -> None:
    """Whoever is last has written all files."""
    folder = tmp_path / "report"

    def often(mark: str) -> None:
        for number in range(20):
            publish.publish(folder, dict.fromkeys(("a", "b", "c"), f"{mark}{number}"))

    threads = [threading.Thread(target=often, args=(mark,)) for mark in ("x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_text(encoding="utf-8") for path in folder.iterdir()}) == 1


# --- pages to commit ------------------------------------------------------------------------------------------------


def test_pages_of_what_is_gone_go_and_nothing_else(tmp_path: Path) -> None:
    """A team that is gone takes its page along; a file that somebody else wrote stays, whatever its name."""
    folder = tmp_path / "docs"
    docs.write(gathered(whole(tmp_path / "c", TEAMS)), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "duty-view-logs.md", "duty-view-metrics.md", "team-one.md", "team-two.md")
    ]
    (folder / "notes.md").write_text("ours\n", encoding="utf-8")
    (folder / "team-gone.md").write_text("# Written by hand\n", encoding="utf-8")
    docs.write(gathered(whole(tmp_path / "c", TEAMS.partition("  two:")[0])), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "duty-view-metrics.md", "notes.md", "team-gone.md", "team-one.md")
    ]
    (folder / "team-one.md").write_text("# Written by hand\n", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(docs.NotOurs, match=re.escape("team-one.md")):
        docs.write(gathered(whole(tmp_path / "c", TEAMS)), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_pages_do_not_change_with_the_day_or_the_commit(repository: Path) -> None:
    """They are committed: only what is said of access may change them."""
    found = gathered(repository, History())
    assert docs.pages(found) == docs.pages(gathered(repository))
    assert not any("2026" in page or "Ann" in page for page in docs.pages(found).values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_links_of_pages_lead_somewhere(name: str) -> None:
    """Every link is one of the pages."""
    made = docs.pages(example(name))
    for page in made.values():
        assert set(re.findall(r"\]\(([^)]+)\)", page)) <= set(made)


def test_the_folder_of_reports_is_not_that_of_the_code() -> None:
    """What git ignores is `report/` at the top alone."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a repository")
    ignored = subprocess.run(
        ["git", "-C", str(ROOT), "check-ignore", "dutybound/report/facts.py", "report/access.md"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == ["report/access.md"]


LINES = st.lists(st.sampled_from(["a:", "  b: 1", "  b: 2", ""]), max_size=8)


@given(LINES, LINES, LINES, LINES)
def test_lines_are_those_that_were_committed(head: list[str], was: list[str], now: list[str], tail: list[str]) -> None:
    """Each line is a committed one that says the same, in order; what stands around an edit is found whole."""
    old, new = head + was + tail, head + now + tail
    found = list(origins(old, new))
    known = [at for at in found if at is not None]
    assert len(found) == len(new)
    assert known == sorted(set(known))
    assert all(old[at] == line for at, line in zip(found, new, strict=True) if at is not None)
    assert len(known) >= len(head) + len(tail)
    if old == new:
        assert found == list(range(len(new)))
