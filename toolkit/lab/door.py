"""The way into a virtual machine that no firewall closes: SSH over a serial line, whose other end is a socket of root's.

One connection is kept open for each machine; every command goes through it, with its input, output and exit code. What a
command reads goes through the connection too, never through an argument or a file.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

from toolkit.lab.places import Places

NAME = "root@door"
# The serial line's name, as QEMU gives it to the machine.
LINE = "telekit.lab.door"
CHUNK = 1 << 16

# Only who speaks gets an sshd: on a line to which nobody is connected it would end at once, again and again.
PROGRAM = """\
import os, select, time
while not os.path.exists("/dev/virtio-ports/{line}"):
    time.sleep(1)
line = os.open("/dev/virtio-ports/{line}", os.O_RDWR)
poll = select.poll()
poll.register(line, select.POLLIN)
while True:
    events = poll.poll()[0][1]
    if events & select.POLLIN and not events & select.POLLHUP:
        break
    time.sleep(0.2)
os.makedirs("/run/sshd", exist_ok=True)
os.dup2(line, 0)
os.dup2(line, 1)
os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-i", "-f", "/etc/lab-door/sshd_config"])
"""
CONFIGURATION = """\
HostKey /etc/lab-door/host_key
AuthorizedKeysFile /etc/lab-door/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxSessions 1000
ClientAliveInterval 0
LogLevel QUIET
PrintMotd no
PidFile none
Ciphers aes128-ctr
"""
UNIT = """\
[Unit]
Description=The lab's way in, which no firewall closes
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/lab-door.py
Restart=always
RestartSec=1
# What somebody started through the door outlives the connection.
KillMode=process
StandardError=null

[Install]
WantedBy=multi-user.target
"""


def furnish(root: Path, public: str) -> None:
    """Put the machine's end of the door into a root file system; `public`: the key that opens it."""
    folder = root / "etc/lab-door"
    folder.mkdir(mode=0o700)
    _write(folder / "sshd_config", CONFIGURATION)
    _write(folder / "authorized_keys", public)
    _write(root / "usr/local/lib/lab-door.py", PROGRAM.format(line=LINE))
    _write(root / "etc/systemd/system/lab-door.service", UNIT)
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "lab-door.service").symlink_to("/etc/systemd/system/lab-door.service")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def line_of(places: Places, machine: str) -> Path:
    """The socket that is this computer's end of the machine's serial line."""
    return places.doors / f"{machine}.line"


def control_of(places: Places, machine: str) -> Path:
    """The socket through which commands share the open connection."""
    return places.doors / f"{machine}.ssh"


def command(places: Places, machine: str) -> list[str]:
    """ssh through the open connection, and by no other way; options, NAME and a command follow."""
    # Without the connection, ssh would make one of its own: to nowhere.
    options = ("-o", "ProxyCommand=false", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes")
    return ["ssh", "-F", "none", "-S", str(control_of(places, machine)), *options]


def connection(places: Places, machine: str, key: Path) -> list[str]:
    """The command that holds the connection open until the machine goes away, or falls silent for a minute."""
    proxy = f"{sys.executable} -m toolkit.lab.door {line_of(places, machine)}"
    options = {
        "ProxyCommand": proxy, "IdentityFile": key, "IdentitiesOnly": "yes", "BatchMode": "yes", "LogLevel": "ERROR",
        # The line ends in this very machine: there is nobody to take for another.
        "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null",
        "ServerAliveInterval": 15, "ServerAliveCountMax": 4, "Ciphers": "aes128-ctr",
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", "-N", "-M", "-S", str(control_of(places, machine)), *flags, NAME]


def carry(path: str, wait: float = 30.0) -> None:
    """Carry bytes between standard input and output and the socket, until one of them ends."""
    line = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + wait
    while line.connect_ex(path) != 0:
        if time.monotonic() > deadline:
            raise SystemExit(f"nobody is at {path}")
        time.sleep(0.1)
    threading.Thread(target=_pump, args=(sys.stdin.fileno(), line.fileno()), daemon=True).start()
    _pump(line.fileno(), sys.stdout.fileno())


def _pump(source: int, target: int) -> None:
    while data := os.read(source, CHUNK):
        while data:
            data = data[os.write(target, data) :]
    os._exit(0)


if __name__ == "__main__":
    carry(sys.argv[1])
