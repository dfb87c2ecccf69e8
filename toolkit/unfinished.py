"""Revocations that did not reach every machine: which are left, and the word in their records when a provision has done it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from toolkit import journal
from toolkit.atomic import replace_file
from toolkit.journal import Entry
from toolkit.result import MachineReport, State

RECORDS = "incidents"
GOOD = frozenset({State.CHANGED, State.UNCHANGED, State.REVOKED})


@dataclass(frozen=True)
class Unfinished:
    """What an agent's revocation did not do on one machine. record: the name of its record; "" if it was cut short before."""

    agent: str
    machine: str
    since: str
    record: str = ""


def note(agent: str, record: str = "", reason: str = "") -> str:
    """What a revocation leaves in the journal for this page."""
    return "; ".join(part for part in (agent, record, reason) if part)


def unfinished(folder: Path) -> tuple[Unfinished, ...]:
    """The oldest first."""
    found: dict[tuple[str, str], Unfinished] = {}
    for entry in reversed(list(journal.entries(folder))):
        if entry.command == "agent revoke" and entry.outcome != journal.RUNNING:
            found |= {(item.agent, item.machine): item for item in _left(entry)}
            done = {(_words(entry)[0], name) for name in _good(entry)}
        elif entry.command == "provision":
            good = _good(entry)
            done = {key for key in found if key[1] in good}
        else:
            continue
        found = {key: item for key, item in found.items() if key not in done}
    return tuple(found.values())


def _left(entry: Entry) -> Iterable[Unfinished]:
    agent, *more = _words(entry)
    names = set(entry.selected if entry.machines is None else entry.machines) - _good(entry)
    record = next((word for word in more if word.endswith(".md")), "")
    return [Unfinished(agent, name, entry.local[:16], record) for name in sorted(names)]


def _words(entry: Entry) -> list[str]:
    return entry.note.split("; ")


def _good(entry: Entry) -> set[str]:
    return {name for name, came in (entry.machines or {}).items() if came["state"] in GOOD}


def complete(folder: Path, left: Iterable[Unfinished], reports: Iterable[MachineReport], now: datetime) -> None:
    """Add to the records what a provision has now done."""
    good = {report.name for report in reports if report.state in GOOD}
    for item in left:
        file = folder / RECORDS / item.record
        if item.machine in good and item.record and file.is_file():
            line = f"- {now:%d/%m/%Y à %H h %M} : ce qui restait à faire sur {item.machine} a été fait par `telekit provision`.\n"
            replace_file(file, file.read_bytes().rstrip(b"\n") + b"\n\n" + line.encode(), mode=0o600)
