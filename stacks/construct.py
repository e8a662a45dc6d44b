"""The baseline as one construct, for a CDK app that has stacks of its own (docs/construct.md)."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from datetime import date
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from dutybound import clock
from dutybound.diagnostic import Diagnostic, render_all

from .deployment import build


class InvalidConfiguration(ValueError):
    """The configuration does not compile. The text is what `dutybound check` prints; `diagnostics` has it as values."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("the configuration does not compile\n\n" + render_all(diagnostics))
        self.diagnostics = diagnostics


class DutyboundBaseline(Construct):
    """Every stack of a configuration, compiled while the app is built.

    `stacks` holds them by their names in CloudFormation; where an environment has several accounts, as
    `ENVIRONMENT/ACCOUNT/NAME`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: str | Path,
        environment: str | None = None,
        today: date | None = None,
    ) -> None:
        """Compile the file or folder `config` and build its stacks under `scope`, an `App` or a `Stage`.

        `environment` picks one, as `make synth ENVIRONMENT=...` does. `today` is the day on which what has ended is
        reported; without it the day of `make synth`: SOURCE_DATE_EPOCH, or else the clock's in UTC. Warnings become
        warnings of this construct. Raises InvalidConfiguration, before there is any stack.
        """
        from dutybound.compiler import compile_deployment  # who builds what is compiled does without it

        super().__init__(scope, id_)
        checked = compile_deployment(Path(config), environment, today or clock.today())
        if checked.failed or checked.value is None:
            raise InvalidConfiguration(checked.diagnostics)
        for found in checked.diagnostics:
            cdk.Annotations.of(self).add_warning_v2(f"dutybound:{found.name}", render_all([found]))
        folder = Path(tempfile.mkdtemp(prefix="dutybound-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the CDK reads it until the app is synthesized
        self.stacks = build(self, checked.value, folder)
