"""Look at an address from outside: which TCP ports answer, and which UDP ports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.checks.subject import Outside

# What a gateway might leave open, and what those who look for open doors try first.
TCP_PORTS = tuple(sorted({
    *range(1, 27), 37, 42, 43, 49, 53, 67, 69, 70, 79, 80, 81, 82, 83, 84, 85, 88, 89, 90, 99, 100, 106, 109, 110, 111, 113, 119,
    123, 135, 137, 138, 139, 143, 144, 161, 162, 179, 194, 199, 211, 212, 222, 389, 427, 443, 444, 445, 464, 465, 497, 500, 502,
    512, 513, 514, 515, 524, 541, 543, 544, 548, 554, 563, 587, 593, 623, 625, 631, 636, 646, 666, 783, 808, 853, 873, 902, 989,
    990, 992, 993, 995, 1080, 1194, 1433, 1521, 1701, 1720, 1723, 1883, 2049, 2082, 2083, 2181, 2200, 2222, 2375, 2376, 2379,
    3000, 3128, 3142, 3268, 3306, 3310, 3350, 3389, 3390, 4000, 4190, 4443, 4444, 4500, 5000, 5022, 5060, 5222, 5353, 5432, 5555,
    5601, 5671, 5672, 5900, 5901, 5910, 5985, 5986, 6000, 6001, 6379, 6443, 7001, 7070, 8000, 8008, 8080, 8081, 8082, 8086, 8088,
    8090, 8140, 8291, 8333, 8443, 8500, 8883, 8888, 8953, 9000, 9001, 9090, 9091, 9092, 9100, 9200, 9300, 9418, 9443, 9999, 10000,
    10050, 10051, 11211, 15672, 16992, 27017, 32400, 49152, 50000, 51820, 51821, 55555, 61613, 65535,
}))  # fmt: skip
UDP_PORTS = (53, 67, 68, 69, 111, 123, 137, 138, 161, 162, 323, 389, 443, 500, 514, 520, 623, 853, 1194, 1434, 1701, 1812, 1900,
             3389, 3478, 4500, 5000, 5060, 5353, 5355, 11211, 33434, 51821)  # fmt: skip
SCANNER = """\
import asyncio, json, socket, sys
order = json.load(sys.stdin)
address = socket.getaddrinfo(order["host"], 1)[0][4][0]

async def tcp(port, gate):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), order["patience"])
            writer.close()
            return "open"
        except ConnectionRefusedError:
            return "refused"
        except asyncio.TimeoutError:
            return None
        except OSError as error:
            return error.strerror or "error"

class Ask(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()
    def datagram_received(self, data, sender):
        self.answer.done() or self.answer.set_result("open")
    def error_received(self, error):
        self.answer.done() or self.answer.set_result("refused")

async def udp(port, _):
    transport, ask = await asyncio.get_running_loop().create_datagram_endpoint(Ask, remote_addr=(address, port))
    for payload in order["payloads"]:
        transport.sendto(bytes.fromhex(payload))
    done, _ = await asyncio.wait([ask.answer], timeout=order["patience"])
    transport.close()
    return ask.answer.result() if done else None

async def main():
    gate = asyncio.Semaphore(order["wide"])
    doors = [("tcp", p) for p in order["tcp"]] + [("udp", p) for p in order["udp"]]
    found = await asyncio.gather(*((tcp if kind == "tcp" else udp)(port, gate) for kind, port in doors))
    answers = {f"{port}/{kind}": said for (kind, port), said in zip(doors, found) if said}
    print(json.dumps({"address": address, "answers": answers}))

asyncio.run(main())
"""
# A question that DNS, NTP and SNMP servers each answer; anything else gets the same three.
PAYLOADS = (
    "1f0d01000001000000000000076578616d706c6503636f6d0000010001",
    "e30004fa000100000001000000000000000000000000000000000000000000000000000000000000cc25cc13dabb0000",
    "302602010104067075626c6963a019020407e2a2c3020100020100300b300906052b060102010500",
)


@dataclass(frozen=True)
class Scan:
    """What answered from outside: "443/tcp" → open or refused; ports that are not named were silent."""

    address: str
    answers: dict[str, str]
    tried: int


def scan(outside: Outside, host: str, tcp: Sequence[int] = TCP_PORTS, udp: Sequence[int] = UDP_PORTS) -> Scan:
    """Try these ports of the host from outside; some hundreds take about three seconds."""
    order = {"host": host, "tcp": list(tcp), "udp": list(udp), "patience": 2.0, "wide": 500, "payloads": PAYLOADS}
    done = outside.run(["python3", "-c", SCANNER], timeout=60.0, stdin=json.dumps(order))
    assert done.returncode == 0, f"the scan itself failed: {done.stderr.strip().splitlines()[-1:]}"
    found = json.loads(done.stdout)
    return Scan(found["address"], found["answers"], len(tcp) + len(udp))
