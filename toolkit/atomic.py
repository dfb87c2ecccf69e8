"""Files that are either the old or the new one, whatever happens in between, and readable by nobody else from the first byte."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.errors import UsageError


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file through a new one beside it, synced to the disk before it takes the name; UsageError if that cannot be done.

    The new file's name is always the same: one that a killed process left is overwritten by the next, and `sweep` removes it.
    """
    fresh = _beside(path)
    try:
        fresh.unlink(missing_ok=True)
        _write(fresh, content, mode)
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        hint = "look at the folder's owner and the disk's free space"
        raise UsageError(f"cannot be written: {error.strerror or error}", where=str(path), hint=hint) from error


def _write(fresh: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def sweep(path: Path) -> None:
    """Remove the half-written file that a killed process left beside `path`."""
    _beside(path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
