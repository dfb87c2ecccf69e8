"""Commands inside the running lab: in a network of it, or in a machine as root."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from toolkit.errors import TelekitError, UsageError
from toolkit.lab import cgroups, door, names
from toolkit.lab.places import Places
from toolkit.lab.processes import Process
from toolkit.lab.provider import Completed
from toolkit.lab.town import VANTAGES, Town

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLEAN = ("env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=xterm", "USER=root")
# How long a machine may take to stop in good order, and then some.
STOP_SECONDS = 300.0
# By how much software emulation is slower than what a caller has in mind.
SLOWNESS = 8.0
# Join the lab's cgroup, so that `down` finds what was forgotten; then the namespace's own view of names.
JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
OWN_NAMES = 'mount --bind "$1/resolv.conf" /etc/resolv.conf; mount --bind "$1/hosts" /etc/hosts; ' \
    'mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf; shift; exec "$@"'  # fmt: skip


class NotUpError(TelekitError):
    """The lab, or the machine, does not run."""


def ask(places: Places, request: dict[str, Any], wait: float = 60.0) -> dict[str, Any]:
    """The daemon's answer; NotUpError when there is no daemon."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(wait)
        try:
            line.connect(str(places.control))
            line.sendall(json.dumps(request).encode() + b"\n")
            with line.makefile("rb") as file:
                answer = json.loads(file.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise NotUpError(f"the lab `{places.name}` does not answer: {error}", hint="telekit lab up") from error
    if "error" in answer:
        raise TelekitError(answer["error"])
    found: dict[str, Any] = answer
    return found


def report(places: Places, machine: str) -> dict[str, Any]:
    """What the daemon says of one machine."""
    for found in ask(places, {"do": "status"}).get("machines", []):
        if found["name"] == machine:
            return dict(found)
    raise UsageError(f"the lab `{places.name}` has no machine `{machine}`")


class Inside:
    """Runs commands somewhere in the lab."""

    def __init__(self, places: Places, town: Town, name: str) -> None:
        self.places = places
        self.town = town
        self.name = name

    def command(self, argv: Sequence[str]) -> list[str]:
        """The whole command, for a caller that becomes it."""
        raise NotImplementedError

    def run(self, argv: Sequence[str], timeout: float = 60.0, *, stdin: str | None = None, check: bool = False) -> Completed:
        """Run a command there; text in, text out."""
        return subprocess.run(
            self.command(argv), input=stdin or "", capture_output=True, text=True, timeout=timeout, check=check,
            cwd="/", errors="replace",
        )  # fmt: skip

    def popen(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a command there that goes on by itself."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(argv), stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")

    def _joined(self) -> list[str]:
        groups = cgroups.make(self.places.cgroup, "visitors")
        return ["sh", "-c", JOIN, "sh", *map(str, groups), "--"]


class Somewhere(Inside):
    """A place in the lab's networks, with its own resolver and this computer's programs."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """The whole command, for a caller that becomes it."""
        daemon = Process.load(self.places.process)
        if daemon is None:
            raise NotUpError(f"the lab `{self.places.name}` is not up", hint="telekit lab up")
        netns = f"/proc/{daemon.pid}/root/run/netns/{self.name}"
        own = self.places.run / "names" / self.name
        inside = ["nsenter", f"--target={daemon.pid}", "--mount", f"--net={netns}", "--", "unshare", "--mount"]
        return [*self._joined(), *inside, "sh", "-c", OWN_NAMES, "sh", str(own), *argv]


def write_names(places: Places, town: Town) -> None:
    """Write each vantage point's resolver, hosts and name service switch: names there are the lab's, not this computer's."""
    for host in town.hosts:
        folder = places.run / "names" / host.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(names.resolver(host.resolver), encoding="utf-8")
        (folder / "hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
        (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n", encoding="utf-8")


class OutOfBand(Inside):
    """A machine, as root, whatever its firewall says."""

    ask_to_reboot: Sequence[str] = ("systemctl", "reboot")

    def reboot(self, timeout: float = 60.0) -> None:
        """Reboot orderly and wait until its services run again."""
        before = report(self.places, self.name)["boots"]
        self.run(self.ask_to_reboot)
        self._await(timeout, after=before)

    def power_off(self, *, hard: bool = False) -> None:
        """Shut down orderly, or as when the plug is pulled."""
        ask(self.places, {"do": "stop", "machines": [self.name], "hard": hard}, wait=STOP_SECONDS)

    def power_on(self, timeout: float = 60.0) -> None:
        """Boot and wait until its services run."""
        ask(self.places, {"do": "start", "machines": [self.name]})
        self._await(timeout)

    def unplug(self, interface: str) -> None:
        """Take the cable out of a network card."""
        ask(self.places, {"do": "cable", "machine": self.name, "card": interface, "plugged": False})

    def plug(self, interface: str) -> None:
        """Put the cable back."""
        ask(self.places, {"do": "cable", "machine": self.name, "card": interface, "plugged": True})

    def root_password(self) -> str:
        """Root's password on a machine that was made bare."""
        password = report(self.places, self.name)["password"]
        if not password:
            raise UsageError("this machine is not bare: root has no password", where=self.name)
        return str(password)

    def _await(self, timeout: float, *, after: int = 0) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            now = report(self.places, self.name)
            if now["state"] == "failed":
                raise TelekitError(now["error"], where=self.name)
            if now["state"] == "running" and now["boots"] > after:
                self.run(["systemctl", "is-system-running", "--wait"], timeout=max(1.0, deadline - time.monotonic()))
                return
            time.sleep(0.05)
        raise TelekitError(f"the machine did not come up within {timeout:.0f} s", where=self.name)


class Contained(OutOfBand):
    """A machine that shares this computer's kernel: its namespaces are entered."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """The whole command, for a caller that becomes it."""
        leader = report(self.places, self.name)["leader"]
        if not leader:
            raise NotUpError("the machine is off", where=self.name, hint=f"telekit lab up --only {self.name}")
        enter = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return [*self._joined(), *enter, "--", *CLEAN, *argv]


class Virtual(OutOfBand):
    """A virtual machine: through its door, which is a serial line."""

    # The door lets go of this command before the machine goes down.
    ask_to_reboot = ("sh", "-c", "(sleep 1; exec systemctl reboot) </dev/null >/dev/null 2>&1 &")

    def command(self, argv: Sequence[str]) -> list[str]:
        """The whole command, for a caller that becomes it; on a terminal, it has one there too."""
        if not report(self.places, self.name)["open"]:
            raise NotUpError("the machine is off, or still starting", where=self.name, hint=f"telekit lab up --only {self.name}")
        terminal = ["-t"] if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() else []
        there = f"cd / && exec {shlex.join([*CLEAN, *argv])}"
        return [*self._joined(), *door.command(self.places, self.name), *terminal, door.NAME, there]

    def run(self, argv: Sequence[str], timeout: float = 60.0, *, stdin: str | None = None, check: bool = False) -> Completed:
        """Run a command there; a machine in emulation gets the time that it needs."""
        return super().run(argv, timeout * SLOWNESS, stdin=stdin, check=check)

    def reboot(self, timeout: float = 60.0) -> None:
        super().reboot(timeout * SLOWNESS)

    def power_on(self, timeout: float = 60.0) -> None:
        super().power_on(timeout * SLOWNESS)


OUT_OF_BAND: dict[str, type[OutOfBand]] = {"nspawn": Contained, "vagrant": Virtual}


def vantage(places: Places, town: Town, name: str) -> Inside:
    """internet, home or admin; or a machine; any other namespace of the lab by its name."""
    if name in (*VANTAGES, *(host.name for host in town.hosts)):
        return Somewhere(places, town, name)
    town.guest(name)
    return OUT_OF_BAND[town.provider](places, town, name)
