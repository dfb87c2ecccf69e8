"""The one process that holds a running lab: its namespaces, mounts, servers, relays and machines.

Its mount namespace is private and its servers die with it. What a daemon that is killed leaves (the machines' own
processes in cgroups of the lab's, and the mounts that they hold) the next `up` or `down` removes. Started by
`toolkit.lab.held`, spoken to in lines of JSON over a socket.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from toolkit.lab import aptcache, cgroups, names, network, services
from toolkit.lab.front import front
from toolkit.lab.guest import Containers, ScriptError, shell
from toolkit.lab.hypervisor import Hypervisor
from toolkit.lab.places import Places
from toolkit.lab.relay import Place, relay, serve
from toolkit.lab.requirements import SEARCH
from toolkit.lab.town import INTERNET_ROUTER, Town, from_json

Request = dict[str, Any]
# Each machine's systemd watches files; the kernel's usual allowance is spent by some thirty of them.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024
GO = "go\n"


class Housed(Protocol):
    """One machine, as the daemon knows it."""

    async def stop(self, *, hard: bool = False) -> None:
        """Power off: orderly, or as when the plug is pulled."""

    async def cable(self, card: str, *, plugged: bool) -> None:
        """Plug or unplug the cable of a network card."""

    def report(self) -> dict[str, object]:
        """What `status` shows of it."""


class Household(Protocol):
    """What boots the lab's machines once their networks are there."""

    @property
    def machines(self) -> Mapping[str, Housed]: ...

    async def open(self) -> None:
        """Start what must run before any machine can."""

    async def start(self, names: list[str]) -> None:
        """Boot those that do not run already; returns before they are up."""

    async def close(self) -> None:
        """End them all."""


HOUSEHOLDS: dict[str, Callable[[Places, Town], Household]] = {"nspawn": Containers, "vagrant": Hypervisor}


class Daemon:
    """A running lab."""

    def __init__(self, places: Places, town: Town, cache_port: int) -> None:
        self.places = places
        self.town = town
        self.cache_port = cache_port
        self.stopped = asyncio.Event()
        self.children: list[asyncio.subprocess.Process] = []
        self.household = HOUSEHOLDS[town.provider](places, town)

    async def run(self) -> None:
        """Build the town, listen, and hold everything until `shutdown` or a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stopped.set)
        await shell(network.build(self.town))
        await self._start_name_servers()
        await services.start(self.town.services)
        await serve(Place("isp", INTERNET_ROUTER, 80), front(self.cache_port, aptcache.INDEX_TURNS))
        await self.household.open()
        for guest in self.town.guests:
            await relay(Place(None, "127.0.0.1", guest.ssh_port), Place("admin", guest.address, 22))
        server = await asyncio.start_unix_server(self._converse, self.places.control)
        self.places.control.chmod(0o600)
        await self.stopped.wait()
        server.close()
        await self.household.close()
        for child in self.children:
            child.terminate()

    async def _start_name_servers(self) -> None:
        (self.places.run / names.FURTHER).touch()
        for namespace, text in names.configurations(self.town, self.places.run).items():
            file = self.places.run / f"dnsmasq-{namespace}.conf"
            file.write_text(text, encoding="utf-8")
            with (self.places.log / f"dnsmasq-{namespace}.log").open("w") as log:
                child = await asyncio.create_subprocess_exec(
                    "setpriv", "--pdeathsig", "KILL", "--", "nsenter", f"--net=/run/netns/{namespace}",
                    shutil.which("dnsmasq", path=SEARCH) or "dnsmasq", f"--conf-file={file}",
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            self.children.append(child)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer = await self._answer(request)
        except (ScriptError, KeyError, ValueError, OSError) as error:
            answer = {"error": str(error)}
        with suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, request: Request) -> Request:
        verbs: dict[str, Callable[[Request], Awaitable[None]]] = {
            "status": self._nothing,
            "start": self._start,
            "stop": self._stop,
            "cable": self._cable,
            "shutdown": self._shutdown,
        }
        await verbs[request["do"]](request)
        return {"machines": [machine.report() for machine in self.household.machines.values()]}

    async def _nothing(self, request: Request) -> None:
        """Only the answer's report is wanted."""

    async def _start(self, request: Request) -> None:
        await self.household.start(request["machines"])

    async def _stop(self, request: Request) -> None:
        stopping = [self.household.machines[name] for name in request["machines"]]
        await asyncio.gather(*(machine.stop(hard=request.get("hard", False)) for machine in stopping))

    async def _cable(self, request: Request) -> None:
        await self.household.machines[request["machine"]].cable(request["card"], plugged=request["plugged"])

    async def _shutdown(self, request: Request) -> None:
        self.stopped.set()


def _settle(places: Places) -> None:
    """Mount, in this process's own mount namespace, the memory for disks and a folder for network namespaces."""
    netns = Path("/run/netns")
    for folder, size in ((netns, "1m"), (places.disks, "75%")):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "telekit-lab", str(folder)], check=True)
    with suppress(OSError):
        if int(INOTIFY.read_text(encoding="ascii")) < INOTIFY_WANTED:
            INOTIFY.write_text(str(INOTIFY_WANTED), encoding="ascii")


def main(name: str) -> int:
    """Hold the lab called `name`, described in its runtime folder, once `up` has recorded this process and said so."""
    if sys.stdin.readline() != GO:
        return 1  # `up` was killed: its next try starts another daemon
    places = Places(name)
    town = from_json(places.town.read_text(encoding="utf-8"))
    cgroups.settle(places.cgroup)
    _settle(places)
    with aptcache.in_use() as port:
        asyncio.run(_hold(places, town, port))
    return 0


async def _hold(places: Places, town: Town, port: int) -> None:
    await Daemon(places, town, port).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
