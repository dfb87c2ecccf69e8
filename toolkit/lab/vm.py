"""One virtual machine: introduced when it has booted for the first time, watched through its door, stopped, unplugged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.lab import box, door
from toolkit.lab.guest import ScriptError
from toolkit.lab.introduction import introduction
from toolkit.lab.places import Places
from toolkit.lab.town import Guest, Town

# From power to an open door, in emulation, while others boot too.
OPEN_SECONDS = 900.0
# For one try: a connection that begins in the middle of another one's rest hears nothing.
TRY_SECONDS = 60.0
# From an open door to a running sshd; and how long an introduction may take.
READY_SECONDS = 300.0
STOP_SECONDS = 180.0
READY = "until systemctl --quiet is-active ssh.service; do sleep 1; done; cat /proc/sys/kernel/random/boot_id"
PIDS = Path("/run/libvirt/qemu")
Virsh = Callable[..., Awaitable[str]]


def card_of_vagrant(index: int) -> str:
    """The address of the card that Vagrant gives the machine."""
    return f"{box.VAGRANT_MACS}:00:{index >> 8:02x}:{index & 255:02x}"


@dataclass
class VirtualMachine:
    """A guest's life in the daemon. state: off, starting, running (sshd runs), failed. made: Vagrant has made it."""

    guest: Guest
    index: int
    town: Town
    places: Places
    key: Path
    virsh: Virsh
    state: str = "off"
    boots: int = 0
    error: str = ""
    host_keys: tuple[str, ...] = ()
    password: str | None = None
    made: bool = False
    introduced: bool = False
    connection: asyncio.subprocess.Process | None = None
    life: asyncio.Task[None] | None = None
    _boot: str = ""
    _starting: bool = field(default=False)

    @property
    def name(self) -> str:
        return self.guest.name

    @property
    def busy(self) -> bool:
        """Whether it runs, or is on its way."""
        return self._starting or (self.life is not None and not self.life.done())

    def expected(self) -> None:
        """Somebody is about to start it."""
        self.state, self.error, self._starting = "starting", "", True

    def fail(self, reason: str) -> None:
        self.state, self.error, self._starting = "failed", reason, False

    def started(self) -> None:
        """The power is on: follow it from here."""
        self.made, self._starting = True, False
        self.life = asyncio.create_task(self._live())

    async def runs(self) -> bool:
        """Whether the power is on."""
        return (await self.virsh("domstate", self.name)).strip() not in ("shut off", "crashed")

    async def _live(self) -> None:
        """From power to power, through its reboots."""
        try:
            deadline = time.monotonic() + OPEN_SECONDS
            while await self.runs():
                self.state = "starting"
                if await self._opened():
                    await self._attended()
                    deadline = time.monotonic() + OPEN_SECONDS
                self._not_later_than(deadline)
                # So that the machine sees this connection end before the next one begins.
                await asyncio.sleep(2)
            self.state = "off"
        except (OSError, ScriptError, TimeoutError) as error:
            self.state, self.error = "failed", str(error) or "it did not answer in time"
        finally:
            await self._close()

    async def _attended(self) -> None:
        """Its door is open: see that it is ready, and wait until the door closes."""
        await self._ready()
        self.state = "running"
        assert self.connection is not None
        await self.connection.wait()

    def _not_later_than(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ScriptError(f"its door did not open in {OPEN_SECONDS:.0f} s: see {self.places.log}/{self.name}.console")

    async def _opened(self) -> bool:
        """Open the door; False: the power went off meanwhile, or who is behind it does not understand: it takes another try."""
        await self._close()
        control = door.control_of(self.places, self.name)
        control.unlink(missing_ok=True)
        with (self.places.log / f"{self.name}.door").open("ab") as log:
            self.connection = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", *door.connection(self.places, self.name, self.key),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        until = time.monotonic() + TRY_SECONDS
        while not control.exists():
            if self.connection.returncode is not None or time.monotonic() > until or not await self.runs():
                await self._close()
                return False
            await asyncio.sleep(1)
        return True

    async def _close(self) -> None:
        if self.connection and self.connection.returncode is None:
            with suppress(ProcessLookupError):
                self.connection.kill()
            await self.connection.wait()

    async def _ready(self) -> None:
        """Introduce a new machine; count a boot that is another than the last one."""
        if not self.introduced:
            script, self.password = introduction(self.guest, self.town)
            said = await self._inside(script)
            keys = [line.split() for line in said.splitlines() if line.startswith(("ssh-", "ecdsa-"))]
            self.host_keys = tuple(" ".join(key[:2]) for key in keys)
            card = card_of_vagrant(self.index)
            await self.virsh("detach-interface", self.name, "network", "--mac", card, "--live", "--config")
            self.introduced = True
        boot = (await self._inside(READY)).strip()
        if boot != self._boot:
            self._boot, self.boots = boot, self.boots + 1

    async def _inside(self, script: str) -> str:
        """What a script of ours says that runs there as root; it goes through the door, not through an argument."""
        process = await asyncio.create_subprocess_exec(
            *door.command(self.places, self.name), door.NAME, "sh -s",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="/",
        )  # fmt: skip
        try:
            async with asyncio.timeout(READY_SECONDS):
                said, errors = await process.communicate(script.encode())
        except TimeoutError:
            process.kill()
            raise ScriptError(f"what it was asked took longer than {READY_SECONDS:.0f} s") from None
        if process.returncode:
            raise ScriptError(f"what it was asked ended with {process.returncode}: {errors.decode(errors='replace').strip()}")
        return said.decode(errors="replace")

    async def stop(self, *, hard: bool = False) -> None:
        """Power off: orderly, or as when the plug is pulled; orderly becomes hard when the machine takes too long."""
        if self.life is None or self.life.done():
            return
        if not hard:
            await self.virsh("shutdown", self.name, "--mode", "acpi")
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.life), STOP_SECONDS)
                return
        with suppress(ScriptError):
            await self.virsh("destroy", self.name)
        await self.life

    async def cable(self, card: str, *, plugged: bool) -> None:
        """Plug or unplug the cable of a network card."""
        found = next((c for c in self.guest.cards if c.name == card), None)
        if found is None:
            raise ScriptError(f"{self.name} has no {card}: it has {', '.join(c.name for c in self.guest.cards)}")
        await self.virsh("domif-setlink", self.name, found.mac, "up" if plugged else "down")

    def report(self) -> dict[str, object]:
        """What `status` shows of it."""
        return {
            "name": self.name, "role": self.guest.role, "state": self.state, "boots": self.boots,
            "ssh_port": self.guest.ssh_port, "leader": None, "error": self.error, "memory": self._memory(),
            "host_keys": self.host_keys, "password": self.password,
            "open": door.control_of(self.places, self.name).exists(),
        }  # fmt: skip

    def _memory(self) -> int:
        """Bytes of this computer's memory that the machine holds."""
        with suppress(OSError, ValueError):
            pid = (PIDS / f"{self.name}.pid").read_text(encoding="ascii").strip()
            pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
            return int(pages) * 4096
        return 0
