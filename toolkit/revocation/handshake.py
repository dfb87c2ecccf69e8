"""A WireGuard handshake begun from here: whether a gateway answers a key. Run as a program, it can stand elsewhere.

Only the first message is sent (Noise_IKpsk2, as WireGuard's paper lays it out), and no tunnel comes of it. A gateway answers
the keys of its peers and keeps silent to every other.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets as randomness
import socket
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE = 1, 2
RESPONSE_BYTES = 92
TAI64 = 2**62 + 10
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
    sender = randomness.token_bytes(4)
    line.send(initiation(static, gateway, sender))
    deadline = time.monotonic() + WAIT_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            answer = line.recv(2048)
        except TimeoutError:
            return False
        if len(answer) == RESPONSE_BYTES and answer[0] == RESPONSE and answer[8:12] == sender:
            return True
    return False


def initiation(static: X25519PrivateKey, gateway: bytes, sender: bytes) -> bytes:
    """The first message of a handshake, for the gateway with this public key alone."""
    ephemeral, public = X25519PrivateKey.generate(), X25519PublicKey.from_public_bytes(gateway)
    chain = blake2s(CONSTRUCTION).digest()
    digest = _hash(_hash(chain, IDENTIFIER), gateway)
    shown = ephemeral.public_key().public_bytes_raw()
    chain, digest = _derive(chain, shown, 1)[0], _hash(digest, shown)
    chain, key = _derive(chain, ephemeral.exchange(public), 2)
    own = _sealed(key, static.public_key().public_bytes_raw(), digest)
    digest = _hash(digest, own)
    chain, key = _derive(chain, static.exchange(public), 2)
    now = time.time_ns()
    stamp = struct.pack(">QI", TAI64 + now // 10**9, now % 10**9)
    message = struct.pack("<I", INITIATION) + sender + shown + own + _sealed(key, stamp, digest)
    first = blake2s(message, key=_hash(b"mac1----", gateway), digest_size=16).digest()
    return message + first + bytes(16)


def _hash(*parts: bytes) -> bytes:
    return blake2s(b"".join(parts)).digest()


def _derive(chain: bytes, given: bytes, number: int) -> list[bytes]:
    """The first keys of WireGuard's KDF."""
    secret, found = hmac.digest(chain, given, "blake2s"), [b""]
    for place in range(1, number + 1):
        found.append(hmac.digest(secret, found[-1] + bytes([place]), "blake2s"))
    return found[1:]


def _sealed(key: bytes, plain: bytes, bound: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), plain, bound)


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
