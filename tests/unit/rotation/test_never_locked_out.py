"""Whatever happens in whatever order while keys change, nobody is locked out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploys.access import lasting_peers, schedule
from deploys.preshared import shared_keys
from tests.unit.conftest import TODAY, job, program_of, received, vault
from tests.unit.rotation.conftest import GATEWAY, KEYS, LAPTOP, OLD, OTHER
from toolkit import ledger
from toolkit.enrolment import Enrolment
from toolkit.secrets import new_private_key, public_half

ACCESS = Path(__file__).parents[3] / "templates" / "access"


@dataclass
class World:
    """A laptop, a gateway and an operator, of whom any may be away at any time. A key pair is (public, preshared)."""

    folder: Path
    access: Any
    chance: random.Random
    today: date = TODAY
    own: tuple[str, str] = ("", "")
    next: tuple[str, str] | None = None
    made: int = 0
    static: set[str] = field(default_factory=set)
    shared: dict[str, str] = field(default_factory=dict)
    arrived: set[str] = field(default_factory=set)

    def provision(self, *only: str, begin: bool = False) -> None:
        found = Enrolment(job(self.folder, *only, today=self.today))
        if begin and found.ledger.under_way(LAPTOP) is None:
            found.rotate([LAPTOP], self.today + timedelta(days=14))
        found.prepare()
        if LAPTOP in only:
            self.enrol(received(found)[LAPTOP]["rotation"])
        coming = f"\n{self.next[0]}" if self.next else ""
        answers = {GATEWAY: KEYS[GATEWAY], LAPTOP: self.own[0] + coming}
        assert found.record({name: answers[name] for name in only}) == {}
        if GATEWAY in only:
            if found.handshakes_matter:
                found.arrived(self.arrived | set(KEYS.values()))
            self.tell(found)
            found.told()
        if LAPTOP in only:
            self.receive(received(found)[LAPTOP])

    def enrol(self, change: Any) -> None:
        """What `next_key` does."""
        known = ledger.read(self.folder).keys[LAPTOP]
        if change is None:
            self.next = self.next if self.next and self.next[0] == known else None
        elif self.next is None and self.own[0] != change.key:
            self.made += 1
            self.next = (public_half(new_private_key()), "")

    def tell(self, found: Enrolment) -> None:
        commune, data = found.job.commune, received(found)[GATEWAY]
        (self.folder / "access.json").write_text(schedule(commune), encoding="utf-8")
        self.static = {str(laptop.public_key) for laptop in lasting_peers(commune)}
        lines = shared_keys(commune, data["preshared"], data["preshared_next"]).reveal().splitlines()[1:]
        self.shared = dict(line.split(" ", 1) for line in lines)

    def receive(self, data: dict[str, Any]) -> None:
        change = data["rotation"]
        if change is None:
            self.own = (self.own[0], data["preshared"].reveal())
        elif change.preshared and self.next and self.next[0] == change.key:
            self.next = (change.key, change.preshared.reveal())

    def peers(self) -> dict[str, bool]:
        """Public key → whether it has the laptop's addresses."""
        read = self.access.read_schedule(self.folder / "access.json")
        found = self.access.wanted(read, {}, str(self.today), frozenset(self.arrived)).peers
        return dict.fromkeys(self.static, True) | {key: bool(addresses) for key, addresses in found.items()}

    def answered(self, pair: tuple[str, str]) -> bool:
        return pair[0] in self.peers() and self.shared.get(pair[0]) == pair[1]

    def attempt(self, *, cut_off: bool) -> None:
        if self.next and self.next[1] and self.answered(self.next):
            self.arrived.add(self.next[0])
            if not cut_off:
                self.own, self.next = self.next, None

    def works(self) -> bool:
        """Whether one of the keys that the laptop tries in turn leads to its addresses: a first handshake brings them."""
        candidates = [self.own, *([self.next] if self.next and self.next[1] else [])]
        peers = self.peers()
        return any(self.answered(pair) and (peers[pair[0]] or pair == self.next) for pair in candidates)

    def step(self) -> str:
        what = self.chance.choice(["rotate", "both", "gateway", "laptop", "attempt", "attempt", "cut off", "days"])
        match what:
            case "rotate":
                self.provision(*self.chance.choice([(GATEWAY, LAPTOP), (GATEWAY,)]), begin=True)
            case "both":
                self.provision(GATEWAY, LAPTOP)
            case "gateway":
                self.provision(GATEWAY)
            case "laptop":
                self.provision(LAPTOP)
            case "days":
                self.today += timedelta(days=5)
            case _:
                self.attempt(cut_off=what == "cut off")
        return what


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_in_whatever_order_the_laptop_has_a_key_that_the_gateway_takes(folder: Path, seed: int) -> None:
    world = World(folder, program_of(ACCESS / "access.py", "locked_out_access"), random.Random(seed), own=(OLD, ""))
    world.provision(GATEWAY, LAPTOP)
    story = []
    for _ in range(14):
        story.append(world.step())
        assert world.works(), story
    # Once everybody is there and nothing is begun any more, it is over: one key at both ends, and nothing left of another.
    for _ in range(3):
        world.attempt(cut_off=False)
        world.provision(GATEWAY, LAPTOP)
    assert world.next is None, story
    assert ledger.read(folder).keys[LAPTOP] == world.own[0]
    assert world.peers() == {world.own[0]: True, KEYS[OTHER]: True}
    assert vault(folder).get(f"preshared-next/{LAPTOP}") is None or ledger.read(folder).rotations[LAPTOP].lapsed
