"""How Dutybound came onto this machine, and the words by which a shell starts it and what it brings."""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

CDK_CLI = "2.1148.1"
"""The version of the npm package `aws-cdk` that goes with the library: that of package.json, which no wheel holds."""
_PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Dutybound's own folder, where `make` works; None where it was installed without it, as from a wheel."""
    folder = _PACKAGE.parent
    return folder if (folder / "Makefile").is_file() and (folder / "examples").is_dir() else None


def has_cdk() -> bool:
    """Whether the extra `cdk` is installed."""
    return find_spec("aws_cdk") is not None


def bucket_template() -> Path:
    """The template of a bucket for `cdk bootstrap`: in a wheel it stands inside the package, in a checkout beside."""
    inside = resources.files("dutybound") / "stacks"
    return Path(str(inside if inside.is_dir() else _PACKAGE.parent / "stacks"), "bootstrap.yaml")


def command() -> str:
    """What a shell takes for the command that runs: its name if that finds it, else the way it was started."""
    script = Path(sys.argv[0])
    if script.parent.resolve() == _PACKAGE:
        return f"{python()} -m dutybound"
    if script.name != "dutybound" or not script.is_file():
        return "dutybound"
    found = shutil.which("dutybound")
    return "dutybound" if found is not None and script.samefile(found) else shlex.quote(str(script))


def python() -> str:
    """What a shell takes for the interpreter that runs."""
    found = shutil.which("python")
    ours = found is not None and Path(found).parent == Path(sys.executable).parent
    return "python" if ours else shlex.quote(sys.executable)
