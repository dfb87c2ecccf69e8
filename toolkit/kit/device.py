"""The keys of a device that telekit cannot log into: made here, kept in the vault, leaving it only inside a kit."""

from __future__ import annotations

import base64
import secrets as randomness
from datetime import timedelta

from toolkit.ledger import Handover, Ledger
from toolkit.model import Agent, Commune, Laptop, Secret
from toolkit.secrets import Vault, new_preshared_key, preshared_name, public_half


def tunnel_key(laptop: Laptop) -> str:
    """The vault's name for the private key of an unmanaged device."""
    return f"tunnel-key/{laptop.name}"


def preshared_key(laptop: Laptop) -> str:
    """The vault's name for the key that a laptop shares with the gateway."""
    return preshared_name(laptop.name)


def enrol(book: Ledger, vault: Vault, laptop: Laptop, agent: Agent) -> Ledger:
    """Given a device without a key of its own, or with one that was in another agent's kit, it gets a new one.

    Otherwise the kit is made again for the same person and holds the same key: what works already goes on working.
    """
    kept, kit = vault.get(tunnel_key(laptop)), book.kits.get(laptop.name)
    another = kit is not None and kit.agent != agent.identifier
    if kept is None or laptop.name not in book.keys or another:
        kept = _private_key()
        vault.put(tunnel_key(laptop), kept)
        vault.put(preshared_key(laptop), new_preshared_key())
    return book.enrolled(laptop.name, public_half(kept))


def handed_over(book: Ledger, laptop: Laptop, agent: Agent, commune: Commune) -> Ledger:
    """The ledger with a kit that is made today."""
    expires, before = commune.today + timedelta(days=commune.policy.kit_days), book.kits.get(laptop.name)
    # The same keys again: what works already needs no first use.
    used = before is not None and before.agent == agent.identifier and before.used
    return book.handed_over(laptop.name, Handover(commune.today, expires, agent.identifier, used))


def _private_key() -> Secret:
    key = bytearray(randomness.token_bytes(32))
    # As `wg genkey` does: every program then shows the same key for the same bytes.
    key[0] &= 248
    key[31] = (key[31] & 127) | 64
    return Secret(base64.b64encode(key).decode())
