"""A real directory server for one test run: OpenLDAP's slapd on this computer, with the attributes of Active Directory."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BASE = "dc=essai,dc=example"
READER, PASSWORD = f"cn=telekit,{BASE}", "mot de passe à lire"
# Many enough that the answer comes in several pages.
CROWD = 1200
SEARCH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"
CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.102 NAME 'memberOf'
  EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl'
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires'
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.141 NAME 'department'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL MAY ( sAMAccountName $ memberOf $ userAccountControl $
  accountExpires $ department ) )
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
pidfile {folder}/slapd.pid
# Nothing is said before the connection is encrypted.
security tls=1
database mdb
maxsize 67108864
suffix "{base}"
rootdn "cn=root,{base}"
directory {folder}/data
limits dn.exact="{reader}" size.soft=unlimited size.hard=unlimited size.prtotal=unlimited
limits anonymous size.soft=50 size.hard=50 size.prtotal=50
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""
TEN_YEARS = timedelta(days=3650)


def person(
    identifier: str, last: str, first: str, *, group: str = "", flags: int = 512, expires: int = 0, unit: str = "Agents"
) -> str:
    """One entry as LDIF."""
    member = f"memberOf: cn={group},ou=Groupes,{BASE}\n" if group else ""
    return (
        f"dn: cn={identifier},ou={unit},{BASE}\nobjectClass: user\ncn: {identifier}\nsAMAccountName: {identifier}\nsn: {last}\n"
        f"givenName: {first}\ndepartment: Direction {unit}\n{member}userAccountControl: {flags}\naccountExpires: {expires}\n\n"
    )


def filetime(moment: datetime) -> int:
    """A moment as Active Directory counts it."""
    return int((moment - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000


@dataclass
class Slapd:
    """A running directory server. port: with StartTLS; secure_port: TLS from the first byte."""

    base, reader, password, crowd = BASE, READER, PASSWORD, CROWD

    folder: Path
    port: int
    secure_port: int
    process: subprocess.Popen[bytes]

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def start(folder: Path, people: str) -> Slapd:
    """Given LDIF of people, a server that answers with them."""
    _certificates(folder)
    (folder / "data").mkdir()
    config, entries = folder / "slapd.conf", folder / "people.ldif"
    config.write_text(CONFIG.format(folder=folder, base=BASE, reader=READER), encoding="utf-8")
    entries.write_text(_tree() + people, encoding="utf-8")
    subprocess.run([_tool("slapadd"), "-q", "-f", config, "-l", entries], check=True, capture_output=True)
    port, secure = _free_port(), _free_port()
    urls = f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{secure}"
    process = subprocess.Popen(
        [_tool("slapd"), "-f", config, "-h", urls, "-d", "0"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = Slapd(folder, port, secure, process)
    _wait(found)
    return found


def _tree() -> str:
    units = [f"dn: ou={unit},{BASE}\nobjectClass: organizationalUnit\nou: {unit}\n" for unit in ("Agents", "Foule", "Groupes")]
    top = f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Essai\ndc: essai\n"
    classes = "objectClass: applicationProcess\nobjectClass: simpleSecurityObject"
    reader = f"dn: {READER}\n{classes}\ncn: telekit\nuserPassword: {PASSWORD}\n"
    return "\n".join([top, *units, reader]) + "\n"


def _tool(name: str) -> str:
    found = shutil.which(name, path=SEARCH)
    assert found, f"{name} is in Debian's package slapd"
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(server: Slapd) -> None:
    for port in (server.port, server.secure_port):
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end, "slapd does not answer"
                assert server.process.poll() is None, "slapd ended"
                time.sleep(0.1)


def _certificates(folder: Path) -> None:
    """An authority of its own, and the server's certificate for 127.0.0.1 alone."""
    now, authority_key, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Autorité d'essai")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(
            name, subject, public, x509.random_serial_number(), now - timedelta(days=1), now + TEN_YEARS
        )
        found = builder.add_extension(extension, critical=True).sign(authority_key, hashes.SHA256())
        return found.public_bytes(serialization.Encoding.PEM)

    (folder / "ca.pem").write_bytes(signed(name, authority_key.public_key(), x509.BasicConstraints(ca=True, path_length=None)))
    server = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "annuaire")])
    (folder / "server.pem").write_bytes(signed(server, key.public_key(), address))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


END = filetime(datetime(2040, 12, 31, 23, tzinfo=UTC))
PEOPLE = (
    person("M.Durand", "Durand", "Mélanie", group="GG-Finances")
    + person("p.martin", "Martin", "Noël", group="GG-Accueil", expires=END)
    + person("k.benali", "Benali", "Karim", group="GG-Accueil", flags=514)
    + "".join(person(f"agent{n}", f"Nom{n}", "Zoé", group="GG-Accueil", unit="Foule") for n in range(CROWD))
)


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    server = start(tmp_path_factory.mktemp("slapd"), PEOPLE)
    yield server
    server.stop()
