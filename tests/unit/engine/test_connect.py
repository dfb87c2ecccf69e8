"""When no connection comes about, the operator reads which of the many reasons it was, and the other machines go on."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolkit.engine import Options, Session, Target, events
from toolkit.model import SshAddress

Serve = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Listen on a port of this computer and treat every caller as told."""
    listeners: list[socket.socket] = []
    callers: list[socket.socket] = []

    def serve(treat: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                callers.append(caller)
                treat(caller)

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield serve
    for each in (*listeners, *callers):
        each.close()


@pytest.fixture
def reasons(tmp_path: Path) -> Callable[..., dict[str, str]]:
    def reasons(*ports: int, host: str = "127.0.0.1", seconds: float = 1) -> dict[str, str]:
        targets = [Target(f"m{port}", "laptop", SshAddress(host, port), "telekit", {}) for port in ports]
        told: list[events.Event] = []
        with Session(targets, Options(tmp_path / "known_hosts", (), connect_seconds=seconds), told.append) as session:
            session.connect()
            assert [event.machine for event in told if isinstance(event, events.Unreachable)] == list(session.unreachable)
            assert session.reachable == ()
            return dict(session.unreachable)

    return reasons


def test_a_port_where_nobody_listens(reasons: Callable[..., dict[str, str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    assert reasons(port) == {f"m{port}": f"127.0.0.1:{port} refuses the connection: no sshd listens there"}


def test_a_machine_that_accepts_and_says_nothing(reasons: Callable[..., dict[str, str]], serve: Serve) -> None:
    port = serve(lambda _: None)
    assert reasons(port) == {f"m{port}": f"127.0.0.1:{port} accepts the connection, then says nothing for 1 s"}


def test_a_machine_that_hangs_up_is_called_again_before_it_is_given_up(
    reasons: Callable[..., dict[str, str]], serve: Serve
) -> None:
    calls: list[socket.socket] = []

    def hang_up(caller: socket.socket) -> None:
        calls.append(caller)
        caller.close()

    port = serve(hang_up)
    began = time.monotonic()
    assert "closes the connection before it says who it is" in reasons(port, seconds=3)[f"m{port}"]
    assert len(calls) >= 2
    assert time.monotonic() - began < 6


def test_one_that_hung_up_and_then_says_nothing_is_told_by_its_hanging_up(
    reasons: Callable[..., dict[str, str]], serve: Serve
) -> None:
    calls: list[socket.socket] = []

    def hang_up_once(caller: socket.socket) -> None:
        calls.append(caller)
        if len(calls) == 1:
            caller.close()

    port = serve(hang_up_once)
    assert "closes the connection before it says who it is" in reasons(port)[f"m{port}"]


def test_a_name_that_does_not_resolve(reasons: Callable[..., dict[str, str]]) -> None:
    assert reasons(22, host="no-such-name.invalid") == {"m22": "the name no-such-name.invalid does not resolve"}


def test_one_that_fails_does_not_keep_the_others_waiting(reasons: Callable[..., dict[str, str]], serve: Serve) -> None:
    silent = [serve(lambda _: None) for _ in range(5)]
    assert len(reasons(*silent)) == 5


LIMITED = """
import resource, sys
from pathlib import Path
soft, hard, machines = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from toolkit.engine import Options, Session, Target
from toolkit.model import SshAddress
targets = [Target(str(n), "laptop", SshAddress("127.0.0.1", 9), "telekit", {}) for n in range(machines)]
try:
    Session(targets, Options(Path("none"), (), processes=1), print)
except Exception as error:
    print(error)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [
        (256, 4096, ["1128"]),
        (256, 512, ["this process may open 512 files, and these machines need 1128", "512"]),
        (2048, 4096, ["2048"]),
    ],
)
def test_the_limit_of_open_files_is_raised_or_said(soft: int, hard: int, said: list[str]) -> None:
    command = [sys.executable, "-c", LIMITED, str(soft), str(hard), "500"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    lines = done.stdout.splitlines()
    assert [line.split(" (")[0] for line in lines] == said


def test_the_engine_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, toolkit.engine, toolkit.engine.events; print({'gevent', 'pyinfra'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout == "set()\n"
