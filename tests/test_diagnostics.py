"""Every diagnostic has a page, every page a diagnostic, and what the pages show is so.

The names are found in the source: the first argument of `Diagnostic`, of pydantic's own error, and of whatever hands
an argument of its own on to one of these (such as `Asked.report`). That none is missed is checked against the names
that the cases of bad input give. A page shows one bad and one good example, each in a block that says how it is run:

    ```yaml        a whole configuration if it holds `version:`; else it stands below a small valid beginning
    ```yaml whole  a whole file, whatever it holds
    ```hex         the bytes of a whole file
    ```text        what a page cannot run; `ELSEWHERE` names the test that does
"""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dutybound import catalog
from dutybound.compiler import compile_everywhere, compile_path, compile_text
from dutybound.diagnostic import Diagnostic, did_you_mean, render_all
from dutybound.read import library
from tests.conftest import CASES, ROOT
from tests.test_bad_input import BASE, UNSAID

FOLDER = ROOT / "docs" / "diagnostics"
INDEX = FOLDER / "README.md"
RULES = ROOT / "dutybound" / "data" / "diagnostics.json"
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
ELSEWHERE = {
    "access-gained": "tests/test_diff.py::test_sarif_puts_gains_beside_their_lines",
    "access-unknown": "tests/test_diff.py::test_what_is_unknown_is_said",
    "account-quota": "tests/test_compile.py::test_what_an_account_holds",
    "file-too-large": "tests/test_diagnostics.py::test_a_file_too_large",
    "no-configuration": "tests/test_cli.py::test_nothing_to_read",
    "no-organization-id": "tests/test_hub.py::test_more_accounts_than_a_policy_names",
    "too-many-break-glass-users": "tests/test_alarm.py::test_too_many_users_for_a_pattern",
    "too-many-guardrails": "tests/test_fences.py::test_guardrails_that_fit_nowhere",
    "unknown-environment": "tests/test_diagnostics.py::test_an_unknown_environment",
    "refused-policy": "tests/test_template.py::test_pairs",
    "unreadable-template": "tests/test_template.py::test_what_is_no_template_is_said",
    "unreadable-file": "tests/test_cli.py::test_nothing_to_read",
}
"""Names that no YAML text on a page can show, and the test that covers each."""

MADE = {"f'unknown-{kind}'": ("unknown-team", "unknown-role", "unknown-duty", "unknown-person")}
"""Names that the source puts together, and what they can be. One that is not among these fails the tests."""
TODAY = date(2026, 12, 1)
"""The day on which the examples are compiled: some of them have ended."""


# --- the names in the source ----------------------------------------------------------------------------------------


@cache
def names_in_code() -> frozenset[str]:
    """Every name that the source gives to a diagnostic."""
    trees = [ast.parse(f.read_text(encoding="utf-8")) for f in sorted((ROOT / "dutybound").rglob("*.py"))]
    reporters = {"Diagnostic": 0, "Finding": 0, "PydanticCustomError": 0}
    names: set[str] = set()
    size = 0
    while size != len(reporters):  # until nobody is found any more who hands a name on
        size = len(reporters)
        for tree in trees:
            names |= set(_names(tree, reporters))
    return frozenset(names)


def _names(tree: ast.AST, reporters: dict[str, int]) -> Iterator[str]:
    """The names that one module gives; whoever hands an argument of its own on is added to the reporters."""
    for owner, function in _functions(tree):
        arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        if arguments[:1] in (["self"], ["cls"]):
            arguments = arguments[1:]
        for call in ast.walk(function):
            if not isinstance(call, ast.Call):
                continue
            callee = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if callee not in reporters:
                continue
            given = _argument(call, reporters[callee])
            for word in _words(given, function):
                if word in arguments:
                    reporters[owner if function.name == "__init__" else function.name] = arguments.index(word)
            yield from (word for word in _constants(given, function) if NAME.fullmatch(word))


def _functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield owner, node
        yield from _functions(node, node.name if isinstance(node, ast.ClassDef) else owner)


def _argument(call: ast.Call, at: int) -> ast.expr | None:
    if at < len(call.args):
        return call.args[at]
    return next((k.value for k in call.keywords if k.arg in ("name", "kind", "error_type")), None)


def _values(given: ast.expr | None, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What an expression can be: both arms of a choice, and what the function sets a local name to."""
    if isinstance(given, ast.IfExp):
        yield from _values(given.body, function)
        yield from _values(given.orelse, function)
    elif isinstance(given, ast.Name):
        yield given
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == given.id for t in node.targets):
                yield from _values(node.value, function)
    elif given is not None:
        yield given


def _constants(given: ast.expr | None, function: ast.FunctionDef) -> Iterator[str]:
    for value in _values(given, function):
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.JoinedStr):
            yield from MADE[ast.unparse(value)]


def _words(given: ast.expr | None, function: ast.FunctionDef) -> Iterator[str]:
    return (v.id for v in _values(given, function) if isinstance(v, ast.Name))


def test_no_name_is_missed() -> None:
    """What the cases of bad input give (tests/test_bad_input.py holds them to it) is all found in the source."""
    entries = yaml.safe_load((CASES / "bad.yaml").read_text(encoding="utf-8"))
    given = {error.split()[0] for entry in entries for error in entry["errors"]}
    assert given - names_in_code() == set()
    assert len(names_in_code()) >= 45


# --- the pages ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what it says, why, and its two blocks with the words after their fences."""

    name: str
    says: str
    why: str
    bad: tuple[str, str]
    good: tuple[str, str]


_SHAPE = re.compile(
    r"# (?P<name>\S+)\n\n(?P<says>[^#]+?)\n\n## Why\n\n(?P<why>[^#]+?)\n\n"
    r"## Bad\n\n```(?P<bad_kind>[a-z ]+)\n(?P<bad>.*?)```\n(?P<note>\n[^#`]+.*?\n)?\n"
    r"## Good\n\n```(?P<good_kind>[a-z ]+)\n(?P<good>.*?)```\n",
    re.DOTALL,
)


@cache
def page(name: str) -> Page:
    """The page of that name. Fails the test if it does not have the shape of all pages."""
    found = _SHAPE.fullmatch((FOLDER / f"{name}.md").read_text(encoding="utf-8"))
    assert found is not None, f"docs/diagnostics/{name}.md: not the shape that CONTRIBUTING.md shows"
    assert found["name"] == name
    says, why = (re.sub(r"\s+", " ", found[part]) for part in ("says", "why"))
    return Page(name, says, why, (found["bad_kind"], found["bad"]), (found["good_kind"], found["good"]))


PAGES = sorted(file.stem for file in FOLDER.glob("*.md") if file != INDEX)


def compiled(of: str, block: tuple[str, str], folder: Path) -> tuple[Diagnostic, ...]:
    """What the compiler finds in a block of a page, read from a file as a user's would be."""
    kind, text = block
    assert kind in ("yaml", "yaml whole", "hex"), kind
    file = folder / "config.yaml"
    if kind == "hex":
        file.write_bytes(bytes.fromhex(text))
    else:
        whole = kind == "yaml whole" or re.search(r"^version:", text, re.MULTILINE)
        file.write_text(text if whole else BASE + text, encoding="utf-8")
    # Of several accounts, all; an environment without an account has to be chosen.
    every = compile_everywhere(file, TODAY).values() if "accounts:\n" in text else [compile_path(file, today=TODAY)]
    for checked in every:
        assert checked.failed == any(d.severity == "error" for d in checked.diagnostics)
    found = next((checked.diagnostics for checked in every if checked.diagnostics), ())
    return tuple(d for d in found if d.name not in UNSAID - {of})


def test_a_page_for_each_name() -> None:
    """No rule without a page, no page without a rule."""
    assert set(PAGES) == names_in_code()


@pytest.mark.parametrize("name", PAGES)
def test_bad(name: str, tmp_path: Path) -> None:
    """The bad example gives this diagnostic and no other."""
    block = page(name).bad
    if block[0] == "text":
        assert name in ELSEWHERE
        return
    found = compiled(name, block, tmp_path)
    assert {d.name for d in found} == {name}, render_all(found)


@pytest.mark.parametrize("name", PAGES)
def test_good(name: str, tmp_path: Path) -> None:
    """The good example compiles without an error or a warning."""
    found = compiled(name, page(name).good, tmp_path)
    assert found == (), render_all(found)


def test_what_a_page_cannot_show_is_tested_elsewhere() -> None:
    """Each of these names has a page that says so, and a test that exists."""
    for name, test in ELSEWHERE.items():
        assert page(name).bad[0] == "text", name
        file, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_a_file_too_large(tmp_path: Path) -> None:
    """Just above the limit it is refused, and nothing of it is read."""
    file = tmp_path / "config.yaml"
    file.write_text(BASE + "#" * 10_000_000, encoding="utf-8")
    assert [d.name for d in compile_path(file).diagnostics] == ["file-too-large"]
    file.write_text(BASE + "#" * (9_999_999 - len(BASE)) + "\n", encoding="utf-8")
    assert compile_path(file).diagnostics == ()


def test_an_unknown_environment() -> None:
    """It is refused, with the nearest one that the configuration names."""
    text = BASE + "teams:\n  a: {purpose: Build, in: {production: [view-servers]}}\n"
    (found,) = compile_text(text, environment="prodution").diagnostics
    assert (found.name, found.hint) == ("unknown-environment", "did you mean 'production'?")


def test_the_index(golden: Callable[[Path, str], None]) -> None:
    """docs/diagnostics/README.md lists all pages by what they say."""
    lines = [
        "# Diagnostics",
        "",
        "What `dutybound check` can say, by name. Each page says why it matters, and shows a bad example and a good",
        "one; both are run as tests. An example without `version:` stands below this beginning:",
        "",
        "```yaml",
        *BASE.splitlines(),
        "```",
        "",
        "| name | what it says |",
        "|---|---|",
        *(f"| [{name}]({name}.md) | {page(name).says} |" for name in PAGES),
    ]
    golden(INDEX, "\n".join(lines) + "\n")


def test_the_rules_in_the_wheel(golden: Callable[[Path, str], None]) -> None:
    """What SARIF says of each rule comes from its page: the pages themselves are not in the wheel."""
    rules = {name: {"says": _plain(page(name).says), "why": _plain(page(name).why)} for name in PAGES}
    golden(RULES, json.dumps(rules, indent=2, ensure_ascii=False) + "\n")


def _plain(text: str) -> str:
    return text.replace("`", "'")


# --- the nearest right word -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "known", "nearest"),
    [
        ("purpos", ["purpose", "members"], "purpose"),
        ("raed", ["list", "read", "write"], "read"),
        ("Teams", ["teams", "roles"], "teams"),
        ("break-glass", ["break_glass", "teams"], "break_glass"),
        ("view_metrics", library(), "view-metrics"),
        ("view-metric", library(), "view-metrics"),
        ("ViewMetrics", library(), "view-metrics"),
        ("storage", library(), "use-storage"),
        ("use-bucket", library(), None),
        ("eu-west-1a", catalog.regions(), "eu-west-1"),
        ("eu_west_1", catalog.regions(), "eu-west-1"),
        ("us-east", catalog.regions(), "us-east-1"),
        ("us-est-1", catalog.regions(), "us-east-1"),
        ("frankfurt", catalog.regions(), None),
        ("s4", catalog.services(), "s3"),
        ("ec3", catalog.services(), "ec2"),
        ("lamda", catalog.services(), "lambda"),
        ("dynamo_db", catalog.services(), "dynamodb"),
        ("x" * 10_000, ["y"], None),
        ("", ["y"], None),
    ],
)
def test_did_you_mean(word: str, known: Sequence[str], nearest: str | None) -> None:
    """The nearest word; none rather than a far one; the same whatever the order."""
    wanted = f"did you mean '{nearest}'?" if nearest else ""
    assert did_you_mean(word, known) == wanted
    assert did_you_mean(word, reversed(known)) == wanted


@given(st.data())
def test_one_slip_is_understood(data: st.DataObject) -> None:
    """A letter too few, two letters swapped, or '_' for '-', in any built-in duty's name: it is suggested itself."""
    name = data.draw(st.sampled_from(library()))
    at = data.draw(st.integers(0, len(name) - 2))
    swapped = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    for slip in (name[:at] + name[at + 1 :], swapped, name.replace("-", "_")):
        suggested = re.findall(r"'(.*)'", did_you_mean(slip, library()))
        assert suggested == [name] or (slip != name and slip.replace("_", "-") in library())


def test_all_actions_are_searched_quickly() -> None:
    """Among all 22,000 actions too: a configuration full of slips must not take minutes."""
    every = [str(action) for action in catalog.actions_of("*:*")]
    assert len(every) > 20_000
    start = time.process_time()
    assert did_you_mean("s3:GetObjct", every) == "did you mean 's3:GetObject'?"
    assert did_you_mean("GetObjct", every) == "did you mean 's3:GetObject'?"
    assert time.process_time() - start < 2
