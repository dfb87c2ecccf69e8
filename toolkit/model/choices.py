"""Words of the inventory of which exactly one is chosen."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a machine becomes; the order is the order in which people read them."""

    GATEWAY = "gateway"
    DESKTOP = "desktop"
    LAPTOP = "laptop"


class Mode(StrEnum):
    """full: all of a laptop's traffic goes through the tunnel; split: only what is for the LAN."""

    FULL = "full"
    SPLIT = "split"


class Clipboard(StrEnum):
    """Which way the clipboard of a remote desktop works."""

    BOTH = "both"
    TO_DESKTOP = "to-desktop"
    NONE = "none"


class System(StrEnum):
    """What a device runs. telekit logs into Debian alone; the others receive a kit."""

    DEBIAN = "debian"
    WINDOWS = "windows"
    PHONE = "phone"


class SecondFactor(StrEnum):
    """Whether a remote desktop asks for a code beside the password; optional: from those who enrolled."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"
