"""What verify puts on the gateway goes with it, also when verify is killed in the middle."""

from __future__ import annotations

import subprocess
import time

import pytest

pytestmark = pytest.mark.lab

RELEASES = ("trixie",)
GUEST = "10.177.0.254"
THERE = f"""\
wg show wg0 allowed-ips | grep -cF {GUEST}/
nft list table inet telekit | grep -cF {GUEST}
nft list tables | grep -c telekit_verify
"""


def gateway(town, script: str) -> str:
    done = town.lab.machine("gw-mairie").run(["bash", "-c", script], timeout=30)
    return done.stdout.strip()


def there(town) -> list[int]:
    """How many peers, elements and tables of verify's the gateway has."""
    return [int(line) for line in gateway(town, THERE).split()]


def test_a_verify_that_is_killed_leaves_a_guest_that_the_gateway_takes_out_by_itself(provisioned):
    run = subprocess.Popen(
        provisioned.telekit_command("verify", "--only", "gw-mairie"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not there(provisioned)[0] and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    run.kill()
    run.wait()
    assert there(provisioned)[0] == 1
    # They are due within a minute and within a quarter of an hour; what they do is not waited for.
    timers = gateway(provisioned, "systemctl list-timers --no-legend 'telekit-verify-*'")
    assert timers.count("telekit-verify-guest.timer") == timers.count("telekit-verify-sweep.timer") == 1
    gateway(provisioned, "systemctl start telekit-verify-guest.service telekit-verify-sweep.service")
    deadline = time.monotonic() + 10
    while there(provisioned) != [0, 0, 0] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert there(provisioned) == [0, 0, 0]
    gateway(provisioned, "systemctl stop telekit-verify-guest.timer telekit-verify-sweep.timer")


def test_a_whole_verify_leaves_nothing_on_the_gateway(provisioned):
    provisioned.telekit("verify", "--only", "gw-mairie", check=False)
    assert there(provisioned) == [0, 0, 0]
    assert gateway(provisioned, "systemctl list-units --all --no-legend 'telekit-verify*'") == ""
