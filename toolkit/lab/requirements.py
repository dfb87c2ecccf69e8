"""What the lab needs from the computer it runs on, and the Debian package that brings it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import TelekitError, UsageError

# Command → the Debian package that provides it.
TOOLS = {
    "apt-cacher-ng": "apt-cacher-ng",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
# What virtual machines need beside that. iptables: libvirt's networks ask for it.
VIRTUAL_TOOLS = {
    "iptables": "iptables",
    "libvirtd": "libvirt-daemon-system",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "vagrant": "vagrant",
    "virsh": "libvirt-clients",
}
# Vagrant's plug-in for libvirt is no command.
VAGRANT_LIBVIRT = "vagrant-libvirt"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (*sorted(set(TOOLS.values()) - {"util-linux", "mount"}), "debian-archive-keyring")
VIRTUAL_PACKAGES = (*PACKAGES, *sorted(set(VIRTUAL_TOOLS.values())), VAGRANT_LIBVIRT)

# Package → the units that it would start when it is installed.
SERVICES = {
    "apt-cacher-ng": ("apt-cacher-ng.service",),
    "libvirt-daemon-system": (
        "libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket", "libvirt-guests.service",
        "virtlogd.service", "virtlogd.socket", "virtlockd.service", "virtlockd.socket",
    ),
}  # fmt: skip

# apt-cacher-ng and dnsmasq live in sbin, which is not on every user's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def missing_packages(provider: str = "nspawn") -> list[str]:
    """The Debian packages to install before a lab of this kind can run, sorted."""
    tools = TOOLS | (VIRTUAL_TOOLS if provider == "vagrant" else {})
    missing = {package for command, package in tools.items() if not shutil.which(command, path=SEARCH)}
    if provider == "vagrant" and not _installed(VAGRANT_LIBVIRT):
        missing.add(VAGRANT_LIBVIRT)
    if not Path(KEYRING).exists():
        missing.add("debian-archive-keyring")
    return sorted(missing)


def _installed(package: str) -> bool:
    """Whether dpkg has the package."""
    ask = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package]
    known = subprocess.run(ask, check=False, capture_output=True, text=True)
    return known.stdout.startswith("ii")


def require(provider: str = "nspawn") -> None:
    """Refuse, in one sentence that says what to do, a computer on which a lab of this kind cannot run."""
    if os.geteuid() != 0:
        raise UsageError("the lab makes network namespaces and boots machines: it needs root", hint="run it with sudo")
    if missing := missing_packages(provider):
        what = "a Debian package that is" if len(missing) == 1 else f"{len(missing)} Debian packages that are"
        raise UsageError(f"the lab needs {what} not installed: {', '.join(missing)}", hint=f"apt-get install {' '.join(missing)}")
    _load_modules()
    if not Path("/dev/net/tun").exists():
        raise UsageError("this kernel offers no /dev/net/tun, which the lab's WireGuard needs", hint="modprobe tun")
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii").split():
        raise UsageError("this kernel offers no overlay file system, on which the lab's machines live")


def install(provider: str = "nspawn") -> None:
    """Install what is missing with apt, without its recommendations and without starting its services."""
    missing = missing_packages(provider)
    if not missing:
        return
    if os.geteuid() != 0:
        raise UsageError("installing packages needs root", hint=f"sudo apt-get install {' '.join(missing)}")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
        with _held_back([unit for package in missing for unit in SERVICES.get(package, ())]):
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, env=quiet)
    except subprocess.CalledProcessError as error:
        raise TelekitError(f"apt-get ended with {error.returncode}", hint="what it said stands above") from error


@contextmanager
def _held_back(units: list[str]) -> Iterator[None]:
    """Let the block install these services without starting them: the lab wants programs, not servers open to the network."""
    if not units or not Path("/run/systemd/system").is_dir():
        yield
        return
    subprocess.run(["systemctl", "mask", "--runtime", "--quiet", *units], check=False, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "unmask", "--runtime", "--quiet", *units], check=False)
        subprocess.run(["systemctl", "disable", "--quiet", *units], check=False, stderr=subprocess.DEVNULL)


def _load_modules() -> None:
    """Ask for the modules that machines in namespaces cannot load themselves; built-in and absent ones are both fine."""
    modprobe = shutil.which("modprobe", path=SEARCH)
    if modprobe is None:  # a computer whose kernel comes from outside: a container, some virtual machines
        return
    for module in ("tun", "overlay", "wireguard", "nf_tables", "nft_masq", "nft_ct", "bridge", "veth"):
        subprocess.run([modprobe, "--quiet", module], check=False, stderr=subprocess.DEVNULL)
