"""What telekit hands out and is told: tunnel addresses, public keys, certificates. An address, once given, never moves."""

from toolkit.ledger.book import Ledger
from toolkit.ledger.entries import LEFT, STOLEN, AuthorityChange, Handover, Revocation, Rotation, Succession
from toolkit.ledger.file import FILE, read, write
from toolkit.ledger.leases import Lease

__all__ = [
    "FILE",
    "LEFT",
    "STOLEN",
    "AuthorityChange",
    "Handover",
    "Lease",
    "Ledger",
    "Revocation",
    "Rotation",
    "Succession",
    "read",
    "write",
]
