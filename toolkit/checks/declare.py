"""How a check is declared: what it is about, what it tries and expects, and how to mend what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from toolkit.checks.subject import Subject


class Theme(StrEnum):
    """What a reader of the report asks about, in the order in which they read it."""

    TUNNEL = "tunnel"
    ACCESS = "access"
    EXPOSURE = "exposure"
    DESKTOP = "desktop"
    ANTIVIRUS = "antivirus"
    BASELINE = "baseline"


class NotCheckedError(Exception):
    """Raised by a check that cannot find out: the text is the reason; never a pass, never a failure."""


@dataclass(frozen=True)
class Case:
    """One of the things that a check is repeated for: a stable key, and how it reads in a title."""

    key: str
    title: str
    value: object = None


@dataclass(frozen=True)
class About:
    """What is said of a check, whatever it finds. `{case}` in a text is the case's title.

    title, titre: the sentence that is true when the check passes, in English and in French.
    seconds: after how long a check that does not end counts as failed.
    beside: it mostly waits, and runs beside the machine's other checks, after those of its kind.
    alone: it changes what the others look at, and none of them runs on the machine meanwhile.
    """

    theme: Theme
    title: str
    titre: str
    tried: str
    expected: str
    fix: str
    seconds: float
    cases: Callable[[Subject], Sequence[Case]] | None
    beside: bool = False
    alone: bool = False


Body = TypeVar("Body", bound=Callable[..., str])


def check(
    theme: Theme,
    title: str,
    *,
    titre: str,
    tried: str,
    expected: str,
    fix: str,
    seconds: float = 60.0,
    cases: Callable[[Subject], Sequence[Case]] | None = None,
    beside: bool = False,
    alone: bool = False,
) -> Callable[[Body], Body]:
    """Declare a check: it gets a `subject` (and a `case` when it has cases) and returns what it saw.

    It fails by `assert`, whose message is what was seen, and gives up by raising NotCheckedError.
    """  # fmt: skip
    about = About(theme, title, titre, tried, expected, fix, seconds, cases, beside, alone)

    def declare(body: Body) -> Body:
        body.about = about  # type: ignore[attr-defined]  # functions take attributes
        return body

    return declare
