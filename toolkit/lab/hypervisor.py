"""libvirt and Vagrant of one lab, out of sight of this computer's own: they live in the lab's network and mounts.

The machines' cards hang on the lab's switches. What libvirt keeps is in the lab's folders, over which this computer's are not
seen; it ends with the daemon, and its machines with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from toolkit.lab import box
from toolkit.lab.guest import ScriptError
from toolkit.lab.network import SWITCH
from toolkit.lab.places import Places
from toolkit.lab.requirements import SEARCH
from toolkit.lab.town import Town
from toolkit.lab.vm import VirtualMachine

VAGRANTFILE = Path(__file__).parents[2] / "vagrant" / "Vagrantfile"
# Where `up` leaves for the daemon and the Vagrantfile what the machines are, as JSON.
MACHINES = "machines.json"
VAGRANT_SECONDS = 1150.0
LIBVIRT_SECONDS = 60.0

# This computer's folder → the lab's own, below its runtime folder or its storage.
RUNTIME_FOLDERS = {"/run/libvirt": "libvirt/run", "/etc/libvirt": "libvirt/etc"}
STORED_FOLDERS = {"/var/lib/libvirt": "lib", "/var/cache/libvirt": "cache", "/var/log/libvirt": "log"}
# A libvirt that sees systemd's bus has it register machines, and takes them out of the lab's cgroup.
BUS = Path("/run/dbus")
QEMU = """\
# Written by telekit's lab.
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "file"
"""
LIBVIRTD = """\
# Written by telekit's lab.
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
"""


class Hypervisor:
    """The lab's machines, as Vagrant makes them and libvirt runs them."""

    def __init__(self, places: Places, town: Town) -> None:
        self.places = places
        told = json.loads((places.run / MACHINES).read_text(encoding="utf-8"))
        keys = {machine["name"]: Path(machine["key"]) for machine in told["machines"]}
        self.machines = {
            guest.name: VirtualMachine(guest, index, town, places, keys[guest.name], self.virsh)
            for index, guest in enumerate(town.guests)
        }
        self.libvirtd: asyncio.subprocess.Process | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    # -- libvirt -----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start libvirt in the lab's network, over folders of the lab's own."""
        self._settle()
        options = ["--config", str(self.places.run / "libvirt/etc/libvirtd.conf"), "--pid-file", str(self._folder("libvirt/pid"))]
        with (self.places.log / "libvirtd.log").open("ab") as log:
            self.libvirtd = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", *self._in_the_network("libvirtd", *options),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        deadline = time.monotonic() + LIBVIRT_SECONDS
        while True:
            try:
                await self.virsh("version")
            except ScriptError as error:
                if self.libvirtd.returncode is not None or time.monotonic() > deadline:
                    raise ScriptError(f"libvirt did not start: {error}; see {self.places.log}/libvirtd.log") from None
                await asyncio.sleep(0.2)
            else:
                return

    def _settle(self) -> None:
        """Lay the lab's folders over this computer's, in the daemon's own mounts."""
        folders = {there: self.places.run / here for there, here in RUNTIME_FOLDERS.items()}
        folders |= {there: self.places.storage / here for there, here in STORED_FOLDERS.items()}
        for there, here in folders.items():
            here.mkdir(parents=True, exist_ok=True)
            Path(there).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", str(here), there], check=True)
        if BUS.is_dir():
            subprocess.run(["mount", "-t", "tmpfs", "telekit-lab", str(BUS)], check=True)
        (self.places.run / "libvirt/etc/qemu.conf").write_text(QEMU, encoding="ascii")
        (self.places.run / "libvirt/etc/libvirtd.conf").write_text(LIBVIRTD, encoding="ascii")
        self._folder("libvirt/pid").parent.mkdir(parents=True, exist_ok=True)
        self.places.doors.mkdir(mode=0o700, exist_ok=True)

    def _folder(self, name: str) -> Path:
        return self.places.run / name

    @staticmethod
    def _in_the_network(command: str, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", SWITCH, shutil.which(command, path=SEARCH) or command, *arguments]

    async def virsh(self, *arguments: str) -> str:
        """What virsh says."""
        process = await asyncio.create_subprocess_exec(
            "virsh", "--quiet", "--connect", "qemu:///system", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"LC_ALL": "C"}, cwd="/",
        )  # fmt: skip
        said, errors = await process.communicate()
        if process.returncode:
            raise ScriptError(f"virsh {arguments[0]}: {errors.decode(errors='replace').strip()}")
        return said.decode(errors="replace")

    # -- machines ----------------------------------------------------------------------------------------------------

    async def start(self, names: list[str]) -> None:
        """Boot those that do not run already; Vagrant makes new ones, all of them at once."""
        idle = [self.machines[name] for name in names if not self.machines[name].busy]
        for machine in idle:
            machine.expected()
        new, known = [m for m in idle if not m.made], [m for m in idle if m.made]
        for task in [*([self._make(new)] if new else []), *map(self._boot, known)]:
            running = asyncio.create_task(task)
            self.tasks.add(running)
            running.add_done_callback(self.tasks.discard)

    async def _boot(self, machine: VirtualMachine) -> None:
        try:
            await self.virsh("start", machine.name)
        except ScriptError as error:
            machine.fail(str(error))
        else:
            machine.started()

    async def _make(self, machines: Sequence[VirtualMachine]) -> None:
        """`vagrant up`: until it sees SSH, and not longer than it may take."""
        try:
            await self._vagrant("up", "--no-color", *(machine.name for machine in machines))
        except (ScriptError, OSError) as error:
            for machine in machines:
                machine.fail(str(error))
        else:
            for machine in machines:
                machine.started()

    async def _vagrant(self, *arguments: str) -> None:
        file = self.places.log / "vagrant.log"
        environment = box.environment(
            VAGRANT_CWD=str(VAGRANTFILE.parent), VAGRANT_DOTFILE_PATH=str(self.places.storage / "vagrant"),
            TELEKIT_LAB=str(self.places.run / MACHINES),
        )  # fmt: skip
        with file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", *self._in_the_network("vagrant", *arguments),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/",
            )  # fmt: skip
        try:
            async with asyncio.timeout(VAGRANT_SECONDS):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            raise ScriptError(f"vagrant {arguments[0]} took longer than {VAGRANT_SECONDS:.0f} s: see {file}") from None
        if code:
            raise ScriptError(f"vagrant {arguments[0]} ended with {code}: {_last(file)}")

    async def close(self) -> None:
        """Pull the plugs, then libvirt's: the disks go with the lab, nothing is worth an orderly end."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*(machine.stop(hard=True) for machine in self.machines.values()), return_exceptions=True)
        if self.libvirtd and self.libvirtd.returncode is None:
            self.libvirtd.terminate()


def _last(file: Path) -> str:
    lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-3:]) or "no reason given"
