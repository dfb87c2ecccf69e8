"""The PDF says what the page says."""

from __future__ import annotations

import io
from dataclasses import replace

import pypdf
import pytest

from tests.unit.evidence.conftest import SIGNED
from toolkit.evidence.contents import contents
from toolkit.evidence.paper import pdf
from toolkit.evidence.record import Record
from toolkit.evidence.words import LANGUAGES
from toolkit.model import Commune


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_has_every_section_and_what_machines_said_as_text(commune: Commune, kept: Record, language: str) -> None:
    report = contents(language, commune, kept, SIGNED, "d" * 64)
    document = pypdf.PdfReader(io.BytesIO(pdf(report)))
    text = " ".join(" ".join(page.extract_text() for page in document.pages).split())
    titles = [entry.title for entry in document.outline if isinstance(entry, pypdf.generic.Destination)]
    assert titles == [section.title for section in report.sections]
    assert len(titles) == len(document.outline)
    assert "<script>alert(1)</script>" in text
    assert "le maire <b>" in text
    assert "portable-2" not in text
    assert document.metadata and document.metadata.title == f"{report.title} – Essai-sur-Orge"
    assert sum(len(page.images) for page in document.pages) == 1


def test_the_same_report_gives_the_same_bytes(commune: Commune, kept: Record) -> None:
    report = contents("fr", commune, kept, SIGNED, "d" * 64)
    assert pdf(report) == pdf(report)


def test_a_picture_that_is_none_spoils_no_report(commune: Commune, kept: Record) -> None:
    broken = replace(kept.pictures[0], png=kept.pictures[0].png[:60])
    for picture in (broken, replace(broken, png=b"<svg onload=x>")):
        report = contents("fr", commune, replace(kept, pictures=(picture,)), SIGNED, "d" * 64)
        assert pdf(report).startswith(b"%PDF")
