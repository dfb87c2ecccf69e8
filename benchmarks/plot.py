"""Plots as SVG, by hand: horizontal bars and lines, readable on light and dark pages and without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

INK, GRID = "#57606a", "#d0d7de"
SHADES = ("#0b6e99", "#7a8b99", "#a0522d", "#c9873b", "#5c6f3d")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2")
WIDTH = 720


def _svg(height: int, title: str, body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}"'
        f' font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    heading = f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>'
    return "\n".join([head, f"<title>{escape(title)}</title>", heading, *body, "</svg>", ""])


def amount(value: float) -> str:
    """A number as short as it may be."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(title: str, rows: Mapping[str, float], unit: str) -> str:
    """One bar a row, on a scale that begins at zero."""
    left, right, step, top = 170, 90, 30, 40
    most = max(rows.values(), default=1.0)
    body = []
    for place, (name, value) in enumerate(rows.items()):
        y = top + place * step
        shade = SHADES[0] if name.startswith("telekit") else SHADES[1]
        width = max(1.0, (WIDTH - left - right) * value / most)
        body += [
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{left}" y="{y}" width="{width:.1f}" height="20" fill="{shade}"/>',
            f'<text x="{left + width + 8:.1f}" y="{y + 15}">{amount(value)} {escape(unit)}</text>',
        ]
    return _svg(top + len(rows) * step + 12, title, body)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """One line a series, both scales from zero, each line with its own shade, dashes and name."""
    left, right, top, height, bottom = 64, 150, 44, 260, 46
    points = [point for line in series.values() for point in line]
    most_x, most_y = (max((p[axis] for p in points), default=1.0) or 1.0 for axis in (0, 1))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return left + (WIDTH - left - right) * point[0] / most_x, top + height * (1 - point[1] / most_y)

    body = []
    for part in range(5):
        y = top + height * (1 - part / 4)
        body += [
            f'<line x1="{left}" y1="{y:.1f}" x2="{WIDTH - right}" y2="{y:.1f}" stroke="{GRID}"/>',
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{amount(most_y * part / 4) if part else 0}</text>',
        ]
    for x in sorted({p[0] for p in points}):
        body.append(f'<text x="{at((x, 0))[0]:.1f}" y="{top + height + 18}" text-anchor="middle">{x:g}</text>')
    for place, (name, line) in enumerate(series.items()):
        shade, dash = SHADES[place % len(SHADES)], DASHES[place % len(DASHES)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, line))
        body.append(f'<polyline points="{path}" fill="none" stroke="{shade}" stroke-width="2" stroke-dasharray="{dash}"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{shade}"/>' for x, y in map(at, line)]
        x, y = at(line[-1])
        body.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{shade}">{escape(name)}</text>')
    body += [
        f'<text x="{(left + WIDTH - right) / 2:.0f}" y="{top + height + 38}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="12" y="{top - 8}">{escape(up)}</text>',
    ]
    return _svg(top + height + bottom, title, body)
