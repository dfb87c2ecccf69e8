"""Files are replaced in one step: whole, with the right owner and mode, and nothing left when it goes wrong."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from pyinfra.api.command import FileUploadCommand, StringCommand

from toolkit.engine.batch.upload import PUT, upload_of


def put(dest: Path, content: bytes, *, size: int | None = None, owner: str = "", mode: str = "") -> subprocess.Popen[bytes]:
    """A put that waits for the rest of its content."""
    arguments = [str(dest), str(len(content) if size is None else size), owner, mode]
    process = subprocess.Popen(
        ["sh", "-c", PUT, "put", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.flush()
    return process


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors.decode()


def partial(folder: Path, process: subprocess.Popen[bytes]) -> Path:
    """The file that a put is writing."""
    for _ in range(500):
        if found := list(folder.glob(f".pyinfra-batch.{process.pid}.*")):
            return found[0]
        time.sleep(0.01)
    raise AssertionError("no temporary file")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    assert finish(put(tmp_path / "a", b"content")) == (0, "")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert mode(tmp_path / "a") == 0o666 & ~_umask()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_private_file_is_never_more_open_and_never_half_there(tmp_path: Path) -> None:
    process = put(tmp_path / "key", b"half", size=8, mode="600")
    growing = partial(tmp_path, process)
    assert mode(growing) == 0o600
    assert not (tmp_path / "key").exists()
    assert process.stdin is not None
    process.stdin.write(b"done")
    assert finish(process)[0] == 0
    assert (tmp_path / "key").read_bytes() == b"halfdone"
    assert mode(tmp_path / "key") == 0o600


def test_an_upload_that_is_cut_off_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    code, errors = finish(put(tmp_path / "a", b"half", size=8))
    assert code == 1
    assert "4 bytes arrived of 8" in errors
    assert (tmp_path / "a").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_an_upload_that_is_ended_leaves_nothing(tmp_path: Path, kind: signal.Signals) -> None:
    process = put(tmp_path / "a", b"half", size=8)
    partial(tmp_path, process)
    process.send_signal(kind)
    finish(process)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_upload_left_goes_with_the_next_one(tmp_path: Path) -> None:
    process = put(tmp_path / "a", b"half", size=8)
    left = partial(tmp_path, process)
    process.kill()
    finish(process)
    other = put(tmp_path / "b", b"half", size=8)
    at_work = partial(tmp_path, other)
    assert not left.exists()
    assert finish(put(tmp_path / "a", b"whole"))[0] == 0
    assert at_work.exists(), "the file of an upload that is at work stays"
    finish(other)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    (tmp_path / "a").chmod(0o4711)
    assert finish(put(tmp_path / "a", b"after"))[0] == 0
    assert (tmp_path / "a").read_bytes() == b"after"
    assert mode(tmp_path / "a") & 0o777 == 0o711


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_bytes(b"before")
    (tmp_path / "a").symlink_to("real/a")
    assert finish(put(tmp_path / "a", b"after"))[0] == 0
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "real/a").read_bytes() == b"after"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    assert finish(put(tmp_path / "pipe", b"through"))[0] == 0
    assert reader.communicate(timeout=10)[0] == b"through"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["-n", "with space", "quote'\"$(id)", "é", ".hidden"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    assert finish(put(tmp_path / name, b"x"))[0] == 0
    assert (tmp_path / name).read_bytes() == b"x"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    code, errors = finish(put(tmp_path / "none/a", b"x"))
    assert code != 0
    assert "none/a" in errors


def test_owner_and_mode_are_taken_from_the_commands_that_follow() -> None:
    following = (StringCommand("chown", "root:adm", "/etc/a"), StringCommand("chmod", "640", "/etc/a"))
    upload = upload_of(__file__, "/etc/a", following)
    assert (upload.owner, upload.mode) == ("root:adm", "640")
    other = upload_of(__file__, "/etc/b", following)
    assert (other.owner, other.mode) == ("", "")
    next_file = (FileUploadCommand(__file__, "/etc/c"), *following)
    assert upload_of(__file__, "/etc/a", next_file).mode == ""


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
