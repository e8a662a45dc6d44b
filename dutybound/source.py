"""YAML text -> a tree of plain values, each with the place where it was written. The only importer of yaml.

Scalars are read by the YAML 1.2 core schema, stricter where a reader would be surprised: only `true` and `false` are
booleans, and digits with a leading zero stay text (an account id keeps its zero). The parser's events are read one by
one, so depth and aliases are bounded before anything is built.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from dutybound.cleartext import cleartext_errors
from dutybound.diagnostic import Checked, Diagnostic, Source, Span, Text, in_order, quoted

MAX_BYTES = 10_000_000
MAX_DEPTH = 64
MAX_VALUES = 500_000
"""Values in all files together once aliases are expanded: 5,000 people in 300 teams take 90,000, and so many compile,
or are refused, within seconds."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.inf)|\.nan", re.IGNORECASE
)
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, separators that editors show as line breaks, and those that turn the direction of writing."""
_STANDARD_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!"}


class Number(int):
    """A whole number that keeps its text and its place."""

    text: str
    span: Span

    def __new__(cls, text: str, span: Span) -> Number:
        """A number from its YAML text."""
        number = super().__new__(cls, int(text))
        number.text, number.span = text, span
        return number


class Fields(dict[Text, Any]):
    """A YAML mapping. `spans` holds the place of each value, also of those that cannot carry one themselves."""

    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span
        self.spans: dict[str, Span] = {}
        self._written: dict[str, Text] | None = None

    def put(self, key: Text, value: Value, span: Span) -> None:
        """Set a key to a value written at `span`."""
        self[key] = value
        self.spans[key] = span
        if self._written is not None:
            self._written.setdefault(key, key)

    def at(self, name: str) -> Any:
        """The value under a key. Raises KeyError if there is none."""
        return self[Text(name)]

    def key(self, name: str) -> Text | None:
        """The key of that name as it was written, with its place. Meant for messages, of which there may be many."""
        if self._written is None:
            self._written = {key: key for key in self}
        return self._written.get(name) if name in self else None


class Items(list[Any]):
    """A YAML sequence. `spans` holds the place of each item."""

    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span
        self.spans: list[Span] = []


Value: TypeAlias = Fields | Items | Text | Number | float | bool | None


class _Refused(Exception):
    """One file cannot be read on: what is wrong with it."""

    def __init__(self, name: str, message: str, span: Span, hint: str = "") -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(name, message, span, hint)


def load(path: Path, shown: Path | None = None) -> Checked[Fields]:
    """Read a file, or every `*.yaml` and `*.yml` file below a folder, into one mapping.

    Top-level keys merge across files. Diagnostics name whatever cannot be read; the value is None if there is nothing
    to go on with. Raises nothing for bad input or unreadable files. `shown` is what places call the path, where that is
    not how it was reached.
    """
    paths, found = files(path)
    loaded: list[Fields] = []
    budget = [MAX_VALUES]
    for file in paths:
        one = _load_file(file, budget, (file if shown is None else shown / file.relative_to(path)).as_posix())
        found += one.diagnostics
        if one.value is not None:
            loaded.append(one.value)
    if not loaded:
        return Checked(None, in_order(found))
    return Checked(_merged(loaded, found), in_order(found))


def dumped(tree: object) -> str:
    """YAML text of plain mappings, lists and scalars, keys in the order given: the opposite of `loads`."""
    return yaml.dump(
        tree, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


def loads(text: str, path: str) -> Checked[Fields]:
    """Read YAML text as if it stood in a file of that path."""
    return _parsed(text, path, [MAX_VALUES])


def files(path: Path) -> tuple[list[Path], list[Diagnostic]]:
    """The files that a path stands for, sorted, and what is wrong with it; a path to no folder stands for itself."""

    def unreadable(error: OSError) -> None:
        found.append(_no_file(Path(error.filename or path), error))

    found: list[Diagnostic] = []
    try:
        if not path.is_dir():
            return [path], found
    except (OSError, ValueError):
        return [path], found  # opening it says why
    paths: list[Path] = []
    for folder, below, names in os.walk(path, onerror=unreadable):
        below[:] = sorted(name for name in below if not name.startswith("."))
        paths += [Path(folder, n) for n in names if not n.startswith(".") and n.endswith((".yaml", ".yml"))]
    if not paths and not found:
        found.append(
            Diagnostic(
                "no-configuration",
                f"the folder {quoted(path)} holds no .yaml or .yml file",
                hint="name a folder or a file with a configuration",
            )
        )
    return sorted(paths, key=lambda f: f.as_posix()), found


def _no_file(path: Path, error: OSError) -> Diagnostic:
    if isinstance(error, FileNotFoundError):
        return Diagnostic("no-configuration", f"there is no file or folder {quoted(path)}", hint="check the path")
    return Diagnostic(
        "unreadable-file", f"{quoted(path)} cannot be read: {(error.strerror or 'unknown error').lower()}"
    )


def _load_file(path: Path, budget: list[int], name: str) -> Checked[Fields]:
    start = Span(Source(name, ()), 1, 1)
    try:
        if path.exists() and not path.is_file():
            return Checked(None, (Diagnostic("unreadable-file", f"{quoted(name)} is not a regular file"),))
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        return Checked(None, (_no_file(path, error if isinstance(error, OSError) else OSError(0, str(error))),))
    if len(raw) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 1_000_000} MB"
        return Checked(None, (Diagnostic("file-too-large", message, start, "split it into several files"),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", "replace")
        lines = tuple(raw.decode("utf-8-sig", "replace").split("\n"))
        span = Span(Source(name, lines), before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        return Checked(None, (Diagnostic("not-utf-8", "the file is not UTF-8 text", span, "save it as UTF-8"),))
    return _parsed(text, name, budget)


def _parsed(text: str, path: str, budget: list[int]) -> Checked[Fields]:
    source = Source(path, tuple(re.split(r"\r\n|\r|\n", text)))
    # Where a secret stands nothing else is said, since it would show the lines that hold it.
    if secrets := tuple(cleartext_errors(source, text)):
        return Checked(None, secrets)
    found: list[Diagnostic] = []
    try:
        _check_characters(source)
        return Checked(_Tree(source, budget, found).build(text), tuple(found))
    except _Refused as refused:
        return Checked(None, (*found, refused.diagnostic))
    except yaml.YAMLError as error:
        return Checked(None, (*found, _yaml_error(error, source)))


def _check_characters(source: Source) -> None:
    for number, line in enumerate(source.lines, 1):
        if (at := line.find("\t")) >= 0:
            raise _Refused("tab", "YAML is indented with spaces, not tabs", Span(source, number, at + 1), "use spaces")
        if not line.isascii() or not line.isprintable():
            hidden = _HIDDEN.search(line)
            if hidden:
                what = f"U+{ord(hidden[0]):04X}"
                message = f"the file holds a character that editors hide or that is no text: {what}"
                raise _Refused("hidden-character", message, Span(source, number, hidden.start() + 1), "remove it")


def _yaml_error(error: yaml.YAMLError, source: Source) -> Diagnostic:
    mark = getattr(error, "problem_mark", None)
    opened = getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    context = getattr(error, "context", None) or ""
    if opened and (mark is None or _starts_earlier(context, opened, mark, source)):
        mark = opened
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    last = len(source.lines) - (len(source.lines) > 1 and not source.lines[-1])
    if line > last:  # the parser counts a line behind the end
        line, column = last, len(source.lines[last - 1]) + 1
    message = f"this is not YAML: {problem}{f' ({context})' if context else ''}"
    hint = next((h for part, h in _REMEDIES if part in problem), "check quotes, colons and indentation")
    return Diagnostic("invalid-yaml", message, Span(source, line, column), hint)


_REMEDIES = (
    ("could not find expected ':'", "write 'key: value', or indent it"),
    (
        "mapping values are not allowed",
        "check the indentation, the ':' of the line above, and the quotes of a text with ': '",
    ),
    ("cannot start any token", "put the text in quotes"),
    ("alphabetic or numeric character", "put the text in quotes"),
    ("expected ',' or", "close the bracket, or write the comma or colon that is missing"),
    ("unexpected end of stream", "close the quote"),
    ("unknown escape character", "use single quotes, or write '\\\\' for a backslash"),
)
"""What to do about each problem of the parser's, by a part of its text."""


def _starts_earlier(context: str, opened: Any, mark: Any, source: Source) -> bool:
    """Whether the mistake is where something was opened, while the parser noticed it further down.

    So it is with what is still open at the end of the file, with a key that has no colon, and with a bracket when the
    lines after it stand no deeper than its own: they are not part of it.
    """
    if mark.line + 1 >= len(source.lines) or "simple key" in context:
        return True
    at, there = (source.lines[m.line] for m in (opened, mark))
    return "flow" in context and mark.line > opened.line and _indentation(there) <= _indentation(at)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


class _Tree:
    """Builds the values of one file from the parser's events, bounded in depth and size."""

    def __init__(self, source: Source, budget: list[int], found: list[Diagnostic]) -> None:
        self.source, self.budget, self.found = source, budget, found
        self.anchors: dict[str, tuple[Value, int]] = {}
        self.next: Callable[[], Any] = lambda: None
        """The parser's next event."""

    def build(self, text: str) -> Fields | None:
        """The file's mapping, or None (with a diagnostic) for a file that is no mapping."""
        parser = _Loader(text)
        self.next = parser.get_event
        start = Span(self.source, 1, 1)
        documents: list[tuple[Value, Span]] = []
        while (event := self.next()) is not None:
            if isinstance(event, yaml.DocumentStartEvent):
                if documents:
                    span = self._span(event)
                    raise _Refused(
                        "several-documents",
                        "a file holds one YAML document",
                        span,
                        "remove this line and merge the documents",
                    )
                documents.append(self._value(self.next(), 0)[:2])
        value, span = documents[0] if documents else (None, start)
        if isinstance(value, Fields):
            return value
        if value is None:
            raise _Refused(
                "empty-file",
                "the file is empty: it declares nothing",
                start,
                "write a configuration or remove the file",
            )
        raise _Refused(
            "wrong-type",
            f"a configuration is a mapping of keys, not {described(value)}",
            span,
            "start with 'version: 1'",
        )

    def _span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        line, column = start.line, start.column
        length = (end.column if line == end.line else len(self.source.lines[line])) - column
        return Span(self.source, line + 1, column + 1, length if length > 1 else 1)

    def _spend(self, values: int, span: Span) -> None:
        self.budget[0] -= values
        if self.budget[0] < 0:
            raise _Refused(
                "too-many-values",
                "aliases make this file expand beyond all measure",
                span,
                "write the values out, or remove the aliases",
            )

    def _value(self, event: Any, depth: int) -> tuple[Value, Span, int]:
        """The value that starts with this event, its place, and how many values it holds."""
        span = self._span(event)
        self._spend(1, span)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _Refused(
                    "unknown-alias", f"no anchor {quoted(f'&{event.anchor}')} stands before this alias", span
                )
            value, size = self.anchors[event.anchor]
            self._spend(size, span)
            return _copied(value), span, size  # a copy: what is wrong in one place is mended there alone
        if depth >= MAX_DEPTH:
            raise _Refused("too-deep", f"values are nested deeper than {MAX_DEPTH} levels", span, "flatten it")
        if event.tag is not None and event.tag not in _STANDARD_TAGS:
            raise _Refused(
                "unknown-tag",
                f"YAML tags such as {quoted(event.tag)} are not part of the language",
                span,
                "remove the tag",
            )
        size = 1
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event, span)
        elif isinstance(event, yaml.SequenceStartEvent):
            value, size = self._items(Items(span), depth)
        else:
            value, size = self._fields(Fields(span), depth)
        if event.anchor:
            self.anchors[event.anchor] = (value, size)
        return value, span, size

    def _items(self, items: Items, depth: int) -> tuple[Items, int]:
        size = 1
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            value, span, inner = self._value(event, depth + 1)
            items.append(value)
            items.spans.append(span)
            size += inner
        return items, size

    def _fields(self, fields: Fields, depth: int) -> tuple[Fields, int]:
        size = 1
        merged: list[Fields] = []
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key, at, _ = self._value(event, depth + 1)
            value, span, inner = self._value(self.next(), depth + 1)
            size += 1 + inner
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                merged += self._merge_sources(value, span)
            elif (name := self._key(key, at)) is not None:
                self._put(fields, name, value, span)
        for other in merged:
            for name, value in other.items():
                if name not in fields:
                    fields.put(name, value, other.spans[name])
        return fields, size

    def _key(self, key: Value, span: Span) -> Text | None:
        if isinstance(key, Text):
            return key
        self.found.append(Diagnostic("wrong-type", f"a key is text, not {described(key)}", span, "put it in quotes"))
        return None

    def _put(self, fields: Fields, key: Text, value: Value, span: Span) -> None:
        if key in fields:
            first = fields.key(key)
            where = f"it stands first at {first.span.place}" if first is not None and first.span else ""
            self.found.append(Diagnostic("duplicate-key", f"the key {quoted(key)} stands twice", key.span, where))
        else:
            fields.put(key, value, span)

    def _merge_sources(self, value: Value, span: Span) -> list[Fields]:
        sources = list(value) if isinstance(value, Items) else [value]
        if not all(isinstance(s, Fields) for s in sources):
            self.found.append(Diagnostic("wrong-type", "a merge key '<<' takes a mapping or a list of mappings", span))
        return [s for s in sources if isinstance(s, Fields)]


def _scalar(event: Any, span: Span) -> Value:
    text: str = event.value
    if not event.implicit[0]:
        return Text(text, span)
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in "+-.0123456789":
        if _NUMBER.fullmatch(text) and len(text) <= 18:
            return Number(text, span)
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return Text(text, span)


def described(value: object) -> str:
    """A value's kind as YAML calls it, for a message: 'a list', 'the number 3'."""
    kinds: tuple[tuple[type, Callable[[Any], str]], ...] = (
        (dict, lambda _: "a mapping"),
        (list, lambda _: "a list"),
        (bool, lambda v: f"the boolean {str(v).lower()}"),
        (int, lambda v: f"the number {getattr(v, 'text', v)}"),
        (float, lambda v: f"the number {v}"),
        (str, lambda v: f"the text {quoted(v)}"),
    )
    return next((say(value) for kind, say in kinds if isinstance(value, kind)), "nothing")


def _merged(files: list[Fields], found: list[Diagnostic]) -> Fields:
    """One mapping of all files: mappings and lists under a top-level key are joined, everything else stands once."""
    whole = Fields(files[0].span)
    for file in files:
        for key, value in file.items():
            there = whole.get(key)
            if key not in whole:
                whole.put(key, value, file.spans[key])
            elif isinstance(there, Fields) and isinstance(value, Fields):
                _join(there, value, found)
            elif isinstance(there, Items) and isinstance(value, Items):
                there += value
                there.spans += value.spans
            elif there != value:
                first = whole.spans[key]
                message = f"the key {quoted(key)} is set twice, to different values"
                found.append(
                    Diagnostic("duplicate-name", message, file.spans[key], f"it is set first at {first.place}")
                )
    return whole


def _copied(value: Value) -> Value:
    if isinstance(value, Fields):
        fields = Fields(value.span)
        for key, inner in value.items():
            fields.put(key, _copied(inner), value.spans[key])
        return fields
    if isinstance(value, Items):
        items = Items(value.span)
        items += [_copied(inner) for inner in value]
        items.spans += value.spans
        return items
    return value


def _join(there: Fields, more: Fields, found: list[Diagnostic]) -> None:
    for name, value in more.items():
        if name not in there:
            there.put(name, value, more.spans[name])
        else:
            first = there.key(name)
            where = f"it is declared first at {first.span.place}" if first is not None and first.span else ""
            found.append(Diagnostic("duplicate-name", f"{quoted(name)} is declared twice", name.span, where))


def template(text: str) -> object:
    """The plain values of a CloudFormation template, JSON or YAML with its short forms (`!Sub`). Raises ValueError.

    YAML is read as CloudFormation does, by version 1.1 of it; only a date stays text. Source: CloudFormation Template
    Reference, "Intrinsic functions": `!GetAtt a.b` is `Fn::GetAtt: [a, b]`, `!X` is `Fn::X` for all but Ref and
    Condition.
    """
    if text.lstrip().startswith("{"):
        return json.loads(text)
    try:
        return yaml.load(text, Loader=_Templates)  # noqa: S506 - a SafeLoader with CloudFormation's tags
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{at}{getattr(error, 'problem', None) or 'it is no YAML'}") from None


class _Templates(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


_Templates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: _Templates, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


yaml.add_multi_constructor("!", _short_form, Loader=_Templates)
