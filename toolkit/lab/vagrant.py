"""The lab of virtual machines: Vagrant and libvirt boot them, in the same networks and with the same ways in as nspawn's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.lab import acceleration, admission, box, door
from toolkit.lab.held import HeldLab
from toolkit.lab.hypervisor import MACHINES, VAGRANTFILE
from toolkit.lab.provider import Say
from toolkit.lab.town import Guest, Town
from toolkit.lab.vm import card_of_vagrant
from toolkit.model import Role

# MiB. A desktop holds a session, a laptop an antivirus and a client.
MEMORY = {Role.GATEWAY: 768, Role.DESKTOP: 1536, Role.LAPTOP: 1536}
# In emulation, with three machines on two processors.
PATIENCE = 8.0
# wireguard-go's interface is a tun, and none of this kind.
WIREGUARD = """\
if ip -o link show type wireguard | grep -q . && [ -d /sys/module/wireguard ]; then echo kernel
elif pgrep -x wireguard-go >/dev/null; then echo wireguard-go; fi
"""
# MiB that QEMU takes beside what the machine has; an emulator keeps what it has translated.
OVERHEAD = {acceleration.KVM: 250, acceleration.EMULATION: 1100}


class VagrantLab(HeldLab):
    """A lab whose machines have kernels of their own."""

    provider = "vagrant"
    # In emulation, three machines at once, on a busy computer.
    boot_seconds = 1200.0
    daemon_seconds = 150.0

    def _prepare(self, town: Town, wanted: list[str], say: Say) -> dict[str, str]:
        if not VAGRANTFILE.is_file():
            raise UsageError(
                "the lab of virtual machines needs telekit's source tree", where=str(VAGRANTFILE), hint="run it from a checkout"
            )
        boxes = box.ensure(town.release, {guest.role for guest in town.guests}, say)
        found = acceleration.acceleration(next(iter(boxes.values())).kernel)
        admission.enough_memory(sum(MEMORY[Role(town.guest(name).role)] + OVERHEAD[found] for name in wanted))
        if found == acceleration.EMULATION:
            say("This computer's processor runs no virtual machine (no KVM): they are emulated, which takes ten times as long")
        return {MACHINES: self._told(town, boxes, found)}

    def _told(self, town: Town, boxes: dict[str, box.Box], found: str) -> str:
        """What the Vagrantfile and the daemon read of the machines."""
        machines = [
            self._machine(guest, index, boxes[guest.role], emulated=found == acceleration.EMULATION)
            for index, guest in enumerate(town.guests)
        ]
        return json.dumps({"acceleration": found, "machines": machines}, indent=1)

    def _machine(self, guest: Guest, index: int, of: box.Box, *, emulated: bool) -> dict[str, object]:
        return {
            "name": guest.name, "box": of.name, "key": str(of.key), "memory": MEMORY[Role(guest.role)],
            # More processors than this computer has only stand in each other's way.
            "processors": 1 if emulated else 2,
            "vagrant_mac": card_of_vagrant(index), "door": str(door.line_of(self.places, guest.name)),
            "console": str(self.places.log / f"{guest.name}.console"),
            "cards": [{"bridge": card.bridge, "mac": card.mac} for card in guest.cards],
        }  # fmt: skip

    def _manner(self) -> str:
        return ": some minutes, in emulation" if self._acceleration() == acceleration.EMULATION else ""

    def _wireguard(self, machine: dict[str, Any]) -> str:
        """Asked in the machine: its kernel's own interface, or a program's."""
        if machine["state"] != "running":
            return ""
        return self.machine(machine["name"]).run(["sh", "-c", WIREGUARD]).stdout.strip()

    @property
    def patience(self) -> float:
        return PATIENCE if self._acceleration() == acceleration.EMULATION else 1.0

    def _acceleration(self) -> str:
        return accelerated(self.places.run)


def accelerated(run: Path) -> str:
    """What `up` found for the lab in this runtime folder."""
    try:
        return str(json.loads((run / MACHINES).read_text(encoding="utf-8"))["acceleration"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""
