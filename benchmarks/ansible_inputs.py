"""What the playbooks take in: an inventory, and for each machine the files that telekit would write, as telekit renders them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.commune import commune_of
from benchmarks.light import FIRST_PORT, USER
from benchmarks.recipe import FOLDERS, texts
from deploys.template import render


def write_inventory(file: Path, groups: Mapping[str, Mapping[str, Mapping[str, Any]]], shared: Mapping[str, Any]) -> Path:
    """An inventory in YAML's JSON subset; groups: name → machine → variables."""
    hosts = {group: {"hosts": dict(machines)} for group, machines in groups.items()}
    file.write_text(json.dumps({"all": {"children": hosts, "vars": dict(shared)}}, indent=1), encoding="utf-8")
    return file


def connection(folder: Path, user: str) -> dict[str, Any]:
    """How ssh reaches the machines: strict host keys, the one private key, control sockets of this run's own."""
    options = f"-F none -o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    persist = f"-o ControlMaster=auto -o ControlPersist=60s -o BatchMode=yes {options}"
    return {
        "ansible_host": "127.0.0.1", "ansible_user": user, "ansible_ssh_private_key_file": str(folder / "operator_ed25519"),
        "ansible_ssh_common_args": persist, "ansible_ssh_args": "",
    }  # fmt: skip


def light_inputs(folder: Path, count: int, contact: str) -> Path:
    """The inventory of light targets, and their files in `folder`/rendered."""
    commune = commune_of(tuple(range(FIRST_PORT, FIRST_PORT + count)), contact)
    name = f"ansible-{count}-{contact[-3:]}"
    rendered = folder / name
    hosts: dict[str, dict[str, Any]] = {}
    listed: list[dict[str, str]] = []
    for laptop in commune.laptops:
        found = texts(laptop, commune)
        found_all = {**found, "/etc/telekit/sudoers": render("sudo/telekit.j2", user=commune.admin_user)}
        for path, text in found_all.items():
            file = rendered / laptop.name / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        listed = [{"path": path, "mode": "0644"} for path in found]
        agent = commune.agent_of[laptop.name]
        assert laptop.ssh is not None
        hosts[laptop.name] = {
            "ansible_port": laptop.ssh.port, "rendered": str(rendered / laptop.name),
            "agents": [{"identifier": agent.identifier, "full_name": agent.full_name}],
        }  # fmt: skip
    folders = [{"path": path, "mode": "0700" if "var" in path else "0755"} for path in FOLDERS]
    shared = {**connection(folder, USER), "texts": listed, "folders": folders}
    return write_inventory(folder / f"{name}.json", {"light": hosts}, shared)
