"""What a difference is called, and which way round it is shown."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from toolkit import __version__
from toolkit.drift import _drifted, _files, _other_way
from toolkit.result import Change, MachineReport, State
from toolkit.snapshot import Given
from toolkit.traces import Deed, Traces

DIFF = "--- /etc/a.conf\n+++ /etc/a.conf\n@@ -1,2 +1,3 @@\n same\n-now\n+wanted\n+more"


def report(version: str = __version__, *deeds: Deed) -> MachineReport:
    given = Given(Path("lab"), date(2026, 11, 25), datetime(2026, 11, 25, tzinfo=UTC), version)
    machine = MachineReport("gw-mairie", "gateway", State.UNCHANGED)
    return _drifted(machine, (Change("Write a.conf", diff=DIFF),), Traces(deeds, {"/etc/a.conf": 1_764_000_000}), given)


def test_a_diff_shows_what_was_done_not_what_would_undo_it():
    assert _other_way(DIFF) == "--- /etc/a.conf\n+++ /etc/a.conf\n@@ -1,3 +1,2 @@\n same\n+now\n-wanted\n-more"


def test_the_files_of_a_diff_are_those_of_its_heads():
    assert _files(f"--- /dev/null\n+++ /etc/new\n+x\n{DIFF}") == ("/etc/new", "/etc/a.conf")


def test_a_change_says_when_its_file_was_written():
    (change,) = report().changes
    assert change.detail.startswith("written ")


def test_the_last_deeds_are_told_and_json_has_them_all():
    deeds = [Deed(moment, "paul", f"sudo {moment}") for moment in range(20)]
    found = report(__version__, *deeds)
    assert "… 12 earlier ones" in found.reason and "sudo 19" in found.reason and "sudo 3\n" not in found.reason
    deeds_told = found.details["deeds"]
    assert isinstance(deeds_told, list)
    assert len(deeds_told) == 20


@pytest.mark.parametrize(("version", "warned"), [(__version__, False), ("0.0.1", True)])
def test_another_telekit_than_that_of_the_provision_is_said(version, warned):
    assert bool(report(version).warnings) is warned
