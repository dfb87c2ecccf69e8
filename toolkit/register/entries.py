"""Entries of a directory → people, by the attributes that [directory] in commune.toml names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from toolkit.inventory.agents import person as name_of_person
from toolkit.inventory.habits import account
from toolkit.inventory.problems import Problems, Refused, shown
from toolkit.inventory.values import day, text
from toolkit.model import Directory
from toolkit.register.people import Listing, Person, harmless, listing

# An entry: attribute → its values, as bytes or text.
Entry = Mapping[str, Sequence[bytes | str]]
OPENLDAP_IDENTIFIER = "uid"
# In Active Directory: hundreds of nanoseconds since 1601; both mean never.
NEVER = (0, 0x7FFFFFFFFFFFFFFF)
EPOCH_1601 = datetime(1601, 1, 1, tzinfo=UTC)
ACCOUNT_DISABLED = 0x2
PERSONS = frozenset({"person", "organizationalperson", "inetorgperson", "user", "posixaccount", "account"})
LOCKED_FOR_GOOD = "000001010000Z"


@dataclass(frozen=True)
class Reader:
    """Reads entries by a directory's attributes. timezone: of the town hall, for ends that are moments."""

    directory: Directory
    timezone: str

    def listing(self, source: str, entries: Iterable[tuple[str, Entry]]) -> Listing:
        """Given entries by their DN, the people among them; computers, groups and units are nobody."""
        problems = Problems(source)
        people: dict[str, Person] = {}
        for dn, entry in entries:
            person = self._person(dn, _Attributes(entry), problems)
            if person is None:
                continue
            if person.identifier in people:
                what = f"{person.identifier} is there twice: {people[person.identifier].where} and {dn}"
                problems.error(0, what, "narrow `filter` or `base` in [directory]")
            people[person.identifier] = person
        return listing(source, list(people.values()), problems)

    def _person(self, dn: str, entry: _Attributes, problems: Problems) -> Person | None:
        try:
            written = entry.first(self.directory.identifier)
            if written is None or written.endswith("$") or not entry.human():
                return None
            identifier, disabled = account(written.lower()), entry.disabled()
        except Refused as refused:
            problems.warn(0, f"{dn}: left out: {refused.what}", refused.hint)
            return None
        return Person(identifier, dict(self._said(identifier, entry, problems)), dn, disabled)

    def _said(self, identifier: str, entry: _Attributes, problems: Problems) -> Iterator[tuple[str, object]]:
        """What the entry says of the agent; what cannot be used is told, and the register keeps what it has."""
        names = self.directory
        parsers: tuple[tuple[str, str, Callable[[list[str]], object]], ...] = (
            ("last_name", names.last_name, lambda values: name_of_person(values[0])),
            ("first_name", names.first_name, lambda values: name_of_person(values[0])),
            ("service", names.service, lambda values: text(values[0])),
            ("ends", names.expires, lambda values: last_day(values[0], ZoneInfo(self.timezone))),
            ("profile", names.profile, self._profile),
        )
        for field, attribute, parse in parsers:
            try:
                values = entry.all(attribute)
                value = parse(values) if values else None
                harmless({field: value})
            except Refused as refused:
                problems.warn(0, f"{identifier}: {attribute}: {refused.what}", refused.hint)
                continue
            if value is not None:
                yield field, value

    def _profile(self, values: list[str]) -> str | None:
        """The profile of the first line of [directory.profiles] that fits."""
        words = {word.casefold() for value in values for word in (value, common_name(value))}
        return next((profile for word, profile in self.directory.profiles.items() if word.casefold() in words), None)


class _Attributes:
    """An entry's attributes, whatever their capitals."""

    def __init__(self, entry: Entry) -> None:
        self._values: dict[str, list[bytes | str]] = {}
        for name, values in entry.items():
            # An option, such as a language, stands behind a semicolon.
            self._values.setdefault(name.casefold().partition(";")[0], []).extend(values)

    def all(self, name: str) -> list[str]:
        """The values that are not blank."""
        found = (_decoded(value).strip() for value in self._values.get(name.casefold(), ()))
        return [value for value in found if value]

    def first(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    def human(self) -> bool:
        """Whether it is somebody's; an entry that does not say what it is may be."""
        classes = {value.casefold() for value in self.all("objectClass")}
        return not classes or bool(classes & PERSONS)

    def disabled(self) -> bool:
        """In Active Directory, OpenLDAP's password policy, or 389 Directory Server."""
        flags = self.first("userAccountControl") or "0"
        return (
            (flags.isascii() and flags.isdecimal() and len(flags) < 12 and bool(int(flags) & ACCOUNT_DISABLED))
            or self.first("pwdAccountLockedTime") == LOCKED_FOR_GOOD
            or (self.first("nsAccountLock") or "").casefold() == "true"
        )


def _decoded(value: bytes | str) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Refused("is not text in UTF-8") from None


def common_name(dn: str) -> str:
    """The first value of a DN, without its escapes: "Finances" of "CN=Finances,OU=Groupes,DC=mairie"."""
    found = re.match(r"\s*[^=,]+=((?:\\.|[^,+\\])*)", dn)
    if found is None:
        return ""
    bytewise = re.sub(
        r"(?:\\[0-9A-Fa-f]{2})+", lambda m: bytes.fromhex(m[0].replace("\\", "")).decode(errors="replace"), found[1]
    )
    return re.sub(r"\\(.)", r"\1", bytewise).strip()


def last_day(value: object, zone: ZoneInfo) -> date | None:
    """The last whole day of an account: accountExpires (Active Directory), shadowExpire, a generalized time, or a date."""
    written = text(value)
    digits = written if written.isascii() and written.isdecimal() else ""
    try:
        if digits and len(digits) < 20 and int(digits) in NEVER:
            return None
        if digits and len(digits) < 7:
            return date(1970, 1, 1) + timedelta(days=int(digits) - 1)
        if digits:
            return _before(EPOCH_1601 + timedelta(microseconds=int(digits[:20]) // 10), zone)
        moment = re.fullmatch(r"(\d{14})(?:[.,]\d+)?Z", written, re.ASCII)
        if moment:
            return _before(datetime.strptime(moment[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC), zone)
    except (ValueError, OverflowError):
        raise Refused(f"{shown(written)} is no moment in the calendar") from None
    return None if written == "-1" else day(written)


def _before(moment: datetime, zone: ZoneInfo) -> date:
    """The day that is over at this moment, or that it falls into."""
    return (moment - timedelta(microseconds=1)).astimezone(zone).date()


def guessed(entries: Iterable[tuple[str, Entry]]) -> Directory:
    """Where commune.toml names no attributes: Active Directory's, or OpenLDAP's if only they are there."""
    names = {name.casefold() for _, entry in entries for name in entry}
    if Directory().identifier.casefold() in names or OPENLDAP_IDENTIFIER not in names:
        return Directory()
    return Directory(identifier=OPENLDAP_IDENTIFIER, service="departmentNumber", expires="shadowExpire")
