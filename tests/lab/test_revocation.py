"""The bad day in the town hall: a laptop is stolen, a desktop is off, a gateway dies; and everybody else works on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import pytest

from tests.lab.at_work import Stream, shell, until, vault, works

pytestmark = pytest.mark.lab

RELEASES = ("trixie",)
GATEWAY, DESKTOP, SHARED = "gw-mairie", "bureau-finances-03", "bureau-partage-01"
VICTIM, COLLEAGUE, NEWCOMER = "m.durand", "k.benali", "p.martin"
STOLEN, OTHER = "portable-041", "portable-042"
# What the icon starts, on a screen that nobody sees; the password comes on standard input and stays there.
CONNECT = """\
Xvfb :87 -screen 0 1280x800x24 -nolisten tcp > /dev/null 2>&1 &
trap "kill $! 2>/dev/null" EXIT
sleep 1
DISPLAY=:87 runuser -u m.durand -- /usr/local/bin/telekit-bureau --stdin
"""
DEAD = """\
systemctl stop telekit-access.timer telekit-access.service wg-quick@wg0
rm -rf /etc/wireguard /etc/telekit/enrolment /etc/telekit/tunnels
"""


def revoke(town, *arguments: str, secrets: Sequence[str] = ()) -> dict:
    """What the command said; secrets: what it must not have said."""
    done = town.telekit("agent", "revoke", *arguments, "--yes", "--json", "--debug", check=False)
    assert not any(secret in done.stdout + done.stderr for secret in secrets)
    return json.loads(done.stdout)


def answers(town, key: str) -> bool:
    """Whether the gateway takes up a handshake with this private key, on the Internet."""
    question = {
        "host": "vpn.lab.example",
        "port": "51820",
        "gateway": json.loads((town.inventory / "ledger.json").read_text())["keys"][GATEWAY],
        "key": key,
    }
    program = [sys.executable, "-m", "toolkit.revocation.handshake"]
    done = town.lab.vantage("internet").run(program, stdin=json.dumps(question))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "answered"


@contextmanager
def at_work(town) -> Iterator[None]:
    """The agent's remote desktop, opened from the laptop through the tunnel."""
    password = vault(town).get(f"password/{VICTIM}")
    running = town.lab.machine(STOLEN).popen(["bash", "-c", CONNECT])
    try:
        running.stdin.write(f"{password.reveal()}\n".encode())
        running.stdin.close()
        assert until(lambda: shell(town, f"pgrep -u {VICTIM} -x xfce4-session", DESKTOP) != ""), "no session"
        yield
    finally:
        shell(town, f"pkill -u {VICTIM} xfreerdp; pkill -f 'Xvfb :87'", STOLEN)
        running.kill()
        running.wait()


@pytest.fixture(scope="module")
def written(provisioned) -> dict[str, bytes]:
    """What is written by hand, before anything is revoked."""
    return {name: (provisioned.inventory / name).read_bytes() for name in ("agents.csv", "commune.toml")}


@pytest.fixture(scope="module")
def town(provisioned, written) -> Iterator:
    """The town; afterwards everybody has their access and their device again, which made new keys."""
    yield provisioned
    for name, content in written.items():
        (provisioned.inventory / name).write_bytes(content)
    # That of an agent who left makes another by itself; a stolen one is for somebody to look at.
    shell(provisioned, "rm -f /etc/wireguard/private.key", STOLEN)
    provisioned.telekit("provision", "--yes")
    assert until(lambda: works(provisioned, STOLEN) and works(provisioned, OTHER)), "not everybody works again"
    assert provisioned.telekit("plan", "--exit-code", check=False).returncode == 0


def test_a_gateway_that_died_is_rebuilt_and_no_laptop_notices_but_for_the_pause(town):
    key = shell(town, "cat /etc/wireguard/private.key")
    assert vault(town).get(f"gateway-key/{GATEWAY}").reveal() == key
    untouched = "sha256sum /etc/wireguard/* | sha256sum"
    before = [shell(town, untouched, laptop) for laptop in (STOLEN, OTHER)]
    shell(town, DEAD)
    assert not works(town, OTHER)
    done = town.telekit("provision", "--yes", "--only", GATEWAY, "--debug")
    assert key not in done.stdout + done.stderr
    assert shell(town, "cat /etc/wireguard/private.key; stat -c %a /etc/wireguard/private.key") == f"{key}\n600"
    assert until(lambda: works(town, STOLEN) and works(town, OTHER)), "a laptop found no way back"
    assert [shell(town, untouched, laptop) for laptop in (STOLEN, OTHER)] == before


def test_a_gateway_with_a_foreign_key_is_refused_instead_of_shutting_everybody_out(town):
    shell(
        town, "cp -a /etc/wireguard/private.key /root/own.key; wg genkey > /etc/wireguard/private.key; rm /etc/telekit/enrolment"
    )
    try:
        done = town.telekit("provision", "--yes", "--only", GATEWAY, check=False)
        assert done.returncode == 1
        assert "neither the one that the laptops know nor the one that is kept for it" in done.stdout
        assert "remove /etc/wireguard/private.key there and provision" in done.stdout
        assert works(town, OTHER)
    finally:
        shell(town, "mv -f /root/own.key /etc/wireguard/private.key")
    town.telekit("provision", "--yes", "--only", GATEWAY)
    assert works(town, OTHER)


def test_a_device_that_telekit_holds_the_key_of_is_refused_from_outside(town, tmp_path):
    town.telekit("agent", "add", NEWCOMER, "--first-name", "Paul", "--last-name", "Martin", "--profile", "accueil",
                 "--laptop", "pc-1", "--new-laptop", "windows")  # fmt: skip
    town.telekit("agent", "kit", NEWCOMER, "--output", str(tmp_path / "kits"))
    town.telekit("provision", "--yes", "--only", GATEWAY)
    key = vault(town).get("tunnel-key/pc-1").reveal()
    assert answers(town, key)
    said = revoke(town, NEWCOMER, "--stolen", secrets=[key])
    (gateway,) = said["machines"]
    assert (said["exit_code"], gateway["state"]) == (0, "revoked")
    assert gateway["details"]["handshakes"] == {"pc-1": "refused"}
    assert "a handshake with the old key of pc-1 is refused, a welcome key was answered" in gateway["reason"]
    assert not answers(town, key)
    assert vault(town).get("tunnel-key/pc-1") is None


def test_a_stolen_laptop_is_shut_out_at_once_and_the_others_lose_nothing(town):
    key = shell(town, "cat /etc/wireguard/private.key", STOLEN)
    assert answers(town, key)
    # The profile asks for no code; whoever enrolled all the same has such a file.
    factor = f"/etc/telekit/totp/{VICTIM}"
    shell(town, f"install -D -m 400 /dev/null {factor}", DESKTOP)
    thief, colleague = Stream(town, STOLEN), Stream(town, OTHER)
    try:
        with at_work(town):
            assert until(lambda: len(thief.numbers) > 3 and len(colleague.numbers) > 3)
            began = time.monotonic()
            said = revoke(town, VICTIM, "--stolen", "--reason", "Vol dans le train")
            assert said["exit_code"] == 0, said
            assert began < thief.last < began + 5
            assert until(lambda: shell(town, f"pgrep -u {VICTIM}", DESKTOP) == "", 1)
        gateway, desktop = said["machines"]
        assert gateway["details"]["elements"] > 0
        assert gateway["details"]["connections"] > 0
        assert desktop["details"]["processes"] > 0
        assert shell(town, f"passwd -S {VICTIM}", DESKTOP).split()[:2] == [VICTIM, "L"]
        assert shell(town, f"getent shadow {VICTIM} | cut -d: -f2 | tr -d '!'", DESKTOP) == ""
        assert shell(town, f"test -e {factor} || echo gone", DESKTOP) == "gone"
        stopped, went_on = len(thief.numbers), len(colleague.numbers)
        # The program that opens accesses looks every minute; it must not be the one to let the thief in again.
        shell(town, "systemctl restart telekit-access.service")
        time.sleep(2)
        assert len(thief.numbers) == stopped
        assert len(colleague.numbers) > went_on
    finally:
        for stream in (thief, colleague):
            stream.end()
    assert not answers(town, key)
    assert colleague.numbers == list(range(len(colleague.numbers)))
    assert colleague.gap < 2, f"nothing came for {colleague.gap:.1f} s"
    record = (town.inventory / "incidents" / said["summary"]["record"].rpartition("/")[2]).read_text(encoding="utf-8")
    assert "Vol dans le train" in record
    assert "dernière connexion le" in record


def test_its_key_is_refused_when_the_laptop_turns_up_again(town, written):
    now = (town.inventory / "commune.toml").read_bytes()
    (town.inventory / "commune.toml").write_bytes(written["commune.toml"])
    try:
        done = town.telekit("provision", "--yes", "--only", STOLEN, check=False)
    finally:
        (town.inventory / "commune.toml").write_bytes(now)
    assert done.returncode == 1
    assert f"its WireGuard key was revoked on {date.today()} ({STOLEN}, {VICTIM}: stolen)" in done.stdout


def test_a_desktop_that_was_off_is_done_at_the_next_run(town):
    desktop, factor = town.lab.machine(SHARED), f"/etc/telekit/totp/{COLLEAGUE}"
    assert shell(town, f"stat -c %a {factor}", SHARED) == "400"
    desktop.unplug("lan0")
    try:
        said = revoke(town, COLLEAGUE)
        assert said["exit_code"] == 1
        assert {m["name"]: m["state"] for m in said["machines"]} == {GATEWAY: "revoked", SHARED: "unreachable"}
        assert said["summary"]["remaining"] == [SHARED]
        assert vault(town).get(f"totp/{COLLEAGUE}") is None
    finally:
        desktop.plug("lan0")
    told = json.loads(town.telekit("status", "--json", check=False).stdout)["summary"]["unfinished_revocations"]
    assert [(item["agent"], item["machine"]) for item in told] == [(COLLEAGUE, SHARED)]
    assert until(lambda: town.ssh(SHARED, "true").returncode == 0)
    town.telekit("provision", "--yes", "--only", SHARED)
    assert shell(town, f"passwd -S {COLLEAGUE}", SHARED).split()[:2] == [COLLEAGUE, "L"]
    assert shell(town, f"test -e {factor} || echo gone", SHARED) == "gone"
    assert json.loads(town.telekit("status", "--json", check=False).stdout)["summary"]["unfinished_revocations"] == []
    record = next((town.inventory / "incidents").glob(f"*-{COLLEAGUE}.md")).read_text(encoding="utf-8")
    assert f"ce qui restait à faire sur {SHARED} a été fait par `telekit provision`" in record
