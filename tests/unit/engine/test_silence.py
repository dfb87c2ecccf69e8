"""A machine that falls silent in the middle of something is given up, and nobody's screen fills with tracebacks."""

from __future__ import annotations

import signal
import time
from typing import Any

import gevent
import pytest

from toolkit.engine import Session
from toolkit.engine.batch import Connector, LinkLostError


def test_a_machine_that_falls_silent_is_given_up_in_one_sentence(farm: Any, capfd: pytest.CaptureFixture[str]) -> None:
    connector = Connector(farm.folder / "known_hosts", [farm.folder / "operator"], connect_seconds=60, silence_seconds=2)
    link = connector.open("127.0.0.1", farm.ports[0], "root")
    link.execute("true")
    began = time.monotonic()
    try:
        # More than any buffer holds, so that what feeds the command has to wait as well.
        gevent.spawn_later(0.2, farm.server.send_signal, signal.SIGSTOP)
        with pytest.raises(LinkLostError, match="the machine fell silent: no answer for 4 s"):
            link.execute("sleep 60", [b"x" * 50_000_000])
        assert time.monotonic() - began < 20
    finally:
        farm.server.send_signal(signal.SIGCONT)
        link.close()
    assert capfd.readouterr().err == ""


def test_a_job_that_raises_is_heard_of_once(farm: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with farm.session(farm.targets(), 1) as session:
        assert isinstance(session, Session)
        session.connect()
        with pytest.raises(ZeroDivisionError):
            session.plan(lambda _: [1 // 0])
    assert capfd.readouterr().err == ""
