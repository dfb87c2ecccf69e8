"""One value of the inventory at a time: what a parser returns is right, what it refuses says what to write instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from toolkit.inventory.problems import Refused, guess, shown
from toolkit.model import Address, Endpoint, Network, SshAddress

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)
Parser = Callable[[object], T]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ZONE_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
SPACES = re.compile(r"[\s\u00a0\u202f]+")
DATES = "as 2026-01-31 or 31/01/2026 (day/month/year)"
KINDS = {bool: "true or false", int: "a whole number", float: "a decimal number", str: "text", list: "a list", dict: "a section"}


def kind(value: object) -> str:
    return KINDS.get(type(value), "a date or time")


def text(value: object) -> str:
    """One line of text."""
    if not isinstance(value, str):
        number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64
        hint = f'write it between double quotes: "{value}"' if number else ""
        raise Refused(f"expected text between double quotes, found {kind(value)}", hint)
    line = value.strip()
    if not line.isprintable() or "  " in line:
        line = SPACES.sub(" ", line)
    if not line:
        raise Refused("is empty")
    if not line.isprintable() or "\n" in value.strip():
        raise Refused("must be one line of ordinary characters")
    return line


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"expected true or false, without quotes, found {kind(value)}")
    return value


def integer(low: int, high: int, unit: str = "") -> Parser[int]:
    """A whole number within bounds, both included."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused(f"expected a whole number, without quotes, found {kind(value)}", f"between {low} and {high}")
        if not low <= value <= high:
            raise Refused(f"{shown(value)} is out of range", f"{low} to {high}{' ' + unit if unit else ''}")
        return value

    return parse


def port(value: object) -> int:
    """The number of a TCP or UDP port."""
    if isinstance(value, str) and value.isdecimal():
        raise Refused(f"expected a port number, found the text {shown(value)}", "write it without quotes")
    return integer(1, 65535)(value)


def many(parse: Parser[T], example: str) -> Parser[tuple[T, ...]]:
    """A list; what is wrong with one of its values is said with the value's position."""

    def parse_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Refused(f"expected a list between square brackets, found {kind(value)}", f"for example {example}")
        parsed = tuple(_one(parse, item, position) for position, item in enumerate(value))
        for position, item in enumerate(parsed):
            if item in parsed[:position]:
                raise RefusedItem(position, f"{shown(str(item))} is in the list twice")
        return parsed

    return parse_all


class RefusedItem(Refused):
    """A value of a list that cannot be used, and its position in the list."""

    def __init__(self, position: int, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.position = position


def _one(parse: Parser[T], item: object, position: int) -> T:
    try:
        return parse(item)
    except Refused as refused:
        raise RefusedItem(position, refused.what, refused.hint) from None


def choice(choices: type[Choice]) -> Parser[Choice]:
    """One of a few words."""

    def parse(value: object) -> Choice:
        word = text(value)
        try:
            return choices(word)
        except ValueError:
            words = ", ".join(choices)
            raise Refused(f"{shown(word)} is not one of {words}", guess(word, choices)) from None

    return parse


def day(value: object) -> date:
    """A date, ISO or French, or TOML's own."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    written = text(value)
    iso = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", written, re.ASCII)
    french = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", written, re.ASCII)
    if iso:
        year, month, number = int(iso[1]), int(iso[2]), int(iso[3])
    elif french:
        year, month, number = int(french[3]), int(french[2]), int(french[1])
    else:
        raise Refused(f"{shown(written)} is not a date", f"write it {DATES}")
    try:
        return date(year, month, number)
    except ValueError:
        raise Refused(f"{shown(written)} is not in the calendar", f"write it {DATES}") from None


def mapping(parse: Parser[T], example: str) -> Parser[dict[str, T]]:
    """What people write → what it means."""

    def parse_all(value: object) -> dict[str, T]:
        if not isinstance(value, dict):
            raise Refused(f"expected a section, found {kind(value)}", f"for example {example}")
        return {text(word): parse(item) for word, item in value.items()}

    return parse_all


def plain(value: str) -> str:
    """A name as near to what was written as a host name can be, for hints."""
    ascii_only = unicodedata.normalize("NFKD", value.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:63].strip("-")


def host_label(value: object) -> str:
    """The name of a machine, an application or a profile: lower-case letters, digits and hyphens."""
    name = text(value)
    if LABEL.fullmatch(name):
        return name
    better = plain(name)
    rule = "lower-case letters a–z, digits and inner hyphens, 63 at most"
    raise Refused(f"{shown(name)} cannot be a name: {rule}", f"for example {shown(better)}" if better else "")


def domain(value: object) -> str:
    """A DNS name of at least two labels, in lower case."""
    name = text(value)
    labels = name.lower().removesuffix(".").split(".")
    if len(labels) < 2 or len(name) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise Refused(f"{shown(name)} is not a domain name", "for example alfortville.example")
    return ".".join(labels)


def zone(value: object) -> str:
    """A DNS zone: a domain, one label such as `local`, or a reverse zone."""
    name = text(value)
    labels = name.lower().removesuffix(".").split(".")
    if len(name) > 253 or not all(ZONE_LABEL.fullmatch(label) for label in labels):
        raise Refused(f"{shown(name)} is not a DNS zone", 'for example "mairie.example" or "94.10.in-addr.arpa"')
    return ".".join(labels)


def address(value: object) -> Address:
    """An IPv4 or IPv6 address."""
    written = text(value)
    try:
        if "%" not in written:
            return ip_address(written)
    except ValueError:
        pass
    hint = "an address has no `/`: it is one machine's" if "/" in written else "for example 10.94.2.21"
    raise Refused(f"{shown(written)} is not an IP address", hint)


def address4(value: object) -> IPv4Address:
    found = address(value)
    if not isinstance(found, IPv4Address):
        raise Refused(f"{shown(str(found))} is an IPv6 address, an IPv4 address is needed here")
    return found


def network(value: object) -> Network:
    """A network in CIDR notation; an address alone is the network of that one machine."""
    written = text(value)
    try:
        if "%" not in written:
            return ip_network(written)
    except ValueError:
        pass
    try:
        hint = f"did you mean {ip_network(written, strict=False)}?"
    except ValueError:
        hint = "for example 10.94.0.0/20"
    raise Refused(f"{shown(written)} is not a network", hint)


def network4(value: object) -> IPv4Network:
    found = network(value)
    if not isinstance(found, IPv4Network):
        raise Refused(f"{shown(str(found))} is an IPv6 network, an IPv4 network is needed here", "for IPv6 there is `tunnel6`")
    return found


def network6(value: object) -> IPv6Network:
    found = network(value)
    if not isinstance(found, IPv6Network):
        raise Refused(f"{shown(str(found))} is an IPv4 network, an IPv6 network is needed here", "for example fd94:0:0:1::/64")
    return found


def host(value: object) -> str:
    """A DNS name or an IP address, as a client connects to it."""
    name = text(value)
    try:
        return str(address(name))
    except Refused:
        pass
    labels = name.lower().removesuffix(".").split(".")
    if len(name) > 253 or labels[-1].isdecimal() or not all(LABEL.fullmatch(label) for label in labels):
        raise Refused(f"{shown(name)} is neither a host name nor an IP address")
    return ".".join(labels)


def _host_and_port(written: str) -> tuple[str, str | None]:
    """host:port, [IPv6]:port, or a host alone."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", written)
    if bracketed:
        return bracketed[1], bracketed[2]
    if written.count(":") != 1:
        return written, None
    name, _, number = written.partition(":")
    return name, number


def _port_text(number: str, written: str) -> int:
    if not (number.isascii() and number.isdecimal()) or not 1 <= int(number[:6]) <= 65535:
        raise Refused(f"the port of {shown(written)} is out of range", "a port is a number from 1 to 65535")
    return int(number)


def endpoint(value: object) -> Endpoint:
    """The public name or address of the gateway and WireGuard's UDP port: both must be said."""
    written = text(value)
    name, number = _host_and_port(written)
    if number is None:
        example = f"[{name}]:51820" if ":" in name else f"{name}:51820"
        raise Refused(f"{shown(written)} has no port", f"WireGuard's UDP port belongs to it: {example}")
    return Endpoint(host(name), _port_text(number, written))


def ssh(value: object) -> SshAddress:
    """A host, or host:port, at which sshd answers."""
    written = text(value)
    if "@" in written:
        raise Refused(f"{shown(written)} names an account", "the account of every machine is `admin_user` in [commune]")
    name, number = _host_and_port(written)
    return SshAddress(host(name), 22 if number is None else _port_text(number, written))


def mac(value: object) -> str:
    """A network card's address, in lower case with colons."""
    written = text(value)
    digits = re.sub(r"[:.\-]", "", written).lower()
    shapes = r"([0-9a-f]{2}([:-]))([0-9a-f]{2}\2){4}[0-9a-f]{2}|([0-9a-f]{4}\.){2}[0-9a-f]{4}|[0-9a-f]{12}"
    if not re.fullmatch(shapes, written.lower()):
        raise Refused(f"{shown(written)} is not a MAC address", "six pairs of hexadecimal digits: 52:54:00:aa:bb:03")
    if int(digits[:2], 16) & 1 or int(digits, 16) == 0:
        raise Refused(f"{shown(written)} is not one network card's address", "copy it from the machine: ip link")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
