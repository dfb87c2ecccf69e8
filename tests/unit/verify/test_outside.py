"""What the gateway is told to count while strangers ask, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.scan import Scan
from toolkit.checks.subject import Evidence, Subject
from toolkit.checks.test_outside import PORTS, Seen, _borrowed, _public6, counting
from toolkit.checks.test_outside import test_drops_forged_tunnel_addresses as forged_check
from toolkit.checks.test_outside import test_no_tcp_port_answers as tcp_check
from toolkit.model import Commune

OURS, OURS6 = "203.0.113.1", "2001:db8:1::1"
SOURCES = (ip_address("10.2.0.2"), ip_address("fd00:2::2"))
COUNTED = {"tcp4_asked": PORTS, "tcp6_asked": PORTS} | {f"forged{v}_{when}": 0 for v in (4, 6) for when in ("came", "passed")}


@pytest.fixture
def gateway(commune: Commune, connections: Any) -> Subject:
    network = replace(commune.network, tunnel6=IPv6Network("fd00:2::/64"))
    laptops = tuple(replace(m, tunnel_address6=IPv6Address(f"fd00:2::{n}")) for n, m in enumerate(commune.laptops, 2))
    both = replace(commune, network=network, laptops=laptops)
    return Subject(both.gateway, Evidence(both, connections, internet=object()))  # nobody asks it


def seen(gateway: Subject, answers: Mapping[str, str], counted: Mapping[str, int]) -> Subject:
    """A stranger asked at both addresses, and sent under an address of the tunnel of each version of IP."""
    gateway.once("scan", lambda: Seen(Scan((OURS, OURS6), answers), {**COUNTED, **counted}, SOURCES))
    return gateway


def test_questions_are_counted_by_version_of_ip_and_so_is_each_false_address() -> None:
    rules = counting(SOURCES)
    for kind in ("tcp4", "tcp6", "udp4", "udp6"):
        assert f"add @{kind}_ports" in rules
    for source in ("ip saddr 10.2.0.2 ip dscp 45 counter name forged4", "ip6 saddr fd00:2::2 ip6 dscp 45 counter name forged6"):
        assert rules.count(f"{source}_came") == rules.count(f"{source}_passed") == 1


def test_a_tunnel_without_ipv6_lends_no_ipv6_address(gateway: Subject, commune: Commune, connections: Any) -> None:
    assert list(_borrowed(gateway)) == list(SOURCES)
    assert list(_borrowed(Subject(commune.gateway, Evidence(commune, connections)))) == [SOURCES[0]]


def test_the_gateways_public_ipv6_address_is_asked_at_whatever_its_name_says(gateway: Subject) -> None:
    gateway.once("addresses", lambda: f"10.1.0.1\nfd00:1::1\n{OURS6}\n203.0.113.1\n")
    assert _public6(gateway) == [OURS6]


def test_silence_at_both_addresses_is_good_when_every_question_came(gateway: Subject) -> None:
    assert tcp_check(seen(gateway, {}, {})).startswith(f"{OURS} and {OURS6}: silence on 65535 TCP ports")


def test_a_port_that_answers_by_ipv6_alone_is_named(gateway: Subject) -> None:
    with pytest.raises(AssertionError, match=r"\[2001:db8:1::1\]:22/tcp open"):
        tcp_check(seen(gateway, {f"[{OURS6}]:22/tcp": "open"}, {}))


def test_silence_proves_nothing_where_the_questions_by_ipv6_did_not_come(gateway: Subject) -> None:
    with pytest.raises(NotCheckedError, match="questions at 3 of 65535 TCP ports of 2001:db8:1::1 arrived"):
        tcp_check(seen(gateway, {}, {"tcp6_asked": 3}))


def test_a_false_address_must_come_by_both_versions_of_ip_and_be_dropped(gateway: Subject) -> None:
    came = {"forged4_came": 2, "forged6_came": 2}
    assert forged_check(seen(gateway, {}, came)) == (
        "2 packets under 10.2.0.2 and 2 packets under fd00:2::2 came, and were dropped"
    )


@pytest.mark.parametrize(
    ("counted", "error", "words"),
    [
        ({"forged4_came": 2}, NotCheckedError, "no packet under fd00:2::2 came"),
        ({"forged4_came": 2, "forged6_came": 2, "forged6_passed": 2}, AssertionError, "under fd00:2::2 were taken for"),
    ],
)
def test_a_false_ipv6_address_that_is_lost_or_believed_is_named(
    gateway: Subject, counted: Mapping[str, int], error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        forged_check(seen(gateway, {}, counted))
