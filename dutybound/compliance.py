"""Which controls of CIS and of AWS's best practices a baseline meets, which it does not, and which are not its to meet.

`data/controls.json` names the controls of each benchmark that are about identity. What decides one is a function here,
judged from what the baseline puts into the account, or, where no template can touch it, the text `elsewhere`: who has
to do what. 'met' is said only of what the baseline itself makes so, and 'not ours' of what it leaves to people, the
steps of `dutybound steps` included: nobody here knows whether they were taken. What else is in the account is not seen.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from dutybound.arns import Where
from dutybound.baseline import Account, Baseline, Group, ManagedPolicy, Role
from dutybound.boundary import BOUNDARY
from dutybound.callers import ACCOUNT_ID, Caller, Session, callers
from dutybound.detectors import IDENTITY_RULE
from dutybound.diagnostic import Span, visible
from dutybound.evaluate import Judge, Policies, Request, in_account
from dutybound.fence import LOCK
from dutybound.managed import managed_policy
from dutybound.mfa import ENROL, MAKE_DEVICE, SEE_RULES, SELF
from dutybound.policy import Policy, Statement, glob, minified
from dutybound.witness import OwnSide, possible, witness

State = Literal["met", "not met", "not ours"]
Benchmark = Literal["cis-7", "cis-5", "fsbp"]
BENCHMARKS: tuple[Benchmark, ...] = get_args(Benchmark)
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Control:
    """One control of a benchmark: `id` is 'CIS 2.8' or 'IAM.5', `name` what it asks for, shared by all benchmarks."""

    id: str
    benchmark: Benchmark
    name: str
    title: str
    level: str
    """'L1' and 'L2' of CIS; of AWS's best practices the severity that Security Hub gives it."""
    assessment: str
    """How the benchmark has it checked: 'automated' or 'manual'."""
    security_hub: str | None = None
    """The id of the same control in Security Hub."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a baseline makes of a control. `where` are lines for people: the YAML line, the stack, or who does what."""

    control: Control
    state: State
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one account makes of what a control asks for."""

    state: State
    where: tuple[str, ...]


def compliance(baseline: Baseline, benchmarks: Iterable[Benchmark] = BENCHMARKS) -> tuple[Outcome, ...]:
    """Every control of these benchmarks, in their order, as the baseline meets it.

    Of several accounts the worst counts: not met in one is not met. What two benchmarks ask for alike is judged once.
    """
    chosen = [control for benchmark in benchmarks for control in controls(benchmark)]
    judged = {name: _everywhere(baseline, name) for name in dict.fromkeys(control.name for control in chosen)}
    return tuple(Outcome(control, judged[control.name].state, judged[control.name].where) for control in chosen)


def _everywhere(baseline: Baseline, name: str) -> Judged:
    if name not in FUNCTIONS:
        return Judged("not ours", (_elsewhere()[name],))
    found = [(account, FUNCTIONS[name](baseline, account)) for account in baseline.accounts]
    state = min((judged.state for _, judged in found), key=("not met", "not ours", "met").index)
    several = len(found) > 1
    where = (f"{account.id}: {line}" if several else line for account, judged in found for line in judged.where)
    return Judged(state, tuple(where))


# --- the controls as data -------------------------------------------------------------------------------------------


@cache
def controls(benchmark: Benchmark) -> tuple[Control, ...]:
    """The controls of a benchmark that are about identity, in its order."""
    found = [_control(entry, benchmark) for entry in _read()["controls"] if benchmark in entry]
    return tuple(sorted(found, key=lambda control: _order(control.id)))


def title(benchmark: Benchmark) -> str:
    """The benchmark's whole name, with its version."""
    return str(_read()["benchmarks"][benchmark]["title"])


def _control(entry: Any, benchmark: Benchmark) -> Control:
    of_cis = benchmark != "fsbp"
    return Control(
        f"CIS {entry[benchmark]}" if of_cis else entry[benchmark],
        benchmark,
        entry["name"],
        entry["title"],
        f"L{entry['level']}" if of_cis else entry["severity"],
        entry["assessment"] if of_cis else "automated",
        entry.get("security_hub"),
    )


def _order(id_: str) -> tuple[str, tuple[int, ...]]:
    head, _, numbers = id_.replace("CIS ", "CIS.").partition(".")
    return head, tuple(map(int, numbers.split(".")))


@cache
def _elsewhere() -> dict[str, str]:
    """Who has to do what, for what no template can touch."""
    return {entry["name"]: entry["elsewhere"] for entry in _read()["controls"] if "elsewhere" in entry}


@cache
def _read() -> Any:
    return json.loads((resources.files("dutybound") / "data" / "controls.json").read_bytes())


# --- who may do what ------------------------------------------------------------------------------------------------

_MOST = 6
"""Lines of one kind that are shown of a control that is not met."""
_WITHOUT_MFA: dict[Session, str] = {"no-mfa": "without MFA", "key": "with an access key alone"}
_LEFT: dict[Session, frozenset[str]] = {
    "no-mfa": frozenset({*SEE_RULES, *ENROL, *MAKE_DEVICE}),
    "key": frozenset({"iam:ListMFADevices", "sts:GetCallerIdentity", "sts:GetSessionToken"}),
}
"""What may be left without MFA: enrolment; with a key alone, asking AWS for a session with it."""


def console_mfa(baseline: Baseline, account: Account) -> Judged:
    """Asked of the judge, over every action: without MFA nobody can do more than enrol, and that for oneself alone."""
    users = {user.name: user for user in account.users}
    people = [caller for caller in callers(baseline, account) if not caller.role]
    settled: set[str] = set()
    for alike in _with_the_same_denies(people):
        # Whoever has any rights and the same denies can do at least as much: mostly that one answer settles all.
        most = replace(alike[-1], policies=_any_rights(alike[-1]))
        if not any(_beyond_enrolment(most, session, account.home_region) for session in _WITHOUT_MFA):
            settled.update(caller.name for caller in alike)
    open_ = {(c.policies, c.tags): c for c in people if c.name not in settled}
    found = [
        f"{_at(users[caller.name].span)}{visible(caller.name)} can do {more} {_WITHOUT_MFA[session]}"
        for caller in open_.values()
        for session in _WITHOUT_MFA
        if (more := _beyond_enrolment(caller, session, account.home_region))
    ]
    if found:
        return _not_met(found)
    proved = f"{_users(account)}: without MFA each can enrol a device of their own, and nothing else"
    note = "a scanner looks for the devices: it reports a user from the first password to the enrolment"
    return Judged("met", (proved, note))


def _with_the_same_denies(people: Iterable[Caller]) -> Iterable[list[Caller]]:
    """Callers by their boundary and what denies them something for want of MFA; worked out once for the same groups."""
    in_groups: dict[object, list[Caller]] = {}
    for caller in people:
        in_groups.setdefault((id(caller.policies.boundary), *map(id, caller.policies.groups)), []).append(caller)
    found: dict[object, list[Caller]] = {}
    for alike in in_groups.values():
        found.setdefault((alike[0].policies.boundary, _mfa_denies(alike[0])), []).extend(alike)
    return found.values()


def _mfa_denies(caller: Caller) -> frozenset[Statement]:
    """The denies of somebody's policies that ask about MFA."""
    every = (s for group in caller.policies.groups for policy in group for s in policy.statements)
    return frozenset(
        s for s in every if s.effect == "Deny" and any("multifactor" in c.key.lower() for c in s.conditions)
    )


def _any_rights(caller: Caller) -> Policies:
    """Every right, within those denies and the boundary: what somebody has is never more."""
    denies = sorted(_mfa_denies(caller), key=lambda s: minified(s.document()))
    most = Policy((Statement("AnyRights", "Allow", ("*",), ("*",)), *denies))
    return Policies(identity=(most,), boundary=caller.policies.boundary)


def _beyond_enrolment(caller: Caller, session: Session, region: str) -> str:
    """An action that is more than enrolment of oneself, or one more of them; empty if there is none."""
    where, side = Where(caller.arn, caller.arn.split(":")[4], region), OwnSide(caller.policies)
    forms = tuple(form.replace("${aws:username}", caller.name) for form in SELF)
    oneself = Judge([in_account(Policy((Statement("Own", "Allow", ("*",), forms),)), where.account)])
    # Some services are said not to send aws:ViaAWSService.
    for known in (caller.known(session), {**caller.known(session), "aws:ViaAWSService": None}):
        for action in sorted(possible(caller.policies, known), key=str):
            left = str(action) in _LEFT[session]
            if left and "user" not in action.types:
                continue
            if witness(side, action, known, where, but=oneself if left else None) is not None:
                return f"{action}{' for others' if left else ''}"
    return ""


def groups_only(_baseline: Baseline, account: Account) -> Judged:
    """By construction: a `User` of a baseline has groups, a boundary that grants nothing, and no policy."""
    return Judged("met", (f"{_users(account)}: each has what its groups hold",))


def no_keys_at_setup(_baseline: Baseline, account: Account) -> Judged:
    """By construction: a baseline has no access keys, and its templates no `AWS::IAM::AccessKey`."""
    return Judged("met", (f"{_users(account)}: the templates hold no access key",))


def no_inline_decrypting(_baseline: Baseline, account: Account) -> Judged:
    """By construction: every policy is a managed one, of ours or of AWS."""
    count = len(account.groups) + len(account.roles)
    return Judged("met", (f"no inline policy: {count} groups and roles hold managed policies alone",))


# --- what policies allow --------------------------------------------------------------------------------------------


def no_full_rights(_baseline: Baseline, account: Account) -> Judged:
    """As CIS audits it: a statement that allows `*` on `*`, in any policy that is attached, AWS's included."""
    held: tuple[Group | Role, ...] = (*account.groups, *account.roles)
    found = [line for holder in held for line in _full_rights(account, holder)]
    return _not_met(found) if found else Judged("met", (f"none of {len(held)} groups and roles holds one",))


def _full_rights(account: Account, holder: Group | Role) -> Iterator[str]:
    asked = {id_: origin.asked for id_, origin in holder.attached}
    why = ": emergencies need it, an exception to put on record" if holder.path == "/break-glass/" else ""
    for id_ in holder.managed:
        if any(map(_allows_everything, managed_policy(id_).policy.statements)):
            yield f"{_at(asked.get(id_) or holder.span)}{_who(holder)} holds {id_}{why}"
    for name in holder.policies:
        if any(map(_allows_everything, account.policy(name).policy.statements)):
            yield f"{_at(holder.span)}{_who(holder)} holds {visible(name)}{why}"


def _allows_everything(statement: Statement) -> bool:
    every = any(not action.strip("*:") for action in statement.actions)
    return statement.effect == "Allow" and every and "*" in statement.resources


def no_own_full_rights(_baseline: Baseline, account: Account) -> Judged:
    """Security Hub User Guide, IAM.1: `*` on `*` in a customer managed policy, attached or not."""
    return _no_statement(account, _allows_everything, "allows everything")


def no_whole_service(_baseline: Baseline, account: Account) -> Judged:
    """Security Hub User Guide, IAM.21: `service:*`, or all but what NotAction names."""

    def whole(statement: Statement) -> bool:
        named = any(not action.partition(":")[2].strip("*?") for action in statement.actions)
        return statement.effect == "Allow" and (named or bool(statement.not_actions))

    return _no_statement(account, whole, "allows every action of a service")


def no_decrypting_everything(_baseline: Baseline, account: Account) -> Judged:
    """Security Hub User Guide, KMS.1: decryption on every key, whatever the conditions.

    The judge is asked about a key and a Region that no policy can mean by name: all keys of one Region are not every
    key, as the guide has it.
    """
    account_id = account.id or ACCOUNT_ID
    key = f"arn:aws:kms:xx-other-1:{account_id}:key/00000000-0000-0000-0000-000000000000"
    requests = [Request("", f"kms:{name}", key, {}) for name in ("Decrypt", "ReEncryptFrom")]

    def decrypts(statement: Statement) -> bool:
        named = (glob(action.lower()).fullmatch(r.action.lower()) for action in statement.actions for r in requests)
        if statement.effect == "Deny" or not (statement.not_actions or any(named)):
            return False
        alone = Policy((replace(statement, conditions=()),))
        judge = Judge([in_account(alone, account_id)])
        return any(judge.decide(request).outcome != "denied" for request in requests)

    return _no_statement(account, decrypts, "allows decryption with every key")


def _no_statement(account: Account, wrong: Callable[[Statement], bool], does: str) -> Judged:
    """No statement of the account's own policies is wrong; boundaries are left out, as Security Hub leaves them out."""
    boundaries = _boundaries(account)
    own = [policy for policy in account.policies if policy.name not in boundaries]
    found = [_statement(policy, s, does) for policy in own for s in policy.policy.statements if wrong(s)]
    if found:
        return _not_met(dict.fromkeys(found))
    none = f"none of {len(own)} customer managed policies {does}"
    note = f"{BOUNDARY} is left out as a boundary; a scanner may report it until a role has it"
    return Judged("met", (none, note) if BOUNDARY in boundaries else (none,))


def _statement(policy: ManagedPolicy, statement: Statement, does: str) -> str:
    span = next((o.asked or o.granted for o in statement.origins if o.asked or o.granted), None)
    duties = ", ".join(dict.fromkeys(f"duty {visible(o.duty)}" for o in statement.origins))
    return f"{_at(span)}{visible(policy.name)} {does}{f' ({duties})' if duties else ''}"


def _boundaries(account: Account) -> frozenset[str]:
    """The names of policies that only limit, and grant nothing."""
    used = {user.permissions_boundary for user in account.users if user.permissions_boundary}
    used |= {role.permissions_boundary for role in account.roles if role.permissions_boundary}
    ours = {policy.name for policy in account.policies if policy.name == BOUNDARY}
    return frozenset(used | ours)


def cloudshell(_baseline: Baseline, account: Account) -> Judged:
    """The AWS managed policy that CIS and Security Hub name, on a group or a role."""
    found = _holding((*account.groups, *account.roles), "AWSCloudShellFullAccess")
    return _not_met(found) if found else Judged("met", ("no group and no role holds it",))


def support_role(_baseline: Baseline, account: Account) -> Judged:
    """A role with AWS's policy for it, as CIS and Security Hub look for it, that somebody can take."""
    taken = [
        role
        for role in account.roles
        if any(principal.kind != "Service" for s in role.trust.statements for principal in s.principals)
    ]
    if found := _holding(taken, "AWSSupportAccess"):
        return Judged("met", tuple(found))
    line = "no role that people take holds AWSSupportAccess: give one the duty contact-aws-support"
    return Judged("not met", (line,))


def _holding(holders: Iterable[Group | Role], name: str) -> list[str]:
    """Who holds an AWS managed policy, with the line that gives it."""
    out = []
    for holder in holders:
        if name in holder.managed:
            asked = next((origin.asked for id_, origin in holder.attached if id_ == name), None)
            out.append(f"{_at(asked or holder.span)}{_who(holder)} holds {name}")
    return out


def open_resource_policies(_baseline: Baseline, account: Account) -> Judged:
    """Trust, topic and secrets of the baseline let nobody in without a condition; other resources are not ours."""
    named: list[tuple[str, Policy]] = [
        (f"{_at(role.span)}the trust of {_who(role)}", role.trust) for role in account.roles
    ]
    if account.alarm is not None:
        if account.alarm.topic is not None:
            named += [("the break-glass topic", account.alarm.topic.policy)]
        if account.alarm.bus is not None:
            named += [("the default event bus", account.alarm.bus.policy)]
        named += [("the trust of the alarm's role", account.alarm.forwarder.trust)]
    named += [(f"the secret {visible(secret.name)}", secret.policy) for secret in account.secrets]
    found = [f"{what} lets everybody in" for what, policy in named if any(map(_open, policy.statements))]
    if found:
        return _not_met(found)
    ours = f"the {len(named)} policies on resources of this configuration say whom they let in"
    theirs = "whoever makes buckets, keys, queues and topics: IAM Access Analyzer lists the open ones"
    return Judged("not ours", (theirs, ours))


def _open(statement: Statement) -> bool:
    everybody = any("*" in principal.values for principal in statement.principals) or statement.not_principals
    return statement.effect == "Allow" and bool(everybody) and not statement.conditions


def access_analyzer(_baseline: Baseline, account: Account) -> Judged:
    """CIS asks for every Region in use, which are those of `guardrails.regions` if the configuration names them."""
    if account.analyzed_in is not None:
        line = f"account {account.analyzed_in} holds analyzers of the whole organization"
        return Judged("met", (line, "a scanner that looks for one in each account reports this one"))
    region_of = {stack.name: stack.region for stack in account.stacks}
    places = sorted(region_of[a.stack] for a in account.analyzers if a.type in ("ACCOUNT", "ORGANIZATION"))
    if not places:
        return Judged("not met", ("no analyzer looks for external access: write `detectors: {external_access: true}`",))
    found = f"an analyzer in {', '.join(places)}"
    if any(s.sid == LOCK for policy in account.policies for s in policy.policy.statements):
        return Judged("met", (f"{found}; guardrails.regions keeps people and roles out of the others",))
    return Judged("not ours", ("whoever works in other Regions: name them in guardrails.regions", found))


def root_alarm(_baseline: Baseline, account: Account) -> Judged:
    """The alarm's rule, in every Region where the root user's sign-ins land."""
    return _watched(account, "break-glass-root", "")


def iam_alarm(_baseline: Baseline, account: Account) -> Judged:
    """The alarm's rule for changes of identities, where `detectors` asks for it."""
    return _watched(account, IDENTITY_RULE, "write `detectors: {identity_changes: true}`")


def _watched(account: Account, name: str, key: str) -> Judged:
    stacks = {rule.stack for rule in account.alarm.rules if rule.name == name} if account.alarm is not None else set()
    if not stacks:
        return Judged("not met", (f"no rule {name}{': ' + key if key else ''}",))
    places = sorted(stack.region for stack in account.stacks if stack.name in stacks)
    needs = "it hears what a trail with management events logs, which `dutybound steps` looks for"
    note = "a scanner looks for a metric filter of CloudWatch instead, and reports that there is none"
    return Judged("met", (f"the rule {name} in {', '.join(places)}", needs, note))


def central_users(_baseline: Baseline, account: Account) -> Judged:
    """Whether people are users of the account; those of break-glass have to be, and do not count."""
    people = [user for user in account.users if user.path == "/people/"]
    if not people:
        return Judged("met", ("nobody but break-glass is an IAM user",))
    return _not_met([f"{_at(user.span)}{visible(user.name)} is a user of this account" for user in people])


# --- passwords ------------------------------------------------------------------------------------------------------

_CLASSES = frozenset({"lowercase", "numbers", "symbols", "uppercase"})


def password_length(_baseline: Baseline, account: Account) -> Judged:
    """CIS asks for 14 characters."""
    return _at_least(account, "minimum_length", account.passwords.minimum_length, 14)


def password_reuse(_baseline: Baseline, account: Account) -> Judged:
    """CIS asks for 24 passwords, the most that IAM remembers."""
    return _at_least(account, "remember", account.passwords.remember, 24)


def password_strength(_baseline: Baseline, account: Account) -> Judged:
    """Security Hub User Guide, IAM.7 with its default parameters."""
    length = _at_least(account, "minimum_length", account.passwords.minimum_length, 8)
    missing = sorted(_CLASSES - set(account.passwords.require or ()))
    if not missing:
        return length
    lacks = f"{_at(account.passwords.span)}passwords.require does not ask for {', '.join(missing)}"
    return Judged("not met", (*(length.where if length.state == "not met" else ()), lacks))


def _at_least(account: Account, key: str, value: int | None, least: int) -> Judged:
    """A setting of the password policy, which no template can hold: what is asked for somebody still has to set."""
    place = _at(account.passwords.span)
    if value is not None and value >= least:
        step = "an administrator has to run `dutybound steps | sh`, which sets it"
        return Judged("not ours", (f"{place}passwords.{key} is {value}; {step}",))
    said = "is not named" if value is None else f"is {value}"
    return Judged("not met", (f"{place}passwords.{key} {said}; it takes at least {least}",))


# --- words ----------------------------------------------------------------------------------------------------------


def _not_met(found: Iterable[str]) -> Judged:
    listed = list(found)
    more = (f"and {len(listed) - _MOST:,} more",) if len(listed) > _MOST else ()
    return Judged("not met", (*listed[:_MOST], *more))


def _who(holder: Group | Role) -> str:
    kind = "role" if isinstance(holder, Role) else "team" if holder.path == "/teams/" else "group"
    return f"{kind} {visible(holder.name)}"


def _at(span: Span | None) -> str:
    return f"{visible(span.place)}: " if span else ""


def _users(account: Account) -> str:
    stacks = sorted({user.stack for user in account.users})
    return f"{len(account.users)} user{'s' * (len(account.users) != 1)} (in {' and '.join(stacks)})"


FUNCTIONS: dict[str, Callable[[Baseline, Account], Judged]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        access_analyzer,
        central_users,
        cloudshell,
        console_mfa,
        groups_only,
        iam_alarm,
        no_decrypting_everything,
        no_full_rights,
        no_inline_decrypting,
        no_keys_at_setup,
        no_own_full_rights,
        no_whole_service,
        open_resource_policies,
        password_length,
        password_reuse,
        password_strength,
        root_alarm,
        support_role,
    )
}
"""What decides a control, by the control's name in the data."""


# --- for people and for tools ---------------------------------------------------------------------------------------

WIDTH = 100
_COLOURS: dict[State, str] = {"met": "32", "not met": "31", "not ours": "33"}
_SCOPE = "Judged is what this configuration puts into an account. What else is there, Dutybound does not see."


def text(outcomes: Sequence[Outcome], paint: bool = False) -> str:
    """The outcomes by benchmark, in lines of 100 columns, and how many there are of each state."""
    lines = []
    for benchmark, found in _by_benchmark(outcomes):
        lines += [f"{title(benchmark)}: {_counts(found)}", ""]
        width = max(len(outcome.control.id) for outcome in found)
        lines += [line for outcome in found for line in _lines(outcome, width, paint)]
        lines.append("")
    return "\n".join([*lines, _SCOPE])


def _lines(outcome: Outcome, width: int, paint: bool) -> Iterator[str]:
    control, state = outcome.control, f"{outcome.state:8}"
    shown = f"\x1b[{_COLOURS[outcome.state]}m{state}\x1b[0m" if paint else state
    yield f"{shown}  {control.id:{width}}  {control.title} ({control.level})"
    for line in outcome.where:
        yield from textwrap.wrap(
            line,
            WIDTH,
            initial_indent=" " * (12 + width),
            subsequent_indent=" " * (14 + width),
            break_long_words=False,
            break_on_hyphens=False,
        )


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a section with a table for each benchmark."""
    lines = []
    for benchmark, found in _by_benchmark(outcomes):
        lines += [f"## {title(benchmark)}", "", f"{_counts(found)}.", ""]
        lines += ["| | control | state | where |", "|---|---|---|---|"]
        for outcome in found:
            control = outcome.control
            cells = (control.id, f"{control.title} ({control.level})", outcome.state, "<br>".join(outcome.where))
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join([*lines, _SCOPE])


def as_json(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as one JSON object: the counts, and every control with its state."""
    controls_ = [
        {
            "id": outcome.control.id,
            "benchmark": outcome.control.benchmark,
            "name": outcome.control.name,
            "title": outcome.control.title,
            "level": outcome.control.level,
            "assessment": outcome.control.assessment,
            "security_hub": outcome.control.security_hub,
            "state": outcome.state,
            "where": list(outcome.where),
        }
        for outcome in outcomes
    ]
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}
    return json.dumps({"counts": counts, "controls": controls_}, indent=2, ensure_ascii=False)


def _by_benchmark(outcomes: Sequence[Outcome]) -> Iterator[tuple[Benchmark, list[Outcome]]]:
    for benchmark in dict.fromkeys(outcome.control.benchmark for outcome in outcomes):
        yield benchmark, [outcome for outcome in outcomes if outcome.control.benchmark == benchmark]


def _counts(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{sum(o.state == state for o in outcomes)} {state}" for state in STATES)
