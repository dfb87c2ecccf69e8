"""What the ledger keeps beside addresses and keys: kits, keys on their way to being replaced, keys that are refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

STOLEN, LEFT = "stolen", "left"


@dataclass(frozen=True, slots=True)
class Handover:
    """A kit with a device's tunnel: the day it was made, the last day for its first use, and the agent it was made for.

    used: the device has shaken hands. lapsed: it had not in time, and the key that it shares with the gateway was replaced.
    """

    made: date
    expires: date
    agent: str
    used: bool = False
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Rotation:
    """A laptop's key on its way to being replaced: since when, and the last day for it.

    key: the new one's public half; empty until the laptop has made it. told: the gateways know it.
    lapsed: it did not shake hands in time; the old one stays.
    """

    began: date
    until: date
    key: str = ""
    told: bool = False
    lapsed: bool = False

    @property
    def stage(self) -> str:
        """What it waits for: the laptop, the gateway or the handshake; or that it waits no more."""
        if self.lapsed:
            return "lapsed"
        return "laptop" if not self.key else "handshake" if self.told else "gateway"


@dataclass(frozen=True, slots=True)
class Succession:
    """A gateway's own key on its way to being replaced by `key`: since when, and until when devices are expected to follow.

    told: the gateway answers both keys. concluding: the old one goes with the next visit to the gateway.
    informed: the laptops that were told of the new key, and come to it by themselves.
    """

    began: date
    until: date
    key: str
    told: bool = False
    concluding: bool = False
    informed: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """What it waits for: the gateway, the devices' first handshakes with it, or the visit that ends it."""
        return "concluding" if self.concluding else "handshakes" if self.told else "gateway"


@dataclass(frozen=True, slots=True)
class AuthorityChange:
    """The commune's certificate authority on its way to being replaced: since when, and how long people with kits are given.

    pem: the new one's certificate, which laptops trust beside the old one. issuing: desktops get theirs from the new one.
    informed: the laptops that trust the new one; when it issues, the desktops that have a certificate of it.
    kits: the devices for which a kit was made that holds it.
    """

    began: date
    until: date
    pem: str
    issuing: bool = False
    informed: tuple[str, ...] = ()
    kits: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """What it waits for: whoever is to trust the new one, or the desktops."""
        return "desktops" if self.issuing else "trust"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key that is never accepted again: whose device had it, since when (ISO 8601 in UTC), why."""

    laptop: str
    key: str
    at: str
    reason: str
    agent: str
