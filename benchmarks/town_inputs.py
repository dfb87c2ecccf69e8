"""What the playbook for the town takes in: the packages, files, accounts and folders that the recipes name, machine by machine.

    python -m benchmarks.town_inputs INVENTORY FOLDER

asks telekit's recipes, on provisioned machines, and writes FOLDER/town.json (an Ansible inventory) and FOLDER/rendered/MACHINE/…
"""

from __future__ import annotations

from toolkit.engine import Session  # isort: skip # first: gevent patches sockets before anybody takes hold of one

import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.context import host
from pyinfra.operations import files

from benchmarks.ansible_inputs import connection, write_inventory
from deploys.packages import PackageState
from deploys.service import UnitState
from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.model import Agent, Commune, Role, Secret
from toolkit.roles import ROLES
from toolkit.secrets import identities_for
from toolkit.targets import Job, targets_of

# Which of the playbook's tasks writes a file: the first pattern that its path has in it.
GROUPS = {
    "administrator": "authorized_keys",
    "sudo": "/etc/telekit/sudoers",
    "firewall": "/etc/telekit/nftables.conf",
    "sshd": "/etc/ssh/",
    "chrony": "chrony",
    "journald": "journald",
    "kernel": r"/etc/sysctl\.d/|systemd-sysctl",
    "wireguard": "/etc/wireguard/",
    "tunnels": "/etc/telekit/tunnels",
    "record": "tunnel-record",
    "unbound": "unbound",
    "certificate": "/etc/xrdp/telekit.pem",
    "sesman": "sesman.ini",
    "xrdp": "/etc/xrdp/",
    "authority": "ca-certificates",
    "freshclam": "freshclam",
    "scan": r"telekit-scan|telekit-quarantine|telekit-removable|mount\.d",
    "clamav": "clam|removable.conf",
    "dconf": "dconf|screensaver",
    "portal": "portal|portail|polkit-1/rules.d/50-telekit.rules",
    "resolved": "resolved",
    "endpoint": "endpoint|network-servers|find-gateway|NetworkManager",
}


@dataclass
class Named:
    """What a machine's recipe named."""

    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)


def listen(named: dict[str, Named]) -> None:
    """Have everything that recipes put, remove, install or run noted down."""

    def noting(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            note(*args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    def put(*, src: Any, dest: str, mode: str = "644", **_: Any) -> None:
        named[host.name].texts[dest] = (src.getvalue(), f"{int(mode):04d}")

    def file(*, path: str, present: bool = True, **_: Any) -> None:
        if not present:
            named[host.name].absent.append(path)

    for operation, note in ((files.put, put), (files.file, file)):
        wrapped = noting(operation, note)
        wrapped._inner = noting(operation._inner, note)  # type: ignore[attr-defined]
        setattr(files, operation.__name__, wrapped)
    packages_of, unit_of = PackageState.command, UnitState.command

    # With the functions' own parameters: pyinfra reads them.
    def state_of_packages(self: PackageState, packages: Sequence[str]) -> str:
        named[host.name].packages.extend(packages)
        return packages_of(self, packages)

    def state_of_unit(self: UnitState, unit: str, files: Sequence[str]) -> str:
        named[host.name].units.append(unit)
        return unit_of(self, unit, files)

    PackageState.command = state_of_packages  # type: ignore[method-assign]
    UnitState.command = state_of_unit  # type: ignore[method-assign]


def group_of(path: str) -> str:
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, path)), "others")


def _folders(session: Session, target: Any, texts: dict[str, Any]) -> list[dict[str, str]]:
    """The folders of these files that belong to no package, with the modes and owners that they have."""
    parents = sorted({str(folder) for path in texts for folder in list(Path(path).parents)[:-1]})
    words = " ".join(map(shlex.quote, parents))
    script = f"for d in {words}; do dpkg -S $d > /dev/null 2>&1 || stat -c '%n %U %G %a' $d; done"
    lines = [line.split() for line in session.run(target, script, reads_only=True).stdout.splitlines()]
    return [
        {"path": path, "owner": owner, "group": group, "mode": f"0{mode}"}
        for path, owner, group, mode in lines
        if not path.startswith(("/home/telekit/.ssh", "/var/lib/telekit/quarantine")) or path == "/home/telekit/.ssh"
    ]


def _agent(agent: Agent, password: Secret | None) -> dict[str, Any]:
    known = {"identifier": agent.identifier, "full_name": agent.full_name}
    if password is None:
        return known
    command = ["openssl", "passwd", "-6", "-salt", "benchmark", "-stdin"]
    hashed = subprocess.run(command, input=password.reveal(), capture_output=True, text=True, check=True).stdout.strip()
    return {**known, "password": hashed}


def _agents(name: str, commune: Commune, data: dict[str, Any]) -> list[dict[str, Any]]:
    if name in commune.desktop_named:
        passwords = data["passwords"]
        return [_agent(a, passwords.get(a.identifier)) for a in commune.agents_of(commune.desktop_named[name])]
    return [_agent(commune.agent_of[name], None)] if name in commune.agent_of else []


def main(inventory: Path, out: Path) -> None:
    commune = load(inventory).commune
    enrolment = Enrolment(Job(inventory, commune, commune.machines, identities_for(inventory, None)))
    data = enrolment.data()
    commune = enrolment.job.commune
    targets = targets_of(enrolment.job, data)
    named: defaultdict[str, Named] = defaultdict(Named)
    listen(named)
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    with Session(targets, enrolment.job.options(), lambda _: None) as session:
        session.connect()
        plans = session.plan(lambda target: (ROLES[Role(target.role)].deploy(),))
        for target in targets:
            if error := plans[target.name].error:
                sys.exit(f"{target.name}: {error}")
            found = named[target.name]
            rendered = out / "rendered" / target.name
            for path, (text, _) in found.texts.items():
                file = rendered / path.lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            listed: dict[str, list[dict[str, str]]] = {group: [] for group in (*GROUPS, "others")}
            for path, (_, mode) in found.texts.items():
                listed[group_of(path)].append({"path": path, "mode": mode})
            has_dconf = session.run(target, "command -v dconf", reads_only=True).code == 0
            base, role = _packages(found.packages)
            groups[target.role][target.name] = groups["town"][target.name] = {
                "ansible_port": target.ssh.port, "rendered": str(rendered), "files": listed, "absent": found.absent,
                "packages": base, "role_packages": role, "has_dconf": has_dconf,
                "folders": _folders(session, target, found.texts),
                "agents": _agents(target.name, commune, data[target.name]),
                "endpoint_units": sorted(u for u in set(found.units) if u.startswith(("telekit-endpoint", "telekit-network"))),
            }  # fmt: skip
    policy = commune.policy
    shared = {
        **connection(inventory, commune.admin_user),
        "timezone": policy.timezone,
        "locale": policy.locale,
        "signatures": "/var/lib/clamav/lab.hdb",
    }
    file = out / "town.json"
    file.touch(mode=0o600)
    write_inventory(file, groups, shared)


def _packages(named: list[str]) -> tuple[list[str], list[str]]:
    """What every machine needs, and what its role needs."""
    from deploys.baseline import PACKAGES

    unique = list(dict.fromkeys(named))
    return [p for p in unique if p in PACKAGES], [p for p in unique if p not in PACKAGES]


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
