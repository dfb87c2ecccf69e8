"""The installer of a Windows laptop: a PowerShell script for whoever prepares it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from hashlib import sha256

from toolkit.kit.baseline import CLOSED_PORTS, baseline
from toolkit.kit.templates import script
from toolkit.kit.tunnel import NAME
from toolkit.model import Agent, Commune

# What stands under the icon on the laptop's screen: the sheet speaks of it.
ICON = "Mon bureau à la mairie"


def installer(
    agent: Agent, commune: Commune, files: Mapping[str, bytes], *, authorities: Sequence[str], connection: str
) -> bytes:
    """The script for a kit. files: those it needs beside it; authorities, connection: which of them, empty for none.

    Windows PowerShell reads a file as UTF-8 only with a byte order mark.
    """
    wanted = baseline(commune.antivirus, commune.policy)
    text = script(
        "installer.ps1.j2",
        commune=commune.name,
        agent=agent.full_name,
        contact=commune.contact,
        tunnel=NAME,
        gateway=str(commune.gateway.endpoint),
        files={name: sha256(content).hexdigest().upper() for name, content in files.items()},
        icon=ICON if connection else "",
        authorities=authorities,
        connection=connection,
        antivirus=wanted.antivirus,
        firewall=wanted.firewall,
        max_age_days=wanted.max_age_days,
        lock_seconds=wanted.lock_seconds,
        closed_ports=CLOSED_PORTS,
    )
    return codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode()
