"""The JSON Schema is valid, says what the compiler says, and the shipped copy is current."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from dutybound.cli import cli
from dutybound.config import schema
from dutybound.read import library
from tests.conftest import CASES, ROOT
from tests.test_diagnostics import PAGES, page

SCHEMA = schema(library())
SHAPES = {
    "empty-list",
    "invalid-value",
    "missing-key",
    "too-long",
    "unknown-key",
    "wrong-type",
}
"""Names of errors in the shape of one value: what a schema can see. What names have to do with each other it cannot."""
UNSEEN = {
    "everything is missing": "the files of a folder merge, so no one file needs any key",
    "a version that is no whole number": "to JSON 1.0 and 1 are the same number",
}
"""Cases of such errors that no schema can see, and why."""
ENTRIES = yaml.safe_load((CASES / "bad.yaml").read_text(encoding="utf-8"))
BAD = [e for e in ENTRIES if "bytes" not in e and any(error.split()[0] in SHAPES for error in e["errors"])]


class CoreLoader(yaml.SafeLoader):
    """YAML as editors read it: 'yes' is text and 12345678901 a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def errors(tree: Any, part: str = "") -> list[str]:
    """What the schema finds in a configuration, or in a part of one: a name among its `$defs`."""
    as_json = json.loads(json.dumps(tree))  # where every key is text
    schema_ = {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]} if part else SCHEMA
    return [e.message for e in Draft202012Validator(schema_).iter_errors(as_json)]


def inside(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for key, inner in schema.items():
            if key not in ("examples", "enum", "default", "const"):
                yield from inside(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for at, inner in enumerate(schema):
            yield from inside(inner, f"{path}/{at}")


def test_is_a_schema() -> None:
    """It is valid by its own meta-schema."""
    Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_copy_is_current(golden: Callable[[Path, str], None]) -> None:
    """`dutybound schema > config.schema.json` changes nothing."""
    run = CliRunner().invoke(cli, ["schema"])
    assert run.exit_code == 0
    golden(ROOT / "config.schema.json", run.output)


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_the_example_is_valid(file: Any) -> None:
    """Each file of the example, alone, as an editor sees it."""
    assert errors(yaml.load(file.read_text(encoding="utf-8"), Loader=CoreLoader)) == []  # noqa: S506


@pytest.mark.parametrize("entry", BAD, ids=[e["name"] for e in BAD])
def test_what_the_schema_can_see_it_rejects(entry: dict[str, Any]) -> None:
    """Errors of shape are red in the editor too; references are the compiler's."""
    tree = yaml.load(entry.get("with") or entry["text"], Loader=CoreLoader)  # noqa: S506
    assert (errors(tree) == []) == (entry["name"] in UNSEEN)


def test_what_no_schema_can_see_is_still_a_case() -> None:
    """No exception outlives its case."""
    assert set(UNSEEN) <= {e["name"] for e in BAD}


def blocks(page: Path) -> list[str]:
    """The YAML blocks of a page."""
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_what_the_docs_show_is_valid(page: Path) -> None:
    """Every YAML block is a part of a configuration, or of a team; workflows (with `jobs`) are others' language."""
    for block in blocks(page):
        tree = yaml.load(block, Loader=CoreLoader)  # noqa: S506
        if "jobs" in tree:
            continue
        found = errors({"purpose": "x", **tree}, "Team") if isinstance(tree.get("duties"), list) else errors(tree)
        assert found == [], block


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_of_diagnostics(name: str) -> None:
    """The good example is valid; the bad one is not, where its error is one of shape."""
    for (kind, text), good in ((page(name).good, True), (page(name).bad, False)):
        if kind.startswith("yaml") and (good or name in SHAPES):
            assert (errors(yaml.load(text, Loader=CoreLoader)) == []) == good  # noqa: S506


def test_every_property_is_described() -> None:
    """A reader who points at a key is told what it is, by the key itself or by what it refers to."""
    silent = [
        f"{path}/properties/{name}"
        for path, schema_ in inside(SCHEMA)
        for name, value in schema_.get("properties", {}).items()
        if not value.get("description") and not SCHEMA["$defs"].get(value.get("$ref", "")[8:], {}).get("description")
    ]
    assert silent == []


def test_every_example_is_valid() -> None:
    """What an editor offers as an example is accepted by the schema that offers it."""
    count = 0
    for path, schema_ in inside(SCHEMA):
        for example in schema_.get("examples", ()):
            found = list(Draft202012Validator({"$defs": SCHEMA["$defs"], **schema_}).iter_errors(example))
            assert found == [], (path, example)
            count += 1
    assert count >= 20


def test_editors_offer_the_built_in_duties() -> None:
    """The enum of duty names is the library."""
    assert json.dumps(SCHEMA).count('"view-everything"') >= 1
    assert {"enum": list(library())} in SCHEMA["$defs"]["DutyUse"]["anyOf"]
