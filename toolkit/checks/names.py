"""The stable names of the packaged checks, read from their source: nothing of them is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

DECLARED = re.compile(r"^def test_(\w+)\(", re.MULTILINE)


@cache
def known() -> Mapping[str, str]:
    """Name of every check → the file that has it, as `toolkit.roles` names files."""
    return {
        name.replace("_", "-"): file.name
        for file in sorted(Path(__file__).parent.glob("test_*.py"))
        for name in DECLARED.findall(file.read_text(encoding="utf-8"))
    }
