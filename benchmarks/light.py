"""Many light targets: a Debian root of its own for each, in memory, and an sshd at a port of 127.0.0.1 of its own; no init.

They live in a mount and a process namespace of their own: when the process that holds it ends, however it ends, all of them
are gone, with everything that was mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ROOT
from benchmarks.keys import Pair
from toolkit.lab import aptcache, base
from toolkit.model import Role

RELEASE = "trixie"
FIRST_PORT = 30000
USER = "telekit"
PREFIX = "telekit-light-"
# Beside what the lab's machines have: what Ansible's modules ask of a target.
PACKAGES = ("python3", "python3-apt")
ENCLOSED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
# As on any Debian, the package cache is there; 200 targets of which each makes its own, 90 MB, would fill the memory.
PREPARE = f"""\
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o Acquire::http::Proxy=http://127.0.0.1:$1 update
apt-get -qq -y -o Acquire::http::Proxy=http://127.0.0.1:$1 install --no-install-recommends {" ".join(PACKAGES)} > /dev/null
rm -f /var/cache/apt/archives/*.deb
apt-cache gencaches
useradd --create-home --shell /bin/bash --groups sudo --password '*' {USER}
echo '{USER} ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/telekit
install -d -m 700 -o {USER} -g {USER} /home/{USER}/.ssh
mkdir -p /run/sshd
"""


@dataclass(frozen=True)
class Targets:
    """Targets that run. known_hosts: their host keys; identity: the private key that opens them."""

    ports: tuple[int, ...]
    known_hosts: Path
    identity: Path


def prepared() -> str:
    """The lower directories of a light target: the layer with what they have beyond a stock Debian is made once and kept."""
    image = base.ensure(RELEASE, {Role.GATEWAY}, print)[Role.GATEWAY]
    layer = base.STATE / "light" / f"{image.name}-{zlib.crc32(PREPARE.encode()):08x}"
    if not layer.is_dir():
        new = layer.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        print("Making the layer that light targets share (once)")
        with aptcache.in_use() as port:
            _in_root(image, new, [PREPARE, "prepare", str(port)])
        new.rename(layer)
    return f"{layer}:{image}"


def _in_root(image: Path, upper: Path, script: list[str]) -> None:
    """Run a script in a root whose changes stay in `upper`."""
    work = upper.with_suffix(".work")
    work.mkdir(exist_ok=True)
    mount = (
        'm=$(mktemp -d); mount -t tmpfs none "$m"; mkdir "$m/r"; trap \'umount "$m/r"; umount "$m"; rmdir "$m"\' EXIT;'
        ' mount -t overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" light "$m/r";'
        ' cp -L /etc/resolv.conf "$m/r/etc/resolv.conf"; shift 3; chroot "$m/r" sh -c "$@"'
    )
    command = [*ENCLOSED, "sh", "-ec", mount, "sh", str(image), str(upper), str(work), *script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(work, ignore_errors=True)
    if done.returncode:
        raise RuntimeError(f"preparing light targets failed: {done.stderr.strip() or done.stdout.strip()}")


@contextmanager
def light_targets(count: int) -> Iterator[Targets]:
    """`count` targets for the duration of the block."""
    _sweep()
    lower = prepared()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        (folder / "pid").write_text(str(os.getpid()), encoding="ascii")
        operator = Pair.new()
        identity = operator.save(folder / "operator_ed25519")
        hosts = [Pair.new() for _ in range(count)]
        ports = tuple(range(FIRST_PORT, FIRST_PORT + count))
        known = "".join(f"[127.0.0.1]:{port} {host.public}\n" for port, host in zip(ports, hosts, strict=True))
        (folder / "known_hosts").write_text(known, encoding="ascii")
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        for port, host in zip(ports, hosts, strict=True):
            host.save(keys / str(port))
        command = [*ENCLOSED, sys.executable, "-m", "benchmarks.light_serve", str(folder), lower, operator.public]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout
            if process.stdout.readline() != "ready\n":
                process.kill()
                raise RuntimeError("the light targets do not start")
            try:
                yield Targets(ports, folder / "known_hosts", identity)
            finally:
                process.kill()


def _sweep() -> None:
    """Remove what runs that were killed left in the temporary folder: nothing in it is mounted any more."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = left / "pid"
        if not owner.exists() or not Path(f"/proc/{owner.read_text()}").exists():
            shutil.rmtree(left, ignore_errors=True)


if __name__ == "__main__":
    with light_targets(int(sys.argv[1])) as targets:
        print(targets, os.getpid())
        input()
