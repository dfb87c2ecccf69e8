"""A report as one page: no script, no other file, nothing fetched, every value escaped."""

from __future__ import annotations

import base64

import jinja2
from markupsafe import Markup

from toolkit.evidence.blocks import Report
from toolkit.evidence.drawing import Drawing, svg
from toolkit.evidence.words import folder


def page(report: Report) -> str:
    """The whole HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(svg=_svg, base64=_base64, kind_of=lambda block: type(block).__name__)
    return environment.get_template("page.html.j2").render(report=report)


def _svg(drawing: Drawing, text: str) -> Markup:
    return Markup(svg(drawing, text))  # noqa: S704 - ElementTree has escaped every text in it


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
