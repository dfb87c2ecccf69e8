"""What a virtual machine is told when it has booted for the first time: its name, network, SSH host keys and way in."""

from __future__ import annotations

import secrets

from toolkit.lab.disk import SUDO, interfaces
from toolkit.lab.names import resolver
from toolkit.lab.town import Guest, Town

# Vagrant's own card, by which it waits for SSH; it is taken out when the machine has been introduced.
VAGRANT_CARD = "vagrant0"
CARDS = "/etc/udev/rules.d/70-lab-cards.rules"


def card_rule(mac: str, name: str) -> str:
    """The line that gives a network card its name at every boot; in `mac`, a * stands for anything."""
    return f'SUBSYSTEM=="net", ACTION=="add", ATTR{{address}}=="{mac}", NAME="{name}"\n'


def introduction(guest: Guest, town: Town) -> tuple[str, str | None]:
    """The script that the machine runs as root, which prints its host keys; and root's password if it is a bare machine."""
    password = secrets.token_urlsafe(12) if guest.bare else None
    rules = "".join(card_rule(card.mac, card.name) for card in guest.cards)
    lines = [
        "set -eu",
        f"systemctl stop ifup@{VAGRANT_CARD}.service",
        f"ifdown --force {VAGRANT_CARD} 2>/dev/null || true",
        f"ip link set {VAGRANT_CARD} down",
        _file("/etc/hostname", guest.name + "\n"),
        f"hostname {guest.name}",
        _file("/etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{guest.name}\n::1\tlocalhost ip6-localhost\n"),
        _file(CARDS, rules),
        *(_named(card.mac, card.name) for card in guest.cards),
        _file("/etc/network/interfaces", interfaces(guest.cards)),
        "rm -f /etc/resolv.conf",
        *([_file("/etc/resolv.conf", resolver(guest.resolver))] if guest.resolver else []),
        "rm -f /etc/ssh/ssh_host_*",
        *(f"ssh-keygen -q -t {kind} -N '' -C root@{guest.name} -f /etc/ssh/ssh_host_{kind}_key" for kind in ("ed25519", "ecdsa")),
        "userdel --force --remove vagrant 2>/dev/null || true",
        "rm -f /etc/sudoers.d/vagrant",
        *(_with_root_password(password) if password else _admin_account(town)),
        "systemctl restart ssh",
        "ifup -a",
        "systemctl reset-failed",
        "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub",
    ]
    return "\n".join(lines) + "\n", password


def _file(path: str, text: str) -> str:
    return f"cat > {path} <<'END'\n{text}END"


def _named(mac: str, name: str) -> str:
    """Now what the rule does at the next boot."""
    return (
        f'for card in /sys/class/net/*; do [ "$(cat $card/address)" = {mac} ] || continue; '
        f"ip link set ${{card##*/}} down; [ ${{card##*/}} = {name} ] || ip link set ${{card##*/}} name {name}; done"
    )


def _admin_account(town: Town) -> list[str]:
    """What `telekit trust` leaves: the administrator's account, the operators' keys, sudo without a password."""
    user = town.admin_user
    return [
        f"useradd --create-home --shell /bin/bash {user}",
        f"install -d -m 700 -o {user} -g {user} /home/{user}/.ssh",
        _file(f"/home/{user}/.ssh/authorized_keys", town.operator_key),
        f"chown {user}: /home/{user}/.ssh/authorized_keys",
        f"chmod 600 /home/{user}/.ssh/authorized_keys",
        _file(f"/etc/sudoers.d/{user}", SUDO.format(user=user)),
        f"chmod 440 /etc/sudoers.d/{user}",
    ]


def _with_root_password(password: str) -> list[str]:
    """What an installer leaves when it was told a root password and that root may use it over SSH."""
    return [
        f"chpasswd <<'END'\nroot:{password}\nEND",
        _file("/etc/ssh/sshd_config.d/lab.conf", "PermitRootLogin yes\nPasswordAuthentication yes\n"),
    ]
