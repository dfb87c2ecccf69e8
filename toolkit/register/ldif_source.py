"""An LDIF file, as a directory's export writes it → the people in it."""

from __future__ import annotations

import io
from collections.abc import Iterator

from toolkit.errors import UsageError
from toolkit.model import Directory
from toolkit.register.entries import Entry, Reader, guessed
from toolkit.register.people import Listing


def looks_like(content: bytes) -> bool:
    """Whether this is LDIF: its first line that says anything is a version or a name."""
    lines = (line.strip().lower() for line in content.removeprefix(b"\xef\xbb\xbf").splitlines())
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return first.startswith((b"version:", b"dn:"))


def read(content: bytes, file: str, directory: Directory | None, timezone: str) -> Listing:
    """Given the bytes of an LDIF file, the people it lists; UsageError if it is none."""
    entries = list(_entries(content, file))
    return Reader(directory or guessed(entries), timezone).listing(file, entries)


def _entries(content: bytes, file: str) -> Iterator[tuple[str, Entry]]:
    from ldif import LDIFParser

    # Values that are URLs are never fetched: the parser is told of no scheme.
    parser = LDIFParser(io.BytesIO(content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")), encoding=None)
    try:
        for dn, entry in parser.parse():
            if "changetype" in {name.lower() for name in entry}:
                raise UsageError("is a list of changes, not of entries", where=file, hint="export the entries themselves")
            if dn is not None:
                yield dn.decode() if isinstance(dn, bytes) else dn, entry
    except (ValueError, LookupError) as error:
        what = f"is not LDIF, near line {parser.line_counter}: {_short(error)}"
        raise UsageError(what, where=file, hint="export it again, or use a CSV file") from error


def _short(error: Exception) -> str:
    said = "".join(c if c.isprintable() else "�" for c in str(error))
    return said[:80] or type(error).__name__
