"""How fast a server is, measured on this computer, and judged by what the inventory demands."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.leak import _leak
from toolkit.checks.probe import Door
from toolkit.checks.remote.pace import pace
from toolkit.checks.subject import Evidence, Subject
from toolkit.checks.test_pace import Pace
from toolkit.checks.test_pace import test_answers_fast_enough as fast_enough
from toolkit.checks.test_pace import test_carries_enough as carries_enough
from toolkit.model import Commune

PAIE = Door("tcp", ip_address("10.1.1.1"), 443)


@contextmanager
def server(answer: Callable[[bytes], bytes]) -> Iterator[list[Any]]:
    """A TCP server that says this to whatever it gets, as often as anybody comes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk(line: socket.socket) -> None:
            with line, suppress(OSError):
                while data := line.recv(1 << 16):
                    line.sendall(answer(data))

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(line,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield list(listening.getsockname())


def test_what_comes_back_is_counted_of_the_first_server_that_sends_it_back() -> None:
    with server(lambda _: b"no\n") as mute, server(lambda data: data) as echo:
        found = pace([mute, echo], seconds=0.2)
    assert found["of"] == echo
    assert found["rate"] > 1
    assert len(found["times"]) == 5
    assert all(0 < time < 1000 for time in found["times"])


def test_where_nobody_sends_it_back_there_is_no_throughput() -> None:
    with server(lambda _: b"") as silent:
        assert pace([silent], seconds=0.1)["rate"] is None


def test_a_server_that_is_not_there_gives_no_times() -> None:
    assert pace([["127.0.0.1", 9]], seconds=0.1) == {"times": [None] * 5, "rate": None, "of": None}


def measured(commune: Commune, connections: Any, pace: Pace, of_policy: dict[str, int], of_profile: dict[str, int]) -> Subject:
    profiles = tuple(replace(profile, **of_profile) for profile in commune.profiles)
    there = replace(commune, policy=replace(commune.policy, **of_policy), profiles=profiles)
    subject = Subject(there.laptops[0], Evidence(there, connections))
    subject.once("pace", lambda: pace)
    return subject


def test_without_a_limit_it_is_told_and_not_judged(commune: Commune, connections: Any) -> None:
    subject = measured(commune, connections, Pace(PAIE, (900.0,), 0.1), {}, {})
    assert fast_enough(subject) == "900.0 ms to 10.1.1.1:443/tcp, for the profile rh; no limit in the inventory"
    assert carries_enough(subject) == "0 Mbit/s each way at once, for the profile rh; no limit in the inventory"


def test_a_profiles_limit_comes_before_the_policys(commune: Commune, connections: Any) -> None:
    policy = {"max_latency_ms": 10, "min_throughput_mbit": 50}
    found = Pace(PAIE, (20.0, 30.0, 900.0), 20.0)
    slow = measured(commune, connections, found, policy, {})
    with pytest.raises(AssertionError, match=r"30\.0 ms .*; the limit is 10 ms"):
        fast_enough(slow)
    with pytest.raises(AssertionError, match=r"20\.0 Mbit/s for the profile rh; the least is 50"):
        carries_enough(slow)
    fine = measured(commune, connections, found, policy, {"max_latency_ms": 40, "min_throughput_mbit": 5})
    assert fast_enough(fine).endswith("the limit is 40 ms")
    assert carries_enough(fine).endswith("the least is 5")


def test_what_could_not_be_counted_is_not_checked(commune: Commune, connections: Any) -> None:
    with pytest.raises(NotCheckedError, match="sends back what it is sent"):
        carries_enough(measured(commune, connections, Pace(PAIE, (1.0,), None), {}, {}))


def test_what_left_beside_the_tunnel_is_told_with_where_and_what_was_tried() -> None:
    counters = {"tried_tcp4": 3, "tried_udp4": 2, "tried_tcp6": 0, "tried_udp6": 1, "leaked4": 1, "leaked6": 1}
    items: list[Any] = [{"counter": {"name": name, "packets": number}} for name, number in counters.items()]
    for name, at in (("destinations4", "198.51.100.77"), ("destinations6", "ff02::fb")):
        items.append({"set": {"name": name, "elem": [{"elem": {"val": {"concat": [at, 17, 53]}, "timeout": 60}}]}})
    leak = _leak({"table": {"nftables": items}, "route": "wg0", "down": False, "way6": True})
    assert str(leak) == "2 packets, to 198.51.100.77 udp/53, ff02::fb udp/53"
    tried = "IPv4 TCP 3, IPv6 TCP 0, IPv4 UDP 2, IPv6 UDP 1 packets"
    assert leak.attempts == f"{tried}, where there is a way to the IPv6 Internet"
    assert replace(leak, way6=False).attempts == tried
    with pytest.raises(AssertionError, match="could not count: the probe was stopped"):
        _leak({"error": "the probe was stopped"})
