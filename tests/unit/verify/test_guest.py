"""The laptop that exists for a moment: who it is, what the gateway is told, and what it puts into its tunnel."""

from __future__ import annotations

import shlex
import struct
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.guest import guest_of, let_in
from toolkit.checks.matrix import matrix
from toolkit.checks.remote.peer import ACK, RST, SYN, TCP, UDP, Door, checksum, inside, packet
from toolkit.checks.subject import Evidence, Subject
from toolkit.checks.test_profiles import _without_laptop
from toolkit.model import Commune, Profile

ARCHIVES = Profile("archives", ("mail",))


@pytest.fixture
def gateway(commune: Commune, connections: Any) -> Subject:
    there = replace(
        commune, profiles=(*commune.profiles, ARCHIVES), network=replace(commune.network, tunnel6=IPv6Network("fd00::/64"))
    )
    return Subject(there.gateway, Evidence(there, connections))


class Told:
    """What scripts the gateway is given; it says nothing."""

    def __init__(self, reachable: Any) -> None:
        self.scripts: list[str] = []
        self.reachable, self.unreachable = reachable, dict[str, str]()

    def run(self, target: object, script: str, *, sudo: bool = True, seconds: float = 60.0, reads_only: bool = False) -> Any:
        self.scripts.append(script)
        return type("Completed", (), {"code": 0, "stdout": "", "stderr": ""})


def test_the_profiles_that_no_laptop_can_be_asked_about_are_tried(gateway: Subject) -> None:
    assert [case.key for case in _without_laptop(gateway)] == ["archives"]


def test_its_matrix_is_that_of_a_laptop_of_the_profile(gateway: Subject) -> None:
    guest, _ = guest_of(gateway, ARCHIVES)
    allowed = {str(cell.door) for cell in matrix(guest)["applications"] if cell.allowed}
    assert allowed == {"10.1.1.2:993/tcp", "10.1.1.2:5000/udp"}
    assert {str(cell.door.address) for cell in matrix(guest)["laptops"]} == {"10.2.0.2", "10.2.0.3"}
    assert not [cell for cell in matrix(guest)["desktops"] if cell.allowed]


def test_it_has_the_last_addresses_that_nobody_has_and_each_time_another_key(gateway: Subject) -> None:
    (guest, key), (_, other) = guest_of(gateway, ARCHIVES), guest_of(gateway, ARCHIVES)
    assert (str(guest.laptop.tunnel_address), str(guest.laptop.tunnel_address6)) == ("10.2.0.254", "fd00::fe")
    assert key.reveal() != other.reveal()


def test_in_a_tunnel_without_a_free_address_it_is_not_tried(gateway: Subject) -> None:
    full = replace(gateway.commune, network=replace(gateway.commune.network, tunnel=IPv4Network("10.2.0.0/30"), tunnel6=None))
    with pytest.raises(NotCheckedError, match="no free address"):
        guest_of(Subject(full.gateway, Evidence(full, gateway.evidence.connections)), ARCHIVES)


def test_before_it_is_let_in_the_gateway_is_told_to_take_it_out_by_itself(gateway: Subject) -> None:
    told = Told(gateway.evidence.connections.reachable)
    there = Subject(gateway.machine, replace(gateway.evidence, connections=told))
    guest, key = guest_of(there, ARCHIVES)
    with pytest.raises(KeyboardInterrupt), let_in(there, guest):
        raise KeyboardInterrupt
    into, out = told.scripts
    end, begin = into.index("--on-active=60s"), into.index("\nwg set wg0 peer")
    assert end < begin
    by_itself = shlex.split(into)[shlex.split(into).index("-c") + 1]
    assert out.startswith(by_itself)
    for word in (
        f"peer {guest.laptop.public_key} remove",
        "delete element inet telekit access4",
        "delete element inet telekit peers6",
    ):
        assert word in by_itself
    assert key.reveal() not in into + out


# -- its packets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), [("10.2.0.254", "10.1.1.2"), ("fd00::fe", "fd00::1")])
@pytest.mark.parametrize(("kind", "number"), [("tcp", TCP), ("udp", UDP)])
def test_what_it_sends_is_whole_and_marked(source: str, target: str, kind: str, number: int) -> None:
    sent = packet(source, target, number, Door(kind, target, 443, 20000).body("localhost"), 43 << 2)
    protocol, sender, body = inside(sent)
    assert (protocol, sender, struct.unpack(">HH", body[:4])) == (number, source, (20000, 443))
    pseudo = ip_address(source).packed + ip_address(target).packed + struct.pack(">II", len(body), number)
    assert checksum(pseudo + body) == 0
    assert (sent[1] if ":" not in source else struct.unpack(">H", sent[:2])[0] >> 4 & 0xFF) == 43 << 2
    assert ":" in source or checksum(sent[:20]) == 0


def test_what_it_hears_is_told_apart() -> None:
    def answer(flags: int) -> str:
        door = Door("tcp", "10.1.1.2", 443, 20000)
        door.hear(struct.pack(">HHLLBBHHH", 443, 20000, 1, 2, 0x50, flags, 0, 0, 0))
        return door.state

    assert [answer(SYN | ACK), answer(RST | ACK), answer(ACK)] == ["open", "refused", "silent"]
    door = Door("udp", "10.1.1.2", 5000, 20000)
    door.hear(struct.pack(">HHHH", 5000, 20000, 13, 0) + b"hello")
    assert (door.state, door.said) == ("open", "hello")


def test_what_is_no_packet_says_nothing() -> None:
    assert [inside(data)[0] for data in (b"", b"\x45", b"\x60" + bytes(10), b"\xff" * 60)] == [0, 0, 0, 0]
