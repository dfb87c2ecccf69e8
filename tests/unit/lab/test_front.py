"""Machines ask the mirror by its usual name, and the package cache gets what a proxy expects."""

import asyncio

from toolkit.lab.front import absolute, front
from toolkit.lab.relay import Place, serve
from toolkit.lab.services import page, site


def test_a_request_to_a_server_becomes_one_to_a_proxy():
    asked = b"GET /debian/dists/trixie/InRelease HTTP/1.1\r\nHost: deb.debian.org\r\n\r\n"
    assert absolute(asked).startswith(b"GET http://deb.debian.org/debian/dists/trixie/InRelease HTTP/1.1\r\nHost: ")


def test_a_request_that_names_its_server_stays_as_it_is():
    asked = b"GET http://security.debian.org/debian-security/x HTTP/1.1\r\n\r\n"
    assert absolute(asked) == asked


async def talk(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


def test_requests_sent_in_one_go_are_all_answered():
    seen = []

    async def cache(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            seen.append((await reader.readuntil(b"\r\n\r\n")).split()[1])
            writer.write(page(b"package"))
            await writer.drain()

    async def run() -> bytes:
        behind = await serve(Place(None, "127.0.0.1", 0), cache)
        before = await serve(Place(None, "127.0.0.1", 0), front(behind.sockets[0].getsockname()[1]))
        return await talk(before.sockets[0].getsockname()[1], b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n for n in range(3)))

    assert asyncio.run(run()).count(b"package") == 3
    assert seen == [b"http://deb.debian.org/0", b"http://deb.debian.org/1", b"http://deb.debian.org/2"]


def test_a_site_serves_its_pages_and_denies_others():
    async def run() -> tuple[bytes, bytes, bytes]:
        server = await serve(Place(None, "127.0.0.1", 0), site({"/x.hdb": b"signature\n"}))
        port = server.sockets[0].getsockname()[1]
        found = await talk(port, b"GET /x.hdb HTTP/1.1\r\n\r\n")
        return found, await talk(port, b"HEAD /x.hdb HTTP/1.1\r\n\r\n"), await talk(port, b"GET /y HTTP/1.1\r\n\r\n")

    found, head, missing = asyncio.run(run())
    assert found.endswith(b"\r\n\r\nsignature\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and head.endswith(b"\r\n\r\n")
    assert missing.startswith(b"HTTP/1.1 404 ")
