"""The emergency codes of the second factor, as a file of their own: kept apart from the device and from the sheet."""

from __future__ import annotations

import codecs

from toolkit.kit.days import written
from toolkit.kit.templates import text
from toolkit.model import Agent, Commune
from toolkit.second_factor import Factor


def emergency_codes(agent: Agent, commune: Commune, factor: Factor) -> bytes:
    """The file; Windows' editor knows its accents by the byte order mark."""
    codes = [f"{code[:4]} {code[4:]}" for code in factor.emergency.reveal().split()]
    content = text("codes-de-secours.txt.j2", agent=agent, commune=commune, codes=codes, made=written(commune.today))
    return codecs.BOM_UTF8 + content.replace("\n", "\r\n").encode()
