"""Values of [commune], [policy] and [antivirus] that follow a notation of their own: times of day, calendars, codes."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit.inventory.problems import Refused, guess, shown
from toolkit.inventory.values import text

INSEE = re.compile(r"\d{5}|2[AB]\d{3}")
SIREN = re.compile(r"\d{9}")
TIMEZONE = re.compile(r"[A-Za-z]+(/[A-Za-z0-9_+-]+)*")
ZONEINFO = Path("/usr/share/zoneinfo")
LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}\.UTF-8")
KEYBOARD = re.compile(r"[a-z]{2,8}")
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
DATE = r"(?:\*|\d{4})-(?:\*|[0-9,./]+)-(?:\*|[0-9,./]+)"
CALENDAR = re.compile(
    rf"(?:{DAY}(?:(?:,|\.\.){DAY})* )?(?:{DATE} )?(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?|hourly|daily|weekly|monthly"
)
URL = re.compile(r"https?://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%/+\-]*)?")
DIRECTORY = re.compile(r"ldaps?://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?/?")
ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
ACCOUNT = re.compile(r"[a-z][a-z0-9_.-]{0,31}")

# Accounts that Debian and the packages of the three roles bring: nobody's identifier.
SYSTEM_ACCOUNTS = frozenset(
    """root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody messagebus sshd clamav
    xrdp unbound polkitd avahi lightdm rtkit pulse colord saned usbmux uuidd tss dnsmasq ntp systemd-network systemd-resolve
    systemd-timesync gdm sddm geoclue dhcpcd fwupd-refresh cups-pk-helper speech-dispatcher nm-openvpn nm-openconnect ntpsec
    postfix mysql postgres docker libvirt-qemu gnome-initial-setup telekit-agents telekit-portal telekit-resolve
    admin sudo users staff wheel adm shadow disk""".split()  # noqa: SIM905 - sixty words read better than sixty strings
)


def insee(value: object) -> str:
    """A commune's INSEE code, or an EPCI's SIREN number."""
    code = text(value).replace(" ", "")
    if not (INSEE.fullmatch(code) or SIREN.fullmatch(code)):
        hint = "five characters such as 94002 or 2A004, not the postal code; nine digits for an EPCI's SIREN"
        raise Refused(f"{shown(code)} is not an INSEE code", hint)
    return code


def account(value: object) -> str:
    """The name of an account on Debian that no package owns."""
    name = text(value)
    if not ACCOUNT.fullmatch(name):
        rule = "a lower-case letter, then lower-case letters, digits, dots, hyphens and underscores, 32 at most"
        better = _account_like(name)
        raise Refused(f"{shown(name)} cannot be an account: {rule}", f"for example {shown(better)}" if better else "")
    if name in SYSTEM_ACCOUNTS or name.startswith("systemd-"):
        raise Refused(f"{shown(name)} is an account of the system itself", "choose another, such as m.durand")
    return name


def _account_like(name: str) -> str:
    from toolkit.inventory.values import plain

    return ".".join(part for part in (plain(word) for word in re.split(r"[.\s@]+", name)) if part)[:32].lstrip("0123456789")


def timezone(value: object) -> str:
    name = text(value)
    known = TIMEZONE.fullmatch(name) and (not ZONEINFO.is_dir() or (ZONEINFO / name).is_file())
    if not known:
        raise Refused(f"{shown(name)} is not a time zone", "for example Europe/Paris, Indian/Reunion or America/Martinique")
    return name


def locale(value: object) -> str:
    name = text(value)
    if not LOCALE.fullmatch(name):
        raise Refused(f"{shown(name)} is not a UTF-8 locale", "for example fr_FR.UTF-8")
    return name


def keyboard(value: object) -> str:
    """The name of an X keyboard layout."""
    name = text(value)
    if not KEYBOARD.fullmatch(name):
        raise Refused(f"{shown(name)} is not a keyboard layout", "for example fr")
    return name


def time_of_day(value: object) -> str:
    written = text(value)
    if not TIME.fullmatch(written):
        raise Refused(f"{shown(written)} is not a time of day", 'hours and minutes on 24 hours: "03:30"')
    return written


def calendar(value: object) -> str:
    """When something recurs, as systemd writes it."""
    written = text(value)
    if not CALENDAR.fullmatch(written):
        days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "daily", "weekly", "monthly", "hourly")
        hint = guess(written.split(" ")[0].split(",")[0], days) if written.isalpha() else ""
        raise Refused(
            f"{shown(written)} is not a calendar of systemd",
            hint or 'for example "Wed 12:30"; test one: systemd-analyze calendar',
        )
    return written


def url(value: object) -> str:
    written = text(value)
    if not URL.fullmatch(written):
        raise Refused(f"{shown(written)} is not an http or https address", 'for example "https://clamav.mairie.example/mirror"')
    return written


def directory(value: object) -> str:
    """Where an LDAP server answers."""
    written = text(value)
    if not DIRECTORY.fullmatch(written):
        raise Refused(f"{shown(written)} is not the address of a directory", 'for example "ldaps://ad.mairie.example"')
    return written.removesuffix("/")


def attribute(value: object) -> str:
    """The name of an attribute of a directory's entries."""
    name = text(value)
    if not ATTRIBUTE.fullmatch(name):
        raise Refused(f"{shown(name)} is not the name of an attribute", "for example department")
    return name
