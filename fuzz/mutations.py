"""Inputs that nobody would write, made from real ones: broken as text, and twisted as trees of values.

Everything is decided by the `random.Random` that is passed in, so an input is known again by its number.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).parent.parent
BASE = "version: 1\norganization: {name: a, owner: b}\nbreak_glass: {users: [e], alert: [a@b.example]}\n"
BITS = [
    *("null", "true", "0", "-1", "1e9", "[]", "{}", "''", "*", "&a", "*a", "<<: *a", "- ", ": ", "\n", "  ", "#", "|"),
    *("'", '"', "{", "}", "[", "]", ",", "\\", "\t", "\r\n", "é", "\u202e", "\ud800", "\x00", "🙂", "${aws:username}"),
    *("{x}", "{{x}}", "arn:aws:s3:::a/*", "s3:*", "*:*", "wide: true", "why: x", "service: '*'", "access: [read]"),
]
"""What stands in configurations, and what should not."""
EDGES: tuple[Any, ...] = (
    *(0, 1, -1, 2**31, 2**63, 10**40, -0.0, 0.5, 1e308, float("inf"), float("nan"), True, False, None, "", " "),
    *(date(2026, 12, 31), datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "2026-02-30", "0000-00-00", "9999-12-31"),
    *("0001-01-01", "1h", "0h", "99999999999h", "-1h", "15m", "1e400", "0x10", "012345678901", "1_000", "１２"),
    *("*", "**", "?", "*:*", "s3:*", ":", "a:b", "a on b", " on ", "s3:GetObject on ", "arn:", "arn:aws:::::::", "{x}"),
    *(
        "{",
        "}",
        "{}",
        "{{x}}",
        "${x}",
        "${aws:username}",
        "${",
        "é",
        "ß",
        "İ",
        "\u200b",
        "\u202e",
        "🙂",
        "a\nb",
        "\x07",
    ),
    *("0.0.0.0/0", "::/0", "203.0.113.0/33", "10.0.0.0/8", "203.0.113.7", "vpc-0", "eu-west-1", "us-east-1", "*.*"),
    *(
        "a" * 300,
        "a" * 70_000,
        "*" * 500,
        "/" * 300,
        "a@b",
        "role/*",
        "role team",
        "team x",
        "duty administer",
        "grants",
    ),
    *([], {}, [[]], [None], [{}], {"": ""}, {"a": {"a": {"a": {}}}}, {None: 1}, {1: 2}, {True: "x"}, {"<<": {"a": 1}}),
    *({"<<": [{"a": 1}, 2]}, ["x", "x"], [1, "1"], {"a": "b", "A": "b"}),
)
"""Values at the edges: wrong types, numbers and dates that overflow, texts that look like something else."""
_DEPTHS = (5, 62, 63, 64, 65, 300)
_LENGTHS = (2, 50, 3000)
_PARTS = (2, 50, 1000)
"""How often a mapping or list is repeated: more would measure honest work, such as judging 30,000 expectations."""
Slot: TypeAlias = tuple[Any, Any]
"""A mapping or list, and a key or index of it."""


@cache
def seeds(root: Path = ROOT) -> tuple[str, ...]:
    """The text of every configuration there is: shipped ones, all bad ones of the tests, and what the pages show."""
    texts = ["".join(p.read_text(encoding="utf-8") for p in sorted((root / "config").glob("*.yaml")))]
    texts += [p.read_text(encoding="utf-8") for p in sorted((root / "config").glob("*.yaml"))]
    for folder in sorted({p.parent for p in (root / "examples").rglob("*.yaml")}):
        texts.append("".join(p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.yaml"))))
    for entry in yaml.safe_load((root / "tests" / "cases" / "bad.yaml").read_text(encoding="utf-8")):
        if "bytes" not in entry:
            texts.append(str(entry["text"]) if "text" in entry else f"{BASE}{entry['with']}")
    for page in sorted((root / "docs").rglob("*.md")):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            texts.append(block if block.startswith("version: 1") else f"{BASE}{block}")
    for duty in sorted((root / "dutybound" / "duties").glob("*.yaml")):
        own = "".join(f"    {line}\n" for line in duty.read_text(encoding="utf-8").splitlines())
        texts.append(f"{BASE}duties:\n  own-{duty.stem}:\n{own}")
    return tuple(dict.fromkeys(texts))


@cache
def trees(root: Path = ROOT) -> tuple[Any, ...]:
    """The seeds that are YAML, as plain values."""
    out = []
    for text in seeds(root):
        try:
            tree = yaml.load(text, Loader=_Loader)  # noqa: S506  # nothing but plain values
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        if isinstance(tree, dict) and len(text) < 20_000:
            out.append(tree)
    return tuple(out)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses what the values would be endless with."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node; aliases are left to the mutations of the text."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def mutated(text: str, dice: Random, times: int) -> str:
    """The text with bits put in, taken out, repeated and swapped."""
    for _ in range(times):
        at, end = sorted(dice.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + dice.choice([0, 1, 5, 40]))
        kind = dice.randrange(4)
        if kind == 0:
            text = text[:at] + dice.choice(BITS) + text[end:]
        elif kind == 1:
            text = text[:at] + text[end:]
        elif kind == 2:
            text = text[:end] + text[at:end] + text[end:]
        else:
            lines = text.split("\n")
            if dice.random() < 0.1:
                dice.shuffle(lines)
            else:
                lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines))
            text = "\n".join(lines)
    return text


class Twister:
    """Twists trees: puts into one place what stands in another, of the same tree or of any other."""

    def __init__(self, known: Sequence[Any]) -> None:
        self._known = known
        by_key: dict[str, list[Any]] = {}
        for tree in known:
            for holder, key in slots(tree):
                if isinstance(key, str):
                    by_key.setdefault(key, []).append(holder[key])
        self._by_key = by_key
        self._keys = sorted(by_key)
        self._values = [value for key in self._keys for value in by_key[key]]

    def twisted(self, dice: Random, times: int) -> Any:
        """One of the known trees after some twists; parts of it may be shared, as with aliases."""
        tree = copy.deepcopy(dice.choice(self._known))
        for _ in range(times):
            places = list(slots(tree))
            if not places:
                break
            holder, key = dice.choice(places)
            self._twist(holder, key, places, dice)
        return tree

    def _twist(self, holder: Any, key: Any, places: list[Slot], dice: Random) -> None:
        kind = dice.randrange(10)
        if kind <= 2 and isinstance(key, str) and key in self._by_key:
            holder[key] = self._another(self._by_key[key], dice)  # of its own kind: gets far into the compiler
        elif kind == 3:
            other, there = dice.choice(places)
            holder[key], other[there] = other[there], holder[key]  # may hold itself: such a tree is dropped
        elif kind == 4:
            del holder[key]
        elif kind == 5:
            new = dice.choice(self._keys)
            value = self._another(self._by_key[new], dice)
            if isinstance(holder, dict):
                holder[new] = value
            else:
                holder.insert(key, value)
        elif kind == 6:
            holder[key] = self._grown(holder[key], dice)
        elif kind == 7:
            holder[key] = dice.choice(places)[0]  # shared: an alias
        elif kind == 8:
            holder[key] = self._another(self._values, dice)
        else:
            holder[key] = self._another(EDGES, dice)

    @staticmethod
    def _another(values: Sequence[Any], dice: Random) -> Any:
        return copy.deepcopy(dice.choice(values))

    @staticmethod
    def _grown(value: Any, dice: Random) -> Any:
        kind = dice.randrange(4)
        lengths = _PARTS if isinstance(value, (dict, list)) else _LENGTHS
        if kind == 0:
            for _ in range(dice.choice(_DEPTHS)):
                value = [value] if dice.random() < 0.5 else {"a": value}
            return value
        if kind == 1:
            return [value] * dice.choice(lengths)
        if kind == 2 and isinstance(value, dict) and value:
            some = dice.choice(list(value.values()))
            return {**value, **{f"x{i}": some for i in range(dice.choice(_PARTS))}}
        return str(value) * dice.choice(_LENGTHS) if isinstance(value, str) else [value]


def slots(tree: Any) -> Iterator[Slot]:
    """Every place of a tree; a part that is shared, or holds itself, is entered once."""
    todo, seen = [tree], set()
    while todo:
        holder = todo.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                todo.append(holder[key])


def as_yaml(tree: Any, dice: Random) -> str | None:
    """A tree as YAML, in one of its forms, or None for one that has none."""
    try:
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        flow = dice.choice([None, None, True, False])
        return str(yaml.dump(tree, Dumper=dumper, default_flow_style=flow, allow_unicode=dice.random() < 0.5))
    except (yaml.YAMLError, RecursionError, UnicodeError):
        return None


def as_json(tree: Any) -> str | None:
    """A tree as JSON, or None for one that has no such form."""
    try:
        return json.dumps(tree, default=str)
    except (ValueError, TypeError, RecursionError):
        return None
