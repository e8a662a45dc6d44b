"""What changed besides access, in sentences: who came and went, duties, MFA, boundaries, break-glass, quotas.

Each function compares one part of two accounts. Whatever a user or AWS named stands in a sentence as `Code`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dutybound.baseline import Account, Alarm, Baseline, Group, Role
from dutybound.boundary import BOUNDARY
from dutybound.callers import ACCOUNT_ID
from dutybound.case import team_of
from dutybound.compare import compare
from dutybound.deployment import resources
from dutybound.evaluate import Policies, in_account
from dutybound.nearest import is_duty
from dutybound.policy import Policy
from dutybound.quotas import quota

Environment = str | None
Topic = (
    Literal["MFA", "Guardrails", "Boundaries", "Break-glass", "Identity providers", "Environments", "Identity Center"]
    | Literal["People", "Teams", "Roles", "Password policy", "Budgets", "Tags"]
)
TOPICS: tuple[Topic, ...] = (
    *("MFA", "Guardrails", "Boundaries", "Break-glass", "Identity providers", "Environments", "Identity Center"),
    *("People", "Teams", "Roles", "Password policy", "Budgets", "Tags"),
)
NEARLY_FULL = 0.8
"""The part of a quota from which on a change says that it is nearly used up."""


class Code(str):
    """A part of a sentence that is a name of the user's or a word of AWS's, and never markup."""

    __slots__ = ()


Words = tuple[str, ...]
"""A sentence in parts, some of them `Code`."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something else that changed, in a sentence, under a topic such as `MFA`."""

    topic: Topic
    words: Words
    environments: tuple[Environment, ...] = ()


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How much of a quota something uses now, and used before; `of` is who or what, such as `team developers`."""

    of: str
    unit: str
    before: int
    after: int
    limit: int
    environments: tuple[Environment, ...] = ()

    @property
    def nearly_full(self) -> bool:
        """Whether little of it is left."""
        return self.after >= self.limit * NEARLY_FULL


def teams_of(account: Account) -> dict[str, tuple[str, ...]]:
    """The teams of each person."""
    return {
        user.name: tuple(sorted({team_of(group) for group in user.groups}))
        for user in account.users
        if user.path == "/people/"
    }


def renamed(old: Account, new: Account) -> Iterator[tuple[str, str]]:
    """Teams that are gone, and those that are new and hold exactly the same."""
    before, after = _holdings(old), _holdings(new)
    free = {name: held for name, held in after.items() if name not in before}
    for name, held in before.items():
        if name not in after:
            same = next((other for other, theirs in free.items() if theirs == held), None)
            if same is not None:
                free.pop(same)
                yield name, same


Holders = Mapping[str, Group | Role]


def _team_groups(account: Account) -> Holders:
    """The group of each team by its name; those whose memberships end are left out."""
    return {g.name: g for g in account.groups if g.path == "/teams/" and team_of(g.name) == g.name}


def _holdings(account: Account) -> dict[str, tuple[frozenset[object], tuple[str, ...]]]:
    policies = {p.name: p.policy for p in account.policies}
    return {
        group.name: (
            frozenset(replace(s, sid="") for name in group.policies for s in policies[name].statements),
            group.managed,
        )
        for group in _team_groups(account).values()
    }


# --- everything, by topic -------------------------------------------------------------------------------------------


def remarks(old: Baseline, new: Baseline) -> tuple[Remark, ...]:
    """All that is to be told of one environment besides access, by topic in the order of their weight."""
    before, after = old.accounts[0], new.accounts[0]
    found = [
        *_shared_policies(before, after),
        *_boundaries(before, after),
        *_role_boundary(before, after),
        *_break_glass(before, after),
        *_providers(before, after),
        *_people(before, after),
        *_teams(before, after),
        *_roles(before, after),
        *_permission_sets(old, new),
        *_rest(old, new),
    ]
    return tuple(sorted(found, key=lambda r: TOPICS.index(r.topic)))


def _came_and_went(topic: Topic, one: str, several: str, old: Iterable[str], new: Iterable[str]) -> Iterator[Remark]:
    for names, are in ((set(new) - set(old), "new"), (set(old) - set(new), "gone")):
        if names:
            what = f"{len(names):,} {several} are" if len(names) > 1 else f"one {one} is"
            yield Remark(topic, (f"{what} {are}: ", *listed(sorted(names))))


_MOST_NAMES = 20


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> Words:
    """Names with commas between them, and how many more there are."""
    out: list[str] = []
    for name in names[:most]:
        out += [", ", Code(name)] if out else [Code(name)]
    return (*out, f" and {len(names) - most:,} more") if len(names) > most else tuple(out)


def _people(old: Account, new: Account) -> Iterator[Remark]:
    """Who is new and who is gone, and who joined and left each team."""
    before, after = teams_of(old), teams_of(new)
    yield from _came_and_went("People", "person", "people", before, after)
    now = dict(renamed(old, new))
    joined: dict[str, list[str]] = {}
    left: dict[str, list[str]] = {}
    gone = before.keys() - after.keys()
    for person in sorted({*before, *after} - gone):
        had, has = {now.get(t, t) for t in before.get(person, ())}, set(after.get(person, ()))
        for team in has - had:
            joined.setdefault(team, []).append(person)
        for team in had - has:
            left.setdefault(team, []).append(person)
    for team in sorted({*joined, *left}):
        for names, verb in ((joined.get(team), "joined"), (left.get(team), "left")):
            if names:
                yield Remark("People", (*listed(names), f" {verb} the team ", Code(team)))


def _teams(old: Account, new: Account) -> Iterator[Remark]:
    """Teams that came, went and were renamed, and their duties."""
    same = dict(renamed(old, new))
    for one, other in same.items():
        yield Remark("Teams", ("the team ", Code(one), " is now ", Code(other), ", with the same access"))
    yield from _came_and_went(
        "Teams", "team", "teams", _holdings(old).keys() - same.keys(), _holdings(new).keys() - set(same.values())
    )
    yield from _duties_changed("Teams", "team", _team_groups(old), _team_groups(new), old, new)


def _duties_changed(
    topic: Topic, what: str, before: Holders, after: Holders, old: Account, new: Account
) -> Iterator[Remark]:
    """Duties that a team or role has now, or has no more; those that it may never do, too."""
    for name in sorted(before.keys() & after.keys()):
        had, has = _duties(before[name], old), _duties(after[name], new)
        for verbs, duties in ((("has", "may now never do"), has - had), (("no longer has", "may again do"), had - has)):
            for duty, denied in sorted(duties):
                yield Remark(topic, (f"the {what} ", Code(name), f" {verbs[denied]} the duty ", Code(duty)))


def _duties(holder: Group | Role, account: Account) -> set[tuple[str, bool]]:
    """The duties of a team or role, and whether each is one that it never does; a duty's own denies come with it."""
    policies = {p.name: p.policy for p in account.policies}
    statements = [s for name in holder.policies for s in policies[name].statements]
    duties = {(o.duty, s.effect == "Deny") for s in statements for o in s.origins if is_duty(o)}
    allowed = {duty for duty, denied in duties if not denied} | {origin.duty for _, origin in holder.attached}
    return {(duty, False) for duty in allowed} | {
        (duty, True) for duty, denied in duties if denied and duty not in allowed
    }


def _shared_policies(old: Account, new: Account) -> Iterator[Remark]:
    """The policies that everybody holds: MFA and the guardrails."""
    before, after = ({p.name: p.policy for p in a.policies if p.path == "/baseline/"} for a in (old, new))
    if not before or not after:
        return
    for name in sorted(before.keys() | after.keys()):
        topic: Topic = "MFA" if "mfa" in name else "Guardrails" if name.startswith("guardrails") else "Boundaries"
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            happens = "is new" if one is None else "is gone"
            yield Remark(topic, ("the policy ", Code(name), f" {happens}{_meant(name)}"))
        elif one != other:
            yield Remark(topic, ("the policy ", Code(name), " says something else: ", *_statements(one, other)))


def _meant(name: str) -> str:
    return {
        "enforce-mfa": " (it denies every team what is done without MFA)",
        "enrol-mfa": " (it lets people enrol a device, and denies nothing)",
        "people-boundary": " (without MFA it limits people to enrolment)",
    }.get(name, "")


def _statements(old: Policy, new: Policy) -> Words:
    """The statements that differ, by Sid."""
    before, after = ({s.sid: s for s in p.statements} for p in (old, new))
    parts: list[str] = []
    for happens, sids in (
        ("new", after.keys() - before.keys()),
        ("gone", before.keys() - after.keys()),
        ("changed", {sid for sid in before.keys() & after.keys() if before[sid] != after[sid]}),
    ):
        if sids:
            parts += [*(["; "] if parts else []), *listed(sorted(sids), 8), f" {happens}"]
    return tuple(parts) or ("the same statements in another order",)


def _boundaries(old: Account, new: Account) -> Iterator[Remark]:
    """Boundaries of people, added, removed or exchanged."""
    before, after = ({u.name: u.permissions_boundary for u in a.users} for a in (old, new))
    moved: dict[tuple[str | None, str | None], list[str]] = {}
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            moved.setdefault((before[name], after[name]), []).append(name)
    for (one, other), names in sorted(moved.items(), key=str):
        if one is None and other is not None:
            words: Words = ("now have the boundary ", Code(other))
        elif one is not None and other is None:
            words = ("no longer have the boundary ", Code(one))
        else:
            words = ("have the boundary ", Code(other), " instead of ", Code(one))
        who = f"{len(names):,} people " if len(names) > 1 else "one person "
        yield Remark("Boundaries", (who, *words, ": ", *listed(names)))


def _role_boundary(old: Account, new: Account) -> Iterator[Remark]:
    """What roles that teams create may at most do."""
    sides = [next((p.policy for p in a.policies if p.name == BOUNDARY), None) for a in (old, new)]
    before, after = (None if p is None else Policies(identity=(in_account(p, ACCOUNT_ID),)) for p in sides)
    if before is None or after is None or before == after:
        return
    found = compare(before, after)
    for differences, can in ((found.gained, "more"), (found.lost, "less")):
        actions = sorted({action for d in differences for action in d.actions})
        if actions:
            words = (f"roles that teams create may at most do {can}: ", *listed(actions, 8))
            yield Remark("Boundaries", words)
    if found.unknown:
        yield Remark("Boundaries", ("what roles that teams create may at most do could not be compared",))


def _break_glass(old: Account, new: Account) -> Iterator[Remark]:
    before, after = ({u.name: u for u in a.users if u.path == "/break-glass/"} for a in (old, new))
    if not before or not after:
        return
    yield from _came_and_went("Break-glass", "user", "users", before, after)
    group, grown = (next((g for g in a.groups if g.path == "/break-glass/"), None) for a in (old, new))
    if group is not None and grown is not None and group.managed != grown.managed:
        how = "hold all rights themselves" if grown.managed else "take a role that holds all rights"
        yield Remark("Break-glass", (f"its users now {how}",))
    for name in sorted(before.keys() & after.keys()):
        if bool(before[name].secret) != bool(after[name].secret):
            sealed = "a sealed password in a secret" if after[name].secret else "no password from here"
            yield Remark("Break-glass", (Code(name), f" now has {sealed}"))
    secrets, now = ({s.name: s for s in a.secrets} for a in (old, new))
    for name in sorted(secrets.keys() & now.keys()):
        one, other = secrets[name], now[name]
        if (one.length, one.without) != (other.length, other.without):
            yield Remark(
                "Break-glass", ("the sealed password ", Code(name), " is made anew: keep nothing of the old one")
            )
        if one.policy != other.policy:
            yield Remark("Break-glass", ("who may read the sealed password ", Code(name), " changed"))
    yield from _alarm(old, new)


def _alarm(old: Account, new: Account) -> Iterator[Remark]:
    if old.alarm is None or new.alarm is None:
        if old.alarm is not new.alarm:
            yield Remark("Break-glass", (f"the alarm is {'gone' if new.alarm is None else 'new'}",))
        return
    one, other = (set(a.topic.addresses) if a.topic is not None else set() for a in (old.alarm, new.alarm))
    if (old.alarm.topic is None) != (new.alarm.topic is None):
        where = "here" if new.alarm.topic is not None else "in the account that hears all"
        yield Remark("Break-glass", (f"the alarm now mails {where}",))
    if more := sorted(other - one):
        yield Remark("Break-glass", ("the alarm now also tells ", *listed(more), ", once the mail to it is confirmed"))
    if less := sorted(one - other):
        yield Remark("Break-glass", ("the alarm no longer tells ", *listed(less)))
    rules, now = _patterns(old.alarm), _patterns(new.alarm)
    for name in sorted(rules.keys() | now.keys()):
        if rules.get(name) != now.get(name):
            happens = "is new" if name not in rules else "is gone" if name not in now else "watches for something else"
            yield Remark("Break-glass", ("the alarm's rule ", Code(name), f" {happens}"))
    if old.alarm.drill != new.alarm.drill:
        drill = new.alarm.drill
        yield Remark(
            "Break-glass",
            (f"the drill is {'gone' if drill is None else 'now due: '}", *((Code(drill.every),) if drill else ())),
        )


def _patterns(alarm: Alarm) -> dict[str, frozenset[str]]:
    """The event patterns of each rule, in whatever Region."""
    names = {rule.name for rule in alarm.rules}
    return {name: frozenset(rule.pattern for rule in alarm.rules if rule.name == name) for name in names}


def _providers(old: Account, new: Account) -> Iterator[Remark]:
    before, after = ({p.url: p for p in a.identity_providers} for a in (old, new))
    yield from _came_and_went("Identity providers", "identity provider", "identity providers", before, after)
    for url in sorted(before.keys() & after.keys()):
        if before[url].audiences != after[url].audiences:
            takes = (" takes tokens for ", *listed(after[url].audiences))
            yield Remark("Identity providers", (Code(url), *takes, " instead of ", *listed(before[url].audiences)))


def _roles(old: Account, new: Account) -> Iterator[Remark]:
    before, after = (
        {r.name: r for r in a.roles if r.path != "/break-glass/" and r.permission_set is None} for a in (old, new)
    )
    yield from _came_and_went("Roles", "role", "roles", before, after)
    yield from _duties_changed("Roles", "role", before, after, old, new)
    for name in sorted(before.keys() & after.keys()):
        one, other = before[name], after[name]
        if one.session_seconds != other.session_seconds:
            hours = f"{other.session_seconds / 3600:g} hours instead of {one.session_seconds / 3600:g}"
            yield Remark("Roles", ("a session of the role ", Code(name), f" lasts up to {hours}"))


def _permission_sets(was: Baseline, now: Baseline) -> Iterator[Remark]:
    """Who is assigned which permission set in which accounts, for how long, and who is in its group."""
    old, new = was.accounts[0], now.accounts[0]
    before, after = ({r.name: r for r in a.roles if r.permission_set is not None} for a in (old, new))
    accounts, now_in = ({t.id: t.name for t in a.targets} for a in (old, new))
    words: tuple[str | Code, ...]
    for group in sorted(after.keys() - before.keys()):
        words = ("the permission set ", Code(str(after[group].permission_set)), " is new")
        yield Remark("Identity Center", (*words, *_assigned(" and assigned to", group, now_in)))
    for group in sorted(before.keys() - after.keys()):
        words = ("the permission set ", Code(str(before[group].permission_set)), " is gone")
        yield Remark("Identity Center", (*words, *_assigned(" and no longer assigned to", group, accounts)))
    both = sorted(before.keys() & after.keys())
    for group in both:
        one, other = before[group], after[group]
        if one.permission_set != other.permission_set:
            words = ("the permission set of ", Code(group), " is now called ", Code(str(other.permission_set)))
            yield Remark("Identity Center", (*words, " and not ", Code(str(one.permission_set))))
        if one.session_seconds != other.session_seconds:
            hours = f"{other.session_seconds / 3600:g} hours instead of {one.session_seconds / 3600:g}"
            yield Remark("Identity Center", ("a session of ", Code(str(other.permission_set)), f" lasts {hours}"))
        for names, verb in (
            (set(other.members) - set(one.members), "joined"),
            (set(one.members) - set(other.members), "left"),
        ):
            if names:
                yield Remark("People", (*listed(sorted(names)), f" {verb} the group ", Code(group)))
    for ids, verb, where in (
        (now_in.keys() - accounts.keys(), "come to", now_in),
        (accounts.keys() - now_in.keys(), "go from", accounts),
    ):
        if ids and both and accounts:
            what = "assignments" if len(both) > 1 else "the assignment"
            words = (f"{what} of ", *listed(both), f" {verb if len(both) > 1 else _ONE[verb]} ")
            yield Remark("Identity Center", (*words, *_accounts({i: where[i] for i in ids})))
    yield from _duties_changed("Teams", "team", before, after, old, new)


_ONE = {"come to": "comes to", "go from": "goes from"}


def _assigned(how: str, group: str, accounts: Mapping[str, str]) -> Words:
    return (f"{how} ", Code(group), " in ", *_accounts(accounts)) if accounts else ()


def _accounts(accounts: Mapping[str, str]) -> Words:
    """Accounts by their names and ids."""
    what = "the account " if len(accounts) == 1 else f"{len(accounts):,} accounts: "
    return (what, *listed([f"{name} ({id_})" for id_, name in sorted(accounts.items(), key=lambda a: a[1])]))


def _rest(was: Baseline, now: Baseline) -> Iterator[Remark]:
    """What is of no one principal: the password policy, budgets, tags."""
    old, new = was.accounts[0], now.accounts[0]
    if old.passwords != new.passwords:
        words = ("it changes with the next run of ", Code("dutybound steps"), ", not by the deployment")
        yield Remark("Password policy", words)
    budgets, watched = ({b.name: b for b in a.budgets} for a in (old, new))
    for name in sorted(watched.keys() - budgets.keys()):
        budget = watched[name]
        yield Remark("Budgets", (Code(name), f" watches for {budget.limit:g} {budget.currency} a month"))
    for name in sorted(budgets.keys() - watched.keys()):
        yield Remark("Budgets", (Code(name), " is gone"))
    changed = set(now.tags) ^ set(was.tags)
    if changed and old.stacks and new.stacks:
        keys = sorted({key for key, _ in changed})
        yield Remark("Tags", ("everything gets other tags: ", *listed(keys)))


# --- quotas --------------------------------------------------------------------------------------------------------


def quota_uses(old: Account, new: Account) -> Iterator[QuotaUse]:
    """Quotas of which another part is used; those of a whole account only where little is left."""
    before, after = _uses(old), _uses(new)
    for key in sorted(after):
        used, limit = after[key]
        had = before.get(key, (0, limit))[0]
        use = QuotaUse(*key, had, used, limit)
        if used != had and (use.nearly_full or not key[0].startswith("the ")):
            yield use


def _uses(account: Account) -> dict[tuple[str, str], tuple[int, int]]:
    """How much of each quota is used, by whom and in which unit, and the quota."""
    sizes = {p.name: p.policy.size for p in account.policies}
    out: dict[tuple[str, str], tuple[int, int]] = {}
    holders: list[tuple[str, Group | Role, str]] = [
        *(("team", g, "managed-policies-per-group") for g in account.groups if g.path == "/teams/"),
        *(("role", r, "managed-policies-per-role") for r in account.roles if r.path == "/roles/"),
    ]
    for what, holder, name in holders:
        held, limit = len(holder.policies) + len(holder.managed), quota(name).value
        room = (limit - len(holder.managed)) * quota("managed-policy-size").value
        out[f"{what} {holder.name}", "policies"] = held, limit
        out[f"{what} {holder.name}", "characters"] = sum(sizes[p] for p in holder.policies), room
        if isinstance(holder, Role):
            out[f"{what} {holder.name}", "characters of trust"] = holder.trust.size, quota("trust-policy-size").value
    for user in account.users:
        if len(user.groups) > 1:
            out[f"person {user.name}", "groups"] = len(user.groups), quota("groups-per-user").value
    for name, count in (
        ("users-per-account", len(account.users)),
        ("groups-per-account", len(account.groups)),
        ("roles-per-account", len(account.roles)),
        ("policies-per-account", len(account.policies)),
    ):
        out["the account", quota(name).unit] = count, quota(name).value
    per_stack = Counter(resource.stack for resource in resources(account))
    for stack, count in per_stack.items():
        out[f"the stack {stack}", "resources"] = count, quota("resources-per-stack").value
    return out
