"""How a secret reaches a file: written by the operation itself, on this computer."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from pathlib import Path

from pyinfra.api.config import Config
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.inventory import Inventory
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.api.state import State
from pyinfra.context import ctx_host, ctx_state

from deploys.secret import WRITE, secret_file
from toolkit.model import Secret

PASSWORD = "l'été: 'quote' $HOME `x` \\n\n  deux lignes"


def put(dest: Path, content: str, mode: str = "600") -> bool:
    """Run the operation by plain pyinfra; whether it changed something."""
    state = State(Inventory((["@local"], {})), Config())
    connect_all(state)
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    done = add_op(state, secret_file, name="Write it", dest=str(dest), content=Secret(content), user=user, group=group, mode=mode)
    run_ops(state)
    disconnect_all(state)
    (meta,) = done.values()
    return bool(meta.did_change())


def test_a_secret_arrives_byte_by_byte_and_private(tmp_path: Path) -> None:
    assert put(tmp_path / "secret", PASSWORD)
    assert (tmp_path / "secret").read_bytes() == PASSWORD.encode()
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_there_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "secret", PASSWORD)
    assert not put(tmp_path / "secret", PASSWORD)
    assert put(tmp_path / "secret", "autre")


def test_a_secret_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    put(tmp_path / "secret", PASSWORD)
    (tmp_path / "secret").chmod(0o644)
    assert put(tmp_path / "secret", PASSWORD)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_connection_that_breaks_leaves_the_old_secret_and_no_trace(tmp_path: Path) -> None:
    dest = tmp_path / "secret"
    dest.write_text("ancien", encoding="utf-8")
    script = WRITE.format(beside=f"{tmp_path}/.secret.XXXXXX", owner=f"{os.geteuid()}:{os.getegid()}", mode="600", dest=dest)
    for half in ("", "0" * 64 + "\n", "0" * 64 + "\nbW9pdGnDqQ==\n"):
        done = subprocess.run(["sh", "-c", script], input=half, text=True, capture_output=True, check=False)
        assert done.returncode != 0
    assert dest.read_text(encoding="utf-8") == "ancien"
    assert list(tmp_path.iterdir()) == [dest]


def test_a_secret_shows_neither_in_the_command_nor_in_its_name(tmp_path: Path) -> None:
    state = State(Inventory((["@local"], {})), Config())
    connect_all(state)
    add_op(state, secret_file, dest=str(tmp_path / "secret"), content=Secret(PASSWORD))
    (host,) = state.inventory
    (data,) = state.ops[host].values()
    with ctx_state.use(state), ctx_host.use(host):
        shown = [str(command) + repr(command) for command in data.command_generator()]
    shown += [f"{meta.names} {meta.args}" for meta in state.op_meta.values()]
    disconnect_all(state)
    assert shown
    assert not any("deux lignes" in text for text in shown)
