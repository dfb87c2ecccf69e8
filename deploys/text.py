"""Text files of root's, read by everybody."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from pyinfra.operations import files


def text_file(name: str, dest: str, text: str, mode: str = "644") -> None:
    """Have `dest` hold exactly this text."""
    files.put(name=name, src=StringIO(text), dest=dest, user="root", group="root", mode=mode)


def no_file(paths: Iterable[str]) -> None:
    """Have none of these files."""
    for path in paths:
        files.file(name=f"Remove {path}", path=path, present=False)
