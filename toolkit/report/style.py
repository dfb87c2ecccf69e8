"""Colour for terminals that want it; never the only carrier of a meaning."""

from __future__ import annotations

import os
from typing import TextIO

from toolkit.result import TROUBLE, State

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
CHANGING = frozenset({State.PENDING, State.CHANGED, State.DRIFTED, State.PINNED})


def wants_colour(stream: TextIO) -> bool:
    """A terminal, unless NO_COLOR (no-color.org) is set or the terminal is a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Style:
    """Paints, or leaves the text as it is."""

    def __init__(self, *, colour: bool) -> None:
        self.colour = colour

    def paint(self, text: str, *names: str) -> str:
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(CODES[name] for name in names)}m{text}\x1b[0m"

    def state(self, text: str, state: State) -> str:
        if state in TROUBLE:
            return self.paint(text, "red", "bold")
        return self.paint(text, "yellow" if state in CHANGING else "green")

    def diff(self, line: str) -> str:
        if line.startswith("+"):
            return self.paint(line, "green")
        if line.startswith("-"):
            return self.paint(line, "red")
        return self.paint(line, "cyan") if line.startswith("@@") else line


PLAIN = Style(colour=False)
