"""A key on its way to being replaced: what the gateway lets in meanwhile, and what its program makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from deploys import rotation
from deploys.access import lasting_peers, schedule, units
from deploys.gateway import tunnel_configuration, tunnel_interface
from deploys.gateway_rules import ruleset
from deploys.preshared import shared_keys
from deploys.tunnel_record import device_names
from tests.unit.conftest import program_of
from toolkit.model import Agent, Application, Commune, Endpoint, Gateway, Laptop, LocalNetwork, Profile, Secret, SshAddress

FOLDER = Path(__file__).parents[3] / "templates" / "access"
OLD, NEW, OTHER = "B" * 42 + "E=", "C" * 42 + "E=", "D" * 42 + "E="
BEFORE, LAST, AFTER = "2026-11-25", "2026-12-09", "2026-12-10"
ADDRESSES = frozenset({"10.177.0.2/32"})


access = program_of(FOLDER / "access.py", "rotation_access")


def town(**agent: date) -> Commune:
    until = date.fromisoformat(LAST)
    rotating = Laptop("portable-1", tunnel_address=ip_address("10.177.0.2"), public_key=OLD, next_key=NEW, next_until=until)
    other = Laptop("portable-2", tunnel_address=ip_address("10.177.0.3"), public_key=OTHER)
    return Commune(
        slug="essai", name="Essai", insee="00000", domain="essai.example",
        network=LocalNetwork(lan=(ip_network("10.77.0.0/20"),), tunnel=ip_network("10.177.0.0/24")),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), ip_address("10.77.0.1")),),
        laptops=(rotating, other), applications=(Application("mail", "Messagerie", ip_address("10.77.1.1"), tcp=(443,)),),
        profiles=(Profile("tous", ("mail",)),),
        agents=(
            Agent("a.un", "Un", "Anne", "tous", laptop="portable-1", **agent),
            Agent("b.deux", "Deux", "Basile", "tous", laptop="portable-2"),
        ),
        today=date.fromisoformat(BEFORE),
    )  # fmt: skip


def wanted(commune: Commune, folder: Path, day: str, *arrived: str) -> Any:
    file = folder / "access.json"
    file.write_text(schedule(commune), encoding="utf-8")
    return access.wanted(access.read_schedule(file), {}, day, frozenset(arrived))


def test_the_new_key_may_shake_hands_but_has_no_address_before(tmp_path: Path) -> None:
    assert wanted(town(), tmp_path, BEFORE).peers == {OLD: ADDRESSES, NEW: frozenset()}


def test_the_addresses_pass_to_it_at_its_first_handshake_and_the_old_key_is_gone(tmp_path: Path) -> None:
    found = wanted(town(), tmp_path, BEFORE, NEW)
    assert (found.peers, found.gone) == ({NEW: ADDRESSES}, frozenset({OLD}))


def test_a_new_key_that_did_not_come_in_time_is_gone_and_the_old_one_stays(tmp_path: Path) -> None:
    found = wanted(town(), tmp_path, AFTER)
    assert (found.peers, found.gone) == ({OLD: ADDRESSES}, frozenset({NEW}))
    assert wanted(town(), tmp_path, LAST).peers == {OLD: ADDRESSES, NEW: frozenset()}


def test_one_that_came_in_time_stays_after_the_last_day(tmp_path: Path) -> None:
    assert wanted(town(), tmp_path, AFTER, NEW).peers == {NEW: ADDRESSES}


@pytest.mark.parametrize("arrived", [(), (NEW,)])
def test_an_access_that_ends_at_midnight_ends_for_both_keys(tmp_path: Path, arrived: tuple[str, ...]) -> None:
    found = wanted(town(ends=date.fromisoformat(BEFORE)), tmp_path, "2026-11-26", *arrived)
    assert (found.peers, found.gone) == ({}, frozenset({OLD, NEW}))
    assert not any(found.sets.values())


def test_a_suspended_agents_laptop_has_no_key_at_all(tmp_path: Path) -> None:
    found = wanted(town(suspended=date.fromisoformat(BEFORE)), tmp_path, BEFORE, NEW)
    assert found.peers == {}
    assert NEW not in shared_keys(town(suspended=date.fromisoformat(BEFORE)), {}, {"portable-1": Secret("x")}).reveal()


def test_the_firewall_lets_the_laptop_in_whichever_key_it_uses(tmp_path: Path) -> None:
    one, both = wanted(town(), tmp_path, BEFORE), wanted(town(), tmp_path, BEFORE, NEW)
    assert one.sets == both.sets
    assert one.sets["varying_peers4"] == frozenset({("10.177.0.2",)})


def test_at_boot_neither_key_is_there_and_the_others_are() -> None:
    commune = town()
    assert [laptop.name for laptop in lasting_peers(commune)] == ["portable-2"]
    text = tunnel_configuration(commune.gateway, commune) + ruleset(commune, (22,))
    assert OLD not in text
    assert NEW not in text
    assert OTHER in text
    assert tunnel_interface(commune.gateway, commune, Secret("")).varying == frozenset({OLD, NEW})


def test_each_key_has_its_own_preshared_key_and_both_are_the_laptops_in_the_record() -> None:
    lines = shared_keys(town(), {"portable-1": Secret("old")}, {"portable-1": Secret("new")}).reveal().splitlines()
    assert lines[1:] == [f"{OLD} old", f"{NEW} new"]
    assert [line for line in device_names(town()).splitlines() if line.endswith("portable-1")] == [
        f"{OLD} portable-1", f"{NEW} portable-1",
    ]  # fmt: skip


def test_a_peer_without_addresses_names_none() -> None:
    """`wg` takes no empty list."""
    assert access.peer_section(NEW, frozenset(), "secret") == f"[Peer]\nPublicKey = {NEW}\nPresharedKey = secret\n"


def test_what_happened_to_the_keys_is_told_by_the_laptops_name(tmp_path: Path) -> None:
    wanted(town(), tmp_path, BEFORE)
    laptop = access.read_schedule(tmp_path / "access.json").laptops[0]
    moved = {NEW: (ADDRESSES, "secret"), OLD: None}
    assert [access.happened(laptop, key, moved) for key in laptop.keys] == [
        "its old key is refused from now on", "its new key has shaken hands, and has its addresses",
    ]  # fmt: skip
    assert access.happened(laptop, NEW, {NEW: (frozenset(), "secret")}) == "a new key may take the place of its key"
    assert access.happened(laptop, NEW, {NEW: None}) == "its new key did not shake hands in time"


def test_the_watch_ends_when_there_is_no_key_to_wait_for(tmp_path: Path) -> None:
    arrived = tmp_path / "arrived"
    arrived.write_text(f"{NEW}\n", encoding="ascii")
    wanted(town(), tmp_path, BEFORE)
    command = [
        sys.executable, str(FOLDER / "access.py"), "watch", "--schedule", str(tmp_path / "access.json"),
        "--memory", str(tmp_path / "names.json"), "--day", BEFORE,
    ]  # fmt: skip
    assert subprocess.run(command, timeout=10, check=True, capture_output=True).stdout == b""


def test_a_laptop_without_a_second_key_is_in_the_schedule_as_before() -> None:
    plain = replace(town(), laptops=tuple(replace(m, next_key=None, next_until=None) for m in town().laptops))
    assert json.loads(schedule(plain))["laptops"] == []


def test_the_programs_of_both_ends_are_what_shell_and_systemd_take(tmp_path: Path) -> None:
    for number, text in enumerate((rotation.switcher(), rotation.MAKE_NEXT, rotation.HAND_OVER.format(until=LAST))):
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
        assert "wg genkey" not in text or number == 1
    for path, text in {**rotation.units(), **{p: t for p, t in units("wg0").items() if p.endswith("rotation.service")}}.items():
        (tmp_path / Path(path).name).write_text(text, encoding="utf-8")
    watched = (tmp_path / "telekit-rotation.service").read_text(encoding="utf-8")
    assert "ExecStart=/usr/local/lib/telekit/access watch" in watched
    assert "[Install]" not in watched
    assert "PathExists=/etc/wireguard/next/preshared.key" in (tmp_path / "telekit-switch-key.path").read_text(encoding="utf-8")


def test_the_switcher_names_no_key_in_an_argument() -> None:
    """`wg` reads keys from files; only their names are arguments."""
    for line in rotation.switcher().splitlines():
        if "wg set" in line:
            assert 'private-key "$1"' in line
            assert 'preshared-key "$2"' in line
