"""What telekit knows of a town hall: frozen, typed, valid, and without any input or output.

`toolkit.inventory` makes a Commune from files; `toolkit.ledger` completes it with tunnel addresses and public keys.
Every default of the inventory format stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Secret:
    """A string that shows itself only to `reveal()`: repr, str and format give asterisks."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


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


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where sshd of a machine answers."""

    host: str
    port: int = 22

    def __str__(self) -> str:
        if self.port == 22:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The public name or address and UDP port at which a gateway's WireGuard answers."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """The town hall's networks and the tunnel's.

    admin: networks from which administrators use SSH. bench: networks where laptops are prepared.
    zones: DNS zones that the town hall's own servers (`dns`) answer for.
    """

    lan: tuple[Network, ...]
    tunnel: IPv4Network
    tunnel6: IPv6Network | None = None
    dns: tuple[Address, ...] = ()
    zones: tuple[str, ...] = ()
    mode: Mode = Mode.FULL
    admin: tuple[Network, ...] = ()
    bench: tuple[Network, ...] = ()
    ntp: tuple[str, ...] = ()
    mtu: int = 1420


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


@dataclass(frozen=True, slots=True)
class Gateway:
    """The Debian server that ends the tunnels. `public_key` comes from the ledger.

    next_key: the public key that is to take the place of its own, and that it answers as well meanwhile; told: it surely does.
    nat: hide tunnel addresses behind the gateway's own on the LAN, for town halls whose machines have no route back.
    """

    name: str
    ssh: SshAddress
    endpoint: Endpoint
    address: IPv4Address | None = None
    nat: bool = False
    public_key: str | None = None
    next_key: str | None = None
    told: bool = False

    role = Role.GATEWAY

    @property
    def coming_key(self) -> str | None:
        """The next key, once devices may use it."""
        return self.next_key if self.told else None

    @property
    def key_for_kits(self) -> str | None:
        """The key by which a device that telekit does not log into will know it: the one that stays."""
        return self.coming_key or self.public_key


@dataclass(frozen=True, slots=True)
class Desktop:
    """A Debian machine on the LAN with a remote desktop; without an owner, a shared session host.

    certificate: the PEM that the commune's authority issued for this machine's own key, from the ledger.
    """

    name: str
    address: IPv4Address
    ssh: SshAddress
    owner: str | None = None
    mac: str | None = None
    certificate: str | None = None

    role = Role.DESKTOP


@dataclass(frozen=True, slots=True)
class Laptop:
    """A device that an agent carries, mostly a laptop. Tunnel addresses and public key come from the ledger.

    ssh: where it answers on the bench; None: only through the tunnel, at `tunnel_address`.
    key_of: the agent in whose kit the private key is; None: it is in no kit, but in the device alone.
    kit_until: the last day for the first use of that kit; None: it was used, or there is none.
    kit_lapsed: nobody used it in time, and what it shares with the gateway was replaced.
    next_key: the public key that takes the place of `public_key` at its first handshake, not later than on next_until.
    """

    name: str
    ssh: SshAddress | None = None
    mac: str | None = None
    tunnel_address: IPv4Address | None = None
    tunnel_address6: IPv6Address | None = None
    public_key: str | None = None
    system: System = System.DEBIAN
    key_of: str | None = None
    kit_until: date | None = None
    kit_lapsed: bool = False
    next_key: str | None = None
    next_until: date | None = None

    role = Role.LAPTOP

    @property
    def managed(self) -> bool:
        """Whether telekit logs into it."""
        return self.system is System.DEBIAN

    @property
    def keys(self) -> tuple[str, ...]:
        """The public keys with which it may shake hands, the present one first."""
        return tuple(key for key in (self.public_key, self.next_key) if key)


Machine = Gateway | Desktop | Laptop


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What a laptop is told of a rotation of its key: the new one's public half, empty until the laptop has made it.

    preshared: what it will share with the gateway then; None: the gateway does not know the new key yet.
    """

    key: str
    until: date
    preshared: Secret | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """A business application: where it is, and the ports that a profile's agents may reach.

    It has either an address, or a host: a DNS name that the gateway resolves and follows.
    """

    key: str
    title: str
    address: Address | None = None
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    host: str | None = None
    owner: str = ""

    @property
    def place(self) -> str:
        """The address or the DNS name, as people write it."""
        return str(self.address) if self.address else self.host or ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A function in the town hall and the keys of the applications it needs; what its tunnel must do, else the policy's."""

    name: str
    applications: tuple[str, ...] = ()
    second_factor: SecondFactor = SecondFactor.OFF
    max_latency_ms: int | None = None
    min_throughput_mbit: int | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """An application that one agent reaches beside the profile, until a day (included), for a reason."""

    agent: str
    application: str
    until: date
    reason: str


@dataclass(frozen=True, slots=True)
class Derogation:
    """A check that may fail until a day (included), because somebody answers for it. machine: None: every machine.

    check: its stable name; without the part after the colon, each of its cases.
    """

    check: str
    accepted_by: str
    reason: str
    until: date
    machine: str | None = None

    def covers(self, check: str, machine: str) -> bool:
        return self.check in (check, check.partition(":")[0]) and self.machine in (None, machine)


@dataclass(frozen=True, slots=True)
class Grant:
    """An application that an agent may reach; extra: why, when it is not the profile."""

    application: Application
    extra: Extra | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A municipal employee who teleworks, from `starts` to `ends` (both included; None: no limit).

    suspended: the first day without access, until somebody resumes it.
    """

    identifier: str
    last_name: str
    first_name: str
    profile: str
    service: str = ""
    laptop: str | None = None
    desktop: str | None = None
    starts: date | None = None
    ends: date | None = None
    suspended: date | None = None

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def last_day(self) -> date | None:
        """The last day with access as things are written; None: no end."""
        before = self.suspended - timedelta(days=1) if self.suspended else None
        days = [day for day in (self.ends, before) if day]
        return min(days) if days else None

    def active(self, today: date) -> bool:
        return (self.starts is None or self.starts <= today) and (self.last_day is None or today <= self.last_day)


@dataclass(frozen=True, slots=True)
class Operator:
    """Someone who administers the machines: the comment and the line of an OpenSSH public key."""

    name: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Access:
    """One permission on the gateway: from a laptop's tunnel address to a server's port, and why.

    address: None where the server is known by its DNS name, `host`. until: the last day of it, None: no end.
    """

    laptop: Laptop
    address: Address | None
    protocol: str
    port: int
    reason: str
    host: str | None = None
    until: date | None = None


@dataclass(frozen=True)
class Commune:
    """A town hall, complete: what was written by hand, and what the ledger adds.

    authority: the certificate by which desktops prove their identity; next_authority: the one that takes its place.
    today: the local date on which it was read; agents whose dates exclude it have no access.
    admin_user: the account that telekit uses on every machine.
    """

    slug: str
    name: str
    insee: str
    domain: str
    network: LocalNetwork
    gateways: tuple[Gateway, ...]
    desktops: tuple[Desktop, ...] = ()
    laptops: tuple[Laptop, ...] = ()
    applications: tuple[Application, ...] = ()
    profiles: tuple[Profile, ...] = ()
    agents: tuple[Agent, ...] = ()
    extras: tuple[Extra, ...] = ()
    derogations: tuple[Derogation, ...] = ()
    operators: tuple[Operator, ...] = ()
    policy: Policy = field(default_factory=Policy)
    antivirus: Antivirus = field(default_factory=Antivirus)
    directory: Directory | None = None
    admin_user: str = "telekit"
    contact: str = ""
    authority: str | None = None
    next_authority: str | None = None
    today: date = field(default_factory=date.today)

    @property
    def gateway(self) -> Gateway:
        """The one gateway: the inventory refuses none and several."""
        return self.gateways[0]

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The machines that telekit logs into."""
        return (*self.gateways, *self.desktops, *(laptop for laptop in self.laptops if laptop.managed))

    @cached_property
    def active_agents(self) -> tuple[Agent, ...]:
        return tuple(a for a in self.agents if a.active(self.today))

    @property
    def horizon(self) -> date:
        """The last day that the policy calls soon."""
        return self.today + timedelta(days=self.policy.ending_soon_days)

    @cached_property
    def agent_of(self) -> dict[str, Agent]:
        """Laptop name → the active agent who carries it."""
        return {a.laptop: a for a in self.active_agents if a.laptop}

    @cached_property
    def laptop_named(self) -> dict[str, Laptop]:
        return {m.name: m for m in self.laptops}

    @cached_property
    def desktop_named(self) -> dict[str, Desktop]:
        return {m.name: m for m in self.desktops}

    @cached_property
    def _agents_of_desktop(self) -> dict[str, tuple[Agent, ...]]:
        found: dict[str, list[Agent]] = {}
        for agent in self.active_agents:
            if agent.desktop:
                found.setdefault(agent.desktop, []).append(agent)
        return {name: tuple(agents) for name, agents in found.items()}

    def agents_of(self, desktop: Desktop) -> tuple[Agent, ...]:
        """The active agents who work on this desktop."""
        return self._agents_of_desktop.get(desktop.name, ())

    @cached_property
    def peers(self) -> tuple[Laptop, ...]:
        """The laptops that may open a tunnel: carried by an active agent, with an address and a key in the ledger.

        A key that is in somebody else's kit opens nothing: whoever had the device before may have kept it. Nor does one in a
        kit that nobody used in time.
        """
        return tuple(m for m in self.laptops if m.public_key and m.tunnel_address and self._holds_key(m))

    def _holds_key(self, laptop: Laptop) -> bool:
        agent = self.agent_of.get(laptop.name)
        return agent is not None and laptop.key_of in (None, agent.identifier) and not laptop.kit_lapsed

    def laptops_of(self, desktop: Desktop) -> tuple[Laptop, ...]:
        """The peers whose agent works on this desktop."""
        names = {a.laptop for a in self.agents_of(desktop)}
        return tuple(m for m in self.peers if m.name in names)

    @cached_property
    def application_keyed(self) -> dict[str, Application]:
        return {a.key: a for a in self.applications}

    @cached_property
    def profile_named(self) -> dict[str, Profile]:
        return {p.name: p for p in self.profiles}

    def second_factor_of(self, agent: Agent) -> SecondFactor:
        """Whether the agent's desktop asks for a code; without a desktop there is nothing to ask at."""
        return self.profile_named[agent.profile].second_factor if agent.desktop else SecondFactor.OFF

    @cached_property
    def _extras_of(self) -> dict[str, tuple[Extra, ...]]:
        found: dict[str, list[Extra]] = {}
        for extra in sorted(self.extras, key=lambda extra: extra.until):
            if extra.until >= self.today:
                found.setdefault(extra.agent, []).append(extra)
        return {identifier: tuple(extras) for identifier, extras in found.items()}

    def grants_of(self, agent: Agent) -> tuple[Grant, ...]:
        """What the profile grants, then the extras of today; an application once, by what lasts longest."""
        keys = self.profile_named[agent.profile].applications
        found = {key: Grant(self.application_keyed[key]) for key in keys}
        for extra in self._extras_of.get(agent.identifier, ()):
            if extra.application not in keys:
                found[extra.application] = Grant(self.application_keyed[extra.application], extra)
        return tuple(found.values())

    def applications_of(self, agent: Agent) -> tuple[Application, ...]:
        return tuple(grant.application for grant in self.grants_of(agent))

    @cached_property
    def accesses(self) -> tuple[Access, ...]:
        """Every allowed (laptop, server, protocol, port): applications of profile and extras, and RDP to the agent's desktop."""
        return tuple(access for laptop in self.peers for access in self._accesses_of(laptop))

    def _accesses_of(self, laptop: Laptop) -> Iterator[Access]:
        agent = self.agent_of[laptop.name]
        for grant in self.grants_of(agent):
            app, until = grant.application, _earlier(agent.last_day, grant.extra.until if grant.extra else None)
            for protocol, ports in (("tcp", app.tcp), ("udp", app.udp)):
                for port in ports:
                    yield Access(laptop, app.address, protocol, port, app.title, app.host, until)
        if agent.desktop:
            address = self.desktop_named[agent.desktop].address
            yield Access(laptop, address, "tcp", RDP_PORT, agent.desktop, until=agent.last_day)

    def gateway_address(self) -> IPv4Address:
        """The gateway's own address inside the tunnel: the first of the network; resolver and time server of the laptops."""
        return self.network.tunnel[1]

    def gateway_address6(self) -> IPv6Address | None:
        return self.network.tunnel6[1] if self.network.tunnel6 else None


def _earlier(one: date | None, other: date | None) -> date | None:
    return min(one, other) if one and other else one or other


RDP_PORT = 3389
HOME_NETWORKS = (IPv4Network("192.168.0.0/24"), IPv4Network("192.168.1.0/24"))
