"""What the norms ask, which checks answer it in this run, and where telekit does not meet them: said as plainly."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from toolkit.evidence.blocks import BAD, GOOD, OPEN, Block, Cell, Column, Head, Section, Table, Text
from toolkit.evidence.record import Record
from toolkit.evidence.words import Words, folder, typeset
from toolkit.model import Commune, SecondFactor
from toolkit.verify.result import DEROGATION, FAILED, NOT_CHECKED, PASSED

PROVEN, PARTLY, BROKEN, ACCEPTED, UNKNOWN, GAP = "proven", "partly", "broken", "accepted", "unknown", "gap"
TONES = {PROVEN: GOOD, PARTLY: OPEN, BROKEN: BAD, ACCEPTED: OPEN, UNKNOWN: OPEN, GAP: BAD}


@dataclass(frozen=True, slots=True)
class Point:
    """One requirement. number: the norm's own, empty where it is cited by topic; gap: what telekit leaves open."""

    number: str
    topic: Mapping[str, str]
    checks: tuple[str, ...]
    gap: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Norm:
    """A text that a town hall is measured by."""

    title: Mapping[str, str]
    points: tuple[Point, ...]


@cache
def table() -> tuple[Norm, ...]:
    """The one table of norms (templates/report/norms.toml)."""
    given = tomllib.loads((folder() / "norms.toml").read_text(encoding="utf-8"))
    return tuple(Norm(_told(norm["title"]), tuple(map(_point, norm["point"]))) for norm in given["norm"])


def _point(given: dict[str, Any]) -> Point:
    return Point(given.get("number", ""), _told(given["topic"]), tuple(given.get("checks", ())), _told(given.get("gap", {})))


def _told(texts: dict[str, str]) -> dict[str, str]:
    return {language: typeset(text) if language == "fr" else text for language, text in texts.items()}


def norms(words: Words, commune: Commune, record: Record) -> Section:
    """Every norm, point by point."""
    return Section("normes", words("norms"), tuple(_blocks(words, commune, record)))


def _blocks(words: Words, commune: Commune, record: Record) -> Iterator[Block]:
    outcomes = outcomes_of(record)
    standings = Counter(standing(point, outcomes) for norm in table() for point in norm.points)
    yield Text(words("norms_are"))
    yield Text(words("norms_count", **{key: words.number(standings[key]) for key in TONES}))
    yield Text(words("ipsec"), OPEN)
    for norm in table():
        yield Head(norm.title[words.language])
        rows = tuple(_row(words, commune, point, outcomes) for point in norm.points)
        columns = (Column(words("point"), share=4), Column(words("standing"), share=3), Column(words("gap"), share=6))
        yield Table(words("norms_table", norm=norm.title[words.language]), columns, rows)


def outcomes_of(record: Record) -> Mapping[str, Counter[str]]:
    """Check → how often it ended how; the cases of a check together."""
    found: dict[str, Counter[str]] = {}
    for result in record.found.results:
        found.setdefault(result.check.partition(":")[0], Counter())[result.outcome] += 1
    return found


def standing(point: Point, outcomes: Mapping[str, Counter[str]]) -> str:
    """Proven only if every check of it was made and passed, and nothing is left open."""
    total = sum((outcomes.get(check, Counter()) for check in point.checks), Counter())
    if not point.checks:
        return GAP
    if total[FAILED]:
        return BROKEN
    if total[DEROGATION]:
        return ACCEPTED
    if not total[PASSED]:
        return UNKNOWN
    missing = any(not outcomes.get(check, Counter())[PASSED] for check in point.checks)
    return PARTLY if point.gap or missing or total[NOT_CHECKED] else PROVEN


def _row(words: Words, commune: Commune, point: Point, outcomes: Mapping[str, Counter[str]]) -> tuple[Cell, ...]:
    found = standing(point, outcomes)
    made = sum(outcomes.get(check, Counter())[PASSED] for check in point.checks)
    total = sum(outcomes.get(check, Counter()).total() for check in point.checks)
    proof = f" ({words('proof', passed=words.number(made), of=words.count(total, 'check'))})" if total else ""
    topic = point.topic[words.language]
    gap = point.gap.get(words.language, "")
    return (
        Cell(f"{point.number} — {topic}" if point.number else topic),
        Cell(words.name("standings", found) + proof, TONES[found]),
        Cell(gap.format(**_facts(words, commune)) if gap else "—"),
    )


def _facts(words: Words, commune: Commune) -> dict[str, str]:
    """Numbers of the inventory that a gap may name."""
    required = sum(commune.profile_named[a.profile].second_factor is SecondFactor.REQUIRED for a in commune.active_agents)
    return {"required": words.number(required), "active": words.number(len(commune.active_agents)),
            "months": str(commune.policy.journal_months)}  # fmt: skip
