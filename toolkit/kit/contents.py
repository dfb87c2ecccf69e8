"""What is in the kit of one agent: file names, and what stands in the files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from toolkit.kit.paper import pdf
from toolkit.kit.remote_desktop import connection
from toolkit.kit.screen import html
from toolkit.kit.second_factor import emergency_codes
from toolkit.kit.sheet import Sheet, second_page, sheet
from toolkit.kit.tunnel import NAME, code, configuration, image
from toolkit.kit.windows import installer
from toolkit.model import Agent, Commune, Laptop, Secret, System
from toolkit.second_factor import Factor, address

SHEET, SHEET_HTML = "fiche.pdf", "fiche.html"
CONFIGURATION, CODE = f"{NAME}.conf", f"{NAME}.png"
CONNECTION = "mon-bureau.rdp"
AUTHORITY, NEXT_AUTHORITY = "autorite-mairie.crt", "autorite-mairie-suivante.crt"
INSTALLER = "installer.ps1"
EMERGENCY = "codes-de-secours.txt"
# All that a kit may ever hold: a folder with anything else in it is not one, and is never replaced.
NAMES = frozenset({SHEET, SHEET_HTML, CONFIGURATION, CODE, CONNECTION, AUTHORITY, NEXT_AUTHORITY, INSTALLER, EMERGENCY})

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of an unmanaged device, and the last day for the kit's first use."""

    private_key: Secret
    preshared_key: Secret | None
    expires: date


def contents(agent: Agent, laptop: Laptop, commune: Commune, keys: Keys | None, factor: Factor | None = None) -> Files:
    """The files of a kit. keys: None for a managed laptop, which telekit sets up itself: it comes with the sheet alone.

    factor: the agent's second factor; the sheet has another page for it, and the emergency codes are a file of their own.
    """
    second = () if factor is None else (second_page(agent, laptop, commune, code(address(agent, commune, factor.seed))),)
    codes = {} if factor is None else {EMERGENCY: emergency_codes(agent, commune, factor)}
    asked = factor is not None
    if keys is None:
        return _sheets(sheet(agent, laptop, commune, None, None, second_factor=asked), *second) | codes
    tunnel = configuration(laptop, commune, keys.private_key, keys.preshared_key)
    scanned = code(tunnel)
    files = {CONFIGURATION: tunnel.reveal().encode()} | _desktop(agent, commune)
    if laptop.system is System.WINDOWS:
        authorities = [name for name in (AUTHORITY, NEXT_AUTHORITY) if name in files]
        connection = CONNECTION if CONNECTION in files else ""
        files[INSTALLER] = installer(agent, commune, dict(files), authorities=authorities, connection=connection)
    # On paper the code is for whoever has nothing else to read the configuration with.
    shown = scanned if laptop.system is System.PHONE else None
    page = sheet(agent, laptop, commune, keys.expires, shown, second_factor=asked)
    return files | {CODE: image(scanned)} | _sheets(page, *second) | codes


def _desktop(agent: Agent, commune: Commune) -> Files:
    """What opens the agent's desktop, and what it proves its identity by."""
    found = {CONNECTION: connection(agent, commune)} if agent.desktop else {}
    pems = {AUTHORITY: commune.authority, NEXT_AUTHORITY: commune.next_authority}
    return found | {name: pem.encode() for name, pem in pems.items() if pem}


def _sheets(*pages: Sheet) -> Files:
    return {SHEET: pdf(*pages), SHEET_HTML: html(*pages)}
