"""A whole town hall, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from toolkit.model.choices import SecondFactor
from toolkit.model.machines import Desktop, Gateway, Laptop, Machine
from toolkit.model.network import RDP_PORT, Address, LocalNetwork
from toolkit.model.people import Agent, Application, Derogation, Extra, Grant, Operator, Profile
from toolkit.model.settings import Antivirus, Directory, Policy


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

    def domain_name(self, machine: str) -> str:
        """A machine's full name: the town hall's own DNS knows it by this, and a desktop's certificate is for it."""
        return f"{machine}.{self.domain}"

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
