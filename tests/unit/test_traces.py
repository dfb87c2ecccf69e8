"""Who did something on a machine, as its own logs tell it."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from toolkit.model import Operator
from toolkit.traces import Deed, parse, script, without_repeats

FILE = "/etc/unbound/unbound.conf.d/telekit.conf"


@pytest.fixture
def operator(tmp_path: Path) -> tuple[Operator, str]:
    """An operator, and the fingerprint of their key as ssh-keygen says it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", tmp_path / "key"], check=True)
    said = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key"], check=True, capture_output=True, text=True).stdout
    return Operator("alice", (tmp_path / "key.pub").read_text().strip()), said.split()[1]


def log(moment: int, said: str) -> str:
    return f"log {moment}.000123 gw-mairie {said}"


def sudo(moment: int, user: str, command: str) -> str:
    return log(moment, f"sudo[12]:     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}")


def told(*lines: str, operators: tuple[Operator, ...] = ()):
    return parse("\n".join(lines), "telekit", operators)


def test_a_file_was_written_by_whoever_named_it_last_before():
    seen = told(
        sudo(1000, "paul", f"/usr/bin/vim {FILE}"),
        sudo(1200, "anne", f"/usr/bin/less {FILE}"),
        f"file 1100 {FILE}",
    )
    assert "by paul: sudo /usr/bin/vim" in seen.of([FILE])


def test_a_command_of_hours_before_wrote_nothing_now():
    seen = told(sudo(1000, "paul", f"/usr/bin/vim {FILE}"), f"file 9000 {FILE}")
    assert seen.of([FILE]).startswith("written ") and "paul" not in seen.of([FILE])


def test_a_file_that_is_gone_was_removed_by_whoever_named_it():
    assert told(sudo(1000, "paul", f"/usr/bin/rm {FILE}")).of([FILE]) == f"by paul: sudo /usr/bin/rm {FILE}"


def test_the_audit_log_knows_better():
    seen = told(f"file 1100 {FILE}", f"audit {FILE}\tAt 10:00 paul, acting as root, successfully opened-file {FILE} using vim")
    assert seen.of([FILE]).startswith("At 10:00 paul, acting as root")


def test_behind_the_administrators_account_stands_the_operator_whose_key_it_was(operator):
    person, fingerprint = operator
    accepted = f"sshd-session[7]: Accepted publickey for telekit from 10.77.1.5 port 40000 ssh2: ED25519 {fingerprint}"
    seen = told(log(1000, accepted), sudo(1001, "telekit", "/usr/bin/tee -a /etc/nftables.conf"), operators=(person,))
    assert [deed.who for deed in seen.deeds] == ["telekit (alice)"]


def test_a_key_of_nobody_is_told_by_where_it_came_from():
    accepted = "sshd[7]: Accepted publickey for telekit from 10.77.1.5 port 40000 ssh2: ED25519 SHA256:unknown"
    seen = told(log(1000, accepted), sudo(1001, "telekit", "/usr/bin/id"))
    assert seen.deeds[0].who == "telekit (from 10.77.1.5)"


@pytest.mark.parametrize("command", ["/bin/sh -s", "/usr/bin/sh -s", "/usr/bin/timeout -k 2 60 sh -s", "/usr/bin/true"])
def test_what_telekit_itself_does_is_no_deed(command):
    assert told(sudo(1000, "telekit", command)).deeds == ()


def test_other_logins_su_and_package_runs_are_deeds_in_their_order():
    seen = told(
        "apt 3000\tapt-get install tree\tpaul (1001)",
        "apt 4000\t/usr/bin/unattended-upgrade\t",
        log(1000, "sshd[7]: Accepted password for paul from 10.77.1.9 port 40000 ssh2"),
        log(2000, "su[9]: (to root) paul on pts/1"),
    )
    assert [(deed.who, deed.what) for deed in seen.deeds] == [
        ("paul", "logged in from 10.77.1.9"),
        ("paul", "su to root"),
        ("paul (1001)", "apt-get install tree"),
        ("the system", "/usr/bin/unattended-upgrade"),
    ]


def test_what_is_repeated_is_told_once():
    deeds = [Deed(1, "paul", "sudo id"), Deed(2, "paul", "sudo ls"), Deed(3, "paul", "sudo id")]
    assert [deed.moment for deed in without_repeats(deeds)] == [2, 3]


@pytest.mark.parametrize("text", ["log", "log x y", "apt", "file", "audit", "other", "log 1 sudo[1]: COMMAND="])
def test_a_line_that_cannot_be_read_harms_nobody(text):
    assert told(text).deeds == ()


def test_the_script_runs_and_tells_a_files_age(tmp_path: Path):
    file = tmp_path / "a file's name"
    file.write_text("x")
    text = script(datetime(2026, 1, 1, tzinfo=UTC), [str(file)])
    done = subprocess.run([shutil.which("sh") or "sh"], input=text, capture_output=True, text=True, check=True)
    assert parse(done.stdout, "telekit", ()).written == {str(file): int(file.stat().st_mtime)}
