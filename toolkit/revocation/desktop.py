"""On a desktop: the agent's session ended, the account locked, password and second factor void."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploys.accounts import CLOSE, GROUP
from toolkit.errors import TelekitError
from toolkit.revocation.case import Case

if TYPE_CHECKING:
    from toolkit.engine import Session, Target

SECONDS = 60.0
ABSENT = "absent"
# Locked first; then what is running ends. `!` is the password of nobody: the agent who comes back gets another.
SCRIPT = """\
name={name}
id -u "$name" > /dev/null 2>&1 || {{ echo absent; exit; }}
usermod --lock --expiredate 1 "$name" || exit
echo "sessions=$(loginctl list-sessions --no-legend | awk -v name="$name" '$3 == name' | wc -l)"
echo "processes=$(pgrep -cu "$name")"
{void}
sh -c {close} || exit
rm -rf {factors}
"""
# What ends in order takes a moment.
LOOK = """\
name={name}
id -u "$name" > /dev/null 2>&1 || {{ echo absent; exit; }}
for moment in 1 2 3 4 5 6 7 8 9 10; do
    sessions=$(loginctl list-sessions --no-legend | awk -v name="$name" '$3 == name' | wc -l)
    connections=$(ss -Htn state established {connections} | wc -l)
    [ "$sessions$connections" = 00 ] && break
    sleep 0.5
done
echo "sessions=$sessions"
echo "connections=$connections"
echo "processes=$(pgrep -cu "$name")"
echo "password=$(passwd -S "$name" | cut -d' ' -f2)"
echo "factors=$(ls -d {factors} 2>/dev/null | wc -l)"
"""


@dataclass(frozen=True)
class Shut:
    """What became of the case on one desktop. absent: the agent had no account there."""

    name: str
    trouble: str = ""
    unreachable: bool = False
    absent: bool = False
    sessions: int = 0
    processes: int = 0

    @property
    def done(self) -> bool:
        return not self.trouble


def shut(session: Session, target: Target, case: Case) -> Shut:
    """Shut the agent out, and look whether that is so."""
    if target.name in session.unreachable:
        return Shut(target.name, session.unreachable[target.name], unreachable=True)
    try:
        found = _said(session, target, script(case))
        return _proved(found, _said(session, target, look(case)), target.name)
    except TelekitError as error:
        return Shut(target.name, error.problem.what, unreachable=target.name in session.unreachable)


def script(case: Case) -> str:
    """What shuts the agent out; it may be run again."""
    name = shlex.quote(case.agent.identifier)
    return SCRIPT.format(
        name=name, close=shlex.quote(CLOSE.format(name=name, group=GROUP)), factors=_factors(case),
        void=f"usermod --password '!' {name}" if case.wish.stolen else ":",
    )  # fmt: skip


def look(case: Case) -> str:
    """What asks whether the agent is shut out."""
    devices = " or ".join(f"dst {address}" for device in case.devices for address in device.addresses)
    connections = shlex.quote(f"( sport = :3389 ) and ( {devices or 'dst 127.255.255.255'} )")
    return LOOK.format(name=shlex.quote(case.agent.identifier), connections=connections, factors=_factors(case))


def _factors(case: Case) -> str:
    return shlex.quote(f"/etc/telekit/totp/{case.agent.identifier}")


def _said(session: Session, target: Target, text: str) -> dict[str, str]:
    done = session.run(target, text, seconds=SECONDS)
    if done.code != 0:
        raise TelekitError(done.stderr.strip() or f"no answer (code {done.code})", where=target.name)
    lines = (line.partition("=") for line in done.stdout.splitlines())
    return {key: value for key, _, value in lines}


def _proved(did: dict[str, str], now: dict[str, str], name: str) -> Shut:
    if ABSENT in did:
        return Shut(name, absent=True)
    found = Shut(name, sessions=int(did["sessions"]), processes=int(did["processes"]))
    wrong = [what for what in ("sessions", "processes", "connections", "factors") if now.get(what) != "0"]
    if now.get("password") != "L":
        wrong.append("an open account")
    return replace(found, trouble=f"still there: {', '.join(wrong)}" if wrong else "")
