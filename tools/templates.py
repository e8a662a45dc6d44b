"""Check the synthesized templates with cfn-lint: `python -m tools.templates`, after a synthesis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tools.install import ROOT


def templates(folder: Path) -> list[Path]:
    """The templates that are deployed, sorted: a stack without resources is none, the CDK deletes it instead."""
    found = sorted(folder.rglob("*.template.json"))
    return [path for path in found if json.loads(path.read_bytes()).get("Resources")]


def main(folder: Path = ROOT / "cdk.out") -> int:
    """Run cfn-lint over all of them; 1 if it finds an error or there is nothing to check."""
    files = templates(folder) if folder.is_dir() else []
    if not files:
        print(f"there is no template in {folder.name}: run make synth first", file=sys.stderr)
        return 1
    lint = Path(sys.executable).with_name("cfn-lint")
    # With AWS_REGION set cfn-lint would judge by that Region alone.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [str(lint), "--non-zero-exit-code", "error", "--format", "parseable", "--", *map(str, files)]
    run = subprocess.run(command, env=environment, check=False)
    if run.returncode == 0:
        print(f"cfn-lint finds no error in {len(files)} templates")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
