"""WireGuard: the machine's own key, and an interface that lives on while its peers change."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

INTERFACE = "wg0"
# While the gateway's own key is being replaced, the interface that has the next one.
NEXT = f"{INTERFACE}-next"
PRIVATE_KEY = "/etc/wireguard/private.key"
ENROLMENT = "/etc/telekit/enrolment"

# The private key goes from wg to its file and from there to wg: never through an argument, never off the machine.
MAKE_KEY = f"""\
set -eu
umask 077
mkdir -p /etc/wireguard
if [ ! -s {PRIVATE_KEY} ]; then
    wg genkey > {PRIVATE_KEY}.new
    mv -f {PRIVATE_KEY}.new {PRIVATE_KEY}
fi
chmod 600 {PRIVATE_KEY}
umask 022
mkdir -p /etc/telekit
wg pubkey < {PRIVATE_KEY} > {ENROLMENT}.new
mv -f {ENROLMENT}.new {ENROLMENT}
"""


class KernelHasWireGuard(FactBase[bool]):
    """Whether the running kernel brings WireGuard: else wg-quick needs wireguard-go."""

    def command(self) -> str:
        return "if [ -d /sys/module/wireguard ] || modprobe --dry-run --quiet wireguard 2>/dev/null; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


class KeyIsEnrolled(FactBase[bool]):
    """Whether the machine has a private key, readable by root alone, and shows its public half for enrolment."""

    def command(self) -> str:
        return (
            f'if [ "$(stat -c %a:%u {PRIVATE_KEY} 2>/dev/null)" = 600:0 ]'
            f' && [ "$(wg pubkey < {PRIVATE_KEY} 2>/dev/null)" = "$(cat {ENROLMENT} 2>/dev/null)" ]; then echo yes; fi'
        )

    def process(self, output: list[str]) -> bool:
        return "yes" in output


class OwnPublicKey(FactBase[str]):
    """The public half of the machine's private key; empty where it has none."""

    def command(self) -> str:
        return f"wg pubkey 2>/dev/null < {PRIVATE_KEY}; true"

    def process(self, output: list[str]) -> str:
        return output[0].strip() if output else ""


@operation()
def key_pair(given_up: Collection[str] = ()) -> Generator[str, None, None]:
    """Have a WireGuard key made on this machine, whose public half stands in the enrolment file.

    given_up: public keys that are refused for good; a machine that has one of them makes another.
    """
    if given_up and host.get_fact(OwnPublicKey) in given_up:
        yield f"rm -f {PRIVATE_KEY}\n{MAKE_KEY}"
    elif not host.get_fact(KeyIsEnrolled):
        yield MAKE_KEY


@dataclass(slots=True)
class Interface:
    """A WireGuard interface: what is wanted, or what runs. `peers`: public key → allowed addresses.

    varying: keys of further peers, which a program adds and takes out.
    shared: the SHA-256 of the file of preshared keys; empty: what runs does not follow it.
    """

    addresses: frozenset[str] = frozenset()
    mtu: int = 0
    port: int = 0
    peers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    varying: frozenset[str] = frozenset()
    shared: str = ""


@dataclass(slots=True)
class Running:
    """What runs: `up` without `own_key` is an interface whose key is not the machine's."""

    up: bool = False
    own_key: bool = False
    service: str = ""
    enabled: str = ""
    interface: Interface = field(default_factory=Interface)


# Ends with 1 when a peer's preshared key is not that of the file.
_DIFFER = (
    'BEGIN { while ((getline line < keys) > 0) { split(line, word, " "); shared[word[1]] = word[2] } }'
    ' $2 != (($1 in shared) ? shared[$1] : "(none)") { differs = 1 } END { exit differs }'
)


class RunningInterface(FactBase[Running]):
    """A WireGuard interface as it runs, without any of its secrets."""

    def command(self, interface: str, shared: str, private_key: str = PRIVATE_KEY) -> str:
        """shared: the file of preshared keys; they are compared on the machine, and nothing of them is said."""
        unit = f"wg-quick@{interface}.service"
        show = f"wg show {interface}"
        return (
            f"systemctl show -p ActiveState -p UnitFileState {unit};"
            f' if [ -d /sys/class/net/{interface} ]; then echo "MTU=$(cat /sys/class/net/{interface}/mtu)";'
            f' echo "Port=$({show} listen-port)"; echo "Key=$({show} public-key)";'
            f' echo "Own=$(wg pubkey < {private_key})";'
            f" ip -o addr show dev {interface} scope global | sed 's/.* inet6* \\([^ ]*\\) .*/Address=\\1/';"
            f" {show} allowed-ips | sed 's/^/Peer=/';"
            f" if {show} preshared-keys | awk -v keys={shared} '{_DIFFER}'; then"
            f' echo "Shared=$(sha256sum < {shared} | cut -c -64)"; fi; fi'
        )

    def process(self, output: list[str]) -> Running:
        found: dict[str, list[str]] = {}
        for line in output:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
        first = {key: values[0] for key, values in found.items()}
        peers = dict(value.split("\t", 1) for value in found.get("Peer", ()))
        return Running(
            up="MTU" in first,
            own_key=bool(first.get("Key")) and first.get("Key") == first.get("Own"),
            service=first.get("ActiveState", ""),
            enabled=first.get("UnitFileState", ""),
            interface=Interface(
                addresses=frozenset(found.get("Address", ())),
                mtu=int(first.get("MTU", 0)),
                port=int(first.get("Port") or 0),
                peers={key: frozenset(addresses.split()) for key, addresses in peers.items()},
                shared=first.get("Shared", ""),
            ),
        )


@operation()
def run_interface(
    interface: str, wanted: Interface, shared: str, program: str, private_key: str = PRIVATE_KEY
) -> Generator[str, None, None]:
    """Have `interface` up as its configuration file says; peers come and go without the others' noticing.

    The comparison is with what runs, not with the file: also right after a run of telekit that was killed half-way.
    shared: the file of preshared keys. program: gives the interface its peers, those of the file and those of the moment.
    private_key: the file of its own key, from which the program gives it that as well.
    """
    found = host.get_fact(RunningInterface, interface=interface, shared=shared, private_key=private_key)
    unit = shlex.quote(f"wg-quick@{interface}.service")
    if found.enabled != "enabled":
        yield f"systemctl enable --quiet {unit}"
    if not found.up or found.service != "active":
        yield f"systemctl restart {unit}"
        return
    yield from _readdress(interface, found.interface, wanted)
    now = found.interface
    lasting = {key: addresses for key, addresses in now.peers.items() if key not in wanted.varying}
    if not found.own_key or (now.port, lasting, now.shared) != (wanted.port, wanted.peers, wanted.shared):
        yield f"{program} {shlex.quote(interface)}"


def _readdress(interface: str, now: Interface, wanted: Interface) -> Generator[str, None, None]:
    """Change addresses and MTU in place: a restart would cost every laptop its session, and some 15 seconds to notice."""
    if now.mtu != wanted.mtu:
        yield f"ip link set dev {interface} mtu {wanted.mtu}"
    for address in sorted(wanted.addresses - now.addresses):
        yield f"ip address add {address} dev {interface}"
    for address in sorted(now.addresses - wanted.addresses):
        yield f"ip address del {address} dev {interface}"
