"""The gateway as a stranger on the Internet sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.probe import FORGED
from toolkit.checks.remote import script
from toolkit.checks.scan import TCP_PORTS, UDP_PORTS, Scan, scan
from toolkit.checks.subject import Outside, Subject
from toolkit.checks.witness import sweep_later
from toolkit.model import Address

NO_VANTAGE = "no vantage point on the Internet"
PORTS = TCP_PORTS[1] - TCP_PORTS[0] + 1
# Counts at how many ports questions arrive, before any filter: silence proves nothing if the questions never came. And how many
# packets under an address of the tunnel come from elsewhere, before and after the rule that drops them.
COUNT = """\
nft delete table inet telekit_verify_outside 2>/dev/null
nft -f - <<'RULES'
table inet telekit_verify_outside {{
  set tcp_ports {{ type inet_service; flags dynamic; size 65536; }}
  set udp_ports {{ type inet_service; flags dynamic; size 65536; }}
  counter tcp_asked {{ }}
  counter udp_asked {{ }}
  counter forged_came {{ }}
  counter forged_passed {{ }}
  chain first {{ type filter hook prerouting priority -400;
    iifname {{ "wg0", "wg0-next" }} return
    {forged} counter name forged_came
    fib daddr type != local return
    tcp flags & (syn | ack) == syn tcp dport != @tcp_ports add @tcp_ports {{ tcp dport }} counter name tcp_asked
    udp dport != @udp_ports add @udp_ports {{ udp dport }} counter name udp_asked
  }}
  chain after {{ type filter hook prerouting priority -250;
    iifname != {{ "wg0", "wg0-next" }} {forged} counter name forged_passed
  }}
}}
RULES
"""
COUNTED = "nft -j list counters table inet telekit_verify_outside"
FORGET = "nft delete table inet telekit_verify_outside"


@dataclass(frozen=True)
class Seen:
    """What answered a stranger, and how much of what they asked arrived."""

    scan: Scan
    arrived: Mapping[str, int]


def _seen(subject: Subject) -> Seen:
    """What the gateway answers to a stranger, once it is sure that all their questions arrived."""
    outside = subject.evidence.internet
    if outside is None:
        raise NotCheckedError(NO_VANTAGE)
    return subject.once("scan", lambda: _ask(subject, outside))


def _ask(subject: Subject, outside: Outside) -> Seen:
    subject.evidence.once("sweep", lambda: sweep_later(subject))
    subject.output(COUNT.format(forged=f"ip saddr {_borrowed(subject)} ip dscp {FORGED}"))
    try:
        endpoint = subject.gateway.endpoint
        found = scan(outside, endpoint.host, udp=_udp(subject))
        if _counted(subject)["tcp_asked"] < PORTS:
            # Some were lost on the way: once more.
            again = scan(outside, endpoint.host, udp=_udp(subject))
            found = replace(again, answers={**found.answers, **again.answers})
        order = [["udp", found.addresses[0], 53, str(_borrowed(subject)), ""]] if ":" not in found.addresses[0] else []
        outside.run(["sh", "-s"], timeout=20.0, stdin=script("knocker", "forge", packets=order, mark=FORGED << 2))
        return Seen(found, _counted(subject))
    finally:
        subject.run(FORGET)


def _counted(subject: Subject) -> Mapping[str, int]:
    """The counters by name."""
    done = subject.run(COUNTED)
    if done.code != 0:
        raise NotCheckedError("the gateway's firewall was loaded anew meanwhile, and what was counted is gone")
    listed = json.loads(done.stdout)["nftables"]
    return {item["counter"]["name"]: int(item["counter"]["packets"]) for item in listed if "counter" in item}


def _udp(subject: Subject) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*UDP_PORTS, subject.gateway.endpoint.port)))


def _borrowed(subject: Subject) -> Address:
    """The tunnel address that a stranger claims to have."""
    return next((m.tunnel_address for m in subject.commune.peers if m.tunnel_address), subject.commune.gateway_address())


def _silent(seen: Seen, protocol: str, asked: int) -> str:
    """Nothing answered, though every question came."""
    where, answers = " and ".join(seen.scan.addresses), seen.scan.told(protocol)
    assert not answers, f"at {where}: {answers}"
    arrived = seen.arrived[f"{protocol}_asked"]
    if arrived < asked:
        what = f"questions at {arrived} of {asked} {protocol.upper()} ports of {where} arrived at the gateway"
        raise NotCheckedError(f"{what}, so that silence at the others proves nothing")
    return f"{where} is silent on {asked} {protocol.upper()} ports, at each of which a question arrived"


@check(
    Theme.EXPOSURE,
    "No TCP port of the gateway answers the Internet",
    titre="Aucun port TCP de la passerelle ne répond à Internet",
    tried=f"asking from the Internet at all {PORTS} TCP ports of the gateway's public address, while it counts what arrives",
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
    tried=f"sending DNS, NTP and SNMP questions from the Internet to {len(UDP_PORTS) + 1} UDP ports, WireGuard's among them",
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
    arrived = _seen(subject).arrived
    if not arrived["forged_came"]:
        raise NotCheckedError("no packet under such an address came as far as the gateway")
    assert not arrived["forged_passed"], (
        f"{arrived['forged_passed']} packets under {_borrowed(subject)} were taken for the tunnel's"
    )
    return f"{arrived['forged_came']} packets under {_borrowed(subject)} came, and were dropped"
