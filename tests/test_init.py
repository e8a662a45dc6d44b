"""`dutybound init` as a user meets it: answers in place, nothing written over, nothing half done."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound import cli, init, installed
from dutybound.cli import EXAMPLES
from dutybound.compiler import compile_everywhere
from dutybound.diagnostic import render_all
from dutybound.source import load, loads
from tests.conftest import ROOT
from tests.test_editors import SERVER, Editor
from tests.test_examples import plain

TODAY = date(2026, 12, 1)
GIVEN = ("--name", "umbrella", "--owner", "it@umbrella.example")
OFFICE = ("--from", "198.51.100.0/24")
PYTHON = shlex.quote(sys.executable)


@pytest.fixture(autouse=True)
def day(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A day, and a folder to work in that an organization might have."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1796083200")
    (tmp_path / "umbrella-aws").mkdir()
    monkeypatch.chdir(tmp_path / "umbrella-aws")


def run(*arguments: str) -> Result:
    """Run it with flags, and nobody to ask."""
    return CliRunner().invoke(cli.cli, ["init", *arguments])


def talk(monkeypatch: pytest.MonkeyPatch, answers: list[str], *arguments: str) -> Result:
    """Run it with somebody who answers."""
    monkeypatch.setattr(cli, "_on_a_terminal", lambda: True)
    return CliRunner().invoke(cli.cli, ["init", *arguments], input="".join(f"{a}\n" for a in answers))


def listing(folder: Path = Path()) -> set[str]:
    """Everything below a folder, hidden files too."""
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*")}


def written(folder: str = "config") -> dict[str, Any]:
    """The configuration in a folder, which compiles without a warning."""
    for one in compile_everywhere(Path(folder), TODAY).values():
        assert one.diagnostics == (), render_all(one.diagnostics)
    tree: dict[str, Any] = plain(load(Path(folder)).value)
    return tree


# --- flags


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_takes_the_answers(example: str) -> None:
    """No value of the example's own organization is left; comments and everything else are."""
    fence = OFFICE if example == "regulated" else ()
    people = ("--administrator", "eve-admin", "--administrator", "y", "--administrator", "007")
    emergency = ("--break-glass", "red", "--break-glass", "blue")
    found = run(
        "--example", example, *GIVEN, "--alert", "x@b.example", "--region", "eu-north-1", *people, *emergency, *fence
    )
    assert found.exit_code == 0, found.output
    assert listing(Path("config")) == {f.name for f in (ROOT / "examples" / example).iterdir()} | {init.SCHEMA}
    tree = written()
    answered = {key: tree["organization"][key] for key in ("name", "owner", "home_region")}
    assert answered == {"name": "umbrella", "owner": "it@umbrella.example", "home_region": "eu-north-1"}
    assert tree["teams"]["administrators"]["members"] == ["eve-admin", "y", "007"]
    assert (tree["break_glass"]["users"], tree["break_glass"]["alert"]) == (["red", "blue"], ["x@b.example"])
    assert tree["budgets"]["monthly"]["notify"] == ["x@b.example"]
    for file in Path("config").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"acme|security@|owner@|john-admin|anna-admin|999988887777-", text)
        original = (ROOT / "examples" / example / file.name).read_text(encoding="utf-8")
        assert re.findall(r"# .*", text)[1:] == re.findall(r"# .*", original)[1:]
        assert text.startswith("# yaml-language-server: $schema=./config.schema.json\n")
    printed = CliRunner().invoke(cli.cli, ["schema"]).output
    assert (Path("config") / init.SCHEMA).read_text(encoding="utf-8") == printed


def test_what_a_waiver_can_accept_keeps_nothing_from_being_written() -> None:
    """One break-glass user for two people is an answer; `check` says what it thinks of it."""
    found = run(*GIVEN, "--administrator", "eve", "--administrator", "ada", "--break-glass", "red")
    assert found.exit_code == 0, found.output
    checked = CliRunner().invoke(cli.cli, ["check"])
    assert checked.exit_code == 0
    assert "warning[lone-break-glass-user]" in checked.output


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1"])
def test_every_partition(example: str, region: str) -> None:
    """China pays in its own currency, GovCloud has no budgets, and no list of Regions crosses a partition."""
    fence = OFFICE if example == "regulated" else ()
    found = run("--example", example, *GIVEN, "--region", region, *fence)
    assert found.exit_code == 0, found.output
    tree = written()
    currency = {"us-east-1": "USD", "cn-north-1": "CNY"}.get(region)
    assert tree.get("budgets", {}).get("monthly", {}).get("currency") == currency
    if "regions" in tree.get("guardrails", {}):
        assert tree["guardrails"]["regions"] == [region]


@pytest.mark.parametrize("year", [2026, 2029, 2041])
@pytest.mark.parametrize("example", EXAMPLES)
def test_it_never_grows_old(example: str, year: int) -> None:
    """Ends are ahead whenever somebody starts."""
    day = date(year, 12, 31)
    draft = init.drafted(example, init.Answers(), day)
    assert init.wrong_with(draft, day) == ()
    assert all(date.fromisoformat(end) > day for end in re.findall(r"until: ([0-9-]{10})", "".join(draft.values())))


def test_a_stranger_does_not_get_in() -> None:
    """The account of the example is not the user's partner: its external id is one that nobody knows."""
    ids = set()
    for folder in ("a", "b"):
        assert run(folder, "--example", "company", *GIVEN).exit_code == 0
        ids.add(written(folder)["roles"]["partner-audit"]["trusts"]["external_id"])
    assert len(ids) == 2
    assert all(re.fullmatch(r"umbrella-[0-9a-f]{32}", one) for one in ids)


def test_what_comes_next() -> None:
    """Commands that a shell takes, from where somebody is: not Dutybound's own folder, so each names its own files."""
    home, written = shlex.quote(str(ROOT)), shlex.quote(str(Path("config").absolute()))
    assert run(*GIVEN).output.splitlines()[-3:] == [
        "2. Change it; after each change: dutybound check",
        f"3. With AWS credentials of the account, once: make -C {home} bootstrap CONFIG={written}",
        f"4. With AWS credentials of the account: make -C {home} deploy CONFIG={written}",
    ]
    lines = run("my config", "--example", "company", *GIVEN).output.splitlines()
    assert len(lines) == 5
    assert lines[2].endswith("dutybound check 'my config'")
    assert lines[4] == (
        f"4. With AWS credentials for development: make -C {home} deploy CONFIG='{Path.cwd()}/my config' "
        "ENVIRONMENT=development; then likewise for production"
    )


def test_what_comes_next_in_the_folder_of_dutybound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where `make` reads what was written anyway, it is told nothing."""
    monkeypatch.setattr(installed, "checkout", Path.cwd)
    assert run(*GIVEN).output.splitlines()[-1] == "4. With AWS credentials of the account: make deploy"
    assert run("mine", *GIVEN).output.splitlines()[-1].endswith(f": make deploy CONFIG={Path.cwd()}/mine")


def test_the_account_that_the_others_trust_is_deployed_first() -> None:
    """As the examples' READMEs say."""
    for example, says in (("organization", "identity"), ("identity-center", "management")):
        last = run(example, "--example", example, *GIVEN).output.splitlines()[-1]
        assert last.endswith(f"ENVIRONMENT={says}; then likewise for data-dev, development, production")


@pytest.mark.parametrize(
    ("started", "path", "says"),
    [
        ("bin/dutybound", "bin", "dutybound check"),
        ("bin/dutybound", "elsewhere", "bin/dutybound check"),
        ("my bin/dutybound", "elsewhere", "'my bin/dutybound' check"),
        (
            Path(installed.__file__).with_name("__main__.py"),
            "elsewhere",
            f"{PYTHON} -m dutybound check",
        ),
        (Path(installed.__file__).with_name("cli.py"), Path(sys.executable).parent, "python -m dutybound check"),
        ("-c", "bin", "dutybound check"),
    ],
)
def test_commands_are_named_as_a_shell_finds_them(
    started: str | Path, path: str | Path, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever called `.venv/bin/dutybound` has no `dutybound` on the path."""
    for folder in ("bin", "my bin", "elsewhere"):
        Path(folder).mkdir()
    for script in (Path("bin/dutybound"), Path("my bin/dutybound")):
        script.write_text("", encoding="utf-8")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(Path(path).absolute()))
    monkeypatch.setattr(sys, "argv", [str(started)])
    assert run(*GIVEN).output.splitlines()[2] == f"2. Change it; after each change: {says}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --name (Name of the organization, in stack names and tags), --owner"),
        (["--yes", "--owner", "a@b.example"], "give --name (Name of the organization"),
        (["--name", "x", "--owner", "The blue team"], "give --alert (Address"),
        ([*GIVEN, "--example", "regulated"], "give --from (Public networks"),
        ([*GIVEN, "--example", "medium"], "Invalid value for '--example'"),
        (["--name", "two words"], "Invalid value for '--name': a stack name starts with it"),
        (["--name", ""], "Invalid value for '--name': it is empty"),
        (["--alert", "nobody"], "Invalid value for '--alert': it is not an e-mail address"),
        (["--break-glass", "a", "--break-glass", "b c"], "'--break-glass': 'b c': an IAM user name is made of"),
        (["--from", "here"], "Invalid value for '--from': 'here': a place is written as"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str) -> None:
    """What is missing or wrong is named by its flag, in the compiler's words; exit 2, nothing written."""
    found = run(*arguments)
    assert (found.exit_code, listing()) == (2, set())
    assert says in " ".join(found.output.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--region", "eu-wst-1"], "there is no AWS Region 'eu-wst-1'"),
        (["--break-glass", "John-Admin"], "is a break-glass user"),
        ([*OFFICE], "the example personal has no place for --from"),
        (["--from", "10.0.0.0/8", "--example", "regulated"], "10.0.0.0/8"),
    ],
)
def test_what_does_not_compile_is_not_written(arguments: list[str], says: str) -> None:
    """Answers that are well formed and wrong: the compiler's words and the place that it would have had; exit 1."""
    found = run(*GIVEN, *arguments)
    assert (found.exit_code, listing()) == (1, set())
    assert says in found.output
    assert found.output.endswith("nothing was written\n")
    assert tempfile.gettempdir() not in found.output


# --- hostile answers

HOSTILE = [
    "acme\nteams: {}",
    "a: b",
    "x'",
    'x"',
    "*",
    "&a",
    "!!binary",
    "{{resolve:ssm:x}}",
    "${AWS::AccountId}",
    "# x",
    "- x",
    "ácme",
    "ａｃｍｅ",
    "x\u202ey",
    "x\x00",
    "../../x",
    "[]",
    "x" * 500,
    "\\",
]


@pytest.mark.parametrize("flag", ["--name", "--owner", "--alert", "--region", "--administrator", "--break-glass"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers(flag: str, text: str) -> None:
    """An answer is refused, or stands in the configuration as exactly this text and nothing else changes."""
    safe = {"--name": "umbrella", "--owner": "it@umbrella.example", "--alert": "x@b.example"}
    found = run(*(word for pair in {**safe, flag: text}.items() for word in pair))
    assert found.exit_code in {0, 2}, found.output
    assert "Traceback" not in found.output
    if found.exit_code == 2:
        assert listing() == set()
        return
    tree = written()
    assert text in [tree["organization"]["owner"], *tree["teams"]["administrators"]["members"]]
    assert set(tree) == {"version", "organization", "teams", "break_glass", "budgets"}
    assert set(tree["teams"]) == {"administrators"}


@settings(max_examples=300)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_what_is_written_is_read_as_the_same_text(text: str) -> None:
    """In a mapping, in a list in brackets, and before a comment."""
    quoted = init._written(text)
    read = plain(loads(f"a: {quoted}  # c\nb: [{quoted}, {quoted}]\nc: {{d: {quoted}}}\n", "x.yaml").value)
    assert read == {"a": text, "b": [text, text], "c": {"d": text}}


# --- questions


def test_it_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter takes what is usual; the name comes from the folder, the alert's address from the owner."""
    found = talk(monkeypatch, ["", "", "it@umbrella.example", "", "", "", ""])
    assert found.exit_code == 0, found.output
    tree = written()
    assert tree["organization"]["name"] == "umbrella-aws"
    assert tree["break_glass"] == {"users": ["break-glass-1"], "alert": ["it@umbrella.example"]}
    for asked in ("[personal]", "[umbrella-aws]", "[it@umbrella.example]", "[eu-west-1]", "[john-admin]"):
        assert asked in found.output
    assert "office" not in found.output


def test_it_asks_again_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is judged at once: alone, and with those before it."""
    answers = ["regulated", "9lives", "umbrella", "", "it@umbrella.example", "nobody", "", "eu-wst-1", "eu-west-2"]
    answers += ["eve, john doe!", "eve, mallory", "red blue", "10.0.0.0/8", "198.51.100.0/24"]
    found = talk(monkeypatch, answers)
    assert found.exit_code == 0, found.output
    for reason in (
        "Error: a stack name starts with it: letters, digits and '-', starting with a letter",
        "Error: it is not an e-mail address",
        "Error: there is no AWS Region 'eu-wst-1'; did you mean 'eu-west-1'?",
        "Error: 'doe!': an IAM user name is made of letters, digits and any of _+=,.@-",
        "Error: guardrails.from",
    ):
        assert reason in found.output
    tree = written()
    assert tree["guardrails"]["from"] == ["198.51.100.0/24"]
    assert tree["break_glass"]["users"] == ["red", "blue"]
    assert tree["people"]["mallory"] == {}


def test_break_glass_in_a_team_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What two answers have to do with each other counts as well."""
    found = talk(
        monkeypatch,
        ["eve", "eve", "red"],
        *GIVEN,
        "--example",
        "personal",
        "--alert",
        "a@b.example",
        "--region",
        "eu-west-1",
    )
    assert found.exit_code == 0, found.output
    assert "Error: 'eve' is a break-glass user" in found.output
    assert written()["break_glass"]["users"] == ["red"]


def test_flags_are_not_asked_for_and_yes_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --yes on a terminal it takes what is usual."""
    found = talk(monkeypatch, [], *GIVEN, "--yes")
    assert found.exit_code == 0, found.output
    assert found.output.startswith("config: the example personal")
    found = talk(monkeypatch, ["", "", ""], "b", *GIVEN, "--example", "personal", "--region", "eu-west-1")
    assert found.exit_code == 0, found.output
    assert "Region" not in found.output


def test_a_flag_that_cannot_be_is_refused_before_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise no answer would do."""
    found = talk(monkeypatch, [], *GIVEN, "--example", "personal", "--region", "eu-wst-1")
    assert (found.exit_code, listing()) == (1, set())
    assert found.output.startswith("there is no AWS Region 'eu-wst-1'")


@pytest.mark.parametrize("answered", [0, 1, 3, 5])
def test_an_end_of_input_leaves_nothing(answered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever walks away has written nothing."""
    found = talk(monkeypatch, ["personal", "x", "a@b.example", "", "eu-west-1"][:answered])
    assert (found.exit_code, listing()) == (130, set())
    assert found.stderr.endswith("nothing was written\n")


def test_ctrl_c_at_a_prompt_leaves_nothing(tmp_path: Path) -> None:
    """On a terminal of its own, with a process of its own."""
    ours, theirs = pty.openpty()
    code = "from dutybound.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "init"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    for wanted, answer in ((b"[personal]", b"\n"), (b"stack names", b"umbrella\n"), (b"Who owns", b"")):
        while wanted not in seen:
            seen += os.read(ours, 4096)
        os.write(ours, answer)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    os.close(ours)
    assert listing(tmp_path) == {"umbrella-aws"}


@pytest.mark.skipif(not SERVER.exists(), reason="npm install --no-save yaml-language-server@1.25.0 brings it")
def test_an_editor_finds_the_schema(tmp_path: Path) -> None:
    """By the first line of what was written, in the language server that editors run."""
    init.put(init.drafted("personal", init.Answers(), TODAY), tmp_path / "config", TODAY)
    text = (tmp_path / "config" / "account.yaml").read_text(encoding="utf-8")
    with Editor(tmp_path) as editor:
        assert editor.problems_of(text) == []
        (problem,) = editor.problems_of(text.replace("\nversion: 1\n", "\nversion: 1\nteems: {}\n"))
        assert problem[0] == 3


# --- what exists


@pytest.mark.parametrize("name", ["README.md", "config.schema.json", "teams.yaml", "deep/old.yml"])
def test_nothing_is_written_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of ours, or YAML of anybody's: it is named before any question, and stays as it is."""
    file = Path("config") / name
    file.parent.mkdir(parents=True)
    file.write_text("mine", encoding="utf-8")
    before = listing()
    for found in (run(*GIVEN), talk(monkeypatch, [])):
        assert (found.exit_code, found.output) == (1, f"config/{name} exists\nnothing was written\n")
        assert listing() == before
        assert file.read_text(encoding="utf-8") == "mine"


def test_a_folder_with_other_files_is_taken() -> None:
    """What is no YAML and not in the way stays beside it."""
    Path("config").mkdir()
    (Path("config") / "notes.txt").write_text("mine", encoding="utf-8")
    assert run(*GIVEN).exit_code == 0
    assert listing(Path("config")) == {"notes.txt", "README.md", "account.yaml", init.SCHEMA}
    written()


def test_no_place_for_a_folder() -> None:
    """A file, a broken link and a folder that is not there are said."""
    Path("file").write_text("x", encoding="utf-8")
    Path("link").symlink_to("nowhere")
    for path, says in (("file", "is not a folder"), ("link", "is not a folder"), ("a/b", "there is no folder a")):
        found = run(path, *GIVEN)
        assert found.exit_code == 1
        assert says in found.output
    assert listing() == {"file", "link"}


def test_whoever_was_faster_keeps_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears while it writes is left alone, and what was placed before it goes."""
    Path("config").mkdir()
    Path("config/notes").touch()
    link = os.link

    def slow(source: Path, target: Path) -> None:
        if target.name == init.SCHEMA:
            target.write_text("theirs", encoding="utf-8")
        link(source, target)

    monkeypatch.setattr(os, "link", slow)
    found = run(*GIVEN)
    assert found.exit_code == 1
    assert "config cannot be written: file exists" in found.output
    assert listing() == {"config", "config/notes", f"config/{init.SCHEMA}"}
    assert (Path("config") / init.SCHEMA).read_text(encoding="utf-8") == "theirs"


def test_without_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have none."""

    def none(*_paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    Path("config").mkdir()
    Path("config/notes").touch()
    assert run(*GIVEN).exit_code == 0
    written()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_ctrl_c_leave_nothing_half(
    there: bool, problem: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the third file."""
    if there:
        Path("config").mkdir()
    before = listing()
    write, count = Path.write_bytes, iter(range(99))

    def failing(self: Path, data: bytes) -> int:
        if next(count) == 2:
            raise problem
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    found = run(*GIVEN)
    assert found.exit_code == (1 if isinstance(problem, OSError) else 130)
    assert "nothing was written" in found.output
    assert listing() == before


@pytest.mark.parametrize("path", ["locked", "locked/config"])
def test_a_folder_that_takes_no_files(path: str) -> None:
    """It says so. Root writes everywhere, so root becomes nobody for it."""
    draft = init.drafted("personal", init.Answers(), TODAY)
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "locked").mkdir(mode=0o555)
        try:
            os.seteuid(user or 65534)
            with pytest.raises(init.Refused, match="cannot be written: permission denied"):
                init.put(draft, Path(folder) / path, TODAY)
        finally:
            os.seteuid(user)
        assert listing(Path(folder)) == {"locked"}
