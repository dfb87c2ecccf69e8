"""What a report consists of, in the order in which it is read: the page and the PDF are two ways to show these."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolkit.evidence.drawing import Drawing

# How something is to be taken; always said in words beside it.
GOOD, BAD, OPEN, PLAIN = "good", "bad", "open", ""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. tone: GOOD, BAD or OPEN makes it a verdict. code: to be typed as it stands."""

    text: str
    tone: str = PLAIN
    code: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a list; anchor: where on the page it leads."""

    text: str
    anchor: str = ""
    tone: str = PLAIN


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table. english: it is in the machines' language."""

    text: str
    tone: str = PLAIN
    english: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; share: how much of the width, beside the others."""

    title: str
    number: bool = False
    share: int = 2


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column heads its rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what there is to say under it, a paragraph each."""

    name: str
    texts: tuple[str, ...]
    english: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """A check: its sentence, how it went in a few words, and the rest for those who ask."""

    anchor: str
    title: str
    outcome: str
    tone: str
    facts: tuple[Fact, ...]
    open: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing or a picture. text: what it shows, for those who do not see it."""

    text: str
    caption: str
    drawing: Drawing | None = None
    png: bytes = b""


@dataclass(frozen=True, slots=True)
class Head:
    """A heading inside a section."""

    title: str
    anchor: str = ""


Block = Text | Bullets | Table | Fold | Figure | Head


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report in one language. words: what the frame of a page says."""

    language: str
    title: str
    commune: str
    subtitle: str
    sections: tuple[Section, ...]
    words: dict[str, str] = field(default_factory=dict, hash=False)
