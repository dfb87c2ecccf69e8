"""A secret on its way to a machine shows in no argument list, log, plan, event or error."""

from __future__ import annotations

import getpass
import grp
import logging
import os
import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.operations import files

from deploys.secret import secret_file
from toolkit.engine.batch import LocalLink, Machine
from toolkit.engine.batch.link import Completed
from toolkit.model import Secret

SECRET = "correct-horse-battery-staple"


class Watched(LocalLink):
    """Keeps the command lines that it is given, and looks at the argument lists of all processes while they run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def execute(self, command: str, *args: Any, **kwargs: Any) -> Completed:
        self.seen.append(command)
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        watcher.start()
        try:
            return super().execute(command, *args, **kwargs)
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.append(process.read_bytes().decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.005)


@operation()
def swallow(content: str, after: str) -> Any:
    """Read the content, take a while, then do as it is told."""
    yield StringCommand(f"cat >/dev/null; sleep 0.2; {after}", _stdin=content)


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="pyinfra")
    return caplog


@pytest.mark.parametrize("alone", [False, True], ids=["in a script", "by itself"])
def test_standard_input_is_seen_nowhere(tmp_path: Path, records: pytest.LogCaptureFixture, told: Any, *, alone: bool) -> None:
    link = Watched()
    machine = Machine("here", link)

    def recipe() -> None:
        secret_file(name="Write the key", dest=f"{tmp_path}/key", content=Secret(SECRET), **own())
        swallow(name="Fail", content=SECRET, after="echo no; exit 4", **({"_timeout": 20} if alone else {}))

    planned = machine.plan([recipe])
    result = machine.apply([recipe], told)
    assert result.failure is not None
    assert result.failure.name == "Fail"
    everything = [*link.seen, records.text, repr(planned), repr(result), repr(told)]
    assert not [text for text in everything if SECRET in text]


def own() -> dict[str, str]:
    """The owner that this test may give a file."""
    return {"user": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def test_an_upload_is_seen_nowhere(tmp_path: Path, records: pytest.LogCaptureFixture) -> None:
    link = Watched()
    machine = Machine("here", link)

    def recipe() -> None:
        files.put(name="Write it", src=StringIO(SECRET), dest=f"{tmp_path}/a", mode="600")
        files.put(name="Fail", src=StringIO(SECRET), dest="/proc/none/a", create_remote_dir=False)

    failure = machine.apply([recipe]).failure
    assert failure is not None
    assert failure.name == "Fail"
    assert (tmp_path / "a").read_text() == SECRET
    assert not [text for text in [*link.seen, records.text, repr(failure)] if SECRET in text]
