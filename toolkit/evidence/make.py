"""From the last kept verification to the files that people asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit import journal
from toolkit.errors import UsageError
from toolkit.evidence import record, signature
from toolkit.evidence.blocks import Report
from toolkit.evidence.contents import contents
from toolkit.evidence.record import Record
from toolkit.evidence.signature import Signature
from toolkit.model import Commune


@dataclass(frozen=True)
class Made:
    """The kept run, what its signature is worth, and the files that were written."""

    record: Record
    signed: Signature
    written: tuple[Path, ...]


@dataclass(frozen=True)
class Wanted:
    """The files to write, where they are wanted, and their language."""

    html: Path | None = None
    pdf: Path | None = None
    junit: Path | None = None
    language: str = "fr"

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.html, self.pdf, self.junit) if file)


def make(folder: Path, commune: Commune, identities: tuple[Path, ...], wanted: Wanted) -> Made:
    """Read the last run, sign it if nobody has, and write what is wanted."""
    run = record.last(folder)
    why = "" if signature.file_of(run.file).exists() else signature.sign(run.file, identities)
    signed = signature.check(run.file, commune.operators, why)
    if wanted.junit:
        from toolkit.verify.junit import junit_xml

        put(wanted.junit, junit_xml(commune, run.found).encode())
    if wanted.html or wanted.pdf:
        report = contents(wanted.language, commune, run, signed, journal.digest_of(folder))
        _show(report, wanted)
    return Made(run, signed, wanted.files)


def _show(report: Report, wanted: Wanted) -> None:
    if wanted.html:
        from toolkit.evidence.page import page

        put(wanted.html, page(report).encode())
    if wanted.pdf:
        from toolkit.evidence.paper import pdf

        put(wanted.pdf, pdf(report))


def put(file: Path, content: bytes) -> None:
    """Write where it is wanted; its folder is made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror or error}", where=str(file)) from error
