"""Bytes of a file that a person wrote or a spreadsheet saved → text."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from toolkit.inventory.problems import Problems, Refused

# Every control character but tab, line feed and carriage return.
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def read(path: Path, problems: Problems, *, hint: str, instead: bytes | None = None) -> str | None:
    """The text of a file (or what is read instead), or None with the reason among the problems; hint: what the file is for."""
    try:
        data = path.read_bytes() if instead is None else instead
    except FileNotFoundError:
        problems.error(0, "the file does not exist", hint)
        return None
    except OSError as error:
        problems.error(0, f"cannot be read: {error.strerror or error}", "check the file's owner and permissions")
        return None
    try:
        return decode(data)
    except Refused as refused:
        problems.error(0, refused.what, refused.hint or hint)
        return None


def decode(data: bytes) -> str:
    """UTF-8, with or without its mark, or Windows-1252 → text in composed Unicode, lines ended by line feeds."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Refused("is a spreadsheet or archive, not text", "in the spreadsheet, use Save As and choose CSV UTF-8")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused("is written in UTF-16", "save it again as UTF-8 (in a spreadsheet: CSV UTF-8)")
    text = _characters(data)
    if not text.strip():
        raise Refused("the file is empty")
    control = CONTROLS.search(text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        raise Refused(f"is not text: line {line} holds a control character", "save it again as UTF-8 text")
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _characters(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is neither UTF-8 nor Windows-1252: byte 0x{data[error.start]:02x} on line {line}"
        raise Refused(what, "save it again as UTF-8") from None
