"""The lab's town for the benchmark: five Debian machines behind a distance, fresh as often as asked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import ROOT, peers
from benchmarks.measure import Cost
from benchmarks.relay import Distance, distance
from toolkit.inventory import load
from toolkit.lab import Lab, create
from toolkit.lab.ports import copy_inventory
from toolkit.model import Role

NAME = "bench"
RELEASE = "trixie"
SOURCE = ROOT / "inventories" / "lab"
# The machines' ports, and those of the relay in front of them.
DIRECT, RELAYED = 24000, 24050
AGENT = "k.benali"
# What makes a machine itself: with the same keys, a town that was built anew becomes the same town, byte for byte.
KEYS = {
    Role.GATEWAY: ("/etc/wireguard/private.key", "/etc/telekit/enrolment"),
    Role.LAPTOP: ("/etc/wireguard/private.key", "/etc/telekit/enrolment"),
    Role.DESKTOP: ("/etc/xrdp/telekit.key", "/etc/telekit/enrolment"),
}


@dataclass
class BenchTown:
    """Five machines behind a relay. `folder`/with and `folder`/without: the inventories with all agents, and with one less."""

    folder: Path
    lab: Lab
    relay: Distance
    seeds: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def inventory(self) -> Path:
        """The commune's folder as tools see it: one set of keys, ledger and secrets, whatever the machines went through."""
        return self.folder / "inventories" / "lab"

    @property
    def machines(self) -> dict[str, Role]:
        return {machine.name: machine.role for machine in load(self.inventory).commune.machines}

    def rebuild(self) -> None:
        """Machines that nobody has touched, with the keys of those before them."""
        self.lab.down(say=_quiet)
        self.lab = create(NAME, self.folder / "direct" / "lab")
        self.lab.up(RELEASE, say=_quiet)
        for name in ("operator_ed25519", "operator_ed25519.pub", "operators.keys"):
            shutil.copy2(self.folder / "direct" / "lab" / name, self.inventory / name)
        known = (self.folder / "direct" / "lab" / "known_hosts").read_text(encoding="ascii")
        shifted = re.sub(r"(?<=\]:)\d+", lambda m: str(int(m[0]) - DIRECT + RELAYED), known)
        (self.inventory / "known_hosts").write_text(shifted, encoding="ascii")
        for (machine, path), content in self.seeds.items():
            self._plant(machine, path, content)

    def remember_keys(self) -> None:
        """Keep the machines' own keys for those that are built after them."""
        for machine, role in self.machines.items():
            for path in KEYS[role]:
                self.seeds[machine, path] = self.lab.machine(machine).run(["cat", path], check=True).stdout

    def _plant(self, machine: str, path: str, content: str) -> None:
        mode = "644" if path.endswith("enrolment") else "600"
        script = (
            f"umask 077; mkdir -p {Path(path).parent}; cat > {path}; chmod {mode} {path};"
            " chmod 755 /etc/telekit /etc/xrdp 2>/dev/null; true"
        )
        self.lab.machine(machine).run(["sh", "-c", script], stdin=content, check=True)

    def staff(self, *, without: str = "") -> None:
        """Write agents.csv: everybody, or everybody but one."""
        lines = (SOURCE / "agents.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not without or not line.startswith(f"{without};")]
        (self.inventory / "agents.csv").write_text("".join(kept), encoding="utf-8")

    # -- the tools, on what agents.csv says now ----------------------------------------------------------------------

    def telekit(self, *arguments: str, codes: tuple[int, ...] = (0,), memory: bool = False) -> Cost:
        where = ("--inventories", self.inventory.parent, "--commune", "lab")
        return peers.telekit(*arguments, *where, codes=codes, memory=memory)

    def engine(self, *, memory: bool = False) -> Cost:
        return peers.engine("town", self.inventory, memory=memory)

    def pyinfra(self, *, memory: bool = False) -> Cost:
        return peers.pyinfra("town.py", {"BENCH_INVENTORY": str(self.inventory)}, memory=memory)

    def inputs(self, name: str) -> Path:
        """Write what the playbook needs for agents.csv as it is now; the machines must be up and provisioned."""
        out = self.folder / "ansible" / name
        subprocess.run([sys.executable, "-m", "benchmarks.town_inputs", self.inventory, out], check=True, cwd=ROOT)
        return out / "town.json"

    def playbook(self, name: str, *, mitogen: bool = False, memory: bool = False, book: str = "town.yml") -> Cost:
        return peers.playbook(book, self.folder / "ansible" / name / "town.json", mitogen=mitogen, memory=memory)


def _quiet(text: str) -> None:
    """The lab's progress is not the benchmark's."""


@contextmanager
def town() -> Iterator[BenchTown]:
    """The town for the duration of the block, whatever an earlier run left of it."""
    ports = {RELAYED + place: DIRECT + place for place in range(1, 6)}
    with tempfile.TemporaryDirectory(prefix="telekit-bench-") as name, distance(ports) as relay:
        folder = Path(name)
        copy_inventory(SOURCE, folder / "direct" / "lab", DIRECT)
        copy_inventory(SOURCE, folder / "inventories" / "lab", RELAYED)
        found = BenchTown(folder, create(NAME, folder / "direct" / "lab"), relay)
        try:
            yield found
        finally:
            found.lab.down(say=_quiet)
