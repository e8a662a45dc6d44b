"""AWS's "Access Denied", as it stands on somebody's screen -> who was denied what, and what AWS says of why.

The words differ from service to service and grow over the years; what is looked for is what they share. Sources: IAM
User Guide, "Troubleshoot access denied error messages"; STS API Reference, "DecodeAuthorizationMessage".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

Type = Literal[
    "identity-based policy",
    "resource-based policy",
    "permissions boundary",
    "session policy",
    "service control policy",
    "resource control policy",
    "VPC endpoint policy",
    "role trust policy",
    "",
]
"""The kinds of policies that AWS names in a message; empty where it names none."""
TYPES: tuple[Type, ...] = tuple(name for name in get_args(Type) if name)


@dataclass(frozen=True, slots=True)
class Denial:
    """What a message says; whatever it does not say is empty.

    `effect` is 'explicit' for a Deny that applied and 'implicit' for a missing Allow, of the kind `type`; `policy` is
    the ARN of that policy, which newer messages name. `given` are the condition keys of a decoded message.
    """

    principal: str = ""
    action: str = ""
    resource: str = ""
    effect: Literal["explicit", "implicit", ""] = ""
    type: Type = ""
    policy: str = ""
    encoded: str = ""
    given: tuple[tuple[str, tuple[str, ...]], ...] = ()


class NotADenial(ValueError):
    """A text that is no message of AWS about a denied request; the error says what is missing."""


_WHO = re.compile(
    r"(?:(?:User|Principal|Caller):?\s*)?"
    r"(?P<who>\"?arn:\S+|[\w.-]+\.amazonaws\.com(?:\.cn)?|anonymous(?: user)?|[A-Z0-9]{16,128}:\S+)"
    r"\s+is\s+not\s+authori[sz]ed\s+to\s+perform:?\s+(?P<action>[A-Za-z0-9-]+:[A-Za-z0-9]+)",
    re.IGNORECASE,
)
_END = (
    r",?\s+with\s+an\s+explicit\s+deny|,?\s+because\s+(?:no|the)\s+[\w\s-]{1,60}\sallows|\.?\s+Encoded\s|</\w+>"
    r"|\.?\s+\((?:Service|RequestToken|Status)\b"
    r"|,?\s+because(?:\s+(?:no|the)\b[\w\s-]{0,60})?\Z|,?\s+bec(?:a(?:us?)?)?\Z|,?\s+with\s+an(?:\s+explicit)?\Z"
)
"""What follows a resource: AWS's reason, whole or cut off, or what a tool put behind the message."""
_ON = re.compile(
    rf"\s*,?\s*on\s+(?:the\s+)?resource:?\s+(?:\"(?P<quoted>[^\"\n]+)\"(?={_END}|[\s.,;\"]|$)|(?P<on>[^\n]+?)(?={_END}|\n|$))",
    re.IGNORECASE,
)
_TYPE = "|".join(t.replace("session ", "sessions? ").replace(" ", r"\s+") for t in TYPES)
_EXPLICIT = re.compile(rf"with\s+an\s+explicit\s+deny(?:\s+in\s+(?:an?|the)\s+(?P<type>{_TYPE}))?", re.IGNORECASE)
_IMPLICIT = re.compile(rf"because\s+(?:no|the)\s+(?P<type>{_TYPE})\s+allows", re.IGNORECASE)
_POLICY = re.compile(
    r"(?:polic(?:y|ies)|boundary)[^:]{0,60}:\s*(?P<arn>arn:[^:\s]*:(?:iam|organizations):[^\s,;)<>\"']+)", re.IGNORECASE
)
_ENCODED = re.compile(r"Encoded\s+authorization\s+failure\s+message:?\s*(?P<text>[A-Za-z0-9_=-]{16,})", re.IGNORECASE)
_PAINT = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
"""Colours and titles of a terminal (ECMA-48: control sequences; xterm: operating system commands)."""
_FRAME = re.compile(r"^[ \t]*[│╷╵]", re.MULTILINE)
"""What Terraform draws around an error."""
_SAID = ("message", "Message", "errorMessage")
"""Where the message stands in an answer of AWS, and in a record of CloudTrail."""
_LONGEST = 100_000


def denial(text: str) -> Denial:
    """Read a message, pasted whole: with what a tool put around it, broken into lines, or decoded and in JSON.

    Raises NotADenial for a text that names neither who was denied what nor an encoded message.
    """
    if len(text) > _LONGEST:
        raise NotADenial("the text is too long for a message of AWS")
    text = _FRAME.sub("", _PAINT.sub("", text))
    if text.lstrip().startswith("{"):
        return _of_json(text)
    # A name may hold blanks, and no line break: where the line ends without a reason of AWS, the tool's words begin.
    words = "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))
    encoded = _ENCODED.search(words)
    found = _WHO.search(words)
    if found is None and encoded is None:
        raise NotADenial("the text names neither who was denied what, nor an encoded message of AWS")
    said = encoded["text"] if encoded else ""
    if found is None:
        return Denial(encoded=said)
    rest = words[found.end() :]
    if another := _WHO.search(rest):  # its reason is not this one's
        rest = rest[: another.start()]
    on = _ON.match(rest)
    explicit, implicit = _EXPLICIT.search(rest), _IMPLICIT.search(rest)
    reason = explicit or implicit
    named = _POLICY.search(rest[reason.start() :]) if reason else None
    return Denial(
        principal=found["who"].strip('"'),
        action=found["action"],
        resource=on["quoted"] or on["on"].strip("\"'").rstrip(".,;") if on else "",
        effect="explicit" if explicit else "implicit" if implicit else "",
        type=_type(reason["type"]) if reason and reason["type"] else "",
        policy=named["arn"].rstrip(".\"'") if named else "",
        encoded=said,
    )


def _type(words: str) -> Type:
    plain = " ".join(words.lower().split()).replace("sessions ", "session ")
    return next(t for t in TYPES if t.lower() == plain)


def _of_json(text: str) -> Denial:
    """A decoded message, or an answer or a record of an event that holds a message."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    said = [document[key] for key in _SAID if key in document] if isinstance(document, dict) else []
    return denial(said[0]) if said and isinstance(said[0], str) else _decoded(document)


def _decoded(document: Any) -> Denial:
    """A decoded message: the answer of STS, or the document that it holds as a text."""
    try:
        if isinstance(document, dict) and isinstance(document.get("DecodedMessage"), str):
            document = json.loads(document["DecodedMessage"])
        context = document["context"]
        resource = _text(context["resource"])
        action = _text(context["action"])
        if ":" not in action:  # newer ones leave the service to the resource
            action = f"{resource.split(':')[2]}:{action}"
        return Denial(
            principal=_text(context["principal"]["arn"]),
            action=action,
            resource=resource,
            effect="explicit" if document.get("explicitDeny") is True else "implicit",
            given=tuple(_keys(context.get("conditions") or {})),
        )
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        raise NotADenial("the JSON is not a decoded authorization message of AWS") from None


def _keys(conditions: Any) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for item in conditions.get("items") or ():
        values = tuple(_text(value["value"]) for value in item["values"]["items"])
        if values:
            found.append((_text(item["key"]), values))
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
