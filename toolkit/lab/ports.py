"""A copy of the lab's inventory on other ports of 127.0.0.1, for a second lab beside the first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

BASE = 2200
HAND_WRITTEN = ("commune.toml", "agents.csv")


def copy_inventory(source: Path, target: Path, base: int) -> Path:
    """Copy what is written by hand, with ports `base`+1, `base`+2 … in place of 2201, 2202 …; state there is kept."""
    target.mkdir(parents=True, exist_ok=True)
    for name in HAND_WRITTEN:
        shutil.copyfile(source / name, target / name)
    toml = target / "commune.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(re.sub(r'"127\.0\.0\.1:(\d+)"', lambda m: f'"127.0.0.1:{int(m[1]) - BASE + base}"', text), encoding="utf-8")
    return target
