"""The `dutybound` command. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import click

from dutybound import __version__
from dutybound.clock import today

if TYPE_CHECKING:
    from dutybound.baseline import Baseline
    from dutybound.callers import Session
    from dutybound.case import Question
    from dutybound.changes import Broken, FailOn, Review
    from dutybound.compliance import Benchmark
    from dutybound.config import Configuration
    from dutybound.diagnostic import Diagnostic
    from dutybound.operate.aws import Aws
    from dutybound.operate.found import Found
    from dutybound.operate.plan import Plan
    from dutybound.report.diff import Sides
    from dutybound.report.facts import Facts
    from dutybound.report.history import History

FINDINGS = 1
"""Exit code when the input has findings; click itself exits with 2 for wrong usage."""
EXAMPLES = ("personal", "small-team", "company", "regulated", "organization", "identity-center")
"""Configurations to start from, the first unless the user says otherwise: folders of `examples`."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dutybound")
def cli() -> None:
    """Compile teams and duties into a least-privilege baseline for AWS."""


@cli.command()
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--environment", help="Check for the accounts of this environment alone (default: for each).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github", "junit"]),
    default="text",
    help="How findings are written: for people (on stderr), or for machines (on stdout).",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--watch", is_flag=True, help="Check again whenever a file is saved, until Ctrl-C.")
@click.option(
    "--today",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day on which memberships and waivers may have ended, as in 2027-01-31 (default: the clock's).",
)
def check(path: Path, environment: str | None, form: str, strict: bool, watch: bool, day: datetime | None) -> None:
    """Compile a configuration and report what is wrong with it.

    PATH is a folder or a file; without it, the folder config. Exits with 0 if there are no errors (with --strict: and
    no warnings), else with 1; --watch ends with 130, as whatever Ctrl-C ends.
    """
    if watch and form != "text":
        raise click.UsageError("--watch writes for people: it goes with --format text only")
    on = day.date() if day is not None else None
    if watch:
        _watch(path, environment, on)
    elif not _checked(path, environment, on or today(), form, strict):
        raise SystemExit(FINDINGS)


def _checked(path: Path, environment: str | None, on: date, form: str = "text", strict: bool = False) -> bool:
    """Check once, as on a day, and say what was found; True if all is well."""
    from dutybound import diagnostic
    from dutybound.compiler import compile_everywhere, compile_path

    checked = (
        compile_everywhere(path, on) if environment is None else {environment: compile_path(path, environment, on)}
    )
    found = diagnostic.in_order(d for one in checked.values() for d in one.diagnostics)
    if form == "json":
        click.echo(diagnostic.as_json(found))
    elif form == "sarif":
        click.echo(diagnostic.as_sarif(found, __version__, path.as_posix()))
    elif form == "junit":
        click.echo(_junit(path, environment, on, found))
    elif form == "github" and found:
        click.echo(diagnostic.as_github(found))
    elif found:
        click.echo(diagnostic.render_all(found, paint=_colour(sys.stderr)), err=True)
    if any(one.failed for one in checked.values()):
        return False
    for name, one in checked.items():
        if form == "text" and one.value is not None:
            click.echo(_summary(f"{path}{f' in {name}' if name else ''}", one.value))
            click.echo(f"What CloudFormation cannot do, such as first passwords: {_steps_command(path, name)}")
    return not (strict and found)


def _junit(path: Path, environment: str | None, on: date, found: Sequence[Diagnostic]) -> str:
    """Every test with its result, and that the rest of the configuration is in order as one more."""
    from dutybound.access import as_junit
    from dutybound.compiler import promises
    from dutybound.diagnostic import Diagnostic, render_all
    from dutybound.guardrails import Result

    results = promises(path, environment, on)
    failures = {r.failure for listed in results.values() for r in listed}
    rest = [d for d in found if d.severity == "error" and d not in failures]
    wrong = Diagnostic(rest[0].name, rest[0].message, rest[0].span, notes=(render_all(rest),)) if rest else None
    whole = {path.as_posix(): [Result(f"{path.as_posix()} compiles", None, wrong)]}
    return as_junit({**whole, **{name or "tests": listed for name, listed in results.items()}})


def _summary(what: str, baseline: Baseline) -> str:
    account = baseline.accounts[0]
    return (
        f"{what}: no errors. {len(account.groups)} groups, {len(account.users)} users, {len(account.roles)} roles, "
        f"{len(account.policies)} policies in {len(account.stacks)} stacks ({baseline.reference})"
    )


def _steps_command(path: Path, environment: str | None) -> str:
    from dutybound.installed import command

    where = [] if path == Path("config") else [str(path)]
    named = ["--environment", environment] if environment else []
    return f"{command()} {shlex.join(['steps', *where, *named])}"


@cli.command()
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--environment", help="The environment of the account at hand, if the configuration names any.")
def steps(path: Path, environment: str | None) -> None:
    """Print a shell script for what CloudFormation cannot do.

    It sets the password policy, as far as the configuration of PATH names it, and says what people still have to do:
    confirm mails, set first passwords, enrol devices. Run it after a deployment: dutybound steps | sh
    """
    from dutybound import diagnostic
    from dutybound.compiler import compile_for, read_path
    from dutybound.steps import instance
    from dutybound.steps import steps as script

    reading = read_path(path)
    checked = compile_for(reading, environment, today())
    if checked.diagnostics:
        click.echo(diagnostic.render_all(checked.diagnostics, paint=_colour(sys.stderr)), err=True)
    if checked.failed or checked.value is None or reading.value is None:
        raise SystemExit(FINDINGS)
    account = checked.value.accounts[0]
    center = instance(reading.value.configuration, account)
    click.echo(script(account, checked.value.organization, center), nl=False)


@cli.command()
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--out", default="report", show_default=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--environment", help="Report on the accounts of this environment alone (default: on each).")
@click.option(
    "--format",
    "forms",
    multiple=True,
    type=click.Choice(["md", "html", "json", "csv"]),
    help="Write this one alone; again for more (default: all).",
)
@click.option(
    "--docs",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path("docs/access"),
    metavar="[DIR]",
    help="Write pages to commit instead, a page for each team and duty, into DIR (docs/access).",
)
def report(path: Path, out: Path, environment: str | None, forms: tuple[str, ...], docs: Path | None) -> None:
    """Report who has access to what, and why.

    PATH is a folder or a file; without it, the folder config. Writes access.md and access.html for people, access.json
    for tools and access.csv for reviews, into the folder report. An old report stays as it was until the new one is
    whole. Exits with 1 if the configuration has errors, or if the folder cannot be written.
    """
    from dutybound.report import docs as pages
    from dutybound.report.formats import written
    from dutybound.report.history import History, NoHistory
    from dutybound.report.publish import publish

    if docs is not None and forms:
        raise click.UsageError("--docs writes pages of its own: it takes no --format")
    if docs is not None and any(docs.glob("*.y*ml")):
        raise click.UsageError(f"{docs} holds a configuration; write PATH before --docs, and a folder as --docs=DIR")
    found = _facts(path, environment, History() if docs is None else NoHistory())
    folder = out if docs is None else docs
    try:
        if docs is None:
            files = written(found, forms)
            publish(out, files)
            click.echo("\n".join(str(out / name) for name in files))
        else:
            click.echo(f"{docs}: {pages.write(found, docs)} pages")
    except pages.NotOurs as error:
        click.echo(
            f"dutybound: {error} is there, and 'report --docs' did not write it: choose another folder", err=True
        )
        raise SystemExit(FINDINGS) from None
    except OSError as error:
        click.echo(f"dutybound: {folder} cannot be written: {(error.strerror or str(error)).lower()}", err=True)
        raise SystemExit(FINDINGS) from None


def _facts(path: Path, environment: str | None, history: History) -> Facts:
    """What a report of a configuration shows; one with errors ends the command with what is wrong."""
    from dutybound import diagnostic
    from dutybound.compiler import compile_for, compile_reading, read_path
    from dutybound.report.controls import controls
    from dutybound.report.gather import facts
    from dutybound.report.history import commit_of

    reading, day = read_path(path), today()
    made = (
        compile_reading(reading, day) if environment is None else {environment: compile_for(reading, environment, day)}
    )
    found = diagnostic.in_order(d for one in made.values() for d in one.diagnostics)
    if found:
        click.echo(diagnostic.render_all(found, paint=_colour(sys.stderr)), err=True)
    baselines = {name: one.value for name, one in made.items() if one.value is not None and not one.failed}
    if reading.value is None or len(baselines) < len(made):
        raise SystemExit(FINDINGS)
    findings = {name: one.diagnostics for name, one in made.items()}
    benchmarks = tuple(controls(baselines))
    commit = commit_of(path)
    return facts(reading.value, baselines, findings, history, path.as_posix(), day.isoformat(), commit, benchmarks)


def _watch(path: Path, environment: str | None, on: date | None) -> None:
    """Check, and check again after every save. Ctrl-C ends it with 130, so that nothing after it on the line runs."""
    try:
        from dutybound.watch import saves

        for _ in saves(path):
            if sys.stdout.isatty():
                click.clear()
            click.echo(f"[{time.strftime('%H:%M:%S')}] checking {path}")
            _checked(path, environment, on or today())
            click.echo(f"[{time.strftime('%H:%M:%S')}] watching {path}; Ctrl-C ends")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


@cli.command()
@click.argument("name", required=False)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people, or for tools.")
def duties(name: str | None, form: str) -> None:
    """List the built-in duties, or show what one of them grants.

    With NAME: its parameters, its actions by access level with the resources they reach with the example parameters,
    conditions and reasons, and the requests that it is checked with.
    """
    from dutybound import about
    from dutybound.diagnostic import did_you_mean, quoted
    from dutybound.read import library

    if name is not None and name not in library():
        hint = did_you_mean(name, library()) or "'dutybound duties' lists them"
        raise click.UsageError(f"there is no built-in duty {quoted(name)}; {hint}")
    if form == "json":
        click.echo(json.dumps(about.listed() if name is None else about.described(name), indent=2, ensure_ascii=False))
    else:
        click.echo(about.list_text() if name is None else about.text(name))


@cli.command("import-policy")
@click.argument("file", type=click.Path(path_type=Path, readable=False, allow_dash=True))
@click.option("--name", default="carried-over", show_default=True, help="What the duty is called.")
def import_policy(file: Path, name: str) -> None:
    """Turn an IAM policy into a duty, and print it as YAML.

    FILE is a policy document in JSON, alone or as 'aws iam get-policy-version' prints it; '-' reads it from stdin. The
    duty means the same: that is checked for every action. Exits with 1 for what cannot be carried over.
    """
    from dutybound.carry import NotCarried, carried

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        made = carried(json.loads(text), name, "a policy" if str(file) == "-" else file.name)
    except (OSError, UnicodeDecodeError, RecursionError, json.JSONDecodeError, NotCarried) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        click.echo(f"error[not-carried-over]: {file}: {reason}", err=True)
        raise SystemExit(FINDINGS) from None
    for note in made.notes:
        click.echo(f"left out: {note}", err=True)
    for doubt in made.doubts:
        click.echo(f"warning: {doubt}", err=True)
    click.echo(made.yaml, nl=False)


def _answer(_context: click.Context, option: click.Parameter, value: Any) -> str | tuple[str, ...]:
    """The answer that an option gives. Raises BadParameter with what a configuration says of such a value."""
    from dutybound.init import QUESTIONS

    question = next(q for q in QUESTIONS if q.key == option.name)
    if value is None or value == ():
        return () if question.many else ""
    try:
        return question.taken(value if question.many else (value,))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@cli.command()
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--example", type=click.Choice(EXAMPLES), help="Where to start (default: personal).")
@click.option("--name", callback=_answer, help="Name of the organization, in stack names and tags.")
@click.option("--owner", callback=_answer, help="Who owns the account: an address, a tag on everything.")
@click.option("--alert", callback=_answer, help="Address told of every use of break-glass (default: the owner's).")
@click.option("--region", callback=_answer, help="Home Region; stacks do not move (default: eu-west-1).")
@click.option(
    "--administrator",
    "administrators",
    multiple=True,
    callback=_answer,
    help="IAM user of an administrator; again for more.",
)
@click.option("--break-glass", multiple=True, callback=_answer, help="IAM user for emergencies only; again for more.")
@click.option(
    "--from",
    "networks",
    multiple=True,
    callback=_answer,
    help="regulated: a public network of your offices; again for more.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take what is usual for what is not given.")
def init(path: Path, example: str | None, yes: bool, **given: Any) -> None:
    """Write a first configuration, with comments, from an example.

    PATH is a folder that is made, or one without a configuration; without it, the folder config. On a terminal it asks
    for what is not given. It writes over nothing, and what it writes compiles; if it cannot, it exits with 1 and has
    written nothing.
    """
    from dutybound import init

    ask = _ask if _on_a_terminal() and not yes else None
    try:
        init.clear(path)
        if example is None and ask:
            example = click.prompt("Where to start", default=EXAMPLES[0], type=click.Choice(EXAMPLES))
        example = example or EXAMPLES[0]
        answers = init.answered(example, init.Answers(**given), path, today(), ask)
        environments = init.put(init.drafted(example, answers, today()), path, today())
    except init.Refused as refused:
        click.echo(f"{refused}\nnothing was written", err=True)
        raise SystemExit(FINDINGS) from None
    except init.Missing as missing:
        wanted = ", ".join(f"{q.flag} ({q.asks})" for q in missing.questions)
        raise click.UsageError(f"nobody is asked, and there is no safe guess: give {wanted}") from None
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nnothing was written", err=True)
        raise SystemExit(INTERRUPTED) from None
    lines = init.next_steps(path, environments, answers.region)
    click.echo("\n".join((f"{path}: the example {example}, with your answers. Next:", *lines)))


def _on_a_terminal() -> bool:
    return sys.stdin.isatty()


def _ask(what: str, usual: str, read: Callable[[str], Any]) -> Any:
    """Ask until the answer will do, with the reason why one does not."""

    def value(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    return click.prompt(what, default=usual or None, value_proc=value)


@cli.group()
def bootstrap() -> None:
    """Set up what must be there before the first deployment: organization, units, accounts and what AWS trusts.

    It works with the credentials of the account that manages the organization, as boto3 finds them, and needs the extra
    'operate' (pip install 'dutybound[operate]').
    """


_LOGGED = "bootstrap.log.jsonl"


@bootstrap.command("plan")
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--permissions", is_flag=True, help="Print the IAM policy that the caller needs; calls nothing.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Write each call to this file.")
def bootstrap_plan(path: Path, permissions: bool, form: str, log: Path | None) -> None:
    """Show what is there, what should be, and the calls between; changes nothing.

    PATH is the configuration. Exits with 0 if there is nothing to do, with 1 if there is, or if it cannot be said.
    """
    from dutybound.operate import bootstrap
    from dutybound.operate.permissions import permissions as needed

    configuration = _to_bootstrap(path)
    if permissions:
        click.echo(json.dumps(needed(configuration).document(), indent=2))
        return
    with _operating(configuration, log) as aws:
        found, planned = _planned(aws, configuration)
    click.echo(bootstrap.plan_json(planned, found) if form == "json" else bootstrap.plan_text(planned, found))
    if planned.steps:
        raise SystemExit(FINDINGS)


@bootstrap.command("apply")
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--yes", is_flag=True, help="Do not ask: for CI.")
@click.option("--write", is_flag=True, help="Write the ids of organization and units into the configuration's folder.")
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), default=_LOGGED, show_default=True, help="Of each call."
)
def bootstrap_apply(path: Path, yes: bool, write: bool, log: Path) -> None:
    """Do what the plan shows, then print the ids that the configuration needs.

    It deletes nothing. Stopped at any point, it goes on when it is run again. Exits with 0 if all is done, 1 if not.
    """
    from dutybound.operate import bootstrap
    from dutybound.operate.act import act

    configuration = _to_bootstrap(path)
    if not yes and not _on_a_terminal():
        raise click.UsageError("nobody is here to be asked: give --yes")
    with _operating(configuration, log) as aws:
        found, planned = _planned(aws, configuration)
        click.echo(bootstrap.plan_text(planned, found))
        if planned.steps:
            if not yes and not click.confirm("\nMake these calls?"):
                click.echo("nothing was changed", err=True)
                raise SystemExit(FINDINGS)
            found, planned = act(aws, configuration, found, planned, click.echo)
            click.echo(f"\n{bootstrap.plan_text(planned, found)}")
    for line in bootstrap.closing(path, configuration, found, write):
        click.echo(line)


def _to_bootstrap(path: Path) -> Configuration:
    from dutybound import diagnostic
    from dutybound.operate import bootstrap

    checked = bootstrap.read(path)
    if checked.failed or checked.value is None:
        click.echo(diagnostic.render_all(checked.diagnostics, paint=_colour(sys.stderr)), err=True)
        raise SystemExit(FINDINGS)
    return checked.value


def _planned(aws: Aws, configuration: Configuration) -> tuple[Found, Plan]:
    from dutybound.operate.look import look
    from dutybound.operate.plan import plan

    found = look(aws, configuration)
    return found, plan(configuration, found)


@contextlib.contextmanager
def _operating(configuration: Configuration, log: Path | None) -> Iterator[Aws]:
    """AWS, for as long as it takes. What goes wrong ends the command in one line."""
    from dutybound.operate.aws import Aws, Failed, as_line
    from dutybound.operate.plan import Contradiction

    try:
        with log.open("a", encoding="utf-8") if log is not None else contextlib.nullcontext() as file:

            def write(call: Mapping[str, object]) -> None:
                if file is not None:
                    file.write(as_line(call, datetime.now(UTC).isoformat(timespec="milliseconds")))
                    file.flush()

            yield Aws(str(configuration.organization.home_region), write)
    except (Failed, Contradiction) as failed:
        raise click.ClickException(str(failed)) from None
    except OSError as error:
        if error.filename is None or log is None or Path(error.filename) != log:
            raise
        raise click.ClickException(f"the log {log} cannot be written: {(error.strerror or '').lower()}") from None
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped: what was done stays done; run it again, and it goes on from there", err=True)
        raise SystemExit(INTERRUPTED) from None


@cli.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of a configuration, for editors."""
    from dutybound.config import schema as configuration_schema
    from dutybound.read import library

    click.echo(json.dumps(configuration_schema(library()), indent=2, ensure_ascii=False))


_FILE = click.File("r", encoding="utf-8")


@cli.command()
@click.argument("lines", default="-", type=click.File("rb"))
@click.option("--batch", is_flag=True, help="Read one request a line from LINES (or stdin), write one answer a line.")
@click.option("--policy", "identity", type=_FILE, multiple=True, help="A policy of the principal; may be repeated.")
@click.option("--group", "groups", type=_FILE, multiple=True, help="The policy of a group, or a list of them.")
@click.option("--boundary", type=_FILE, help="The principal's permissions boundary.")
@click.option("--session", type=_FILE, help="The policy that the session was made with.")
@click.option("--resource-policy", type=_FILE, help="The policy of the resource, or the trust policy of the role.")
@click.option("--scp", "scps", type=_FILE, multiple=True, help="The SCPs of one level, from the root down.")
@click.option("--rcp", "rcps", type=_FILE, multiple=True, help="The RCPs of one level, from the root down.")
@click.option("--principal", help="Who asks: an ARN, a service, '*' for a caller without credentials.")
@click.option("--action", help="What they want to do, such as s3:GetObject.")
@click.option("--resource", default="*", show_default=True, help="On what: an ARN.")
@click.option("--with", "context", multiple=True, metavar="KEY=VALUE", help="A condition key; repeat it for a list.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How one answer is written."
)
def simulate(lines: BinaryIO, batch: bool, **given: Any) -> None:
    """Judge a request against raw policies, as AWS would.

    Exits with 0 if it is allowed, 1 if it is denied, unknown or a policy is refused. A batch exits with 0 if every
    line could be judged.
    """
    if batch:
        asked = any(given[option] for option in ("action", "principal", "context", *_POLICY_OPTIONS))
        if asked or given["resource"] != "*":
            raise click.UsageError("--batch takes its policies and requests from the lines")
        _batch(lines)
    elif given["action"] is None:
        raise click.UsageError("give --action, or --batch")
    else:
        _simulate_one(given)


_POLICY_OPTIONS = ("identity", "groups", "boundary", "session", "resource_policy", "scps", "rcps")


def _batch(lines: BinaryIO) -> None:
    from dutybound.batch import Batch, lines_of

    good = True
    out: list[str] = []
    for text, judged in Batch().answers(lines_of(lines)):
        good = good and judged
        out.append(text)
        if len(out) == 512:
            click.echo("\n".join(out))
            out.clear()
    if out:
        click.echo("\n".join(out))
    if not good:
        raise SystemExit(FINDINGS)


def _simulate_one(given: dict[str, Any]) -> None:
    from dutybound.simulate import BadLine, answer, one

    context: dict[str, list[str]] = {}
    for pair in given["context"]:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--with takes KEY=VALUE, not {pair}")
        context.setdefault(key, []).append(value)
    try:
        files = {o: given[o] if isinstance(given[o], tuple) else (given[o],) for o in _POLICY_OPTIONS if given[o]}
        texts = {option: [(file.name, file.read()) for file in opened] for option, opened in files.items()}
        answered = one(texts, {**{k: given[k] for k in ("principal", "action", "resource")}, "context": context})
    except UnicodeDecodeError as error:
        raise click.ClickException(f"a policy is not UTF-8: {error.reason}") from None
    except BadLine as error:
        raise click.ClickException(str(error)) from None
    click.echo(answer(answered.decision) if given["form"] == "json" else answered.text())
    if answered.decision.outcome != "allowed":
        raise SystemExit(FINDINGS)


@cli.command()
@click.argument("old", type=click.File("rb"))
@click.argument("new", type=click.File("rb"))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--no-new-access", is_flag=True, help="Exit with 1 for gains alone.")
def compare(old: BinaryIO, new: BinaryIO, form: str, no_new_access: bool) -> None:
    """Compare what two sets of raw IAM policies allow, over all requests.

    OLD and NEW are files ('-' for stdin): an identity policy, a list of them, or an object of the policy fields of
    'simulate --batch'. Exits with 0 if they allow the same, 1 if not, 2 for a policy that AWS would refuse, and 3 where
    nothing differs for certain and something is unknown. With --no-new-access losses alone exit with 0.
    """
    from dutybound import compared
    from dutybound.simulate import BadLine

    names = [getattr(file, "name", "<stdin>") for file in (old, new)]
    if names == ["<stdin>", "<stdin>"]:
        raise click.UsageError("only one of the two can come from stdin")
    sides = []
    wrong = []
    for name, file in zip(names, (old, new), strict=True):
        try:
            sides.append(compared.read(name, file.read().decode("utf-8")))
        except UnicodeDecodeError as error:
            wrong.append(f"{name}: the file is not UTF-8: byte {error.start + 1}")
        except BadLine as error:
            wrong.append(str(error))
        except OSError as error:
            wrong.append(f"{name}: {error.strerror}")
    if wrong:
        raise click.UsageError("\n".join(wrong))
    found = compared.answer(*sides)
    click.echo(compared.as_json(found) if form == "json" else compared.as_text(found, *sides))
    if code := compared.exit_code(found, no_new_access):
        raise SystemExit(code)


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the commands that ask about a configuration."""
    options: list[Callable[[Callable[..., None]], Callable[..., None]]] = [
        click.option(
            "--config",
            "path",
            default="config",
            show_default=True,
            type=click.Path(path_type=Path, readable=False),
            help="The configuration: a folder or a file.",
        ),
        click.option("--environment", help="The environment of the account at hand, if the configuration names any."),
        click.option("--account", default="", help="The id of the account that it is deployed to."),
        click.option("--with", "given", multiple=True, metavar="KEY=VALUE", help="A condition key of the request."),
        click.option("--without", type=click.Choice(["mfa"]), help="Signed in without MFA."),
        click.option("--session", type=click.Choice(["key"]), help="With a long-term access key, and nothing else."),
        click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("who")
@click.argument("action", required=False)
@click.argument("resource", default="")
@_asking
def explain(who: str, action: str | None, resource: str, path: Path, environment: str | None, **asked: Any) -> None:
    """Explain why WHO can or cannot do ACTION, on RESOURCE or on anything at all.

    WHO is a person, a team, a role or a break-glass user (role:NAME says which), RESOURCE an ARN. Or paste what AWS
    said, whole, in quotes; '-' reads it from stdin. Exits with 0 if it is allowed, with 1 if it is denied or unknown.
    """
    from dutybound import answers
    from dutybound.case import NotOurs, WrongQuestion
    from dutybound.denial import NotADenial, denial
    from dutybound.explain import explain as explained
    from dutybound.explain import explain_denial

    said = None
    try:
        if action is None:
            said = denial(sys.stdin.buffer.read().decode(errors="replace") if who == "-" else who)
        question = _question(who, action or "", resource, asked)
        as_json = asked["form"] == "json"
        if said is not None and not said.principal:
            click.echo(answers.encoded_json(said) if as_json else answers.encoded_text(said))
            raise SystemExit(FINDINGS)
        baseline = _baseline(path, environment)
        others = _others(path) if question.action.lower().startswith("sts:") and question.resource else ()
        found = explained(baseline, question, others) if said is None else explain_denial(baseline, said, question)
    except NotADenial as error:
        raise click.UsageError(f"give WHO and ACTION, or a message of AWS: {error}") from None
    except NotOurs as error:
        click.echo(answers.unknown_json(str(error)) if as_json else answers.unknown_text(str(error)))
        raise SystemExit(FINDINGS) from None
    except WrongQuestion as error:
        raise click.UsageError(str(error)) from None
    click.echo(answers.explanation_json(found) if as_json else answers.explanation_text(found, _colour(sys.stdout)))
    if found.outcome != "allowed":
        raise SystemExit(FINDINGS)


@cli.command("who-can")
@click.argument("action")
@click.argument("resource", default="")
@_asking
def who_can(action: str, resource: str, path: Path, environment: str | None, **asked: Any) -> None:
    """List everybody who can do ACTION, on RESOURCE or on anything at all, and through which lines.

    '*' and '?' in ACTION match: each action is answered. Exits with 0 if somebody can, with 1 if nobody can.
    """
    from dutybound import answers
    from dutybound.case import WrongQuestion
    from dutybound.explain import who_can as everybody

    try:
        found = everybody(_baseline(path, environment), _question("", action, resource, asked))
    except WrongQuestion as error:
        raise click.UsageError(str(error)) from None
    click.echo(answers.who_can_json(found) if asked["form"] == "json" else answers.who_can_text(found))
    if not any(answer.names for answer in found):
        raise SystemExit(FINDINGS)


@cli.command("list-access")
@click.argument("who")
@_asking
def list_access(who: str, path: Path, environment: str | None, **asked: Any) -> None:
    """Summarise what WHO can do: actions by service and level, on all or named resources, and through which duties.

    --format json names the actions.
    """
    from dutybound import answers
    from dutybound.case import WrongQuestion
    from dutybound.explain import list_access as access

    try:
        found = access(_baseline(path, environment), _question(who, "", "", asked))
    except WrongQuestion as error:
        raise click.UsageError(str(error)) from None
    click.echo(answers.access_json(found) if asked["form"] == "json" else answers.access_text(found))


_OUT = click.Path(path_type=Path, dir_okay=False, writable=True)


@cli.command()
@click.argument("base", required=False)
@click.argument("head", required=False)
@click.option(
    "--config",
    "path",
    default="config",
    show_default=True,
    type=click.Path(path_type=Path, readable=False),
    help="Where the configuration is, in a revision and in the working tree.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "sarif"]),
    default="text",
    show_default=True,
    help="How it is written on stdout; markdown is for a comment on a pull request.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["changes", "gains", "escalation", "never"]),
    default="changes",
    show_default=True,
    help="What it exits with 1 for; for what is unknown it exits with 3 anyway.",
)
@click.option("--template", "templates", is_flag=True, help="BASE and HEAD are templates, or folders of them.")
@click.option("--text", type=_OUT, help="Write the text to a file too.")
@click.option("--markdown", type=_OUT, help="Write the comment to a file too.")
@click.option("--json", type=_OUT, help="Write the JSON to a file too.")
@click.option("--sarif", type=_OUT, help="Write the SARIF to a file too.")
def diff(
    base: str | None, head: str | None, path: Path, form: str, fail_on: FailOn, templates: bool, **files: Path | None
) -> None:
    """Say in words what a change of the configuration does to access, and what its deployment does.

    BASE and HEAD are git revisions, or folders with a configuration. Without them: where this branch left the default
    branch, and the working tree. Exits with 0 if nothing changes that --fail-on names, with 1 if something does, with 2
    if there is no such revision, and with 3 if it is unknown: a side does not compile, or cannot be compared.
    """
    from dutybound.changes import review
    from dutybound.compiler import compile_everywhere
    from dutybound.report.diff import Sides
    from dutybound.revisions import NoRevision, versions

    if templates:
        found, sides = _of_templates(base, head)
        _review(found, sides, form, fail_on, path, files)
    try:
        with versions(base, head, path) as both:
            day = today()
            sides = Sides(*(version.name for version in both))
            if all(version.empty for version in both):
                raise NoRevision(f"neither side has a configuration at {path}", "say where it is with --config")
            before, after = ({} if v.empty else compile_everywhere(v.path, day, v.shown) for v in both)
    except NoRevision as error:
        raise click.UsageError(f"{error}{f'; {error.hint}' if error.hint else ''}") from None
    _review(review(before, after), sides, form, fail_on, path, files)


def _of_templates(base: str | None, head: str | None) -> tuple[Review | Broken, Sides]:
    from dutybound.changes import review_templates
    from dutybound.report.diff import Sides
    from dutybound.template import read

    if base is None or head is None:
        raise click.UsageError(
            "--template compares two: give BASE and HEAD, a template each or a folder such as cdk.out"
        )
    return review_templates(read(Path(base)), read(Path(head))), Sides(base, head)


def _review(
    found: Review | Broken, sides: Sides, form: str, fail_on: FailOn, path: Path, files: Mapping[str, Path | None]
) -> NoReturn:
    """Write a review wherever it is wanted, and end with its exit code."""
    from dutybound.report.diff import written

    for name, file in files.items():
        if file is not None:
            _put(file, written(found, sides, name, path.as_posix()) + "\n")
    click.echo(written(found, sides, form, path.as_posix(), _colour(sys.stdout)))
    raise SystemExit(found.exit_code(fail_on))


def _put(file: Path, text: str) -> None:
    """Write a file as a whole or not at all; a device or a pipe gets the text as it comes."""
    from dutybound.disk import beside

    try:
        if file.exists() and not file.is_file():
            file.write_text(text, encoding="utf-8")
            return
        with beside(file) as draft:
            (draft / "new").write_text(text, encoding="utf-8")
            (draft / "new").replace(os.path.realpath(file))
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None


@cli.command()
@click.argument("path", default="config", type=click.Path(path_type=Path, readable=False))
@click.option("--environment", help="The environment of the account at hand, if the configuration names any.")
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    type=click.Choice(["cis-7", "cis-5", "fsbp"]),
    default=("cis-7", "fsbp"),
    show_default=True,
    help="CIS AWS Foundations 7.0.0 or 5.0.0, or AWS Foundational Security Best Practices; again for more.",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
def compliance(path: Path, environment: str | None, benchmarks: tuple[Benchmark, ...], form: str) -> None:
    """List the identity controls of CIS and AWS, each as met, not met or not ours, and where.

    'not ours' is what the configuration of PATH cannot make so, with who has to do what. Exits with 0 if no control is
    'not met', else with 1.
    """
    from dutybound import compliance

    outcomes = compliance.compliance(_baseline(path, environment), dict.fromkeys(benchmarks))
    if form == "text":
        click.echo(compliance.text(outcomes, _colour(sys.stdout)))
    else:
        click.echo(compliance.markdown(outcomes) if form == "markdown" else compliance.as_json(outcomes))
    if any(outcome.state == "not met" for outcome in outcomes):
        raise SystemExit(FINDINGS)


def _question(who: str, action: str, resource: str, asked: Mapping[str, Any]) -> Question:
    from dutybound.case import Question

    keys: dict[str, list[str]] = {}
    for pair in asked["given"]:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--with takes KEY=VALUE, not {pair}")
        keys.setdefault(key, []).append(value)
    given = tuple((key, tuple(values)) for key, values in keys.items())
    session: Session = "key" if asked["session"] else "no-mfa" if asked["without"] else "mfa"
    return Question(who, action, resource, session, given, today().isoformat(), asked["account"])


def _baseline(path: Path, environment: str | None) -> Baseline:
    """The baseline of a configuration; one with errors ends the command with what is wrong."""
    from dutybound import diagnostic
    from dutybound.compiler import compile_path

    checked = compile_path(path, environment, today())
    if checked.failed or checked.value is None:
        click.echo(diagnostic.render_all(checked.diagnostics, paint=_colour(sys.stderr)), err=True)
        raise SystemExit(FINDINGS)
    return checked.value


def _others(path: Path) -> list[Baseline]:
    """The baselines of all accounts of a configuration; a role of one may be taken from another."""
    from dutybound.compiler import compile_everywhere

    every = compile_everywhere(path, today()).values()
    return [checked.value for checked in every if checked.value is not None and not checked.failed]


def _colour(stream: Any) -> bool:
    return bool(stream.isatty()) and "NO_COLOR" not in os.environ


def main() -> None:
    """Run the command; a closed pipe and Ctrl-C end it quietly, a full disk with one line."""
    gc.set_threshold(_OBJECTS)
    _open_streams()
    _guarded(cli)


_OBJECTS = 20_000
"""New objects after which Python looks for cycles: next to nothing here is in one, and with its own 700 the search
takes a tenth of a large compilation or more."""


def _open_streams() -> None:
    """Files and pipes get UTF-8 in every locale; a terminal what it takes. Nobody reads or writes what is closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # else the next file that is opened would take its number, and get what is printed
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, "w" if number else "r", encoding="utf-8", errors="backslashreplace"))
        elif isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace" if number else "strict")


def _guarded(run: Callable[[], object]) -> None:
    try:
        run()
        sys.stdout.flush()
    except OSError as error:
        # Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(141) from None
        what = "the output cannot be written" if error.filename is None else f"{error.filename} cannot be used"
        print(f"dutybound: {what}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        raise SystemExit(FINDINGS) from None


if __name__ == "__main__":
    main()
