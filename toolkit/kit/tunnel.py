"""The tunnel of a device that telekit cannot log into: WireGuard's configuration, and the same as a QR code."""

from __future__ import annotations

import io

import segno

from deploys.resolver import resolvers
from deploys.tunnel import addresses, allowed
from toolkit.kit.templates import text
from toolkit.model import Commune, Laptop, Secret

# WireGuard for Windows calls the tunnel and its service by the file's name; Linux gives an interface 15 characters.
NAME = "tunnel-mairie"
# A phone still reads it when a fifteenth of the sheet is creased or stained.
CORRECTION = "m"


def configuration(laptop: Laptop, commune: Commune, private_key: Secret, preshared_key: Secret | None) -> Secret:
    """What WireGuard imports on any system; without a remark, so that its QR code stays coarse."""
    network = commune.network
    return Secret(
        text(
            "tunnel.conf.j2",
            private_key=private_key.reveal(),
            preshared_key=preshared_key.reveal() if preshared_key else None,
            addresses=addresses(laptop, commune),
            dns=[*resolvers(commune), *_domains(commune)],
            mtu=network.mtu,
            gateway=commune.gateway,
            allowed=allowed(commune),
        )
    )


def _domains(commune: Commune) -> list[str]:
    """Where short names are looked for: the commune's domain first."""
    zones = [zone for zone in commune.network.zones if not zone.endswith(".arpa")]
    return [commune.domain, *(zone for zone in zones if zone != commune.domain)]


def code(configuration: Secret) -> segno.QRCode:
    """The QR code of a configuration."""
    return segno.make_qr(configuration.reveal().encode(), error=CORRECTION, boost_error=False)


def image(code: segno.QRCode) -> bytes:
    """A QR code as a PNG that a screen shows large enough."""
    buffer = io.BytesIO()
    code.save(buffer, kind="png", scale=8, border=4)
    return buffer.getvalue()
