"""Looking at an address from outside, here from this computer at itself."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence

import pytest

from toolkit.checks.remote.scanner import connect
from toolkit.checks.scan import TCP_PORTS, Scan, scan


class Nearby:
    """A vantage point that is this computer."""

    def run(self, argv: Sequence[str], timeout: float = 60.0, *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)


def test_what_answers_is_told_from_what_refuses_and_from_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = scan(Nearby(), "127.0.0.1", tcp=(port, port + 1), udp=[9])
    assert found.addresses == ("127.0.0.1",)
    assert found.answers == {f"{port}/tcp": "open", f"{port + 1}/tcp": "refused", "9/udp": "refused"}
    assert found.told("tcp") == f"{port}/tcp open, {port + 1}/tcp refused"


def test_of_several_hosts_the_first_address_of_each_version_of_ip_is_asked_ipv4_first() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        found = scan(Nearby(), "::1", "127.0.0.1", "127.0.0.2", tcp=(port, port), udp=[])
    assert found.addresses == ("127.0.0.1", "::1")
    assert found.answers == {f"{port}/tcp": "refused", f"[::1]:{port}/tcp": "open"}


def test_a_host_that_has_no_address_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="the scan itself failed"):
        scan(Nearby(), "no-such-host.invalid", tcp=(9, 9), udp=[])


def test_who_may_not_make_packets_learns_the_same_by_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = connect(socket.AF_INET, "127.0.0.1", range(port, port + 2), 1.0)
    assert found == {port: "open", port + 1: "refused"}


def test_every_tcp_port_is_among_those_tried_and_of_the_open_ones_some_are_named() -> None:
    assert TCP_PORTS == (1, 65535)
    found = Scan(("198.51.100.1",), {f"{port}/tcp": "refused" for port in range(100, 150)} | {"22/tcp": "open"})
    assert found.told("tcp").startswith("22/tcp open, 100/tcp refused")
    assert found.told("tcp").endswith("and 39 more")
    assert found.told("udp") == ""
