"""How often a machine is spoken to. These numbers are exact, which a time never is: who adds a round trip sees it here."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from pyinfra.context import host
from pyinfra.operations import files, server

from deploys.secret import secret_file
from deploys.service import UnitState
from deploys.stage import stage
from toolkit.engine import Options, Session, Target
from toolkit.model import Secret, SshAddress

HERE = Path(__file__).parent


def recipe() -> None:
    """As a recipe is: it asks the machine something, writes files, waits for a stage, writes a secret, reacts to a change."""
    folder = host.data.folder
    host.get_fact(UnitState, unit="ssh.service", files=[])
    for number in range(20):
        files.put(name=f"Write {number}", src=StringIO(f"{number} {host.data.word}"), dest=f"{folder}/made/{number}", mode="640")
    stage("files are there")
    line = files.line(name="Write a line", path=f"{folder}/lines", line="one")
    secret_file(
        name="Write a secret", dest=f"{folder}/secret", content=Secret("hidden"), user=host.data.user, group=host.data.user
    )
    server.shell(name="React", commands=["true"], _if=line.did_change)


@dataclass
class Wire:
    """A machine behind real SSH, and the log of what was asked of it."""

    folder: Path
    port: int
    word: str = "one"

    def run(self) -> tuple[int, dict[str, int]]:
        """Apply the recipe over a new connection, as a new run of telekit does; changes, and what was asked."""
        before = self.asked()
        here = str(self.folder / "machine" / str(self.port))
        data = {"folder": here, "word": self.word, "user": Path(here).owner()}
        target = Target("m", "laptop", SshAddress("127.0.0.1", self.port), "root", data)
        options = Options(self.folder / "known_hosts", (self.folder / "client",), memory=self.folder / "memory")
        with Session([target], options, lambda _: None) as session:
            session.connect()
            assert session.unreachable == {}
            result = session.apply(lambda _: [recipe])["m"]
        assert result.failed is None, result.failed
        return len(result.changed), dict(self.asked() - before)

    def asked(self) -> Counter[str]:
        log = self.folder / "machine" / f"{self.port}.log"
        return Counter(log.read_text().splitlines() if log.exists() else [])


def key(file: Path) -> str:
    """Make a key pair; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return " ".join(file.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    public, _ = key(tmp_path / "server"), key(tmp_path / "client")
    program = HERE / "telling_ssh_server.py"
    command = [sys.executable, program, tmp_path / "server", tmp_path / "client", tmp_path / "machine", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
        yield Wire(tmp_path, port)
        process.stdin.close()


def test_a_settled_machine_costs_one_round_trip(wire: Wire) -> None:
    """One command, and nothing else; the channel for a next one is opened meanwhile, so that no command waits for its channel."""
    wire.run()
    wire.run()
    assert wire.run() == (0, {"login": 1, "channel": 2, "command": 1})


def test_a_changed_text_costs_two_more(wire: Wire) -> None:
    """One to write, one to look at what is behind the stage."""
    wire.run()
    wire.run()
    wire.word = "two"
    assert wire.run() == (20, {"login": 1, "channel": 4, "command": 3})
