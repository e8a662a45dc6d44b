"""The wheel as people get it: made twice alike, complete, and at work without the repository. No network is used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_stacks import synthesize
from tools.wheel import build

EPOCH = "1790000000"
Run = Callable[..., subprocess.CompletedProcess[str]]


def _pip(*words: str | Path) -> None:
    quiet = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    run = subprocess.run([sys.executable, "-m", "pip", *words], env=quiet, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source archive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def run(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run Python in an empty folder with the wheel and the pinned packages, and nothing of this repository."""
    place, folder = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("elsewhere")
    _pip("install", "--quiet", "--no-deps", "--no-compile", "--target", place, made[0])

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        # -S: site would read the .pth file by which this repository is installed.
        pinned = sysconfig.get_path("purelib")
        path = f"{place / 'bin'}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "PYTHONPATH": f"{place}:{pinned}", "SOURCE_DATE_EPOCH": EPOCH}
        env |= {"CDK_VALIDATION": "false", "CDK_OUTDIR": "out"}
        words = (place / "bin" / "dutybound", *words[1:]) if words[0] == "dutybound" else words
        command = [sys.executable, "-S", *words]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)

    (folder / "said").write_text(_init(run, "mine", "--example", "personal"), encoding="utf-8")
    return run


def _init(run: Run, *words: str) -> str:
    who = ("--name", "acme", "--owner", "owner@acme.example", "--alert", "security@acme.example")
    done = run("dutybound", "init", *words, *who, "--yes")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_source_archive_makes_the_same_wheel(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Byte for byte, though it was built another time, in another place, by pip."""
    with tarfile.open(made[1]) as archive:
        archive.extractall(tmp_path, filter="data")
        assert {(one.mtime, one.uid, one.uname) for one in archive} == {(int(EPOCH), 0, "")}
    (source,) = tmp_path.iterdir()
    _pip("wheel", "--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", tmp_path / "again", source)
    (again,) = (tmp_path / "again").iterdir()
    assert again.name == made[0].name
    assert again.read_bytes() == made[0].read_bytes()


def test_the_wheel_holds_what_ships_and_nothing_else(made: tuple[Path, Path]) -> None:
    """Every module, duty and example, the licence with its notice; no test and no tool."""
    with zipfile.ZipFile(made[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licences = {name.partition("/licenses/")[2] for name in wheel.namelist() if "/licenses/" in name}
    ours = subprocess.run(["git", "ls-files", "dutybound"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in names if not name.startswith(("dutybound/examples/", "dutybound/stacks/"))} == set(
        ours.stdout.split()
    )
    assert licences == {"LICENSE", "NOTICE"}
    assert {f"dutybound/stacks/{file.name}" for file in (ROOT / "stacks").glob("*.py")} <= names
    examples = {
        f"dutybound/{f.relative_to(ROOT)}" for f in (ROOT / "examples").rglob("*") if f.suffix in {".yaml", ".md"}
    }
    assert {name for name in names if name.startswith("dutybound/examples/")} == examples
    assert not [name for name in names if "test" in name or name.startswith("tools")]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--version"], 0, "dutybound, version "),
        (["check", "mine"], 0, ""),
        (["duties", "view-costs"], 0, "view-costs"),
        (["explain", "--config", "mine", "john-admin", "iam:CreateUser"], 0, "allowed"),
        (["report", "mine"], 0, "report"),
        (["schema"], 0, '"$schema"'),
        (["compliance", "mine"], None, "CIS"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_commands_work_without_the_repository(run: Run, words: list[str], code: int | None, says: str) -> None:
    """Each from an empty folder, with data, examples and page from the wheel alone."""
    done = run("dutybound", *words)
    assert code is None or done.returncode == code, done.stderr
    assert says in done.stdout
    assert "Traceback" not in done.stderr


def test_without_the_cdk_the_stacks_name_the_extra(run: Run) -> None:
    """`pip install dutybound` has no CDK: the import says what to install."""
    done = run("-c", "import sys; sys.modules['aws_cdk'] = None; from dutybound.stacks import DutyboundBaseline")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("the stacks need the AWS CDK: pip install 'dutybound[cdk]'")


def test_what_comes_after_init_needs_no_repository(run: Run) -> None:
    """No `make`: the CDK's own command, of the version that goes with the library, and files that are there."""
    said = _init(run, "two", "--example", "company")
    version = json.loads((ROOT / "package.json").read_bytes())["devDependencies"]["aws-cdk"]
    assert "make " not in said
    assert "2. Change it; after each change: dutybound check two\n" in said
    assert set(re.findall(r"npx aws-cdk@(\S+) ", said)) == {version}
    (template,) = re.findall(r"--template (\S+)", said)
    assert Path(template).read_bytes() == (ROOT / "stacks" / "bootstrap.yaml").read_bytes()
    assert said.endswith(" app.py' '**' -c environment=development; then likewise for production\n")
    assert "pip install" not in said
    without = "import sys; sys.modules['aws_cdk'] = None; from dutybound.installed import has_cdk; print(has_cdk())"
    assert run("-c", without).stdout == "False\n"
    assert set(re.findall(r"npx aws-cdk@(\S+) ", (ROOT / "docs" / "construct.md").read_text("utf-8"))) == {version}


def test_the_app_that_init_prints_synthesizes_the_templates_of_app_py(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, from an app in a folder of its own."""
    app = "said = open('said').read(); exec(said[said.index('import aws_cdk'):said.index('app.synth()') + 11])"
    done = run("-c", f"from pathlib import Path; print(Path.cwd()); {app}")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[0])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    plain = synthesize(folder / "mine", tmp_path)
    assert plain.returncode == 0, plain.stderr
    ours, theirs = (
        sorted(json.dumps(json.loads(f.read_bytes())) for f in place.glob("*.template.json"))
        for place in (tmp_path, folder / "out")
    )
    assert ours == theirs != []
