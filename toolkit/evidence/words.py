"""The report's sentences, in French or English: one file a language, with the same keys."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.kit.sheet import TIED

LANGUAGES = ("fr", "en")


def folder() -> Path:
    """Where the report's sentences and its frame are."""
    import deploys.templates

    return Path(next(iter(deploys.templates.__path__))) / "report"


class Words:
    """One language. Values are put into sentences and never read as sentences themselves."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._all = _catalogue(language)

    def __call__(self, key: str, **values: object) -> str:
        """The sentence of a key, with its values."""
        sentence: str = self._all["sentences"][key]
        return sentence.format(**values) if values else sentence

    def count(self, number: int, noun: str) -> str:
        """`1 machine`, `2 machines`, `aucune machine`."""
        one, many = self._all["nouns"][noun]
        return f"{self.number(number)} {one if self.singular(number) else many}"

    def some(self, number: int, key: str, **values: object) -> str:
        """A sentence that has a form for one and one for several (key_one, key_many); {n} is the number."""
        form = f"{key}_one" if self.singular(number) else f"{key}_many"
        return self(form, n=self.number(number), **values)

    def singular(self, number: int) -> bool:
        return number < 2 if self.language == "fr" else number == 1

    def number(self, number: int) -> str:
        return f"{number:,}".replace(",", "\u202f" if self.language == "fr" else ",")

    def name(self, table: str, key: str) -> str:
        """The word for one of telekit's own: a role, an outcome, a theme; the key itself where there is none."""
        return str(self._all[table].get(key, key))

    def day(self, day: date) -> str:
        """As in « 3 mars 2026 »."""
        month = self._all["months"]["names"][day.month - 1]
        first = "1er" if self.language == "fr" and day.day == 1 else str(day.day)
        return f"{first} {month} {day.year}"

    def moment(self, moment: datetime) -> str:
        """As in « 3 mars 2026 à 14 h 05 »."""
        time = f"{moment.hour} h {moment.minute:02}" if self.language == "fr" else f"{moment.hour}:{moment.minute:02}"
        return self("moment", day=self.day(moment.date()), time=time)

    def frame(self) -> dict[str, str]:
        """What a page says around the sections."""
        return dict(self._all["frame"])

    def check(self, name: str) -> Mapping[str, str]:
        """What this language has to say of a check (tried, expected, fix); empty where only English has."""
        return dict(self._all.get("checks", {}).get(name, {}))


@cache
def _catalogue(language: str) -> dict[str, Any]:
    found = tomllib.loads((folder() / f"{language}.toml").read_text(encoding="utf-8"))
    checks = folder() / f"checks.{language}.toml"
    if checks.is_file():
        found["checks"] = tomllib.loads(checks.read_text(encoding="utf-8"))
    return typeset(found) if language == "fr" else found


def typeset(value: Any) -> Any:
    """French spaces before high punctuation, and the French apostrophe."""
    if isinstance(value, dict):
        return {key: typeset(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typeset(item) for item in value]
    for pattern, tied in TIED if isinstance(value, str) else ():
        value = pattern.sub(tied, value)
    return value
