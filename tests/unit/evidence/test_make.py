"""From the last kept run to files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.evidence.conftest import Keep
from toolkit.errors import UsageError
from toolkit.evidence.make import Wanted, make
from toolkit.model import Commune


def test_reports_are_written_where_asked_of_the_last_run(keep: Keep, commune: Commune, tmp_path: Path) -> None:
    folder, out = keep().parent.parent, tmp_path / "out"
    made = make(folder, commune, (), Wanted(out / "page.html", out / "report.pdf", out / "junit.xml"))
    assert made.written == (out / "page.html", out / "report.pdf", out / "junit.xml")
    assert "Essai-sur-Orge" in (out / "page.html").read_text(encoding="utf-8")
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    assert 'failures="1"' in (out / "junit.xml").read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_told(keep: Keep, commune: Commune, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        make(keep().parent.parent, commune, (), Wanted(tmp_path / "file" / "page.html"))
