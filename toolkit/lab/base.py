"""Root images: a stock minimal Debian for each release and kind of machine, made once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from toolkit.errors import TelekitError, UsageError
from toolkit.lab import aptcache
from toolkit.lab.places import STATE
from toolkit.model import Role

IMAGES = STATE / "images"
RELEASES = ("trixie", "bookworm")
# Raise it when what is done to an image after its packages changes.
EDITION = 2

STOCK = (
    "systemd-sysv", "systemd", "dbus", "udev", "openssh-server", "sudo", "python3-minimal", "ifupdown", "iproute2",
    "iputils-ping", "procps", "ca-certificates", "netbase", "tzdata", "less", "kmod",
)  # fmt: skip
DHCP_CLIENT = {"bookworm": "isc-dhcp-client", "trixie": "dhcpcd-base"}
# Test equipment, so that a check can look at a laptop's screen: not what a recipe installs.
SCREEN = ("xvfb", "xauth", "x11-utils", "x11-apps", "imagemagick")

SOURCES = """\
deb http://deb.debian.org/debian {release} main
deb http://deb.debian.org/debian {release}-updates main
deb http://deb.debian.org/debian-security {release}-security main
"""
# Descriptions of packages are for people who choose some; parsing them would cost each machine a second of processor.
APT_OPTIONS = 'Acquire::Languages "none";\n'
# The machines live in memory: waiting for a disk proves nothing.
DPKG_OPTIONS = "force-unsafe-io\n"
# So that a build which is killed leaves no process, no mount and no temporary file, whatever mmdebstrap had started.
ENCLOSED = (
    "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
    "sh", "-c", 'mount -t tmpfs telekit-lab /tmp && TMPDIR=/tmp exec "$@"', "sh",
)  # fmt: skip
TRACES = (
    "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/hostname", "etc/resolv.conf", "etc/machine-id",
)  # fmt: skip


def packages_of(release: str, role: str) -> tuple[str, ...]:
    """The packages of the image from which a machine of this role starts."""
    if release not in RELEASES:
        raise UsageError(f"the lab has no release `{release}`", hint=" or ".join(RELEASES))
    screen = SCREEN if role == Role.LAPTOP else ()
    return (*STOCK, DHCP_CLIENT[release], *screen)


def apt_options() -> str:
    """What the machines' apt is told: with the exceptions that this computer's own apt makes for its mirror's dates."""
    dump = subprocess.run(["apt-config", "dump"], check=False, capture_output=True, text=True).stdout
    dates = [line for line in dump.splitlines() if re.match(r'Acquire::Check-(Date|Valid-Until) "', line)]
    return APT_OPTIONS + "".join(f"{line}\n" for line in dates)


def image_of(release: str, role: str) -> Path:
    """Where the image for this release and role is, or will be: another list of packages is another image."""
    packages = " ".join(packages_of(release, role))
    digest = hashlib.sha256(f"{EDITION} {release} {packages} {SOURCES} {apt_options()}".encode()).hexdigest()[:12]
    return IMAGES / f"{release}-{digest}"


def ensure(release: str, roles: set[str], say: Callable[[str], None]) -> dict[str, Path]:
    """Role → image, made now if it is not there; two labs that ask at once make it once."""
    images = {role: image_of(release, role) for role in sorted(roles)}
    wanted = {path: role for role, path in images.items() if not path.is_dir()}
    if wanted:
        IMAGES.mkdir(parents=True, exist_ok=True)
        with (IMAGES / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep()
            wanted = {path: role for path, role in wanted.items() if not path.is_dir()}
            _build_all(release, wanted, say)
    return images


def _build_all(release: str, wanted: dict[Path, str], say: Callable[[str], None]) -> None:
    if not wanted:
        return
    say(f"Making {len(wanted)} root image{'s' if len(wanted) > 1 else ''} of Debian {release} (once; kept in {IMAGES})")
    with aptcache.in_use() as port, ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(lambda item: _build(release, item[1], item[0], port), wanted.items()))


def _sweep() -> None:
    """Remove what a build that was killed left: an image has its name only when it is complete."""
    for left in IMAGES.glob("*.new"):
        shutil.rmtree(left)


def _build(release: str, role: str, image: Path, port: int) -> None:
    new = image.with_name(image.name + ".new")
    bootstrap(release, packages_of(release, role), new, port)
    new.rename(image)


def bootstrap(release: str, packages: Sequence[str], root: Path, port: int) -> None:
    """Make a root file system with these packages, as a fresh installation leaves it; nothing is there if that fails."""
    command = [
        *ENCLOSED,
        "mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=minbase",
        f"--aptopt=Acquire::http::Proxy \"http://127.0.0.1:{port}\"", "--aptopt=Acquire::Retries \"3\"",
        *(f"--aptopt={option}" for option in apt_options().splitlines()),
        f"--dpkgopt={DPKG_OPTIONS.strip()}",
        # A machine that was just installed knows its packages, and so do these; no recipe is spared its own update.
        "--skip=cleanup/apt/lists",
        f"--include={','.join(packages)}",
        release, str(root), "-",
    ]  # fmt: skip
    done = subprocess.run(command, input=SOURCES.format(release=release), capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        shutil.rmtree(root, ignore_errors=True)
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise TelekitError(f"making the image of Debian {release} failed: {''.join(last)}", hint="is the mirror reachable?")
    _finish(root, release)


def _finish(root: Path, release: str) -> None:
    """Make it what a fresh installation is: no identity of its own yet, stock sources, no trace of how it was made."""
    for trace in TRACES:
        (root / trace).unlink(missing_ok=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/apt/sources.list").write_text(SOURCES.format(release=release), encoding="utf-8")
    (root / "etc/dpkg/dpkg.cfg.d/lab").write_text(DPKG_OPTIONS, encoding="utf-8")
    (root / "etc/apt/apt.conf.d/90lab").write_text(apt_options(), encoding="utf-8")
    if (dhcpcd := root / "etc/dhcpcd.conf").is_file():
        # Five seconds at each boot to ask whether somebody else has the address: the lab's router knows.
        dhcpcd.write_text(dhcpcd.read_text(encoding="utf-8") + "noarp\n", encoding="utf-8")
    for unit in ("systemd-firstboot.service", "systemd-networkd-wait-online.service"):
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    # Read once here, not by each machine for two seconds of processor; an installer leaves this as well.
    subprocess.run(["chroot", root, "apt-cache", "gencaches"], check=False, capture_output=True, cwd="/")


def purge() -> None:
    """Remove every image and the package cache."""
    shutil.rmtree(IMAGES, ignore_errors=True)
    shutil.rmtree(aptcache.FOLDER, ignore_errors=True)
