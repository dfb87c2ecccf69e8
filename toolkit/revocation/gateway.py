"""On a gateway: the tunnels closed at once, then the proof that they are."""

from __future__ import annotations

import base64
import json
import secrets as randomness
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deploys.template import render
from toolkit.errors import TelekitError
from toolkit.model import Gateway, Secret
from toolkit.revocation.case import Case
from toolkit.secrets import public_half

if TYPE_CHECKING:
    from toolkit.engine import Session, Target

PROGRAM = "revocation/close.py"
SECONDS = 60.0
NO_WAY, REFUSED, ANSWERED = "no way", "refused", "answered"
# A peer that no address belongs to: it can shake hands and nothing else. Its end is in the script, whatever becomes of us.
PROBE = """\
for interface in wg0 wg0-next; do
    [ -d /sys/class/net/$interface ] || continue
    wg set $interface peer {key} || exit 1
    (sleep {seconds}; wg set $interface peer {key} remove) > /dev/null 2>&1 &
done
"""
PROBE_END = """\
for interface in wg0 wg0-next; do
    [ ! -d /sys/class/net/$interface ] || wg set $interface peer {key} remove
done
"""
PROBE_SECONDS = 30

# Asks a gateway from the Internet's side whether it answers a private key.
Knock = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True)
class Closed:
    """What became of the case on one gateway. trouble: why nothing, or not everything, is known to be done.

    seconds: from the operator's decision to the tunnel's end; moment: that end by the gateway's clock. seen: what WireGuard
    last knew of the devices. left: what was still there when it was asked again. knocked: device → what a handshake with its
    old key came to.
    """

    name: str
    trouble: str = ""
    unreachable: bool = False
    seconds: float = 0.0
    moment: str = ""
    elements: int = 0
    connections: int | None = None
    seen: tuple[Mapping[str, Any], ...] = ()
    left: Mapping[str, Any] = field(default_factory=dict)
    knocked: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return not self.trouble


def script(what: str, case: Case) -> str:
    """The program and what it is told, for a shell's standard input."""
    told, program = json.dumps(case.question), render(PROGRAM)
    return f"exec python3 -B - {what} 3<<'TELEKIT-CASE' <<'TELEKIT-PROGRAM'\n{told}\nTELEKIT-CASE\n{program}\nTELEKIT-PROGRAM\n"


def close(session: Session, target: Target, case: Case, began: float) -> Closed:
    """Close the tunnels; began: when the operator decided, by time.monotonic."""
    if target.name in session.unreachable:
        return Closed(target.name, session.unreachable[target.name], unreachable=True)
    try:
        said = _asked(session, target, "close", case)
    except TelekitError as error:
        return Closed(target.name, error.problem.what, unreachable=target.name in session.unreachable)
    return Closed(
        target.name, seconds=round(time.monotonic() - began, 2), moment=said["closed"], elements=said["elements"],
        connections=said["connections"], seen=tuple(said["seen"]),
    )  # fmt: skip


def proved(session: Session, target: Target, case: Case, found: Closed) -> Closed:
    """The same, after the gateway was asked again."""
    if not found.done:
        return found
    try:
        left = _asked(session, target, "look", case)
    except TelekitError as error:
        return replace(found, trouble=f"closed, and then it could not be asked again: {error.problem.what}")
    still = [what for what in ("peers", "elements", "connections", "files") if left[what]]
    trouble = f"still there: {', '.join(str(left[what]) for what in still)}" if still else ""
    return replace(found, left=left, trouble=trouble)


def _asked(session: Session, target: Target, what: str, case: Case) -> dict[str, Any]:
    done = session.run(target, script(what, case), seconds=SECONDS)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise TelekitError(done.stderr.strip() or f"no answer (code {done.code})", where=target.name) from None
    return said


def knocked(
    session: Session, target: Target, gateway: Gateway, keys: Mapping[str, Secret], found: Closed, knock: Knock
) -> Closed:
    """The same, after handshakes with the devices' old keys: refused only if a key that is welcome is answered meanwhile."""
    if not (found.done and keys and gateway.public_key):
        return found
    welcome = base64.b64encode(randomness.token_bytes(32)).decode()
    public = public_half(Secret(welcome))
    where = {"host": gateway.endpoint.host, "port": str(gateway.endpoint.port)}
    # Two while its own key is being replaced: a device may know both.
    places = [{**where, "gateway": own} for own in (gateway.public_key, gateway.next_key) if own]
    if session.run(target, PROBE.format(key=public, seconds=PROBE_SECONDS), seconds=SECONDS).code != 0:
        return found
    try:
        came = {name: _worst([_came(knock, place, key.reveal(), welcome) for place in places]) for name, key in keys.items()}
    finally:
        session.run(target, PROBE_END.format(key=public), seconds=SECONDS)
    answered = [name for name, what in came.items() if what == ANSWERED]
    trouble = f"it still answers the key of {', '.join(answered)}" if answered else ""
    return replace(found, knocked=came, trouble=trouble)


def _worst(found: Sequence[str]) -> str:
    """One answer is enough to be let in, and one silence of unknown cause to know nothing."""
    return next((what for what in (ANSWERED, NO_WAY) if what in found), REFUSED)


def _came(knock: Knock, where: Mapping[str, str], key: str, welcome: str) -> str:
    try:
        if knock({**where, "key": key}):
            return ANSWERED
        return REFUSED if knock({**where, "key": welcome}) else NO_WAY
    except (OSError, TelekitError):
        return NO_WAY
