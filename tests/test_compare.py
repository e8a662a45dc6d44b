"""Comparing: cases as data, rules that hold for any policies, and the real thing where it exists."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dutybound.cli import cli
from dutybound.compare import ANYWHERE, Comparison, compare, compare_baselines, compare_trusts
from dutybound.compiler import compile_everywhere, compile_path, compile_text
from dutybound.evaluate import Judge, Policies, Request
from dutybound.managed import managed_policy
from dutybound.policy import Condition, Policy, Statement, parse
from dutybound.simulate import policies_of
from tests.conftest import CASES, ROOT
from tests.test_witness import HEAD, KEY, NAMES, SEND, VALUES, statements

CONDITIONS = yaml.safe_load((CASES / "compare" / "conditions.yaml").read_text(encoding="utf-8"))
POLICIES = yaml.safe_load((CASES / "compare" / "policies.yaml").read_text(encoding="utf-8"))
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def identity(*listed: dict[str, Any]) -> Policies:
    """Policies of one identity policy."""
    return Policies((parse({"Version": "2012-10-17", "Statement": list(listed)}),))


def replayed(found: Comparison, old: Policies, new: Policies) -> None:
    """Each witness, asked of judges that took no part in finding it."""
    sides = (Judge(old), Judge(new))
    for differences, allows, denies in ((found.gained, sides[1], sides[0]), (found.lost, sides[0], sides[1])):
        for one in differences:
            assert allows.decide(one.witness).outcome == "allowed"
            assert denies.decide(one.witness).outcome == "denied"
            assert set(one.because) <= set(allows.decide(one.witness).because)


def swapped(found: Comparison, back: Comparison) -> None:
    """What one way gained, the other lost."""
    for differences, others in ((found.gained, back.lost), (found.lost, back.gained)):
        assert {(d.actions, d.resource) for d in differences} == {(d.actions, d.resource) for d in others}


def told(found: Comparison) -> str:
    """Which ways two sides differ, in the words of the cases."""
    certain = "both" if found.gained and found.lost else "gained" if found.gained else "lost" if found.lost else ""
    doubt = "unknown" if found.unknown else ""
    return " and ".join(filter(None, (certain, doubt))) or "nothing"


@pytest.mark.parametrize("case", CONDITIONS, ids=lambda case: case["name"])
def test_conditions(case: dict[str, Any]) -> None:
    effect = case.get("effect", "Allow")
    sides = []
    for block in (case["old"], case["new"]):
        condition = {"Condition": block} if block else {}
        changed = {"Effect": effect, "Action": "s3:GetObject", "Resource": "*", **condition}
        sides.append(identity(*([EVERYTHING] if effect == "Deny" else []), changed))
    found = compare(sides[0], sides[1])
    assert told(found) == case["to"]
    replayed(found, sides[0], sides[1])
    swapped(found, compare(sides[1], sides[0]))
    if "with" in case:
        context = {k.lower(): v for k, v in (found.gained or found.lost)[0].witness.context.items()}
        wanted = {k.lower(): tuple(v) if isinstance(v, list) else v for k, v in case["with"].items()}
        assert {k: context.get(k) for k in wanted} == wanted


@pytest.mark.parametrize("case", POLICIES, ids=lambda case: case["name"])
def test_policies(case: dict[str, Any]) -> None:
    sides = [identity(*case[s]) if isinstance(case[s], list) else policies_of(case[s]) for s in ("old", "new")]
    found = compare(sides[0], sides[1])
    for name, differences in (("gained", found.gained), ("lost", found.lost)):
        patterns: dict[str, list[str]] = {}
        for one in differences:
            patterns.setdefault(one.resource, []).extend(one.actions)
        assert {p: sorted(set(a)) for p, a in patterns.items()} == case.get(name, {}), name
    assert found.unknown == ()
    replayed(found, sides[0], sides[1])


def test_there_are_enough_cases() -> None:
    assert len(CONDITIONS) + len(POLICIES) >= 60
    assert len(CONDITIONS) >= 40


# --- rules that hold for any policies -------------------------------------------------------------------------------

MANY = [
    Request("", "sqs:SendMessage", f"{HEAD}{name}", {KEY: value} if value else {})
    for name, value in product(NAMES, VALUES)
]


@settings(max_examples=150)
@given(st.lists(statements(), max_size=4), st.lists(statements(), max_size=4))
def test_it_agrees_with_trying_everything(mine: list[Statement], theirs: list[Statement]) -> None:
    old, new = Policies((Policy(tuple(mine)),)), Policies((Policy(tuple(theirs)),))
    found = compare(old, new, actions=[SEND])
    replayed(found, old, new)
    before, after = Judge(old), Judge(new)
    for request in MANY:
        outcomes = (before.decide(request).outcome, after.decide(request).outcome)
        if outcomes == ("denied", "allowed"):
            assert found.gained
        elif outcomes == ("allowed", "denied"):
            assert found.lost
    swapped(found, compare(new, old, actions=[SEND]))


@settings(max_examples=150)
@given(st.lists(statements(), max_size=4), statements())
def test_what_is_added(mine: list[Statement], more: Statement) -> None:
    """A policy is equal to itself; another allow only gains, another deny only loses; for each pattern one witness."""
    old, new = Policies((Policy(tuple(mine)),)), Policies((Policy((*mine, more)),))
    assert compare(old, Policies((Policy(tuple(reversed(mine))),)), actions=[SEND]).equal
    found = compare(old, new, actions=[SEND])
    assert not (found.lost if more.effect == "Allow" else found.gained)
    for differences in (found.gained, found.lost):
        assert len({(d.resource, d.because, d.instead, *d.witness.context) for d in differences}) == len(differences)


# --- the real thing -------------------------------------------------------------------------------------------------


def of_aws(name: str) -> Policies:
    """An AWS managed policy as that of a principal."""
    return Policies((managed_policy(name).policy,))


def test_policies_of_aws() -> None:
    """Real policies of AWS, whole: what is known of them is found, and in seconds."""
    found = compare(of_aws("ReadOnlyAccess"), of_aws("ViewOnlyAccess"))
    lost = {action for one in found.lost for action in one.actions}
    assert "s3:GetObject" in lost
    assert "s3:ListAllMyBuckets" not in lost
    found = compare(of_aws("AdministratorAccess"), of_aws("PowerUserAccess"))
    lost = {action for one in found.lost for action in one.actions}
    assert not found.gained
    assert {"iam:CreateUser", "organizations:LeaveOrganization"} <= lost
    assert not {"s3:GetObject", "iam:ListRoles"} & lost
    assert compare(of_aws("AdministratorAccess"), of_aws("AdministratorAccess")).equal


def configured(tmp_path: Path, *changes: tuple[str, str]) -> Any:
    """The baseline of the repository's own configuration, with texts replaced."""
    for file in sorted((ROOT / "config").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        for old, new in changes:
            text = text.replace(old, new)
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    baseline = compile_path(tmp_path).value
    assert baseline is not None
    return baseline


def test_baselines(tmp_path: Path) -> None:
    """Who has a changed duty changes, nobody else; somebody new gains what their team has."""
    old = configured(tmp_path)
    assert compare_baselines(old, configured(tmp_path)) == ()
    new = configured(
        tmp_path, ("acme-artifacts]", "acme-artifacts, acme-new]"), ("[john, maria, tom]", "[john, maria, grace]")
    )
    changes = compare_baselines(old, new)
    assert {(c.kind, c.name, c.status) for c in changes} == {
        ("person", "grace", "new"),
        ("person", "john", "changed"),
        ("person", "maria", "changed"),
        ("person", "tom", "removed"),
        ("team", "developers", "changed"),
    }
    john = next(c for c in changes if c.name == "john")
    assert {d.resource for d in john.comparison.gained} == {"arn:aws:s3:::acme-new", "arn:aws:s3:::acme-new/*"}
    assert not john.comparison.lost
    assert all(d.witness.principal.endswith(":user/people/john") for d in john.comparison.gained)
    assert all(
        o.granted for d in john.comparison.gained for s in d.because for o in s.origins if o.duty == "use-storage"
    )
    assert {c.session for c in changes if c.name == "grace"} == {"mfa", "no-mfa", "key"}


def tagged(tmp_path: Path, value: str, *tags: tuple[str, str]) -> Any:
    """The baseline in which the developers may send messages if john's tag says so."""
    condition = Condition("StringEquals", "aws:PrincipalTag/department", (value,))
    statement = Statement("T", "Allow", ("sqs:SendMessage",), ("*",), conditions=(condition,))
    baseline = configured(tmp_path)
    account = baseline.accounts[0]
    own = next(g for g in account.groups if g.name == "developers").policies[0]
    policies = tuple(
        replace(p, policy=replace(p.policy, statements=(*p.policy.statements, statement))) if p.name == own else p
        for p in account.policies
    )
    users = tuple(replace(u, tags=tags) if u.name == "john" else u for u in account.users)
    return replace(baseline, accounts=(replace(account, policies=policies, users=users),))


@pytest.mark.parametrize("value", ["shop", "${aws:PrincipalTag/wanted}"])
def test_a_tag_that_changed(tmp_path: Path, value: str) -> None:
    """A tag of somebody decides, though no policy changed; what it is compared with may be another tag."""
    wanted = ("wanted", "shop")
    old, new = tagged(tmp_path, value, wanted), tagged(tmp_path, value, wanted, ("department", "shop"))
    changes = compare_baselines(old, new)
    assert {(c.name, c.session, c.status) for c in changes} == {("john", "mfa", "changed")}
    assert [d.actions for d in changes[0].comparison.gained] == [("sqs:SendMessage",)]
    assert compare_baselines(new, old)[0].comparison.lost


def test_a_tag_that_changed_and_is_compared_with_what_nobody_knows(tmp_path: Path) -> None:
    """That is unknown, never no change."""
    old, new = (tagged(tmp_path, "${aws:SourceVpc}", ("department", name)) for name in ("shop", "data"))
    changes = compare_baselines(old, new)
    assert {c.name for c in changes} == {"john"}
    assert all("aws:PrincipalTag/department changed" in c.comparison.unknown[0].reason for c in changes)


def test_trusts(tmp_path: Path) -> None:
    """Who can take a role: another external id is another way in, and the old one is none any more."""
    old = configured(tmp_path)
    assert compare_trusts(old, configured(tmp_path)) == ()
    changes = compare_trusts(old, configured(tmp_path, ("acme-9f3c2b7148d0", "acme-9f3c2b7148d1")))
    assert {(c.role, c.principal) for c in changes} == {("partner-audit", "arn:aws:iam::999988887777:user/somebody")}
    for change in changes:
        gained, lost = change.comparison.gained, change.comparison.lost
        assert [d.witness.context["sts:ExternalId"] for d in gained if "sts:AssumeRole" in d.actions] == [
            "acme-9f3c2b7148d1"
        ]
        assert [d.witness.context["sts:ExternalId"] for d in lost if "sts:AssumeRole" in d.actions] == [
            "acme-9f3c2b7148d0"
        ]


# --- the command ----------------------------------------------------------------------------------------------------


def run(tmp_path: Path, old: object, new: object, *options: str) -> Any:
    """`dutybound compare` of two documents."""
    for name, document in (("old.json", old), ("new.json", new)):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return CliRunner().invoke(cli, ["compare", str(tmp_path / "old.json"), str(tmp_path / "new.json"), *options])


def one(*actions: str, **more: Any) -> dict[str, Any]:
    """A policy of one statement."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}],
    }


def test_exit_codes(tmp_path: Path) -> None:
    few, many = one("sqs:SendMessage"), one("sqs:SendMessage", "s3:GetObject")
    assert run(tmp_path, few, [few]).exit_code == 0
    assert run(tmp_path, few, {"identity": [many]}).exit_code == 1
    assert run(tmp_path, many, few).exit_code == 1
    assert run(tmp_path, many, few, "--no-new-access").exit_code == 0
    assert run(tmp_path, few, many, "--no-new-access").exit_code == 1
    doubtful = one(
        "sqs:SendMessage", Condition={"NumericLessThan": {"s3:max-keys": "5"}, "StringLike": {"s3:max-keys": "*"}}
    )
    plain = one("sqs:SendMessage", Condition={"NumericLessThan": {"s3:max-keys": "5"}})
    for options in ([], ["--no-new-access"]):
        result = run(tmp_path, plain, doubtful, *options)
        assert result.exit_code == 3
        assert "unknown" in result.output


def test_json_and_text(tmp_path: Path) -> None:
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    old, new = one("s3:DeleteObject", Condition=mfa), one("s3:DeleteObject")
    result = run(tmp_path, old, new, "--format", "json")
    assert json.loads(result.output) == {
        "gained": [
            {
                "actions": ["s3:DeleteObject"],
                "resource": "*",
                "witness": {"action": "s3:DeleteObject", "resource": "*", "context": {}},
            }
        ],
        "lost": [],
        "unknown": [],
    }
    text = run(tmp_path, old, new).output
    assert text == "+ s3:DeleteObject on * (witness: *, without aws:MultiFactorAuthPresent)\n"
    assert run(tmp_path, new, new).output == "no access changes\n"


def test_wrong_input_names_the_file(tmp_path: Path) -> None:
    good = one("sqs:SendMessage")
    for bad, what in (
        ("{", "no JSON"),
        ({"identity": [{"Statement": [{"Effect": "Allow", "Action": "s3:*"}]}]}, "identity[0].Statement[0]"),
        ({"identities": []}, "'identities' is no field of policies"),
        ("7", "must hold a policy"),
        ({}, "holds no policy"),
        (one("sqs:SendMessage", Condition={"StringLik": {"a:b": "c"}}), "StringLik"),
    ):
        result = run(tmp_path, bad, good)
        assert result.exit_code == 2
        assert "old.json" in result.output
        assert what in result.output
    assert CliRunner().invoke(cli, ["compare", "-", "-"]).exit_code == 2


def test_a_principal_of_whom_nobody_says_who_it_is() -> None:
    """Keys and roles leave the decision to identity policies, where nothing else is given."""
    assert ANYWHERE.principal == ""
    found = compare(
        Policies(), identity({"Effect": "Allow", "Action": ["kms:Decrypt", "sts:AssumeRole"], "Resource": "*"})
    )
    assert {a for d in found.gained for a in d.actions} == {"kms:Decrypt", "sts:AssumeRole"}
    assert not found.unknown


# --- condition keys, against brute force ----------------------------------------------------------------------------

TEXTS = ("a", "ab", "b", "A", "ba")
SETS = (None, *((t,) for t in TEXTS), ("a", "b"), ("ab", "b"), ("a", "ab", "ba"))
NUMBERS = (None, "1", "2", "2.5", "3", "4")
CONTEXTS = [
    {
        k: v
        for k, v in (("aws:TagKeys", tags), ("aws:SourceVpc", vpc), ("aws:username", name), ("s3:max-keys", number))
        if v
    }
    for tags, vpc, name, number in product(SETS, (None, "a", "ab", "B"), (None, "a", "b"), NUMBERS)
]
PATTERNS = st.sampled_from(["a", "ab", "a*", "*b", "?", "*", "B"])
CONDITION = st.one_of(
    st.builds(
        lambda set_, operator, values, end: Condition(f"{set_}:{operator}{end}", "aws:TagKeys", tuple(values)),
        st.sampled_from(["ForAllValues", "ForAnyValue"]),
        st.sampled_from(["StringEquals", "StringLike", "StringNotEquals", "StringNotLike", "StringEqualsIgnoreCase"]),
        st.lists(PATTERNS, min_size=1, max_size=2),
        st.sampled_from(["", "IfExists"]),
    ),
    st.builds(
        lambda operator, value: Condition(operator, "aws:SourceVpc", (value,)),
        st.sampled_from(
            ["StringEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "StringLikeIfExists"]
        ),
        st.one_of(PATTERNS, st.sampled_from(["${aws:username}", "${aws:username}b", "${aws:username, 'ab'}"])),
    ),
    st.builds(
        lambda operator, value: Condition(f"Numeric{operator}", "s3:max-keys", (value,)),
        st.sampled_from(["LessThan", "LessThanEquals", "GreaterThan", "Equals", "NotEquals", "LessThanIfExists"]),
        st.sampled_from(["2", "3"]),
    ),
    st.builds(
        lambda key, value: Condition("Null", key, (value,)),
        st.sampled_from(["aws:TagKeys", "aws:username", "s3:max-keys"]),
        st.sampled_from(["true", "false"]),
    ),
)
CONDITIONED = st.builds(
    lambda effect, conditions: Statement("S", effect, ("sqs:SendMessage",), ("*",), conditions=tuple(conditions)),
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.lists(CONDITION, max_size=3, unique_by=lambda c: (c.operator, c.key)),
)


@settings(max_examples=150)
@given(st.lists(CONDITIONED, max_size=3), st.lists(CONDITIONED, max_size=3))
def test_conditions_agree_with_trying_everything(mine: list[Statement], theirs: list[Statement]) -> None:
    old, new = Policies((Policy(tuple(mine)),)), Policies((Policy(tuple(theirs)),))
    found = compare(old, new, actions=[SEND])
    replayed(found, old, new)
    before, after = Judge(old.identity), Judge(new.identity)
    for context in CONTEXTS:
        request = Request("", "sqs:SendMessage", "*", context)
        outcomes = (before.decide(request).outcome, after.decide(request).outcome)
        if outcomes == ("denied", "allowed"):
            assert found.gained, context
        elif outcomes == ("allowed", "denied"):
            assert found.lost, context


PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")


def test_the_page_shows_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of docs/compare.md, with the files that the page shows."""
    for name, text in re.findall(r"`([\w.-]+)`:\n\n```json\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command, output = re.findall(r"\$ dutybound (.*)\n((?:[^$`].*\n)*)", PAGE)[0]
    result = CliRunner().invoke(cli, command.split())
    assert (result.output, result.exit_code) == (output, 1)


def test_too_much_work_is_unknown_and_never_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound whoever may differ is a doubt; who was compared before it is told."""
    head = (
        "version: 1\norganization: {name: acme, owner: x}\nbreak_glass: {users: [e, f], alert: [a@b.example]}\nteams:\n"
    )
    team = "  {}: {{purpose: x, members: [{}], duties: [{}]}}\n"
    made = [
        compile_text(head + "".join(team.format(name, who, duties) for name, who in (("a", "ada"), ("b", "bob")))).value
        for duties in ("view-servers", "view-servers, view-metrics")
    ]
    assert made[0] is not None
    assert made[1] is not None
    whole = compare_baselines(made[0], made[1])
    assert {(c.kind, c.name) for c in whole if not c.comparison.unknown} >= {("person", "ada"), ("team", "b")}
    monkeypatch.setattr("dutybound.compare.MOST_REQUESTS", 0)
    cut = compare_baselines(made[0], made[1])
    assert {(c.kind, c.name) for c in cut} == {(c.kind, c.name) for c in whole}
    doubts = [d.reason for c in cut for d in c.comparison.unknown]
    assert doubts
    assert all(reason.startswith("not compared") for reason in doubts)


def test_an_account_more_changes_nobody_in_the_others(tmp_path: Path) -> None:
    """Accounts of one environment hold the same, and the new one, first by its id, does not stand for all of them."""
    example = ROOT / "examples" / "organization"
    line = '  before: {id: "100033334444", environment: development, unit: Workloads/Development}\n'
    sides = []
    for name, more in (("old", ""), ("new", line)):
        shutil.copytree(example, tmp_path / name)
        accounts = tmp_path / name / "accounts.yaml"
        accounts.write_text(accounts.read_text(encoding="utf-8") + more, encoding="utf-8")
        sides.append(compile_everywhere(tmp_path / name))
    old, new = ({name: one.value for name, one in side.items()} for side in sides)
    changed = {}
    for account in old:
        before, after = old[account], new[account]
        assert before is not None
        assert after is not None
        assert compare_trusts(before, after) == ()
        changed[account] = {(c.kind, c.name, c.status) for c in compare_baselines(before, after)}
    assert {account for account, found in changed.items() if found} == {"identity"}
    assert {status for *_, status in changed["identity"]} == {"changed"}
