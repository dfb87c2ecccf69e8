"""What the gateway's program writes of tunnels: the program itself, fed with what WireGuard would say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import program_of

PROGRAM = Path(__file__).parents[3] / "templates" / "wireguard" / "tunnel_record.py"
KEY = "aoIaoKIRyw3dV54kQnkBgUSc5k4aUh7dZGSmdFpjlyk="
NAMES = {KEY: "portable-041"}
HOME, HOTEL = "198.51.100.7:40001", "198.51.100.99:50001"


record = program_of(PROGRAM, "tunnel_record")


def what(events: list[Any]) -> list[str]:
    return [f"{e.what} {e.tunnel.device} {e.tunnel.endpoint}" for e in events]


def test_a_handshake_opens_a_tunnel_at_the_time_of_the_handshake() -> None:
    events = record.observe({}, {KEY: record.Peer(1000, HOME)}, NAMES, 1004)
    assert what(events) == [f"opened portable-041 {HOME}"]
    assert events[0].time == 1000


def test_a_peer_that_never_shook_hands_is_no_tunnel() -> None:
    assert record.observe({}, {KEY: record.Peer(0, "")}, NAMES, 1_800_000_000) == []


def test_a_tunnel_that_renews_its_handshake_says_nothing() -> None:
    tunnels: dict[str, object] = {}
    record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1000)
    assert record.observe(tunnels, {KEY: record.Peer(1120, HOME)}, NAMES, 1121) == []
    assert record.observe(tunnels, {KEY: record.Peer(1120, HOME)}, NAMES, 1300) == []


def test_a_tunnel_closes_when_its_handshake_is_older_than_180_seconds() -> None:
    tunnels: dict[str, object] = {}
    record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1000)
    assert record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1180) == []
    assert what(record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1181)) == [f"closed portable-041 {HOME}"]
    assert tunnels == {}


def test_a_removed_peer_closes_at_once_under_its_old_name() -> None:
    tunnels: dict[str, object] = {}
    record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1000)
    assert what(record.observe(tunnels, {}, {}, 1005)) == [f"closed portable-041 {HOME}"]


def test_another_public_endpoint_is_recorded() -> None:
    tunnels: dict[str, object] = {}
    record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1000)
    assert what(record.observe(tunnels, {KEY: record.Peer(1060, HOTEL)}, NAMES, 1061)) == [f"moved portable-041 {HOTEL}"]


@pytest.mark.parametrize("peers", [None, {KEY: record.Peer(0, "")}])
def test_an_interface_that_restarts_neither_closes_nor_opens_a_tunnel(peers: object) -> None:
    tunnels: dict[str, object] = {}
    record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1000)
    assert record.observe(tunnels, peers, NAMES, 1010) == []
    assert record.observe(tunnels, {KEY: record.Peer(1020, HOME)}, NAMES, 1021) == []


def test_a_device_that_stays_away_after_a_restart_is_closed() -> None:
    tunnels: dict[str, object] = {}
    record.observe(tunnels, {KEY: record.Peer(1000, HOME)}, NAMES, 1000)
    assert what(record.observe(tunnels, None, NAMES, 1181)) == [f"closed portable-041 {HOME}"]


def test_open_tunnels_are_remembered_and_a_damaged_memory_does_no_harm(tmp_path: Path) -> None:
    memory = record.Memory(tmp_path / "tunnels.json")
    tunnels = {KEY: record.Tunnel("portable-041", HOME, 1000.0, 1100.0)}
    memory.save(tunnels, 1100.0)
    assert memory.load() == tunnels
    (tmp_path / "tunnels.json").write_text('{"half', encoding="utf-8")
    assert memory.load() == {}


def test_the_record_is_private_and_keeps_as_many_months_as_asked(tmp_path: Path) -> None:
    for day in ("2025-11-23", "2025-11-25", "2026-11-24"):
        (tmp_path / f"tunnels-{day}.log").touch()
    (tmp_path / "other.log").touch()
    kept = record.Record(tmp_path, 12)
    kept.sweep(date(2026, 11, 25))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["other.log", "tunnels-2025-11-25.log", "tunnels-2026-11-24.log"]
    kept.write([record.Event(1_795_600_000.0, "opened", record.Tunnel("portable-041", HOME, 1_795_600_000.0, 0.0))])
    (written,) = [f for f in tmp_path.iterdir() if f.stat().st_size]
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.read_text(encoding="utf-8").endswith(f" opened device=portable-041 endpoint={HOME}\n")


@pytest.mark.parametrize(
    ("today", "months", "first"),
    [
        (date(2026, 11, 25), 12, date(2025, 11, 25)),
        (date(2026, 8, 31), 6, date(2026, 2, 28)),
        (date(2026, 3, 1), 6, date(2025, 9, 1)),
        (date(2024, 2, 29), 12, date(2023, 2, 28)),
    ],
)
def test_the_retention_counts_whole_months(today: date, months: int, first: date) -> None:
    assert record.oldest_kept(today, months) == first


def test_the_program_runs_and_stops_where_there_is_no_interface(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--interface", "absent0", "--names", str(tmp_path / "names")]
    command += ["--record", str(tmp_path), "--memory", str(tmp_path / "tunnels.json"), "--months", "6"]
    (tmp_path / "wg").write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    (tmp_path / "wg").chmod(0o755)
    with subprocess.Popen(command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, stderr=subprocess.PIPE) as running:
        # Its memory is written on its first turn; how long that takes, other programs on this computer decide.
        for _ in range(200):
            if (tmp_path / "tunnels.json").exists():
                break
            time.sleep(0.1)
        assert running.poll() is None
        running.terminate()
        assert running.wait(30) == 0
        assert running.stderr and running.stderr.read() == b""
    assert (tmp_path / "tunnels.json").read_text(encoding="utf-8") == "{}"
