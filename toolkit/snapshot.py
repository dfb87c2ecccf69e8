"""What machines were last given: the inventory and the ledger of that provision, kept beside the journal."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from toolkit import journal, ledger
from toolkit.atomic import replace_file
from toolkit.result import State

FOLDER = "given"
FILES = (*journal.HAND_WRITTEN, ledger.FILE)
NEVER = "it was never provisioned"
HALF = "its last provision did not finish: run it again"
FORGOTTEN = "what its last provision gave it is not known any more: provision it once"


@dataclass(frozen=True)
class Given:
    """A machine's last provision: the commune as it was (a folder), the day there, when the run ended, which telekit it was."""

    folder: Path
    day: date
    ended: datetime
    version: str


def written_by_hand(folder: Path) -> dict[str, bytes]:
    """The files that people write, as they are now."""
    found: dict[str, bytes] = {}
    for name in journal.HAND_WRITTEN:
        with suppress(FileNotFoundError):
            found[name] = (folder / name).read_bytes()
    return found


def keep(folder: Path, by_hand: Mapping[str, bytes]) -> str:
    """Keep these files and the ledger as it is now; the name under which they are found again."""
    contents = dict(by_hand)
    with suppress(FileNotFoundError):
        contents[ledger.FILE] = (folder / ledger.FILE).read_bytes()
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    name = digest.hexdigest()[:32]
    kept = _place(folder, name)
    kept.mkdir(mode=0o750, parents=True, exist_ok=True)
    for file, content in contents.items():
        replace_file(kept / file, content, mode=0o640)
    return name


def last_given(folder: Path, machines: Iterable[str]) -> dict[str, Given | str]:
    """By machine, its last provision; or why that says nothing about it."""
    wanted = set(machines)
    found: dict[str, Given | str] = {}
    for entry in journal.entries(folder):
        if found.keys() == wanted:
            break
        if entry.command != "provision" or entry.outcome == journal.RUNNING:
            continue
        for name in wanted - set(found):
            if entry.machines is None and (not entry.selected or name in entry.selected):
                found[name] = HALF  # killed: it may have been in the middle of anything
            elif entry.machines and name in entry.machines:
                came = entry.machines[name]
                if came["state"] in (State.CHANGED, State.UNCHANGED):
                    found[name] = _given(folder, entry)
                elif came["changes"]:
                    found[name] = HALF
    return {name: found.get(name, NEVER) for name in wanted}


def _given(folder: Path, entry: journal.Entry) -> Given | str:
    kept = _place(folder, entry.given)
    if not entry.given or not (kept / journal.HAND_WRITTEN[0]).is_file():
        return FORGOTTEN
    return Given(kept, date.fromisoformat(entry.local[:10]), datetime.fromisoformat(entry.ended), entry.version)


def prune(folder: Path, machines: Iterable[str]) -> None:
    """Drop what no machine's last provision speaks of."""
    used = {given.folder.parent.name for given in last_given(folder, machines).values() if isinstance(given, Given)}
    with suppress(FileNotFoundError):
        for kept in (folder / journal.FOLDER / FOLDER).iterdir():
            if kept.name not in used:
                shutil.rmtree(kept)


def _place(folder: Path, name: str) -> Path:
    """The last part of a commune's folder is its short name, which the recipes know."""
    return folder / journal.FOLDER / FOLDER / name / folder.resolve().name
