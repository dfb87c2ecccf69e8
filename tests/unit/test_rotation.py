"""A key's replacement from its beginning to its end: what is written down, and that nobody is locked out on the way."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploys.access import lasting_peers, schedule
from deploys.preshared import shared_keys
from toolkit import ledger
from toolkit.enrolment import Enrolment
from toolkit.errors import TelekitError, UsageError
from toolkit.inventory import load
from toolkit.kit.make import _Workshop
from toolkit.ledger import LEFT, Handover, Ledger, Revocation
from toolkit.model import KeyChange
from toolkit.rotation import Wish, rotate
from toolkit.secrets import Vault, new_private_key, public_half
from toolkit.status import _replaced
from toolkit.targets import Job, select

LAB = Path(__file__).parents[2] / "inventories" / "lab"
ACCESS = Path(__file__).parents[2] / "templates" / "access"
GATEWAY, LAPTOP, OTHER = "gw-mairie", "portable-041", "portable-042"
OLD, NEW, NEWER = "B" * 42 + "E=", "D" * 42 + "E=", "F" * 42 + "E="
KEYS = {GATEWAY: "A" * 42 + "E=", LAPTOP: OLD, OTHER: "C" * 42 + "E="}
TODAY = date(2026, 11, 25)
UNTIL = TODAY + timedelta(days=14)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The lab's commune, its machines enrolled, and an operator who has a key."""
    commune = tmp_path / "lab"
    commune.mkdir()
    for name in ("commune.toml", "agents.csv"):
        shutil.copyfile(LAB / name, commune / name)
    key = commune / "operator_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "m.admin", "-f", str(key)], check=True)
    shutil.copyfile(key.with_name(key.name + ".pub"), commune / "operators.keys")
    first = Enrolment(job(commune))
    first.record(KEYS)
    return commune


def job(folder: Path, *only: str, today: date = TODAY) -> Job:
    commune = load(folder, today=today).commune
    return Job(folder, commune, select(commune, only or tuple(KEYS)), (folder / "operator_ed25519",))


def vault(folder: Path) -> Vault:
    return Vault.open(folder, (), (folder / "operator_ed25519",))


def begun(folder: Path) -> Enrolment:
    """The rotation of one laptop, which has made its new key, and which the gateway knows."""
    found = Enrolment(job(folder))
    found.rotate([LAPTOP], UNTIL)
    found.prepare()
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}\n"})
    found.told()
    return found


# -- what is written down ----------------------------------------------------------------------------------------------


def test_a_rotation_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    began = Ledger(keys=KEYS).rotating(LAPTOP, TODAY, UNTIL).rotating(OTHER, TODAY, UNTIL).offered(LAPTOP, NEW).told()
    done = began.rotated(LAPTOP, TODAY).outlasted(UNTIL + timedelta(days=1), made=False)
    for book in (began, done):
        ledger.write(tmp_path, book)
        assert ledger.read(tmp_path) == book
    assert done.rotations[OTHER].stage == "lapsed"


def test_a_ledger_from_before_rotations_is_read(tmp_path: Path) -> None:
    ledger.write(tmp_path, Ledger(keys=KEYS))
    document = json.loads((tmp_path / ledger.FILE).read_text())
    for later in ("rotations", "previous", "made"):
        del document[later]
    (tmp_path / ledger.FILE).write_text(json.dumps(document))
    assert ledger.read(tmp_path) == Ledger(keys=KEYS)


def test_nobodys_other_key_can_be_a_next_key() -> None:
    book = Ledger(keys=KEYS).rotating(LAPTOP, TODAY, UNTIL).rotating(OTHER, TODAY, UNTIL).offered(OTHER, NEW)
    for key in (OLD, KEYS[OTHER], NEW, "not a key"):
        with pytest.raises(TelekitError):
            book.offered(LAPTOP, key)
    with pytest.raises(TelekitError, match="also portable-042's"):
        book.enrolled(LAPTOP, NEW)


def test_a_revocation_in_the_middle_of_a_rotation_takes_every_key(folder: Path) -> None:
    book = begun(folder).ledger.rotated(LAPTOP, TODAY).rotating(LAPTOP, TODAY, UNTIL).offered(LAPTOP, NEWER)
    assert set(book.keys_of(LAPTOP)) == {OLD, NEW, NEWER}
    revoked = book.with_revoked(Revocation(LAPTOP, key, "2026-11-25", LEFT, "m.durand") for key in book.keys_of(LAPTOP))
    assert revoked.keys_of(LAPTOP) == ()
    commune = revoked.complete(load(folder, today=TODAY).commune)
    assert all(laptop.name != LAPTOP for laptop in commune.peers)
    for key in (OLD, NEW, NEWER):
        with pytest.raises(TelekitError, match="revoked"):
            revoked.enrolled(LAPTOP, key)


def test_status_says_what_a_rotation_waits_for_and_which_were_not_in_time() -> None:
    book = Ledger(keys=KEYS).rotating(LAPTOP, TODAY, UNTIL)
    assert list(_replaced(book.rotations)) == [
        f"Keys being replaced: {LAPTOP} (since 2026-11-25, waits for the laptop to be reached, until 2026-12-09)."
    ]
    (late,) = _replaced(book.outlasted(UNTIL + timedelta(days=1), made=False).rotations)
    assert LAPTOP in late
    assert "telekit rotate" in late
    assert book.offered(LAPTOP, NEW).rotations[LAPTOP].stage == "gateway"
    assert book.offered(LAPTOP, NEW).told().rotations[LAPTOP].stage == "handshake"


# -- from answer to answer ---------------------------------------------------------------------------------------------


def test_the_laptop_gets_what_goes_with_its_new_key_only_when_the_gateways_know_it(folder: Path) -> None:
    found = Enrolment(job(folder))
    found.rotate([LAPTOP], UNTIL)
    assert found.data()[LAPTOP]["rotation"] == KeyChange("", UNTIL)
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}\n"})
    assert found.data()[LAPTOP]["rotation"] == KeyChange(NEW, UNTIL)
    assert found.data()[OTHER]["rotation"] is None
    found.told()
    change = found.data()[LAPTOP]["rotation"]
    assert isinstance(change, KeyChange)
    assert change.preshared == found.data()[GATEWAY]["preshared_next"][LAPTOP]  # type: ignore[index]
    assert change.preshared != found.data()[LAPTOP]["preshared"]


def test_the_same_answers_again_change_nothing(folder: Path) -> None:
    begun(folder)
    kept = {name: (folder / name).read_bytes() for name in ("ledger.json", "secrets.age")}
    again = Enrolment(job(folder))
    again.prepare()
    again.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}\n"})
    again.arrived(set(KEYS.values()))
    assert {name: (folder / name).read_bytes() for name in kept} == kept


def test_a_laptop_that_uses_its_new_key_ends_the_rotation(folder: Path) -> None:
    coming = begun(folder).data()[GATEWAY]["preshared_next"][LAPTOP]  # type: ignore[index]
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: NEW})
    assert (found.ledger.keys[LAPTOP], found.ledger.previous[LAPTOP], found.ledger.made[LAPTOP]) == (NEW, OLD, TODAY)
    assert found.ledger.rotations == {}
    assert found.data()[LAPTOP]["preshared"] == coming
    assert vault(folder).get(f"preshared-next/{LAPTOP}") is None


def test_without_the_gateway_there_to_be_told_it_does_not_end_yet(folder: Path) -> None:
    begun(folder)
    found = Enrolment(job(folder, LAPTOP))
    assert found.record({LAPTOP: NEW}) == {}
    assert found.ledger.rotations[LAPTOP].key == NEW
    assert found.ledger.keys[LAPTOP] == OLD


def test_a_handshake_that_the_gateway_saw_ends_it_while_the_laptop_is_away(folder: Path) -> None:
    begun(folder)
    found = Enrolment(job(folder, GATEWAY))
    found.record({GATEWAY: KEYS[GATEWAY]})
    assert found.handshakes_matter
    found.arrived({NEW})
    assert (found.ledger.keys[LAPTOP], found.ledger.rotations) == (NEW, {})


def test_a_laptop_in_the_very_moment_of_its_switch_is_left_alone(folder: Path) -> None:
    """Its answer says the old key, the gateway has seen the new one: whatever is written now, it could undo what it does."""
    begun(folder)
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}"})
    found.arrived({NEW, OLD})
    assert found.ledger.under_way(LAPTOP) is not None


def test_a_laptop_that_was_cut_off_before_it_wrote_its_key_down_keeps_it(folder: Path) -> None:
    begun(folder).ledger.keys  # noqa: B018 - the beginning of the story
    done = Enrolment(job(folder, GATEWAY))
    done.record({GATEWAY: KEYS[GATEWAY]})
    done.arrived({NEW})
    found = Enrolment(job(folder))
    assert found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}"}) == {}
    assert found.ledger.keys[LAPTOP] == NEW


def test_a_laptop_that_lost_its_new_key_makes_another_with_another_preshared_key(folder: Path) -> None:
    before = begun(folder).data()[GATEWAY]["preshared_next"][LAPTOP]  # type: ignore[index]
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEWER}"})
    assert found.ledger.rotations[LAPTOP].stage == "gateway"
    assert found.data()[GATEWAY]["preshared_next"][LAPTOP] != before  # type: ignore[index]


def test_a_laptop_that_was_installed_anew_ends_its_rotation(folder: Path) -> None:
    begun(folder)
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: NEWER})
    assert (found.ledger.keys[LAPTOP], found.ledger.rotations) == (NEWER, {})


def test_after_its_last_day_a_rotation_is_given_up_and_the_old_key_stays(folder: Path) -> None:
    begun(folder)
    late = Enrolment(job(folder, today=UNTIL + timedelta(days=1)))
    late.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}"})
    late.arrived(set(KEYS.values()))
    assert late.ledger.rotations[LAPTOP].lapsed
    assert late.data()[LAPTOP]["rotation"] is None
    assert late.ledger.keys[LAPTOP] == OLD
    laptop = late.job.commune.laptop_named[LAPTOP]
    assert (laptop.public_key, laptop.next_key) == (OLD, None)


def test_a_laptop_that_nobody_reached_in_time_needs_no_gateway_to_be_given_up(folder: Path) -> None:
    found = Enrolment(job(folder))
    found.rotate([LAPTOP], UNTIL)
    found.prepare()
    late = Enrolment(job(folder, OTHER, today=UNTIL + timedelta(days=1)))
    late.record({OTHER: KEYS[OTHER]})
    assert late.ledger.rotations[LAPTOP].stage == "lapsed"


def test_a_laptop_from_before_preshared_keys_gets_one_with_its_new_key(folder: Path) -> None:
    opened = vault(folder)
    opened = Enrolment(job(folder))._vault
    opened.delete(f"preshared/{LAPTOP}")
    opened.save()
    begun(folder)
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: NEW})
    assert found.data()[LAPTOP]["preshared"] is not None


# -- a device whose key is in a kit ------------------------------------------------------------------------------------


@pytest.fixture
def device(folder: Path) -> str:
    """The key that a Windows computer has, whose kit was used."""
    file = folder / "commune.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('name = "portable-042"\nssh  = "127.0.0.1:2205"', 'name = "portable-042"\nsystem = "windows"'))
    private = new_private_key()
    opened = Enrolment(job(folder, GATEWAY))._vault
    opened.put(f"tunnel-key/{OTHER}", private)
    opened.save()
    book = ledger.read(folder)
    kept = replace(book, keys={**book.keys, OTHER: public_half(private)})
    ledger.write(folder, kept.handed_over(OTHER, Handover(TODAY, UNTIL, "k.benali", used=True)))
    return public_half(private)


def test_its_new_key_is_in_the_next_kit_and_becomes_its_key_when_it_is_used(folder: Path, device: str) -> None:
    found = Enrolment(job(folder, GATEWAY))
    found.rotate([OTHER], UNTIL)
    found.prepare()
    coming = vault(folder).get(f"tunnel-key-next/{OTHER}")
    assert coming is not None
    workshop = _Workshop(job(folder, GATEWAY))
    workshop.enrol([workshop.job.commune.agent_of[OTHER]])
    keys = workshop._keys(workshop.commune.laptop_named[OTHER])
    assert keys is not None
    assert (keys.private_key, keys.expires) == (coming, UNTIL)
    assert keys.preshared_key == vault(folder).get(f"preshared-next/{OTHER}")
    assert ledger.read(folder).keys[OTHER] == device
    found = Enrolment(job(folder, GATEWAY))
    found.record({GATEWAY: KEYS[GATEWAY]})
    found.arrived({public_half(coming)})
    assert found.ledger.keys[OTHER] == public_half(coming)
    assert vault(folder).get(f"tunnel-key/{OTHER}") == coming
    assert vault(folder).get(f"tunnel-key-next/{OTHER}") is None


def test_a_kit_that_nobody_is_known_to_have_used_is_not_replaced_behind_its_owners_back(folder: Path, device: str) -> None:
    book = ledger.read(folder)
    ledger.write(folder, book.handed_over(OTHER, Handover(TODAY, UNTIL, "k.benali")))
    with pytest.raises(UsageError, match="nobody is known to have used the kit of portable-042 yet"):
        rotate(job(folder, GATEWAY), Wish(names=(OTHER,)), Silent())


# -- who gets one ------------------------------------------------------------------------------------------------------


class Silent:
    """An observer who is not interested."""

    def phase(self, title: str, machines: object, *, last: bool = False) -> None:
        raise AssertionError("nothing may be begun")

    def emit(self, event: object) -> None:
        raise AssertionError("nothing may be begun")


def test_without_names_only_old_keys_are_replaced(folder: Path) -> None:
    found = rotate(job(folder), Wish(older_than=365), Silent())
    assert (found.closing, found.exit_code) == ("No key is older than 365 days.", 0)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(names=("portable-04",)), "lab has no laptop `portable-04`"),
        (Wish(names=(GATEWAY,)), "its own key: telekit rotate --gateway"),
        (Wish(agents=("m.dupont",)), "lab has no agent `m.dupont`"),
    ],
)
def test_who_is_not_there_is_told_of_before_anything_is_touched(folder: Path, wish: Wish, said: str) -> None:
    kept = (folder / ledger.FILE).read_bytes()
    with pytest.raises(UsageError) as told:
        rotate(job(folder), wish, Silent())
    assert said in str(told.value)
    assert (folder / ledger.FILE).read_bytes() == kept


def test_a_laptop_without_access_today_is_not_begun_with(folder: Path) -> None:
    file = folder / "agents.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("bureau-finances-03;;", "bureau-finances-03;;2026-11-01"), encoding="utf-8")
    with pytest.raises(UsageError, match="portable-041 has no tunnel today"):
        rotate(job(folder), Wish(agents=("m.durand",)), Silent())


# -- nobody is ever locked out -----------------------------------------------------------------------------------------


def program() -> Any:
    """What the gateway goes by between two runs of telekit."""
    sys.path.insert(0, str(ACCESS))
    spec = importlib.util.spec_from_file_location("rotation_access", ACCESS / "access.py")
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    sys.path.remove(str(ACCESS))
    return found


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
            self.enrol(found.data()[LAPTOP]["rotation"])
        coming = f"\n{self.next[0]}" if self.next else ""
        answers = {GATEWAY: KEYS[GATEWAY], LAPTOP: self.own[0] + coming}
        assert found.record({name: answers[name] for name in only}) == {}
        if GATEWAY in only:
            if found.handshakes_matter:
                found.arrived(self.arrived | set(KEYS.values()))
            self.tell(found)
            found.told()
        if LAPTOP in only:
            self.receive(found.data()[LAPTOP])

    def enrol(self, change: Any) -> None:
        """What `next_key` does."""
        known = ledger.read(self.folder).keys[LAPTOP]
        if change is None:
            self.next = self.next if self.next and self.next[0] == known else None
        elif self.next is None and self.own[0] != change.key:
            self.made += 1
            self.next = (public_half(new_private_key()), "")

    def tell(self, found: Enrolment) -> None:
        commune, data = found.job.commune, found.data()[GATEWAY]
        (self.folder / "access.json").write_text(schedule(commune), encoding="utf-8")
        self.static = {str(laptop.public_key) for laptop in lasting_peers(commune)}
        lines = shared_keys(commune, data["preshared"], data["preshared_next"]).reveal().splitlines()[1:]  # type: ignore[arg-type]
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
    world = World(folder, program(), random.Random(seed), own=(OLD, ""))
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
