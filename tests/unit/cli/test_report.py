"""`telekit report` as an operator runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from toolkit.evidence import record
from toolkit.inventory import load
from toolkit.journal import Entry
from toolkit.verify.result import CheckResult, VerifyResult

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "telekit.schema.json").read_text(encoding="utf-8"))
STEM = "2026-03-01T14-05-00Z-verify"
Telekit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(inventories: Path) -> Path:
    """The lab's folder, with one verification kept."""
    lab = inventories / "lab"
    check = CheckResult(
        "gw-mairie", "services-run", "baseline", "They run", "failed", "no", 0.1, "Ils marchent", "t", "e", "no", "f"
    )
    found = VerifyResult((check,), ("gw-mairie",), {}, (), datetime(2026, 3, 1, 14, 5, tzinfo=UTC), 2.0)
    record.write(lab, load(lab).commune, found, Entry("verify", "lab", "", "", "me", "here", 1), STEM)
    return lab


def test_before_any_verification_it_says_what_to_do(telekit: Telekit, inventories: Path) -> None:
    done = telekit("report", "--commune", "lab")
    assert done.returncode == 2
    assert "no verification was kept yet" in done.stderr and "telekit verify --commune lab" in done.stderr
    assert sorted(file.name for file in (inventories / "lab").iterdir()) == ["agents.csv", "commune.toml"]


def test_without_a_file_the_page_goes_beside_the_verification(telekit: Telekit, folder: Path) -> None:
    done = telekit("report", "--commune", "lab", "--lang", "en")
    assert done.returncode == 0, done.stderr
    page = folder / "verifications" / f"{STEM}.en.html"
    assert str(page) in done.stdout and "Not signed" in done.stdout
    assert "Security of telework" in page.read_text(encoding="utf-8")


def test_json_gives_the_results_as_data_and_writes_nothing_unasked(telekit: Telekit, folder: Path) -> None:
    done = telekit("report", "--commune", "lab", "--json")
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert found["machines"][0]["checks"][0]["check"] == "services-run"
    summary = found["summary"]
    assert (summary["failed"], summary["whole"], summary["signed"], summary["written"]) == (1, False, False, [])
    assert len(summary["sha256"]) == 64 and len(summary["history"]) == 1
    assert not list(folder.glob("verifications/*.html"))
