"""The sheet as a page for the screen: for those who enlarge it, or have it read aloud."""

from __future__ import annotations

import segno

from toolkit.kit.sheet import TITLE, Sheet
from toolkit.kit.templates import page


def html(sheet: Sheet, *more: Sheet) -> bytes:
    """One file that needs no other."""
    parts = [(each, _svg(each.code) if each.code else "") for each in (sheet, *more)]
    return page("fiche.html.j2", title=TITLE, sheet=sheet, parts=parts).encode()


def _svg(code: segno.QRCode) -> str:
    return str(code.svg_data_uri(scale=6, border=4))
