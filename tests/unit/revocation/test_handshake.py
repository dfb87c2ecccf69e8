"""A handshake begun from here is WireGuard's: a gateway that knows the key could take it up, and silence is a refusal."""

from __future__ import annotations

import base64
import hmac
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2s

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from toolkit.revocation import handshake
from toolkit.revocation.handshake import Place, answers, initiation


def derived(chain: bytes, given: bytes) -> tuple[bytes, bytes]:
    secret = hmac.digest(chain, given, "blake2s")
    first = hmac.digest(secret, b"\x01", "blake2s")
    return first, hmac.digest(secret, first + b"\x02", "blake2s")


def opened(message: bytes, gateway: X25519PrivateKey) -> tuple[bytes, bytes]:
    """Who the message is from, and its time stamp, as WireGuard's paper has a responder find out."""
    public = gateway.public_key().public_bytes_raw()
    chain = blake2s(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s").digest()
    digest = blake2s(blake2s(chain + b"WireGuard v1 zx2c4 Jason@zx2c4.com").digest() + public).digest()
    ephemeral, static, stamp, first = message[8:40], message[40:88], message[88:116], message[116:132]
    assert blake2s(message[:116], key=blake2s(b"mac1----" + public).digest(), digest_size=16).digest() == first
    chain = derived(chain, ephemeral)[0]
    digest = blake2s(digest + ephemeral).digest()
    chain, key = derived(chain, gateway.exchange(X25519PublicKey.from_public_bytes(ephemeral)))
    who = ChaCha20Poly1305(key).decrypt(bytes(12), static, digest)
    digest = blake2s(digest + static).digest()
    key = derived(chain, gateway.exchange(X25519PublicKey.from_public_bytes(who)))[1]
    return who, ChaCha20Poly1305(key).decrypt(bytes(12), stamp, digest)


def test_the_gateway_alone_learns_who_knocks() -> None:
    device, gateway = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    message = initiation(device, gateway.public_key().public_bytes_raw(), b"abcd")
    assert (len(message), message[:8]) == (148, b"\x01\x00\x00\x00abcd")
    who, stamp = opened(message, gateway)
    assert who == device.public_key().public_bytes_raw()
    assert len(stamp) == 12


@contextmanager
def gateway(knows: X25519PrivateKey | None, own: X25519PrivateKey) -> Iterator[Place]:
    """Answers the key that it knows, as WireGuard does; to any other it says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))

        def serve() -> None:
            while len(got := line.recvfrom(2048)) and got[0]:
                who = opened(got[0], own)[0]
                if knows is not None and who == knows.public_key().public_bytes_raw():
                    line.sendto(b"\x02\0\0\0" + os.urandom(4) + got[0][4:8] + os.urandom(80), got[1])

        thread = threading.Thread(target=serve)
        thread.start()
        public = base64.b64encode(own.public_key().public_bytes_raw()).decode()
        try:
            yield Place("127.0.0.1", line.getsockname()[1], public)
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", line.getsockname())
            thread.join()


def test_an_answer_and_silence_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "WAIT_SECONDS", 0.05)
    device, own = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    key = base64.b64encode(device.private_bytes_raw()).decode()
    with gateway(device, own) as place:
        assert answers(place, key)
    with gateway(None, own) as place:
        assert not answers(place, key)


def test_where_no_way_leads_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "WAIT_SECONDS", 0.05)
    key = base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()
    with pytest.raises(OSError, match=r"."):
        answers(Place("vpn.invalid", 51820, key), key)
