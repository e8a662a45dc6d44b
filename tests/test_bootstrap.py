"""What must be there before the first deployment: planned, done, stopped anywhere, and done again.

The emulator (`demo.organization`) plays an account without an organization. Its calls go over HTTP on loopback through
botocore, which checks every parameter against AWS's own models; throttling, denials and kills are put in between.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.retries.bucket import Clock, TokenBucket
from click.testing import CliRunner, Result

from demo.server import Emulator, running
from dutybound.cli import cli
from dutybound.config import Configuration
from dutybound.diagnostic import render_all
from dutybound.evaluate import Request, decide, in_account
from dutybound.operate.act import act
from dutybound.operate.aws import Aws, Failed
from dutybound.operate.bootstrap import IDS, closing, ids, plan_text, read, write_ids
from dutybound.operate.cdk_roles import NAME, execution_policy
from dutybound.operate.found import Found
from dutybound.operate.look import look
from dutybound.operate.permissions import inside_permissions, permissions
from dutybound.operate.plan import Contradiction, Plan, plan
from dutybound.policy import minified, worst_size
from tests.conftest import ROOT

MANAGEMENT = "123456789012"
CONFIG = """\
version: 1
organization:
  name: acme
  owner: security@acme.example
  home_region: eu-west-1
  hub: identity
  management: payer
  contacts:
    security: {name: Security team, title: Security, email: security@acme.example, phone: "+44 20 7946 0000"}
  delegated: {access-analyzer: identity}
  cdk_roles: true
accounts:
  payer: {id: "123456789012"}
  identity: {email: aws+identity@acme.example, unit: Security}
  shop: {email: aws+shop@acme.example, unit: Workloads/Production, environment: production}
passwords: {minimum_length: 14, remember: 24}
teams:
  administrators: {purpose: Look after the accounts, members: [john-admin], duties: [administer]}
break_glass: {users: [break-glass-1, break-glass-2], alert: [security@acme.example]}
"""
CHANGES = re.compile(r"Create|Enable|Activate|Move|Register|Put|Update")


def _changes(call: dict[str, Any]) -> bool:
    return CHANGES.match(call["call"].partition(":")[2]) is not None


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(account=MANAGEMENT, program="demo.organization") as started:
        yield started


@pytest.fixture
def fresh(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An account without an organization, and an environment that leads to it alone."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in emulator.environment.items():
        if name.startswith("AWS_") or name == "NO_PROXY":
            monkeypatch.setenv(name, value)
    _reset(emulator)
    return emulator


def _reset(emulator: Emulator) -> None:
    request = urllib.request.Request(f"{emulator.url}/_ministack/reset", method="POST")  # noqa: S310
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()


def _configuration(tmp_path: Path, text: str = CONFIG) -> Configuration:
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "all.yaml").write_text(text, encoding="utf-8")
    checked = read(tmp_path / "config")
    assert checked.value is not None, render_all(checked.diagnostics)
    return checked.value


_HOOKS: dict[str, Callable[..., Any] | None] = {}
"""What is done before a request is sent, and after its answer came: by the name of botocore's event."""


@functools.cache
def _session() -> Any:
    """One session for all, so that the descriptions of the services are read once."""
    session = boto3.session.Session("test", "test")

    def hooked(event_name: str = "", **given: Any) -> Any:
        hook = _HOOKS.get(event_name.partition(".")[0])
        return hook(event_name=event_name, **given) if hook is not None else None

    for event in ("before-send", "response-received"):
        session.events.register(f"{event}.*.*", hooked)
    return session


class _Kept:
    """The session with its clients kept for the next run: making one costs as much as three calls."""

    def __init__(self) -> None:
        self._client = functools.cache(functools.partial(_session().client, region_name="eu-west-1"))

    def client(self, service: str, region_name: str, config: Config, **keys: str) -> Any:
        """A client of the account at hand is kept; keys of another account are new in each run."""
        if keys:
            return _session().client(service, region_name=region_name, config=config, **keys)
        return self._client(service)


def _aws(
    log: Callable[[Any], None] = lambda _: None,
    before: Callable[..., Any] | None = None,
    after: Callable[..., Any] | None = None,
    session: Any = None,
) -> Aws:
    _HOOKS.clear()
    _HOOKS.update({"before-send": before, "response-received": after})
    return Aws("eu-west-1", log, lambda _: None, session or _session())


def _apply(aws: Aws, configuration: Configuration, say: Callable[[str], None] = lambda _: None) -> tuple[Found, Plan]:
    found = look(aws, configuration)
    return act(aws, configuration, found, plan(configuration, found), say)


def _state(found: Found) -> dict[str, Any]:
    """What is there, without what AWS names at random."""
    there = found.organization
    assert there is not None
    paths = {id_: path for path, id_ in there.units.items()}
    names = {account.id: account.name for account in there.accounts.values()}
    accounts = sorted((a.name, a.email, a.status, paths.get(a.parent, "")) for a in there.accounts.values())
    inside = sorted((names[id_], i and (i.passwords, len(i.policies))) for id_, i in found.inside.items())
    contacts = sorted((names[id_], kind, contact) for (id_, kind), contact in found.contacts.items())
    delegated = sorted((service, names[id_]) for service, id_ in there.delegated)
    return {
        "units": sorted(there.units),
        "accounts": accounts,
        "making": there.making,
        "inside": inside,
        "contacts": contacts,
        "delegated": delegated,
        "policy types": there.policy_types,
        "trusted": there.trusted,
        "stack sets": there.stack_sets,
        "root access": there.root_access,
    }


def _answer(status: int, code: str, message: str = "Injected.") -> Callable[..., AWSResponse]:
    """An error as every protocol reads it: in the header, in JSON or in XML, by what was asked."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        xml = "Action=" in str(request.body)
        text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        body = text if xml else json.dumps({"__type": code, "message": message, "Message": message})
        return _response(request, status, {"x-amzn-errortype": code}, body)

    return answer


def _response(request: Any, status: int, headers: dict[str, str], body: str) -> AWSResponse:
    class Raw:
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield body.encode()

    return AWSResponse(request.url, status, headers, Raw())


def test_from_nothing_to_all_of_it(fresh: Emulator, tmp_path: Path) -> None:
    """The plan shows every call; after it nothing is left to do, and the second plan is empty."""
    configuration = _configuration(tmp_path)
    lines: list[str] = []
    calls: list[dict[str, Any]] = []
    aws = _aws(calls.append)
    first = look(aws, configuration)
    assert not any(map(_changes, calls))
    planned = plan(configuration, first)
    text = plan_text(planned, first)
    assert "no organization yet" in text
    assert '"ParentId": "<id of unit Workloads>", "Name": "Production"' in text
    found, left = act(aws, configuration, first, planned, lines.append)
    assert left == Plan()
    assert plan(configuration, look(_aws(), configuration)) == Plan()
    state = _state(found)
    assert state["units"] == ["Security", "Workloads", "Workloads/Production"]
    assert [(name, unit) for name, _, _, unit in state["accounts"]] == [
        ("Master Account", ""),
        ("identity", "Security"),
        ("shop", "Workloads/Production"),
    ]
    assert state["making"] == {}
    assert state["delegated"] == [("access-analyzer.amazonaws.com", "identity")]
    assert [contact.phone for _, _, contact in state["contacts"]] == ["+44 20 7946 0000"] * 3
    assert [i[0]["MinimumPasswordLength"] for _, i in state["inside"]] == [14] * 3
    assert state["policy types"] == {"RESOURCE_CONTROL_POLICY", "SERVICE_CONTROL_POLICY"}
    assert state["stack sets"]
    assert state["root access"] == {"RootCredentialsManagement", "RootSessions"}
    assert not any("Delete" in call["call"] or "Remove" in call["call"] for call in calls)


def test_stopped_anywhere_it_goes_on(fresh: Emulator, tmp_path: Path) -> None:
    """Killed before and after each call that changes something, it ends where it would have ended.

    A call right after another one finds what that one left, so there killing after the one is killing before the other.
    """
    configuration, session = _configuration(tmp_path), _Kept()
    log: list[Any] = []
    wanted = _state(_apply(_aws(log.append, session=session), configuration)[0])
    calls = [_changes(call) for call in log if call["outcome"] == "ok"]
    assert sum(calls) > 20
    after = [("after", n) for n in range(1, sum(calls) + 1)]
    before = [("before", sum(calls[: at + 1])) for at, change in enumerate(calls) if change and not calls[at - 1]]
    assert 1 < len(before) < len(after)

    def stop_at(n: int) -> Callable[..., None]:
        seen = 0

        def count(event_name: str = "", **_: Any) -> None:
            nonlocal seen
            if CHANGES.match(event_name.rsplit(".", 1)[1]):
                seen += 1
                if seen == n:
                    raise Killed

        return count

    for where, n in (*before, *after):
        _reset(fresh)
        with pytest.raises(Killed):
            _apply(_aws(**{where: stop_at(n)}, session=session), configuration)
        found, left = _apply(_aws(session=session), configuration)
        assert (left, _state(found)) == (Plan(), wanted), f"{where} call {n}"


def test_denied_at_every_call(fresh: Emulator, tmp_path: Path) -> None:
    """With one change allowed in each run: each says which call, what is done and how to go on; the last one ends."""
    configuration = _configuration(tmp_path)
    denied = _answer(403, "AccessDeniedException", "You don't\nhave permissions.")

    def allow_one() -> Callable[..., Any]:
        made = 0

        def check(request: Any, event_name: str = "", **_: Any) -> AWSResponse | None:
            nonlocal made
            made += bool(CHANGES.match(event_name.rsplit(".", 1)[1]))
            return denied(request) if made > 1 and CHANGES.match(event_name.rsplit(".", 1)[1]) else None

        return check

    stopped, left = [], None
    while left is None:
        try:
            _, left = _apply(_aws(before=allow_one()), configuration)
        except Failed as failed:
            stopped.append(str(failed))
    said = r"stopped at '.+': \S+:\w+( in account \d+)? failed: AccessDeniedException: You don't have permissions\.; "
    said += (
        r"'dutybound bootstrap plan --permissions' prints what it needs\. 1 call is done and stays done, \d+ are left: "
    )
    said += "run it again, and it goes on from here"
    assert [text for text in stopped if not re.fullmatch(said, text)] == []
    assert left == Plan()
    assert len(stopped) > 15


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What botocore waits: its clock goes on by it, and nobody sleeps."""
    waited: list[float] = []
    missing = TokenBucket._sleep_amount

    def passed(bucket: TokenBucket, amount: float) -> float:
        waited.append(max(missing(bucket, amount), 0.0))
        bucket._refill()
        return 0.0

    monkeypatch.setattr(TokenBucket, "_sleep_amount", passed)
    monkeypatch.setattr(Clock, "current_time", lambda _: START + sum(waited))
    monkeypatch.setattr("botocore.endpoint.time.sleep", waited.append)
    return waited


START = 1796083200.0


@pytest.mark.parametrize("code", ["ConcurrentModificationException", "TooManyRequestsException"])
def test_busy_is_retried(fresh: Emulator, tmp_path: Path, code: str, waited: list[float]) -> None:
    """Now and then a request is refused because AWS is busy, and it ends all the same; throttling slows it down."""
    configuration, busy, asked, every = _configuration(tmp_path), _answer(400, code), 0, 3

    def now_and_then(request: Any, **_: Any) -> AWSResponse | None:
        nonlocal asked
        asked += 1
        return busy(request) if asked % every == 0 else None

    assert _apply(_aws(before=now_and_then), configuration)[1] == Plan()
    assert bool(waited) == (code == "TooManyRequestsException")


def test_busy_for_good(fresh: Emulator, tmp_path: Path) -> None:
    """It gives up in the end, with the call that AWS did not take."""
    busy = _answer(400, "FinalizingOrganizationException")

    def account(request: Any, event_name: str = "", **_: Any) -> AWSResponse | None:
        return busy(request) if event_name.endswith("CreateAccount") else None

    with pytest.raises(Failed, match=r"stopped at 'account identity': organizations:CreateAccount failed: Finalizing"):
        _apply(_aws(before=account), _configuration(tmp_path))


def test_an_organization_that_is_there(fresh: Emulator, tmp_path: Path) -> None:
    """It is adopted: accounts are known by id and address and moved to their units; nothing else is touched."""
    organizations, iam = fresh.client("organizations"), fresh.client("iam")
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    old = organizations.create_organizational_unit(ParentId=root, Name="Old")["OrganizationalUnit"]["Id"]
    made = {}
    for name in ("identity", "shop", "other"):
        email, role = f"AWS+{name}@acme.example", "OrganizationAccountAccessRole"
        request = organizations.create_account(AccountName=f"The {name}", Email=email, RoleName=role)
        for _ in range(3):
            status = organizations.describe_create_account_status(
                CreateAccountRequestId=request["CreateAccountStatus"]["Id"]
            )["CreateAccountStatus"]
        made[name] = status["AccountId"]
        organizations.move_account(AccountId=made[name], SourceParentId=root, DestinationParentId=old)
    iam.update_account_password_policy(MinimumPasswordLength=20, RequireSymbols=True, MaxPasswordAge=90)
    text = CONFIG.replace("shop: {email: aws+shop@acme.example,", f'shop: {{id: "{made["shop"]}",')
    configuration = _configuration(tmp_path, text)
    found = look(_aws(), configuration)
    calls = [f"{step.operation} {step.now} -> {step.then}" for step in plan(configuration, found).steps]
    assert not [call for call in calls if call.startswith(("CreateOrganization ", "CreateAccount"))]
    assert "MoveAccount in Old -> in Security" in calls
    assert "MoveAccount in Old -> in Workloads/Production" in calls
    found, left = _apply(_aws(), configuration)
    assert left == Plan()
    there = found.organization
    assert there is not None
    assert there.accounts[made["other"]].parent == old
    assert there.units["Old"] == old
    inside = found.inside[MANAGEMENT]
    assert inside is not None
    # What is named holds, what is not stays; 20 was more than 14, but it is what the configuration names.
    assert inside.passwords == {
        "MinimumPasswordLength": 14,
        "PasswordReusePrevention": 24,
        "MaxPasswordAge": 90,
        "RequireSymbols": True,
        "RequireNumbers": False,
        "RequireUppercaseCharacters": False,
        "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": False,
        "HardExpiry": False,
    }


def test_the_way_in_opens_late(fresh: Emulator, tmp_path: Path) -> None:
    """The role of a new account cannot be taken at first: it is waited for."""
    closed, tries = _answer(403, "AccessDenied"), 0

    def late(request: Any, event_name: str = "", **_: Any) -> AWSResponse | None:
        nonlocal tries
        tries += event_name.endswith("AssumeRole")
        return closed(request) if event_name.endswith("AssumeRole") and tries < 5 else None

    assert _apply(_aws(before=late), _configuration(tmp_path))[1] == Plan()


def test_what_is_left_to_people(fresh: Emulator, tmp_path: Path) -> None:
    """An account elsewhere, one that has the name already, and one that lets nobody in."""
    organizations = fresh.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    for name, role in (("shop", "OrganizationAccountAccessRole"), ("lab", "AnotherRole")):
        request = organizations.create_account(AccountName=name, Email=f"{name}@acme.example", RoleName=role)
        for _ in range(3):
            organizations.describe_create_account_status(CreateAccountRequestId=request["CreateAccountStatus"]["Id"])
    text = CONFIG.replace(
        "  shop:",
        '  outside: {id: "999999999999", environment: production}\n'
        "  lab: {email: lab@acme.example, environment: production}\n  shop:",
    )
    _, left = _apply(_aws(), _configuration(tmp_path, text))
    assert left.steps == ()
    notes = {note.what: note.todo for note in left.people}
    assert "aws organizations invite-account-to-organization --target Id=999999999999,Type=ACCOUNT" in notes.pop(
        "account outside (999999999999) is not in the organization"
    )
    assert sorted(re.sub(r"\d{12}", "ID", what) for what in notes) == [
        "an account shop is there, ID, with another address",
        "role OrganizationAccountAccessRole of account lab (ID) cannot be taken",
    ]


@pytest.mark.parametrize(
    ("features", "change", "message"),
    [
        ("CONSOLIDATED_BILLING", ("", ""), "does consolidated billing only, and every member has to agree to more"),
        ("ALL", ('payer: {id: "123456789012"}', 'payer: {id: "210987654321"}'), "payer is 210987654321"),
        ("ALL", ("  hub:", "  id: o-a1b2c3d4e5\n  hub:"), "organization.id says o-a1b2c3d4e5, and AWS says o-"),
        ("ALL", ("  hub:", "  root: r-zzzz\n  hub:"), "organization.root says r-zzzz, and AWS says r-"),
    ],
)
def test_nothing_is_planned(
    fresh: Emulator, tmp_path: Path, features: str, change: tuple[str, str], message: str
) -> None:
    """What is there contradicts the configuration, or is nothing to plan for."""
    fresh.client("organizations").create_organization(FeatureSet=features)
    configuration = _configuration(tmp_path, CONFIG.replace(*change) if change[0] else CONFIG)
    with pytest.raises((Failed, Contradiction), match=re.escape(message)):
        plan(configuration, look(_aws(), configuration))


def test_a_member_of_another_organization(fresh: Emulator, tmp_path: Path) -> None:
    """The account that the configuration takes for the management account is one of somebody else's members."""
    theirs = {"Id": "o-a1b2c3d4e5", "MasterAccountId": "999999999999", "FeatureSet": "ALL"}

    def member(request: Any, event_name: str = "", **_: Any) -> AWSResponse | None:
        body = json.dumps({"Organization": theirs})
        return _response(request, 200, {}, body) if event_name.endswith("DescribeOrganization") else None

    with pytest.raises(Failed, match="is a member of o-a1b2c3d4e5, which 999999999999 manages: name that account"):
        look(_aws(before=member), _configuration(tmp_path))


def test_a_unit_with_another_id(fresh: Emulator, tmp_path: Path) -> None:
    """The ids that a configuration says are compared before anything is made."""
    configuration = _configuration(tmp_path)
    found, _ = _apply(_aws(), configuration)
    assert found.organization is not None
    wrong = CONFIG.replace("  hub:", f"  units: {{Workloads: {found.organization.units['Security']}}}\n  hub:")
    configuration = _configuration(tmp_path, wrong)
    with pytest.raises(Contradiction, match=r"organization.units says that Workloads is ou-"):
        plan(configuration, look(_aws(), configuration))


def test_identity_center_is_enabled_by_people(tmp_path: Path) -> None:
    """No call of AWS does it, so the plan says it, until the configuration names the instance."""
    nothing = Found("123456789012", "arn:aws:iam::123456789012:user/root")
    without = CONFIG.replace("  hub: identity\n", "  people_in: identity-center\n")
    named = '  people_in: identity-center\n  identity_center: {instance: "%s", store: d-1234567890}\n'
    given = CONFIG.replace("  hub: identity\n", named % "arn:aws:sso:::instance/ssoins-1234567890abcdef")
    told = [
        [n.todo for n in plan(_configuration(tmp_path, text), nothing).people if "Identity Center" in n.what]
        for text in (without, CONFIG, given)
    ]
    assert [len(notes) for notes in told] == [1, 0, 0]
    assert told[0][0].startswith("enable it in its console, in this account and in eu-west-1, with AWS Organizations")


def test_an_account_that_aws_does_not_make(fresh: Emulator, tmp_path: Path) -> None:
    """Another account has the address; or there are as many accounts as there may be."""
    text = CONFIG.replace("aws+shop@", "aws+taken@")
    taken = _answer(400, "ConstraintViolationException", "ACCOUNT_NUMBER_LIMIT_EXCEEDED: You reached it.")

    def full(request: Any, event_name: str = "", **_: Any) -> AWSResponse | None:
        return taken(request) if event_name.endswith("CreateAccount") else None

    configuration = _configuration(tmp_path, text)
    with pytest.raises(Failed, match="as many accounts as it may: ask AWS Support"):
        _apply(_aws(before=full), configuration)
    # Its owner closed the account with this address elsewhere: the listing does not show it.
    organizations = fresh.client("organizations")
    organizations.create_account(AccountName="gone", Email="aws+taken@acme.example", RoleName="R")
    with pytest.raises(Failed, match="stopped at 'account shop': AWS did not make the account: an account with this"):
        _apply(_aws(), configuration)


def test_policy_of_the_cdk_is_brought_up_to_date(fresh: Emulator, tmp_path: Path) -> None:
    """A new version where the text differs; five versions are left to people, since nothing is deleted."""
    configuration = _configuration(tmp_path)
    iam = fresh.client("iam")
    other = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})
    arn = iam.create_policy(PolicyName=NAME, Path="/baseline/", PolicyDocument=other)["Policy"]["Arn"]
    found, left = _apply(_aws(), configuration)
    wanted = in_account(execution_policy("acme", manages=True), MANAGEMENT).document()
    assert left == Plan()
    inside = found.inside[MANAGEMENT]
    assert inside is not None
    assert inside.policies[arn].document == wanted
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=other, SetAsDefault=True)
    left = plan(configuration, look(_aws(), configuration))
    assert left.steps == ()
    assert [note.what for note in left.people] == [f"policy {NAME} of account payer is not as it should be"]


def test_ids_for_the_configuration(fresh: Emulator, tmp_path: Path) -> None:
    """They are printed; with --write those of the organization stand in a file of their own, written once."""
    configuration = _configuration(tmp_path)
    found, _ = _apply(_aws(), configuration)
    folder, there = tmp_path / "config", found.organization
    assert there is not None
    said = "\n".join(closing(folder, configuration, found, write=False))
    assert f"  id: {there.id}\n  root: {there.root}\n  units:\n    Security: {there.units['Security']}\n" in said
    shop = next(a.id for a in there.accounts.values() if a.name == "shop")
    assert f'  shop: {{id: "{shop}"}}' in said
    commands = [line for line in said.splitlines() if line.startswith("cdk bootstrap")]
    assert [shlex.split(line)[2] for line in commands] == sorted(
        (f"aws://{a.id}/eu-west-1" for a in there.accounts.values()), key=commands_order(there)
    )
    assert write_ids(folder, configuration, found) == f"wrote {folder / IDS}"
    again = read(folder)
    assert again.value is not None, render_all(again.diagnostics)
    assert again.value.organization.id == there.id
    assert again.value.organization.units == {
        path: there.units[path] for path in ("Security", "Workloads", "Workloads/Production")
    }
    assert ids(again.value, found).organization == ids(again.value, found).units == ()
    before = (folder / IDS).read_text(encoding="utf-8")
    assert write_ids(folder, again.value, found) == f"wrote {folder / IDS}"
    assert (folder / IDS).read_text(encoding="utf-8") == before
    (folder / IDS).write_text("organization: {}\n", encoding="utf-8")
    assert write_ids(folder, again.value, found).endswith("is somebody else's: put the ids into it yourself")
    assert write_ids(folder / "all.yaml", configuration, found).endswith("put the ids into it yourself")


def commands_order(there: Any) -> Callable[[str], str]:
    """By the account's name in the configuration."""
    names = {f"aws://{a.id}/eu-west-1": a.name.replace("Master Account", "payer") for a in there.accounts.values()}
    return lambda command: names[command]


_CALLS = {"sts:GetCallerIdentity"}
"""Calls that need no permission."""


def test_the_printed_permissions_suffice(fresh: Emulator, tmp_path: Path) -> None:
    """Each call of a run is judged by the policy that `plan --permissions` prints; each action of it is used."""
    configuration = _configuration(tmp_path)
    calls: list[dict[str, Any]] = []
    _apply(_aws(calls.append), configuration)
    here = permissions(configuration)
    made = {(c["call"], c.get("account"), json.dumps(c["parameters"], sort_keys=True)) for c in calls}
    used = set()
    for call, account, text in sorted(made, key=str):
        parameters = json.loads(text)
        service = parameters.get("ServicePrincipal")
        context = {"organizations:ServicePrincipal": service} if service else {}
        policy_arn = f"arn:aws:iam::{account or MANAGEMENT}:policy/baseline/{NAME}"
        resource = parameters.get("RoleArn") or (policy_arn if "Policy" in call and "Password" not in call else "*")
        resource = "*" if call.startswith("organizations") else resource
        policy = here if account is None else inside_permissions(configuration, account)
        if call not in _CALLS:
            used.add(call)
            assert decide(Request("", call, resource, context), [policy]).outcome == "allowed", (call, resource)
    granted = {action for statement in here.statements for action in statement.actions}
    # What a tag on a new account, a linked role of a service and a second version of a policy need.
    other = {"organizations:TagResource", "iam:CreateServiceLinkedRole", "iam:CreatePolicyVersion"}
    assert granted - used - other == set()


# --- the policy of the CDK's roles ----------------------------------------------------------------------------------


_UNUSED = re.compile(
    r"iam:Put\w+Policy|iam:PassRole|iam:GetRole"
    r"|access-analyzer:\w*ArchiveRules?|organizations:List(AWSServiceAccess|DelegatedAdmin)\w*"
    r"|iam:(CreateServiceLinkedRole|\w*SAMLProvider)|secretsmanager:(Remove\w*Regions\w*|Replicate\w*)|sns:PutDataProtectionPolicy"
)
"""What handlers may do for properties that no template of a baseline has: inline policies, replicas, data protection.
Roles are passed to two services, and tested on their own."""
_TYPES = {
    "AWS::IAM::ManagedPolicy": "arn:aws:iam::111122223333:policy/duties/x",
    "AWS::IAM::Group": "arn:aws:iam::111122223333:group/teams/x",
    "AWS::IAM::User": "arn:aws:iam::111122223333:user/break-glass/x",
    "AWS::IAM::Role": "arn:aws:iam::111122223333:role/roles/x",
    "AWS::IAM::InstanceProfile": "arn:aws:iam::111122223333:instance-profile/roles/x",
    "AWS::IAM::OIDCProvider": "arn:aws:iam::111122223333:oidc-provider/x",
    "AWS::SNS::Topic": "arn:aws:sns:eu-west-1:111122223333:break-glass-alarm",
    "AWS::SNS::TopicPolicy": "arn:aws:sns:eu-west-1:111122223333:break-glass-alarm",
    "AWS::Events::Rule": "arn:aws:events:us-east-1:111122223333:rule/break-glass-call",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:break-glass/x-AbCdEf",
    "AWS::SecretsManager::ResourcePolicy": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:break-glass/x-AbCdEf",
    "AWS::Budgets::Budget": "arn:aws:budgets::111122223333:budget/acme-monthly-240368",
    "AWS::CloudFormation::StackSet": "arn:aws:cloudformation:eu-west-1:111122223333:stackset/acme-members-teams:id",
    "AWS::AccessAnalyzer::Analyzer": "arn:aws:access-analyzer:eu-west-1:111122223333:analyzer/x",
    "AWS::Events::EventBusPolicy": "arn:aws:events:eu-west-1:111122223333:event-bus/default",
    "AWS::IdentityStore::Group": "*",
    "AWS::IdentityStore::GroupMembership": "*",
    "AWS::IdentityStore::User": "*",
    "AWS::Organizations::Policy": "*",
    "AWS::SSO::Assignment": "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/x",
    "AWS::SSO::InstanceAccessControlAttributeConfiguration": "*",
    "AWS::SSO::PermissionSet": "*",
}
_ATTACHED = {"iam:PolicyARN": "arn:aws:iam::aws:policy/job-function/Billing"}


@pytest.mark.parametrize("kind", sorted(_TYPES))
def test_stacks_can_be_deployed(kind: str) -> None:
    """What CloudFormation's own schemas say that the handlers of a type do is allowed on the baseline's names."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    actions = {action for handler in schema["handlers"].values() for action in handler["permissions"]}
    policy = in_account(execution_policy("acme", manages=True), "111122223333")
    needed = {action for action in actions if not _UNUSED.fullmatch(action)}
    # A group's, user's or role's policies are attached to them, not to the policy.
    needed = {action for action in needed if kind != "AWS::IAM::ManagedPolicy" or "tach" not in action}
    assert needed
    denied = {a for a in needed if decide(Request("", a, _TYPES[kind], _ATTACHED), [policy]).outcome != "allowed"}
    assert denied == set()


def test_no_type_is_forgotten() -> None:
    """Every type that the stacks can make is one of those above: in a template, or built by its class of the CDK."""
    import aws_cdk as cdk

    templates = (ROOT / "dutybound" / "cloudformation.py").read_text(encoding="utf-8")
    made = set(re.findall(r'"(AWS::\w+::\w+)"', templates))
    for file in sorted((ROOT / "stacks").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        modules = dict.fromkeys(re.findall(r"from aws_cdk import (\w+) as (\w+)", text))
        places = {alias: importlib.import_module(f"aws_cdk.{name}") for name, alias in modules} | {"cdk": cdk}
        # A name for a long class, such as `kind = sso.CfnX`, counts as well.
        for alias, name in re.findall(r"\b(\w+)\.(Cfn[A-Z]\w+)\b", text):
            kind = getattr(getattr(places.get(alias), name, None), "CFN_RESOURCE_TYPE_NAME", None)
            made |= {kind} if kind else set()
    assert made >= {"AWS::SSO::Assignment", "AWS::CloudFormation::StackSet", "AWS::IAM::Role"}
    assert made - _TYPES.keys() == set()


@pytest.mark.parametrize(
    ("action", "resource", "context", "outcome"),
    [
        ("iam:PassRole", "role/roles/web", {"iam:PassedToService": "ec2.amazonaws.com"}, "allowed"),
        ("iam:PassRole", "role/roles/web", {"iam:PassedToService": "lambda.amazonaws.com"}, "denied"),
        ("iam:PassRole", "role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}, "denied"),
        ("iam:AttachRolePolicy", "role/roles/x", {"iam:PolicyARN": "arn:aws:iam::111122223333:policy/x"}, "denied"),
        ("iam:AttachRolePolicy", "role/cdk-hnb659fds-cfn-exec-role-1-2", _ATTACHED, "denied"),
        ("iam:CreatePolicyVersion", "policy/baseline/cdk-execution", {}, "denied"),
        ("iam:CreatePolicyVersion", "policy/baseline/enforce-mfa", {}, "allowed"),
        ("iam:CreateAccessKey", "user/people/john", {}, "denied"),
        ("iam:CreateLoginProfile", "user/people/john", {}, "denied"),
        ("iam:CreateRole", "role/app/x", {}, "denied"),
        ("iam:CreateServiceLinkedRole", "role/aws-service-role/access-analyzer.amazonaws.com/x", {}, "allowed"),
        ("iam:CreateServiceLinkedRole", "role/aws-service-role/sso.amazonaws.com/x", {}, "denied"),
        ("iam:CreateRole", "role/aws-reserved/sso.amazonaws.com/x", {}, "denied"),
        ("sso:CreateAccountAssignment", "", {}, "denied"),
        ("organizations:DetachPolicy", "", {}, "denied"),
        ("iam:PutRolePolicy", "role/roles/x", {}, "denied"),
        ("sts:AssumeRole", "role/roles/x", {}, "denied"),
        ("organizations:LeaveOrganization", "", {}, "denied"),
    ],
)
def test_what_the_cdk_may_not(action: str, resource: str, context: dict[str, str], outcome: str) -> None:
    """Beside the baseline's own paths nothing, and never its own limits."""
    policy = in_account(execution_policy("acme"), "111122223333")
    arn = f"arn:aws:iam::111122223333:{resource}" if resource else "*"
    assert decide(Request("", action, arn, context), [policy]).outcome == outcome


def test_the_policy_fits() -> None:
    """With the longest name of an organization (IAM User Guide, "IAM and AWS STS quotas")."""
    assert worst_size(minified(execution_policy("a" * 40, manages=True).document())) <= 6144


# --- the command ----------------------------------------------------------------------------------------------------


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bootstrap", *arguments])


def test_the_command(fresh: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit codes and streams; killed in the middle for real, and run again."""
    _configuration(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = _run("plan")
    assert (shown.exit_code, shown.stderr) == (1, "")
    assert "1. organization\n   is:    none\n   to be: one with all features\n" in shown.stdout
    as_json = json.loads(_run("plan", "--format", "json").stdout)
    assert as_json["steps"][0]["call"] == "organizations:CreateOrganization"
    assert as_json["steps"][0]["place"] == "config/all.yaml:3"
    nobody = _run("apply")
    assert nobody.exit_code == 2
    assert "give --yes" in nobody.stderr
    command = [sys.executable, "-c", "from dutybound.cli import main; main()", "bootstrap", "apply", "--yes"]
    log = tmp_path / "bootstrap.log.jsonl"
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if "/" in line and "unit Workloads:" in line:
                child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    first = len(log.read_text(encoding="utf-8").splitlines())
    quick = "import dutybound.operate.act as a; a.WAIT = 0; from dutybound.cli import main; main()"
    again = subprocess.run(
        [sys.executable, "-c", quick, "bootstrap", "apply", "--yes", "--write"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "Nothing to do." in again.stdout
    assert "wrote config/organization-ids.yaml" in again.stdout
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > first
    assert {"at", "call", "outcome", "parameters"} <= set(lines[-1])
    assert "SecretAccessKey" not in log.read_text(encoding="utf-8")
    second = _run("plan")
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout.endswith("\nNothing to do.\n")


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("", 130)])
def test_nothing_is_changed_without_a_yes(
    fresh: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    """On a terminal the plan is shown, then asked for."""
    _configuration(tmp_path)
    monkeypatch.setattr("dutybound.cli._on_a_terminal", lambda: True)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(cli, ["bootstrap", "apply"], input=answer)
    assert found.exit_code == code, found.output
    assert "Make these calls? [y/N]" in found.output
    assert look(_aws(), _configuration(tmp_path)).organization is None


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ((), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials were found"),
        ((), {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        (("--log", "none/x"), {}, "the log none/x cannot be written: no such file or directory"),
    ],
)
def test_what_goes_wrong_is_one_line(
    fresh: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    message: str,
) -> None:
    """No credentials, no way to AWS, no log: a line and exit code 1."""
    _configuration(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = _run("plan", *arguments)
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1), found
    assert message in found.stderr
    assert json.loads(_run("plan", "--permissions").stdout)["Version"] == "2012-10-17"


def test_without_boto3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that says what to install."""
    _configuration(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "boto3", None)
    found = _run("plan")
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1), found
    assert "pip install 'dutybound[operate]'" in found.stderr


def test_a_configuration_that_cannot_be_bootstrapped(tmp_path: Path) -> None:
    """Other errors than those that an organization cures stop it, and so does a management account without an id."""
    file = tmp_path / "all.yaml"
    file.write_text(CONFIG.replace('payer: {id: "123456789012"}', "payer: {email: a@acme.example}"), encoding="utf-8")
    assert [d.name for d in read(file).diagnostics] == ["no-management-account"]
    file.write_text(CONFIG.replace("unit: Security", "unti: Security"), encoding="utf-8")
    assert [d.name for d in read(file).diagnostics] == ["unknown-key"]
    file.write_text(CONFIG.replace("  hub: identity\n", "  people_in: identity-center\n"), encoding="utf-8")
    assert read(file).diagnostics == ()
    file.write_text(CONFIG.replace("access-analyzer: identity", "access-analyzer: payer"), encoding="utf-8")
    assert [d.name for d in read(file).diagnostics] == ["contradiction"]
