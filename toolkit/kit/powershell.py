"""Values as PowerShell writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Windows PowerShell takes each of these for an apostrophe; one that is doubled stands for itself.
APOSTROPHES = "'\u2018\u2019\u201a\u201b"


def literal(value: object) -> str:
    """A value as an expression without any code in it: nothing is expanded between apostrophes."""
    if value is None:
        return "$null"
    if isinstance(value, bool):
        return "$true" if value else "$false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return f"'{''.join(c * 2 if c in APOSTROPHES else c for c in value)}'"
    if isinstance(value, Mapping):
        return "@{ " + "; ".join(f"{literal(str(key))} = {literal(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence):
        return f"@({', '.join(map(literal, value))})"
    raise TypeError(f"{type(value).__name__} has no form in PowerShell")
