"""A private apt-cacher-ng that every lab of this computer shares: its own configuration, cache and port of 127.0.0.1.

The system's own apt-cacher-ng, if there is one, is never touched.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import TelekitError
from toolkit.lab import mirror
from toolkit.lab.places import STATE
from toolkit.lab.processes import Process
from toolkit.lab.requirements import SEARCH

FOLDER = STATE / "apt"
PORT = 3943
# Locked by who asks the cache for an index.
INDEX_TURNS = FOLDER / "turns"

CONFIGURATION = """\
# Written by telekit's lab: what its machines install is downloaded once.
CacheDir: {folder}/cache
LogDir: {folder}/log
SocketPath: {folder}/run/socket
PidFile: {folder}/run/pid
SupportDir: /usr/lib/apt-cacher-ng
Port: {port}
BindAddress: 127.0.0.1
ReportPage:
ExThreshold: 30
ForeGround: 1
ConnectProto: v4 v6
"""


@contextmanager
def in_use() -> Iterator[int]:
    """The port of the running cache; the last user to leave the block ends it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "users").open("w") as users:
        with _alone():
            fcntl.flock(users, fcntl.LOCK_SH)
            _ensure_running()
        try:
            yield PORT
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            end_if_unused()


def end_if_unused() -> None:
    """End the cache unless a lab still uses it; also what a killed lab forgot."""
    if not FOLDER.is_dir():
        return
    with _alone(), (FOLDER / "users").open("w") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if process := Process.load(FOLDER / "process.json"):
            process.end()
        (FOLDER / "process.json").unlink(missing_ok=True)
        shutil.rmtree(FOLDER / "run", ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_running() -> None:
    if Process.load(FOLDER / "process.json") and _answers():
        return
    if _answers():
        raise TelekitError(f"another program already listens on 127.0.0.1:{PORT}, the port of the lab's package cache")
    for folder in ("cache", "log", "run", "conf"):
        (FOLDER / folder).mkdir(exist_ok=True)
    options = mirror.of_this_computer().cache_options()
    configuration = FOLDER / "conf" / "acng.conf"
    configuration.touch(mode=0o600)  # a proxy's address may hold a password
    configuration.write_text(
        CONFIGURATION.format(folder=FOLDER, port=PORT) + "".join(f"{o}\n" for o in options), encoding="utf-8"
    )
    with (FOLDER / "log" / "process.log").open("w") as log:
        child = subprocess.Popen(
            [shutil.which("apt-cacher-ng", path=SEARCH) or "apt-cacher-ng", "-c", str(FOLDER / "conf")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    if process := Process.of(child.pid):
        process.save(FOLDER / "process.json")
    deadline = time.monotonic() + 10
    while not _answers():
        if child.poll() is not None or time.monotonic() > deadline:
            raise TelekitError("the lab's package cache does not start", where=str(FOLDER / "log" / "process.log"))
        time.sleep(0.05)


def _answers() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", PORT)) == 0
