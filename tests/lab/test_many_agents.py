"""A town hall of 1,500 teleworkers takes one more on: nobody else notices, and nobody waits."""

from __future__ import annotations

import base64
import json
import re
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from toolkit import ledger
from toolkit.inventory import load

pytestmark = pytest.mark.lab
RELEASES = ("trixie",)

GATEWAY, LAPTOP = "gw-mairie", "portable-041"
WRITTEN = ("commune.toml", "agents.csv", "ledger.json")
MANY = 1500
COUNT = "exec 3<>/dev/tcp/10.77.1.11/443; printf 'GET /count HTTP/1.0\\r\\n\\r\\n' >&3; exec cat <&3"
# The command's own time on a processor, and what passes meanwhile: the lab's tests run beside each other, and wait for one.
OWN_SECONDS, SECONDS = 2.0, 20.0


class Stream:
    """Numbered lines without end from an application, read by a colleague through the tunnel."""

    def __init__(self, town) -> None:
        self.process = town.lab.machine(LAPTOP).popen(["bash", "-c", COUNT])
        self.numbers: list[int] = []
        threading.Thread(target=self._read, daemon=True).start()
        assert self.goes_on(40)

    def _read(self) -> None:
        self.numbers += (int(line) for line in iter(self.process.stdout.readline, b"") if line.strip().isdigit())

    def goes_on(self, seconds: float = 3) -> bool:
        seen, deadline = len(self.numbers), time.monotonic() + seconds
        while len(self.numbers) == seen and time.monotonic() < deadline:
            time.sleep(0.1)
        return len(self.numbers) > seen

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def key(number: int) -> str:
    return base64.b64encode(number.to_bytes(32, "big")).decode()


@pytest.fixture
def crowded(provisioned) -> Iterator:
    """The town with 1,500 devices more; as it was afterwards."""
    folder = provisioned.inventory
    before = {name: (folder / name).read_bytes() for name in WRITTEN}
    numbers = range(1, MANY + 1)
    toml, agents = (before[name].decode() for name in WRITTEN[:2])
    toml = re.sub(r"(?m)^tunnel  = .*$", 'tunnel  = "10.177.0.0/20"', toml)
    toml += "".join(f'\n[[laptop]]\nname   = "pc-{n:04}"\nsystem = "windows"\n' for n in numbers)
    agents += "".join(f"a{n:04};Nom;Prénom;;accueil;pc-{n:04};;;\n" for n in numbers)
    try:
        (folder / "commune.toml").write_text(toml, encoding="utf-8")
        (folder / "agents.csv").write_text(agents, encoding="utf-8")
        book = ledger.read(folder).allocated(load(folder).commune)
        book = replace(book, keys={**book.keys, **{f"pc-{n:04}": key(n) for n in numbers}})
        ledger.write(folder, book)
        provisioned.telekit("provision", "--yes", "--only", GATEWAY)
        yield provisioned
    finally:
        for name, content in before.items():
            (folder / name).write_bytes(content)
        provisioned.telekit("provision", "--yes", "--only", GATEWAY)


def processor_seconds() -> float:
    """What the commands that have ended took of a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peers(town) -> set[str]:
    return set(town.lab.machine(GATEWAY).run(["wg", "show", "wg0", "allowed-ips"]).stdout.splitlines())


@pytest.fixture
def installed(monkeypatch, tmp_path_factory) -> None:
    """telekit as it is installed: its programs are compiled once, not at each start."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))


def test_one_agent_more_is_one_peer_more_and_no_byte_less_for_the_others(installed, crowded, tmp_path) -> None:
    before = peers(crowded)
    assert len(before) >= MANY
    colleague = Stream(crowded)
    told = [
        "--last-name",
        "Nouveau",
        "--first-name",
        "Paule",
        "--profile",
        "comptable",
        "--laptop",
        "pc-1501",
        "--new-laptop",
        "windows",
    ]
    try:
        crowded.telekit("agent", "add", "p.nouveau", *told)
        crowded.telekit("agent", "kit", "p.nouveau", "--output", str(tmp_path / "kits"))
        began, before_it = time.monotonic(), processor_seconds()
        done = crowded.telekit("provision", "--yes", "--only", GATEWAY, "--json")
        seconds, own = time.monotonic() - began, processor_seconds() - before_it
        after = peers(crowded)
        assert (len(after - before), before - after) == (1, set())
        assert [machine["state"] for machine in json.loads(done.stdout)["machines"]] == ["changed"]
        assert colleague.goes_on()
        print(f"one agent more: {seconds:.1f} s, of which {own:.1f} s of a processor")
        assert own < OWN_SECONDS, f"{own:.1f} s of processor"
        assert seconds < SECONDS, f"{seconds:.1f} s"
    finally:
        colleague.end()
    assert colleague.numbers == list(range(len(colleague.numbers)))
