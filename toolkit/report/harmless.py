"""What machines say, made safe to show: a terminal obeys some characters instead of printing them."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

Shown = TypeVar("Shown")

# Control characters (escape sequences begin with one) but tab and line feed, and what changes the direction of reading or
# stands for nothing that an eye could see.
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)


def harmless(value: Shown) -> Shown:
    """The same, with every character that a terminal would obey written out, as `\\x1b`; in texts at any depth."""
    return _harmless(value)  # type: ignore[no-any-return]  # a copy of the same shape


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Enum):
        return value if value.isprintable() else OBEYED.sub(_written, value.replace("\r\n", "\n"))
    if isinstance(value, tuple):
        return tuple(map(_harmless, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _harmless(getattr(value, field.name)) for field in fields(value)})
    return value


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def in_json(document: str) -> str:
    """The same JSON, with those that JSON lets stand as they are (all but the first 32) escaped."""
    return OBEYED.sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _units(found[0])), document)


def _units(character: str) -> list[int]:
    """UTF-16, in which JSON writes what lies beyond four hexadecimal digits."""
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[place : place + 2], "big") for place in range(0, len(encoded), 2)]
