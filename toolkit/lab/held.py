"""A lab that one daemon on this computer holds, whatever its machines are: its beginning, its end, and what runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolkit.errors import TelekitError, UsageError
from toolkit.inventory import load
from toolkit.lab import admission, aptcache, base, box, cgroups, keys
from toolkit.lab.daemon import GO
from toolkit.lab.places import RUNTIME, STATE, Places
from toolkit.lab.processes import Process
from toolkit.lab.provider import LabStatus, MachineStatus, Say
from toolkit.lab.requirements import missing_packages, require
from toolkit.lab.town import Town, design, from_json
from toolkit.lab.vantage import OUT_OF_BAND, Inside, NotUpError, OutOfBand, ask, vantage, write_names

BOOT_SECONDS = 90.0
DAEMON_SECONDS = 60.0


class HeldLab:
    """The lab called `name`, built from the inventory in a folder; a running one knows its inventory itself.

    provider: what its machines are. boot_seconds: how long they may take from power to SSH; daemon_seconds: its daemon before.
    """

    provider = ""
    boot_seconds = BOOT_SECONDS
    daemon_seconds = DAEMON_SECONDS

    def __init__(self, name: str = "lab", inventory: Path | None = None) -> None:
        self.name = name
        self.places = Places(name)
        self._inventory = inventory

    # -- up ----------------------------------------------------------------------------------------------------------

    def up(self, release: str = "trixie", *, only: Sequence[str] = (), bare: Sequence[str] = (), say: Say = print) -> LabStatus:
        """Build what is missing and boot; `only`: these machines, `bare`: without the administrator's account."""
        require(self.provider)
        with self._alone(), aptcache.in_use():
            town = self._designed(release, frozenset(bare))
            wanted = [town.guest(name).name for name in only] or [guest.name for guest in town.guests]
            if self._runs():
                self._same_town(town)
            else:
                self._clear()
                self._launch(town, wanted, say)
            say(f"Booting {', '.join(wanted)}{self._manner()}")
            ask(self.places, {"do": "start", "machines": wanted})
            self._await(wanted)
            keys.write_known_hosts(self.inventory, ask(self.places, {"do": "status"})["machines"])
        return self.status()

    def _prepare(self, town: Town, wanted: list[str], say: Say) -> dict[str, str]:
        """Make what machines are made of; name → text of files that tell the daemon of it."""
        raise NotImplementedError

    def _manner(self) -> str:
        """What the operator should know of how machines boot."""
        return ""

    def _designed(self, release: str, bare: frozenset[str]) -> Town:
        commune = load(self.inventory).commune
        return design(
            commune, name=self.name, release=release, inventory=str(self.inventory), provider=self.provider,
            operator_key=keys.ensure_operator(self.inventory), bare=bare,
        )  # fmt: skip

    def _same_town(self, town: Town) -> None:
        running = self._town()
        if running.to_json() == town.to_json():
            return
        what = f"with Debian {running.release}" if running.release != town.release else "from another inventory or options"
        if running.provider != town.provider:
            what = f"by {running.provider}"
        raise UsageError(f"the lab `{self.name}` already runs, {what}", hint=f"telekit lab down --name {self.name}")

    def _launch(self, town: Town, wanted: list[str], say: Say) -> None:
        """Start the daemon and wait until it listens."""
        admission.free_ports(town)
        files = self._prepare(town, wanted, say)
        self.places.log.mkdir(parents=True, exist_ok=True)
        self.places.run.chmod(0o755)
        self.places.town.write_text(town.to_json(), encoding="utf-8")
        for name, text in files.items():
            (self.places.run / name).write_text(text, encoding="utf-8")
        write_names(self.places, town)
        say(f"Building the lab `{self.name}`: Debian {town.release}, {len(town.guests)} machines")
        # The package cache is shared by all labs and must not live in this one's mounts: start it from here.
        with (self.places.log / "daemon.log").open("ab") as log:
            daemon = subprocess.Popen(
                [*cgroups.enclosure(self.places.cgroup), "unshare", "--mount", "--propagation", "slave",
                 sys.executable, "-m", "toolkit.lab.daemon", self.name],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd="/",
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )  # fmt: skip
        self._record(daemon)
        deadline = time.monotonic() + self.daemon_seconds
        while not self._runs():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise TelekitError(f"the lab's daemon did not start: {self._last_words()}", where=str(self.places.log))
            time.sleep(0.05)

    def _record(self, daemon: subprocess.Popen[bytes]) -> None:
        """Note who holds the lab before it does anything: after a kill, the next `up` finds it, or it never began."""
        assert daemon.stdin is not None
        if process := Process.of(daemon.pid):
            process.save(self.places.process)
        with suppress(BrokenPipeError), daemon.stdin as line:
            line.write(GO.encode())

    def _last_words(self) -> str:
        lines = (self.places.log / "daemon.log").read_text(encoding="utf-8").strip().splitlines()
        return lines[-1] if lines else "no reason given"

    def _await(self, wanted: list[str]) -> None:
        deadline = time.monotonic() + self.boot_seconds
        while True:
            found = [m for m in ask(self.places, {"do": "status"})["machines"] if m["name"] in wanted]
            for machine in found:
                if machine["state"] in ("failed", "off"):
                    raise TelekitError(machine["error"] or "it went off while booting", where=machine["name"])
            waiting = [m["name"] for m in found if m["state"] != "running"]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise TelekitError(f"no SSH from {', '.join(waiting)} in {self.boot_seconds:.0f} s", where=str(self.places.log))
            time.sleep(0.1)

    # -- down --------------------------------------------------------------------------------------------------------

    def down(self, *, purge: bool = False, say: Say = print) -> None:
        """End and remove everything; `purge`: the caches too."""
        require_root()
        with self._alone():
            if self._runs():
                say(f"Stopping the lab `{self.name}`")
                ask(self.places, {"do": "shutdown"})
                self._await_end()
            self._clear()
            aptcache.end_if_unused()
            if purge:
                self._purge(say)

    def _await_end(self) -> None:
        deadline = time.monotonic() + 30
        while Process.load(self.places.process) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _clear(self) -> None:
        """Remove what is left of a lab that ended or was killed."""
        if process := Process.load(self.places.process):
            process.end(patience=1)
        cgroups.clear(self.places.cgroup)
        shutil.rmtree(self.places.storage, ignore_errors=True)
        shutil.rmtree(self.places.run, ignore_errors=True)
        for folder in (self.places.storage.parent, RUNTIME, RUNTIME.parent):
            with suppress(OSError):
                folder.rmdir()

    def _purge(self, say: Say) -> None:
        others = [path.name for path in RUNTIME.glob("*/daemon.json")] if RUNTIME.is_dir() else []
        if others:
            raise UsageError("the caches are in use by another lab", hint="take every lab down first")
        base.purge()
        box.purge()
        say("Removed the root images and the package cache")

    # -- what runs ---------------------------------------------------------------------------------------------------

    @property
    def inventory(self) -> Path:
        """The folder of the inventory: the one given, else the running lab's."""
        if self._inventory is not None:
            return self._inventory.resolve()
        return Path(self._town().inventory)

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(guest.name for guest in self._town().guests)

    def _town(self) -> Town:
        try:
            return from_json(self.places.town.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotUpError(f"the lab `{self.name}` is not up", hint="telekit lab up") from error

    def _runs(self) -> bool:
        if Process.load(self.places.process) is None:
            return False
        try:
            ask(self.places, {"do": "status"}, wait=10)
        except NotUpError:
            return False
        return True

    def status(self) -> LabStatus:
        """What runs."""
        missing = tuple(missing_packages(self.provider))
        if not self._runs():
            inventory = str(self._inventory.resolve()) if self._inventory else ""
            return LabStatus(self.name, self.provider, up=False, inventory=inventory, missing=missing)
        town = self._town()
        found = ask(self.places, {"do": "status"})["machines"]
        machines = tuple(
            MachineStatus(
                m["name"], m["role"], town.release, m["state"], f"127.0.0.1:{m['ssh_port']}",
                m["memory"], m["boots"], m["error"], self._wireguard(m),
            )
            for m in found
        )  # fmt: skip
        return LabStatus(
            self.name, self.provider, up=True, inventory=town.inventory, machines=machines, missing=missing,
            acceleration=self._acceleration(),
        )  # fmt: skip

    def _wireguard(self, machine: dict[str, Any]) -> str:
        """What carries the machine's tunnel, where that is worth telling."""
        return ""

    @property
    def patience(self) -> float:
        """How many times as long as on usual machines things may take there."""
        return 1.0

    def _acceleration(self) -> str:
        """What runs the machines' instructions, where that is not this computer's own kernel."""
        return ""

    def ssh_command(self, machine: str) -> list[str]:
        """The command that opens a shell on the machine as the administrator."""
        town = self._town()
        guest = town.guest(machine)
        return keys.ssh_command(Path(town.inventory), town.admin_user, guest.ssh_port)

    def vantage(self, name: str) -> Inside:
        """internet, home or admin; or a machine."""
        return vantage(self.places, self._town(), name)

    def machine(self, name: str) -> OutOfBand:
        """A machine, out of band."""
        town = self._town()
        return OUT_OF_BAND[town.provider](self.places, town, town.guest(name).name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` of this lab at a time."""
        with admission.alone(STATE / f"{self.name}.lock"):
            yield


def require_root() -> None:
    """Refuse anyone but root."""
    if os.geteuid() != 0:
        raise UsageError("the lab belongs to root", hint="run it with sudo")
