"""Who did what to a commune, when, and what came of it; and one at a time.

The lock is the kernel's, on the journal's folder itself: a killed process leaves nothing behind. Who holds it is read in
the entry that every run writes when it begins.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit import __version__
from toolkit.atomic import replace_file
from toolkit.errors import UsageError
from toolkit.result import Result

FOLDER = "journal"
HAND_WRITTEN = ("commune.toml", "agents.csv", "operators.keys")
RUNNING, KILLED, INTERRUPTED, FAILED, DONE = "running", "killed", "interrupted", "failed", "done"


class BusyError(UsageError):
    """Another telekit is at work on this commune."""


@dataclass(frozen=True)
class Entry:
    """One run. began, ended: ISO 8601 in UTC; local: when it began on the operator's clock; machines: what became of each.

    inventory: a digest of what was written by hand; revision: its git commit, where it is in git; given: the snapshot of what
    the machines were given.
    """

    command: str
    commune: str
    began: str
    local: str
    user: str
    host: str
    pid: int
    key: str = ""
    version: str = __version__
    revision: str = ""
    inventory: str = ""
    selected: tuple[str, ...] = ()
    ended: str = ""
    outcome: str = RUNNING
    exit_code: int | None = None
    machines: Mapping[str, Mapping[str, Any]] | None = None
    note: str = ""
    given: str = ""


class Run:
    """A run that is going on: the lock is held and the entry says so."""

    def __init__(self, file: Path, entry: Entry) -> None:
        self.file, self.entry = file, entry
        _write(file, entry)

    def finish(self, result: Result, outcome: str = "", *, note: str = "", given: str = "") -> None:
        """Write what came of it."""
        machines = {
            m.name: {"state": str(m.state), "reason": m.reason, "changes": [c.name for c in m.changes]} for m in result.machines
        }
        self.entry = replace(self.entry, given=given)
        self.end(outcome or (DONE if result.exit_code == 0 else FAILED), exit_code=result.exit_code, machines=machines, note=note)

    def end(self, outcome: str, *, exit_code: int, machines: Mapping[str, Any] | None = None, note: str = "") -> None:
        self.entry = replace(self.entry, ended=_now(), outcome=outcome, exit_code=exit_code, machines=machines, note=note)
        _write(self.file, self.entry)

    def forget(self) -> None:
        """Nothing was done: leave no entry."""
        self.entry = replace(self.entry, outcome=DONE)
        self.file.unlink(missing_ok=True)


@contextmanager
def run(
    folder: Path, command: str, commune: str, *, selected: Sequence[str] = (), key: Path | None = None, note: str = ""
) -> Iterator[Run]:
    """Hold the commune's lock and write the entry, whatever happens inside. note: what it is about, also if it is cut short."""
    journal = folder / FOLDER
    journal.mkdir(mode=0o750, exist_ok=True)
    with _locked(journal):
        _bury(journal)
        run = Run(journal / _name(command), replace(_entry(folder, command, commune, selected, key), note=note))
        try:
            yield run
        except BaseException as error:
            if run.entry.outcome == RUNNING:
                interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
                told = "; ".join(word for word in (note, type(error).__name__) if word)
                run.end(INTERRUPTED if interrupted else FAILED, exit_code=130 if interrupted else 1, note=told)
            raise
        if run.entry.outcome == RUNNING:
            run.end(DONE, exit_code=0)


def entries(folder: Path) -> Iterator[Entry]:
    """The runs, the last one first; an entry that cannot be read is left out."""
    for file in sorted((folder / FOLDER).glob("*.json"), reverse=True):
        with suppress(OSError, ValueError, TypeError, KeyError):
            yield _read(file)


def last(folder: Path, command: str) -> Entry | None:
    """The last run of this command that ended."""
    return next((entry for entry in entries(folder) if entry.command == command and entry.outcome != RUNNING), None)


def running(folder: Path) -> Entry | None:
    """The run that holds the lock now."""
    with suppress(FileNotFoundError), _opened(folder / FOLDER) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(folder / FOLDER)
    return None


@contextmanager
def _opened(journal: Path) -> Iterator[int]:
    descriptor = os.open(journal, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        # Said, not left to the closing of the file, which gevent puts off.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def _locked(journal: Path) -> Iterator[None]:
    with _opened(journal) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(_busy(journal), where=journal.parent.name, hint="wait for it, or ask them") from error
        yield


def _busy(journal: Path) -> str:
    entry = _holder(journal)
    if entry is None:
        return "another telekit is at work on this commune"
    return f"`telekit {entry.command}` by {entry.user} on {entry.host} (process {entry.pid}) is at work since {entry.local}"


def _holder(journal: Path) -> Entry | None:
    return next((entry for entry in entries(journal.parent) if entry.outcome == RUNNING), None)


def _bury(journal: Path) -> None:
    """Whoever wrote that it runs is dead: we hold the lock. Its half-written file goes too."""
    for left in journal.glob(".*.new"):
        left.unlink(missing_ok=True)
    for file in journal.glob("*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):
            entry = _read(file)
            if entry.outcome == RUNNING:
                _write(file, replace(entry, outcome=KILLED))


def _entry(folder: Path, command: str, commune: str, selected: Sequence[str], key: Path | None) -> Entry:
    local = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return Entry(
        command=command, commune=commune, began=_now(), local=local, user=_user(), host=os.uname().nodename,
        pid=os.getpid(), key=comment_of(key), revision=revision_of(folder), inventory=digest_of(folder), selected=tuple(selected),
    )  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _name(command: str) -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}Z-{command.replace(' ', '-')}.json"


def _user() -> str:
    """The person, also behind sudo; for anybody but root the variables of the environment say nothing."""
    name = os.environ.get("SUDO_USER") if os.getuid() == 0 else None
    if name:
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def comment_of(key: Path | None) -> str:
    """The comment of an SSH key: what people write their name in."""
    if key is None:
        return ""
    with suppress(OSError, ValueError, IndexError):
        return key.with_name(key.name + ".pub").read_text(encoding="utf-8").split(None, 2)[2].strip()
    return ""


def revision_of(folder: Path) -> str:
    """The git commit of the inventory, with + when it has changes of its own; empty outside git."""
    asked = ["git", "-C", str(folder)]
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([*asked, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changed = subprocess.run(
            [*asked, "status", "--porcelain", "--", "."], capture_output=True, text=True, timeout=5, check=True
        )
        return said.stdout.strip() + ("+" if changed.stdout.strip() else "")
    return ""


def digest_of(folder: Path) -> str:
    """The same as long as nobody edits the inventory."""
    digest = hashlib.sha256()
    for name in HAND_WRITTEN:
        with suppress(FileNotFoundError):
            digest.update(f"{name}\n".encode() + (folder / name).read_bytes())
    return digest.hexdigest()


def _read(file: Path) -> Entry:
    fields = json.loads(file.read_text(encoding="utf-8"))
    return Entry(**{**fields, "selected": tuple(fields["selected"])})


def _write(file: Path, entry: Entry) -> None:
    """Whole or not at all, readable by the operator's group."""
    content = json.dumps(asdict(entry), ensure_ascii=False, indent=1) + "\n"
    replace_file(file, content.encode(), mode=0o640)
