"""The judge beside others: the emulator's own evaluation, and AWS's documented examples with their outcomes.

What differs from the emulator stands in tests/cases/cross-check.yaml with the reason, and nothing else may.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ministack.core import iam_evaluator as emulator

from demo import MINISTACK
from dutybound.policy import VERSION
from dutybound.principals import caller
from dutybound.simulate import BadLine, request
from tests.conftest import CASES, ROOT
from tests.test_evaluate import TOM, answered, conditioned, entries, line_of, whole

Line = dict[str, Any]


@functools.cache
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
    asked = request(line)
    service, _, name = asked.action.partition(":")
    of_role = service == "sts" and ":role/" in asked.resource
    of_key = service == "kms" and ":key/" in asked.resource
    given = line.get("resource_policy") is not None
    if (of_role and name != "AssumeRole") or ((of_role or of_key) and not given):
        return None  # in the emulator every role has its trust policy, and every key its own
    keeps_policies = of_key or (service != "kms" and service in emulator._RESOURCE_POLICY_LOOKUPS)
    if given and not (keeps_policies or of_role):
        return None
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


Engine = Literal["ministack", "plugin"]
"""ministack as it comes, and with what demo/emulator.py changes of its evaluation."""


@functools.cache
def compared(engine: Engine) -> dict[str, bool]:
    """Every case that an engine can be asked about, and whether it decides as we do."""
    if engine == "plugin":
        words = [sys.executable, "-c", "from tests.test_cross_check import print_plugged; print_plugged()"]
        made = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
        found: dict[str, bool] = json.loads(made.stdout)
        return found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "_resolve_condition_key", _key)
        return dict(_compared(emulated))


def print_plugged() -> None:
    """Compare with the plugin, in a process of its own: it loads all of ministack, with its threads and its logging."""
    from demo.emulator import Refused, _install_variables

    def plugged(line: Line) -> str | None:
        try:
            return emulated(line)
        except Refused:
            return None  # the plugin says that it cannot

    emulator._resolve_condition_key = _key
    _install_variables()
    print(json.dumps(dict(_compared(plugged))))


def _compared(answer: Callable[[Line], str | None]) -> Iterator[tuple[str, bool]]:
    for name, line in lines().items():
        decision, other = ours(line), answer(line)
        if decision is not None and other is not None:
            yield name, other == decision


def listed_differences() -> list[dict[str, Any]]:
    """What is known to differ, by reason."""
    found: list[dict[str, Any]] = yaml.safe_load((CASES / "cross-check.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("engine", get_args(Engine))
def test_the_emulator_differs_where_it_is_known_to(engine: Engine) -> None:
    """Neither a difference that is not listed, nor one listed that is none."""
    known = [name for group in listed_differences() if engine in group["engines"] for name in group["cases"]]
    assert len(known) == len(set(known))
    assert sorted(name for name, same in compared(engine).items() if not same) == sorted(known)


def test_each_difference_has_its_reason() -> None:
    """A reason, the page that decides, and who is right: we, or nobody whom AWS's pages tell."""
    for group in listed_differences():
        assert group.keys() == {"reason", "page", "right", "engines", "cases"}
        assert group["right"] in ("dutybound", "nobody knows"), group["reason"]
        unknown = {ours(lines()[name]) == "unknown" for name in group["cases"]}
        assert unknown == {group["right"] == "nobody knows"}, group["reason"]


def ours(line: Line) -> str | None:
    """Our decision on a line of a batch; None for a policy that AWS would refuse."""
    try:
        return str(answered(line)["decision"])
    except BadLine:
        return None


CONDITIONS: list[dict[str, Any]] = [
    {},
    {"StringEquals": {"aws:username": ["tom", "ann"]}},
    {"StringNotEquals": {"aws:username": ["tom", "ann"]}},
    {"StringNotLikeIfExists": {"aws:username": "t*"}},
    {"StringEqualsIgnoreCase": {"aws:username": "TOM"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    {"Null": {"aws:MultiFactorAuthPresent": "true"}},
    {"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}},
    {"NumericGreaterThanEqualsIfExists": {"aws:MultiFactorAuthAge": "3600"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
    {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}},
    {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:user/*"}},
    {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
    {"ForAnyValue:StringLike": {"aws:TagKeys": ["a*"]}},
    {"ForAllValues:StringNotLike": {"aws:TagKeys": ["a*"]}},
    {"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}},
]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "aws:username": st.sampled_from(["tom", "Tom", "eve"]),
    "aws:MultiFactorAuthPresent": st.sampled_from(["true", "false"]),
    "aws:MultiFactorAuthAge": st.sampled_from(["0", "3599", "3600", "3600.5"]),
    "aws:CurrentTime": st.sampled_from(["2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-06-01T12:00:00+02:00"]),
    "aws:SourceIp": st.sampled_from(["203.0.113.7", "198.51.100.1", "2001:db8::1"]),
    "aws:PrincipalArn": st.sampled_from([TOM, "arn:aws:iam::111122223333:role/dev"]),
    "aws:TagKeys": st.lists(st.sampled_from(["a", "ab", "c"]), min_size=1, max_size=3),
}
ACTIONS = st.sampled_from(["*", "s3:*", "S3:get*", "s3:GetObject", "s3:?etObject", "sqs:*"])
RESOURCES = st.sampled_from(["*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/x", "arn:aws:s3:::*/x", "arn:aws:s3:::A/?"])
STATEMENTS = st.builds(
    lambda effect, action, actions, resource, resources, condition: {
        "Effect": effect,
        action: actions,
        resource: resources,
        "Condition": condition,
    },
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from(["Action", "Action", "NotAction"]),
    st.lists(ACTIONS, min_size=1, max_size=2),
    st.sampled_from(["Resource", "Resource", "NotResource"]),
    st.lists(RESOURCES, min_size=1, max_size=2),
    st.sampled_from(CONDITIONS),
)
POLICIES = st.lists(STATEMENTS, min_size=1, max_size=3).map(whole)
BUCKETS = st.lists(
    st.builds(
        lambda statement, principal: {**statement, "Principal": principal},
        STATEMENTS,
        st.sampled_from([{"AWS": TOM}, {"AWS": "111122223333"}, {"AWS": ["arn:aws:iam::111122223333:user/ann"]}]),
    ),
    min_size=1,
    max_size=2,
).map(whole)
LINES = st.fixed_dictionaries(
    {
        "principal": st.just(TOM),
        "action": st.sampled_from(["s3:GetObject", "s3:ListBucket", "sqs:SendMessage"]),
        "resource": st.sampled_from(["arn:aws:s3:::a/x", "arn:aws:s3:::a/y/x", "arn:aws:s3:::b/x"]),
        "context": st.fixed_dictionaries({}, optional=VALUES),
        "identity": st.lists(POLICIES, max_size=2),
        "groups": st.lists(POLICIES, max_size=1),
        "boundary": st.none() | POLICIES,
        "session": st.none() | POLICIES,
        "resource_policy": st.none() | BUCKETS,
    }
)


@settings(max_examples=400)
@given(LINES)
def test_both_decide_alike_on_what_both_know(line: Line) -> None:
    """Policies of every kind, wildcards and conditions without what the list of differences names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "_resolve_condition_key", _key)
        assert emulated(line) == ours(line) != "unknown"


# --- AWS's documented examples --------------------------------------------------------------------------------------

ALLOWS = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]


def documented() -> list[dict[str, Any]]:
    """Every case of an example of AWS, with its page."""
    found = []
    for example in yaml.safe_load((CASES / "documented.yaml").read_text(encoding="utf-8")):
        for case in example.pop("cases"):
            entry = {**example, **case}
            if entry.get("besides"):
                entry["identity"] = [*entry["identity"], ALLOWS]
            found.append(entry)
    return found


@pytest.mark.parametrize("entry", documented(), ids=lambda entry: f"{entry['page']}: {entry['says']}")
def test_documented_examples(entry: dict[str, Any]) -> None:
    """Our decision is the one that AWS states, or the case says why it is not."""
    got = answered(line_of(entry))
    assert got["decision"] == entry.get("ours", entry["outcome"]), got
    assert ("ours" in entry) == ("differs" in entry) == (got["decision"] != entry["outcome"])


# --- the page about it ----------------------------------------------------------------------------------------------


def page() -> str:
    """docs/judge.md: all counts and differences as they are."""
    groups = {name: [parameter.values[0] for parameter in entries(name)] for name in ("basics", "conditions", "levels")}
    cases = [entry for group in groups.values() for entry in group]
    sources = {entry["source"] for entry in cases} - {"ours"}
    choices = sum(entry["source"] == "ours" for entry in cases)
    examples = documented()
    otherwise = [entry for entry in examples if "differs" in entry]
    parts = [
        HEAD,
        f"{len(cases)} cases from {len(sources)} pages of AWS's documentation, {choices} of them choices of ours that\n"
        "those pages leave:",
        table(
            ("file", "cases"),
            [(f"[{name}.yaml](../tests/cases/access/{name}.yaml)", f"{len(group)}") for name, group in groups.items()],
        ),
        PROPERTIES,
        "## AWS's documented examples",
        f"[documented.yaml](../tests/cases/documented.yaml) holds {len(examples)} outcomes that AWS's pages state of\n"
        f"their own examples. {len(examples) - len(otherwise)} are ours as well:",
        table(("page", "outcomes"), [(name, f"{n}") for name, n in Counter(e["page"] for e in examples).items()]),
        "The others:",
        table(
            ("page", "it says", "we say", "why"),
            [(e["page"], f"{e['says']}: {e['outcome']}", e["ours"], e["differs"]) for e in otherwise],
        ),
        "## The emulator's evaluation",
        EMULATOR,
        table(
            ("engine", "cases it can be asked", "decided alike", "otherwise", "of these unknown to us"),
            [
                (
                    name,
                    f"{len(same)}",
                    f"{sum(same.values())}",
                    f"{len(same) - sum(same.values())}",
                    f"{sum(ours(lines()[case]) == 'unknown' for case, alike in same.items() if not alike)}",
                )
                for name, same in ((name, compared(engine)) for engine, name in ENGINES.items())
            ],
        ),
        UNKNOWN,
        table(
            ("what the emulator does", "cases", "where", "right", "AWS's page"),
            [
                (
                    group["reason"],
                    f"{len(group['cases'])}",
                    "both" if len(group["engines"]) > 1 else ENGINES[group["engines"][0]],
                    group["right"],
                    group["page"],
                )
                for group in listed_differences()
            ],
        ),
        "SCPs, RCPs, the calls of services and of root users, and SAML are nothing that the emulator evaluates.",
    ]
    return "\n\n".join(parts) + "\n"


HEAD = """# What the judge was checked against

This page is written by `pytest --rewrite`, and a test fails while it is not true. What is judged and how is in
[simulate.md](simulate.md).

## Cases"""
PROPERTIES = """A condition is judged in an allow and in a deny. Beside the cases hypothesis holds the judge to what
must be true of any policy: default deny, deny wins, order and duplicates do not matter, a boundary only narrows."""
ENGINES: dict[Engine, str] = {"ministack": f"ministack {MINISTACK}", "plugin": "with demo/emulator.py"}
EMULATOR = """The emulator of `make demo` evaluates policies by itself. Every case that it can be asked is put to it,
told the keys of the request: as it comes, and with what `demo/emulator.py` changes. A condition counts twice. Random
requests over policies of what both know are decided alike. What differs is listed in
[cross-check.yaml](../tests/cases/cross-check.yaml), and a test holds that list to be complete and true:"""
UNKNOWN = """Where AWS documents no outcome the emulator gives one all the same, and we say *unknown*. In all else we go
by AWS's page:"""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def test_the_page_is_true(golden: Callable[[Path, str], None]) -> None:
    """docs/judge.md says how many cases there are and what differs."""
    golden(ROOT / "docs" / "judge.md", page())


def test_there_are_enough_documented_outcomes() -> None:
    """Of many pages, each said once."""
    found = documented()
    assert len(found) > 200
    assert len({(entry["page"], entry["says"]) for entry in found}) == len(found)
    assert len({entry["page"] for entry in found}) > 20
