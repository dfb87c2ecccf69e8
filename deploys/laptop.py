"""A Debian laptop becomes one that an agent takes home: nothing leaves it but through the tunnel, nothing runs unscanned."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from deploys import wireguard
from deploys.accounts import agent_accounts
from deploys.antivirus import PACKAGES as ANTIVIRUS
from deploys.antivirus import antivirus, no_update_at_installation
from deploys.baseline import baseline
from deploys.firewall import firewall
from deploys.keyboard import keyboard
from deploys.packages import install
from deploys.portal import portal
from deploys.remote_desktop import client_packages, remote_desktop
from deploys.resolver import resolver
from deploys.rotation import next_key
from deploys.screen_lock import screen_lock
from deploys.sshd import SshPorts
from deploys.stage import stage
from deploys.tunnel import program_accounts, rules, tunnel
from toolkit.model import Commune, Laptop

PACKAGES = ("nftables", "wireguard-tools", "libpam-systemd", "polkitd", "procps")


@deploy("enrol laptop")
def enrol() -> None:
    """Make the laptop's own key; its public half is left in the enrolment file. host.data.given_up: keys that it had before."""
    install(name="Install WireGuard's tools", packages=["wireguard-tools"])
    wireguard.key_pair(name="Make the tunnel's key", given_up=host.data.get("given_up") or ())
    me: Laptop = host.data.machine
    next_key(name="Make the key that takes the place of the tunnel's", change=host.data.get("rotation"), known=me.public_key)


@deploy("laptop")
def laptop() -> None:
    """Make it the laptop of its agent: tunnel, antivirus, firewall, locked screen, and one icon to the office."""
    me: Laptop = host.data.machine
    commune: Commune = host.data.commune
    agent = commune.agent_of.get(me.name)

    # What comes from the network comes before the tunnel is the only way to it.
    no_update_at_installation()
    engine = [] if host.get_fact(wireguard.KernelHasWireGuard) else ["wireguard-go"]
    baseline(packages_of_role=[*PACKAGES, *engine, *client_packages(), *ANTIVIRUS])
    remote_desktop(agent, commune, second_factor=bool(host.data.get("second_factor")))
    antivirus(commune)
    agent_accounts([agent] if agent else [])
    keyboard(commune.policy.keyboard)
    screen_lock(commune.policy)

    install(name="Install the resolver", packages=["systemd-resolved"])
    stage("packages are installed")
    program_accounts(name="Have the accounts that the firewall names")
    portal(agent, commune)
    resolver(commune)
    tunnel(me, commune, host.data.get("preshared"), host.data.get("rotation"))
    ssh_ports = host.get_fact(SshPorts)
    firewall(rules(me, commune, ssh_ports))
