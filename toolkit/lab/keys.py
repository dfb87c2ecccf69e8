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
    """Write the host keys of the lab's machines, as `telekit trust` pins them; a bare machine's only if they were there."""
    file = inventory / "known_hosts"
    pinned = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    lines = []
    for machine in machines:
        of_machine = [f"[127.0.0.1]:{machine['ssh_port']} {key}" for key in machine["host_keys"]]
        lines += [line for line in of_machine if machine["password"] is None or line in pinned]
    temporary = file.with_suffix(".new")
    temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
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
