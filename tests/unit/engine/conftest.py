"""This computer as the machine: recipes are applied by the real scripts, in a temporary folder."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from toolkit.engine import Options, Session, Target
from toolkit.engine.batch import LocalLink, Machine
from toolkit.model import Secret, SshAddress

HERE = Path(__file__).parent


@dataclass
class Told:
    """What an apply told its observer, in order."""

    stages: list[tuple[str, int]] = field(default_factory=list)
    done: list[tuple[str, bool]] = field(default_factory=list)

    def stage_started(self, name: str, operations: int) -> None:
        self.stages.append((name, operations))

    def operation_done(self, name: str, *, changed: bool, seconds: float) -> None:
        assert seconds >= 0
        self.done.append((name, changed))


@pytest.fixture
def link() -> LocalLink:
    return LocalLink()


@pytest.fixture
def machine(link: LocalLink) -> Machine:
    return Machine("here", link)


@pytest.fixture
def told() -> Told:
    return Told()


class Farm:
    """Machines that are folders of this computer, each behind a port of its own."""

    MACHINES = 4
    SECRET = "correct-horse-battery-staple"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("host", "operator"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        (folder / "machines").mkdir()
        command = [sys.executable, str(HERE / "ssh_server.py"), *(str(folder / n) for n in ("host", "operator", "machines"))]
        self.server = subprocess.Popen(
            [*command, str(self.MACHINES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.server.stdout
        self.ports = [int(line) for line in iter(self.server.stdout.readline, "\n")]
        public = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {public}" for port in self.ports))

    def end(self) -> None:
        self.server.kill()
        self.server.wait()

    def place(self, number: int) -> Path:
        return self.folder / "machines" / str(self.ports[number])

    def targets(self) -> list[Target]:
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        common = {"user": user, "group": group, "log": str(self.folder / "log"), "broken": False}
        return [
            Target(
                f"m{number}", "laptop", SshAddress("127.0.0.1", port), "root",
                {**common, "folder": str(self.place(number)), "secret": Secret(f"{self.SECRET} {number}")},
            )
            for number, port in enumerate(self.ports)
        ]  # fmt: skip

    def session(
        self, targets: list[Target], processes: int, emit: Callable[[Any], None] = lambda _: None, **more: Any
    ) -> Session:
        options = Options(self.folder / "known_hosts", (self.folder / "operator",), processes=processes, **more)
        return Session(targets, options, emit)

    def contents(self) -> dict[str, tuple[str, int]]:
        files = sorted(path for path in (self.folder / "machines").rglob("*") if path.is_file())
        return {f"{path.parent.name}/{path.name}": (path.read_text(), path.stat().st_mode) for path in files}

    def clean(self) -> None:
        for path in (self.folder / "machines").rglob("*"):
            if path.is_file():
                path.unlink()


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with_it = Farm(tmp_path_factory.mktemp("farm"))
    try:
        yield with_it
    finally:
        with_it.end()
