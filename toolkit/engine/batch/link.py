"""A way to run a command on a machine: its standard input is ours, what it writes comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import gevent
from gevent import subprocess

CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended; a negative code: by a signal."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last lines of what it wrote to standard error."""
        return "\n".join(self.stderr.decode(errors="replace").strip().splitlines()[-5:])


class LinkLostError(OSError):
    """The machine stopped answering, or the connection broke, while a command ran."""


class CommandTimeoutError(TimeoutError):
    """A command took longer than it was given; the machine still answers."""


class Link(Protocol):
    """An open way to a machine. executions: how many commands went over it so far; lost: why it is of no use any more."""

    executions: int
    lost: str

    def execute(
        self,
        command: str,
        stdin: Iterable[bytes] = (),
        *,
        on_stdout: Callable[[bytes], None] | None = None,
        on_stderr: Callable[[bytes], None] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run a command; `on_stdout` gets its output as it comes, and `Completed.stdout` is then empty; so with `on_stderr`.

        Who takes both is in a conversation: nobody limits what comes, and input that is still to come ends with the command.
        """

    def close(self) -> None:
        """Let go of the machine; a second time does nothing."""


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """End the block with CommandTimeoutError if it takes longer.

    Inside it is a gevent.Timeout, which no `except TimeoutError` or `except Exception` on the way takes for its own.
    """
    timer = gevent.Timeout(seconds)
    timer.start()
    try:
        yield
    except gevent.Timeout as late:
        if late is not timer:
            raise
        raise CommandTimeoutError(f"no end after {seconds:g} s") from None
    finally:
        timer.close()


def apart(function: Callable[..., None], *arguments: Any) -> gevent.Greenlet:
    """Run a function beside others; what goes wrong in it is for `settle` to raise, and not for the screen."""

    def run() -> Exception | None:
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - raised again by `settle`
            return error
        return None

    return gevent.spawn(run)


def settle(tasks: Iterable[gevent.Greenlet]) -> None:
    """Wait for functions that run apart; raise what went wrong in the first of them."""
    for task in tasks:
        if (error := task.get()) is not None:
            raise error


class LocalLink:
    """This machine itself."""

    def __init__(self) -> None:
        self.executions = 0
        self.lost = ""

    def execute(
        self,
        command: str,
        stdin: Iterable[bytes] = (),
        *,
        on_stdout: Callable[[bytes], None] | None = None,
        on_stderr: Callable[[bytes], None] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        self.executions += 1
        pipe = subprocess.PIPE
        process = subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        kept: list[bytes] = []
        errors: list[bytes] = []
        tasks = [
            apart(_feed, process.stdin, stdin),
            apart(_drain, process.stdout, on_stdout or kept.append),
            apart(_drain, process.stderr, on_stderr or errors.append),
        ]
        try:
            with within(timeout):
                settle(tasks if on_stderr is None else tasks[1:])
                process.wait()
        finally:
            if process.poll() is None:
                process.kill()
            gevent.killall(tasks)
            for stream in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(BrokenPipeError):  # what a command did not read is still in the stream
                    stream.close()
        return Completed(process.returncode, b"".join(kept), b"".join(errors))

    def close(self) -> None:
        """There is nothing to let go of."""


def _feed(stream: Any, chunks: Iterable[bytes]) -> None:
    # A command that ends without reading everything is no error of ours: its exit status tells.
    try:
        for chunk in chunks:
            stream.write(chunk)
            stream.flush()
        stream.close()
    except BrokenPipeError:
        pass


def _drain(stream: Any, take: Callable[[bytes], None]) -> None:
    while chunk := stream.read1(CHUNK) if hasattr(stream, "read1") else stream.read(CHUNK):
        take(chunk)
