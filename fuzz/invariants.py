"""What holds of every organisation, each as a function of its own: `python -m fuzz --only NAME`.

`organization` checks all that need nothing but a compilation; the others are slower, and run with shares of their own.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import yaml

from benchmarks.organization import shuffled
from dutybound import catalog
from dutybound.accounts import Destination, destinations
from dutybound.baseline import Account, Baseline, Group, ManagedPolicy, Role, User
from dutybound.callers import Caller, callers
from dutybound.compare import compare_baselines
from dutybound.compiler import compile_reading
from dutybound.config import Configuration, DutyUse
from dutybound.diagnostic import Checked, Text
from dutybound.evaluate import Judge, Request
from dutybound.placement import loads
from dutybound.policy import Policy
from dutybound.read import read
from dutybound.source import loads as yaml_of
from fuzz import oracle, organizations, properties, synthesis
from fuzz.engine import Subject, check
from fuzz.inputs import TODAY, shown
from fuzz.mutations import ROOT
from fuzz.workers import Worker, dump

_SAMPLES = 40
"""Requests that are tried for each principal."""
_LONG_AGO = "2026-11-24T12:00:00Z"


@dataclass(frozen=True)
class Compiled:
    """An organisation: its text, what it says, and the baseline of each destination."""

    text: str
    configuration: Configuration
    made: tuple[tuple[Destination, Baseline], ...]

    def dice(self, what: str) -> random.Random:
        """Dice that the text decides."""
        return random.Random(f"{what} {self.text}")  # noqa: S311

    @cached_property
    def principals(self) -> tuple[Principal, ...]:
        """Everybody but break-glass, in all destinations."""
        return tuple(
            Principal(self.configuration, destination, account, caller)
            for destination, baseline in self.made
            for account in baseline.accounts
            for caller in callers(baseline, account, catalog.partition(account.home_region))
            if caller.kind != "break-glass" and not caller.name.startswith("break-glass")
        )


@dataclass(frozen=True)
class Principal:
    """A person, a team's role or another role, and the duties that it has, as the configuration says."""

    configuration: Configuration
    destination: Destination
    account: Account
    caller: Caller

    @cached_property
    def teams(self) -> tuple[str, ...]:
        """The teams that a person is in, or whose role it is."""
        if self.caller.kind == "team":
            return (self.caller.name,)
        if self.caller.kind != "person":
            return ()
        return tuple(
            str(name)
            for name, team in self.configuration.teams.items()
            if any(
                m.name == self.caller.name and (m.until is None or str(m.until) >= TODAY.isoformat())
                for m in team.members
            )
        )

    @cached_property
    def uses(self) -> tuple[DutyUse, ...]:
        """The duties that it has here."""
        if self.caller.kind == "role":
            role = next((r for name, r in self.configuration.roles.items() if name == self.caller.name), None)
            return role.duties if role is not None else ()
        found: list[DutyUse] = []
        for name, team in self.configuration.teams.items():
            if name in self.teams:
                found += team.duties
                found += [u for key, uses in team.in_.items() if key in self.destination.keys for u in uses]
        return tuple(found)

    @cached_property
    def pieces(self) -> tuple[oracle.Piece, ...]:
        """What these ask for."""
        return tuple(p for use in self.uses for p in oracle.pieces(use, self.configuration))

    @cached_property
    def never(self) -> tuple[str, ...]:
        """The duties that one of its teams must never do."""
        teams = self.configuration.teams.items()
        return tuple(str(use.name) for name, team in teams if name in self.teams for use in team.never)

    @cached_property
    def judge(self) -> Judge:
        """The judge over its policies."""
        return Judge(self.caller.policies)

    @property
    def account_id(self) -> str:
        """The account that it is in."""
        return self.caller.arn.split(":")[4]

    @property
    def is_administrator(self) -> bool:
        """Whether it has everything, as the configuration says."""
        return any(use.name == "administer" for use in self.uses)

    @property
    def is_fenced(self) -> bool:
        """Whether guardrails or a boundary may deny what its duties ask for."""
        rails = self.configuration.guardrails
        return bool(rails.regions or rails.instance_types or rails.require_tags or rails.from_ or rails.boundary)

    def allowed(self, action: str, resource: str, session: str = "") -> str:
        """The outcome of a request, with nothing in it but who calls and where."""
        how = "role" if self.caller.role else session or "mfa"
        keys = {k: v for k, v in self.caller.known(how).items() if v is not None}  # type: ignore[arg-type]
        region = resource.split(":", 5)[3] if resource.count(":") >= 5 else ""
        keys["aws:RequestedRegion"] = region or self.account.home_region
        keys |= {"aws:SecureTransport": "true", "aws:SourceIp": "203.0.113.7", "aws:CurrentTime": _LONG_AGO}
        keys["aws:ResourceAccount"] = self.account_id
        return self.judge.decide(Request(self.caller.arn, action, resource, keys)).outcome


# --- making and compiling -------------------------------------------------------------------------------------------


def made(dice: random.Random) -> str:
    """An organisation as YAML."""
    return organizations.text(organizations.organization(dice))


@lru_cache(maxsize=2)
def compiled(text: str) -> Compiled | None:
    """Compile an organisation for all its destinations; None if that gives errors."""
    loaded = yaml_of(text, "config.yaml")
    if loaded.failed or loaded.value is None:
        return None
    reading = read(loaded.value)
    if reading.failed or reading.value is None:
        return None
    found: dict[str | None, Checked[Baseline]] = compile_reading(reading, TODAY)
    for checked in found.values():
        shown(checked)
    by_name = {d.name: d for d in destinations(reading.value.configuration)}
    good = tuple((by_name[n], c.value) for n, c in found.items() if c.value is not None)
    return Compiled(text, reading.value.configuration, good) if len(good) == len(found) else None


Invariant = Callable[[Compiled], None]


def holds(invariants: Iterable[Invariant]) -> Callable[[str], bool]:
    """What answers an organisation: True if it compiles, and Wrong if one of these does not hold."""
    return _Holds(tuple(invariants))


@dataclass(frozen=True)
class _Holds:
    invariants: tuple[Invariant, ...]

    def __call__(self, text: str) -> bool:
        found = compiled(text)
        if found is None:
            return False
        for invariant in self.invariants:
            invariant(found)
        return True


# --- permissions ----------------------------------------------------------------------------------------------------


def permissions(org: Compiled) -> None:
    """Nobody can do what no duty of theirs asks for, and everybody can do what it asks for, if nothing denies it."""
    dice = org.dice("permissions")
    for principal in org.principals:
        if principal.is_administrator:
            continue
        certain = not principal.never and not principal.is_fenced and not _ends_alone(principal)
        for action, resource in requests(principal, dice):
            told = oracle.asked(principal.pieces, action, resource)
            outcome = principal.allowed(action, resource)
            what = f"{principal.caller.arn} {action} on {resource}: {outcome}, asked for: {told}"
            if told == "no" and outcome == "allowed":
                check(_given_to_all(principal, action, resource), "permissions that nobody asked for", what)
            if told == "yes" and certain:
                check(outcome != "denied", "permissions that are missing", what)


def _ends_alone(principal: Principal) -> bool:
    """Whether what it has ends by a condition of time."""
    role = next((r for n, r in principal.configuration.roles.items() if n == principal.caller.name), None)
    return principal.caller.kind == "role" and role is not None and role.until is not None


def _given_to_all(principal: Principal, action: str, resource: str) -> bool:
    """What the baseline gives besides duties: looking after oneself, and the roles of one's teams."""
    if principal.caller.role:
        return False
    user = principal.caller.name
    if oracle.is_self_service(action, resource, user, True, principal.configuration.mfa.own_access_keys):
        return True
    return action == "sts:AssumeRole" and (":role/teams/" in resource or ":role/roles/" in resource)


def requests(principal: Principal, dice: random.Random) -> Iterator[tuple[str, str]]:
    """Requests that its duties ask for, and their neighbours: other actions, other resources, dangerous ones."""
    own = [piece for piece in principal.pieces if piece.resources]
    for _ in range(_SAMPLES if own else 0):
        piece = dice.choice(own)
        action = _spelt(dice.choice(sorted(piece.actions)), dice)
        resource = filled(dice.choice(piece.resources), principal, dice)
        yield action, resource
        kind = dice.randrange(4)
        if kind == 0:
            yield action, _beside(resource, dice)
        elif kind == 1:
            service = catalog.service(action.partition(":")[0])
            yield str(dice.choice(sorted(service.actions.values(), key=str))), resource
        elif kind == 2:
            other = dice.choice(own)
            yield action, filled(dice.choice(other.resources), principal, dice)
        else:
            yield dice.choice(_DANGEROUS), f"arn:aws:iam::{principal.account_id}:user/people/{principal.caller.name}"
    for action in _DANGEROUS:
        yield action, f"arn:aws:iam::{principal.account_id}:role/teams/admins"
        yield action, "*"


_DANGEROUS = (
    *("iam:CreateUser", "iam:AttachUserPolicy", "iam:PutUserPolicy", "iam:CreatePolicyVersion", "iam:PassRole"),
    *("iam:UpdateAssumeRolePolicy", "iam:CreateAccessKey", "iam:AddUserToGroup", "iam:DeleteUserPermissionsBoundary"),
    *("s3:DeleteBucket", "s3:GetObject", "kms:Decrypt", "secretsmanager:GetSecretValue", "sts:AssumeRole"),
    *("organizations:LeaveOrganization", "cloudtrail:StopLogging", "ec2:RunInstances", "lambda:InvokeFunction"),
)


def _spelt(pattern: str, dice: random.Random) -> str:
    """An action of the reference that a pattern in small letters takes in."""
    if not set(pattern) & set("*?"):
        prefix, _, name = pattern.partition(":")
        action = catalog.service(prefix).action(name) if prefix in catalog.services() else None
        return str(action) if action is not None else pattern
    if pattern == "*":
        return dice.choice(_DANGEROUS)
    found = sorted(map(str, catalog.actions_of(pattern)))
    return dice.choice(found) if found else "s3:GetObject"


def filled(pattern: str, principal: Principal, dice: random.Random) -> str:
    """A resource that a pattern matches, in the account at hand."""
    if pattern == "*":
        return "*"
    parts = pattern.split(":", 5)
    if len(parts) == 6:
        stands = {1: catalog.partition(principal.account.home_region), 3: principal.account.home_region}
        stands[4] = principal.account_id
        parts = [stands.get(at, "x") if part == "*" else part for at, part in enumerate(parts[:5])] + [parts[5]]
        pattern = ":".join(parts)
    return re.sub(r"[*?]", lambda m: dice.choice(["x1", "a/b", "0"]) if m[0] == "*" else "q", pattern)


def _beside(resource: str, dice: random.Random) -> str:
    """A resource with a name a bit different."""
    head, _, name = resource.rpartition(":")
    kind = dice.randrange(3)
    changed = f"not-{name}" if kind == 0 else f"{name}x" if kind == 1 else name.replace("-", "_", 1)
    return f"{head}:{changed}" if head else resource


# --- never ----------------------------------------------------------------------------------------------------------


def never(org: Compiled) -> None:
    """What a duty that is denied changes is denied to everybody in the team, whatever other teams give them."""
    dice = org.dice("never")
    for principal in org.principals:
        for name in principal.never:
            duty = oracle.duty_of(name, org.configuration)
            use = DutyUse.model_construct(name=Text(name), parameters=dict.fromkeys(duty.parameters, (Text("*"),)))
            actions = sorted({a for piece in oracle.pieces(use, org.configuration) for a in piece.actions})
            given = [a for a in actions if any(a in piece.actions for piece in principal.pieces)]
            for text in {*dice.sample(actions, min(5, len(actions))), *given[:20]}:
                prefix, _, action_name = text.partition(":")
                action = catalog.service(prefix).action(action_name)
                if action is None or action.level in ("list", "read") or prefix in ("iam", "sts"):
                    continue
                for where in ("*", *_given(principal, text, dice)):
                    outcome = principal.allowed(str(action), where)
                    what = f"{principal.caller.arn} {action} on {where}: {outcome} in spite of never {name}"
                    check(outcome == "denied", "never is not denied", what)


def _given(principal: Principal, action: str, dice: random.Random) -> list[str]:
    """Resources on which another duty asks for an action."""
    patterns = [r for piece in principal.pieces if action in piece.actions for r in piece.resources]
    return [filled(pattern, principal, dice) for pattern in patterns[:3]]


# --- MFA ------------------------------------------------------------------------------------------------------------


def _is_about_users(action: str) -> bool:
    """Whether IAM looks at the resource of a call: there is none for the rules of passwords, say."""
    service, _, name = action.partition(":")
    known = catalog.service(service).action(name)
    return known is not None and "user" in known.types


def mfa(org: Compiled) -> None:
    """Without MFA nobody has anything but enrolment for oneself; a stolen key has less."""
    dice = org.dice("mfa")
    for principal in org.principals:
        if principal.caller.role:
            continue
        for action, resource in requests(principal, dice):
            for session in ("no-mfa", "key"):
                outcome = principal.allowed(action, resource, session)
                what = f"{principal.caller.arn} {action} on {resource} ({session}): {outcome}"
                if outcome != "denied":
                    check(action in oracle.WITHOUT_MFA, "more than enrolment without MFA", what)
                    others = ":user/" in resource and resource.rpartition("/")[2] != principal.caller.name
                    check(not (others and _is_about_users(action)), "somebody else's user without MFA", what)


# --- quotas ---------------------------------------------------------------------------------------------------------


def quotas(org: Compiled) -> None:
    """Sizes and counts keep to AWS's quotas, counted here once more."""
    most = _quotas()
    for _, baseline in org.made:
        for account in baseline.accounts:
            _sizes(account, most)
            _counts(account, most)
            _names(account)
            for stack, load in loads(account).items():
                check(load.resources <= most["resources-per-stack"], "a stack of too many resources", stack)
                check(load.size <= most["template-size-in-s3"], "a template that is too large", stack)


@lru_cache
def _quotas() -> dict[str, int]:
    file = ROOT / "dutybound" / "data" / "quotas.json"
    return {row["name"]: row["value"] for row in json.loads(file.read_text(encoding="utf-8"))["quotas"]}


def _size(policy: Policy) -> int:
    text = json.dumps(policy.document(), separators=(",", ":"), ensure_ascii=False)
    return len(text.replace("${AWS::Partition}", "aws-us-gov").replace("${AWS::AccountId}", "0" * 12))


def _sizes(account: Account, most: Mapping[str, int]) -> None:
    for policy in account.policies:
        limit = most["permission-set-policy-size" if policy.inline else "managed-policy-size"]
        check(_size(policy.policy) <= limit, "a policy that is too large", f"{policy.name}: {_size(policy.policy)}")
        sids = Counter(s.sid for s in policy.policy.statements)
        check(max(sids.values(), default=1) == 1, "a Sid that stands twice", policy.name)
        check(all(s.isalnum() for s in sids), "a Sid that IAM refuses", policy.name)
    for role in account.own_roles:
        check(_size(role.trust) <= most["trust-policy-size"], "a trust that is too large", role.name)
    for rule in account.alarm.rules if account.alarm else ():
        check(len(rule.pattern) <= most["event-pattern-size"], "an event pattern that is too large", rule.name)


def _counts(account: Account, most: Mapping[str, int]) -> None:
    for group in account.groups:
        held = len(group.policies) + len(group.managed)
        check(held <= most["managed-policies-per-group"], "a group of too many policies", group.name)
    for role in account.own_roles:
        held = len(role.policies) + len(role.managed)
        check(held <= most["managed-policies-per-role"], "a role of too many policies", role.name)
    for user in account.users:
        check(len(user.groups) <= most["groups-per-user"], "a user of too many groups", user.name)
        known = {group.name for group in account.groups}
        check(set(user.groups) <= known, "a group that is not there", user.name)
    known = {policy.name for policy in account.policies}
    holders: tuple[Group | Role, ...] = (*account.groups, *account.roles)
    for holder in holders:
        check(set(holder.policies) <= known, "a policy that is not there", holder.name)
    limits = {"policies": account.own_policies, "groups": account.groups, "users": account.users}
    for what, found in limits.items():
        check(len(found) <= most[f"{what}-per-account"], f"too many {what}", len(found))


def _names(account: Account) -> None:
    """Names are IAM's, and unique whatever their case; logical ids are unique in their stack."""
    for kind, found, longest in (
        ("policy", account.own_policies, 128),
        ("group", account.groups, 128),
        ("user", account.users, 64),
        ("role", account.own_roles, 64),
    ):
        folded = Counter(one.name.lower() for one in found)
        check(max(folded.values(), default=1) == 1, f"a {kind} that stands twice", folded.most_common(1))
        for one in found:
            check(len(one.name) <= longest, f"a name of a {kind} that is too long", one.name)
            check(re.fullmatch(r"[\w+=,.@-]+", one.name, re.ASCII) is not None, f"no name of a {kind}", one.name)
    resources: tuple[ManagedPolicy | Group | User, ...] = (*account.own_policies, *account.groups, *account.users)
    ids = Counter((one.stack, one.logical_id) for one in resources)
    check(max(ids.values(), default=1) == 1, "a logical id that stands twice", ids.most_common(1))


# --- escalation -----------------------------------------------------------------------------------------------------


def escalation(org: Compiled) -> None:
    """Who is no administrator cannot become one in one step; nothing was found that a waiver accepts."""
    for principal in org.principals:
        if principal.is_administrator:
            continue
        for action, resource in steps(principal):
            outcome = principal.allowed(action, resource)
            what = f"{principal.caller.arn} {action} on {resource}: {outcome}"
            check(outcome != "allowed", "a step to administrator that is not reported", what)


def steps(principal: Principal) -> Iterator[tuple[str, str]]:
    """Requests each of which makes somebody an administrator: of themselves, of their groups, of who is one."""
    arn = f"arn:{catalog.partition(principal.account.home_region)}:iam::{principal.account_id}"
    if not principal.caller.role:
        own = f"{arn}:user/people/{principal.caller.name}"
        yield from ((f"iam:{name}", own) for name in ("AttachUserPolicy", "PutUserPolicy"))
        for group in principal.caller.groups:
            path = next(g.path for g in principal.account.groups if g.name == group)
            yield from (
                (f"iam:{name}", f"{arn}:group{path}{group}") for name in ("AttachGroupPolicy", "PutGroupPolicy")
            )
    else:
        yield from ((f"iam:{name}", principal.caller.role) for name in ("AttachRolePolicy", "PutRolePolicy"))
    for policy in principal.account.own_policies:
        yield "iam:CreatePolicyVersion", f"{arn}:policy{policy.path}{policy.name}"
    for other in principal.account.groups:
        if other.name in ("admins", "break-glass"):
            yield "iam:AddUserToGroup", f"{arn}:group{other.path}{other.name}"
    for user in principal.account.users:
        if set(user.groups) & {"admins", "break-glass"} and user.name != principal.caller.name:
            for name in ("CreateLoginProfile", "UpdateLoginProfile", "CreateAccessKey"):
                yield f"iam:{name}", f"{arn}:user{user.path}{user.name}"


# --- determinism ----------------------------------------------------------------------------------------------------

_ELSEWHERE = (
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "LANG": "tr_TR.UTF-8"},
)
_WORKERS: list[Worker] = []


def determinism(org: Compiled) -> None:
    """The same bytes in other processes, with other hash seeds, zones and languages, and in any order of the text."""
    if not _WORKERS:
        _WORKERS.extend(map(Worker, _ELSEWHERE))
    mine = dump(org.text)
    for worker in _WORKERS:
        check(worker.dump(org.text) == mine, "other bytes in another process", worker.environment)
    tree = yaml.safe_load(org.text)
    for _ in range(2):
        other = organizations.text(shuffled(tree, org.dice(f"order {_}")))
        again = compiled.__wrapped__(other)
        check(again is not None, "another order does not compile", other)
        if again is not None:
            check([b for _, b in again.made] == [b for _, b in org.made], "another order is another baseline", other)


# --- two organisations ----------------------------------------------------------------------------------------------

_BETWEEN = "--- # and after the edit\n"


def edited(dice: random.Random) -> str:
    """An organisation, and the same after an edit or two."""
    tree = organizations.organization(dice)
    tree.pop("waivers", None)
    after = json.loads(json.dumps(tree))
    for _ in range(dice.randint(1, 2)):
        team = after["teams"][dice.choice(sorted(after["teams"]))]
        kind = dice.randrange(5)
        if kind == 0 and len(team["duties"]) > 1:
            team["duties"].pop(dice.randrange(len(team["duties"])))
        elif kind == 1:
            team["members"] = [*team["members"], "zoe"]
            if "people" in after:
                del after["people"]
        elif kind == 2 and len(team["members"]) > 1:
            team["members"].pop()
        elif kind == 3:
            team["never"] = ["manage-billing"]
        else:
            tables = {"read-tables": {"tables": ["zzz-*"]}}
            team["duties"] = [d for d in team["duties"] if "read-tables" not in d] + [tables]
    return organizations.text(tree) + _BETWEEN + organizations.text(after)


def comparison(text: str) -> bool:
    """What `compare` says of two organisations is what the judges say of requests: no gain or loss is left out."""
    texts = text.split(_BETWEEN)
    if len(texts) != 2:
        return False
    old, new = (compiled(one) for one in texts)
    if old is None or new is None or [d.name for d, _ in old.made] != [d.name for d, _ in new.made]:
        return False
    for (destination, before), (_, after) in zip(old.made, new.made, strict=True):
        changes = compare_baselines(before, after)
        told = {(c.kind, c.name, c.session): c.comparison for c in changes}
        mine = {(p.caller.kind, p.caller.name): p for p in old.principals if p.destination == destination}
        theirs = {(p.caller.kind, p.caller.name): p for p in new.principals if p.destination.name == destination.name}
        for key in sorted(mine.keys() & theirs.keys()):
            found = told.get((*key, "role" if mine[key].caller.role else "mfa"))
            dice = old.dice("comparison")
            for action, resource in (*requests(mine[key], dice), *requests(theirs[key], dice)):
                outcomes = mine[key].allowed(action, resource), theirs[key].allowed(action, resource)
                what = f"{key} {action} on {resource}: {outcomes}"
                if outcomes == ("denied", "allowed"):
                    check(found is not None and bool(found.gained or found.unknown), "a gain that is not told", what)
                if outcomes == ("allowed", "denied"):
                    check(found is not None and bool(found.lost or found.unknown), "a loss that is not told", what)
        for change in changes:
            _replayed(change.comparison.gained, theirs.get((change.kind, change.name)), "gained")
            _replayed(change.comparison.lost, mine.get((change.kind, change.name)), "lost")
    return True


def _replayed(differences: Iterable[object], principal: Principal | None, what: str) -> None:
    """Each witness is allowed on the side that has it, by its own policies: a role's trust is compared by itself."""
    if principal is None:
        return
    for one in differences:
        witness = one.witness  # type: ignore[attr-defined]
        found = principal.judge.decide(witness)
        denied = found.outcome == "denied" and found.silent != ("trust policy",)
        check(not denied, f"what is {what} is denied", witness)


ALL: Mapping[str, Invariant] = {
    "permissions": permissions,
    "never": never,
    "mfa": mfa,
    "quotas": quotas,
    "escalation": escalation,
}
SUBJECTS: Mapping[str, Subject] = {
    "organization": Subject(made, holds(ALL.values()), "yaml", share=24, seconds=60, whole_lines=True),
    "determinism": Subject(made, holds([determinism]), "yaml", share=8, seconds=120, whole_lines=True),
    "comparison": Subject(edited, comparison, "yaml", share=10, seconds=120, whole_lines=True),
    **synthesis.SUBJECTS,
    **properties.SUBJECTS,
    **{
        name: Subject(made, holds([invariant]), "yaml", share=0, seconds=60, whole_lines=True)
        for name, invariant in ALL.items()
    },
}
