"""The disk of a lab machine: an image below, its own changes in memory above, and the identity written before its first boot."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from toolkit.lab.names import resolver
from toolkit.lab.town import Card, Guest, Town

SUDO = "{user} ALL=(ALL:ALL) NOPASSWD: ALL\n"


@dataclass(frozen=True)
class Disk:
    """The folders of one machine's overlay."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def make(self, image: Path) -> None:
        """Mount a fresh disk over the image."""
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        layers = f"lowerdir={image},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", str(self.root)], check=True)

    def discard(self) -> None:
        """Unmount the disk and forget its changes."""
        subprocess.run(["umount", "--lazy", str(self.root)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


def identify(root: Path, guest: Guest, town: Town) -> str | None:
    """Give the machine its name, network, SSH host keys and way in; returns root's password if it is a bare machine."""
    _write(root, "etc/hostname", guest.name + "\n")
    # Without one, systemd takes the boot for the very first and enables what no installation of Debian has enabled.
    _write(root, "etc/machine-id", secrets.token_hex(16) + "\n", mode=0o444)
    _write(root, "etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{guest.name}\n::1\tlocalhost ip6-localhost\n")
    _write(root, "etc/network/interfaces", interfaces(guest.cards))
    if guest.resolver:
        _write(root, "etc/resolv.conf", resolver(guest.resolver))
    for kind in ("ed25519", "ecdsa"):
        key = root / f"etc/ssh/ssh_host_{kind}_key"
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{guest.name}", "-f", str(key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    if guest.bare:
        return _root_password(root)
    _admin_account(root, town)
    return None


def _admin_account(root: Path, town: Town) -> None:
    """What `telekit trust` leaves: the administrator's account, the operators' keys, sudo without a password."""
    user = town.admin_user
    _chroot(root, "useradd", "--create-home", "--shell", "/bin/bash", user)
    ssh = root / "home" / user / ".ssh"
    ssh.mkdir(mode=0o700)
    _write(root, f"home/{user}/.ssh/authorized_keys", town.operator_key, mode=0o600)
    _chroot(root, "chown", "-R", f"{user}:{user}", f"/home/{user}/.ssh")
    _write(root, f"etc/sudoers.d/{user}", SUDO.format(user=user), mode=0o440)


def _root_password(root: Path) -> str:
    """What an installer leaves when it was told a root password and that root may use it over SSH."""
    password = secrets.token_urlsafe(12)
    subprocess.run(["chroot", str(root), "chpasswd"], input=f"root:{password}\n", text=True, check=True)
    _write(root, "etc/ssh/sshd_config.d/lab.conf", "PermitRootLogin yes\nPasswordAuthentication yes\n")
    return password


def interfaces(cards: tuple[Card, ...]) -> str:
    """Write /etc/network/interfaces as Debian's installer writes it, IPv6 beside IPv4 where the machine has it."""
    parts = ["auto lo\niface lo inet loopback\n"]
    for card in cards:
        if not card.addresses:
            parts.append(f"auto {card.name}\niface {card.name} inet dhcp\n")
            continue
        lines = [f"auto {card.name}", f"iface {card.name} inet static", f"    address {card.addresses[0]}"]
        if card.router:
            lines.append(f"    gateway {card.router}")
        for address in card.addresses[1:]:
            # Who else might have the address is not asked: it would hold up each boot for a second.
            lines += [f"iface {card.name} inet6 static", f"    address {address}", "    dad-attempts 0"]
            lines += [f"    gateway {card.router6}"] if card.router6 else []
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _write(root: Path, path: str, text: str, *, mode: int = 0o644) -> None:
    file = root / path
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def _chroot(root: Path, *command: str) -> None:
    subprocess.run(["chroot", str(root), *command], check=True)
