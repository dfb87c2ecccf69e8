"""Who teleworks, who administers, and which applications somebody may reach."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from toolkit.model.choices import SecondFactor
from toolkit.model.network import Address


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
