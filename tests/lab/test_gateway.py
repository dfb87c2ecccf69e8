"""The gateway at work: what it lets through, what it refuses, and what a change does to those who are connected."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from deploys.gateway_rules import ruleset
from toolkit.inventory import load
from toolkit.ledger import read
from toolkit.model import Commune, Mode

pytestmark = pytest.mark.lab

FINANCES, MESSAGERIE, ETAT_CIVIL = "10.77.1.11", "10.77.1.12", "10.77.1.13"
COUNT = "exec 3<>/dev/tcp/{address}/443; printf 'GET /count HTTP/1.0\\r\\n\\r\\n' >&3; exec cat <&3"
CONNECT = "timeout 4 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo refused"
# A DNS question for the A record of a name, over UDP; the answer's code, or silence.
RESOLVE = """\
import socket, sys
server, name = sys.argv[1:]
question = b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\\0\\0\\1\\0\\1"
link = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
link.settimeout(3)
link.sendto(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + question, (server, 53))
try:
    answer = link.recv(4096)
    print(socket.inet_ntoa(answer[-4:]) if answer[7] else f"code {answer[3] & 15}")
except OSError:
    print("silence")
"""

# How many packets under the administrator's address come from the Internet, before and after what drops them.
COUNT_FORGED = """nft -f - <<'RULES'
table inet probe {
  counter came { }
  counter passed { }
  chain early { type filter hook prerouting priority -400; iifname "wan0" ip6 saddr fd77:77::10 counter name came; }
  chain late { type filter hook prerouting priority -250; iifname "wan0" ip6 saddr fd77:77::10 counter name passed; }
}
RULES
"""


def shell(town, place: str, script: str, timeout: float = 60) -> str:
    done = town.lab.vantage(place).run(["bash", "-c", script], timeout=timeout)
    return done.stdout.strip()


def reach(town, place: str, address: str, port: int) -> str:
    return shell(town, place, CONNECT.format(address=address, port=port))


def resolve(town, place: str, server: str, name: str) -> str:
    return town.lab.vantage(place).run(["python3", "-", server, name], stdin=RESOLVE).stdout.strip()


def changes(town) -> list[str]:
    done = town.telekit("provision", "--yes", "--only", "gw-mairie", "--json")
    return next(m["changes"] for m in json.loads(done.stdout)["machines"] if m["name"] == "gw-mairie")


@contextmanager
def inventory(town, file: str, old: str, new: str) -> Iterator[None]:
    """The commune with one thing changed in a file, and provisioned; afterwards all is as before."""
    path = town.inventory / file
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new), encoding="utf-8")
    try:
        changes(town)
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        changes(town)


class Stream:
    """Numbered lines without end from an application, read on a laptop."""

    def __init__(self, town, laptop: str, address: str) -> None:
        self.process = town.lab.machine(laptop).popen(["bash", "-c", COUNT.format(address=address)])
        self.numbers: list[int] = []
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + 10
        while not self.numbers and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.numbers, f"{laptop} gets nothing from {address}"

    def _read(self) -> None:
        self.numbers += (int(line) for line in iter(self.process.stdout.readline, b"") if line.strip().isdigit())

    def lives(self) -> bool:
        seen = len(self.numbers)
        time.sleep(1)
        return len(self.numbers) > seen

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.numbers == list(range(len(self.numbers)))


@contextmanager
def streams(town, *wanted: tuple[str, str]) -> Iterator[list[Stream]]:
    running = [Stream(town, laptop, address) for laptop, address in wanted]
    try:
        yield running
    finally:
        for stream in running:
            stream.end()


def test_an_application_that_is_withdrawn_ends_at_once_and_nothing_else_does(provisioned):
    wanted = ("portable-041", FINANCES), ("portable-041", MESSAGERIE), ("portable-042", MESSAGERIE)
    with streams(provisioned, *wanted) as (finances, mail, colleague):
        with inventory(provisioned, "commune.toml", '["finances", "messagerie"]', '["messagerie"]'):
            assert not finances.lives()
            assert mail.lives()
            assert colleague.lives()
            assert reach(provisioned, "portable-041", FINANCES, 443) == "refused"
        assert reach(provisioned, "portable-041", FINANCES, 443) == "open"


def test_another_mtu_costs_nobody_a_connection(provisioned):
    with streams(provisioned, ("portable-042", MESSAGERIE)) as (colleague,):
        with inventory(provisioned, "commune.toml", 'mode    = "full"', 'mode    = "full"\nmtu     = 1400'):
            assert shell(provisioned, "gw-mairie", "cat /sys/class/net/wg0/mtu") == "1400"
            assert colleague.lives()
        assert colleague.lives()


def test_what_somebody_changed_by_hand_is_put_right(provisioned):
    harm = {
        "nft flush ruleset": "nft list table inet telekit | grep -c 'policy drop'",
        "nft insert rule inet telekit input tcp dport 22 accept": "nft list chain inet telekit input | grep -c '^..tcp dport 22'",
        "wg set wg0 peer $(wg show wg0 peers | head -1) remove": "wg show wg0 peers | wc -l",
        "ip link delete wg0": "wg show wg0 peers | wc -l",
        "systemctl stop unbound telekit-tunnel-record": "systemctl is-active unbound telekit-tunnel-record | grep -c ^active",
        "echo 0 > /proc/sys/net/ipv4/ip_forward": "cat /proc/sys/net/ipv4/ip_forward",
        "systemctl mask --now apt-daily-upgrade.timer": "systemctl is-active apt-daily-upgrade.timer",
        "chmod 755 /var/log/telekit": "stat -c %a /var/log/telekit",
    }
    for command, measure in harm.items():
        before = shell(provisioned, "gw-mairie", measure)
        shell(provisioned, "gw-mairie", command)
        assert shell(provisioned, "gw-mairie", measure) != before, command
        assert changes(provisioned), command
        assert shell(provisioned, "gw-mairie", measure) == before, command
        assert changes(provisioned) == [], command
    # The gateway forgot the tunnel: WireGuard on the laptop notices after some 15 s without an answer.
    deadline = time.monotonic() + 40
    while reach(provisioned, "portable-041", FINANCES, 443) != "open":
        assert time.monotonic() < deadline


def test_laptops_do_not_reach_each_other_nor_the_gateways_ssh(provisioned):
    other = shell(provisioned, "portable-042", "ip -4 -br address show wg0 | grep -o '10.177.0.[0-9]*'")
    assert other
    for address in (other, "10.177.0.1", "10.77.0.1"):
        assert reach(provisioned, "portable-041", address, 22) == "refused"


def test_the_resolver_answers_in_the_tunnel_and_nowhere_else(provisioned):
    assert resolve(provisioned, "portable-041", "10.177.0.1", "finances.lab.example") == FINANCES
    assert resolve(provisioned, "gw-mairie", "fd77:77:77::1", "finances.lab.example") == FINANCES
    assert resolve(provisioned, "admin", "10.77.0.1", "finances.lab.example") == "silence"
    assert resolve(provisioned, "internet", "198.18.0.2", "finances.lab.example") == "silence"


def test_only_administrators_reach_the_gateways_ssh_by_ipv6(provisioned):
    for address in ("fd77:77::1", "2001:db8:18::2"):
        places = {place: reach(provisioned, place, address, 22) for place in ("servers", "internet", "portable-041")}
        assert set(places.values()) == {"refused"}, address
    assert reach(provisioned, "admin", "fd77:77::1", 22) == "open"


def test_an_administrator_reaches_a_laptop_by_ipv6_and_others_do_not(provisioned):
    laptop = shell(provisioned, "portable-041", "ip -6 -br address show wg0 scope global | grep -o 'fd77:77:77::[0-9]*'")
    assert reach(provisioned, "admin", laptop, 22) == "open"
    assert reach(provisioned, "servers", laptop, 22) == "refused"


def test_an_administrator_reaches_a_laptop_through_the_tunnel_and_others_do_not(provisioned):
    laptop = shell(provisioned, "portable-041", "ip -4 -br address show wg0 | grep -o '10.177.0.[0-9]*'")
    assert reach(provisioned, "admin", laptop, 22) == "open"
    assert reach(provisioned, "servers", laptop, 22) == "refused"


def test_a_forged_tunnel_address_on_the_lan_gets_no_further(provisioned):
    forge = "ip address add 10.177.0.2/32 dev lan0; ip route replace 10.77.2.0/24 via 10.77.0.1 src 10.177.0.2; "
    ask = "timeout 2 bash -c 'exec 3<>/dev/tcp/10.77.2.21/3389' && echo open || echo refused; "
    undo = "ip route del 10.77.2.0/24; ip address del 10.177.0.2/32 dev lan0"
    assert shell(provisioned, "servers", forge + ask + undo).splitlines()[-1:] == ["refused"]


def test_an_ipv6_address_of_the_town_hall_that_comes_from_the_internet_gets_no_further(provisioned):
    send = "import socket as s; s = s.socket(s.AF_INET6, 2); s.bind(('fd77:77::10', 0)); s.sendto(b'x', ('2001:db8:18::2', 22))"
    add, delete = (f"ip address {verb} fd77:77::10/128 dev eth0" for verb in ("add", "delete"))
    forge = f'{add}; python3 -c "{send}"; {delete}'
    shell(provisioned, "gw-mairie", COUNT_FORGED)
    shell(provisioned, "internet", forge)
    seen = shell(provisioned, "gw-mairie", "nft list counters table inet probe | grep packets; nft delete table inet probe")
    came, passed = (int(line.split()[1]) for line in seen.splitlines())
    assert (came > 0, passed) == (True, 0)


@pytest.mark.parametrize("kind", ["full", "split", "split behind NAT", "without IPv6", "with nobody"])
def test_nftables_accepts_the_rules_of_every_kind_of_commune(provisioned, kind):
    commune = read(provisioned.inventory).complete(load(provisioned.inventory).commune)
    network = commune.network
    towns: dict[str, Commune] = {
        "full": commune,
        "split": replace(commune, network=replace(network, mode=Mode.SPLIT)),
        "split behind NAT": replace(commune, gateways=(replace(commune.gateway, nat=True),)),
        "without IPv6": replace(commune, network=replace(network, tunnel6=None, lan=(IPv4Network("198.51.100.0/24"),))),
        "with nobody": replace(commune, agents=(), network=replace(network, admin=(), bench=())),
    }
    rules = ruleset(towns[kind], (22,))
    done = provisioned.lab.machine("gw-mairie").run(["nft", "--check", "--file", "/dev/stdin"], stdin=rules)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_record_holds_a_reboot_without_closing_a_tunnel(provisioned):
    read_record = "cat /var/log/telekit/tunnels-*.log"
    before = shell(provisioned, "gw-mairie", read_record)
    assert "opened device=portable-041 endpoint=198.18.0.10:" in before
    provisioned.lab.machine("gw-mairie").reboot()
    # A laptop that sends into a session which the gateway has forgotten asks for another after some 15 seconds.
    deadline = time.monotonic() + 40
    while reach(provisioned, "portable-041", FINANCES, 443) != "open":
        assert time.monotonic() < deadline, "the tunnel did not come back"
    assert reach(provisioned, "portable-041", ETAT_CIVIL, 8443) == "refused"
    assert reach(provisioned, "internet", "198.18.0.2", 22) == "refused"
    time.sleep(6)
    after = shell(provisioned, "gw-mairie", read_record)
    assert after.startswith(before)
    assert " closed " not in after.removeprefix(before)
    assert shell(provisioned, "gw-mairie", "stat -c '%U %a' /var/log/telekit /var/log/telekit/*") == "root 700\nroot 600"


def read_ssh_settings_again(provisioned) -> None:
    """sshd starts anew on a reload: for a moment nobody listens."""
    shell(provisioned, "gw-mairie", "systemctl reload ssh")
    deadline = time.monotonic() + 10
    while provisioned.ssh("gw-mairie", "true").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_passwords_open_no_ssh_whatever_another_file_says(provisioned):
    loose = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
    shell(provisioned, "gw-mairie", f"printf 'PasswordAuthentication yes\\nPermitRootLogin yes\\n' > {loose}")
    try:
        read_ssh_settings_again(provisioned)
        command = provisioned.lab.ssh_command("gw-mairie")
        ask = [*command[:1], "-o", "PubkeyAuthentication=no", "-o", "BatchMode=yes", *command[1:], "true"]
        refused = subprocess.run(ask, capture_output=True, text=True, check=False)
        assert "Permission denied (publickey)" in refused.stderr
        assert shell(provisioned, "gw-mairie", "sshd -T | grep ^permitrootlogin") == "permitrootlogin no"
    finally:
        shell(provisioned, "gw-mairie", f"rm {loose}")
        read_ssh_settings_again(provisioned)


def test_operators_come_and_go_but_never_the_last_key(provisioned, tmp_path):
    keys = provisioned.inventory / "operators.keys"
    mine = keys.read_text(encoding="utf-8")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "collegue", "-f", tmp_path / "key"], check=True)
    other = (tmp_path / "key.pub").read_text(encoding="ascii")
    count = "grep -c ^ssh ~telekit/.ssh/authorized_keys"
    try:
        keys.write_text(other, encoding="utf-8")
        done = provisioned.telekit("provision", "--yes", "--only", "gw-mairie", check=False)
        assert done.returncode == 2
        assert "line of your key must be in operators.keys" in done.stdout + done.stderr
        keys.write_text(mine + other, encoding="utf-8")
        changes(provisioned)
        assert shell(provisioned, "gw-mairie", count) == "2"
    finally:
        keys.write_text(mine, encoding="utf-8")
    changes(provisioned)
    assert shell(provisioned, "gw-mairie", count) == "1"
