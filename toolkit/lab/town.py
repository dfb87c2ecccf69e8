"""What the test town is made of: machines, networks, servers and names, derived from the inventory; no input or output."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Interface, IPv6Network, ip_address

from toolkit.errors import UsageError
from toolkit.model import Application, Commune, Desktop, Gateway, Machine, Role

INTERNET_ROUTER = "198.18.0.1"
GATEWAY_WAN = "198.18.0.2"
TOWN_ROUTER_WAN = "198.18.0.3"
HOME_ROUTER_WAN = "198.18.0.10"
MIRROR = "198.18.0.20"
INTERNET_HOST = "198.18.0.100"
HOME_ROUTER = "192.168.1.1"
HOME_HOST = "192.168.1.50"
HOME_LEASES = "192.168.1.100,192.168.1.199,12h"
# By IPv6 the internet is one network, and every home has another, as most French boxes give it: no NAT, announced by the router.
INTERNET_ROUTER6 = "2001:db8:18::1"
GATEWAY_WAN6 = "2001:db8:18::2"
HOME_ROUTER_WAN6 = "2001:db8:18::10"
INTERNET_HOST6 = "2001:db8:18::100"
HOME_NETWORK6 = "2001:db8:10::"
HOME_ROUTER6 = "2001:db8:10::1"
DEBIAN_NAMES = ("deb.debian.org", "security.debian.org")
# Of Debian's pool of time servers, what its chrony asks.
DEBIAN_TIME = "2.debian.pool.ntp.org"
VANTAGES = ("internet", "home", "admin")


@dataclass(frozen=True)
class Card:
    """A network card: its name in the machine, the bridge it hangs on, its addresses (none: DHCP), its default routers.

    Of the addresses the first is IPv4.
    """

    name: str
    bridge: str
    addresses: tuple[str, ...] = ()
    router: str = ""
    mac: str = ""
    router6: str = ""


@dataclass(frozen=True)
class Host:
    """A network namespace of the lab that is no Debian machine: a router, a server, somewhere to look from.

    forwards: as a home's router does, with its filter and NAT. forwards6: IPv6 alone, as the internet's own routers do.
    """

    name: str
    cards: tuple[Card, ...]
    resolver: str = ""
    forwards: bool = False
    routes: tuple[str, ...] = ()
    forwards6: bool = False


@dataclass(frozen=True)
class Guest:
    """A Debian machine: where its sshd shows on 127.0.0.1, and the address to which the relay leads."""

    name: str
    role: str
    ssh_port: int
    address: str
    cards: tuple[Card, ...]
    resolver: str = ""
    bare: bool = False


@dataclass(frozen=True)
class Service:
    """A port on which a business application answers."""

    application: str
    address: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Town:
    """Everything that the lab's daemon builds; survives a round trip through JSON.

    names6: the IPv6 addresses of names that have an IPv4 one too.
    """

    name: str
    release: str
    inventory: str
    admin_user: str
    operator_key: str
    dns: str
    zones: tuple[str, ...]
    guests: tuple[Guest, ...]
    hosts: tuple[Host, ...]
    services: tuple[Service, ...]
    public_names: dict[str, str] = field(default_factory=dict)
    internal_names: dict[str, str] = field(default_factory=dict)
    provider: str = "nspawn"
    names6: dict[str, str] = field(default_factory=dict)

    def guest(self, name: str) -> Guest:
        for guest in self.guests:
            if guest.name == name:
                return guest
        raise UsageError(f"the lab has no machine `{name}`", hint=", ".join(g.name for g in self.guests))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def from_json(text: str) -> Town:
    """The Town that `to_json` wrote."""
    raw = json.loads(text)
    raw["guests"] = tuple(Guest(**g | {"cards": _cards(g)}) for g in raw["guests"])
    raw["hosts"] = tuple(Host(**h | {"cards": _cards(h), "routes": tuple(h["routes"])}) for h in raw["hosts"])
    raw["services"] = tuple(Service(**s) for s in raw["services"])
    raw["zones"] = tuple(raw["zones"])
    return Town(**raw)


def _cards(raw: dict[str, list[dict[str, str]]]) -> tuple[Card, ...]:
    return tuple(Card(**card | {"addresses": tuple(card["addresses"])}) for card in raw["cards"])  # type: ignore[arg-type]  # JSON lists


@dataclass(frozen=True)
class Plan:
    """How the lab's networks lie, read from the inventory: every address that the inventory knows is taken from it."""

    commune: Commune
    name: str

    def lan(self, address: object) -> str:
        """An address of the town hall, with the length of its network."""
        found = ip_address(str(address))
        network = next((n for n in self.commune.network.lan if found in n), self.commune.network.lan[0])
        return f"{address}/{network.prefixlen}"

    @property
    def lan6(self) -> IPv6Network | None:
        return next((n for n in self.commune.network.lan if isinstance(n, IPv6Network)), None)

    def beside(self, address: object) -> tuple[str, ...]:
        """On a LAN that has IPv6, the address there of who has this IPv4 one: with its last two numbers, as they are written."""
        third, fourth = (int(number, 16) for number in str(address).split(".")[2:])
        return (str(self.lan6[third << 16 | fourth]),) if self.lan6 else ()

    def both(self, address: object) -> tuple[str, ...]:
        """A card's addresses on the LAN."""
        return tuple(self.lan(a) for a in (address, *self.beside(address)))

    @property
    def town_router(self) -> str:
        """The town hall's own router to the internet, as it stood before telekit: the last address below .255."""
        first = IPv4Interface(f"{self.gateway_lan}/24").network
        return str(first[254])

    @property
    def gateway_lan(self) -> str:
        return str(self.commune.gateway.address or self.commune.gateway.ssh.host)

    @property
    def admin(self) -> str:
        return str(self.commune.network.admin[0][0])

    @property
    def dns(self) -> str:
        return str(self.commune.network.dns[0])

    def places(self, application: Application) -> tuple[str, ...]:
        """Where a business application is; the lab finds addresses for one that the inventory knows by its name."""
        if application.address:
            return (str(application.address),)
        first = IPv4Interface(f"{self.gateway_lan}/24").network
        found = first[200 + [a for a in self.commune.applications if a.host].index(application)]
        return (str(found), *self.beside(found))

    def bench(self, number: int) -> str:
        bench = self.commune.network.bench[0]
        return f"{bench[number]}/{bench.prefixlen}"

    def guest(self, machine: Machine, *, bare: bool) -> Guest:
        """The Debian machine that plays this machine of the inventory."""
        if machine.ssh is None or machine.ssh.host != "127.0.0.1":
            raise UsageError("a lab machine's ssh must be a port of 127.0.0.1", where=machine.name, hint="127.0.0.1:2201")
        cards, resolver = self._cards_of(machine)
        cards = tuple(self._with_mac(machine, card) for card in cards)
        reached = cards[-1].addresses[0].split("/")[0]
        return Guest(machine.name, machine.role.value, machine.ssh.port, reached, cards, resolver, bare)

    def _cards_of(self, machine: Machine) -> tuple[tuple[Card, ...], str]:
        if isinstance(machine, Gateway):
            wan = Card("wan0", "wan", (f"{GATEWAY_WAN}/24", f"{GATEWAY_WAN6}/64"), INTERNET_ROUTER, router6=INTERNET_ROUTER6)
            return (wan, Card("lan0", "lan", self.both(self.gateway_lan))), INTERNET_ROUTER
        if isinstance(machine, Desktop):
            return (Card("lan0", "lan", self.both(machine.address), self.town_router),), self.dns
        number = 41 + self.commune.laptops.index(machine)
        return (Card("eth0", "home"), Card("bench0", "bench", (self.bench(number),))), ""

    def _with_mac(self, machine: Machine, card: Card) -> Card:
        given = getattr(machine, "mac", None) if card.name != "bench0" else None
        digest = hashlib.sha256(f"{self.name}/{machine.name}/{card.name}".encode()).hexdigest()
        mac = given or ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])
        return replace(card, mac=mac)

    def hosts(self) -> tuple[Host, ...]:
        """Routers, servers and vantage points around the machines."""
        applications = dict.fromkeys(self.lan(place) for a in self.commune.applications for place in self.places(a))
        servers = self._on_lan(self.lan(self.dns), *applications, *(self.lan(a) for a in self.beside(self.dns)))
        home = Card("in0", "home", (f"{HOME_ROUTER}/24", f"{HOME_ROUTER6}/64"))
        isp = Card("eth0", "wan", (f"{INTERNET_ROUTER}/24", f"{MIRROR}/24", f"{INTERNET_ROUTER6}/64"))
        to_homes = f"{HOME_NETWORK6}/64 via {HOME_ROUTER_WAN6}"
        return (
            Host("isp", (isp,), INTERNET_ROUTER, routes=(to_homes,), forwards6=True),
            Host("internet", (self._on_internet("eth0", INTERNET_HOST, INTERNET_HOST6),), INTERNET_ROUTER),
            self._router("homebox", self._on_internet("wan0", HOME_ROUTER_WAN, HOME_ROUTER_WAN6), home),
            self._router("townbox", Card("wan0", "wan", (f"{TOWN_ROUTER_WAN}/24",), INTERNET_ROUTER),
                         Card("in0", "lan", self.both(self.town_router)), *self._back()),
            Host("home", (Card("eth0", "home", (f"{HOME_HOST}/24",), HOME_ROUTER),), HOME_ROUTER),
            Host("servers", (servers,), self.dns),
            Host("admin", (self._on_lan(*self.both(self.admin)), Card("bench0", "bench", (self.bench(10),))), self.dns),
        )  # fmt: skip

    def _on_lan(self, *addresses: str) -> Card:
        return Card("lan0", "lan", addresses, self.town_router, router6="".join(self.beside(self.town_router)))

    def _on_internet(self, name: str, address: str, address6: str) -> Card:
        return Card(name, "wan", (f"{address}/24", f"{address6}/64"), INTERNET_ROUTER, router6=INTERNET_ROUTER6)

    def _router(self, name: str, outside: Card, inside: Card, *routes: str) -> Host:
        return Host(name, (outside, inside), INTERNET_ROUTER, forwards=True, routes=routes)

    def _back(self) -> list[str]:
        """The town hall's router knows the way back into the tunnel."""
        network = self.commune.network
        routes = [f"{network.tunnel} via {self.gateway_lan}"]
        return routes + [f"{network.tunnel6} via {gateway}" for gateway in self.beside(self.gateway_lan) if network.tunnel6]

    def services(self) -> tuple[Service, ...]:
        return tuple(
            Service(app.key, place, protocol, port)
            for app in self.commune.applications
            for place in self.places(app)
            for protocol, ports in (("tcp", app.tcp), ("udp", app.udp))
            for port in ports
        )

    def public_names(self) -> dict[str, str]:
        """What the fake internet's DNS answers: the gateway's endpoint, the mirror, the web, Debian's names and time."""
        names = dict.fromkeys((*DEBIAN_NAMES, DEBIAN_TIME), INTERNET_ROUTER)
        names["www.internet.example"] = INTERNET_HOST
        names["www6.internet.example"] = INTERNET_HOST6
        names[self.commune.gateway.endpoint.host] = GATEWAY_WAN
        names[f"mirror.{self.commune.domain}"] = MIRROR
        return names

    def internal_names(self) -> dict[str, str]:
        """What only the town hall's DNS answers, beside the public names of its own zone."""
        domain = self.commune.domain
        names = {app.host or f"{app.key}.{domain}": self.places(app)[0] for app in self.commune.applications}
        names |= {self.commune.domain_name(desktop.name): str(desktop.address) for desktop in self.commune.desktops}
        names[self.commune.domain_name(self.commune.gateway.name)] = self.gateway_lan
        return names

    def names6(self) -> dict[str, str]:
        """The servers that the inventory knows by their names. The endpoint is not among them: see docs/lab.md."""
        return {app.host: six for app in self.commune.applications if app.host for six in self.places(app)[1:]}


def design(
    commune: Commune, *, name: str, release: str, inventory: str, operator_key: str, bare: frozenset[str] = frozenset(),
    provider: str = "nspawn",
) -> Town:  # fmt: skip
    """The whole town for this commune."""
    plan = Plan(commune, name)
    return Town(
        name=name,
        release=release,
        inventory=inventory,
        admin_user=commune.admin_user,
        operator_key=operator_key,
        dns=plan.dns,
        zones=commune.network.zones or (commune.domain,),
        guests=tuple(plan.guest(machine, bare=machine.name in bare) for machine in commune.machines),
        hosts=plan.hosts(),
        services=plan.services(),
        public_names=plan.public_names(),
        internal_names=plan.internal_names(),
        provider=provider,
        names6=plan.names6(),
    )


ROLES_WITH_SCREEN = (Role.LAPTOP.value,)
