"""What must hold before a lab is built: nobody else builds it, its ports are free, its machines fit into memory."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.lab.town import Town

# A provisioned machine with a session open: its disk (some 800) and what runs on it.
MEBIBYTES = 1100


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock for the block and take its file away after it; who waited for a file that is gone makes it anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists() or path.stat().st_ino != os.fstat(lock.fileno()).st_ino:
                continue
            try:
                yield
            finally:
                path.unlink()
            return


def free_ports(town: Town) -> None:
    """Refuse a port of 127.0.0.1 on which somebody already listens."""
    for guest in town.guests:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", guest.ssh_port))
            except OSError as error:
                hint = "another lab? `telekit lab status`, or other ports in commune.toml"
                raise UsageError(f"port {guest.ssh_port} of 127.0.0.1 is taken", where=guest.name, hint=hint) from error


def enough_memory(needed: int) -> None:
    """Refuse a computer on which machines that take so many MiB would not fit."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:") and int(line.split()[1]) < needed * 1024:
            free = int(line.split()[1]) // 1024
            raise UsageError(f"the lab needs {needed} MiB of memory, {free} are available", hint="--only takes fewer machines")
