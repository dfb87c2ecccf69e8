"""Revocations that did not reach every machine: remembered until a provision has done what they left."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from toolkit import journal
from toolkit.result import MachineReport, Result, State
from toolkit.unfinished import RECORDS, complete, note, unfinished


def ran(folder: Path, command: str, about: str = "", **machines: State) -> None:
    """As if this had been done to these machines."""
    reports = tuple(MachineReport(name, "desktop", state) for name, state in machines.items())
    with journal.run(folder, command, "lab", selected=tuple(machines), note=about) as run:
        run.finish(Result(command, "lab", reports), note=about)


def left(folder: Path) -> list[tuple[str, str]]:
    return [(item.agent, item.machine) for item in unfinished(folder)]


def test_what_a_revocation_left_is_remembered_until_that_machine_was_provisioned(tmp_path: Path) -> None:
    ran(tmp_path, "agent revoke", note("a.un", "x.md", "volé; encore"), gw=State.REVOKED, d1=State.UNREACHABLE, d2=State.FAILED)
    ran(tmp_path, "agent revoke", note("b.deux"), gw=State.UNREACHABLE)
    assert left(tmp_path) == [("a.un", "d1"), ("a.un", "d2"), ("b.deux", "gw")]
    assert unfinished(tmp_path)[0].record == "x.md"
    ran(tmp_path, "provision", gw=State.CHANGED, d1=State.UNREACHABLE, d2=State.UNCHANGED)
    assert left(tmp_path) == [("a.un", "d1")]
    ran(tmp_path, "verify", d1=State.PASSED)
    assert left(tmp_path) == [("a.un", "d1")]
    ran(tmp_path, "agent revoke", note("a.un"), gw=State.REVOKED, d1=State.REVOKED)
    assert left(tmp_path) == []


def test_one_that_was_cut_short_has_done_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        journal.run(tmp_path, "agent revoke", "lab", selected=("gw", "d1"), note=note("a.un")),
    ):
        raise KeyboardInterrupt
    assert left(tmp_path) == [("a.un", "d1"), ("a.un", "gw")]


def test_the_record_says_when_the_rest_was_done(tmp_path: Path) -> None:
    ran(tmp_path, "agent revoke", note("a.un", "x.md"), d1=State.UNREACHABLE, d2=State.UNREACHABLE)
    (tmp_path / RECORDS).mkdir()
    file = tmp_path / RECORDS / "x.md"
    file.write_text("# Fiche\n", encoding="utf-8")
    reports = [MachineReport("d1", "desktop", State.CHANGED), MachineReport("d2", "desktop", State.UNREACHABLE)]
    complete(tmp_path, unfinished(tmp_path), reports, datetime(2026, 11, 26, 9, 5))
    assert file.read_text(encoding="utf-8") == (
        "# Fiche\n\n- 26/11/2026 à 09 h 05 : ce qui restait à faire sur d1 a été fait par `telekit provision`.\n"
    )
    assert file.stat().st_mode & 0o777 == 0o600
