"""Drawings of a few plain shapes, for the page as SVG; `toolkit.evidence.paper` draws the same on paper."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as Xml

INK, SOFT, EDGE = "#1b1b1b", "#4a4a4a", "#5f6b76"
BLUE, PALE_BLUE = "#003a70", "#e9f1f8"
GREEN, PALE_GREEN = "#0b5a25", "#e5f3e8"
RED, AMBER, GREY, WHITE = "#a30015", "#8a5a00", "#767676", "#ffffff"
# A letter's usual width, beside its height.
LETTER = 0.56


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    fill: str = WHITE
    edge: str = EDGE
    round: float = 6
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line."""

    x: float
    y: float
    to_x: float
    to_y: float
    colour: str = EDGE
    width: float = 1.5
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text; anchor: start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 13
    bold: bool = False
    anchor: str = "start"
    colour: str = INK


Shape = Box | Stroke | Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes from the back to the front; y grows downwards."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


def fitted(text: str, width: float, size: float = 13) -> str:
    """As much of a text as has room."""
    room = int(width / (size * LETTER))
    return text if len(text) <= room else f"{text[: max(1, room - 1)].rstrip()}…"


def svg(drawing: Drawing, text: str) -> str:
    """An element that stands in a page as it is; every text in it is escaped. text: what the drawing shows."""
    root = Xml.Element("svg", {"viewBox": f"0 0 {drawing.width:g} {drawing.height:g}", "role": "img", "aria-label": text})
    for shape in drawing.shapes:
        _add(root, shape)
    return Xml.tostring(root, encoding="unicode")


def _add(root: Xml.Element, shape: Shape) -> None:
    match shape:
        case Box():
            place = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height, "rx": shape.round}
            colours = {"fill": shape.fill, "stroke": shape.edge}
            Xml.SubElement(root, "rect", _numbers(place) | colours | _dashes(dashed=shape.dashed))
        case Stroke():
            place = {"x1": shape.x, "y1": shape.y, "x2": shape.to_x, "y2": shape.to_y, "stroke-width": shape.width}
            Xml.SubElement(root, "line", _numbers(place) | {"stroke": shape.colour} | _dashes(dashed=shape.dashed))
        case Label():
            look = {"font-weight": "bold"} if shape.bold else {}
            place = {"x": shape.x, "y": shape.y, "font-size": shape.size}
            words = Xml.SubElement(root, "text", _numbers(place) | {"text-anchor": shape.anchor, "fill": shape.colour} | look)
            words.text = shape.text


def _numbers(values: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.4g}" if value < 1000 else f"{value:g}" for name, value in values.items()}


def _dashes(*, dashed: bool) -> dict[str, str]:
    return {"stroke-dasharray": "6 4"} if dashed else {}
