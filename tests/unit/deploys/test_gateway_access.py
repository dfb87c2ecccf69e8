"""Accesses that vary by themselves: what the recipe writes of them, and what the gateway's own program makes of it on a day."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from deploys.access import devices, lasting_peers, schedule
from deploys.gateway import tunnel_configuration, tunnel_interface
from deploys.gateway_rules import ruleset
from tests.unit.conftest import program_of
from toolkit.model import (
    Agent,
    Application,
    Commune,
    Desktop,
    Endpoint,
    Extra,
    Gateway,
    Laptop,
    LocalNetwork,
    Profile,
    Secret,
    SshAddress,
    System,
)

FOLDER = Path(__file__).parents[3] / "templates" / "access"
TODAY = date(2026, 11, 25)
DAYS = {"before": "2026-11-24", "today": "2026-11-25", "last": "2026-11-30", "after": "2026-12-01", "begun": "2026-12-07"}


names, access = (program_of(FOLDER / f"{name}.py", name) for name in ("names", "access"))
RULES = names.Rules("10.177.0.1", ["essai.example"], ["10.77.0.0/20", "2001:db8:77::/48"], ["10.177.0.0/24", "10.77.0.1"])


def laptop(number: int) -> Laptop:
    address, address6 = ip_address(f"10.177.0.{number}"), ip_address(f"fd77::{number}")
    return Laptop(f"portable-{number}", tunnel_address=address, tunnel_address6=address6, public_key=f"{number:043}=")


def town() -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"),),
            tunnel=ip_network("10.177.0.0/24"),
            tunnel6=ip_network("fd77::/64"),
            zones=("essai.example",),
        ),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), ip_address("10.77.0.1")),),
        desktops=(Desktop("bureau-1", ip_address("10.77.2.1"), SshAddress("10.77.2.1")),),
        laptops=tuple(laptop(number) for number in range(2, 7)),
        applications=(
            Application("mail", "Messagerie", ip_address("10.77.1.1"), tcp=(443,)),
            Application("paie", "Paie", host="paie.essai.example", tcp=(443, 8443)),
            Application("finances", "Finances", ip_address("10.77.1.3"), tcp=(1521,)),
        ),
        profiles=(Profile("tous", ("mail",)), Profile("rh", ("mail", "paie"))),
        agents=(
            Agent("a.stable", "Un", "Anne", "tous", laptop="portable-2"),
            Agent("b.ends", "Deux", "Basile", "tous", laptop="portable-3", desktop="bureau-1", ends=date(2026, 11, 30)),
            Agent("c.begins", "Trois", "Chloé", "tous", laptop="portable-4", starts=date(2026, 12, 7)),
            Agent("d.named", "Quatre", "Denis", "rh", laptop="portable-5"),
            Agent("e.extra", "Cinq", "Eve", "tous", laptop="portable-6"),
        ),
        extras=(Extra("e.extra", "finances", date(2026, 11, 28), "Remplacement"),),
        today=TODAY,
    )


class Program:
    """The gateway's program, as a process of its own."""

    def __init__(self, folder: Path, commune: Commune) -> None:
        self.schedule, self.memory = folder / "access.json", folder / "names.json"
        self.schedule.write_text(schedule(commune), encoding="utf-8")

    def __call__(self, what: str, day: str) -> str:
        files = ["--schedule", str(self.schedule), "--memory", str(self.memory)]
        command = [sys.executable, str(FOLDER / "access.py"), what, *files, "--day", day]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path, town())


# -- days --------------------------------------------------------------------------------------------------------------


def test_what_has_a_date_or_a_name_is_in_no_file_that_is_loaded_at_boot() -> None:
    rules, wg0 = ruleset(town(), (22,)), tunnel_configuration(town().gateway, town())
    assert "10.177.0.2 . 10.77.1.1 . tcp . 443" in rules
    for number in (3, 4):
        assert f"10.177.0.{number}" not in rules + wg0
    assert "10.77.1.3" not in rules
    assert [m.name for m in lasting_peers(town())] == ["portable-2", "portable-5", "portable-6"]


def test_the_programs_peers_are_no_hand_made_change_of_the_tunnel() -> None:
    wanted = tunnel_interface(town().gateway, town(), Secret(""))
    assert wanted.varying == {f"{3:043}=", f"{4:043}="}
    assert not wanted.varying & set(wanted.peers)


def test_a_last_day_is_included_and_at_midnight_all_of_it_ends(program: Program) -> None:
    for day in ("today", "last"):
        assert f"{3:043}=" in program("peers", DAYS[day])
        assert "10.177.0.3 . 10.77.2.1 . tcp . 3389" in program("elements", DAYS[day])
        assert "add element inet telekit varying_peers6 { fd77::3 }" in program("elements", DAYS[day])
    assert program("peers", DAYS["after"]) == ""
    assert "10.177.0.3" not in program("elements", DAYS["after"])


def test_an_access_begins_on_its_first_day(program: Program) -> None:
    assert f"{4:043}=" not in program("peers", DAYS["today"])
    assert "AllowedIPs = 10.177.0.4/32, fd77::4/128" in program("peers", DAYS["begun"])
    assert "10.177.0.4 . 10.77.1.1 . tcp . 443" in program("elements", DAYS["begun"])


def test_an_application_that_was_lent_ends_before_the_agents_access_does(program: Program) -> None:
    lent = "10.177.0.6 . 10.77.1.3 . tcp . 1521"
    assert lent in program("elements", "2026-11-28")
    assert lent not in program("elements", "2026-11-29")
    assert "portable-6" in program.schedule.read_text(encoding="utf-8")


def test_a_laptop_passes_from_hand_to_hand_without_its_tunnel_changing(tmp_path: Path) -> None:
    ends, begins = date(2026, 11, 30), date(2026, 12, 1)
    heir = Agent("z.heir", "Six", "Zoé", "rh", laptop="portable-3", starts=begins)
    commune = replace(town(), agents=(replace(town().agents[1], ends=ends), heir))
    program = Program(tmp_path, commune)
    assert program("peers", str(ends)) == program("peers", str(begins)) != ""
    assert "3389" in program("elements", str(ends))
    assert "3389" not in program("elements", str(begins))


def test_a_peer_that_lasts_is_never_taken_out_for_one_who_begins_later() -> None:
    heir = Agent("z.heir", "Six", "Zoé", "rh", laptop="portable-2", starts=date(2026, 12, 1))
    commune = replace(town(), agents=(town().agents[0], heir))
    assert all("key" not in entry for entry in json.loads(schedule(commune))["laptops"])


def test_the_record_of_tunnels_knows_those_who_begin_by_themselves() -> None:
    assert {m.name for m in devices(town())} == {f"portable-{number}" for number in range(2, 7)}


def test_nothing_that_varies_makes_an_empty_schedule_that_can_be_read(tmp_path: Path) -> None:
    quiet = Program(tmp_path, replace(town(), agents=town().agents[:1], extras=()))
    assert [quiet(what, DAYS["today"]) for what in ("peers", "elements", "names")] == ["", "", ""]


def test_without_ipv6_in_the_tunnel_there_is_none_in_the_schedule() -> None:
    commune = replace(town(), network=replace(town().network, tunnel6=None))
    assert "fd77" not in schedule(commune)


# -- names -------------------------------------------------------------------------------------------------------------


def learn(known: object, four: list[str] | None, six: Sequence[str] | None = (), at: float = 1000.0) -> object:
    answers = {4: four, 6: six}
    parsed = {number: None if found is None else [ip_address(a) for a in found] for number, found in answers.items()}
    return names.learn(RULES, "paie.essai.example", known, parsed, at)


def test_a_new_address_joins_the_former_one_which_leaves_after_some_minutes() -> None:
    first = learn(names.Name(), ["10.77.1.20"])
    moved = learn(first, ["10.77.1.30"], at=1060)
    assert set(moved.addresses) == {"10.77.1.20", "10.77.1.30"}
    assert set(learn(moved, ["10.77.1.30"], at=1000 + names.OVERLAP_SECONDS + 1).addresses) == {"10.77.1.30"}


@pytest.mark.parametrize("answers", [(None, None), ([], []), (["127.0.0.1"], ["::1"]), (None, [])])
def test_the_last_good_answer_serves_while_there_is_no_other_but_not_for_ever(answers: tuple[list[str], list[str]]) -> None:
    good = learn(names.Name(), ["10.77.1.20"], ["2001:db8:77::20"])
    later = learn(good, *answers, at=1000 + names.OVERLAP_SECONDS * 10)
    assert set(later.addresses) == {"10.77.1.20", "2001:db8:77::20"}
    assert later.said
    assert not learn(later, *answers, at=1001 + names.KEPT_SECONDS).addresses


def test_a_failure_in_one_version_of_ip_does_not_hold_the_other_up() -> None:
    good = learn(names.Name(), ["10.77.1.20"], ["2001:db8:77::20"])
    after = learn(good, None, ["2001:db8:77::30"], at=1001 + names.OVERLAP_SECONDS)
    assert set(after.addresses) == {"10.77.1.20", "2001:db8:77::30"}


@pytest.mark.parametrize(
    ("name", "address", "believed"),
    [
        ("paie.essai.example", "10.77.1.20", True),
        ("paie.essai.example", "2001:db8:77::9", True),
        ("paie.essai.example", "10.77.0.1", False),
        ("paie.essai.example", "10.177.0.3", False),
        ("paie.essai.example", "127.0.0.1", False),
        ("paie.essai.example", "169.254.169.254", False),
        ("paie.essai.example", "fe80::1", False),
        ("paie.essai.example", "::ffff:127.0.0.1", False),
        ("paie.essai.example", "0.0.0.0", False),
        ("paie.essai.example", "224.0.0.251", False),
        ("paie.essai.example", "9.9.9.9", False),
        ("paie.editeur.example", "9.9.9.9", True),
        ("paie.editeur.example", "2620:fe::fe", True),
        ("paie.editeur.example", "10.77.1.20", True),
        ("paie.editeur.example", "192.168.1.1", False),
        ("paie.editeur.example", "::ffff:10.77.1.20", False),
        ("notessai.example", "9.9.9.9", True),
    ],
)
def test_what_cannot_be_the_servers_address_is_not_believed(name: str, address: str, believed: bool) -> None:
    assert (names.objection(RULES, name, ip_address(address)) == "") is believed


def test_an_address_of_this_machine_is_nobody_elses() -> None:
    assert names.is_own(ip_address("127.0.0.1"))
    assert not names.is_own(ip_address("10.77.1.20"))


def test_what_was_believed_is_doubted_again_once_the_inventory_says_otherwise() -> None:
    known = names.Name({"10.99.0.1": 1000.0})
    assert not learn(known, None, None, at=1060).addresses


class Resolver(socketserver.BaseRequestHandler):
    """Answers A with an alias and two addresses, and AAAA with the code in the name's first letters."""

    def handle(self) -> None:
        question = self.request.recv(struct.unpack("!H", self.request.recv(2))[0])
        label = question[13 : 13 + question[12]].decode()
        alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 0, 2) + b"\xc0\x0c"
        records = [alias, *(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(f"10.77.1.{n}") for n in (20, 30))]
        code = {"gone": 3, "broken": 2}.get(label, 0)
        listed = b"".join(records) if label in ("paie", "cut") else b""
        count = len(records) if listed else 0
        answer = question[:2] + struct.pack("!5H", 0x8180 | code, 1, count, 0, 0) + question[12:] + listed
        answer = answer[:-3] if label == "cut" else answer
        self.request.sendall(struct.pack("!H", len(answer)) + answer)


@pytest.fixture
def port() -> Iterator[int]:
    with socketserver.TCPServer(("127.0.0.1", 0), Resolver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("name", "found"), [("paie", ["10.77.1.20", "10.77.1.30"]), ("empty", []), ("gone", []), ("broken", None), ("cut", None)]
)
def test_a_resolvers_answer_is_read_through_aliases_and_a_damaged_one_is_none(
    port: int, name: str, found: list[str] | None
) -> None:
    answer = names.ask("127.0.0.1", f"{name}.essai.example", 4, port)
    assert (None if answer is None else [str(address) for address in answer]) == found


def test_a_resolver_that_is_not_there_is_no_answer(port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert names.ask("127.0.0.1", "paie.essai.example", 4, free.getsockname()[1]) is None


def test_a_named_server_opens_at_each_of_its_addresses_for_those_who_may(program: Program) -> None:
    program.memory.write_text(json.dumps({"paie.essai.example": {"addresses": {"10.77.1.20": 1.0, "2001:db8:77::9": 1.0}}}))
    opened = program("elements", DAYS["today"])
    for port in (443, 8443):
        assert f"10.177.0.5 . 10.77.1.20 . tcp . {port}" in opened
        assert f"fd77::5 . 2001:db8:77::9 . tcp . {port}" in opened
    assert "10.177.0.2 . 10.77.1.20" not in opened
    assert program("names", DAYS["today"]) == "paie.essai.example 10.77.1.20 2001:db8:77::9\n"


def test_a_damaged_memory_is_begun_anew(program: Program) -> None:
    program.memory.write_text("{")
    assert program("names", DAYS["today"]) == "paie.essai.example\n"


# -- preshared keys ----------------------------------------------------------------------------------------------------


def test_a_peer_comes_with_its_preshared_key_and_one_without_says_so(tmp_path: Path) -> None:
    keys = tmp_path / "preshared.keys"
    keys.write_text("# Written by telekit\nalice secret-of-alice\n", encoding="ascii")
    found = access.preshared_keys(keys)
    assert found == {"alice": "secret-of-alice"}
    assert access.preshared_keys(tmp_path / "absent") == {}
    section = access.peer_section("alice", frozenset({"10.177.0.2/32"}), found["alice"])
    assert section == "[Peer]\nPublicKey = alice\nPresharedKey = secret-of-alice\nAllowedIPs = 10.177.0.2/32\n"
    assert "PresharedKey" not in access.peer_section("bob", frozenset())


@pytest.mark.parametrize(("held", "changes"), [("of the file", False), ("another", True), ("(none)", True)])
def test_a_running_peer_with_another_preshared_key_is_a_difference(held: str, changes: bool) -> None:
    addresses = frozenset({"10.177.0.2/32"})
    want = access.Wanted({"alice": addresses}, frozenset(), {})
    found = access.peer_changes(want, {"alice": "of the file"}, {"alice": (addresses, held)})
    assert bool(found) is changes


# -- kits --------------------------------------------------------------------------------------------------------------


def kit_town() -> Commune:
    """a.stable's device is a Windows laptop, whose kit must be used by the 30th."""
    commune = town()
    waiting = replace(commune.laptops[0], system=System.WINDOWS, kit_until=date(2026, 11, 30))
    return replace(commune, laptops=(waiting, *commune.laptops[1:]))


def test_a_kit_that_nobody_uses_in_time_opens_nothing_from_midnight_on(tmp_path: Path) -> None:
    program = Program(tmp_path, kit_town())
    assert f"{2:043}=" in program("peers", DAYS["last"])
    assert f"{2:043}=" not in program("peers", DAYS["after"])
    assert "10.177.0.2" not in program("elements", DAYS["after"])
    assert f"{2:043}=" not in tunnel_configuration(kit_town().gateway, kit_town())


def test_a_kit_that_was_used_in_time_stays_good_also_when_wireguard_has_forgotten_it(tmp_path: Path) -> None:
    program = Program(tmp_path, kit_town())
    (tmp_path / "arrived").write_text(f"{2:043}=\n", encoding="ascii")
    assert f"{2:043}=" in program("peers", DAYS["after"])
    assert "10.177.0.2" in program("elements", DAYS["after"])


def test_who_shook_hands_is_written_down_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wg").write_text(f"#!/bin/sh\nprintf '{2:043}=\\t1764000000\\n{5:043}=\\t1764000000\\n'\n", encoding="ascii")
    (tmp_path / "wg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "access.json").write_text(schedule(kit_town()), encoding="utf-8")
    written = access.read_schedule(tmp_path / "access.json")
    assert access.arrivals(written, tmp_path / "arrived") == {f"{2:043}="}, "a lasting peer has no kit to use"
    (tmp_path / "wg").write_text(f"#!/bin/sh\nprintf '{2:043}=\\t0\\n'\n", encoding="ascii")
    assert access.arrivals(written, tmp_path / "arrived") == access.arrived(tmp_path / "arrived") == {f"{2:043}="}


def test_a_device_that_was_used_is_a_peer_like_any_other() -> None:
    commune = replace(kit_town(), laptops=(replace(kit_town().laptops[0], kit_until=None), *kit_town().laptops[1:]))
    assert [m.name for m in lasting_peers(commune)] == ["portable-2", "portable-5", "portable-6"]
    assert '"kit"' not in schedule(commune)
