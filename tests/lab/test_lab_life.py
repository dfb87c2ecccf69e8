"""A lab comes and goes: killed anywhere, beside others, on a computer that lacks something; afterwards nothing of it is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import paramiko
import pytest

from toolkit.errors import UsageError
from toolkit.lab import create
from toolkit.lab.places import RUNTIME, STATE
from toolkit.lab.ports import copy_inventory

pytestmark = pytest.mark.lab

SOURCE = Path(__file__).parents[2] / "inventories" / "lab"
ROOT = Path(__file__).parents[2]
NAME = "life"
PORT = 23300
COMMAND = [sys.executable, "-m", "toolkit.lab"]


@pytest.fixture
def inventory(tmp_path, release, able):
    """An inventory whose lab is gone, however the test ended."""
    create(NAME).down()
    yield copy_inventory(SOURCE, tmp_path / "lab", PORT)
    create(NAME).down()


def up(inventory: Path, release: str, *more: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "up", "--name", NAME, "--inventory", str(inventory), "--release", release, "--only", "gw-mairie", *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stand(inventory: Path, release: str) -> int:
    """Bring it up; returns the daemon's process identifier."""
    create(NAME, inventory).up(release, only=["gw-mairie"])
    return json.loads((RUNTIME / NAME / "daemon.json").read_text())["pid"]


def traces(name: str) -> list[str]:
    """Everything of the lab that this computer still shows: processes, mounts, cgroups, files."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/telekit-lab-{name}*")]
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


def test_down_leaves_nothing_of_the_lab(inventory, release):
    stand(inventory, release)
    assert traces(NAME) != []
    create(NAME).down()
    wait_gone(NAME)
    assert {f.name for f in inventory.iterdir()} <= {
        "commune.toml", "agents.csv", "known_hosts", "operators.keys", "operator_ed25519", "operator_ed25519.pub",
    }  # fmt: skip


def test_down_of_a_lab_that_is_not_up_does_nothing(able):
    create("never").down()
    wait_gone("never")


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.2])
def test_up_that_is_killed_is_finished_by_the_next(inventory, release, seconds):
    killed = up(inventory, release)
    time.sleep(seconds)
    killed.kill()
    killed.wait()
    create(NAME, inventory).up(release, only=["gw-mairie"])
    assert subprocess.run([*create(NAME).ssh_command("gw-mairie"), "hostname"], capture_output=True).stdout == b"gw-mairie\n"


def test_up_that_is_killed_is_removed_by_down(inventory, release):
    killed = up(inventory, release)
    time.sleep(0.6)
    killed.kill()
    killed.wait()
    create(NAME).down()
    wait_gone(NAME)


def test_a_daemon_that_is_killed_is_replaced_by_up_and_nothing_of_the_old_town_lives_on(inventory, release):
    daemon = stand(inventory, release)
    old = {trace.partition(": ")[0] for trace in traces(NAME)}
    os.kill(daemon, signal.SIGKILL)
    assert not create(NAME).status().up
    stand(inventory, release)
    assert create(NAME).machine("gw-mairie").run(["hostname"]).stdout == "gw-mairie\n"
    assert [trace for trace in traces(NAME) if trace.partition(": ")[0] in old and trace[0].isdigit()] == []


def test_a_daemon_that_is_killed_is_swept_up_by_down(inventory, release):
    os.kill(stand(inventory, release), signal.SIGKILL)
    create(NAME).down()
    wait_gone(NAME)


def test_what_a_vantage_point_left_running_ends_with_the_lab(inventory, release):
    stand(inventory, release)
    left = create(NAME).vantage("internet").popen(["sleep", "1000"])
    create(NAME).down()
    assert left.wait(timeout=10) != 0
    left.communicate()
    wait_gone(NAME)


def test_a_port_that_is_taken_is_refused_with_the_machine_and_the_port(inventory, release):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", PORT + 1))
        taken.listen()
        with pytest.raises(UsageError, match=f"gw-mairie: port {PORT + 1} of 127.0.0.1 is taken"):
            create(NAME, inventory).up(release)
    wait_gone(NAME)


def test_a_missing_program_is_refused_with_the_package_that_brings_it(inventory, release):
    hidden = [path for path in (shutil.which(p, path="/usr/sbin:/usr/bin:/sbin:/bin") for p in ("dnsmasq", "nft")) if path]
    hide = "; ".join(f"mount --bind /dev/null {os.path.realpath(path)}" for path in hidden)
    command = [*COMMAND, "up", "--name", NAME, "--inventory", str(inventory)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{hide}; exec "$@"', "sh", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "2 Debian packages that are not installed: dnsmasq-base, nftables" in done.stderr
    assert "apt-get install dnsmasq-base nftables" in done.stderr


def test_anyone_but_root_is_refused(inventory, release):
    command = ["unshare", "--user", "--map-user=1000", *COMMAND, "up", "--name", NAME, "--inventory", str(inventory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "it needs root" in done.stderr) == (2, True), done.stderr


def test_two_labs_stand_side_by_side_and_one_goes_without_the_other(inventory, release, tmp_path):
    stand(inventory, release)
    copy_inventory(SOURCE, tmp_path / "beside", PORT + 20)
    beside = create("beside", tmp_path / "beside")
    try:
        beside.up(release, only=["gw-mairie"])
        assert beside.machine("gw-mairie").run(["apt-get", "-qq", "update"]).returncode == 0
        beside.down()
        wait_gone("beside")
    finally:
        beside.down()
    assert create(NAME).machine("gw-mairie").run(["apt-get", "-qq", "update"]).returncode == 0


def test_a_second_machine_joins_a_lab_that_is_up(inventory, release):
    stand(inventory, release)
    before = create(NAME).machine("gw-mairie").run(["cat", "/etc/machine-id"]).stdout
    create(NAME, inventory).up(release, only=["bureau-finances-03"])
    states = {m.name: m.state for m in create(NAME).status().machines}
    assert (states["gw-mairie"], states["bureau-finances-03"], states["portable-041"]) == ("running", "running", "off")
    assert create(NAME).machine("gw-mairie").run(["cat", "/etc/machine-id"]).stdout == before


def test_a_bare_machine_has_only_root_and_a_password_and_nobody_knows_its_key(inventory, release):
    lab = create(NAME, inventory)
    lab.up(release, only=["gw-mairie"], bare=["gw-mairie"])
    assert lab.machine("gw-mairie").run(["id", "telekit"]).returncode != 0
    assert (inventory / "known_hosts").read_text() == ""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1", PORT + 1, "root", lab.machine("gw-mairie").root_password(), allow_agent=False, look_for_keys=False
        )
        assert client.exec_command("id -u")[1].read() == b"0\n"


def test_a_machine_that_is_not_bare_has_no_root_password_to_tell(inventory, release):
    stand(inventory, release)
    with pytest.raises(UsageError, match="not bare"):
        create(NAME).machine("gw-mairie").root_password()


def test_a_place_that_does_not_exist_is_refused_with_those_that_do(inventory, release):
    stand(inventory, release)
    with pytest.raises(UsageError, match=r"no machine `nowhere` \(.*gw-mairie"):
        create(NAME).vantage("nowhere")


def test_the_package_cache_ends_with_the_last_lab_and_starts_with_the_next(inventory, release):
    stand(inventory, release)
    answer = create(NAME).machine("gw-mairie").run(["apt-get", "-qq", "download", "hello"], timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert (STATE / "apt" / "process.json").exists()
    create(NAME).down()
    others = [path for path in RUNTIME.glob("*/daemon.json") if RUNTIME.is_dir()]
    assert others or not (STATE / "apt" / "process.json").exists()
