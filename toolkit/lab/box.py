"""Vagrant boxes from Debian packages: a stock minimal Debian with a kernel, as a disk for libvirt, made once and kept.

The disk has no boot loader: kernel and first file system lie beside it in the box, whose own Vagrantfile names them. Nothing
that a recipe installs is in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import TelekitError
from toolkit.lab import aptcache, base, door
from toolkit.lab.introduction import VAGRANT_CARD, card_rule
from toolkit.lab.places import STATE

BOXES = STATE / "boxes"
# Vagrant's own folder, where a box is unpacked; the user's is not touched.
VAGRANT_HOME = STATE / "vagrant"
# Raise it when what is done to a box after its packages changes.
EDITION = 1
# AppArmor is on every Debian that its installer made, and its rules bind what recipes install.
KERNEL = ("linux-image-cloud-amd64", "initramfs-tools", "apparmor")
DISK = "8G"
# Vagrant's cards have such addresses, whatever machine they are in.
VAGRANT_MACS = "02:74:6b"
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 mitigations=off quiet"
PARTS = ("vmlinuz", "initrd.img", "key")

# Two that begin with an empty folder of Vagrant's would both fill it.
ADDING = threading.Lock()

INTERFACES = f"""\
auto lo
iface lo inet loopback

allow-hotplug {VAGRANT_CARD}
iface {VAGRANT_CARD} inet dhcp
"""
VAGRANTFILE = f"""\
Vagrant.configure("2") do |config|
  config.ssh.private_key_path = File.expand_path("key", __dir__)
  config.ssh.insert_key = false
  config.vm.provider :libvirt do |libvirt|
    libvirt.kernel = File.expand_path("vmlinuz", __dir__)
    libvirt.initrd = File.expand_path("initrd.img", __dir__)
    libvirt.cmd_line = "{COMMAND_LINE}"
  end
end
"""


@dataclass(frozen=True)
class Box:
    """A box that Vagrant knows by `name`; its kernel and key lie in `folder` too."""

    name: str
    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def key(self) -> Path:
        return self.folder / "key"


def box_of(release: str, role: str) -> Box:
    """The box for this release and role, made or not: another list of packages is another box."""
    packages = " ".join((*base.packages_of(release, role), *KERNEL))
    told = f"{EDITION} {base.EDITION} {release} {packages} {base.SOURCES} {base.apt_options()} {VAGRANTFILE} {door.PROGRAM}"
    name = f"{release}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    return Box(f"telekit/{name}", BOXES / name)


def environment(**more: str) -> dict[str, str]:
    """What every vagrant of the lab's is told by its environment."""
    return {
        **os.environ, "VAGRANT_HOME": str(VAGRANT_HOME), "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1", "VAGRANT_DEFAULT_PROVIDER": "libvirt", **more,
    }  # fmt: skip


def ensure(release: str, roles: set[str], say: Callable[[str], None]) -> dict[str, Box]:
    """Role → box, made now if it is not there; two labs that ask at once make it once."""
    boxes = {role: box_of(release, role) for role in sorted(roles)}
    BOXES.mkdir(parents=True, exist_ok=True)
    with (BOXES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in BOXES.glob("*.new"):
            shutil.rmtree(left)
        missing = {box: role for role, box in boxes.items() if not box.folder.is_dir()}
        if missing:
            what = "a box" if len(missing) == 1 else f"{len(missing)} boxes"
            say(f"Making {what} of Debian {release} from its packages (once; kept in {BOXES})")
            with aptcache.in_use() as port, ThreadPoolExecutor(len(missing)) as pool:
                list(pool.map(lambda item: _build(item[0], release, item[1], port), missing.items()))
    return boxes


def _build(box: Box, release: str, role: str, port: int) -> None:
    new = box.folder.with_name(box.folder.name + ".new")
    new.mkdir()
    root = new / "root"
    base.bootstrap(release, (*base.packages_of(release, role), *KERNEL), root, port)
    _run("ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-m", "PEM", "-N", "", "-C", "lab", "-f", str(new / "key"))
    _furnish(root, (new / "key.pub").read_text(encoding="ascii"))
    for part, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd.img", "initrd.img-*")):
        shutil.copyfile(next((root / "boot").glob(pattern)), new / part)
    _make_disk(root, new / "box.img")
    (new / "metadata.json").write_text(
        json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": 8}), encoding="utf-8"
    )
    (new / "Vagrantfile").write_text(VAGRANTFILE, encoding="utf-8")
    _pack(new)
    VAGRANT_HOME.mkdir(parents=True, exist_ok=True)
    with ADDING:
        _run("vagrant", "box", "add", "--force", "--name", box.name, str(new / "package.box"), env=environment())
    for spent in ("box.img", "package.box"):
        (new / spent).unlink()
    new.rename(box.folder)


def _furnish(root: Path, public: str) -> None:
    """Make it a machine that boots by itself, answers Vagrant, and has the lab's door."""
    (root / "etc/hostname").write_text("debian\n", encoding="ascii")
    (root / "etc/machine-id").touch()  # empty: made at the first boot, which then is no first boot to systemd
    (root / "etc/fstab").write_text("/dev/vda / ext4 errors=remount-ro 0 0\n", encoding="ascii")
    (root / "etc/network/interfaces").write_text(INTERFACES, encoding="utf-8")
    rule = card_rule(f"{VAGRANT_MACS}:*", VAGRANT_CARD)
    (root / "etc/udev/rules.d/70-lab-vagrant.rules").write_text(rule, encoding="utf-8")
    _run("ssh-keygen", "-q", "-A", "-f", str(root))
    _run("chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", "vagrant")
    keys = root / "home/vagrant/.ssh"
    keys.mkdir(mode=0o700)
    (keys / "authorized_keys").write_text(public, encoding="ascii")
    _run("chroot", str(root), "chown", "-R", "vagrant:", "/home/vagrant/.ssh")
    sudo = root / "etc/sudoers.d/vagrant"
    sudo.write_text("vagrant ALL=(ALL:ALL) NOPASSWD: ALL\n", encoding="ascii")
    sudo.chmod(0o440)
    door.furnish(root, public)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "door", "-f", str(root / "etc/lab-door/host_key"))


def _make_disk(root: Path, disk: Path) -> None:
    """A disk without partitions, whose one file system holds what is under `root`, which goes."""
    raw = disk.with_suffix(".raw")
    options = ("-m", "1", "-E", "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0")
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "telekit", *options, "-d", str(root), str(raw), DISK)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(disk))
    raw.unlink()
    shutil.rmtree(root)


def _pack(folder: Path) -> None:
    _run("tar", "-C", str(folder), "-cf", str(folder / "package.box"), "metadata.json", "Vagrantfile", "box.img", *PARTS)


def _run(*command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/", env=env or _plain()
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise TelekitError(f"making a box failed: {command[0]} ended with {done.returncode}: {''.join(said)}")


def _plain() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def purge() -> None:
    """Remove every box."""
    for folder in (BOXES, VAGRANT_HOME, STATE / "virtual"):
        shutil.rmtree(folder, ignore_errors=True)
