"""Inside the namespace of the light targets: mount their roots, start their sshds, wait."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

MS_BIND = 4096
SSHD = (
    "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-o", "ListenAddress=127.0.0.1", "-o", "UsePAM=no",
    "-o", "PasswordAuthentication=no", "-o", "HostKey=/etc/ssh/ssh_host_ed25519_key", "-o", "PidFile=none",
    "-o", "UseDNS=no", "-o", "Subsystem=sftp internal-sftp",
)  # fmt: skip
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    if libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def build(memory: Path, keys: Path, lower: str, operator: str) -> None:
    """A root for each key."""
    for key in sorted(keys.iterdir()):
        upper, work, root = (memory / part / key.name for part in ("upper", "work", "root"))
        for folder in (upper, work, root):
            folder.mkdir(parents=True)
        mount("light", root, "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work}")
        mount("/proc", root / "proc", "none", MS_BIND)
        mount(str(memory / "pts"), root / "dev/pts", "none", MS_BIND)
        host_key = root / "etc/ssh/ssh_host_ed25519_key"
        host_key.touch(mode=0o600)
        host_key.write_bytes(key.read_bytes())
        home = (root / "home/telekit/.ssh").stat()
        authorized = root / "home/telekit/.ssh/authorized_keys"
        authorized.write_text(operator + "\n", encoding="ascii")
        os.chown(authorized, home.st_uid, home.st_gid)
        (root / "etc/hostname").write_text(f"light-{key.name}\n", encoding="ascii")


def answers(port: int) -> bool:
    """Whether an sshd introduces itself there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            return sock.recv(4) == b"SSH-"
    except OSError:
        return False


def main(folder: Path, lower: str, operator: str) -> None:
    memory = folder / "memory"
    memory.mkdir()
    mount("light", memory, "tmpfs", options="mode=700")
    (memory / "pts").mkdir()
    mount("light", memory / "pts", "devpts", options="newinstance,ptmxmode=0666,mode=620")
    build(memory, folder / "keys", lower, operator)
    ports = sorted(int(key.name) for key in (folder / "keys").iterdir())
    for port in ports:
        root = memory / "root" / str(port)
        subprocess.Popen(["chroot", root, *SSHD, "-p", str(port)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60 + len(ports) / 5
    for port in ports:
        while not answers(port):
            if time.monotonic() > deadline:
                sys.exit(f"nobody answers at port {port}")
            time.sleep(0.05)
    print("ready", flush=True)
    # As init of this namespace, it takes in what the targets leave behind.
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
