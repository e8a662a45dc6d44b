"""The JSON Schema is valid, says what the compiler says, and the shipped copy is current."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from dutybound.cli import cli
from dutybound.config import schema
from dutybound.read import library
from tests.conftest import CASES, ROOT

SCHEMA = schema(library())
SHAPES = {"unknown-key", "wrong-type", "too-long", "empty-list", "invalid-value", "not-supported-yet"}
BAD = [
    entry
    for entry in yaml.safe_load((CASES / "bad.yaml").read_text(encoding="utf-8"))
    if "with" in entry and any(error.split()[0] in SHAPES for error in entry["errors"])
]


class CoreLoader(yaml.SafeLoader):
    """YAML as editors read it: 'yes' is text and 12345678901 a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def errors(tree: Any) -> list[str]:
    """What the schema finds in a configuration."""
    as_json = json.loads(json.dumps(tree))  # where every key is text
    return [e.message for e in Draft202012Validator(SCHEMA).iter_errors(as_json)]


def test_is_a_schema() -> None:
    """It is valid by its own meta-schema."""
    Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_copy_is_current() -> None:
    """`dutybound schema > config.schema.json` changes nothing."""
    run = CliRunner().invoke(cli, ["schema"])
    assert run.exit_code == 0
    assert run.output == (ROOT / "config.schema.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_the_example_is_valid(file: Any) -> None:
    """Each file of the example, alone, as an editor sees it."""
    assert errors(yaml.load(file.read_text(encoding="utf-8"), Loader=CoreLoader)) == []  # noqa: S506


@pytest.mark.parametrize("entry", BAD, ids=[e["name"] for e in BAD])
def test_what_the_schema_can_see_it_rejects(entry: dict[str, Any]) -> None:
    """Errors of shape are red in the editor too; references are the compiler's."""
    tree = yaml.load(entry["with"], Loader=CoreLoader)  # noqa: S506
    assert errors(tree) != []


def test_editors_offer_the_built_in_duties() -> None:
    """The enum of duty names is the library."""
    assert json.dumps(SCHEMA).count('"view-everything"') >= 1
    assert {"enum": list(library())} in SCHEMA["$defs"]["DutyUse"]["anyOf"]
