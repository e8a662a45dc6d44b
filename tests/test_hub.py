"""Several accounts: who gets what where, and that the people of the hub take the roles meant for them and no others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dutybound import accounts
from dutybound.baseline import Account, Baseline
from dutybound.callers import Caller, Session, callers
from dutybound.case import Question, WrongQuestion
from dutybound.compiler import compile_everywhere, compile_path, compile_text
from dutybound.diagnostic import Diagnostic, render_all
from dutybound.evaluate import Judge, Policies, Request, in_account
from dutybound.explain import explain, list_access, who_can
from dutybound.policy import Policy
from dutybound.read import read
from dutybound.source import load
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "organization"
HUB = "111122223333"
HEAD = """\
version: 1
organization: {name: acme, owner: x, home_region: eu-west-1, hub: identity, id: o-a1b2c3d4e5}
rollout: stacks
"""
EMERGENCY = "break_glass: {users: [break-glass-1, break-glass-2], alert: [a@b.example], through: role}\n"
ORGANIZATION = (
    HEAD
    + EMERGENCY
    + """\
accounts:
  identity: {id: "111122223333", environment: shared}
  dev: {id: "222233334444", environment: development}
  test: {id: "222233335555", environment: development}
  shop: {id: "333344445555", environment: production}
teams:
  administrators: {purpose: Look after it, members: [ann], duties: [administer]}
  operators: {purpose: Run it, members: [olga, ann], in: {production: [manage-servers]}}
  developers: {purpose: Build it, members: [john, maria], in: {development: [manage-servers], test: [view-metrics]}}
  auditors: {purpose: Look at it, members: [vera], in: {shared: [view-servers]}}
roles:
  release:
    purpose: Developers release by hand
    trusts: {team: developers}
    in: [production]
    duties: [view-servers]
"""
)


def everywhere(text: str, folder: Path) -> dict[str, Baseline]:
    """The baseline of each destination of a configuration without errors."""
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return {str(name): baseline for name, baseline in compiled(file)}


def compiled(path: Path) -> Iterator[tuple[str | None, Baseline]]:
    """Each destination of a configuration on disk, which has no errors."""
    for name, one in compile_everywhere(path).items():
        assert one.diagnostics == (), render_all(one.diagnostics)
        assert one.value is not None
        yield name, one.value


@cache
def example() -> dict[str, Baseline]:
    """The baselines of the example."""
    return {str(name): baseline for name, baseline in compiled(EXAMPLE)}


@pytest.fixture(scope="module")
def organization(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Baseline]:
    """The baselines of the configuration above."""
    return everywhere(ORGANIZATION, tmp_path_factory.mktemp("organization"))


# --- what is where


def test_accounts_that_agree_are_one_destination(organization: dict[str, Baseline]) -> None:
    """By environment and standing; an account that `in` names stands alone, and so does the hub."""
    made = {name: [t.name for t in baseline.accounts[0].targets] for name, baseline in organization.items()}
    assert made == {"development": ["dev"], "identity": ["identity"], "production": ["shop"], "test": ["test"]}
    assert list(made) == sorted(made)
    ids = {name: baseline.accounts[0].id for name, baseline in organization.items()}
    assert ids == {"development": "222233334444", "identity": HUB, "production": "333344445555", "test": "222233335555"}


def test_a_thousand_accounts_are_one_destination(tmp_path: Path) -> None:
    """However many accounts there are, what is the same is decided once."""
    more = "".join(f'  a{i}: {{id: "{400000000000 + i}", environment: development}}\n' for i in range(1000))
    made = everywhere(ORGANIZATION.replace("teams:\n", more + "teams:\n", 1), tmp_path)
    assert {name: len(b.accounts[0].targets) for name, b in made.items()}["development"] == 1001
    hub = made["identity"].accounts[0]
    (take,) = (s for p in hub.policies for s in p.policy.statements if s.sid == "TakeDevelopers")
    assert take.resources == ("arn:${AWS::Partition}:iam::*:role/teams/developers",)
    assert [(c.key, c.values) for c in take.conditions] == [("aws:ResourceOrgID", ("o-a1b2c3d4e5",))]


def test_members_have_no_people(organization: dict[str, Baseline]) -> None:
    """A role with a boundary for each team that works there, and nothing for people who sign in elsewhere."""
    wanted = {
        "development": ["administrators", "developers"],
        "production": ["administrators", "operators"],
        "test": ["administrators", "developers"],
    }
    for name, teams in wanted.items():
        account = organization[name].accounts[0]
        assert (account.groups, account.users, account.secrets) == ((), (), ())
        assert not {p.name for p in account.policies} & {"enforce-mfa", "enrol-mfa", "break-glass-mfa"}
        roles = {role.name: role for role in account.roles if role.path == "/teams/"}
        assert sorted(roles) == teams
        assert {role.permissions_boundary for role in roles.values()} == {"team-boundary"}
        assert account.alarm is not None
        assert account.alarm.drill is None
    hub = organization["identity"].accounts[0]
    assert not [role for role in hub.roles if role.path == "/teams/"]
    assert sorted(u.name for u in hub.users if u.path == "/people/") == ["ann", "john", "maria", "olga", "vera"]


def test_more_accounts_than_a_policy_names(tmp_path: Path) -> None:
    """Above 50 the organization's id is needed; it is asked for where the organization is."""
    more = "".join(f'  a{i}: {{id: "{400000000000 + i}", environment: development}}\n' for i in range(50))
    file = tmp_path / "config.yaml"
    text = ORGANIZATION.replace(", id: o-a1b2c3d4e5", "").replace("teams:\n", more + "teams:\n", 1)
    file.write_text(text, encoding="utf-8")
    found = compile_everywhere(file)["identity"].diagnostics
    assert {d.name for d in found} == {"no-organization-id"}
    assert compile_path(file, "production").diagnostics == ()


# --- who takes what: both halves, judged together


def takes(person: Caller, session: Session, role: str, trust: Policy, **more: str) -> bool:
    """Whether somebody of the hub can take a role of another account; never unknown."""
    judge = Judge(
        Policies(
            identity=person.policies.identity,
            groups=person.policies.groups,
            boundary=person.policies.boundary,
            resource=trust,
        )
    )
    context = {k: v for k, v in person.known(session).items() if v is not None}
    context |= {"aws:ResourceAccount": role.split(":")[4], "aws:ResourceOrgID": "o-a1b2c3d4e5"}
    context |= {"aws:CurrentTime": "2026-12-01T10:00:00Z", "aws:SourceIp": "203.0.113.9"}
    context |= {key.replace("__", ":"): value for key, value in more.items()}
    decision = judge.decide(Request(person.arn, "sts:AssumeRole", role, context))
    assert decision.outcome != "unknown", decision.reason
    return decision.outcome == "allowed"


def roles_elsewhere(made: dict[str, Baseline]) -> Iterator[tuple[str, str, str, Policy]]:
    """Destination, name, ARN and trust of every role of every account that is not the hub."""
    for name, baseline in made.items():
        account = baseline.accounts[0]
        for target in account.targets if not account.users else ():
            for role in account.roles:
                arn = f"arn:aws:iam::{target.id}:role{role.path}{role.name}"
                yield name, f"{role.path}{role.name}", arn, in_account(role.trust, target.id)


def hub_of(made: dict[str, Baseline]) -> tuple[Baseline, Account]:
    """The baseline that holds the people."""
    return next((b, b.accounts[0]) for b in made.values() if b.accounts[0].users)


@pytest.mark.parametrize("which", ["example", "made up"])
def test_exactly_the_teams_take_exactly_their_roles(which: str, organization: dict[str, Baseline]) -> None:
    """Everybody of the hub, every role elsewhere: with MFA those of the team that works there, without it nobody.

    Whoever administers the hub has every right in it, that to take any role of people too.
    """
    made = example() if which == "example" else organization
    baseline, account = hub_of(made)
    everybody = [c for c in callers(baseline, account) if not c.role]
    members = {
        (name, f"/teams/{role.name}"): role.members
        for name, one in made.items()
        for role in one.accounts[0].roles
        if role.path == "/teams/"
    }
    trusted = {"/roles/release": "developers"}
    taken = 0
    for name, role, arn, trust in roles_elsewhere(made):
        for person in everybody:
            team = trusted.get(role)
            meant = (
                person.kind == "break-glass"
                if role == "/break-glass/break-glass"
                else person.kind == "person"
                and (
                    person.name in members.get((name, role), ())
                    or (team is not None and team in person.groups)
                    or ("administrators" in person.groups and role.startswith(("/teams/", "/roles/release")))
                )
            )
            assert takes(person, "mfa", arn, trust) == meant, (person.name, arn)
            assert not takes(person, "mfa", arn, trust, aws__MultiFactorAuthAge="4000"), (person.name, arn)
            assert not takes(person, "no-mfa", arn, trust), (person.name, arn)
            assert not takes(person, "key", arn, trust), (person.name, arn)
            taken += meant
    assert taken > 5


def test_nobody_else_of_the_hub_and_nobody_of_another_account(organization: dict[str, Baseline]) -> None:
    """A trust alone lets nobody in, and all rights in the hub do not make a stranger one of its people."""
    everything = compile_text(
        "version: 1\norganization: {name: a, owner: b}\nbreak_glass: {users: [e], alert: [a@b.example]}\n"
        "teams: {all: {purpose: b, members: [s], duties: [administer]}}\n"
    )
    assert everything.value is not None
    (stranger,) = (c for c in callers(everything.value, everything.value.accounts[0]) if c.kind == "person")
    strangers = {
        "a user of another path": (f"arn:aws:iam::{HUB}:user/robots/people", "User"),
        "a path that begins alike": (f"arn:aws:iam::{HUB}:user/peoples/s", "User"),
        "a role called like it": (f"arn:aws:iam::{HUB}:role/user/people/s", "AssumedRole"),
        "the root user": (f"arn:aws:iam::{HUB}:root", "Account"),
        "people of another account": ("arn:aws:iam::999988887777:user/people/ann", "User"),
    }
    for who, (arn, kind) in strangers.items():
        home = arn.split(":")[4]
        caller = Caller("s", "person", arn, stranger.policies)
        keys = {"aws__PrincipalType": kind, "aws__PrincipalAccount": home}
        for _, role, target, trust in roles_elsewhere(organization):
            assert not takes(caller, "mfa", target, trust, **keys), (who, role)
    # The counterpart, so that the test can fail: under their path, whoever has all rights is let in.
    ann = Caller("s", "person", f"arn:aws:iam::{HUB}:user/people/s", stranger.policies)
    assert {role for _, role, arn, trust in roles_elsewhere(organization) if takes(ann, "mfa", arn, trust)} == {
        "/roles/release",
        "/teams/administrators",
        "/teams/developers",
        "/teams/operators",
    }


def test_roles_of_other_accounts_are_not_taken(organization: dict[str, Baseline], tmp_path: Path) -> None:
    """A role of the same name in an account that is not in the configuration, whatever its trust says."""
    open_to_all = next(trust for *_, trust in roles_elsewhere(organization))
    more = "".join(f'  a{i}: {{id: "{400000000000 + i}", environment: development}}\n' for i in range(60))
    many = everywhere(ORGANIZATION.replace("teams:\n", more + "teams:\n", 1), tmp_path)
    for made in (organization, many):
        baseline, account = hub_of(made)
        for person in (
            c for c in callers(baseline, account) if c.kind == "person" and "administrators" not in c.groups
        ):
            for name in ("administrators", "developers", "operators"):
                arn = f"arn:aws:iam::999988887777:role/teams/{name}"
                assert not takes(person, "mfa", arn, open_to_all, aws__ResourceOrgID="o-9z8y7x6w5v")
    baseline, account = hub_of(many)
    by_name = {c.name: c for c in callers(baseline, account)}
    for _, role, arn, trust in roles_elsewhere(many):
        if role == "/teams/developers":
            assert takes(by_name["john"], "mfa", arn, trust)
            assert not takes(by_name["olga"], "mfa", arn, trust)
        if role == "/break-glass/break-glass":
            assert takes(by_name["break-glass-1"], "mfa", arn, trust)


def test_break_glass_users_with_all_rights_need_no_permission(tmp_path: Path) -> None:
    """With `through: user` they have it already, and the trusts name them all the same."""
    made = everywhere(ORGANIZATION.replace(", through: role", ""), tmp_path)
    baseline, account = hub_of(made)
    assert "break-glass-role" not in {p.name for p in account.policies}
    emergency = [c for c in callers(baseline, account) if c.kind == "break-glass"]
    assert len(emergency) == 2
    for _, role, arn, trust in roles_elsewhere(made):
        for user in emergency:
            assert takes(user, "mfa", arn, trust) == (role == "/break-glass/break-glass")
            assert not takes(user, "no-mfa", arn, trust)


# --- what a team's role may do


def test_a_duty_that_asks_for_mfa_works_in_a_role_that_asked_for_it(tmp_path: Path) -> None:
    """Sessions of roles carry no MFA; the trust proved it, so the condition goes. In the hub it stays."""
    text = ORGANIZATION.replace("production: [manage-servers]", "production: [drop]")
    made = everywhere(text.replace("shared: [view-servers]", "shared: [drop]") + DROP % "true", tmp_path)
    database = "arn:aws:rds:eu-west-1:333344445555:db:orders"
    account = made["production"].accounts[0]
    (operators,) = (c for c in callers(made["production"], account) if c.name == "operators")
    context = {k: v for k, v in operators.known("role").items() if v is not None}
    judge = Judge(operators.policies)
    assert judge.decide(Request(operators.arn, "rds:DeleteDBInstance", database, context)).outcome == "allowed"
    baseline, hub = hub_of(made)
    (vera,) = (c for c in callers(baseline, hub) if c.name == "vera")
    here = database.replace("333344445555", HUB)
    for session, outcome in (("mfa", "allowed"), ("no-mfa", "denied"), ("key", "denied")):
        context = {k: v for k, v in vera.known(session).items() if v is not None}  # type: ignore[arg-type]
        assert Judge(vera.policies).decide(Request(vera.arn, "rds:DeleteDBInstance", here, context)).outcome == outcome


def test_a_duty_that_asks_for_fresh_mfa_is_reported(tmp_path: Path) -> None:
    """How old the MFA is, no role can show; in the hub people can."""
    file = tmp_path / "config.yaml"
    file.write_text(ORGANIZATION.replace("production: [manage-servers]", "production: [drop]") + DROP % "15m", "utf-8")
    found = {name: [d.name for d in one.diagnostics] for name, one in compile_everywhere(file).items()}
    assert found == {"development": [], "identity": [], "production": ["mfa-in-role"], "test": []}


DROP = """\
duties:
  drop:
    summary: Drop databases
    grants: [{actions: [rds:DeleteDBInstance], resources: {db: "*"}, why: All, when: {mfa: %s}}]
    expect:
      - allow: rds:DeleteDBInstance on arn:aws:rds:eu-west-1:111122223333:db:a
      - deny: rds:DeleteDBCluster on arn:aws:rds:eu-west-1:111122223333:cluster:a
"""


def test_no_team_changes_the_baseline_itself(organization: dict[str, Baseline]) -> None:
    """Not even administrators, who may do all else there."""
    account = organization["production"].accounts[0]
    (administrators,) = (c for c in callers(organization["production"], account) if c.name == "administrators")
    judge = Judge(administrators.policies)
    context = {k: v for k, v in administrators.known("role").items() if v is not None}

    def outcome(action: str, name: str) -> str:
        arn = f"arn:aws:iam::333344445555:{name}"
        return judge.decide(Request(administrators.arn, action, arn, context)).outcome

    for name in ("role/teams/operators", "role/break-glass/break-glass", "role/roles/release"):
        assert outcome("iam:UpdateAssumeRolePolicy", name) == "denied"
        assert outcome("iam:DeleteRolePermissionsBoundary", name) == "denied"
        assert outcome("iam:GetRole", name) == "allowed"
    assert outcome("iam:CreatePolicyVersion", "policy/baseline/team-boundary") == "denied"
    assert outcome("iam:CreateRole", "role/app/web") == "allowed"


# --- becoming an administrator elsewhere

DUTIES = """\
duties:
  reach:
    summary: Reach out
    grants:
      - {actions: [%s], resources: {%s}}
    expect:
      - allow: %s on %s
      - deny: s3:GetObject on arn:aws:s3:::a/b
"""


def with_duty(action: str, resources: str, on: str) -> str:
    """The configuration with a team that has this own duty in the hub, and one that administers production alone."""
    text = ORGANIZATION.replace("production: [manage-servers]", "production: [administer]")
    text = text.replace("shared: [view-servers]", "shared: [reach]")
    return text + DUTIES % (action, resources, action, on)


@pytest.mark.parametrize(
    ("action", "resources", "on"),
    [
        ("sts:AssumeRole", "role: ['arn:aws:iam::333344445555:role/*']", "arn:aws:iam::333344445555:role/x"),
        ("sts:AssumeRole", "role: ['arn:aws:iam::222233335555:role/teams/administrators']",
         "arn:aws:iam::222233335555:role/teams/administrators"),
        ("iam:AddUserToGroup", "group: [teams/operators]", "arn:aws:iam::111122223333:group/teams/operators"),
    ],
    ids=["any role of an account", "the administrators' role", "joining who administers elsewhere"],
)  # fmt: skip
def test_whoever_becomes_an_administrator_elsewhere_is_found(
    action: str, resources: str, on: str, tmp_path: Path
) -> None:
    """An error at the team that can, and none at the team that is meant to."""
    found = diagnostics(with_duty(action, resources, on), tmp_path)
    assert [d.name for d in found] == ["escalation"]
    assert "'auditors'" in found[0].message
    assert "administrator" in found[0].message


def test_a_role_that_is_no_administrators_makes_nobody_one(tmp_path: Path) -> None:
    """Another team's role elsewhere, and break-glass, whose trust names its users."""
    for role in ("teams/developers", "break-glass/break-glass"):
        arn = f"arn:aws:iam::222233334444:role/{role}"
        assert diagnostics(with_duty("sts:AssumeRole", f"role: ['{arn}']", arn), tmp_path) == ()


def diagnostics(text: str, folder: Path) -> tuple[Diagnostic, ...]:
    """What is found in the hub of a configuration."""
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return compile_path(file, "identity").diagnostics


# --- questions


def test_people_are_answered_for_as_their_teams_roles() -> None:
    """Maria is in two teams of the data account: she can what one of its roles can, one at a time."""
    made = example()
    found = explain(made["data-dev"], Question("maria", "ec2:RunInstances"))
    assert (found.outcome, found.kind, found.question.who, found.teams) == (
        "allowed",
        "team",
        "developers",
        ("developers",),
    )
    assert found.notes[0] == (
        "maria is of the account 111122223333, and takes the role /teams/data-scientists or /teams/developers from "
        "there, one at a time"
    )
    assert explain(made["data-dev"], Question("Maria", "iam:CreateUser")).outcome == "denied"
    with pytest.raises(WrongQuestion, match="'team:data-scientists' or 'team:developers'"):
        list_access(made["data-dev"], Question("maria", ""))
    assert list_access(made["production"], Question("maria", "")).who == "developers"


def test_a_team_is_a_team_where_it_is_a_role() -> None:
    """By its name; a role of the configuration stays one."""
    production = example()["production"]
    found = explain(production, Question("operators", "ec2:StopInstances"))
    assert (found.outcome, found.kind) == ("allowed", "team")
    assert found.notes[0] == (
        "operators is a team; its people take the role /teams/operators from the account 111122223333"
    )
    assert explain(production, Question("release", "s3:PutObject")).kind == "role"
    (answer,) = who_can(production, Question("", "ec2:StopInstances"))
    assert answer.names == ("administrators", "break-glass", "operators")
    assert {reach.way.kind for reach in answer.reaches} == {"break-glass", "team"}


def test_one_of_several_accounts_is_asked_about() -> None:
    """By its id; another's is none of this destination."""
    development = example()["development"]
    arn = "arn:aws:ec2:eu-west-1:222233336666:instance/i-1"
    for account in ("", "222233336666"):
        assert explain(development, Question("maria", "ec2:StopInstances", arn, account=account)).outcome == "allowed"
    with pytest.raises(WrongQuestion, match="whose accounts are 222233334444, 222233336666"):
        explain(development, Question("maria", "ec2:StopInstances", account="333344445555"))


def test_a_test_of_access_about_somebody_with_two_roles(tmp_path: Path) -> None:
    """They can what one of them can, and cannot what none can."""
    text = ORGANIZATION.replace("production: [manage-servers]", "production: [manage-servers], test: [view-metrics]")
    text = text.replace("members: [olga, ann]", "members: [olga, ann, john]")
    tests = "access:\n  - {who: john, in: test, can: [%s], cannot: [%s]}\n"
    everywhere(text + tests % ("ec2:RunInstances, cloudwatch:GetMetricData", "iam:CreateUser"), tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text(text + tests % ("iam:CreateUser", "ec2:RunInstances"), encoding="utf-8")
    assert [d.name for d in compile_everywhere(file)["test"].diagnostics] == ["broken-access-test"] * 2


def test_a_team_whose_role_people_could_not_switch_to(tmp_path: Path) -> None:
    """Path and name of a role that the console takes have 64 characters together."""
    name = "x" * 58
    found = compile_everywhere(written(ORGANIZATION.replace("operators", name), tmp_path))["production"].diagnostics
    assert [d.name for d in found] == ["name-too-long"]
    everywhere(ORGANIZATION.replace("operators", name[1:]), tmp_path)


def written(text: str, folder: Path) -> Path:
    """A file with this configuration."""
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder / "config.yaml"


def test_the_order_of_accounts_means_nothing() -> None:
    """Destinations and their targets are sorted."""
    reading = read(load(EXAMPLE).value)  # type: ignore[arg-type]
    assert reading.value is not None
    found = accounts.destinations(reading.value.configuration)
    assert [d.name for d in found] == sorted(str(d.name) for d in found)
    for one in found:
        assert [t.name for t in one.targets] == sorted(t.name for t in one.targets)


def test_what_is_about_ones_own_user_is_left_out_of_roles() -> None:
    """A role's session has no user name: said once, and kept in the hub, where people are users."""
    text = """\
version: 1
organization: {name: acme, owner: it@acme.example, home_region: eu-west-1, hub: identity}
accounts:
  identity: {id: "111122223333", environment: shared}
  dev: {id: "222233334444", environment: development}
break_glass: {users: [red, blue], alert: [it@acme.example]}
teams:
  admins: {purpose: Help, members: [maria], duties: [administer]}
  dev: {purpose: x, members: [maria], duties: [rotate-own-keys, view-metrics]}
"""
    hub, member = (compile_text(text, environment=name) for name in ("identity", "development"))
    told = [d for d in member.diagnostics if d.name == "no-user-name"]
    assert [(d.severity, d.hint) for d in told] == [
        ("warning", "give it where its people are users alone: 'in: {identity: [...]}'")
    ]
    assert not [d for d in hub.diagnostics if d.name == "no-user-name"]
    for checked, there in ((hub, True), (member, False)):
        assert checked.value is not None
        (account,) = checked.value.accounts
        statements = [s for p in account.policies if p.name == "team-dev" for s in p.policy.statements]
        assert any(o.duty == "view-metrics" for s in statements for o in s.origins)
        assert any("iam:CreateAccessKey" in s.actions for s in statements) == there
