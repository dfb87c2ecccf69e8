"""Every section and key of commune.toml: what each must be. The defaults are those of toolkit.model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.inventory import habits, values
from toolkit.inventory.values import Parser, host_label, integer, many
from toolkit.model import Clipboard, Mode, SecondFactor, System

CIDR = '["10.94.0.0/20"]'
LATENCY = integer(1, 10000, "milliseconds")
THROUGHPUT = integer(1, 10000, "Mbit/s")


@dataclass(frozen=True)
class Section:
    """The keys of one kind of section, each with its parser, and those that must be there."""

    keys: Mapping[str, Parser[object]]
    required: Mapping[str, str] = field(default_factory=dict)


COMMUNE = Section(
    {
        "name": values.text,
        "insee": habits.insee,
        "domain": values.domain,
        "contact": values.text,
        "admin_user": habits.account,
    },
    required={"name": 'name = "Alfortville"', "insee": 'insee = "94002"', "domain": 'domain = "alfortville.example"'},
)

NETWORK = Section(
    {
        "lan": many(values.network, CIDR),
        "tunnel": values.network4,
        "tunnel6": values.network6,
        "dns": many(values.address, '["10.94.0.53"]'),
        "zones": many(values.zone, '["alfortville.example"]'),
        "mode": values.choice(Mode),
        "admin": many(values.network, '["10.94.0.10/32"]'),
        "bench": many(values.network, '["10.94.15.0/24"]'),
        "ntp": many(values.host, '["ntp.alfortville.example"]'),
        "mtu": integer(1280, 1500, "bytes"),
    },
    required={
        "lan": f"the town hall's networks: lan = {CIDR}",
        "tunnel": 'a network that nothing else uses: tunnel = "10.194.0.0/22"',
        "admin": 'from where administrators use SSH, without it nobody could: admin = ["10.94.0.10/32"]',
    },
)

POLICY = Section(
    {
        "timezone": habits.timezone,
        "locale": habits.locale,
        "keyboard": habits.keyboard,
        "journal_months": integer(6, 12, "months, as the CNIL recommends"),
        "reboot_window": habits.time_of_day,
        "automatic_reboot": values.boolean,
        "clipboard": values.choice(Clipboard),
        "drives": values.boolean,
        "lock_minutes": integer(1, 60, "minutes"),
        "idle_minutes": integer(0, 1440, "minutes, 0 for never"),
        "disconnected_minutes": integer(0, 10080, "minutes, 0 for never"),
        "portal_minutes": integer(1, 60, "minutes"),
        "kit_days": integer(1, 90, "days"),
        "ending_soon_days": integer(1, 365, "days"),
        "max_latency_ms": LATENCY,
        "min_throughput_mbit": THROUGHPUT,
    }
)

DIRECTORY = Section(
    {
        "url": habits.directory,
        "base": values.text,
        "bind": values.text,
        "filter": values.text,
        "ca": values.text,
        "identifier": habits.attribute,
        "last_name": habits.attribute,
        "first_name": habits.attribute,
        "service": habits.attribute,
        "expires": habits.attribute,
        "profile": habits.attribute,
        "profiles": values.mapping(host_label, '[directory.profiles] with lines such as "Finances" = "comptable"'),
    }
)

ANTIVIRUS = Section(
    {
        "mirror": habits.url,
        "databases": many(habits.url, '["https://clamav.mairie.example/local.hdb"]'),
        "official": values.boolean,
        "max_age_days": integer(1, 30, "days"),
        "scan": habits.calendar,
    }
)

GATEWAY = Section(
    {
        "name": host_label,
        "ssh": values.ssh,
        "endpoint": values.endpoint,
        "address": values.address4,
        "nat": values.boolean,
    },
    required={"name": 'name = "gw-mairie"', "endpoint": 'endpoint = "vpn.alfortville.example:51820"'},
)

DESKTOP = Section(
    {
        "name": host_label,
        "address": values.address4,
        "ssh": values.ssh,
        "owner": values.text,
        "mac": values.mac,
    },
    required={"name": 'name = "bureau-finances-03"', "address": 'address = "10.94.2.21"'},
)

LAPTOP = Section(
    {
        "name": host_label,
        "system": values.choice(System),
        "ssh": values.ssh,
        "mac": values.mac,
    },
    required={"name": 'name = "portable-042"'},
)

APPLICATION = Section(
    {
        "title": values.text,
        "address": values.address,
        "host": values.domain,
        "owner": values.text,
        "tcp": many(values.port, "[443]"),
        "udp": many(values.port, "[53]"),
    },
    required={"title": 'title = "Gestion financière"'},
)

PROFILE = Section(
    {
        "applications": many(host_label, '["finances", "messagerie"]'),
        "second_factor": values.choice(SecondFactor),
        "max_latency_ms": LATENCY,
        "min_throughput_mbit": THROUGHPUT,
    }
)

EXTRA = Section(
    {
        "agent": values.text,
        "application": host_label,
        "until": values.day,
        "reason": values.text,
    },
    required={
        "agent": 'agent = "m.durand"',
        "application": 'application = "finances"',
        "until": "the last day of it: until = 2026-12-31",
        "reason": 'why, for the yearly review: reason = "Remplace k.benali"',
    },
)

# The shapes of the top of the file: [x], [[x]] and [x.name].
TABLES = {"commune": COMMUNE, "network": NETWORK, "policy": POLICY, "antivirus": ANTIVIRUS, "directory": DIRECTORY}
ARRAYS = {"gateway": GATEWAY, "desktop": DESKTOP, "laptop": LAPTOP, "extra": EXTRA}
NAMED = {"application": APPLICATION, "profile": PROFILE}
SECTIONS = TABLES | ARRAYS | NAMED


def home_of(key: str) -> str:
    """The section that has this key, when only one has, as it is written."""
    homes = [f"[{name}]" for name in TABLES if key in TABLES[name].keys]
    homes += [f"[[{name}]]" for name in ARRAYS if key in ARRAYS[name].keys]
    homes += [f"[{name}.…]" for name in NAMED if key in NAMED[name].keys]
    return homes[0] if len(homes) == 1 else ""
