"""The laptop in the hands of its agent: what gets out, what gets in, what the antivirus lets them read."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.at_work import until
from toolkit.lab.names import FURTHER

pytestmark = pytest.mark.lab

LAPTOP, AGENT, STRANGER = "portable-041", "m.durand", "k.benali"
# In two parts: whoever reads this file is no virus.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
QUARANTINE = "/var/lib/telekit/quarantine"
INTERNET, HOME_BOX = "198.18.0.100", "192.168.1.1"
TALK = """\
import socket, sys
def attempt(what, function):
    try:
        print(what, function(), flush=True)
    except OSError as error:
        print(what, type(error).__name__, flush=True)
def page(host):
    with socket.create_connection((host, 80), timeout=4) as link:
        link.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return link.makefile("rb").read().decode().split()[-1]
def question():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2)
        name = b"\\3www\\10internet\\7example\\0"
        link.sendto(bytes.fromhex("123401000001000000000000") + name + b"\\0\\1\\0\\1", ("192.168.1.1", 53))
        return len(link.recv(512)) > 0
attempt("name", lambda: socket.gethostbyname("www.internet.example"))
attempt("page", lambda: page("198.18.0.100"))
attempt("box", lambda: page("192.168.1.1"))
attempt("question", question)
attempt("page6", lambda: page("2001:db8:18::100"))
attempt("box6", lambda: page("2001:db8:10::1"))
"""
# What becomes of attempts to get out beside the tunnel: refused at once, as by a router that may not.
BESIDE = {"box": "OSError", "question": "PermissionError", "box6": "PermissionError"}
# A browser that says what it saw, and stays open as browsers do.
BROWSER = f"#!/usr/bin/python3\n{TALK}\nimport time\ntime.sleep(30)\n"


def shell(town, script: str, place: str = LAPTOP, timeout: float = 60) -> str:
    done = town.lab.vantage(place).run(["bash", "-c", f"cd /; {script}"], timeout=timeout)
    return (done.stdout + done.stderr).strip()


def as_agent(town, script: str) -> str:
    quoted = script.replace("'", "'\"'\"'")
    return shell(town, f"runuser -u {AGENT} -- bash -c '{quoted}'")


def words(output: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in output.splitlines() if " " in line)


def talk(town) -> dict[str, str]:
    """What the agent's own programs reach."""
    done = town.lab.machine(LAPTOP).run(["runuser", "-u", AGENT, "--", "python3", "-"], stdin=TALK, timeout=60)
    return words(done.stdout)


def write(town, path: str, content: str, mode: str = "644") -> None:
    # The mode first: the antivirus may take the file away as soon as there is something in it.
    script = ': > "$1" && chmod "$2" "$1" && cat > "$1"'
    town.lab.machine(LAPTOP).run(["sh", "-c", script, "sh", path, mode], stdin=content, check=True)


def connected(town) -> bool:
    answered = shell(town, "wg show wg0 latest-handshakes | cut -f 2")
    return answered.isdigit() and time.time() - int(answered) < 150


@pytest.fixture
def laptop(provisioned) -> Iterator:
    """The town, with the laptop's tunnel open before and after."""
    assert until(lambda: connected(provisioned), 30), "the tunnel does not open"
    yield provisioned
    shell(provisioned, "systemctl stop telekit-portal; systemctl start wg-quick@wg0; rm -f /usr/local/bin/firefox-esr")
    assert until(lambda: connected(provisioned), 30), "the tunnel does not open again"


@pytest.fixture
def quarantine(laptop) -> Iterator:
    """The town, with an empty quarantine before and after."""
    shell(laptop, f"find {QUARANTINE} -type f ! -name '.*' -delete")
    yield laptop
    shell(laptop, f"find {QUARANTINE} -type f ! -name '.*' -delete")


def in_quarantine(town) -> list[str]:
    return shell(town, f"ls {QUARANTINE}").split()


def test_a_file_that_was_there_before_the_antivirus_is_refused_and_taken_away(quarantine) -> None:
    shell(quarantine, "systemctl stop clamav-clamonacc")
    write(quarantine, f"/home/{AGENT}/avant.txt", EICAR)
    shell(quarantine, "systemctl start clamav-clamonacc; sleep 4")
    # Whatever else looked at it first has had it taken away before.
    assert "Operation not permitted" in (said := as_agent(quarantine, "cat ~/avant.txt")) or "No such file" in said
    assert until(lambda: "avant.txt" in in_quarantine(quarantine), 30)
    assert "No such file" in as_agent(quarantine, "ls ~/avant.txt")


def test_quarantine_is_for_root_alone(quarantine) -> None:
    assert shell(quarantine, f"stat -c %U:%a {QUARANTINE}") == "root:700"
    assert "Permission denied" in as_agent(quarantine, f"ls {QUARANTINE}")


def test_an_infected_file_on_a_stick_that_is_plugged_in_is_refused(quarantine) -> None:
    stick = f"/media/{AGENT}/CLÉ USB-1"
    shell(quarantine, f"mkdir -p '{stick}' && mount -t tmpfs tmpfs '{stick}'")
    try:
        unit = f"telekit-removable@$(systemd-escape --path '{stick}').service"
        assert until(lambda: shell(quarantine, f"systemctl is-active {unit}") == "active", 30)
        write(quarantine, f"{stick}/propre.txt", "propre\n")
        time.sleep(3)
        write(quarantine, f"{stick}/virus.txt", EICAR)
        assert EICAR not in as_agent(quarantine, f"cat '{stick}/virus.txt'")
        assert as_agent(quarantine, f"cat '{stick}/propre.txt'") == "propre"
        assert until(lambda: "virus.txt" in in_quarantine(quarantine), 30)
    finally:
        assert shell(quarantine, f"umount '{stick}'; rmdir '{stick}'; mountpoint -q '{stick}' && echo busy") == ""
    assert until(
        lambda: shell(quarantine, "systemctl --failed --no-legend; systemctl list-units --no-legend 'telekit-rem*'") == "", 30
    )


def test_the_antivirus_is_not_the_agents_to_stop(laptop) -> None:
    assert "authentication required" in as_agent(laptop, "systemctl stop clamav-daemon").lower()
    assert "Permission denied" in as_agent(
        laptop, "python3 -c \"import socket; socket.socket(1).connect('/run/clamav/clamd.ctl')\""
    )
    assert shell(laptop, "systemctl is-active clamav-daemon clamav-clamonacc").split() == ["active", "active"]


def test_through_the_tunnel_the_agent_reaches_the_internet_and_beside_it_nothing(laptop) -> None:
    assert talk(laptop) == {"name": INTERNET, "page": "198.18.0.2", "page6": "2001:db8:18::2", **BESIDE}


def test_without_the_tunnel_the_agent_reaches_nothing_and_resolves_nothing(laptop) -> None:
    shell(laptop, "systemctl stop wg-quick@wg0")
    assert talk(laptop) == {"name": "gaierror", "page": "OSError", "page6": "PermissionError", **BESIDE}


@pytest.mark.parametrize("tunnel", ["up", "down"])
def test_a_portal_is_for_one_browser_and_the_way_closes_with_it(laptop, tunnel: str) -> None:
    write(laptop, "/usr/local/bin/firefox-esr", BROWSER, "755")
    if tunnel == "down":
        shell(laptop, "systemctl stop wg-quick@wg0")
    since = shell(laptop, "date '+%Y-%m-%d %H:%M:%S'")
    assert "s'ouvre" in as_agent(laptop, "telekit-portail")
    journal = f"journalctl -u telekit-portal --since '{since}' -o cat --no-pager"
    assert until(lambda: "box6" in shell(laptop, journal), 30)
    seen = shell(laptop, journal)
    # The browser asks the network's own resolver and has the network's own address; the box itself has no web page.
    told = words(seen)
    assert {"name": INTERNET, "page": "198.18.0.10", "box": "ConnectionRefusedError", "question": "True"}.items() <= told.items()
    assert told["page6"].startswith("2001:db8:10:")
    assert told["box6"] == "ConnectionRefusedError"
    assert f"pour {AGENT}" in seen
    assert talk(laptop)["question"] == "PermissionError"
    assert "443" in shell(laptop, "nft list set inet telekit portal")
    as_agent(laptop, "systemctl stop telekit-portal")
    assert "443" not in shell(laptop, "nft list set inet telekit portal")


def test_the_way_to_a_portal_closes_by_the_kernels_own_clock(laptop) -> None:
    write(laptop, "/usr/local/bin/firefox-esr", "#!/bin/sh\nexec sleep 60\n", "755")
    as_agent(laptop, "telekit-portail")
    listed = shell(laptop, "nft list set inet telekit portal")
    assert "timeout 15m" in listed
    assert "expires" in listed


def test_nobody_but_the_laptops_agent_opens_the_way_to_a_portal(laptop) -> None:
    shell(laptop, f"useradd {STRANGER}")
    try:
        refused = shell(laptop, f"runuser -u {STRANGER} -- systemctl start telekit-portal")
        assert "authentication required" in refused.lower()
    finally:
        shell(laptop, f"userdel {STRANGER}")


def test_a_home_network_with_the_town_halls_addresses_does_not_hide_the_town_hall(laptop) -> None:
    shell(laptop, "ip address add 10.77.2.99/20 dev eth0")
    try:
        assert "wg0" in shell(laptop, "ip route get 10.77.2.21")
        assert "bench0" in shell(laptop, "ip route get 10.77.15.10")
        assert "open" in as_agent(laptop, "timeout 4 bash -c 'exec 3<>/dev/tcp/10.77.2.21/3389' && echo open")
    finally:
        shell(laptop, "ip address delete 10.77.2.99/20 dev eth0")


@pytest.mark.parametrize("version", [4, 6])
def test_from_the_home_network_no_port_answers(laptop, version: int) -> None:
    address = shell(laptop, f"ip -{version} -o address show eth0 scope global | sed -n '1s/.* inet6\\? \\([^/]*\\).*/\\1/p'")
    assert address
    ask = (
        "for p in 22 53 111 631 3389 5353 5355; do timeout 1 bash -c 'exec 3<>/dev/tcp/{}/'$p 2>/dev/null && echo $p; done; true"
    )
    assert shell(laptop, ask.format(address), place="home") == ""


def test_a_tunnel_that_comes_up_before_the_network_finds_the_gateway_later(laptop) -> None:
    shell(laptop, "ifdown eth0", timeout=60)
    try:
        shell(laptop, "systemctl restart wg-quick@wg0")
        assert shell(laptop, "systemctl is-active wg-quick@wg0") == "active"
        assert shell(laptop, "wg show wg0 endpoints | cut -f 2") == "(none)"
        # Long enough for chrony to have asked in vain, and to ask more rarely from then on.
        shell(laptop, "systemctl restart chrony; sleep 9")
    finally:
        shell(laptop, "ifup eth0", timeout=60)
    assert until(lambda: connected(laptop), 60)
    assert until(lambda: shell(laptop, "chronyc -n -c tracking").endswith(",Normal"), 20), "the clock follows nobody"


def test_a_gateway_that_moved_is_found_by_its_name(laptop) -> None:
    elsewhere = "wg set wg0 peer $(wg show wg0 peers) endpoint 198.18.0.77:51820"
    shell(laptop, f"systemctl restart wg-quick@wg0; systemctl stop telekit-endpoint.service; {elsewhere}")
    assert until(lambda: connected(laptop), 60)
    assert shell(laptop, "wg show wg0 endpoints | cut -f 2") == "198.18.0.2:51820"


def test_where_only_ipv6_leads_to_the_gateway_the_tunnel_goes_by_it(laptop) -> None:
    """As at home where IPv4 is broken, or the gateway's IPv4 address is."""
    shell(laptop, "nft insert rule inet box forward ip daddr 198.18.0.2 drop", place="homebox")
    further = laptop.lab.places.run / FURTHER
    reread = f"pkill -HUP -f {laptop.lab.places.run}/[d]nsmasq-isp.conf"
    further.write_text("2001:db8:18::2 vpn.lab.example\n", encoding="ascii")
    shell(laptop, reread, place="isp")
    try:
        shell(laptop, "systemctl restart wg-quick@wg0")
        # The first address is tried first, then the other, and so on. After IPv4, Debian 13's wireguard-go sends its first
        # packets by IPv6 to an address cut off after 32 bits, so that a try of 15 s may be over before one arrives.
        assert until(lambda: connected(laptop), 240)
        assert shell(laptop, "wg show wg0 endpoints | cut -f 2") == "[2001:db8:18::2]:51820"
        assert talk(laptop) == {"name": INTERNET, "page": "198.18.0.2", "page6": "2001:db8:18::2", **BESIDE}
    finally:
        further.write_text("", encoding="ascii")
        shell(laptop, reread, place="isp")
        shell(laptop, "nft delete rule inet box forward handle $(nft -a list chain inet box forward "
                      "| sed -n 's/.*198.18.0.2 drop # handle //p')", place="homebox")  # fmt: skip
        shell(laptop, "systemctl restart wg-quick@wg0")


def test_the_weekly_scan_takes_away_what_nobody_opened(quarantine) -> None:
    shell(quarantine, "mkdir -p /srv/depot")
    write(quarantine, "/srv/depot/oublie.txt", EICAR)
    command = "systemctl show -p ExecStart --value telekit-scan.service | sed 's/.*argv\\[\\]=\\([^;]*\\) \\/ ;.*/\\1/'"
    scan = shell(quarantine, command)
    assert scan.startswith("/usr/bin/clamdscan")
    shell(quarantine, f"{scan} /srv/depot", timeout=120)
    assert "oublie.txt" in in_quarantine(quarantine)


def test_an_agent_made_administrator_by_hand_does_not_stay_one(laptop) -> None:
    shell(laptop, f"usermod --append --groups sudo,adm {AGENT}")
    laptop.telekit("provision", "--yes", "--only", LAPTOP)
    assert set(shell(laptop, f"id -nG {AGENT}").split()) == {AGENT, "telekit-agents"}
