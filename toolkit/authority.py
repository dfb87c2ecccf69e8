"""The commune's certificate authority: it vouches for the desktops, and for nothing outside the commune."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolkit.atomic import replace_file
from toolkit.errors import TelekitError
from toolkit.model import Commune, Desktop, Secret

FILE = "ca.pem"
KEY = "authority-key"
# While the authority is being replaced: the key of the one that takes its place.
NEXT_KEY = "authority-key-next"
AUTHORITY_DAYS = 3652
CERTIFICATE_DAYS = 396
RENEWAL = timedelta(days=30)
# A desktop's certificate must end before the authority's: the authority is renewed this long before its end.
AUTHORITY_RENEWAL = timedelta(days=CERTIFICATE_DAYS + 30)
# Clocks that are a little behind still find a fresh certificate valid.
BACKDATED = timedelta(hours=1)
SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


class Keeper(Protocol):
    """Where the authority's key is kept: the vault."""

    def get(self, name: str) -> Secret | None: ...

    def put(self, name: str, secret: Secret) -> None: ...

    def promote(self, coming: str, name: str) -> bool: ...

    def save(self) -> None: ...


def ensure(folder: Path, vault: Keeper, commune: Commune) -> str:
    """The PEM of the commune's authority: as it is in ca.pem, or written there anew when it is missing, old or too narrow.

    The key is saved in the vault before the certificate exists, and outlives its certificates.
    """
    file = folder / FILE
    key = _authority_key(vault)
    present = _read(file)
    if present is None or not _fits(present, key.public_key(), commune):
        replace_file(file, _pem(_authority(key, commune)).encode(), mode=0o644)
    return file.read_text(encoding="ascii")


def issue(vault: Keeper, ca_pem: str, csr_pem: str, desktop: Desktop, commune: Commune) -> str:
    """The PEM of a certificate for the key that a desktop made, valid for its name in the commune's domain and its address.

    The short name is the common name only: as an alternative name it would be outside what the authority may vouch for.
    """
    csr = _request(csr_pem, desktop.name)
    ca = x509.load_pem_x509_certificate(ca_pem.encode())
    names = [KEY] + ([NEXT_KEY] if vault.get(NEXT_KEY) else [])
    key = next((key for key in (_authority_key(vault, name) for name in names) if key.public_key() == ca.public_key()), None)
    if key is None:
        raise TelekitError(
            f"{FILE} is not the certificate of the authority's key", where=FILE, hint="remove ca.pem and provision again"
        )
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, desktop.name)]))
        .issuer_name(ca.subject)
        .public_key(csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now - BACKDATED + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(desktop, commune)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(encipher=isinstance(csr.public_key(), rsa.RSAPublicKey)), critical=True)
        .add_extension(SERVERS, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return _pem(builder.sign(key, hashes.SHA256()))


def successor(vault: Keeper, commune: Commune) -> str:
    """The PEM of an authority with a key of its own, which is in the vault before anybody trusts it."""
    return _pem(_authority(_authority_key(vault, NEXT_KEY), commune))


def succeed(folder: Path, vault: Keeper, pem: str) -> None:
    """Have it the commune's only authority; of the old one's key, no copy is kept. Again, it changes nothing."""
    if vault.promote(NEXT_KEY, KEY):
        vault.save()
    replace_file(folder / FILE, pem.encode(), mode=0o644)


def due(
    pem: str,
    today: date,
    *,
    desktop: Desktop | None = None,
    commune: Commune | None = None,
    ca_pem: str | None = None,
    csr_pem: str | None = None,
) -> bool:
    """Whether a desktop's certificate must be issued again: near its end, or not for this name, address, authority or key."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        if certificate.not_valid_after_utc.date() - today <= RENEWAL or certificate.not_valid_before_utc.date() > today:
            return True
        if desktop and commune and set(_names(desktop, commune)) != set(_names_in(certificate)):
            return True
        if ca_pem:
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_pem.encode()))
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return True
    return csr_pem is not None and _request(csr_pem, "").public_key() != certificate.public_key()


def _authority_key(vault: Keeper, name: str = KEY) -> ec.EllipticCurvePrivateKey:
    kept = vault.get(name)
    if kept is not None:
        key = serialization.load_pem_private_key(kept.reveal().encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TelekitError(
                "the authority's key in the vault is of another kind", where=name, hint="restore secrets.age from a backup"
            )
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    vault.put(name, Secret(key.private_bytes(encoding, form, serialization.NoEncryption()).decode()))
    vault.save()
    return key


def _authority(key: ec.EllipticCurvePrivateKey, commune: Commune) -> x509.Certificate:
    now = datetime.now(UTC).replace(microsecond=0)
    # 64 characters are all that X.509 gives a common or organisation name.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, commune.name[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"telekit {commune.domain}"[:64]),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now - BACKDATED + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(_constraints(commune), critical=True)
        # Constraints say nothing of code and mail: whoever stole the key could else sign programs for every Windows with a kit.
        .add_extension(SERVERS, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _constraints(commune: Commune) -> x509.NameConstraints:
    """Laptops trust this authority for everything: it may vouch for the commune's domain and LAN only."""
    permitted: list[x509.GeneralName] = [x509.DNSName(commune.domain)]
    permitted += [x509.IPAddress(network) for network in commune.network.lan]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)


def _fits(ca: x509.Certificate, key: ec.EllipticCurvePublicKey, commune: Commune) -> bool:
    """Whether a certificate is of this key, long enough to live, and for the commune's domain and LAN as they are today."""
    try:
        constraints = ca.extensions.get_extension_for_class(x509.NameConstraints).value
        use = ca.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    lives = ca.not_valid_after_utc - datetime.now(UTC) > AUTHORITY_RENEWAL
    return ca.public_key() == key and lives and (constraints, use) == (_constraints(commune), SERVERS)


def _usage(*, sign_certificates: bool = False, encipher: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _names(desktop: Desktop, commune: Commune) -> list[x509.GeneralName]:
    return [x509.DNSName(commune.domain_name(desktop.name)), x509.IPAddress(desktop.address)]


def _names_in(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def _request(csr_pem: str, machine: str) -> x509.CertificateSigningRequest:
    """A desktop's request, proven to come from whoever holds its key."""
    hint = "look at /etc/telekit/enrolment there"
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        good = csr.is_signature_valid and _strong(csr.public_key())
    except ValueError:
        raise TelekitError("what it gave is not a certificate request", where=machine, hint=hint) from None
    if not good:
        raise TelekitError("its certificate request is not signed by its own key, or the key is weak", where=machine, hint=hint)
    return csr


def _strong(key: CertificatePublicKeyTypes) -> bool:
    return (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256
    )


def _read(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return None


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
