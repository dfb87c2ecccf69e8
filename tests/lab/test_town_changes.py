"""What becomes of a working town hall when somebody leaves, something breaks, or a run is cut short."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from toolkit.model import Secret
from toolkit.secrets import Vault, identities_for

pytestmark = pytest.mark.lab

# The second Debian proves provision and verify; these take their time once.
RELEASES = ("trixie",)
LEAVER, COLLEAGUE = "m.durand", "k.benali"
FOLLOW = """exec 3<>/dev/tcp/10.77.1.12/443; printf 'GET /count HTTP/1.0\\r\\n\\r\\n' >&3; exec cat <&3"""
# A tunnel of its own with the laptop's keys ($1 and $1.shared), whatever telekit has made of wg0 meanwhile.
KNOCK = """\
set -e
nft flush ruleset
wireguard-go tkold >/dev/null 2>&1
trap 'ip link delete tkold' EXIT
wg set tkold fwmark 0xca6c private-key "$1" peer "$2" preshared-key "$1.shared" endpoint "$3" \
  allowed-ips 10.177.0.1/32 persistent-keepalive 1
ip link set tkold up
for i in $(seq 40); do
  sleep 0.2
  [ "$(wg show tkold latest-handshakes | cut -f 2)" = 0 ] || { echo shaken; exit; }
done
echo silence
"""


# Half-written files, and what a connection puts into folders for temporary files.
LEFTOVERS = """\
find /etc /root /usr/local /var/lib -xdev -newer /etc/machine-id \\( -name '*.new' -o -name '*.tmp' -o -name '*.partial' \\)
find /tmp /var/tmp -xdev -mindepth 1 ! -path '/tmp/systemd-private-*' ! -path '/var/tmp/systemd-private-*' ! -path '/tmp/.*'
"""


def machines(town, *command: str, check: bool = True) -> dict[str, dict]:
    done = town.telekit(*command, "--json", check=check)
    return {m["name"]: m for m in json.loads(done.stdout)["machines"]}


def failed_checks(town, machine: str, folder: Path) -> set[str]:
    town.telekit("verify", "--only", machine, "--junit", str(folder / "verify.xml"), check=False)
    cases = Xml.parse(folder / "verify.xml").getroot().iter("testcase")
    return {str(case.get("name")) for case in cases if case.find("failure") is not None}


def script(town, machine: str, text: str, *arguments: str, timeout: float = 60) -> str:
    done = town.lab.machine(machine).run(["bash", "-c", text, "script", *arguments], timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Stream:
    """An endless download on a laptop, whose lines are numbered."""

    def __init__(self, town, machine: str) -> None:
        self.process = town.lab.machine(machine).popen(["bash", "-c", FOLLOW])
        self.numbers: list[int] = []
        self.gap = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        last = time.monotonic()
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.numbers.append(int(line))
                self.gap = max(self.gap, time.monotonic() - last) if len(self.numbers) > 1 else 0.0
                last = time.monotonic()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def without(town, agent: str) -> Iterator[None]:
    """The agent is gone from agents.csv; afterwards everybody is back and provisioned."""
    file = town.inventory / "agents.csv"
    before = file.read_text(encoding="utf-8")
    file.write_text("".join(line for line in before.splitlines(keepends=True) if not line.startswith(agent)), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")
        town.telekit("provision", "--yes")


def test_an_agent_who_leaves_is_shut_out_and_the_others_notice_nothing(provisioned):
    key = "/root/old.key"
    script(provisioned, "portable-041", f"cp /etc/wireguard/private.key {key}; cp /etc/wireguard/preshared.key {key}.shared")
    gateway = script(provisioned, "gw-mairie", "wg show wg0 public-key")
    endpoint = "198.18.0.2:51820"
    script(provisioned, "bureau-finances-03", f"systemd-run --quiet --collect --uid={LEAVER} sleep 3600")
    colleague = Stream(provisioned, "portable-042")
    try:
        with without(provisioned, LEAVER):
            provisioned.telekit("provision", "--yes")
            assert script(provisioned, "portable-041", KNOCK, key, gateway, endpoint) == "silence"
            status = script(provisioned, "bureau-finances-03", f"passwd -S {LEAVER}; ! pgrep -u {LEAVER}")
            assert status.split()[:2] == [LEAVER, "L"]
            seen = len(colleague.numbers)
            time.sleep(2)
            assert len(colleague.numbers) > seen, "the colleague's stream has stopped"
        # The same key, welcome again: the silence was the gateway's doing.
        assert script(provisioned, "portable-041", KNOCK, key, gateway, endpoint) == "shaken"
    finally:
        colleague.end()
        script(
            provisioned, "portable-041", f"rm -f {key} {key}.shared; nft -f /etc/nftables.conf; systemctl restart wg-quick@wg0"
        )
    assert colleague.numbers == list(range(len(colleague.numbers)))
    assert colleague.gap < 2, f"nothing came for {colleague.gap:.1f} s"


def test_no_secret_is_in_the_output_of_a_run_nor_in_tmp_nor_in_a_log(provisioned):
    runs = [provisioned.telekit("provision", "--yes", "--debug"), provisioned.telekit("verify", "--debug")]
    assert_no_secret(provisioned, list(provisioned.lab.machines), "".join(done.stdout + done.stderr for done in runs))


def assert_no_secret(town, up: list[str], output: str) -> None:
    """No key and no password of these machines and of their agents is in the output, in /tmp or in a log of theirs."""
    secrets = secrets_of(town, up)
    assert len(secrets) >= len(up) + 3
    assert [name for name, secret in secrets.items() if secret.reveal() in output] == []
    patterns = "\n".join(secret.reveal() for secret in secrets.values())
    for machine in up:
        found = town.lab.machine(machine).run(["sh", "-c", SEARCH], stdin=patterns, timeout=120)
        assert found.stdout.split() == ["0"], machine


SEARCH = """\
umask 077
cat > /dev/shm/patterns
grep -rlaF -f /dev/shm/patterns /tmp /var/tmp /var/log
journalctl --no-pager -o cat | grep -caF -f /dev/shm/patterns
rm /dev/shm/patterns
"""


def secrets_of(town, up: list[str]) -> dict[str, Secret]:
    """Every secret there is in the town, by a name that may be shown."""
    found = {}
    for machine in up:
        where = "/etc/xrdp/telekit.key" if machine.startswith("bureau") else "/etc/wireguard/private.key"
        found[f"{machine}'s key"] = script(town, machine, f"grep -v -e ---- {where} | head -n 1")
    vault = Vault.open(town.inventory, (), identities_for(town.inventory, None))
    for name in (f"password/{LEAVER}", f"password/{COLLEAGUE}"):
        found[name] = vault.get(name).reveal()
    found["authority-key"] = vault.get("authority-key").reveal().splitlines()[1]
    return {name: Secret(text) for name, text in found.items()}


def test_everything_holds_after_a_reboot(provisioned):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: provisioned.lab.machine(name).reboot(), provisioned.lab.machines))
    # Until a tunnel has shaken hands again, a datagram is lost where TCP asks once more.
    for laptop in ("portable-041", "portable-042"):
        script(provisioned, laptop, "for i in $(seq 40); do ping -c 1 -W 1 10.177.0.1 > /dev/null && exit; done; exit 1")
    failed = [c for m in machines(provisioned, "verify", check=False).values() for c in m["checks"] if c["outcome"] == "failed"]
    assert failed == []
    assert provisioned.telekit("plan", "--exit-code", check=False).returncode == 0


def test_a_machine_that_does_not_answer_is_reported_and_the_others_are_done(provisioned):
    machine = provisioned.lab.machine("portable-042")
    machine.unplug("bench0")
    try:
        done = provisioned.telekit("provision", "--yes", "--json", check=False)
        found = {m["name"]: m for m in json.loads(done.stdout)["machines"]}
        assert done.returncode == 1
        assert found.pop("portable-042")["state"] == "unreachable"
        assert {m["state"] for m in found.values()} == {"unchanged"}
        verified = machines(provisioned, "verify", "--only", "portable-042", check=False)["portable-042"]
        assert {check["outcome"] for check in verified["checks"]} <= {"not checked"}
    finally:
        machine.plug("bench0")


@pytest.mark.parametrize(
    ("machine", "harm", "mend", "failing"),
    [
        ("bureau-finances-03", "nft flush ruleset", "nft -f /etc/nftables.conf",
         {"firewall-is-the-one-of-the-boot", "is-closed-to-the-lan:gw-mairie"}),
        ("portable-041", "systemctl mask --runtime --now clamav-clamonacc", "systemctl unmask --runtime clamav-clamonacc",
         {"blocks-an-infected-file", "puts-it-into-quarantine", "services-run"}),
        ("gw-mairie", "nft insert rule inet telekit input tcp dport 22 accept", "nft -f /etc/nftables.conf",
         {"firewall-is-the-one-of-the-boot", "no-tcp-port-answers", "profile-is-as-the-matrix-says:direction"}),
        ("bureau-partage-01", "useradd -m -p x -G sudo intrus", "userdel -rf intrus 2>/dev/null",
         {"agents-are-not-administrators", "accounts-are-those-of-the-inventory"}),
        # An account with a last day to come is open.
        ("bureau-finances-03", "usermod --expiredate 2099-12-31 m.durand", "usermod --expiredate '' m.durand", set()),
        ("portable-042", "nft insert rule inet telekit output accept", "nft -f /etc/nftables.conf",
         {"firewall-is-the-one-of-the-boot", "nothing-leaves-beside-the-tunnel", "nothing-leaves-while-the-tunnel-is-down"}),
    ],
)  # fmt: skip
def test_what_is_broken_is_found_and_nothing_else(provisioned, machine, harm, mend, failing, tmp_path):
    script(provisioned, machine, harm)
    try:
        assert failed_checks(provisioned, machine, tmp_path) == failing
    finally:
        script(provisioned, machine, mend)


def test_a_provision_that_was_killed_converges_and_leaves_nothing_half_written(struck):
    for seconds in (2.0, 6.0, 15.0):
        run = subprocess.Popen(
            struck.telekit_command("provision", "--yes"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(seconds)
        run.send_signal(signal.SIGKILL)
        run.wait()
    done = struck.telekit("provision", "--yes", "--debug", "--json", check=False)
    found = {m["name"]: m for m in json.loads(done.stdout)["machines"]}
    up = [name for name, machine in found.items() if machine["state"] != "unreachable"]
    assert up == ["gw-mairie", "bureau-finances-03", "portable-041"]
    assert {found[name]["state"] for name in up} <= {"changed", "unchanged"}
    assert leftovers(struck.inventory) == []
    for machine in up:
        assert script(struck, machine, LEFTOVERS) == "", machine
    assert_no_secret(struck, up, done.stdout + done.stderr)
    again = machines(struck, "provision", "--yes", check=False)
    assert [f"{name}: {change['name']}" for name in up for change in again[name]["changes"]] == []
    assert {again[name]["state"] for name in up} == {"unchanged"}


def leftovers(inventory: Path) -> list[str]:
    """Files beside the inventory that a finished run does not leave."""
    return [p.name for p in inventory.rglob("*") if re.search(r"\.(new|tmp|partial)|^tmp|~$", p.name)]
