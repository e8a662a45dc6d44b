"""What shortening and packing save: `python -m benchmarks.packing [CONFIG]` prints two Markdown tables.

For every built-in duty with its example parameters, and for every group and role of a configuration: the characters of
one policy per duty that names every action, of ours, and of the same statements with their actions minimised by
policy_sentry, each over its own reference. policy_sentry is no dependency; without it its columns stay empty:

    pip install --target /tmp/policy_sentry policy_sentry==0.15.2
    PYTHONPATH=/tmp/policy_sentry python -m benchmarks.packing
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from dutybound import catalog
from dutybound.compiler import compile_path
from dutybound.grant import LOOKING, duty_access, example_use
from dutybound.pack import POLICY_SIZE, pack
from dutybound.policy import Policy, Statement, glob
from dutybound.read import library, library_duty

Minimise = Callable[[Iterable[str]], tuple[str, ...]]
LARGEST = 10


@dataclass(frozen=True)
class Row:
    """What one duty or holder takes, in characters as IAM counts them."""

    name: str
    actions: int
    named: int
    ours: int
    policies: int
    theirs: int | None
    """With all actions minimised by policy_sentry."""
    theirs_like_ours: int | None
    """With those minimised that we shorten too: what lists and reads."""
    surplus: int | None
    """Actions that policy_sentry's patterns match in our reference and nobody asked for."""


def main(config: Path) -> None:
    """Measure and print."""
    minimise = policy_sentry()
    duties = [(name, duty_access(example_use(name, library_duty(name)), library_duty(name), [])) for name in library()]
    rows = [measured(name, access.statements, minimise) for name, access in duties if access.statements]
    print(f"Built-in duties with their example parameters, {catalog.version()}\n")
    print_table(rows)
    print(f"\n`{config}`\n")
    print_table([measured(name, statements, minimise) for name, statements in holders(config)])
    if minimise is None:
        print("\npolicy_sentry is not installed, so it was not measured.")


def holders(config: Path) -> list[tuple[str, tuple[Statement, ...]]]:
    """Every group and role of a configuration with the statements of its own policies, cut ones put together."""
    baseline = compile_path(config).value
    if baseline is None:
        raise SystemExit(f"{config} has errors: see `dutybound check {config}`")
    out = []
    for account in baseline.accounts:
        policies = {p.name: p.policy for p in account.policies if p.path == "/duties/"}
        for kind, found in (("team", account.groups), ("role", account.roles)):
            for holder in found:
                statements = [s for name in holder.policies if name in policies for s in policies[name].statements]
                if statements:
                    out.append((f"{kind} {holder.name}", whole(statements)))
    return out


def whole(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Statements as they were before packing cut them."""
    out: dict[str, Statement] = {}
    for s in statements:
        there = out.get(s.sid, s)
        actions = tuple(sorted({*there.actions, *s.actions}))
        out[s.sid] = replace(s, actions=actions, resources=tuple(sorted({*there.resources, *s.resources})))
    return tuple(out.values())


def measured(name: str, statements: tuple[Statement, ...], minimise: Minimise | None) -> Row:
    """The row of one duty or holder."""
    named = [replace(s, actions=tuple(sorted(expanded(s.actions)))) for s in statements]
    packed = pack([replace(s, sid=f"{s.sid}{_ordinal(i, statements)}") for i, s in enumerate(statements)], 99) or ()
    theirs = like_ours = surplus = None
    if minimise is not None:
        short = [replace(s, actions=minimise(s.actions)) for s in named]
        theirs = Policy(tuple(short)).size
        like_ours = Policy(tuple(replace(s, actions=only_looking(s.actions, minimise)) for s in named)).size
        surplus = sum(len(expanded(a.actions) - set(b.actions)) for a, b in zip(short, named, strict=True))
    actions = sum(len(s.actions) for s in named)
    ours = sum(p.size for p in packed)
    return Row(
        name, actions, sum(policy.size for policy in one_per_duty(named)), ours, len(packed), theirs, like_ours, surplus
    )


def only_looking(actions: Iterable[str], minimise: Minimise) -> tuple[str, ...]:
    """The actions with those minimised that list or read, and the others by name."""
    looking = {a for a in actions if _level(a) in LOOKING}
    return (*minimise(looking), *sorted(set(actions) - looking)) if looking else tuple(actions)


def _level(name: str) -> str:
    prefix, _, action = name.partition(":")
    return catalog.service(prefix).actions[action.lower()].level


def _ordinal(at: int, statements: tuple[Statement, ...]) -> str:
    """What tells a statement's Sid from those of the same text before it."""
    before = sum(s.sid == statements[at].sid for s in statements[:at])
    return str(before + 1) if before else ""


def one_per_duty(statements: Iterable[Statement]) -> list[Policy]:
    """What a person would write by hand: for each duty a policy."""
    duties: dict[str, list[Statement]] = {}
    for s in statements:
        duties.setdefault(min(o.duty for o in s.origins), []).append(s)
    return [Policy(tuple(mine)) for mine in duties.values()]


@cache
def _matching(pattern: str) -> frozenset[str]:
    prefix, _, name = pattern.partition(":")
    matches = glob(name, True).fullmatch
    return frozenset(str(a) for a in catalog.service(prefix).actions.values() if matches(a.name))


def expanded(patterns: Iterable[str]) -> set[str]:
    """The actions of our reference that action patterns match."""
    return set().union(*map(_matching, patterns))


def policy_sentry() -> Minimise | None:
    """policy_sentry's minimising over its own reference, or None if it is not installed."""
    try:
        from policy_sentry.querying.all import get_all_actions
        from policy_sentry.writing.minimize import minimize_statement_actions
    except ImportError:
        return None
    everything = {action.lower() for action in get_all_actions()}
    return lambda actions: tuple(minimize_statement_actions(sorted(actions), everything))


def print_table(rows: list[Row]) -> None:
    """The largest rows, and all of them together."""
    columns = ("actions", "one policy per duty, by name", "ours", "policies of ours")
    theirs = ("policy_sentry", "policy_sentry, list and read only", "actions it grants besides")
    print(f"| | {' | '.join((*columns, *theirs))} |")
    print("|---|" + "---:|" * len((*columns, *theirs)))
    for row in sorted(rows, key=lambda r: -r.named)[:LARGEST]:
        print_row(row)
    print_row(
        Row(
            f"all {len(rows)}",
            sum(r.actions for r in rows),
            sum(r.named for r in rows),
            sum(r.ours for r in rows),
            sum(r.policies for r in rows),
            total(r.theirs for r in rows),
            total(r.theirs_like_ours for r in rows),
            total(r.surplus for r in rows),
        )
    )
    over = sum(r.named > POLICY_SIZE for r in rows)
    print(f"\n{over} of them are over {POLICY_SIZE:,} characters with every action by name.")


def total(numbers: Iterable[int | None]) -> int | None:
    """Their sum, or None where something was not measured."""
    known = list(numbers)
    return None if None in known else sum(n for n in known if n is not None)


def print_row(row: Row) -> None:
    """One row."""
    numbers = (row.actions, row.named, row.ours, row.policies, row.theirs, row.theirs_like_ours, row.surplus)
    print(f"| {row.name} | {' | '.join('–' if n is None else f'{n:,}' for n in numbers)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("config"))
