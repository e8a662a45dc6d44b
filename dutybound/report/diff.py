"""A `Review` for people and machines: text for a terminal, Markdown for a comment, JSON, and findings for SARIF.

Text and Markdown are made from the same sections. Whatever a user or AWS named is a code span in Markdown, where GitHub
sees no markup, no mention and no reference.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dutybound import __version__
from dutybound.callers import ACCOUNT_ID, Session
from dutybound.changes import AccessChange, Because, Broken, Deployed, Finding, Review, TrustMoved, Unknown
from dutybound.deployment import Effect, user_steps
from dutybound.diagnostic import Diagnostic, Severity, as_sarif, render_all, visible
from dutybound.diagnostic import as_json as as_diagnostics
from dutybound.evaluate import Request
from dutybound.remarks import Code, Environment, QuotaUse, Remark, Words, listed

MARKER = "<!-- dutybound diff -->"
"""The first line of a comment: by it, a workflow finds its own comment again."""
LARGEST_COMMENT = 60_000
"""Bytes of a comment, whatever there is to say: GitHub takes 65,536 characters, and a workflow may add its own."""
WIDTH = 100
_MOST_ACTIONS = 12
_MOST_PHRASES = 3
_MOST_RESOURCES = 4
_MOST_SERVICES = 6
_MOST_REASONS = 4
_MOST_NAMES = 20
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Sides:
    """What the two sides are called."""

    base: str
    head: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is told: a sentence, and what belongs to it."""

    mark: Literal["+", "-", "!", "·"]
    words: Words
    details: tuple[Words, ...] = ()
    commands: tuple[str, ...] = ()
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Entries under a title; what is `open` is not folded."""

    title: str
    entries: tuple[Entry, ...]
    open: bool = False


def written(found: Review | Broken, sides: Sides, form: str, checked: str = "config", paint: bool = False) -> str:
    """A comparison as `text`, `markdown`, `json` or `sarif`; `checked` is where SARIF puts what has no place."""
    match form:
        case "markdown":
            return markdown(found, sides) if isinstance(found, Review) else broken_markdown(found, sides)
        case "json":
            return as_json(found, sides) if isinstance(found, Review) else broken_json(found, sides)
        case "sarif":
            listed = findings(found) if isinstance(found, Review) else (*found.base, *found.head)
            return as_sarif(listed, __version__, checked)
    return text(found, sides, paint) if isinstance(found, Review) else broken_text(found, sides, paint)


# --- sections -------------------------------------------------------------------------------------------------------


def headline(review: Review) -> str:
    """What the change comes to, in a few words."""
    fails = any(d.consequence.effect == "fails" for d in review.deployment)
    if review.result == "no access changes":
        return f"No access changes{', but the deployment fails' if fails else ''}"
    gains, losses = len(review.gains), len([*review.access, *review.trusts]) - len(review.gains)
    parts = [_count(gains, "gain")] if gains else []
    parts += [_count(losses, "loss", "losses")] if losses else []
    if review.escalations:
        parts.append(f"{len(review.escalations)} on a way to administrator")
    if bare := sum(a.without_mfa for a in review.access):
        parts.append(f"{bare} without MFA")
    told = f"Access changes: {', '.join(parts)}" if parts else "Access may have changed"
    told += "; the deployment fails" if fails else ""
    return f"{told}; {len(review.unknown)} unknown" if review.unknown else told


def sections(review: Review) -> tuple[Section, ...]:
    """All that there is to tell, what matters most first; empty sections are left out."""
    write = _Writer(review)
    told: dict[str, list[Entry]] = {"bare": [], "grave": [], "gains": [], "losses": []}
    for change in review.access:
        kind = "bare" if change.without_mfa else "grave" if change.risk in ("escalation", "permissions") else "gains"
        told[kind if change.gained else "losses"].append(write.access(change))
    found = (
        Section("Could not be compared: it may have changed", tuple(map(write.unknown, review.unknown)), True),
        Section("Possible without MFA now", tuple(told["bare"]), True),
        Section("Gains: ways to more access", tuple(told["grave"]), True),
        Section("Gains", tuple(told["gains"]), True),
        Section("Who can take which role", tuple(map(write.trust, review.trusts)), True),
        Section("Losses", tuple(told["losses"])),
        Section("MFA, boundaries, break-glass and the rest", tuple(map(write.remark, review.remarks))),
        Section("Deployment", tuple(write.deployed(alike) for alike in _alike(review.deployment))),
        Section("Findings", tuple(map(write.finding, review.findings))),
        Section("Quotas", tuple(map(write.quota, review.quotas))),
    )
    return tuple(section for section in found if section.entries)


class _Writer:
    """Puts the parts of a review into words."""

    def __init__(self, review: Review) -> None:
        self.everywhere = review.environments

    def access(self, change: AccessChange) -> Entry:
        """What somebody can do now, or can no longer do."""
        grave = change.gained and (change.without_mfa or change.risk in ("escalation", "permissions"))
        mark: Literal["+", "-"] = "+" if change.gained else "-"
        where = self._where(change.environments)
        if not change.actions:
            are = "is" if len(change.names) == 1 else "are"
            gone = f" {are} gone, with all access; the gravest of it: {change.risk}"
            return Entry(mark, (*_who(change), gone, *where))
        words = (
            *_who(change),
            " can now " if change.gained else " can no longer ",
            _signed_in(change.sessions),
            *_doing(change),
            *where,
        )
        return Entry(mark, (f"{change.risk}: ", *words), tuple(_details(change)), grave=grave)

    def trust(self, moved: TrustMoved) -> Entry:
        """Who can take a role now, or no longer, and what their request says of them."""
        can = "can now be taken by " if moved.gained else "can no longer be taken by "
        words = ("the role ", Code(moved.role), f" {can}", *_principals(moved.principals))
        details = [*_reasons(moved.because, "says "), _example(moved.witness, _OF_EVERY_REQUEST)]
        mark: Literal["+", "-"] = "+" if moved.gained else "-"
        return Entry(mark, (*words, *self._where(moved.environments)), tuple(details), grave=moved.gained)

    def unknown(self, one: Unknown) -> Entry:
        """What may have changed, and why nobody knows."""
        if not one.actions:
            return Entry("!", (Code(one.who), *self._where(one.environments)), ((one.reason,),), grave=True)
        kind, _, name = one.who.partition(" ")
        words = (f"the {kind} ", Code(name), ": ", *listed(one.actions, _MOST_ACTIONS), " on ", Code(one.resource))
        return Entry("!", (*words, *self._where(one.environments)), ((one.reason,),), grave=True)

    def remark(self, remark: Remark) -> Entry:
        """A remark, under its topic."""
        return Entry("·", (f"{remark.topic}: ", *remark.words, *self._where(remark.environments)))

    def deployed(self, alike: Sequence[Deployed]) -> Entry:
        """What CloudFormation does to resources, and what has to be done before."""
        what, names = alike[0].consequence, [one.consequence.name for one in alike]
        bad = what.effect in ("fails", "left behind")
        stack = (" (stack ", Code(what.stack), ")") if what.kind != "stack" else ()
        kind = what.kind if len(names) == 1 else _plural(what.kind)
        words = (f"the {kind} ", *listed(names, _MOST_NAMES), f" {_EFFECTS[what.effect][len(names) > 1]}", *stack)
        details: list[Words] = [(what.why,)] if what.why else []
        commands = what.steps
        of_users = commands and what.kind == "user"
        if of_users:
            details.append(("before, or the deletion fails (only what is there needs it):",))
        elif commands:
            details.append(("before the deployment, in this order:",))
        if of_users and len(names) > 1:
            commands = ("# for each of them as $user", *user_steps('"$user"'))
        where = self._where(alike[0].environments)
        return Entry("!" if bad else "·", (*words, *where), tuple(details), commands, bad)

    def finding(self, finding: Finding) -> Entry:
        """A diagnostic that only one side has."""
        found = finding.diagnostic
        at = (" at ", Code(found.span.place)) if found.span is not None else ()
        happens = "new" if finding.new else "fixed"
        return Entry(
            "!" if finding.new else "·",
            (f"{happens} {found.severity} ", Code(found.name), ": ", Code(found.message), *at),
        )

    def quota(self, use: QuotaUse) -> Entry:
        """How much of a quota is used."""
        kind, _, name = use.of.partition(" ")
        who: Words = (f"{kind} ", Code(name)) if name else (kind,)
        words = (*who, f": {use.after:,} of {use.limit:,} {use.unit}, {use.before:,} before")
        near = ", nearly all" if use.nearly_full else ""
        return Entry("!" if use.nearly_full else "·", (*words, near, *self._where(use.environments)))

    def _where(self, environments: Sequence[Environment]) -> Words:
        """In which environments, where that is not in all of them."""
        named = [name for name in environments if name is not None]
        if not named or set(environments) == set(self.everywhere):
            return ()
        return (", in ", *listed(named))


def _alike(deployed: Iterable[Deployed]) -> Iterator[list[Deployed]]:
    """Resources to which the same happens for the same reason."""
    found: dict[tuple[object, ...], list[Deployed]] = {}
    for one in deployed:
        what = one.consequence
        found.setdefault((what.effect, what.kind, what.stack, what.why, one.environments), []).append(one)
    yield from found.values()


_EFFECTS: Mapping[Effect, tuple[str, str]] = {
    "fails": ("cannot be made: the deployment fails", "cannot be made: the deployment fails"),
    "left behind": ("stays in the account", "stay in the account"),
    "deleted": ("is deleted", "are deleted"),
    "kept": ("is let go of, and kept", "are let go of, and kept"),
    "replaced": ("is replaced by a new one", "are replaced by new ones"),
}
_KINDS: Mapping[str, str] = {"role": "the role ", "team": "the team ", "person": "", "break-glass": "break-glass "}


def _who(change: AccessChange) -> Words:
    several = {"role": "the roles ", "team": "the teams "}
    kind = _KINDS[change.kind] if len(change.names) == 1 else several.get(change.kind, _KINDS[change.kind])
    return (kind, *listed(change.names, _MOST_NAMES)) if kind else listed(change.names, _MOST_NAMES)


def _signed_in(sessions: Sequence[Session]) -> str:
    """How they must sign in for it, where that is not the usual way."""
    ways = {"no-mfa": "without MFA", "key": "with an access key alone"}
    named = [ways[s] for s in ("no-mfa", "key") if s in sessions]
    if not named:
        return ""
    return f"{'even ' if 'mfa' in sessions else ''}{' and '.join(named)} "


def _doing(change: AccessChange) -> Words:
    """What, and on what."""
    if change.actions == ("*",):
        return ("do everything that nothing denies",)
    if len(change.services) > 1:
        where = " everywhere" if change.resources == ("*",) and not change.summed else ""
        services = listed(change.services, _MOST_SERVICES)
        return (
            f"use {_count(len(change.actions), 'action')} of {len(change.services):,} services{where} (",
            *services,
            ")",
        )
    service = (" (", Code(change.services[0]), ")")
    verbs = _verbs(change.actions)
    if change.resources == ("*",):
        return (f"{verbs} everywhere", *service)
    within = " in " if all(map(_is_object, change.resources)) else " on "
    return (f"{verbs}{within}", *listed(list(dict.fromkeys(map(short, change.resources))), _MOST_RESOURCES), *service)


def _is_object(resource: str) -> bool:
    return resource.startswith("arn:") and resource.split(":", 3)[2] == "s3"


def short(resource: str) -> str:
    """An ARN without what every one has; the objects of a bucket by the bucket."""
    parts = resource.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return resource
    if parts[2] == "s3":
        return parts[5].removesuffix("/*")
    return parts[5]


def _details(change: AccessChange) -> Iterator[Words]:
    if change.actions != ("*",):
        yield ("actions: ", *listed(change.actions, _MOST_ACTIONS))
    if change.kind == "team":
        yield _people(change)
    yield from _reasons(change.because, "by ")
    if change.gained:
        yield from _reasons(change.instead, "no longer denied by ")
    else:
        yield from _reasons(change.instead, "denied by ")
    yield _example(change.witness)


def _people(change: AccessChange) -> Words:
    verb = "gain" if change.gained else "lose"
    if not change.people:
        return (f"none of its people {verb}s it: it has none, or they have it otherwise",)
    count = f"{len(change.people):,} people {verb}" if len(change.people) > 1 else f"one person {verb}s"
    return (f"{count} it: ", *listed(change.people, _MOST_NAMES))


_PARTS = {
    "mfa": "the MFA policy",
    "break_glass": "break-glass",
    "guardrails": "the guardrails",
    "guardrails.organization": "the organization's policies",
    "trusts": "the role's trust",
    "hub": "the team's role in another account",
    "until": "the end of a membership",
}


def _reasons(because: Sequence[Because], how: str) -> Iterator[Words]:
    """Each duty once, with the lines that ask for it and grant it."""
    lines: dict[Words, None] = {}
    for one in because:
        what: Words = (_PARTS[one.duty],) if one.duty in _PARTS else ("the duty ", Code(one.duty))
        at: Words = (" at ", Code(one.asked)) if one.asked else ()
        granted: Words = (", its grant at ", Code(one.granted)) if one.granted and one.granted != one.asked else ()
        lines[(how, *what, *at, *granted)] = None
    yield from list(lines)[:_MOST_REASONS]
    if len(lines) > _MOST_REASONS:
        yield (f"{how}{len(lines) - _MOST_REASONS:,} more",)


def _principals(principals: Sequence[str]) -> Words:
    """Who: somebody of an account, where the trust names the account."""
    out: list[str] = []
    for principal in principals[:_MOST_NAMES]:
        account = principal.split(":")[4] if principal.startswith("arn:") and principal.endswith("/somebody") else ""
        out += [", "] if out else []
        out += ["somebody of this account"] if account == ACCOUNT_ID else []
        out += ["somebody of the account ", Code(account)] if account not in ("", ACCOUNT_ID) else []
        out += [Code(principal)] if not account else []
    more = len(principals) - _MOST_NAMES
    return (*out, f" and {more:,} more") if more > 0 else tuple(out)


_OF_EVERY_REQUEST = (
    *("aws:principalaccount", "aws:principalisawsservice", "aws:principaltype", "aws:viaawsservice", "aws:username"),
    *("aws:userid", "aws:securetransport", "aws:currenttime", "aws:requestedregion", "aws:resourceaccount"),
)
_OF_EVERYBODY = (*_OF_EVERY_REQUEST, "aws:principal", "aws:multifactorauthpresent")


def _example(request: Request, usual: tuple[str, ...] = _OF_EVERYBODY) -> Words:
    """The request that proves it; what every request of such a caller says is left out."""
    said = [
        f"{key}={value if isinstance(value, str) else ','.join(value)}"
        for key, value in sorted(request.context.items())
        if not key.lower().startswith(usual)
    ]
    told: Words = (", with ", *listed(said, 4)) if said else ()
    return ("for example ", Code(request.action), " on ", Code(request.resource), *told)


# --- actions in words -----------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z0-9]+|[0-9]+")
_NO_PLURAL = ("access", "code", "data", "info", "information", "metadata", "status", "tagging", "usage", "versioning")


def _verbs(actions: Sequence[str]) -> str:
    """Actions as verbs with their objects: `delete and tag objects`."""
    told = list(phrases(actions))
    more = len(told) - _MOST_PHRASES
    if more > 1:
        return f"{', '.join(told[:_MOST_PHRASES])} and {more:,} more things"
    return f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]


def phrases(actions: Iterable[str]) -> Iterator[str]:
    """The actions in words, verbs of one object together, in the order of the actions."""
    objects: dict[str, list[str]] = {}
    for action in actions:
        verb, *rest = _WORD.findall(action.partition(":")[2]) or [action]
        objects.setdefault(_plural(" ".join(map(_small, rest))), []).append(_small(verb))
    for thing, verbs in objects.items():
        if not thing:
            yield from verbs
            continue
        distinct = list(dict.fromkeys(verbs))
        said = f"{', '.join(distinct[:-1])} and {distinct[-1]}" if len(distinct) > 1 else distinct[0]
        yield f"{said} {thing}"


def _small(word: str) -> str:
    return word if len(word) > 1 and word.isupper() else word.lower()


def _plural(thing: str) -> str:
    if thing.endswith("s") or not thing or thing.rpartition(" ")[2] in _NO_PLURAL:
        return thing
    if thing.endswith("y") and thing[-2:-1] not in "aeiou":
        return f"{thing[:-1]}ies"
    return f"{thing}es" if thing.endswith(("ch", "sh", "x")) else f"{thing}s"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


# --- text -----------------------------------------------------------------------------------------------------------

_COLOURS = {"+": "33", "-": "32", "!": "31"}


def text(review: Review, sides: Sides, paint: bool = False) -> str:
    """For a terminal: at most 100 columns, but names stay whole. `paint` adds ANSI colour."""
    lines = [f"{headline(review)}: {visible(sides.base)} → {visible(sides.head)}"]
    lines += [_in_place(review)] if review.in_place else []
    for section in sections(review):
        lines += ["", _painted(f"{section.title} ({len(section.entries):,})", "1", paint)]
        for entry in section.entries:
            colour = "31;1" if entry.grave else _COLOURS.get(entry.mark, "")
            first, *rest = _wrapped(_plain(entry.words), "    ")
            lines += [f"  {_painted(entry.mark, colour, paint)} {first[4:]}", *rest]
            for detail in entry.details:
                lines += _wrapped(_plain(detail), "      ")
            lines += [f"      {command}" for command in entry.commands]
    return "\n".join(lines)


def _in_place(review: Review) -> str:
    return f"{_count(review.in_place, 'resource')} changed in place"


def _painted(words: str, colour: str, paint: bool) -> str:
    return f"\x1b[{colour}m{words}\x1b[0m" if paint and colour else words


def _plain(words: Words) -> str:
    return "".join(_name(part) if isinstance(part, Code) else part for part in words)


def _name(name: str) -> str:
    """A name as it is shown: no characters that do something, and not of any length."""
    shown = visible(name)
    return f"{shown[: _LONGEST_NAME - 1]}…" if len(shown) > _LONGEST_NAME else shown


def _wrapped(words: str, indent: str) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    ) or [indent]


# --- Markdown -------------------------------------------------------------------------------------------------------


def markdown(review: Review, sides: Sides) -> str:
    """For a comment on a pull request: what matters open, the rest folded, never longer than `LARGEST_COMMENT` bytes.

    Whole entries are left out where there are too many, the gravest kept; each section says how many.
    """
    head = [MARKER, f"## {headline(review)}", "", f"{_span(sides.base)} → {_span(sides.head)}", ""]
    if review.in_place:
        head += [f"{_in_place(review)}.", ""]
    every = sections(review)
    drawn = [_first_drawn(section.entries) for section in every]
    around = sum(_bytes(_framed(section, [], len(section.entries))) for section in every)
    room = _shares([sum(map(_bytes, one)) for one in drawn], LARGEST_COMMENT - around - _bytes("\n".join(head)))
    parts = []
    for section, entries, share in zip(every, drawn, room, strict=True):
        kept: list[str] = []
        for entry in entries:
            share -= _bytes(entry)
            if share < 0:
                break
            kept.append(entry)
        parts.append(_framed(section, kept, len(section.entries) - len(kept)))
    return "\n".join(head) + "".join(parts)


def _first_drawn(entries: Iterable[Entry]) -> list[str]:
    """Entries as Markdown, as many as a whole comment has room for."""
    out: list[str] = []
    size = 0
    for entry in entries:
        out.append(_drawn(entry))
        size += _bytes(out[-1])
        if size > LARGEST_COMMENT:
            break
    return out


def _bytes(words: str) -> int:
    return len(words.encode())


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """How much of the room each gets: those who want less than an equal share what they want, the others the rest."""
    given = [0] * len(wanted)
    left = sorted(range(len(wanted)), key=lambda i: wanted[i])
    while left:
        first = left.pop(0)
        given[first] = min(wanted[first], room // (len(left) + 1))
        room -= given[first]
    return given


def _framed(section: Section, entries: Sequence[str], missing: int) -> str:
    summary = f"<summary><b>{section.title}</b> ({len(section.entries):,})</summary>"
    more = f"- and {missing:,} more: see the full report of the job\n" if missing else ""
    is_open = " open" if section.open else ""
    return f"\n<details{is_open}>{summary}\n\n{''.join(entries)}{more}\n</details>\n"


def _drawn(entry: Entry) -> str:
    marks = {"+": "➕", "-": "➖", "!": "⚠️", "·": ""}
    sign = f"{marks[entry.mark]} " if marks[entry.mark] else ""
    lines = [f"- {sign}{_marked_up(entry.words)}", *(f"  - {_marked_up(detail)}" for detail in entry.details)]
    if entry.commands:
        lines += ["", "    ```sh", *(f"    {visible(command)}" for command in entry.commands), "    ```"]
    return "\n".join(lines) + "\n"


def _marked_up(words: Words) -> str:
    return "".join(_span(part) if isinstance(part, Code) else _escaped(part) for part in words)


def _span(words: str) -> str:
    """A code span whose fence is longer than any run of backticks in it (CommonMark, "Code spans")."""
    shown = _name(words)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not shown.strip() else ""
    return f"{fence}{pad}{shown or ' '}{pad}{fence}"


def _escaped(words: str) -> str:
    """Our own words, which hold no name; still nothing in them is markup."""
    return re.sub(r"([\\`*_\[\]<>#|~@&])", r"\\\1", visible(words))


# --- JSON -----------------------------------------------------------------------------------------------------------

SHAPE = 1
"""The version of the JSON: raised when a key changes its meaning or goes."""


def as_json(review: Review, sides: Sides) -> str:
    """The whole review as an object; docs/diff.md says what each key is."""
    return _dumped(
        {
            "version": SHAPE,
            "base": sides.base,
            "head": sides.head,
            "result": review.result,
            "environments": review.environments,
            "access": [_access_record(a) for a in review.access],
            "trusts": [_trust_record(t) for t in review.trusts],
            "unknown": [
                {
                    "who": u.who,
                    "actions": u.actions,
                    "resource": u.resource,
                    "reason": u.reason,
                    "environments": u.environments,
                }
                for u in review.unknown
            ],
            "remarks": [
                {"topic": r.topic, "text": _plain(r.words), "environments": r.environments} for r in review.remarks
            ],
            "deployment": [
                {
                    "effect": d.consequence.effect,
                    "kind": d.consequence.kind,
                    "name": d.consequence.name,
                    "stack": d.consequence.stack,
                    "why": d.consequence.why,
                    "steps": d.consequence.steps,
                    "environments": d.environments,
                }
                for d in review.deployment
            ],
            "findings": [
                {
                    "new": f.new,
                    "name": f.diagnostic.name,
                    "severity": f.diagnostic.severity,
                    "message": f.diagnostic.message,
                }
                for f in review.findings
            ],
            "quotas": [
                {
                    "of": q.of,
                    "unit": q.unit,
                    "before": q.before,
                    "after": q.after,
                    "limit": q.limit,
                    "environments": q.environments,
                }
                for q in review.quotas
            ],
            "in_place": review.in_place,
        }
    )


def _access_record(change: AccessChange) -> dict[str, object]:
    return {
        "change": "gained" if change.gained else "lost",
        "kind": change.kind,
        "names": change.names,
        "people": change.people,
        "status": change.status,
        "risk": change.risk,
        "sessions": change.sessions,
        "services": change.services,
        "actions": change.actions,
        "resources": change.resources,
        "because": [_reason_record(b) for b in change.because],
        "instead": [_reason_record(b) for b in change.instead],
        "witness": _request_record(change.witness),
        "environments": change.environments,
    }


def _trust_record(moved: TrustMoved) -> dict[str, object]:
    return {
        "change": "gained" if moved.gained else "lost",
        "role": moved.role,
        "principals": moved.principals,
        "because": [_reason_record(b) for b in moved.because],
        "witness": _request_record(moved.witness),
        "environments": moved.environments,
    }


def _reason_record(because: Because) -> dict[str, str]:
    return {"duty": because.duty, "asked": because.asked, "granted": because.granted, "statement": because.sid}


def _request_record(request: Request) -> dict[str, object]:
    context = {key: value if isinstance(value, str) else list(value) for key, value in sorted(request.context.items())}
    return {"principal": request.principal, "action": request.action, "resource": request.resource, "context": context}


def _dumped(record: Mapping[str, object]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False)


# --- SARIF ----------------------------------------------------------------------------------------------------------


def findings(review: Review) -> tuple[Diagnostic, ...]:
    """Gains and doubts as findings with the line that asks for them: errors where they lead to more access."""
    write = _Writer(review)
    found = []
    for gain in review.gains:
        entry = write.access(gain) if isinstance(gain, AccessChange) else write.trust(gain)
        span = next((b.span for b in gain.because if b.span is not None), None)
        severity: Severity = "error" if entry.grave else "warning"
        notes = tuple(_plain(detail) for detail in entry.details)
        found.append(Diagnostic("access-gained", _plain(entry.words), span, notes=notes, severity=severity))
    for one in review.unknown:
        entry = write.unknown(one)
        found.append(Diagnostic("access-unknown", _plain(entry.words), None, notes=(one.reason,)))
    return tuple(found)


# --- a side that does not compile -----------------------------------------------------------------------------------


def _broken(broken: Broken, sides: Sides) -> Iterator[tuple[str, tuple[Diagnostic, ...]]]:
    if broken.base:
        yield sides.base, broken.base
    if broken.head:
        yield sides.head, broken.head


def broken_text(broken: Broken, sides: Sides, paint: bool = False) -> str:
    """Which side does not compile, and why."""
    told = [
        f"{visible(side)} does not compile:\n\n{render_all(found, paint)}" for side, found in _broken(broken, sides)
    ]
    return "\n\n".join([*told, "unknown: nothing can be compared until it does"])


def broken_markdown(broken: Broken, sides: Sides) -> str:
    """The same as a comment."""
    out = [MARKER, "## Access may have changed", ""]
    for side, found in _broken(broken, sides):
        shown = render_all(found)
        cut = shown.encode()[: LARGEST_COMMENT // 3].decode(errors="ignore")
        more = "\n… see the full report of the job" if cut != shown else ""
        fence = "`" * (max(map(len, re.findall("`+", shown)), default=2) + 1)
        out += [
            f"{_span(side)} does not compile, so nothing can be compared.",
            "",
            f"{fence}text",
            cut + more,
            fence,
            "",
        ]
    return "\n".join(out)


def broken_json(broken: Broken, sides: Sides) -> str:
    """The same as an object: no review, but why there is none."""
    wrong = {
        name: json.loads(as_diagnostics(found))
        for name, found in (("base", broken.base), ("head", broken.head))
        if found
    }
    head = {"version": SHAPE, "base": sides.base, "head": sides.head, "result": "unknown"}
    return _dumped({**head, "does_not_compile": wrong})
