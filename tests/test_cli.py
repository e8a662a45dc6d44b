"""The command as a user meets it: exit codes, streams, and the ways in which things go wrong around it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dutybound import __version__
from tests.conftest import ROOT
from tests.test_bad_input import BASE

COMMAND = [sys.executable, "-c", "from dutybound.cli import main; main()"]


def run(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_check_the_example() -> None:
    """No errors: what there is, and where the rest is; exit 0."""
    found = run("check")
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    assert found.stdout.startswith("config: no errors. 5 groups, 8 users, 2 roles")
    assert found.stdout.splitlines()[1:] == ["What CloudFormation cannot do, such as first passwords: dutybound steps"]


@pytest.mark.parametrize("module", ["dutybound", "dutybound.cli"])
def test_as_a_module(module: str) -> None:
    """`python -m dutybound` is the command, with its exit codes and its own name in what it says; so is the module."""

    def as_module(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert as_module("--version").stdout == f"dutybound, version {__version__}\n"
    wrong = as_module("chck")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"Usage: python -m {module} ")
    assert "Did you mean 'check'?" in wrong.stderr


def test_errors_go_to_stderr_and_exit_1(tmp_path: Path) -> None:
    """Diagnostics without colour in a pipe."""
    (tmp_path / "x.yaml").write_text("version: 1\nteams: [a]\n", encoding="utf-8")
    found = run("check", "x.yaml", cwd=tmp_path)
    assert found.returncode == 1
    assert found.stdout == ""
    assert "error[missing-key]" in found.stderr
    assert "x.yaml:2:8" in found.stderr
    assert "\x1b" not in found.stderr
    assert found.stderr.rstrip().endswith("3 errors")


def test_formats_for_machines(tmp_path: Path) -> None:
    """JSON, SARIF and GitHub's workflow commands say what the text says, on stdout."""
    (tmp_path / "a b.yaml").write_text("version: 1\nteams: [a]\n", encoding="utf-8")
    as_json = run("check", "a b.yaml", "--format", "json", cwd=tmp_path)
    found = json.loads(as_json.stdout)
    assert (as_json.returncode, as_json.stderr) == (1, "")
    assert [f["name"] for f in found] == ["missing-key", "missing-key", "wrong-type"]
    assert found[2]["place"] == {"path": "a b.yaml", "line": 2, "column": 8, "length": 1}
    sarif = json.loads(run("check", "a b.yaml", "--format", "sarif", cwd=tmp_path).stdout)
    (one,) = sarif["runs"]
    assert [r["ruleId"] for r in one["results"]] == [f["name"] for f in found]
    assert one["results"][2]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.yaml"
    github = run("check", "a b.yaml", "--format", "github", cwd=tmp_path)
    assert github.stdout.splitlines()[2] == (
        "::error title=wrong-type,file=a b.yaml,line=2,col=8::teams takes a mapping, not a list. "
        "write 'key: value' lines below it, indented"
    )
    fine = run("check", "--format", "json")
    assert (fine.returncode, json.loads(fine.stdout)) == (0, [])


def test_sarif_is_sarif(tmp_path: Path) -> None:
    """The log keeps the schema of SARIF 2.1.0; each rule says what its page says, and links to no host."""
    model = pytest.importorskip("pydantic_sarif.model", reason="it comes with requirements-dev.txt")
    (tmp_path / "a b.yaml").write_text("version: 1\nteams: [a]\n", encoding="utf-8")
    for path in ("a b.yaml", "nowhere"):
        text = run("check", path, "--format", "sarif", cwd=tmp_path).stdout
        model.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate_json(text)
        (one,) = json.loads(text)["runs"]
        rules = {rule["id"]: rule for rule in one["tool"]["driver"]["rules"]}
        assert set(rules) == {result["ruleId"] for result in one["results"]}
        for result in one["results"]:
            place = result["locations"][0]["physicalLocation"]
            assert place["artifactLocation"]["uri"] == path.replace(" ", "%20")
            assert place["region"]["startLine"] >= 1
        for name, rule in rules.items():
            assert rule["shortDescription"]["text"]
            assert f"docs/diagnostics/{name}.md" in rule["help"]["text"]
            assert "helpUri" not in rule


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        ([], 0, "x.yaml: no errors. 2 groups", "warning[person-without-team]"),
        (["--strict"], 1, "x.yaml: no errors. 2 groups", "1 warning\n"),
        (["--format", "json"], 0, '"severity": "warning"', ""),
        (["--format", "sarif"], 0, '"level": "warning"', ""),
        (["--format", "github"], 0, "::warning title=person-without-team,file=x.yaml,line=6,col=3::", ""),
        (["--format", "github", "--strict"], 1, "::warning title=person-without-team,", ""),
    ],
)
def test_a_warning_alone_fails_only_when_asked(
    arguments: list[str], code: int, out: str, err: str, tmp_path: Path
) -> None:
    """Warnings are shown in every format; exit 0 without --strict, 1 with it."""
    text = BASE + "people:\n  maria: {}\n  tom: {}\nteams:\n  a: {purpose: Build, members: [maria]}\n"
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    found = run("check", "x.yaml", *arguments, cwd=tmp_path)
    assert found.returncode == code, found
    assert out in found.stdout
    assert err in found.stderr
    assert bool(found.stderr) == bool(err)


def test_strict_is_content_without_warnings() -> None:
    """--strict changes nothing where there is nothing to say."""
    assert run("check", "--strict").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "nowhere"], "there is no file or folder 'nowhere'"),
        (["check", "empty"], "holds no .yaml or .yml file"),
        (["check", "/dev/null"], "is not a regular file"),
    ],
)
def test_nothing_to_read(arguments: list[str], says: str, tmp_path: Path) -> None:
    """One clear line, exit 1, no traceback."""
    (tmp_path / "empty").mkdir()
    found = run(*arguments, cwd=tmp_path)
    assert found.returncode == 1
    assert says in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """No permission: one clear line."""
    file = tmp_path / "x.yaml"
    file.write_text("version: 1\n", encoding="utf-8")
    file.chmod(0)
    assert "cannot be read: permission denied" in run("check", str(file)).stderr


def test_wrong_usage_is_2() -> None:
    """An unknown command or option exits with 2."""
    assert run("chekc").returncode == 2
    assert run("check", "--nope").returncode == 2


def test_version_and_help() -> None:
    """They work and name the commands."""
    assert run("--version").stdout.strip().endswith(__version__)
    found = run("--help")
    assert "check" in found.stdout
    assert "schema" in found.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_is_one_line() -> None:
    """Output that cannot be written is said in one line, without a traceback."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        found = subprocess.run(
            [*COMMAND, "schema"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert found.returncode == 1
    assert found.stderr == "dutybound: the output cannot be written: no space left on device\n"


def test_duties() -> None:
    """The list names every duty once, by groups; one of them is shown as a whole; an unknown one gets a suggestion."""
    listed = run("duties")
    assert (listed.returncode, listed.stderr) == (0, "")
    names = re.findall(r"^  ([a-z][a-z-]*)  ", listed.stdout, re.MULTILINE)
    assert sorted(names) == sorted(f.stem for f in (ROOT / "dutybound" / "duties").glob("*.yaml"))
    assert max(map(len, listed.stdout.splitlines())) <= 80
    assert "\n\nLook after\n  manage-alarms " in listed.stdout
    shown = run("duties", "erase-storage").stdout
    assert "\n\nFor people only: it takes MFA within the last quarter of an hour" in shown
    assert "\n  buckets: Names of buckets; '*' and '?' match, such as acme-dev-*\n" in shown
    assert "\nGrants: Erasing these buckets is the duty\n" in shown
    assert (
        "  write on arn:aws:s3:::acme-dev-*\n"
        "    when Bool aws:MultiFactorAuthPresent: true\n"
        "    when NumericLessThan aws:MultiFactorAuthAge: 900\n"
        "    s3:DeleteBucket\n"
    ) in shown
    assert "also denies\n  s3:BypassGovernanceRetention\n" in shown
    assert "  deny   s3:DeleteBucket on arn:aws:s3:::acme-payroll\n" in shown
    passes = run("duties", "create-jobs").stdout
    assert "role/app/glue-*\n    when StringEquals iam:PassedToService: glue.amazonaws.com\n    iam:PassRole" in passes
    assert "  attaches AWS's AdministratorAccess\n" in run("duties", "administer").stdout
    unknown = run("duties", "use-storag")
    assert unknown.returncode == 2
    assert "did you mean 'use-storage'?" in unknown.stderr


def test_duties_for_tools() -> None:
    """The list and a duty as JSON say what the text says; an unknown name is wrong usage there too."""
    listed = json.loads(run("duties", "--format", "json").stdout)
    row = next(r for r in listed if r["name"] == "use-keys")
    assert row == {
        "name": "use-keys",
        "group": "Use what is there",
        "summary": "Encrypt and decrypt with named KMS keys",
        "parameters": {"keys": {"description": "Ids of keys", "example": ["1234abcd-12ab-34cd-56ef-1234567890ab"]}},
    }
    one = json.loads(run("duties", "delete-keys", "--format", "json").stdout)
    assert one["grants"][2]["why"] == "Deleting these keys is the duty"
    (statement,) = one["grants"][2]["statements"]
    assert statement["actions"] == {"write": ["kms:ScheduleKeyDeletion"]}
    assert {"operator": "NumericLessThan", "key": "aws:MultiFactorAuthAge", "values": ["900"]} in statement[
        "conditions"
    ]
    assert one["never"] == ["kms:DeleteImportedKeyMaterial"]
    assert {e["outcome"] for e in one["expect"]} == {"allow", "deny"}
    assert run("duties", "delete-key", "--format", "json").returncode == 2


def test_a_closed_pipe_is_no_error() -> None:
    """`dutybound schema | head -1` ends without a complaint."""
    text = f"{shlex.quote(sys.executable)} -c 'from dutybound.cli import main; main()' schema | head -1"
    found = subprocess.run(["bash", "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == "{\n"
    assert found.stderr == ""


@pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.UTF-8", "C.UTF-8"])
def test_any_locale(locale: str, tmp_path: Path) -> None:
    """The same diagnostics in every locale, non-ASCII text included."""
    (tmp_path / "x.yaml").write_text("version: 1\nteams: {é: {purpose: 'İ —'}}\n", encoding="utf-8")
    found = run("check", "x.yaml", cwd=tmp_path, LC_ALL=locale, LANG=locale, PYTHONUTF8="0", PYTHONIOENCODING="utf-8")
    assert found.returncode == 1
    assert "a key of 'teams' cannot be 'é'" in found.stderr


def test_check_imports_no_cdk() -> None:
    """The CDK costs more than the whole compiler, so `check` does without."""
    code = (
        "import sys; from dutybound.cli import cli; cli(['check'], standalone_mode=False);"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('aws_cdk', 'jsii', 'boto3', 'botocore')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert found.stdout.splitlines()[-1] == "[]", found.stderr
