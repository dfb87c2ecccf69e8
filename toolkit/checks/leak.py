"""Count what a laptop sends to the world beside its tunnel, while it tries hard; leaves everything as it was."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from toolkit.checks.subject import Subject
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
systemctl is-active --quiet wg-quick@wg0 || systemctl start wg-quick@wg0
mv $1/result.new $1/result 2>/dev/null || echo '{{"error": "the probe was stopped"}}' > $1/result
RESTORE
systemd-run --quiet --collect --unit=telekit-verify-leak --property=RuntimeMaxSec=40 \\
  --property=ExecStopPost="/bin/bash $folder/restore $folder" /bin/bash $folder/probe $folder
echo $folder
"""
# At the very end of the way out, after every filter: what is counted here leaves. Answers to connections from outside (the
# bench's SSH) are no leak, nor is what the design allows.
PROBE = """\
export LC_ALL=C
nft delete table inet telekit_verify 2>/dev/null
{stop}
nft -f - <<'RULES'
table inet telekit_verify {{
  counter leaked {{ }}
  set destinations {{ type ipv4_addr . inet_proto . inet_service; flags dynamic; size 100; timeout 1m; }}
  chain out {{
    type filter hook postrouting priority 400;
    oifname {{ "lo", "wg0" }} return
    ct direction reply return
    udp sport 68 udp dport 67 return
    udp sport 546 udp dport 547 return
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report }} return
    udp dport {port} return
    meta skuid {finder} meta l4proto {{ tcp, udp }} th dport 53 return
    counter name leaked
    meta l4proto {{ tcp, udp }} update @destinations {{ ip daddr . meta l4proto . th dport }}
  }}
}}
RULES
route=$(ip -o route get {world} 2>/dev/null | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
tried=0
card=$(ip -o route show default table main | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p' | head -n 1)
for way in tcp/80 tcp/443 tcp/22 tcp/53 udp/53 udp/123 udp/443; do
  for where in {world} {endpoint}; do
    (exec 3<>/dev/${{way%/*}}/$where/${{way#*/}} && echo telekit >&3) 2>/dev/null &
    tried=$((tried + 1))
  done
done
(getent ahosts verify-$$.{domain}; getent ahosts verify-$$.example) >/dev/null 2>&1 &
if command -v ping >/dev/null; then
  for how in "" "-I $card"; do
    for where in {world} {endpoint}; do
      timeout 3 ping -n -c 1 -W 1 $how $where >/dev/null 2>&1 &
      tried=$((tried + 1))
    done
  done
fi
for way in 80 443; do
  timeout 3 curl -s -o /dev/null --interface "$card" http://{endpoint}:$way 2>/dev/null &
done
sleep 4
packets=$(nft -j list counter inet telekit_verify leaked | sed -n 's/.*"packets": *\\([0-9]*\\).*/\\1/p')
where=$(nft list set inet telekit_verify destinations | tr -d '\\n"' \\
  | sed -n 's/.*elements = {{\\([^}}]*\\)}}.*/\\1/p' | head -c 400)
down=$(systemctl is-active --quiet wg-quick@wg0 && echo false || echo true)
printf '{{"route": "%s", "tried": %s, "packets": %s, "where": "%s", "down": %s}}\\n' \
  "$route" "$tried" "${{packets:-null}}" "$where" "$down" > $1/result.new
for job in $(jobs -p); do kill $job 2>/dev/null; done
true
"""
# An address of the documentation range: whatever leaves towards it reaches nobody.
WORLD = "198.51.100.77"


@dataclass(frozen=True)
class Leak:
    """What left beside the tunnel. down: the tunnel was down meanwhile; route: the card by which the Internet is reached."""

    packets: int
    tried: int
    where: str
    route: str
    down: bool

    def __str__(self) -> str:
        return f"{self.packets} packets, to {self.where or 'somewhere'}"


def look_for_leaks(subject: Subject, *, down: bool) -> Leak:
    """Try for some seconds to send past the tunnel; `down`: with the tunnel stopped meanwhile."""
    folder = subject.output(LAUNCH.format(probe=_probe(subject, down=down))).strip()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.5)
        done = subject.run(f"cat {folder}/result && rm -r {folder}", seconds=30)
        if done.code == 0:
            return _leak(json.loads(done.stdout))
    raise AssertionError("the probe on the laptop gave no result")


def _probe(subject: Subject, *, down: bool) -> str:
    return PROBE.format(
        stop="systemctl stop wg-quick@wg0" if down else "",
        port=subject.commune.gateway.endpoint.port,
        finder=_finder(subject),
        world=WORLD,
        domain=subject.commune.domain,
        endpoint=_endpoint(subject, subject.commune),
    )


def _finder(subject: Subject) -> int:
    """The number of the one account that may ask the network's own resolver, for the endpoint's name."""
    found = subject.run("id -u telekit-resolve").stdout.strip()
    return int(found) if found.isdigit() else 0


def _endpoint(subject: Subject, commune: Commune) -> str:
    """The gateway's public address as the laptop knows it."""
    endpoint = subject.output("wg show wg0 endpoints | cut -f 2").strip()
    return endpoint.rpartition(":")[0].strip("[]") or commune.gateway.endpoint.host


def _leak(found: dict[str, object]) -> Leak:
    assert found.get("packets") is not None, f"the laptop could not count: {found.get('error', 'nft said nothing')}"
    return Leak(
        int(str(found["packets"])), int(str(found["tried"])), str(found["where"]), str(found["route"]), bool(found["down"])
    )
