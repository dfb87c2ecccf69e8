"""What a town hall decides once, with every default of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.model.choices import Clipboard


@dataclass(frozen=True, slots=True)
class Policy:
    """What the town hall decides once for every machine; times of day are local to `timezone`.

    kit_days: how long a kit waits for its first handshake. ending_soon_days: from when on `status` tells of an end.
    max_latency_ms, min_throughput_mbit: what the tunnel must do, for profiles that say nothing else; None: it is not judged.
    """

    timezone: str = "Europe/Paris"
    locale: str = "fr_FR.UTF-8"
    keyboard: str = "fr"
    journal_months: int = 12
    reboot_window: str = "03:30"
    automatic_reboot: bool = True
    clipboard: Clipboard = Clipboard.BOTH
    drives: bool = False
    lock_minutes: int = 10
    idle_minutes: int = 0
    disconnected_minutes: int = 480
    portal_minutes: int = 15
    kit_days: int = 7
    ending_soon_days: int = 30
    max_latency_ms: int | None = None
    min_throughput_mbit: int | None = None


@dataclass(frozen=True, slots=True)
class Antivirus:
    """Where signatures come from, how old they may be, and when everything is scanned (systemd calendar, local time).

    mirror: URL of a private mirror of the official databases. databases: URLs of further databases (.hdb, .ndb …).
    official: whether main, daily and bytecode are fetched at all.
    """

    mirror: str | None = None
    databases: tuple[str, ...] = ()
    official: bool = True
    max_age_days: int = 3
    scan: str = "Wed 12:30"


@dataclass(frozen=True, slots=True)
class Directory:
    """The LDAP or Active Directory server that agents are imported from, and which attribute says what.

    url: ldap:// or ldaps://; ldap:// is encrypted by StartTLS. bind: who asks (a DN, or name@domain); None: anonymously.
    filter: which people telework. expires: attribute with the last day, in Active Directory's or LDAP's notation.
    ca: file of the certificate authority, beside commune.toml or absolute; None: those of this computer.
    profile: attribute of which `profiles` turns a value into a profile; of a group's DN, its CN is enough.
    """

    url: str | None = None
    base: str = ""
    bind: str | None = None
    filter: str = "(objectClass=person)"
    ca: str | None = None
    identifier: str = "sAMAccountName"
    last_name: str = "sn"
    first_name: str = "givenName"
    service: str = "department"
    expires: str = "accountExpires"
    profile: str = "memberOf"
    profiles: Mapping[str, str] = field(default_factory=dict, hash=False)
