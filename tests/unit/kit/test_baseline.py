"""Windows and Debian laptops get one baseline, from one model: what changes for one changes for both, or is accounted for."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from deploys.antivirus import units, updater
from toolkit.inventory.habits import calendar
from toolkit.kit.baseline import FIELDS, SIGNATURE_HOURS, WEEK, baseline, schedule
from toolkit.kit.windows import installer
from toolkit.model import Agent, Antivirus, Policy


def script_of(town: Any, agent: Agent, **antivirus: Any) -> str:
    commune = town.job().commune
    object.__setattr__(commune, "antivirus", Antivirus(**antivirus))
    return installer(agent, commune, {}, authorities=[], connection="").decode("utf-8-sig")


def values(antivirus: Antivirus, policy: Policy | None = None) -> dict[str, bool | int | str]:
    return {setting.name: setting.value for setting in baseline(antivirus, policy or Policy()).antivirus}


def test_every_field_of_the_policy_is_on_windows_too_or_is_said_why_not() -> None:
    known = {f"{kind.__name__}.{field.name}" for kind in (Antivirus, Policy) for field in fields(kind)}
    assert set(FIELDS) == known
    assert all(FIELDS.values())


@pytest.mark.parametrize("scan", ["Wed 12:30", "Sun 3:05", "Fri 23:59:30"])
def test_debians_weekly_scan_and_windows_are_at_the_same_time(scan: str) -> None:
    wanted = Antivirus(scan=calendar(scan))
    timer = next(text for path, text in units(wanted)["telekit-scan.timer"].items() if path.endswith(".timer"))
    written = re.search(r"OnCalendar=(\w{3}) (\d+):(\d\d)(?::(\d\d))?", timer)
    assert written
    found = values(wanted)
    assert found["ScanScheduleDay"] == WEEK[written[1]]
    assert found["ScanScheduleTime"] == f"{int(written[2]):02}:{written[3]}:{written[4] or '00'}"
    assert found["ScanParameters"] == 2


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        ("Wed 12:30", (4, "12:30:00")), ("12:30", (0, "12:30:00")), ("Mon..Fri 9:00", (0, "09:00:00")),
        ("Mon,Thu 09:00", (0, "09:00:00")), ("*-*-1 12:00:05", (0, "12:00:05")), ("Sat *-*-1 12:00", (0, "12:00:00")),
        ("hourly", (0, "00:00:00")), ("daily", (0, "00:00:00")), ("weekly", (2, "00:00:00")), ("monthly", (2, "00:00:00")),
    ],
)  # fmt: skip
def test_a_calendar_that_defender_cannot_say_becomes_one_that_scans_more_often(scan: str, expected: tuple[int, str]) -> None:
    assert schedule(calendar(scan)) == expected


def test_both_look_for_signatures_as_often() -> None:
    checks = re.search(r"^Checks (\d+)$", updater(Antivirus()), re.MULTILINE)
    assert checks
    assert int(checks[1]) * SIGNATURE_HOURS == 24
    assert values(Antivirus())["SignatureUpdateInterval"] == SIGNATURE_HOURS


def test_debian_reads_files_before_they_are_opened_and_so_does_windows() -> None:
    found = values(Antivirus())
    assert "clamav-clamonacc.service" in units(Antivirus())
    assert found["DisableRealtimeMonitoring"] is False
    assert found["DisableRemovableDriveScanning"] is False


def test_the_baseline_of_the_specification_is_there() -> None:
    found = values(Antivirus())
    assert found["MAPSReporting"] == 2
    assert found["CloudBlockLevel"] == 2
    assert found["EnableControlledFolderAccess"] == 2
    assert found["ScanScheduleQuickScanTime"] == "12:30:00"


def test_what_the_commune_decides_is_what_the_script_sets(town: Any, agent: Agent) -> None:
    script = script_of(town, agent, scan="Thu 11:15", max_age_days=5)
    assert "$MaxAgeDays = 5\r\n" in script
    assert "Name = 'ScanScheduleDay'; Value = 5;" in script
    assert script.count("Value = '11:15:00'") == 2
    assert f"$LockSeconds = {town.job().commune.policy.lock_minutes * 60}\r\n" in script
    for setting in baseline(Antivirus(), Policy()).firewall:
        assert f"Name = '{setting.name}'; Value = '{setting.value}'" in script
