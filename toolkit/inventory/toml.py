"""TOML with line numbers: tomllib gives the values, tree-sitter the places, and only when one is asked for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from toolkit.inventory.problems import Problems

if TYPE_CHECKING:
    from tree_sitter import Node

# Keys of tables and positions in arrays, from the top of the document: ("desktop", 2, "owner").
Path = tuple[str | int, ...]

KEYS = {"bare_key", "quoted_key", "dotted_key"}
HINTS = (
    ("Invalid statement", "a line is `key = value` or `[section]`; text needs straight double quotes"),
    ("Invalid value", 'text stands between straight double quotes: name = "…"'),
    ("Cannot overwrite a value", "this key or section is already there above: keep one of the two"),
    ("Cannot declare", "this section is already there above: keep one of the two"),
    ("Cannot mutate immutable", "this key or section is already there above: keep one of the two"),
    ("Expected newline", "one `key = value` a line; text, and numbers that start with 0, stand between double quotes"),
    ("Unclosed array", "a list ends with `]`, with commas between its values"),
    ("Expected '='", "a key is followed by `=` and its value"),
    ("key part", "keys are written in plain letters a–z; `{ … }` stands on one line, without a comma before `}`"),
    ("Illegal character", "close the double quotes on the same line"),
    ("Unescaped '\\'", "write `\\\\` for a backslash"),
    ("Unterminated string", "close the double quotes"),
)


@dataclass(frozen=True)
class Document:
    """The values of a TOML text, and the line of each."""

    text: str
    values: dict[str, object]

    def line(self, path: Path) -> int:
        """The line of a key, a section's header or an array's value; of the nearest thing around it if there is none."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    @cached_property
    def _lines(self) -> dict[Path, int]:
        return _lines_of(self.text)


def parse(text: str, problems: Problems) -> Document | None:
    """Given a TOML text, its document, or None with the syntax error among the problems."""
    try:
        return Document(text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        line, what = _syntax_error(str(error), text)
        hint = next((hint for start, hint in HINTS if start in what), "")
        problems.error(line, f"not valid TOML: {what}", hint)
    except (ValueError, RecursionError):
        # Thousands of digits or of nested brackets: tomllib does not guard against them.
        problems.error(0, "not valid TOML: a number or a nesting beyond all measure")
    return None


def _syntax_error(message: str, text: str) -> tuple[int, str]:
    """tomllib's message → the line and the sentence without the place."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if found is None:
        return 0, message
    what = message[: found.start()]
    if found[1] is None:
        return text.rstrip().count("\n") + 1, f"{what}, at the end of the file"
    return int(found[1]), f"{what}, at column {found[2]}"


def _lines_of(text: str) -> dict[Path, int]:
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    for node in tree.root_node.named_children:
        if node.type == "pair":
            _note_pair(node, (), lines)
        elif node.type in {"table", "table_array_element"}:
            base = _header(node, counts, lines)
            for child in node.named_children:
                if child.type == "pair":
                    _note_pair(child, base, lines)
    return lines


def _header(table: Node, counts: dict[Path, int], lines: dict[Path, int]) -> Path:
    """The path of a section; one under [[x]] belongs to the last x so far."""
    words = _words(table.named_children[0])
    base: Path = ()
    for position, word in enumerate(words):
        base = (*base, word)
        last = position == len(words) - 1
        if last and table.type == "table_array_element":
            counts[base] = counts.get(base, -1) + 1
        _note(lines, base, table)
        if base in counts:
            base = (*base, counts[base])
            _note(lines, base, table)
    return base


def _note_pair(pair: Node, base: Path, lines: dict[Path, int]) -> None:
    pending: list[tuple[Node, Path]] = [(pair, base)]
    while pending:
        node, path = pending.pop()
        if node.type == "pair":
            key, *values = _named(node)
            for word in _words(key):
                path = (*path, word)
                _note(lines, path, node)
            pending += [(value, path) for value in values]
        elif node.type == "inline_table":
            pending += [(child, path) for child in _named(node)]
        elif node.type == "array":
            for position, child in enumerate(_named(node)):
                _note(lines, (*path, position), child)
                pending.append((child, (*path, position)))


def _named(node: Node) -> Iterator[Node]:
    return (child for child in node.named_children if child.type != "comment")


def _note(lines: dict[Path, int], path: Path, node: Node) -> None:
    lines.setdefault(path, node.start_point.row + 1)


def _words(key: Node) -> list[str]:
    """The parts of a bare, quoted or dotted key."""
    words: list[str] = []
    pending = [key]
    while pending:
        node = pending.pop()
        if node.type == "dotted_key":
            pending += [child for child in reversed(node.named_children) if child.type in KEYS]
        else:
            words.append(_unquoted((node.text or b"").decode()))
    return words


def _unquoted(key: str) -> str:
    """A key without its quotes; a quoted key with escapes is what tomllib says it is."""
    if key.startswith("'"):
        return key[1:-1]
    return next(iter(tomllib.loads(f"{key} = 0"))) if key.startswith('"') else key
