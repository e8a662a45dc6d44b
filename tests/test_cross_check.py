"""The judge beside others: the emulator's own evaluation, and AWS's documented examples with their outcomes.

What differs from the emulator stands in tests/cases/cross-check.yaml with the reason, and nothing else may.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ministack.core import iam_evaluator as emulator

from dutybound.batch import Batch
from dutybound.policy import VERSION
from dutybound.principals import Caller, caller
from dutybound.simulate import BadLine, request
from tests.conftest import CASES, ROOT
from tests.test_evaluate import TOM, answered, conditioned, entries, line_of

Line = dict[str, Any]


def lines() -> dict[str, Line]:
    """Every case of evaluation as a line of a batch, by its name."""
    found: dict[str, Line] = {}
    for entry in (parameter.values[0] for parameter in entries("basics")):
        policy = {"Version": VERSION, "Statement": entry["statements"]}
        found[entry["case"]] = {"principal": TOM, **entry["request"], "identity": [policy]}
    for entry in (parameter.values[0] for parameter in entries("conditions")):
        found[f"{entry['case']} (allow)"], found[f"{entry['case']} (deny)"] = conditioned(entry)
    for entry in (parameter.values[0] for parameter in entries("levels")):
        if entry["decision"] != "refused":
            found[entry["case"]] = line_of(entry)
    return found


# --- the emulator ---------------------------------------------------------------------------------------------------

TYPES = {"user": "User", "unnamed": "User", "session": "AssumedRole", "federated": "FederatedUser"}
"""What ministack calls the callers that it evaluates policies for; it lets root users do everything."""


def emulated(line: Line) -> str | None:
    """The emulator's decision on a line of a batch; None where it has no way to be asked.

    It is asked as `enforce` and AssumeRole of ministack ask, with the policies and keys of the line: how it finds those
    of a request to itself is not compared.
    """
    who = caller(line.get("principal") or "")
    if line.get("scps") is not None or line.get("rcps") is not None or who.kind not in TYPES:
        return None
    service, _, name = line["action"].partition(":")
    of_role = service == "sts" and ":role/" in line["resource"]
    if of_role and (name != "AssumeRole" or line.get("resource_policy") is None):
        return None
    keeps_policies = service in emulator._RESOURCE_POLICY_LOOKUPS
    if line.get("resource_policy") is not None and not (keeps_policies or of_role):
        return None
    asked = request(line)
    keys = {k: v if isinstance(v, str) else list(v) for k, v in asked.context.items()}
    context = emulator.EvalContext(
        principal_arn=asked.principal,
        principal_type=TYPES[who.kind],
        principal_account=who.account,
        action=asked.action,
        resource_arn=asked.resource,
        region="",
        service_context=keys,
    )
    limits = [[_parsed(line[level])] for level in ("boundary", "session") if line.get(level) is not None]
    decision = emulator.evaluate(context, list(_identity(line)), *limits)
    if of_role:
        trusted = emulator.evaluate_trust_policy(line["resource_policy"], asked.principal, context)
        return _said(trusted and decision.decision == "Allow")
    if keeps_policies:
        owner = keys.get("aws:resourceaccount") or emulator._account_from_arn(asked.resource)
        decision = emulator.combine_resource_policy(
            decision,
            context,
            line.get("resource_policy"),
            owner if who.account else None,
            required=service in emulator._POLICY_REQUIRED,
            limits=tuple(limits),
        )
    return _said(decision.decision == "Allow")


def _parsed(policy: Any) -> Any:
    return emulator.parse_policy_document(policy)


def _identity(line: Line) -> Iterator[Any]:
    for field in ("identity", "groups"):
        for policy in line.get(field) or ():
            yield from map(_parsed, policy if isinstance(policy, list) else [policy])


def _said(allowed: bool) -> str:
    return "allowed" if allowed else "denied"


def _key(key: str, context: Any) -> Any:
    """A condition key of the line; ministack would add those of its own request."""
    return context.service_context.get(key.lower())


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """ministack as it comes, told the keys of a request."""
    monkeypatch.setattr(emulator, "_resolve_condition_key", _key)


@pytest.fixture
def plugged(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """ministack with what demo/emulator.py changes of its evaluation."""
    from demo.emulator import _install_variables

    for name in ("_first_match", "_conditions_met"):
        monkeypatch.setattr(emulator, name, getattr(emulator, name))  # to be put back
    _install_variables()


def ours(line: Line) -> str | None:
    """Our decision on a line of a batch; None for a policy that AWS would refuse."""
    try:
        return str(answered(line)["decision"])
    except BadLine:
        return None


# --- AWS's documented examples --------------------------------------------------------------------------------------

ALLOWS = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]


def documented() -> list[Any]:
    """Every case of an example of AWS with its page, as a test's parameter."""
    examples = yaml.safe_load((CASES / "documented.yaml").read_text(encoding="utf-8"))
    found = []
    for example in examples:
        for case in example.pop("cases"):
            entry = {**example, **case}
            if entry.get("besides"):
                entry["identity"] = [*entry["identity"], ALLOWS]
            found.append(pytest.param(entry, id=f"{entry['page']}: {entry['says']}"))
    return found


@pytest.mark.parametrize("entry", documented())
def test_documented_examples(entry: dict[str, Any]) -> None:
    """Our decision is the one that AWS states, or the case says why it is not."""
    got = answered(line_of(entry))
    assert got["decision"] == entry.get("ours", entry["outcome"]), got
    assert ("ours" in entry) == ("differs" in entry) == (got["decision"] != entry["outcome"])
