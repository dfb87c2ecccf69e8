"""The operator's key of the lab and the machines' host keys, written beside the lab's inventory."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

OPERATOR = "operator_ed25519"


def ensure_operator(inventory: Path) -> str:
    """The public line of the lab operator's key; made, with operators.keys, the first time."""
    key = inventory / OPERATOR
    public = inventory / f"{OPERATOR}.pub"
    if not (key.is_file() and public.is_file()):
        key.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operateur-lab", "-f", str(key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    line = public.read_text(encoding="ascii")
    operators = inventory / "operators.keys"
    if not operators.is_file() or line not in operators.read_text(encoding="utf-8"):
        operators.write_text(line, encoding="utf-8")
    return line


def write_known_hosts(inventory: Path, machines: list[dict[str, Any]]) -> None:
    """Write the host keys of the lab's machines, as `telekit trust` pins them."""
    lines = [f"[127.0.0.1]:{machine['ssh_port']} {key}" for machine in machines for key in machine["host_keys"]]
    file = inventory / "known_hosts"
    temporary = file.with_suffix(".new")
    temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
    temporary.replace(file)


def ssh_command(inventory: Path, user: str, port: int) -> list[str]:
    """ssh to a lab machine with the operator's key and the lab's own known hosts only."""
    options = {
        "IdentityFile": inventory / OPERATOR,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": inventory / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "LogLevel": "ERROR",
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    return ["ssh", "-F", "none", *flags, "-p", str(port), f"{user}@127.0.0.1"]
