"""The checks by theme: what was tried, what was expected, what was seen, and how to mend it; a check once, for all machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolkit.checks.declare import Theme
from toolkit.evidence.blocks import BAD, GOOD, OPEN, Block, Fact, Fold, Head, Section, Text
from toolkit.evidence.record import Record
from toolkit.evidence.words import Words
from toolkit.model import Commune
from toolkit.verify.result import DEROGATION, FAILED, NOT_CHECKED, PASSED, CheckResult

TONES = {PASSED: GOOD, FAILED: BAD, NOT_CHECKED: OPEN, DEROGATION: OPEN}
# The order in which outcomes matter to a reader.
ORDER = (FAILED, DEROGATION, NOT_CHECKED, PASSED)
NAMED, GROUPS = 10, {FAILED: 12, DEROGATION: 12, NOT_CHECKED: 6, PASSED: 3}


def themes(words: Words, commune: Commune, record: Record) -> Section:
    """Every check that concerned a machine of the run."""
    return Section("controles", words("themes"), tuple(_blocks(words, commune, record)))


def anchor(check: str) -> str:
    """Where a check stands on the page."""
    return "c-" + "".join(c if c.isalnum() else "-" for c in check)


def sentence(words: Words, result: CheckResult) -> str:
    """The check's title, without a machine where it is about several."""
    return result.titre or result.title if words.language == "fr" else result.title


def _blocks(words: Words, commune: Commune, record: Record) -> Iterator[Block]:
    yield Text(words("themes_are"))
    by_theme: dict[str, dict[str, list[CheckResult]]] = {}
    for result in record.found.results:
        by_theme.setdefault(result.theme, {}).setdefault(result.check, []).append(result)
    known = [str(theme) for theme in Theme]
    for theme in sorted(by_theme, key=lambda name: known.index(name) if name in known else len(known)):
        checks = by_theme[theme]
        yield Head(words.name("themes", theme), f"t-{anchor(theme)}")
        yield from (_fold(words, commune, record, check, results) for check, results in checks.items())


def _fold(words: Words, commune: Commune, record: Record, check: str, results: Sequence[CheckResult]) -> Fold:
    outcome = next(o for o in ORDER if any(r.outcome == o for r in results))
    return Fold(
        anchor(check), sentence(words, results[0]), tally(words, results), TONES[outcome],
        tuple(_facts(words, commune, record, check, results)), open=outcome == FAILED,
    )  # fmt: skip


def tally(words: Words, results: Sequence[CheckResult]) -> str:
    """As in « 2 réussis, 1 échec »."""
    counts = ((o, sum(r.outcome == o for r in results)) for o in (PASSED, FAILED, DEROGATION, NOT_CHECKED))
    keys = {PASSED: "passed", FAILED: "failed", DEROGATION: "accepted", NOT_CHECKED: "unchecked"}
    return ", ".join(words.some(number, keys[outcome]) for outcome, number in counts if number)


def _facts(
    words: Words, commune: Commune, record: Record, check: str, results: Sequence[CheckResult]
) -> Iterator[Fact]:  # fmt: skip
    name, _, key = check.partition(":")
    case = commune.application_keyed[key].title if key in commune.application_keyed else key
    own, first = words.check(name), results[0]
    one = len({r.machine for r in results}) == 1
    about = _About(words, first, case, several=not one)
    yield about.fact("tried", own.get("tried"), first.tried)
    yield about.fact("expected", own.get("expected"), first.expected)
    for outcome in ORDER:
        mine = [r for r in results if r.outcome == outcome]
        if mine:
            seen = words("why_not" if outcome == NOT_CHECKED else "seen")
            yield Fact(f"{seen} ({words.name('outcomes', outcome)})", tuple(_seen(words, record, outcome, mine)), english=True)
    if any(r.outcome in (FAILED, DEROGATION) for r in results):
        yield about.fact("fix", own.get("fix"), first.fix)
    yield Fact(words("identifier"), (check,))


@dataclass(frozen=True)
class _About:
    """What is said of a check: in the report's language where that has words for it, else in English."""

    words: Words
    first: CheckResult
    case: str
    several: bool

    def fact(self, part: str, own: str | None, english: str) -> Fact:
        name = self.words(part)
        if own is not None:
            text = own.replace("{machine}", self.words("each_machine") if self.several else self.first.machine)
            return Fact(name, (text.replace("{case}", self.case),))
        text = english.replace(self.first.machine, Words("en")("each_machine")) if self.several else english
        return Fact(name, (text,), english=True)


def _seen(words: Words, record: Record, outcome: str, results: Sequence[CheckResult]) -> Iterator[str]:
    """What was seen, the same from several machines once, the commonest first."""
    groups: dict[str, list[str]] = {}
    for result in results:
        text = result.detail if outcome == DEROGATION else result.seen
        groups.setdefault(text.removeprefix(f"{result.machine}: "), []).append(result.machine)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    shown = ordered[: GROUPS[outcome]]
    for text, machines in shown:
        yield f"{_named(words, record, machines, outcome)}: {text}"
    rest = sum(len(machines) for _, machines in ordered[len(shown) :])
    if rest:
        yield words.some(rest, "more_seen")


def _named(words: Words, record: Record, machines: Sequence[str], outcome: str) -> str:
    """Some machines by name; many that passed are counted alone, and so are laptops that did not answer.

    The name of a laptop that is off would tell when somebody worked.
    """
    more = len(machines) - NAMED
    if any(name in record.found.unreachable for name in machines) or (more > 0 and outcome == PASSED):
        return words.count(len(machines), "machine")
    return ", ".join(machines[:NAMED]) + (f" {words('and_more', n=words.number(more))}" if more > 0 else "")
