"""The laptop's end of the tunnel."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import preshared, rotation, succession
from deploys.reread import reread
from deploys.resolver import NETWORK, SCRIPT, resolvers
from deploys.service import run
from deploys.template import render
from deploys.text import text_file
from deploys.wireguard import PRIVATE_KEY
from toolkit.model import Commune, KeyChange, Laptop, Mode, Network, Secret

# wg-quick's own choice of mark and routing table, made firm so that rules can name it.
MARK = "0xca6c"
TABLE = 51820
USER = "telekit-resolve"
GROUP = "telekit-portal"
WG0 = "/etc/wireguard/wg0.conf"
NETWORK_MANAGER = "/etc/NetworkManager/conf.d/telekit.conf"
FIND = "/usr/local/lib/telekit/find-gateway"
UNITS = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """An argument of `ip rule`: family is -4 or -6."""

    family: str
    text: str


class MissingAccounts(FactBase[list[str]]):
    """Which of the accounts and groups by which the firewall knows programs are missing."""

    default = list

    def command(self) -> str:
        return f"getent passwd {USER} > /dev/null || echo {USER}; getent group {GROUP} > /dev/null || echo {GROUP}; true"

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def program_accounts() -> Generator[str, None, None]:
    """Have the account that looks for the gateway's name, and the group of the browser that a portal sees."""
    missing = host.get_fact(MissingAccounts)
    if USER in missing:
        yield f"useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {USER}"
    if GROUP in missing:
        yield f"groupadd --system {GROUP}"


def _family(network: Network) -> str:
    return "-4" if isinstance(network, IPv4Network) else "-6"


def routing_rules(commune: Commune) -> list[RoutingRule]:
    """In full mode: the bench by its own cable if there is one, and the town hall's addresses always through the tunnel.

    What bears WireGuard's mark goes by the network here, even where that network uses the town hall's addresses.
    """
    network = commune.network
    inside = [n for n in (*network.lan, network.tunnel, network.tunnel6) if n]
    families = sorted({_family(n) for n in inside})
    marked = [RoutingRule(family, f"fwmark {MARK} lookup main priority 5000") for family in families]
    bench = [RoutingRule(_family(n), f"to {n} lookup main suppress_prefixlength 0 priority 5001") for n in network.bench]
    return [*marked, *bench, *(RoutingRule(_family(n), f"to {n} lookup {TABLE} priority 5002") for n in inside)]


def addresses(me: Laptop, commune: Commune) -> list[str]:
    """The laptop's own addresses inside the tunnel."""
    found = [f"{me.tunnel_address}/32"]
    return [*found, f"{me.tunnel_address6}/128"] if me.tunnel_address6 and commune.network.tunnel6 else found


def allowed(commune: Commune) -> list[str]:
    """What goes into the tunnel: IPv6 only if it leads somewhere; else the firewall refuses it at once, and nobody waits."""
    network = commune.network
    if network.mode is Mode.FULL:
        return ["0.0.0.0/0", "::/0"] if network.tunnel6 else ["0.0.0.0/0"]
    return [str(n) for n in (*network.lan, network.tunnel, network.tunnel6) if n]


def configuration(me: Laptop, commune: Commune) -> str:
    """wg0.conf, without any secret."""
    network = commune.network
    return render(
        "wireguard/laptop.conf.j2",
        addresses=addresses(me, commune),
        mtu=network.mtu,
        mark=MARK,
        link_group=TABLE,
        full=network.mode is Mode.FULL,
        private_key=PRIVATE_KEY,
        preshared_key=preshared.OWN,
        rules=(found := routing_rules(commune)),
        families=sorted({rule.family for rule in found}),
        resolvers=resolvers(commune),
        zones=[f"~{zone}" for zone in network.zones or (commune.domain,)],
        gateway=commune.gateway,
        allowed=allowed(commune),
    )


def finder(commune: Commune) -> str:
    """The script that tells WireGuard where the gateway is."""
    endpoint = commune.gateway.endpoint
    return render("endpoint/find.sh.j2", user=USER, host=endpoint.host, port=endpoint.port)


def rules(me: Laptop, commune: Commune, ssh_ports: Sequence[int]) -> str:
    """The laptop's firewall."""
    network = commune.network
    families = [
        {"ip": ip, "admin": _of(network.admin, family), "bench": _of(network.bench, family)}
        for ip, family in (("ip", "-4"), ("ip6", "-6"))
    ]
    inside = [address.partition("/")[0] for address in addresses(me, commune)]
    return render(
        "nftables/laptop.nft.j2",
        families=families,
        ssh_ports=ssh_ports,
        full=network.mode is Mode.FULL,
        mark=MARK,
        link_group=TABLE,
        user=USER,
        group=GROUP,
        port=commune.gateway.endpoint.port,
        resolvers=[{"ip": _ip(a), "address": a} for a in resolvers(commune)],
        addresses=[{"ip": _ip(a), "address": a} for a in inside],
    )


def _of(networks: Sequence[Network], family: str) -> list[Network]:
    return [n for n in networks if _family(n) == family]


def _ip(address: str) -> str:
    return "ip6" if ":" in address else "ip"


def tunnel(me: Laptop, commune: Commune, key: Secret | None, change: KeyChange | None = None) -> None:
    """Have the tunnel up, now and at boot, and the gateway found wherever the laptop is.

    key: what it shares with the gateway. change: the laptop's key is being replaced, at a moment that the laptop itself finds.
    """
    text = configuration(me, commune)
    units = {
        f"{UNITS}/telekit-network-servers.service": render("endpoint/telekit-network-servers.service.j2", script=SCRIPT),
        f"{UNITS}/telekit-endpoint.service": render("endpoint/telekit-endpoint.service.j2", script=FIND, servers=NETWORK),
        f"{UNITS}/telekit-endpoint.timer": render("endpoint/telekit-endpoint.timer.j2"),
    }
    text_file("Write the search for the gateway", FIND, finder(commune), mode="755")
    for path, unit in units.items():
        text_file(f"Write {path.rpartition('/')[2]}", path, unit)
    text_file("Write wg0.conf", WG0, text, mode="600")
    alone = render("networkmanager/telekit.conf.j2")
    text_file("Write what NetworkManager leaves alone", NETWORK_MANAGER, alone)
    reread(
        name="Have NetworkManager leave the tunnel alone",
        unit="NetworkManager.service",
        file=NETWORK_MANAGER,
        text=alone,
        command="nmcli general reload",
    )
    run(name="Run the search for the gateway", unit="telekit-endpoint.timer", files=units)
    rotation.keep_switcher()
    succession.keep_switcher()
    coming = commune.gateway.coming_key
    succession.follow(coming if coming != commune.gateway.public_key else None)
    if change is None:
        preshared.write_own(key)
    run(name="Run wg0", unit="wg-quick@wg0.service", files={WG0: text})
    if change is not None:
        # Which of its keys it uses now, the laptop alone knows.
        rotation.hand_over(name="Hand over what goes with the new key", change=change)
        return
    preshared.keys_in_force(name="Use the laptop's own keys", interface="wg0", key=key)
