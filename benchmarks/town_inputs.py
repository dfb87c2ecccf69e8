"""What the playbook for the town takes in: the packages, files, secrets, accounts and folders that the recipes name, by machine.

    python -m benchmarks.town_inputs INVENTORY FOLDER

asks telekit's recipes, on provisioned machines, and writes FOLDER/town.json (an Ansible inventory) and FOLDER/rendered/MACHINE/…,
for nobody's eyes but the owner's: there are secrets among them.
"""

from __future__ import annotations

from toolkit.engine import Session  # isort: skip # first: gevent patches sockets before anybody takes hold of one

import os
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ansible_inputs import connection, write_inventory
from benchmarks.named import GROUPS, Named, group_of, listen
from deploys import access, resolver, second_factor
from deploys.administrator import HEADER, key_body
from deploys.baseline import PACKAGES
from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.model import Agent, Commune, Role, Secret
from toolkit.roles import ROLES
from toolkit.secrets import identities_for
from toolkit.targets import Job, targets_of

# Until it is told the network's servers no name is found: the laptop's play installs it last, as the recipe does.
LAST_PACKAGE = "systemd-resolved"
# What the tunnel's files are read by.
TUNNEL_UNITS = ("telekit-endpoint", "telekit-network", "telekit-switch-key", "telekit-switch-gateway")


class Inputs:
    """One machine's variables. data: what its recipe received; named: what it named."""

    def __init__(self, session: Session, target: Any, commune: Commune, named: Named, out: Path) -> None:
        self.session, self.target, self.commune, self.named = session, target, commune, named
        self.rendered = out / "rendered" / target.name
        self.data: Mapping[str, Any] = target.data

    def variables(self) -> dict[str, Any]:
        self._authorized_keys()
        for agent, factor in (self.data.get("second_factors") or {}).items():
            self.named.secrets[f"{second_factor.FOLDER}/{agent}"] = (second_factor.state(factor), "0400")
        files: dict[str, list[dict[str, str]]] = {group: [] for group in (*GROUPS, "others")}
        for path, (text, mode, owner, group) in self.named.texts.items():
            self._render(path, text)
            belonging = {key: value for key, value in (("owner", owner), ("group", group)) if value}
            files[group_of(path)].append({"path": path, "mode": mode} | belonging)
        for path, (secret, _) in self.named.secrets.items():
            self._render(path, secret.reveal())
        secrets = [{"path": path, "mode": mode} for path, (_, mode) in self.named.secrets.items()]
        factors = [s | {"name": Path(s["path"]).name} for s in secrets if s["path"].startswith(second_factor.FOLDER)]
        return {
            "ansible_port": self.target.ssh.port, "rendered": str(self.rendered), "files": files,
            "secrets": [s for s in secrets if not s["path"].startswith(second_factor.FOLDER)], "factors": factors,
            "absent": self.named.absent, "folders": self._folders(), **self._packages(),
            "agents": self._agents(), "has_dconf": self._answers("command -v dconf"),
            "endpoint_units": sorted(u for u in set(self.named.units) if u.startswith(TUNNEL_UNITS)),
        }  # fmt: skip

    def _answers(self, script: str) -> bool:
        return bool(self.session.run(self.target, script, reads_only=True).code == 0)

    def _render(self, path: str, text: str) -> None:
        file = self.rendered / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def _authorized_keys(self) -> None:
        """The recipe names them only where they are not there yet."""
        keys = [o.public_key for o in self.commune.operators if key_body(o.public_key)]
        if keys:
            user, text = self.commune.admin_user, "\n".join([HEADER, *keys, ""])
            self.named.texts[f"/home/{user}/.ssh/authorized_keys"] = (text, "0600", user, "")

    def _folders(self) -> list[dict[str, str]]:
        """The folders that belong to no package, with the modes and owners that they have."""
        named = self.named
        parents = {str(f) for p in (*named.texts, *named.secrets, *named.folders) for f in list(Path(p).parents)[:-1]}
        words = " ".join(map(shlex.quote, sorted(parents | set(named.folders))))
        script = f"for d in {words}; do dpkg -S $d > /dev/null 2>&1 || stat -c '%n %U %G %a' $d; done"
        lines = [line.split() for line in self.session.run(self.target, script, reads_only=True).stdout.splitlines()]
        return [{"path": path, "owner": owner, "group": group, "mode": f"0{mode}"} for path, owner, group, mode in lines]

    def _packages(self) -> dict[str, list[str]]:
        """What every machine needs, and what its role needs."""
        unique = list(dict.fromkeys(self.named.packages))
        role = [p for p in unique if p not in PACKAGES and p != LAST_PACKAGE]
        return {"packages": [p for p in unique if p in PACKAGES], "role_packages": role}

    def _agents(self) -> list[dict[str, Any]]:
        commune, name = self.commune, self.target.name
        passwords: Mapping[str, Secret] = self.data.get("passwords") or {}
        agents: Sequence[Agent] = (commune.agent_of[name],) if name in commune.agent_of else ()
        if name in commune.desktop_named:
            agents = commune.agents_of(commune.desktop_named[name])
        return [_agent(agent, passwords.get(agent.identifier)) for agent in agents]


def _agent(agent: Agent, password: Secret | None) -> dict[str, Any]:
    known = {"identifier": agent.identifier, "full_name": agent.full_name}
    if password is None:
        return known
    command = ["openssl", "passwd", "-6", "-salt", "benchmark", "-stdin"]
    hashed = subprocess.run(command, input=password.reveal(), capture_output=True, text=True, check=True).stdout.strip()
    return {**known, "password": hashed}


def _shared(inventory: Path, commune: Commune) -> dict[str, Any]:
    own = resolver.resolvers(commune)
    return {
        **connection(inventory, commune.admin_user),
        "timezone": commune.policy.timezone, "locale": commune.policy.locale,
        "signatures": "/var/lib/clamav/lab.hdb", "last_package": LAST_PACKAGE, "factors_folder": second_factor.FOLDER,
        "gateway_key": commune.gateway.public_key, "further": f"{access.PROGRAM} elements",
        "servers_are_lost": resolver.ServersAreLost().command(own), "hand_over": resolver.HAND_OVER,
    }  # fmt: skip


def main(inventory: Path, out: Path) -> None:
    commune = load(inventory).commune
    enrolment = Enrolment(Job(inventory, commune, commune.machines, identities_for(inventory, None)))
    targets = targets_of(enrolment.job, enrolment.data())
    commune = enrolment.job.commune
    deploys = {role: ROLES[Role(role)].deploy() for role in {target.role for target in targets}}
    named: defaultdict[str, Named] = defaultdict(Named)
    listen(named)
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    with Session(targets, enrolment.job.options(), lambda _: None) as session:
        session.connect()
        plans = session.plan(lambda target: (deploys[target.role],))
        for target in targets:
            if error := plans[target.name].error:
                sys.exit(f"{target.name}: {error}")
            variables = Inputs(session, target, commune, named[target.name], out).variables()
            groups[target.role][target.name] = groups["town"][target.name] = variables
    file = out / "town.json"
    file.touch(mode=0o600)
    write_inventory(file, groups, _shared(inventory, commune))


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
