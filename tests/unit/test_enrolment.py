"""What telekit hands out: from a machine's answer to the ledger, the certificate and the recipe's data."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.conftest import received
from toolkit import ledger
from toolkit.enrolment import Enrolment
from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.ledger import Revocation
from toolkit.letter import write as write_letter
from toolkit.model import Secret
from toolkit.secrets import public_half
from toolkit.targets import Job, select

KEYS = {"gw-mairie": "A" * 42 + "E=", "portable-041": "B" * 42 + "E=", "portable-042": "C" * 42 + "E="}


@pytest.fixture
def folder(operated: Path) -> Path:
    """The lab's commune with an operator who has a key."""
    return operated


def job(folder: Path, *only: str) -> Job:
    commune = load(folder).commune
    return Job(folder, commune, select(commune, only), (folder / "operator_ed25519",))


def request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def answers() -> dict[str, str]:
    return {**{name: f"{key}\n" for name, key in KEYS.items()}, "bureau-finances-03": request(), "bureau-partage-01": request()}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_looking_writes_nothing(folder: Path) -> None:
    before = files(folder)
    found = Enrolment(job(folder))
    assert received(found)["portable-041"]["machine"] is not None
    assert files(folder) == before


def test_everything_that_machines_answer_is_kept_for_the_next_run(folder: Path) -> None:
    first = Enrolment(job(folder))
    first.prepare()
    assert first.record(answers()) == {}
    again = Enrolment(job(folder)).job.commune
    assert again.gateway.public_key == KEYS["gw-mairie"]
    assert [str(laptop.tunnel_address) for laptop in again.laptops] == ["10.177.0.2", "10.177.0.3"]
    assert all(desktop.certificate for desktop in again.desktops)
    assert again.authority is not None


def test_the_same_answers_again_change_nothing(folder: Path) -> None:
    given = answers()
    first = Enrolment(job(folder))
    first.prepare()
    first.record(given)
    kept = {name: (folder / name).read_bytes() for name in ("ledger.json", "secrets.age", "ca.pem")}
    second = Enrolment(job(folder))
    second.prepare()
    second.record(given)
    assert {name: (folder / name).read_bytes() for name in kept} == kept


def test_a_desktop_that_made_a_new_key_gets_a_new_certificate(folder: Path) -> None:
    first = Enrolment(job(folder))
    first.record(answers())
    before = first.job.commune.desktops[0].certificate
    second = Enrolment(job(folder))
    second.record(answers())
    assert second.job.commune.desktops[0].certificate != before


def test_no_laptop_goes_on_before_the_gateway_has_a_key(folder: Path) -> None:
    found = Enrolment(job(folder, "portable-041"))
    refused = found.record({"portable-041": KEYS["portable-041"]})
    assert refused == {"portable-041": "gw-mairie has no key yet: provision it first or together"}
    assert Enrolment(job(folder)).job.commune.laptops[0].public_key == KEYS["portable-041"]


def test_a_laptops_first_key_comes_with_a_preshared_key_that_the_gateway_and_this_laptop_alone_receive(folder: Path) -> None:
    first = Enrolment(job(folder))
    first.record(answers())
    data = received(first)
    shared = data["gw-mairie"]["preshared"]
    assert isinstance(shared, dict)
    assert {name: len(key.reveal()) for name, key in shared.items()} == {"portable-041": 44, "portable-042": 44}
    assert shared["portable-041"] != shared["portable-042"]
    assert data["portable-042"]["preshared"] == shared["portable-042"]
    assert "preshared" not in data["bureau-partage-01"]
    again = Enrolment(job(folder))
    again.record(answers())
    assert received(again)["gw-mairie"]["preshared"] == shared
    assert not any(key.reveal() in (folder / "ledger.json").read_text(encoding="utf-8") for key in shared.values())


def test_a_laptop_that_made_another_key_gets_another_preshared_key(folder: Path) -> None:
    first = Enrolment(job(folder))
    first.record(answers())
    second = Enrolment(job(folder))
    second.record(answers() | {"portable-042": "D" * 42 + "E="})
    before, after = (received(found)["gw-mairie"]["preshared"] for found in (first, second))
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["portable-041"] == after["portable-041"]
    assert before["portable-042"] != after["portable-042"]


def test_a_laptop_with_a_key_from_before_preshared_keys_is_not_given_one_that_it_may_not_hold(folder: Path) -> None:
    first = Enrolment(job(folder))
    first.record(answers())
    vault = first._vault
    vault.delete("preshared/portable-042")
    vault.save()
    second = Enrolment(job(folder))
    second.record(answers())
    assert set(received(second)["gw-mairie"]["preshared"]) == {"portable-041"}
    assert received(second)["portable-042"]["preshared"] is None


def test_two_laptops_from_one_disk_are_noticed(folder: Path) -> None:
    found = Enrolment(job(folder))
    refused = found.record(answers() | {"portable-042": KEYS["portable-041"]})
    assert "also portable-041's" in refused["portable-042"]
    assert set(refused) == {"portable-042"}


@pytest.mark.parametrize("answer", ["", "not a key", "cat: /etc/telekit/enrolment: No such file or directory", "x" * 1_000_000])
def test_an_answer_that_is_no_key_stops_that_machine_alone(folder: Path, answer: str) -> None:
    assert set(Enrolment(job(folder)).record(answers() | {"portable-042": answer})) == {"portable-042"}
    assert set(Enrolment(job(folder)).record(answers() | {"bureau-partage-01": answer})) == {"bureau-partage-01"}


def test_without_an_operators_key_nothing_is_begun(folder: Path) -> None:
    (folder / "operators.keys").unlink()
    with pytest.raises(UsageError, match=r"operators\.keys"):
        Enrolment(job(folder)).prepare()
    assert "ledger.json" not in files(folder)


@pytest.mark.parametrize("machine", ["bureau-finances-03", "portable-041"])
def test_a_recipe_gets_the_passwords_of_its_own_agents_and_no_others(folder: Path, machine: str) -> None:
    data = received(Enrolment(job(folder)))
    passwords = data[machine]["passwords"]
    assert isinstance(passwords, dict)
    assert list(passwords) == ["m.durand"]
    assert isinstance(passwords["m.durand"], Secret)
    assert "passwords" not in data["gw-mairie"]


def test_a_desktop_gets_the_second_factors_of_its_own_agents_and_a_laptop_gets_none(folder: Path) -> None:
    found = Enrolment(job(folder))
    data = received(found)
    assert data["bureau-finances-03"]["second_factors"] == {}
    factors = data["bureau-partage-01"]["second_factors"]
    assert isinstance(factors, dict)
    assert list(factors) == ["k.benali"]
    assert len(factors["k.benali"].reveal().split()) == 9
    assert [data[name].get("second_factor") for name in ("portable-041", "portable-042", "gw-mairie")] == [False, True, None]
    assert found.known_seeds() == {"k.benali": Secret(factors["k.benali"].reveal().split()[0])}
    assert received(found)["bureau-partage-01"]["second_factors"] == factors


def test_who_must_have_a_second_factor_and_has_none_is_named_before_it_locks_them_out(folder: Path) -> None:
    found = Enrolment(job(folder))
    received(found)
    told = {machine.name: found.warnings(machine) for machine in found.job.machines if found.warnings(machine)}
    assert list(told) == ["bureau-partage-01"]
    (sentence,) = told["bureau-partage-01"]
    agent = next(iter(received(found)["bureau-partage-01"]["second_factors"]))
    assert sentence.startswith(f"{agent} cannot log in before they have a kit")
    assert sentence.endswith(f"telekit agent kit {agent}")
    found.save()
    again = Enrolment(job(folder))
    received(again)
    assert not any(again.warnings(machine) for machine in again.job.machines)


def test_the_letter_holds_the_password_that_the_desktop_got_and_only_its_owner_reads_it(folder: Path, tmp_path: Path) -> None:
    first = Enrolment(job(folder))
    given = received(first)["bureau-finances-03"]["passwords"]
    assert isinstance(given, dict)
    first.prepare()
    letter = tmp_path / "lettre.txt"
    result = write_letter(job(folder), "m.durand", letter)
    text = letter.read_text(encoding="utf-8")
    assert given["m.durand"].reveal() in text
    assert "Mélanie Durand" in text
    assert letter.stat().st_mode & 0o777 == 0o600
    assert given["m.durand"].reveal() not in repr(result)
    journals = "".join(path.read_text(encoding="utf-8") for path in (folder / "journal").iterdir())
    assert given["m.durand"].reveal() not in journals
    assert "letter for m.durand" in journals


def test_a_letter_is_never_written_over_a_file(folder: Path, tmp_path: Path) -> None:
    letter = tmp_path / "lettre.txt"
    letter.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="stays as it is"):
        write_letter(job(folder), "m.durand", letter)
    assert letter.read_text(encoding="utf-8") == "mine"


def private(number: int) -> Secret:
    return Secret(base64.b64encode(bytes([8, *[number] * 30, 64])).decode())


def enrolled_gateway(folder: Path, key: Secret) -> Enrolment:
    """The town after its first provision, with the gateway's own key among the secrets."""
    found = Enrolment(job(folder))
    found.prepare()
    assert found.record(answers() | {"gw-mairie": public_half(key)}) == {}
    assert found.without_escrow == ("gw-mairie",)
    found.keep("gw-mairie", key)
    return found


def test_a_gateways_own_key_is_kept_and_offered_to_that_gateway_alone(folder: Path) -> None:
    enrolled_gateway(folder, private(1))
    again = Enrolment(job(folder))
    assert again.without_escrow == ()
    data = received(again)
    assert {name: given["escrow"] for name, given in data.items() if "escrow" in given} == {"gw-mairie": private(1)}
    written = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert private(1).reveal().encode() not in written


def test_a_laptop_whose_agent_left_is_told_to_make_another_key_and_a_stolen_one_is_not(folder: Path) -> None:
    first = Enrolment(job(folder))
    first.record(answers())
    gone = [Revocation(name, KEYS[name], "2026-11-25T07:12:00+00:00", why, "x")
            for name, why in (("portable-041", ledger.LEFT), ("portable-042", ledger.STOLEN))]  # fmt: skip
    ledger.write(folder, ledger.read(folder).with_revoked(gone))
    data = received(Enrolment(job(folder)))
    assert {name: given["given_up"] for name, given in data.items() if "given_up" in given} == {
        "portable-041": (KEYS["portable-041"],)
    }
    assert data["bureau-finances-03"]["voided"] == ("x",)


def test_a_key_that_the_laptops_do_not_know_is_not_kept(folder: Path) -> None:
    found = enrolled_gateway(folder, private(1))
    found.keep("gw-mairie", private(2))
    assert received(Enrolment(job(folder)))["gw-mairie"]["escrow"] == private(1)


def test_a_gateway_with_a_foreign_key_is_refused_with_advice(folder: Path) -> None:
    enrolled_gateway(folder, private(1))
    again = Enrolment(job(folder))
    refused = again.record({"gw-mairie": public_half(private(2))})
    assert "neither the one that the laptops know" in refused["gw-mairie"]
    assert "remove /etc/wireguard/private.key there" in refused["gw-mairie"]
    assert Enrolment(job(folder)).job.commune.gateway.public_key == public_half(private(1))


def test_an_older_ledger_learns_the_key_that_the_secrets_hold(folder: Path) -> None:
    enrolled_gateway(folder, private(1))
    book = ledger.read(folder)
    ledger.write(folder, replace(book, keys={**book.keys, "gw-mairie": public_half(private(2))}))
    again = Enrolment(job(folder))
    assert "escrow" not in received(again)["gw-mairie"]
    assert again.record({"gw-mairie": public_half(private(1))}) == {}
    assert again.without_escrow == ()
