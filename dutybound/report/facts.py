"""Everything that a report shows, as values: what `gather.facts` makes, and what every format is written from.

A report of a large organisation must stay small, so what is said often is said once: actions, sets of actions and rules
stand in tables of `Facts`, and everything else names them by their place there, from 0.

    Facts.actions[i]        one action and its level
    Facts.action_sets[i]    which actions a rule speaks of
    Facts.rules[i]          an Allow or Deny: a set of actions, on which resources, under which conditions
    Holder.duties[i].rules  what a team or role has through a duty: rules, each with the grant that gave it
    Holder.denies[i].rule   what is denied to it

**Who can do ACTION on RESOURCE**, signed in with MFA (roles: as a role), by the policies of this configuration alone:
a holder can, if a rule of one of its `duties` takes in the action and the resource and no rule of its `denies` with an
empty `unless` does. A deny with `unless` leaves it allowed, `unless` those words hold. A person has the duties of all
teams of theirs, each until the end of the membership, and the denies of all of them. Without a resource any counts: a
deny then takes the action away from a rule if its `resources` match every one of the rule's, read as a text in which
only a star matches a star (`Rule.covers`). This is exact but for what no table can say: whether the `when` of a rule
holds, variables in a resource (`${aws:username}`), several denies that together leave nothing, requests that name
several resources at once (all of which must be allowed), and what other policies say (buckets, keys, SCPs).

A rule takes in an action if it is in its set; a resource if one of `resources` matches it whole (`*`: any text, `?`:
one character, case counts), or, where `but` is not empty, if none of `but` does. `ACCOUNT` in a pattern stands for the
id of the account: any 12 digits. An action set with `everything` is every action of AWS, known here or not, without
those in `actions`.

As JSON (`to_json`, `from_json`) a value is an object with the names of its fields, a tuple a list. A field that has the
default of its class (`= ()`, `= ""`, `= None` …) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

from pydantic import TypeAdapter

from dutybound.policy import glob

Effect = Literal["allow", "deny"]
Level = Literal["list", "read", "write", "tagging", "permissions"]
LEVELS: tuple[Level, ...] = ("list", "read", "write", "tagging", "permissions")
"""From the least: the order of `Service.counts`, and of colours in a matrix."""
Place = str
"""A file and a line, `config/teams.yaml:14`; empty if there is none."""


ANYTHING = "\ue002" * 99
"""Stands in a name for any text: only a star matches it, since no pattern has so many question marks."""


# --- when, where ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of some lines, as git knows it. `commit` is short; empty for lines that are not committed yet."""

    day: str
    author: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the report: an environment of the configuration, or its only one (`environment` is empty).

    `id` is empty for one that stands for whatever account it is deployed to; where several accounts have the same,
    `ids` are all of them, and `id` the first. Counts are of what the baseline makes.
    """

    environment: str
    id: str
    region: str
    partition: str
    groups: int
    users: int
    roles: int
    policies: int
    ids: tuple[str, ...] = ()


# --- what is allowed ------------------------------------------------------------------------------------------------


class Action(NamedTuple):
    """One action, `s3:GetObject`, and its access level. In JSON a list of the two: there are thousands."""

    name: str
    level: Level


@dataclass(frozen=True, slots=True)
class ActionSet:
    """Which actions a rule speaks of: `actions` are places in `Facts.actions`, ascending.

    `everything`: every action but these. `written` is how the policy says it, with wildcards.
    """

    written: tuple[str, ...]
    actions: tuple[int, ...]
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A statement of a policy. `actions` is a place in `Facts.action_sets`.

    Either `resources` are patterns, one of which must match, or `but` are patterns, none of which may. `when` are
    conditions in words, all of which must hold.
    """

    effect: Effect
    actions: int
    resources: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    when: tuple[str, ...] = ()

    def covers(self, other: Rule) -> bool:
        """Whether every resource that another rule is about is one of these; where it says no, it may still be so."""
        if "*" in self.resources:
            return True
        matching = [glob(pattern).fullmatch for pattern in self.resources]
        texts = [text.replace("*", ANYTHING) for text in other.resources]
        return bool(texts) and all(any(fits(text) for fits in matching) for text in texts)


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant of a duty: where it stands, and why it is there, in the duty's words."""

    at: Place
    why: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that a duty is given, and with what."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Duty:
    """A duty that somebody has: of the built-in library, or one of the configuration's own (`own`)."""

    name: str
    summary: str
    at: Place
    grants: tuple[Grant, ...]
    own: bool = False
    parameters: tuple[str, ...] = ()
    changed: Change | None = None
    """For own duties."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A rule by its place in `Facts.rules`, and the grant behind it, a place in `Duty.grants` (-1: none)."""

    rule: int
    grant: int = -1


@dataclass(frozen=True, slots=True)
class Held:
    """A duty as a team or role has it: what it allows.

    `kind` is 'duty', or a part of the baseline that stands for one: 'mfa' (enrol a device for oneself), 'break-glass',
    'take' (take the role `duty`, which trusts the team). `managed` are policies of AWS that it attaches.
    """

    duty: str
    at: Place
    rules: tuple[Granted, ...] = ()
    kind: Literal["duty", "mfa", "break-glass", "take"] = "duty"
    parameters: tuple[Parameter, ...] = ()
    managed: tuple[str, ...] = ()
    changed: Change | None = None
    """Of the line that gives it."""


@dataclass(frozen=True, slots=True)
class Denied:
    """What is denied to a holder, whatever grants it: why (`what`, in words), where, and a place in `Facts.rules`.

    With `unless`, words for the conditions of the deny, only in requests that meet them. Denies for whoever has no MFA
    are left out: a report is about people who use it.
    """

    kind: Literal["never", "guardrail", "organization", "mfa", "end", "deny", "boundary"]
    what: str
    rule: int
    at: Place = ""
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What a holder can do in one service: how many actions of each level, in the order of `LEVELS`.

    What is denied without a condition wherever it is allowed (`Rule.covers`) is taken off. `everywhere`: some of it is
    on every resource.
    """

    prefix: str
    counts: tuple[int, int, int, int, int]
    everywhere: bool = False

    @property
    def highest(self) -> Level:
        """The highest level of them."""
        return LEVELS[max(at for at, count in enumerate(self.counts) if count)]


@dataclass(frozen=True, slots=True)
class PolicySize:
    """A customer managed policy of a holder, and its characters as IAM counts them."""

    name: str
    characters: int


@dataclass(frozen=True, slots=True)
class Holder:
    """What a team, a role or break-glass has in one account, by its place in `Facts.accounts`.

    `policies` are its own, shared ones too; with `managed`, those of AWS, they count for `Limits.policies`.
    """

    account: int
    duties: tuple[Held, ...]
    denies: tuple[Denied, ...] = ()
    services: tuple[Service, ...] = ()
    policies: tuple[PolicySize, ...] = ()
    managed: tuple[str, ...] = ()


# --- who ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Team:
    """A team: the same people everywhere, and what they have in each account."""

    name: str
    purpose: str
    at: Place
    holders: tuple[Holder, ...]
    people: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    changed: Change | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A team of a person's, where it says so, and the last day of it (empty: no end)."""

    team: str
    at: Place
    until: str = ""
    changed: Change | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person. `name` is the IAM user; `boundary` the name of the permissions boundary."""

    name: str
    at: Place
    memberships: tuple[Membership, ...]
    full_name: str = ""
    email: str = ""
    tags: tuple[Tag, ...] = ()
    boundary: str = ""
    changed: Change | None = None
    """The newest of the person's own entry and memberships."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Who can take a role: in words, and under which conditions, in words.

    `kind` tells what `principal` is: a service, an account, an identity provider, or everybody.
    """

    kind: Literal["service", "account", "identity-provider", "everybody", "other"]
    principal: str
    says: str
    when: tuple[str, ...] = ()
    effect: Effect = "allow"


@dataclass(frozen=True, slots=True)
class Role:
    """A role, and what it has in each account that has it; `of` is 'break-glass' for one of those."""

    name: str
    purpose: str
    at: Place
    holders: tuple[Holder, ...]
    trusts: tuple[Trust, ...]
    of: Literal["role", "break-glass"] = "role"
    until: str = ""
    session_seconds: int = 3600
    changed: Change | None = None


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """The way in for emergencies: its users, whether they have the access themselves or take a role, who is told."""

    users: tuple[str, ...]
    through: Literal["user", "role"]
    alert: tuple[str, ...]
    at: Place
    holders: tuple[Holder, ...]
    changed: Change | None = None


@dataclass(frozen=True, slots=True)
class Becoming:
    """Somebody (or something) who can become a role: by taking it, or by handing it to a service that then acts as it.

    `kind` and `name` are who: for a team, `people` are those of it who can (empty: all). Both sides are judged, what
    the taker is allowed and what the role trusts. `when` is in words; `doubt` is not empty where it is not known.
    """

    account: int
    kind: Literal["team", "role", "break-glass", "service", "account", "identity-provider", "everybody", "other"]
    name: str
    role: str
    how: Literal["takes", "hands to a service"] = "takes"
    service: str = ""
    when: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    at: Place = ""
    doubt: str = ""


# --- the whole ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A key of `guardrails`, or a boundary: what it says in words. `rules` are places in `Facts.rules`."""

    key: str
    says: str
    at: Place
    rules: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What the compiler found and let pass. `environments` are those that have it; none if all have."""

    name: str
    severity: Literal["error", "warning"]
    message: str
    at: Place = ""
    hint: str = ""
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiver:
    """A finding that somebody accepts on purpose."""

    finding: str
    subject: str
    reason: str
    until: str
    at: Place = ""
    changed: Change | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas of AWS that the access of one holder or person counts against."""

    policies: int
    """Managed policies of a group; a role's own can be raised."""
    characters: int
    """Of one customer managed policy."""
    groups: int
    """Groups of one user."""


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How much of an account's quota is used: `used` of `value`, which AWS raises to `maximum` at most."""

    account: int
    what: str
    used: int
    value: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Control:
    """How one control of a benchmark stands; `where` are the lines, printed steps or reasons behind it."""

    id: str
    benchmark: str
    title: str
    level: str
    state: Literal["met", "not met", "not ours"]
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole of a report. Sequences are sorted by name; `day` and `commit` are given from outside.

    `reference` is the version of the IAM service reference that decided the actions; `mfa` says in words what is left
    without MFA and how it is enforced.
    """

    organization: str
    owner: str
    configuration: str
    day: str
    commit: str
    reference: str
    accounts: tuple[Account, ...]
    limits: Limits
    mfa: str
    actions: tuple[Action, ...]
    action_sets: tuple[ActionSet, ...]
    rules: tuple[Rule, ...]
    duties: tuple[Duty, ...]
    teams: tuple[Team, ...]
    people: tuple[Person, ...]
    roles: tuple[Role, ...]
    break_glass: BreakGlass
    becoming: tuple[Becoming, ...]
    guardrails: tuple[Guardrail, ...] = ()
    findings: tuple[Finding, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    quotas: tuple[QuotaUse, ...] = ()
    compliance: tuple[Control, ...] = field(default=())


@cache
def _adapter() -> TypeAdapter[Facts]:
    return TypeAdapter(Facts)


def to_json(facts: Facts, indent: int | None = None) -> str:
    """The facts as JSON; empty fields are left out."""
    return _adapter().dump_json(facts, exclude_defaults=True, indent=indent).decode()


def from_json(text: str) -> Facts:
    """The facts that `to_json` wrote. Raises pydantic's ValidationError for anything else."""
    return _adapter().validate_json(text)
