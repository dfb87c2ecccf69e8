"""Two processes of ours that ask and tell each other things over a socket; whatever travels is pickled and touches no disk."""

from __future__ import annotations

import itertools
import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore

SIZE = struct.Struct("!Q")


class PeerLostError(Exception):
    """The other process is gone."""


class Peer:
    """The other process. serve(method, arguments): answers its calls, each in a greenlet of its own, and hears what it tells.

    What it tells is heard in order, and before the answer to a call that it was told during.
    """

    def __init__(self, sock: socket.socket, serve: Callable[[str, tuple[Any, ...]], Any]) -> None:
        self.sock = sock
        self.serve = serve
        self.gone = Event()
        self._numbers = itertools.count()
        self._waiting: dict[int, AsyncResult] = {}
        self._sending = BoundedSemaphore(1)
        self._reader = gevent.spawn(self._read)

    def call(self, method: str, *arguments: Any) -> Any:
        """Have something done there and wait for what comes of it."""
        answer, number = AsyncResult(), next(self._numbers)
        self._waiting[number] = answer
        try:
            self._send("call", number, method, arguments)
            return answer.get()
        finally:
            self._waiting.pop(number, None)

    def tell(self, method: str, *arguments: Any) -> None:
        """Say something and go on."""
        self._send("tell", 0, method, arguments)

    def close(self) -> None:
        self.sock.close()
        self._reader.kill()
        self._lose()

    def _send(self, kind: str, number: int, method: str, content: Any) -> None:
        # Two layers: what cannot be read there is an error of this one message.
        data = pickle.dumps((kind, number, method, pickle.dumps(content, protocol=5)), protocol=5)
        if self.gone.is_set():
            raise PeerLostError
        try:
            with self._sending:
                self.sock.sendall(SIZE.pack(len(data)) + data)
        except OSError as error:
            raise PeerLostError from error

    def _read(self) -> None:
        try:
            while True:
                (size,) = SIZE.unpack(self._exactly(SIZE.size))
                self._take(*_read(bytes(self._exactly(size))))
        except (OSError, EOFError):
            self._lose()

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            read = self.sock.recv_into(view)
            if not read:
                raise EOFError
            view = view[read:]
        return data

    def _take(self, kind: str, number: int, method: str, content: bytes) -> None:
        if kind == "call":
            gevent.spawn(self._answer, number, method, content)
        elif kind == "tell":
            self.serve(method, _read(content))
        elif number in self._waiting:
            waiting = self._waiting[number]
            waiting.set(_read(content)) if kind == "done" else waiting.set_exception(_read(content))

    def _answer(self, number: int, method: str, content: bytes) -> None:
        try:
            self._reply("done", number, method, self.serve(method, _read(content)))
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, whatever it is
            self._reply("failed", number, method, error)

    def _reply(self, kind: str, number: int, method: str, content: Any) -> None:
        try:
            self._send(kind, number, method, content)
        except PeerLostError:
            return

    def _lose(self) -> None:
        self.gone.set()
        for waiting in list(self._waiting.values()):
            waiting.set_exception(PeerLostError())


def _read(content: bytes) -> Any:
    return pickle.loads(content)  # noqa: S301 - written by our own process
