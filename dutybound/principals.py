"""Who makes a request, and how a Principal element speaks of them.

Source: IAM User Guide, "AWS JSON policy elements: Principal", "AWS JSON policy elements: NotPrincipal" and "IAM
identifiers".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Literal

from dutybound.conditions import Unknown
from dutybound.policy import Principal

CallerKind = Literal["user", "role", "session", "federated", "root", "outside", "anybody", "unnamed"]
"""What a principal is: `outside` is a service, an identity provider or a canonical id; `unnamed` was not said."""


class Named(IntEnum):
    """How closely a Principal names the caller: the higher, the less stands between the policy and the caller."""

    NOT = 0
    ACCOUNT = 1
    """Through its account, which leaves the decision to the account's identity policies."""
    ENTITY = 2
    """Through the role behind the session: the session's boundary and session policy still limit it."""
    DIRECTLY = 3
    """The user, the session or everybody: no implicit deny of the account's other policies limits it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal, taken apart. `account` is empty for whoever belongs to none; `name` is the role's or user's."""

    kind: CallerKind
    text: str
    account: str = ""
    name: str = ""

    @property
    def inside(self) -> bool:
        """Whether it has identity policies, and the SCPs of its account over it."""
        return self.kind in ("user", "role", "session", "federated", "root", "unnamed")


_ARN = re.compile(r"arn:[^:]*:(iam|sts)::(\d*):(root|user|role|assumed-role|federated-user)(?:/(.+))?")
_KIND: dict[str, CallerKind] = {
    "root": "root",
    "user": "user",
    "role": "role",
    "assumed-role": "session",
    "federated-user": "federated",
}


@lru_cache(maxsize=4096)
def caller(text: str) -> Caller:
    """The principal of a request: an ARN, an account id (its root), a service or provider name, `*`, or nothing."""
    if text in ("", "*"):
        return Caller("anybody" if text else "unnamed", text)
    if re.fullmatch(r"\d{12}", text):
        return Caller("root", text, text)
    found = _ARN.fullmatch(text)
    if not found:
        return Caller("outside", text)
    _, account, kind, rest = found.groups()
    parts = (rest or "").split("/")
    return Caller(_KIND[kind], text, account, parts[0] if kind == "assumed-role" else parts[-1])


class PerhapsNamed(Unknown):
    """Whether a Principal names the caller is not known; `most` says how closely it can."""

    def __init__(self, why: str, most: Named = Named.DIRECTLY) -> None:
        super().__init__(why)
        self.most = most


def named(principals: tuple[Principal, ...], who: Caller) -> Named:
    """How a Principal element names the caller. Raises PerhapsNamed where that hangs on what the request leaves out."""
    best, doubt = Named.NOT, None
    for principal in principals:
        for value in principal.values:
            try:
                best = max(best, _named(principal.kind, value, who))
            except PerhapsNamed as perhaps:
                doubt = perhaps if doubt is None or perhaps.most > doubt.most else doubt
    if doubt is not None and doubt.most > best:
        raise doubt
    return best


def _named(kind: str, value: str, who: Caller) -> Named:
    if value == "*":
        return Named.DIRECTLY
    if who.kind == "unnamed":
        raise PerhapsNamed("the request does not say whose it is, and a policy names who may")
    if kind != "AWS":
        if kind == "CanonicalUser" and who.kind != "outside":
            raise PerhapsNamed("a policy names a canonical user id, which no ARN tells")
        return Named.DIRECTLY if who.kind == "outside" and value == who.text else Named.NOT
    meant = caller(value)
    if who.account and meant.kind == "root" and meant.account == who.account:
        return Named.DIRECTLY if who.kind == "root" else Named.ACCOUNT
    if who.kind == "outside":  # such as the origin access identity of a distribution, which has an ARN
        return Named.DIRECTLY if value == who.text else Named.NOT
    if meant.account != who.account:
        return Named.NOT
    if who.kind in ("role", "session") and meant.kind == "role":
        return Named.ENTITY if meant.name == who.name else Named.NOT
    if who.kind == "role" and meant.kind == "session" and meant.name == who.name:
        raise PerhapsNamed(f"a policy names the session {value}, and the request only the role")
    if who.kind == "federated" and meant.kind == "user":
        why = f"a policy names {value}, and the request does not say who made the federated session"
        raise PerhapsNamed(why, Named.ENTITY)  # boundary and session policy would still limit it
    return Named.DIRECTLY if meant.kind == who.kind and value == who.text else Named.NOT


def spared(principals: tuple[Principal, ...], who: Caller) -> bool:
    """Whether a NotPrincipal leaves the caller out. Raises Unknown for a caller that it names in part.

    AWS looks at the account, the role and the session one after the other, and documents that all must be named.
    """
    values = {value for principal in principals for value in principal.values}
    if "*" in values or (who.text in values and not who.account):
        return True
    if not who.account:
        if who.kind == "unnamed":
            raise Unknown("the request does not say whose it is, and a policy names who may not")
        return False
    known = [caller(value) for value in values]
    steps = [any(m.kind == "root" and m.account == who.account for m in known)]
    if who.kind in ("role", "session"):
        steps.append(any(m.kind == "role" and (m.account, m.name) == (who.account, who.name) for m in known))
    if who.kind == "role":
        steps.append(False)  # the session is not said
    elif who.kind != "root":
        steps.append(who.text in values)
    if any(steps) and not all(steps):
        raise Unknown(f"a NotPrincipal names {who.text} in part; AWS asks for the account, the role and the session")
    return all(steps)
