"""How long a person waits for commands that reach no machine."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import peers

COMMANDS = {
    "telekit --help": ("--help",),
    "telekit check --commune lab": ("check", "--inventories", "inventories", "--commune", "lab"),
    "telekit check --commune nice": ("check", "--inventories", "inventories", "--commune", "nice"),
}


def measure(runs: int) -> dict[str, Any]:
    """Command → seconds of each run; the first one, which fills the computer's memory of files, is not counted."""
    found = {name: [peers.telekit(*words).seconds for _ in range(runs + 1)][1:] for name, words in COMMANDS.items()}
    return {name: {"runs": seconds, "median": median(seconds)} for name, seconds in found.items()}
