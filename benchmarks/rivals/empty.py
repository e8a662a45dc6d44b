"""A CDK app with nothing in it: the floor of every CDK program in Python. `empty.py DESCRIPTION OUT` reads nothing."""

from __future__ import annotations

import sys

import aws_cdk as cdk


def main(out: str) -> None:
    """Synthesize nothing."""
    cdk.App(outdir=out, analytics_reporting=False).synth()


if __name__ == "__main__":
    main(sys.argv[2])
