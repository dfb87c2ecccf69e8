"""The runs before this one as a small plot: a bar a run, with how many checks failed above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.evidence.drawing import AMBER, EDGE, GREEN, GREY, RED, SOFT, WHITE, Box, Drawing, Label, Shape, Stroke
from toolkit.evidence.record import Head
from toolkit.evidence.words import Words

RUNS = 24
WIDTH, TOP, BOTTOM, LEFT = 420.0, 44.0, 170.0, 34.0
# From the bottom up, each with the number of it in a head.
PARTS = (("passed", GREEN), ("derogations", AMBER), ("not_checked", GREY), ("failed", RED))


def plot(words: Words, runs: Sequence[Head]) -> Drawing:
    """The last runs; the height of a bar is how many checks there were."""
    shown = runs[-RUNS:]
    most = max(1, *(total(head) for head in shown))
    step = min(60.0, (WIDTH - LEFT - 6) / len(shown))
    shapes = [*_legend(words), *_axis(words, most)]
    for place, head in enumerate(shown):
        shapes += _bar(words, head, LEFT + 4 + place * step, step * 0.7, (BOTTOM - TOP) / most)
    shapes += _ends(shown, step)
    return Drawing(WIDTH, BOTTOM + 28, tuple(shapes))


def total(head: Head) -> int:
    return head.passed + head.failed + head.not_checked + head.derogations


def _legend(words: Words) -> Iterator[Shape]:
    for place, (part, colour) in enumerate(PARTS):
        x = 4 + 104 * place
        yield Box(x, 4, 12, 12, colour, colour, 1)
        yield Label(x + 17, 14.5, words(f"plot_{part}"), 12)


def _axis(words: Words, most: int) -> Iterator[Shape]:
    yield Stroke(LEFT, BOTTOM, WIDTH, BOTTOM, EDGE, 1)
    yield Label(LEFT - 4, BOTTOM, "0", 11, anchor="end", colour=SOFT)
    yield Label(LEFT - 4, TOP + 8, str(most) if most < 10_000 else f"{most // 1000} k", 11, anchor="end", colour=SOFT)


def _bar(words: Words, head: Head, x: float, width: float, unit: float) -> Iterator[Shape]:
    y = BOTTOM
    for part, colour in PARTS:
        number = getattr(head, part)
        if number:
            # Two pixels at least: one failure among thousands must be seen.
            height = max(2.0, number * unit)
            y -= height
            yield Box(x, y, width, height, colour, WHITE, 0)
    if head.failed:
        yield Label(x + width / 2, y - 4, words.number(head.failed), 11, bold=True, anchor="middle", colour=RED)


def _ends(shown: Sequence[Head], step: float) -> Iterator[Shape]:
    yield Label(LEFT + 4, BOTTOM + 18, _date(shown[0]), 11, colour=SOFT)
    if len(shown) > 1:
        end = max(LEFT + 4 + step * len(shown), LEFT + 160)
        yield Label(min(WIDTH, end), BOTTOM + 18, _date(shown[-1]), 11, anchor="end", colour=SOFT)


def _date(head: Head) -> str:
    return f"{head.when:%d/%m/%Y}"
