"""telekit's own recipes by pyinfra as it is, as a program: python plain_recipes.py INVENTORY MACHINE enrol|plan|apply

prints what would change, or what changed and what failed, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def plainly(inventory: Path, name: str, what: str) -> dict[str, Any]:
    """One machine's recipe, operation by operation, over pyinfra's own SSH."""
    from pyinfra.api import Config, Inventory, State
    from pyinfra.api.connect import connect_all, disconnect_all
    from pyinfra.api.deploy import add_deploy
    from pyinfra.api.exceptions import PyinfraError
    from pyinfra.api.operations import run_ops
    from pyinfra.api.state import StateStage

    from toolkit.enrolment import Enrolment
    from toolkit.inventory import load
    from toolkit.roles import ROLES
    from toolkit.secrets import identities_for
    from toolkit.targets import Job, ssh_of

    commune = load(inventory).commune
    enrolment = Enrolment(Job(inventory, commune, commune.machines, identities_for(inventory, None)))
    machine = next(machine for machine in enrolment.job.machines if machine.name == name)
    ssh, recipe = ssh_of(machine), ROLES[machine.role]
    assert ssh is not None
    data = {
        "ssh_hostname": ssh.host, "ssh_port": ssh.port, "ssh_user": commune.admin_user,
        "ssh_key": str(enrolment.job.identities[0]), "ssh_known_hosts_file": str(inventory / "known_hosts"),
        "ssh_strict_host_key_checking": "yes", **enrolment.data()[name],
    }  # fmt: skip
    hosts = Inventory(([name], data))
    state = State(hosts, Config(SUDO=True))
    state.set_stage(StateStage.Connect)
    connect_all(state)
    state.set_stage(StateStage.Prepare)
    for deploy in {"enrol": [recipe.enrolment()], "apply": [recipe.deploy()]}.get(what, [recipe.enrolment(), recipe.deploy()]):
        add_deploy(state, deploy)
    host = hosts.get_host(name)
    operations = [
        (next(iter(state.op_meta[h].names)).rpartition(" | ")[2], state.ops[host][h].operation_meta) for h in host.op_hash_order
    ]
    found: dict[str, Any] = {"planned": [n for n, meta in operations if meta._maybe_is_change], "failed": None}
    if what != "plan":
        state.set_stage(StateStage.Execute)
        try:
            run_ops(state)
        except PyinfraError:
            found["failed"] = next((n for n, meta in operations if meta.is_complete() and not meta.did_succeed()), "?")
        found["changed"] = [n for n, meta in operations if meta.is_complete() and meta.did_change()]
    disconnect_all(state)
    return found


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    print(json.dumps(plainly(Path(sys.argv[1]), *sys.argv[2:])))
