"""The CDK app: compile the configuration, then build its stacks. `cdk.json` says how the CDK CLI starts it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from dutybound.clock import today
from dutybound.compiler import compile_deployment
from dutybound.diagnostic import render_all

try:
    import aws_cdk as cdk
except ImportError as error:
    sys.exit(f"app.py: {error}; 'make synth' installs all that it needs")
except Exception:  # whatever comes of starting Node, which the CDK does when it is imported
    node = os.environ.get("JSII_NODE") or shutil.which("node")
    found = f"{node} is not that" if node else "there is none on the PATH"
    print(f"app.py: the AWS CDK needs Node.js 22 or newer, and {found}; 'make synth' brings one", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)  # the CDK's own end would complain that Node is gone
from stacks import build


def main() -> int:
    """Synthesize; with a broken configuration print what is wrong with it and return 1."""
    app = cdk.App(analytics_reporting=False)
    config = app.node.try_get_context("config") or "config"
    environment = app.node.try_get_context("environment")
    checked = compile_deployment(Path(str(config)), None if environment is None else str(environment), today())
    if checked.diagnostics:
        paint = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        print(render_all(checked.diagnostics, paint), file=sys.stderr)
    if checked.failed or checked.value is None:
        return 1
    with tempfile.TemporaryDirectory() as folder:
        build(app, checked.value, Path(folder))
        app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
