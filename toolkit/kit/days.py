"""Days as French people read them, whatever the computer's own language."""

from __future__ import annotations

from datetime import date

WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip


def spoken(day: date) -> str:
    """mercredi 2 décembre 2026."""
    return f"{WEEKDAYS[day.weekday()]} {_numbered(day)}"


def written(day: date) -> str:
    """2 décembre 2026."""
    return _numbered(day)


def _numbered(day: date) -> str:
    number = "1er" if day.day == 1 else str(day.day)
    return f"{number} {MONTHS[day.month - 1]} {day.year}"
