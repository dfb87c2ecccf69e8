"""Two keys behind one port: what the gateway's firewall and programs make of it, and a laptop that passes between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from deploys import succession
from deploys.access import schedule
from deploys.gateway import second_configuration, second_interface, tunnel_configuration, tunnel_interface
from deploys.gateway_rules import ruleset
from tests.unit.conftest import program_of
from toolkit.model import Agent, Application, Commune, Endpoint, Gateway, Laptop, LocalNetwork, Profile, Secret, SshAddress

FOLDER = Path(__file__).parents[3] / "templates" / "access"
OLD, NEW, MINE, YOURS = ("A" * 42 + "E=", "D" * 42 + "E=", "B" * 42 + "E=", "C" * 42 + "E=")


access, successor = (program_of(FOLDER / f"{name}.py", f"succession_{name}") for name in ("access", "successor"))


def town(next_key: str | None = NEW) -> Commune:
    gateway = Gateway(
        "gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), ip_address("10.77.0.1"), public_key=OLD,
        next_key=next_key, told=next_key is not None,
    )  # fmt: skip
    return Commune(
        slug="essai", name="Essai", insee="00000", domain="essai.example",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"),), tunnel=ip_network("10.177.0.0/24"), tunnel6=ip_network("fd77::/64")
        ),
        gateways=(gateway,),
        laptops=(
            Laptop("portable-1", tunnel_address=ip_address("10.177.0.2"), public_key=MINE),
            Laptop("portable-2", tunnel_address=ip_address("10.177.0.3"), public_key=YOURS),
        ),
        applications=(Application("mail", "Messagerie", ip_address("10.77.1.1"), tcp=(443,)),),
        profiles=(Profile("tous", ("mail",)),),
        agents=(
            Agent("a.un", "Un", "Anne", "tous", laptop="portable-1"),
            Agent("b.deux", "Deux", "Basile", "tous", laptop="portable-2"),
        ),
        today=date(2026, 11, 25),
    )  # fmt: skip


def test_one_port_is_open_and_the_second_one_only_by_way_of_it() -> None:
    rules = ruleset(town(), (22,))
    assert "udp dport 51820 accept" in rules
    assert "udp dport 51821 meta mark 0x7e1e accept" in rules
    assert "udp dport 51821 accept" not in rules
    plain = ruleset(town(None), (22,))
    assert "51821" not in plain
    assert "wg0-next" not in plain


def test_nft_takes_the_rules_of_two_keys(tmp_path: Path) -> None:
    nft = next((p for p in ("/usr/sbin/nft", "/sbin/nft") if Path(p).exists()), None)
    if nft is None or os.geteuid() != 0:
        pytest.skip("nft needs root")
    file = tmp_path / "rules"
    file.write_text(ruleset(town(), (22,)), encoding="utf-8")
    done = subprocess.run(["unshare", "--net", nft, "--check", "--file", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_firewall_that_is_loaded_anew_knows_the_sessions_of_the_one_before(tmp_path: Path) -> None:
    nft = next((p for p in ("/usr/sbin/nft", "/sbin/nft") if Path(p).exists()), None)
    if nft is None or os.geteuid() != 0:
        pytest.skip("nft needs root")
    (tmp_path / "rules").write_text(ruleset(town(), (22,)), encoding="utf-8")
    held = ["second_sessions { 0x37d634b6 }", "second_first4 { 198.18.0.3 . 4711 }", "second_first6 { 2001:db8::1 . 4711 }"]
    (tmp_path / "first").write_text("".join(f"add element inet telekit {element}\n" for element in held), encoding="utf-8")
    (tmp_path / "access.json").write_text(schedule(town()), encoding="utf-8")
    ask = f"{sys.executable} {FOLDER}/access.py elements --schedule {tmp_path}/access.json --memory {tmp_path}/names.json"
    script = f"set -e; nft -f {tmp_path}/rules; nft -f {tmp_path}/first; {ask} > {tmp_path}/further; nft -f {tmp_path}/rules;"
    script += f" nft -f {tmp_path}/further; nft list table inet telekit"
    env = {"PATH": f"{Path(nft).parent}:/usr/bin:/bin"}
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for element in ("0x37d634b6", "198.18.0.3 . 4711", "2001:db8::1 . 4711"):
        assert element in done.stdout


def test_at_the_last_port_there_is_another_one_too() -> None:
    gateway = replace(town().gateway, endpoint=Endpoint("vpn.essai.example", 65535))
    assert "udp dport 65534 meta mark" in ruleset(replace(town(), gateways=(gateway,)), (22,))


def test_the_second_interface_has_the_peers_of_the_first_and_neither_addresses_nor_routes() -> None:
    first, second = (tunnel_configuration(town().gateway, town()), second_configuration(town().gateway, town()))
    assert first.split("[Peer]")[1:] == second.split("[Peer]")[1:]
    assert "Table = off" in second
    assert "\nAddress" not in second
    wanted, other = tunnel_interface(town().gateway, town(), Secret("")), second_interface(town().gateway, town(), Secret(""))
    assert (other.peers, other.varying, other.shared, other.mtu) == (wanted.peers, wanted.varying, wanted.shared, wanted.mtu)
    assert (other.addresses, other.port, wanted.port) == (frozenset(), 51821, 51820)


def test_the_program_serves_both_interfaces_while_there_are_two(tmp_path: Path) -> None:
    (tmp_path / "access.json").write_text(schedule(town()), encoding="utf-8")
    assert access.read_schedule(tmp_path / "access.json").interfaces == ["wg0", "wg0-next"]
    (tmp_path / "access.json").write_text(schedule(town(None)), encoding="utf-8")
    assert "successor" not in json.loads((tmp_path / "access.json").read_text())
    assert access.read_schedule(tmp_path / "access.json").interfaces == ["wg0"]


@pytest.mark.parametrize(
    ("before", "present", "coming", "after"),
    [
        (set(), {MINE: "100"}, {MINE: "0"}, set()),
        (set(), {MINE: "100"}, {MINE: "101"}, {MINE}),
        (set(), {MINE: "100"}, {MINE: "100"}, {MINE}),
        ({MINE}, {MINE: "105"}, {MINE: "100"}, set()),
        ({MINE}, {MINE: "0"}, {MINE: "0"}, {MINE}),
        ({MINE}, {}, {}, set()),
    ],
    ids=["not yet", "came", "within a second", "went back", "restarted", "no peer any more"],
)
def test_who_shook_hands_where_last_is_there(
    before: set[str], present: dict[str, str], coming: dict[str, str], after: set[str]
) -> None:
    assert successor.moved(frozenset(before), present, coming) == after


def test_a_device_is_reached_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs that it calls are stood in for by two that answer from files, and note what they were told."""
    (tmp_path / "wg").write_text(f'#!/bin/sh\ncat "{tmp_path}/$2-$3"\n', encoding="ascii")
    (tmp_path / "ip").write_text(
        f'#!/bin/sh\ncase "$*" in *show*) cat {tmp_path}/routes$1 2>/dev/null;; *) echo "$*" >> {tmp_path}/told;; esac; true\n',
        encoding="ascii",
    )
    for program in ("wg", "ip"):
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "wg0-latest-handshakes").write_text(f"{MINE}\t100\n{YOURS}\t100\n")
    (tmp_path / "wg0-next-latest-handshakes").write_text(f"{MINE}\t101\n{YOURS}\t0\n")
    (tmp_path / "wg0-next-allowed-ips").write_text(f"{MINE}\t10.177.0.2/32 fd77::2/128\n{YOURS}\t10.177.0.3/32\n")
    (tmp_path / "routes-4").write_text("10.177.0.3 scope link src 10.177.0.1\n")
    two = successor.Successor("wg0-next", ["10.177.0.1", "fd77::1"])
    successor.settle(two, tmp_path / "moved")
    assert (tmp_path / "told").read_text().splitlines() == [
        "-4 route replace 10.177.0.2 dev wg0-next src 10.177.0.1",
        "-6 route replace fd77::2 dev wg0-next src fd77::1",
        "-4 route delete 10.177.0.3 dev wg0-next",
    ]
    assert (tmp_path / "moved").read_text() == f"{MINE}\n"


# -- the laptop's program ----------------------------------------------------------------------------------------------


class Bench:
    """A laptop's program with a clock that its own waiting moves, and a gateway that answers the keys it is told to answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "etc").mkdir()
        (folder / "net" / "wg0").mkdir(parents=True)
        (folder / "etc/wg0.conf").write_text(f"[Interface]\n\n[Peer]\nPublicKey = {OLD}\nAllowedIPs = 0.0.0.0/0, ::/0\n")
        (folder / "etc/gateway-next").write_text(f"{NEW}\n")
        (folder / "clock").write_text("1000\n")
        (folder / "peer").write_text(f"{OLD}\n")
        (folder / "shaken").write_text("1000\n")
        self.program("date", "cat {folder}/clock")
        self.program(
            "sleep", "echo $(($(cat {folder}/clock) + $1)) > {folder}/clock.new; mv {folder}/clock.new {folder}/clock; {refresh}"
        )
        self.program("wg", WG)

    def program(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text("#!/bin/sh\n" + text.format(folder=self.folder, refresh=REFRESH.format(folder=self.folder)) + "\n")
        file.chmod(0o755)

    def answered(self, *spans: tuple[str, int, int]) -> None:
        """A key, from when to when."""
        (self.folder / "answered").write_text("".join(f"{key} {begin} {end}\n" for key, begin, end in spans))

    def run(self, key: str, end: int) -> str:
        """Until the laptop's tunnel works with this key, or that moment; what it said."""
        text = (
            succession.switcher().replace("/etc/wireguard", f"{self.folder}/etc").replace("/sys/class/net", f"{self.folder}/net")
        )
        works = f'[ "$(cat {self.folder}/peer)" = "{key}" ] && [ "$(cat {self.folder}/shaken)" != 0 ]'
        on = f'while [ "$(cat {self.folder}/clock)" -lt {end} ] && ! {{ {works}; }}; do'
        text = text.replace('while [ -s "$coming" ]; do', on, 1).partition("# There is no next key any more")[0]
        path = {"PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        return subprocess.run(["sh"], input=text, env=path, text=True, capture_output=True, timeout=50, check=True).stdout

    @property
    def clock(self) -> int:
        return int((self.folder / "clock").read_text())

    @property
    def peer(self) -> str:
        return (self.folder / "peer").read_text().strip()


# The key that is in use is answered again every so often, if it is answered at all.
REFRESH = (
    'awk -v key="$(cat {folder}/peer)" -v now="$(cat {folder}/clock)" '
    "'$1 == key && $2 <= now && now < $3 {{ print now }}' {folder}/answered > {folder}/now;"
    " [ ! -s {folder}/now ] || cp {folder}/now {folder}/shaken"
)
WG = """\
case "$1 $3" in
  "show peers") cat {folder}/peer ;;
  "show endpoints") printf '%s\\t198.18.0.2:51820\\n' "$(cat {folder}/peer)" ;;
  "show latest-handshakes") printf '%s\\t%s\\n' "$(cat {folder}/peer)" "$(cat {folder}/shaken)" ;;
  set*)
    echo "$*" >> {folder}/log
    while [ $# -gt 0 ]; do
      if [ "$1" = peer ] && [ "$3" != remove ]; then echo "$2" > {folder}/peer; echo 0 > {folder}/shaken; fi
      shift
    done ;;
esac
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_it_comes_to_the_next_key(bench: Bench) -> None:
    bench.answered((OLD, 0, 9999), (NEW, 0, 9999))
    bench.run(NEW, 1030)
    assert (bench.peer, bench.clock) == (NEW, 1001)
    told = (bench.folder / "log").read_text().splitlines()
    assert told == [
        f"set wg0 peer {OLD} remove peer {NEW} preshared-key /dev/null endpoint 198.18.0.2:51820 allowed-ips 0.0.0.0/0,::/0"
        " persistent-keepalive 25"
    ]


def test_it_goes_back_after_a_silence_of_20_seconds_and_comes_when_it_is_answered(bench: Bench) -> None:
    (bench.folder / "shaken").write_text("0\n")
    bench.answered((OLD, 0, 9999), (NEW, 1100, 9999))
    assert "the gateway does not answer with its next key" in bench.run(OLD, 1100)
    assert (bench.peer, bench.clock <= 1110) == (OLD, True)
    bench.run(NEW, 1400)
    assert (bench.peer, bench.clock < 1200) == (NEW, True)


def test_where_the_gateway_forgets_the_next_key_the_present_one_is_used(bench: Bench) -> None:
    bench.answered((OLD, 0, 9999), (NEW, 0, 1010))
    bench.run(NEW, 1030)
    bench.run(OLD, 1400)
    assert (bench.peer, bench.clock < 1300) == (OLD, True)


def test_after_many_tries_in_vain_it_is_still_there_soon_when_the_gateway_concludes(bench: Bench) -> None:
    bench.answered((OLD, 0, 1350), (NEW, 1350, 9999))
    bench.run(NEW, 1900)
    assert bench.peer == NEW
    assert bench.clock < 1350 + 180 + 60


def test_a_laptop_that_slept_is_back_within_two_minutes_whichever_key_is_left(bench: Bench) -> None:
    for left in (OLD, NEW):
        (bench.folder / "peer").write_text(f"{NEW}\n")
        (bench.folder / "clock").write_text("2000\n")
        bench.answered((left, 0, 9999))
        bench.run(left, 2400)
        assert (bench.peer, bench.clock < 2120) == (left, True)


def test_when_there_is_no_next_key_any_more_the_one_of_its_file_counts(bench: Bench) -> None:
    (bench.folder / "etc/gateway-next").unlink()
    (bench.folder / "peer").write_text(f"{NEW}\n")
    text = succession.switcher().replace("/etc/wireguard", f"{bench.folder}/etc").replace("/sys/class/net", f"{bench.folder}/net")
    path = {"PATH": f"{bench.folder}/bin:/usr/bin:/bin"}
    subprocess.run(["sh"], input=text, env=path, text=True, timeout=10, check=True)
    assert bench.peer == OLD


def test_the_programs_are_what_shell_and_systemd_take() -> None:
    for text in (succession.switcher(), succession.CONCLUDE, succession.FORGET):
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert "PathExists=/etc/wireguard/gateway-next" in succession.units()[succession.PATH]
