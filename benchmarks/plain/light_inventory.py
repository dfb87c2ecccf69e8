"""pyinfra's inventory of light targets: BENCH_FOLDER has their keys, BENCH_COUNT is their number."""

import os
from pathlib import Path

from benchmarks.commune import changed, commune_of
from benchmarks.light import FIRST_PORT, USER

_folder = Path(os.environ["BENCH_FOLDER"])
_commune = commune_of(tuple(range(FIRST_PORT, FIRST_PORT + int(os.environ["BENCH_COUNT"]))))
if os.environ.get("BENCH_CHANGED"):
    _commune = changed(_commune)

light = [
    (
        laptop.name,
        {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": laptop.ssh.port,
            "ssh_user": USER,
            "ssh_key": str(_folder / "operator_ed25519"),
            "ssh_known_hosts_file": str(_folder / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
            "_sudo": True,
            "machine": laptop,
            "commune": _commune,
        },
    )
    for laptop in _commune.laptops
]
