"""The gateway as a stranger on the Internet sees it."""

from __future__ import annotations

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.scan import TCP_PORTS, UDP_PORTS, Scan, scan
from toolkit.checks.subject import Subject

NO_VANTAGE = "no vantage point on the Internet"
# Counts what arrives, before any filter: silence proves nothing if the questions never came.
COUNT = """\
nft delete table inet telekit_verify_outside 2>/dev/null
nft -f - <<'RULES'
table inet telekit_verify_outside {
  counter arrived { }
  chain first { type filter hook prerouting priority -400; tcp flags syn / syn,ack tcp dport 65535 counter name arrived; }
}
RULES
"""
COUNTED = """\
nft -j list counter inet telekit_verify_outside arrived | sed -n 's/.*"packets": *\\([0-9]*\\).*/\\1/p'
nft delete table inet telekit_verify_outside
"""


def _seen(subject: Subject) -> Scan:
    """What the gateway answers to a stranger, once it is sure that the stranger's packets arrive."""
    outside = subject.evidence.internet
    if outside is None:
        raise NotCheckedError(NO_VANTAGE)

    def look() -> Scan:
        subject.output(COUNT)
        try:
            endpoint = subject.gateway.endpoint
            found = scan(outside, endpoint.host, udp=(*UDP_PORTS, endpoint.port))
        finally:
            arrived = subject.output(COUNTED).strip()
        if arrived in ("", "0"):
            raise NotCheckedError(f"no packet for {found.address} arrived at the gateway from {NO_VANTAGE.partition(' ')[2]}")
        return found

    return subject.once("scan", look)


@check(
    Theme.EXPOSURE,
    "No TCP port of the gateway answers the Internet",
    titre="Aucun port TCP de la passerelle ne répond à Internet",
    tried=f"connecting from the Internet to {len(TCP_PORTS)} TCP ports of the gateway's public address",
    expected="silence on all of them",
    fix="telekit provision; nft list ruleset on the gateway shows what lets it in",
    seconds=90,
)
def test_no_tcp_port_answers(subject: Subject) -> str:
    found = _seen(subject)
    answers = {port: said for port, said in found.answers.items() if port.endswith("/tcp")}
    assert not answers, f"at {found.address}: " + ", ".join(f"{port} {said}" for port, said in answers.items())
    return f"{found.address} is silent on {len(TCP_PORTS)} TCP ports"


@check(
    Theme.EXPOSURE,
    "No UDP port of the gateway answers a stranger",
    titre="Aucun port UDP de la passerelle ne répond à un inconnu",
    tried=f"sending DNS, NTP and SNMP questions from the Internet to {len(UDP_PORTS) + 1} UDP ports, WireGuard's among them",
    expected="silence: WireGuard answers only those whose key it knows",
    fix="telekit provision; nft list ruleset on the gateway shows what lets it in",
    seconds=90,
)
def test_no_udp_port_answers(subject: Subject) -> str:
    found = _seen(subject)
    answers = {port: said for port, said in found.answers.items() if port.endswith("/udp")}
    assert not answers, f"at {found.address}: " + ", ".join(f"{port} {said}" for port, said in answers.items())
    return f"{found.address} is silent on {len(UDP_PORTS) + 1} UDP ports"
