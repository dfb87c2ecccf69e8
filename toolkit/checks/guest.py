"""A laptop that exists for a moment, for a profile of which no laptop can be asked.

Its key is in no file, and the gateway takes it out by itself should verify not live to do so.
"""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.matrix import matrix
from toolkit.checks.probe import ITSELF, MARK, Answer, Door, granted
from toolkit.checks.subject import Subject
from toolkit.checks.tried import Tried
from toolkit.checks.witness import watched
from toolkit.model import Address, Agent, Commune, Laptop, Profile, Secret

NO_VANTAGE = "no vantage point on the Internet"
# As long as it takes, at most, and some more: then the gateway itself takes it out.
SECONDS = 60
# The end first: whatever happens to verify after it, the gateway takes out what follows.
LET_IN = """\
systemctl stop telekit-verify-guest.timer 2>/dev/null
systemd-run --quiet --collect --unit=telekit-verify-guest --on-active={seconds}s --timer-property=AccuracySec=1s \\
  sh -c {out} || exit 1
{elements}wg set wg0 peer {key} allowed-ips {allowed}
"""
TAKE_OUT = "wg set wg0 peer {key} remove; {elements}true"


def guest_of(subject: Subject, profile: Profile) -> tuple[Subject, Secret]:
    """A laptop of the profile's, in a commune that is as this one but for it, and its private key."""
    commune, private = subject.commune, X25519PrivateKey.generate()
    address, address6 = _free(commune)
    name = f"verify-{profile.name}"
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    laptop = Laptop(name, tunnel_address=address, tunnel_address6=address6, public_key=public)
    agent = Agent(name, "Verify", "Telekit", profile.name, laptop=name)
    there = replace(commune, laptops=(*commune.laptops, laptop), agents=(*commune.agents, agent))
    key = Secret(base64.b64encode(private.private_bytes_raw()).decode())
    return Subject(laptop, replace(subject.evidence, commune=there)), key


def _free(commune: Commune) -> tuple[IPv4Address, IPv6Address | None]:
    """The last addresses of the tunnel that nobody has."""
    network, network6 = commune.network.tunnel, commune.network.tunnel6
    taken = {m.tunnel_address for m in commune.laptops} | {m.tunnel_address6 for m in commune.laptops}
    for number in range(2, network.num_addresses - 2):
        address = network[-number]
        address6 = network6[int(address) - int(network[0])] if network6 else None
        if address not in taken and address6 not in taken:
            return address, address6
    raise NotCheckedError("the tunnel's network has no free address")


def try_everything(gateway: Subject, guest: Subject, key: Secret) -> None:
    """Have the guest try every cell of its matrix, from the Internet through its own tunnel, while the gateway looks."""
    doors = list(dict.fromkeys(cell.door for cells in matrix(guest).values() for cell in cells))
    with let_in(gateway, guest), watched(guest) as witness:
        answers = _knock(gateway, guest, key, doors)
    guest.once("doors", lambda: Tried(answers, frozenset(), witness))


@contextmanager
def let_in(gateway: Subject, guest: Subject) -> Iterator[None]:
    """The gateway, while it lets the guest in, with what its profile names."""
    laptop = guest.laptop
    own = [a for a in (laptop.tunnel_address, laptop.tunnel_address6) if a]
    sets = list(_elements(guest, own))
    out = TAKE_OUT.format(key=laptop.public_key, elements="".join(_nft("delete", *element) + "; " for element in sets))
    into = LET_IN.format(
        seconds=round(SECONDS * gateway.evidence.patience), out=shlex.quote(out),
        key=laptop.public_key, allowed=",".join(f"{a}/{a.max_prefixlen}" for a in own),
        elements="".join(_nft("add", *element) + " || exit 1\n" for element in sets),
    )  # fmt: skip
    try:
        gateway.output(into)
        yield
    finally:
        gateway.output(f"{out}\nsystemctl stop telekit-verify-guest.timer")


def _elements(guest: Subject, own: Sequence[Address]) -> Iterator[tuple[str, str]]:
    """Set of the gateway's firewall → element, as the inventory's rules would have them for such a laptop."""
    for address in own:
        yield f"peers{address.version}", str(address)
        for door in granted(guest, guest.laptop):
            if door.address.version == address.version:
                yield f"access{address.version}", f"{address} . {door.address} . {door.protocol} . {door.port}"


def _nft(verb: str, name: str, element: str) -> str:
    return f"nft {verb} element inet telekit {name} '{{ {element} }}'"


def _knock(gateway: Subject, guest: Subject, key: Secret, doors: Sequence[Door]) -> dict[Door, Answer]:
    """The key goes to the program on standard input, and nowhere else."""
    outside, commune = gateway.evidence.internet, guest.commune
    if outside is None:
        raise NotCheckedError(NO_VANTAGE)
    order = {
        "host": commune.gateway.endpoint.host, "port": commune.gateway.endpoint.port, "gateway": commune.gateway.public_key,
        "key": key.reveal(), "addresses": [str(a) for a in (guest.laptop.tunnel_address, guest.laptop.tunnel_address6) if a],
        "doors": [[door.protocol, str(door.address), door.port] for door in doors], "mark": MARK << 2, "name": ITSELF,
    }  # fmt: skip
    done = outside.run([sys.executable, "-m", "toolkit.checks.remote.peer"], timeout=30.0, stdin=json.dumps(order))
    if done.returncode != 0:
        raise AssertionError(done.stderr.strip().splitlines()[-1:] or "it gave no answer")
    told = json.loads(done.stdout)
    return {Door(protocol, ip_address(at), port): Answer(state, said[:200]) for protocol, at, port, state, said in told}
