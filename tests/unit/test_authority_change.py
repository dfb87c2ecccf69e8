"""The commune's authority is replaced: trusted, used, alone; at no step is a desktop refused by whoever may open it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.conftest import received
from toolkit import authority, ledger
from toolkit.authority_change import Wish, change
from toolkit.behind import ready, unready
from toolkit.enrolment import Enrolment
from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.kit.contents import AUTHORITY, NEXT_AUTHORITY, _desktop
from toolkit.ledger import AuthorityChange, Ledger
from toolkit.secrets import Vault
from toolkit.status.replaced import authority_replaced
from toolkit.targets import Job, select

LAPTOP, OTHER, DESKTOP, SHARED = "portable-041", "portable-042", "bureau-finances-03", "bureau-partage-01"
# Certificates are issued by this computer's own clock.
TODAY = date.today()
UNTIL = TODAY + timedelta(days=14)


def request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


KEYS = {"gw-mairie": "A" * 42 + "E=", LAPTOP: "B" * 42 + "E=", OTHER: "C" * 42 + "E="}
ANSWERS = {**KEYS, DESKTOP: request(), SHARED: request()}


@pytest.fixture
def folder(operated: Path) -> Path:
    """The lab's commune, its machines enrolled, and an operator who has a key."""
    provision(operated)
    return operated


def job(folder: Path, *, today: date = TODAY) -> Job:
    commune = load(folder, today=today).commune
    return Job(folder, commune, select(commune), (folder / "operator_ed25519",))


def provision(folder: Path, *machines: str, begin: bool = False, force: bool = False, today: date = TODAY) -> Enrolment:
    """What a run does of it; machines: those that are there, all if nothing is said."""
    found = Enrolment(job(folder, today=today))
    if begin:
        found.replace_authority(UNTIL)
    if force:
        found.force_authority()
    found.prepare()
    there = machines or tuple(ANSWERS)
    assert found.record({name: ANSWERS[name] for name in there}) == {}
    found.informed(there)
    return found


def trusted(folder: Path, desktop: str, *pems: str) -> bool:
    """Whether a client that trusts these authorities takes a desktop for itself."""
    (folder / "trusted.pem").write_text("".join(pems))
    (folder / "leaf.pem").write_text(ledger.read(folder).certificates[desktop])
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-CAfile", "trusted.pem", "leaf.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_it_is_read_back_as_it_was_written_and_a_ledger_from_before_is_read(tmp_path: Path) -> None:
    found = AuthorityChange(TODAY, UNTIL, "pem", issuing=True, informed=(DESKTOP,), kits=(OTHER,))
    ledger.write(tmp_path, Ledger(authority=found))
    assert ledger.read(tmp_path).authority == found
    document = json.loads((tmp_path / ledger.FILE).read_text())
    del document["authority"]
    (tmp_path / ledger.FILE).write_text(json.dumps(document))
    assert ledger.read(tmp_path).authority is None


def test_from_the_first_step_to_the_last_no_desktop_is_refused(folder: Path) -> None:
    old = (folder / authority.FILE).read_text()
    certificates = dict(ledger.read(folder).certificates)
    # Trusted: but one laptop is away.
    found = provision(folder, "gw-mairie", LAPTOP, DESKTOP, SHARED, begin=True)
    new = found.job.commune.next_authority
    assert new not in (None, old)
    assert new is not None
    assert received(found)[LAPTOP]["commune"].next_authority == new
    assert dict(found.ledger.certificates) == certificates
    assert provision(folder, "gw-mairie", LAPTOP, DESKTOP, SHARED).ledger.authority is not None
    assert dict(ledger.read(folder).certificates) == certificates, "a laptop does not trust the new one yet"
    provision(folder)
    # Used: but one desktop is away.
    found = provision(folder, LAPTOP, OTHER, DESKTOP)
    assert (trusted(folder, DESKTOP, new), trusted(folder, DESKTOP, old)) == (True, False)
    assert (trusted(folder, SHARED, new), trusted(folder, SHARED, old)) == (False, True)
    assert all(trusted(folder, desktop, old, new) for desktop in (DESKTOP, SHARED))
    assert (found.job.commune.authority, found.job.commune.next_authority) == (old, new)
    assert (folder / authority.FILE).read_text() == old
    provision(folder)
    assert ledger.read(folder).authority is not None, "the run that gives the last certificate may still fail"
    # Alone.
    kept = vault(folder).get(authority.NEXT_KEY)
    found = provision(folder)
    assert found.ledger.authority is None
    assert (found.job.commune.authority, found.job.commune.next_authority) == (new, None)
    assert all(trusted(folder, desktop, new) for desktop in (DESKTOP, SHARED))
    assert (vault(folder).get(authority.KEY), vault(folder).get(authority.NEXT_KEY)) == (kept, None)
    before = (folder / ledger.FILE).read_bytes()
    provision(folder)
    assert (folder / ledger.FILE).read_bytes() == before


def vault(folder: Path) -> Vault:
    return Vault.open(folder, (), (folder / "operator_ed25519",))


def test_cut_off_between_the_secrets_and_the_ledger_the_next_run_finishes(folder: Path) -> None:
    provision(folder, begin=True)
    provision(folder)
    before = (folder / ledger.FILE).read_bytes()
    old = (folder / authority.FILE).read_bytes()
    new = provision(folder).job.commune.authority
    (folder / ledger.FILE).write_bytes(before)
    (folder / authority.FILE).write_bytes(old)
    found = provision(folder)
    assert (found.job.commune.authority, found.ledger.authority) == (new, None)
    assert new is not None
    assert all(trusted(folder, desktop, new) for desktop in (DESKTOP, SHARED))


def test_people_with_kits_are_given_their_days_and_nobody_elses_word_ends_them(folder: Path) -> None:
    file = folder / "commune.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('name = "portable-042"\nssh  = "127.0.0.1:2205"', 'name = "portable-042"\nsystem = "windows"'))
    here = tuple(name for name in ANSWERS if name != OTHER)
    provision(folder, *here, begin=True)
    found = ledger.read(folder)
    assert found.authority is not None
    commune = found.complete(job(folder).commune)
    assert unready(commune, found.authority) == (OTHER,)
    late = replace(commune, today=UNTIL + timedelta(days=1))
    assert not ready(late, found.authority), "it has no kit with the new one"
    with_kit = replace(found.authority, kits=(OTHER,))
    assert (ready(commune, with_kit), ready(late, with_kit)) == (False, True)
    assert "people with new kits have until then" in authority_replaced(with_kit, commune)
    assert "not known to trust the new one yet: portable-042" in authority_replaced(found.authority, commune)
    ledger.write(folder, replace(found, authority=with_kit))
    provision(folder, *here)
    assert (change := ledger.read(folder).authority)
    assert not change.issuing
    provision(folder, *here, force=True)
    assert (change := ledger.read(folder).authority)
    assert change.issuing


def test_a_kit_holds_both_while_there_are_two(folder: Path) -> None:
    provision(folder, LAPTOP, begin=True)
    commune = Enrolment(job(folder)).job.commune
    agent = commune.agent_of[LAPTOP]
    files = _desktop(agent, commune)
    assert files[AUTHORITY] == (folder / authority.FILE).read_bytes()
    assert files[NEXT_AUTHORITY].decode() == commune.next_authority
    assert NEXT_AUTHORITY not in _desktop(agent, replace(commune, next_authority=None))


class Silent:
    """An observer who is not interested."""

    def phase(self, title: str, machines: object, *, last: bool = False) -> None:
        raise AssertionError("nothing may be begun")

    def emit(self, event: object) -> None:
        raise AssertionError("nothing may be begun")


def test_what_has_not_begun_is_not_concluded(folder: Path) -> None:
    with pytest.raises(UsageError, match="no authority is being replaced"):
        change(job(folder), Wish(conclude=True), Silent())
    (folder / authority.FILE).unlink()
    with pytest.raises(UsageError, match="has no authority yet"):
        change(job(folder), Wish(), Silent())
