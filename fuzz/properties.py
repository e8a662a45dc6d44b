"""The properties of the tests, at length: the same functions with other examples than the tests' own.

An input is the name of a test and a seed for Hypothesis, which makes a failure small itself.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Mapping
from typing import Any

import hypothesis

from fuzz.engine import Subject

EXAMPLES = 30
TESTS: Mapping[str, tuple[str, ...]] = {
    "tests.test_compare": (
        "test_it_agrees_with_trying_everything",
        "test_what_is_added",
        "test_conditions_agree_with_trying_everything",
    ),
    "tests.test_witness": ("test_the_search_agrees_with_trying_everything", "test_small_universes"),
    "tests.test_shorten": ("test_the_same_actions", "test_only_the_levels_asked_for", "test_order_does_not_matter"),
    "tests.test_pack": ("test_meaning_and_quota", "test_order_does_not_matter", "test_a_team_may_do_the_same"),
    "tests.test_evaluate": (
        "test_a_deny_wins_at_every_level",
        "test_what_narrows_only_narrows",
        "test_nothing_is_allowed_that_nothing_grants",
        "test_order_and_duplicates_do_not_matter_at_any_level",
        "test_the_index_finds_what_a_look_at_each_statement_finds",
        "test_globs_match_like_a_slow_matcher",
        "test_patterns_fit_as_globs_match",
    ),
    "tests.test_carry": ("test_any_policy_keeps_its_meaning",),
    "tests.test_escalate": ("test_a_deny_opens_nothing",),
}
_HELD = hypothesis.settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    print_blob=False,
)


def chosen(dice: random.Random) -> str:
    """One of the properties, and a seed."""
    module = dice.choice([name for name, tests in TESTS.items() for _ in tests])
    return f"{module} {dice.choice(TESTS[module])} {dice.getrandbits(32)}\n"


def agrees(text: str) -> bool:
    """Run a property with the examples of a seed."""
    words = text.split()
    if len(words) != 3 or words[1] not in TESTS.get(words[0], ()):
        return False
    test: Any = getattr(importlib.import_module(words[0]), words[1])
    # Given again, so that settings and seed are not those of the tests.
    again: Any = hypothesis.given(**test.hypothesis._given_kwargs)(test.hypothesis.inner_test)
    hypothesis.seed(int(words[2]))(_HELD(again))()
    return True


SUBJECTS: Mapping[str, Subject] = {
    "properties": Subject(chosen, agrees, "txt", share=12, seconds=240, whole_lines=True),
}
