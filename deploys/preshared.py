"""Preshared keys: what a laptop and the gateway share beside their key pairs, a hedge against those who record today.

A preshared key belongs to a key pair: the two are made and replaced together, so that neither end ever has to guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.facts.files import Sha256File
from pyinfra.operations import files

from deploys import access
from deploys.secret import secret_file
from deploys.template import MANAGED, render
from deploys.text import text_file
from deploys.wireguard import PRIVATE_KEY
from toolkit.model import Commune, Secret

ALL = "/etc/wireguard/preshared.keys"
OWN = "/etc/wireguard/preshared.key"
PEERS = "/usr/local/lib/telekit/tunnel-peers"


def shared_keys(commune: Commune, preshared: Mapping[str, Secret], coming: Mapping[str, Secret] | None = None) -> Secret:
    """The gateway's file: lines "public key, space, preshared key" of every laptop that opens a tunnel.

    coming: laptop → what goes with its next key.
    """
    laptops = access.devices(commune)
    known = [(laptop.public_key, preshared.get(laptop.name)) for laptop in laptops]
    known += [(laptop.next_key, (coming or {}).get(laptop.name)) for laptop in laptops]
    lines = sorted(f"{public} {key.reveal()}" for public, key in known if public and key)
    return Secret("\n".join([f"# {MANAGED}", *lines, ""]))


def peers_program() -> str:
    """What gives the gateway's interface its peers, each with its preshared key."""
    return render("wireguard/tunnel-peers.sh.j2", private_key=PRIVATE_KEY, preshared_keys=ALL, further=access.PROGRAM)


def write_peers(keys: Secret) -> None:
    """On the gateway: have the preshared keys there, and the program that hands them to the interface."""
    secret_file(name="Write the preshared keys", dest=ALL, content=keys)
    text_file("Write the program that hands peers to the tunnel", PEERS, peers_program(), mode="755")


def write_own(key: Secret | None) -> None:
    """On a laptop: have its preshared key there, or none."""
    if key is None:
        files.file(name="Have no preshared key", path=OWN, present=False)
    else:
        secret_file(name="Write the preshared key", dest=OWN, content=Secret(f"{key.reveal()}\n"))


class KeysInForce(FactBase[bool]):
    """Whether a laptop's interface uses the keys that are in its files; only yes or no leaves the laptop."""

    def command(self, interface: str) -> str:
        show = f"wg show {interface}"
        return (
            f'shared=$({show} preshared-keys 2>/dev/null | cut -f 2); [ "$shared" != "(none)" ] || shared=;'
            f' if [ "$({show} public-key 2>/dev/null)" = "$(wg pubkey < {PRIVATE_KEY} 2>/dev/null)" ]'
            f' && [ "$shared" = "$(cat {OWN} 2>/dev/null)" ]; then echo yes; fi'
        )

    def process(self, output: list[str]) -> bool:
        return "yes" in output


IN_FORCE = """\
exec 9< /etc/wireguard
flock 9
wg set {interface} private-key {private_key}
for peer in $(wg show {interface} peers); do wg set {interface} peer "$peer" preshared-key {shared}; done
"""


@operation()
def keys_in_force(interface: str, key: Secret | None) -> Generator[str, None, None]:
    """Have a laptop's interface use the keys that are in its files: also right after a run that was killed half-way.

    key: what the file will hold when this is done. Which of its keys the gateway is known by at the moment makes no difference.
    """
    written = hashlib.sha256(f"{key.reveal()}\n".encode()).hexdigest() if key else None
    if not host.get_fact(KeysInForce, interface=interface) or host.get_fact(Sha256File, path=OWN) != written:
        shared = OWN if key else "/dev/null"
        yield IN_FORCE.format(interface=interface, private_key=PRIVATE_KEY, shared=shared)
