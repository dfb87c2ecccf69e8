"""A live directory, LDAP or Active Directory → the people in it. TLS always, and the server's certificate is verified."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from toolkit.errors import TelekitError, UsageError
from toolkit.model import Commune, Directory, Secret
from toolkit.register.entries import Entry, Reader
from toolkit.register.people import Listing

if TYPE_CHECKING:
    from ldap3 import Connection

SECONDS = 15
PAGE = 500
LDAPS, LDAP = 636, 389
OPERATIONAL = ("objectClass", "userAccountControl", "pwdAccountLockedTime", "nsAccountLock")
WRITE_SECTION = "write a section [directory] with url and base in commune.toml; docs/inventory.md says how"


def read(commune: Commune, folder: Path, password: Secret | None) -> Listing:
    """Ask the commune's directory once; password: of the account `bind`, None to ask anonymously."""
    directory = commune.directory
    if directory is None or directory.url is None:
        raise UsageError("commune.toml names no directory to ask", hint=WRITE_SECTION)
    with _connected(directory, directory.url, folder, password) as connection:
        entries = list(_entries(connection, directory, directory.url))
    return Reader(directory, commune.policy.timezone).listing(directory.url, entries)


def password_in(file: Path) -> Secret:
    """The password of the account that asks, in a file that nobody else may read."""
    try:
        if file.stat().st_mode & 0o077:
            raise UsageError("others may read it", where=str(file), hint=f"chmod 600 {file}")
        return Secret(file.read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, ValueError) as error:
        raise UsageError("cannot be read", where=str(file)) from error


@contextmanager
def _connected(directory: Directory, url: str, folder: Path, password: Secret | None) -> Iterator[Connection]:
    import ldap3
    from ldap3.core.exceptions import LDAPException

    try:
        connection = ldap3.Connection(
            _server(directory, url, folder), user=directory.bind, password=password.reveal() if password else None,
            authentication=ldap3.SIMPLE if directory.bind else ldap3.ANONYMOUS, auto_referrals=False, read_only=True,
            receive_timeout=SECONDS, raise_exceptions=False,
        )  # fmt: skip
        connection.open()
        if url.startswith("ldap://"):
            connection.start_tls()
        if not connection.bind():
            raise _refused(directory, url, connection.result)
    except (LDAPException, OSError) as error:
        raise _unreachable(url, error) from error
    try:
        yield connection
    except (LDAPException, OSError) as error:
        raise TelekitError(f"the search was not answered: {_short(error)}", where=url) from error
    finally:
        connection.unbind()


def _server(directory: Directory, url: str, folder: Path) -> Any:
    import ldap3

    parts = urlsplit(url)
    file = folder / directory.ca if directory.ca else None
    if file and not file.is_file():
        raise UsageError("there is no such file", where=str(file), hint="`ca` in [directory] names it")
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(file) if file else None, sni=parts.hostname)
    secure = parts.scheme == "ldaps"
    port = parts.port or (LDAPS if secure else LDAP)
    return ldap3.Server(parts.hostname, port, use_ssl=secure, tls=tls, get_info=ldap3.NONE, connect_timeout=SECONDS)


def _entries(connection: Connection, directory: Directory, url: str) -> Iterator[tuple[str, Entry]]:
    from ldap3.core.exceptions import LDAPInvalidFilterError

    names = (directory.identifier, directory.last_name, directory.first_name, directory.service, directory.expires)
    attributes = list(dict.fromkeys((*names, directory.profile, *OPERATIONAL)))
    search = connection.extend.standard.paged_search
    try:
        for found in search(directory.base, directory.filter, attributes=attributes, paged_size=PAGE, generator=True):
            if found["type"] == "searchResEntry":
                yield found["dn"], found["raw_attributes"]
    except LDAPInvalidFilterError as error:
        raise UsageError(f"is not a filter of LDAP: {directory.filter}", where="[directory] filter") from error
    answer = connection.result
    if answer["result"] != 0:
        hint = "look at `base` and `filter` in [directory], and at what the account may read"
        raise TelekitError(f"the search failed: {answer['description']}", where=url, hint=hint)


def _refused(directory: Directory, url: str, answer: dict[str, Any]) -> TelekitError:
    if answer["description"] == "invalidCredentials":
        return TelekitError(f"the password of {directory.bind} is not right", where=url, hint="or `bind` in [directory] is not")
    return TelekitError(f"{directory.bind or 'anonymous'} may not ask: {answer['description']}", where=url)


def _unreachable(url: str, error: Exception) -> TelekitError:
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said or "doesn't match" in said:
        hint = "`ca` in [directory] names the authority's certificate, `url` the server as its certificate does"
        return TelekitError("its certificate cannot be trusted, so nothing was said to it", where=url, hint=hint)
    return TelekitError(f"cannot be reached securely: {_short(error)}", where=url, hint="look at `url` in [directory]")


def _short(error: Exception) -> str:
    said = "".join(c if c.isprintable() else " " for c in str(error))
    return said[:120] or type(error).__name__
