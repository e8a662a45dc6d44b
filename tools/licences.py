"""Write docs/licences.md: what others wrote, under which licence, and where it goes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from tools.inventory import PLACES, ROOT, Package, Part, packages

PAGE = ROOT / "docs" / "licences.md"
_TITLES = dict(
    zip(
        PLACES,
        (
            "With the wheel (`pip install dutybound`)",
            "With `dutybound[cdk]`",
            "With `dutybound[operate]`",
            "The CDK command line, in `node_modules/`",
            "What `make` needs to set up",
            "For development only",
        ),
        strict=True,
    )
)
_HEAD = """\
# Licences

Dutybound is under the Apache License 2.0 ([LICENSE](../LICENSE)), holds no code of others, and names the data that it
carries in [NOTICE](../NOTICE). Packages are installed beside it: by `make` at these versions, those of the lock files,
and by `pip install` at versions that pyproject.toml lets in. `make licences` writes this page from the lock files and
from what the installed packages state; a test fails when something that ships, or a part of it, is under a licence that
is not permissive, or when nobody knows which.
"""


def page(found: Iterable[Package]) -> str:
    """The page for some packages, in their order."""
    listed = list(found)
    lines = [_HEAD]
    for place in PLACES:
        here = [one for one in listed if one.place == place]
        lines += [f"## {_TITLES[place]}", "", "| package | version | licence |", "|---|---|---|"]
        lines += [f"| {one.name} | {one.version} | {one.licence} |" for one in here]
        for one in here:
            lines += _bundled(one)
        lines.append("")
    return "\n".join(lines)


def _bundled(package: Package) -> Iterator[str]:
    """What a package bundles, by licence, as far as its notice names it."""
    if not package.parts:
        return
    yield ""
    yield f"{package.name} bundles, by its own notice:"
    yield ""
    for licence in sorted({part.licence for part in package.parts}):
        names = ", ".join(_called(part) for part in package.parts if part.licence == licence)
        yield f"- {licence}: {names}"


def _called(part: Part) -> str:
    return f"{part.name} {part.version}".rstrip()


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(packages()), encoding="utf-8")
    print("docs/licences.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
