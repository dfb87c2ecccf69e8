"""Towns for the tests that need real machines: one for each Debian, each with its own name and ports.

`provisioned` is the whole town after its first `telekit provision`; while the tests of one Debian run, the next one's town is
made. `outpost` is a smaller one that telekit has not touched.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

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
    with closing(reserved(name)):
        lab.down()
        copy_inventory(SOURCE, folder / "lab", port)
        town = Town(create(name, folder / "lab"), release, folder)
        try:
            town.lab.up(release, only=only, bare=bare)
            yield town
        finally:
            lab.down()


def reserved(name: str) -> TextIO:
    """The town's name for these tests alone, until the file is closed: another run would take the town down under them."""
    lock = (Path(tempfile.gettempdir()) / f"telekit-tests-{name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        pytest.fail(f"another run of the tests has the town {name}", pytrace=False)
    return lock


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "release" in metafunc.fixturenames:
        releases = metafunc.config.getoption("--lab-release") or RELEASES
        # A module that takes long names the one Debian on which it is tried.
        of_module = getattr(metafunc.module, "RELEASES", RELEASES)
        metafunc.parametrize("release", [r for r in of_module if r in releases], scope="session", indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, rather than skip, what is tried on none of the Debians asked for."""
    out = [item for item in items if not isinstance(_release_of(item), str | None)]
    items[:] = [item for item in items if item not in out]
    if out:
        config.hook.pytest_deselected(items=out)


def _release_of(item: pytest.Item) -> object:
    return item.callspec.params.get("release") if hasattr(item, "callspec") else None


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> str:
    """The Debian on which the test runs."""
    return str(request.param)


@pytest.fixture(scope="session")
def able() -> None:
    """Fail in one sentence, rather than each test in its own way, where the lab cannot run."""
    requirements.require()


class Building:
    """A whole town that another process brings up and provisions, so that tests go on meanwhile."""

    def __init__(self, release: str, folder: Path) -> None:
        name = f"test-{release}"
        self.reservation = reserved(name)
        create(name).down()
        copy_inventory(SOURCE, folder / "lab", PORTS[release])
        self.town = Town(create(name, folder / "lab"), release, folder)
        self.log = folder / "building.log"
        up = [sys.executable, "-m", "toolkit.lab", "up", "--name", name, "--inventory", folder / "lab", "--release", release]
        steps = [shlex.join(map(str, up)), shlex.join(self.town.telekit_command("provision", "--yes"))]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", " && ".join(steps)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def done(self) -> Town:
        """The town, when it stands; the test fails with what was said if it does not."""
        if self.process.wait(timeout=1800) != 0:
            pytest.fail(f"the town of Debian {self.town.release} was not provisioned\n{self.log.read_text()}", pytrace=False)
        return self.town

    def remove(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.town.lab.down()
        self.reservation.close()


@pytest.fixture(scope="session")
def buildings() -> Iterator[dict[str, Building]]:
    """Towns that stand or are being built, by release."""
    found: dict[str, Building] = {}
    yield found
    for building in found.values():
        building.remove()


@pytest.fixture(scope="session")
def provisioned(
    able: None,
    release: str,
    buildings: dict[str, Building],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Town]:
    """The whole town after its first `telekit provision`."""

    def begin(which: str) -> None:
        if which not in buildings:
            buildings[which] = Building(which, tmp_path_factory.mktemp(f"town-{which}"))

    begin(release)
    town = buildings[release].done()
    for following in _provisioned_releases(request.session)[1:]:
        if following != release and _memory_for_another():
            begin(following)
    yield town
    buildings.pop(release).remove()


def _provisioned_releases(session: pytest.Session) -> list[str]:
    """The releases whose whole town some chosen test needs, in the order of the tests."""
    wanted = [item for item in session.items if "provisioned" in getattr(item, "fixturenames", ())]
    return list(dict.fromkeys(str(_release_of(item)) for item in wanted))


def _memory_for_another() -> bool:
    """Whether a second whole town fits beside the first: its machines and their disks are in memory."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return available > 8 * 1024 * 1024


@pytest.fixture(scope="module")
def outpost(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A smaller town for tests of the lab itself: one machine of each role."""
    only = ("gw-mairie", "bureau-finances-03", "portable-041")
    folder = tmp_path_factory.mktemp(f"outpost-{release}")
    with standing(f"outpost-{release}", release, PORTS[release] + 50, folder, only=only) as found:
        yield found


@pytest.fixture(scope="module")
def struck(able: None, release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One machine of each role, for a provision that is killed; its name is its own, since an outpost may stand beside it."""
    only = ("gw-mairie", "bureau-finances-03", "portable-041")
    folder = tmp_path_factory.mktemp(f"struck-{release}")
    with standing(f"struck-{release}", release, PORTS[release] + 70, folder, only=only) as found:
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
    with standing(f"alone-{release}", release, PORTS[release] + 30, folder, only=["gw-mairie"]) as found:
        yield found


def pytest_configure(config: pytest.Config) -> None:
    # Commands of the tests must not pick up a developer's own inventories.
    os.environ.pop("TELEKIT_INVENTORIES", None)
