"""A shell that stays open on a machine: a script costs one round trip, and no login, no `sudo` and no record of one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import gevent
from gevent.event import AsyncResult
from gevent.queue import SimpleQueue

from toolkit.engine.batch.link import Completed, Link, LinkLostError, within
from toolkit.engine.batch.sudo import limited, shell

# Of complaints the rest is let go; an answer without end is not waited for.
ANSWER_BYTES, COMPLAINT_BYTES = 32 << 20, 1 << 20
NEWLINE = b"\n"


class Coshell:
    """One open shell, as root with `sudo`; it takes a script at a time. alive: it takes another one."""

    def __init__(self, link: Link, *, sudo: bool) -> None:
        self.link = link
        self.alive = True
        self._scripts: SimpleQueue[bytes] = SimpleQueue()
        self._out, self._err = bytearray(), bytearray()
        self._end = b""
        self._taken = 0
        self._answer: AsyncResult[Completed] = AsyncResult()
        self._life = gevent.spawn(self._live, shell(sudo=sudo))

    def run(self, script: str, *, seconds: float | None, patience: float | None) -> Completed:
        """Run a script in a shell of its own. seconds: the machine ends it; patience: it is not waited for any longer."""
        # Nobody knows the word that ends it before it is sent: no script and no answer can hold it by accident.
        word = secrets.token_hex(16)
        self._out.clear()
        self._err.clear()
        self._end, self._answer = word.encode(), AsyncResult()
        # Its opening counts for the first one.
        self.link.executions += int(self._taken > 0)
        self._taken += 1
        ends = f"printf '\\n%s %s\\n' {word} \"$?\"; printf '\\n%s\\n' {word} >&2\n"
        self._scripts.put(f"{limited(seconds)} <<'{word}'\n{script}{word}\n{ends}".encode())
        try:
            with within(patience):
                answer: Completed = self._answer.get()
        except BaseException:
            # What was begun goes on there: the next script must not be taken for its end.
            self.close()
            raise
        return answer

    def close(self) -> None:
        """Let the machine end it."""
        self.alive = False
        self._life.kill(block=False)

    def _live(self, command: str) -> None:
        try:
            ended = self.link.execute(command, self._said(), on_stdout=self._hear, on_stderr=self._complain)
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits
            self._answer.set_exception(error)
        else:
            # It does not end by itself: whatever it says, the script did not come to its end.
            self._answer.set(Completed(ended.code or -1, bytes(self._out), bytes(self._err)))
        finally:
            self.alive = False

    def _said(self) -> Iterator[bytes]:
        while True:
            yield self._scripts.get()

    def _hear(self, chunk: bytes) -> None:
        self._out += chunk
        if len(self._out) > ANSWER_BYTES:
            # A machine that somebody else controls must not fill our memory.
            self._answer.set_exception(LinkLostError(f"it sends without end: more than {ANSWER_BYTES >> 20} MiB in answer"))
        self._look_for_the_end()

    def _complain(self, chunk: bytes) -> None:
        self._err += chunk
        del self._err[COMPLAINT_BYTES : -len(self._end) - 2]
        self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        """Both streams say the word when the script is done; what stands before it is the answer."""
        if not self._end or not self._err.endswith(NEWLINE + self._end + NEWLINE):
            return
        found = re.search(rb"\n%s (\d+)\n\Z" % self._end, self._out[-80:])
        if found is None:
            return
        written = len(self._out) - len(found[0])
        answer = Completed(int(found[1]), bytes(self._out[:written]), bytes(self._err[: -len(self._end) - 2]))
        self._end = b""
        self._answer.set(answer)


class Coshells:
    """The open shells of one machine: as many as scripts that run side by side, up to `most`."""

    def __init__(self, link: Link, most: int = 3) -> None:
        self.link = link
        self.most = most
        self._idle: dict[bool, list[Coshell]] = {False: [], True: []}
        self._open = 0

    def run(self, script: str, *, sudo: bool, seconds: float | None, patience: float | None) -> Completed | None:
        """What came of a script; None: all are busy, and the script was not run."""
        found = self._free(sudo=sudo)
        if found is None:
            return None
        try:
            return found.run(script, seconds=seconds, patience=patience)
        finally:
            if found.alive:
                self._idle[sudo].append(found)
            else:
                self._open -= 1

    def _free(self, *, sudo: bool) -> Coshell | None:
        while self._idle[sudo]:
            if (found := self._idle[sudo].pop()).alive:
                return found
            self._open -= 1
        if self._open >= self.most:
            return None
        self._open += 1
        return Coshell(self.link, sudo=sudo)

    def close(self) -> None:
        """Let go of those that nobody uses."""
        for idle in self._idle.values():
            for found in idle:
                found.close()
            self._open -= len(idle)
            idle.clear()
