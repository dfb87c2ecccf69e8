"""An LDIF file, as a directory's export writes it → the people in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

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
    # Values that are URLs are never fetched: the parser is told of no scheme.
    parser = _parser()(io.BytesIO(content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")), encoding=None)
    try:
        for dn, entry in parser.parse():
            if "changetype" in {name.lower() for name in entry}:
                raise UsageError("is a list of changes, not of entries", where=file, hint="export the entries themselves")
            if dn is not None:
                yield dn.decode() if isinstance(dn, bytes) else dn, entry
    except (ValueError, LookupError) as error:
        what = f"is not LDIF, near line {parser.line_counter}: {_short(error)}"
        raise UsageError(what, where=file, hint="export it again, or use a CSV file") from error


@cache
def _parser() -> type[Any]:
    from ldif import LDIFParser

    class Parser(LDIFParser):  # type: ignore[misc]  # ldif ships no types
        """Takes names as they are: the library's pattern for them needs hours for a name made to that end."""

        def _check_dn(self, dn: str | None, _: object) -> None:
            if dn is not None:
                raise ValueError("two lines starting with dn: in one entry")

    return Parser


def _short(error: Exception) -> str:
    said = "".join(c if c.isprintable() else "�" for c in str(error))
    return said[:80] or type(error).__name__
