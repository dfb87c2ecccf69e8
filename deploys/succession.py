"""A gateway's own key on its way to being replaced: two interfaces behind one port, until every device uses the new key.

The second interface has the new key, the same peers, and no address: who is reached by it, the gateway's own program says. A
laptop passes from one key to the other by itself, and goes back when nobody answers.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from io import StringIO

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations import files

from deploys import preshared, service
from deploys.secret import secret_file, write_secret
from deploys.template import render
from deploys.text import text_file
from deploys.wireguard import ENROLMENT, INTERFACE, NEXT, PRIVATE_KEY, Interface, run_interface
from toolkit.model import Gateway, Secret

# -- on the gateway ----------------------------------------------------------------------------------------------------

KEY = f"/etc/wireguard/{NEXT}.key"
CONFIGURATION = f"/etc/wireguard/{NEXT}.conf"
# Which devices shook hands with the new key last: kept by the program that sees to accesses.
MOVED = "/var/lib/telekit/moved"

# Whoever is at the second interface is called from the first: its next handshake would else be some seconds away.
CONCLUDE = f"""\
set -eu
umask 077
if [ "$(wg pubkey < {PRIVATE_KEY})" != "$(wg pubkey < {KEY})" ]; then
    cp {KEY} {PRIVATE_KEY}.new
    sync {PRIVATE_KEY}.new
    mv -f {PRIVATE_KEY}.new {PRIVATE_KEY}
fi
umask 022
wg pubkey < {PRIVATE_KEY} > {ENROLMENT}.new
mv -f {ENROLMENT}.new {ENROLMENT}
if [ -d /sys/class/net/{INTERFACE} ] && [ -d /sys/class/net/{NEXT} ]; then
    {preshared.PEERS} {INTERFACE}
    wg show {NEXT} endpoints | awk '$2 != "(none)" {{ print "peer", $1, "endpoint", $2, "persistent-keepalive", 25 }}' \\
        | xargs -r -n 600 wg set {INTERFACE}
    sleep 2
    wg show {INTERFACE} persistent-keepalive | awk '$2 != "off" {{ print "peer", $1, "persistent-keepalive", "off" }}' \\
        | xargs -r -n 400 wg set {INTERFACE}
fi
"""
FORGET = f"""\
systemctl stop telekit-rotation.service 2>/dev/null || true
systemctl disable --quiet --now wg-quick@{NEXT}.service 2>/dev/null || true
[ ! -d /sys/class/net/{NEXT} ] || ip link delete dev {NEXT}
rm -f {CONFIGURATION} {KEY} {MOVED}
"""


@dataclass(slots=True)
class Held:
    """A gateway's public keys, its own and the one of the second interface; left: something of a succession is there."""

    own: str = ""
    next: str = ""
    left: bool = False


class GatewayKeys(FactBase[Held]):
    """Which keys a gateway has, without any of their secret halves."""

    def command(self) -> str:
        return (
            f'echo "own=$(wg pubkey 2>/dev/null < {PRIVATE_KEY})" 2>/dev/null;'
            f' echo "next=$(wg pubkey 2>/dev/null < {KEY})" 2>/dev/null;'
            f" for f in {KEY} {CONFIGURATION} {MOVED} /sys/class/net/{NEXT}; do [ ! -e $f ] || echo left=yes; done; true"
        )

    def process(self, output: list[str]) -> Held:
        found = dict(line.split("=", 1) for line in output if "=" in line)
        return Held(found.get("own", ""), found.get("next", ""), "left" in found)


@operation()
def conclude(public: str, private: Secret) -> Generator[str | StringCommand, None, None]:
    """Have this key the gateway's only one; devices that use it already notice a moment's silence at most."""
    held = host.get_fact(GatewayKeys)
    if held.own == public and not held.left:
        return
    if held.next != public:
        yield write_secret(KEY, Secret(f"{private.reveal()}\n"))
    yield CONCLUDE
    yield FORGET


@operation()
def no_second_key() -> Generator[str, None, None]:
    """Have nothing left of a succession that is over."""
    if host.get_fact(GatewayKeys).left:
        yield FORGET


def one_key(me: Gateway, successor: Secret | None) -> None:
    """Have one key and one interface. successor: the key that is to be the one; None: the gateway has it already."""
    if successor is not None and me.public_key:
        conclude(name="Make the new key the gateway's only one", public=me.public_key, private=successor)
    else:
        no_second_key(name="Have no second key")


def two_keys(successor: Secret, text: str, wanted: Interface) -> None:
    """Have the second interface up with the next key, beside the first. text: its configuration; wanted: as it must run."""
    secret_file(name="Write the gateway's next key", dest=KEY, content=Secret(f"{successor.reveal()}\n"))
    files.put(name=f"Write {NEXT}.conf", src=StringIO(text), dest=CONFIGURATION, mode="600")
    run_interface(
        name=f"Run {NEXT}",
        interface=NEXT,
        wanted=wanted,
        shared=preshared.ALL,
        program=preshared.PEERS,
        private_key=KEY,
    )


# -- on a laptop -------------------------------------------------------------------------------------------------------

# The next key's public half, while there is one. What uses it is the laptop's own matter.
COMING = "/etc/wireguard/gateway-next"
PROGRAM = "/usr/local/lib/telekit/switch-gateway"
UNIT = "/etc/systemd/system/telekit-switch-gateway.service"
PATH = "/etc/systemd/system/telekit-switch-gateway.path"


def units() -> dict[str, str]:
    """The service that passes to the gateway's next key, and what starts it when there is one."""
    unit = render("succession/switch-gateway.service.j2", program=PROGRAM)
    return {UNIT: unit, PATH: render("succession/switch-gateway.path.j2", coming=COMING)}


def switcher() -> str:
    """The program that uses the gateway's next key, and the present one when nobody answers."""
    return render(
        "succession/switch-gateway.sh.j2", coming=COMING, configuration="/etc/wireguard/wg0.conf", preshared_key=preshared.OWN
    )


def keep_switcher() -> None:
    """Have the program there, started as soon as there is another key to use."""
    written = units()
    text_file("Write the program that follows the gateway's key", PROGRAM, switcher(), mode="755")
    text_file("Write the unit that follows the gateway's key", UNIT, written[UNIT])
    text_file("Write what starts that unit", PATH, written[PATH])
    service.run(name="Follow the gateway's key when it changes", unit="telekit-switch-gateway.path", files=written)


def follow(coming: str | None) -> None:
    """Let the laptop use the gateway's next key, or know of none."""
    if coming:
        text_file("Tell it the gateway's next key", COMING, f"{coming}\n")
    else:
        files.file(name="Know of no other key of the gateway", path=COMING, present=False)
