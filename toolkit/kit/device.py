"""The keys of a device that telekit cannot log into: made here, kept in the vault, leaving it only inside a kit."""

from __future__ import annotations

from datetime import date, timedelta

from toolkit.ledger import Handover, Ledger
from toolkit.model import Agent, Commune, Laptop
from toolkit.secrets import Vault, new_preshared_key, new_private_key, next_name, preshared_name, public_half, tunnel_key_name


def tunnel_key(laptop: Laptop) -> str:
    """The vault's name for the private key of an unmanaged device."""
    return tunnel_key_name(laptop.name)


def preshared_key(laptop: Laptop) -> str:
    """The vault's name for the key that a laptop shares with the gateway."""
    return preshared_name(laptop.name)


def next_tunnel_key(laptop: Laptop) -> str:
    """The vault's name for the private key that a rotation gives an unmanaged device."""
    return next_name(tunnel_key(laptop))


def next_preshared_key(laptop: Laptop) -> str:
    """The vault's name for what it shares with the gateway from then on."""
    return next_name(preshared_key(laptop))


def enrol(book: Ledger, vault: Vault, laptop: Laptop, agent: Agent, today: date | None = None) -> Ledger:
    """Given a device without a key of its own, or with one that was in another agent's kit, it gets a new one.

    Otherwise the kit is made again for the same person and holds the same key: what works already goes on working.
    """
    kept, kit = vault.get(tunnel_key(laptop)), book.kits.get(laptop.name)
    another = kit is not None and kit.agent != agent.identifier
    if kept is None or laptop.name not in book.keys or another:
        kept = new_private_key()
        vault.put(tunnel_key(laptop), kept)
        vault.put(preshared_key(laptop), new_preshared_key())
        # What was to take the place of the former key went to the former agent.
        for coming in (next_tunnel_key(laptop), next_preshared_key(laptop)):
            vault.delete(coming)
    return book.enrolled(laptop.name, public_half(kept), today)


def handed_over(book: Ledger, laptop: Laptop, agent: Agent, commune: Commune) -> Ledger:
    """The ledger with a kit that is made today."""
    expires, before = commune.today + timedelta(days=commune.policy.kit_days), book.kits.get(laptop.name)
    # The same keys again: what works already needs no first use.
    used = before is not None and before.agent == agent.identifier and before.used
    return book.handed_over(laptop.name, Handover(commune.today, expires, agent.identifier, used))
