"""What the gateway does by itself: an access ends on its day, and a server that is known by its name is followed."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from toolkit.inventory import load
from toolkit.ledger import read, write

pytestmark = pytest.mark.lab
RELEASES = ("trixie",)

FINANCES, MESSAGERIE = "10.77.1.11", "10.77.1.12"
FORMER, LATTER, DNS = "10.77.1.20", "10.77.1.30", "10.77.0.54"
FORMER6 = "fd77:77::1:20"
NAME = "paie.lab.example"
SCHEDULE = "/etc/telekit/access.json"
MINUTE = 75
CONNECT = "timeout 4 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo refused"
COUNT = "exec 3<>/dev/tcp/{address}/443; printf 'GET /count HTTP/1.0\\r\\n\\r\\n' >&3; exec cat <&3"
# The two laptops: made by hand, in a network of the fake internet each.
LAPTOPS = {"portable-041": ("home", "10.177.0.2"), "portable-042": ("internet", "10.177.0.3")}
SIX = {"10.177.0.2": "fd77:77:77::2", "10.177.0.3": "fd77:77:77::3"}
SERVER = """\
import socket, socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.address_family = socket.AF_INET6
socketserver.ThreadingTCPServer(("::", 8080), Echo).serve_forever()
"""


# The clock of the program that sees to the days, and of nothing else: containers share this computer's own.
ANOTHER_CLOCK = """\
apt-get install -y -qq libfaketime > /dev/null 2>&1
mkdir -p {folder}
printf '[Service]\\nEnvironment=LD_PRELOAD=%s FAKETIME=+{seconds}s FAKETIME_DISABLE_SHM=1\\n' \
    "$(dpkg -L libfaketime | grep '/libfaketime.so.1$')" > {folder}/clock.conf
systemctl daemon-reload
systemctl start telekit-access
"""
OWN_CLOCK = "rm -r {folder}; systemctl daemon-reload; systemctl start telekit-access"
OVERRIDE = "/run/systemd/system/telekit-access.service.d"


def key_pair() -> tuple[str, str]:
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    return private, subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()


def until(what: Callable[[], bool], seconds: float = MINUTE) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := what()) and time.monotonic() < deadline:
        time.sleep(1)
    return holds


@dataclass
class Scene:
    """The gateway, two laptops made by hand, and a name server that a test can change."""

    town: object
    wireguard: Path
    names: Path
    keys: dict[str, tuple[str, str]] = field(default_factory=lambda: {name: key_pair() for name in LAPTOPS})

    def shell(self, place: str, script: str, timeout: float = 60) -> str:
        done = self.town.lab.vantage(place).run(["bash", "-c", script], timeout=timeout)
        assert done.returncode == 0, f"{script}: {done.stderr}"
        return done.stdout.strip()

    def gateway(self, script: str) -> str:
        return self.shell("gw-mairie", script)

    def reach(self, laptop: str, address: str, port: int) -> str:
        return self.shell(LAPTOPS[laptop][0], CONNECT.format(address=address, port=port))

    def connect(self, laptop: str) -> None:
        """Bring the laptop's tunnel up anew: it must shake hands."""
        place, address = LAPTOPS[laptop]
        interface = f"wg{laptop[-3:]}-{self.town.lab.name[-6:]}"
        server = self.gateway("wg show wg0 public-key")
        peer = f"[Peer]\nPublicKey = {server}\nEndpoint = 198.18.0.2:51820\nAllowedIPs = 0.0.0.0/0, ::/0\n"
        configuration = f"[Interface]\nPrivateKey = {self.keys[laptop][0]}{peer}PersistentKeepalive = 1\n"
        script = (
            f"ip link del {interface} 2>/dev/null && sleep 1; {self.wireguard} {interface} >&2"
            f" && wg setconf {interface} /dev/stdin"
            f" && ip address add {address}/32 dev {interface} && ip link set {interface} up mtu 1420"
            f" && ip route replace 10.77.0.0/20 dev {interface} src {address}"
            f" && ip address add {SIX[address]}/128 dev {interface} && ip route replace fd77:77::/64 dev {interface}"
        )
        done = self.town.lab.vantage(place).run(["bash", "-c", script], stdin=configuration)
        assert done.returncode == 0, done.stderr

    def shakes_hands(self, laptop: str, seconds: float) -> bool:
        place, _ = LAPTOPS[laptop]
        interface = f"wg{laptop[-3:]}-{self.town.lab.name[-6:]}"
        ask = f"wg show {interface} latest-handshakes | cut -f2"
        return until(lambda: self.shell(place, ask) not in ("", "0"), seconds)

    def resolve_to(self, *addresses: str) -> None:
        """What the town hall's name server says from now on of the server."""
        self.names.write_text("".join(f"{address} {NAME}\n" for address in addresses), encoding="ascii")
        self.shell("servers", f"kill -HUP $(cat {self.names}.pid)")

    def provision(self) -> list[str]:
        done = self.town.telekit("provision", "--yes", "--only", "gw-mairie", "--json")
        return next(m["changes"] for m in json.loads(done.stdout)["machines"] if m["name"] == "gw-mairie")


class Stream:
    """Numbered lines without end from an application, read through a tunnel."""

    def __init__(self, scene: Scene, laptop: str, address: str) -> None:
        self.process = scene.town.lab.vantage(LAPTOPS[laptop][0]).popen(["bash", "-c", COUNT.format(address=address)])
        self.numbers: list[int] = []
        threading.Thread(target=self._read, daemon=True).start()
        assert until(lambda: bool(self.numbers), 10), f"{laptop} gets nothing from {address}"

    def _read(self) -> None:
        self.numbers += (int(line) for line in iter(self.process.stdout.readline, b"") if line.strip().isdigit())

    def lives(self) -> bool:
        seen = len(self.numbers)
        return until(lambda: len(self.numbers) > seen, 2)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.numbers == list(range(len(self.numbers)))


def written(folder: Path, scene: Scene) -> None:
    """The commune of the lab, with an access that ends tomorrow, a server known by its name, and two laptops' keys."""
    toml, agents = folder / "commune.toml", folder / "agents.csv"
    text = toml.read_text(encoding="utf-8").replace('["10.77.0.53"]', f'["{DNS}"]')
    text = text.replace('"messagerie", "telephonie"]', '"messagerie", "telephonie", "paie"]')
    text += f'\n[application.paie]\ntitle = "Paie"\nhost  = "{NAME}"\ntcp   = [8080]\n'
    toml.write_text(text, encoding="utf-8")
    people = agents.read_text(encoding="utf-8").replace("bureau-finances-03;;", f"bureau-finances-03;;{tomorrow()}")
    agents.write_text(people, encoding="utf-8")
    commune = load(folder).commune
    ledger = read(folder).allocated(commune)
    for laptop, (_, address) in LAPTOPS.items():
        assert str(ledger.leases[laptop].address) == address
        ledger = ledger.enrolled(laptop, scene.keys[laptop][1])
    write(folder, ledger)


def tomorrow() -> date:
    return date.today() + timedelta(days=1)


@pytest.fixture(scope="module")
def scene(lone_gateway, tmp_path_factory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    scene = Scene(lone_gateway, folder / "wireguard-go", folder / "names")
    written(lone_gateway.inventory, scene)
    scene.shell("servers", f"for a in {DNS} {FORMER} {LATTER}; do ip address add $a/20 dev lan0; done")
    scene.shell("servers", f"ip address add {FORMER6}/64 dev lan0")
    scene.names.write_text(f"{FORMER} {NAME}\n", encoding="ascii")
    listen = ["--no-resolv", "--no-hosts", f"--listen-address={DNS}", "--bind-interfaces", f"--addn-hosts={scene.names}"]
    listen += [f"--local=/{NAME}/"]  # that it has no address of the other version of IP is an answer too
    place = lone_gateway.lab.vantage("servers")
    started = [
        place.popen(["dnsmasq", "--keep-in-foreground", "--user=root", *listen, f"--pid-file={scene.names}.pid"]),
        place.popen(["python3", "-c", SERVER]),
    ]
    scene.provision()
    # This computer's kernel may have no WireGuard either: the gateway's program serves here too.
    program = lone_gateway.lab.machine("gw-mairie").popen(["cat", "/usr/bin/wireguard-go"])
    scene.wireguard.write_bytes(program.communicate(timeout=60)[0])
    scene.wireguard.chmod(0o755)
    for laptop in LAPTOPS:
        scene.connect(laptop)
    yield scene
    for process in started:
        process.kill()
        process.wait()


def test_a_second_provision_changes_nothing(scene):
    assert scene.reach("portable-041", FINANCES, 443) == "open"
    assert scene.provision() == []


def test_a_server_known_by_its_name_is_followed_when_its_address_changes(scene):
    assert until(lambda: scene.reach("portable-042", FORMER, 8080) == "open")
    assert scene.reach("portable-042", LATTER, 8080) == "refused"
    assert scene.reach("portable-041", FORMER, 8080) == "refused"
    scene.resolve_to(LATTER)
    assert until(lambda: scene.reach("portable-042", LATTER, 8080) == "open")
    # Who is still at work on the former address has some minutes to end.
    assert scene.reach("portable-042", FORMER, 8080) == "open"
    scene.gateway("/usr/local/lib/telekit/access apply --overlap 0")
    scene.gateway("sleep 1; /usr/local/lib/telekit/access apply --overlap 0")
    assert scene.reach("portable-042", FORMER, 8080) == "refused"
    assert f"{NAME}: {FORMER} → {FORMER}, {LATTER}" in scene.gateway("journalctl -u telekit-access --no-pager")
    assert scene.provision() == []


def test_a_server_that_has_an_ipv6_address_too_is_reached_there_by_whom_it_is_for(scene):
    scene.resolve_to(LATTER, FORMER6)
    assert until(lambda: scene.reach("portable-042", FORMER6, 8080) == "open")
    assert scene.reach("portable-041", FORMER6, 8080) == "refused"
    scene.resolve_to(LATTER)
    scene.gateway("/usr/local/lib/telekit/access apply --overlap 0")
    scene.gateway("sleep 1; /usr/local/lib/telekit/access apply --overlap 0")
    assert scene.reach("portable-042", FORMER6, 8080) == "refused"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.7.7", "10.77.0.1", "10.177.0.3", "198.18.0.100"])
def test_a_name_that_leads_where_no_server_of_the_town_hall_is_opens_nothing(scene, address):
    scene.resolve_to(address)
    said = scene.gateway("/usr/local/lib/telekit/access apply 2>&1")
    assert f"{address} is refused" in said
    assert f"{address} . tcp" not in scene.gateway("nft list set inet telekit varying_access4")
    assert scene.reach("portable-042", LATTER, 8080) == "open"


def test_a_name_server_that_is_silent_costs_nobody_an_access(scene):
    scene.shell("servers", f"ip address del {DNS}/20 dev lan0")
    try:
        assert "cannot be resolved" in scene.gateway("systemctl restart unbound; /usr/local/lib/telekit/access apply 2>&1")
        assert scene.reach("portable-042", LATTER, 8080) == "open"
    finally:
        scene.shell("servers", f"ip address add {DNS}/20 dev lan0")
    scene.resolve_to(LATTER)


def test_who_loads_the_tunnel_or_the_firewall_anew_has_these_accesses_at_once(scene):
    for command in ("systemctl restart nftables", "systemctl restart wg-quick@wg0"):
        scene.gateway(command)
        assert until(lambda: scene.gateway("/usr/local/lib/telekit/access check") == "yes", 20), command
    scene.gateway("nft flush ruleset; wg set wg0 peer $(wg show wg0 peers | head -1) remove")
    scene.provision()
    assert scene.gateway("/usr/local/lib/telekit/access check") == "yes"


def test_an_access_ends_at_the_stroke_of_midnight_with_nobody_at_the_controls(scene):
    for laptop in LAPTOPS:
        scene.connect(laptop)
        assert scene.shakes_hands(laptop, 20)
    ended, colleague = Stream(scene, "portable-041", FINANCES), Stream(scene, "portable-042", MESSAGERIE)
    # By the gateway's clock it is midnight after the last day when a minute begins here.
    stroke = (time.time() + 15) // 60 * 60 + 60
    zone = ZoneInfo(load(scene.town.inventory).commune.policy.timezone)
    midnight = datetime.combine(tomorrow() + timedelta(days=1), datetime.min.time(), zone).timestamp()
    scene.gateway(ANOTHER_CLOCK.format(folder=OVERRIDE, seconds=round(midnight - stroke)))
    try:
        time.sleep(max(0, stroke - 2 - time.time()))
        assert ended.lives()
        assert time.time() < stroke
        assert until(lambda: not ended.lives(), 20)
        assert time.time() > stroke
        assert colleague.lives()
        scene.connect("portable-041")
        assert not scene.shakes_hands("portable-041", 12)
        assert "portable-041: the access has ended" in scene.gateway("journalctl -u telekit-access --no-pager")
        assert colleague.lives()
    finally:
        scene.gateway(OWN_CLOCK.format(folder=OVERRIDE))
        for stream in (ended, colleague):
            stream.process.kill()
            stream.process.wait()
    scene.connect("portable-041")
    assert scene.shakes_hands("portable-041", 20)


def test_an_access_ends_on_its_day_with_nobody_at_the_controls_and_stays_ended(scene):
    for laptop in LAPTOPS:
        scene.connect(laptop)
        assert scene.shakes_hands(laptop, 20)
    assert scene.reach("portable-041", FINANCES, 443) == "open"
    ended, colleague = Stream(scene, "portable-041", FINANCES), Stream(scene, "portable-042", MESSAGERIE)
    yesterday = date.today() - timedelta(days=1)
    scene.gateway(f"sed -i 's/{tomorrow()}/{yesterday}/' {SCHEDULE}")
    assert until(lambda: not ended.lives())
    assert colleague.lives()
    scene.connect("portable-041")
    assert not scene.shakes_hands("portable-041", 12)
    assert colleague.lives()
    assert "portable-041: the access has ended" in scene.gateway("journalctl -u telekit-access --no-pager")
    colleague.end()
    ended.process.kill()
    ended.process.wait()

    # Nor does a gateway that boots afterwards let it in, not even while it boots: the laptop knocks all the time.
    scene.town.lab.machine("gw-mairie").reboot()
    scene.connect("portable-042")
    assert scene.shakes_hands("portable-042", 40)
    assert not scene.shakes_hands("portable-041", 8)
    assert until(lambda: scene.reach("portable-042", LATTER, 8080) == "open", 20)
    assert "/10.177.0.2" not in scene.gateway("nft list ruleset | tr ' ' /")

    # The plan says what differs: on the day itself its own date rule takes the line out.
    plan = json.loads(scene.town.telekit("plan", "--only", "gw-mairie", "--json").stdout)
    changes = [change["name"] for change in plan["machines"][0]["changes"] if change["kind"] == "change"]
    assert changes[:1] == ["Write the accesses that end, begin or follow a name"]
    scene.provision()
    scene.connect("portable-041")
    assert scene.shakes_hands("portable-041", 20)


def test_after_the_last_day_the_plan_takes_the_line_out_and_nothing_of_it_is_left(scene):
    agents = scene.town.inventory / "agents.csv"
    text = agents.read_text(encoding="utf-8")
    agents.write_text(text.replace(str(tomorrow()), str(date.today() - timedelta(days=1))), encoding="utf-8")
    try:
        assert scene.provision()
        assert scene.provision() == []
        assert "portable-041" not in scene.gateway(f"cat {SCHEDULE} /etc/telekit/tunnels /etc/wireguard/wg0.conf")
        assert scene.gateway("wg show wg0 peers | wc -l") == "1"
    finally:
        agents.write_text(text, encoding="utf-8")
