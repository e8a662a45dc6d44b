"""What must be there before the first deployment: planned, done, stopped anywhere, and done again.

The emulator (`demo.organization`) plays an account without an organization. Its calls go over HTTP on loopback through
botocore, which checks every parameter against AWS's own models; throttling, denials and kills are put in between.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from demo.server import Emulator, running
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


def _aws(
    log: Callable[[Any], None] = lambda _: None,
    before: Callable[..., Any] | None = None,
    after: Callable[..., Any] | None = None,
) -> Aws:
    session = boto3.session.Session()
    for event, hook in (("before-send", before), ("response-received", after)):
        if hook is not None:
            session.events.register(f"{event}.*.*", hook)
    return Aws("eu-west-1", log, lambda _: None, session)


def _apply(aws: Aws, configuration: Configuration, say: Callable[[str], None] = lambda _: None) -> tuple[Found, Plan]:
    found = look(aws, configuration)
    return act(aws, configuration, found, plan(configuration, found), say)


def _state(found: Found) -> object:
    """What is there, without what AWS names at random."""
    there = found.organization
    assert there is not None
    paths = {id_: path for path, id_ in there.units.items()}
    names = {account.id: account.name for account in there.accounts.values()}
    accounts = sorted((a.name, a.email, a.status, paths.get(a.parent, "")) for a in there.accounts.values())
    inside = sorted((names[id_], i and (i.passwords, len(i.policies))) for id_, i in found.inside.items())
    contacts = sorted((names[id_], kind, contact) for (id_, kind), contact in found.contacts.items())
    delegated = sorted((service, names[id_]) for service, id_ in there.delegated)
    switches = (there.policy_types, there.trusted, there.stack_sets, there.root_access)
    return (sorted(there.units), accounts, there.making, inside, contacts, delegated, switches)


def _answer(status: int, code: str, message: str = "Injected.") -> Callable[..., AWSResponse]:
    """An error as every protocol reads it: in the header, in JSON or in XML, by what was asked."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        xml = b"Action=" in (request.body or b"")
        text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        body = text if xml else json.dumps({"__type": code, "message": message, "Message": message})

        class Raw:
            def stream(self, **_: Any) -> Iterator[bytes]:
                yield body.encode()

        return AWSResponse(request.url, status, {"x-amzn-errortype": code}, Raw())

    return answer


def test_from_nothing_to_all_of_it(fresh: Emulator, tmp_path: Path) -> None:
    """The plan shows every call; after it nothing is left to do, and the second plan is empty."""
    configuration, lines, calls = _configuration(tmp_path), [], []
    aws = _aws(calls.append)
    first = look(aws, configuration)
    assert not any(CHANGES.search(call["call"]) for call in calls)
    planned = plan(configuration, first)
    text = plan_text(planned, first)
    assert "no organization yet" in text
    assert '"ParentId": "<id of unit Workloads>", "Name": "Production"' in text
    found, left = act(aws, configuration, first, planned, lines.append)
    assert left == Plan()
    assert plan(configuration, look(_aws(), configuration)) == Plan()
    units, accounts, making, inside, contacts, delegated, switches = _state(found)  # type: ignore[misc]
    assert units == ["Security", "Workloads", "Workloads/Production"]
    assert [(name, unit) for name, _, _, unit in accounts if name in ("identity", "shop")] == [
        ("identity", "Security"),
        ("shop", "Workloads/Production"),
    ]
    assert making == {}
    assert delegated == [("access-analyzer.amazonaws.com", "identity")]
    assert all(contact is not None and contact.phone == "+44 20 7946 0000" for _, _, contact in contacts)
    assert len(contacts) == 3
    assert {name: i[0]["MinimumPasswordLength"] for name, i in inside} == dict.fromkeys(
        ["Master Account", "identity", "shop"], 14
    )
    assert switches[2:] == (True, frozenset({"RootCredentialsManagement", "RootSessions"}))
    assert not any("Delete" in call["call"] or "Remove" in call["call"] for call in calls)


def test_stopped_anywhere_it_goes_on(fresh: Emulator, tmp_path: Path) -> None:
    """Killed before and after each call that changes something, it ends where it would have ended."""
    configuration = _configuration(tmp_path)
    calls: list[Any] = []
    wanted = _state(_apply(_aws(calls.append), configuration)[0])
    changes = sum(call["outcome"] == "ok" and bool(CHANGES.search(call["call"])) for call in calls)
    assert changes > 20

    def stop_at(n: int) -> Callable[..., None]:
        seen = 0

        def count(event_name: str = "", **_: Any) -> None:
            nonlocal seen
            if CHANGES.match(event_name.rsplit(".", 1)[1]):
                seen += 1
                if seen == n:
                    raise Killed

        return count

    for n in range(1, changes + 1):
        for where in ("before", "after"):
            _reset(fresh)
            with pytest.raises(Killed):
                _apply(_aws(**{where: stop_at(n)}), configuration)  # type: ignore[arg-type]
            found, left = _apply(_aws(), configuration)
            assert (left, _state(found)) == (Plan(), wanted), f"{where} call {n}"
