"""The letters of the printed sheet: one font made for people who see badly, in the wheel, so that every computer prints alike."""

from __future__ import annotations

import unicodedata
from functools import cache
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph

from toolkit.kit.sheet import Line, Span
from toolkit.kit.templates import folder

REGULAR, BOLD = "AtkinsonHyperlegibleNext-Regular", "AtkinsonHyperlegibleNext-Bold"
SMALLEST = 12.0
LEADING = 1.27
INK = HexColor("#1a1a1a")


@cache
def letters() -> frozenset[int]:
    """The characters that the font has; loads it."""
    fonts = [TTFont(name, str(folder() / "fonts" / f"{name}.ttf")) for name in (REGULAR, BOLD)]
    for font in fonts:
        registerFont(font)
    registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    return frozenset(fonts[0].face.charToGlyph) & frozenset(fonts[1].face.charToGlyph)


def drawable(text: str) -> str:
    """The text in letters that the font has: a rare accent is left out rather than the letter under it."""
    known = letters()
    return "".join(letter if ord(letter) in known else _nearest(letter, known) for letter in text)


def _nearest(letter: str, known: frozenset[int]) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", letter) if ord(c) in known and not unicodedata.combining(c)) or "?"


@cache
def style(size: float, *, bold: bool = False, color: Color = INK) -> ParagraphStyle:
    """A way to set a paragraph; never smaller than anybody can read."""
    if size < SMALLEST:
        raise ValueError(f"{size} points are too small")
    return ParagraphStyle(
        f"{size}-{bold}-{color}", fontName=BOLD if bold else REGULAR, fontSize=size, leading=size * LEADING,
        textColor=color, alignment=TA_LEFT, splitLongWords=1,
    )  # fmt: skip


def paragraph(line: Line | str, style: ParagraphStyle) -> Paragraph:
    """A line of the sheet; its strong words in bold."""
    letters()
    spans = (Span(line),) if isinstance(line, str) else line
    marked = (f"<b>{text}</b>" if span.strong else text for span in spans for text in [escape(drawable(span.text))])
    return Paragraph("".join(marked), style)
