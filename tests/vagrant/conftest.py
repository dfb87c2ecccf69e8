"""The town of virtual machines: brought up once, kept for all of its tests, and what came of them told in docs/vagrant.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from toolkit.lab import Lab, create, requirements
from toolkit.lab.ports import copy_inventory

HERE = Path(__file__).parents[2]
SOURCE = HERE / "inventories" / "vagrant"
DOCUMENT = HERE / "docs" / "vagrant.md"
NAME, PORT = "test-vagrant", 23500
MARKS = ("<!-- last result: written by `make test-vagrant` -->\n", "<!-- end of last result -->")
VERSIONS = {
    "vagrant": ["vagrant", "--version"],
    "vagrant-libvirt": ["dpkg-query", "-W", "-f", "${Version}", "vagrant-libvirt"],
    "libvirt": ["virsh", "--version"],
    "QEMU": ["qemu-system-x86_64", "--version"],
}


@dataclass
class Town:
    """The lab that is up, its inventory in a temporary folder, and how long each step took."""

    lab: Lab
    inventories: Path
    release: str
    seconds: dict[str, float] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def timed(self, step: str, do: Callable[[], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
        started = time.monotonic()
        try:
            return do()
        finally:
            self.seconds[step] = time.monotonic() - started

    def telekit(self, *arguments: str, check: bool = True, timeout: float = 3600) -> subprocess.CompletedProcess[str]:
        """Run `telekit ARGUMENTS` on this town's inventory as an operator does; `check`: it must end with 0."""
        program = Path(sys.executable).with_name("telekit")
        command = [str(program), *arguments, "--inventories", str(self.inventories), "--commune", "vagrant"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL,
            env=os.environ | {"TELEKIT_DEADLINE": "60"},
        )  # fmt: skip
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done

    def root(self, machine: str, script: str, timeout: float = 60) -> str:
        """What a script says that runs on a machine as root, whatever its firewall says."""
        done = self.lab.machine(machine).run(["sh", "-c", script], timeout=timeout)
        assert done.returncode == 0, f"{script}: {done.stderr}"
        return done.stdout.strip()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vagrant-release", default="trixie", help="on which Debian the virtual machines are tried")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RUN] = {}


RUN: pytest.StashKey[dict[str, object]] = pytest.StashKey()


@pytest.fixture(scope="session")
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    requirements.require("vagrant")
    release = str(request.config.getoption("--vagrant-release"))
    folder = tmp_path_factory.mktemp("vagrant")
    create(NAME).down()
    copy_inventory(SOURCE, folder / "vagrant", PORT)
    town = Town(create(NAME, folder / "vagrant", "vagrant"), folder, release)
    request.config.stash[RUN]["town"] = town
    started = time.monotonic()
    try:
        town.lab.up(release)
        town.seconds["up"] = time.monotonic() - started
        yield town
    finally:
        _keep_logs(tmp_path_factory)
        create(NAME).down()
        request.config.stash[RUN]["all"] = time.monotonic() - started


def _keep_logs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the lab said, for whoever has to find out why a test failed."""
    logs = Path("/run/telekit/lab") / NAME / "log"
    if logs.is_dir():
        shutil.copytree(logs, tmp_path_factory.mktemp("logs"), dirs_exist_ok=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the result into docs/vagrant.md, when everything was tried and held."""
    run = session.config.stash[RUN]
    town = run.get("town")
    if not isinstance(town, Town) or exitstatus != 0 or session.config.getoption("keyword"):
        return
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCUMENT.write_text(before + MARKS[0] + _result(town, run) + MARKS[1] + after, encoding="utf-8")


def _result(town: Town, run: dict[str, object]) -> str:
    versions = ", ".join(f"{name} {_version(command)}" for name, command in VERSIONS.items())
    rows = [
        ("when", date.today().isoformat()),
        ("machines", f"Debian {town.release}, kernel {town.told.get('kernel', '?')}, {town.told.get('acceleration', '?')}"),
        ("with", versions),
        *((step, f"{seconds:.0f} s") for step, seconds in town.seconds.items()),
        ("in all", f"{float(str(run['all'])) / 60:.0f} min"),
        *((word, text) for word, text in town.told.items() if word not in ("kernel", "acceleration")),
    ]
    return "\n| | |\n|---|---|\n" + "".join(f"| {word} | {text} |\n" for word, text in rows) + "\n"


def _version(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    found = re.search(r"\d+\.\d+(\.\d+)?[\w.+~-]*", said)
    return found[0] if found else "?"
