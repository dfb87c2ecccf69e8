"""What light targets become: as much of a laptop as needs no init system, by telekit's own operations and templates."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host
from pyinfra.operations import files

from deploys import antivirus, resolver, tunnel
from deploys.accounts import agent_accounts
from deploys.administrator import administrator
from deploys.packages import install
from deploys.secret import secret_file
from deploys.template import MANAGED
from deploys.text import text_file
from toolkit.model import Commune, Laptop, Secret

# They are in every root: that they are there is looked up each time, as for a real laptop.
PACKAGES = {
    "what every machine needs": ("dbus", "python3", "sudo", "tzdata"),
    "the tunnel": ("iproute2", "procps", "kmod"),
    "the network": ("ifupdown", "iputils-ping", "netbase", "ca-certificates"),
}
FOLDERS = (antivirus.QUARANTINE, "/etc/wireguard", "/usr/local/lib/telekit")


def texts(me: Laptop, commune: Commune) -> dict[str, str]:
    """Path → content."""
    units = {path: text for part in antivirus.units(commune.antivirus).values() for path, text in part.items()}
    return {
        tunnel.WG0: tunnel.configuration(me, commune),
        tunnel.FIND: tunnel.finder(commune),
        "/etc/nftables.conf": tunnel.rules(me, commune, (22,)),
        antivirus.CLAMD: antivirus.scanner(["/home"]),
        antivirus.REMOVABLE: antivirus.scanner([]),
        antivirus.FRESHCLAM: antivirus.updater(commune.antivirus),
        **units,
        resolver.CONFIGURATION: resolver.configuration(commune),
        # The one that the benchmark's change is in.
        "/usr/local/lib/telekit/whom-to-call": f"{commune.contact}\n",
        **{f"/usr/local/lib/telekit/part-{number}": f"# {MANAGED}\n" + 30 * f"{me.name} = {number}\n" for number in range(12)},
    }


@deploy("light")
def light() -> None:
    """Some forty operations: packages, accounts, folders, files, a secret."""
    me: Laptop = host.data.machine
    commune: Commune = host.data.commune
    for what, packages in PACKAGES.items():
        install(name=f"Install {what}", packages=packages)
    administrator(commune)
    agent_accounts([commune.agent_of[me.name]])
    for folder in FOLDERS:
        files.directory(name=f"Have {folder}", path=folder, user="root", group="root", mode="700" if "var" in folder else "755")
    for path, text in texts(me, commune).items():
        text_file(f"Write {path}", path, text)
    secret_file(name="Write a secret", dest="/etc/telekit/secret", content=Secret(f"only {me.name} knows"))
    files.link(name="Link the current settings", path="/etc/telekit/current", target=antivirus.CLAMD)
    for name in ("old-tunnel.conf", "old-policy.conf"):
        files.file(name=f"Remove {name}", path=f"/etc/telekit/{name}", present=False)
