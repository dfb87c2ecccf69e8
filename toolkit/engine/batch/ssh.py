"""A machine reached over SSH: one connection, strict host keys, and as few round trips as the protocol allows."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Sequence

import gevent
import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.message import Message

from toolkit.engine.batch.link import CHUNK, Completed, LinkLostError, apart, settle, within

KEEPALIVE_SECONDS = 30
# More than any answer that is wanted: a picture of a screen has some 4 MiB. Of complaints the rest is let go.
ANSWER_BYTES, COMPLAINT_BYTES = 32 << 20, 1 << 20


class SshLink:
    """An open SSH connection, through `hops`. silence_seconds: a machine that says nothing for twice that long is given up."""

    def __init__(
        self, transport: paramiko.Transport, silence_seconds: float = 15, hops: Sequence[paramiko.Transport] = ()
    ) -> None:
        self.executions = 0
        self.lost = ""
        self.hops = hops
        self.transport = transport
        self.silence_seconds = silence_seconds
        self._probing = threading.Lock()
        self._spare: gevent.Greenlet | None = None
        transport.set_keepalive(KEEPALIVE_SECONDS)
        self._prepare()

    # -- channels ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Open the next channel while nobody waits for it: that saves a command a round trip."""
        self._spare = gevent.spawn(self._open)

    def _open(self) -> paramiko.Channel | Exception:
        try:
            return self.transport.open_session(timeout=2 * self.silence_seconds)
        except (paramiko.SSHException, OSError, EOFError) as error:
            return error

    def _channel(self) -> paramiko.Channel:
        spare, self._spare = self._spare, None
        # Several commands at once find no spare one.
        opened = spare.get() if spare is not None else self._open()
        if isinstance(opened, Exception):
            raise self._gone(f"the connection broke: {opened}") from opened
        return opened

    # -- commands ----------------------------------------------------------------------------------------------------

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
        kept: list[bytes] = []
        errors: list[bytes] = []
        with within(timeout):
            channel = self._channel()
            channel.settimeout(self.silence_seconds)
            tasks: list[gevent.Greenlet] = []
            try:
                self._request(channel, command)
                complain = on_stderr or _up_to(COMPLAINT_BYTES, errors.append)
                hear = on_stdout or kept.append
                if on_stderr is None:
                    hear = _up_to(ANSWER_BYTES, hear, self._endless)
                tasks = [apart(self._feed, channel, stdin), apart(self._drain, channel.recv_stderr, complain)]
                if self._spare is None:
                    self._prepare()
                self._drain(channel.recv, hear)
                settle(tasks if on_stderr is None else tasks[1:])
                code = channel.recv_exit_status()
            finally:
                gevent.killall(tasks)
                channel.close()
        if code == -1:
            # No exit status: the command was ended by a signal, or the connection is.
            self._probe()
        return Completed(code, b"".join(kept), b"".join(errors))

    def _request(self, channel: paramiko.Channel, command: str) -> None:
        """Ask for the command and do not wait for the yes: a no closes the channel, which the reader sees."""
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        try:
            self.transport._send_user_message(message)  # type: ignore[attr-defined]  # the stubs have no private names
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._gone(f"the connection broke: {error}") from error

    def _feed(self, channel: paramiko.Channel, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                try:
                    rest = rest[channel.send(rest) :]  # type: ignore[arg-type]  # a view is sent without a copy
                except TimeoutError:
                    self._probe()
                except OSError:
                    # The command ended without reading everything; its exit status tells whether that was wrong.
                    return
        with contextlib.suppress(OSError, EOFError):
            channel.shutdown_write()

    def _drain(self, receive: Callable[[int], bytes], take: Callable[[bytes], None]) -> None:
        while True:
            try:
                chunk = receive(CHUNK)
            except TimeoutError:
                self._probe()
                continue
            if not chunk:
                return
            take(chunk)

    def _probe(self) -> None:
        """A command may be silent for an hour, its machine may not: ask sshd for a sign of life."""
        with self._probing:
            try:
                with gevent.Timeout(self.silence_seconds, TimeoutError()):
                    self.transport.global_request("keepalive@openssh.com", wait=True)
            except TimeoutError:
                self.close()
                raise self._gone(f"the machine fell silent: no answer for {2 * self.silence_seconds:.0f} s") from None
        if not self.transport.is_active():
            raise self._gone("the connection broke while a command ran")

    def _endless(self) -> None:
        """A machine that somebody else controls must not fill our memory."""
        raise self._gone(f"it sends without end: more than {ANSWER_BYTES >> 20} MiB in answer to one command")

    def _gone(self, why: str) -> LinkLostError:
        self.lost = self.lost or why
        return LinkLostError(self.lost)

    def close(self) -> None:
        if self._spare is not None:
            self._spare.kill(block=False)
        for transport in (self.transport, *reversed(self.hops)):
            # The socket first: closing it wakes the reader, which would else sleep until its timeout.
            with contextlib.suppress(OSError, EOFError):
                transport.sock.close()
            transport.close()


def _up_to(size: int, take: Callable[[bytes], None], beyond: Callable[[], None] = lambda: None) -> Callable[[bytes], None]:
    """Hand chunks on until they are more than `size` together."""
    left = size

    def counted(chunk: bytes) -> None:
        nonlocal left
        left -= len(chunk)
        take(chunk) if left >= 0 else beyond()

    return counted


def tune(sock: socket.socket, silence_seconds: float) -> None:
    """Send small packets at once (Nagle's algorithm costs 40 ms a command) and notice a peer that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2000 * silence_seconds))
