"""The gateway's own key is replaced while people work and while one of them is away: both keys answer at the one port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.at_work import Stream, book, shell, until, vault, works
from toolkit.secrets import public_half

pytestmark = pytest.mark.lab

RELEASES = ("trixie",)
GATEWAY, LAPTOP, OTHER = "gw-mairie", "portable-041", "portable-042"
PRIVATE = "cat /etc/wireguard/private.key"
FOLLOWER = "telekit-switch-gateway.service"
# Ends the session that the tunnel has, which otherwise counts for three minutes more: the gateway's entry is made anew as it was.
END_SESSION = """\
key=$(wg show wg0 peers) endpoint=$(wg show wg0 endpoints | cut -f 2) allowed=$(wg show wg0 allowed-ips | cut -f 2 | tr ' ' ,)
wg set wg0 peer "$key" remove
wg set wg0 peer "$key" preshared-key /etc/wireguard/preshared.key endpoint "$endpoint" allowed-ips "$allowed" \
  persistent-keepalive 25
"""
# A handshake is heard by the wrong key first where it comes from a new place: WireGuard's own next try is 5 s later.
PAUSE = 12.0


def used(town, laptop: str) -> str:
    """The key of the gateway's that a laptop uses."""
    return shell(town, "wg show wg0 peers", laptop)


def answers(town, gateway: str, port: int = 51820) -> bool:
    """Whether the gateway takes up a handshake for this key of its own, on the Internet."""
    key = shell(town, PRIVATE, LAPTOP)
    question = {"host": "vpn.lab.example", "port": str(port), "gateway": gateway, "key": key}
    program = [sys.executable, "-m", "toolkit.revocation.handshake"]
    done = town.lab.vantage("internet").run(program, stdin=json.dumps(question))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "answered"


def unchanged(town, *only: str) -> bool:
    selection = [word for name in only for word in ("--only", name)]
    return town.telekit("plan", "--exit-code", *selection, check=False).returncode == 0


def failed(town, *only: str) -> list[str]:
    """The checks that fail."""
    selection = [word for name in only for word in ("--only", name)]
    told = json.loads(town.telekit("verify", "--json", *selection, check=False).stdout)
    checks = [check for machine in told["machines"] for check in machine["checks"]]
    assert any(check["outcome"] == "passed" for check in checks)
    return [f"{check['name']}: {check['detail']}" for check in checks if check["outcome"] == "failed"]


def away(town, laptop: str) -> None:
    for card in ("eth0", "bench0"):
        town.lab.machine(laptop).unplug(card)


def back(town, laptop: str) -> None:
    for card in ("bench0", "eth0"):
        town.lab.machine(laptop).plug(card)


@pytest.fixture
def town(provisioned) -> Iterator:
    """The town, in which both laptops work; afterwards they do again, with one key of the gateway's, and nothing is left."""
    assert until(lambda: works(provisioned, LAPTOP) and works(provisioned, OTHER), 60), "it does not begin well"
    yield provisioned
    assert until(lambda: works(provisioned, LAPTOP) and works(provisioned, OTHER), 60), "not everybody works again"
    assert book(provisioned)["successions"] == {}
    own = shell(provisioned, f"{PRIVATE} | wg pubkey")
    assert book(provisioned)["keys"][GATEWAY] == own
    assert (used(provisioned, LAPTOP), used(provisioned, OTHER)) == (own, own)
    assert public_half(vault(provisioned).get(f"gateway-key/{GATEWAY}")) == own
    assert vault(provisioned).get(f"gateway-key-next/{GATEWAY}") is None
    assert shell(provisioned, "wg show interfaces; wg show wg0 listen-port; ls /etc/wireguard").split() == [
        "wg0", "51820", "preshared.keys", "private.key", "wg0.conf",
    ]  # fmt: skip
    for laptop in (LAPTOP, OTHER):
        assert shell(provisioned, "ls /etc/wireguard/gateway-next 2>/dev/null", laptop) == ""
        assert shell(provisioned, "wg show wg0 endpoints", laptop).endswith(":51820")
    assert unchanged(provisioned)


def test_it_is_replaced_while_one_works_and_another_is_away(town):
    old, private = book(town)["keys"][GATEWAY], shell(town, PRIVATE)
    mine = Stream(town, LAPTOP)
    away(town, OTHER)
    try:
        assert mine.goes_on()
        done = town.telekit("rotate", "--gateway", "--yes", "--debug")
        assert f"{GATEWAY} answers its old key and the new one" in done.stdout
        assert f"Not told yet: {OTHER}." in done.stdout
        new = book(town)["successions"][GATEWAY]["key"]
        kept = vault(town).get(f"gateway-key-next/{GATEWAY}")
        assert public_half(kept) == new
        assert used(town, LAPTOP) == new
        assert mine.goes_on()
        assert mine.whole
        begun = mine.gap
        assert begun < PAUSE, f"nothing came for {begun:.1f} s"
        assert unchanged(town, GATEWAY, LAPTOP)
        assert (answers(town, old), answers(town, new)) == (True, True)
        assert (answers(town, old, 51821), answers(town, new, 51821)) == (False, False)
        listening = shell(town, "ss -lunH | awk '{ print $4 }' | grep -c ':5182[0-9]$'")
        assert int(listening) >= 2, "there is no second interface to hide"
        assert failed(town, GATEWAY, LAPTOP) == []
        status = town.telekit("status", check=False).stdout
        assert f"not seen with the new one yet: {OTHER}" in status
    finally:
        back(town, OTHER)
    # It knows the old key alone, and that is answered.
    assert until(lambda: works(town, OTHER), 60), "it is locked out"
    assert used(town, OTHER) == old
    town.telekit("provision", "--yes")
    assert until(lambda: used(town, OTHER) == new and works(town, OTHER), 60), "it does not come to the new key"
    assert book(town)["keys"][GATEWAY] == old, "a device was behind"
    yours = Stream(town, OTHER)
    try:
        assert yours.goes_on()
        mine.gap = 0.0
        assert until(lambda: "every device uses the new one" in status_of(town), 30)
        assert "with the next provision, the old one goes" in town.telekit("plan").stdout
        town.telekit("provision", "--yes")
        assert mine.goes_on()
        assert yours.goes_on()
    finally:
        mine.end()
        yours.end()
    print(f"longest silence: {begun:.1f} s to begin, {mine.gap:.1f} and {yours.gap:.1f} s to end")
    assert (mine.whole, yours.whole) == (True, True)
    assert max(mine.gap, yours.gap) < PAUSE, f"nothing came for {mine.gap:.1f} and {yours.gap:.1f} s"
    assert book(town)["keys"][GATEWAY] == new
    assert (answers(town, old), answers(town, new)) == (False, True)
    secrets = [private, shell(town, PRIVATE), kept.reveal()]
    assert secrets[1] == secrets[2]
    assert not any(secret in done.stdout + done.stderr for secret in secrets)
    assert failed(town) == []


def status_of(town) -> str:
    return town.telekit("status", check=False).stdout


def test_a_laptop_goes_back_when_the_new_key_is_not_answered_and_a_killed_command_is_finished_by_the_next(town):
    old = book(town)["keys"][GATEWAY]
    command = subprocess.Popen(
        town.telekit_command("rotate", "--gateway", "--yes"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # In the middle: the gateway has its second interface, and telekit has not heard of it.
    assert until(lambda: "wg0-next" in shell(town, "wg show interfaces"), 120)
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert works(town, LAPTOP)
    new = book(town)["successions"][GATEWAY]["key"]
    away(town, OTHER)
    try:
        town.telekit("rotate", "--gateway", "--days", "3", "--yes")
    finally:
        back(town, OTHER)
    assert book(town)["successions"][GATEWAY]["key"] == new
    assert used(town, LAPTOP) == new
    # A gateway on which the new key's interface is gone.
    shell(town, "systemctl stop wg-quick@wg0-next")
    assert shell(town, END_SESSION, LAPTOP) == ""
    assert used(town, LAPTOP) == new
    assert until(lambda: used(town, LAPTOP) == old and works(town, LAPTOP), 150), "it did not go back to the old key"
    assert until(lambda: works(town, OTHER), 60)
    assert "the gateway does not answer" in shell(town, f"journalctl -o cat -u {FOLLOWER}", LAPTOP) or used(town, LAPTOP) == old
    # The operator has had enough; whoever was told comes by itself.
    shell(town, "systemctl start wg-quick@wg0-next")
    command = subprocess.Popen(
        town.telekit_command("rotate", "--gateway", "--conclude", "--yes"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert until(lambda: shell(town, f"{PRIVATE} | wg pubkey") == new, 120)
    command.send_signal(signal.SIGKILL)
    command.wait()
    town.telekit("provision", "--yes")
    assert book(town)["keys"][GATEWAY] == new
    assert until(lambda: works(town, LAPTOP) and works(town, OTHER), 90)
    assert (answers(town, old), answers(town, new)) == (False, True)


def test_a_device_that_is_revoked_meanwhile_is_gone_from_both_interfaces_and_the_rest_goes_on(town):
    old, mine = book(town)["keys"][GATEWAY], shell(town, f"{PRIVATE} | wg pubkey", LAPTOP)
    away(town, OTHER)
    try:
        town.telekit("rotate", "--gateway", "--yes")
        new = book(town)["successions"][GATEWAY]["key"]
        assert all(mine in shell(town, f"wg show {interface} peers") for interface in ("wg0", "wg0-next"))
        town.telekit("agent", "revoke", "m.durand", "--yes")
        assert mine not in shell(town, "wg show wg0 peers; wg show wg0-next peers")
        assert mine not in shell(town, "cat /etc/wireguard/*.conf /etc/wireguard/preshared.keys /etc/telekit/access.json")
        assert (answers(town, old), answers(town, new)) == (False, False)
    finally:
        back(town, OTHER)
    town.telekit("agent", "resume", "m.durand")
    town.telekit("provision", "--yes")
    assert until(lambda: works(town, LAPTOP) and works(town, OTHER), 60)
    assert until(lambda: "every device uses the new one" in status_of(town), 60)
    drift = town.telekit("drift", check=False)
    assert drift.returncode == 0, drift.stdout
    town.telekit("provision", "--yes")
    assert book(town)["keys"][GATEWAY] == new
