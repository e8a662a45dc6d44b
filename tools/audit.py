"""Ask PyPI and npm whether the pinned packages have known weaknesses: `python -m tools.audit [--strict] [--accept ID]`.

pip-audit lives in a folder of its own under build/, with pins of its own, so that nothing of it reaches the environment
of the product. What either tool could not look up counts as not checked, never as clean: pip-audit itself exits with 0
when its service knows none of the packages. Nothing but names and versions of packages is sent.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools import install

LOCKS = (("requirements.txt", "requirements-dev.txt", "requirements-node.txt"), ("requirements-audit.txt",))
"""The lock files, those that can be installed together in one call: pip-audit takes one version of a package."""
_PLACE = install.BUILD / "audit"
_OFFLINE = "no network"


class NotChecked(Exception):
    """Why nothing, or not everything, is known."""


@dataclass(frozen=True, order=True, slots=True)
class Weakness:
    """One finding: the package, the names of the weakness, and what mends it."""

    package: str
    names: tuple[str, ...]
    mended: str

    def __str__(self) -> str:
        return f"{self.package}: {', '.join(self.names)}; {self.mended}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool found, and the packages that it could not look up."""

    found: tuple[Weakness, ...]
    unknown: tuple[str, ...] = ()


def of_pip_audit(output: str, errors: str) -> Answer:
    """What `pip-audit --format json` printed. Raises NotChecked."""
    answer = _parsed(output, errors)
    if not isinstance(answer.get("dependencies"), list):
        raise NotChecked(_reason(errors))
    found: list[Weakness] = []
    skipped: list[str] = []
    for one in answer["dependencies"]:
        if "skip_reason" in one:
            skipped.append(one["name"])
        for weak in one.get("vulns", ()):
            names = tuple(dict.fromkeys((weak["id"], *weak.get("aliases", ()))))
            fixed = ", ".join(weak.get("fix_versions", ()))
            mended = f"mended in {fixed}" if fixed else "no version mends it"
            found.append(Weakness(f"{one['name']} {one['version']}", names, mended))
    return Answer(tuple(sorted(set(found))), tuple(sorted(set(skipped))))


def of_npm(output: str, errors: str) -> Answer:
    """What `npm audit --json` printed. Raises NotChecked."""
    answer = _parsed(output, errors)
    if not isinstance(answer.get("vulnerabilities"), dict):
        raise NotChecked(_reason(f"{errors}\n{answer.get('message', '')}"))
    found = []
    for name, one in answer["vulnerabilities"].items():
        told = [via for via in one.get("via", ()) if isinstance(via, dict)]
        names = tuple(str(via.get("url", "")).rpartition("/")[2] or str(via.get("title")) for via in told)
        mended = "npm knows a version that mends it" if one.get("fixAvailable") else "no version mends it"
        found.append(Weakness(f"{name} {one.get('range', '')}".strip(), names or ("through another",), mended))
    return Answer(tuple(sorted(set(found))))


def _parsed(output: str, errors: str) -> dict[str, Any]:
    try:
        answer = json.loads(output)
    except ValueError:
        raise NotChecked(_reason(errors)) from None
    return answer if isinstance(answer, dict) else {}


def _reason(errors: str) -> str:
    """Why a tool did not answer, in a few words."""
    if install.NO_NETWORK.search(errors):
        return _OFFLINE
    said = [line.strip() for line in errors.splitlines() if line.strip()]
    return said[-1] if said else "no answer"


def _python() -> Answer:
    lock = install.ROOT / "requirements-audit.txt"
    stamp, key = _PLACE / ".stamp", install.digest(lock, sys.version)
    if not stamp.is_file() or stamp.read_text() != key:
        venv.create(_PLACE, clear=True, with_pip=True)
        asked = ["-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock)]
        pip = [str(_PLACE / "bin" / "python"), *asked]
        run = subprocess.run(pip, cwd=install.ROOT, capture_output=True, text=True, check=False)
        if run.returncode:
            raise NotChecked(_reason(run.stderr))
        stamp.write_text(key)
    # Without pip nothing is resolved or downloaded: the lock files name everything.
    plain = ["--format", "json", "--progress-spinner", "off", "--require-hashes", "--disable-pip"]
    answers = []
    for locks in LOCKS:
        named = [word for name in locks for word in ("--requirement", name)]
        command = [str(_PLACE / "bin" / "pip-audit"), *plain, *named]
        run = subprocess.run(command, cwd=install.ROOT, capture_output=True, text=True, check=False)
        answers.append(of_pip_audit(run.stdout, run.stderr))
    found = {one for answer in answers for one in answer.found}
    unknown = {one for answer in answers for one in answer.unknown}
    return Answer(tuple(sorted(found)), tuple(sorted(unknown)))


def _node() -> Answer:
    command = [*install.node()[1], "audit", "--json", "--package-lock-only"]
    run = subprocess.run(command, cwd=install.ROOT, capture_output=True, text=True, check=False)
    return of_npm(run.stdout, run.stderr)


def main(arguments: Sequence[str]) -> int:
    """Print what is known; 1 for a weakness that nobody accepted, and with --strict for what was not checked."""
    reader = argparse.ArgumentParser(prog="make audit")
    reader.add_argument("--strict", action="store_true", help="fail where something was not checked")
    reader.add_argument("--accept", action="append", default=[], metavar="ID", help="a weakness that is no danger here")
    options = reader.parse_args(arguments)
    failed = False
    for what, ask in (("Python packages", _python), ("the CDK command line", _node)):
        try:
            answer = ask()
        except (NotChecked, OSError) as error:
            print(f"{what}: not checked: {error}", flush=True)
            failed |= options.strict
            continue
        found = [one for one in answer.found if not set(one.names) & set(options.accept)]
        for one in found:
            print(f"{what}: {one}")
        if found or not answer.unknown:
            print(f"{what}: {len(found) or 'no'} known weakness{'' if len(found) == 1 else 'es'}", flush=True)
        if answer.unknown:
            some = ", ".join(answer.unknown[:3]) + (", …" if len(answer.unknown) > 3 else "")
            print(f"{what}: not checked: {len(answer.unknown)} of which the index keeps no record ({some})", flush=True)
        failed |= bool(found) or (options.strict and bool(answer.unknown))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
