"""A report as PDF, on A4: the same blocks as the page, everything unfolded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import PIL.Image
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
)  # fmt: skip
from reportlab.platypus import Table as Grid

from toolkit.evidence.blocks import BAD, GOOD, OPEN, Block, Bullets, Cell, Fact, Figure, Fold, Head, Report, Section, Table, Text
from toolkit.evidence.drawing import BLUE, INK, SOFT
from toolkit.evidence.ink import graphic
from toolkit.kit.typography import BOLD, REGULAR, drawable, letters

WIDTH, HEIGHT = A4
MARGIN, TOP, BOTTOM = 17 * mm, 17 * mm, 18 * mm
INNER = WIDTH - 2 * MARGIN
# How wide a drawing is, and how high a picture: half of a page.
DRAWING, PICTURE = 112 * mm, 110 * mm
COLOURS = {GOOD: "#0b5a25", BAD: "#a30015", OPEN: "#6b4700"}
GROUNDS = {GOOD: "#eef7f0", BAD: "#fdf0f1", OPEN: "#fdf6e7"}
PALE = "#f2f6fa"
# Not by colour alone, and with letters that the font has.
MARKS = {GOOD: "+ ", BAD: "× ", OPEN: "! "}
# What reportlab calls a table's style: a command, its cells, its values.
Command = tuple[str, tuple[int, int], tuple[int, int], Any] | tuple[str, tuple[int, int], tuple[int, int], float, Any]
LOOK: list[Command] = [
    ("BACKGROUND", (0, 0), (-1, 0), HexColor(PALE)),
    ("LINEBELOW", (0, 0), (-1, 0), 1, HexColor(BLUE)),
    ("LINEBELOW", (0, 1), (-1, -1), 0.4, HexColor("#c3ccd4")),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
    ("LEFTPADDING", (0, 0), (-1, -1), 4),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 2.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
]


def pdf(report: Report) -> bytes:
    """The whole document; the same report always gives the same bytes."""
    letters()
    buffer = io.BytesIO()
    _Document(buffer, report).build([*_head(report), *(part for section in report.sections for part in _section(section))])
    return buffer.getvalue()


class _Title(Paragraph):
    """The heading of a section, which is in the reader's outline."""

    anchor = ""


class _Document(BaseDocTemplate):
    """A4 with the commune and the page number at the foot, and an outline of the sections."""

    def __init__(self, buffer: io.BytesIO, report: Report) -> None:
        super().__init__(
            buffer, pagesize=A4, title=f"{report.title} – {report.commune}", author="telekit", subject=report.subtitle,
            lang={"fr": "fr-FR"}.get(report.language, report.language), invariant=1,
        )  # fmt: skip
        self.report = report
        frame = Frame(MARGIN, BOTTOM, INNER, HEIGHT - TOP - BOTTOM, 0, 0, 0, 0)
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self._foot))

    def _foot(self, canvas: Canvas, _: BaseDocTemplate) -> None:
        said = f"{self.report.title} – {self.report.commune} – {self.report.subtitle}"
        canvas.setFont(REGULAR, 8.5)
        canvas.setFillColor(HexColor(SOFT))
        canvas.drawString(MARGIN, 10 * mm, drawable(said)[:110])
        canvas.drawRightString(WIDTH - MARGIN, 10 * mm, f"{self.report.words['page']} {canvas.getPageNumber()}")

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 - reportlab's name
        """Sections are in the reader's outline."""
        if isinstance(flowable, _Title):
            self.canv.bookmarkPage(flowable.anchor)
            self.canv.addOutlineEntry(flowable.getPlainText(), flowable.anchor, 0)


@cache
def _style(
    size: float, *, bold: bool = False, colour: str = INK, right: bool = False, after: float = 3, left: float = 0
) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}-{bold}-{colour}-{right}-{after}-{left}", fontName=BOLD if bold else REGULAR, fontSize=size, leading=size * 1.32,
        textColor=HexColor(colour), alignment=TA_RIGHT if right else TA_LEFT, spaceAfter=after, leftIndent=left, splitLongWords=1,
    )  # fmt: skip


def _safe(text: str) -> str:
    """Text, never markup, in letters that the font has."""
    return escape(drawable(text))


def _words(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(_safe(text), style)


def _head(report: Report) -> Iterator[Flowable]:
    yield _words(report.title, _style(13, colour=SOFT, after=0))
    yield _words(report.commune, _style(24, bold=True, colour=BLUE, after=2))
    yield _words(report.subtitle, _style(11, after=6))


def _section(section: Section) -> Iterator[Flowable]:
    title = _Title(_safe(section.title), _style(16, bold=True, colour=BLUE, after=6))
    title.anchor = section.anchor
    yield Spacer(1, 14)
    yield CondPageBreak(_room(section))
    yield title
    for block in section.blocks:
        yield from _block(block)


def _room(section: Section) -> float:
    """What must have room under a section's heading: some lines, or the drawing that it begins with."""
    drawings = [block.drawing for block in section.blocks[:2] if isinstance(block, Figure) and block.drawing]
    return 45 * mm + sum(drawing.height * DRAWING / drawing.width for drawing in drawings)


def _block(block: Block) -> Iterator[Flowable]:
    match block:
        case Text():
            yield _text(block)
        case Bullets():
            for item in block.items:
                yield _words(f"• {item.text}", _style(10, colour=COLOURS.get(item.tone, INK), left=8, after=2))
            yield Spacer(1, 4)
        case Table():
            yield _words(block.caption, _style(10, bold=True, after=2))
            yield _grid(block)
            yield Spacer(1, 8)
        case Fold():
            yield from _fold(block)
        case Figure():
            yield _figure(block)
        case Head():
            yield Spacer(1, 5)
            yield CondPageBreak(30 * mm)
            yield _words(block.title, _style(12.5, bold=True))


def _text(block: Text) -> Flowable:
    if not block.tone and not block.code:
        return _words(block.text, _style(10, after=5))
    style = _style(8.5 if block.code else 10.5, bold=not block.code, colour=COLOURS.get(block.tone, INK), after=0)
    look: list[Command] = [
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(GROUNDS.get(block.tone, PALE))),
        ("LEFTPADDING", (0, 0), (-1, -1), 9),
    ]
    if block.tone:
        look.append(("LINEBEFORE", (0, 0), (0, 0), 3, HexColor(COLOURS[block.tone])))
    return Grid([[_words(block.text, style)]], colWidths=[INNER], spaceAfter=6, hAlign="LEFT", style=look)


def _grid(block: Table) -> Flowable:
    shares = sum(column.share for column in block.columns)
    head = [_words(column.title, _style(8.5, bold=True, right=column.number, after=0)) for column in block.columns]
    rows = [
        [_cell(cell, bold=place == 0, right=block.columns[place].number) for place, cell in enumerate(row)] for row in block.rows
    ]
    widths = [INNER * column.share / shares for column in block.columns]
    return Grid([head, *rows], colWidths=widths, repeatRows=1, hAlign="LEFT", style=LOOK)


def _cell(cell: Cell, *, bold: bool, right: bool) -> Paragraph:
    mark = "" if right else MARKS.get(cell.tone, "")
    return _words(mark + cell.text, _style(9, bold=bold, colour=COLOURS.get(cell.tone, INK), right=right, after=0))


def _fold(block: Fold) -> Iterator[Flowable]:
    colour, said = COLOURS.get(block.tone, INK), _safe(MARKS.get(block.tone, "") + block.outcome)
    title = Paragraph(f'{_safe(block.title)} — <font color="{colour}">{said}</font>', _style(10, bold=True, after=1))
    facts = [_fact(fact) for fact in block.facts]
    yield KeepTogether([Spacer(1, 4), title, *facts[:2]])
    yield from facts[2:]


def _fact(fact: Fact) -> Paragraph:
    return Paragraph(f"<b>{_safe(fact.name)}</b> : {_safe(' / '.join(fact.texts))}", _style(8.8, colour=SOFT, left=10, after=1))


def _figure(block: Figure) -> Flowable:
    shown = graphic(block.drawing, DRAWING) if block.drawing else _picture(block.png)
    shown.hAlign = "LEFT"
    return KeepTogether([Spacer(1, 4), shown, _words(block.caption, _style(9, colour=SOFT, after=6))])


def _picture(png: bytes) -> Flowable:
    """A picture that a machine sent, if it is one."""
    try:
        # Wholly decoded: reportlab reads the size alone, and would stop in the middle of the document.
        PIL.Image.open(io.BytesIO(png), formats=("PNG",)).load()
        width, height = ImageReader(io.BytesIO(png)).getSize()
    except Exception:  # noqa: BLE001 - whatever is wrong with a picture, the report must come
        return Spacer(1, 1)
    scale = min(INNER / width, PICTURE / height)
    return Image(io.BytesIO(png), width * scale, height * scale)
