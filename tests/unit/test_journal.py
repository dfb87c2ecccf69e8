"""Who did what; and one at a time, whatever happens to the one."""

from __future__ import annotations

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import journal
from toolkit.errors import UsageError
from toolkit.result import Change, MachineReport, Result, State

HOLDER = """
import sys, time
from pathlib import Path
from toolkit import journal
with journal.run(Path(sys.argv[1]), "provision", "lab"):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    commune = tmp_path / "lab"
    commune.mkdir()
    (commune / "commune.toml").write_text("x = 1\n", encoding="utf-8")
    return commune


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "journal").iterdir())


def test_a_run_leaves_who_when_and_what_came_of_each_machine(folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    key.with_name("id_ed25519.pub").write_text("ssh-ed25519 AAAA Mélanie Durand\n", encoding="utf-8")
    machine = MachineReport("gw-mairie", "gateway", State.CHANGED, changes=(Change("Write wg0.conf", diff="+ peer"),))
    with journal.run(folder, "provision", "lab", selected=["gw-mairie"], key=key) as run:
        run.finish(Result("provision", "lab", (machine,)))
    (entry,) = journal.entries(folder)
    assert (entry.command, entry.commune, entry.outcome, entry.exit_code) == ("provision", "lab", "done", 0)
    assert entry.key == "Mélanie Durand"
    assert entry.user
    assert entry.began.endswith("+00:00")
    assert entry.ended >= entry.began
    assert entry.selected == ("gw-mairie",)
    assert entry.machines == {"gw-mairie": {"state": "changed", "reason": "", "changes": ["Write wg0.conf"]}}
    assert "peer" not in (folder / "journal" / files(folder)[0]).read_text(encoding="utf-8")


def test_an_entry_is_not_for_everybody(folder: Path) -> None:
    with journal.run(folder, "provision", "lab"):
        pass
    assert stat.S_IMODE((folder / "journal").stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / "journal" / files(folder)[0]).stat().st_mode) == 0o640


def test_a_second_run_is_told_who_is_at_work_and_since_when(folder: Path) -> None:
    process = hold(folder)
    try:
        with pytest.raises(UsageError) as refused, journal.run(folder, "provision", "lab"):
            pass
        now = journal.running(folder)
    finally:
        process.kill()
        process.wait()
    assert now is not None
    assert now.pid == process.pid
    assert f"(process {process.pid}) is at work since {now.local}" in str(refused.value)
    assert len(files(folder)) == 1


def test_a_killed_run_leaves_no_lock_and_is_called_killed_by_the_next(folder: Path) -> None:
    process = hold(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder / "journal" / ".2026.json.new").write_text("half an en", encoding="utf-8")
    assert journal.running(folder) is None
    with journal.run(folder, "provision", "lab"):
        pass
    assert [entry.outcome for entry in journal.entries(folder)] == ["done", "killed"]
    assert [name for name in files(folder) if not name.endswith(".json") or name.startswith(".")] == []


def test_an_interrupted_run_says_so(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), journal.run(folder, "provision", "lab"):
        raise KeyboardInterrupt
    (entry,) = journal.entries(folder)
    assert (entry.outcome, entry.exit_code) == ("interrupted", 130)


def test_an_error_is_noted_by_its_kind_alone(folder: Path) -> None:
    with pytest.raises(ValueError, match="hunter2"), journal.run(folder, "provision", "lab"):
        raise ValueError("the password is hunter2")
    (file,) = files(folder)
    assert "hunter2" not in (folder / "journal" / file).read_text(encoding="utf-8")
    (entry,) = journal.entries(folder)
    assert (entry.outcome, entry.note) == ("failed", "ValueError")


def test_a_run_in_which_nothing_was_done_leaves_nothing(folder: Path) -> None:
    with journal.run(folder, "provision", "lab") as run:
        run.forget()
    assert files(folder) == []


def test_the_inventorys_git_commit_is_noted_and_whether_it_was_edited_since(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@lab.example"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert journal.revision_of(folder) == commit
    (folder / "commune.toml").write_text("x = 2\n", encoding="utf-8")
    assert journal.revision_of(folder) == f"{commit}+"


def test_outside_git_there_is_no_commit(folder: Path) -> None:
    assert journal.revision_of(folder) == ""


def test_what_was_written_by_hand_has_a_digest_that_only_editing_changes(folder: Path) -> None:
    before = journal.digest_of(folder)
    (folder / "ledger.json").write_text("{}", encoding="utf-8")
    assert journal.digest_of(folder) == before
    (folder / "agents.csv").write_text("identifiant\n", encoding="utf-8")
    assert journal.digest_of(folder) != before


def test_an_entry_that_cannot_be_read_hides_no_other(folder: Path) -> None:
    with journal.run(folder, "provision", "lab"):
        pass
    (folder / "journal" / "2000-01-01T00-00-00.0Z-provision.json").write_text("{", encoding="utf-8")
    (folder / "journal" / "2000-01-01T00-00-01.0Z-provision.json").write_text(json.dumps({"x": 1}), encoding="utf-8")
    assert len(list(journal.entries(folder))) == 1


def test_the_person_behind_sudo_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "m.durand")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    with journal.run(folder, "provision", "lab"):
        pass
    (entry,) = journal.entries(folder)
    assert entry.user == "m.durand"
    assert entry.pid == os.getpid()


@pytest.mark.parametrize("variable", ["SUDO_USER", "LOGNAME", "USER"])
def test_nobody_puts_somebody_elses_name_into_the_journal(folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "m.durand")
    monkeypatch.setattr(os, "getuid", lambda: pwd.getpwnam("nobody").pw_uid)
    with journal.run(folder, "provision", "lab"):
        pass
    (entry,) = journal.entries(folder)
    assert entry.user == "nobody"
