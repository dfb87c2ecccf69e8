"""The town hall's keyboard: on the machine's own screen, and as RDP speaks of it."""

from __future__ import annotations

from deploys.template import render
from deploys.text import text_file

# Windows' codes for keyboard layouts, in which RDP speaks of them.
LAYOUT_CODES = {"fr": "0x0000040C", "be": "0x0000080C", "ch": "0x0000100C", "ca": "0x00000C0C", "us": "0x00000409"}


def keyboard(layout: str) -> None:
    """Have this layout on consoles and screens from their next start on."""
    text_file("Write the keyboard layout", "/etc/default/keyboard", render("keyboard/keyboard.j2", layout=layout))
