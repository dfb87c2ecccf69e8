"""The front of the Debian mirror in the fake internet: what a machine asks deb.debian.org comes from the package cache."""

from __future__ import annotations

import asyncio

from toolkit.lab.relay import Handler, Place, connect, pump

UPSTREAM = "deb.debian.org"


def absolute(head: bytes) -> bytes:
    """The head of a request to a web server, turned into one to a proxy: what apt-cacher-ng takes."""
    line, _, rest = head.partition(b"\r\n")
    method, _, tail = line.partition(b" ")
    if tail.startswith(b"http://"):
        return head
    return method + b" http://" + UPSTREAM.encode() + tail + b"\r\n" + rest


def front(cache_port: int) -> Handler:
    """A handler that passes requests, pipelined ones too, to the cache; they have no body."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cache_reader, cache_writer = await connect(Place(None, "127.0.0.1", cache_port))
        answers = asyncio.create_task(pump(cache_reader, writer))
        try:
            while head := await _next_head(reader):
                cache_writer.write(absolute(head))
                await cache_writer.drain()
            cache_writer.write_eof()
            await answers
        finally:
            answers.cancel()
            cache_writer.close()

    return handle


async def _next_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
