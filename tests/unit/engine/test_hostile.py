"""What a machine that somebody else controls, or a file that somebody else wrote, cannot make of us."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from toolkit.engine.batch import Connector, LinkLostError, Memory
from toolkit.engine.batch.questions import question_of


def test_a_machine_that_sends_without_end_is_given_up(farm: Any) -> None:
    connector = Connector(farm.folder / "known_hosts", [farm.folder / "operator"], connect_seconds=60)
    link = connector.open("127.0.0.1", farm.ports[0], "root")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with pytest.raises(LinkLostError, match="it sends without end: more than 32 MiB"):
            link.execute("yes a line that never ends")
    finally:
        link.close()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < 200, "MiB"


def test_of_endless_complaints_the_first_are_kept_and_the_command_goes_on(farm: Any) -> None:
    connector = Connector(farm.folder / "known_hosts", [farm.folder / "operator"], connect_seconds=60)
    link = connector.open("127.0.0.1", farm.ports[0], "root")
    try:
        done = link.execute("head -c 3000000 /dev/zero >&2; echo done")
    finally:
        link.close()
    assert done.stdout == b"done\n"
    assert len(done.stderr) <= 1 << 20


def test_questions_are_read_only_from_a_file_that_nobody_else_can_write(tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    Memory(file).keep({"gw": [question_of("uptime", {})]})
    assert Memory(file).questions("gw")
    file.chmod(0o666)
    assert Memory(file).questions("gw") == ()
