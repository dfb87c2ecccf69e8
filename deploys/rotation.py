"""A laptop's next key: made there, tried when the gateway knows it, and kept only if it has shaken hands."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Generator
from dataclasses import dataclass

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import preshared, service
from deploys.template import render
from deploys.text import text_file
from deploys.wireguard import ENROLMENT, PRIVATE_KEY
from toolkit.model import KeyChange

NEXT = "/etc/wireguard/next"
NEXT_ENROLMENT = f"{ENROLMENT}-next"
PROGRAM = "/usr/local/lib/telekit/switch-key"
UNIT = "/etc/systemd/system/telekit-switch-key.service"
PATH = "/etc/systemd/system/telekit-switch-key.path"
# A handshake is tried every 5 seconds; so long the tunnel is silent where the gateway does not answer the new key.
SECONDS = 20

# The private key goes from wg to its file, and never off the machine. What goes with it comes last, from elsewhere.
MAKE_NEXT = f"""\
set -eu
umask 077
rm -rf {NEXT} {NEXT}.new
mkdir {NEXT}.new
wg genkey > {NEXT}.new/private.key
wg pubkey < {NEXT}.new/private.key > {NEXT}.new/public
mv -T {NEXT}.new {NEXT}
"""
SHOW_NEXT = f"""\
set -eu
umask 022
wg pubkey < {NEXT}/private.key > {NEXT_ENROLMENT}.new
mv -f {NEXT_ENROLMENT}.new {NEXT_ENROLMENT}
"""
FORGET_NEXT = f"rm -rf {NEXT} {NEXT_ENROLMENT}"
# The laptop may have finished meanwhile: then there is nothing left to hand over. `until` comes first: the program reads both.
HAND_OVER = f"""\
set -eu
umask 077
[ -e {NEXT}/private.key ] || {{{{ cat > /dev/null; exit 0; }}}}
read -r digest
base64 -d > {NEXT}/preshared.new
if [ "$(sha256sum < {NEXT}/preshared.new)" != "$digest  -" ]; then
    rm -f {NEXT}/preshared.new
    echo "the connection broke before the whole key had arrived" >&2
    exit 1
fi
echo {{until}} > {NEXT}/until
mv -f {NEXT}/preshared.new {NEXT}/preshared.key
"""


@dataclass(slots=True)
class Keys:
    """A laptop's public keys, the present one and the next; empty: none. shown: the next one stands in its enrolment file.

    shared: the SHA-256 of what goes with the next one; until: as the laptop was told.
    """

    own: str = ""
    next: str = ""
    shown: bool = False
    left: bool = False
    shared: str = ""
    until: str = ""


class NextKey(FactBase[Keys]):
    """How far the laptop is with its next key, without any of its secrets."""

    def command(self) -> str:
        return (
            f'echo "own=$(wg pubkey 2>/dev/null < {PRIVATE_KEY})" 2>/dev/null;'
            f" if [ -e {NEXT} ] || [ -e {NEXT_ENROLMENT} ]; then echo left=yes;"
            f' echo "next=$(wg pubkey 2>/dev/null < {NEXT}/private.key)" 2>/dev/null;'
            f' echo "shown=$(cat {NEXT_ENROLMENT} 2>/dev/null)"; echo "until=$(cat {NEXT}/until 2>/dev/null)";'
            f' [ ! -e {NEXT}/preshared.key ] || echo "shared=$(sha256sum < {NEXT}/preshared.key | cut -c -64)"; fi; true'
        )

    def process(self, output: list[str]) -> Keys:
        found = dict(line.split("=", 1) for line in output if "=" in line)
        coming = found.get("next", "")
        return Keys(
            found.get("own", ""), coming, bool(coming) and found.get("shown") == coming, "left" in found,
            found.get("shared", ""), found.get("until", ""),
        )  # fmt: skip


@operation()
def next_key(change: KeyChange | None, known: str | None) -> Generator[str, None, None]:
    """Have a second key made on this machine while its key is being replaced, and none at other times.

    known: the key that the gateway takes for this machine's; if it is the next one, the machine is about to finish by itself.
    """
    keys = host.get_fact(NextKey)
    if change is None:
        if keys.left and (not keys.next or keys.next != known):
            yield FORGET_NEXT
    elif keys.own != change.key or not change.key:
        if not keys.next:
            yield MAKE_NEXT + SHOW_NEXT
        elif not keys.shown:
            yield SHOW_NEXT


@operation()
def hand_over(change: KeyChange) -> Generator[StringCommand, None, None]:
    """Have what goes with the next key beside it, once the gateway knows the key: from then on the machine tries it."""
    keys = host.get_fact(NextKey)
    if change.preshared is None or keys.next != change.key:
        return
    data = f"{change.preshared.reveal()}\n".encode()
    digest = hashlib.sha256(data).hexdigest()
    if (keys.shared, keys.until) != (digest, str(change.until)):
        script = HAND_OVER.format(until=change.until)
        yield StringCommand(script, _stdin=f"{digest}\n{base64.encodebytes(data).decode()}")


def units() -> dict[str, str]:
    """The service that tries the next key, and what starts it when there is one."""
    service_unit = render("rotation/switch-key.service.j2", program=PROGRAM)
    return {UNIT: service_unit, PATH: render("rotation/switch-key.path.j2", next=NEXT)}


def switcher() -> str:
    """The program that tries the next key, and goes back to the present one when nobody answers."""
    return render(
        "rotation/switch-key.sh.j2",
        next=NEXT,
        private_key=PRIVATE_KEY,
        preshared_key=preshared.OWN,
        enrolment=ENROLMENT,
        seconds=SECONDS,
    )


def keep_switcher() -> None:
    """Have the program there, started as soon as there is a next key to try."""
    written = units()
    text_file("Write the program that changes the tunnel's key", PROGRAM, switcher(), mode="755")
    text_file("Write the unit that changes the tunnel's key", UNIT, written[UNIT])
    text_file("Write what starts it", PATH, written[PATH])
    service.run(name="Change the tunnel's key when there is another", unit="telekit-switch-key.path", files=written)
