"""Knock at many doors at once, from the machine on which this runs, and send what no honest machine sends."""

from __future__ import annotations

import errno
import json  # noqa: F401 - who runs this prints with it
import os
import resource
import select
import socket
import struct
import time
from typing import Any

# How long a door is tried; when a datagram is sent again, as it may be lost without anybody meaning it; how long one is heard.
PATIENCE, AGAIN, GREETING = 2.4, (0.7, 1.4), 1.5
SURE = 1.2
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
IP_TRANSPARENT, IPV6_TRANSPARENT, IPV6_TCLASS = 19, 75, 67
NTP = b"\xe3" + bytes(47)


def question(name: str) -> bytes:
    """Asks a resolver for the IPv4 address of a name."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", 4711, 256, 1, 0, 0, 0) + labels + struct.pack(">xHH", 1, 1)


def said(port: int, data: bytes) -> str:
    """What a server said, as one printable line."""
    if port in (53, 123):
        return "an answer of its own kind" if data else ""
    text = data[:600].decode("ascii", "replace").replace("\ufffd", "?")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def sentence(number: int) -> str:
    return "refused" if number == errno.ECONNREFUSED else os.strerror(number).lower()


class Attempt:
    """One door that is being tried. state: open, refused, silent, or what the system said."""

    def __init__(self, protocol: str, address: str, port: int, device: str = "") -> None:
        self.protocol, self.address, self.port, self.device = protocol, address, port, device
        self.state, self.said, self.again, self.name = "silent", "", 0, ""
        self.started = self.opened = time.monotonic()
        self.socket = socket.socket(family_of(address), KINDS[protocol])
        self.socket.setblocking(False)

    def begin(self, mark: int, name: str) -> bool:
        """Whether there is something to wait for."""
        self.name = name
        try:
            prepare(self.socket, mark, self.device)
            self.socket.connect(place_of(self.address, self.port))
        except BlockingIOError:
            return True
        except OSError as error:
            return not self.end(sentence(error.errno or 0))
        return self.protocol == "tcp" or not self.ask()

    def ask(self) -> bool:
        """Send what is asked: whether it came to an end with that."""
        try:
            self.socket.send(self.words())
        except OSError as error:
            return self.end(sentence(error.errno or 0))
        return False

    def words(self) -> bytes:
        """What is asked; DNS and time in their own language, and a length first where a resolver is asked over TCP."""
        if self.port == 53:
            asked = question(self.name)
            return asked if self.protocol == "udp" else struct.pack(">H", len(asked)) + asked
        return NTP if self.port == 123 else b"telekit verify\n"

    def hear(self) -> bool:
        """Something happened: whether that was all."""
        try:
            number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                return self.end(sentence(number))
            if self.protocol == "tcp" and self.state == "silent":
                self.state, self.opened = "open", time.monotonic()
                return self.port == 53 and self.ask()
            data = self.socket.recv(600)
        except BlockingIOError:
            return False
        except OSError as error:
            return self.end(self.state if self.state == "open" else sentence(error.errno or 0))
        self.said = said(self.port, data)
        return self.end("open" if data or self.protocol == "tcp" else "silent")

    def over(self, now: float) -> bool:
        """Whether it was waited for long enough; a datagram that got no answer is sent again meanwhile."""
        if self.state == "open":
            return now - self.opened > GREETING
        if self.protocol == "udp" and self.again < len(AGAIN) and now - self.started > AGAIN[self.again]:
            self.again += 1
            return self.ask()
        return now - self.started > PATIENCE

    def end(self, state: str) -> bool:
        self.state = state
        return True


def prepare(line: socket.socket, mark: int, device: str) -> None:
    """Give its packets the mark by which the gateway knows them, and one card to leave by, if any."""
    if line.family == socket.AF_INET6:
        line.setsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS, mark)
    else:
        line.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark)
    if device:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def place_of(address: str, port: int) -> Any:
    """The address as the system wants it, also one of a link with the name of its card."""
    return socket.getaddrinfo(address, port, flags=socket.AI_NUMERICHOST)[0][4]


def knock(doors: list[Any], mark: int, name: str, forged: list[Any], forged_mark: int) -> dict[str, list[Any]]:
    """Try all doors, [protocol, address, port] and perhaps a card each; what came of each: its state, and what was said there.

    name: what a resolver is asked for. forged: what `forge` sends meanwhile.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sent = forge(forged, forged_mark)
    attempts = [Attempt(*door) for door in doors]
    waiting = {a.socket.fileno(): a for a in attempts if a.begin(mark, name)}
    poll = select.poll()
    for number, attempt in waiting.items():
        poll.register(number, select.POLLIN | (select.POLLOUT if attempt.protocol == "tcp" else 0))
    later = time.monotonic() + SURE
    while waiting:
        if forged and time.monotonic() > later:
            # By now the tunnel stands, should it have been opened a moment ago.
            sent, forged = forge(forged, forged_mark), []
        ready = [number for number, _ in poll.poll(50)]
        done = {number for number in ready if waiting[number].hear()}
        for number in set(ready) - done:
            poll.modify(number, select.POLLIN)
        now = time.monotonic()
        done |= {number for number, attempt in waiting.items() if number not in done and attempt.over(now)}
        for number in done:
            poll.unregister(number)
            waiting.pop(number).socket.close()
    return {"doors": [[a.protocol, a.address, a.port, a.state, a.said] for a in attempts], "forged": sent}


def forge(packets: list[Any], mark: int) -> list[str]:
    """Send from addresses that are not this machine's: [protocol, address, port, source, card] each; those that went."""
    return [packet[3] for packet in packets if min(_forge(mark, *packet) for _ in range(2))]


def _forge(mark: int, protocol: str, address: str, port: int, source: str, device: str) -> bool:
    family = family_of(address)
    layer, option = (socket.IPPROTO_IPV6, IPV6_TRANSPARENT) if family == socket.AF_INET6 else (socket.IPPROTO_IP, IP_TRANSPARENT)
    with socket.socket(family, KINDS[protocol]) as line:
        line.setblocking(False)
        try:
            prepare(line, mark, device)
            line.setsockopt(layer, option, 1)
            line.bind((source, 0))
            line.connect((address, port))
            line.send(b"telekit verify\n")
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
