"""What a run of the benchmarks is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Plan:
    """How often, how large, and where there is room to write. `offline` installs nothing."""

    runs: int
    sizes: tuple[int, ...]
    accounts: tuple[int, ...]
    people_beside: int
    """People of the large organisation that other tools build too."""
    folder: Path
    offline: bool = False
    simulate_share: str = "0.1"
    """Of the lines that `python -m benchmarks.simulate` judges."""
