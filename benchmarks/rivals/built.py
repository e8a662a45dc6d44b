"""Our stacks of a deployment that was compiled before: `built.py PICKLED OUT`."""

from __future__ import annotations

import pickle
import sys
import tempfile
from pathlib import Path

import aws_cdk as cdk

from stacks import build


def main(file: Path, out: str) -> None:
    """Synthesize it."""
    app = cdk.App(outdir=out, analytics_reporting=False)
    with tempfile.TemporaryDirectory() as folder:
        build(app, pickle.loads(file.read_bytes()), Path(folder))  # noqa: S301 - what `beside.subject` wrote
        app.synth()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
