"""What a machine must be before anything on it is touched: one script a machine, all side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.model import Commune, Role

if TYPE_CHECKING:
    from toolkit.engine import Completed, Session

RELEASES = {"12": "bookworm", "13": "trixie"}
ARCHITECTURES = ("amd64", "arm64")
# MiB that the role's packages and their data take on a machine without them, with room to work.
DISK = {Role.GATEWAY: 500, Role.DESKTOP: 2000, Role.LAPTOP: 1500}
DISK_ONCE_PROVISIONED = 200
# clamd keeps the official signatures in memory: 1.3 GiB of it.
CLAMAV_MEMORY = 2000
SKEW_REFUSED = 300.0
SKEW_WARNED = 30.0
SECONDS = 60.0

# The source is fetched by apt itself, so that the machine's own proxy, credentials and certificates are what is tried.
SCRIPT = r"""
try_mirror() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  for try in 1 2; do
    begun=$(date +%s)
    said=$(LC_ALL=C /usr/lib/apt/apt-helper -o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 \
      -o APT::Sandbox::User=root download-file "$source" "$scratch/InRelease" 2>&1)
    # A mirror that hung up gets a second chance; one that is silent has had its time.
    if [ -s "$scratch/InRelease" ] || [ $(($(date +%s) - begun)) -gt 3 ]; then break; fi
    sleep 1
  done
  if [ -s "$scratch/InRelease" ]; then echo mirror=yes; else
    echo mirror=no; echo "mirror_error=$(printf '%s' "$said" | sed -n 's/^E: //p' | head -n 1)"; fi
}
echo "started=$(date +%s)"
. /etc/os-release 2>/dev/null
echo "system=${ID:-unknown}" "release=${VERSION_ID:-}" "title=${PRETTY_NAME:-unknown}" | sed 's/ \(release=\|title=\)/\n\1/g'
echo "architecture=$(dpkg --print-architecture 2>/dev/null)"
if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then echo sudo=yes; else echo sudo=no; fi
for folder in /usr /var; do df -Pk "$folder"; done | awk '$4 ~ /^[0-9]+$/ {print $4}' | sort -n | sed 's/^/disk=/;1q'
awk '/^MemTotal:/ {print "memory=" $2}' /proc/meminfo
if [ -e /etc/telekit/enrolment ]; then provisioned=yes; else provisioned=no; fi
echo "provisioned=$provisioned"
# A machine of ours whose package lists are a day old at most needs no other proof: its mirror has answered since.
if [ $provisioned = yes ] && [ $(($(date +%s) - $(stat -c %Y /var/lib/apt/lists || echo 0))) -lt 86400 ]; then
  echo mirror=yes
else
  source=$(LC_ALL=C apt-get update --print-uris 2>/dev/null | sed -n "s/^'\([^']*InRelease\)'.*/\1/p" | head -n 1)
  echo "source=$source"
  if [ -n "$source" ]; then try_mirror; else echo mirror=none; fi
fi
echo "ended=$(date +%s)"
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a machine may be touched: `refusals` and `warnings` are sentences."""

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return bool(self.refusals)


def run(session: Session, commune: Commune) -> dict[str, Verdict]:
    """Machine name → verdict, for every machine that the session reached."""
    roles = {machine.name: machine.role for machine in commune.machines}
    begun = time.time()
    completed = session.read_all(SCRIPT, seconds=SECONDS, apart=True)
    ended = time.time()
    return {name: judge(roles[name], commune, done, (begun, ended)) for name, done in completed.items()}


def judge(role: Role, commune: Commune, done: Completed, between: tuple[float, float]) -> Verdict:
    """What the script's answer means; between: the operator's clock before and after it ran."""
    facts = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if "ended" not in facts:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return Verdict((f"preflight did not finish (exit {done.code}): {''.join(said) or 'no answer'}",))
    refusals = [
        *_release(facts), *_sudo(facts, commune), *_disk(facts, role),
    ]  # fmt: skip
    warnings = list(_memory(facts, role, commune))
    # A laptop whose tunnel is broken, or was its former agent's, reaches no mirror: this run is what gives it a tunnel again.
    (warnings if facts.get("provisioned") == "yes" else refusals).extend(_mirror(facts))
    off = skew(facts, between)
    if abs(off) > SKEW_REFUSED:
        refusals.append(f"its clock is {_apart(off)}: set it (timedatectl set-ntp true), or certificates and tunnels fail")
    elif abs(off) > SKEW_WARNED:
        warnings.append(f"its clock is {_apart(off)}")
    return Verdict(tuple(refusals), tuple(warnings))


def skew(facts: Mapping[str, str], between: tuple[float, float]) -> float:
    """Seconds by which the machine's clock is surely ahead of (+) or behind (−) the operator's."""
    begun, ended = between
    # What it read first cannot be before we began, what it read last cannot be after we ended; a second is its resolution.
    behind = float(facts["started"]) + 1 - begun
    ahead = float(facts["ended"]) - ended
    return behind if behind < 0 else max(ahead, 0.0)


def _apart(off: float) -> str:
    amount = f"{abs(off) / 60:.0f} min" if abs(off) >= 120 else f"{abs(off):.0f} s"
    return f"{amount} {'ahead' if off > 0 else 'behind'}"


def _release(facts: Mapping[str, str]) -> Sequence[str]:
    found = []
    if facts.get("system") != "debian" or facts.get("release") not in RELEASES:
        found.append(f"it runs {facts.get('title', 'an unknown system')}; telekit supports Debian 12 and 13")
    if facts.get("architecture") not in ARCHITECTURES:
        found.append(
            f"its architecture is {facts.get('architecture') or 'unknown'}; telekit supports {' and '.join(ARCHITECTURES)}"
        )
    return found


def _sudo(facts: Mapping[str, str], commune: Commune) -> Sequence[str]:
    if facts.get("sudo") == "yes":
        return ()
    return (f"{commune.admin_user} cannot use sudo without a password: `telekit trust --bootstrap` sets it up",)


def _disk(facts: Mapping[str, str], role: Role) -> Sequence[str]:
    needed = DISK_ONCE_PROVISIONED if facts.get("provisioned") == "yes" else DISK[role]
    free = int(facts.get("disk", "0")) // 1024
    return () if free >= needed else (f"{free} MiB of disk are free under /usr or /var, a {role} needs {needed}",)


def _mirror(facts: Mapping[str, str]) -> Sequence[str]:
    match facts.get("mirror"):
        case "yes":
            return ()
        case "none":
            return ("apt has no package source: fill /etc/apt/sources.list",)
        case _:
            reason = f" ({facts['mirror_error']})" if facts.get("mirror_error") else ""
            return (f"its package mirror does not answer: {facts.get('source')}{reason}",)


def _memory(facts: Mapping[str, str], role: Role, commune: Commune) -> Sequence[str]:
    memory = int(facts.get("memory", "0")) // 1024
    if role is not Role.LAPTOP or not commune.antivirus.official or memory >= CLAMAV_MEMORY:
        return ()
    return (f"{memory} MiB of memory are little for ClamAV's official signatures ({CLAMAV_MEMORY} are comfortable)",)
