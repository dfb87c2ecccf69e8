"""Whose access ends, with which devices and desktops: what is known before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from toolkit import ledger
from toolkit.errors import UsageError
from toolkit.inventory.problems import guess
from toolkit.ledger import LEFT, STOLEN, Ledger, Revocation
from toolkit.model import Agent, Commune, Desktop, Gateway
from toolkit.register.store import Register, named, open_register


@dataclass(frozen=True)
class Wish:
    """What was asked for. laptop: that device alone; reason: why, in the operator's words."""

    agent: str
    laptop: str | None = None
    stolen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Device:
    """What the agent carries or carried. keys: those that no gateway may accept; withdrawn: it is out of the inventory."""

    name: str
    keys: tuple[str, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]
    system: str
    withdrawn: bool = False


@dataclass(frozen=True)
class Case:
    """One revocation. closes: whether the agent loses the access, and not a device alone; at: the moment of the decision."""

    wish: Wish
    register: Register
    book: Ledger
    commune: Commune
    agent: Agent
    devices: tuple[Device, ...]
    closes: bool
    at: datetime

    @property
    def gateways(self) -> tuple[Gateway, ...]:
        """All of them, if there is a device to shut out."""
        return self.commune.gateways if self.devices else ()

    @cached_property
    def desktops(self) -> tuple[Desktop, ...]:
        """Where the agent has an account."""
        if not self.closes:
            return ()
        me = self.agent
        return tuple(d for d in self.commune.desktops if me.identifier == d.owner or me.desktop == d.name)

    @property
    def names(self) -> tuple[str, ...]:
        """The machines that there is something to do on."""
        return (*(gateway.name for gateway in self.gateways), *(desktop.name for desktop in self.desktops))

    @property
    def revocations(self) -> tuple[Revocation, ...]:
        at, reason = self.at.isoformat(timespec="seconds"), STOLEN if self.wish.stolen else LEFT
        return tuple(Revocation(d.name, key, at, reason, self.agent.identifier) for d in self.devices for key in d.keys)

    @property
    def question(self) -> Mapping[str, list[str]]:
        """What a gateway is told."""
        return {
            "keys": [key for device in self.devices for key in device.keys],
            "names": [device.name for device in self.devices],
            "addresses": [str(address) for device in self.devices for address in device.addresses],
        }


def open_case(folder: Path, wish: Wish) -> Case:
    """The case as the files say it now; UsageError if they know no such agent, or the device is somebody else's."""
    register, book = open_register(folder), ledger.read(folder)
    commune = book.complete(register.commune)
    agent = named(commune, wish.agent)
    names = tuple(dict.fromkeys(_names(commune, book, agent, wish)))
    devices = tuple(_device(name, commune, book, agent) for name in names)
    closes = wish.laptop is None or wish.laptop == agent.laptop
    return Case(wish, register, book, commune, agent, devices, closes, datetime.now(UTC))


def _names(commune: Commune, book: Ledger, agent: Agent, wish: Wish) -> Iterator[str]:
    """The devices meant, and those that were taken from the agent before: doing it again does what was left undone."""
    if wish.laptop is None:
        if agent.laptop:
            yield agent.laptop
        yield from (entry.laptop for entry in book.revoked if entry.agent == agent.identifier)
        return
    known = {*commune.laptop_named, *(entry.laptop for entry in book.revoked)}
    if wish.laptop not in known:
        raise UsageError(f"{commune.slug} has no laptop `{wish.laptop}`", hint=guess(wish.laptop, known) or "see commune.toml")
    if (bearer := _bearer(commune, wish.laptop)) not in (None, agent.identifier):
        raise UsageError(f"{wish.laptop} is {bearer}'s", hint=f"telekit agent revoke {bearer} --commune {commune.slug}")
    yield wish.laptop


def _bearer(commune: Commune, laptop: str) -> str | None:
    """Who carries it, whether their access is open or not."""
    return next((agent.identifier for agent in commune.agents if agent.laptop == laptop), None)


def _device(name: str, commune: Commune, book: Ledger, agent: Agent) -> Device:
    """The keys that were revoked before, always; the present key and the addresses unless somebody else has the device now."""
    keys = [entry.key for entry in book.revoked if entry.laptop == name and entry.agent == agent.identifier]
    laptop = commune.laptop_named.get(name)
    if _bearer(commune, name) not in (None, agent.identifier):
        return Device("", tuple(keys), (), "", withdrawn=True)
    keys += book.keys_of(name)
    lease = book.leases.get(name) or dict(book.retired).get(name)
    found = [lease.address, lease.address6] if lease else []
    return Device(name, tuple(keys), tuple(a for a in found if a), str(laptop.system) if laptop else "", laptop is None)


def decided(case: Case) -> Case:
    """The case once its keys are in the ledger."""
    return replace(case, book=case.book.with_revoked(case.revocations))
