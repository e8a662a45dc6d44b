"""Whether an AWS managed policy gives more than a baseline should hand out, and why: in words for a person who reviews.

Policies that many people know have their reason written by hand in `dutybound/data/broad-managed-policies.json`. For
all others a rule reads the document: what it allows on everything, of what changes access, hands out credentials or
reads secrets. Access levels are those of the pinned reference; an action that AWS has retired since gives nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from dutybound import catalog
from dutybound.catalog import Action
from dutybound.managed import AwsManagedPolicy
from dutybound.policy import Condition, Policy, Statement, glob

_LOOKS_ONLY = re.compile(r"ReadOnly|ViewOnly|Audit|Viewer")
_OUR_ACCOUNT = frozenset({"aws:resourceaccount", "aws:principalaccount", "aws:requestedregion"})
"""Condition keys that leave everything in one's own account allowed."""
_PASSED_TO = "iam:passedtoservice"
_ANY = re.compile(r"\*|arn:[^:]*:[^:]*:\*?:\*?:([a-z-]+[/:])?[*/:]*\*")
"""A resource that is everything, or everything of one type in one account: `*`, `arn:aws:iam::*:role/*`."""
_TAKES_AWAY = re.compile(
    "Cancel|Deauthorize|Delete|Deregister|Detach|Disable|Disassociate|Reject|Remove|Reset|Revoke|Terminate"
)
_LOOKS = re.compile("BatchGet|Check|Describe|Get|List|Request|Search|Test|View")
_PLAIN = re.compile("Policy|Permission|Attribute|Credentials")
"""What makes an action a good example: its name says that it is about access."""
_WHO_MAY = ("iam", "organizations", "sso", "sso-directory", "identitystore")
"""Services that are about access and nothing else: there taking away, of a boundary or a guardrail, opens too."""
_SHOWN = 3


def broad_because(policy: AwsManagedPolicy) -> str:
    """Why the policy is more than a baseline should hand out, as what it does ('lets …'); empty if it is not."""
    known = _known()["policies"].get(policy.name)
    return known or breadth(policy.policy, looks_only=_LOOKS_ONLY.search(policy.name) is not None)


def breadth(policy: Policy, looks_only: bool = False) -> str:
    """What a policy allows on everything that should be given by the piece, as 'lets …; reads …'; empty for nothing.

    With `looks_only` the policy says that it only looks: then reading what is stored counts too. A condition counts as
    a limit, unless it only asks for one's own account or names the services that a role may be passed to.
    """
    wide = [s for s in policy.statements if s.effect == "Allow" and _on_anything(s) and not _limits(s)]
    if any("*" in s.actions for s in wide):
        return "does everything, access itself included"
    for statement in wide:
        if statement.not_actions:
            return f"allows every action but those of {_some(_services(statement.not_actions), 4)} (NotAction on *)"
    denied = [s for s in policy.statements if s.effect == "Deny" and "*" in s.resources and not s.conditions]
    found = _Wide(wide, denied)
    reasons = [
        *_whole_services(found),
        *_passed_roles(found),
        *_taken_roles(found),
        *_changed_access(found),
        *_secrets(found),
        *(_stored(found) if looks_only else ()),
    ]
    return "; ".join(reasons)


def reads_data(action: str) -> bool:
    """Whether an action reads secrets or what is stored, and not only how things are set up."""
    return action in _known()["secrets"] or action in _known()["stored"]


@dataclass(frozen=True)
class _Wide:
    """The statements that allow on everything, and those that deny on everything."""

    allows: list[Statement]
    denies: list[Statement]

    def has(self, action: str) -> bool:
        """Whether an action is allowed on everything."""
        return any(_speaks_of(s, action) for s in self.allows) and not self.denied(action)

    def denied(self, action: str) -> bool:
        return any(_speaks_of(s, action) for s in self.denies)

    def whole(self) -> Mapping[str, str]:
        """The services of which all is allowed and that can give access away, each with an action that does."""
        prefixes = {a[:-2].lower() for s in self.allows for a in s.actions if a.endswith(":*")}
        giving = {p: [str(a) for a in catalog.actions_of(f"{p}:*") if _gives(a)] for p in sorted(prefixes)}
        left = {p: [a for a in actions if not self.denied(a)] for p, actions in giving.items()}
        return {p: min(actions, key=lambda a: (not _PLAIN.search(a), a)) for p, actions in left.items() if actions}

    def giving(self) -> list[Action]:
        """The actions that give access away, of services that are not allowed as a whole."""
        whole = {*self.whole(), "sts"}
        patterns = {a for s in self.allows for a in s.actions if a.partition(":")[0].lower() not in whole}
        actions = {a for p in patterns for a in catalog.actions_of(p) if _gives(a)}
        return sorted(a for a in actions if a.name != "PassRole" and not self.denied(str(a)))


def _whole_services(found: _Wide) -> Iterator[str]:
    whole = found.whole()
    if "iam" in whole:
        yield "lets its holder change all access in the account (iam:*)"
    if others := [prefix for prefix in whole if prefix != "iam"]:
        examples = [whole[prefix] for prefix in others]
        yield f"has all of {_some(others)} on everything, with what gives others access ({_some(examples)})"


def _passed_roles(found: _Wide) -> Iterator[str]:
    passing = [s for s in found.allows if _speaks_of(s, "iam:PassRole")]
    if not passing or found.denied("iam:PassRole") or "iam" in found.whole():
        return
    services: set[str] = set()
    for statement in passing:
        named = [c.values for c in statement.conditions if c.key.lower() == _PASSED_TO]
        services |= set(named[0]) if named else {"*"}
    to = "any service" if "*" in services else _some(sorted(services), 2)
    yield f"lets its holder pass any role to {to} (iam:PassRole on *)"


def _taken_roles(found: _Wide) -> Iterator[str]:
    if found.has("sts:AssumeRole"):
        yield "lets its holder take every role that trusts the account (sts:AssumeRole on *)"
    if found.has("sts:GetFederationToken"):
        yield "makes credentials for others (sts:GetFederationToken on *)"


def _changed_access(found: _Wide) -> Iterator[str]:
    giving = found.giving()
    who_may = [str(a) for a in giving if a.service in _WHO_MAY]
    others = [str(a) for a in giving if a.service not in _WHO_MAY]
    if who_may:
        yield f"changes who may do what ({_some(who_may)} on *)"
    if others:
        yield f"opens resources to others or hands out credentials ({_some(others)} on *)"


def _secrets(found: _Wide) -> Iterator[str]:
    by_words: dict[str, str] = {}
    for action, words in _known()["secrets"].items():
        if words not in by_words and found.has(action):
            by_words[words] = action
    yield from (f"{words} ({action} on *)" for words, action in by_words.items())


def _stored(found: _Wide) -> Iterator[str]:
    reads = [(words, action) for action, words in _known()["stored"].items() if found.has(action)]
    if reads:
        words = _some(sorted({w for w, _ in reads}), len(reads))
        yield f"reads what is stored, not only what there is: {words} ({_some([a for _, a in reads])} on *)"


def _gives(action: Action) -> bool:
    """Whether an action gives access: to its caller, or to others."""
    known = _known()
    if action.level != "permissions" or _harmless().fullmatch(str(action)):
        return False
    if str(action) in known["handed_out"]:
        return True
    taken = _TAKES_AWAY.match(action.name) and action.service not in _WHO_MAY
    return not taken and not _LOOKS.match(action.name)


def _on_anything(statement: Statement) -> bool:
    return bool(statement.not_resources) or any(_ANY.fullmatch(r) for r in statement.resources)


def _limits(statement: Statement) -> bool:
    passes = any(glob(a, True).fullmatch("iam:PassRole") for a in statement.actions)
    return any(not _is_no_limit(c, passes) for c in statement.conditions)


def _is_no_limit(condition: Condition, passes: bool) -> bool:
    key, positive = condition.key.lower(), "Not" not in condition.operator
    return key in _OUR_ACCOUNT or (passes and positive and key == _PASSED_TO)


def _speaks_of(statement: Statement, action: str) -> bool:
    if statement.not_actions:
        return not any(glob(a, True).fullmatch(action) for a in statement.not_actions)
    return any(glob(a, True).fullmatch(action) for a in statement.actions)


def _services(patterns: Iterable[str]) -> list[str]:
    return sorted({p.partition(":")[0] for p in patterns})


def _some(names: list[str], most: int = _SHOWN) -> str:
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return ", ".join(names[:-1]) + (" and " if names[:-1] else "") + names[-1]


@cache
def _known() -> Any:
    return json.loads((resources.files("dutybound") / "data" / "broad-managed-policies.json").read_bytes())


@cache
def _harmless() -> re.Pattern[str]:
    return re.compile("|".join(glob(pattern).pattern for pattern in _known()["harmless"]))
