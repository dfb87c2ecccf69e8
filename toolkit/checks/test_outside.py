"""The gateway as a stranger on the Internet sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.probe import FORGED, own_addresses
from toolkit.checks.remote import script
from toolkit.checks.scan import TCP_PORTS, UDP_PORTS, Scan, scan
from toolkit.checks.subject import Outside, Subject
from toolkit.checks.witness import sweep_later
from toolkit.model import Address

NO_VANTAGE = "no vantage point on the Internet"
PORTS = TCP_PORTS[1] - TCP_PORTS[0] + 1
PRIVATE6 = ip_network("fc00::/7")
# Counts at how many ports questions arrive, before any filter: silence proves nothing if the questions never came. And how many
# packets under an address of the tunnel come from elsewhere, before and after the rule that drops them.
COUNT = """\
nft delete table inet telekit_verify_outside 2>/dev/null
nft -f - <<'RULES'
table inet telekit_verify_outside {{
{things}
  chain first {{ type filter hook prerouting priority -400;
    iifname {{ "wg0", "wg0-next" }} return
{forged_came}
    fib daddr type != local return
{asked}
  }}
  chain after {{ type filter hook prerouting priority -250;
    iifname {{ "wg0", "wg0-next" }} return
{forged_passed}
  }}
}}
RULES
"""
PORT_SET = "  set {kind}_ports {{ type inet_service; flags dynamic; size 65536; }}\n  counter {kind}_asked {{ }}"
ASKED = (
    "    meta nfproto ipv{version} {what} dport != @{kind}_ports "
    "add @{kind}_ports {{ {protocol} dport }} counter name {kind}_asked"
)
FORGED_RULE = "    {ip} saddr {source} {ip} dscp {mark} counter name forged{version}_{when}"
FIRST = {"tcp": "tcp flags & (syn | ack) == syn tcp", "udp": "udp"}
COUNTED = "nft -j list counters table inet telekit_verify_outside"
FORGET = "nft delete table inet telekit_verify_outside"


@dataclass(frozen=True)
class Seen:
    """What answered a stranger, how much of what they asked arrived, and under which addresses of the tunnel they sent."""

    scan: Scan
    arrived: Mapping[str, int]
    forged: Sequence[Address]


def _seen(subject: Subject) -> Seen:
    """What the gateway answers to a stranger, once it is sure that all their questions arrived."""
    outside = subject.evidence.internet
    if outside is None:
        raise NotCheckedError(NO_VANTAGE)
    return subject.once("scan", lambda: _ask(subject, outside))


def _ask(subject: Subject, outside: Outside) -> Seen:
    subject.evidence.once("sweep", lambda: sweep_later(subject))
    borrowed, hosts = _borrowed(subject), (subject.gateway.endpoint.host, *_public6(subject))
    subject.output(counting(borrowed))
    try:
        found = scan(outside, *hosts, udp=_udp(subject))
        if any(_counted(subject)[f"tcp{ip_address(address).version}_asked"] < PORTS for address in found.addresses):
            # Some were lost on the way: once more.
            again = scan(outside, *hosts, udp=_udp(subject))
            found = replace(again, answers={**found.answers, **again.answers})
        ways = {ip_address(address).version: address for address in found.addresses}
        forged = [source for source in borrowed if source.version in ways]
        order = [["udp", ways[source.version], 53, str(source), ""] for source in forged]
        outside.run(["sh", "-s"], timeout=20.0, stdin=script("knocker", "forge", packets=order, mark=FORGED << 2))
        return Seen(found, _counted(subject), forged)
    finally:
        subject.run(FORGET)


def counting(borrowed: Sequence[Address]) -> str:
    """The script that has the gateway count; `borrowed`: the addresses of the tunnel that are forged."""
    kinds = [(version, protocol, f"{protocol}{version}") for version in (4, 6) for protocol in ("tcp", "udp")]
    things = [PORT_SET.format(kind=kind) for _, _, kind in kinds]
    asked = [ASKED.format(version=v, what=FIRST[protocol], kind=kind, protocol=protocol) for v, protocol, kind in kinds]
    forged: dict[str, list[str]] = {"came": [], "passed": []}
    for source in borrowed:
        for when, rules in forged.items():
            things.append(f"  counter forged{source.version}_{when} {{ }}")
            ip = "ip" if source.version == 4 else "ip6"
            rules.append(FORGED_RULE.format(ip=ip, source=source, mark=FORGED, version=source.version, when=when))
    came, passed = ("\n".join(rules) for rules in forged.values())
    return COUNT.format(things="\n".join(things), asked="\n".join(asked), forged_came=came, forged_passed=passed)


def _public6(subject: Subject) -> list[str]:
    """The gateway's own IPv6 addresses on the Internet: whoever looks for them finds them, whatever the endpoint's name says."""
    own = own_addresses(subject, subject.gateway)
    return [str(a) for a in own if isinstance(a, IPv6Address) and a not in PRIVATE6]


def _counted(subject: Subject) -> Mapping[str, int]:
    """The counters by name."""
    done = subject.run(COUNTED)
    if done.code != 0:
        raise NotCheckedError("the gateway's firewall was loaded anew meanwhile, and what was counted is gone")
    listed = json.loads(done.stdout)["nftables"]
    return {item["counter"]["name"]: int(item["counter"]["packets"]) for item in listed if "counter" in item}


def _udp(subject: Subject) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*UDP_PORTS, subject.gateway.endpoint.port)))


def _borrowed(subject: Subject) -> Sequence[Address]:
    """The tunnel addresses that a stranger claims to have, one of each version of IP."""
    commune = subject.commune
    inside = next(((m.tunnel_address, m.tunnel_address6) for m in commune.peers), (None, None))
    found: list[Address | None] = [inside[0] or commune.gateway_address()]
    if commune.network.tunnel6:
        found.append(inside[1] or commune.gateway_address6())
    return [address for address in found if address]


def _silent(seen: Seen, protocol: str, asked: int) -> str:
    """Nothing answered, though every question came."""
    where, answers = " and ".join(seen.scan.addresses), seen.scan.told(protocol)
    assert not answers, f"at {where}: {answers}"
    for address in seen.scan.addresses:
        arrived = seen.arrived[f"{protocol}{ip_address(address).version}_asked"]
        if arrived < asked:
            what = f"questions at {arrived} of {asked} {protocol.upper()} ports of {address} arrived at the gateway"
            raise NotCheckedError(f"{what}, so that silence at the others proves nothing")
    return f"{where}: silence on {asked} {protocol.upper()} ports, at each of which a question arrived"


@check(
    Theme.EXPOSURE,
    "No TCP port of the gateway answers the Internet",
    titre="Aucun port TCP de la passerelle ne répond à Internet",
    tried=f"asking from the Internet at all {PORTS} TCP ports of the gateway, IPv4 and IPv6, while it counts what arrives",
    expected="silence on all of them",
    fix="telekit provision; nft list ruleset on the gateway shows what lets it in",
    seconds=120,
)
def test_no_tcp_port_answers(subject: Subject) -> str:
    return _silent(_seen(subject), "tcp", PORTS)


@check(
    Theme.EXPOSURE,
    "No UDP port of the gateway answers a stranger",
    titre="Aucun port UDP de la passerelle ne répond à un inconnu",
    tried=f"sending DNS, NTP and SNMP questions from the Internet to {len(UDP_PORTS)} UDP ports, IPv4 and IPv6, and WireGuard's",
    expected="silence: WireGuard answers only those whose key it knows",
    fix="telekit provision; nft list ruleset on the gateway shows what lets it in",
    seconds=120,
)
def test_no_udp_port_answers(subject: Subject) -> str:
    return _silent(_seen(subject), "udp", len(_udp(subject)))


@check(
    Theme.EXPOSURE,
    "Whoever claims a tunnel address without a tunnel is not believed",
    titre="Qui se donne une adresse du tunnel sans tunnel n’est pas cru",
    tried="sending packets from the Internet to the gateway under the tunnel address of a laptop, and counting them there",
    expected="they are dropped before anything looks at them",
    fix="telekit provision; nft list chain inet telekit no_forged_sources on the gateway",
    seconds=120,
)
def test_drops_forged_tunnel_addresses(subject: Subject) -> str:
    seen = _seen(subject)
    believed = [str(source) for source in seen.forged if seen.arrived[f"forged{source.version}_passed"]]
    assert not believed, f"packets under {', '.join(believed)} were taken for the tunnel's"
    lost = [str(source) for source in seen.forged if not seen.arrived[f"forged{source.version}_came"]]
    if lost or not seen.forged:
        raise NotCheckedError(f"no packet under {', '.join(lost) or 'such an address'} came as far as the gateway")
    came = [f"{seen.arrived[f'forged{source.version}_came']} packets under {source}" for source in seen.forged]
    return f"{' and '.join(came)} came, and were dropped"
