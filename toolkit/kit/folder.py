"""Kits on the operator's disk: readable by the operator alone from the first byte, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

from toolkit.atomic import replace_file
from toolkit.errors import UsageError
from toolkit.kit.contents import NAMES, Files
from toolkit.model import Agent

INDEX = "index.csv"
SPACE = "look at the folder's owner and the disk's free space"
# The same kit makes the same archive, whenever it is made.
EPOCH = (1980, 1, 1, 0, 0, 0)
Row = tuple[str, ...]


def output(folder: Path) -> None:
    """Given where kits go, a folder for the operator alone is there; one that was there before stays as it is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be made: {error.strerror or error}", where=str(folder), hint="name another folder") from error


def place(folder: Path, agent: Agent, *, archive: bool) -> Path:
    """Where an agent's kit stands."""
    return folder / f"kit-{agent.identifier}{'.zip' if archive else ''}"


def write_folder(target: Path, files: Files) -> None:
    """The kit as a folder; a kit that was there is replaced, a folder with anything else in it is refused."""
    fresh, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    _refuse_foreign(target)
    try:
        for left in (fresh, old):
            _remove(left)
        fresh.mkdir(mode=0o700)
        for name, content in files.items():
            _create(fresh / name, content)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        _remove(old)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror or error}", where=str(target), hint=SPACE) from error
    finally:
        _remove(fresh)


def write_archive(target: Path, files: Files) -> None:
    """The kit as a zip file that unpacks to one folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{target.stem}/{name}", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    replace_file(target, buffer.getvalue(), mode=0o600)


def write_index(folder: Path, heading: Row, rows: Iterable[Row]) -> Path:
    """The list of kits, as a spreadsheet opens it in France: semicolons, and a byte order mark for the accents."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(heading)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    target = folder / INDEX
    replace_file(target, text.getvalue().encode("utf-8-sig"), mode=0o600)
    return target


def _harmless(cell: str) -> str:
    """A spreadsheet would take it for a formula."""
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r") else cell


def _refuse_foreign(target: Path) -> None:
    """Whatever is there and is not a kit stays."""
    if not target.is_symlink() and not target.exists():
        return
    if target.is_symlink() or not target.is_dir() or {entry.name for entry in target.iterdir()} - NAMES:
        hint = "move it away, or name another folder with --output"
        raise UsageError("is there already and holds more than a kit; it stays as it is", where=str(target), hint=hint)


def _create(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(content)


def _remove(folder: Path) -> None:
    """What an interrupted run left; never through a link."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)
