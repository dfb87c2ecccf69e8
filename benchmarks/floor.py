"""The physical floor: what it takes to log in, say everything in one go and hear the answer, whoever does it.

It is OpenSSH itself, one process a machine, side by side, that sends the very scripts which the engine sent, all in one
command, and one round trip more: SSH handshake + 3 round trips + the machines' own work.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Opening the channel is one, the command with its answer another: a third one is added.
ROUND_TRIPS_BESIDE = 1
END = "END-OF-ONE-SCRIPT"


@dataclass(frozen=True)
class Way:
    """How to reach a machine, and what to say to it."""

    user: str
    port: int
    script: bytes


def capture(folder: Path) -> dict[int, bytes]:
    """Port → everything that the engine sent there, from the files that it left with BENCH_CAPTURE; one shell for each."""
    found: dict[int, bytes] = {}
    for file in sorted(folder.iterdir()):
        port = int(file.name.split("-")[0])
        body = b"sh -s <<'%s'\n%s\n%s\n" % (END.encode(), file.read_bytes(), END.encode())
        found[port] = found.get(port, b"") + body
    return found


def measure(ways: Mapping[str, Way], known_hosts: Path, identity: Path, round_trip: float) -> float:
    """Seconds until the last machine has answered."""
    options = {
        "UserKnownHostsFile": known_hosts, "StrictHostKeyChecking": "yes", "IdentityFile": identity, "IdentitiesOnly": "yes",
        "BatchMode": "yes", "ControlPath": "none",
    }  # fmt: skip
    began = time.monotonic()
    processes = []
    for way in ways.values():
        command = ["ssh", "-F", "none", *(f"-o{key}={value}" for key, value in options.items()), "-p", str(way.port)]
        command += [f"{way.user}@127.0.0.1", "sudo -H -n sh -s"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stdin
        assert process.stderr
        processes.append(process)
    for process, way in zip(processes, ways.values(), strict=True):
        # A script is larger than a pipe holds, but ssh reads it on while the others' are written.
        with process.stdin:
            process.stdin.write(way.script)
    for process in processes:
        if process.wait():
            raise RuntimeError(f"ssh failed: {process.stderr.read().decode(errors='replace')}")
    return time.monotonic() - began + ROUND_TRIPS_BESIDE * round_trip
