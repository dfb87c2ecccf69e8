"""Count what a laptop sends to the world beside its tunnel, while it tries hard; leaves everything as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.checks.probe import MARK
from toolkit.checks.remote import script
from toolkit.checks.subject import Subject
from toolkit.checks.witness import NAMES as NUMBERS
from toolkit.model import Commune

# Runs on its own: when the operator's connection goes through the tunnel, it is silent while the tunnel is down. The unit's
# time limit and ExecStopPost put everything back whatever happens.
LAUNCH = """\
set -eu
umask 077
folder=$(mktemp -d /run/telekit-verify.XXXXXX)
cat > $folder/probe <<'PROBE'
{probe}
PROBE
cat > $folder/restore <<'RESTORE'
nft delete table inet telekit_verify 2>/dev/null
ip -6 route delete {world6}/128 metric 4000 2>/dev/null
systemctl is-active --quiet wg-quick@wg0 || systemctl start wg-quick@wg0
mv $1/result.new $1/result 2>/dev/null || echo '{{"error": "the probe was stopped"}}' > $1/result
RESTORE
systemd-run --quiet --collect --unit=telekit-verify-leak --property=RuntimeMaxSec=40 \\
  --property=ExecStopPost="/bin/bash $folder/restore $folder" /bin/bash $folder/probe $folder
echo $folder
"""
# Before every filter, what was tried; at the very end of the way out, after every filter, what leaves. Answers to connections
# from outside (the bench's SSH) are no leak, nor is what the design allows.
PROBE = """\
export LC_ALL=C
nft delete table inet telekit_verify 2>/dev/null
{stop}
nft -f - <<'RULES'
table inet telekit_verify {{
  counter tried_tcp4 {{ }}
  counter tried_udp4 {{ }}
  counter tried_tcp6 {{ }}
  counter tried_udp6 {{ }}
  counter leaked4 {{ }}
  counter leaked6 {{ }}
  set destinations4 {{ type ipv4_addr . inet_proto . inet_service; flags dynamic; size 100; timeout 1m; }}
  set destinations6 {{ type ipv6_addr . inet_proto . inet_service; flags dynamic; size 100; timeout 1m; }}
  chain tried {{
    type filter hook output priority -400;
    ip dscp {mark} meta l4proto tcp counter name tried_tcp4
    ip dscp {mark} meta l4proto udp counter name tried_udp4
    ip6 dscp {mark} meta l4proto tcp counter name tried_tcp6
    ip6 dscp {mark} meta l4proto udp counter name tried_udp6
  }}
  chain out {{
    type filter hook postrouting priority 400;
    oifname {{ "lo", "wg0" }} return
    ct direction reply return
    udp sport 68 udp dport 67 return
    udp sport 546 udp dport 547 return
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report }} return
    udp dport {port} return
    meta skuid {finder} meta l4proto {{ tcp, udp }} th dport 53 return
    meta nfproto ipv4 counter name leaked4
    meta nfproto ipv6 counter name leaked6
    meta nfproto ipv4 meta l4proto {{ tcp, udp }} update @destinations4 {{ ip daddr . meta l4proto . th dport }}
    meta nfproto ipv6 meta l4proto {{ tcp, udp }} update @destinations6 {{ ip6 daddr . meta l4proto . th dport }}
  }}
}}
RULES
route=$(ip -o route get {world} 2>/dev/null | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
# Where the network here has no IPv6 of its own, with this much of it IPv6 can be tried all the same.
way6=$(ip -6 -o route show default table main 2>/dev/null | grep -qv unreachable && echo true || echo false)
$way6 || ip -6 route add {world6}/128 dev {card} metric 4000 2>/dev/null
( {knock}) > $1/knocked 2>&1 &
read -r name < /proc/sys/kernel/random/uuid
(getent ahosts verify-$name.{domain}; getent ahosts verify-$name.example) >/dev/null 2>&1 &
if command -v ping >/dev/null; then
  for how in "" "-I {card}"; do
    for where in {world} {endpoint} {world6} ff02::1%{card}; do
      timeout 3 ping -n -c 1 -W 1 $how $where >/dev/null 2>&1 &
    done
  done
fi
sleep {seconds}
down=$(systemctl is-active --quiet wg-quick@wg0 && echo false || echo true)
{{
  printf '{{"route": "%s", "down": %s, "way6": %s, "table": ' "$route" "$down" "$way6"
  nft -j --numeric-protocol list table inet telekit_verify || echo null
  echo '}}'
}} > $1/result.new
for job in $(jobs -p); do kill $job 2>/dev/null; done
true
"""
# As long as everything takes that is tried.
SECONDS = 3.2
# Addresses of the documentation's ranges: whatever leaves towards them reaches nobody.
WORLD, WORLD6 = "198.51.100.77", "2001:db8:77::77"
WAYS = (("tcp", 22), ("tcp", 53), ("tcp", 80), ("tcp", 443), ("tcp", 853), ("udp", 53), ("udp", 123), ("udp", 443), ("udp", 853))
# Where names are asked of everybody on the network.
CROWD = (("224.0.0.251", 5353), ("224.0.0.252", 5355), ("ff02::fb%{card}", 5353), ("ff02::1:3%{card}", 5355))
SURROUNDINGS = """\
ways() { ip -o route show default table main; ip -6 -o route show default table main; }
ways | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p' | head -n 1
echo @@@
ways | sed -n 's/.* via \\([^ ]*\\) dev \\([^ ]*\\).*/\\1 \\2/p' | sed 's/^\\(fe80:[^ ]*\\) /\\1%/; s/ .*//' | sort -u
sed -n 's/^nameserver *//p' /run/telekit/resolv.conf 2>/dev/null
true
"""


@dataclass(frozen=True)
class Leak:
    """What left beside the tunnel. down: the tunnel was down meanwhile; route: the card by which the Internet is reached.

    tried: packets that came as far as the filters, by kind, as in "tcp4". way6: the network here leads to the IPv6 Internet.
    """

    packets: int
    tried: Mapping[str, int]
    where: tuple[str, ...]
    route: str
    down: bool
    way6: bool = False

    def __str__(self) -> str:
        return f"{self.packets} packets, to {', '.join(self.where[:8]) or 'somewhere'}"

    @property
    def attempts(self) -> str:
        """How much was tried of what, as in: IPv4 TCP 20, IPv4 UDP 30."""
        kinds = ", ".join(f"IPv{kind[-1]} {kind[:-1].upper()} {number}" for kind, number in sorted(self.tried.items()))
        return f"{kinds} packets{', where there is a way to the IPv6 Internet' if self.way6 else ''}"


def look_for_leaks(subject: Subject, *, down: bool) -> Leak:
    """Try for some seconds to send past the tunnel; `down`: with the tunnel stopped meanwhile."""
    folder = subject.output(LAUNCH.format(probe=_probe(subject, down=down), world6=WORLD6)).strip()
    deadline = time.monotonic() + 60 * subject.evidence.patience
    while time.monotonic() < deadline:
        time.sleep(0.5)
        done = subject.run(f"cat {folder}/result && rm -r {folder}", seconds=30)
        if done.code == 0:
            return _leak(json.loads(done.stdout))
    raise AssertionError("the probe on the laptop gave no result")


def _probe(subject: Subject, *, down: bool) -> str:
    card, near = subject.output(SURROUNDINGS).split("@@@\n")
    card, endpoint = card.strip() or "lo", _endpoint(subject, subject.commune)
    return PROBE.format(
        stop="systemctl stop wg-quick@wg0" if down else "",
        mark=MARK,
        # No longer than the unit's time limit leaves, on the slowest machine.
        seconds=SECONDS * min(subject.evidence.patience, 5.0),
        port=subject.commune.gateway.endpoint.port,
        finder=_finder(subject),
        world=WORLD,
        world6=WORLD6,
        card=card,
        domain=subject.commune.domain,
        endpoint=endpoint,
        knock=_attempts(card, [WORLD, WORLD6, endpoint, *near.split()]),
    )


def _attempts(card: str, places: Sequence[str]) -> str:
    """What tries to get out, of its own accord and bound to the network card: towards the world, and to who is near."""
    doors = [[kind, at, port, device] for at in dict.fromkeys(places) for kind, port in WAYS for device in ("", card)]
    doors += [["udp", at.format(card=card), port, card] for at, port in CROWD]
    return script("knocker", "knock", doors=doors, mark=MARK << 2, name="verify.example", forged=[], forged_mark=0)


def _finder(subject: Subject) -> int:
    """The number of the one account that may ask the network's own resolver, for the endpoint's name."""
    found = subject.run("id -u telekit-resolve").stdout.strip()
    return int(found) if found.isdigit() else 0


def _endpoint(subject: Subject, commune: Commune) -> str:
    """The gateway's public address as the laptop knows it."""
    endpoint = subject.output("wg show wg0 endpoints | cut -f 2").strip()
    return endpoint.rpartition(":")[0].strip("[]") or commune.gateway.endpoint.host


def _leak(found: Mapping[str, Any]) -> Leak:
    assert found.get("table"), f"the laptop could not count: {found.get('error', 'nft said nothing')}"
    counters: dict[str, int] = {}
    where: list[str] = []
    for item in found["table"]["nftables"]:
        if "counter" in item:
            counters[item["counter"]["name"]] = int(item["counter"]["packets"])
        for element in item.get("set", {}).get("elem", []):
            at, protocol, port = element["elem"]["val"]["concat"]
            where.append(f"{at} {NUMBERS.get(str(protocol), protocol)}/{port}")
    tried = {name.removeprefix("tried_"): number for name, number in counters.items() if name.startswith("tried_")}
    left = counters["leaked4"] + counters["leaked6"]
    return Leak(left, tried, tuple(where), str(found["route"]), bool(found["down"]), bool(found["way6"]))
