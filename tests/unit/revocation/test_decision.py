"""What a revocation writes on this computer before anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import ledger
from toolkit.enrolment import Enrolment
from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.kit import device
from toolkit.model import Commune, Secret, System
from toolkit.revocation.case import Case, Wish, open_case
from toolkit.revocation.decision import Secrets, decide
from toolkit.secrets import Vault
from toolkit.targets import Job

STOLEN = Wish("m.durand", stolen=True)
KEY = "B" * 42 + "E="


def commune(folder: Path) -> Commune:
    return ledger.read(folder).complete(load(folder).commune)


def decided(folder: Path, wish: Wish) -> Case:
    case = open_case(folder, wish)
    assert decide(case) == ()
    return case


def test_a_stolen_laptop_is_out_of_both_files_and_its_key_is_refused(folder: Path) -> None:
    before = (folder / "commune.toml").read_text(encoding="utf-8")
    case = decided(folder, STOLEN)
    after = commune(folder)
    assert [laptop.name for laptop in after.peers] == ["portable-042"]
    assert "portable-041" not in after.laptop_named
    agent = next(agent for agent in after.agents if agent.identifier == "m.durand")
    assert (agent.suspended, agent.laptop, agent.desktop) == (after.today, None, "bureau-finances-03")
    (entry,) = ledger.read(folder).revoked
    assert (entry.laptop, entry.key, entry.reason, entry.agent) == ("portable-041", KEY, "stolen", "m.durand")
    assert entry.at == case.at.isoformat(timespec="seconds")
    removed = set(before.splitlines()) - set((folder / "commune.toml").read_text(encoding="utf-8").splitlines())
    assert removed == {'name = "portable-041"', 'ssh  = "127.0.0.1:2204"'}


def test_after_a_departure_the_laptop_waits_for_its_next_bearer(folder: Path) -> None:
    decided(folder, Wish("m.durand"))
    after = commune(folder)
    assert after.laptop_named["portable-041"].public_key is None
    assert [laptop.name for laptop in after.peers] == ["portable-042"]
    assert ledger.read(folder).revoked[0].reason == "left"
    assert ledger.read(folder).kits == {}


def test_the_old_key_does_not_come_back_with_the_agent(folder: Path, job: Job) -> None:
    decided(folder, Wish("m.durand"))
    again = Enrolment(replace(job, commune=load(folder).commune))
    refused = again.record({"portable-041": KEY})
    assert "was revoked on" in refused["portable-041"]
    assert "private.key" in refused["portable-041"]


def test_done_again_it_asks_for_the_same_keys_and_writes_nothing(folder: Path) -> None:
    first = decided(folder, STOLEN)
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    second = decided(folder, STOLEN)
    assert second.question == first.question
    assert second.question == {
        "keys": [KEY], "names": ["portable-041"], "addresses": ["10.177.0.2", "fd77:77:77::2"],
    }  # fmt: skip
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == kept


def test_done_again_it_spares_whoever_has_the_device_now(folder: Path) -> None:
    decided(folder, Wish("m.durand"))
    file = folder / "agents.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(";portable-041;", ";;").replace(";portable-042;", ";portable-041;"), encoding="utf-8")
    ledger.write(folder, ledger.read(folder).enrolled("portable-041", "D" * 42 + "E="))
    case = open_case(folder, Wish("m.durand"))
    assert case.question == {"keys": [KEY], "names": [""], "addresses": []}


def test_another_device_of_the_same_person_closes_itself_alone(folder: Path) -> None:
    file = folder / "agents.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(";portable-041;", ";;"), encoding="utf-8")
    case = decided(folder, Wish("m.durand", "portable-041", stolen=True))
    after = commune(folder)
    assert not case.closes
    assert case.desktops == ()
    assert next(agent for agent in after.agents if agent.identifier == "m.durand").suspended is None
    assert "portable-041" not in after.laptop_named


def test_an_agent_without_a_device_is_no_business_of_the_gateways(folder: Path) -> None:
    file = folder / "agents.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(";portable-041;", ";;"), encoding="utf-8")
    case = decided(folder, Wish("m.durand"))
    assert case.names == ("bureau-finances-03",)
    assert ledger.read(folder).revoked == ()


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish("m.duran"), "no agent `m.duran`"),
        (Wish("m.durand", "portable-41"), "did you mean `portable-041`"),
        (Wish("m.durand", "portable-042"), "portable-042 is k.benali's"),
    ],
)
def test_nobody_elses_device_is_revoked(folder: Path, wish: Wish, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_case(folder, wish)


def test_a_register_that_cannot_be_written_stops_nothing_and_is_told(folder: Path) -> None:
    case = open_case(folder, STOLEN)
    with (folder / "agents.csv").open("a", encoding="utf-8") as file:
        file.write("p.martin;Martin;Paul;Accueil;accueil;;;;\n")
    (problem,) = decide(case)
    assert "somebody has just changed it" in problem.what
    assert ledger.read(folder).revoked


def test_what_the_vault_held_for_the_agent_is_gone_and_the_rest_is_not(folder: Path, job: Job) -> None:
    names = ("tunnel-key/portable-041", "preshared/portable-041", "totp/m.durand", "totp-codes/m.durand", "password/m.durand")
    vault = Vault.open(folder, [o.public_key for o in job.commune.operators], job.identities)
    for name in (*names, "preshared/portable-042", "password/k.benali"):
        vault.put(name, Secret(name))
    vault.save()
    secrets = Secrets(open_case(folder, STOLEN), job)
    assert secrets.private_keys() == {"portable-041": Secret("tunnel-key/portable-041")}
    assert secrets.destroy() == len(names)
    left = Vault.open(folder, (), job.identities)
    assert [name for name in names if left.get(name)] == []
    assert (folder / "secrets.age.old").read_bytes() == (folder / "secrets.age").read_bytes(), "it has no copy of them"
    assert left.get("preshared/portable-042")
    assert left.get("password/k.benali")


def test_a_departure_leaves_the_password(folder: Path, job: Job) -> None:
    vault = Vault.open(folder, [o.public_key for o in job.commune.operators], job.identities)
    vault.put("password/m.durand", Secret("x"))
    vault.save()
    assert Secrets(open_case(folder, Wish("m.durand")), job).destroy() == 0


def test_the_next_kit_holds_another_key_even_if_the_old_one_is_still_in_the_vault(folder: Path, job: Job) -> None:
    vault = Vault.open(folder, [o.public_key for o in job.commune.operators], job.identities)
    agent = job.commune.agents[0]
    laptop = replace(job.commune.laptop_named["portable-041"], system=System.WINDOWS)
    ledger.write(folder, device.enrol(ledger.read(folder), vault, laptop, agent))
    old = vault.get("tunnel-key/portable-041")
    decided(folder, Wish("m.durand"))
    book = device.enrol(ledger.read(folder), vault, laptop, agent)
    assert vault.get("tunnel-key/portable-041") != old
    assert book.keys["portable-041"] not in [entry.key for entry in book.revoked]
