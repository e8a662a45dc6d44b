"""Raw policies of two files, compared: read as strictly as AWS does, and the answer as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from dutybound.compare import Comparison, Difference, Doubt, compare
from dutybound.evaluate import Judge, Policies, Request
from dutybound.simulate import BadLine, document, policies_of

EQUAL, DIFFERENT, UNKNOWN = 0, 1, 3
"""Exit codes; wrong usage is 2."""
_MOST_ACTIONS = 6
"""Actions that one line for people names; the JSON has all."""


def read(name: str, text: str) -> Policies:
    """The policies in a file: one, a list, or the fields of a line of `simulate --batch`. Raises BadLine."""
    found = document(name, text)
    try:
        return policies_of(found)
    except BadLine as error:
        raise BadLine(f"{name}: {error}") from None


def answer(old: Policies, new: Policies) -> Comparison:
    """What `new` gained and lost, over whoever has these policies."""
    return compare(old, new)


def exit_code(found: Comparison, no_new_access: bool) -> int:
    """What the command exits with: a difference is certain, whatever else is unknown.

    With `no_new_access` losses are well; what is unknown could be a gain.
    """
    if found.gained or (found.lost and not no_new_access):
        return DIFFERENT
    return UNKNOWN if found.unknown else EQUAL


def as_json(found: Comparison) -> str:
    """All of it, for machines: the same policies always give the same bytes."""
    document = {
        "gained": [_difference(d) for d in found.gained],
        "lost": [_difference(d) for d in found.lost],
        "unknown": [_doubt(d) for d in found.unknown],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _difference(one: Difference) -> dict[str, Any]:
    return {"actions": list(one.actions), "resource": one.resource, "witness": _request(one.witness)}


def _doubt(one: Doubt) -> dict[str, Any]:
    asked = None if one.request is None else _request(one.request)
    return {"actions": list(one.actions), "resource": one.resource, "reason": one.reason, "request": asked}


def _request(request: Request) -> dict[str, Any]:
    who = {"principal": request.principal} if request.principal else {}
    context = {key: value if isinstance(value, str) else list(value) for key, value in sorted(request.context.items())}
    return {**who, "action": request.action, "resource": request.resource, "context": context}


def as_text(found: Comparison, old: Policies, new: Policies) -> str:
    """For people: a line for each difference, gains first, and what is not known."""
    if found.equal:
        return "no access changes"
    judges = [Judge(old), Judge(new)]
    lines = [f"+ {_line(d, judges)}" for d in found.gained]
    lines += [f"- {_line(d, judges)}" for d in found.lost]
    lines += [f"? {_some(d.actions)} on {d.resource}: unknown, {d.reason}" for d in found.unknown]
    return "\n".join(lines)


def _line(one: Difference, judges: Iterable[Judge]) -> str:
    asked = one.witness
    action = f"{asked.action} on " if len(one.actions) > 1 or asked.action not in one.actions else ""
    words = ", ".join(_words(asked, judges))
    who = f"{asked.principal}: " if asked.principal else ""
    return (
        f"{_some(one.actions)} on {one.resource} (witness: {who}{action}{asked.resource}{', ' if words else ''}{words})"
    )


def _some(actions: tuple[str, ...]) -> str:
    more = len(actions) - _MOST_ACTIONS
    return ", ".join(actions[:_MOST_ACTIONS]) + (f" and {more} more" if more > 0 else "")


def _words(request: Request, judges: Iterable[Judge]) -> Iterator[str]:
    """The condition keys of a request, and those that a statement on its action asks for and it lacks."""
    held = {key.lower() for key in request.context}
    for key, value in sorted(request.context.items()):
        yield f"{key} = {value if isinstance(value, str) else ' and '.join(value)}"
    asked = {c.key.lower(): c.key for judge in judges for s in judge.naming(request.action) for c in s.conditions}
    yield from (f"without {key}" for small, key in sorted(asked.items()) if small not in held)
