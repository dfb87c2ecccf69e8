"""Looking at an address from outside, here from this computer at itself."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence

import pytest

from toolkit.checks.scan import TCP_PORTS, scan


class Nearby:
    """A vantage point that is this computer."""

    def run(self, argv: Sequence[str], timeout: float = 60.0, *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)


def test_what_answers_is_told_from_what_refuses_and_from_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = scan(Nearby(), "localhost", tcp=[port, 9], udp=[9])
    assert found.address == "127.0.0.1"
    assert found.answers == {f"{port}/tcp": "open", "9/tcp": "refused", "9/udp": "refused"}
    assert found.tried == 3


def test_a_host_that_has_no_address_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="the scan itself failed"):
        scan(Nearby(), "no-such-host.invalid", tcp=[9], udp=[])


def test_the_ports_that_matter_most_are_among_those_tried() -> None:
    assert {22, 53, 80, 443, 3389, 51820, 65535} <= set(TCP_PORTS)
