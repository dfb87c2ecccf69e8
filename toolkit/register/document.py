"""commune.toml as it is edited: lines are inserted and removed by their places, every other line stays as it is.

tomlkit writes the values. It does not write the file: it moves a section that stands apart from its kin, and comments
to another neighbour.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InventoryError, UsageError
from toolkit.inventory.problems import Problems, Refused
from toolkit.inventory.text import decode
from toolkit.model import Extra, System

if TYPE_CHECKING:
    from tree_sitter import Node

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Place:
    """The lines of one [[section]]: from its header to its last value, counted from 0, the second not included."""

    start: int
    end: int


@dataclass
class Document:
    """The text of commune.toml with line feeds, and how it becomes bytes again."""

    text: str
    encoding: str
    marked: bool
    line_end: str

    def add_laptops(self, names: Iterable[str], system: System) -> None:
        """A section [[laptop]] for each name, after those that are there."""
        extra = {} if system is System.DEBIAN else {"system": str(system)}
        self._insert("laptop", [{"name": name, **extra} for name in names])

    def add_extra(self, extra: Extra) -> None:
        """A section [[extra]], after those that are there."""
        self._insert("extra", [asdict(extra)])

    def remove_extras(self, agents: Iterable[str]) -> None:
        """No [[extra]] of these agents is left."""
        leaving = set(agents)
        self._remove("extra", lambda section: section.get("agent") in leaving)

    def remove_laptops(self, names: Iterable[str]) -> None:
        """No [[laptop]] of these names is left."""
        leaving = set(names)
        self._remove("laptop", lambda section: section.get("name") in leaving)

    def _remove(self, kind: str, leaves: Callable[[Mapping[str, Any]], bool]) -> None:
        values = tomllib.loads(self.text)
        sections = values.get(kind, [])
        gone = [position for position, section in enumerate(sections) if leaves(section)]
        if not gone:
            return
        lines, places = self.text.split("\n"), _places(self.text, kind)
        for place in reversed([places[position] for position in gone] if len(places) == len(sections) else []):
            blank = place.end < len(lines) and not lines[place.end].strip()
            del lines[place.start : place.end + blank]
        kept = [section for section in sections if not leaves(section)]
        self._become("\n".join(lines), {**values, kind: kept} if kept else _without(values, kind))

    def content(self) -> bytes:
        """The file."""
        text = self.text if self.line_end == "\n" else self.text.replace("\n", self.line_end)
        try:
            return (BOM if self.marked else b"") + text.encode(self.encoding)
        except UnicodeEncodeError:
            # Windows-1252 does not have every character; UTF-8 is what TOML asks for anyway.
            return text.encode()

    def _insert(self, kind: str, sections: Sequence[Mapping[str, object]]) -> None:
        if not sections:
            return
        values = tomllib.loads(self.text)
        lines, places = self.text.split("\n"), _places(self.text, kind)
        if places:
            at = _after(lines, places[-1].end)
            apart = places[-1].start == 0 or not lines[places[-1].start - 1].strip()
        else:
            at, apart = _trimmed(lines), True
        written = [line for section in sections for line in ([""] if apart else []) + list(_lines(kind, section))]
        lines[at:at] = written
        if lines[-1]:
            lines.append("")
        self._become("\n".join(lines), {**values, kind: [*values.get(kind, []), *sections]})

    def _become(self, text: str, expected: Mapping[str, object]) -> None:
        """Take the text if it says what is expected and nothing else."""
        try:
            said: object = tomllib.loads(text)
        except (ValueError, RecursionError):
            said = None
        if said != expected:
            hint = "write it by hand, in sections with double brackets; docs/inventory.md says how"
            raise UsageError("commune.toml is written in a way that telekit does not edit", hint=hint)
        self.text = text


def read(content: bytes, file: str) -> Document:
    """Given the bytes of a commune.toml that `check` accepts, its document; InventoryError if it cannot be read."""
    problems = Problems(file)
    try:
        text = _plain(content)
        tomllib.loads(text)
    except Refused as refused:
        problems.error(0, refused.what, refused.hint)
    except (ValueError, RecursionError):
        problems.error(0, "not valid TOML", "telekit check says where")
    if told := problems.in_order():
        raise InventoryError(told)
    windows = content.count(b"\r\n") * 2 > content.count(b"\n")
    return Document(text, _encoding(content), content.startswith(BOM), "\r\n" if windows else "\n")


def _plain(content: bytes) -> str:
    decode(content)
    text = content.removeprefix(BOM).decode(_encoding(content))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(content: bytes) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _lines(kind: str, section: Mapping[str, object]) -> Iterator[str]:
    import tomlkit

    yield f"[[{kind}]]"
    width = max(map(len, section))
    yield from (f"{key:<{width}} = {tomlkit.item(value).as_string()}" for key, value in section.items())


def _after(lines: Sequence[str], line: int) -> int:
    """Where a section ends with the comments that stand directly below it, unless they stand directly above another."""
    below = line
    while below < len(lines) and lines[below].lstrip().startswith("#"):
        below += 1
    return line if below < len(lines) and lines[below].strip() else below


def _trimmed(lines: Sequence[str]) -> int:
    """The number of lines up to the last that holds anything."""
    return max((number for number, line in enumerate(lines, start=1) if line.strip()), default=0)


def _without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def _places(text: str, kind: str) -> list[Place]:
    """The places of all [[kind]], in file order."""
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    return [_place(node) for node in tree.root_node.named_children if _is(node, kind)]


def _is(node: Node, kind: str) -> bool:
    header = node.named_children[0].text if node.type == "table_array_element" else None
    return header is not None and header.decode().strip("\"'") == kind


def _place(node: Node) -> Place:
    header, *others = node.named_children
    last = next((child for child in reversed(others) if child.type == "pair"), header)
    return Place(node.start_point.row, last.end_point.row + 1)
