"""Knocking at doors of this computer."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from toolkit.checks.probe import OWN_ADDRESSES, Door, knock, own_addresses
from toolkit.checks.subject import Evidence, Subject
from toolkit.model import Commune

HERE = ip_address("127.0.0.1")


@pytest.fixture
def subject(commune: Commune, connections: Any) -> Subject:
    return Subject(commune.gateway, Evidence(commune, connections))


@contextmanager
def listening(kind: socket.SocketKind, answer: bytes) -> Iterator[int]:
    """A server that answers the first who comes; nothing, if the answer is empty."""
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            if kind == socket.SOCK_DGRAM:
                _, client = server.recvfrom(100)
                server.sendto(answer, client) if answer else None
                return
            server.listen()
            connection, _ = server.accept()
            connection.sendall(answer)
            connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.parametrize(("kind", "protocol"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
def test_a_door_that_answers_is_open_and_what_it_says_is_kept(subject: Subject, kind: Any, protocol: str) -> None:
    with listening(kind, b'{"application": "paie", "at": 5}\n') as port:
        door = Door(protocol, HERE, port)
        assert str(knock(subject, [door])[door]) == """open, it said '{"application": "paie", "at": 5}'"""


def test_a_server_that_is_silent_at_first_is_open(subject: Subject) -> None:
    with listening(socket.SOCK_STREAM, b"") as port:
        door = Door("tcp", HERE, port)
        assert str(knock(subject, [door])[door]) == "open"


def test_a_udp_port_that_says_nothing_is_silent(subject: Subject) -> None:
    with listening(socket.SOCK_DGRAM, b"") as port:
        door = Door("udp", HERE, port)
        assert str(knock(subject, [door])[door]) == "silent"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_where_nobody_listens_is_refused(subject: Subject, protocol: str) -> None:
    door = Door(protocol, HERE, 9)
    assert str(knock(subject, [door])[door]) == "refused"


def test_doors_are_tried_at_once_and_each_once(subject: Subject) -> None:
    doors = [Door("tcp", HERE, port) for port in range(2, 60)] * 2
    assert len(knock(subject, doors)) == 58


def test_a_machine_says_which_addresses_it_has_and_one_that_cannot_be_asked_has_that_of_the_inventory(
    subject: Subject, connections: Any
) -> None:
    subject.once("addresses", lambda: "10.1.0.1\n2001:db8::1\n")
    assert list(map(str, own_addresses(subject, subject.gateway))) == ["10.1.0.1", "2001:db8::1"]
    connections.unreachable = {"poste-1": "it sleeps"}
    assert list(map(str, own_addresses(subject, subject.commune.desktops[0]))) == ["10.1.2.1"]


def test_the_tunnels_own_addresses_and_those_of_one_link_are_left_out() -> None:
    shown = "2: wan0    inet6 2001:db8::1/64 scope global \\ valid_lft forever\n3: wg0    inet6 fd00::1/64 scope global\n"
    told = OWN_ADDRESSES.replace("ip -o address show scope global", f"printf '{shown}'")
    assert subprocess.run(["sh", "-c", told], capture_output=True, text=True, check=True).stdout == "2001:db8::1\n"
