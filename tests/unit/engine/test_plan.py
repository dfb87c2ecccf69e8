"""Plans: what would change, with diffs, conditions in words, and nothing touched."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation
from pyinfra.facts.files import File
from pyinfra.operations import files, server

from deploys.stage import stage
from toolkit.engine.batch import LocalLink, Machine, PlanFailedError, Planned


def only(planned: list[Planned]) -> Planned:
    assert len(planned) == 1
    return planned[0]


def write(path: Path, text: str, **arguments: Any) -> Any:
    return files.put(name=f"Write {path.name}", src=StringIO(text), dest=str(path), **arguments)


def test_a_plan_touches_nothing_and_knows_what_would_change(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "right").write_text("right\n")

    def recipe() -> None:
        write(tmp_path / "right", "right\n")
        write(tmp_path / "wrong", "right\n")
        server.shell(name="Shout", commands=[f"touch {tmp_path}/shouted"])

    assert [planned.name for planned in machine.plan([recipe])] == ["Write wrong", "Shout"]
    assert [path.name for path in tmp_path.iterdir()] == ["right"]


def test_a_diff_shows_what_would_change_in_a_file(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one\ntwo\nthree\n")
    planned = only(machine.plan([lambda: write(path, "one\n2\nthree\n")]))
    assert planned.diff == f"--- {path}\n+++ {path}\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three"
    assert not planned.conditional


def test_a_diff_shows_a_new_file_in_a_new_folder(machine: Machine, tmp_path: Path) -> None:
    planned = only(machine.plan([lambda: write(tmp_path / "new/folder/a", "one\n", mode="640")]))
    assert planned.diff == f"--- /dev/null\n+++ {tmp_path}/new/folder/a\n@@ -0,0 +1 @@\n+one"
    assert planned.detail == "new file 640"


def test_a_change_of_mode_alone_is_told_in_a_few_words(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("same\n")
    path.chmod(0o644)
    planned = only(machine.plan([lambda: write(path, "same\n", mode="600")]))
    assert planned.diff == ""
    assert planned.detail == f"chmod 600 {path}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PrivateKey = c2VjcmV0IHZhbHVl\n", "Address = 10.0.0.1\n"),
        ("a = 1\n", "admin_password: hunter2 secret value\n"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0IHZhbHVl\n", "a = 1\n"),
        ("psk=c2VjcmV0IHZhbHVl\n", "psk=another\n"),
        ("WiFi-PSK2 = c2VjcmV0IHZhbHVl\n", '"dbPassword": "hunter2",\n'),
        ("api_key: c2VjcmV0IHZhbHVl\n", "PRESHARED_KEY='another'\n"),
    ],
)
def test_a_diff_never_shows_what_looks_secret(machine: Machine, tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "a").write_text(old)
    planned = only(machine.plan([lambda: write(tmp_path / "a", new)]))
    assert planned.diff
    for value in ("c2VjcmV0IHZhbHVl", "hunter2", "another"):
        assert value not in planned.diff


HARMLESS = [
    "PrivateTmp=yes", "private-address: 10.0.0.0/8", "PasswordAuthentication: no", "passwd: files systemd", "password=ask",
    "ssl_private_key = /etc/ssl/private/key.pem", "PublicKey = c2VjcmV0IHZhbHVl", "monkey: banana", "spinning = 3", "key=value",
]  # fmt: skip


def test_a_diff_shows_what_only_sounds_secret(machine: Machine, tmp_path: Path) -> None:
    planned = only(machine.plan([lambda: write(tmp_path / "a", "\n".join(HARMLESS) + "\n")]))
    assert planned.diff.splitlines()[3:] == [f"+{line}" for line in HARMLESS]


def test_what_is_no_text_or_too_long_is_not_shown(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x\n" * 100_000)

    def recipe() -> None:
        files.put(name="Write binary", src=BytesIO(b"\x00\x01\xff"), dest=f"{tmp_path}/binary")
        write(tmp_path / "long", "short\n")

    binary, long = machine.plan([recipe])
    assert binary.diff == f"{tmp_path}/binary: not a text (3 bytes to write)"
    assert "too long to compare" in long.diff


def test_a_long_diff_ends_with_how_much_more_there_is(machine: Machine, tmp_path: Path) -> None:
    planned = only(machine.plan([lambda: write(tmp_path / "a", "line\n" * 1000)]))
    assert planned.diff.splitlines()[-1] == "… 803 more lines"


def test_all_files_are_read_for_their_diffs_in_one_trip(machine: Machine, link: LocalLink, tmp_path: Path) -> None:
    def recipe() -> None:
        for number in range(20):
            write(tmp_path / str(number), "new\n")

    machine.plan([recipe])
    machine.facts.forget()
    before = link.executions
    machine.plan([recipe])
    assert link.executions - before == 2


def test_a_conditional_operation_is_marked_and_says_on_what_it_hangs(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "same").write_text("same\n")

    def recipe() -> None:
        changed, same = write(tmp_path / "changed", "x\n"), write(tmp_path / "same", "same\n")
        server.shell(name="Follow", commands=["true"], _if=changed.did_change)
        server.shell(name="Not follow", commands=["true"], _if=same.did_change)
        server.shell(name="Follow the follower", commands=["true"], _if=lambda: changed.did_change())

    planned = machine.plan([recipe])
    assert [(p.name, p.conditional, p.detail) for p in planned] == [
        ("Write changed", False, "new file"),
        ("Follow", True, "if Write changed changes"),
        ("Follow the follower", True, ""),
    ]


def test_a_condition_on_an_output_may_come_true(machine: Machine) -> None:
    def recipe() -> None:
        asked = server.shell(name="Ask", commands=["echo yes"])
        server.shell(name="Perhaps", commands=["true"], _if=lambda: asked.stdout == "yes")

    assert [(p.name, p.conditional) for p in machine.plan([recipe])] == [("Ask", False), ("Perhaps", True)]


@operation()
def needs(path: str) -> Any:
    """Do something with a file that has to be there."""
    if host.get_fact(File, path=path) is None:
        raise OperationError(f"{path} is missing")
    yield f"cat {path}"


def test_what_is_known_only_after_an_earlier_stage_is_no_error(machine: Machine, tmp_path: Path) -> None:
    def recipe() -> None:
        write(tmp_path / "a", "x\n")
        stage("a is there")
        needs(name="Use a", path=str(tmp_path / "a"))

    planned = machine.plan([recipe])
    assert [(p.name, p.conditional, p.detail) for p in planned] == [
        ("Write a", False, "new file"),
        ("Use a", True, "known once the stages before are done"),
    ]
    assert machine.apply([recipe]).failure is None


def test_an_operation_that_cannot_be_told_is_an_error(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(PlanFailedError, match=r"Use a: .*/a is missing"):
        machine.plan([lambda: needs(name="Use a", path=str(tmp_path / "a"))])


def test_an_operation_that_cannot_be_told_and_is_not_meant_is_no_error(machine: Machine, tmp_path: Path) -> None:
    def recipe() -> None:
        same = files.directory(name="Have a folder", path=str(tmp_path))
        needs(name="Use a", path=str(tmp_path / "a"), _if=same.did_change)

    assert machine.plan([recipe]) == []
    assert machine.apply([recipe]).failure is None
