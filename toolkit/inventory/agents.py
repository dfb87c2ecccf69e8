"""agents.csv, as HR sends it and a spreadsheet saves it → agents with their lines."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from toolkit.inventory.habits import account
from toolkit.inventory.problems import Problems, Refused, guess, listed, shown
from toolkit.inventory.values import Parser, day, text
from toolkit.model import Agent

# Agent's field → the headers by which it is known, compared without case, accents, hyphens and underscores.
COLUMNS = {
    "identifier": ("identifiant", "identifier", "login", "id", "utilisateur", "user", "username"),
    "last_name": ("nom", "nom de famille", "last name", "lastname", "surname", "family name"),
    "first_name": ("prénom", "first name", "firstname", "given name"),
    "service": ("service", "direction", "department"),
    "profile": ("profil", "profile"),
    "laptop": ("portable", "ordinateur portable", "laptop"),
    "desktop": ("poste", "poste de travail", "desktop"),
    "starts": ("du", "début", "date de début", "from", "start", "starts", "start date"),
    "ends": ("au", "fin", "date de fin", "to", "until", "end", "ends", "end date"),
    "suspended": ("suspendu", "suspension", "suspended"),
}
# Cells that no line may leave empty, and columns that must be there.
NEEDED = ("identifier", "last_name", "first_name", "profile")
REQUIRED = (*NEEDED, "laptop")
HEADER = "identifiant;nom;prénom;service;profil;portable;poste;du;au"
DELIMITERS = ";,\t"
SPACES_AFTER_QUOTE = re.compile(r'"\s+(?=[;,\t]|$)')


@dataclass(frozen=True)
class Row:
    """One agent and the line of agents.csv."""

    agent: Agent
    line: int


def _plain(header: str) -> str:
    decomposed = unicodedata.normalize("NFKD", header.casefold())
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return re.sub(r"[\s_\-.]+", " ", letters).strip()


FIELD_OF = {_plain(header): name for name, headers in COLUMNS.items() for header in headers}


@dataclass(frozen=True)
class Sheet:
    """The lines of a list of agents that are not blank, numbered, and the field of each column of the first ("": not used)."""

    delimiter: str
    columns: tuple[str, ...]
    lines: tuple[tuple[int, str], ...]

    @property
    def header(self) -> int:
        return self.lines[0][0]

    def records(self, problems: Problems, needed: Container[str] = NEEDED) -> Iterator[tuple[int, dict[str, object]]]:
        """Each line that can be read: its number and its good values; what must not be empty and is, is among the problems."""
        for number, line in self.lines[1:]:
            cells = _cells_of(number, line, self, problems)
            if cells is not None:
                yield number, dict(_fields(number, cells, problems, needed))


def sheet(content: str, problems: Problems, required: Sequence[str] = REQUIRED, *, foreign: bool = False) -> Sheet | None:
    """Given the text of a list of agents, its lines by the columns of the first; None if it cannot be read by them.

    foreign: another program's file, in which further columns are nobody's mistake.
    """
    lines = [(number, line) for number, line in enumerate(content.split("\n"), start=1) if line.strip()]
    if lines and re.fullmatch(r'"?sep=(.)"?', lines[0][1].strip(), re.IGNORECASE):
        lines = lines[1:]
    if not lines:
        problems.error(0, "the file is empty", f"its first line is {HEADER}")
        return None
    number, header = lines[0]
    delimiter = max(DELIMITERS, key=header.count)
    columns = _columns(number, cells_of(number, header, delimiter, problems), problems, required, foreign=foreign)
    return None if columns is None else Sheet(delimiter, tuple(columns), tuple(lines))


def parse(content: str, problems: Problems) -> list[Row]:
    """Given the text of agents.csv, every agent that can be read."""
    found = sheet(content, problems)
    if found is None:
        return []
    rows = [row for number, values in found.records(problems) if (row := _row(number, values, problems))]
    refuse_twice([(row.line, row.agent.identifier) for row in rows], problems)
    if len(found.lines) == 1:
        problems.warn(0, "names no agent: nobody has access", "one line an agent follows the first")
    return rows


def cells_of(number: int, line: str, delimiter: str, problems: Problems) -> list[str] | None:
    """The cells of one line; a line at a time, so that an unclosed quote spoils one agent and not the rest."""
    if '"' in line:
        line = SPACES_AFTER_QUOTE.sub('"', line)
    try:
        return next(csv.reader((line,), delimiter=delimiter, strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        problems.error(
            number, "the double quotes of this line do not match", "each cell stands on one line, between two quotes or none"
        )
        return None


def _columns(
    number: int, headers: list[str] | None, problems: Problems, required: Sequence[str], *, foreign: bool
) -> list[str] | None:
    """The field of each column, "" for one that telekit does not use; None if the file cannot be read by them."""
    if headers is None:
        return None
    fields = [FIELD_OF.get(_plain(header), "") for header in headers]
    known = [spelling for spellings in COLUMNS.values() for spelling in spellings]
    for header, field in zip(headers, fields, strict=True):
        likely = guess(_plain(header), known) if not field and header.strip() else ""
        if likely:
            (problems.warn if foreign else problems.error)(number, f"unknown column {shown(header.strip())}", likely)
        elif not field and header.strip() and not foreign:
            problems.warn(
                number,
                f"column {shown(header.strip())} is not used",
                "remove it if it is personal data that telekit does not need",
            )
    twice = [COLUMNS[field][0] for field, count in Counter(fields).items() if field and count > 1]
    missing = [COLUMNS[field][0] for field in required if field not in fields]
    if twice:
        problems.error(number, f"column twice: {listed(twice)}", "keep one of the two")
    if missing:
        problems.error(
            number, f"missing column{'s' if len(missing) > 1 else ''}: {listed(missing)}", f"the first line is {HEADER}"
        )
    return None if missing or twice else fields


def _cells_of(number: int, line: str, sheet: Sheet, problems: Problems) -> dict[str, str] | None:
    """Field → cell of one line; None if the line is empty or has more cells than there are columns."""
    cells = cells_of(number, line, sheet.delimiter, problems)
    if cells is None or not any(cell.strip() for cell in cells):
        return None
    if any(cell.strip() for cell in cells[len(sheet.columns) :]):
        hint = f"a cell that holds `{sheet.delimiter}` stands between double quotes"
        problems.error(number, f"{len(cells)} cells where the first line has {len(sheet.columns)} columns", hint)
        return None
    return dict(zip(sheet.columns, cells, strict=False))


def _row(number: int, found: dict[str, object], problems: Problems) -> Row | None:
    if not all(name in found for name in NEEDED):
        return None
    refuse_backwards(number, found, problems)
    return Row(Agent(**found), number)  # type: ignore[arg-type]  # each was read by the kind of its column


def refuse_backwards(number: int, found: Mapping[str, object], problems: Problems) -> None:
    """An access does not end before it starts."""
    starts, ends = found.get("starts"), found.get("ends")
    if isinstance(starts, date) and isinstance(ends, date) and ends < starts:
        problems.error(number, f"{found['identifier']}: the end {ends} is before the start {starts}", "swap the two dates")


def _fields(number: int, cells: Mapping[str, str], problems: Problems, needed: Container[str]) -> Iterator[tuple[str, object]]:
    """The good values of one line; an empty cell is no value, and a problem where one is needed."""
    for field in COLUMNS:
        cell = cells.get(field, "")
        try:
            if cell.strip():
                yield field, PARSERS.get(field, text)(cell)
            elif field in needed:
                problems.error(number, f"{COLUMNS[field][0]} is empty")
        except Refused as refused:
            problems.error(number, f"{COLUMNS[field][0]}: {refused.what}", refused.hint)


def person(value: object) -> str:
    """A part of somebody's name, as the list of accounts can hold it."""
    name = text(value)
    if ":" in name:
        raise Refused(f"{shown(name)} holds a colon", "a name has none")
    return name


PARSERS: dict[str, Parser[object]] = {
    "identifier": account,
    "last_name": person,
    "first_name": person,
    "starts": day,
    "ends": day,
    "suspended": day,
}


def refuse_twice(lines: Iterable[tuple[int, str]], problems: Problems) -> None:
    """Given lines and the identifiers on them, each identifier is there once."""
    first: dict[str, int] = {}
    for line, identifier in lines:
        if identifier in first:
            problems.error(line, f"identifier {shown(identifier)} is already on line {first[identifier]}", "one line an agent")
        first.setdefault(identifier, line)
