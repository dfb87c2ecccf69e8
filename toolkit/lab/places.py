"""Where the lab keeps things: caches that stay, and what belongs to one running lab and goes with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UsageError

STATE = Path("/var/lib/telekit/lab")
RUNTIME = Path("/run/telekit/lab")
NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")


@dataclass(frozen=True)
class Places:
    """The folders and files of the lab called `name`."""

    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(f"`{self.name}` cannot name a lab", hint="small letters, digits and -, 20 at most")

    @property
    def run(self) -> Path:
        return RUNTIME / self.name

    @property
    def town(self) -> Path:
        return self.run / "town.json"

    @property
    def process(self) -> Path:
        return self.run / "daemon.json"

    @property
    def control(self) -> Path:
        return self.run / "control"

    @property
    def log(self) -> Path:
        return self.run / "log"

    @property
    def disks(self) -> Path:
        """Where the daemon mounts, for itself alone, the memory on which the machines' disks live."""
        return self.run / "disks"

    @property
    def storage(self) -> Path:
        """Where virtual machines' disks are: they are too large for memory."""
        return STATE / "virtual" / self.name

    @property
    def doors(self) -> Path:
        """Where the ways into virtual machines are that no firewall closes."""
        return self.run / "doors"

    @property
    def cgroup(self) -> str:
        return f"telekit-lab-{self.name}"
