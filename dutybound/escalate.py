"""Ways for a principal to become an administrator that the configuration does not call one.

The ways stand in `data/escalation-paths.json`; this module judges each of them with the real policies. What somebody
can do is found by following facts to a fixed point: who it can act as and how it is signed in, and what it can change
of whom. A fact holds because of requests, each of which the judge allows with every policy, boundary, deny and
condition that stands over whoever makes it. An administrator is whoever holds AWS's AdministratorAccess, and
break-glass.

How what nobody knows offline is judged, so that a finding is one and silence is not a guess:

- A property that a caller cannot choose is not there: a tag of something that exists, a principal tag that nobody gave
  it, a forwarded call. What it can choose (the name of what it makes, its tags, the time, a Region) is chosen.
- A role that this configuration does not make counts as an administrator's where a principal's own policies reach a
  role of any name, and under the names of `cdk bootstrap`. Under a path (`role/app/*`) it does not: what is there is
  either made by a principal, which is judged by itself, or by somebody else, whom nobody can judge from here.
- Compute that exists (functions, servers, builds) runs as any role of this configuration that its service may take,
  and counts where a principal reaches compute of any name or of any tag. What roles other compute has is not known.
- Whoever acts within a boundary after it gave itself every right is judged by what is known alone: the ceiling of a
  boundary names what it forbids, and speaks of every other name.

Sources: IAM User Guide, "Grant a user permissions to pass a role to an AWS service", "Permissions boundaries for IAM
entities", "Policy evaluation logic"; AWS CDK Developer Guide, "Customize AWS CDK bootstrapping" (its roles).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Any, Literal

from dutybound import catalog
from dutybound.arns import Where
from dutybound.baseline import Account, Baseline, Group, Role
from dutybound.callers import ACCOUNT_ID, Caller, Session, callers
from dutybound.catalog import Action
from dutybound.diagnostic import Diagnostic, Span, quoted
from dutybound.evaluate import Decision, Judge, Outcome, Policies, Request, Spoken, in_account
from dutybound.managed import managed_policy
from dutybound.policy import LITERAL, Policy, Principal, Statement, glob
from dutybound.witness import Known, Side, witness

ADMINISTRATOR = "AdministratorAccess"
"""The AWS managed policy whose holders are declared administrators."""
_ANY_NAME = "any-name"
"""The name of what nobody knows: reached by a pattern for every name alone."""
_EVERYTHING = Policy((Statement("AnyRights", "Allow", ("*",), ("*",)),))
_OWN_TRUST = "TrustOfTheRole"
_ELSEWHERE = "elsewhere "
_MEANT = ("hub", "trusts")
"""The parts of the baseline that let a team's people take what is theirs in other accounts."""
_SESSIONS: tuple[Session, ...] = ("key", "no-mfa", "mfa")
"""From the weakest: a chain that needs no MFA is the worse one."""
_MOST_USERS = 50
"""Up to so many users each one is somebody to become; of more, one for each set of teams."""
_PROBES = (
    ("iam:AttachUserPolicy", "user"),
    ("iam:PutRolePolicy", "role"),
    ("iam:CreatePolicyVersion", "policy"),
)
"""Requests on somebody of any name, one of which an administrator can make."""

Kind = (
    Literal["grant", "unbind", "join", "leave", "detach", "tag", "sign-in", "enrol", "read-password", "retrust", "saml"]
    | Literal["take", "create", "pass", "use", "stack", "elsewhere", "both", "none"]
)
Change = tuple[str, str]
"""What was changed of somebody: `("any rights", "")`, `("no boundary", "")`, `("joined", group)` and so on."""
_ANY_RIGHTS: Change = ("any rights", "")


@dataclass(frozen=True, slots=True)
class Path:
    """One entry of the catalogue: the actions that must all be allowed, and how it is judged (`way`).

    `on` is the kind of thing that the requests are about, `to` the service that takes a role (with `taken_by`),
    `session` how the other user is signed in afterwards, `parts` the paths that together are this one; `why` says why a
    path is not judged.
    """

    id: str
    class_: str
    actions: tuple[str, ...]
    way: Kind
    on: str = ""
    to: str = ""
    taken_by: str = "sts:AssumeRole"
    session: Session = "key"
    parts: tuple[str, ...] = ()
    why: str = ""
    source: tuple[str, ...] = ()


@cache
def paths() -> tuple[Path, ...]:
    """The catalogue of ways, in its order."""
    text = (resources.files("dutybound") / "data" / "escalation-paths.json").read_text(encoding="utf-8")
    return tuple(_path(row) for row in json.loads(text)["paths"])


def _path(row: dict[str, Any]) -> Path:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Path(class_=fields.pop("class"), **fields)


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a chain: who makes it, and the statements that allow it."""

    who: str
    request: Request
    because: tuple[Statement, ...]
    doubt: str = ""
    """Why it is not known to be allowed: the search for it hit a bound."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Somebody who can become an administrator: the shortest chain of requests found, and the paths that it takes."""

    principal: str
    """`team developers`, `role deployer`: who holds what opens the way."""
    names: tuple[str, ...]
    """The people whom it concerns; none for a role."""
    session: Session
    steps: tuple[Step, ...]
    paths: tuple[str, ...]
    reason: str = ""
    """What the last step leads to, where that is not a principal of the configuration."""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An administrator's role in other accounts: its ARN in each of them and its trust there."""

    name: str
    """As in `production/administrators`."""
    arns: tuple[str, ...]
    trusts: tuple[Policy, ...]


def elsewhere(destination: str, baseline: Baseline) -> Iterator[Elsewhere]:
    """The administrators' roles of a baseline that is for known accounts."""
    for account in baseline.accounts:
        partition = catalog.partition(account.home_region)
        for role in account.roles:
            if ADMINISTRATOR in role.managed and account.targets:
                arns = tuple(f"arn:{partition}:iam::{t.id}:role{role.path}{role.name}" for t in account.targets)
                trusts = tuple(in_account(role.trust, t.id, partition) for t in account.targets)
                yield Elsewhere(f"{destination}/{role.name}", arns, trusts)


def findings(baseline: Baseline, others: Sequence[Elsewhere] = ()) -> Iterator[Diagnostic]:
    """An error for each escalation of a baseline; `others` are administrators' roles in other accounts."""
    for found in escalations(baseline, others):
        kind, _, name = found.principal.partition(" ")
        people = f" ({_some(found.names)})" if found.names else ""
        without = {"key": " with a stolen access key", "no-mfa": " without MFA"}.get(found.session, "")
        chain = " → ".join([*(_short(step.request) for step in found.steps), "administrator"])
        message = f"{kind} {quoted(name)}{people} can become an administrator{without}: {chain}"
        doubts = list(dict.fromkeys(step.doubt for step in found.steps if step.doubt))
        if doubts:
            message = f"whether {kind} {quoted(name)}{people} can become an administrator is not known: {doubts[0]}"
            hint = "name fewer tags, resources and conditions in what it holds"
            yield Diagnostic("escalation", message, found.span, hint, (f"asked of {chain}",))
            continue
        notes = [f"{number}. {_told(step)}" for number, step in enumerate(found.steps, start=1)]
        reason = [found.reason] if found.reason else []
        hint = "take one of these requests away, or give the duty 'administer' to whoever is meant to have it"
        yield Diagnostic(
            "escalation", message, found.span, hint, (*notes, *reason, f"known as {', '.join(found.paths)}")
        )


def escalations(baseline: Baseline, others: Sequence[Elsewhere] = ()) -> tuple[Escalation, ...]:
    """Everybody in a baseline who is not a declared administrator and can become one, sorted by name.

    People with the same policies are judged once. What cannot be judged counts as allowed. Whoever takes an
    administrator's role in another account (`others`) becomes one as well, unless the role is that of its own team.
    """
    every = [alike for account in baseline.accounts for alike in account.alike]
    found = [e for account in every for e in _account(baseline, account, others)]
    # Accounts with other policies of the organization above them have the same principals: the first says it for all.
    told = {(e.principal, e.names): e for e in reversed(found)}
    return tuple(sorted(told.values(), key=lambda e: (e.principal, e.names)))


def _account(baseline: Baseline, account: Account, others: Sequence[Elsewhere]) -> Iterator[Escalation]:
    named = _Named(account)
    if not any(map(named.starts, named.sets(account))):
        return
    world = _World(baseline, account, named, others)
    merged: dict[object, list[tuple[Caller, Escalation]]] = {}
    certain: _World | None = None
    for caller, same in world.starts():
        escalation = world.escalation(caller)
        if escalation is not None and any(step.doubt for step in escalation.steps):
            # What is not known may hide what is.
            certain = certain or _World(baseline, account, named, others, certain=True)
            escalation = certain.escalation(caller) or escalation
        if escalation is not None:
            # The same statements open the same way to people of several sets of teams: one finding.
            granted = frozenset(s for step in escalation.steps for s in step.because if s.origins)
            key = (escalation.principal, escalation.paths, escalation.session, granted)
            people = tuple(sorted(same)) if caller.kind == "person" else ()
            merged.setdefault(key, []).append((caller, replace(escalation, names=people)))
    for alike in merged.values():
        names = tuple(sorted({name for _, one in alike for name in one.names}))
        yield replace(min((one for _, one in alike), key=lambda e: len(e.steps)), names=names)


# --- which principals are worth a look ------------------------------------------------------------------------------


@cache
def _triggers() -> Mapping[str, str]:
    """All actions that this module asks about, by their small letters: those of the catalogue, and one more."""
    return {action.lower(): action for path in paths() for action in (*path.actions, "iam:CreatePolicy")}


def _asked_about(actions: Iterable[str]) -> bool:
    return all(action.lower() in _triggers() for action in actions)


@lru_cache(maxsize=16384)
def _spoken_of(pattern: str) -> frozenset[str]:
    """The actions of the catalogue that an Action element speaks of."""
    folded = pattern.lower()
    if "*" in folded or "?" in folded:
        return frozenset(action for small, action in _triggers().items() if glob(folded).fullmatch(small))
    found = _triggers().get(folded)
    return frozenset((found,) if found else ())


class _Named:
    """The actions of the catalogue that each policy of an account names in an Allow: the quick way past most people."""

    def __init__(self, account: Account) -> None:
        self.groups = {group.name: group for group in account.groups}
        self._policies = {policy.name: policy.policy for policy in account.policies}
        self._found: dict[str, frozenset[str]] = {}

    def of(self, holder: Group | Role) -> frozenset[str]:
        """What a group or role names."""
        names = [self._of(f"own {name}", self._policies[name]) for name in holder.policies]
        return frozenset().union(*names, *(self._of(f"aws {m}", managed_policy(m).policy) for m in holder.managed))

    def of_user(self, groups: Iterable[str]) -> frozenset[str]:
        """What a user of these groups names."""
        return frozenset().union(*(self.of(self.groups[name]) for name in groups))

    def sets(self, account: Account) -> set[frozenset[str]]:
        """What each group, role and user names, where nobody has it because it is an administrator."""
        holders: list[Group | Role] = [*account.groups, *account.roles]
        alone = {self.of(holder) for holder in holders if ADMINISTRATOR not in holder.managed}
        together = {user.groups for user in account.users if len(user.groups) > 1}
        return alone | {self.of_user(groups) for groups in together}

    def starts(self, named: frozenset[str]) -> bool:
        """Whether some way can begin with these; a device of one's own, which all people may have, is none."""
        return _starts(named)

    def _of(self, key: str, policy: Policy) -> frozenset[str]:
        if key not in self._found:
            self._found[key] = frozenset().union(*(_allowed(s) for s in policy.statements if s.effect == "Allow"))
        return self._found[key]


@dataclass(frozen=True, slots=True)
class _Digest:
    """What is asked of a policy again and again, for everybody who has it."""

    policy: Policy
    """The policy itself, kept so that its id stays its own."""
    cut: Policy
    """Without the statements that speak of nothing this module asks about: of most policies few are left."""
    named: frozenset[str]
    """The actions of the catalogue that an Allow names."""
    allows: Mapping[str, tuple[Statement, ...]]
    """For each of them the Allows that name it."""
    favours_no_mfa: bool
    asks_for_tags: bool
    texts: frozenset[str]
    """Resources and values of conditions as they are, and the last part of each."""


class _Digests:
    """The digest of each policy."""

    def __init__(self) -> None:
        self._known: dict[int, _Digest] = {}

    def of(self, policy: Policy) -> _Digest:
        """Those of one."""
        found = self._known.get(id(policy))
        if found is None:
            found = self._known[id(policy)] = _digest(policy)
        return found

    def all(self, policies: Policies, boundary: bool = True) -> list[_Digest]:
        """Those of everything that somebody has, with its boundary."""
        own = [*policies.identity, *(p for group in policies.groups for p in group)]
        return [self.of(p) for p in (*own, *filter(None, (policies.boundary if boundary else None,)))]

    def cut(self, policies: Policies) -> Policies:
        """All of them cut."""
        return replace(
            policies,
            identity=tuple(self.of(p).cut for p in policies.identity),
            groups=tuple(tuple(self.of(p).cut for p in group) for group in policies.groups),
            boundary=policies.boundary and self.of(policies.boundary).cut,
        )


def _digest(policy: Policy) -> _Digest:
    left = [(s, spoken) for s in policy.statements if (spoken := _allowed(s))]
    allows: dict[str, list[Statement]] = {}
    for statement, spoken in left:
        for action in spoken if statement.effect == "Allow" else ():
            allows.setdefault(action, []).append(statement)
    keys = [c.key.lower() for s in policy.statements for c in s.conditions]
    resources_ = [r for s in policy.statements for r in s.resources]
    texts = {*resources_, *(r for s in policy.statements for r in s.not_resources)}
    texts |= {value for s in policy.statements for c in s.conditions for value in c.values}
    return _Digest(
        policy,
        replace(policy, statements=tuple(s for s, _ in left)),
        frozenset(allows),
        {action: tuple(statements) for action, statements in allows.items()},
        any(map(_favours_no_mfa, policy.statements)),
        any("principaltag/" in key for key in keys) or any("${aws:principaltag" in r.lower() for r in resources_),
        frozenset(texts | {text.rpartition("/")[2] for text in texts}),
    )


def _allowed(statement: Statement) -> frozenset[str]:
    if statement.actions:
        return frozenset().union(*map(_spoken_of, statement.actions))
    return frozenset(_triggers().values()).difference(*map(_spoken_of, statement.not_actions))


@lru_cache(maxsize=4096)
def _starts(named: frozenset[str]) -> bool:
    return any(_possible(path, named) for path in paths() if path.way not in ("enrol", "both", "none"))


@lru_cache(maxsize=4096)
def _open(named: frozenset[str]) -> tuple[Path, ...]:
    return tuple(path for path in paths() if _possible(path, named))


def _possible(path: Path, named: frozenset[str]) -> bool:
    return named.issuperset(path.actions)


class Openings:
    """The actions of an account's principals that are on the list: each way of the catalogue whose actions all are
    named by what the principal holds. Whether it leads anywhere is for `escalations` to judge.
    """

    def __init__(self, account: Account) -> None:
        self._named = _Named(account)
        self._roles = {role.name: role for role in account.roles}
        self._sealed = bool(account.secrets)

    def of_groups(self, groups: Iterable[str]) -> frozenset[str]:
        """Those of somebody in these groups."""
        return _opening(self._named.of_user(groups), self._sealed)

    def of_role(self, name: str) -> frozenset[str]:
        """Those of a role."""
        return _opening(self._named.of(self._roles[name]), self._sealed)


@lru_cache(maxsize=4096)
def _opening(named: frozenset[str], sealed: bool) -> frozenset[str]:
    # A password is to be read only where one is sealed in a secret.
    none = {"enrol", "both", "none", *(() if sealed else ("read-password",))}
    judged = (path for path in paths() if path.way not in none and _possible(path, named))
    return frozenset(action for path in judged for action in path.actions)


# --- facts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Actor:
    """Somebody in one session, after some changes to its policies."""

    who: str
    session: Session
    changes: frozenset[Change] = frozenset()


@dataclass(frozen=True, slots=True)
class _Fact:
    """Something that a start can bring about: to act as somebody in a session, a change of somebody, or all rights."""

    who: str
    session: Session | None = None
    change: Change | None = None
    reason: str = ""

    @property
    def administrator(self) -> bool:
        return not self.who or self.who.startswith(_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class _Edge:
    """A fact that an actor brings about by requests, one way."""

    fact: _Fact
    path: str
    steps: tuple[Step, ...]


@dataclass(slots=True)
class _Cause:
    """Why a fact holds: the facts before it, the requests, and the ways that these are."""

    needs: tuple[_Fact, ...]
    steps: tuple[Step, ...] = ()
    paths: list[str] = field(default_factory=list)


class _Search:
    """All facts that follow from one principal in one session, until somebody is an administrator."""

    def __init__(self, world: _World, start: _Fact) -> None:
        self.world = world
        self.meant = world.meant_elsewhere(start.who)
        self.causes: dict[_Fact, _Cause] = {start: _Cause(())}
        self.sessions: dict[str, list[Session]] = {}
        self.changes: dict[str, set[Change]] = {}
        self.todo: deque[_Actor] = deque()
        self.seen: set[_Actor] = set()
        self._follow(start)

    def administrator(self) -> _Fact | None:
        """The fact that the start can be an administrator, once it is found."""
        while self.todo:
            actor = self.todo.popleft()
            needs = (
                _Fact(actor.who, session=actor.session),
                *(_Fact(actor.who, change=change) for change in sorted(actor.changes)),
            )
            if self.world.is_administrator(actor):
                self._add(_Edge(_Fact(""), "", ()), needs)
            else:
                for edge in self.world.edges(actor):
                    self._add(edge, needs)
            reached = [fact for fact in self.causes if fact.administrator]
            if reached:
                return reached[0]
        return None

    def chain(self, fact: _Fact) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        """The requests that lead to a fact, in order, and the ways that they are."""
        order: list[_Fact] = []

        def visit(one: _Fact) -> None:
            if one not in order:
                for need in self.causes[one].needs:
                    visit(need)
                order.append(one)

        visit(fact)
        steps: list[Step] = []
        for step in (step for one in order for step in self.causes[one].steps):
            if step not in steps:
                steps.append(step)
        used = {path for one in order for path in self.causes[one].paths}
        both = {path.id for path in paths() if path.parts and used.issuperset(path.parts)}
        return tuple(steps), tuple(path.id for path in paths() if path.id in used | both)

    def _add(self, edge: _Edge, needs: tuple[_Fact, ...]) -> None:
        if edge.fact.who in self.meant:
            return
        known = self.causes.get(edge.fact)
        if known is None:
            self.causes[edge.fact] = _Cause(needs, edge.steps, [edge.path] if edge.path else [])
            self._follow(edge.fact)
        elif known.needs == needs and edge.path not in known.paths:
            known.paths.append(edge.path)

    def _follow(self, fact: _Fact) -> None:
        """Whoever acts, or is changed, is worth a look as it is now."""
        if fact.administrator:
            return
        sessions = self.sessions.setdefault(fact.who, [])
        changes = self.changes.setdefault(fact.who, set())
        if fact.session is not None:
            sessions.append(fact.session)
            self._look(_Actor(fact.who, fact.session))
        if fact.change is not None:
            changes.add(fact.change)
        rest = frozenset(change for change in changes if change[0] != "device")
        for session in list(sessions):
            self._look(_Actor(fact.who, session, rest))
        if ("device", "") in changes and sessions and "mfa" not in sessions:
            # Signed in by a credential that somebody else gave it, with a device that somebody else gave it.
            needs = (_Fact(fact.who, session=sessions[0]), _Fact(fact.who, change=("device", "")))
            self._add(_Edge(_Fact(fact.who, session="mfa"), "", ()), needs)

    def _look(self, actor: _Actor) -> None:
        if actor not in self.seen:
            self.seen.add(actor)
            self.todo.append(actor)


# --- who can bring about what ---------------------------------------------------------------------------------------


def _may_speak_of(statement: Statement, resource: str) -> bool:
    patterns = (_VARIABLE.sub("*", r) for r in statement.resources)
    return not statement.resources or any(glob(pattern).fullmatch(resource) for pattern in patterns)


_VARIABLE = re.compile(r"\$\{[^}]*\}")


def _is_account(principal: str) -> bool:
    return principal.isdigit() or principal.endswith(":root")


class _Together:
    """Several requests on the same thing, as one: allowed if each is."""

    def __init__(self, judge: Judge, actions: Sequence[str]) -> None:
        self.judge, self.actions = judge, actions

    def speaking(self, _action: str) -> list[Spoken]:
        """The statements that speak of any of the actions."""
        return list({id(s.statement): s for action in self.actions for s in self.judge.speaking(action)}.values())

    def decide(self, request: Request) -> Decision:
        """The worst answer of all."""
        worst: dict[Outcome, int] = {"denied": 0, "unknown": 1, "allowed": 2}
        return min(
            (self.judge.decide(replace(request, action=a)) for a in self.actions), key=lambda d: worst[d.outcome]
        )


_MARKS = frozenset(("*", "?", *LITERAL.values()))
"""The characters that make a text a pattern for more or other than itself."""
_END = re.compile(f"/([^/{re.escape(''.join(_MARKS))}]*)\\Z")


class _Patterns:
    """Texts of resources as one reads them for a user: names as they are, and what matches more than one."""

    def __init__(self, texts: Iterable[str], user: str) -> None:
        filled = [_VARIABLE.sub("*", text.replace("${aws:username}", user)) for text in texts]
        self.wild = [text for text in filled if not _MARKS.isdisjoint(text)]
        self.names = frozenset(filled) - frozenset(self.wild)
        ends = [_END.search(text) for text in filled]
        self.ends = None if None in ends else frozenset(end[1] for end in ends if end)
        """The last part of whatever a text can match (`john` for `user/*/john`); None if it can be any."""

    def match(self, resource: str) -> bool:
        """Whether one of them can speak of a thing."""
        return resource in self.names or any(glob(text).fullmatch(resource) for text in self.wild)


class _World:
    """The principals of an account and what each can do to the others. What is worked out is kept."""

    def __init__(
        self,
        baseline: Baseline,
        account: Account,
        named: _Named,
        others: Sequence[Elsewhere] = (),
        certain: bool = False,
    ) -> None:
        """With `certain`, what the search does not know because it hit a bound counts as denied."""
        self.certain = certain
        self.baseline, self.account, self.named, self.others = baseline, account, named, others
        self.partition = catalog.partition(account.home_region)
        self.id = account.id or ACCOUNT_ID
        self.guards = tuple(guard.policy for guard in account.guards)
        everyone = callers(baseline, account, self.partition)
        self.subjects: dict[str, Caller] = {_key(caller): caller for caller in everyone}
        self.roles = {_key(c): r for c in everyone for r in account.roles if c.role and c.name == r.name}
        self.trusts = {key: in_account(role.trust, self.id, self.partition) for key, role in self.roles.items()}
        self.policies_by_arn = {
            self._iam(f"policy{p.path}{p.name}"): in_account(p.policy, self.id, self.partition)
            for p in account.policies
        }
        self.arns_by_policy = {p.name: self._iam(f"policy{p.path}{p.name}") for p in account.policies}
        self.boundaries = {u.name: u.permissions_boundary for u in account.users if u.permissions_boundary}
        self._digests = _Digests()
        self._allows: dict[_Actor, dict[str, list[Statement]]] = {}
        self._edges: dict[_Actor, tuple[_Edge, ...]] = {}
        self._judges: dict[tuple[str, frozenset[Change], int | None], Judge] = {}
        self._patterns: dict[object, _Patterns] = {}
        self._takers: dict[tuple[str, str], list[str]] = {}
        self._lets_in: dict[tuple[str, str, str], bool] = {}
        self.users = self._users_that_count()

    # -- where to begin

    def starts(self) -> Iterator[tuple[Caller, list[str]]]:
        """Each set of policies that some way can begin with: one of its principals, and the names of all."""
        alike: dict[object, list[Caller]] = {}
        for caller in [*self.subjects.values(), *self._of_empty_teams()]:
            if self.declared(caller) or not self.named.starts(self._named_by(caller)):
                continue
            tags = caller.tags if self._asks_for_tags(caller) else ()
            alike.setdefault((caller.role, caller.groups, caller.policies.boundary, tags), []).append(caller)
        for same in alike.values():
            names = [caller.name for caller in same]
            special = [caller for caller in same if len(same) > 1 and self._speaks_of(caller)]
            ordinary = [caller for caller in same if caller not in special]
            for caller in special:
                yield caller, [caller.name]
            if ordinary:
                yield ordinary[0], [c.name for c in ordinary] if special else names

    def escalation(self, caller: Caller) -> Escalation | None:
        """How a principal can become an administrator, in the weakest session that is enough; None if it cannot."""
        self.subjects.setdefault(_key(caller), caller)
        # Where nobody without MFA can do more than with it, there is nothing to find if that finds nothing.
        plain = not caller.role and not self._minds_no_mfa(caller)
        if plain and _Search(self, _Fact(_key(caller), session="mfa")).administrator() is None:
            return None
        for session in ("role",) if caller.role else _SESSIONS:
            search = _Search(self, _Fact(_key(caller), session=session))
            if (fact := search.administrator()) is not None:
                steps, used = search.chain(fact)
                holder, span = self._holder(caller, steps)
                return Escalation(holder, (), session, steps, used, fact.reason, span)
        return None

    def _minds_no_mfa(self, caller: Caller) -> bool:
        """Whether some statement gives somebody without MFA what it keeps from whoever has it."""
        return self._trusts_favour_no_mfa or any(digest.favours_no_mfa for digest in self._own(caller))

    @cached_property
    def _trusts_favour_no_mfa(self) -> bool:
        return any(_favours_no_mfa(s) for trust in self.trusts.values() for s in trust.statements)

    def _own(self, caller: Caller) -> list[_Digest]:
        return self._digests.all(caller.policies, boundary=False)

    def declared(self, caller: Caller) -> bool:
        """Whether a principal is called an administrator: AdministratorAccess, or break-glass."""
        if caller.kind == "break-glass":
            return True
        role = self.roles.get(_key(caller))
        return ADMINISTRATOR in (role.managed if role else ()) or any(map(self._is_declared_group, caller.groups))

    def _is_declared_group(self, name: str) -> bool:
        return ADMINISTRATOR in self.named.groups[name].managed

    def _of_empty_teams(self) -> Iterator[Caller]:
        """Somebody for each team that has nobody yet: its first member should not be the first to be judged."""
        taken = {name for user in self.account.users for name in user.groups}
        for group in self.account.groups:
            if group.name not in taken:
                held = tuple(policy for _, policy in self._held(group.name))
                arn = self._iam("user/people/somebody")
                bounds = next((c.policies.boundary for c in self.subjects.values() if c.kind == "person"), None)
                # What is worked out is kept by name, so each has its own.
                name = f"somebody in {group.name}"
                policies = Policies(groups=(held,), boundary=bounds, guards=self.guards)
                yield Caller(name, "person", arn, policies, (group.name,))

    def _named_by(self, caller: Caller) -> frozenset[str]:
        role = self.roles.get(_key(caller))
        return self.named.of(role) if role else self.named.of_user(caller.groups)

    def _asks_for_tags(self, caller: Caller) -> bool:
        return any(digest.asks_for_tags for digest in self._own(caller))

    def _speaks_of(self, caller: Caller) -> bool:
        """Whether a principal's own policies name it, so that it is not like others with the same ones."""
        return any(caller.name in digest.texts for digest in self._own(caller))

    def _users_that_count(self) -> tuple[str, ...]:
        """The users who are worth becoming. Of many, one for each set of teams, and those that a policy names."""
        users = [caller for caller in self.subjects.values() if not caller.role]
        if len(users) <= _MOST_USERS:
            return tuple(map(_key, users))
        texts = (r for p in self.policies_by_arn.values() for s in p.statements for r in s.resources)
        named = {text.rpartition("/")[2] for text in texts}
        first: dict[tuple[str, ...], Caller] = {}
        for caller in users:
            if caller.name in named:
                first[(caller.name,)] = caller
            elif self.declared(caller) or self.named.starts(self._named_by(caller)) or not first:
                first.setdefault(caller.groups, caller)
        return tuple(map(_key, first.values()))

    def _holder(self, caller: Caller, steps: Sequence[Step]) -> tuple[str, Span | None]:
        """Who holds what opens the way, and the line that gives it."""
        role = self.roles.get(_key(caller))
        opening = [s for step in steps[:1] for s in step.because if s.effect == "Allow"]
        spans = [o.asked or o.granted for s in opening for o in s.origins if o.asked or o.granted]
        if role is not None:
            return f"role {role.name}", spans[0] if spans else role.span
        # Managed policies of AWS have no origin: then the team itself is the place.
        for name in caller.groups:
            if any(s in policy.statements for _, policy in self._held(name) for s in opening):
                return f"team {name.partition('.')[0]}", spans[0] if spans else self.named.groups[name].span
        first = caller.groups[0] if caller.groups else caller.name
        group = self.named.groups.get(first)
        return f"team {first.partition('.')[0]}", group.span if group else None

    # -- the judge

    def judge(self, actor: _Actor, resource: Policy | None = None) -> Judge:
        """The judge over an actor's policies, with a trust or resource policy where it is asked to take part."""
        # A policy by its id, which its digest keeps: hashing its text each time would cost more than what is kept.
        key = (actor.who, actor.changes, None if resource is None else id(self._digests.of(resource).policy))
        if key not in self._judges:
            self._judges[key] = Judge(replace(self._digests.cut(self._policies(actor)), resource=resource))
        return self._judges[key]

    def _policies(self, actor: _Actor) -> Policies:
        """The policies over an actor after the changes."""
        caller = self.subjects[actor.who]
        kept = caller.policies
        gone = {name for what, name in actor.changes if what == "left"}
        detached = {name for what, name in actor.changes if what == "detached"}
        if gone or detached:
            groups = [
                [p for n, p in self._held(name) if n not in detached] for name in caller.groups if name not in gone
            ]
            kept = replace(kept, groups=tuple(map(tuple, groups)))
        joined = [tuple(p for _, p in self._held(name)) for what, name in sorted(actor.changes) if what == "joined"]
        if joined:
            kept = replace(kept, groups=(*kept.groups, *joined))
        if _ANY_RIGHTS in actor.changes:
            kept = replace(kept, identity=(*kept.identity, _EVERYTHING))
        return replace(kept, boundary=None) if ("no boundary", "") in actor.changes else kept

    def _held(self, group: str) -> list[tuple[str, Policy]]:
        """The policies of a group by the ARN under which they are attached."""
        found = self.named.groups[group]
        own = [(self.arns_by_policy[name], self.policies_by_arn[self.arns_by_policy[name]]) for name in found.policies]
        return [*own, *((f"arn:{self.partition}:iam::aws:policy/{m}", managed_policy(m).policy) for m in found.managed)]

    def requests(
        self,
        actor: _Actor,
        actions: Sequence[str],
        on: str = "",
        more: Known | None = None,
        resource: Policy | None = None,
    ) -> tuple[Step, ...] | None:
        """The requests that an actor makes, all on the same thing; None if one of them is not allowed.

        Without `on` the actor chooses the thing. `more` is known of the
        requests besides; `resource` is the trust or resource policy of the thing.
        """
        if not _asked_about(actions):
            raise ValueError(f"the statements about {', '.join(actions)} were cut away: name them in _triggers")
        if not all(self._allowing(actor, action, resource) for action in actions):
            return None
        if on and not self._reaches(actor, actions, on, resource):
            return None
        judge = self.judge(actor, resource)
        caller = self.subjects[actor.who]
        side: Side = _Together(judge, actions)
        known = {**self._known(actor, (s.statement for s in side.speaking("")), bool(on)), **(more or {})}
        action = _action(actions[0])
        where = Where(caller.arn, self.id, self.account.home_region, self.partition)
        found = witness(side, action, known, where, on)
        if found is None or (found.bounded and self.certain):
            return None
        if not on and found.request.resource.endswith("/"):  # a pattern for all names, which nothing can have as it is
            found = witness(side, action, known, where, found.request.resource + _ANY_NAME) or found
        asked = [replace(found.request, action=name) for name in actions]
        doubt = found.reason if found.bounded else ""
        return tuple(Step(caller.name, request, judge.decide(request).because, doubt) for request in asked)

    def _reaches(self, actor: _Actor, actions: Sequence[str], on: str, resource: Policy | None = None) -> bool:
        """Whether for each action some Allow can speak of a thing: the quick way past most things."""
        return all(self._patterns_of(actor, action, resource).match(on) for action in actions)

    def _allowing(self, actor: _Actor, action: str, resource: Policy | None = None) -> list[Statement]:
        """The Allows over an actor that name an action, whatever the resource and the conditions."""
        of_actor = self._allows.setdefault(actor, {})
        found = of_actor.get(action)
        if found is None:
            every = self._digests.all(self._policies(actor))
            found = of_actor[action] = [s for digest in every for s in digest.allows.get(action, ())]
        return found if resource is None else [*found, *self._digests.of(resource).allows.get(action, ())]

    def _patterns_of(self, actor: _Actor, action: str, resource: Policy | None) -> _Patterns:
        """What an actor's Allows of an action can speak of."""
        key = (actor, action, None if resource is None else id(self._digests.of(resource).policy))
        if key not in self._patterns:
            allows = self._allowing(actor, action, resource)
            texts = sorted({text for s in allows for text in s.resources or ("*",)})
            self._patterns[key] = _Patterns(texts, self.subjects[actor.who].name)
        return self._patterns[key]

    def _known(
        self, actor: _Actor, statements: Iterable[Statement], exists: bool
    ) -> dict[str, str | tuple[str, ...] | None]:
        """What is known of an actor's requests, and what they cannot carry. `exists`: the thing has the tags it has."""
        caller = self.subjects[actor.who]
        known = caller.known(actor.session)
        settled = {key.lower() for key in known}
        chosen = {key.lower() for what, key in actor.changes if what == "tagged"}
        for key in {c.key for s in statements for c in s.conditions}:
            small = key.lower()
            if small in settled:
                continue
            of_caller = small.startswith("aws:principaltag/") and small.partition("/")[2] not in chosen
            forwarded = small.startswith("aws:calledvia") or small == "aws:sourceidentity"
            if of_caller or forwarded or (exists and "resourcetag/" in small):
                known[key] = None
        for key in [
            k for k in known if k.lower().partition("/")[2] in chosen and k.lower().startswith("aws:principaltag/")
        ]:
            del known[key]
        return known

    def is_administrator(self, actor: _Actor) -> bool:
        """Whether an actor has all rights, in this session: it is called so, or was given them."""
        caller = self.subjects[actor.who]
        given = _ANY_RIGHTS in actor.changes
        joined = any(what == "joined" and self._is_declared_group(name) for what, name in actor.changes)
        if not (given or joined or self.declared(caller)):
            return False
        known: Known = {"iam:PolicyARN": self._aws(ADMINISTRATOR), "iam:PermissionsBoundary": None}
        return any(
            self.requests(actor, [action], self._iam(f"{kind}/{_ANY_NAME}"), known) is not None
            for action, kind in _PROBES
        )

    # -- edges

    def edges(self, actor: _Actor) -> tuple[_Edge, ...]:
        """Everything that an actor can bring about in one go."""
        if actor not in self._edges:
            named = frozenset[str]().union(*(digest.named for digest in self._digests.all(self._policies(actor))))
            self._edges[actor] = tuple(edge for path in _open(named) for edge in self._by(path, actor))
        return self._edges[actor]

    def _by(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        match path.way:
            case "grant":
                yield from self._granting(path, actor)
            case "unbind":
                yield from self._unbinding(path, actor)
            case "join" | "leave" | "detach":
                yield from self._membership(path, actor)
            case "tag":
                yield from self._tagging(path, actor)
            case "sign-in" | "enrol" | "read-password":
                yield from self._signing_in(path, actor)
            case "take" | "retrust" | "saml":
                yield from self._taking(path, actor)
            case "create":
                yield from self._creating(path, actor)
            case "pass":
                yield from self._passing(path, actor)
            case "use":
                yield from self._using(path, actor)
            case "stack" | "elsewhere":
                yield from self._around(path, actor)
            case "both" | "none":
                return

    def _granting(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """Policies changed: whoever holds them has any rights."""
        for who, arns in self._attached(path.on, actor):
            for arn in arns:
                if not self._reaches(actor, path.actions, arn):
                    continue
                if path.actions[0].startswith("iam:Attach"):
                    steps = self._attach(path.actions, actor, arn, who)
                else:
                    steps = self.requests(actor, path.actions, arn, self._about(who, path.on))
                if steps:
                    yield _Edge(_Fact(who, change=_ANY_RIGHTS), path.id, steps)
                    break

    def _attached(self, kind: str, actor: _Actor) -> Iterator[tuple[str, list[str]]]:
        """Somebody whose rights change with a thing of this kind, and the ARNs of these things."""
        for who in self._targets(actor):
            caller = self.subjects[who]
            role = self.roles.get(who)
            if kind == "policy":
                names = (
                    role.policies if role else tuple(p for g in caller.groups for p in self.named.groups[g].policies)
                )
                yield who, [self.arns_by_policy[name] for name in sorted(set(names))]
            elif kind == "group" and not caller.role:
                yield who, [self._group_arn(name) for name in caller.groups]
            elif kind == "role" and caller.role:
                yield who, [caller.role]
            elif kind == "user" and not caller.role:
                yield who, [caller.arn]

    def _targets(self, actor: _Actor) -> list[str]:
        """Whom an actor may want to change: itself first, roles, and users that count."""
        return list(dict.fromkeys((actor.who, *self.roles, *self.users)))

    def _attach(
        self, actions: Sequence[str], actor: _Actor, on: str, who: str, more: Known | None = None
    ) -> tuple[Step, ...] | None:
        """A policy with every right attached: AWS's own, or one that the actor writes itself."""
        kind = on.split(":")[5].partition("/")[0] if on.count(":") > 4 else "role"
        about = self._about(who, kind) if more is None else dict(more)
        for name in (ADMINISTRATOR, "IAMFullAccess"):
            steps = self.requests(actor, actions, on, {**about, "iam:PolicyARN": self._aws(name)})
            if steps:
                return steps
        conditions = [c for a in actions for s in self.judge(actor).naming(a) for c in s.conditions]
        for value in sorted({v for c in conditions if c.key.lower() == "iam:policyarn" for v in c.values}):
            own = value.replace("*", "x").replace("?", "x")
            if f":{self.id}:policy/" not in own:
                continue
            written = self.requests(actor, ["iam:CreatePolicy"], own) or self.requests(
                actor, ["iam:CreatePolicyVersion"], own
            )
            steps = self.requests(actor, actions, on, {**about, "iam:PolicyARN": own}) if written else None
            if written and steps:
                return (*written, *steps)
        return None

    def _unbinding(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """A boundary taken away, or replaced by one that is none."""
        for who in self._targets(actor):
            caller = self.subjects[who]
            if caller.policies.boundary is None or (path.on == "role") != bool(caller.role):
                continue
            steps = self._unbind(path, actor, caller.role or caller.arn, self._boundary_arn(who))
            if steps:
                yield _Edge(_Fact(who, change=("no boundary", "")), path.id, steps)

    def _unbind(self, path: Path, actor: _Actor, on: str, now: str | None) -> tuple[Step, ...] | None:
        # What the key holds: for a change of the boundary the new one, else the one that stands (IAM reference).
        key = self._aws(ADMINISTRATOR) if path.actions[0].startswith("iam:Put") else now
        return self.requests(actor, path.actions, on, {"iam:PermissionsBoundary": key})

    def _membership(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """The actor itself, a user, in one team more or less, or with a policy less."""
        caller = self.subjects[actor.who]
        if caller.role:
            return
        for name in self.named.groups:
            on = self._group_arn(name)
            if path.way == "join" and name not in caller.groups:
                named = self.named.of(self.named.groups[name])
                if self._is_declared_group(name) or self.named.starts(named):
                    yield from self._changed(path, actor, ("joined", name), on)
            elif path.way == "leave" and name in caller.groups and any(_denies(p) for _, p in self._held(name)):
                yield from self._changed(path, actor, ("left", name), on)
            elif path.way == "detach" and name in caller.groups:
                for arn, policy in self._held(name):
                    if _denies(policy):
                        yield from self._changed(path, actor, ("detached", arn), on, {"iam:PolicyARN": arn})

    def _tagging(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """The actor with tags that its own policies ask for."""
        caller = self.subjects[actor.who]
        if (path.on == "role") != bool(caller.role):
            return
        asked = {
            c.key.partition("/")[2]
            for s in _statements(self._policies(actor))
            for c in s.conditions
            if c.key.lower().startswith("aws:principaltag/")
        }
        for tag in sorted(asked):
            known = {**self._about(actor.who, path.on), "aws:TagKeys": (tag,)}
            yield from self._changed(path, actor, ("tagged", tag), caller.role or caller.arn, known)

    def _changed(
        self, path: Path, actor: _Actor, change: Change, on: str, known: Known | None = None
    ) -> Iterator[_Edge]:
        if change not in actor.changes and (steps := self.requests(actor, path.actions, on, known)):
            yield _Edge(_Fact(actor.who, change=change), path.id, steps)

    def _signing_in(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """Another user, by a credential or a device that the actor gives it or reads."""
        for who in self._worth_signing_in_as(path, actor):
            caller = self.subjects[who]
            if path.way == "read-password":
                steps = self._read_password(path, actor, caller)
            elif path.way == "enrol":
                steps = self.requests(actor, ["iam:EnableMFADevice"], caller.arn, self._about(who, "user"))
                made = self.requests(actor, ["iam:CreateVirtualMFADevice"]) if steps else None
                steps = (*made, *steps) if made and steps else None
            else:
                steps = self.requests(actor, path.actions, caller.arn, self._about(who, "user"))
            if not steps:
                continue
            if path.way == "enrol":
                yield _Edge(_Fact(who, change=("device", "")), path.id, steps)
            elif path.way == "read-password":
                yield _Edge(_Fact(who, session="no-mfa"), path.id, steps)
            else:
                session = path.session
                if session == "mfa" and not self._enrols_itself(who):
                    session = "no-mfa"
                yield _Edge(_Fact(who, session=session), path.id, steps)

    def _worth_signing_in_as(self, path: Path, actor: _Actor) -> Iterable[str]:
        """The users that an actor's Allows can speak of, in order; to read a password, those that have a sealed one."""
        if path.way == "read-password":
            sealed = self.users if self.account.secrets else ()
            return [who for who in sealed if who != actor.who and self.subjects[who].kind == "break-glass"]
        patterns = self._patterns_of(actor, path.actions[-1], None)
        if patterns.ends is None:
            some: Iterable[str] = self.users
        else:
            some = [who for _, who in sorted(one for end in patterns.ends for one in self._users_by_end.get(end, ()))]
        return [who for who in some if who != actor.who and patterns.match(self.subjects[who].arn)]

    @cached_property
    def _users_by_end(self) -> dict[str, list[tuple[int, str]]]:
        """The users that count by the last part of their ARN, each with its place among them."""
        found: dict[str, list[tuple[int, str]]] = {}
        for place, who in enumerate(self.users):
            found.setdefault(self.subjects[who].arn.rpartition("/")[2], []).append((place, who))
        return found

    def _enrols_itself(self, who: str) -> bool:
        """Whether a user that has a password and no device can have one: then the next session has MFA."""
        return self.requests(_Actor(who, "no-mfa"), ["iam:EnableMFADevice"], self.subjects[who].arn) is not None

    def _read_password(self, path: Path, actor: _Actor, caller: Caller) -> tuple[Step, ...] | None:
        user = next(u for u in self.account.users if u.name == caller.name) if caller.kind == "break-glass" else None
        secret = next((s for s in self.account.secrets if user is not None and s.logical_id == user.secret), None)
        if secret is None:
            return None
        arn = f"arn:{self.partition}:secretsmanager:{self.account.home_region}:{self.id}:secret:{secret.name}-AbCdEf"
        return self.requests(actor, path.actions, arn, None, in_account(secret.policy, self.id, self.partition))

    def _taking(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """Roles of the configuration that let the actor in, or are made to; and those that let the whole account in."""
        for who, trust in self.trusts.items():
            if who == actor.who:
                continue
            if path.way == "take":
                role = self.subjects[who].role
                if not self._could_take(actor, path.actions, role, trust):
                    continue
                steps = self.requests(actor, path.actions, role, self._about(who, "role"), trust)
            elif path.way == "saml":
                steps = self._by_saml(path, actor, trust)
            else:
                steps = self._retrust(path, actor, who)
            if steps:
                yield _Edge(_Fact(who, session="role"), path.id, steps)
        if path.way == "take":
            deploys = self._iam(f"role/cdk-hnb659fds-deploy-role-{self.id}-{self.account.home_region}")
            reason = "the roles of 'cdk bootstrap' let the whole account in, and deploy with every right"
            yield from self._to_all(path, self.requests(actor, path.actions, deploys, None, self._lets_all_in), reason)
            yield from self._taking_elsewhere(path, actor)
        if path.way in ("take", "retrust") and self._as_declared(actor):
            reason = "it reaches roles of any name: one that this configuration does not know can hold every right"
            steps = (
                self.requests(actor, path.actions, self._iam(f"role/{_ANY_NAME}"), None, self._lets_all_in)
                if path.way == "take"
                else self._retrust(path, actor, None)
            )
            yield from self._to_all(path, steps, reason)

    def _taking_elsewhere(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """Administrators' roles in other accounts; those of one destination are alike, so that one is enough."""
        for other in self.others:
            for arn, trust in zip(other.arns, other.trusts, strict=True):
                if not self._could_take(actor, path.actions, arn, trust):
                    continue
                if steps := self.requests(actor, path.actions, arn, None, trust):
                    reason = f"{arn} is an administrator's role in another account"
                    yield _Edge(_Fact(f"{_ELSEWHERE}{other.name}", reason=reason), path.id, steps)
                    break

    def meant_elsewhere(self, who: str) -> frozenset[str]:
        """The administrators' roles in other accounts that are those of a principal's own teams."""
        if not self.others or who not in self.subjects:
            return frozenset()
        own = [s for s in _statements(self.subjects[who].policies) if any(o.duty in _MEANT for o in s.origins)]
        return frozenset(
            f"{_ELSEWHERE}{other.name}" for other in self.others if any(_may_speak_of(s, other.arns[0]) for s in own)
        )

    def _could_take(self, actor: _Actor, actions: Sequence[str], role: str, trust: Policy) -> bool:
        """A quick look before anything is judged: a trust that leaves it to the account, or to nobody of it, lets in
        only whom its own policies let.
        """
        principals = [p for s in trust.statements for p in s.principals]
        named = [value for p in principals if p.kind == "AWS" for value in p.values]
        if all(s.principals for s in trust.statements) and not named:
            return False  # services and identity providers alone
        if not all(s.principals for s in trust.statements) or any(not _is_account(value) for value in named):
            return True
        return all(any(_may_speak_of(s, role) for s in self._allowing(actor, action)) for action in actions)

    @cached_property
    def _lets_all_in(self) -> Policy:
        return _trusting(f"arn:{self.partition}:iam::{self.id}:root")

    def _retrust(self, path: Path, actor: _Actor, who: str | None) -> tuple[Step, ...] | None:
        """A role whose trust the actor changes: it names the actor, the account, or an issuer of the actor's own."""
        on = self.subjects[who].role if who else self._iam(f"role/{_ANY_NAME}")
        about = self._about(who, "role") if who else {"iam:PermissionsBoundary": None}
        change = ["iam:UpdateAssumeRolePolicy"]
        if path.id == "iam.oidc-provider-takeover":
            made = self.requests(actor, path.actions[:1])
            steps = self.requests(actor, change, on, about) if made else None
            return (*made, *steps) if made and steps else None
        trust = self._lets_all_in if "sts:AssumeRole" in path.actions else _trusting(self.subjects[actor.who].arn)
        return self.requests(actor, [*change, "sts:AssumeRole"], on, about, trust)

    def _by_saml(self, path: Path, actor: _Actor, trust: Policy) -> tuple[Step, ...] | None:
        providers = [v for s in trust.statements for p in s.principals if p.kind == "Federated" for v in p.values]
        steps = [self.requests(actor, path.actions, arn) for arn in providers if ":saml-provider/" in arn]
        return next((found for found in steps if found), None)

    def _creating(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """A role or user of the actor's own, with any rights: all of them, or what its boundary leaves."""
        for boundary in self._boundaries_to_choose(path, actor):
            arn = self._aws(ADMINISTRATOR)
            known: Known = {"iam:PermissionsBoundary": boundary}
            if path.id.startswith("iam.create-user+group"):
                yield from self._creating_in_group(path, actor, boundary)
                continue
            attach = any(a.startswith("iam:Attach") for a in path.actions)
            steps = (
                self._attach(path.actions, actor, "", "", known)
                if attach
                else self.requests(actor, path.actions, "", known)
            )
            if not steps:
                continue
            on = steps[-1].request.resource
            if path.on == "role":
                taken = self.requests(actor, ["sts:AssumeRole"], on, None, _trusting(self.subjects[actor.who].arn))
                if not taken:
                    continue
                steps = (*steps, *taken)
            if boundary in (None, arn):
                yield from self._to_all(path, steps, "")
                return
            freed = False
            for loose in (p for p in paths() if p.way == "unbind" and p.on == path.on):
                if more := self._unbind(loose, actor, on, boundary):
                    freed = True
                    yield from self._to_all(path, (*steps, *more), "")
                    yield from self._to_all(loose, (*steps, *more), "")
            if freed:
                return
            who = self._new(path.on, on, boundary or "", ())
            if (
                _ANY_RIGHTS not in actor.changes
                or self.subjects[actor.who].policies.boundary != self.subjects[who].policies.boundary
            ):
                yield _Edge(_Fact(who, change=_ANY_RIGHTS), path.id, steps)
                yield _Edge(_Fact(who, session="role" if path.on == "role" else "key"), path.id, steps)

    def _creating_in_group(self, path: Path, actor: _Actor, boundary: str | None) -> Iterator[_Edge]:
        """A user of the actor's own in a team that can do more."""
        others = [a for a in path.actions if a != "iam:AddUserToGroup"]
        made = self.requests(actor, others, "", {"iam:PermissionsBoundary": boundary})
        for name in self.named.groups if made else ():
            named = self.named.of(self.named.groups[name])
            if not (self._is_declared_group(name) or self.named.starts(named)):
                continue
            joined = self.requests(actor, ["iam:AddUserToGroup"], self._group_arn(name))
            if made and joined:
                who = self._new("user", made[0].request.resource, boundary or "", (name,))
                session: Session = "mfa" if "iam:CreateLoginProfile" in path.actions else "key"
                yield _Edge(_Fact(who, session=session), path.id, (*made, *joined))

    def _boundaries_to_choose(self, path: Path, actor: _Actor) -> list[str | None]:
        """None, one that is none, and those of the configuration that the statements ask for.

        A boundary that this configuration does not make cannot be judged, and closes the way.
        """
        wanted = {
            value
            for action in path.actions
            for s in self.judge(actor).naming(action)
            for c in s.conditions
            if c.key.lower() == "iam:permissionsboundary"
            for value in c.values
        }
        own = [arn for arn in sorted(self.policies_by_arn) if any(glob(value).fullmatch(arn) for value in wanted)]
        return [None, self._aws(ADMINISTRATOR), *own]

    def _new(self, kind: str, arn: str, boundary: str, groups: tuple[str, ...]) -> str:
        """A principal that an actor made: with a boundary, and in teams."""
        name = arn.rpartition("/")[2]
        held = tuple(tuple(p for _, p in self._held(group)) for group in groups)
        policies = Policies(groups=held, boundary=self.policies_by_arn.get(boundary), guards=self.guards)
        if kind == "role":
            session = f"arn:{self.partition}:sts::{self.id}:assumed-role/{name}/session"
            caller = Caller(name, "role", session, policies, role=arn)
        else:
            caller = Caller(name, "person", arn, policies, groups)
        key = f"new {kind} {boundary} {' '.join(groups)}"
        self.subjects.setdefault(key, caller)
        return key

    def _passing(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """A role handed to a service that then runs what the actor says."""
        for who in self._taken_by(path.to, path.taken_by):
            role = self.roles[who]
            if who != actor.who:
                profile = self._iam(f"instance-profile{role.path}{role.name}")
                steps = self._pass(path, actor, self.subjects[who].role, profile)
                if steps and self._source_fits(path, actor, self.trusts[who]):
                    yield _Edge(_Fact(who, session="role"), path.id, steps)
        if path.to == "cloudformation.amazonaws.com":
            deploys = self._iam(f"role/cdk-hnb659fds-cfn-exec-role-{self.id}-{self.account.home_region}")
            reason = "CloudFormation takes this role of 'cdk bootstrap', which has every right"
            yield from self._to_all(path, self._pass(path, actor, deploys, deploys), reason)
        if self._as_declared(actor):
            unknown, profile = self._iam(f"role/{_ANY_NAME}"), self._iam(f"instance-profile/{_ANY_NAME}")
            reason = "it passes roles of any name: one that this configuration does not know can hold every right"
            yield from self._to_all(path, self._pass(path, actor, unknown, profile), reason)

    def _pass(self, path: Path, actor: _Actor, role: str, profile: str) -> tuple[Step, ...] | None:
        passed = self.requests(actor, ["iam:PassRole"], role, {"iam:PassedToService": path.to})
        if not passed:
            return None
        steps = list(passed)
        for action in path.actions:
            if action != "iam:PassRole":
                known = {"ec2:InstanceProfile": profile, "cloudformation:RoleArn": role}
                more = self.requests(actor, [action], "", known)
                if not more:
                    return None
                steps += more
        return tuple(steps)

    def _taken_by(self, service: str, action: str) -> Sequence[str]:
        """The roles that a service may take, in their order."""
        key = (service, action)
        if key not in self._takers:
            self._takers[key] = [who for who in self.roles if self.lets_in(who, service, action)]
        return self._takers[key]

    def lets_in(self, who: str, service: str, action: str) -> bool:
        """Whether a role's trust lets a service in, for this account."""
        key = (who, service, action)
        if key not in self._lets_in:
            side = Judge(Policies(resource=self.trusts[who]))
            where = Where(service, self.id, self.account.home_region, self.partition)
            known: Known = {"aws:SourceAccount": self.id, "aws:PrincipalIsAWSService": "true"}
            found = witness(side, _action(action), known, where, self.subjects[who].role)
            self._lets_in[key] = found is not None
        return self._lets_in[key]

    def _source_fits(self, path: Path, actor: _Actor, trust: Policy) -> bool:
        """Whether what the actor makes can be what the trust asks for in aws:SourceArn."""
        sources = [
            value
            for s in trust.statements
            for c in s.conditions
            if c.key.lower() == "aws:sourcearn"
            for value in c.values
        ]
        named = [(a, source) for source in sources for a in path.actions if source.split(":")[2:3] == [a.split(":")[0]]]
        if not named:
            return True
        return any(self.requests(actor, [a], self._concrete(source)) for a, source in named)

    def _concrete(self, pattern: str) -> str:
        parts = pattern.split(":", 5)
        parts[3:4] = [self.account.home_region if parts[3] == "*" else parts[3]]
        return ":".join(parts).replace("*", "x").replace("?", "x")

    def _using(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """Compute of any name that runs as a role which its service may take."""
        holders = [who for who in self._taken_by(path.to, path.taken_by) if who != actor.who]
        steps: list[Step] = []
        for action in path.actions if holders else ():
            more = self.requests(actor, [action], self._any(_action(action), path.on))
            if not more:
                return
            steps += more
        for who in holders:
            yield _Edge(_Fact(who, session="role"), path.id, tuple(steps))

    def _any(self, action: Action, type_: str) -> str:
        """A thing of any name that an action can be about."""
        types = catalog.service(action.service).types
        names = [type_] if type_ in action.types else [name for name in action.types if name in types]
        if not names:
            return "*"
        head = types[names[0]].arn.split(":", 5)
        head[1], head[3] = self.partition, self.account.home_region if head[3] else ""
        head[4] = self.id if head[4] else ""
        return ":".join(part if "${" not in part else _filled(part) for part in head)

    def _around(self, path: Path, actor: _Actor) -> Iterator[_Edge]:
        """What deploys the account, or gives out access beside IAM."""
        if path.way == "stack":
            for stack in self.account.stacks:
                on = f"arn:{self.partition}:cloudformation:{stack.region}:{self.id}:stack/{stack.name}/{_ANY_NAME}"
                steps = self.requests(actor, path.actions, on)
                yield from self._to_all(path, steps, "a stack keeps the role that deploys it, which has every right")
        elif self._as_declared(actor):
            parts = [self.requests(actor, [action]) for action in path.actions]
            done = tuple(step for part in parts if part for step in part)
            reason = "access beside IAM, where this account holds the organization or IAM Identity Center"
            yield from self._to_all(path, done if all(parts) else None, reason)

    def _to_all(self, path: Path, steps: tuple[Step, ...] | None, reason: str) -> Iterator[_Edge]:
        if steps:
            yield _Edge(_Fact("", reason=reason), path.id, steps)

    def _as_declared(self, actor: _Actor) -> bool:
        """Whether an actor is as the configuration has it."""
        return not actor.changes and not actor.who.startswith("new ")

    # -- names

    def _about(self, who: str | None, kind: str) -> dict[str, str | tuple[str, ...] | None]:
        """What a request on a user, role or group says of it."""
        if who is None or kind not in ("user", "role"):
            return {}
        tags = self.subjects[who].tags if who in self.subjects else ()
        of_tags = {f"{prefix}:ResourceTag/{key}": value for prefix in ("aws", "iam") for key, value in tags}
        return {"iam:PermissionsBoundary": self._boundary_arn(who), **of_tags}

    def _boundary_arn(self, who: str) -> str | None:
        if who.startswith("new "):
            return who.split(" ")[2] or None
        name = self.boundaries.get(self.subjects[who].name) if not self.subjects[who].role else None
        return self.arns_by_policy[name] if name else None

    def _group_arn(self, name: str) -> str:
        return self._iam(f"group{self.named.groups[name].path}{name}")

    def _iam(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.id}:{name}"

    def _aws(self, name: str) -> str:
        return f"arn:{self.partition}:iam::aws:policy/{name}"


# --- words ----------------------------------------------------------------------------------------------------------


def _key(caller: Caller) -> str:
    return f"role {caller.name}" if caller.role else f"user {caller.name}"


def _statements(policies: Policies) -> Iterator[Statement]:
    for policy in (*policies.identity, *(p for group in policies.groups for p in group)):
        yield from policy.statements


_USUAL = {
    "Allow": {("Bool", "true"), ("NumericLessThan", ""), ("NumericLessThanEquals", ""), ("Null", "false")},
    "Deny": {("Bool", "false"), ("BoolIfExists", "false"), ("Null", "true"), ("NumericGreaterThanIfExists", "")},
}
"""Conditions on MFA that give nobody without it more than whoever has it."""


def _favours_no_mfa(statement: Statement) -> bool:
    """Whether a statement about MFA is not one of the usual: an Allow that asks for it, a Deny for whoever has none."""
    for condition in statement.conditions:
        if condition.key.lower().startswith("aws:multifactorauth"):
            value = "" if condition.operator.startswith("Numeric") else "".join(condition.values).lower()
            if (condition.operator, value) not in _USUAL[statement.effect]:
                return True
    return False


def _denies(policy: Policy) -> bool:
    return any(s.effect == "Deny" for s in policy.statements)


@lru_cache(maxsize=1024)
def _action(name: str) -> Action:
    service, _, short = name.partition(":")
    found = catalog.service(service).action(short)
    if found is None:
        raise ValueError(f"the catalogue of escalation paths names an unknown action: {name}")
    return found


@lru_cache(maxsize=256)
def _trusting(principal: str) -> Policy:
    return Policy((Statement(_OWN_TRUST, "Allow", ("sts:AssumeRole",), principals=(Principal("AWS", (principal,)),)),))


def _filled(part: str) -> str:
    """A part of an ARN format with any name for what varies."""
    out, _, rest = part.partition("${")
    while rest:
        _, _, after = rest.partition("}")
        between, _, rest = after.partition("${")
        out += _ANY_NAME + between
    return out


def _short(request: Request) -> str:
    """A request in a few words, for the chain."""
    name = request.resource.split(":", 5)[-1]
    to = request.context.get("iam:PassedToService") if request.action == "iam:PassRole" else None
    return f"{request.action} on {name}" + (f" to {to}" if to else "")


def _told(step: Step) -> str:
    """A request in full, with the lines that allow it."""
    places = {
        f"{o.duty} ({span.place})" if span else o.duty
        for s in step.because
        for o in s.origins
        for span in (o.granted or o.asked,)
    }
    if any(s.sid == _OWN_TRUST for s in step.because):
        places.add("the trust of the role")
    if any(s.sid == _EVERYTHING.statements[0].sid for s in step.because):
        places.add("the rights that it has by then")
    by = ", ".join(sorted(places)) or "an AWS managed policy"
    telling = [k for k in ("iam:PassedToService", "iam:PolicyARN", "iam:PermissionsBoundary") if _tells(k, step)]
    context = "".join(f", {key} {step.request.context[key]}" for key in telling)
    return f"{step.who}: {step.request.action} on {step.request.resource}{context}, allowed by {by}"


_KEYS = {
    "iam:PassedToService": ("iam:PassRole",),
    "iam:PolicyARN": ("iam:Attach", "iam:Detach"),
    "iam:PermissionsBoundary": ("iam:Create", "iam:Put"),
}


def _tells(key: str, step: Step) -> bool:
    return bool(step.request.context.get(key)) and step.request.action.startswith(_KEYS[key])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
