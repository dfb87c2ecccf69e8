#!/usr/bin/python3
# Written by telekit. Edit commune.toml instead.
"""Record of the tunnels opened and closed: WireGuard itself writes no log.

A tunnel is open while its last handshake is at most 180 seconds old. One line an event, one file a day, for as many months
as the town hall keeps its logs. What is open is remembered across restarts, of this program, of the interface and of the
machine: a tunnel that lives on through one is neither closed nor opened again in the record.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from types import FrameType

CLOSED_AFTER = 180
POLL_SECONDS = 5
SAVE_SECONDS = 60


@dataclass
class Tunnel:
    """An open tunnel; times are seconds since the epoch, `seen` is the last handshake."""

    device: str
    endpoint: str
    since: float
    seen: float


@dataclass(frozen=True)
class Peer:
    """What WireGuard says of a peer: its last handshake (0: none) and where it comes from."""

    handshake: float
    endpoint: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a tunnel: opened, moved (to another public endpoint) or closed."""

    time: float
    what: str
    tunnel: Tunnel

    def __str__(self) -> str:
        line = f"{stamp(self.time)} {self.what} device={self.tunnel.device} endpoint={self.tunnel.endpoint}"
        return f"{line} since={stamp(self.tunnel.since)}" if self.what != "opened" else line


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def observe(tunnels: dict[str, Tunnel], peers: dict[str, Peer] | None, names: dict[str, str], now: float) -> list[Event]:
    """Bring the open tunnels up to date and say what happened; peers None: the interface is not there to ask."""
    events = []
    for key, peer in (peers or {}).items():
        tunnel = tunnels.get(key)
        if tunnel is None:
            if now - peer.handshake <= CLOSED_AFTER:
                tunnels[key] = Tunnel(names.get(key, key), peer.endpoint, peer.handshake, peer.handshake)
                events.append(Event(peer.handshake, "opened", tunnels[key]))
            continue
        tunnel.seen = max(tunnel.seen, peer.handshake)
        if peer.handshake and peer.endpoint and peer.endpoint != tunnel.endpoint:
            tunnel.endpoint = peer.endpoint
            events.append(Event(now, "moved", tunnel))
    for key, tunnel in list(tunnels.items()):
        if now - tunnel.seen > CLOSED_AFTER or (peers is not None and key not in peers):
            events.append(Event(now, "closed", tunnels.pop(key)))
    return events


def ask_wireguard(interface: str) -> dict[str, Peer] | None:
    """The tunnel's peers, each where it was heard of last: the gateway has a second interface while its own key changes."""
    found = ask_interface(interface)
    if found is None or not Path(f"/sys/class/net/{interface}-next").exists():
        return found
    for key, peer in (ask_interface(f"{interface}-next") or {}).items():
        if key not in found or peer.handshake > found[key].handshake:
            found[key] = peer
    return found


def ask_interface(interface: str) -> dict[str, Peer] | None:
    """The interface's peers; its keys are not asked for."""
    answers = []
    for what in ("latest-handshakes", "endpoints"):
        done = subprocess.run(["wg", "show", interface, what], capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            return None
        answers.append(dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line))
    handshakes, endpoints = answers
    where = {key: "" if endpoint == "(none)" else endpoint for key, endpoint in endpoints.items()}
    return {key: Peer(float(handshake), where.get(key, "")) for key, handshake in handshakes.items()}


def read_names(file: Path) -> dict[str, str]:
    """Public key → device, from lines "key device"."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split(" ", 1) for line in lines if " " in line and not line.startswith("#"))


def oldest_kept(today: date, months: int) -> date:
    """The first day whose record is kept."""
    month = today.year * 12 + today.month - 1 - months
    year, month = divmod(month, 12)
    for day in range(today.day, today.day - 4, -1):
        try:
            return date(year, month + 1, day)
        except ValueError:  # the month is shorter than that
            continue
    raise AssertionError("every month has a day among these four")


class Record:
    """The record's files: tunnels-YYYY-MM-DD.log, readable by root alone."""

    def __init__(self, folder: Path, months: int) -> None:
        self.folder = folder
        self.months = months
        self.swept: date | None = None

    def write(self, events: list[Event]) -> None:
        for event in events:
            day = datetime.fromtimestamp(event.time).date()
            handle = os.open(self.folder / f"tunnels-{day}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "a", encoding="utf-8") as file:
                file.write(f"{event}\n")

    def sweep(self, today: date) -> None:
        """Remove the days that are older than the retention."""
        if self.swept == today:
            return
        first = f"tunnels-{oldest_kept(today, self.months)}.log"
        for file in self.folder.glob("tunnels-????-??-??.log"):
            if file.name < first:
                file.unlink()
        self.swept = today


class Memory:
    """The open tunnels, kept in a file that is whole or absent."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.saved = 0.0

    def load(self) -> dict[str, Tunnel]:
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            return {key: Tunnel(**value) for key, value in found.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            print(f"{self.file} is damaged, beginning anew: {error}", file=sys.stderr)
            return {}

    def save(self, tunnels: dict[str, Tunnel], now: float) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({key: asdict(tunnel) for key, tunnel in tunnels.items()}), encoding="utf-8")
        new.replace(self.file)
        self.saved = now


def stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep a record of the tunnels opened and closed.")
    parser.add_argument("--interface", default="wg0")
    parser.add_argument("--names", type=Path, required=True, help='lines "public key, space, device"')
    parser.add_argument("--record", type=Path, required=True, help="folder of the record")
    parser.add_argument("--memory", type=Path, required=True, help="file that remembers what is open")
    parser.add_argument("--months", type=int, required=True, help="how long the record is kept")
    asked = parser.parse_args()
    os.umask(0o077)
    signal.signal(signal.SIGTERM, stop)
    record, memory = Record(asked.record, asked.months), Memory(asked.memory)
    tunnels = memory.load()
    try:
        while True:
            now = time.time()
            events = observe(tunnels, ask_wireguard(asked.interface), read_names(asked.names), now)
            record.write(events)
            if events or now - memory.saved > SAVE_SECONDS:
                memory.save(tunnels, now)
            record.sweep(date.today())
            time.sleep(POLL_SECONDS)
    finally:
        memory.save(tunnels, time.time())


if __name__ == "__main__":
    main()
