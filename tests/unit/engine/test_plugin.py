"""The plain `pyinfra` command over `@batch`: the same recipes and results, with a few commands where it sends hundreds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEPLOY = """
from io import StringIO
from pyinfra.context import host
from pyinfra.operations import files, server

for number in range(10):
    files.put(name=f"Write {number}", src=StringIO(host.data.word), dest=f"{host.data.folder}/{number}", mode="640")
server.shell(name="Count", commands=[f"cat {host.data.folder}/* | wc -c > {host.data.folder}.sum"], _if=lambda: False)
"""


class Command:
    """`pyinfra` as somebody types it."""

    def __init__(self, farm: Any, folder: Path) -> None:
        self.farm, self.folder = farm, folder
        (folder / "deploy.py").write_text(DEPLOY)

    def inventory(self, word: str, connector: str, known_hosts: Path) -> None:
        hosts = []
        for number, port in enumerate(self.farm.ports[:2]):
            data = {
                "ssh_hostname": "127.0.0.1", "ssh_port": port, "ssh_user": "root", "ssh_key": str(self.farm.folder / "operator"),
                "ssh_known_hosts_file": str(known_hosts), "ssh_config_file": "/dev/null",
                "batch_memory": str(self.folder / "memory.json"), "word": word, "folder": str(self.farm.place(number)),
            }  # fmt: skip
            hosts.append((f"@{connector}/m{number}", data))
        (self.folder / "inventory.py").write_text(f"machines = {hosts!r}\n")

    def __call__(self, word: str, connector: str = "batch", known_hosts: Path | None = None) -> tuple[int, str]:
        """How many commands went to the first machine, and what was said."""
        self.inventory(word, connector, known_hosts or self.farm.folder / "known_hosts")
        before = self.farm.executions(0)
        program = Path(sys.executable).with_name("pyinfra")
        done = subprocess.run(
            [program, "-y", "inventory.py", "deploy.py"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        return self.farm.executions(0) - before, done.stdout + done.stderr


@pytest.fixture
def pyinfra(farm: Any, tmp_path: Path) -> Command:
    farm.clean()
    return Command(farm, tmp_path)


def test_a_second_look_over_the_plain_command_costs_one_command(pyinfra: Command, farm: Any) -> None:
    pyinfra("one")
    assert {text for text, _ in farm.contents().values()} == {"one"}
    assert {mode & 0o777 for _, mode in farm.contents().values()} == {0o640}
    pyinfra("one")
    commands, said = pyinfra("one")
    assert "Write 9" in said
    assert commands == 1
    plain, _ = pyinfra("one", connector="ssh")
    assert plain >= 30
    kept = json.loads((pyinfra.folder / "memory.json").read_text())
    assert set(kept["machines"]) == {"@batch/m0", "@batch/m1"}
    pyinfra("two")
    assert {text for text, _ in farm.contents().values()} == {"two"}


def test_a_host_whose_key_is_not_known_is_not_spoken_to(pyinfra: Command, farm: Any, tmp_path: Path) -> None:
    commands, said = pyinfra("one", known_hosts=tmp_path / "none")
    assert "no host key is pinned for" in said
    assert commands == 0
    assert farm.contents() == {}
