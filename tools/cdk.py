"""Run the pinned CDK command line; a synthesis replaces cdk.out in one move, and only when it succeeded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dutybound.disk import beside, exchange, put_folder, undisturbed
from tools.install import BUILD, CLI, ROOT, SetupError, locked, node, require_cli, say

OUTPUT = ROOT / "cdk.out"
_NOISE = re.compile(
    rb"Successfully synthesized to"  # names a folder that is gone a moment later
    rb"|Supply a stack id"  # asks for something that make does not take
    rb"|feature flags are not configured"  # are about constructs that this product does not use
    rb"|Subprocess exited with error \d"  # the app has said itself what is wrong
)


def put_in_place(new: Path, old: Path) -> None:
    """Make `new` the output: in one step, or where that cannot be, with what was there as `old` for a moment."""
    with locked(), undisturbed():
        if not put_folder(new, OUTPUT) and not exchange(new, OUTPUT):
            OUTPUT.rename(old)
            try:
                new.rename(OUTPUT)
            except OSError:
                old.rename(OUTPUT)
                raise


def run_quietly(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run the CDK and pass on what it says, without the lines that do not help here."""
    silent = True
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as child:
        for line in child.stderr or ():
            if not _NOISE.search(line):
                silent = False
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if code and silent:
        say(f"The CDK ended with exit code {code} and said nothing; cdk.out is as it was. Is {command[0]} broken?")
    return code


def synth(cdk: Sequence[str], arguments: Sequence[str]) -> int:
    """Synthesize beside cdk.out, then swap."""
    say("Compiling the configuration and writing cdk.out.")
    # The CDK's own validation costs seconds and finds what does not change with a configuration; `make test` runs it.
    quick = {"CDK_VALIDATION": "false", **os.environ}
    BUILD.mkdir(exist_ok=True)
    with beside(BUILD / "cdk.out") as place:
        new = place / "new"
        code = run_quietly([*cdk, "synth", "--quiet", "--ci=false", "--output", str(new), *arguments], quick)
        if code == 0 and new.is_dir():  # there is none after, say, ARGS=--help
            put_in_place(new, place / "old")
            say(f"Wrote cdk.out: {len(list(OUTPUT.rglob('*.template.json')))} stack templates.")
    return code


def bucket_only(arguments: Sequence[str]) -> list[str]:
    """What makes `cdk bootstrap` bring a bucket to the home Region and no roles: only large templates need it."""
    from dutybound.compiler import compile_deployment
    from dutybound.diagnostic import render_all

    config = next((a.removeprefix("config=") for a in arguments if a.startswith("config=")), "config")
    environment = next((a.removeprefix("environment=") for a in arguments if a.startswith("environment=")), None)
    checked = compile_deployment(Path(config), environment)
    if checked.value is None:
        sys.exit(render_all(checked.diagnostics))
    regions = sorted({a.home_region for _, baseline in checked.value.baselines for a in baseline.accounts})
    # The CDK takes the account of the credentials for 'unknown-account'.
    return ["--template", "stacks/bootstrap.yaml", *(f"aws://unknown-account/{region}" for region in regions)]


def main(arguments: Sequence[str]) -> int:
    """Run `cdk` with the arguments."""
    try:
        require_cli()
        return _run([str(node()[0]), str(CLI)], arguments)
    except SetupError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(
            f"The CDK stopped: {error}; cdk.out is as it was. Correct that and run it again by make.", file=sys.stderr
        )
    except KeyboardInterrupt:
        print("Interrupted; cdk.out is as it was.", file=sys.stderr)
        return 130
    return 1


def _run(cdk: Sequence[str], arguments: Sequence[str]) -> int:
    if arguments[0] == "bootstrap":
        arguments = [*arguments, *bucket_only(arguments)]
    if arguments[0] != "synth":
        os.chdir(ROOT)
        os.execv(cdk[0], [*cdk, *arguments])
    return synth(cdk, arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
