"""`dutybound diff`: a real git history, what each change of it means, and the exact comment that a reviewer reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from click.testing import CliRunner, Result

from dutybound.callers import Caller, callers, teams
from dutybound.changes import AccessChange, Because, Deployed, FailOn, Finding, Review, TrustMoved, Unknown, review
from dutybound.cli import cli
from dutybound.compiler import compile_everywhere, compile_path
from dutybound.deployment import FIXED, Consequence, user_steps
from dutybound.diagnostic import Checked, Diagnostic
from dutybound.evaluate import Request, decide
from dutybound.remarks import Code, QuotaUse, Remark
from dutybound.report.diff import LARGEST_COMMENT, MARKER, Sides, findings, markdown, phrases, written
from tests.conftest import CASES, ROOT
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


MOVED = (
    Edit("teams.yaml", "members: [john, maria, tom]", "members: [john, tom]"),
    Edit("teams.yaml", "members: [ada]", "members: [ada, maria]"),
)
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
    "member-moved": (MOVED, 1),
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


# --- formats --------------------------------------------------------------------------------------------------------


def edited(repository: Path, *edits: Edit) -> None:
    for edit in edits:
        edit.apply(repository)


WIDENED = Edit("teams.yaml", "buckets: [acme-dev-site]", "buckets: [acme-dev-*]")
OPENED = Edit("roles.yaml", "{service: ec2}", "{service: lambda}")


def test_what_people_read_on_a_terminal(repository: Path, golden: Callable[[Path, str], None]) -> None:
    """The same in text; against the working tree, which nobody has committed."""
    edited(repository, WIDENED, OPENED)
    found = diff()
    golden(FOLDER / "text.txt", stable(found.output))
    assert found.exit_code == 1
    assert all(len(line) <= 100 or " " not in line.strip() for line in found.output.splitlines())
    assert "\x1b" not in found.output


def test_the_json_and_files_of_every_format(repository: Path, tmp_path: Path) -> None:
    """One run writes what CI needs, and the JSON says what the page of the command says it does."""
    edited(repository, WIDENED, OPENED)
    out = {form: tmp_path / f"out.{form}" for form in ("text", "markdown", "json", "sarif")}
    found = diff("--format", "json", *(word for form, path in out.items() for word in (f"--{form}", str(path))))
    whole = json.loads(found.output)
    assert json.loads(out["json"].read_text(encoding="utf-8")) == whole
    assert out["markdown"].read_text(encoding="utf-8").startswith(MARKER)
    assert out["text"].read_text(encoding="utf-8").startswith("Access changes: ")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    page = (ROOT / "docs" / "diff.md").read_text(encoding="utf-8")
    for key in (*whole, *whole["access"][0], *whole["trusts"][0], *whole["quotas"][0], *whole["deployment"][0]):
        assert f"`{key}`" in page, key
    assert (whole["version"], whole["result"], whole["environments"]) == (1, "changed", [None])
    gain = next(a for a in whole["access"] if "s3:PutObject" in a["actions"])
    assert (gain["change"], gain["kind"], gain["names"], gain["risk"]) == ("gained", "team", ["developers"], "write")
    assert gain["people"] == ["john", "maria", "tom"]
    assert gain["because"][0] | {"granted": ""} == {
        "duty": "use-storage",
        "asked": "config/teams.yaml:12",
        "granted": "",
        "statement": "UseStorageObject",
    }
    assert {(t["change"], t["role"], *t["principals"]) for t in whole["trusts"]} == {
        ("gained", "web-server", "lambda.amazonaws.com"),
        ("lost", "web-server", "ec2.amazonaws.com"),
    }


def test_sarif_puts_gains_beside_their_lines(repository: Path) -> None:
    """Each gain is a result where it is asked for: an error where it leads to more access."""
    edited(repository, WIDENED, OPENED)
    log = json.loads(diff("--format", "sarif").output)
    (run,) = log["runs"]
    found = {
        (
            r["ruleId"],
            r["level"],
            r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            r["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for r in run["results"]
    }
    assert found == {
        ("access-gained", "warning", "config/teams.yaml", 12),
        ("access-gained", "error", "config/roles.yaml", 4),
    }
    assert run["tool"]["driver"]["rules"][0]["shortDescription"]["text"]
    model = pytest.importorskip("pydantic_sarif.model", reason="it comes with requirements-dev.txt")
    model.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate(log)


@pytest.mark.parametrize(
    ("edits", "codes"),
    [
        ((WIDENED,), {"changes": 1, "gains": 1, "escalation": 0, "never": 0}),
        ((Edit("teams.yaml", "      - view-metrics\n", ""),), {"changes": 1, "gains": 0, "escalation": 0, "never": 0}),
        (HISTORY["way-to-administrator"][0], {"changes": 1, "gains": 1, "escalation": 1, "never": 0}),
        (HISTORY["same-in-two-grants"][0], {"changes": 0, "gains": 0, "escalation": 0, "never": 0}),
        ((Edit("teams.yaml", "view-metrics", "view-metrix"),), {"changes": 3, "gains": 3, "escalation": 3, "never": 3}),
    ],
    ids=["gain", "loss", "escalation", "nothing", "broken"],
)
def test_what_fails(edits: tuple[Edit, ...], codes: Mapping[str, int], repository: Path) -> None:
    """`--fail-on` says what is too much; a side that does not compile always is."""
    edited(repository, *edits)
    for fail_on, code in codes.items():
        assert diff("--fail-on", fail_on).exit_code == code, fail_on


def test_a_side_that_does_not_compile(repository: Path) -> None:
    """What is wrong with it is printed, in every format, with the places of its own revision."""
    git("tag", "good", cwd=repository)
    edited(repository, Edit("teams.yaml", "view-metrics", "view-metrix"))
    commit(repository, "A typo")
    text = diff("main", "change").output
    assert text.startswith(
        f"change ({git('rev-parse', 'change', cwd=repository)[:10]}) does not compile:\n\nerror[unknown-duty]"
    )
    assert "--> config/teams.yaml:13:9" in text
    back = diff("change", "main", "--format", "markdown").output
    assert back.startswith(f"{MARKER}\n## Access may have changed\n")
    whole = json.loads(diff("change", "change", "--format", "json").output)
    assert {side: [d["name"] for d in found] for side, found in whole["does_not_compile"].items()} == {
        "base": ["unknown-duty"],
        "head": ["unknown-duty"],
    }
    (run,) = json.loads(diff("main", "change", "--format", "sarif").output)["runs"]
    assert [r["ruleId"] for r in run["results"]] == ["unknown-duty"]


def test_what_is_unknown_is_said() -> None:
    """It comes first, in every format, and is never taken for no change."""
    doubt = Unknown("team developers", ("s3:GetObject",), "arn:aws:s3:::a/*", "too many conditions", (None,))
    unknown = Review((None,), unknown=(doubt,))
    assert unknown.result == "unknown"
    assert [unknown.exit_code(fail_on) for fail_on in get_args(FailOn)] == [3] * 4
    for form in ("text", "markdown"):
        told = written(unknown, Sides("main", "change"), form)
        assert "Access may have changed; 1 unknown" in told
        assert told.index("Could not be compared") < told.index("too many conditions")
    (told_of,) = findings(unknown)
    assert (told_of.name, told_of.severity) == ("access-unknown", "error")
    assert (
        json.loads(written(unknown, Sides("main", "change"), "json"))["unknown"][0]["reason"] == "too many conditions"
    )


def test_more_accounts_are_not_taken_for_none() -> None:
    """Only one account is reviewed: where there is another, the answer is unknown, not 'no access changes'."""
    baseline = compile_path(FOLDER / "config").value
    assert baseline is not None
    two = replace(baseline, accounts=(baseline.accounts[0], replace(baseline.accounts[0], id="222200002222")))
    found = review({None: Checked(two)}, {None: Checked(two)})
    assert isinstance(found, Review)
    assert (found.result, [u.who for u in found.unknown]) == ("unknown", ["account 222200002222"])


# --- revisions and folders ------------------------------------------------------------------------------------------


def test_two_folders_need_no_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are compared as they are, without git on the machine."""
    shutil.copytree(repository / "config", tmp_path / "new" / "config")
    edited(tmp_path / "new", WIDENED)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = diff(str(repository / "config"), str(tmp_path / "new" / "config"))
    assert found.exit_code == 1
    assert found.output.startswith("Access changes: 5 gains: ")
    assert diff("./config", str(repository / "config")).exit_code == 0
    without = diff("main")
    assert (without.exit_code, without.output.splitlines()[-1]) == (
        2,
        "Error: there is no git on this machine; install git, or compare two folders",
    )


def test_what_cannot_be_read(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says what to do."""
    (repository / "change").mkdir()

    def wrong(*words: str) -> str:
        found = diff(*words)
        assert found.exit_code == 2
        return found.output.splitlines()[-1].removeprefix("Error: ")

    assert wrong("mian") == "there is no git revision and no folder 'mian'; name a branch, a tag, a commit or a folder"
    assert wrong("main", "change").startswith(
        "'change' is a git revision and a folder too; write ./change for the folder"
    )
    assert wrong("--config", "nowhere", "main", "main").startswith("neither side has a configuration at nowhere")
    assert wrong("--config", str(tmp_path / "elsewhere"), "main").endswith("give --config a path inside of it")
    git("branch", "-q", "-m", "main", "trunk", cwd=repository)
    assert wrong().startswith("the default branch is not here: there is none of origin/HEAD, origin/main")
    monkeypatch.chdir(tmp_path)
    assert wrong("main") == "this folder is in no git repository; compare two folders: dutybound diff OLD NEW"
    assert wrong() == "this folder is in no git repository; compare two folders: dutybound diff OLD NEW"


def test_a_shallow_clone(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI fetches one commit unless told otherwise: what is missing, and the setting that brings it."""
    commit(repository, "More")
    url = repository.as_uri()
    git("clone", "-q", "--depth", "1", "--no-single-branch", "--branch", "change", url, "clone", cwd=tmp_path)
    git("remote", "set-head", "origin", "main", cwd=tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    commit(tmp_path / "clone", "And more")
    found = diff(git("rev-parse", "main", cwd=repository).strip()[:12] + "0")
    assert found.exit_code == 2
    assert "the clone is shallow: git fetch --unshallow" in found.output
    lost = diff()
    assert lost.exit_code == 2
    assert "have no commit in common, and the clone is shallow; git fetch --unshallow" in lost.output


def test_the_default_base_is_where_the_branch_began(repository: Path) -> None:
    """What others changed on the default branch since is not this branch's doing."""
    git("switch", "-q", "main", cwd=repository)
    edited(repository, OPENED)
    commit(repository, "Somebody else's")
    git("switch", "-q", "change", cwd=repository)
    assert diff().exit_code == 0
    assert diff("main").exit_code == 1
    edited(repository, WIDENED)
    status = git("status", "--porcelain", cwd=repository)
    found = diff()
    assert (found.exit_code, found.output.partition(":")[0]) == (1, "Access changes")
    assert "web-server" not in found.output
    assert git("status", "--porcelain", cwd=repository) == status


def test_from_a_folder_below_and_with_another_path(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the configuration is that of the folder at hand; also in a revision, also as one file."""
    git("mv", "config", "policy", cwd=repository)
    commit(repository, "Moved")
    edit = Edit("../policy/teams.yaml", "buckets: [acme-dev-site]", "buckets: [acme-dev-*]")
    (repository / "below").mkdir()
    (repository / "config").mkdir()
    edited(repository, edit)
    monkeypatch.chdir(repository / "below")
    found = diff("HEAD", "--config", "../policy", "--format", "json")
    assert found.exit_code == 1
    asked = {b["asked"] for a in json.loads(found.output)["access"] for b in a["because"]}
    assert asked == {"../policy/teams.yaml:12"}
    assert diff("HEAD", "HEAD", "--config", "../policy").exit_code == 0


def test_the_first_configuration(repository: Path) -> None:
    """Where there was none, everything is new; where there is none any more, everything is gone."""
    git("switch", "-q", "--orphan", "empty", cwd=repository)
    commit(repository, "Nothing")
    made = diff("empty", "main", "--format", "json")
    assert made.exit_code == 1
    whole = json.loads(made.output)
    assert {a["status"] for a in whole["access"]} == {"new"}
    assert not any("no-mfa" in a["sessions"] or "key" in a["sessions"] for a in whole["access"])
    gone = json.loads(diff("main", "empty", "--format", "json").output)
    assert {(a["change"], a["status"]) for a in gone["access"]} == {("lost", "removed")}
    assert {d["effect"] for d in gone["deployment"]} == {"left behind"}


def test_links_and_submodules(repository: Path, tmp_path: Path) -> None:
    """A link inside of the repository is followed, one that leads out is refused, a submodule is not looked into."""
    (repository / "common").mkdir()
    (repository / "config" / "roles.yaml").rename(repository / "common" / "roles.yaml")
    (repository / "config" / "roles.yaml").symlink_to("../common/roles.yaml")
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},config/module", cwd=repository)
    commit(repository, "A link")
    assert diff("main", "change").exit_code == 0
    (tmp_path / "roles.yaml").write_text("roles: {}\n", encoding="utf-8")
    (repository / "config" / "roles.yaml").unlink()
    (repository / "config" / "roles.yaml").symlink_to(tmp_path / "roles.yaml")
    commit(repository, "Out of it")
    found = diff("main", "change")
    assert found.exit_code == 2
    assert "'config/roles.yaml' is a link that leads out of the repository" in found.output


# --- environments, sizes, words -------------------------------------------------------------------------------------


def test_environments_are_said_once(repository: Path) -> None:
    """What happens everywhere names no environment; what happens in some names them."""
    edited(
        repository,
        Edit(
            "teams.yaml",
            "    never: [manage-people]\n",
            "    in:\n      staging: []\n      production: []\n      test: []\n",
        ),
    )
    commit(repository, "Environments")
    edited(
        repository,
        WIDENED,
        Edit(
            "teams.yaml",
            "      production: []\n      test: []\n",
            "      production: [view-dns]\n      test: [view-dns]\n",
        ),
    )
    found = json.loads(diff("HEAD", "--format", "json").output)
    where = {a["actions"][0].partition(":")[0]: a["environments"] for a in found["access"]}
    assert where.pop("s3") == ["production", "staging", "test"]
    assert set(map(tuple, where.values())) == {("production", "test")}
    text = diff("HEAD").output.partition("Quotas")[0]
    assert "in production, test" in text
    assert "staging" not in text


def test_what_created_roles_may_at_most_do(repository: Path) -> None:
    """The boundary of roles that teams create is nobody's own, and still part of the review."""
    bounded = "mfa: {enforce_via: both}\nguardrails:\n  boundary: {path: /app/, services: [lambda]}\n"
    edited(repository, Edit("organization.yaml", "mfa: {enforce_via: both}\n", bounded))
    commit(repository, "A boundary")
    edited(repository, Edit("organization.yaml", "services: [lambda]", "services: [lambda, ec2]"))
    found = json.loads(diff("HEAD", "--format", "json").output)
    said = [r["text"] for r in found["remarks"] if r["topic"] == "Boundaries"]
    assert any(text.startswith("roles that teams create may at most do more: ") for text in said), said
    gone = json.loads(diff("HEAD", "main", "--format", "json").output)
    assert {(d["effect"], d["kind"], d["name"]) for d in gone["deployment"]} == {
        ("left behind", "stack", "acme-boundary")
    }


def test_the_same_bytes_whatever_the_hash_seed(repository: Path) -> None:
    """Sets are used, and nothing of their order is seen; also from a hook, where git says where it is."""
    edited(repository, WIDENED, OPENED, *MOVED)
    command = [sys.executable, "-c", "from dutybound.cli import main; main()", "diff", "main", "--format", "json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GIT_DIR": str(repository / ".git"), "GIT_WORK_TREE": str(repository)}
    told = {
        subprocess.run(command, env={**env, "PYTHONHASHSEED": seed}, capture_output=True, check=False).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert json.loads(told.pop())["result"] == "changed"


HOSTILE = ("`x`<script>", "@everyone", "#12 ~~x~~", "a|b", "``two``", "line\nbreak", "\u202ereversed", " ")


def test_nothing_in_a_comment_is_markup() -> None:
    """Names stay text whatever they hold: code spans as CommonMark closes them, and our own words escaped."""
    origin = Because("`duty`", "config/@team.yaml:1", sid="S")
    gains = tuple(
        AccessChange(
            True, "person", (name,), "write", ("mfa",), ("s3:PutObject",), (f"arn:aws:s3:::{name}",), (origin,)
        )
        for name in HOSTILE
    )
    whole = Review((None,), gains, remarks=(Remark("People", ("@all <b> ", Code("<b>"))),))
    comment = markdown(whole, Sides("`main`", "<i>@me</i>"))
    outside = re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", comment)
    outside = re.sub(r"</?(details|summary|b)( open)?>|<!-- dutybound diff -->", "", outside)
    assert not re.search(r"(?<!\\)[<>@`~|]", outside), outside
    assert "\u202e" not in comment


def test_a_comment_fits_whatever_the_size() -> None:
    """5,000 people who all change, in every section, and names as long as they get: whole entries are left out."""
    people = [f"{'person' * 9}-{number:04}" for number in range(5_000)]
    where: tuple[str | None, ...] = (None,)
    origin = Because("a-duty", "config/teams.yaml:12", "config/duties.yaml:9", "Sid")
    entry = AccessChange(
        True, "person", (), "write", ("mfa",), ("s3:PutObject",), ("arn:aws:s3:::" + "é" * 600,), (origin,)
    )
    whole = Review(
        where,
        (
            *(replace(entry, names=(p,), environments=where) for p in people),
            *(replace(entry, names=(p,), gained=False, environments=where) for p in people),
            *(replace(entry, names=(p,), sessions=("key",), environments=where) for p in people),
            replace(entry, kind="team", names=("all",), people=tuple(people), environments=where),
        ),
        tuple(TrustMoved(True, p, tuple(people), where) for p in people),
        tuple(Remark("People", (Code(p), " is new"), where) for p in people),
        tuple(QuotaUse(f"person {p}", "groups", 1, 9, 10, where) for p in people),
        tuple(Deployed(Consequence("deleted", "user", p, f"stack-{p}", "", user_steps(p)), where) for p in people),
        tuple(Finding(True, Diagnostic("ended", p * 9)) for p in people),
        tuple(Unknown(f"person {p}", ("s3:PutObject",), "*", p * 9, where) for p in people),
    )
    comment = markdown(whole, Sides("main", "change"))
    assert LARGEST_COMMENT - 12_000 < len(comment.encode()) <= LARGEST_COMMENT
    more = [
        int(n.replace(",", ""))
        for n in re.findall(r"^- and ([\d,]+) more: see the full report of the job$", comment, re.M)
    ]
    listed = comment.count("<summary>")
    assert (listed, len(more)) == (9, 9)
    assert comment.count("<details") == comment.count("</details>") == listed
    assert min(more) > 4_000


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (("s3:DeleteObject", "s3:TagObject"), "delete and tag objects"),
        (("iam:PassRole",), "pass roles"),
        (("kms:Decrypt",), "decrypt"),
        (("iam:GetSAMLProvider", "iam:ListMFADevices"), "get SAML providers / list MFA devices"),
        (("iam:CreateOpenIDConnectProvider",), "create open ID connect providers"),
        (("ec2:DescribeVpcs",), "describe vpcs"),
        (("kms:ListKeyPolicies", "kms:GetKeyPolicy"), "list and get key policies"),
        (("lambda:UpdateFunctionCode",), "update function code"),
    ],
)
def test_actions_in_words(actions: tuple[str, ...], words: str) -> None:
    assert " / ".join(phrases(actions)) == words


def test_what_cloudformation_can_only_replace() -> None:
    """The table says what the resource schemas say, of the properties that the stacks set."""
    ours = {
        "AWS::IAM::ManagedPolicy": {"Description"},  # never set
        "AWS::SNS::Topic": {"FifoTopic"},
        "AWS::Budgets::Budget": {"NotificationsWithSubscribers", "Budget/BudgetName"},  # a name of its own for each
    }
    for type_, properties in FIXED.items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
        fixed = {name.removeprefix("/properties/") for name in schema["createOnlyProperties"]}
        assert fixed - ours.get(type_, set()) == set(properties) - {"BudgetName"}, type_


def test_every_witness_is_a_proof(repository: Path) -> None:
    """The requests that are shown, judged again from the JSON: allowed on one side and denied on the other."""
    edited(repository, WIDENED, *MOVED)
    found = json.loads(diff("main", "--format", "json").output)
    sides = [everybody(Path("config")), everybody(FOLDER / "config")]
    shown = 0
    for change in found["access"]:
        request = Request(**change["witness"])
        key = (change["kind"], change["names"][0])
        answers = [decide(request, side[key].policies).outcome for side in sides]
        assert answers == (["allowed", "denied"] if change["change"] == "gained" else ["denied", "allowed"])
        assert request.action in change["actions"]
        shown += 1
    assert shown >= 8


def everybody(path: Path) -> Mapping[tuple[str, str], Caller]:
    baseline = compile_path(path).value
    assert baseline is not None
    account = baseline.accounts[0]
    return {(c.kind, c.name): c for c in (*callers(baseline, account), *teams(baseline, account))}


def test_a_team_of_the_hub_gains_in_another_account(tmp_path: Path) -> None:
    """Its role there gains, and is told as the team with its people; its own account has no change of access."""
    shutil.copytree(ROOT / "examples" / "organization", tmp_path / "old")
    shutil.copytree(ROOT / "examples" / "organization", tmp_path / "new")
    teams = tmp_path / "new" / "teams.yaml"
    text = teams.read_text(encoding="utf-8")
    more = text.replace(
        "production: [view-servers, view-metrics]", "production: [view-servers, view-metrics, view-databases]"
    )
    teams.write_text(more, encoding="utf-8")
    assert more != text
    found = review(compile_everywhere(tmp_path / "old"), compile_everywhere(tmp_path / "new"))
    assert isinstance(found, Review)
    assert found.unknown == ()
    assert {(a.gained, a.kind, a.names, a.people, a.environments) for a in found.access} == {
        (True, "team", ("developers",), ("john", "maria"), ("production",))
    }
    assert found.trusts == ()
    back = review(compile_everywhere(tmp_path / "new"), compile_everywhere(tmp_path / "old"))
    assert isinstance(back, Review)
    assert {(a.gained, a.names) for a in back.access} == {(False, ("developers",))}
