"""Debian machines under systemd-nspawn: each boots, reboots into a new network namespace, stops, loses a cable."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.lab import cgroups, network
from toolkit.lab.disk import Disk, identify
from toolkit.lab.places import Places
from toolkit.lab.relay import Place, connect
from toolkit.lab.town import Guest, Town

# systemd-nspawn's way of saying that the machine asked for a reboot.
REBOOT = 133
STOP_SECONDS = 20.0
# Where `up` leaves the root images for the daemon, role → folder, as JSON.
IMAGES = "images.json"
# Enter the machine's cgroups, die with the daemon, be the machine.
ENTER = (
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; exec setpriv --pdeathsig KILL -- "$@"'
)


class ScriptError(Exception):
    """A shell script of the lab failed; the text is what it said."""


async def shell(script: str) -> None:
    """Run a script of ours."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise ScriptError(errors.decode(errors="replace").strip())


def nspawn_command(guest: Guest, root: Path, groups: list[Path]) -> list[str]:
    """The command that boots the machine, from the entering of its cgroups on."""
    return [
        "sh", "-c", ENTER, "sh", *map(str, groups), "--",
        "systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={guest.name}",
        "--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{guest.name}",
        "--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        "--capability=CAP_NET_ADMIN", "--bind=/dev/net/tun", "--system-call-filter=fanotify_init fanotify_mark",
    ]  # fmt: skip


@dataclass
class Machine:
    """A guest's life in the daemon. state: off, starting, running (sshd answers), failed."""

    guest: Guest
    index: int
    town: Town
    places: Places
    image: Path
    state: str = "off"
    boots: int = 0
    error: str = ""
    host_keys: tuple[str, ...] = ()
    password: str | None = None
    process: asyncio.subprocess.Process | None = None
    groups: list[Path] = field(default_factory=list)
    life: asyncio.Task[None] | None = None

    @property
    def disk(self) -> Disk:
        return Disk(self.places.disks / self.guest.name)

    def start(self) -> None:
        """Boot it unless it runs already."""
        if self.life is None or self.life.done():
            self.state, self.error = "starting", ""
            self.life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        try:
            if not self.disk.root.is_dir():
                await asyncio.to_thread(self._furnish)
            while await self._boot() == REBOOT:
                self.state = "starting"
            self.state = "off"
        except (OSError, ScriptError, ValueError) as error:
            self.state, self.error = "failed", str(error)

    def _furnish(self) -> None:
        self.disk.make(self.image)
        self.password = identify(self.disk.root, self.guest, self.town)
        keys = sorted((self.disk.root / "etc/ssh").glob("ssh_host_*_key.pub"), reverse=True)
        self.host_keys = tuple(" ".join(key.read_text(encoding="ascii").split()[:2]) for key in keys)

    async def _boot(self) -> int:
        """One life from power to power; the namespace is new each time, so what was not made to last does not."""
        await shell(network.plug_in(self.guest, self.index))
        waiting = None
        try:
            self.groups = cgroups.make(self.places.cgroup, self.guest.name)
            log = self.places.log / f"{self.guest.name}.console"
            with log.open("ab") as console:
                self.process = await asyncio.create_subprocess_exec(
                    *nspawn_command(self.guest, self.disk.root, self.groups),
                    stdin=asyncio.subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
                )  # fmt: skip
            self.boots += 1
            waiting = asyncio.create_task(self._await_ssh())
            code = await self.process.wait()
        finally:
            if waiting:
                waiting.cancel()
            self.process = None
            # What is left of a machine that was unplugged would keep its namespace and its disk.
            await asyncio.to_thread(cgroups.empty, self.groups)
            await shell(network.unplug(self.guest, self.index))
        if code not in (0, REBOOT, -signal.SIGKILL, 128 + signal.SIGKILL):
            raise ScriptError(f"systemd-nspawn ended with {code}: see {log}")
        return code

    async def _await_ssh(self) -> None:
        """Notice when sshd answers, on the machine's own loopback: no firewall hides it there."""
        while True:
            with suppress(OSError, TimeoutError):
                reader, writer = await connect(Place(self.guest.name, "127.0.0.1", 22), wait=2)
                async with asyncio.timeout(5):
                    banner = await reader.readline()
                writer.close()
                if banner.startswith(b"SSH-"):
                    self.state = "running"
                    return
            await asyncio.sleep(0.05)

    def leader(self) -> int | None:
        """The process identifier of the machine's init."""
        if self.process is None:
            return None
        with suppress(OSError, ValueError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
            return int(children[0]) if children else None
        return None

    async def stop(self, *, hard: bool = False) -> None:
        """Power off: orderly, or as when the plug is pulled; orderly becomes hard when the machine takes too long."""
        if self.life is None:
            return
        started = time.monotonic()
        while not hard and self.process and time.monotonic() - started < STOP_SECONDS:
            # Early in its boot, init does not yet hear the signal: say it again.
            with suppress(ProcessLookupError):
                self.process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.life), 3)
                return
        if self.process:
            with suppress(ProcessLookupError):
                self.process.kill()
        await self.life

    async def cable(self, card: str, *, plugged: bool) -> None:
        """Plug or unplug the cable of a network card, at the switch's end."""
        found = next((c for c in self.guest.cards if c.name == card), None)
        if found is None:
            raise ScriptError(f"{self.guest.name} has no {card}: it has {', '.join(c.name for c in self.guest.cards)}")
        state = "up" if plugged else "down"
        await shell(f"ip -n {network.SWITCH} link set {network.port_of(found, self.index)} {state}")

    def report(self) -> dict[str, object]:
        """What `status` shows of it."""
        return {
            "name": self.guest.name, "role": self.guest.role, "state": self.state, "boots": self.boots,
            "ssh_port": self.guest.ssh_port, "leader": self.leader(), "error": self.error,
            "memory": cgroups.memory(self.groups), "host_keys": self.host_keys, "password": self.password,
        }  # fmt: skip


class Containers:
    """The lab's machines, as systemd-nspawn boots them."""

    def __init__(self, places: Places, town: Town) -> None:
        images = json.loads((places.run / IMAGES).read_text(encoding="utf-8"))
        self.machines = {
            guest.name: Machine(guest, index, town, places, Path(images[guest.role])) for index, guest in enumerate(town.guests)
        }

    async def open(self) -> None:
        """Nothing runs beside them."""

    async def start(self, names: list[str]) -> None:
        """Boot those that do not run already."""
        for name in names:
            self.machines[name].start()

    async def close(self) -> None:
        """Pull the plug: their disks go with them, nothing is worth an orderly end."""
        await asyncio.gather(*(machine.stop(hard=True) for machine in self.machines.values()))
