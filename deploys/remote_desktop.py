"""The laptop's side of the remote desktop: one icon, one password, the agent's own desktop."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from hashlib import sha256
from pathlib import PurePosixPath

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys.keyboard import LAYOUT_CODES
from deploys.offered import Offered
from deploys.template import render
from deploys.text import no_file, text_file
from toolkit.model import Agent, Clipboard, Commune

LAUNCHERS = "/usr/local/share/applications"
LAUNCHER = f"{LAUNCHERS}/telekit-bureau.desktop"
COMMAND = "/usr/local/bin/telekit-bureau"
ICONS = "/usr/local/lib/telekit/icons"
AUTOSTART = "/etc/xdg/autostart/telekit-icons.desktop"
AUTHORITY = "/usr/local/share/ca-certificates/telekit.crt"
NEXT_AUTHORITY = "/usr/local/share/ca-certificates/telekit-next.crt"
CLIENTS = ("freerdp3-x11", "freerdp2-x11")
WINDOW = ("python3-gi", "gir1.2-gtk-3.0")


class TrustedAuthorities(FactBase[dict[str, str]]):
    """The digests of our authorities' certificates as programs find them, by name; those that they do not find are not there."""

    default = dict

    def command(self) -> str:
        names = " ".join(PurePosixPath(file).stem for file in (AUTHORITY, NEXT_AUTHORITY))
        return f'for n in {names}; do [ ! -e /etc/ssl/certs/$n.pem ] || echo "$n $(sha256sum < /etc/ssl/certs/$n.pem)"; done'

    def process(self, output: list[str]) -> dict[str, str]:
        return {name: digest for name, digest, *_ in map(str.split, output)}


@operation()
def _trust(pems: Mapping[str, str]) -> Generator[str, None, None]:
    trusted = host.get_fact(TrustedAuthorities)
    wanted = {PurePosixPath(file).stem: sha256(pem.encode()).hexdigest() for file, pem in pems.items()}
    if set(trusted) - set(wanted):
        yield "update-ca-certificates --fresh > /dev/null"
    elif trusted != wanted:
        yield "update-ca-certificates > /dev/null"


def authority(pem: str | None, coming: str | None = None) -> None:
    """Have programs trust the commune's authority, the one that takes its place, and no other of ours."""
    pems = {file: text for file, text in ((AUTHORITY, pem), (NEXT_AUTHORITY, coming)) if text is not None}
    for file, name in ((AUTHORITY, "Write the commune's authority"), (NEXT_AUTHORITY, "Write the commune's next authority")):
        if file in pems:
            text_file(name, file, pems[file])
    no_file([file for file in (AUTHORITY, NEXT_AUTHORITY) if file not in pems])
    _trust(name="Trust the commune's authority", pems=pems)


def launcher(title: str, comment: str, command: str, icon: str, *, remote: bool = False) -> str:
    """An icon for the menu and the agent's desktop."""
    return render("remote-desktop/launcher.desktop.j2", title=title, comment=comment, command=command, icon=icon, remote=remote)


def client(agent: Agent, commune: Commune, *, second_factor: bool = False) -> str:
    """The program behind the agent's icon. second_factor: it asks for a code beside the password."""
    assert agent.desktop is not None
    policy = commune.policy
    return render(
        "remote-desktop/telekit-bureau.py.j2",
        host=commune.domain_name(agent.desktop),
        user=agent.identifier,
        title="Mon bureau à la mairie",
        contact=f"Informatique : {commune.contact}" if commune.contact else "",
        layout_code=LAYOUT_CODES.get(policy.keyboard, ""),
        clipboard=policy.clipboard is not Clipboard.NONE,
        drives=policy.drives,
        second_factor=second_factor,
    )


def client_packages() -> list[str]:
    """FreeRDP of this Debian, and what its password window is made of."""
    return [*host.get_fact(Offered, packages=CLIENTS)[:1], *WINDOW]


def remote_desktop(agent: Agent | None, commune: Commune, *, second_factor: bool = False) -> None:
    """Have the agent's desktop one click away."""
    authority(commune.authority, commune.next_authority)
    icons = render("remote-desktop/icons.sh.j2", launchers=LAUNCHERS)
    text_file("Write the icons' script", ICONS, icons, mode="755")
    text_file("Have icons put on the desktop at login", AUTOSTART, render("remote-desktop/icons.desktop.j2", script=ICONS))
    if agent is None or agent.desktop is None:
        no_file([LAUNCHER, COMMAND])
        return
    text_file("Write the remote desktop's command", COMMAND, client(agent, commune, second_factor=second_factor), mode="755")
    comment = "Ouvrir son poste de travail, avec ses applications, par la connexion protégée de la mairie"
    icon = launcher("Mon bureau à la mairie", comment, COMMAND, "preferences-desktop-remote-desktop", remote=True)
    text_file("Write the remote desktop's icon", LAUNCHER, icon)
