"""Who a change of keys still waits for, so that nobody is shut out by its end."""

from __future__ import annotations

from collections.abc import Collection

from toolkit.ledger import AuthorityChange, Succession
from toolkit.model import Commune, Laptop


def behind(commune: Commune, coming: Succession, keys: Collection[str]) -> tuple[str, ...]:
    """The devices that do not use the gateway's next key yet; keys: the public keys of those that do.

    Without access today a device cannot; one that was told of the key needs not, any other would be shut out one day.
    """
    peers, used = {laptop.name for laptop in commune.peers}, set(keys)
    mine = [laptop for laptop in commune.laptops if laptop.public_key and not used & set(laptop.keys)]
    return tuple(laptop.name for laptop in mine if laptop.name in peers or laptop.name not in coming.informed)


def unready(commune: Commune, change: AuthorityChange) -> tuple[str, ...]:
    """The machines that a change of the authority waits for: those that do not trust the new one, then desktops without it."""
    if change.issuing:
        return tuple(m.name for m in commune.desktops if m.certificate and m.name not in change.informed)
    enrolled = [m for m in commune.laptops if m.public_key]
    laptops = [m.name for m in enrolled if m.managed and m.name not in change.informed]
    return (*laptops, *(m.name for m in enrolled if _by_kit(m, commune) and m.name not in change.kits))


def ready(commune: Commune, change: AuthorityChange) -> bool:
    """Whether the next step takes the desktop from nobody: people with kits have been given their days to use them."""
    waits = not change.issuing and commune.today <= change.until and any(_by_kit(m, commune) for m in commune.laptops)
    return not waits and not unready(commune, change)


def _by_kit(laptop: Laptop, commune: Commune) -> bool:
    """A device that has a key, opens a desktop, and learns from its kit alone by what desktops prove their identity."""
    agent = commune.agent_of.get(laptop.name)
    return bool(laptop.public_key and not laptop.managed and agent is not None and agent.desktop)
