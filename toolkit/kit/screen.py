"""The sheet as a page for the screen: for those who enlarge it, or have it read aloud."""

from __future__ import annotations

import segno

from toolkit.kit.sheet import TITLE, Sheet
from toolkit.kit.templates import page


def html(sheet: Sheet) -> bytes:
    """One file that needs no other."""
    code = _svg(sheet.code) if sheet.code else ""
    return page("fiche.html.j2", title=TITLE, sheet=sheet, code=code).encode()


def _svg(code: segno.QRCode) -> str:
    return str(code.svg_data_uri(scale=6, border=4))
