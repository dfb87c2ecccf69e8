"""pyinfra's inventory of the town: BENCH_INVENTORY is its commune's folder, whose ledger is complete."""

import os
from pathlib import Path

from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.secrets import identities_for
from toolkit.targets import Job, ssh_of

_folder = Path(os.environ["BENCH_INVENTORY"])
_commune = load(_folder).commune
_enrolment = Enrolment(Job(_folder, _commune, _commune.machines, identities_for(_folder, None)))
_data = _enrolment.data()

town = [
    (
        machine.name,
        {
            "ssh_hostname": ssh_of(machine).host,
            "ssh_port": ssh_of(machine).port,
            "ssh_user": _enrolment.job.commune.admin_user,
            "ssh_key": str(_enrolment.job.identities[0]),
            "ssh_known_hosts_file": str(_folder / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
            "_sudo": True,
            **_data[machine.name],
        },
    )
    for machine in _enrolment.job.machines
]
