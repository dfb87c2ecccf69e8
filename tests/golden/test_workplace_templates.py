"""What the desktop's and the laptop's templates write, word by word; `UPDATE_GOLDEN=1` writes the files anew, to be read."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploys import antivirus, desktop, portal, remote_desktop, resolver, second_factor, tunnel
from deploys.template import render
from toolkit.model import (
    Agent,
    Antivirus,
    Clipboard,
    Commune,
    Desktop,
    Endpoint,
    Gateway,
    Laptop,
    LocalNetwork,
    Mode,
    Policy,
    SshAddress,
)

FOLDER = Path(__file__).parent
MANAGED = "Written by telekit. Edit commune.toml instead."


def town() -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        contact="poste 100",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"),),
            tunnel=ip_network("10.177.0.0/24"),
            tunnel6=ip_network("fd77:77:77::/64"),
            zones=("essai.example", "77.10.in-addr.arpa"),
            admin=(ip_network("10.77.0.10/32"), ip_network("2001:db8:77::/64")),
            bench=(ip_network("10.77.15.0/24"),),
        ),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), public_key=f"{1:043}="),),
        desktops=(Desktop("bureau-1", ip_address("10.77.2.1"), SshAddress("10.77.2.1")),),
        laptops=(
            Laptop(
                "portable-002",
                tunnel_address=ip_address("10.177.0.2"),
                tunnel_address6=ip_address("fd77:77:77::2"),
                public_key=f"{2:043}=",
            ),
        ),
        agents=(Agent("a.un", "Un", "Anne", "rh", laptop="portable-002", desktop="bureau-1"),),
    )


def split() -> Commune:
    network = replace(town().network, mode=Mode.SPLIT, tunnel6=None, bench=(), admin=(ip_network("10.77.0.10/32"),))
    return replace(town(), network=network)


def guarded() -> Policy:
    """The policy of a town hall that lets nothing out of its desktops."""
    return Policy(clipboard=Clipboard.TO_DESKTOP, drives=False, idle_minutes=30, disconnected_minutes=60, keyboard="bépo")


def open_handed() -> Policy:
    return Policy(clipboard=Clipboard.BOTH, drives=True, disconnected_minutes=0)


def own_signatures() -> Antivirus:
    return Antivirus(official=False, databases=("http://mirror.essai.example/lab.hdb",), scan="Mon 09:00")


ME, OWN = town().desktops[0], town().laptops[0]
AGENT = town().agents[0]
SOCKET = "/etc/systemd/system/clamav-daemon.socket.d/telekit.conf"
DAEMON = "/etc/systemd/system/clamav-daemon.service.d/telekit.conf"

TEXTS: dict[str, Callable[[], str]] = {
    "desktop/nftables.conf": lambda: desktop.rules(ME, town(), (22,)),
    "desktop/xrdp.ini": lambda: desktop.listener(Policy(), "bureau-1"),
    "desktop/xrdp-guarded.ini": lambda: desktop.listener(guarded(), "bureau-1"),
    "desktop/sesman.ini": lambda: desktop.session_policy(Policy()),
    "desktop/sesman-guarded.ini": lambda: desktop.session_policy(guarded()),
    "desktop/sesman-open-handed.ini": lambda: desktop.session_policy(open_handed()),
    "desktop/pam": lambda: second_factor.service(second_factor=False),
    "desktop/pam-second-factor": lambda: second_factor.service(second_factor=True),
    "desktop/session": lambda: render("xrdp/session.j2"),
    "desktop/polkit.rules": lambda: render("polkit/desktop.rules.j2", group="telekit-agents"),
    "desktop/xfwm4.xml": lambda: render("xfce/xfwm4.xml.j2"),
    "desktop/displays.xml": lambda: render("xfce/displays.xml.j2"),
    "desktop/keyboard": lambda: render("keyboard/keyboard.j2", layout="fr"),
    "laptop/nftables-full.conf": lambda: tunnel.rules(OWN, town(), (22,)),
    "laptop/nftables-split.conf": lambda: tunnel.rules(OWN, split(), (22, 2222)),
    "laptop/wg0-full.conf": lambda: tunnel.configuration(OWN, town()),
    "laptop/wg0-split.conf": lambda: tunnel.configuration(OWN, split()),
    "laptop/find-gateway": lambda: tunnel.finder(town()),
    "laptop/network-servers": lambda: resolver.network_servers(town()),
    "laptop/resolved-full.conf": lambda: resolver.configuration(town()),
    "laptop/resolved-split.conf": lambda: resolver.configuration(split()),
    "laptop/dhclient": lambda: render("resolved/dhclient.sh.j2"),
    "laptop/clamd.conf": lambda: antivirus.scanner(antivirus.FOLDERS),
    "laptop/freshclam.conf": lambda: antivirus.updater(Antivirus()),
    "laptop/freshclam-mirror.conf": lambda: antivirus.updater(Antivirus(mirror="https://clamav.essai.example")),
    "laptop/freshclam-own.conf": lambda: antivirus.updater(own_signatures()),
    "laptop/clamav-daemon.conf": lambda: antivirus.units(Antivirus())["clamav-daemon.service"][DAEMON],
    "laptop/clamav-daemon-own.conf": lambda: antivirus.units(own_signatures())["clamav-daemon.service"][DAEMON],
    "laptop/clamav-socket-own.conf": lambda: antivirus.units(own_signatures())["clamav-daemon.socket"][SOCKET],
    "laptop/tell-quarantine": lambda: antivirus.alarm(town()),
    "laptop/telekit-portal.service": lambda: portal.unit(AGENT, town()),
    "laptop/telekit-portail": lambda: portal.command(town()),
    "laptop/polkit.rules": lambda: render("polkit/laptop.rules.j2", agent=AGENT),
    "laptop/telekit-bureau": lambda: remote_desktop.client(AGENT, town()),
    "laptop/telekit-bureau-second-factor": lambda: remote_desktop.client(AGENT, town(), second_factor=True),
    "laptop/telekit-bureau.desktop": lambda: remote_desktop.launcher("Bureau", "Commentaire", "/bin/x", "icône", remote=True),
    "laptop/icons": lambda: render("remote-desktop/icons.sh.j2", launchers=remote_desktop.LAUNCHERS),
    "laptop/xfce4-screensaver.xml": lambda: render("xfce/xfce4-screensaver.xml.j2", minutes=10),
    "laptop/dconf-lock": lambda: render("dconf/lock.j2", minutes=10),
}
SCRIPTS = ("desktop/session", "laptop/find-gateway", "laptop/network-servers", "laptop/dhclient", "laptop/tell-quarantine",
           "laptop/telekit-portail", "laptop/icons")  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_the_file_is_word_by_word_as_agreed(name: str) -> None:
    file, text = FOLDER / name, TEXTS[name]()
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_every_file_says_who_wrote_it() -> None:
    assert [name for name, text in TEXTS.items() if MANAGED not in text()] == []


def test_every_golden_file_belongs_to_a_test() -> None:
    kept = {f"{folder}/{file.name}" for folder in ("desktop", "laptop") for file in (FOLDER / folder).iterdir()}
    assert kept == set(TEXTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one_that_a_plain_shell_understands(name: str) -> None:
    checked = subprocess.run(["sh", "-n"], input=TEXTS[name](), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_program_behind_the_icon_is_python_even_for_names_with_quotes() -> None:
    agent = replace(AGENT, identifier="o'brien")
    contact = replace(town(), contact='le 12, dit "l\'accueil"\\')
    ast.parse(remote_desktop.client(agent, contact))


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".xml")])
def test_xfce_can_read_its_settings(name: str) -> None:
    assert ElementTree.fromstring(TEXTS[name]()).tag == "channel"
