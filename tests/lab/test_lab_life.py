"""A lab comes and goes: killed anywhere, beside others, on a computer that lacks something; afterwards nothing of it is left."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from toolkit.errors import UsageError
from toolkit.lab import Lab, create
from toolkit.lab.places import RUNTIME, STATE
from toolkit.lab.ports import copy_inventory
from toolkit.lab.processes import Process

pytestmark = pytest.mark.lab

SOURCE = Path(__file__).parents[2] / "inventories" / "lab"
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "toolkit.lab"]


@dataclass(frozen=True)
class Life:
    """A lab of one machine, to be brought up, killed and taken down."""

    name: str
    release: str
    port: int
    inventory: Path

    @property
    def lab(self) -> Lab:
        return create(self.name, self.inventory)

    def up(self) -> subprocess.Popen[str]:
        """Start `up` as a command, to be killed."""
        command = [*COMMAND, "up", "--name", self.name, "--inventory", str(self.inventory), "--release", self.release]
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, "--only", "gw-mairie"], cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def stand(self, **options: object) -> int:
        """Bring it up; returns the daemon's process identifier."""
        self.lab.up(self.release, only=["gw-mairie"], **options)
        return int(json.loads((RUNTIME / self.name / "daemon.json").read_text())["pid"])


@pytest.fixture
def life(tmp_path, release, able):
    """A lab that is gone in the end, however the test ended."""
    port = {"trixie": 23300, "bookworm": 23400}[release]
    found = Life(f"life-{release}", release, port, copy_inventory(SOURCE, tmp_path / "lab", port))
    found.lab.down()
    yield found
    found.lab.down()


def traces(name: str) -> list[str]:
    """Everything of the lab that this computer still shows: processes, mounts, cgroups, files."""
    group = f"telekit-lab-{name}"
    found = [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if Path(folder).name in (group, f"{group}.scope")]
    found += [str(path) for path in (RUNTIME / name, STATE / f"{name}.lock", Path("/run/netns/switch")) if path.exists()]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/lab/{name}/" in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cgroup = (process / "cgroup").read_text()
        except OSError:
            continue
        if not line:  # dead, and not yet buried by its parent
            continue
        if f"lab/{name}/" in line or f"toolkit.lab.daemon {name} " in line or f"/telekit-lab-{name}" in cgroup:
            found.append(f"{process.name}: {line}")
    return found


def wait_gone(name: str) -> None:
    """A process that was killed takes a moment to be gone."""
    deadline = time.monotonic() + 5
    while traces(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert traces(name) == []


def test_down_leaves_nothing_of_the_lab(life):
    life.stand()
    assert traces(life.name) != []
    life.lab.down()
    wait_gone(life.name)
    assert {f.name for f in life.inventory.iterdir()} <= {
        "commune.toml", "agents.csv", "known_hosts", "operators.keys", "operator_ed25519", "operator_ed25519.pub",
    }  # fmt: skip


def test_down_of_a_lab_that_is_not_up_does_nothing(able):
    create("never").down()
    wait_gone("never")


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.2])
def test_up_that_is_killed_is_finished_by_the_next(life, seconds):
    killed = life.up()
    time.sleep(seconds)
    killed.kill()
    killed.wait()
    life.stand()
    assert subprocess.run([*life.lab.ssh_command("gw-mairie"), "hostname"], capture_output=True).stdout == b"gw-mairie\n"


def test_up_that_is_killed_is_removed_by_down(life):
    killed = life.up()
    time.sleep(0.6)
    killed.kill()
    killed.wait()
    life.lab.down()
    wait_gone(life.name)


def test_a_daemon_that_is_killed_is_replaced_by_up_and_nothing_of_the_old_town_lives_on(life):
    daemon = life.stand()
    old = {trace.partition(": ")[0] for trace in traces(life.name)}
    os.kill(daemon, signal.SIGKILL)
    assert not life.lab.status().up
    life.stand()
    assert life.lab.machine("gw-mairie").run(["hostname"]).stdout == "gw-mairie\n"
    assert [trace for trace in traces(life.name) if trace.partition(": ")[0] in old and trace[0].isdigit()] == []


def test_a_daemon_that_is_killed_is_swept_up_by_down(life):
    os.kill(life.stand(), signal.SIGKILL)
    life.lab.down()
    wait_gone(life.name)


def test_what_a_vantage_point_left_running_ends_with_the_lab(life):
    life.stand()
    left = life.lab.vantage("internet").popen(["sleep", "1000"])
    life.lab.down()
    assert left.wait(timeout=10) != 0
    left.communicate()
    wait_gone(life.name)


def test_a_port_that_is_taken_is_refused_with_the_machine_and_the_port(life):
    with socket.socket() as taken:
        # Connections of the lab before are still being forgotten.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", life.port + 1))
        taken.listen()
        with pytest.raises(UsageError, match=f"gw-mairie: port {life.port + 1} of 127.0.0.1 is taken"):
            life.lab.up(life.release)
    wait_gone(life.name)


def test_a_missing_program_is_refused_with_the_package_that_brings_it(life):
    hidden = [path for path in (shutil.which(p, path="/usr/sbin:/usr/bin:/sbin:/bin") for p in ("dnsmasq", "nft")) if path]
    hide = "; ".join(f"mount --bind /dev/null {os.path.realpath(path)}" for path in hidden)
    command = [*COMMAND, "up", "--name", life.name, "--inventory", str(life.inventory)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{hide}; exec "$@"', "sh", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "2 Debian packages that are not installed: dnsmasq-base, nftables" in done.stderr
    assert "apt-get install dnsmasq-base nftables" in done.stderr


def test_anyone_but_root_is_refused(life):
    command = ["unshare", "--user", "--map-user=1000", *COMMAND, "up", "--name", life.name, "--inventory", str(life.inventory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "it needs root" in done.stderr) == (2, True), done.stderr


def test_two_labs_stand_side_by_side_and_one_goes_without_the_other(life, tmp_path):
    life.stand()
    copy_inventory(SOURCE, tmp_path / "beside", life.port + 20)
    beside = create(f"beside-{life.release}", tmp_path / "beside")
    try:
        beside.up(life.release, only=["gw-mairie"])
        assert beside.machine("gw-mairie").run(["apt-get", "-qq", "update"]).returncode == 0
        beside.down()
        wait_gone(beside.name)
    finally:
        beside.down()
    assert life.lab.machine("gw-mairie").run(["apt-get", "-qq", "update"]).returncode == 0


def test_a_second_machine_joins_a_lab_that_is_up(life):
    life.stand()
    before = life.lab.machine("gw-mairie").run(["cat", "/etc/machine-id"]).stdout
    life.lab.up(life.release, only=["bureau-finances-03"])
    states = {m.name: m.state for m in life.lab.status().machines}
    assert (states["gw-mairie"], states["bureau-finances-03"], states["portable-041"]) == ("running", "running", "off")
    assert life.lab.machine("gw-mairie").run(["cat", "/etc/machine-id"]).stdout == before


def test_a_bare_machine_has_only_root_and_a_password_and_nobody_knows_its_key(life):
    lab = life.lab
    lab.up(life.release, only=["gw-mairie"], bare=["gw-mairie"])
    assert lab.machine("gw-mairie").run(["id", "telekit"]).returncode != 0
    assert (life.inventory / "known_hosts").read_text() == ""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1", life.port + 1, "root", lab.machine("gw-mairie").root_password(), allow_agent=False, look_for_keys=False
        )
        assert client.exec_command("id -u")[1].read() == b"0\n"


def test_a_machine_that_is_not_bare_has_no_root_password_to_tell(life):
    life.stand()
    with pytest.raises(UsageError, match="not bare"):
        life.lab.machine("gw-mairie").root_password()


def test_a_place_that_does_not_exist_is_refused_with_those_that_do(life):
    life.stand()
    with pytest.raises(UsageError, match=r"no machine `nowhere` \(.*gw-mairie"):
        life.lab.vantage("nowhere")


def test_the_package_cache_ends_with_the_last_lab(life):
    life.stand()
    answer = life.lab.machine("gw-mairie").run(["apt-get", "-qq", "download", "hello"], timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert Process.load(STATE / "apt" / "process.json")
    life.lab.down()
    deadline = time.monotonic() + 5
    while Process.load(STATE / "apt" / "process.json") and not used_elsewhere():
        assert time.monotonic() < deadline, "nobody uses it, and it runs"
        time.sleep(0.05)


def used_elsewhere() -> bool:
    """Whether a lab of somebody else's, on this computer, uses the package cache now."""
    with (STATE / "apt" / "users").open() as users:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
