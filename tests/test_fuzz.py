"""Whatever is in the file: diagnostics or a baseline, never an exception, never silence."""

from __future__ import annotations

import random
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.mutations import BITS, mutated, seeds
from dutybound.compiler import compile_text
from dutybound.diagnostic import render_all


def judged(text: str) -> None:
    """Compile, and see that there is a baseline or an error that can be shown."""
    checked = compile_text(text)
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    assert (checked.value is None) == bool(errors), text
    assert "Traceback" not in render_all(checked.diagnostics)
    for diagnostic in checked.diagnostics:
        assert diagnostic.message
        assert "\n" not in diagnostic.message
        assert diagnostic.message.isprintable()
        assert diagnostic.hint.isprintable()


@settings(max_examples=150)
@given(st.sampled_from(seeds()), st.integers(0, 2**32), st.integers(1, 8))
def test_mutated_configurations(seed: str, chance: int, times: int) -> None:
    """Real configurations, broken at random."""
    judged(mutated(seed, random.Random(chance), times))  # noqa: S311


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(BITS))
KEYS = (
    *("teams", "roles", "duties", "members", "purpose", "trusts", "service", "account", "grants", "resources"),
    *("actions", "expect", "allow", "deny", "users", "alert", "name", "owner", "parameters", "example", "never"),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(["version", "organization", "teams", "roles", "duties", "break_glass", "mfa", "x"]), TREES
    )
)
def test_any_tree(tree: dict[str, object]) -> None:
    """Any values under our keys."""
    judged(yaml.safe_dump(tree, allow_unicode=False))


def test_long_paths_and_odd_files(tmp_path: Path) -> None:
    """What the file system makes of a path is a diagnostic too."""
    from dutybound.compiler import compile_path

    for path in (Path("a" * 300), tmp_path / "x\x00y", tmp_path / ("d/" * 2000)):
        assert compile_path(path).value is None
        assert compile_path(path).diagnostics
