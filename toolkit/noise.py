"""WireGuard's handshake from the side that begins it (Noise_IKpsk2, as its paper lays it out), without a preshared key."""

from __future__ import annotations

import hmac
import struct
import time
from hashlib import blake2s

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE, DATA = 1, 2, 4
RESPONSE_BYTES = 92
TAI64 = 2**62 + 10


class Handshake:
    """One that has begun: its first message, for the gateway with this public key alone. sender: four bytes of one's own."""

    def __init__(self, static: X25519PrivateKey, gateway: bytes, sender: bytes) -> None:
        self.static, self.sender, self.ephemeral = static, sender, X25519PrivateKey.generate()
        public, shown = X25519PublicKey.from_public_bytes(gateway), self.ephemeral.public_key().public_bytes_raw()
        chain = blake2s(CONSTRUCTION).digest()
        digest = _hash(_hash(_hash(chain, IDENTIFIER), gateway), shown)
        (chain,) = _derive(chain, shown, 1)
        chain, key = _derive(chain, self.ephemeral.exchange(public), 2)
        own = _sealed(key, static.public_key().public_bytes_raw(), digest)
        digest = _hash(digest, own)
        chain, key = _derive(chain, static.exchange(public), 2)
        now = time.time_ns()
        stamp = _sealed(key, struct.pack(">QI", TAI64 + now // 10**9, now % 10**9), digest)
        self._chain, self._digest = chain, _hash(digest, stamp)
        message = struct.pack("<I", INITIATION) + sender + shown + own + stamp
        self.message = message + blake2s(message, key=_hash(b"mac1----", gateway), digest_size=16).digest() + bytes(16)

    def answered_by(self, answer: bytes) -> bool:
        """Whether this is the gateway's answer to it."""
        return len(answer) == RESPONSE_BYTES and answer[0] == RESPONSE and answer[8:12] == self.sender

    def session(self, answer: bytes) -> tuple[ChaCha20Poly1305, ChaCha20Poly1305]:
        """The keys to send and to receive with, of the gateway's answer; InvalidTag: it is somebody else's."""
        shown, nothing = answer[12:44], answer[44:60]
        public = X25519PublicKey.from_public_bytes(shown)
        (chain,), digest = _derive(self._chain, shown, 1), _hash(self._digest, shown)
        (chain,) = _derive(chain, self.ephemeral.exchange(public), 1)
        (chain,) = _derive(chain, self.static.exchange(public), 1)
        chain, mixed, key = _derive(chain, bytes(32), 3)
        ChaCha20Poly1305(key).decrypt(bytes(12), nothing, _hash(digest, mixed))
        sending, receiving = _derive(chain, b"", 2)
        return ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving)


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
