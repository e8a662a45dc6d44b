"""The real CDK CLI, from `node_modules`, against the emulator."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from demo import DemoError
from demo.server import ROOT, Emulator, run
from tools.install import wrong_cli


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the CLI said about one command, and whether it went well."""

    ok: bool
    output: str

    @property
    def reason(self) -> str:
        """The last line that speaks of a failure, or else the last line."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        telling = [line for line in lines if re.search(r"\berror|fail|KiB|❌", line, re.IGNORECASE)]
        return (telling or lines or ["the CDK CLI said nothing"])[-1]

    @property
    def unchanged(self) -> tuple[str, ...]:
        """The stacks that the CLI found to be deployed already."""
        return tuple(sorted(re.findall(r"^\s*✅\s+(\S+) \(no changes\)", self.output, re.MULTILINE)))


def cli() -> Path:
    """The pinned CDK CLI. Raises DemoError if it is not installed, or if another one is."""
    path = ROOT / "node_modules" / ".bin" / "cdk"
    if not path.exists():
        raise DemoError("the CDK CLI is not installed: run `make demo`")
    if wrong := wrong_cli():
        raise DemoError(f"{wrong}: run `make demo`")
    return path


def cdk(emulator: Emulator, config: Path, command: str, *arguments: str, environment: str | None = None) -> Deployment:
    """Run one CDK command on the app of `cdk.json` with this configuration; its output stays in the emulator's folder.

    `environment` is that of the account, for a configuration that names some.

    Raises DemoError if the CLI is not installed. A failed command is an answer, not an error.
    """
    code, output = run(
        [
            str(cli()),
            "--no-notices",
            "--output",
            str(emulator.log.parent / "cdk.out"),
            "--context",
            f"config={config.absolute()}",
            *(["--context", f"environment={environment}"] if environment else []),
            command,
            *arguments,
        ],
        emulator,
        cwd=ROOT,
    )
    return Deployment(code == 0, output)


def deploy(emulator: Emulator, config: Path, environment: str | None = None) -> Deployment:
    """Deploy every stack, after the bucket through which the CLI hands over templates above 50 KiB."""
    home = f"aws://{emulator.account}/{emulator.region}"
    template = str(ROOT / "stacks" / "bootstrap.yaml")
    bucket = cdk(emulator, config, "bootstrap", "--template", template, home, environment=environment)
    if not bucket.ok:
        return bucket
    return cdk(emulator, config, "deploy", "**", "--require-approval", "never", environment=environment)


def destroy(emulator: Emulator, config: Path, stacks: Iterable[str] = ()) -> Deployment:
    """Destroy these stacks, or all of them."""
    return cdk(emulator, config, "destroy", *(tuple(stacks) or ("**",)), "--force")
