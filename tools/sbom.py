"""Write build/sbom.json: what ships, as a CycloneDX 1.6 bill of materials.

Own code, because the generators there are know one ecosystem each and put the time of day and a random serial number
into the file: this one is the same for the same lock files. Source: the JSON schema of CycloneDX 1.6 (ECMA-424) and the
package-url specification.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dutybound import __version__
from tools.inventory import ROOT, SHIPS, Package, Part, asked, shipped

OUT = ROOT / "build" / "sbom.json"


def bill(found: Sequence[Package]) -> dict[str, Any]:
    """The document for some packages."""
    own = f"pkg:pypi/dutybound@{__version__}"
    names = {(one.ecosystem, one.name): _purl(one.ecosystem, one.name, one.version) for one in found}
    own_needs = asked()
    depends = {own: sorted(purl for (kind, name), purl in names.items() if kind == "npm" or name in own_needs)}
    depends |= {names[one.ecosystem, one.name]: [names[one.ecosystem, name] for name in one.needs] for one in found}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "dutybound",
                "version": __version__,
                "licenses": [{"expression": "Apache-2.0"}],
                "purl": own,
            }
        },
        "components": [_component(one, names[one.ecosystem, one.name]) for one in found],
        "dependencies": [{"ref": ref, "dependsOn": depends[ref]} for ref in sorted(depends)],
    }


def _component(package: Package, purl: str) -> dict[str, Any]:
    kind = "SHA-512" if package.ecosystem == "npm" else "SHA-256"
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        # Only the wheel's own needs are always there; what an extra or make brings is the user's choice.
        "scope": "required" if package.place == SHIPS[0] else "optional",
        "hashes": [{"alg": kind, "content": one} for one in package.hashes],
        "licenses": [{"expression": package.licence}],
        "purl": purl,
        "properties": [{"name": "dutybound:ships-in", "value": package.place}],
    }
    if package.parts:
        made["components"] = [_part(part, purl) for part in package.parts]
    return made


def _part(part: Part, of: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "library", "bom-ref": f"{of}#{part.name}@{part.version}".rstrip("@")}
    made |= {"name": part.name, "licenses": [{"expression": part.licence}]}
    if part.version:
        made |= {"version": part.version, "purl": _purl("npm", part.name, part.version)}
    return made


def _purl(ecosystem: str, name: str, version: str) -> str:
    return f"pkg:{ecosystem}/{quote(name, safe='/')}@{quote(version)}"


def main() -> int:
    """Write the file."""
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(bill(shipped()), indent=1) + "\n", encoding="utf-8")
    print("build/sbom.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
