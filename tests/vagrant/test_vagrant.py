"""The whole way on virtual machines, in this order: up, provision, a real reboot, verify, midnight, down. `make test-vagrant`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from toolkit.ledger import read

pytestmark = pytest.mark.vagrant

GATEWAY, DESKTOP, LAPTOP = "gw-mairie", "bureau-finances-03", "portable-041"
# Nobody sits before these machines' screens, and there is one desktop and one laptop alone.
UNCHECKABLE = {
    "screen-locks-itself", "is-refused-other-desktops", "is-refused-other-laptops", "other-laptops-are-as-the-matrix-says",
}  # fmt: skip
# An emulated gateway cannot take a question at each of its 65,535 ports in the time: the check says so, and proves nothing.
IN_EMULATION = {"no-tcp-port-answers"}


def machines(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return json.loads(done.stdout)["machines"]


def until(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := what()) and time.monotonic() < deadline:
        time.sleep(2)
    return holds


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_vagrant_finds_the_vagrantfile_valid(provider, tmp_path):
    # Vagrant loads what it knows of VirtualBox only where that answers with a version; nothing else is asked of it here.
    program = tmp_path / "VBoxManage"
    program.write_text("#!/bin/sh\necho 7.0.20r163906\n", encoding="ascii")
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DEFAULT_PROVIDER": provider,
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot"), "VAGRANT_CHECKPOINT_DISABLE": "1",
    }  # fmt: skip
    folder = Path(__file__).parents[2] / "vagrant"
    done = subprocess.run(["vagrant", "validate"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "validated successfully" in done.stdout) == (0, True), done.stderr


def test_three_machines_boot_kernels_of_their_own(town):
    status = town.lab.status()
    assert {m.name: m.state for m in status.machines} == {GATEWAY: "running", DESKTOP: "running", LAPTOP: "running"}
    boots = {town.root(name, "cat /proc/sys/kernel/random/boot_id") for name in (GATEWAY, DESKTOP, LAPTOP)}
    own = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert len(boots | {own}) == 4
    town.told |= {"kernel": town.root(GATEWAY, "uname -r"), "acceleration": status.acceleration}


def test_this_computer_sees_nothing_of_their_networks(town):
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert not any(word in links for word in ("vnet", "virbr", ": lan", ": wan"))
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "10.77." not in routes
    assert "192.168.121." not in routes


def test_the_machines_are_as_an_installer_leaves_them(town):
    for name in (GATEWAY, DESKTOP, LAPTOP):
        assert town.root(name, "getent passwd vagrant || echo none") == "none"
        assert town.root(name, "ls /sys/class/net").split().count("vagrant0") == 0
        assert town.root(name, "command -v wg xrdp clamd || echo none") == "none"
        assert town.root(name, "systemctl --failed --plain --no-legend | wc -l") == "0"
    assert "telekit" in town.root(GATEWAY, "getent passwd telekit")


def test_what_is_asked_through_the_door_stands_in_no_argument(town):
    done = town.lab.machine(GATEWAY).run(["sh", "-c", "read -r word; echo got $word; exit 7"], stdin="a-secret\n")
    assert (done.returncode, done.stdout) == (7, "got a-secret\n")


def test_provision_brings_them_to_what_the_inventory_says(town):
    found = machines(town.timed("provision", lambda: town.telekit("provision", "--yes", "--json")))
    assert {m["name"]: m["state"] for m in found} == {GATEWAY: "changed", DESKTOP: "changed", LAPTOP: "changed"}


def test_a_second_provision_changes_nothing(town):
    found = machines(town.timed("provision again", lambda: town.telekit("provision", "--yes", "--json")))
    assert {m["name"]: m["changes"] for m in found if m["changes"]} == {}


def test_the_tunnel_is_the_kernel_s_own_wireguard(town):
    carried = {m.name: m.wireguard for m in town.lab.status().machines}
    assert carried == {GATEWAY: "kernel", DESKTOP: "", LAPTOP: "kernel"}
    for name in (GATEWAY, LAPTOP):
        assert "wireguard" in town.root(name, "ip -d link show wg0")
        assert town.root(name, "pgrep -c wireguard-go || true") == "0"


def test_the_tunnel_comes_back_after_a_real_reboot(town):
    before = town.root(GATEWAY, "cat /proc/sys/kernel/random/boot_id")
    started = time.monotonic()
    town.lab.machine(GATEWAY).reboot(timeout=120)
    town.seconds["reboot of the gateway"] = time.monotonic() - started
    assert town.root(GATEWAY, "cat /proc/sys/kernel/random/boot_id") != before
    ask = "ping -n -c 1 -W 5 10.178.0.1 >/dev/null && echo answers || echo silent"
    assert until(lambda: town.root(LAPTOP, ask) == "answers", 300)


def test_verify_finds_nothing_to_mend(town, tmp_path):
    done = town.timed("verify", lambda: town.telekit("verify", "--json", "--screenshots", str(tmp_path), check=False))
    checks = [check for machine in machines(done) for check in machine["checks"]]
    assert [(c["name"], c["detail"]) for c in checks if c["outcome"] == "failed"] == []
    expected = UNCHECKABLE | (IN_EMULATION if town.lab.status().acceleration != "kvm" else set())
    missed = [(c["check"], c["detail"]) for c in checks if c["outcome"] == "not checked" and c["check"] not in expected]
    assert missed == []
    assert list(tmp_path.glob("*.png")), "no picture of a desktop"
    services = [c["detail"] for c in checks if c["check"] == "services-run"]
    assert ["WireGuard is the kernel's own" in detail for detail in services] == [True, False, True]
    summary = json.loads(done.stdout)["summary"]
    town.told["checks"] = f"{summary['passed']} passed, {summary['failed']} failed, {summary['not_checked']} not checked"


def test_an_access_ends_at_midnight_by_the_gateway_s_own_clock(town):
    folder = town.inventories / "vagrant"
    people = (folder / "agents.csv").read_text(encoding="utf-8")
    today = date.fromisoformat(town.root(GATEWAY, "date +%F"))
    (folder / "agents.csv").write_text(people.replace(f"{DESKTOP};;", f"{DESKTOP};;{today}"), encoding="utf-8")
    town.telekit("provision", "--yes", "--only", GATEWAY)
    key = read(folder).keys[LAPTOP]
    assert key in town.root(GATEWAY, "wg show wg0 peers")
    try:
        town.root(GATEWAY, f"systemctl stop chrony; date -s '{today} 23:59:50' >/dev/null")
        assert key in town.root(GATEWAY, "wg show wg0 peers")
        assert until(lambda: key not in town.root(GATEWAY, "wg show wg0 peers"), 240)
        assert town.root(GATEWAY, "date +%F") > today.isoformat()
    finally:
        now = time.time()
        town.root(GATEWAY, f"date -s @{now:.0f} >/dev/null; systemctl start chrony")
        (folder / "agents.csv").write_text(people, encoding="utf-8")
    town.told["midnight"] = "an access that ends today is closed by the gateway when its clock passes 23:59:59"


def test_down_leaves_nothing(town):
    town.lab.down()
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    # By its folders: `make test-vagrant` is no process of the lab's.
    assert not [line for line in left.splitlines() if "lab/test-vagrant" in line or "virtual/test-vagrant" in line]
    assert not (Path("/run/telekit/lab") / "test-vagrant").exists()
    assert not (Path("/var/lib/telekit/lab/virtual") / "test-vagrant").exists()
