"""The antivirus as a file meets it: what is bad cannot be read and is put away, what is clean can."""

from __future__ import annotations

import time

from toolkit.checks.declare import NotCheckedError, Theme, check
from toolkit.checks.subject import Subject

QUARANTINE = "/var/lib/telekit/quarantine"
# The test file that every antivirus knows, put together on the machine alone: this source must be readable everywhere.
HALVES = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")
PLANT = """\
set -u
folder=$(runuser -u {account} -- mktemp -d {home}/telekit-verify.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder"
runuser -u {account} -- sh -c 'echo Bonjour, ce fichier est sain. > clean.txt'
runuser -u {account} -- sh -c 'printf %s%s "$@" > eicar.txt' plant '{first}' '{second}'
echo "clean $(runuser -u {account} -- cat "$folder/clean.txt" 2>&1)"
for i in $(seq 40); do
  read=$(runuser -u {account} -- cat "$folder/eicar.txt" 2>&1) || break
  sleep 0.25
done
case $read in *ANTIVIRUS-TEST*) echo "agent read it" ;; *) echo "agent $read" ;; esac
case $(cat "$folder/eicar.txt" 2>&1) in *ANTIVIRUS-TEST*) echo "root read it" ;; *) echo "root refused" ;; esac
for i in $(seq 60); do
  caught=$(find {quarantine} -type f ! -name '.*' -newer "$folder/clean.txt" 2>/dev/null | head -n 1)
  [ -n "$caught" ] && break
  sleep 0.25
done
echo "caught $caught"
if runuser -u {account} -- sh -c 'cat "$1" || ls "$2"' reach "$caught" {quarantine} >/dev/null 2>&1
then echo "reach open"; else echo "reach closed"; fi
[ -z "$caught" ] || rm -f "$caught"
"""


def _account(subject: Subject) -> tuple[str, str]:
    """The agent's account on the laptop and its home."""
    found = subject.run(f"getent passwd {subject.agent.identifier}").stdout.strip().split(":")
    if len(found) < 6:
        raise NotCheckedError(f"{subject.agent.identifier} has no account on {subject.name}")
    return found[0], found[5]


def _meeting(subject: Subject) -> dict[str, str]:
    """What came of a clean file and of the test file in the agent's home."""

    def plant() -> dict[str, str]:
        account, home = _account(subject)
        script = PLANT.format(account=account, home=home, first=HALVES[0], second=HALVES[1], quarantine=QUARANTINE)
        lines = subject.output(script, seconds=60).splitlines()
        return {word: rest for word, _, rest in (line.partition(" ") for line in lines)}

    return subject.once("eicar", plant)


@check(
    Theme.ANTIVIRUS,
    "A clean file in the agent's home can be read",
    titre="Un fichier sain du dossier de l’agent se lit",
    tried="writing a text file into the agent's home on {machine}, as the agent, and reading it",
    expected="its text",
    fix="systemctl status clamav-daemon clamav-clamonacc on the laptop: is a signature too eager?",
)
def test_reads_a_clean_file(subject: Subject) -> str:
    said = _meeting(subject)["clean"]
    assert "fichier est sain" in said, said
    return "read"


@check(
    Theme.ANTIVIRUS,
    "An infected file in the agent's home cannot be read",
    titre="Un fichier infecté du dossier de l’agent ne peut pas être lu",
    tried="writing the EICAR test file into the agent's home on {machine}, and reading it as the agent and as root",
    expected="neither can read it",
    fix="systemctl status clamav-daemon clamav-clamonacc on the laptop; telekit provision",
    seconds=90,
)
def test_blocks_an_infected_file(subject: Subject) -> str:
    met = _meeting(subject)
    assert met["agent"] != "read it", "the agent could read it for 10 s"
    assert met["root"] == "refused", "root could read it"
    return met["agent"].rpartition(": ")[2] or "refused"


@check(
    Theme.ANTIVIRUS,
    "An infected file is put into quarantine, where the agent cannot reach it",
    titre="Un fichier infecté est mis en quarantaine, hors de portée de l’agent",
    tried=f"looking into {QUARANTINE} on {{machine}} for the test file",
    expected="it is there, readable by nobody but the system",
    fix="journalctl -u clamav-daemon -u clamav-clamonacc on the laptop; telekit provision",
    seconds=90,
)
def test_puts_it_into_quarantine(subject: Subject) -> str:
    met = _meeting(subject)
    assert met.get("caught"), "nothing arrived there within 15 s"
    assert met["reach"] == "closed", "the agent can read it there"
    return f"{met['caught'].rpartition('/')[2]} is there, and closed to the agent"


@check(
    Theme.ANTIVIRUS,
    "The signatures are recent",
    titre="Les signatures de l’antivirus sont récentes",
    tried="reading the age of the newest signature database on {machine}, and when freshclam last succeeded",
    expected="within [antivirus] max_age_days of commune.toml",
    fix="journalctl -u clamav-freshclam on the laptop: does it reach the mirror through the tunnel?",
)
def test_has_recent_signatures(subject: Subject) -> str:
    age = _official_age(subject) if subject.commune.antivirus.official else _custom_age(subject)
    limit = subject.commune.antivirus.max_age_days
    assert age <= limit, f"{age:.1f} days old, at most {limit}"
    return f"{age:.1f} days old, at most {limit}"


def _official_age(subject: Subject) -> float:
    """Days since daily was built, as its own header says."""
    built = subject.output(
        "cd /var/lib/clamav; cat daily.cld daily.cvd 2>/dev/null | head -c 512 | head -n 1 | cut -d : -f 9"
    ).strip()
    assert built.isdigit(), "there is no daily database"
    return (time.time() - int(built)) / 86400


def _custom_age(subject: Subject) -> float:
    """Days since freshclam last wrote one of the commune's own databases, or found it unchanged."""
    names = [url.rpartition("/")[2] for url in subject.commune.antivirus.databases]
    files = " ".join(f"/var/lib/clamav/{name}" for name in names)
    missing = subject.run(f"ls {files} /dev/null").code != 0
    assert not missing, f"of {', '.join(names)} not all are there"
    fetched = subject.output(f"stat -c %Y {files} /var/lib/clamav/freshclam.dat 2>/dev/null | sort -n | tail -n 1; true").strip()
    return (time.time() - int(fetched)) / 86400


@check(
    Theme.ANTIVIRUS,
    "Everything is scanned once a week",
    titre="Tout le disque est analysé chaque semaine",
    tried="asking systemd on {machine} when the whole scan runs next",
    expected="a time within the next eight days",
    fix="telekit provision; [antivirus] scan in commune.toml",
)
def test_scans_every_week(subject: Subject) -> str:
    timers = subject.output("systemctl list-timers --all --no-legend --no-pager --output=json 2>/dev/null || true").strip()
    assert "telekit-scan.timer" in timers, "no timer telekit-scan.timer waits"
    left = subject.output("systemctl show telekit-scan.timer -p NextElapseUSecRealtime --value; date +%s")
    when, now = left.strip().splitlines()
    seconds = int(subject.output(f"date -d '{when}' +%s")) - int(now)
    assert 0 < seconds < 8 * 86400, f"it runs next at {when}"
    return f"next at {when}"
