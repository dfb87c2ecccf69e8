"""A WireGuard handshake begun from here: whether a gateway answers a key. Run as a program, it can stand elsewhere.

Only the first message is sent, and no tunnel comes of it. A gateway answers
the keys of its peers and keeps silent to every other.
"""

from __future__ import annotations

import base64
import json
import secrets as randomness
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from toolkit.noise import Handshake

TRIES, WAIT_SECONDS = 3, 1.0


@dataclass(frozen=True)
class Place:
    """A gateway as the Internet sees it."""

    host: str
    port: int
    public_key: str


def answers(place: Place, private_key: str) -> bool:
    """Whether the gateway takes up a handshake with this key; silence after three tries is a no. OSError: no way there."""
    static, gateway = _private(private_key), base64.b64decode(place.public_key)
    family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as line:
        line.settimeout(WAIT_SECONDS)
        line.connect(address)
        return any(_answered(line, static, gateway) for _ in range(TRIES))


def _answered(line: socket.socket, static: X25519PrivateKey, gateway: bytes) -> bool:
    handshake = Handshake(static, gateway, randomness.token_bytes(4))
    line.send(handshake.message)
    deadline = time.monotonic() + WAIT_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            answer = line.recv(2048)
        except TimeoutError:
            return False
        if handshake.answered_by(answer):
            return True
    return False


def initiation(static: X25519PrivateKey, gateway: bytes, sender: bytes) -> bytes:
    """The first message of a handshake, for the gateway with this public key alone."""
    return Handshake(static, gateway, sender).message


def _private(key: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(base64.b64decode(key))


def asked(question: Mapping[str, str]) -> bool:
    """What the program is asked: host, port, the gateway's public key, and the private key that is tried."""
    return answers(Place(question["host"], int(question["port"]), question["gateway"]), question["key"])


if __name__ == "__main__":
    try:
        print("answered" if asked(json.load(sys.stdin)) else "silence")
    except OSError as error:
        sys.exit(str(error))
