"""How fast a server answers from here, and how many bytes a second it gives back of those that it is sent."""

from __future__ import annotations

import json  # noqa: F401 - who runs this prints with it
import select
import socket
import time
from typing import Any

CONNECTIONS, PATIENCE, ECHO_SECONDS = 5, 3.0, 0.7
TOKEN = b"telekit verify sends this and hears whether it comes back\n"
CHUNK = TOKEN * 512


def pace(doors: list[Any], seconds: float) -> dict[str, Any]:
    """doors: [address, port] of TCP servers. Latency is the first one's, throughput that of one that sends everything back."""
    times = [connected(*doors[0]) for _ in range(CONNECTIONS)]
    for address, port in doors:
        rate = echoed(address, port, seconds)
        if rate is not None:
            return {"times": times, "rate": rate, "of": [address, port]}
    return {"times": times, "rate": None, "of": None}


def connected(address: str, port: int) -> float | None:
    """The milliseconds until a connection stood; None if none did."""
    started = time.monotonic()
    try:
        with socket.create_connection((address, port), timeout=PATIENCE):
            return (time.monotonic() - started) * 1000
    except OSError:
        return None


def echoed(address: str, port: int, seconds: float) -> float | None:
    """Mbit/s that come back; None if what is sent does not."""
    try:
        with socket.create_connection((address, port), timeout=PATIENCE) as line:
            line.sendall(TOKEN)
            return stream(line, seconds) if comes_back(line) else None
    except OSError:
        return None


def comes_back(line: socket.socket) -> bool:
    until, heard = time.monotonic() + ECHO_SECONDS, b""
    while TOKEN not in heard and (left := until - time.monotonic()) > 0:
        line.settimeout(left)
        data = line.recv(4096)
        if not data:
            return False
        heard += data
    return TOKEN in heard


def stream(line: socket.socket, seconds: float) -> float:
    """Send as much as goes, and count what comes back."""
    line.setblocking(False)
    started, heard, rest = time.monotonic(), 0, memoryview(CHUNK)
    while (spent := time.monotonic() - started) < seconds:
        readable, writable, _ = select.select([line], [line], [], seconds - spent)
        if readable:
            data = line.recv(1 << 16)
            if not data:
                break
            heard += len(data)
        if writable:
            rest = rest[line.send(rest) :] or memoryview(CHUNK)
    return heard * 8 / 1e6 / (time.monotonic() - started)
