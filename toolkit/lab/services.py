"""The town's servers: business applications, the antivirus mirror, a web site and a time server of the fake internet.

An application says, on each port of the inventory, who it is and who asked: one line of JSON, over plain TCP, HTTP, TLS or
UDP. On TCP whatever is sent comes back after that line; `GET /count` is a stream of numbered lines without end.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from contextlib import suppress
from email.utils import formatdate
from typing import cast

from toolkit.lab.namespaces import bound_socket
from toolkit.lab.relay import Handler, Place, serve
from toolkit.lab.town import INTERNET_HOST, INTERNET_HOST6, INTERNET_ROUTER, MIRROR, Service

SERVERS = "servers"
EICAR = "44d88612fea8a8f36de82e1278abb02f:68:Lab.Eicar\n"
PATIENCE = 0.3
COUNT_EVERY = 0.02


def introduction(service: Service, client: str) -> bytes:
    """The line by which an application says who it is and who asked."""
    address = f"[{service.address}]" if ":" in service.address else service.address
    return json.dumps({
        "application": service.application,
        "server": f"{address}:{service.port}/{service.protocol}",
        "client": client,
    }).encode() + b"\n"  # fmt: skip


def application(service: Service) -> Handler:
    """Answer a client of the application; one that is silent for a moment gets the introduction first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = introduction(service, writer.get_extra_info("peername")[0])
        first = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                first = await reader.read(4096)
                if not first:
                    return
        if first.startswith((b"GET ", b"HEAD ")):
            await _answer_web(first, line, writer)
            return
        writer.write(line + first)
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()

    return handle


async def _answer_web(request: bytes, line: bytes, writer: asyncio.StreamWriter) -> None:
    if request.startswith(b"GET /count"):
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        number = 0
        while not writer.is_closing():
            writer.write(b"%d\n" % number)
            await writer.drain()
            number += 1
            await asyncio.sleep(COUNT_EVERY)
        return
    writer.write(page(line, "application/json"))
    await writer.drain()


def page(body: bytes, kind: str = "text/plain", status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def site(pages: dict[str, bytes]) -> Handler:
    """A web server of fixed pages, as old as itself; `{client}` in a page is the address that asked."""
    dated = formatdate(usegmt=True)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
        method, path, *_ = head.split(" ", 2)
        body = pages.get(path.partition("?")[0])
        if body is None:
            answer = page(b"not found\n", status="404 Not Found")
        elif f"\r\nif-modified-since: {dated.lower()}\r\n" in head.lower():
            answer = page(b"", "text/plain", "304 Not Modified", f"Last-Modified: {dated}")
        else:
            client = writer.get_extra_info("peername")[0].encode()
            answer = page(body.replace(b"{client}", client), "text/plain", "200 OK", f"Last-Modified: {dated}")
        writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else answer)
        await writer.drain()

    return handle


class _Datagrams(asyncio.DatagramProtocol):
    """Answer each datagram with the application's introduction."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport is no DatagramTransport by its class.
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(introduction(self.service, addr[0]), addr)


# Seconds between the first day of NTP and that of Unix.
NTP_EPOCH = 2208988800


def ntp_time(seconds: float) -> bytes:
    """A time as NTP writes it: seconds and their 2^32ths."""
    whole = int(seconds)
    return struct.pack("!II", (whole + NTP_EPOCH) & 0xFFFFFFFF, int((seconds - whole) * 2**32))


def ntp_answer(question: bytes, now: float) -> bytes | None:
    """What a time server of the second stratum says to a client; nothing to anything else."""
    if len(question) < 48 or question[0] & 7 != 3:
        return None
    version = question[0] & 0b00111000
    head = struct.pack("!BBbbII4s", version | 4, 2, 6, -20, 0, 1 << 6, b"LAB\0")
    return head + ntp_time(now) + question[40:48] + ntp_time(now) + ntp_time(now)


class _Time(asyncio.DatagramProtocol):
    """This computer's time, to whoever asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if answer := ntp_answer(data, time.time()):
            self.transport.sendto(answer, addr)


async def start(services: tuple[Service, ...]) -> None:
    """Start every server; they live as long as the event loop."""
    loop = asyncio.get_running_loop()
    for service in services:
        place = Place(SERVERS, service.address, service.port)
        if service.protocol == "udp":
            bound = bound_socket(SERVERS, service.address, service.port, socket.SOCK_DGRAM)
            await loop.create_datagram_endpoint(lambda s=service: _Datagrams(s), sock=bound)  # type: ignore[misc]  # a default binds it
        else:
            await serve(place, application(service))
    clock = bound_socket("isp", INTERNET_ROUTER, 123, socket.SOCK_DGRAM)
    await loop.create_datagram_endpoint(_Time, sock=clock)
    await serve(Place("isp", MIRROR, 80), site({"/lab.hdb": EICAR.encode()}))
    hello = b"telekit lab: this is the internet, you are {client}\n"
    for address in (INTERNET_HOST, INTERNET_HOST6):
        await serve(Place("internet", address, 80), site({"/": hello, "/generate_204": b""}))
