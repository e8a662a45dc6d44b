"""Judges a request a line, in order, and knows policies again by their text.

Lines of a batch mostly stand over the same policies, and those are most of a line. So the text between two fields of
the request is kept with what it holds: where it stands again, it is compared and not read. Whatever is not known is
read in full, with every check. What is kept is bounded, so that a batch of any length takes the same memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO, Generic, TypeVar

from dutybound.diagnostic import did_you_mean, quoted
from dutybound.evaluate import Judge, Place
from dutybound.simulate import (
    JSON,
    POLICY_FIELDS,
    REQUEST_FIELDS,
    BadLine,
    answer,
    explained,
    policies,
    refusal,
    request,
)

T = TypeVar("T")
MOST_KEPT = 10_000_000
"""Characters of policies that are kept prepared at a time."""
_LONG = 2000
"""Characters from which on a text is not hashed as a whole."""
_RECENT = 16
"""Texts of one field that a new text is compared with."""


def lines_of(stream: BinaryIO) -> Iterable[bytes]:
    """The lines of a stream that nothing was read from; those of 100 KB are slow through Python's usual buffer."""
    try:
        return os.fdopen(os.dup(stream.fileno()), "rb", buffering=1 << 20)
    except (OSError, ValueError):
        return stream  # it is no file


class Kept(Generic[T]):
    """Values by the text they were made from; the oldest go when the texts together get too long."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most, self._length = most, 0
        self._values: dict[str, T] = {}
        self._lengths: dict[str, int] = {}

    def get(self, text: str) -> T | None:
        """The value of a text, if it is kept."""
        return self._values.get(text)

    def put(self, text: str, value: T, length: int) -> None:
        """Keep a value that takes about as much as a text of this length."""
        self._length += length - self._lengths.pop(text, 0)
        self._values[text], self._lengths[text] = value, length
        while self._length > self._most and len(self._values) > 1:
            oldest = next(iter(self._lengths))
            del self._values[oldest]
            self._length -= self._lengths.pop(oldest)


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """A judge, and the texts of the statements that it has named."""

    judge: Judge
    texts: dict[Place, str]


@dataclass(slots=True, eq=False)
class _Run:
    """What stands between two fields of the request: policies, and the key of the field that follows (or the end)."""

    text: str
    number: int
    following: str
    """The field of the request whose value comes next; empty at the end of the line."""
    bench: _Bench | None = None
    """For a start of lines that holds all their policies, as long as nothing but the request follows."""


class Batch:
    """Judges lines, and keeps the policies of the lines before."""

    def __init__(self) -> None:
        self._benches: Kept[_Bench] = Kept()
        self._by_runs: Kept[_Bench] = Kept()
        self._runs: Kept[_Run] = Kept()
        self._numbers = count()
        self._markers: dict[str, str] = {}
        """For each field of the request the key that came after it in the line before; '' stands for start and end."""
        self._far: set[str] = set()
        """The fields (or start) behind which that key came after a long run."""
        self._recent: dict[str, list[str]] = {field: [] for field in POLICY_FIELDS}

    def answers(self, lines: Iterable[bytes]) -> Iterator[tuple[str, bool]]:
        """One answer for each line, and whether the line was good."""
        for number, line in enumerate(lines, start=1):
            try:
                yield self.answer(line.decode("utf-8")), True
            except (ValueError, RecursionError) as error:
                yield refusal(number, explained(error)), False

    def answer(self, line: str) -> str:
        """The answer to one line. Raises ValueError or RecursionError for a line that cannot be judged."""
        bench, fields = self._known(line) or self._read(line)
        return answer(bench.judge.decide(request(fields)), bench.texts)

    def _known(self, line: str) -> tuple[_Bench, dict[str, Any]] | None:
        """A line whose runs are all known: only the fields of the request are read."""
        fields: dict[str, Any] = {}
        numbers: list[int] = []
        at, field = 0, ""
        while True:
            marker = self._markers.get(field)
            if marker is None:
                return None
            # Behind much text the key is sooner found from the end.
            found = line.rfind(marker) if field in self._far else line.find(marker, at)
            end = found + len(marker) if marker else len(line)
            run = self._runs.get(_sample(line, at, end))
            if run is None or not line.startswith(run.text, at):
                return None
            at += len(run.text)
            try:
                if run.bench is not None and not numbers:
                    rest = "{" + line[at - len(marker) :]
                    fields, end = JSON.raw_decode(rest)
                    known = fields.keys() <= _REQUEST and not rest[end:].strip(" \t\r\n")
                    return (run.bench, fields) if known else None
                numbers.append(run.number)
                field = run.following
                if not field:
                    break
                if field in fields:
                    return None
                fields[field], at = JSON.raw_decode(line, at)
            except ValueError:
                return None  # read in full, it is explained
        bench = self._by_runs.get(str(numbers)) if at == len(line) else None
        return None if bench is None else (bench, fields)

    def _read(self, line: str) -> tuple[_Bench, dict[str, Any]]:
        """A line read in full; its runs are known from now on."""
        texts: dict[str, str] = {}
        fields: dict[str, Any] = {}
        runs: list[_Run] = []
        before, at, head = "", 0, -1
        for name, key, start, value, end in self._fields(line):
            if name in _POLICIES:
                texts[name] = line[start:end]
                continue
            if not fields:
                head = len(texts)
            self._markers[before] = line[key:start]
            (self._far.add if start - at > _LONG else self._far.discard)(before)
            runs.append(self._run(line, at, start, name))
            fields[name] = value
            before, at = name, end
        self._markers[before] = ""
        runs.append(self._run(line, at, len(line), ""))
        # A character that no JSON holds between the texts, so that no two sets of them look alike.
        whole = "\0".join(texts.get(name, "") for name in POLICY_FIELDS)
        bench = self._benches.get(whole)
        if bench is None:
            bench = _Bench(Judge(policies(texts)), {})
            self._benches.put(whole, bench, len(whole) + 1000)
        if head == len(texts):
            runs[0].bench = bench
        self._by_runs.put(str([run.number for run in runs]), bench, len(whole) + 1000)
        return bench, fields

    def _run(self, line: str, at: int, end: int, following: str) -> _Run:
        text, sample = line[at:end], _sample(line, at, end)
        run = self._runs.get(sample)
        if run is None or run.text != text:
            run = _Run(text, next(self._numbers), following)
            self._runs.put(sample, run, len(text) + 100)
        return run

    def _fields(self, line: str) -> Iterator[tuple[str, int, int, Any, int]]:
        """The fields of a line: name, where its key starts, where its value starts, the value, where that ends.

        The value of a policy that is known by its text is not read again. Raises BadLine for what is no such line.
        """
        at = _skip(line, 0)
        if line[at : at + 1] != "{":
            raise BadLine("a line must be a JSON object")
        at += 1
        seen: set[str] = set()
        while True:
            start = _skip(line, at)
            if line[start : start + 1] == "}" and not seen:
                end = start
                break
            key = _KEY.match(line, at)
            if key is None:
                JSON.decode(line)  # says what is wrong
                raise BadLine(f"a field at column {start + 1} cannot be read")
            name = key[1]
            if name not in _FIELDS:
                hint = did_you_mean(name, _FIELDS)
                raise BadLine(f"there is no field {quoted(name)}{'; ' if hint else ''}{hint}")
            if name in seen:
                raise BadLine(f"{quoted(name)} stands twice")
            seen.add(name)
            value, end = self._value(name, line, key.end())
            yield name, start, key.end(), value, end
            end = _skip(line, end)
            if line[end : end + 1] == "}":
                break
            if line[end : end + 1] != ",":
                raise BadLine(f"column {end + 1} must be a comma or the end of the object")
            at = end + 1
        if _skip(line, end + 1) != len(line):
            raise BadLine(f"there is more after the object, at column {end + 2}")

    def _value(self, name: str, line: str, at: int) -> tuple[Any, int]:
        recent = self._recent.get(name)
        if recent is None:
            return JSON.raw_decode(line, at)
        for i, text in enumerate(recent):
            if line.startswith(text, at):
                if i:
                    recent.insert(0, recent.pop(i))
                return None, at + len(text)
        value, end = JSON.raw_decode(line, at)
        if isinstance(value, dict | list):  # ends with its bracket: no longer value can start with it
            recent.insert(0, line[at:end])
            del recent[_RECENT:]
        return value, end


_SPACE = re.compile(r"[ \t\n\r]*")
_KEY = re.compile(r'[ \t\n\r]*"([^"\\]*)"[ \t\n\r]*:[ \t\n\r]*')
_POLICIES = frozenset(POLICY_FIELDS)
_REQUEST = frozenset(REQUEST_FIELDS)
_FIELDS = _POLICIES | _REQUEST


def _skip(line: str, at: int) -> int:
    found = _SPACE.match(line, at)
    return found.end() if found else at


def _sample(line: str, at: int, end: int) -> str:
    """A short text that tells most parts of lines apart: hashing all of a long one costs more than judging."""
    length = end - at
    if length < _LONG:
        return line[at:end]
    step = length // 8
    return f"{length}{''.join([line[i : i + 24] for i in range(at + step // 2, end, step)])}"
