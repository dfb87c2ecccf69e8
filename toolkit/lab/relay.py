"""TCP relays between network namespaces: each end is a socket made in the namespace where it belongs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from toolkit.lab.namespaces import bound_socket, new_socket

CHUNK = 1 << 16
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Place:
    """An address and port seen from a namespace (None: the computer's own)."""

    namespace: str | None
    address: str
    port: int


async def connect(place: Place, wait: float = 10.0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams to the place; an OSError or TimeoutError when nobody answers."""
    made = new_socket(place.namespace, place.address)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(wait):
            await asyncio.get_running_loop().sock_connect(made, (place.address, place.port))
        return await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise


async def serve(place: Place, handler: Handler) -> asyncio.Server:
    """Listen at the place; each connection gets the handler, and is closed after it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio does so itself only for sockets that name their protocol; without, an SSH command takes 40 ms more.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    return await asyncio.start_server(handle, sock=bound_socket(place.namespace, place.address, place.port))


async def relay(here: Place, there: Place) -> asyncio.Server:
    """Carry every connection made here to the place there, byte for byte; refuse it if there is nobody."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await connect(there)
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.close()

    return await serve(here, carry)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, then pass the end on."""
    await copy(reader, writer)
    with suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end; who cannot be written to any more is hung up on."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        writer.close()
