"""The keys that are being replaced, in words: laptops', gateways', the commune's authority."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from toolkit.behind import ready, unready
from toolkit.ledger import AuthorityChange, Rotation, Succession
from toolkit.model import Commune

# What a rotation waits for.
_STAGES = {
    "laptop": "waits for the laptop to be reached",
    "gateway": "waits for the gateway to be reached",
    "handshake": "waits for its first handshake",
}


def laptop_keys_replaced(rotations: Mapping[str, Rotation]) -> Iterator[str]:
    """The keys that are being replaced, and those that were not in time."""
    under_way = [(name, rotation) for name, rotation in sorted(rotations.items()) if not rotation.lapsed]
    going = [f"{name} (since {one.began}, {_STAGES[one.stage]}, until {one.until})" for name, one in under_way]
    late = [name for name, rotation in sorted(rotations.items()) if rotation.lapsed]
    if going:
        yield f"Keys being replaced: {', '.join(going)}."
    if late:
        yield f"Keys that were not replaced in time, and stay: {', '.join(late)} (telekit rotate begins again)."


def gateway_key_replaced(name: str, one: Succession, late: list[str] | None, commune: Commune) -> str:
    """A gateway's own key that is being replaced, and who still uses the old one."""
    said = f"{name}'s own key is being replaced (since {one.began}, until {one.until})"
    if not one.told:
        return f"{said}: it does not know the new one yet (telekit provision)."
    if late is None:
        return f"{said}; it did not say who still uses the old one."
    if not late:
        return f"{said}: every device uses the new one, and the next provision ends it."
    still = f"{said}; not seen with the new one yet: {', '.join(late)}"
    if commune.today <= one.until:
        return f"{still}."
    choice = "more time: telekit rotate --gateway --days N; or the old key goes: telekit rotate --gateway --conclude"
    return f"{still}. Its days are over ({choice})."


def authority_replaced(change: AuthorityChange, commune: Commune) -> str:
    """The commune's authority that is being replaced, and whom that waits for."""
    said = f"The commune's certificate authority is being replaced (since {change.began}, until {change.until})"
    late = unready(commune, change)
    if late and change.issuing:
        return f"{said}; desktops that still have a certificate of the old one: {', '.join(late)}."
    if late:
        return f"{said}; not known to trust the new one yet: {', '.join(late)}."
    if ready(commune, change):
        return f"{said}: the next provision goes on with it."
    return f"{said}: people with new kits have until then to use them."
