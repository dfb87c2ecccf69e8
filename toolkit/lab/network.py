"""The lab's networks as a shell script: four switches, and cards that lead from them into namespaces.

Everything is made with `ip -n` inside namespaces; no interface ever exists in the computer's own.
"""

from __future__ import annotations

from toolkit.lab.town import Card, Guest, Host, Town

SWITCH = "switch"
BRIDGES = ("wan", "lan", "bench", "home")

# What every box at home and every town hall's router does: hide the inside behind its own IPv4 address, let nothing in.
ROUTER_RULES = """\
table inet box {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "in0" accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan0" meta nfproto ipv4 masquerade
  }
}
"""


def build(town: Town) -> str:
    """The script that makes the switches and every namespace which is no Debian machine."""
    lines = ["set -eu", *_namespace(SWITCH)]
    for bridge in BRIDGES:
        lines.append(f"ip -n {SWITCH} link add {bridge} type bridge mcast_snooping 0")
        lines.append(f"ip -n {SWITCH} link set {bridge} up")
    for index, host in enumerate(town.hosts):
        lines += _host(host, f"h{index}")
    return "\n".join(lines) + "\n"


def plug_in(guest: Guest, index: int) -> str:
    """The script that gives a Debian machine a new namespace and its cards, unconfigured: its own system does that."""
    lines = ["set -eu", *_namespace(guest.name)]
    for card in guest.cards:
        lines += _card(guest.name, card, port_of(card, index))
    return "\n".join(lines) + "\n"


def unplug(guest: Guest, index: int) -> str:
    """The script that takes the machine's cards and namespace away, and with it its rules and settings.

    The kernel removes a namespace in its own time: the cards go first, so that their names are free for the next boot.
    """
    lines = [f"ip -n {SWITCH} link delete {port_of(card, index)} 2>/dev/null" for card in guest.cards]
    return "\n".join([*lines, f"ip netns delete {guest.name}"]) + "\n"


def port_of(card: Card, index: int) -> str:
    """The name of the switch port to which the machine's card leads."""
    return f"m{index}-{card.name}"


def _namespace(name: str, further: str = "") -> list[str]:
    """further: what else is set there before there is any card."""
    # A new namespace inherits IPv4 settings from the computer's own, where containers' software often turns forwarding on.
    settle = f"for key in ip_forward conf/all/forwarding; do echo 0 > /proc/sys/net/ipv4/$key; done{further}"
    return [
        f"ip netns add {name}",
        f"nsenter --net=/run/netns/{name} sh -c '{settle}'",
        f"ip -n {name} link set lo up",
    ]


def _card(namespace: str, card: Card, port: str) -> list[str]:
    mac = f" address {card.mac}" if card.mac else ""
    return [
        f"ip -n {SWITCH} link add {port} type veth peer name {card.name}{mac} netns {namespace}",
        f"ip -n {SWITCH} link set {port} master {card.bridge} up",
    ]


def _host(host: Host, port: str) -> list[str]:
    # Nobody has the same address, and a server is there at once.
    further = "; for key in all default; do echo 0 > /proc/sys/net/ipv6/conf/$key/accept_dad; done"
    forwarded = [key for key, wanted in (("ipv4", host.forwards), ("ipv6", host.forwards or host.forwards6)) if wanted]
    further += "".join(f"; echo 1 > /proc/sys/net/{key}/conf/all/forwarding" for key in forwarded)
    lines = _namespace(host.name, further)
    for card in host.cards:
        lines += _card(host.name, card, f"{port}-{card.name}")
        lines += [f"ip -n {host.name} address add {address} dev {card.name}" for address in card.addresses]
        lines.append(f"ip -n {host.name} link set {card.name} up")
    for card in host.cards:
        if card.router:
            lines.append(f"ip -n {host.name} route add default via {card.router} dev {card.name}")
        if card.router6:
            lines.append(f"ip -n {host.name} -6 route add default via {card.router6} dev {card.name}")
    lines += [f"ip -n {host.name} route add {route}" for route in host.routes]
    if host.forwards:
        lines.append(f"nsenter --net=/run/netns/{host.name} nft -f - <<'RULES'\n{ROUTER_RULES}RULES")
    return lines
