"""Machines ask the mirror by its usual name, and the package cache gets what a proxy expects."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from toolkit.lab.front import absolute, front, is_index
from toolkit.lab.relay import Handler, Place, serve
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


def before(cache: Handler, turns: Path, ask: Callable[[int], Coroutine[None, None, list[bytes]]]) -> list[bytes]:
    """What is answered through a front of this cache."""

    async def run() -> list[bytes]:
        behind = await serve(Place(None, "127.0.0.1", 0), cache)
        front_of_it = await serve(Place(None, "127.0.0.1", 0), front(behind.sockets[0].getsockname()[1], turns))
        return await ask(front_of_it.sockets[0].getsockname()[1])

    return asyncio.run(run())


def asked(*paths: str) -> bytes:
    return "".join(f"GET {path} HTTP/1.1\r\nHost: deb.debian.org\r\n\r\n" for path in paths).encode()


def test_requests_sent_in_one_go_are_all_answered_in_order(tmp_path):
    seen = []

    async def cache(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readuntil(b"\r\n\r\n"):
            seen.append(request.split()[1].decode())
            writer.write(page(b"that is " + request.split()[1]))
            await writer.drain()

    async def ask(port: int) -> list[bytes]:
        return [await talk(port, asked("/pool/1", "/pool/2", "/debian/dists/trixie/InRelease", "/pool/3"))]

    (answer,) = before(cache, tmp_path / "turns", ask)
    wanted = [f"http://deb.debian.org{path}" for path in ("/pool/1", "/pool/2", "/debian/dists/trixie/InRelease", "/pool/3")]
    assert seen == wanted
    assert [line.partition(b"that is ")[2].decode() for line in answer.split(b"HTTP/1.")[1:]] == wanted


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("/debian/dists/trixie/InRelease", True),
        ("/debian/dists/trixie/main/binary-amd64/Packages.xz", True),
        ("/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/00ff", False),
        ("/debian/pool/main/b/bash/bash_5.2.37-2_amd64.deb", False),
    ],
)
def test_an_index_is_what_changes_under_the_same_name(path, index):
    assert is_index(asked(path)) is index


def test_machines_get_an_index_one_after_the_other_and_whole(tmp_path):
    """The cache cuts off those that read an index when another asks for it."""
    busy, asked_for = 0, 0

    async def cache(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, asked_for
        await reader.readuntil(b"\r\n\r\n")
        busy, asked_for = busy + 1, asked_for + 1
        await asyncio.sleep(0.01)
        cut = busy > 1 or asked_for == 2
        writer.write(page(b"x" * 1000)[: -500 if cut else None])
        busy -= 1

    async def ask(port: int) -> list[bytes]:
        return await asyncio.gather(*(talk(port, asked("/debian/dists/trixie/InRelease")) for _ in range(5)))

    answers = before(cache, tmp_path / "turns", ask)
    assert asked_for == 6
    assert all(answer.endswith(b"\r\n\r\n" + b"x" * 1000) for answer in answers)


def test_a_cache_that_hangs_up_makes_the_machine_ask_anew(tmp_path):
    async def cache(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(page(b"one"))

    async def ask(port: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked("/pool/1"))
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return [answer]

    assert before(cache, tmp_path / "turns", ask)[0].endswith(b"one")


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
