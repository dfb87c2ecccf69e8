"""Keys are replaced while people work, while they are away, and while the gateway does not know better: nobody is locked out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.lab.at_work import Stream, book, shell, until, vault, works

pytestmark = pytest.mark.lab

RELEASES = ("trixie",)
GATEWAY, LAPTOP, OTHER = "gw-mairie", "portable-041", "portable-042"
# Every argument list that is there to be seen, as often as can be.
LISTEN = "while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; sleep 0.02; done > /run/arguments"
LOGS = "journalctl -o cat; cat /var/log/telekit/* 2>/dev/null; grep -rhs . /tmp /var/tmp /run/arguments"
SWITCH, WATCH = "telekit-switch-key.service", "telekit-rotation.service"


def own_key(town) -> str:
    return shell(town, "wg pubkey < /etc/wireguard/private.key", LAPTOP)


def in_use(town) -> str:
    return shell(town, "wg show wg0 public-key", LAPTOP)


def peers(town) -> dict[str, str]:
    """The gateway's peers and what they may send."""
    lines = shell(town, "wg show wg0 allowed-ips").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def answers(town, key: str) -> bool:
    """Whether the gateway takes up a handshake with this private key, on the Internet."""
    place = {"host": "vpn.lab.example", "port": "51820", "gateway": book(town)["keys"][GATEWAY]}
    program = [sys.executable, "-m", "toolkit.revocation.handshake"]
    done = town.lab.vantage("internet").run(program, stdin=json.dumps({**place, "key": key}))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "answered"


def unchanged(town) -> bool:
    return town.telekit("plan", "--exit-code", check=False).returncode == 0


@pytest.fixture
def town(provisioned) -> Iterator:
    """The town, in which both laptops work; afterwards they do again, and nothing is left to do."""
    assert until(lambda: works(provisioned, LAPTOP) and works(provisioned, OTHER)), "it does not begin well"
    yield provisioned
    assert until(lambda: works(provisioned, LAPTOP) and works(provisioned, OTHER)), "not everybody works again"
    assert book(provisioned)["rotations"] == {}
    assert unchanged(provisioned)


def test_a_key_is_replaced_while_people_work_and_no_secret_is_seen(town):
    old, private = own_key(town), shell(town, "cat /etc/wireguard/private.key", LAPTOP)
    assert answers(town, private)
    mine, colleague = Stream(town, LAPTOP), Stream(town, OTHER)
    listening = [town.lab.machine(place).popen(["bash", "-c", LISTEN]) for place in (GATEWAY, LAPTOP)]
    try:
        assert until(lambda: len(mine.numbers) > 3 and len(colleague.numbers) > 3)
        done = town.telekit("rotate", LAPTOP, "--yes", "--debug")
        assert f"1 new key in use: {LAPTOP}. The old ones are refused." in done.stdout
        reached = len(mine.numbers), len(colleague.numbers)
        assert until(lambda: len(mine.numbers) > reached[0] and len(colleague.numbers) > reached[1])
    finally:
        for stream in (mine, colleague):
            stream.end()
        for process in listening:
            process.kill()
            process.wait()
    assert colleague.whole
    assert colleague.gap < 2, f"nothing came for {colleague.gap:.1f} s"
    assert mine.whole
    new = own_key(town)
    assert (new != old, in_use(town), book(town)["keys"][LAPTOP]) == (True, new, new)
    assert old not in peers(town)
    assert not answers(town, private)
    assert shell(town, "stat -c %a /etc/wireguard/private.key /etc/wireguard/preshared.key", LAPTOP) == "600\n600"
    assert shell(town, "ls -d /etc/wireguard/next /etc/telekit/enrolment-next 2>/dev/null", LAPTOP) == ""
    secrets = [shell(town, "cat /etc/wireguard/private.key", LAPTOP), vault(town).get(f"preshared/{LAPTOP}").reveal(), private]
    assert secrets[1] == shell(town, "cat /etc/wireguard/preshared.key", LAPTOP)
    seen = done.stdout + done.stderr + "".join(shell(town, LOGS, place) for place in (GATEWAY, LAPTOP))
    assert "switch-key" in seen, "nobody listened"
    assert not any(secret in seen for secret in secrets)
    for place in (GATEWAY, LAPTOP):
        shell(town, "rm -f /run/arguments", place)


def test_a_laptop_that_is_away_and_a_gateway_that_does_not_know_lock_nobody_out(town):
    old, laptop = own_key(town), town.lab.machine(LAPTOP)
    laptop.unplug("eth0")
    try:
        # It is on the bench, and so can be told; but no handshake comes of it.
        done = town.telekit("agent", "rotate", "m.durand", "--yes")
        assert f"Still with the old key, which works on: {LAPTOP}." in done.stdout
        told = json.loads(town.telekit("status", "--json", check=False).stdout)["summary"]["rotations"]
        assert [(item["laptop"], item["state"]) for item in told] == [(LAPTOP, "handshake")]
        new = book(town)["rotations"][LAPTOP]["key"]
        assert peers(town)[new] == "(none)"
        assert "10.177.0." in peers(town)[old]
        drift = town.telekit("drift", check=False)
        assert drift.returncode == 0, drift.stdout
        # A gateway that forgot it, and that nobody reminds.
        shell(town, f"systemctl stop telekit-access.timer telekit-access.service {WATCH}; wg set wg0 peer {new} remove")
    finally:
        laptop.plug("eth0")
    try:
        shell(town, f"systemctl restart {SWITCH}", LAPTOP)
        assert until(lambda: in_use(town) == new, 5), "the new key was not tried"
        assert until(lambda: works(town, LAPTOP), 40), "it did not go back to the old key"
        assert (in_use(town), own_key(town)) == (old, old)
        assert "the gateway does not answer the new key" in shell(town, f"journalctl -o cat -u {SWITCH}", LAPTOP)
    finally:
        shell(town, "systemctl start telekit-access.timer telekit-access.service")
    assert peers(town)[new] == "(none)"
    shell(town, f"systemctl restart {SWITCH}", LAPTOP)
    assert until(lambda: own_key(town) == new, 25), "it did not come to its new key"
    assert until(lambda: works(town, LAPTOP))
    assert old not in peers(town)
    # All by themselves; telekit learns of it afterwards.
    assert book(town)["keys"][LAPTOP] == old
    town.telekit("provision", "--yes")
    assert book(town)["keys"][LAPTOP] == new
    assert unchanged(town)
