"""A drawing on paper: the shapes of `toolkit.evidence.drawing` as reportlab has them."""

from __future__ import annotations

from reportlab.graphics import shapes
from reportlab.graphics.shapes import Drawing as Graphic
from reportlab.lib.colors import HexColor

from toolkit.evidence.drawing import Box, Drawing, Label, Shape, Stroke
from toolkit.kit.typography import BOLD, REGULAR, drawable


def graphic(drawing: Drawing, width: float) -> Graphic:
    """The drawing, as wide as said."""
    scale = width / drawing.width
    made = Graphic(drawing.width * scale, drawing.height * scale)
    made.add(shapes.Group(*(_on_paper(shape, drawing.height) for shape in drawing.shapes), transform=(scale, 0, 0, scale, 0, 0)))
    return made


def _on_paper(shape: Shape, height: float) -> shapes.Shape:
    """Paper measures upwards from the bottom."""
    match shape:
        case Box():
            made: shapes.Shape = shapes.Rect(
                shape.x, height - shape.y - shape.height, shape.width, shape.height, rx=shape.round, ry=shape.round
            )
            look: dict[str, object] = {"fillColor": HexColor(shape.fill), "strokeColor": HexColor(shape.edge)}
        case Stroke():
            made = shapes.Line(shape.x, height - shape.y, shape.to_x, height - shape.to_y)
            look = {"strokeColor": HexColor(shape.colour), "strokeWidth": shape.width}
        case Label():
            made = shapes.String(shape.x, height - shape.y, drawable(shape.text))
            look = {"fontName": BOLD if shape.bold else REGULAR, "fontSize": shape.size, "textAnchor": shape.anchor,
                    "fillColor": HexColor(shape.colour)}  # fmt: skip
    if getattr(shape, "dashed", False):
        look["strokeDashArray"] = (6, 4)
    made.setProperties(look)
    return made
