"""What a simple check takes: over the engine's open connection, and over the connections that testinfra makes by itself.

python -m benchmarks.checks INVENTORY
"""

from __future__ import annotations

from toolkit.engine import Session  # isort: skip # first: gevent patches sockets before anybody takes hold of one

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import testinfra

from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.secrets import identities_for
from toolkit.targets import Job, targets_of

ROUNDS = 10
CHECKS: tuple[Callable[[Any], bool], ...] = (
    lambda host: host.file("/etc/passwd").exists,
    lambda host: host.file("/etc/ssh/sshd_config.d/00-telekit.conf").contains("PasswordAuthentication no"),
    lambda host: host.package("openssh-server").is_installed,
    lambda host: host.service("ssh").is_running,
    lambda host: host.user("telekit").exists,
)


def timed(host: Any, rounds: int) -> list[float]:
    """Seconds of each check."""
    found = []
    for _ in range(rounds):
        for check in CHECKS:
            began = time.perf_counter()
            if not check(host):
                raise RuntimeError("a check that should pass fails")
            found.append(time.perf_counter() - began)
    return found


def main(inventory: Path) -> None:
    commune = load(inventory).commune
    enrolment = Enrolment(Job(inventory, commune, commune.machines, identities_for(inventory, None)))
    targets = targets_of(enrolment.job, enrolment.data())
    key = enrolment.job.identities[0]
    with Session(targets, enrolment.job.options(), lambda _: None) as session:
        session.connect()
        target = targets[0]
        times = {"telekit": timed(session.host(target), ROUNDS)}
    place = f"{target.user}@{target.ssh.host}:{target.ssh.port}"
    ssh = f"-F none -o UserKnownHostsFile={inventory}/known_hosts"
    for backend, options in (("paramiko", {}), ("ssh", {"ssh_extra_args": ssh, "controlpersist": 0})):
        host = testinfra.get_host(f"{backend}://{place}", ssh_identity_file=str(key), sudo=True, **options)
        times[f"testinfra, {backend}"] = timed(host, 2)
    print(
        json.dumps({name: {"runs": [round(s, 5) for s in seconds], "median": median(seconds)} for name, seconds in times.items()})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
