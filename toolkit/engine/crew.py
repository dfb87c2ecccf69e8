"""Who works on a share of a session's machines: this process itself, or one that is started for it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from toolkit.engine.peer import Peer, PeerLostError
from toolkit.engine.target import Options, Target
from toolkit.engine.worker import Answer, Share

START = """\
import sys
sys.path.insert(0, {path!r})
from toolkit.engine.start import prepare
prepare()
from toolkit.engine.worker import main
main({descriptor})
"""
FAREWELL_SECONDS = 10.0


class FarCrew:
    """A process that is started for a share of the machines. serve: answers what it asks and hears what it tells."""

    def __init__(self, targets: Sequence[Target], serve: Callable[[str, tuple[Any, ...]], Any]) -> None:
        self.targets = targets
        here, there = socket.socketpair()
        start = START.format(path=str(Path(__file__).parents[2]), descriptor=there.fileno())
        # A session of its own: Ctrl-C is ours, and we pass it on.
        self.process = subprocess.Popen(
            [sys.executable, "-c", start], pass_fds=(there.fileno(),), start_new_session=True, stdin=subprocess.DEVNULL, stdout=2
        )
        there.close()
        self.peer = Peer(here, serve)
        self.peer.tell("path", *sys.path)

    def begin(self, options: Options) -> None:
        """Tell it which machines are its own; what recipes receive comes with the recipes."""
        self.peer.call("begin", [replace(target, data={}) for target in self.targets], options)

    def ask(self, method: str, *arguments: Any) -> Answer | None:
        """Have it done; None: the process is gone."""
        try:
            answer: Answer = self.peer.call(method, *arguments)
        except PeerLostError:
            return None
        return answer

    def stop(self) -> None:
        """Let go of whatever is being done."""
        with suppress(PeerLostError):
            self.peer.tell("stop")

    def close(self) -> None:
        self.peer.close()
        try:
            self.process.wait(FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# This process has a share itself, beside all else that it does: one interpreter less to start and to keep in memory.
Crew: TypeAlias = Share | FarCrew
