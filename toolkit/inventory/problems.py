"""What is wrong with an inventory: collected while reading, so that everything is told in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from toolkit.errors import Problem

SHOWN_CHARACTERS = 60


class Refused(Exception):  # noqa: N818 - raised and caught inside this package only; not an operator's error
    """A value that cannot be used, and what to write instead; the reader that knows the place adds it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


@dataclass
class Problems:
    """The problems of one file, whose name `where` starts with; line 0 means the file as a whole."""

    file: str
    found: list[tuple[int, Problem]] = field(default_factory=list)

    def error(self, line: int, what: str, hint: str = "") -> None:
        self._add(line, what, hint, warning=False)

    def warn(self, line: int, what: str, hint: str = "") -> None:
        self._add(line, what, hint, warning=True)

    def _add(self, line: int, what: str, hint: str, *, warning: bool) -> None:
        problem = Problem(_printable(what), self.place(line), _printable(hint), warning)
        if (line, problem) not in self.found:
            self.found.append((line, problem))

    def place(self, line: int) -> str:
        return f"{self.file}:{line}" if line else self.file

    def in_order(self) -> tuple[Problem, ...]:
        return tuple(problem for _, problem in sorted(self.found, key=lambda item: item[0]))


def _printable(sentence: str) -> str:
    """A sentence with nothing in it that a terminal would obey."""
    return sentence if sentence.isprintable() else "".join(c if c.isprintable() else "�" for c in sentence)


def shown(value: object) -> str:
    """A value as a sentence quotes it: short and in backquotes."""
    if isinstance(value, int) and value.bit_length() > SHOWN_CHARACTERS:
        # Python refuses to write out numbers of more than some thousand digits.
        return "that number"
    text = value if isinstance(value, str) else repr(value)
    return f"`{text[:SHOWN_CHARACTERS]}…`" if len(text) > SHOWN_CHARACTERS else f"`{text}`"


def guess(wrong: str, right: Iterable[str]) -> str:
    """ "did you mean …?" for the likeliest of the right words, or nothing."""
    from difflib import get_close_matches

    known = {word.casefold(): word for word in right}
    close = get_close_matches(wrong[:SHOWN_CHARACTERS].casefold(), known, n=1, cutoff=0.6)
    return f"did you mean {shown(known[close[0]])}?" if close else ""


def listed(words: Iterable[str], limit: int = 8) -> str:
    """Some words for a hint: "a, b, c" and how many more there are."""
    names = list(words)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(name[:SHOWN_CHARACTERS] for name in names[:limit]) + more
