"""Ask an address, from outside, at every TCP port and at some UDP ports who is there, and say what answered.

The first packet of each TCP connection is made here, so that tens of thousands take a second; who may not make packets connects.
"""

from __future__ import annotations

import errno
import json  # noqa: F401 - who runs this prints with it
import os
import resource
import secrets
import select
import socket
import struct
import time
from typing import Any

SYN, RST, ACK = 0x02, 0x04, 0x10
IPV6_CHECKSUM, SO_RCVBUFFORCE = 7, 33
BUFFER, BURST = 1 << 23, 256
# ICMP's "unreachable", and where in it the packet begins that was refused.
UNREACHABLE = {socket.AF_INET: 3, socket.AF_INET6: 1}
Answers = dict[int, str]
Lines = dict[socket.socket, int]


def scan(hosts: list[str], tcp: list[int], udp: list[int], payloads: list[str], patience: float) -> dict[str, Any]:
    """tcp: the first and the last port. What answered, as [address, port, protocol, open or refused]; the rest was silent."""
    os.nice(10)
    found, addresses = [], reachable(hosts)
    for family, address in addresses:
        ports = range(tcp[0], tcp[1] + 1)
        lines, refused = ask_datagrams(family, address, udp, [bytes.fromhex(payload) for payload in payloads])
        answers = ask_connections(family, address, ports, patience)
        found += [[address, port, "tcp", said] for port, said in sorted(answers.items())]
        found += [[address, port, "udp", said] for port, said in sorted((refused | hear_datagrams(lines, patience)).items())]
    return {"addresses": [address for _, address in addresses], "answers": found}


def reachable(hosts: list[str]) -> list[tuple[socket.AddressFamily, str]]:
    """The first address of each version of IP to which there is a way from here, IPv4 before IPv6."""
    found: dict[socket.AddressFamily, str] = {}
    for family, _, _, _, place in (info for host in hosts for info in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)):
        with socket.socket(family, socket.SOCK_DGRAM) as line:
            if line.connect_ex(place) == 0:
                found.setdefault(family, str(place[0]))
    if not found:
        raise SystemExit(f"there is no way to {hosts[0]} from here")
    return sorted(found.items())


# -- TCP ---------------------------------------------------------------------------------------------------------------


def ask_connections(family: socket.AddressFamily, address: str, ports: range, patience: float) -> Answers:
    try:
        with Raw(family, address) as raw:
            return raw.ask(ports, patience)
    except PermissionError:
        return connect(family, address, ports, patience)


class Raw:
    """Makes the first packets of TCP connections, and hears what comes of them: a second one, a reset, or ICMP's no."""

    def __init__(self, family: socket.AddressFamily, address: str) -> None:
        self.family, self.answers = family, Answers()
        self.tcp = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.icmp = socket.socket(
            family, socket.SOCK_RAW, socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        )
        if family == socket.AF_INET6:
            self.tcp.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, 16)
        for line in (self.tcp, self.icmp):
            line.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.tcp.connect((address, 0))
        # A port that is ours: the system answers what comes for it with a reset, so that nothing stays half open.
        self.own = socket.socket(family, socket.SOCK_STREAM)
        self.own.bind((self.tcp.getsockname()[0], 0))
        self.port, self.number = self.own.getsockname()[1], secrets.randbits(32)
        self.base = self._base(address)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        for line in (self.tcp, self.icmp, self.own):
            line.close()

    def ask(self, ports: range, patience: float) -> Answers:
        for count, port in enumerate(ports):
            self.tcp.send(self.packet(port))
            if count % BURST == BURST - 1:
                self.hear(0.001)
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            self.hear(left)
        return self.answers

    def _base(self, address: str) -> int:
        """The sum of everything but the port, for IPv4's checksum."""
        if self.family == socket.AF_INET6:
            return 0
        ends = socket.inet_aton(self.tcp.getsockname()[0]) + socket.inet_aton(address)
        return sum(struct.unpack(">18H", ends + struct.pack(">HH", socket.IPPROTO_TCP, 24) + self._header(0, 0)))

    def _header(self, port: int, checksum: int) -> bytes:
        """With the largest segment that it takes, as any system says."""
        return struct.pack(">HHLLBBHHHHH", self.port, port, self.number, 0, 0x60, SYN, 64240, checksum, 0, 0x0204, 1460)

    def packet(self, port: int) -> bytes:
        total = self.base + port
        total = (total & 0xFFFF) + (total >> 16)
        return self._header(port, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)

    def hear(self, seconds: float) -> None:
        """What came within this time."""
        ready, _, _ = select.select([self.tcp, self.icmp], [], [], seconds)
        for line in ready:
            try:
                while data := line.recv(2048, socket.MSG_DONTWAIT):
                    self.note(data, icmp=line is self.icmp)
            except BlockingIOError:
                continue

    def note(self, data: bytes, *, icmp: bool) -> None:
        """Remember an answer to one of our packets."""
        data = _inside(data) if self.family == socket.AF_INET else data
        if icmp:
            refused = data[8:] if data[:1] == bytes([UNREACHABLE[self.family]]) else b""
            refused = _inside(refused) if self.family == socket.AF_INET else refused[40:]
            if len(refused) >= 8 and struct.unpack(">HHL", refused[:8])[::2] == (self.port, self.number):
                self.answers.setdefault(struct.unpack(">HH", refused[:4])[1], "refused")
        elif len(data) >= 20:
            source, port, _, acknowledged, _, flags = struct.unpack(">HHLLBB", data[:14])
            if port == self.port and flags & ACK and acknowledged == (self.number + 1) & 0xFFFFFFFF:
                self.answers[source] = "refused" if flags & RST else "open"


def _inside(packet: bytes) -> bytes:
    """What an IPv4 packet carries."""
    return packet[(packet[0] & 15) * 4 :] if packet else b""


def connect(family: socket.AddressFamily, address: str, ports: range, patience: float) -> Answers:
    """The same by connecting, so many at a time as this system lets one process have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wide, answers = min(hard - 100, 8000), Answers()
    for first in range(0, len(ports), wide):
        lines = {}
        for port in ports[first : first + wide]:
            line = socket.socket(family, socket.SOCK_STREAM)
            line.setblocking(False)
            code = line.connect_ex((address, port))
            if code in (0, errno.EINPROGRESS):
                lines[line] = port
            else:
                answers[port] = "refused"
        answers |= _heard(lines, patience, select.POLLOUT)
    return answers


# -- UDP ---------------------------------------------------------------------------------------------------------------


def ask_datagrams(family: socket.AddressFamily, address: str, ports: list[int], payloads: list[bytes]) -> tuple[Lines, Answers]:
    """Sockets that have asked, each with its port, and the ports that refused the first question before the second was asked."""
    lines, answers = Lines(), Answers()
    for port in ports:
        line = socket.socket(family, socket.SOCK_DGRAM)
        line.connect((address, port))
        lines[line] = port
        try:
            for payload in payloads:
                line.send(payload)
        except ConnectionRefusedError:
            answers[port] = "refused"
            del lines[line]
            line.close()
    return lines, answers


def hear_datagrams(lines: Lines, patience: float) -> Answers:
    return _heard(lines, patience, select.POLLIN)


def _heard(lines: Lines, patience: float, event: int) -> Answers:
    """What became of sockets within this time."""
    poll, waiting, answers = select.poll(), {line.fileno(): (line, port) for line, port in lines.items()}, Answers()
    for number in waiting:
        poll.register(number, event)
    until = time.monotonic() + patience
    while waiting and (left := until - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            poll.unregister(number)
            line, port = waiting.pop(number)
            refused = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            answers[port] = "refused" if refused else "open"
    for line in lines:
        line.close()
    return answers
