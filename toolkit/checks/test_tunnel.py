"""The tunnel as the laptop lives it: shakes hands from where it is, resolves names, and lets nothing past itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.leak import Leak, look_for_leaks
from toolkit.checks.subject import Subject
from toolkit.model import Address, Mode, Network

# WireGuard renews a session in use after two minutes and forgets it after three.
FRESH_SECONDS = 180


def _handshake(subject: Subject) -> int:
    """Seconds since the last handshake, after a packet that needs one."""
    gateway = subject.commune.gateway_address()
    seen = subject.output(f"ping -n -c 2 -W 2 {gateway} >/dev/null 2>&1; date +%s; wg show wg0 latest-handshakes").split()
    assert len(seen) >= 3, "wg0 has no peer"
    assert seen[2] != "0", "no handshake since the tunnel was started"
    return int(seen[0]) - int(seen[2])


ENDPOINTS = """\
for interface in wg0 wg0-next; do
  [ ! -d /sys/class/net/$interface ] || wg show $interface endpoints
done
"""


@check(
    Theme.TUNNEL,
    "The laptop shakes hands with the gateway from where it is",
    titre="Le portable ouvre le tunnel depuis l’endroit où il se trouve",
    tried="sending a packet into the tunnel from {machine}, and reading the time of the last handshake at both ends",
    expected=f"a handshake less than {FRESH_SECONDS} s old",
    fix="is the endpoint in commune.toml the gateway's public address, and its UDP port open? systemctl status wg-quick@wg0",
)
def test_shakes_hands(subject: Subject) -> str:
    age = _handshake(subject)
    assert age < FRESH_SECONDS, f"the last handshake was {age} s ago"
    gateway = subject.other(subject.commune.gateway)
    found = subject.commune.laptop_named[subject.name]
    # While the gateway's own key changes, it has a second interface, of which a laptop is at one.
    endpoints = dict(sorted(line.split("\t") for line in gateway.output(ENDPOINTS).splitlines()))
    # Of two keys, while one is being replaced, the new one was heard of last if at all.
    seen = next((endpoints[key] for key in reversed(found.keys) if endpoints.get(key, "(none)") != "(none)"), "nowhere")
    assert seen != "nowhere", "the gateway has not heard of the laptop"
    own = {a.split("/")[0] for a in subject.output("ip -o addr show | awk '{print $4}'").split()}
    nat = "not through a NAT" if seen.rpartition(":")[0].strip("[]") in own else "through a NAT"
    return f"handshake {age} s ago; the gateway sees {seen}, {nat}"


@check(
    Theme.TUNNEL,
    "The tunnel carries packets of full size",
    titre="Le tunnel transporte des paquets de taille maximale",
    tried="pinging the gateway from {machine} with packets that fill the tunnel, not to be fragmented",
    expected="an answer",
    fix="lower [network] mtu in commune.toml: something on the way carries smaller packets than it says",
)
def test_carries_full_size(subject: Subject) -> str:
    subject.needs("ping")
    size = subject.commune.network.mtu - 28
    done = subject.run(f"ping -n -c 3 -i 0.2 -W 2 -M do -s {size} {subject.commune.gateway_address()}")
    assert done.code == 0, f"no answer to {size + 28} bytes: {done.stdout.strip().splitlines()[-1:]}"
    return f"{size + 28} bytes"


@check(
    Theme.TUNNEL,
    "Names of the town hall resolve through the tunnel, and through it alone",
    titre="Les noms internes de la mairie se résolvent par le tunnel, et par lui seul",
    tried="resolving an internal name on {machine}, and reading which server it asks",
    expected="the address of the inventory, from a server inside the tunnel",
    fix="telekit provision; systemctl status unbound on the gateway; [network] dns and zones in commune.toml",
)
def test_resolves_internal_names(subject: Subject) -> str:
    desktop = subject.agent.desktop
    if desktop is None:
        raise NotCheckedError("the agent has no desktop whose name could be asked for")
    name, wanted = subject.commune.domain_name(desktop), subject.commune.desktop_named[desktop].address
    found = set(subject.run(f"getent ahostsv4 {name} | awk '{{print $1}}'").stdout.split())
    assert found == {str(wanted)}, f"{name} is {', '.join(sorted(found)) or 'unknown'}, not {wanted}"
    servers = _servers(subject)
    if subject.commune.network.mode is Mode.FULL:
        tunnel = [n for n in (subject.commune.network.tunnel, subject.commune.network.tunnel6) if n]
        beside = [s for s in servers if not any(ip_address(s) in n for n in tunnel)]
        assert not beside, f"it also asks {', '.join(beside)}"
    return f"{name} is {wanted}; it asks {', '.join(servers)}"


def _servers(subject: Subject) -> list[str]:
    """Whom the laptop's own programs ask: systemd-resolved sends what no link claims to the servers of the whole machine."""
    servers = subject.output("awk '$1 == \"nameserver\" {print $2}' /etc/resolv.conf").split()
    if servers != ["127.0.0.53"]:
        return servers
    links = subject.output("resolvectl domain; echo @@@; resolvectl dns").split("@@@\n")
    claims = {line.partition(":")[0] for line in links[0].splitlines() if "~." in line.partition(":")[2].split()}
    asked = [line.partition(":") for line in links[1].splitlines()]
    return [server for who, _, found in asked if who in claims for server in found.split()]


@check(
    Theme.TUNNEL,
    "The network around the laptop does not hide the town hall, even if it uses its addresses",
    titre="Le réseau où se trouve le portable ne masque pas la mairie, même s’il emploie ses adresses",
    tried="asking {machine} by which way it reaches the town hall's networks, where its surroundings overlap them above all",
    expected="through the tunnel, all but the bench",
    fix='telekit provision; in split mode such a network does hide the town hall: mode = "full", or other addresses at home',
)
def test_the_town_hall_is_not_hidden(subject: Subject) -> str:
    around = [
        (ip_network(word), card)
        for word, card in map(str.split, subject.output(AROUND).splitlines())
        if word != "default" and card not in ("wg0", "lo")
    ]
    overlapping = [net for net, _ in around if any(_overlap(net, lan) for lan in _lan(subject))]
    bench = subject.commune.network.bench
    asked = [a for a in _samples(subject, overlapping) if not any(a in net for net in bench)]
    ways = subject.output("".join(f"ip -o route get {a} 2>&1 || true\n" for a in asked)).splitlines()
    beside = [str(a) for a, way in zip(asked, ways, strict=True) if " dev wg0 " not in f"{way} "]
    assert not beside, f"not through the tunnel: {', '.join(beside[:8])}"
    foreign = [str(net) for net in overlapping if net not in bench]
    same = f"though {', '.join(foreign)} is around it too" if foreign else "and nothing around it has such addresses now"
    return f"{len(asked)} addresses of {', '.join(map(str, _lan(subject)))} lead through the tunnel, {same}"


AROUND = """\
for family in -4 -6; do
  ip $family -o route show table main type unicast | sed -n 's/^\\([^ ]*\\) .*dev \\([^ ]*\\).*/\\1 \\2/p'
done
"""


def _lan(subject: Subject) -> Sequence[Network]:
    return [n for n in subject.commune.network.lan if n.version == 4 or subject.laptop.tunnel_address6]


def _samples(subject: Subject, overlapping: Sequence[Network]) -> Sequence[Address]:
    """Addresses of the town hall: of each of its networks, of its servers, and of what is also around the laptop."""
    common = [max(net, lan, key=lambda n: n.prefixlen) for net in overlapping for lan in _lan(subject) if _overlap(net, lan)]
    found: list[Address] = [net[min(1, net.num_addresses - 1)] for net in (*common, *_lan(subject))]
    found += [d.address for d in subject.commune.desktops[:20]] + [a.address for a in subject.commune.applications if a.address]
    return [a for a in dict.fromkeys(found) if any(a in lan for lan in _lan(subject))]


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


@check(
    Theme.TUNNEL,
    "Nothing leaves the laptop beside the tunnel",
    titre="Rien ne sort du portable à côté du tunnel",
    tried="sending to the world and to those around {machine}, by ping, TCP, UDP and DNS, IPv4 and IPv6, counting what leaves",
    expected="nothing leaves by any card but DHCP, the endpoint's name and the tunnel itself",
    fix="telekit provision, for the laptop's firewall; is the exception for a captive portal open?",
    seconds=90,
)
def test_nothing_leaves_beside_the_tunnel(subject: Subject) -> str:
    _only_full(subject)
    leak = look_for_leaks(subject, down=False)
    assert leak.route == "wg0", f"the route to the Internet leads by {leak.route or 'no card at all'}"
    assert not leak.packets, f"left beside the tunnel: {leak}"
    _tried(leak)
    return f"tried: {leak.attempts}; 0 left; the route to the Internet leads by wg0"


@check(
    Theme.TUNNEL,
    "Nothing leaves the laptop while the tunnel is down",
    titre="Rien ne sort du portable quand le tunnel est coupé",
    tried="stopping the tunnel on {machine} for some seconds, sending to the Internet, counting what leaves, starting the tunnel",
    expected="nothing leaves by any card but DHCP and the endpoint's name, and the tunnel comes back",
    fix="telekit provision, for the laptop's firewall; it must not depend on the tunnel's being up",
    seconds=120,
    alone=True,
)
def test_nothing_leaves_while_the_tunnel_is_down(subject: Subject) -> str:
    _only_full(subject)
    leak = look_for_leaks(subject, down=True)
    assert leak.down, "the tunnel could not be stopped, so nothing was tried"
    assert not leak.packets, f"left without a tunnel: {leak}"
    back = _back(subject)
    _tried(leak)
    return f"tried: {leak.attempts}; 0 left; the tunnel was back {back:.0f} s after"


def _tried(leak: Leak) -> None:
    """That nothing left proves nothing where nothing was tried; by IPv6, a laptop without it can try nothing."""
    if untried := [kind for kind in ("tcp4", "udp4", *(("tcp6", "udp6") if leak.way6 else ())) if not leak.tried[kind]]:
        raise NotCheckedError(f"nothing could be tried by {', '.join(untried)}")


def _only_full(subject: Subject) -> None:
    if subject.commune.network.mode is not Mode.FULL:
        raise NotCheckedError("in split mode a laptop uses the Internet beside the tunnel")


def _back(subject: Subject) -> float:
    """Seconds until the tunnel shook hands again."""
    started = time.monotonic()
    while True:
        try:
            _handshake(subject)
        except AssertionError:
            if time.monotonic() - started > 45:
                raise
            time.sleep(0.5)
        else:
            return time.monotonic() - started
