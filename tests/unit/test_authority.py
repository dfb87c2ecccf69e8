"""The commune's authority: what OpenSSL, which the laptops' client is built on, accepts from it and refuses."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from toolkit import authority
from toolkit.errors import TelekitError
from toolkit.model import Commune, Desktop, Endpoint, Gateway, LocalNetwork, Secret, SshAddress

DESKTOP = Desktop("bureau-1", IPv4Address("10.94.2.1"), SshAddress("10.94.2.1"))
TOWN = Commune(
    slug="essai",
    name="Mairie d'Essai",
    insee="94002",
    domain="essai.example",
    network=LocalNetwork(lan=(IPv4Network("10.94.0.0/20"),), tunnel=IPv4Network("10.194.0.0/24")),
    gateways=(Gateway("gw", SshAddress("10.94.0.1"), Endpoint("vpn.essai.example", 51820)),),
    desktops=(DESKTOP,),
)


class Memory:
    """A keeper that says whether it was saved."""

    def __init__(self) -> None:
        self.secrets: dict[str, Secret] = {}
        self.saved: dict[str, Secret] = {}

    def get(self, name: str) -> Secret | None:
        return self.secrets.get(name)

    def put(self, name: str, secret: Secret) -> None:
        self.secrets[name] = secret

    def promote(self, coming: str, name: str) -> bool:
        if coming in self.secrets:
            self.secrets[name] = self.secrets.pop(coming)
            return True
        return False

    def save(self) -> None:
        self.saved = dict(self.secrets)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whatever.elsewhere.example")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def verified(folder: Path, pem: str, *options: str) -> bool:
    """Whether OpenSSL trusts a server's certificate, knowing only the commune's authority."""
    file = folder / "server.pem"
    file.write_text(pem)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "ca.pem", *options, file]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_laptop_that_trusts_the_authority_trusts_the_desktop_by_name_and_address(tmp_path: Path) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    pem = authority.issue(vault, ca, request(), DESKTOP, TOWN)
    assert verified(tmp_path, pem, "-verify_hostname", "bureau-1.essai.example")
    assert verified(tmp_path, pem, "-verify_ip", "10.94.2.1")
    assert not verified(tmp_path, pem, "-verify_hostname", "bureau-2.essai.example")
    assert not verified(tmp_path, pem, "-verify_ip", "10.94.2.2")


def test_nobody_trusts_the_authority_outside_the_communes_domain_and_lan(tmp_path: Path) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    for stranger, town in (
        (Desktop("www", IPv4Address("10.94.2.1"), SshAddress("x")), replace(TOWN, domain="banque.example")),
        (Desktop("bureau-1", IPv4Address("203.0.113.7"), SshAddress("x")), TOWN),
    ):
        assert not verified(tmp_path, authority.issue(vault, ca, request(), stranger, town))


def test_whoever_steals_the_authoritys_key_signs_neither_mail_nor_programs(tmp_path: Path) -> None:
    vault = Memory()
    ca = x509.load_pem_x509_certificate(authority.ensure(tmp_path, vault, TOWN).encode())
    key = serialization.load_pem_private_key(vault.secrets["authority-key"].reveal().encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    thief = ec.generate_private_key(ec.SECP256R1())
    now, uses = datetime.now(UTC), x509.ExtendedKeyUsageOID
    pem = (
        x509.CertificateBuilder(ca.subject, x509.Name([]), thief.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.ExtendedKeyUsage([uses.EMAIL_PROTECTION, uses.CODE_SIGNING, uses.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "thief.pem").write_bytes(pem.public_bytes(serialization.Encoding.PEM))
    for purpose in ("smimesign", "sslclient"):
        command = ["openssl", "verify", "-purpose", purpose, "-CAfile", tmp_path / "ca.pem", tmp_path / "thief.pem"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "unsuitable certificate purpose" in done.stderr, done


def test_an_authority_without_limits_of_use_is_made_anew_with_the_same_key(tmp_path: Path) -> None:
    vault = Memory()
    authority.ensure(tmp_path, vault, TOWN)
    limited = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key(vault.secrets["authority-key"].reveal().encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    before = x509.CertificateBuilder(
        limited.subject, limited.subject, key.public_key(), 1, limited.not_valid_before_utc, limited.not_valid_after_utc,
        [extension for extension in limited.extensions if not isinstance(extension.value, x509.ExtendedKeyUsage)],
    ).sign(key, hashes.SHA256())  # fmt: skip
    (tmp_path / "ca.pem").write_bytes(before.public_bytes(serialization.Encoding.PEM))
    anew = x509.load_pem_x509_certificate(authority.ensure(tmp_path, vault, TOWN).encode())
    assert anew.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert anew.public_key() == limited.public_key()


def test_the_key_is_in_the_vault_before_the_certificate_and_both_stay(tmp_path: Path) -> None:
    vault = Memory()
    first = authority.ensure(tmp_path, vault, TOWN)
    assert vault.saved == vault.secrets
    assert "authority-key" in vault.saved
    assert authority.ensure(tmp_path, vault, TOWN) == first
    assert [file.name for file in tmp_path.iterdir()] == ["ca.pem"]
    assert "PRIVATE" not in first


def test_the_authority_lives_ten_years_and_a_desktops_certificate_at_most_397_days(tmp_path: Path) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    server = x509.load_pem_x509_certificate(authority.issue(vault, ca, request(), DESKTOP, TOWN).encode())
    root = x509.load_pem_x509_certificate(ca.encode())
    assert root.not_valid_after_utc - root.not_valid_before_utc >= timedelta(days=3650)
    assert timedelta(days=390) < server.not_valid_after_utc - server.not_valid_before_utc <= timedelta(days=397)
    assert server.not_valid_before_utc < datetime.now(UTC)


def test_a_commune_that_gets_another_network_gets_another_certificate_of_the_same_key(tmp_path: Path) -> None:
    vault = Memory()
    old = authority.ensure(tmp_path, vault, TOWN)
    pem = authority.issue(vault, old, request(), DESKTOP, TOWN)
    wider = replace(TOWN, network=replace(TOWN.network, lan=(*TOWN.network.lan, IPv4Network("10.95.0.0/24"))))
    new = authority.ensure(tmp_path, vault, wider)
    assert new != old
    assert verified(tmp_path, pem, "-verify_hostname", "bureau-1.essai.example"), "what was issued before still holds"
    elsewhere = replace(DESKTOP, address=IPv4Address("10.95.0.9"))
    assert verified(tmp_path, authority.issue(vault, new, request(), elsewhere, wider), "-verify_ip", "10.95.0.9")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    assert verified(tmp_path, authority.issue(vault, ca, request(), DESKTOP, TOWN))


def test_a_certificate_of_a_lost_key_is_made_anew(tmp_path: Path) -> None:
    lost = authority.ensure(tmp_path, Memory(), TOWN)
    vault = Memory()
    assert authority.ensure(tmp_path, vault, TOWN) != lost
    with pytest.raises(TelekitError, match=r"not the certificate of the authority's key"):
        authority.issue(vault, lost, request(), DESKTOP, TOWN)


def test_a_desktop_may_hold_an_rsa_key(tmp_path: Path) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    assert verified(tmp_path, authority.issue(vault, ca, request(rsa.generate_private_key(65537, 2048)), DESKTOP, TOWN))


def test_a_request_that_its_key_did_not_sign_is_refused(tmp_path: Path) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    der = bytearray(x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER))
    position = der.index(b"whatever")
    der[position] = ord("W")
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(TelekitError, match="not signed by its own key"):
        authority.issue(vault, ca, forged, DESKTOP, TOWN)


@pytest.mark.parametrize(
    "csr", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "é"]
)
def test_what_is_no_request_is_refused(tmp_path: Path, csr: str) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    with pytest.raises(TelekitError, match=r"bureau-1: what it gave is not a certificate request"):
        authority.issue(vault, ca, csr, DESKTOP, TOWN)


def test_a_weak_key_is_refused(tmp_path: Path) -> None:
    vault = Memory()
    ca = authority.ensure(tmp_path, vault, TOWN)
    with pytest.raises(TelekitError, match="weak"):
        authority.issue(vault, ca, request(ec.generate_private_key(ec.SECP192R1())), DESKTOP, TOWN)


def test_a_certificate_is_due_thirty_days_before_its_end(tmp_path: Path) -> None:
    vault = Memory()
    pem = authority.issue(vault, authority.ensure(tmp_path, vault, TOWN), request(), DESKTOP, TOWN)
    end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.date()
    assert not authority.due(pem, date.today())
    assert not authority.due(pem, end - timedelta(days=31))
    assert authority.due(pem, end - timedelta(days=30))
    assert authority.due(pem, end + timedelta(days=1))


def test_a_certificate_is_due_for_another_name_address_authority_or_key(tmp_path: Path) -> None:
    vault, csr = Memory(), request()
    ca = authority.ensure(tmp_path, vault, TOWN)
    pem = authority.issue(vault, ca, csr, DESKTOP, TOWN)
    today = date.today()
    other = authority.ensure(tmp_path, Memory(), TOWN)
    assert not authority.due(pem, today, desktop=DESKTOP, commune=TOWN, ca_pem=ca, csr_pem=csr)
    assert authority.due(pem, today, desktop=replace(DESKTOP, name="bureau-2"), commune=TOWN)
    assert authority.due(pem, today, desktop=replace(DESKTOP, address=IPv4Address("10.94.2.9")), commune=TOWN)
    assert authority.due(pem, today, desktop=DESKTOP, commune=replace(TOWN, domain="autre.example"))
    assert authority.due(pem, today, ca_pem=other)
    assert authority.due(pem, today, csr_pem=request())
    assert authority.due("nonsense", today)
