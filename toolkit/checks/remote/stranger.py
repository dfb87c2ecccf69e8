"""Somebody on the Internet who answers whoever comes, and says as whom.

They live as long as their standard input is open, a quarter of an hour at most.
"""

from __future__ import annotations

import json
import select
import socket
import time

SECONDS = 900
# Nobody is asked: it takes an address to learn one's own. Both are of the documentation's ranges.
ELSEWHERE = {socket.AF_INET: "198.51.100.77", socket.AF_INET6: "2001:db8::77"}


def own(family: socket.AddressFamily) -> str:
    """The address by which this place goes to the Internet; empty if by none."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as line:
            line.connect((ELSEWHERE[family], 9))
            return str(line.getsockname()[0])
    except OSError:
        return ""


def listen(address: str, family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket on the same port, whichever is free."""
    for _ in range(20):
        stream = socket.create_server((address, 0), family=family)
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        try:
            datagrams.bind((address, stream.getsockname()[1]))
        except OSError:
            stream.close()
            continue
        return stream, datagrams
    raise OSError("no port is free")


def greet(line: socket.socket) -> None:
    """Tell who came how they are seen."""
    if line.type == socket.SOCK_DGRAM:
        _, client = line.recvfrom(2048)
        line.sendto(f"you are {client[0]}\n".encode(), client)
        return
    connection, client = line.accept()
    with connection:
        connection.sendall(f"you are {client[0]}\n".encode())


def main() -> None:
    poll, lines, told = select.poll(), {}, {}
    poll.register(0, select.POLLIN | select.POLLHUP)
    for family in ELSEWHERE:
        if address := own(family):
            for line in listen(address, family):
                lines[line.fileno()] = line
                poll.register(line, select.POLLIN)
                told[address] = line.getsockname()[1]
    print(json.dumps(told), flush=True)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for number, _ in poll.poll(1000):
            if number == 0:
                return
            try:
                greet(lines[number])
            except OSError:
                continue


if __name__ == "__main__":
    main()
