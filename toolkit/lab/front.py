"""The front of the Debian mirror in the fake internet: what a machine asks deb.debian.org comes from the package cache.

apt-cacher-ng renews an index at every request for it, and cuts off other machines that are reading it meanwhile: an index is
asked for by one machine at a time, of all labs of this computer.
"""

from __future__ import annotations

import asyncio
import fcntl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, parse_headers
from io import BytesIO
from pathlib import Path

from toolkit.lab.relay import Handler, Place, connect, copy

UPSTREAM = "deb.debian.org"
SECONDS = 60.0
TRIES = 3
END = b"\r\n\r\n"
# Of the connection to the cache, which is not the machine's; and what is said anew.
OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length")
NO_BODY = 304


def absolute(head: bytes) -> bytes:
    """The head of a request to a web server, turned into one to a proxy: what apt-cacher-ng takes."""
    line, _, rest = head.partition(b"\r\n")
    method, _, tail = line.partition(b" ")
    if tail.startswith(b"http://"):
        return head
    return method + b" http://" + UPSTREAM.encode() + tail + b"\r\n" + rest


def is_index(head: bytes) -> bool:
    """Whether a file is asked for that changes under the same name."""
    path = head.split(b" ", 2)[1] if head.count(b" ") > 1 else b""
    return b"/dists/" in path and b"/by-hash/" not in path


@dataclass(frozen=True)
class Indexes:
    """Asks the cache for indexes, one at a time of all that use the file of turns."""

    cache: Place
    turns: Path
    here: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, head: bytes) -> bytes:
        """The whole answer; one that is cut short, or for which the cache was too busy, is asked for again."""
        async with self.here:
            return await asyncio.to_thread(self._ask_in_turn, head)

    def _ask_in_turn(self, head: bytes) -> bytes:
        with self.turns.open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            for _ in range(TRIES):
                try:
                    answer, status = self._exchange(head)
                except (OSError, HTTPException):
                    continue
                if status < 500:
                    return answer
        return b"HTTP/1.1 503 The package cache does not answer\r\nContent-Length: 0" + END

    def _exchange(self, head: bytes) -> tuple[bytes, int]:
        line, _, rest = absolute(head).partition(b"\r\n")
        method, url, _ = line.decode("ascii").split(" ")
        asked = {name: value for name, value in parse_headers(BytesIO(rest)).items() if name.lower() not in OF_THE_CONNECTION}
        connection = HTTPConnection(self.cache.address, self.cache.port, timeout=SECONDS)
        try:
            connection.request(method, url, headers={**asked, "Connection": "close"})
            with connection.getresponse() as response:
                body = response.read()
                return _said_again(response, body), response.status
        finally:
            connection.close()


def _said_again(response: HTTPResponse, body: bytes) -> bytes:
    kept = [(name, value) for name, value in response.getheaders() if name.lower() not in OF_THE_CONNECTION]
    length = response.headers.get("Content-Length", "0") if not body else str(len(body))
    if response.status != NO_BODY:
        kept.append(("Content-Length", length))
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in kept)]
    return "\r\n".join(lines).encode("latin-1") + END + body


def front(cache_port: int, turns: Path) -> Handler:
    """A handler that passes requests, pipelined ones too, to the cache; they have no body. `turns` is the file of all fronts."""
    cache = Place(None, "127.0.0.1", cache_port)
    indexes = Indexes(cache, turns)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _next_head(reader)
        while head:
            if is_index(head):
                writer.write(await indexes.ask(head))
                await writer.drain()
                head = await _next_head(reader)
            else:
                head = await _pass_on(cache, head, reader, writer)

    return handle


async def _pass_on(cache: Place, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Pass requests and answers on as they come, until an index is asked for; the head of that request."""
    cache_reader, cache_writer = await connect(cache)
    asked_all = False

    async def answer() -> None:
        await copy(cache_reader, writer)
        if not asked_all:
            writer.close()  # the cache hung up: so that the machine asks anew

    answers = asyncio.create_task(answer())
    try:
        while head and not is_index(head):
            cache_writer.write(absolute(head))
            await cache_writer.drain()
            head = await _next_head(reader)
        asked_all = True
        cache_writer.write_eof()
        await answers
    finally:
        answers.cancel()
        cache_writer.close()
    return head


async def _next_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(END)
    except asyncio.IncompleteReadError:
        return b""
