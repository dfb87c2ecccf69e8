"""Packets that a laptop sends through its tunnel under addresses that are not its own."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.checks.matrix import others
from toolkit.checks.probe import Door, Forgery
from toolkit.checks.subject import Subject
from toolkit.checks.witness import forged_port
from toolkit.model import Address

WG0 = "wg0"


def sources(subject: Subject) -> Sequence[Address]:
    """Whose addresses it takes: another laptop's, the gateway's, and machines' of the town hall that everything trusts."""
    commune = subject.commune
    taken: list[Address | None] = [commune.gateway_address(), commune.gateway_address6()]
    for other in others(subject)[:3]:
        taken += [other.tunnel_address, other.tunnel_address6]
    taken += [network[0] for network in commune.network.admin[:2]]
    taken += [desktop.address for desktop in commune.desktops[:2]]
    carried = (4, 6) if subject.laptop.tunnel_address6 else (4,)
    return [address for address in dict.fromkeys(taken) if address and address.version in carried]


def own(subject: Subject) -> Sequence[Address]:
    """The laptop's own: what is sent in the same way under these must arrive, or the rest proves nothing."""
    return [a for a in (subject.laptop.tunnel_address, subject.laptop.tunnel_address6) if a]


def forgeries(subject: Subject) -> Sequence[Forgery]:
    """Each to the gateway itself, which is where a packet comes out of the tunnel, by both protocols."""
    inside = {4: subject.commune.gateway_address(), 6: subject.commune.gateway_address6()}
    port, found = forged_port(subject), []
    for source in (*own(subject), *sources(subject)):
        # The gateway's own address is no address to send to from itself.
        target = inside[source.version]
        if target is not None:
            found += [Forgery(Door(protocol, target, port), source, WG0) for protocol in ("tcp", "udp")]
    return found
