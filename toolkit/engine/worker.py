"""A share of the machines, and the process that works on one: a Session whose events and results go to the first process."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from gevent.event import Event as Signal

from toolkit.engine.batch import Together
from toolkit.engine.events import Event
from toolkit.engine.peer import Peer, PeerLostError
from toolkit.engine.session import Deploy, Interrupted, Session
from toolkit.engine.target import Completed, Options, Target
from toolkit.errors import TelekitError

# Events travel together: a thousand machines have some ten thousand a minute.
EVENTS_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """What came of a call. interrupted: the machines that were in the middle of something, and where; None: it was not."""

    result: Any
    unreachable: Mapping[str, str]
    connected: frozenset[str]
    interrupted: Mapping[str, str] | None = None


class FarTurn:
    """The turn for `_serial` operations, which the first process hands out."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def __enter__(self) -> None:
        try:
            self.peer.call("take turn")
        except BaseException:
            self.peer.tell("end turn")
            raise

    def __exit__(self, *_: object) -> None:
        self.peer.call("end turn")


class FarTogether(Together):
    """What all processes have to agree on, decided by the first one."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer
        self.in_turn = FarTurn(peer)

    def owns(self, machine: str, operation: str) -> bool:
        return bool(self.peer.call("owns", machine, operation))


class WorkerSession(Session):
    """A Session that is interrupted by a message and not by Ctrl-C, which is the first process's."""

    def __init__(self, *arguments: Any) -> None:
        self.stop = Signal()
        super().__init__(*arguments)
        self._interruptible = self._until_told

    def close(self) -> None:
        """Let go of the machines; what they were asked is for the first process to keep."""
        self._let_go()

    @contextmanager
    def _until_told(self) -> Iterator[Signal]:
        yield self.stop


class Share:
    """A share of the machines, in whichever process: does what is asked for by name, and says what came of it."""

    def __init__(self, targets: Sequence[Target], options: Options, emit: Callable[[Event], None], together: Together) -> None:
        self.targets = targets
        # The dictionaries of data are filled when recipes come.
        self.held = {target.name: replace(target, data={}) for target in targets}
        self.session = WorkerSession(self.held.values(), options, emit)
        self.session._together = together

    def ask(self, method: str, *arguments: Any) -> Answer:
        session = self.session
        session.stop.clear()
        result, interrupted = None, None
        try:
            result = getattr(self, f"do_{method}")(*arguments)
        except Interrupted as stopped:
            interrupted = dict(stopped.machines)
        return Answer(result, dict(session.unreachable), frozenset(session._machines), interrupted)

    def stop(self) -> None:
        """Let go of whatever is being done."""
        self.session.stop.set()

    def close(self) -> None:
        self.session.close()

    # -- what is asked for -------------------------------------------------------------------------------------------

    def do_connect(self) -> None:
        self.session.connect()

    def do_run(self, name: str, script: str, options: Mapping[str, Any]) -> Completed | TelekitError:
        try:
            return self.session.run(self.held[name], script, **options)
        except TelekitError as error:
            # An answer like others: the machine that was lost is known there too then.
            return error

    def do_run_all(self, scripts: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Completed]:
        return self.session.run_all(lambda target: scripts[target.name], **options)

    def do_read_all(self, script: str, options: Mapping[str, Any]) -> dict[str, Completed]:
        return self.session.read_all(script, **options)

    def do_plan(self, work: Mapping[str, tuple[Mapping[str, object], Sequence[Deploy]]]) -> Any:
        return self.session.plan(self._deploys(work))

    def do_apply(self, work: Mapping[str, tuple[Mapping[str, object], Sequence[Deploy]]]) -> Any:
        return self.session.apply(self._deploys(work))

    def _deploys(self, work: Mapping[str, tuple[Mapping[str, object], Sequence[Deploy]]]) -> Any:
        for name, (data, _) in work.items():
            held = self.held[name].data
            assert isinstance(held, dict)
            held.clear()
            held.update(data)
        return lambda target: work[target.name][1] if target.name in work else ()

    def do_asked(self) -> Any:
        return self.session.asked()

    def do_executions(self) -> dict[str, int]:
        return self.session.executions


class Worker:
    """A share in a process of its own: answers the first process's calls."""

    def __init__(self, sock: socket.socket) -> None:
        self.events: list[Event] = []
        self.share: Share | None = None
        self.peer = Peer(sock, self.serve)

    def until_the_end(self) -> None:
        """Work until the first process is done with us, or gone."""
        with suppress(PeerLostError):
            while not self.peer.gone.wait(EVENTS_SECONDS):
                self._pass_on()
        if self.share is not None:
            self.share.close()

    def serve(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if method == "path":
            sys.path[:] = arguments
        elif method == "begin":
            targets, options = arguments
            self.share = Share(targets, options, self.events.append, FarTogether(self.peer))
        elif self.share is not None:
            return self._asked(self.share, method, arguments)
        return None

    def _asked(self, share: Share, method: str, arguments: tuple[Any, ...]) -> Any:
        if method == "stop":
            return share.stop()
        try:
            return share.ask(method, *arguments)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        if self.events:
            events = list(self.events)
            self.events.clear()
            self.peer.tell("events", events)


def main(descriptor: int) -> None:
    """Serve the process at the other end of a socket that was inherited."""
    Worker(socket.socket(fileno=descriptor)).until_the_end()
