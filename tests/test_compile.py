"""What a configuration means: cases that are easier said in code than as golden files."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound.baseline import Account, Baseline, logical_id
from dutybound.compiler import compile_path, compile_text
from dutybound.diagnostic import Diagnostic, render_all
from dutybound.managed import names as managed_names
from dutybound.policy import Policy, Statement
from tests.conftest import ROOT

BASE = """\
version: 1
organization: {name: acme, owner: security@acme.example}
break_glass: {users: [emergency, emergency-2], alert: [security@acme.example]}
"""


def compiled(text: str) -> Baseline:
    """The baseline of a configuration without errors, appended to a valid beginning."""
    checked = compile_text(BASE + text)
    assert not checked.failed, render_all(checked.diagnostics)
    assert checked.value is not None
    return checked.value


def statements(account: Account, policy: str) -> dict[str, Statement]:
    """The statements of a policy by Sid."""
    return {s.sid: s for s in account.policy(policy).policy.statements}


def test_every_statement_names_its_lines() -> None:
    """Each statement in a policy under /duties/ names the line that gives the duty and the line of the grant."""
    checked = compile_path(ROOT / "config")
    assert checked.value is not None
    account = checked.value.accounts[0]
    duties = [p for p in account.policies if p.path == "/duties/"]
    assert len(duties) >= 5
    for policy in duties:
        for statement in policy.policy.statements:
            assert statement.origins, statement.sid
            for origin in statement.origins:
                assert origin.asked is not None
                assert origin.granted is not None
                line = origin.asked.source.lines[origin.asked.line - 1]
                assert origin.duty in line, (origin.duty, line)
                assert origin.granted.source.path == f"dutybound/duties/{origin.duty}.yaml"


def test_a_grant_by_level_is_exact() -> None:
    """Actions of the level and type, each on the types it supports; wildcard-only looking apart, or left out."""
    own = """
duties:
  publish:
    summary: Publish
    parameters: {bucket: {example: web}}
    grants:
      - {service: s3, access: [list, write], resources: {bucket: "{bucket}", object: "{bucket}/*"},
         only: ["s3:ListBucket", "s3:PutObject", "s3:ListAllMyBuckets"]}
    expect: [{allow: "s3:PutObject on arn:aws:s3:::web/x"}, {deny: "s3:GetObject on arn:aws:s3:::web/x"}]
teams:
  web: {purpose: Publish, duties: [publish: {bucket: [acme-web, acme-blog]}]}
"""
    found = statements(compiled(own).accounts[0], "team-web")
    by_action = {a: s.resources for s in found.values() for a in s.actions}
    arn = "arn:${AWS::Partition}:s3:::"
    assert by_action == {
        "s3:ListAllMyBuckets": ("*",),
        "s3:ListBucket": (f"{arn}acme-blog", f"{arn}acme-web"),
        "s3:PutObject": (f"{arn}acme-blog/*", f"{arn}acme-web/*"),
    }
    narrow = own.replace('"s3:ListAllMyBuckets"]}', '"s3:ListAllMyBuckets"], wide: false}')
    left = statements(compiled(narrow).accounts[0], "team-web")
    assert {a for s in left.values() for a in s.actions} == {"s3:ListBucket", "s3:PutObject"}


def test_account_and_partition_are_filled_in() -> None:
    """ARNs name the account and the partition of wherever they are deployed, and any Region."""
    own = """
duties:
  drain:
    summary: Empty queues
    grants: [{actions: [sqs:PurgeQueue], resources: {queue: "acme-*"}}]
    expect: [{allow: "sqs:PurgeQueue on arn:aws:sqs:eu-west-1:111122223333:acme-x"}, {deny: "sqs:DeleteQueue"}]
teams:
  web: {purpose: Drain, duties: [drain]}
"""
    (statement,) = statements(compiled(own).accounts[0], "team-web").values()
    assert statement.resources == ("arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:acme-*",)


def test_same_duty_twice_has_two_sids() -> None:
    """A duty with other parameters is another statement, and Sids in a policy stay unique."""
    text = "teams: {a: {purpose: x, duties: [read-storage: {buckets: web}, read-storage: {buckets: blog}]}}\n"
    policy = compiled(text).accounts[0].policy("team-a").policy
    sids = [s.sid for s in policy.statements]
    assert len(sids) == len(set(sids)) == 4


def test_trusts() -> None:
    """Each kind of trust, as IAM is told it."""
    text = """
roles:
  web: {purpose: Serve, trusts: {service: ec2}}
  flow: {purpose: Log, trusts: {service: vpc-flow-logs.amazonaws.com}}
  partner: {purpose: Audit, trusts: {account: 012345678901, external_id: abc-1}}
  sister: {purpose: Deploy, trusts: {account: 999988887777}}
waivers: [{finding: wide-trust, for: role sister, reason: All of it is ours, until: 2030-01-01}]
"""
    roles = {r.name: r for r in compiled(text).accounts[0].roles}
    assert roles["web"].instance_profile is not None
    assert roles["flow"].instance_profile is None
    assert roles["web"].trust.document()["Statement"] == [
        {
            "Sid": "TrustService",
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ]
    assert roles["flow"].trust.document()["Statement"][0]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}
    }
    (partner,) = roles["partner"].trust.document()["Statement"]
    assert partner["Principal"] == {"AWS": "arn:${AWS::Partition}:iam::012345678901:root"}
    assert partner["Condition"] == {"StringEquals": {"sts:ExternalId": "abc-1"}}
    assert "Condition" not in roles["sister"].trust.document()["Statement"][0]


def test_never_denies_what_a_duty_does() -> None:
    """Changes everywhere, data where it lies, not the lists that many duties share, and never one's own enrolment."""
    text = """
teams:
  a: {purpose: x, never: [use-storage, view-logs, manage-people]}
"""
    found = [s for s in compiled(text).accounts[0].policy("team-a").policy.statements if s.effect == "Deny"]
    by_action = {a: s for s in found for a in s.actions}
    assert by_action["s3:PutObject"].resources == ("*",)
    assert by_action["s3:GetObject"].resources == ("arn:${AWS::Partition}:s3:::*/*",)
    assert "s3:ListAllMyBuckets" not in by_action
    assert by_action["iam:CreateUser"].resources == ("*",)
    assert by_action["iam:EnableMFADevice"].resources == ()
    assert by_action["iam:EnableMFADevice"].not_resources[1].endswith("user/*/${aws:username}")
    assert "iam:CreateVirtualMFADevice" not in by_action


def test_never_of_a_duty_that_only_looks_denies_all_of_it() -> None:
    """A view that is denied is denied, also where it looks at everything."""
    found = compiled("teams: {a: {purpose: x, never: [view-billing, view-metrics]}}\n").accounts[0]
    denied = {a for s in found.policy("team-a").policy.statements for a in s.actions if s.effect == "Deny"}
    assert "ce:GetCostAndUsage" in denied or "ce:Get*" in denied
    assert "cloudwatch:GetDashboard" in denied
    assert all(s.resources == ("*",) for s in found.policy("team-a").policy.statements)


def test_logical_ids_are_pinned() -> None:
    """Changing the rule would replace every resource of every user: a named resource then fails to deploy."""
    assert logical_id("Team", "developers") == "TeamDevelopers9b66f1"
    assert logical_id("Person", "maria") == "PersonMaria5f2dc6"
    assert logical_id("Team", "a-b") != logical_id("Team", "ab")
    assert logical_id("Team", "A-b") != logical_id("Team", "a-B")


def test_ec2_has_a_profile_however_it_is_written() -> None:
    """The short and the long name of a service are one."""
    text = "roles: {a: {purpose: x, trusts: {service: ec2.amazonaws.com}}}\n"
    (role,) = compiled(text).accounts[0].roles
    assert role.instance_profile is not None


def test_an_allow_and_a_deny_stay_apart() -> None:
    """A duty whose name looks like a denial of another: both statements are there, with different Sids."""
    grant = '{service: "*", access: [write], only: ["s3:CreateJob"], wide: true, why: x}'
    expect = "[{allow: s3:CreateJob}, {deny: s3:PutObject}]"
    text = f"""
duties:
  foo: {{summary: x, grants: [{grant}], expect: {expect}}}
  never-foo: {{summary: x, grants: [{grant}], expect: {expect}}}
teams: {{a: {{purpose: x, duties: [never-foo], never: [foo]}}}}
"""
    found = compiled(text).accounts[0].policy("team-a").policy.statements
    assert sorted(s.effect for s in found) == ["Allow", "Deny"]


def test_many_resources_are_cut_too() -> None:
    """130 buckets with long names need more than one policy, and get them."""
    buckets = [f"acme-{'x' * 30}-{i:03}" for i in range(130)]
    account = compiled(f"teams: {{a: {{purpose: x, duties: [read-storage: {{buckets: {buckets}}}]}}}}\n").accounts[0]
    policies = [p.policy for p in account.policies if p.name.split(".")[0] == "team-a"]
    assert 2 <= len(policies) <= 4
    granted = {r for p in policies for s in p.statements if "s3:ListBucket" in s.actions for r in s.resources}
    assert granted == {f"arn:${{AWS::Partition}}:s3:::{b}" for b in buckets}


NAMES = st.sampled_from(["john", "maria", "tom", "ada", "dana", "eve", "li.wei", "o=hara@acme.example"])
DUTIES = st.sampled_from(
    ["view-metrics", "view-servers", "manage-servers", "view-billing", "manage-databases", "manage-people"]
)
TEAM = st.fixed_dictionaries(
    {
        "members": st.lists(NAMES, unique=True, max_size=4),
        "duties": st.lists(DUTIES, unique=True, max_size=4),
        "never": st.lists(DUTIES, unique=True, max_size=2),
    }
)
TEAMS = st.dictionaries(
    st.sampled_from(["web", "Ops", "data-1", "x_y", "audit"]),
    TEAM.filter(lambda team: not {*team["duties"]} & {*team["never"]}),
    max_size=5,
)


def text_of(teams: dict[str, dict[str, list[str]]], shuffle: random.Random | None = None) -> str:
    """A configuration of these teams, in this or in a shuffled order."""
    out = ["teams:"]
    order = list(teams)
    if shuffle:
        shuffle.shuffle(order)
    for name in order:
        out.append(f"  {name}:\n    purpose: Work")
        for key, values in teams[name].items():
            listed = shuffle.sample(values, len(values)) if shuffle else values
            out.append(f"    {key}: [{', '.join(listed)}]")
    return "\n".join(out) + "\n" if teams else "teams: {}\n"


@settings(max_examples=40)
@given(TEAMS, st.integers(0, 1000))
def test_order_changes_nothing(teams: dict[str, dict[str, list[str]]], seed: int) -> None:
    """Shuffled teams, members and duties give an equal baseline, with equal policies to the letter."""
    one = compiled(text_of(teams))
    two = compiled(text_of(teams, random.Random(seed)))  # noqa: S311
    assert one == two
    assert [p.policy.text() for p in one.accounts[0].policies] == [p.policy.text() for p in two.accounts[0].policies]


@settings(max_examples=40)
@given(TEAMS)
def test_quotas_and_names(teams: dict[str, dict[str, list[str]]]) -> None:
    """Policies fit, groups have at most ten, names and logical ids are unique in the account."""
    account = compiled(text_of(teams)).accounts[0]
    assert all(p.policy.size <= 6144 for p in account.policies)
    assert all(len(g.policies) + len(g.managed) <= 10 for g in account.groups)
    assert all("enforce-mfa" in g.policies for g in account.groups if g.path == "/teams/")
    for names in (
        [p.name for p in account.policies],
        [g.name for g in account.groups],
        [u.name for u in account.users],
        [r.name for r in account.roles],
    ):
        assert len({n.casefold() for n in names}) == len(names)
        assert all(a < b for a, b in pairwise(names))
    ids = [(p.stack, p.logical_id) for p in account.policies] + [(g.stack, g.logical_id) for g in account.groups]
    ids += [(u.stack, u.logical_id) for u in account.users]
    assert len(ids) == len(set(ids))


@settings(max_examples=25)
@given(TEAMS, st.sampled_from(["web", "Ops", "data-1"]))
def test_a_team_is_an_island(teams: dict[str, dict[str, list[str]]], removed: str) -> None:
    """Taking a team away changes no other team's policies."""
    before = compiled(text_of(teams)).accounts[0]
    after = compiled(text_of({n: t for n, t in teams.items() if n != removed})).accounts[0]
    gone = {p for p in before.policies if p.name.split(".")[0] == f"team-{removed}"}
    left = {p for p in before.policies if p not in gone}
    assert left - {p for p in before.policies if p.name == "enforce-mfa"} <= set(after.policies)


def test_too_much_for_one_team() -> None:
    """What does not fit in ten policies is an error that names the team and its largest duties."""
    buckets = ", ".join(f"{'x' * 40}-{i}" for i in range(800))
    text = f"teams:\n  a: {{purpose: x, duties: [view-metrics, read-storage: {{buckets: [{buckets}]}}]}}\n"
    checked = compile_text(BASE + text)
    (error,) = checked.diagnostics
    assert error.name == "too-much-access"
    assert "read-storage" in error.notes[0]


CENTER = """\
version: 1
organization:
  name: acme
  owner: x
  management: root
  people_in: identity-center
  identity_center: {instance: "arn:aws:sso:::instance/ssoins-1234567890abcdef", store: d-1234567890}
accounts: {root: {id: "111122223333"}, shop: {id: "222233334444"}}
people: {john: {user: a1b2c3d4-5678-90ab-cdef-000000000001}}
break_glass: {users: [emergency, emergency-2], alert: [security@acme.example]}
"""
HUB = """\
version: 1
organization: {name: acme, owner: x, hub: root}
accounts: {root: {id: "111122223333"}, shop: {id: "222233334444"}}
break_glass: {users: [emergency, emergency-2], alert: [security@acme.example]}
"""


@pytest.mark.parametrize(
    ("base", "holder", "fits"),
    [
        (BASE, "teams: {dev: {purpose: x, members: [john], duties: [DUTY]}}", 9),  # enforce-mfa is attached too
        (BASE, "roles: {dev: {purpose: x, trusts: {service: ec2}, duties: [DUTY]}}", 10),
        (HUB, "teams: {dev: {purpose: x, members: [john], in: {shop: [DUTY]}}}", 10),
        (CENTER, "teams: {dev: {purpose: x, members: [john], in: {shop: [DUTY]}}}", 10),
    ],
    ids=["group", "role", "team-role", "permission-set"],
)
def test_too_many_policies_of_aws(base: str, holder: str, fits: int, request: pytest.FixtureRequest) -> None:
    """As many as IAM attaches are taken; one more is one error with its place, and so are as many as a permission set
    takes, and more; and so is a policy of its own where all places are taken.
    """

    def found(count: int, more: str = "") -> list[Diagnostic]:
        names = [n for n in managed_names() if n.endswith("ReadOnlyAccess") and n != "AmazonEC2ReadOnlyAccess"]
        every = ["AmazonEC2ReadOnlyAccess", *names][:count]
        grants = "".join(f"      - {{managed: {name}, why: x}}\n" for name in every) + more
        expect = "    expect: [allow: ec2:DescribeInstances, deny: iam:CreateUser]\n"
        duty = f"duties:\n  lots:\n    summary: x\n    grants:\n{grants}{expect}"
        text = base + duty + holder.replace("DUTY", "lots") + "\n"
        everything = compile_text(text, environment=None if base == BASE else "shop").diagnostics
        assert {d.name for d in everything} <= {"too-much-access", "broad-managed-policy", "lone-break-glass-user"}
        return [d for d in everything if d.name == "too-much-access"]

    own = "      - {service: ec2, access: [list], why: x}\n"
    if "permission-set" in request.node.callspec.id:  # which has room for it in itself
        assert found(fits, own) == []
    else:
        (error,) = found(fits, own)
        assert "'dev' needs policies of its own, and AWS managed ones take every place" in error.message
    assert found(fits) == found(fits - 1, own) == []
    for count in (fits + 1, 21, 26):
        (error,) = found(count)
        assert f"'dev' has {count} AWS managed policies, and IAM attaches {fits} at most" in error.message
        assert error.span is not None
        assert error.notes == (f"they come from: lots {count}",)
        assert "in the place of 'managed'" in error.hint


def test_five_hundred_resources_are_the_limit() -> None:
    """More people than a stack can hold are refused, not silently cut."""
    members = ", ".join(f"p{i}" for i in range(600))
    checked = compile_text(BASE + f"teams: {{a: {{purpose: x, members: [{members}]}}}}\n")
    assert [d.name for d in checked.diagnostics] == ["too-many-resources"]


def test_stacks_stay_when_they_are_empty() -> None:
    """Without teams and roles their stacks are still there, so that the CDK removes what stood in them."""
    assert [s.name for s in compiled("").accounts[0].stacks][:3] == ["acme-teams", "acme-roles", "acme-budgets"]


def test_files_merge(tmp_path: Path) -> None:
    """Keys merge across files; a name in two files is an error that shows both places."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "a.yaml").write_text(BASE + "teams: {a: {purpose: x}}\n", encoding="utf-8")
    (folder / "b.yml").write_text("version: 1\nteams: {b: {purpose: x}}\n", encoding="utf-8")
    (folder / "notes.txt").write_text("ignored", encoding="utf-8")
    checked = compile_path(folder)
    assert checked.value is not None
    assert [g.name for g in checked.value.accounts[0].groups] == ["a", "b", "break-glass"]
    (folder / "c.yaml").write_text("teams: {a: {purpose: y}}\n", encoding="utf-8")
    again = compile_path(folder)
    assert [d.name for d in again.diagnostics] == ["duplicate-name"]
    assert again.diagnostics[0].span is not None
    assert again.diagnostics[0].span.source.path.endswith("c.yaml")
    assert "a.yaml:4" in again.diagnostics[0].hint


def test_sizes_count_what_deployment_fills_in() -> None:
    """A policy's size is that of its longest form: GovCloud's partition and twelve digits."""
    policy = Policy((Statement("A", "Allow", ("s3:GetObject",), ("arn:${AWS::Partition}:s3:::a/${AWS::AccountId}",)),))
    shown = policy.text().replace("${AWS::Partition}", "aws-us-gov").replace("${AWS::AccountId}", "1" * 12)
    assert policy.size == len(shown)


def test_what_an_account_holds() -> None:
    """More groups than an account has are a warning, more than AWS gives it an error."""
    for teams, severity in ((299, None), (300, "warning"), (500, "error")):
        config = "teams:\n" + "".join(f"  t{i}: {{purpose: x}}\n" for i in range(teams))
        found = compile_text(BASE + config).diagnostics
        assert [d.severity for d in found if d.name == "account-quota" and "groups" in d.message] == (
            [severity] if severity else []
        )
