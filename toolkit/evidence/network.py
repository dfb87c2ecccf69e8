"""The network as a drawing, made from the inventory: tall rather than wide, so that it can be read on a phone."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.evidence.drawing import (
    BLUE,
    EDGE,
    GREEN,
    PALE_BLUE,
    PALE_GREEN,
    RED,
    SOFT,
    WHITE,
    Box,
    Drawing,
    Label,
    Shape,
    Stroke,
    fitted,
)  # fmt: skip
from toolkit.evidence.words import Words
from toolkit.model import Commune, Mode

WIDTH, MIDDLE, INNER = 420.0, 210.0, 388.0
APPLICATIONS = 6


def network(words: Words, commune: Commune) -> Drawing:
    """Home, the Internet, the gateway, and behind it what agents reach."""
    lines = _behind(words, commune)
    bottom = 330.0 + 24 * ((len(lines) + 1) // 2) + 104
    shapes = [*_way(words, commune), *_gateway(words, commune), *_lan(words, commune, lines, bottom)]
    return Drawing(WIDTH, bottom + 4, tuple(shapes))


def _way(words: Words, commune: Commune) -> Iterator[Shape]:
    yield Box(60, 4, 300, 54, WHITE)
    yield Label(MIDDLE, 26, words("draw_home"), 12, anchor="middle", colour=SOFT)
    yield Label(MIDDLE, 46, words.count(len(commune.laptops), "laptop"), 15, bold=True, anchor="middle")
    if commune.network.mode is Mode.SPLIT:
        yield Stroke(100, 58, 100, 116, EDGE, 1.5, dashed=True)
    yield Box(30, 116, 360, 40, WHITE, EDGE, 20, dashed=True)
    yield Label(52, 141, words("draw_internet"), 13, colour=SOFT)
    yield Stroke(MIDDLE, 58, MIDDLE, 206, GREEN, 6)
    yield Box(MIDDLE - 112, 72, 224, 28, PALE_GREEN, GREEN, 4)
    yield Label(
        MIDDLE, 91, fitted(words("draw_tunnel", tunnel=commune.network.tunnel), 216, 12.5), 12.5, anchor="middle", colour=GREEN
    )
    yield Label(MIDDLE + 14, 141, words("draw_encrypted"), 12, colour=GREEN)
    yield Label(MIDDLE + 14, 186, words("draw_closed"), 12, colour=RED)


def _gateway(words: Words, commune: Commune) -> Iterator[Shape]:
    yield Box(60, 206, 300, 64, PALE_BLUE, BLUE)
    yield Label(MIDDLE, 226, words("draw_gateway"), 12, anchor="middle", colour=SOFT)
    yield Label(MIDDLE, 244, fitted(commune.gateway.name, 280, 15), 15, bold=True, anchor="middle", colour=BLUE)
    yield Label(MIDDLE, 262, fitted(str(commune.gateway.endpoint), 284, 12), 12, anchor="middle")
    yield Stroke(MIDDLE, 270, MIDDLE, 300, BLUE, 3)


def _behind(words: Words, commune: Commune) -> list[str]:
    titles = [application.title for application in commune.applications]
    more = len(titles) - APPLICATIONS
    if more > 0:
        titles = [*titles[: APPLICATIONS - 1], words("draw_more", n=more + 1)]
    return titles


def _lan(words: Words, commune: Commune, lines: list[str], bottom: float) -> Iterator[Shape]:
    yield Box(4, 300, WIDTH - 8, bottom - 300, WHITE, BLUE)
    yield Label(20, 322, fitted(words("draw_lan", commune=commune.name), INNER, 13), 13, bold=True, colour=BLUE)
    yield Label(20, 340, fitted(", ".join(map(str, commune.network.lan)), INNER, 12), 12, colour=SOFT)
    yield Box(20, 352, INNER - 8, 34, PALE_BLUE, EDGE)
    yield Label(MIDDLE, 374, words.count(len(commune.desktops), "desktop"), 14, bold=True, anchor="middle")
    yield Label(20, 408, words("draw_applications"), 12, colour=SOFT)
    for place, title in enumerate(lines):
        x, y = 20 + 194 * (place % 2), 416 + 24 * (place // 2)
        yield Box(x, y, 186, 20, WHITE, EDGE, 3)
        yield Label(x + 8, y + 14.5, fitted(title, 174, 12), 12)
