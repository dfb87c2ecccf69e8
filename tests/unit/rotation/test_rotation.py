"""A laptop's key is replaced: what is written down, from answer to answer, from its beginning to its end."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.conftest import TODAY, job, received, vault
from tests.unit.rotation.conftest import GATEWAY, KEYS, LAPTOP, NEW, NEWER, OLD, OTHER, UNTIL, begun
from toolkit import ledger
from toolkit.enrolment import Enrolment
from toolkit.errors import TelekitError, UsageError
from toolkit.inventory import load
from toolkit.kit.make import _Workshop
from toolkit.ledger import LEFT, Handover, Ledger, Revocation
from toolkit.model import KeyChange
from toolkit.rotation import Wish, rotate
from toolkit.secrets import new_private_key, public_half
from toolkit.status.replaced import laptop_keys_replaced

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
    assert list(laptop_keys_replaced(book.rotations)) == [
        f"Keys being replaced: {LAPTOP} (since 2026-11-25, waits for the laptop to be reached, until 2026-12-09)."
    ]
    (late,) = laptop_keys_replaced(book.outlasted(UNTIL + timedelta(days=1), made=False).rotations)
    assert LAPTOP in late
    assert "telekit rotate" in late
    assert book.offered(LAPTOP, NEW).rotations[LAPTOP].stage == "gateway"
    assert book.offered(LAPTOP, NEW).told().rotations[LAPTOP].stage == "handshake"


# -- from answer to answer ---------------------------------------------------------------------------------------------


def test_the_laptop_gets_what_goes_with_its_new_key_only_when_the_gateways_know_it(folder: Path) -> None:
    found = Enrolment(job(folder))
    found.rotate([LAPTOP], UNTIL)
    assert received(found)[LAPTOP]["rotation"] == KeyChange("", UNTIL)
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}\n"})
    assert received(found)[LAPTOP]["rotation"] == KeyChange(NEW, UNTIL)
    assert received(found)[OTHER]["rotation"] is None
    found.told()
    change = received(found)[LAPTOP]["rotation"]
    assert isinstance(change, KeyChange)
    assert change.preshared == received(found)[GATEWAY]["preshared_next"][LAPTOP]
    assert change.preshared != received(found)[LAPTOP]["preshared"]


def test_the_same_answers_again_change_nothing(folder: Path) -> None:
    begun(folder)
    kept = {name: (folder / name).read_bytes() for name in ("ledger.json", "secrets.age")}
    again = Enrolment(job(folder))
    again.prepare()
    again.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}\n"})
    again.arrived(set(KEYS.values()))
    assert {name: (folder / name).read_bytes() for name in kept} == kept


def test_a_laptop_that_uses_its_new_key_ends_the_rotation(folder: Path) -> None:
    coming = received(begun(folder))[GATEWAY]["preshared_next"][LAPTOP]
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: NEW})
    assert (found.ledger.keys[LAPTOP], found.ledger.previous[LAPTOP], found.ledger.made[LAPTOP]) == (NEW, OLD, TODAY)
    assert found.ledger.rotations == {}
    assert received(found)[LAPTOP]["preshared"] == coming
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
    begun(folder)
    done = Enrolment(job(folder, GATEWAY))
    done.record({GATEWAY: KEYS[GATEWAY]})
    done.arrived({NEW})
    found = Enrolment(job(folder))
    assert found.record(KEYS | {LAPTOP: f"{OLD}\n{NEW}"}) == {}
    assert found.ledger.keys[LAPTOP] == NEW


def test_a_laptop_that_lost_its_new_key_makes_another_with_another_preshared_key(folder: Path) -> None:
    before = received(begun(folder))[GATEWAY]["preshared_next"][LAPTOP]
    found = Enrolment(job(folder))
    found.record(KEYS | {LAPTOP: f"{OLD}\n{NEWER}"})
    assert found.ledger.rotations[LAPTOP].stage == "gateway"
    assert received(found)[GATEWAY]["preshared_next"][LAPTOP] != before


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
    assert received(late)[LAPTOP]["rotation"] is None
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
    assert received(found)[LAPTOP]["preshared"] is not None


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
