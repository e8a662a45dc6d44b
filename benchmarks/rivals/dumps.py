"""Finished templates written with json.dumps, the floor of all: `dumps.py FOLDER OUT`. Reading them counts too."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: Path, out: Path) -> None:
    """Write every template of the folder."""
    out.mkdir(parents=True, exist_ok=True)
    for file in folder.rglob("*.template.json"):
        template = json.loads(file.read_text(encoding="utf-8"))
        (out / file.name).write_text(json.dumps(template, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
