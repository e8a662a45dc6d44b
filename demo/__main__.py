"""`python -m demo [--config PATH] [--environment NAME]`: deploy to an emulator on this machine, see what people can do.

Exit code 0: the account holds exactly what the configuration says, and every call had the promised answer. 1: it does
not, or something stopped the demo; the last line of standard error says what. 2: a wrong argument. 130: interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from demo import DemoError
from demo.account import Holdings, differences, expected, observed
from demo.deployment import cli, deploy
from demo.server import running
from demo.trials import Verdict, chosen, judged
from dutybound.baseline import Account
from dutybound.clock import today
from dutybound.compiler import compile_path
from dutybound.diagnostic import render_all

ACCOUNT = "123456789012"
WIDTH = 118


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Returns its exit code; every failure is one line on standard error."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, default=Path("config"), help="configuration folder (default: config)")
    parser.add_argument("--environment", help="that of the account, for a configuration that names some")
    given = parser.parse_args(arguments)
    try:
        return _demo(given.config, given.environment)
    except (DemoError, BotoCoreError, ClientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has gone: say nothing more, not even while Python closes its streams.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: the emulator is stopped, nothing is left", file=sys.stderr)
        return 130


def _demo(config: Path, environment: str | None) -> int:
    started = time.monotonic()
    cli()
    compiled = compile_path(config, environment, today())
    if compiled.diagnostics:
        print(render_all(compiled.diagnostics), file=sys.stderr)
    if compiled.failed or compiled.value is None:
        raise DemoError(f"{config} does not compile")
    baseline = compiled.value
    account = baseline.accounts[0]
    account_id = account.id or ACCOUNT
    if len(baseline.accounts) > 1:
        _say(f"The demo plays the first of {len(baseline.accounts)} accounts, {account_id}.")
    with running(account_id, account.home_region) as emulator:
        _say(f"An AWS emulator runs at {emulator.url}. No AWS account, credentials or configuration of yours is used.")
        deployment = deploy(emulator, config, environment)
        if not deployment.ok:
            raise DemoError(f"the deployment failed: {deployment.reason}")
        _say(f"cdk deploy: {len(account.stacks)} stacks, {time.monotonic() - started:.0f} s since the start.")
        found = observed(emulator, [stack.region for stack in account.stacks])
        _show(found, account)
        wrong = differences(expected(baseline, account, account_id), found)
        with contextlib.closing(judged(emulator, account, chosen(account))) as answered:
            verdicts = _try(answered)
    return _conclude(wrong, verdicts, time.monotonic() - started)


def _say(text: str) -> None:
    print(text, flush=True)


def _show(found: Holdings, account: Account) -> None:
    """What the account holds, read back through its APIs."""
    sizes = {policy.name: policy.policy.size for policy in account.policies}
    policies = (f"{facts['path']}{name} ({sizes.get(name, 0)})" for name, facts in found["policies"].items())
    _say("\nThe account now holds")
    _list(f"{len(found['groups'])} groups", [_group_line(name, facts) for name, facts in found["groups"].items()])
    _list(f"{len(found['users'])} users", [", ".join(f"{f['path']}{name}" for name, f in found["users"].items())])
    _list(f"{len(found['roles'])} roles", [_role_line(name, facts) for name, facts in found["roles"].items()])
    _list(f"{len(found['policies'])} policies (characters)", [", ".join(policies)])
    if found["identity providers"]:
        providers = (f"{name} for {', '.join(f['audiences'])}" for name, f in found["identity providers"].items())
        _list(f"{len(found['identity providers'])} identity providers", [", ".join(providers)])
    if found["secrets"]:
        _list(f"{len(found['secrets'])} sealed passwords", [", ".join(found["secrets"])])
    if found["budgets"]:
        _list(
            f"{len(found['budgets'])} budgets", [_budget_line(name, facts) for name, facts in found["budgets"].items()]
        )
    _list(
        f"alarms: {len(found['rules'])} rules, and the topics behind them",
        [*_topic_lines(found), *_rule_lines(found)],
    )


def _list(title: str, lines: Iterable[str]) -> None:
    _say(f"  {title}")
    for line in lines:
        _say(_filled(line, "    ", "      "))


def _group_line(name: str, facts: dict[str, list[str]]) -> str:
    return f"{facts['path']}{name}: {', '.join(facts['members']) or 'nobody'}; has {', '.join(facts['policies'])}"


def _role_line(name: str, facts: dict[str, object]) -> str:
    policies = facts["policies"]
    attached = ", ".join(policies) if isinstance(policies, list) and policies else "nothing"
    return f"{facts['path']}{name}: trusts {_trusted(facts['trust'])}; has {attached}; {facts['seconds']} s"


def _budget_line(name: str, facts: dict[str, Any]) -> str:
    alerts = "; ".join(f"{percent} % to {', '.join(addresses)}" for percent, addresses in facts["alerts"].items())
    return f"{name}: {facts['limit']} a month; mails at {alerts}"


def _trusted(trust: object) -> str:
    """Who a trust document names, with the condition keys that narrow it."""
    out = []
    for statement in trust["Statement"] if isinstance(trust, dict) else ():
        named = statement.get("Principal", {})
        values = [v for who in named.values() for v in ([who] if isinstance(who, str) else who)]
        keys = sorted({key for block in statement.get("Condition", {}).values() for key in block})
        out.append(", ".join(values) + (f" (if {', '.join(keys)})" if keys else ""))
    return "; ".join(out)


def _topic_lines(found: Holdings) -> list[str]:
    return [f"{name}: mails {', '.join(facts['addresses'])}" for name, facts in found["topics"].items()]


def _rule_lines(found: Holdings) -> list[str]:
    """Rules, one line per Region."""
    by_region = groupby(sorted(found["rules"]), key=lambda key: key.split(" ")[0])
    return [f"{region}: rules {', '.join(key.split(' ', 1)[1] for key in keys)}" for region, keys in by_region]


def _try(answered: Iterable[Verdict]) -> list[Verdict]:
    """Print what each person and role met with, as soon as they are through: calls of one outcome share a line."""
    verdicts: list[Verdict] = []
    _say("\nWhat people and roles try: what the configuration promises > what the account answers")
    for who, theirs in groupby(answered, key=lambda v: v.who):
        rows = [list(of_one) for _, of_one in groupby(theirs, key=lambda v: v.trial)]
        verdicts += [verdict for row in rows for verdict in row]
        _say(f"\n  {who}")
        _say(f"    {''.join(f'{v.standing:<20}' for v in rows[0])}calls")
        by_outcome: dict[tuple[str, ...], list[Verdict]] = {}
        for row in rows:
            cells = tuple(f"{v.promised} > {v.answered}" for v in row)
            by_outcome.setdefault(cells, []).append(row[0])
        for cells, firsts in by_outcome.items():
            start = "    " + "".join(f"{cell:<20}" for cell in cells)
            mark = "" if _agreeing(cells) else "DISAGREES: "
            _say(_filled(mark + _calls(firsts), start, " " * len(start)))
    return verdicts


def _agreeing(cells: Iterable[str]) -> bool:
    return all(cell in ("allowed > allowed", "denied > denied") for cell in cells)


def _calls(verdicts: Iterable[Verdict]) -> str:
    """Calls by service and by what they touch: `s3: ListBucket, GetObject (acme-assets); ec2: RunInstances`."""
    together: dict[tuple[str, str], list[str]] = {}
    for v in verdicts:
        service, _, action = v.trial.action.partition(":")
        together.setdefault((service, v.trial.on), []).append(action)
    return "; ".join(
        f"{service}: {', '.join(actions)}{f' ({on})' if on else ''}" for (service, on), actions in together.items()
    )


def _filled(text: str, first: str, rest: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _conclude(wrong: list[str], verdicts: list[Verdict], seconds: float) -> int:
    """The last lines, and the exit code."""
    disagreeing = [v for v in verdicts if not v.agrees]
    counts = Counter(v.answered for v in verdicts)
    tally = ", ".join(f"{n} {answer}" for answer, n in sorted(counts.items()))
    if not wrong and not disagreeing:
        _say(
            f"\nThe account holds exactly what the configuration says. {len(verdicts)} calls ({tally}): "
            f"every answer is the one the configuration promises. {seconds:.0f} s; the emulator is gone."
        )
        return 0
    sys.stdout.flush()
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    for v in disagreeing:
        print(
            f"error: {v.who}, {v.standing}, {v.trial.label}: promised {v.promised} ({v.because}), "
            f"but the account answered {v.answered}",
            file=sys.stderr,
        )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
