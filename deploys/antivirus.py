"""ClamAV: signatures, every file of the agents read before they read it, quarantine, a weekly scan."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations import files

from deploys.service import run
from deploys.template import render
from deploys.text import text_file
from toolkit.model import Antivirus, Commune

QUARANTINE = "/var/lib/telekit/quarantine"
CLAMD = "/etc/clamav/clamd.conf"
REMOVABLE = "/etc/clamav/removable.conf"
FRESHCLAM = "/etc/clamav/freshclam.conf"
WATCH = "/usr/local/lib/telekit/watch-removable"
TELL = "/usr/local/lib/telekit/tell-quarantine"
# Wherever an agent can write and run what they wrote.
FOLDERS = ("/home", "/tmp", "/var/tmp")  # noqa: S108 - watched, not used
PACKAGES = ("clamav-daemon", "clamav-freshclam", "clamdscan", "libnotify-bin")
UNITS = "/etc/systemd/system"
ONCE = "clamav-freshclam-once.service"
DATABASES = "/var/lib/clamav"

# The daemon holds the log and the databases' lock: it makes way for a first download whose failure can be told.
DOWNLOAD = f"""\
systemctl stop clamav-freshclam.service
if ! answer=$(freshclam --config-file={FRESHCLAM} --stdout 2>&1); then
    printf '%s\\n' "$answer" | tail -n 15 >&2
    echo "no virus signatures: none of these could be fetched: {{sources}}" >&2
    systemctl start clamav-freshclam.service
    exit 1
fi
systemctl start clamav-freshclam.service
"""


class SignaturesAreThere(FactBase[bool]):
    """Whether every wanted database is there."""

    def command(self, databases: Sequence[str]) -> str:
        tests = " && ".join(f"ls {DATABASES}/{shlex.quote(name)}.* > /dev/null 2>&1" for name in databases)
        return f"{tests or 'true'} && echo yes; true"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@operation()
def _first_download(databases: Sequence[str], sources: str) -> Generator[str, None, None]:
    if not host.get_fact(SignaturesAreThere, databases=list(databases)):
        yield DOWNLOAD.format(sources=sources)


def wanted_databases(wanted: Antivirus) -> list[str]:
    """The names, without their endings, of the files that the laptop must have."""
    own = [url.rpartition("/")[2].rpartition(".")[0] for url in wanted.databases]
    return [*(("main", "daily", "bytecode") if wanted.official else ()), *own]


def scanner(folders: Sequence[str]) -> str:
    """clamd.conf; folders: where files are read before anybody else reads them."""
    return render("clamav/clamd.conf.j2", quarantine=QUARANTINE, folders=folders)


def updater(wanted: Antivirus) -> str:
    """freshclam.conf."""
    return render("clamav/freshclam.conf.j2", mirror=wanted.mirror, official=wanted.official, databases=wanted.databases)


def units(wanted: Antivirus) -> dict[str, dict[str, str]]:
    """Unit → the files of its own: drop-ins for Debian's, and ours."""

    def drop_in(unit: str, text: str) -> dict[str, str]:
        return {f"{UNITS}/{unit}.d/telekit.conf": text}

    def own(*names: str, **arguments: object) -> dict[str, str]:
        return {f"{UNITS}/{name}": render(f"clamav/{name}.j2", **arguments) for name in names}

    def daemon(section: str) -> str:
        return render("clamav/clamav-daemon.conf.j2", section=section, official=wanted.official)

    return {
        "clamav-daemon.socket": drop_in("clamav-daemon.socket", daemon("socket")),
        "clamav-daemon.service": drop_in("clamav-daemon.service", daemon("service")),
        "clamav-clamonacc.service": drop_in(
            "clamav-clamonacc.service", render("clamav/clamav-clamonacc.conf.j2", quarantine=QUARANTINE)
        ),
        "telekit-scan.timer": own("telekit-scan.service", quarantine=QUARANTINE)
        | own("telekit-scan.timer", calendar=wanted.scan),
        "telekit-quarantine.path": own("telekit-quarantine.path", quarantine=QUARANTINE)
        | own("telekit-quarantine.service", script=TELL),
    }


def _removable() -> dict[str, str]:
    """What makes every file system that is mounted for an agent a watched one."""
    template = render("clamav/telekit-removable@.service.j2", script=WATCH)
    mount = render("clamav/mount.conf.j2")
    return {
        f"{UNITS}/telekit-removable@.service": template,
        f"{UNITS}/media-.mount.d/telekit.conf": mount,
        f"{UNITS}/run-media-.mount.d/telekit.conf": mount,
    }


def alarm(commune: Commune) -> str:
    """The script that tells whoever is logged in."""
    whom = f"Prévenez l'informatique : {commune.contact}." if commune.contact else "Prévenez l'informatique."
    message = f"Un fichier dangereux a été mis à l'écart, vous n'y avez plus accès. {whom}"
    return render("clamav/tell.sh.j2", message=shlex.quote(message), quarantine=QUARANTINE, told=f"{QUARANTINE}.told")


def no_update_at_installation() -> None:
    """Comes before the packages: their installation would wait for an update, from servers that the inventory may not name."""
    files.link(name="Keep Debian's one-time update from starting", path=f"{UNITS}/{ONCE}", target="/dev/null")


def antivirus(commune: Commune) -> None:
    """Have no file of an agent's, or of a stick they plug in, opened before ClamAV has read it."""
    wanted = commune.antivirus
    files.directory(name="Have a quarantine", path=QUARANTINE, user="root", group="root", mode="700")
    clamd, freshclam, parts = scanner(FOLDERS), updater(wanted), units(wanted)
    text_file("Write clamd.conf", CLAMD, clamd)
    text_file("Write the antivirus of removable media", REMOVABLE, scanner([]))
    watch = render("clamav/watch-removable.sh.j2", quarantine=QUARANTINE, config=REMOVABLE)
    text_file("Write the watch over removable media", WATCH, watch, mode="755")
    text_file("Write freshclam.conf", FRESHCLAM, freshclam)
    text_file("Write the antivirus' message", TELL, alarm(commune), mode="755")
    for path, text in {**{p: t for part in parts.values() for p, t in part.items()}, **_removable()}.items():
        text_file(f"Write {path.removeprefix(UNITS + '/')}", path, text)

    sources = ", ".join([wanted.mirror or "database.clamav.net"] * wanted.official + list(wanted.databases))
    _first_download(name="Fetch the first virus signatures", databases=wanted_databases(wanted), sources=sources)
    run(name="Run the signatures' updates", unit="clamav-freshclam.service", files={FRESHCLAM: freshclam})
    daemon = parts["clamav-daemon.socket"] | parts["clamav-daemon.service"] | {CLAMD: clamd}
    # The socket's own settings are read only when it starts, which it does not while its service runs.
    both = "restart clamav-daemon.socket"
    run(name="Run the antivirus", unit="clamav-daemon.service", files=daemon, how=both)
    on_access = parts["clamav-clamonacc.service"] | {CLAMD: clamd}
    run(name="Run the antivirus on every access", unit="clamav-clamonacc.service", files=on_access)
    # Units that others start have no service of their own to run: they are read anew together with the timer.
    run(name="Run the weekly scan", unit="telekit-scan.timer", files=parts["telekit-scan.timer"] | _removable())
    run(name="Run the quarantine's alarm", unit="telekit-quarantine.path", files=parts["telekit-quarantine.path"])
