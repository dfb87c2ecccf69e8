"""A distance: TCP relays on 127.0.0.1 that hold every byte back for half a round trip each way, in order.

    python -m benchmarks.relay 4201:2201 4202:2202

relays port 4201 to port 2201 and so on. It reads commands from standard input, a line each: `delay SECONDS` sets the round trip
for connections made from then on; `count` answers with a line of JSON. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

HOST = "127.0.0.1"


class Line:
    """The round trip of connections that are made now, and how many were made to each port."""

    def __init__(self) -> None:
        self.round_trip = 0.0
        self.connections: dict[int, int] = {}


class Pipe:
    """One direction of a connection: what comes in goes out half a round trip later, in the same order."""

    def __init__(self, half: float, since: float) -> None:
        self.half, self.since = half, since
        self.loop = asyncio.get_running_loop()
        self.out: asyncio.Transport | None = None
        self.held: deque[tuple[float, bytes | None]] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes | None) -> None:
        """Take bytes, or None for the end."""
        now = self.loop.time()
        if not self.half and self.out is not None and not self.held:
            self._write(data)
            return
        self.held.append((max(now, self.since) + self.half, data))
        self._arm()

    def connect(self, out: asyncio.Transport) -> None:
        self.out = out
        self._arm()

    def _arm(self) -> None:
        if self.timer is None and self.held and self.out is not None:
            self.timer = self.loop.call_at(self.held[0][0], self._due)

    def _due(self) -> None:
        self.timer = None
        now = self.loop.time()
        while self.held and self.held[0][0] <= now:
            self._write(self.held.popleft()[1])
        self._arm()

    def _write(self, data: bytes | None) -> None:
        assert self.out is not None
        if self.out.is_closing():
            return
        if data is None:
            self.out.write_eof()
        else:
            self.out.write(data)


class End(asyncio.Protocol):
    """One end of a connection: feeds a pipe; the other pipe writes to its transport."""

    def __init__(self, into: Pipe, out_of: Pipe) -> None:
        self.into, self.out_of = into, out_of

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.out_of.connect(transport)

    def data_received(self, data: bytes) -> None:
        self.into.put(data)

    def eof_received(self) -> bool:
        self.into.put(None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self.into.out is not None and error is not None:
            self.into.out.abort()


class Near(End):
    """The client's end. It was accepted at once, where a real distance takes a round trip for that: made good here."""

    def __init__(self, line: Line, port: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.opened = self.loop.time() + line.round_trip
        self.port, self.half = port, line.round_trip / 2
        line.connections[port] = line.connections.get(port, 0) + 1
        super().__init__(Pipe(self.half, self.opened), Pipe(self.half, self.opened))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.task = self.loop.create_task(self._reach(transport))

    async def _reach(self, transport: asyncio.BaseTransport) -> None:
        if self.half:
            await asyncio.sleep(self.opened + self.half - self.loop.time())
        try:
            await self.loop.create_connection(lambda: End(self.out_of, self.into), HOST, self.port)
        except OSError:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()


async def _serve(ports: Mapping[int, int]) -> None:
    line = Line()
    loop = asyncio.get_running_loop()
    for near, far in ports.items():
        await loop.create_server(lambda far=far: Near(line, far), HOST, near, backlog=1024)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ready", flush=True)
    while words := (await commands.readline()).decode().split():
        if words[0] == "delay":
            line.round_trip = float(words[1])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        state = {"connections": line.connections, "cpu": usage.ru_utime + usage.ru_stime}
        print(json.dumps(state), flush=True)


@dataclass
class Distance:
    """A running relay."""

    write: IO[str]
    read: IO[str]

    def _ask(self, command: str) -> dict[str, object]:
        print(command, file=self.write, flush=True)
        found: dict[str, object] = json.loads(self.read.readline())
        return found

    def set(self, round_trip: float) -> None:
        """Connections made from now on have this round trip, in seconds."""
        self._ask(f"delay {round_trip}")

    def connections(self) -> dict[int, int]:
        """Port at the far end → connections made so far."""
        found = self._ask("count")["connections"]
        assert isinstance(found, dict)
        return {int(port): int(number) for port, number in found.items()}

    def cpu(self) -> float:
        """Processor seconds used so far."""
        return float(str(self._ask("count")["cpu"]))


@contextmanager
def distance(ports: Mapping[int, int]) -> Iterator[Distance]:
    """A relay from each near port to its far port, for the duration of the block."""
    command = [sys.executable, "-m", "benchmarks.relay", *(f"{near}:{far}" for near, far in ports.items())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the relay does not start")
        try:
            yield Distance(process.stdin, process.stdout)
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve({int(near): int(far) for near, far in (pair.split(":") for pair in sys.argv[1:])}))
