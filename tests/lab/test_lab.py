"""The test town is what it says: real machines, networks that hide what they should, servers that answer."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from toolkit.errors import TelekitError, UsageError

pytestmark = pytest.mark.lab

ASK_UDP = """
import socket, sys
line = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
line.settimeout(3)
line.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
print(line.recv(1000).decode())
"""
ASK_TCP = """
import socket, sys
line = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)
print(line.makefile().readline())
"""
# The machines' minimal Python has no urllib.
FETCH = """
import socket, sys
method, url = sys.argv[1:3]
host, _, path = url.removeprefix("http://").partition("/")
name, _, port = host.partition(":")
line = socket.create_connection((name, int(port or 80)), timeout=5)
line.sendall("\\r\\n".join([f"{method} /{path} HTTP/1.1", f"Host: {name}", *sys.argv[3:], "", ""]).encode())
head, _, body = line.makefile(newline="").read(int(1e6) if "count" not in path else 200).partition("\\r\\n\\r\\n")
print(head if method == "HEAD" or " 304 " in head else body, end="")
"""
CLOSE_SSH = """
apt-get -qq install -y nftables >/dev/null 2>&1
nft add table inet closed
nft 'add chain inet closed input { type filter hook input priority 0; }'
nft add rule inet closed input tcp dport 22 drop
"""
RESOLVE = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"


def python(outpost, place: str, script: str, *arguments: str):
    return outpost.lab.vantage(place).run(["python3", "-c", script, *arguments], timeout=20)


def reaches(outpost, place: str, address: str, port: int) -> bool:
    return python(outpost, place, ASK_TCP, address, str(port)).returncode == 0


def test_every_machine_runs_the_debian_asked_for_with_no_failed_unit(outpost):
    wanted = {"trixie": "13", "bookworm": "12"}[outpost.release]
    for machine in ("gw-mairie", "bureau-finances-03", "portable-041"):
        version = outpost.lab.machine(machine).run(["cat", "/etc/debian_version"]).stdout
        state = outpost.lab.machine(machine).run(["systemctl", "is-system-running", "--wait"]).stdout.strip()
        assert (version.partition(".")[0], state) == (wanted, "running"), machine


def test_the_ssh_port_leads_to_the_administrators_account(outpost):
    done = outpost.ssh("gw-mairie", "id --user --name; sudo id --user; hostname; echo $SSH_CONNECTION")
    assert done.stdout.split()[:3] == ["telekit", "0", "gw-mairie"]
    # From the administrator's workstation to the machine's own address on the LAN, not to its loopback.
    assert done.stdout.split()[3::2] == ["10.77.0.10", "10.77.0.1"]


def test_the_ssh_port_goes_through_the_machines_firewall_and_the_way_out_of_band_does_not(outpost):
    machine = outpost.lab.machine("bureau-finances-03")
    assert machine.run(["sh", "-c", CLOSE_SSH], timeout=120).returncode == 0
    try:
        assert machine.run(["hostname"]).stdout.strip() == "bureau-finances-03"
        assert not reaches(outpost, "admin", "10.77.2.21", 22)
        with pytest.raises(subprocess.TimeoutExpired):
            outpost.ssh("bureau-finances-03", "true", timeout=3)
    finally:
        machine.run(["nft", "delete", "table", "inet", "closed"])
    assert outpost.ssh("bureau-finances-03", "true").returncode == 0


def test_every_application_of_the_inventory_answers_on_its_ports(outpost):
    for key, address, port in (("finances", "10.77.1.11", 443), ("finances", "10.77.1.11", 1521),
                               ("messagerie", "10.77.1.12", 993), ("etat-civil", "10.77.1.13", 8443)):  # fmt: skip
        answer = json.loads(python(outpost, "admin", ASK_TCP, address, str(port)).stdout)
        assert answer == {"application": key, "server": f"{address}:{port}/tcp", "client": "10.77.0.10"}
    answer = json.loads(python(outpost, "admin", ASK_UDP, "10.77.1.13", "5000").stdout)
    assert answer == {"application": "etat-civil", "server": "10.77.1.13:5000/udp", "client": "10.77.0.10"}


def test_an_application_answers_by_ipv6(outpost):
    for ask, port, protocol in ((ASK_TCP, 5061, "tcp"), (ASK_UDP, 5060, "udp")):
        answer = json.loads(python(outpost, "admin", ask, "fd77:77::1:14", str(port)).stdout)
        server = f"[fd77:77::1:14]:{port}/{protocol}"
        assert answer == {"application": "telephonie", "server": server, "client": "fd77:77::10"}


def test_an_application_answers_a_browser_and_counts_for_who_watches_a_stream(outpost):
    page = python(outpost, "admin", FETCH, "GET", "http://messagerie.lab.example:443/")
    assert json.loads(page.stdout)["application"] == "messagerie"
    stream = python(outpost, "admin", FETCH, "GET", "http://10.77.1.12:443/count").stdout
    assert stream.startswith("0\n1\n2\n")


def test_nothing_of_the_town_hall_is_reachable_from_the_internet_or_from_home(outpost):
    for place in ("internet", "home"):
        assert not reaches(outpost, place, "10.77.1.11", 443)
        assert not reaches(outpost, place, "10.77.2.21", 22)
        assert not reaches(outpost, place, "fd77:77::1:14", 5061)


def test_a_home_is_hidden_behind_its_router(outpost):
    hello = python(outpost, "home", FETCH, "GET", "http://www.internet.example/").stdout
    assert hello == "telekit lab: this is the internet, you are 198.18.0.10\n"
    lease = laptop_address(outpost)
    assert not reaches(outpost, "internet", lease, 22)
    # Nor by way of the router itself, for who knows the address behind it.
    outpost.lab.vantage("internet").run(["ip", "route", "add", "192.168.1.0/24", "via", "198.18.0.10"])
    try:
        assert not reaches(outpost, "internet", lease, 22)
    finally:
        outpost.lab.vantage("internet").run(["ip", "route", "delete", "192.168.1.0/24"])
    assert reaches(outpost, "home", lease, 22)


def laptop_address(outpost, version: int = 4) -> str:
    ask = ["ip", "-json", f"-{version}", "address", "show", "dev", "eth0", "scope", "global"]
    found = json.loads(outpost.lab.machine("portable-041").run(ask).stdout)
    return next((address["local"] for card in found for address in card.get("addr_info", ())), "")


def test_a_home_has_ipv6_without_nat_and_lets_nothing_in(outpost):
    wait_until(lambda: laptop_address(outpost, 6).startswith("2001:db8:10:"), seconds=20)
    laptop = outpost.lab.machine("portable-041")
    assert "default via fe80::" in laptop.run(["ip", "-6", "route"]).stdout
    for place in ("portable-041", "home"):
        hello = python(outpost, place, FETCH, "GET", "http://www6.internet.example/").stdout
        assert hello.startswith("telekit lab: this is the internet, you are 2001:db8:10:"), place
    assert not reaches(outpost, "internet", laptop_address(outpost, 6), 22)
    assert reaches(outpost, "home", laptop_address(outpost, 6), 22)


def test_a_laptop_at_home_has_its_address_router_and_resolver_from_dhcp(outpost):
    assert laptop_address(outpost).startswith("192.168.1.1")
    laptop = outpost.lab.machine("portable-041")
    assert "default via 192.168.1.1 dev eth0" in laptop.run(["ip", "route"]).stdout
    assert "nameserver 192.168.1.1\n" in laptop.run(["cat", "/etc/resolv.conf"]).stdout


def test_each_place_resolves_what_it_should_and_no_more(outpost):
    endpoint, mirror, inside = "vpn.lab.example", "mirror.lab.example", "finances.lab.example"
    for place in ("internet", "home", "admin", "gw-mairie", "bureau-finances-03", "portable-041"):
        assert python(outpost, place, RESOLVE, endpoint).stdout.strip() == "198.18.0.2", place
        assert python(outpost, place, RESOLVE, mirror).stdout.strip() == "198.18.0.20", place
    for place in ("internet", "home", "portable-041"):
        assert python(outpost, place, RESOLVE, inside).returncode != 0, place
    for place in ("admin", "bureau-finances-03"):
        assert python(outpost, place, RESOLVE, inside).stdout.strip() == "10.77.1.11", place


def test_the_antivirus_mirror_serves_a_signature_of_the_test_virus(outpost):
    served = python(outpost, "portable-041", FETCH, "GET", "http://mirror.lab.example/lab.hdb").stdout
    assert served == "44d88612fea8a8f36de82e1278abb02f:68:Lab.Eicar\n"


def test_the_antivirus_mirror_sends_nothing_twice(outpost):
    head = python(outpost, "portable-041", FETCH, "HEAD", "http://mirror.lab.example/lab.hdb").stdout
    dated = next(line for line in head.splitlines() if line.startswith("Last-Modified: "))
    since = dated.replace("Last-Modified", "If-Modified-Since")
    again = python(outpost, "portable-041", FETCH, "GET", "http://mirror.lab.example/lab.hdb", since).stdout
    assert again.startswith("HTTP/1.1 304 ")


def test_packages_come_by_the_mirrors_usual_name(outpost):
    for machine in ("gw-mairie", "bureau-finances-03", "portable-041"):
        assert outpost.lab.machine(machine).run(["apt-get", "-qq", "update"], timeout=120).stderr == "", machine
    sources = outpost.lab.machine("portable-041").run(["cat", "/etc/apt/sources.list"]).stdout
    assert {line.split()[1] for line in sources.splitlines()} == {
        "http://deb.debian.org/debian",
        "http://deb.debian.org/debian-security",
    }
    assert "roxy" not in outpost.lab.machine("portable-041").run(["apt-config", "dump"]).stdout.replace("APT::", "")


def test_a_machine_that_reboots_keeps_its_disk_and_loses_what_was_not_made_to_last(outpost):
    machine = outpost.lab.machine("gw-mairie")
    machine.run(["sh", "-c", "echo kept > /root/kept; sysctl -qw net.ipv4.ip_forward=1; ip address add 10.77.9.9/32 dev lan0"])
    booted = machine.run(["systemctl", "show", "--property=UserspaceTimestampMonotonic"]).stdout
    machine.reboot()
    assert machine.run(["systemctl", "show", "--property=UserspaceTimestampMonotonic"]).stdout != booted
    assert machine.run(["cat", "/root/kept"]).stdout == "kept\n"
    assert machine.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "0\n"
    assert "10.77.9.9" not in machine.run(["ip", "address"]).stdout
    assert outpost.ssh("gw-mairie", "true").returncode == 0


def test_a_reboot_asked_for_from_inside_is_one(outpost):
    before = boots(outpost, "portable-041")
    outpost.ssh("portable-041", "sudo systemctl reboot")
    wait_until(lambda: (boots(outpost, "portable-041"), state(outpost, "portable-041")) == (before + 1, "running"), seconds=60)


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.2)


def boots(outpost, machine: str) -> int:
    return next(m.boots for m in outpost.lab.status().machines if m.name == machine)


def state(outpost, machine: str) -> str:
    return next(m.state for m in outpost.lab.status().machines if m.name == machine)


@pytest.mark.parametrize("hard", [False, True], ids=["orderly", "unplugged"])
def test_a_machine_goes_off_and_on_again_with_its_disk(outpost, hard):
    machine = outpost.lab.machine("bureau-finances-03")
    machine.run(["touch", "/root/kept"])
    machine.power_off(hard=hard)
    assert state(outpost, "bureau-finances-03") == "off"
    with pytest.raises(TelekitError, match="off"):
        machine.run(["true"])
    machine.power_on()
    assert machine.run(["ls", "/root/kept"]).returncode == 0


def test_a_cable_that_is_out_carries_nothing_until_it_is_back(outpost):
    laptop = outpost.lab.machine("portable-041")
    address = laptop_address(outpost)
    laptop.unplug("eth0")
    assert not reaches(outpost, "home", address, 22)
    assert reaches(outpost, "admin", "10.77.15.41", 22)
    laptop.plug("eth0")
    wait_until(lambda: reaches(outpost, "home", address, 22), seconds=30)


def test_a_card_that_a_machine_does_not_have_is_refused_with_those_it_has(outpost):
    with pytest.raises(TelekitError, match="wan0, lan0"):
        outpost.lab.machine("gw-mairie").unplug("eth7")


def test_up_again_changes_nothing(outpost):
    before = outpost.lab.machine("gw-mairie").run(["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id"]).stdout
    keys = (outpost.inventory / "known_hosts").read_text()
    outpost.lab.up(outpost.release, only=("gw-mairie", "bureau-finances-03", "portable-041"))
    assert outpost.lab.machine("gw-mairie").run(["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id"]).stdout == before
    assert set((outpost.inventory / "known_hosts").read_text().split("\n")) == set(keys.split("\n"))


def test_up_with_another_release_is_refused_while_it_runs(outpost):
    other = "bookworm" if outpost.release == "trixie" else "trixie"
    with pytest.raises(UsageError, match=f"already runs, with Debian {outpost.release}"):
        outpost.lab.up(other)


def test_nothing_of_the_lab_shows_in_the_computers_own_network(outpost):
    own = subprocess.run(["ip", "address"], capture_output=True, text=True, check=True).stdout
    shown = [["ip", family, "route", "show", "table", "all"] for family in ("-4", "-6")]
    routes = "".join(subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in shown)
    ranges = ("10.77.", "198.18.", "192.168.1.", "10.177.", "2001:db8:1", "fd77:")
    assert not any(lab in own + routes for lab in ranges)


def test_a_machine_knows_nothing_of_the_computers_apt_cache_but_through_the_internet(outpost):
    assert not reaches(outpost, "portable-041", "127.0.0.1", 3943)
