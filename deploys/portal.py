"""The agent's way to the portal of a hotel's or a station's Wi-Fi: one browser, a few minutes, in the journal."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from hashlib import sha256

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys.remote_desktop import LAUNCHERS, launcher
from deploys.resolver import NETWORK
from deploys.service import UnitState
from deploys.template import render
from deploys.text import no_file, text_file
from deploys.tunnel import GROUP, UNITS
from toolkit.model import Agent, Commune, Mode

UNIT = f"{UNITS}/telekit-portal.service"
COMMAND = "/usr/local/bin/telekit-portail"
BROWSER = "/usr/local/lib/telekit/portal-browser"
NAMES = "/usr/local/lib/telekit/portal-nsswitch.conf"
RULE = "/etc/polkit-1/rules.d/50-telekit.rules"
LAUNCHER = f"{LAUNCHERS}/telekit-portail.desktop"


@operation()
def _reread_unit(text: str) -> Generator[str, None, None]:
    found = host.get_fact(UnitState, unit="telekit-portal.service", files=[UNIT])
    if found.stale_unit or found.digests != {UNIT: sha256(text.encode()).hexdigest()}:
        yield "systemctl daemon-reload"


def unit(agent: Agent, commune: Commune) -> str:
    """The unit that opens the way, runs the browser, and closes."""
    return render(
        "portal/telekit-portal.service.j2",
        agent=agent,
        minutes=commune.policy.portal_minutes,
        group=GROUP,
        script=BROWSER,
        names=NAMES,
        servers=NETWORK,
    )


def command(commune: Commune) -> str:
    """The command that the agent's icon starts."""
    whom = f" ({commune.contact})" if commune.contact else ""
    failed = shlex.quote(f"L'accès au Wi-Fi public n'a pas pu s'ouvrir. Prévenez l'informatique{whom}.")
    return render("portal/telekit-portail.j2", minutes=commune.policy.portal_minutes, failed=failed)


def portal(agent: Agent | None, commune: Commune) -> None:
    """Have the agent able to reach a portal, where the firewall would not let them."""
    if agent is None or commune.network.mode is not Mode.FULL:
        no_file([LAUNCHER, COMMAND, RULE, UNIT, BROWSER, NAMES])
        return
    text_file("Write the portal's names", NAMES, render("portal/nsswitch.conf.j2"))
    text_file("Write the portal's browser", BROWSER, render("portal/browser.sh.j2"), mode="755")
    opening = unit(agent, commune)
    text_file("Write the way to a portal", UNIT, opening)
    _reread_unit(name="Have the way to a portal known", text=opening)
    text_file("Write who may open the way to a portal", RULE, render("polkit/laptop.rules.j2", agent=agent))
    text_file("Write the portal's command", COMMAND, command(commune), mode="755")
    icon = launcher(
        "Wi-Fi public (hôtel, train, gare)", "S'identifier sur la page d'un Wi-Fi public", COMMAND, "network-wireless"
    )
    text_file("Write the portal's icon", LAUNCHER, icon)
