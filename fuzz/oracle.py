"""What the duties of a configuration ask for, found in the plainest way: the measure for what was made of them.

It takes no part of `grant`, `never`, `mfa`, `lower` or `pack`, only the text of the configuration and the service
reference: which actions have which level, and what their ARNs look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal

from dutybound import catalog
from dutybound.config import (
    ActionGrant,
    Configuration,
    Duty,
    DutyUse,
    LevelGrant,
    ManagedGrant,
    PassGrant,
    StatementGrant,
)
from dutybound.diagnostic import Text
from dutybound.managed import managed_policy
from dutybound.read import library, library_duty

Asked = Literal["yes", "maybe", "no"]
"""Whether a duty asks for a request: `maybe` where that depends on a condition, or on a policy of AWS's."""
_PARAMETER = re.compile(r"(?<!\$)\{([a-z_]+)\}")
_SELF: tuple[str, ...] = (
    "iam:ChangePassword",
    "iam:EnableMFADevice",
    "iam:GetLoginProfile",
    "iam:GetMFADevice",
    "iam:GetUser",
)
_SELF += ("iam:ListMFADevices", "iam:ResyncMFADevice")
_WITH_MFA = ("iam:DeactivateMFADevice", "iam:DeleteVirtualMFADevice")
_KEYS: tuple[str, ...] = (
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:GetAccessKeyLastUsed",
    "iam:ListAccessKeys",
)
_KEYS += ("iam:UpdateAccessKey",)
_RULES = ("iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:ListVirtualMFADevices")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a grant: some actions on resources of these patterns, for certain or perhaps."""

    actions: frozenset[str]
    """In small letters; some may be patterns."""
    resources: tuple[str, ...]
    certain: bool

    def covers(self, action: str, resource: str) -> bool:
        """Whether a request is among these."""
        name = action.lower()
        named = name in self.actions or any(like(p, name) for p in self.actions if "*" in p or "?" in p)
        return named and any(like(p, resource) for p in self.resources)


def like(pattern: str, text: str) -> bool:
    """Whether a pattern with `*` and `?` matches, character by character."""
    return _expression(pattern).fullmatch(text) is not None


@lru_cache(maxsize=65536)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern), re.DOTALL)


def asked(pieces: tuple[Piece, ...], action: str, resource: str) -> Asked:
    """What the pieces say of a request."""
    found = [p.certain for p in pieces if p.covers(action, resource)]
    return "no" if not found else "yes" if any(found) else "maybe"


def duty_of(name: str, configuration: Configuration) -> Duty:
    """A duty by its name: the configuration's, or the library's."""
    own = {str(n): duty for n, duty in configuration.duties.items()}
    return own[name] if name in own or name not in library() else library_duty(name)


def pieces(use: DutyUse, configuration: Configuration) -> tuple[Piece, ...]:
    """What one use of a duty asks for."""
    duty = duty_of(str(use.name), configuration)
    values = {str(k): tuple(map(str, v)) for k, v in use.parameters.items()}
    found: dict[tuple[tuple[str, ...], bool], set[str]] = {}
    for grant in duty.grants:
        for piece in _pieces(grant, values, configuration):
            found.setdefault((piece.resources, piece.certain), set()).update(piece.actions)
    return tuple(Piece(frozenset(actions), where, certain) for (where, certain), actions in found.items())


def _pieces(grant: object, values: Mapping[str, tuple[str, ...]], configuration: Configuration) -> Iterator[Piece]:
    match grant:
        case LevelGrant():
            yield from _of_levels(grant, values)
        case ActionGrant():
            for text in grant.actions:
                yield from _scoped(str(text), grant.resources, values, bool(grant.wide), grant.when is None)
        case PassGrant():
            names = {str(r) for r in configuration.roles}
            texts = [v for text in grant.pass_ for v in _filled(str(text), values)]
            arns = (f"arn:*:iam::*:role/{'roles/' + t if t in names else t.removeprefix('role/')}" for t in texts)
            yield Piece(frozenset({"iam:passrole"}), tuple(arns), False)
        case ManagedGrant():
            for statement in managed_policy(str(grant.managed)).policy.statements:
                if statement.effect == "Allow":
                    actions = frozenset(a.lower() for a in statement.actions) or frozenset({"*"})
                    yield Piece(actions, statement.resources or ("*",), False)
        case StatementGrant():
            for raw in grant.statements:
                if raw.effect == "Allow":
                    actions = frozenset(str(a).lower() for a in raw.action or ()) or frozenset({"*"})
                    texts = [v for text in raw.resource or () for v in _filled(str(text), values)]
                    yield Piece(actions, tuple(texts) or ("*",), False)


def _of_levels(grant: LevelGrant, values: Mapping[str, tuple[str, ...]]) -> Iterator[Piece]:
    services = catalog.services() if "*" in grant.service else tuple(map(str, grant.service))
    for prefix in services:
        chosen = _chosen(prefix, grant.access, tuple(map(str, grant.only)), tuple(map(str, grant.except_)))
        for name, looks in chosen:
            anywhere = grant.wide is not False and (looks or bool(grant.wide))
            yield from _scoped(name, grant.resources, values, anywhere, grant.when is None)


@lru_cache(maxsize=8192)
def _chosen(
    prefix: str, access: tuple[str, ...], only: tuple[str, ...], but: tuple[str, ...]
) -> tuple[tuple[str, bool], ...]:
    """The actions of a service with these levels, and whether each of them only looks."""
    found = []
    for action in catalog.service(prefix).actions.values():
        name = str(action).lower()
        kept = not only or any(like(p.lower(), name) for p in only)
        if action.level in access and kept and not any(like(p.lower(), name) for p in but):
            found.append((str(action), action.level in ("list", "read")))
    return tuple(found)


def _scoped(
    name: str,
    resources: Mapping[Text, tuple[Text, ...]] | None,
    values: Mapping[str, tuple[str, ...]],
    anywhere: bool,
    certain: bool,
) -> Iterator[Piece]:
    """One action on the resources of the types that it has; on `*` if it has none and may be granted there."""
    prefix = name.partition(":")[0]
    service = catalog.service(prefix)
    action = service.action(name.partition(":")[2])
    if action is None:
        return
    if resources is None:
        yield Piece(frozenset({name.lower()}), ("*",), certain)
        return
    texts = {str(kind): written for kind, written in resources.items()}
    wanted = [
        (service.types[kind].arn, value)
        for kind in action.types
        if kind in texts and kind in service.types
        for text in texts[kind]
        for value in _filled(str(text), values)
    ]
    if wanted:
        arns = tuple(_arn(*one) for one in wanted)
        yield Piece(frozenset({name.lower()}), arns, certain and not any("${" in text for _, text in wanted))
    elif not action.types and anywhere:
        yield Piece(frozenset({name.lower()}), ("*",), certain)


def _arn(form: str, text: str) -> str:
    """An ARN of the form that the reference gives, whose first free part the text stands for."""
    text = re.sub(r"\$\{[^}]*\}", "*", text)
    if text.startswith("arn:"):
        return text
    parts = form.split(":", 5)
    head = ":".join("*" if "${" in part else part for part in parts[:5])
    fixed, free, tail = parts[5].partition("${")
    if not free:
        return f"{head}:{fixed}"
    return f"{head}:{fixed}{re.sub(r'[$][{][^}]*[}]', '*', free + tail) if text == '*' else text}"


def _filled(text: str, values: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The text with its parameters, once for each of their values; what the baseline fills in is anything."""
    names = list(dict.fromkeys(_PARAMETER.findall(text)))
    for chosen in product(*(values.get(name, ("*",)) for name in names)):
        mine = dict(zip(names, chosen, strict=True))
        yield _PARAMETER.sub(lambda found, mine=mine: mine[found[1]], text)  # type: ignore[misc]


# --- what the baseline gives everybody ------------------------------------------------------------------------------


def is_self_service(action: str, resource: str, user: str, mfa: bool, keys: bool) -> bool:
    """Whether a request is enrolment or looks after the caller's own credentials, as docs/mfa.md promises."""
    if action in _RULES:
        return True
    if action == "iam:CreateVirtualMFADevice":
        return ":mfa/" in resource or resource == "*"
    own = resource.rpartition("/")[2] == user and ":user/" in resource
    if action in _SELF:
        return own
    if action in _WITH_MFA:
        return mfa and (own or ":mfa/" in resource)
    return action in _KEYS and keys and mfa and own


WITHOUT_MFA = frozenset({*_SELF, *_RULES, "iam:CreateVirtualMFADevice", "sts:GetSessionToken", "sts:GetCallerIdentity"})
"""The actions that may be left to whoever has no MFA."""
