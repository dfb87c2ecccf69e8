"""A Debian machine on the LAN becomes its agents' remote desktop: xrdp with XFCE, open to their laptops and to nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from deploys.accounts import GROUP, agent_accounts
from deploys.baseline import baseline
from deploys.certificate import CERTIFICATE, KEY, server_certificate, signing_request
from deploys.firewall import firewall
from deploys.keyboard import LAYOUT_CODES, keyboard
from deploys.packages import install
from deploys.reread import reread
from deploys.second_factor import second_factor, second_factor_packages
from deploys.service import run
from deploys.sound import sound_packages
from deploys.sshd import SshPorts
from deploys.stage import stage
from deploys.template import render
from deploys.text import text_file
from toolkit.model import Clipboard, Commune, Desktop, Policy

# XFCE piece by piece: the metapackages bring a display manager, a screen saver and an office suite.
SESSION = (
    "xfce4-session", "xfwm4", "xfce4-panel", "xfdesktop4", "xfce4-settings", "thunar", "xfce4-terminal", "xfce4-notifyd",
    "mousepad", "dbus-user-session", "libpam-systemd", "at-spi2-core", "xdg-user-dirs", "polkitd", "fonts-dejavu-core",
    "fonts-liberation", "adwaita-icon-theme", "tango-icon-theme", "gnome-themes-extra", "librsvg2-common",
)  # fmt: skip
STARTER = "/etc/xrdp/telekit-session"
XFCONF = "/etc/xdg/xfce4/xfconf/xfce-perchannel-xml"
PASSWORD = "/usr/local/share/applications/telekit-password.desktop"  # noqa: S105 - the way to change one
SESMAN = "/etc/xrdp/sesman.ini"


@dataclass(frozen=True, slots=True)
class Source:
    """An address from which the remote desktop may be opened, and whose it is."""

    address: str
    why: str


def sources(me: Desktop, commune: Commune) -> tuple[Source, ...]:
    """Where this desktop's agents come from: their laptops' tunnel addresses, or the gateway that hides them."""
    laptops = commune.laptops_of(me)
    if commune.gateway.nat:
        hidden_by = commune.gateway
        return (Source(str(hidden_by.address or hidden_by.ssh.host), hidden_by.name),) if laptops else ()
    return tuple(Source(str(laptop.tunnel_address), laptop.name) for laptop in laptops)


def rules(me: Desktop, commune: Commune, ssh_ports: Sequence[int]) -> str:
    """The desktop's firewall."""
    admin = commune.network.admin
    return render(
        "nftables/desktop.nft.j2",
        sources=sources(me, commune),
        admin4=[n for n in admin if isinstance(n, IPv4Network)],
        admin6=[n for n in admin if not isinstance(n, IPv4Network)],
        ssh_ports=ssh_ports,
    )


def listener(policy: Policy, title: str) -> str:
    """xrdp.ini."""
    return render(
        "xrdp/xrdp.ini.j2",
        certificate=CERTIFICATE,
        key=KEY,
        layout_code=LAYOUT_CODES.get(policy.keyboard),
        title=title,
        drives=policy.drives,
        clipboard=policy.clipboard is not Clipboard.NONE,
    )


def session_policy(policy: Policy) -> str:
    """sesman.ini."""
    return render(
        "xrdp/sesman.ini.j2",
        session=STARTER,
        group=GROUP,
        sessions=200,
        inbound=policy.clipboard is not Clipboard.NONE,
        outbound=policy.clipboard is Clipboard.BOTH,
        disconnected_seconds=policy.disconnected_minutes * 60,
        idle_seconds=policy.idle_minutes * 60,
        drives=policy.drives,
    )


@deploy("enrol desktop")
def enrol() -> None:
    """Make the desktop's TLS key; a signing request for it is left for the commune's authority."""
    me: Desktop = host.data.machine
    install(name="Install OpenSSL", packages=["openssl"])
    signing_request(name="Make the TLS key and its signing request", common_name=me.name)


@deploy("desktop")
def desktop() -> None:
    """Make it a remote desktop in French for its agents, over TLS, open to their laptops alone."""
    me: Desktop = host.data.machine
    commune: Commune = host.data.commune

    baseline(packages_of_role=["nftables", "xrdp", "xorgxrdp", *SESSION, *sound_packages(), *second_factor_packages(me, commune)])
    stage("packages are installed")

    # Closed before xrdp has accounts to let in.
    ssh_ports = host.get_fact(SshPorts)
    firewall(rules(me, commune, ssh_ports))
    _session(commune.policy)
    second_factor(me, commune)
    agent_accounts(commune.agents_of(me))

    # xrdp reads its configuration and certificate anew for each connection: a restart would only throw people out.
    server_certificate(me)
    text_file("Write the remote desktop's settings", "/etc/xrdp/xrdp.ini", listener(commune.policy, me.name))
    sessions = session_policy(commune.policy)
    text_file("Write the sessions' policy", SESMAN, sessions)
    run(name="Run the remote desktop", unit="xrdp.service")
    # A restart of the session manager would end sessions on Debian 12.
    hang_up = "systemctl kill --signal=HUP --kill-who=main xrdp-sesman.service"
    reread(name="Apply the sessions' policy", unit="xrdp-sesman.service", file=SESMAN, text=sessions, command=hang_up)


def _session(policy: Policy) -> None:
    """What an agent's session looks like."""
    keyboard(policy.keyboard)
    text_file("Write the session's start", STARTER, render("xrdp/session.j2"), mode="755")
    for channel in ("xfwm4", "displays"):
        text_file(f"Write XFCE's {channel}.xml", f"{XFCONF}/{channel}.xml", render(f"xfce/{channel}.xml.j2"))
    text_file("Write the icon that changes a password", PASSWORD, render("xfce/password.desktop.j2"))
    text_file(
        "Write what agents may do at a distance",
        "/etc/polkit-1/rules.d/50-telekit.rules",
        render("polkit/desktop.rules.j2", group=GROUP),
    )
