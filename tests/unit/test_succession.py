"""The gateway's own key from its beginning to its end: what is kept, who is told when, and that nobody is locked out silently."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.conftest import TODAY, job, received, vault
from toolkit import ledger, rotation, succession
from toolkit.behind import behind
from toolkit.enrolment import Enrolment
from toolkit.errors import TelekitError, UsageError
from toolkit.inventory import load
from toolkit.kit.tunnel import configuration
from toolkit.ledger import Ledger, Succession
from toolkit.model import Secret
from toolkit.secrets import new_private_key, public_half
from toolkit.status.replaced import gateway_key_replaced
from toolkit.succession import Wish, succeed

GATEWAY, LAPTOP, OTHER = "gw-mairie", "portable-041", "portable-042"
PRIVATE = new_private_key()
KEYS = {GATEWAY: public_half(PRIVATE), LAPTOP: "B" * 42 + "E=", OTHER: "C" * 42 + "E="}
MINE, YOURS = KEYS[LAPTOP], KEYS[OTHER]
UNTIL = TODAY + timedelta(days=14)


@pytest.fixture
def folder(operated: Path) -> Path:
    """The lab's commune, its machines enrolled, and an operator who has a key."""
    first = Enrolment(job(operated))
    first.record(KEYS)
    first.keep(GATEWAY, PRIVATE)
    return operated


def begun(folder: Path, *, told: bool = True) -> str:
    """A succession that the gateway knows of; the new public key."""
    found = Enrolment(job(folder))
    found.succession(UNTIL)
    found.prepare()
    found.record(KEYS)
    if told:
        found.told()
    return found.ledger.successions[GATEWAY].key


def test_it_is_read_back_as_it_was_written_and_one_from_before_is_read(tmp_path: Path) -> None:
    coming = Succession(TODAY, UNTIL, "D" * 42 + "E=", told=True, informed=(LAPTOP,))
    for found in (coming, replace(coming, concluding=True)):
        ledger.write(tmp_path, Ledger(keys=KEYS).succeeding(GATEWAY, found))
        assert ledger.read(tmp_path).successions == {GATEWAY: found}
    document = json.loads((tmp_path / ledger.FILE).read_text())
    del document["successions"]
    (tmp_path / ledger.FILE).write_text(json.dumps(document))
    assert ledger.read(tmp_path) == Ledger(keys=KEYS)


def test_the_new_key_is_kept_before_anybody_learns_of_it_and_is_no_laptops(folder: Path) -> None:
    new = begun(folder, told=False)
    kept = vault(folder).get(f"gateway-key-next/{GATEWAY}")
    assert kept is not None
    assert public_half(kept) == new
    data = received(Enrolment(job(folder)))
    assert data[GATEWAY]["successor"] == kept
    assert "successor" not in data[LAPTOP]
    assert data[LAPTOP]["commune"].gateway.coming_key is None
    with pytest.raises(TelekitError, match="also gw-mairie's"):
        ledger.read(folder).enrolled(LAPTOP, new)


def test_laptops_are_told_when_the_gateway_answers_it_and_the_old_key_stays_the_gateways(folder: Path) -> None:
    new = begun(folder)
    found = Enrolment(job(folder))
    gateway = received(found)[LAPTOP]["commune"].gateway
    assert (gateway.public_key, gateway.coming_key) == (KEYS[GATEWAY], new)
    assert received(found)[GATEWAY]["escrow"] == PRIVATE


def test_again_it_gives_more_time_and_is_the_same_key(folder: Path) -> None:
    new = begun(folder)
    again = Enrolment(job(folder))
    again.succession(UNTIL + timedelta(days=7))
    again.prepare()
    coming = ledger.read(folder).successions[GATEWAY]
    assert (coming.key, coming.until, coming.told) == (new, UNTIL + timedelta(days=7), True)


@pytest.mark.parametrize("late", [0, 400])
def test_one_device_that_is_behind_is_enough_for_the_old_key_to_stay_however_late_it_is(folder: Path, late: int) -> None:
    begun(folder)
    found = Enrolment(job(folder, today=TODAY + timedelta(days=late)))
    found.record(KEYS)
    found.moved({MINE})
    assert not found.ledger.successions[GATEWAY].concluding
    assert received(found)[GATEWAY]["machine"].next_key is not None


def test_when_all_have_moved_the_gateway_has_one_key_and_of_the_old_one_nothing_is_kept(folder: Path) -> None:
    new = begun(folder)
    coming = vault(folder).get(f"gateway-key-next/{GATEWAY}")
    found = Enrolment(job(folder))
    found.record(KEYS)
    found.moved({MINE, YOURS})
    machine, data = received(found)[GATEWAY]["machine"], received(found)
    assert (machine.public_key, machine.next_key) == (new, None)
    assert data[GATEWAY]["commune"].gateway == machine
    assert data[GATEWAY]["successor"] == coming
    assert data[LAPTOP]["commune"].gateway.coming_key == new
    found.told()
    assert (found.ledger.keys[GATEWAY], found.ledger.successions) == (new, {})
    assert vault(folder).get(f"gateway-key/{GATEWAY}") == coming
    assert vault(folder).get(f"gateway-key-next/{GATEWAY}") is None
    assert received(found)[LAPTOP]["commune"].gateway.public_key == new
    assert received(found)[GATEWAY]["successor"] is None


def test_cut_off_after_the_gateway_had_concluded_the_next_run_learns_of_it(folder: Path) -> None:
    new = begun(folder)
    cut = Enrolment(job(folder))
    cut.record(KEYS)
    cut.moved({MINE, YOURS})
    found = Enrolment(job(folder))
    assert found.record(KEYS | {GATEWAY: new}) == {}
    assert (found.ledger.keys[GATEWAY], found.ledger.successions) == (new, {})
    kept = vault(folder).get(f"gateway-key/{GATEWAY}")
    assert kept is not None
    assert public_half(kept) == new


def test_cut_off_between_the_secrets_and_the_ledger_the_next_run_finishes(folder: Path) -> None:
    new = begun(folder)
    found = Enrolment(job(folder))
    found.record(KEYS)
    found.moved({MINE, YOURS})
    before = (folder / ledger.FILE).read_bytes()
    found.told()
    (folder / ledger.FILE).write_bytes(before)
    again = Enrolment(job(folder))
    assert received(again)[GATEWAY]["successor"] is None
    assert "escrow" in received(again)[GATEWAY], "a gateway that dies now gets its key back"
    again.record(KEYS | {GATEWAY: new})
    assert (again.ledger.keys[GATEWAY], again.ledger.successions) == (new, {})


def test_a_device_without_access_counts_until_it_was_told(folder: Path) -> None:
    file = folder / "agents.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("bureau-partage-01;;", "bureau-partage-01;;2026-11-01"), encoding="utf-8")
    begun(folder)
    found = Enrolment(job(folder))
    coming = found.ledger.successions[GATEWAY]
    assert behind(found.job.commune, coming, {MINE}) == (OTHER,)
    found.informed([OTHER, GATEWAY])
    coming = found.ledger.successions[GATEWAY]
    assert coming.informed == (OTHER,)
    assert behind(found.job.commune, coming, {MINE}) == ()
    assert behind(found.job.commune, coming, ()) == (LAPTOP,)


def test_nobody_counts_as_told_before_the_gateway_is(folder: Path) -> None:
    begun(folder, told=False)
    found = Enrolment(job(folder))
    found.informed([LAPTOP])
    found.conclude()
    coming = found.ledger.successions[GATEWAY]
    assert (coming.informed, coming.concluding) == ((), False)


def test_a_kit_that_is_made_meanwhile_has_the_key_that_stays(folder: Path) -> None:
    new = begun(folder, told=False)
    for told, key in ((False, KEYS[GATEWAY]), (True, new)):
        if told:
            found = Enrolment(job(folder))
            found.told()
        commune = Enrolment(job(folder)).job.commune
        text = configuration(commune.laptop_named[OTHER], commune, Secret("private"), None).reveal()
        assert f"PublicKey = {key}" in text
        assert f"Endpoint = {commune.gateway.endpoint}" in text


class Silent:
    """An observer who is not interested."""

    def phase(self, title: str, machines: object, *, last: bool = False) -> None:
        raise AssertionError("nothing may be begun")

    def emit(self, event: object) -> None:
        raise AssertionError("nothing may be begun")


def test_laptops_keys_and_the_gateways_are_not_replaced_at_once(folder: Path) -> None:
    found = Enrolment(job(folder))
    found.rotate([LAPTOP], UNTIL)
    found.prepare()
    with pytest.raises(UsageError, match="laptops' keys are being replaced: portable-041"):
        succeed(job(folder), Wish(), Silent())
    late = Enrolment(job(folder, today=UNTIL + timedelta(days=1)))
    late.record(KEYS)
    begun(folder)
    with pytest.raises(UsageError, match="the gateway's own key is being replaced"):
        rotation.rotate(job(folder), rotation.Wish(names=(LAPTOP,)), Silent())


def test_what_has_not_begun_is_not_concluded(folder: Path) -> None:
    with pytest.raises(UsageError, match="gw-mairie has no new key yet"):
        succeed(job(folder), Wish(conclude=True), Silent())


def test_status_names_who_is_behind_and_offers_the_choice_when_the_days_are_over(folder: Path) -> None:
    begun(folder)
    coming = ledger.read(folder).successions[GATEWAY]
    commune = load(folder, today=TODAY).commune
    said = gateway_key_replaced(GATEWAY, coming, [OTHER], commune)
    assert "not seen with the new one yet: portable-042." in said
    late = gateway_key_replaced(GATEWAY, coming, [OTHER], replace(commune, today=UNTIL + timedelta(days=1)))
    assert "portable-042" in late
    assert "--days N" in late
    assert "--conclude" in late
    assert "the next provision ends it" in gateway_key_replaced(GATEWAY, coming, [], commune)
    assert "did not say" in gateway_key_replaced(GATEWAY, coming, None, commune)


def test_the_command_says_whom_it_waits_for() -> None:
    coming = Succession(TODAY, UNTIL, "D" * 42 + "E=", told=True, informed=(LAPTOP,))
    said = "\n".join(succession._closing(GATEWAY, coming, [LAPTOP, OTHER]))
    assert "Come to it by themselves when they are next connected: portable-041." in said
    assert "Not told yet: portable-042. Expected by 2026-12-09." in said
    assert list(succession._closing(GATEWAY, None, [])) == ["gw-mairie has its new key, and no other."]
