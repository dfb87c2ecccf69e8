"""A laptop of its own for a moment: opens a WireGuard tunnel with a key that is in no file, and knocks at doors through it.

Everything is done here, from the handshake to the packets inside: no network card, no privilege.
Unlike the other programs of this folder it runs on the operator's computer, with telekit's own Python.
"""

from __future__ import annotations

import base64
import json
import secrets
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from toolkit.checks.remote.knocker import NTP, question, said
from toolkit.noise import DATA, Handshake

TRIES, WAIT_SECONDS, PATIENCE, AGAIN = 5, 1.0, 2.4, 0.8
TCP, UDP = 6, 17
PROTOCOLS = {"tcp": TCP, "udp": UDP}
FIRST_PORT = 20000
SYN, RST, ACK = 0x02, 0x04, 0x10


# -- the tunnel --------------------------------------------------------------------------------------------------------


class Tunnel:
    """A session with the gateway."""

    def __init__(self, line: socket.socket, static: X25519PrivateKey, gateway: bytes) -> None:
        self.line, self.static, self.gateway = line, static, gateway
        self.sent, self.there = 0, b""

    def open(self) -> bool:
        """Shake hands; False: the gateway is silent."""
        for _ in range(TRIES):
            handshake = Handshake(self.static, self.gateway, secrets.token_bytes(4))
            self.line.send(handshake.message)
            until = time.monotonic() + WAIT_SECONDS
            while (left := until - time.monotonic()) > 0 and select.select([self.line], [], [], left)[0]:
                answer = self._received()
                if handshake.answered_by(answer):
                    (self.sending, self.receiving), self.there = handshake.session(answer), answer[4:8]
                    return True
        return False

    def _received(self) -> bytes:
        try:
            return self.line.recv(2048)
        except ConnectionRefusedError:
            return b""

    def send(self, packet: bytes) -> None:
        padded = packet + bytes(-len(packet) % 16)
        sealed = self.sending.encrypt(struct.pack("<IQ", 0, self.sent), padded, b"")
        self.line.send(struct.pack("<I", DATA) + self.there + struct.pack("<Q", self.sent) + sealed)
        self.sent += 1

    def receive(self, seconds: float) -> bytes:
        """The next packet out of the tunnel within this time; nothing if there is none."""
        if not select.select([self.line], [], [], seconds)[0]:
            return b""
        data = self._received()
        if len(data) < 32 or data[0] != DATA:
            return b""
        try:
            return self.receiving.decrypt(bytes(4) + data[8:16], data[16:], b"")
        except InvalidTag:
            return b""


# -- what is inside ----------------------------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    total = int(sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: str, target: str, protocol: int, body: bytes, mark: int) -> bytes:
    """An IP packet around a TCP or UDP body, whose checksum (where that protocol has it) is put in."""
    ends = ip_address(source).packed + ip_address(target).packed
    place = 16 if protocol == TCP else 6
    total = checksum(ends + struct.pack(">II", len(body), protocol) + body)
    body = body[:place] + struct.pack(">H", total or 0xFFFF) + body[place + 2 :]
    if len(ends) == 32:
        return struct.pack(">IHBB", 6 << 28 | mark << 20, len(body), protocol, 64) + ends + body
    head = struct.pack(">BBHHHBBH", 0x45, mark, 20 + len(body), secrets.randbits(16), 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


@dataclass
class Door:
    """What is knocked at, and what came of it. own: the port from which."""

    protocol: str
    address: str
    port: int
    own: int
    state: str = "silent"
    said: str = ""
    number: int = field(default_factory=lambda: secrets.randbits(32))

    def body(self, name: str) -> bytes:
        if self.protocol == "tcp":
            return struct.pack(">HHLLBBHHH", self.own, self.port, self.number, 0, 0x50, SYN, 64240, 0, 0)
        asked = {53: question(name), 123: NTP}.get(self.port, b"telekit verify\n")
        return struct.pack(">HHHH", self.own, self.port, 8 + len(asked), 0) + asked

    def farewell(self) -> bytes:
        """Leaves no connection behind."""
        return struct.pack(">HHLLBBHHH", self.own, self.port, (self.number + 1) & 0xFFFFFFFF, 0, 0x50, RST, 0, 0, 0)

    def hear(self, body: bytes) -> None:
        """What its server said."""
        if self.protocol == "udp":
            self.state, self.said = "open", said(self.port, body[8:])
        elif len(body) >= 20 and self.state == "silent":
            flags = body[13]
            self.state = "refused" if flags & RST else "open" if flags & SYN and flags & ACK else "silent"


def inside(data: bytes) -> tuple[int, str, bytes]:
    """Protocol, sender and body of an IP packet; protocol 0 if it is none of interest."""
    if data[:1] and data[0] >> 4 == 4 and len(data) >= 20:
        start = (data[0] & 15) * 4
        return data[9], str(ip_address(data[12:16])), data[start : struct.unpack(">H", data[2:4])[0]]
    if data[:1] and data[0] >> 4 == 6 and len(data) >= 40:
        return data[6], str(ip_address(data[8:24])), data[40 : 40 + struct.unpack(">H", data[4:6])[0]]
    return 0, "", b""


def knock(tunnel: Tunnel, own: dict[int, str], doors: list[Door], mark: int, name: str) -> None:
    """Try all doors through the tunnel; those that say nothing once more."""
    waiting = {door.own: door for door in doors}

    def say(door: Door, body: bytes) -> None:
        source = own[ip_address(door.address).version]
        tunnel.send(packet(source, door.address, PROTOCOLS[door.protocol], body, mark))

    until = time.monotonic() + PATIENCE
    for turn in range(3):
        for door in doors:
            if door.state == "silent":
                say(door, door.body(name))
        end = until if turn == 2 else time.monotonic() + AGAIN
        while (left := end - time.monotonic()) > 0:
            protocol, sender, body = inside(tunnel.receive(left))
            found = waiting.get(struct.unpack(">H", body[2:4])[0]) if protocol in (TCP, UDP) and len(body) >= 8 else None
            if found and found.address == sender and PROTOCOLS[found.protocol] == protocol:
                found.hear(body)
    for door in doors:
        if door.protocol == "tcp" and door.state == "open":
            say(door, door.farewell())


def main(order: dict[str, Any]) -> list[list[Any]]:
    """What came of knocking at order["doors"] from order["addresses"], as `knocker` tells it."""
    static = X25519PrivateKey.from_private_bytes(base64.b64decode(order["key"]))
    family, kind, _, _, place = socket.getaddrinfo(order["host"], order["port"], type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as line:
        line.connect(place)
        tunnel = Tunnel(line, static, base64.b64decode(order["gateway"]))
        if not tunnel.open():
            raise SystemExit("the gateway did not answer its handshake")
        own: dict[int, str] = {ip_address(address).version: address for address in order["addresses"]}
        doors = [Door(kind, at, port, FIRST_PORT + number) for number, (kind, at, port) in enumerate(order["doors"])]
        knock(tunnel, own, doors, order["mark"], order["name"])
    return [[door.protocol, door.address, door.port, door.state, door.said] for door in doors]


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
