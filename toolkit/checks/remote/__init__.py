"""Programs that verify runs somewhere else, on standard input: they use the standard library of Debian 12's Python alone."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def source(program: str) -> str:
    """The text of a program of this folder."""
    return (Path(__file__).parent / f"{program}.py").read_text(encoding="utf-8")


def script(program: str, call: str, **given: Any) -> str:
    """A shell script that runs the program, calls a function of it with what is given, and prints what it returns as JSON."""
    order = json.dumps(given)
    return f"python3 -I - <<'PROGRAM'\n{source(program)}\nprint(json.dumps({call}(**json.loads({order!r}))))\nPROGRAM\n"
