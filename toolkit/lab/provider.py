"""What telekit asks of a lab, whoever builds it: of systemd-nspawn machines, or of virtual ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Say = Callable[[str], None]
Completed = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class MachineStatus:
    """A lab machine as it is now. state: absent, off, starting, running, failed; memory in bytes.

    wireguard: of a virtual machine, what carries its tunnel: "kernel", "wireguard-go" or "" where there is none.
    """

    name: str
    role: str
    release: str
    state: str
    ssh: str
    memory: int = 0
    boots: int = 0
    error: str = ""
    wireguard: str = ""


@dataclass(frozen=True)
class LabStatus:
    """A lab as it is now; `missing`: the Debian packages without which it cannot run here.

    acceleration: of virtual machines, "kvm" or "software emulation".
    """

    name: str
    provider: str
    up: bool
    inventory: str
    machines: tuple[MachineStatus, ...] = ()
    missing: tuple[str, ...] = ()
    acceleration: str = ""


class Vantage(Protocol):
    """Somewhere to look from: inside a network of the lab, or inside a machine as root."""

    name: str

    def run(self, argv: Sequence[str], timeout: float = 60.0, *, stdin: str | None = None, check: bool = False) -> Completed:
        """Run a command there; text in, text out."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """The whole command, for a caller that becomes it."""

    def popen(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a command there that goes on by itself; standard input, output and errors are pipes."""


class LabMachine(Vantage, Protocol):
    """A machine of the lab, by its way in that no firewall closes."""

    def reboot(self, timeout: float = 60.0) -> None:
        """Reboot orderly and wait until its services run again."""

    def power_off(self, *, hard: bool = False) -> None:
        """Shut down orderly, or as when the plug is pulled."""

    def power_on(self, timeout: float = 60.0) -> None:
        """Boot and wait until its services run."""

    def unplug(self, interface: str) -> None:
        """Take the cable out of a network card."""

    def plug(self, interface: str) -> None:
        """Put the cable back."""

    def root_password(self) -> str:
        """Root's password on a machine that was made bare."""


class Lab(Protocol):
    """A town of machines to try telekit on."""

    name: str

    def up(self, release: str = "trixie", *, only: Sequence[str] = (), bare: Sequence[str] = (), say: Say = print) -> LabStatus:
        """Build what is missing and boot; `only`: these machines, `bare`: without the administrator's account."""

    def down(self, *, purge: bool = False, say: Say = print) -> None:
        """End and remove everything; `purge`: the caches too."""

    def status(self) -> LabStatus:
        """What runs."""

    def ssh_command(self, machine: str) -> list[str]:
        """The command that opens a shell on the machine as the administrator."""

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines' names."""

    @property
    def patience(self) -> float:
        """How many times as long as on usual machines things may take there."""

    def vantage(self, name: str) -> Vantage:
        """internet, home or admin; or a machine."""

    def machine(self, name: str) -> LabMachine:
        """A machine, out of band."""
