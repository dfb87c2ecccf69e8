"""A kit holds what its agent needs and nothing else, for its operator's eyes alone, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from toolkit import journal, ledger
from toolkit.enrolment import Enrolment
from toolkit.errors import UsageError
from toolkit.kit import device, folder
from toolkit.kit.contents import NAMES
from toolkit.kit.make import Wish, make
from toolkit.ledger import Handover
from toolkit.model import Secret
from toolkit.register.listing import listing

WINDOWS = {
    "autorite-mairie.crt", "fiche.html", "fiche.pdf", "installer.ps1", "mon-bureau.rdp", "tunnel-mairie.conf",
    "tunnel-mairie.png",
}  # fmt: skip
PHONE = WINDOWS - {"installer.ps1", "mon-bureau.rdp"}
DEBIAN = {"fiche.html", "fiche.pdf"}


TODAY = date(2026, 11, 25)
Telekit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(("agent", "names"), [("m.durand", WINDOWS), ("a.petit", PHONE), ("k.benali", DEBIAN)])
def test_a_kit_holds_what_its_device_needs_and_nothing_else(town: Any, agent: str, names: set[str]) -> None:
    kit = town.kit(agent)
    assert {file.name for file in kit.iterdir()} == names
    assert names <= NAMES


def test_nobody_else_can_read_a_kit(town: Any) -> None:
    before = os.umask(0)
    try:
        kit = town.kit("m.durand")
    finally:
        os.umask(before)
    assert stat.S_IMODE(kit.parent.stat().st_mode) == stat.S_IMODE(kit.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in kit.iterdir()} == {0o600}


def test_a_zip_is_for_its_owner_alone_and_holds_nothing_more(town: Any) -> None:
    make(town.job(), Wish(("m.durand",), town.kits, archive=True))
    assert [file.name for file in (town.kits).iterdir()] == ["kit-m.durand.zip"]
    archive = town.kits / "kit-m.durand.zip"
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with zipfile.ZipFile(archive) as opened:
        assert set(opened.namelist()) == {f"kit-m.durand/{name}" for name in WINDOWS}
        assert {entry.external_attr >> 16 for entry in opened.infolist()} == {0o600}
        assert opened.testzip() is None


def test_the_devices_key_is_in_the_vault_and_its_public_half_in_the_ledger(town: Any) -> None:
    kit = town.kit("m.durand")
    kept = town.vault().get("tunnel-key/portable-042")
    assert kept is not None
    assert kept.reveal() == town.private_key(kit)
    laptop = town.commune().laptop_named["portable-042"]
    assert laptop.public_key == device.public_half(kept)
    assert laptop in town.commune().peers
    assert kept.reveal() not in (town.folder / "ledger.json").read_text()


def test_a_laptop_that_telekit_sets_up_gets_no_key_here(town: Any) -> None:
    town.kit("k.benali")
    assert "portable-041" not in ledger.read(town.folder).keys
    assert not (town.folder / "secrets.age").exists()


def test_the_ledger_knows_when_a_kit_expires(town: Any) -> None:
    town.kit("m.durand")
    town.kit("k.benali")
    assert dict(ledger.read(town.folder).kits) == {"portable-042": Handover(TODAY, date(2026, 12, 2), "m.durand")}


def test_a_device_shares_a_key_with_the_gateway_from_its_first_kit_on(town: Any) -> None:
    kit = town.kit("m.durand")
    shared = town.vault().get("preshared/portable-042")
    assert f"PresharedKey = {shared.reveal()}" in (kit / "tunnel-mairie.conf").read_text().splitlines()


def test_a_kit_that_is_made_again_has_the_same_key_and_a_new_date(town: Any) -> None:
    first = town.private_key(town.kit("m.durand"))
    second = town.private_key(town.kit("m.durand", date(2026, 12, 24)))
    assert first == second
    assert ledger.read(town.folder).kits["portable-042"].expires == date(2026, 12, 31)


def test_a_device_that_goes_to_another_agent_gets_new_keys(town: Any) -> None:
    old = town.private_key(town.kit("m.durand"))
    vault = town.vault()
    shared = Secret("c" * 43 + "=")
    vault.put("preshared/portable-042", shared)
    vault.save()
    agents = (town.folder / "agents.csv").read_text(encoding="utf-8")
    agents = agents.replace("portable-041", "x").replace("portable-042", "portable-041").replace(";x;", ";portable-042;")
    (town.folder / "agents.csv").write_text(agents, encoding="utf-8")
    assert town.private_key(town.kit("k.benali")) != old
    assert town.vault().get("preshared/portable-042") not in (None, shared)


def test_a_device_that_left_and_came_back_gets_a_new_key(town: Any) -> None:
    old = town.private_key(town.kit("m.durand"))
    book = ledger.read(town.folder)
    without = replace(town.job().commune, laptops=())
    ledger.write(town.folder, book.allocated(without))
    assert town.private_key(town.kit("m.durand")) != old


def test_the_address_in_a_kit_is_the_ledgers(town: Any) -> None:
    kit = town.kit("m.durand")
    laptop = town.commune().laptop_named["portable-042"]
    expected = f"Address = {laptop.tunnel_address}/32, {laptop.tunnel_address6}/128"
    assert expected in (kit / "tunnel-mairie.conf").read_text().splitlines()


def test_all_makes_every_active_agents_kit_and_lists_them_without_a_secret(town: Any) -> None:
    result = make(town.job(), Wish((), town.kits))
    names = {entry.name for entry in (town.kits).iterdir()}
    assert names == {"kit-m.durand", "kit-a.petit", "kit-k.benali", "index.csv"}
    content = (town.kits / "index.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
    assert [row["identifiant"] for row in rows] == ["k.benali", "m.durand", "a.petit"]
    assert rows[1]["prénom"] == "Mélanie"
    assert rows[1]["première connexion avant le"] == "2026-12-02"
    assert rows[0]["première connexion avant le"] == ""
    assert town.private_key(town.kits / "kit-m.durand") not in content.decode("utf-8-sig")
    assert stat.S_IMODE((town.kits / "index.csv").stat().st_mode) == 0o600
    assert result.summary["without_device"] == ["s.sans"]


def test_a_name_that_a_spreadsheet_would_run_is_only_text(tmp_path: Path) -> None:
    folder.write_index(tmp_path, ("nom",), [("=HYPERLINK(1)",), ("Durand",)])
    assert (tmp_path / "index.csv").read_text(encoding="utf-8-sig").splitlines() == ["nom", "'=HYPERLINK(1)", "Durand"]


@pytest.mark.parametrize(
    ("agent", "what", "hint"),
    [
        ("m.duran", "has no agent `m.duran`", "did you mean `m.durand`?"),
        ("p.parti", "has no access today: it ended on 2025-01-01", "telekit agent renew p.parti --commune lhay --until DAY"),
        ("p.pause", "has no access today: suspended since 2025-01-01", "telekit agent resume p.pause --commune lhay"),
        ("p.bientot", "has no access today: it begins on 2099-01-01", "make the kit on that day"),
        ("s.sans", "s.sans has no device", "agents.csv"),
    ],
)
def test_whoever_cannot_use_a_kit_gets_none_and_a_way_on(town: Any, agent: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        make(town.job(), Wish((agent,), town.kits))
    assert what in refused.value.problem.what
    assert hint in refused.value.problem.hint
    assert not (town.kits).exists()


def test_without_the_gateways_key_there_is_no_kit(town: Any) -> None:
    (town.folder / "ledger.json").unlink()
    with pytest.raises(
        UsageError, match=r"gw-mairie: the gateway has no key yet.*telekit provision --commune lhay --role gateway"
    ):
        make(town.job(), Wish(("m.durand",), town.kits))
    assert not (town.kits).exists()
    assert not (town.folder / "secrets.age").exists()


def test_a_folder_that_holds_something_else_stays_as_it_is(town: Any) -> None:
    mine = town.kits / "kit-m.durand"
    mine.mkdir(parents=True)
    (mine / "vacances.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="holds more than a kit; it stays as it is"):
        town.kit("m.durand")
    assert [file.name for file in mine.iterdir()] == ["vacances.jpg"]
    assert [file.name for file in mine.parent.iterdir()] == ["kit-m.durand"]


def test_a_kit_is_never_written_through_a_link(town: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (town.kits).mkdir()
    (town.kits / "kit-m.durand").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="it stays as it is"):
        town.kit("m.durand")
    assert list(elsewhere.iterdir()) == []


def test_what_a_killed_run_left_is_gone_after_the_next(town: Any) -> None:
    kits = town.kits
    for name in (".kit-m.durand.new", ".kit-m.durand.old"):
        (kits / name).mkdir(parents=True)
        (kits / name / "tunnel-mairie.conf").write_text("half")
    kit = town.kit("m.durand")
    assert [entry.name for entry in kits.iterdir()] == ["kit-m.durand"]
    assert {file.name for file in kit.iterdir()} == WINDOWS


def test_a_kit_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "kit-m.durand"
    folder.write_folder(target, {"fiche.pdf": b"old"})
    with pytest.raises(UsageError, match="cannot be written"):
        folder.write_folder(target, {"fiche.pdf": b"new", "no/such/folder": b""})
    assert (target / "fiche.pdf").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kit-m.durand"]


def test_the_journal_says_whose_kits_were_made_and_no_secret(town: Any) -> None:
    kit = town.kit("m.durand")
    entry = next(journal.entries(town.folder))
    assert (entry.command, entry.outcome, entry.note) == ("agent kit", "done", "kits: m.durand")
    files = [file for file in town.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if town.private_key(kit).encode() in file.read_bytes()]


def test_an_operator_makes_a_kit_and_no_secret_reaches_the_screen(telekit: Telekit, town: Any) -> None:
    done = telekit("agent", "kit", "m.durand", "--commune", "lhay", "--output", "kits", "--debug", umask=0)
    assert done.returncode == 0, done.stderr
    assert "1 kit: kits/kit-m.durand." in done.stdout
    assert "Next: telekit provision --commune lhay --role gateway" in done.stdout
    assert town.private_key(town.kits / "kit-m.durand") not in done.stdout + done.stderr
    assert stat.S_IMODE((town.kits / "kit-m.durand" / "tunnel-mairie.conf").stat().st_mode) == 0o600
    again = telekit("agent", "kit", "m.durand", "--commune", "lhay", "--output", "kits")
    assert "Next:" not in again.stdout


@pytest.mark.parametrize("words", [(), ("m.durand", "--all")])
def test_whose_kit_must_be_said_once(telekit: Telekit, words: tuple[str, ...]) -> None:
    done = telekit("agent", "kit", *words, "--commune", "lhay", "--output", "kits")
    assert done.returncode == 2
    assert "say whose kit: AGENT..., or --all" in done.stderr


def test_other_commands_do_not_wait_for_what_draws_kits() -> None:
    code = "import sys, toolkit.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"reportlab", "segno", "PIL", "cryptography", "jinja2", "pyinfra"} & set(done.stdout.split()) == set()


def test_a_kit_that_lapsed_is_made_again_with_another_shared_key(town: Any) -> None:
    before = (town.kit("m.durand") / "tunnel-mairie.conf").read_text()
    late = TODAY + timedelta(days=8)
    enrolment = Enrolment(town.job(late))
    enrolment.arrived(set())
    assert [m.name for m in enrolment.job.commune.laptops if m.kit_lapsed] == ["portable-042"]
    told = listing(ledger.read(town.folder).complete(town.job(late).commune))
    assert "m.durand" in next(line for line in told.closing.splitlines() if "the kit has expired" in line)
    after = (town.kit("m.durand", late) / "tunnel-mairie.conf").read_text()
    lines = set(before.splitlines()) ^ set(after.splitlines())
    assert sorted(line.partition(" ")[0] for line in lines) == ["PresharedKey", "PresharedKey"]
    assert not ledger.read(town.folder).kits["portable-042"].lapsed


def test_a_kit_that_was_used_is_made_again_as_it_was_and_does_not_lapse(town: Any) -> None:
    before = (town.kit("m.durand") / "tunnel-mairie.conf").read_text()
    late = TODAY + timedelta(days=30)
    enrolment = Enrolment(town.job(late))
    assert enrolment.handshakes_matter
    enrolment.arrived({enrolment.ledger.keys["portable-042"]})
    assert not enrolment.handshakes_matter
    assert (town.kit("m.durand", late) / "tunnel-mairie.conf").read_text() == before
    assert ledger.read(town.folder).kits["portable-042"].used
