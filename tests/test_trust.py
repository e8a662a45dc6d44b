"""Every kind of trust as IAM is told it, whom it lets in and keeps out, and what it makes in the account."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound.baseline import Account, Role
from dutybound.compiler import compile_text
from dutybound.config import TRUST_KINDS
from dutybound.diagnostic import render_all
from dutybound.evaluate import Request, decide
from dutybound.policy import Document, Policy, Principal, filled, glob, parse
from tests.conftest import CASES, ROOT
from tests.test_bad_input import UNSAID
from tests.test_stacks import synthesize

ACCOUNT = "111122223333"
ENTRIES: list[dict[str, Any]] = yaml.safe_load((CASES / "trusts.yaml").read_text(encoding="utf-8"))
NAMES = [entry["name"] for entry in ENTRIES]


def configuration(roles: dict[str, Any], more: str = "", region: str = "eu-west-1") -> str:
    """A whole configuration with these roles; that one of them trusts a whole account is accepted."""
    wide = [f"role {name}" for name, role in roles.items() if role["trusts"].keys() == {"account"}]
    waivers = [{"finding": "wide-trust", "for": who, "reason": "x", "until": "2031-01-31"} for who in wide]
    return f"""\
version: 1
organization: {{name: acme, owner: security@acme.example, home_region: {region}}}
break_glass: {{users: [emergency], alert: [security@acme.example]}}
roles: {json.dumps(roles)}
waivers: {json.dumps(waivers)}
{more}
"""


def account(text: str) -> Account:
    """The one account of a configuration without errors, and without warnings but of what it leaves out."""
    checked = compile_text(text)
    assert checked.value is not None, render_all(checked.diagnostics)
    assert {d.name for d in checked.diagnostics} <= UNSAID
    return checked.value.accounts[0]


def account_of(entry: dict[str, Any]) -> Account:
    """The account that an entry's configuration gives."""
    roles = {"taken": {"purpose": "x", "trusts": entry["trusts"]}}
    return account(configuration(roles, entry.get("more", ""), entry.get("region", "eu-west-1")))


def documents(role: Role) -> list[Document]:
    """The statements of a role's trust policy after deployment."""
    found: list[Document] = json.loads(filled(role.trust.text(), ACCOUNT))["Statement"]
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_the_policy_and_the_provider(entry: dict[str, Any]) -> None:
    """The statement to the letter, in any order of keys; the identity provider, and that the role waits for it."""
    made = account_of(entry)
    (role,) = made.roles
    assert documents(role) == [entry["statement"]]
    providers = [{"url": p.url, "audiences": list(p.audiences)} for p in made.identity_providers]
    assert providers == ([entry["provider"]] if "provider" in entry else [])
    assert role.identity_provider == entry.get("provider", {}).get("url")
    assert (role.instance_profile is not None) == (entry["trusts"].get("service") == "ec2")


def lets_in(trust: Policy, request: dict[str, Any]) -> bool:
    """Whether a trust policy lets the caller of a request in."""
    ((kind, caller),) = request["from"].items()
    context = dict(request.get("context", {}))
    if kind == "AWS":
        context |= {"aws:PrincipalArn": caller, "aws:PrincipalAccount": caller.split(":")[4]}
    of_caller = [s for s in trust.statements if any(names(p, kind, caller) for p in s.principals)]
    judged = Policy(tuple(replace(s, principals=(), resources=("*",)) for s in of_caller))
    decision = decide(Request(caller, request.get("action", "sts:AssumeRole"), "*", context), [judged])
    assert decision.outcome != "unknown", decision.reason
    return decision.outcome == "allowed"


def names(principal: Principal, kind: str, caller: str) -> bool:
    """Whether the principal of a statement takes in a caller, whose account lets it ask."""
    if principal.kind != kind:
        return False
    root = re.sub(r"(:\d{12}:).*", r"\1root", caller)
    return any(value in ("*", caller) or (kind == "AWS" and value == root) for value in principal.values)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_whom_it_lets_in(entry: dict[str, Any]) -> None:
    """Requests by hand: those that must pass and those that must not."""
    (role,) = account_of(entry).roles
    trust = parse(json.loads(filled(role.trust.text(), ACCOUNT)))
    assert entry["allow"]
    assert entry["deny"]
    for request in entry["allow"]:
        assert lets_in(trust, request), request
    for request in entry["deny"]:
        assert not lets_in(trust, request), request


OWNERS = st.sampled_from(["acme", "acme-evil", "evil-acme", "a", "acm", "ACME"])
REPOSITORIES = st.sampled_from(["web", "web2", "we", "web.evil", "x-web"])
REFS = st.from_regex(r"\A[a-z*?][a-z/*?]{0,6}[a-z*?]\Z").filter(lambda ref: "//" not in ref)
EVENTS = st.one_of(
    st.tuples(st.just("environment"), st.sampled_from(["prod", "p:q", "ref:refs/heads/main"])),
    st.tuples(st.sampled_from(["branch", "tag"]), REFS),
    st.just(("pull_request", True)),
)
JOBS = st.sampled_from(
    [
        "environment:prod",
        "environment:prod2",
        "pull_request",
        "ref:refs/heads/main",
        "ref:refs/heads/a",
        "ref:refs/tags/a",
    ]
)


@settings(max_examples=100)
@given(OWNERS, REPOSITORIES, EVENTS, st.booleans(), st.none() | st.tuples(OWNERS, REPOSITORIES), JOBS, st.booleans())
def test_no_other_repository_gets_in(
    owner: str, name: str, event: tuple[str, Any], ids: bool, another: tuple[str, str] | None, job: str, numbered: bool
) -> None:
    """Whatever a trust in a repository says: jobs of another one, and of another event, stay out."""
    key, value = event
    numbers = {"owner_id": 1, "repository_id": 2} if ids else {}
    trusts = {"github": {"repository": f"{owner}/{name}", key: value, **numbers}}
    trust = account(configuration({"taken": {"purpose": "x", "trusts": trusts}})).roles[0].trust
    others, other = another or (owner, name)
    repository = f"{others}@1/{other}@2" if numbered else f"{others}/{other}"
    claims = {"aud": "sts.amazonaws.com", "sub": f"repo:{repository}:{job}"}
    issuer = "token.actions.githubusercontent.com"
    request = {
        "from": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
        "action": "sts:AssumeRoleWithWebIdentity",
        "context": {f"{issuer}:{claim}": text for claim, text in claims.items()},
    }
    starts = {"branch": "ref:refs/heads/", "tag": "ref:refs/tags/"}.get(key, key)
    if lets_in(parse(json.loads(filled(trust.text(), ACCOUNT))), request):
        assert (others, other) == (owner, name)
        assert job.startswith(starts)
        assert ids or not numbered


SUBJECTS = st.tuples(
    st.sampled_from(["", "organization:", "organization:ac", "organization:acme", "organization:acme:"]),
    st.lists(st.sampled_from(["acme", "ac", ":", "*", "?", "project", "x"]), max_size=6).map("".join),
)


@settings(max_examples=200)
@given(SUBJECTS.map("".join), st.sampled_from(["acme", "ac", "acme-evil", "evil", "x", "project"]))
def test_a_subject_of_a_shared_issuer_names_its_tenant(subject: str, tenant: str) -> None:
    """A subject with wildcards is refused, or lets in one tenant only: the one that it names in full."""
    checked = compile_text(configuration({"taken": tokens(subject, issuer="https://app.terraform.io")}))
    if checked.value is not None and glob(subject).fullmatch(f"organization:{tenant}:project:x:workspace:x"):
        assert subject.startswith(f"organization:{tenant}:")


def test_every_kind_is_there() -> None:
    """No kind of trust is without a case."""
    assert {key for entry in ENTRIES for key in entry["trusts"]} >= set(TRUST_KINDS)
    assert len(set(NAMES)) == len(NAMES)


def test_the_trusts_of_the_documentation_compile() -> None:
    """The roles that the page of the language shows are as it says; together they show every kind."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8").partition("## Who may take a role")[2]
    block = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    shown = yaml.safe_load(block)["roles"]
    assert {key for role in shown.values() for key in role["trusts"]} >= set(TRUST_KINDS)
    assert len(account(configuration(shown, TEAMS)).roles) == len(shown)


TEAMS = """
teams:
  developers: {purpose: Build, members: [maria], duties: [view-metrics]}
  auditors: {purpose: Look, members: [ada]}
"""


def test_a_team_may_take_the_roles_that_trust_it_and_no_other() -> None:
    """Trust and permission are two halves: the policies of the team name exactly its roles, and the line."""
    trusting = {"purpose": "x", "trusts": {"team": "developers"}}
    found = account(configuration({"deployer": trusting, "a_b": trusting, "a-b": trusting, "web": SERVERS}, TEAMS))
    taking = {s.sid: s for p in found.policies if p.path == "/duties/" for s in p.policy.statements if "TakeA" in s.sid}
    policies = {p.name: p.policy for p in found.policies}
    statements = [s for s in policies["team-developers"].statements if s.actions == ("sts:AssumeRole",)]
    assert len({s.sid for s in statements}) == 3
    arn = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/roles"
    assert sorted(r for s in statements for r in s.resources) == [f"{arn}/{n}" for n in ("a-b", "a_b", "deployer")]
    assert "team-auditors" not in policies
    assert len(taking) == 2
    for statement in statements:
        (origin,) = statement.origins
        assert origin.duty == "trusts"
        assert origin.asked is not None
        assert "trusts" in origin.asked.source.lines[origin.asked.line - 1]


def test_who_leaves_a_team_by_a_day_may_take_its_roles_until_then() -> None:
    """The group of those whose membership ends has the permission too, and it ends."""
    teams = "teams: {ops: {purpose: Run, members: [ann, {name: tom, until: 2031-01-31}]}}"
    made = account(configuration({"deployer": {"purpose": "x", "trusts": {"team": "ops"}}}, teams))
    policies = {p.name: p.policy.statements for p in made.policies if p.path == "/duties/"}
    assert set(policies) == {"team-ops", "team-ops.until-2031-01-31"}
    (always,), (ends,) = policies["team-ops"], policies["team-ops.until-2031-01-31"]
    assert always.resources == ends.resources
    assert always.conditions == ()
    assert [c.key for c in ends.conditions] == ["aws:CurrentTime"]


def test_a_team_says_how_long_sessions_of_its_roles_last() -> None:
    """The team's session holds for the roles that trust it and say nothing themselves; it is wrong in one place."""
    roles = {
        "a": {"purpose": "x", "trusts": {"team": "ops"}},
        "b": {"purpose": "x", "trusts": {"team": "ops"}, "session": "2h"},
        "c": SERVERS,
    }
    made = account(configuration(roles, "teams: {ops: {purpose: Run, session: 4h}}")).roles
    assert [r.session_seconds for r in made] == [4 * 3600, 2 * 3600, 3600]
    wrong = compile_text(configuration(roles, "teams: {ops: {purpose: Run, session: 13h}}"))
    assert [d.name for d in wrong.diagnostics] == ["wrong-session"]


def test_roles_of_another_environment_are_out_of_reach() -> None:
    """Neither permission nor provider for a role that is not made here; its issuer may be there already."""
    roles = {
        "a": {"purpose": "x", "trusts": {"team": "ops"}, "in": ["production"]},
        "b": {**tokens("x"), "in": ["production"]},
        "c": {**tokens("x", issuer="https://other.acme.example"), "in": ["production"]},
        "d": {**SERVERS, "in": ["sandbox"]},
    }
    more = "identity_providers: {existing: ['https://other.acme.example']}\nteams: {ops: {purpose: Run}}"
    sandbox = compile_text(configuration(roles, more), environment="sandbox").value
    production = compile_text(configuration(roles, more), environment="production").value
    assert sandbox is not None
    assert production is not None
    assert [r.name for r in sandbox.accounts[0].roles] == ["d"]
    assert sandbox.accounts[0].identity_providers == ()
    assert not [p for p in sandbox.accounts[0].policies if p.path == "/duties/"]
    assert [r.identity_provider for r in production.accounts[0].roles] == [None, "https://id.acme.example", None]
    assert [p.url for p in production.accounts[0].identity_providers] == ["https://id.acme.example"]


SERVERS = {"purpose": "x", "trusts": {"service": "ec2"}}


def tokens(subject: str, audience: str = "sts.amazonaws.com", issuer: str = "https://id.acme.example") -> Any:
    """A role for the holders of tokens."""
    return {"purpose": "x", "trusts": {"oidc": {"issuer": issuer, "audience": audience, "subject": subject}}}


def test_one_provider_for_each_issuer() -> None:
    """Roles share a provider, which takes the audiences of all of them; another issuer has its own."""
    roles = {"a": tokens("x", "b"), "b": tokens("y", "a"), "c": tokens("z", issuer="https://id.acme.example/other")}
    made = account(configuration(roles)).identity_providers
    assert [(p.url, p.audiences) for p in made] == [
        ("https://id.acme.example", ("a", "b")),
        ("https://id.acme.example/other", ("sts.amazonaws.com",)),
    ]
    assert len({p.logical_id for p in made}) == 2
    again = account(configuration(dict(reversed(roles.items())))).identity_providers
    assert again == made


def test_a_trust_may_be_long_but_not_too_long() -> None:
    """2,048 characters at worst: the last subject that fits, and the first that does not."""

    def sized(last: int) -> str:
        subjects = [f"{i:02}{'x' * 98}" for i in range(14)] + ["y" * last]
        return configuration({"a": {**tokens("x"), "trusts": {"oidc": {**OIDC, "subject": subjects}}}})

    fits = next(n for n in range(600, 0, -1) if compile_text(sized(n)).value is not None)
    trust = account(sized(fits)).roles[0].trust
    assert trust.size == 2048
    assert [d.name for d in compile_text(sized(fits + 1)).diagnostics] == ["trust-too-large"]
    ends = sized(fits).replace('"purpose": "x"', '"purpose": "x", "until": "2031-01-31"')
    assert [d.name for d in compile_text(ends).diagnostics] == ["trust-too-large"]


OIDC = {"issuer": "https://id.acme.example", "audience": "a"}


def test_all_kinds_synthesized(tmp_path: Path) -> None:
    """One template with every kind: cfn-lint finds no error, providers are tagged, roles wait for them."""
    entries = [e for e in ENTRIES if "region" not in e]
    roles = {f"role-{i}": {"purpose": e["name"], "trusts": e["trusts"]} for i, e in enumerate(entries)}
    config = tmp_path / "config.yaml"
    config.write_text(configuration(roles, "teams: {developers: {purpose: Build}}"), encoding="utf-8")
    run = synthesize(config, tmp_path / "out", validation=True)
    assert run.returncode == 0, run.stderr
    file = tmp_path / "out" / "acme-roles.template.json"
    resources = json.loads(file.read_text(encoding="utf-8"))["Resources"]
    providers = {k: r["Properties"] for k, r in resources.items() if r["Type"] == "AWS::IAM::OIDCProvider"}
    wanted = {e["provider"]["url"]: e["provider"]["audiences"] for e in entries if "provider" in e}
    assert {p["Url"]: p["ClientIdList"] for p in providers.values()} == wanted
    tags = {"owner": "security@acme.example", "organization": "acme", "managed-by": "dutybound"}
    for properties in providers.values():
        assert set(properties) == {"Url", "ClientIdList", "Tags"}
        assert {t["Key"]: t["Value"] for t in properties["Tags"]} == tags
    waits = {r["Properties"]["RoleName"]: r.get("DependsOn", []) for r in resources.values() if "Role" in r["Type"]}
    for i, entry in enumerate(entries):
        issuer = "github" in entry["trusts"] or "provider" in entry
        (*urls,) = (providers[k]["Url"] for k in waits[f"role-{i}"])
        assert len(urls) == issuer, entry["name"]
        if "provider" in entry:
            assert urls == [entry["provider"]["url"]]
    lint = Path(sys.executable).with_name("cfn-lint")
    checked = subprocess.run(
        [lint, "--non-zero-exit-code", "error", "--format", "parseable", "--", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    )
    assert checked.returncode == 0, checked.stdout
