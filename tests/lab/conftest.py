"""Towns for the tests that need real machines: one for each Debian, each with its own name and ports.

`town` is up and untouched by telekit; `provisioned` is the same town after `telekit provision`. Two
workers (`-n 2 --dist loadgroup`) run the tests of both Debians side by side, one runs them in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolkit.lab import Lab, create, requirements
from toolkit.lab.base import RELEASES
from toolkit.lab.ports import copy_inventory

SOURCE = Path(__file__).parents[2] / "inventories" / "lab"
# Far from the ports of a developer's own lab.
PORTS = {"trixie": 23100, "bookworm": 23200}


@dataclass(frozen=True)
class Town:
    """A lab that is up, and the inventory of its commune in a temporary folder."""

    lab: Lab
    release: str
    inventories: Path

    @property
    def inventory(self) -> Path:
        return self.inventories / "lab"

    def telekit(self, *arguments: str, check: bool = True, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
        """Run `telekit ARGUMENTS` on this town's inventory as an operator does; `check`: it must end with 0."""
        command = [*self.telekit_command(*arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done

    def telekit_command(self, *arguments: str) -> list[str]:
        """The whole command, for a test that starts and kills it itself."""
        program = Path(sys.executable).with_name("telekit")
        return [str(program), *arguments, "--inventories", str(self.inventories), "--commune", "lab"]

    def ssh(self, machine: str, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a script on a machine as the administrator, through SSH and the machine's firewall."""
        command = [*self.lab.ssh_command(machine), script]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL)


@contextmanager
def standing(
    name: str, release: str, port: int, folder: Path, *, only: Sequence[str] = (), bare: Sequence[str] = ()
) -> Iterator[Town]:
    """A town of this name for the duration of the block, whatever an earlier run left of it."""
    lab = create(name)
    lab.down()
    copy_inventory(SOURCE, folder / "lab", port)
    town = Town(create(name, folder / "lab"), release, folder)
    try:
        town.lab.up(release, only=only, bare=bare)
        yield town
    finally:
        lab.down()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "release" in metafunc.fixturenames:
        releases = metafunc.config.getoption("--lab-release") or RELEASES
        # A module that takes long names the one Debian on which it is tried.
        of_module = getattr(metafunc.module, "RELEASES", RELEASES)
        metafunc.parametrize("release", [r for r in of_module if r in releases], scope="session", indirect=True)


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> str:
    """The Debian on which the test runs."""
    return str(request.param)


@pytest.fixture(scope="session")
def able() -> None:
    """Fail in one sentence, rather than each test in its own way, where the lab cannot run."""
    requirements.require()


@pytest.fixture(scope="session")
def town(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The whole town, up; telekit has not touched it unless a test did."""
    with standing(f"test-{release}", release, PORTS[release], tmp_path_factory.mktemp(f"town-{release}")) as found:
        yield found


@pytest.fixture(scope="session")
def provisioned(town: Town) -> Town:
    """The whole town after its first `telekit provision`."""
    town.telekit("provision", "--yes")
    return town


@pytest.fixture(scope="module")
def outpost(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A smaller town for tests of the lab itself: one machine of each role."""
    only = ("gw-mairie", "bureau-finances-03", "portable-041")
    folder = tmp_path_factory.mktemp(f"outpost-{release}")
    with standing(f"outpost-{release}", release, PORTS[release] + 50, folder, only=only) as found:
        yield found


@pytest.fixture(scope="module")
def bare(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A gateway as an installer leaves it, without administrator's account, and nobody has compared its key yet."""
    folder = tmp_path_factory.mktemp(f"bare-{release}")
    with standing(f"bare-{release}", release, PORTS[release] + 90, folder, only=["gw-mairie"], bare=["gw-mairie"]) as found:
        (found.inventory / "known_hosts").unlink()
        yield found


@pytest.fixture(scope="module")
def lone_gateway(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A town of which the gateway alone is up: its test makes laptops by hand."""
    folder = tmp_path_factory.mktemp(f"alone-{release}")
    with standing(f"alone-{release}", release, PORTS[release] + 70, folder, only=["gw-mairie"]) as found:
        yield found


def pytest_configure(config: pytest.Config) -> None:
    # Commands of the tests must not pick up a developer's own inventories.
    os.environ.pop("TELEKIT_INVENTORIES", None)
