"""Open a remote desktop from a laptop as its agent would, on a screen that nobody sees, and look at it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from toolkit.checks.declare import NotCheckedError
from toolkit.checks.subject import Subject
from toolkit.model import RDP_PORT, Agent, Desktop, Secret

# A real XFCE session shows some hundreds of colours; an empty screen shows one, xrdp's own dialogue on its background few.
DESKTOP_COLOURS = 150
# What the icon on the agent's desktop starts.
COMMAND = "/usr/local/bin/telekit-bureau"
EQUIPMENT = ("Xvfb", "xwd", "identify", "convert")
# The password comes on standard input of this script and goes on standard input of the client: it is in no argument, no
# environment, no file. The agent's own settings are neither used nor changed: HOME is a folder that goes away.
LOGIN = """\
set -u
umask 077
export LC_ALL=C
work=$(mktemp -d /run/telekit-verify.XXXXXX)
as_agent() {{ exec setsid runuser -u {account} -- env -u XDG_RUNTIME_DIR HOME="$work/home" LANG=C.UTF-8 {environment} "$@"; }}
finish() {{
  [ -z "$client" ] || kill -- -$client 2>/dev/null
  kill $screen 2>/dev/null
  wait
  rm -rf "$work"
}}
client= screen=
trap finish EXIT
# The agent passes through to what is theirs; a folder that they could write to would lead root's writing elsewhere.
chmod 711 "$work"
mkdir "$work/home"
chown {account}: "$work/home"
mkfifo "$work/display"
Xvfb -displayfd 3 -screen 0 {width}x{height}x24 -nolisten tcp 3>"$work/display" >"$work/xvfb" 2>&1 &
screen=$!
read -r number < "$work/display" || {{ echo '{{"error": "Xvfb did not start"}}'; exit 0; }}
export DISPLAY=:$number
as_agent {command} --stdin > "$work/client" 2>&1 <<'PASSWORD' &
{password}
PASSWORD
client=$!
colours=0
steady=0
started=$(date +%s)
while [ $(( $(date +%s) - started )) -lt {seconds} ]; do
  kill -0 $client 2>/dev/null || break
  [ ! -e "{ended_by}" ] || break
  sleep 0.4
  xwd -silent -root -out "$work/new.xwd" 2>/dev/null || continue
  # To count them takes a third of a second of processor, and most of the time nothing has moved.
  cmp -s "$work/new.xwd" "$work/screen.xwd" && now=$colours || now=$(identify -format %k "$work/new.xwd")
  mv "$work/new.xwd" "$work/screen.xwd"
  if [ "$now" -ge {enough} ] && [ "$now" = "$colours" ]; then steady=$((steady + 1)); else steady=0; fi
  colours=$now
  [ $steady -ge 2 ] && break
done
if kill -0 $client 2>/dev/null; then alive=true; code=null; else alive=false; wait $client; code=$?; client=; fi
said=$(tr '\\000-\\010\\013-\\037' ' ' < "$work/client" | tr '"\\\\' "'/" | tail -n 12 | tr '\\n' '|')
printf '{{"colours": %s, "alive": %s, "code": %s, "said": "%s", "seconds": %s}}\\n' \
  "$colours" "$alive" "$code" "$said" $(( $(date +%s) - started ))
[ "$alive" = false ] || convert "$work/screen.xwd" png:- | base64 -w 0
"""
ACCOUNT = re.compile(r"[a-z_][a-z0-9._-]*")


@dataclass(frozen=True)
class Login:
    """What came of one try. alive: the client was still connected when it was looked at; code: how it ended otherwise."""

    colours: int
    alive: bool
    code: int | None
    said: str
    picture: bytes
    seconds: float

    @property
    def desktop(self) -> bool:
        return self.alive and self.colours >= DESKTOP_COLOURS

    def __str__(self) -> str:
        if self.alive:
            return f"a screen of {self.colours} colours after {self.seconds:.0f} s"
        return f"the client ended with {self.code}: {self.said.strip('|').rpartition('|')[2].strip()}"


@dataclass(frozen=True)
class Attempt:
    """How to try. trusting: use the laptop's own certificate authorities, the commune's among them; seconds: how long to wait.

    ended_by: a file of root's on the laptop; that it is there ends the try.
    """

    agent: Agent
    password: Secret
    trusting: bool = True
    seconds: int = 60
    ended_by: str = ""


def log_in(subject: Subject, attempt: Attempt) -> Login:
    """Try to open the desktop from this laptop; the client is closed again, the session on the desktop stays."""
    subject.needs(*EQUIPMENT)
    assert subject.run(f"test -x {COMMAND}").code == 0, f"the icon's command {COMMAND} is not there"
    account = _account(subject, attempt.agent)
    seconds = round(attempt.seconds * subject.evidence.patience)
    done = subject.run(
        LOGIN.format(
            account=account, command=COMMAND, password=attempt.password.reveal(), width=1280, height=800,
            environment="" if attempt.trusting else "SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/nonexistent",
            seconds=seconds, enough=DESKTOP_COLOURS, ended_by=attempt.ended_by,
        ),
        seconds=attempt.seconds + 20,
    )  # fmt: skip
    first, _, picture = done.stdout.partition("\n")
    assert first.startswith("{"), f"the laptop said: {(done.stderr or done.stdout).strip()[-300:]}"
    found = json.loads(first)
    if "error" in found:
        raise NotCheckedError(f"{found['error']} on {subject.name}")
    return Login(found["colours"], found["alive"], found["code"], found["said"], base64.b64decode(picture), found["seconds"])


def _account(subject: Subject, agent: Agent) -> str:
    """The agent's account on the laptop."""
    assert ACCOUNT.fullmatch(agent.identifier), agent.identifier
    assert subject.run(f"id -u {agent.identifier}").code == 0, f"{agent.identifier} has no account on {subject.name}"
    return agent.identifier


@dataclass(frozen=True)
class Presence:
    """Whether an agent is on a desktop now. session: one is open there; connected: somebody looks at it."""

    session: bool
    connected: bool


def presence(desktop: Subject, agent: Agent, laptop: IPv4Address | None) -> Presence:
    """Look at the agent's session on the desktop."""
    seen = desktop.output(
        f"pgrep -u {agent.identifier} -x 'Xorg|xfce4-session' >/dev/null && echo session\n"
        f"ss -Hnt state established 'sport = :{RDP_PORT}' | grep -qF '{laptop}:' && echo connected\ntrue\n"
    ).split()
    return Presence("session" in seen, "connected" in seen)


def log_off(desktop: Subject, agent: Agent) -> None:
    """End the session that a check opened; nobody else's."""
    script = (
        f"loginctl terminate-user {agent.identifier} 2>/dev/null\n"
        f"for i in $(seq 50); do pgrep -u {agent.identifier} >/dev/null || exit 0; sleep 0.1; done\n"
        f"pkill -KILL -u {agent.identifier}; sleep 0.2; ! pgrep -u {agent.identifier}\n"
    )
    desktop.output(script)


def first_password(desktop: Subject, agent: Agent) -> Secret:
    """The password that telekit gave the agent; the check is not made when it is not at hand or the agent has changed it."""
    password = desktop.evidence.passwords.get(agent.identifier)
    if password is None:
        raise NotCheckedError(f"the first password of {agent.identifier} is not at hand")
    # Perl asks the C library, which knows the kind of hash that Debian uses; the password comes on standard input.
    same = desktop.run(
        f"hash=$(getent shadow {agent.identifier} | cut -d : -f 2)\n"
        "HASH=$hash perl -e 'my $p = <STDIN>; chomp $p; exit(crypt($p, $ENV{HASH}) ne $ENV{HASH})' <<'PASSWORD'\n"
        f"{password.reveal()}\nPASSWORD\n"
    )
    if same.code != 0:
        raise NotCheckedError(f"{agent.identifier} has changed the first password, as they should")
    return password


def desktop_of(subject: Subject) -> Desktop:
    if subject.agent.desktop is None:
        raise NotCheckedError(f"{subject.agent.identifier} has no desktop")
    return subject.commune.desktop_named[subject.agent.desktop]
