"""A first configuration: one of the examples, with the user's answers in place of the example's own.

The examples are YAML that compiles as it stands, so answers are put in at the places where the parser found the
example's values: comments stay, and no answer is read as YAML. What comes out is compiled before it is put in place,
and nothing that exists is ever written over.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pydantic import TypeAdapter, ValidationError

from dutybound import catalog, config, installed
from dutybound.accounts import destinations
from dutybound.compiler import compile_reading, read_path
from dutybound.diagnostic import Diagnostic, Span, Text, in_order, quoted, render_all
from dutybound.disk import beside, put_folder, undisturbed
from dutybound.read import library
from dutybound.source import Fields, Items, files, loads

SCHEMA = "config.schema.json"
"""It is written beside the YAML: a folder is then whole wherever it is moved, and nothing beside it is touched."""

_MODELINE = "# yaml-language-server: $schema="
_NAME, _OWNER, _ALERT, _REGION, _DOMAIN = (
    "acme",
    "owner@acme.example",
    "security@acme.example",
    "eu-west-1",
    "@acme.example",
)
_NAME_WITHIN = re.compile(rf"(?<![A-Za-z0-9]){_NAME}(?=[-/])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_.@+=/*-]|:(?=[A-Za-z0-9_.@+=/*:-])| (?=[A-Za-z0-9_.@+=/*-]))*")
_COMMENT = re.compile(r"(.*?\S)( {2,}# .*)")
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""What YAML, in one version or another, takes for something else than text."""
_ADMINISTRATORS = ("teams", "administrators", "members")
_BREAK_GLASS = ("break_glass", "users")
_NETWORKS = ("guardrails", "from")


Answer: TypeAlias = "str | tuple[str, ...]"


class Refused(Exception):
    """Nothing was written: why, ready to be shown."""


@dataclass(frozen=True)
class Answers:
    """What the user said. What is empty stays as the example has it."""

    name: str = ""
    owner: str = ""
    region: str = ""
    alert: str = ""
    administrators: tuple[str, ...] = ()
    break_glass: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One answer: its key in `Answers`, its flag, how it is asked for, and the type that a configuration gives it."""

    key: str
    flag: str
    asks: str
    type: Any
    many: bool = False
    guessed: bool = False
    """Whether what is suggested is a guess: good enough to be shown, not to be taken unseen."""

    def read(self, text: str) -> Answer:
        """The answer in a line, several parted by commas or blanks. Raises ValueError with the reason."""
        words = re.split(r"[,\s]+", text.strip(", ")) if self.many else [text.strip(" ")]
        return self.taken(tuple(words))

    def taken(self, words: tuple[str, ...]) -> Answer:
        """The answer made of these words, each as it is. Raises ValueError with the reason."""
        for word in words:
            if reason := _unfit(self.type, word):
                raise ValueError(f"{quoted(word)}: {reason}" if self.many else reason)
        return tuple(dict.fromkeys(words)) if self.many else words[0]


QUESTIONS = (
    Question(
        "name", "--name", "Name of the organization, in stack names and tags", config.OrganizationName, guessed=True
    ),
    Question("owner", "--owner", "Who owns the account: an address, a tag on everything", config.Owner),
    Question("alert", "--alert", "Address that hears of every use of break-glass", config.Email),
    Question("region", "--region", "Home Region: choose once, stacks do not move", config.RegionName),
    Question("administrators", "--administrator", "IAM users of the administrators", config.UserName, many=True),
    Question("break_glass", "--break-glass", "IAM users for emergencies only", config.UserName, many=True),
    Question(
        "networks", "--from", "Public networks of your offices; people work from nowhere else", config.Place, True
    ),
)


class _Edit(NamedTuple):
    """Another text for a part of a line, columns from 0; None takes the line out."""

    line: int
    start: int
    end: int
    text: str | None


def questions(example: str) -> tuple[Question, ...]:
    """What an example needs to know."""
    fenced = any(_at(tree, _NETWORKS) for tree in _trees(texts(example)).values())
    return tuple(q for q in QUESTIONS if q.key != "networks" or fenced)


def suggested(example: str, folder: Path, given: Answers) -> Answers:
    """Answers that are likely right; empty where a wrong one would do harm and the user has to say it.

    `folder` is where the configuration goes: the folder around it often has the organization's name. An alarm that
    nobody reads, or a fence around somebody else's office, is worse than a question.
    """
    name = re.sub(r"[^A-Za-z0-9-]+", "-", folder.absolute().parent.name).strip("-")
    trees = _trees(texts(example)).values()

    def listed(path: tuple[str, ...]) -> tuple[str, ...]:
        return next((tuple(map(str, found)) for tree in trees if (found := _at(tree, path))), ())

    return Answers(
        name=_NAME if _unfit(config.OrganizationName, name) else name,
        alert="" if _unfit(config.Email, given.owner) else given.owner,
        region=_REGION,
        administrators=listed(_ADMINISTRATORS),
        break_glass=listed(_BREAK_GLASS),
    )


class Missing(Exception):
    """Answers that somebody has to give: `questions` says which."""

    def __init__(self, questions: tuple[Question, ...]) -> None:
        super().__init__(", ".join(q.flag for q in questions))
        self.questions = questions


Ask: TypeAlias = Callable[[str, str, Callable[[str], Answer]], Answer]
"""Asks for something, with what is usual, until the last takes the text: it raises ValueError with the reason."""


def answered(example: str, given: Answers, path: Path, today: date, ask: Ask | None) -> Answers:
    """All the answers that an example needs: those given, the others asked for, or what is usual if `ask` is None.

    Each answer is judged at once, alone and together with those before it, by compiling the draft. Raises Missing if
    there is nobody to ask and no usual answer, Refused for an answer that the example has no place for.
    """
    missing = []
    wanted = questions(example)
    # Otherwise no answer would do, and nobody could say why.
    if ask is not None and (found := wrong_with(drafted(example, given, today), today)):
        raise Refused(_reason(found[0]))
    if lost := [q.flag for q in QUESTIONS if q not in wanted and getattr(given, q.key)]:
        raise Refused(f"the example {example} has no place for {' and '.join(lost)}")
    for question in wanted:
        if getattr(given, question.key):
            continue
        usual = getattr(suggested(example, path, given), question.key)
        if ask is not None:
            given = _asked(question, usual, example, given, today, ask)
        elif usual and not question.guessed:
            given = _with(given, question, usual)
        else:
            missing.append(question)
    if missing:
        raise Missing(tuple(missing))
    return given


def _asked(question: Question, usual: Answer, example: str, given: Answers, today: date, ask: Ask) -> Answers:
    def read(text: str) -> Answer:
        answer = question.read(text)
        draft = drafted(example, _with(given, question, answer), today)
        if found := wrong_with(draft, today):
            raise ValueError(_reason(found[0]))
        return answer

    answer = ask(question.asks, usual if isinstance(usual, str) else ", ".join(usual), read)
    return _with(given, question, answer)


def _with(given: Answers, question: Question, answer: Answer) -> Answers:
    fields: dict[str, Any] = {question.key: answer}
    return replace(given, **fields)


def _unfit(type_: Any, text: str) -> str:
    """Why a configuration does not take the text for such a value; empty if it does."""
    try:
        TypeAdapter(type_).validate_python(text)
    except ValidationError as error:
        return error.errors()[0]["msg"]
    return ""


def texts(example: str) -> dict[str, str]:
    """The files of an example, by name. In a wheel they stand inside the package, in a checkout beside it."""
    package = resources.files("dutybound")
    inside = package / "examples"
    folder = (inside if inside.is_dir() else package / ".." / "examples") / example
    return {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda f: f.name)
        if file.name.endswith((".yaml", ".md"))
    }


def drafted(example: str, answers: Answers, today: date) -> dict[str, str]:
    """The files of a configuration, by name: the example with the answers, its README, and the schema for editors.

    Ends that are near or past are moved on by years. External ids are made anew: the example's account is not the
    user's partner, and with an id that nobody knows it is let in by no one until the user writes down the real ones.
    """
    whole = texts(example)
    if catalog.partition(answers.region) == "aws-us-gov":  # which has no budgets
        whole = {name: _without_paragraph("budgets:", text) for name, text in whole.items()}
    trees = _trees(whole)
    administrators = {str(m) for tree in trees.values() for m in _at(tree, _ADMINISTRATORS) or ()}
    made = dict(whole)
    for name, tree in trees.items():
        draft = _Draft(answers, today, administrators, whole[name].split("\n"))
        made[name] = "\n".join(draft.lines_with(draft.edits(tree, Span(tree.span.source, 1, 1), ())))
    made[SCHEMA] = json.dumps(config.schema(library()), indent=2, ensure_ascii=False) + "\n"
    return made


def _without_paragraph(start: str, text: str) -> str:
    paragraphs = text.removesuffix("\n").split("\n\n")
    return "\n\n".join(p for p in paragraphs if not any(line.startswith(start) for line in p.split("\n"))) + "\n"


def _trees(whole: Mapping[str, str]) -> dict[str, Fields]:
    return {
        name: tree
        for name, text in whole.items()
        if name.endswith(".yaml") and (tree := loads(text, name).value) is not None
    }


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree.get(Text(key)) if isinstance(tree, Fields) else None
    return tree


@dataclass(frozen=True)
class _Draft:
    """One file of an example, and what becomes of its values."""

    answers: Answers
    today: date
    administrators: set[str]
    lines: list[str]

    def edits(self, value: Any, span: Span, path: tuple[str, ...]) -> Iterator[_Edit]:
        """What changes below a value that stands at `span` under the keys `path`."""
        if isinstance(value, Fields):
            replaced: set[str] = set()
            if path == ("people",) and self.answers.administrators:
                replaced = self.administrators
                yield from self._people(value)
            for key, inner in value.items():
                if key not in replaced:
                    yield from self.edits(inner, value.spans[key], (*path, str(key)))
        elif isinstance(value, Items):
            if value and all(isinstance(item, str) for item in value) and len({s.line for s in value.spans}) == 1:
                yield from self._list(value, path)
            else:
                for item, at in zip(value, value.spans, strict=True):
                    yield from self.edits(item, at, path)
        elif isinstance(value, str):
            yield from self._scalar(value, span, path)

    def lines_with(self, edits: Iterator[_Edit]) -> list[str]:
        """The file's lines, edited."""
        lines: list[str | None] = [*self.lines]
        # From the end of each line, so that what is still to come stands where the parser saw it.
        for edit in sorted(edits, key=lambda e: (e.line, -e.start)):
            line = lines[edit.line - 1]
            if edit.text is None or line is None:
                lines[edit.line - 1] = None
            else:
                lines[edit.line - 1] = line[: edit.start] + edit.text + line[edit.end :]
        kept = [_aligned(new, old) for new, old in zip(lines, self.lines, strict=True) if new is not None]
        return [_MODELINE + "./" + SCHEMA if line.startswith(_MODELINE) else line for line in kept]

    def _scalar(self, text: str, span: Span, path: tuple[str, ...]) -> Iterator[_Edit]:
        new = self._word(text, path)
        if new != text:
            yield _Edit(span.line, span.column - 1, span.column - 1 + span.length, _written(new))

    def _list(self, items: Items, path: tuple[str, ...]) -> Iterator[_Edit]:
        """A list on one line changes as a whole: it may grow and shrink, and two values may become the same."""
        answers = self.answers
        given = {
            _ADMINISTRATORS: answers.administrators,
            _BREAK_GLASS: answers.break_glass,
            _NETWORKS: answers.networks,
        }
        old = [str(item) for item in items]
        new = list(given.get(path, ())) or list(dict.fromkeys(self._word(item, path) for item in old))
        if path == ("guardrails", "regions"):  # no account works in two partitions
            home = catalog.partition(answers.region or _REGION)
            new = [region for region in new if catalog.partition(region) == home]
        if new != old:
            first, last = items.spans[0], items.spans[-1]
            text = ", ".join(map(_written, new))
            yield _Edit(first.line, first.column - 1, last.column - 1 + last.length, text)

    def _people(self, people: Fields) -> Iterator[_Edit]:
        """The administrators of the example, each on a line, make room for those of the user."""
        old = [key for key in people if key in self.administrators]
        new = [name for name in self.answers.administrators if name not in people or name in self.administrators]
        for at, key in enumerate(old):
            here = new[at:] if key is old[-1] else new[at : at + 1]
            if key.span is not None:
                text = "\n".join(f"  {_written(name)}: {{}}" for name in here)
                yield _Edit(key.span.line, 0, len(self.lines[key.span.line - 1]), text if here else None)

    def _word(self, text: str, path: tuple[str, ...]) -> str:
        answers = self.answers
        if path[-1:] == ("external_id",):
            return f"{answers.name or _NAME}-{secrets.token_hex(16)}"
        if _DAY.fullmatch(text):
            return _ahead(date.fromisoformat(text), self.today).isoformat()
        if text == "USD" and catalog.partition(answers.region) == "aws-cn":
            return "CNY"
        whole = {_NAME: answers.name, _OWNER: answers.owner, _ALERT: answers.alert, _REGION: answers.region}
        if text in whole:
            return whole[text] or text
        if answers.alert and text.endswith(_DOMAIN):
            return text.removesuffix(_DOMAIN) + "@" + answers.alert.rpartition("@")[2]
        return _NAME_WITHIN.sub(answers.name.lower() or _NAME, text)


def _ahead(day: date, today: date) -> date:
    """The day itself, or the first of its anniversaries that leaves half a year."""
    while day < today + timedelta(days=180):
        day = day.replace(year=day.year + 1)
    return day


def _aligned(new: str, old: str) -> str:
    """The new line with its comment in the column where it stood in the old one, if there is room."""
    before, now = _COMMENT.fullmatch(old), _COMMENT.fullmatch(new)
    if before is None or now is None:
        return new
    comment = now[2].lstrip()
    return now[1].ljust(max(before.end() - len(comment), len(now[1]) + 2)) + comment


def _written(text: str) -> str:
    """The text as YAML that is read as exactly this text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return "'" + text.replace("'", "''") + "'"


def wrong_with(draft: Mapping[str, str], today: date) -> tuple[Diagnostic, ...]:
    """Errors and warnings of a draft, in file order."""
    with tempfile.TemporaryDirectory() as folder:
        _write(draft, Path(folder))
        return _compiled(Path(folder), today)[0]


def _compiled(folder: Path, today: date) -> tuple[tuple[Diagnostic, ...], tuple[str, ...]]:
    """What is wrong with a folder, and its environments and accounts in the order in which they are deployed.

    Warnings that a waiver can accept are left to `check`: one break-glass user is an answer, too.
    """
    reading = read_path(folder)
    everywhere = compile_reading(reading, today)
    found = in_order(d for one in everywhere.values() for d in one.diagnostics)
    found = tuple(d for d in found if d.severity == "error" or d.name not in config.FINDINGS)
    if reading.value is None:
        return found, ()
    # First the account whose people, or break-glass users, the others trust.
    order = sorted(destinations(reading.value.configuration), key=lambda d: d.standing == "member")
    return found, tuple(d.name for d in order if d.name)


def _write(draft: Mapping[str, str], folder: Path) -> None:
    for name, text in draft.items():
        (folder / name).write_bytes(text.encode())


def clear(path: Path) -> None:
    """Raises Refused, naming what is in the way: files that a configuration at `path` would write over or read too.

    Whichever example is meant: a folder with YAML in it is somebody's, and so is its README.
    """
    if existing := _in_the_way(path, (SCHEMA, "README.md")):
        raise Refused("\n".join(f"{file} exists" for file in existing))


def _in_the_way(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        if path.is_dir():
            targets = {path / name for name in names if os.path.lexists(path / name)}
            return tuple(sorted(file.as_posix() for file in targets | {f for f in files(path)[0] if f != path}))
        if os.path.lexists(path):
            raise Refused(f"{path} exists and is not a folder")
        if not path.absolute().parent.is_dir():
            raise Refused(f"there is no folder {path.parent} in which {path.name} could be made")
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: {_reason(error)}") from None
    return ()


def put(draft: Mapping[str, str], path: Path, today: date) -> tuple[str, ...]:
    """Write a draft as the folder `path`: whole and compiling, or not at all. Returns what `next_steps` takes for
    its environments and accounts.

    Raises Refused if something is in the way, the draft has errors or warnings, or the disk does not take it.
    """
    clear(path)
    try:
        with beside(path) as draft_folder:
            folder = draft_folder / "new"
            folder.mkdir()
            _write(draft, folder)
            found, environments = _compiled(folder, today)
            if found:  # it never stood there: where it would have
                raise Refused(render_all(found).replace(folder.as_posix(), path.as_posix()))
            with undisturbed():
                if not put_folder(folder, path):
                    _move_files(folder, path, tuple(draft))
    except OSError as error:
        raise Refused(f"{path} cannot be written: {_reason(error)}") from None
    return environments


def _move_files(folder: Path, path: Path, names: tuple[str, ...]) -> None:
    placed: list[Path] = []
    try:
        for name in names:
            _without_overwriting(folder / name, path / name, placed.append)
    except BaseException:
        for file in placed:
            with suppress(OSError):
                file.unlink()
        raise


def _without_overwriting(source: Path, target: Path, made: Callable[[Path], None]) -> None:
    """Put a file in place. Raises FileExistsError if somebody was faster: both ways are all or nothing about that."""
    try:
        os.link(source, target)
        made(target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with target.open("xb") as stream:
            made(target)
            stream.write(source.read_bytes())


def next_steps(path: Path, names: tuple[str, ...], region: str) -> tuple[str, ...]:
    """What to do with a configuration that was just written, with commands that work on this machine.

    `names` are its environments and accounts, in the order in which they are deployed.
    """
    written, home = path.absolute(), installed.checkout()
    named = "" if path == Path("config") else " " + shlex.quote(str(path))
    chosen = names[0] if names else ""
    others = f"; then likewise for {', '.join(names[1:])}" if names[1:] else ""
    steps = [
        f"Read {path / 'README.md'}: it says what to change first, and what to do by hand after the deployment.",
        f"Change it; after each change: {installed.command()} check{named}",
    ]
    credentials = f"With AWS credentials {f'for {chosen}' if chosen else 'of the account'}"
    if home is not None:
        own = "" if written.resolve() == home / "config" else f" CONFIG={shlex.quote(str(written))}"
        there = "" if Path.cwd() == home else f" -C {shlex.quote(str(home))}"
        make, given = f"make{there}", own + (f" ENVIRONMENT={chosen}" if chosen else "")
        steps += [
            f"{credentials}, once: {make} bootstrap{given}",
            f"{credentials}: {make} deploy{given}{others}",
        ]
    else:
        steps += _with_an_app(path, credentials, region, chosen, others)
    return tuple(f"{number}. {step}" for number, step in enumerate(steps, 1))


_APP = """
import aws_cdk as cdk
from dutybound.stacks import DutyboundBaseline

app = cdk.App()
DutyboundBaseline(app, "Access", config={config}{environment})
app.synth()
"""
"""At the start of the line, so that it can be copied."""


def _with_an_app(path: Path, credentials: str, region: str, chosen: str, others: str) -> Iterator[str]:
    """Without Dutybound's own folder: an app that holds the construct, and the CDK's command line from npm."""
    if not installed.has_cdk():
        yield f"Install what makes the stacks: {installed.python()} -m pip install 'dutybound[cdk]'"
    environment = ', environment=app.node.try_get_context("environment")' if chosen else ""
    app = _APP.format(config=json.dumps(str(path), ensure_ascii=False), environment=environment)
    yield f"Write app.py, or put its line into a CDK app of your own:\n{app}"
    cdk = f"npx aws-cdk@{installed.CDK_CLI}"
    bucket = shlex.quote(str(installed.bucket_template()))
    yield f"{credentials} and Node.js, once: {cdk} bootstrap --template {bucket} aws://unknown-account/{region}"
    context = f" -c environment={chosen}" if chosen else ""
    start = shlex.quote(f"{installed.python()} app.py")
    yield f"{credentials}: {cdk} deploy --app {start} '**'{context}{others}"


def _reason(wrong: Exception | Diagnostic) -> str:
    if isinstance(wrong, Diagnostic):
        return "; ".join(filter(None, (wrong.message, wrong.hint)))
    return (wrong.strerror or str(wrong)).lower() if isinstance(wrong, OSError) else str(wrong)
