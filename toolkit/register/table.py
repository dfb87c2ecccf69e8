"""agents.csv as it is edited: the lines that nobody changes keep every byte, the others the ways of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from toolkit.errors import InventoryError
from toolkit.inventory.agents import COLUMNS, HEADER, Sheet, cells_of, sheet
from toolkit.inventory.problems import Problems, Refused
from toolkit.inventory.text import decode

BOM = b"\xef\xbb\xbf"
LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
FRENCH_DATE = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
# What a column that is missing is called when it is added: in French, in English.
ADDED = {name: (spellings[0], spellings[0]) for name, spellings in COLUMNS.items()} | {
    "service": ("service", "department"),
    "desktop": ("poste", "desktop"),
    "starts": ("du", "from"),
    "ends": ("au", "to"),
    "suspended": ("suspendu", "suspended"),
}
ENGLISH = {"identifier", "username", "last name", "lastname", "surname", "first name", "firstname", "laptop", "profile"}


@dataclass
class Table:
    """The lines of a list of agents, with their line ends, as they are in the file.

    encoding: utf-8 or cp1252. marked: the file begins with UTF-8's mark. Numbers of lines start at 1, as in `Sheet`.
    """

    lines: list[bytes]
    encoding: str
    marked: bool
    sheet: Sheet
    removed: set[int] = field(default_factory=set)
    converted: bool = False

    # -- the ways of the file ----------------------------------------------------------------------------------------

    @cached_property
    def headers(self) -> list[str]:
        """The names of the columns, as they are written."""
        return self._cells(self.sheet.header)

    @cached_property
    def columns(self) -> list[str]:
        """The field of each column, those that are being added too."""
        return list(self.sheet.columns)

    @cached_property
    def line_end(self) -> bytes:
        ends = [line[len(line.rstrip(b"\r\n")) :] for line in self.lines]
        return next((end for end in ends if end), b"\n")

    @cached_property
    def english(self) -> bool:
        return any(header.strip().casefold().replace("_", " ") in ENGLISH for header in self.headers)

    @cached_property
    def capitals(self) -> bool:
        """Whether the names of columns begin with a capital."""
        return self.headers[0].strip()[:1].isupper()

    @cached_property
    def french_dates(self) -> bool:
        """Whether the dates that are there are written 31/01/2026."""
        return any(FRENCH_DATE.search(line) for _, line in self.sheet.lines[1:])

    def written(self, value: object) -> str:
        """A value as this file writes it."""
        if isinstance(value, date):
            return f"{value:%d/%m/%Y}" if self.french_dates else value.isoformat()
        return "" if value is None else str(value)

    # -- edits -------------------------------------------------------------------------------------------------------

    def set(self, number: int, values: Mapping[str, object]) -> None:
        """Write these fields of the agent on this line; None empties a cell."""
        # A column is not added to say nothing.
        filled = {name: value for name, value in values.items() if value is not None or name in self.columns}
        self._add_columns(filled)
        cells = self._cells(number)
        cells += [""] * (len(self.columns) - len(cells))
        for name, value in filled.items():
            cells[self.columns.index(name)] = self.written(value)
        self._replace(number, cells)

    def add(self, values: Mapping[str, object]) -> None:
        """A line for a new agent at the end, after the last line that holds anything."""
        given = {name: value for name, value in values.items() if value is not None}
        self._add_columns(given)
        last = max(number for number, line in enumerate(self.lines, start=1) if line.strip())
        if not self.lines[last - 1].endswith((b"\n", b"\r")):
            self.lines[last - 1] += self.line_end
        quoted = self._all_quoted(self.lines[last - 1])
        cells = [self._cell(self.written(given.get(name)), quoted=quoted) for name in self.columns]
        line = self._encoded(self.sheet.delimiter.join(cells))
        self.lines.insert(last, line + self.line_end)

    def remove(self, number: int) -> None:
        """Leave this line out."""
        self.removed.add(number)

    def content(self) -> bytes:
        """The file."""
        kept = b"".join(line for number, line in enumerate(self.lines, start=1) if number not in self.removed)
        return (BOM if self.marked else b"") + kept

    # -- lines -------------------------------------------------------------------------------------------------------

    def _add_columns(self, names: Iterable[str]) -> None:
        missing = [name for name in COLUMNS if name in names and name not in self.columns]
        if missing:
            spelled = [ADDED[name][self.english] for name in missing]
            self.headers += [word.capitalize() if self.capitals else word for word in spelled]
            self.columns += missing
            self._replace(self.sheet.header, self.headers)

    def _text(self, number: int) -> str:
        return self.lines[number - 1].decode(self.encoding).rstrip("\r\n")

    def _cells(self, number: int) -> list[str]:
        """The cells of a line that could be read before."""
        return cells_of(number, self._text(number), self.sheet.delimiter, Problems("")) or []

    def _replace(self, number: int, cells: list[str]) -> None:
        """Write the cells of a line; those that are as before stay as they were written."""
        old = self.lines[number - 1]
        end = old[len(old.rstrip(b"\r\n")) :]
        before, pieces = self._cells(number), _pieces(self._text(number), self.sheet.delimiter)
        kept = pieces if len(pieces) == len(before) else []
        quoted = self._all_quoted(old)
        written = [
            kept[position] if position < len(kept) and cell == before[position] else self._cell(cell, quoted=quoted)
            for position, cell in enumerate(cells)
        ]
        self.lines[number - 1] = self._encoded(self.sheet.delimiter.join(written)) + end

    def _all_quoted(self, line: bytes) -> bool:
        """Whether the program that wrote this line quotes every cell."""
        inner = line.strip()
        delimiter = self.sheet.delimiter.encode()
        return inner[:1] == b'"' and inner[-1:] == b'"' and inner.count(b'"' + delimiter + b'"') >= inner.count(delimiter) > 0

    def _cell(self, cell: str, *, quoted: bool) -> str:
        special = self.sheet.delimiter in cell or '"' in cell
        return f'"{cell.replace(chr(34), chr(34) * 2)}"' if quoted or special else cell

    def _encoded(self, line: str) -> bytes:
        """The line as the file is encoded; a character that Windows-1252 does not have makes the file UTF-8 with its mark."""
        try:
            return line.encode(self.encoding)
        except UnicodeEncodeError:
            self.lines = [other.decode(self.encoding).encode() for other in self.lines]
            self.encoding, self.marked, self.converted = "utf-8", True, True
            return line.encode()


def _pieces(line: str, delimiter: str) -> list[str]:
    """The cells of a line as they are written, quotes and spaces too."""
    piece = re.compile(rf'\s*"(?:[^"]|"")*"[^{delimiter}]*|[^{delimiter}]*')
    pieces, position = [], 0
    while position <= len(line):
        found = piece.match(line, position)
        assert found is not None, "nothing is a cell too"
        pieces.append(found[0])
        position = found.end() + 1
    return pieces


def read(content: bytes, file: str) -> Table:
    """Given the bytes of a list of agents that `check` accepts, its table; InventoryError if it cannot be read."""
    problems = Problems(file)
    try:
        found = sheet(decode(content), problems)
    except Refused as refused:
        problems.error(0, refused.what, refused.hint or f"its first line is {HEADER}")
        found = None
    told = tuple(problem for problem in problems.in_order() if not problem.warning)
    if found is None or told:
        raise InventoryError(told)
    marked = content.startswith(BOM)
    return Table(LINE.findall(content.removeprefix(BOM)), _encoding(content), marked, found)


def _encoding(content: bytes) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
