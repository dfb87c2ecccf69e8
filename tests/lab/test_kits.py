"""As a new user would: HR's list of 250 people becomes 250 kits, and what is in a kit works at home."""

from __future__ import annotations

import csv
import json
import re
import shlex
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from toolkit import ledger
from toolkit.lab.town import HOME_ROUTER
from toolkit.secrets import Vault, identities_for

pytestmark = pytest.mark.lab
RELEASES = ("trixie",)

GATEWAY, DESKTOP, LAPTOP = "gw-mairie", "bureau-partage-01", "portable-041"
# An accountant, who works on the shared desktop.
AGENT = "agent001"
WRITTEN = ("commune.toml", "agents.csv")
FIRST = ("Éloïse", "Noël", "Zoë", "Françoise", "Jean-François", "Aïcha", "Gaël", "Léa", "Chloé", "Raphaël")
LAST = ("Lefèvre", "D'Hôtel", "Müller", "Çelik", "Le Goff", "Nuñez", "Cœur", "Bœuf", "Ferré", "Aït Saïd")
FINANCES, MESSAGERIE, ETAT_CIVIL = "10.77.1.11 443", "10.77.1.12 443", "10.77.1.13 8443"
CONNECT = "timeout 4 bash -c 'exec 3<>/dev/tcp/$0/$1' {} 2>/dev/null && echo open || echo refused"
# Where another computer would have programs of its own: what wg-quick asks for resolvers, and what the C library reads.
PREPARE = """\
set -eu
home=$1
umask 022
mkdir -p /run/kit/bin
cat > /run/kit/bin/resolvconf <<PROGRAM
#!/bin/sh
if [ "\\$1" = -a ]; then grep '^nameserver'; else echo 'nameserver $home'; fi > /run/kit/resolv.conf
PROGRAM
chmod 755 /run/kit/bin/resolvconf
echo "nameserver $home" > /run/kit/resolv.conf
printf 'passwd: files\\ngroup: files\\nhosts: files dns\\n' > /run/kit/nsswitch.conf
"""
INSIDE = """\
mount --bind /run/kit/resolv.conf /etc/resolv.conf
mount --bind /run/kit/nsswitch.conf /etc/nsswitch.conf
export PATH=/run/kit/bin:$PATH LC_ALL=C.UTF-8
"""
QUICK = "wg-quick {} /run/kit/tunnel-mairie.conf < /dev/null > /run/kit/quick 2>&1 || {{ cat /run/kit/quick; exit 1; }}"
# A handshake from the network that the other tunnel does not take: it has a mark of its own.
KNOCK = """\
wireguard-go kit1 < /dev/null > /dev/null 2>&1
trap 'ip link del kit1' EXIT
wg setconf kit1 /dev/stdin
wg set kit1 fwmark 51820 peer "$(wg show kit1 peers)" endpoint 198.18.0.2:51820 persistent-keepalive 1
ip link set kit1 up
for i in $(seq {seconds}); do
  sleep 1
  [ "$(wg show kit1 latest-handshakes | cut -f 2)" = 0 ] || {{ echo answered; exit; }}
done
echo silence
"""
# The file is opened as it is; who vouches for the desktop is the kit's certificate and nobody else.
OPEN = """\
exec 3<&0
export SSL_CERT_FILE={authority} SSL_CERT_DIR=/nonexistent HOME=/run/kit
Xvfb :89 -screen 0 1280x800x24 -nolisten tcp > /dev/null 2>&1 &
screen=$!
trap 'kill $client $screen 2>/dev/null; wait' EXIT
sleep 1
export DISPLAY=:89
xfreerdp3 /run/kit/mon-bureau.rdp /cert:deny /from-stdin:force <&3 > /run/kit/said 2>&1 &
client=$!
for i in $(seq {seconds}); do
  sleep 1
  kill -0 $client 2>/dev/null || break
  import -silent -window root png:/run/kit/screen.png 2>/dev/null || continue
  [ "$(identify -format %k /run/kit/screen.png)" -lt 150 ] || {{ sleep 2; echo desktop; exit; }}
done
tr -d '\\0' < /run/kit/said | tail -n 15
"""


def hr_list() -> bytes:
    """What HR's program saves: semicolons, Windows-1252, and names as they are in France."""
    lines = ["Identifiant;Nom;Prénom;Service;Profil;Portable;Poste"]
    for n in range(250):
        profile, desktop = ("comptable", DESKTOP) if n % 2 else ("accueil", "")
        lines.append(
            f"agent{n:03};{LAST[n // 10 % 10]};{FIRST[n % 10]};État civil;{profile};pc-{n:03};{desktop if n == 1 else ''}"
        )
    return ("\r\n".join(lines) + "\r\n").encode("cp1252")


@dataclass
class Home:
    """A computer at home that telekit has never seen: a laptop's programs, in the network of a home."""

    town: object

    def run(self, script: str, stdin: str = "", timeout: float = 60) -> str:
        machine, home = self.town.lab.machine(LAPTOP), self.town.lab.vantage("home")
        network = next(word for word in home.command([]) if word.startswith("--net="))
        whole = ["unshare", "--mount", "bash", "-c", INSIDE + script]
        command = [network if word == "--net" else word for word in machine.command(whole)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout, cwd="/")
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def reach(self, place: str) -> str:
        return self.run(CONNECT.format(place))

    def bring(self, kit: Path) -> None:
        """Carry the kit there."""
        machine = self.town.lab.machine(LAPTOP)
        machine.run(["sh", "-c", PREPARE, "sh", HOME_ROUTER], check=True)
        for name in ("tunnel-mairie.conf", "mon-bureau.rdp", "autorite-mairie.crt"):
            write = f"umask 077; cat > /run/kit/{name}"
            machine.run(["sh", "-c", write], stdin=(kit / name).read_bytes().decode(), check=True)


@dataclass
class Kits:
    """The town after the import, its kits, and how long they took."""

    town: object
    folder: Path
    said: dict
    seconds: float

    def kit(self, agent: str) -> Path:
        return self.folder / f"kit-{agent}"


@pytest.fixture(scope="module")
def kits(provisioned, tmp_path_factory) -> Iterator[Kits]:
    folder = tmp_path_factory.mktemp("people")
    before = {name: (provisioned.inventory / name).read_bytes() for name in WRITTEN}
    (folder / "rh.csv").write_bytes(hr_list())
    here = ["--only", GATEWAY, "--only", DESKTOP]
    try:
        provisioned.telekit("agent", "import", str(folder / "rh.csv"), "--partial", "--new-laptops", "windows", "--yes")
        began = time.monotonic()
        made = provisioned.telekit("agent", "kit", "--all", "--output", str(folder / "kits"), "--json")
        seconds = time.monotonic() - began
        provisioned.telekit("provision", "--yes", *here)
        yield Kits(provisioned, folder / "kits", json.loads(made.stdout), seconds)
    finally:
        for name, content in before.items():
            (provisioned.inventory / name).write_bytes(content)
        provisioned.telekit("provision", "--yes", *here)


@pytest.fixture(scope="module")
def home(kits) -> Iterator[Home]:
    """The agent at home, with the tunnel of the kit up."""
    found = Home(kits.town)
    found.bring(kits.kit(AGENT))
    # WireGuard's program stays, and would hold whatever it could write to.
    found.run(QUICK.format("up"))
    yield found
    found.run(QUICK.format("down"))
    kits.town.lab.machine(LAPTOP).run(["rm", "-rf", "/run/kit"])


def test_250_kits_are_made_within_a_minute_and_every_name_is_whole(kits) -> None:
    assert kits.seconds < 60, f"{kits.seconds:.0f} s"
    made = {agent["agent"] for agent in kits.said["summary"]["agents"]}
    assert made >= {f"agent{n:03}" for n in range(250)}
    with (kits.folder / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        told = file.read()
    assert all(name in told for name in (*FIRST, *LAST))
    assert len(list(csv.reader(told.splitlines(), delimiter=";"))) == len(made) + 1


def test_the_configuration_is_what_the_code_says(kits) -> None:
    for agent in ("agent000", AGENT, "agent249"):
        kit = kits.kit(agent)
        read = ["zbarimg", "--quiet", "--raw", "--oneshot", "-Sbinary", "-Sdisable", "-Sqrcode.enable", kit / "tunnel-mairie.png"]
        assert subprocess.run(read, capture_output=True, check=True).stdout == (kit / "tunnel-mairie.conf").read_bytes()
        assert {stat.S_IMODE(file.stat().st_mode) for file in kit.iterdir()} == {0o600}


def test_no_two_kits_hold_the_same_address_or_the_same_key(kits) -> None:
    texts = [file.read_text(encoding="utf-8") for file in kits.folder.glob("kit-agent*/tunnel-mairie.conf")]
    assert len(texts) == 250
    for line in ("Address", "PrivateKey", "PresharedKey"):
        assert len({re.search(rf"^{line} = (.+)$", text, re.MULTILINE)[1] for text in texts}) == 250


def test_the_configuration_opens_a_tunnel_to_what_the_profile_allows_and_to_nothing_else(home) -> None:
    assert home.reach(FINANCES) == "open"
    assert home.reach(MESSAGERIE) == "open"
    assert home.reach(ETAT_CIVIL) == "refused"
    assert home.reach("10.77.2.21 3389") == "refused"
    assert home.run("wg show tunnel-mairie latest-handshakes | cut -f 2") != "0"
    # Everything goes through the town hall: the internet sees the gateway.
    hello = "exec 3<>/dev/tcp/www.internet.example/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 5 tail -n 1 <&3"
    assert home.run(hello).endswith("you are 198.18.0.2")


def test_the_rdp_file_opens_the_desktop_and_only_the_commune_vouches_for_it(kits, home) -> None:
    vault = Vault.open(kits.town.inventory, (), identities_for(kits.town.inventory, None))
    password = vault.get(f"password/{AGENT}").reveal()
    stranger = home.run(OPEN.format(authority="/dev/null", seconds=15), stdin="not sent\n", timeout=60)
    assert "desktop" not in stranger.split("\n")
    assert "CERTIFICATE" in stranger.upper(), stranger
    opened = home.run(OPEN.format(authority="/run/kit/autorite-mairie.crt", seconds=40), stdin=f"{password}\n", timeout=90)
    assert opened == "desktop", opened
    desktop = kits.town.lab.machine(DESKTOP)
    assert desktop.run(["pgrep", "-u", AGENT, "-x", "xfce4-session"]).returncode == 0
    end = f"loginctl terminate-user {shlex.quote(AGENT)}; while pgrep -u {shlex.quote(AGENT)} > /dev/null; do sleep 0.2; done"
    desktop.run(["sh", "-c", end], timeout=30)


def test_a_kit_that_nobody_used_in_time_opens_nothing_and_one_that_was_used_goes_on(kits, home) -> None:
    town, gateway = kits.town, kits.town.lab.machine(GATEWAY)
    book = ledger.read(town.inventory)
    used, unused = book.keys["pc-001"], book.keys["pc-003"]
    yesterday = date.today() - timedelta(days=1)
    # The days of the kits are moved instead of the clock; the gateway's own program does the rest, with nobody at the controls.
    move = f'sed -i \'s/"kit": "[0-9-]*"/"kit": "{yesterday}"/\' /etc/telekit/access.json; systemctl restart telekit-access'
    # A peer that was taken out and comes back has never shaken hands, as on an interface that starts anew.
    for again in (move, f"wg set wg0 peer {used} remove; systemctl restart telekit-access"):
        gateway.run(["sh", "-c", again], check=True)
        peers = gateway.run(["wg", "show", "wg0", "peers"]).stdout.split()
        assert (used in peers, unused in peers) == (True, False)
    # It finds out by itself, within some 20 seconds, that the gateway has forgotten it.
    assert any(home.reach(FINANCES) == "open" for _ in range(12))
    assert not shakes_hands(home, kits.kit("agent003"))

    # On the next run the shared key of an unused kit is another, and somebody is told.
    late = {name: replace(kit, expires=yesterday) for name, kit in book.kits.items() if name in ("pc-001", "pc-003")}
    ledger.write(town.inventory, replace(book, kits={**book.kits, **late}))
    town.telekit("provision", "--yes", "--only", GATEWAY)
    told = {a["agent"]: a["kit_expired"] for a in json.loads(town.telekit("agent", "list", "--json").stdout)["summary"]["agents"]}
    assert (told[AGENT], told["agent003"]) == (False, True)
    assert home.reach(FINANCES) == "open"
    town.telekit("agent", "kit", "agent003", "--output", str(kits.folder))
    town.telekit("provision", "--yes", "--only", GATEWAY)
    assert shakes_hands(home, kits.kit("agent003"))


def shakes_hands(home: Home, kit: Path, seconds: int = 6) -> bool:
    """Whether the gateway answers this kit's keys, on an interface beside the other."""
    configuration = "\n".join(
        line for line in (kit / "tunnel-mairie.conf").read_text(encoding="utf-8").splitlines()
        if not line.startswith(("Address", "DNS", "MTU", "AllowedIPs", "Endpoint", "PersistentKeepalive"))
    )  # fmt: skip
    # Without addresses of its own it carries nothing: it only knocks.
    return home.run(KNOCK.format(seconds=seconds), stdin=f"{configuration}\nAllowedIPs = 192.0.2.1/32\n") == "answered"
