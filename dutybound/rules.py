"""Rules over a whole configuration and what it was compiled to: one function for each.

A rule yields a `Hit` for what should not be so without a good reason. An error may let somebody in who is not meant, a
warning is housekeeping; either is silent while a waiver accepts it. Why a rule matters, with a bad and a good example,
is on its page in docs/diagnostics; its name stands in `config.FindingName` too, which gives the schema its list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dutybound.asked import Finding, Scope
from dutybound.baseline import Account, Baseline, Group, Role
from dutybound.broad import reads_data
from dutybound.catalog import Action, spoken_of
from dutybound.config import (
    AccountTrust,
    ActionGrant,
    Configuration,
    Duty,
    DutyUse,
    Grant,
    LevelGrant,
    OidcTrust,
    OrganizationTrust,
    ServiceTrust,
    TeamTrust,
    Trust,
    parameters_in,
)
from dutybound.diagnostic import Severity, Span, Text, quoted
from dutybound.escalate import ADMINISTRATOR
from dutybound.grant import LOOKING, duty_access, example_use
from dutybound.issuer import identities
from dutybound.lower import scope_of
from dutybound.managed import managed_policy
from dutybound.policy import Policy, Statement, glob
from dutybound.read import Reading
from dutybound.waiver import Held


@dataclass(frozen=True, slots=True)
class Whole:
    """What rules look at: the configuration as it was read, and the account that came of it with its own policies."""

    reading: Reading
    account: Account
    policies: Mapping[str, Policy]

    @property
    def configuration(self) -> Configuration:
        """What the user wrote."""
        return self.reading.configuration

    @property
    def scope(self) -> Scope:
        """What its duties may refer to."""
        return scope_of(self.configuration)


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a rule is not kept: whom it concerns (as a waiver's `for`), what is so, where, and what to do."""

    holder: str
    message: str
    span: Span | None
    hint: str


Check = Callable[[Whole], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by the name of its finding."""

    name: str
    severity: Severity
    findings: Callable[[Whole], Iterator[Held]]


RULES: list[Rule] = []
"""All rules of this module, in its order."""


def rule(name: str, severity: Severity) -> Callable[[Check], Check]:
    """Make a function a rule: each `Hit` becomes a finding of that name, held by whom it concerns."""

    def register(check: Check) -> Check:
        def found(whole: Whole) -> Iterator[Held]:
            for hit in check(whole):
                yield Held(hit.holder, Finding(name, "", hit.message, hit.span, hit.hint, severity))

        RULES.append(Rule(name, severity, found))
        return check

    return register


def findings(reading: Reading, baseline: Baseline) -> Iterator[Held]:
    """What all rules find in a configuration and its baseline, accepted or not."""
    for account in baseline.accounts:
        whole = Whole(reading, account, {policy.name: policy.policy for policy in account.policies})
        for one in RULES:
            yield from one.findings(whole)


# --- how far duties reach -------------------------------------------------------------------------------------------


@rule("wide-parameter", "error")
def wide_parameter(whole: Whole) -> Iterator[Hit]:
    """A duty that is made for named things is given all there are, to change them or to read what they hold."""
    for holder, use in _uses(whole.configuration):
        starred = {str(name) for name, texts in use.parameters.items() if any(not t.strip("*?") for t in texts)}
        if not starred:
            continue
        duty = whole.reading.duties[use.name]
        opened = [grant for grant in duty.grants if isinstance(grant, LevelGrant | ActionGrant)]
        opened = [grant for grant in opened if _reaches_all(grant, starred)]
        if opened and (grave := _grave(_allows(use, duty, opened, whole.scope))):
            at = next(text for texts in use.parameters.values() for text in texts if not text.strip("*?"))
            message = f"{_named(holder)}: duty {quoted(use.name)} with {quoted(at)}: {_some(grave)} on everything"
            yield Hit(holder, message, at.span, "name them, or the start of their names, as in 'acme-dev-*'")


def _reaches_all(grant: LevelGrant | ActionGrant, starred: set[str]) -> bool:
    """Whether the grant reaches everything once these parameters are wildcards alone."""
    when = grant.when
    tags = [text for texts in ((when and when.resource_tags) or {}).values() for text in texts]
    if tags:
        return all(_says_nothing(text, starred) for text in tags)
    if when is not None and when.conditions:
        return False
    named = [text for texts in (grant.resources or {}).values() for text in texts]
    return any(_says_nothing(text, starred) for text in named)


def _says_nothing(text: str, starred: set[str]) -> bool:
    """Whether a text names these parameters and nothing that limits besides: `{buckets}/*`, not `acme-{buckets}`."""
    names = parameters_in(text)
    rest = _TYPE_IN_NAME.sub("", text)
    for name in names:
        rest = rest.replace(f"{{{name}}}", "")
    return bool(names) and starred.issuperset(names) and not re.search(r"[A-Za-z0-9]", rest)


_TYPE_IN_NAME = re.compile(r"\*:[A-Za-z]+/|/[a-z]+/(?=\*)")
"""What stands in names of Auto Scaling and of parts of tables, and limits nothing: `*:autoScalingGroupName/{x}`."""


@rule("more-than-viewing", "error")
def more_than_viewing(whole: Whole) -> Iterator[Hit]:
    """A duty of one's own says that it looks (`view-…`, `audit-…`), and changes something or reads what is stored."""
    for name, duty in sorted(whole.configuration.duties.items()):
        if name.partition("-")[0] in ("view", "audit"):
            grave = _grave(_allows(example_use(name, duty), duty, duty.grants, whole.scope))
            if grave:
                message = f"duty {quoted(name)} says that it looks, and has {_some(grave)}"
                yield Hit(f"duty {name}", message, name.span, "give it a name that says so, or take these out")


# --- who gets in ----------------------------------------------------------------------------------------------------


@rule("wide-trust", "error")
def wide_trust(whole: Whole) -> Iterator[Hit]:
    """A role trusts more than somebody: a whole account or organization, or whomever an issuer knows."""
    for name, role in sorted(whole.configuration.roles.items()):
        for what, at, hint in _trusted(role.trusts):
            yield Hit(f"role {name}", f"role {quoted(name)} trusts {what}", at or name.span, hint)


def _trusted(trusts: Trust) -> Iterator[tuple[str, Span | None, str]]:
    """What is too wide in a trust, where, and what to do."""
    match trusts:
        case AccountTrust(external_id=None, mfa=None) if _everybody(trusts.roles):
            hint = "add the third party's 'external_id', or 'roles' or 'mfa: true' for an account of yours"
            yield f"whatever account {trusts.account} lets", trusts.account.span, hint
        case OrganizationTrust(units=None) if _everybody(trusts.roles):
            yield "every role of the organization", trusts.organization.span, "name the roles, or add 'units'"
        case OidcTrust(oidc=identity):
            for subject in identity.subject:
                if _UNNAMED_SUBJECT.match(subject):
                    hint = "begin with what is yours: a project, a namespace"
                    yield f"subjects of any kind: {quoted(subject)}", subject.span, hint
        case _:
            return


def _everybody(roles: Iterable[str] | None) -> bool:
    return roles is None or any(not role.strip("*?/") for role in roles)


_UNNAMED_SUBJECT = re.compile(r"[*?]|system:serviceaccount:[*?]")
"""Subjects that begin with a wildcard; those of a cluster's own issuer begin with a fixed word, then the namespace."""


@rule("unreviewed-code", "error")
def unreviewed_code(whole: Whole) -> Iterator[Hit]:
    """A role that changes things, or reads what is stored, is open to code that nobody has reviewed."""
    roles = {role.name: role for role in whole.account.roles}
    for name, entry in sorted(whole.configuration.roles.items()):
        open_to = _unreviewed(entry.trusts)
        if open_to is not None and name in roles and (grave := _grave(_allowed(whole, roles[str(name)]))):
            message = f"role {quoted(name)} has {_some(grave)}, and is open to {open_to}"
            hint = "trust an environment or a protected branch, and give this a role that only looks"
            yield Hit(f"role {name}", message, name.span, hint)


def _unreviewed(trusts: Trust) -> str | None:
    """Whose code takes a role without anybody's review; None if only somebody's."""
    taken = identities(trusts)
    found = (_UNREVIEWED.fullmatch(subject) for subject in taken.subjects) if taken is not None else ()
    return next((_ANYBODYS[match["github"] or match["gitlab"]] for match in found if match is not None), None)


_UNREVIEWED = re.compile(
    r"repo:[^:]*:(?:ref:refs/)?(?P<github>pull_request|(?:heads|tags)(?=/[*?]+$))(?:/[*?]+)?"
    r"|project_path:[^:]*:ref_type:(?P<gitlab>branch|tag):ref:[*?]+"
)
_ANYBODYS = {
    "pull_request": "pull requests",
    "heads": "every branch",
    "branch": "every branch",
    "tags": "every tag",
    "tag": "every tag",
}
"""What a subject of GitHub or GitLab says of the job, where anybody's change can have it."""


@rule("too-many-administrators", "error")
def too_many_administrators(whole: Whole) -> Iterator[Hit]:
    """More people have all rights than `guardrails.administrators` says."""
    groups = {group.name for group in whole.account.groups if ADMINISTRATOR in group.managed}
    emergency = set(whole.configuration.break_glass.users)
    people = [u.name for u in whole.account.users if u.name not in emergency and not groups.isdisjoint(u.groups)]
    most = whole.configuration.guardrails.administrators
    if len(people) > most:
        at = next((g.span for g in whole.account.groups if g.name in groups and g.span), None)
        message = f"{len(people)} people have all rights ({_some(people)}); at most {most} are meant to have them"
        hint = f"give some of them narrower duties, or write 'guardrails: {{administrators: {len(people)}}}'"
        yield Hit("organization", message, at, hint)


# --- how long it lasts ----------------------------------------------------------------------------------------------

LONG_SESSION, LONG_GIVING_SESSION = 4 * 3600, 3600
"""Seconds that a role's sessions last without a question; of a role that can give access to others, the shortest."""


@rule("long-session", "warning")
def long_session(whole: Whole) -> Iterator[Hit]:
    """Sessions of a role last longer than half a working day; of one that gives access, longer than an hour."""
    entries = whole.configuration.roles
    for role in whole.account.roles:
        entry = entries.get(Text(role.name))
        # What a service takes a role for it renews by itself, as often as it likes.
        if entry is None or role.session_seconds <= LONG_GIVING_SESSION or isinstance(entry.trusts, ServiceTrust):
            continue
        gives = ADMINISTRATOR in role.managed or any(
            action.level == "permissions" for s in _allowed(whole, role) for action in spoken_of(s)
        )
        most = LONG_GIVING_SESSION if gives else LONG_SESSION
        if role.session_seconds > most:
            team = entry.trusts.team if isinstance(entry.trusts, TeamTrust) else None
            wanted = entry.session or (whole.configuration.teams[team].session if team is not None else None)
            why = ", and it can give access to others" if gives else ""
            message = f"role {quoted(role.name)}: a session lasts {role.session_seconds // 3600}h{why}"
            at = wanted.span if wanted is not None else role.span
            yield Hit(f"role {role.name}", message, at, f"write 'session: {most // 3600}h', or less")


@rule("long-lived-keys", "warning")
def long_lived_keys(whole: Whole) -> Iterator[Hit]:
    """People may make access keys, which work until somebody deletes them."""
    mfa = whole.configuration.mfa
    hint = "'aws login' gives the command line credentials that end by themselves"
    if mfa.own_access_keys:
        message = "everybody may make access keys, which never end by themselves"
        yield Hit("organization", message, mfa.span, hint)
    for kind, holders in (("team", whole.account.groups), ("role", whole.account.roles)):
        for holder in holders:
            for duty, at in sorted(_making_keys(whole, holder).items()):
                name = holder.name.partition(".")[0]
                message = f"{kind} {quoted(name)}: duty {quoted(duty)} makes access keys, which never end by themselves"
                yield Hit(f"{kind} {name}", message, at, hint)


def _making_keys(whole: Whole, holder: Group | Role) -> dict[str, Span | None]:
    """The duties of a holder that may make access keys, and where each is given."""
    found: dict[str, Span | None] = {}
    for statement in _allowed(whole, holder, of_aws=False):
        if any(_names(pattern, "iam:CreateAccessKey") for pattern in statement.actions):
            found |= {o.duty: o.asked for o in statement.origins if o.asked is not None and o.granted is not None}
    return found


# --- what nobody uses -----------------------------------------------------------------------------------------------


@rule("person-without-team", "warning")
def person_without_team(whole: Whole) -> Iterator[Hit]:
    """Somebody is among the people and in no team."""
    members = {member.name for team in whole.configuration.teams.values() for member in team.members}
    for name in sorted(whole.configuration.people):
        if name not in members:
            message = f"person {quoted(name)} is in no team, and so gets no user"
            yield Hit(f"person {name}", message, name.span, "add a team, or remove the person")


@rule("empty-team", "warning")
def empty_team(whole: Whole) -> Iterator[Hit]:
    """A team has nobody in it."""
    for name, team in sorted(whole.configuration.teams.items()):
        if not team.members:
            message = f"nobody is in team {quoted(name)}"
            yield Hit(f"team {name}", message, name.span, "name its members, or remove it")


@rule("unheld-duty", "warning")
def unheld_duty(whole: Whole) -> Iterator[Hit]:
    """A duty of one's own is held by no team and no role, and denied to none."""
    configuration = whole.configuration
    denied = {use.name for team in configuration.teams.values() for use in team.never}
    used = denied | {use.name for _, use in _uses(configuration)}
    for name in sorted(configuration.duties):
        if name not in used:
            message = f"no team and no role has the duty {quoted(name)}"
            yield Hit(f"duty {name}", message, name.span, "give it to somebody, or remove it")


# --- the way in for emergencies, and names --------------------------------------------------------------------------


@rule("lone-break-glass-user", "warning")
def lone_break_glass_user(whole: Whole) -> Iterator[Hit]:
    """Several people work with the account, and one user alone gets in when everything else fails."""
    users = whole.configuration.break_glass.users
    members = {member.name for team in whole.configuration.teams.values() for member in team.members}
    if len(users) == 1 and len(members) > 1:
        message = f"{quoted(users[0])} is the only break-glass user: who keeps its device may be away"
        hint = "name a second one, and have another person keep its device"
        yield Hit("break-glass", message, users[0].span, hint)


@rule("telling-name", "warning")
def telling_name(whole: Whole) -> Iterator[Hit]:
    """A name, which everybody sees in ARNs and logs, holds an account id; or a purpose or a tag tells a password."""
    for holder, what, name in _names_given(whole.configuration):
        if _ACCOUNT_ID.search(name):
            message = f"the name of {what} {quoted(name)} holds what looks like an account id"
            hint = "name it by what it does: the same name stands in every account"
            yield Hit(holder, message, name.span, hint)
    for holder, name, text in _told(whole.configuration):
        if _PASSWORD.search(text):
            # Without a place to point at, so that the line is not shown with the password in it.
            where = f" ({name.span.place})" if name.span else ""
            yield Hit(holder, f"a text about {_named(holder)}{where} tells a password", None, "change the password")


_ACCOUNT_ID = re.compile(r"(?<![0-9])(?!(?:19|20)[0-9]{2}[01][0-9][0-3][0-9])[0-9]{12}(?![0-9])")
"""Twelve digits that are not a date with a time."""
_PASSWORD = re.compile(
    r"\b(?:password|passwd|passphrase|pwd)\b\s*(?:is|=|:)\s*(?![0-9]{4}-)(?=\S*[0-9])(?=\S*[A-Za-z])\S{6,}",
    re.IGNORECASE,
)


def _names_given(configuration: Configuration) -> Iterator[tuple[str, str, Text]]:
    """Every name that a user gave, with whom it concerns and what it names."""
    members = (member.name for team in configuration.teams.values() for member in team.members)
    people = {str(name): name for name in (*members, *configuration.people)}
    kinds: dict[str, Iterable[Text]] = {
        "team": configuration.teams,
        "role": configuration.roles,
        "duty": configuration.duties,
        "person": people.values(),
    }
    for kind, names in kinds.items():
        yield from ((f"{kind} {name}", kind, name) for name in names)
    yield from (("break-glass", "break-glass user", name) for name in configuration.break_glass.users)


def _told(configuration: Configuration) -> Iterator[tuple[str, Text, str]]:
    """Texts that stand in the account, purposes and tags, with whom they concern by what name."""
    for name, team in configuration.teams.items():
        yield f"team {name}", name, team.purpose
    for name, role in configuration.roles.items():
        yield f"role {name}", name, role.purpose
    for name, person in configuration.people.items():
        yield from ((f"person {name}", name, f"{key}: {value}") for key, value in person.tags.items())


# --- what the rules share -------------------------------------------------------------------------------------------


def _uses(configuration: Configuration) -> Iterator[tuple[str, DutyUse]]:
    """Every duty that a team or role has, in whatever environment, with its holder."""
    for name, team in sorted(configuration.teams.items()):
        for use in (*team.duties, *(use for more in team.in_.values() for use in more)):
            yield f"team {name}", use
    for name, role in sorted(configuration.roles.items()):
        for use in role.duties:
            yield f"role {name}", use


def _allows(use: DutyUse, duty: Duty, grants: Iterable[Grant], scope: Scope) -> list[Statement]:
    """What some grants of a duty allow; their errors were reported where the duty was compiled."""
    return list(duty_access(use, duty.model_copy(update={"grants": tuple(grants)}), [], scope).statements)


def _allowed(whole: Whole, holder: Group | Role, of_aws: bool = True) -> Iterator[Statement]:
    """Every statement of a holder that allows something; with those of AWS's managed policies, unless told not to."""
    policies = [whole.policies[name] for name in holder.policies]
    policies += [managed_policy(id_).policy for id_ in holder.managed if of_aws]
    return (s for policy in policies for s in policy.statements if s.effect == "Allow")


def _grave(statements: Iterable[Statement]) -> list[str]:
    """The actions allowed that change something, or read secrets or what is stored, sorted."""
    return sorted({str(a) for s in statements if s.effect == "Allow" for a in spoken_of(s) if _is_grave(a)})


def _is_grave(action: Action) -> bool:
    return action.level not in LOOKING or reads_data(str(action))


def _names(pattern: str, action: str) -> bool:
    """Whether a pattern of actions takes in an action of IAM, quickly for all that speak of other services."""
    folded = pattern.lower()
    return folded.startswith(("iam:c", "iam:*", "*")) and glob(folded).fullmatch(action.lower()) is not None


def _named(holder: str) -> str:
    kind, _, name = holder.partition(" ")
    return f"{kind} {quoted(name)}"


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
