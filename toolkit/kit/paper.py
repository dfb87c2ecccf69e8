"""The sheet as PDF, each page of A4 set as large as it fits."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import segno
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph

from toolkit.kit.sheet import TITLE, Line, Sheet, Span
from toolkit.kit.typography import BOLD, INK, SMALLEST, drawable, letters, paragraph, style

WIDTH, HEIGHT = A4
MARGIN = 17 * mm
INNER = WIDTH - 2 * MARGIN
BAND = 33 * mm
FOOT = 12 * mm
CODE = 66 * mm
NUMBER = 11 * mm
PADDING = 4.5 * mm
BETWEEN = 6 * mm
# Between the band and the foot, with air below the one and above the other.
ROOM = HEIGHT - BAND - FOOT - 12 * mm

# From comfortable to tight: points of the steps, and how many applications are named.
SIZES = (16.0, 15.0, 14.5, 14.0, 13.5, 13.0, 12.5, 12.0)
NAMED = (8, 4, 0)

BLUE, PALE_BLUE = HexColor("#003057"), HexColor("#e9f1f8")
RED, PALE_RED = HexColor("#9e1b1b"), HexColor("#fcefee")
GREY = HexColor("#4a4a4a")


def pdf(sheet: Sheet, *more: Sheet) -> bytes:
    """A page for each; the same sheets always give the same bytes."""
    letters()
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, lang="fr-FR", invariant=1)
    canvas.setTitle(f"{TITLE} : {sheet.agent}")
    canvas.setAuthor(sheet.commune)
    canvas.setSubject("Première connexion, aide, perte ou vol")
    for each in (sheet, *more):
        _draw(canvas, each, _fitting(each))
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@dataclass(frozen=True)
class _Layout:
    """The paragraphs of a page at one size."""

    head: list[Paragraph]
    facts: list[list[Paragraph]]
    title: Paragraph
    steps: list[Paragraph]
    notes: list[Paragraph]
    help: list[Paragraph]
    lost: list[Paragraph]
    step_width: float
    gap: float

    @property
    def facts_height(self) -> float:
        return max(_height(column, INNER / len(self.facts) - 4 * mm, 1) for column in self.facts)

    @property
    def boxes_height(self) -> float:
        inside = (INNER - BETWEEN) / 2 - 2 * PADDING
        return max(_height(box, inside, self.gap * 0.7) for box in (self.help, self.lost)) + 2 * PADDING

    @property
    def steps_height(self) -> float:
        return max(_height(self.steps, self.step_width, self.gap), CODE if self.step_width < INNER - NUMBER else 0)

    @property
    def height(self) -> float:
        above = _height(self.head, INNER, 2 * mm) + self.facts_height + _height([self.title], INNER, 0)
        notes = sum(_height([note], INNER - 2 * PADDING, 0) + 2 * mm + self.gap for note in self.notes)
        return above + self.steps_height + notes + self.boxes_height + 6 * self.gap


def _fitting(sheet: Sheet) -> _Layout:
    """The largest letters with which everything stands on the page; in the end applications are left out."""
    for named, size in product(NAMED, SIZES):
        layout = _layout(sheet, size, named)
        if layout.height <= ROOM:
            return layout
    return layout


def _layout(sheet: Sheet, size: float, named: int) -> _Layout:
    body, small, strong = style(size), style(max(SMALLEST, size - 1.5)), style(size, bold=True)
    notes = [line for line in (sheet.until, _reach(sheet.applications, named)) if line]
    return _Layout(
        head=[paragraph(sheet.agent, style(20, bold=True))],
        facts=[
            [paragraph(name, style(SMALLEST, color=GREY)), paragraph(value, style(13, bold=True))] for name, value in sheet.facts
        ],
        title=paragraph(sheet.heading, style(17, bold=True, color=BLUE)),
        steps=[paragraph(step, body) for step in sheet.steps],
        notes=[paragraph(note, small) for note in notes],
        help=[
            paragraph("Besoin d’aide ?", style(15, bold=True, color=BLUE)),
            paragraph(sheet.contact, strong),
            *(paragraph(line, small) for line in sheet.habits),
        ],
        lost=[
            paragraph("Appareil perdu ou volé ?", style(15, bold=True, color=RED)),
            *(paragraph(line, small) for line in sheet.lost),
        ],
        step_width=INNER - NUMBER - (CODE + BETWEEN if sheet.code else 0),
        gap=(1.4 + (size - SMALLEST) * 0.55) * mm,
    )


def _reach(applications: Sequence[str], named: int) -> Line:
    if not applications or not named:
        return ()
    more = len(applications) - named
    names = ", ".join(applications[:named]) + (f" et {more} de plus" if more > 0 else "")
    return (Span("Vos applications : ", strong=True), Span(f"{names}."))


# -- drawing: from the top down, the boxes from the bottom up --------------------------------------------------------


def _draw(canvas: Canvas, sheet: Sheet, layout: _Layout) -> None:
    _band(canvas, sheet)
    top = HEIGHT - BAND - 8 * mm
    top = _stack(canvas, layout.head, MARGIN, top, INNER, 0) - 2 * mm
    top = _facts(canvas, layout, top) - 2 * layout.gap
    top = _stack(canvas, [layout.title], MARGIN, top, INNER, 0) - layout.gap
    if sheet.code:
        _code(canvas, sheet.code, WIDTH - MARGIN - CODE, top - CODE)
    top = _steps(canvas, layout, top) - 1.5 * layout.gap
    for note in layout.notes:
        top = _note(canvas, note, top) - layout.gap
    _boxes(canvas, layout)
    canvas.setFillColor(GREY)
    canvas.setFont(style(SMALLEST).fontName, SMALLEST)
    canvas.drawString(MARGIN, FOOT - 4 * mm, drawable(sheet.made))


def _band(canvas: Canvas, sheet: Sheet) -> None:
    canvas.setFillColor(BLUE)
    canvas.rect(0, HEIGHT - BAND, WIDTH, BAND, stroke=0, fill=1)
    top = HEIGHT - 8 * mm
    for line in (paragraph(sheet.commune, style(14, color=white)), paragraph(TITLE, style(26, bold=True, color=white))):
        top = _stack(canvas, [line], MARGIN, top, INNER, 0)


def _facts(canvas: Canvas, layout: _Layout, top: float) -> float:
    width = INNER / len(layout.facts)
    for position, column in enumerate(layout.facts):
        _stack(canvas, column, MARGIN + position * width, top, width - 4 * mm, 1)
    return top - layout.facts_height


def _steps(canvas: Canvas, layout: _Layout, top: float) -> float:
    bottom = top - layout.steps_height
    for number, step in enumerate(layout.steps, start=1):
        middle = top - step.style.leading / 2
        canvas.setFillColor(BLUE)
        canvas.circle(MARGIN + 3.6 * mm, middle, 3.6 * mm, stroke=0, fill=1)
        canvas.setFillColor(white)
        canvas.setFont(BOLD, 13)
        canvas.drawCentredString(MARGIN + 3.6 * mm, middle - 4.6, str(number))
        top = _stack(canvas, [step], MARGIN + NUMBER, top, layout.step_width, 0) - layout.gap
    return min(bottom, top + layout.gap)


def _note(canvas: Canvas, note: Paragraph, top: float) -> float:
    height = _height([note], INNER - 2 * PADDING, 0) + 2 * mm
    canvas.setFillColor(PALE_BLUE)
    canvas.rect(MARGIN, top - height, INNER, height, stroke=0, fill=1)
    _stack(canvas, [note], MARGIN + PADDING, top - 0.6 * mm, INNER - 2 * PADDING, 0)
    return top - height


def _boxes(canvas: Canvas, layout: _Layout) -> None:
    width, height = (INNER - BETWEEN) / 2, layout.boxes_height
    top = FOOT + 3 * mm + height
    boxes = ((layout.help, BLUE, PALE_BLUE), (layout.lost, RED, PALE_RED))
    for position, (lines, edge, fill) in enumerate(boxes):
        left = MARGIN + position * (width + BETWEEN)
        _box(canvas, (left, top - height, width, height), edge, fill)
        _stack(canvas, lines, left + PADDING, top - PADDING, width - 2 * PADDING, layout.gap * 0.7)


def _box(canvas: Canvas, place: tuple[float, float, float, float], edge: Color, fill: Color) -> None:
    left, bottom, width, height = place
    canvas.setFillColor(fill)
    canvas.setStrokeColor(edge)
    canvas.setLineWidth(1.2)
    canvas.roundRect(left, bottom, width, height, 2.5 * mm, stroke=1, fill=1)


def _code(canvas: Canvas, code: segno.QRCode, left: float, bottom: float) -> None:
    """The QR code as one shape of squares, with the white edge that readers need."""
    rows = [list(row) for row in code.matrix_iter(border=4)]
    size = CODE / len(rows)
    canvas.setFillColor(white)
    canvas.rect(left, bottom, CODE, CODE, stroke=0, fill=1)
    canvas.setFillColor(INK)
    path = canvas.beginPath()
    for x, y, length in _runs(rows):
        path.rect(left + x * size, bottom + CODE - (y + 1) * size, length * size, size)
    canvas.drawPath(path, stroke=0, fill=1)


def _runs(rows: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """Each row's dark squares side by side, as one: no hairline shows between them."""
    for y, row in enumerate(rows):
        start = None
        for x, dark in enumerate((*row, 0)):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                yield start, y, x - start
                start = None


def _stack(canvas: Canvas, lines: Sequence[Paragraph], left: float, top: float, width: float, gap: float) -> float:
    """Draw one under the other; where the last one ends."""
    for position, line in enumerate(lines):
        _, height = line.wrap(width, HEIGHT)
        line.drawOn(canvas, left, top - height)
        top -= height + (gap if position < len(lines) - 1 else 0)
    return top


def _height(lines: Sequence[Paragraph], width: float, gap: float) -> float:
    return sum(line.wrap(width, HEIGHT)[1] for line in lines) + gap * max(0, len(lines) - 1)
