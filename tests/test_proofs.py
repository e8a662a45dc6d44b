"""What MFA and break-glass promise, proved for everybody whom the examples make, over all that they could ask for.

The configurations are `config/` and the examples, each in every environment it names. Of the 22,000 actions of the
reference `possible` takes away those that are denied whatever the request; for the others `witness` looks for a request
of each kind that the policies tell apart, so that "none found" is a proof, and 'unknown' counts as found.

Kinds of callers, by what their requests say of MFA (IAM User Guide, "AWS global condition context keys",
aws:MultiFactorAuthPresent, and "Secure API access with MFA"):

- `key`: a long-term access key used directly; the key is absent.
- `no-mfa`: a console session without MFA, and one of GetSessionToken without a code; 'false'. The second can do less:
  AWS takes no call of IAM from it (STS API Reference, GetSessionToken).
- `mfa`: a console session with MFA, and one of GetSessionToken with a code; 'true'.
- `role`: the session of a role, however it was taken; the key is absent.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from dutybound import catalog
from dutybound.arns import Where
from dutybound.baseline import Account, Baseline
from dutybound.callers import ACCOUNT_ID, Caller, Session, callers, teams
from dutybound.catalog import Action
from dutybound.compiler import compile_everywhere, compile_text
from dutybound.evaluate import Judge, Policies, in_account
from dutybound.managed import managed_policy
from dutybound.mfa import SELF
from dutybound.policy import Policy, Statement
from dutybound.witness import Known, OwnSide, Side, possible, witness
from tests.conftest import ROOT
from tests.test_mfa import ENROLMENT

CONFIGURATIONS = [ROOT / "config", *sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())]
CHANGING = ("write", "tagging", "permissions")

FIRST_PASSWORD = {"company", "organization", "small-team"}
"""The examples with `first_password_change: true`; it is not for break-glass users."""
ADMINISTRATORS_ALONE = {"identity-center management", "personal"}
"""Accounts in which nobody else does anything."""
WITHOUT_MFA: tuple[Session, ...] = ("role", "key", "no-mfa")
MADE = "made by a team"
KEY_ALONE = {"iam:ListMFADevices", "sts:GetCallerIdentity", "sts:GetSessionToken"}
ADDING = {"iam:CreateVirtualMFADevice", "iam:EnableMFADevice"}
REMOVING = {"iam:DeactivateMFADevice", "iam:DeleteVirtualMFADevice"}


@dataclass(frozen=True)
class Made:
    """What a configuration gives in one environment."""

    name: str
    baseline: Baseline
    account: Account


@cache
def made_of(path: Path) -> tuple[Made, ...]:
    """The account of a configuration, once for each environment."""
    out = []
    for environment, checked in compile_everywhere(path).items():
        assert checked.value is not None, checked.diagnostics
        name = f"{path.name} {environment or ''}".strip()
        out += [Made(name, checked.value, account) for account in checked.value.accounts]
    assert out
    return tuple(out)


def different(found: Iterator[Caller]) -> list[Caller]:
    """The callers, of those with the same policies and tags one."""
    return list({(c.kind, c.role, c.policies, c.tags): c for c in found}.values())


def people(made: Made) -> list[Caller]:
    """Everybody who signs in: people and break-glass users."""
    return different(c for c in callers(made.baseline, made.account) if not c.role)


def everybody(made: Made) -> list[Caller]:
    """All principals, somebody of each team alone, and the most that a role which a team makes can be given."""
    found = [*callers(made.baseline, made.account), *teams(made.baseline, made.account), *created_roles(made)]
    return different(iter(found))


def created_roles(made: Made) -> Iterator[Caller]:
    """A role within the boundary of `guardrails.boundary` to which its maker gave every right."""
    any_rights = Policy((Statement("AnyRights", "Allow", ("*",), ("*",)),))
    for policy in made.account.policies:
        if policy.name == "workload-boundary":
            bounded = Policies(identity=(any_rights,), boundary=in_account(policy.policy, ACCOUNT_ID))
            arn, role = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/made/x", f"arn:aws:iam::{ACCOUNT_ID}:role/app/made"
            yield Caller(MADE, "role", arn, bounded, (), made.baseline.tags, role)


def where(made: Made, caller: Caller) -> Where:
    """The account and home Region of a caller."""
    return Where(caller.arn, caller.arn.split(":")[4], made.account.home_region)


def enrolment(made: Made, caller: Caller) -> set[str]:
    """What a person or break-glass user may do without MFA."""
    changes = caller.kind == "person" and made.name.partition(" ")[0] in FIRST_PASSWORD
    return ENROLMENT | ({"iam:ChangePassword"} if changes else set())


def signed_in(caller: Caller, session: Session) -> Iterator[Known]:
    """What direct requests say; some services are said not to send aws:ViaAWSService."""
    known = caller.known(session)
    yield known
    yield {**known, "aws:ViaAWSService": None}


def own(caller: Caller) -> Judge:
    """Whatever is about the caller's own user, and nothing else. Names of users are unique, whatever their path."""
    name = caller.arn.rpartition("/")[2]
    forms = tuple(form.replace("${aws:username}", name) for form in SELF)
    return Judge([in_account(Policy((Statement("Own", "Allow", ("*",), forms),)), ACCOUNT_ID)])


def actions(names: set[str]) -> list[Action]:
    """The actions of the reference with these names."""
    return [action for name in sorted(names) for action in catalog.actions_of(name)]


# --- MFA ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_without_mfa_nothing_but_enrolment_of_oneself(path: Path) -> None:
    """Of all actions those of enrolment are left, and those that are about a user only on one's own."""
    for made in made_of(path):
        # Elsewhere than in the hub nobody is; with Identity Center break-glass users alone, who are alike.
        assert bool(people(made)) == bool(made.account.users)
        for person in people(made):
            here, side = where(made, person), OwnSide(person.policies)
            for known in signed_in(person, "no-mfa"):
                left = possible(person.policies, known)
                assert {str(action) for action in left} <= enrolment(made, person), person.name
                about_users = [action for action in left if "user" in action.types]
                assert len(about_users) >= 4
                for action in about_users:
                    assert witness(side, action, known, here, but=own(person)) is None, (person.name, str(action))
            for action in actions({"iam:EnableMFADevice"}):
                found = witness(side, action, person.known("no-mfa"), here, resource=person.arn)
                assert found is not None
                assert found.outcome == "allowed", "nobody could ever enrol"


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_a_key_alone_asks_for_a_session_and_nothing_else(path: Path) -> None:
    """Of all actions three are left, and one's own devices alone are listed."""
    for made in made_of(path):
        for person in people(made):
            here, side = where(made, person), OwnSide(person.policies)
            for known in signed_in(person, "key"):
                left = possible(person.policies, known)
                assert {str(action) for action in left} <= KEY_ALONE, person.name
                for action in actions({"iam:ListMFADevices"}):
                    assert witness(side, action, known, here, but=own(person)) is None, person.name


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_what_is_stolen_takes_no_device_away(path: Path) -> None:
    """A key can neither add nor remove a device, of anybody; a password cannot remove one.

    That a password adds one to a user is what policy cannot prevent: see docs/language.md.
    """
    for made in made_of(path):
        for person in people(made):
            here, side = where(made, person), OwnSide(person.policies)
            stolen: dict[Session, set[str]] = {"key": ADDING | REMOVING, "no-mfa": REMOVING}
            for session, out_of_reach in stolen.items():
                for known in signed_in(person, session):
                    for action in actions(out_of_reach):
                        assert witness(side, action, known, here) is None, (person.name, session, str(action))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_what_asks_for_mfa_gives_nothing_without(path: Path) -> None:
    """Every statement that allows with MFA, held by whomever: a role's session, a key and a password get nothing."""
    for made in made_of(path):
        every = [(caller, policy) for caller in everybody(made) for policy in granting(caller)]
        asking = {
            statement: caller
            for caller, policy in every
            for statement in policy.statements
            if statement.effect == "Allow" and any("multifactor" in c.key.lower() for c in statement.conditions)
        }
        # In the other accounts of an organization sessions of roles prove MFA by their trust, and are not asked again.
        assert asking or path.name in ("identity-center", "organization")
        for statement, holder in asking.items():
            alone, here = OwnSide(Policies(identity=(Policy((statement,)),))), where(made, holder)
            for session in WITHOUT_MFA:
                known = holder.known(session)
                for action in sorted(catalog.spoken_of(statement)):
                    assert witness(alone, action, known, here) is None, (statement.sid, session)


def granting(caller: Caller) -> tuple[Policy, ...]:
    """The identity policies of a caller and of its groups."""
    return (*caller.policies.identity, *(policy for group in caller.policies.groups for policy in group))


@pytest.mark.parametrize(
    ("sid", "session", "name"),
    [
        ("DenySessionsWithoutMfa", "no-mfa", "iam:DeactivateMFADevice"),
        ("DenyLongTermKeys", "key", "iam:DeactivateMFADevice"),
        ("DenyOthersWithoutMfa", "no-mfa", "iam:EnableMFADevice"),
    ],
)
def test_each_deny_is_needed(sid: str, session: Session, name: str) -> None:
    """The mutation: one deny taken away from an administrator, and the search finds a request on somebody else."""
    made = made_of(ROOT / "config")[0]
    person = next(p for p in people(made) if p.groups == ("administrators",))
    here, known = where(made, person), person.known(session)
    without = tuple(Policy(tuple(s for s in p.statements if s.sid != sid)) for p in granting(person))
    lax = replace(person.policies, groups=(without,))
    for action in actions({name}):
        assert witness(OwnSide(person.policies), action, known, here, but=own(person)) is None
        found = witness(OwnSide(lax), action, known, here, but=own(person))
        assert found is not None
        assert found.outcome == "allowed"
    if sid != "DenyOthersWithoutMfa":
        most = {"no-mfa": ENROLMENT, "key": KEY_ALONE}[session]
        assert {str(action) for action in possible(lax, known)} - most


# --- break-glass ----------------------------------------------------------------------------------------------------

HARMLESS = {
    "sns:Publish": "sends a mail that looks like an alarm and silences none: docs/break-glass.md says so",
}
"""Changing actions that leave break-glass as it is, and why."""
BESIDE_THE_TRAIL = {
    "cloudtrail:AddTags": "a label",
    "cloudtrail:CreateTrail": "one trail more",
    "cloudtrail:PutEventConfiguration": "how large an event may be, and what else it carries",
    "cloudtrail:PutInsightSelectors": "reports on top of the events",
    "cloudtrail:RemoveTags": "a label",
    "cloudtrail:StartLogging": "the trail logs, as it should",
}
"""What a role that a team makes may do to trails, since its boundary is a list of denies, and why no event is lost."""


def administers(caller: Caller) -> bool:
    """Whether a caller is a declared administrator, or break-glass itself."""
    every = managed_policy("AdministratorAccess").policy
    return caller.kind == "break-glass" or every in granting(caller)


@dataclass(frozen=True)
class Guarded:
    """Something of break-glass: its resource type in the reference, and the ARN, with wildcards where it varies."""

    service: str
    type: str
    arn: str
    actions: tuple[str, ...] = ()
    """Where given, the only ones that count."""

    def changes(self) -> list[Action]:
        """The actions on it that change something."""
        return [
            action
            for action in catalog.service(self.service).actions.values()
            if action.level in CHANGING
            and self.type in (action.types or ("",))
            and str(action) not in HARMLESS
            and action.name in (self.actions or (action.name,))
        ]


def guarded(account: Account) -> Iterator[Guarded]:
    """All of break-glass that is in an account, save the sealed passwords."""
    assert account.alarm is not None
    region = {stack.name: stack.region for stack in account.stacks}
    for kind in ("user", "group", "role", "policy"):
        yield Guarded("iam", kind, f"arn:aws:iam::{ACCOUNT_ID}:{kind}/break-glass/*")
    # What else STS has goes with AssumeRole, or asks no policy of whoever calls.
    yield Guarded("sts", "role", f"arn:aws:iam::{ACCOUNT_ID}:role/break-glass/*", ("AssumeRole",))
    rules = {(rule.stack, rule.name) for rule in account.alarm.rules}
    drill = {(account.alarm.drill.stack, account.alarm.drill.name)} if account.alarm.drill else set()
    for stack_name, name in sorted(rules | drill):
        arn = f"arn:aws:events:{region[stack_name]}:{ACCOUNT_ID}:rule/{name}"
        yield Guarded("events", "rule-on-default-event-bus", arn)
    for place in sorted({region[stack_name] for stack_name, _ in rules}):
        # What else there is on a bus silences none of its rules.
        arn = f"arn:aws:events:{place}:{ACCOUNT_ID}:event-bus/default"
        yield Guarded("events", "event-bus", arn, ("UpdateEventBus",))
    if account.alarm.bus is not None:
        # Who hands over events: AWS cannot limit these calls to a bus.
        yield Guarded("events", "", "*", ("PutPermission", "RemovePermission"))
    if (topic := account.alarm.topic) is not None:
        yield Guarded("sns", "topic", f"arn:aws:sns:{region[topic.stack]}:{ACCOUNT_ID}:{topic.name}")
    # The trail is not ours, so it may have any name.
    yield Guarded("cloudtrail", "trail", f"arn:aws:cloudtrail:*:{ACCOUNT_ID}:trail/*")
    for stack in account.stacks:
        if "break-glass" in stack.name:
            arn = f"arn:aws:cloudformation:{stack.region}:{ACCOUNT_ID}:stack/{stack.name}/*"
            yield Guarded("cloudformation", "stack", arn)


def reached(made: Made) -> Iterator[str]:
    """Who of those that do not administer can change what of break-glass."""
    things = list(guarded(made.account))
    assert all(thing.changes() for thing in things)
    for caller in everybody(made):
        if administers(caller):
            continue
        spared = BESIDE_THE_TRAIL if caller.name == MADE else {}
        here, side = where(made, caller), OwnSide(caller.policies)
        for session in caller.sessions:
            known = caller.known(session)
            possibly = possible(caller.policies, known)
            for thing, action in ((t, a) for t in things for a in t.changes() if a in possibly):
                # `user/*/tom` is Tom: names of users are unique, and no break-glass user has a person's.
                oneself = None if caller.role else own(caller)
                found = witness(side, action, known, here, resource=thing.arn, but=oneself)
                if found is not None and str(action) not in spared:
                    yield f"{caller.kind} {caller.name}: {found.outcome} {action} on {found.request.resource}"


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_nobody_else_changes_break_glass(path: Path) -> None:
    """Its users, group, policies, role, rules, bus, topic, trail and stacks: administrators alone; nobody takes it."""
    for made in made_of(path):
        assert any(administers(caller) for caller in everybody(made))
        assert any(not administers(caller) for caller in everybody(made)) or made.name in ADMINISTRATORS_ALONE
        assert not set(reached(made))


def test_people_and_break_glass_have_different_names() -> None:
    """What the proof above takes for granted."""
    for made in (made for path in CONFIGURATIONS for made in made_of(path)):
        names = [user.name for user in made.account.users]
        assert len(names) == len(set(names))


WITH_A_TEAM = """
version: 1
organization: {{name: acme, owner: x, home_region: eu-west-1}}
break_glass: {{users: [emergency-1, emergency-2], alert: [a@b.example], password: secret, through: role}}
teams:
  administrators: {{purpose: Administer, members: [ann], duties: [administer]}}
  developers: {{purpose: Build, members: [tom], duties: [own]}}
duties:
  own:
    summary: Whatever the case says
    grants: [{{actions: ["{action}"], wide: true, why: The case says so}}]
    expect: [{{allow: "{action}"}}, {{deny: "s3:CreateBucket"}}]
"""


def with_a_team(action: str) -> Made:
    """A configuration whose developers may do this on everything."""
    checked = compile_text(WITH_A_TEAM.format(action=action))
    assert checked.value is not None, checked.diagnostics
    return Made(action, checked.value, checked.value.accounts[0])


@pytest.mark.parametrize(
    "action",
    [
        "cloudformation:DeleteStack",
        "cloudformation:ExecuteChangeSet",
        "cloudtrail:StopLogging",
        "events:DisableRule",
        "events:RemoveTargets",
        "events:UpdateEventBus",
        "iam:DeleteGroup",
        "sns:DeleteTopic",
        "sns:Unsubscribe",
    ],
)
def test_the_proof_sees_a_duty_that_reaches_break_glass(action: str) -> None:
    """The mutation: a team with one such action on everything is found, for that action alone."""
    found = set(reached(with_a_team(action)))
    assert {line.partition(":")[0] for line in found} == {"person tom", "team developers"}
    assert all(f" allowed {action} on " in line for line in found)


# --- sealed passwords -----------------------------------------------------------------------------------------------


def sealed(path: Path, folder: Path) -> tuple[Made, ...]:
    """A configuration as it is, but with `password: secret`."""
    shutil.copytree(path, folder)
    changed = 0
    for file in folder.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("\nbreak_glass:\n", "\nbreak_glass:\n  password: secret\n"), encoding="utf-8")
        changed += "\nbreak_glass:\n" in text
    assert changed == 1
    return made_of(folder)


def opened(made: Made, fenced: bool = True) -> set[str]:
    """Who of those that do not administer can read or change a sealed password; break-glass itself counts too."""
    read = list(catalog.actions_of("secretsmanager:GetSecretValue"))
    assert len(made.account.secrets) == sum(user.path == "/break-glass/" for user in made.account.users)
    out = set()
    for secret in made.account.secrets:
        thing = Guarded(
            "secretsmanager",
            "Secret",
            f"arn:aws:secretsmanager:{made.account.home_region}:{ACCOUNT_ID}:secret:{secret.name}-a1B2c3",
        )
        fence = in_account(secret.policy, ACCOUNT_ID) if fenced else None
        for caller in everybody(made):
            if caller.kind != "break-glass" and administers(caller):
                continue
            side: Side = Judge(replace(caller.policies, resource=fence))
            for session in caller.sessions:
                for action in (*read, *thing.changes()):
                    found = witness(side, action, caller.known(session), where(made, caller), resource=thing.arn)
                    if found is not None:
                        out.add(f"{caller.kind} {caller.name}: {found.outcome} {action}")
    return out


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_nobody_else_opens_a_sealed_password(path: Path, tmp_path: Path) -> None:
    """Administrators alone; not even the break-glass users, nor a role that a team makes and gives every right."""
    for made in sealed(path, tmp_path / path.name):
        assert opened(made) == set()


def test_the_fence_is_what_seals() -> None:
    """The mutation: a team that reads every secret is stopped by the fence, and found without it."""
    made = with_a_team("secretsmanager:GetSecretValue")
    assert opened(made) == set()
    without = {line for line in opened(made, fenced=False) if not line.startswith("break-glass")}
    assert without == {f"{who}: allowed secretsmanager:GetSecretValue" for who in ("person tom", "team developers")}
