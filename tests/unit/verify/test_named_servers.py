"""Checks follow servers that are known by their name to where the gateway says they are."""

from __future__ import annotations

from ipaddress import ip_address

from toolkit.checks.probe import Door, doors_of
from toolkit.checks.test_baseline import _rules
from toolkit.model import Application

LISTED = """\
table inet telekit {
\tset varying_access4 {
\t\ttype ipv4_addr . ipv4_addr . inet_proto . inet_service
%s\t}

\tset admin4 {
\t\ttype ipv4_addr
\t\telements = { 10.77.0.10 }
\t}
}
"""
ELEMENTS = """\
\t\telements = { 10.177.0.2 . 10.77.1.11 . tcp . 443,
\t\t\t     10.177.0.2 . 10.77.1.12 . tcp . 443 }
"""


def test_a_server_has_its_doors_at_each_address_that_its_name_leads_to() -> None:
    paie = Application("paie", "Paie", host="paie.essai.example", tcp=(443,), udp=(500,))
    places = {"paie.essai.example": (ip_address("10.77.1.20"), ip_address("fd00::20"))}
    assert set(doors_of(paie, places)) == {
        Door(protocol, address, port) for protocol, port in (("tcp", 443), ("udp", 500)) for address in places[paie.place]
    }
    assert doors_of(paie, {}) == []


def test_a_server_with_an_address_needs_nobody_to_say_where_it_is() -> None:
    assert doors_of(Application("mail", "Mail", ip_address("10.77.1.12"), tcp=(993,)), {}) == [
        Door("tcp", ip_address("10.77.1.12"), 993)
    ]


def test_what_the_gateway_keeps_by_itself_is_no_difference_to_the_rules_of_the_boot() -> None:
    assert _rules(LISTED % ELEMENTS) == _rules(LISTED % "")
    assert "elements = { 10.77.0.10 }" in _rules(LISTED % ELEMENTS)
