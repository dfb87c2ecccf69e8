"""The first page: whether it is good, in words that need no knowledge, and what is to be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from toolkit.evidence.blocks import BAD, GOOD, OPEN, Block, Bullets, Cell, Column, Head, Item, Section, Table, Text
from toolkit.evidence.norms import outcomes_of
from toolkit.evidence.record import Record
from toolkit.evidence.themes import anchor, sentence
from toolkit.evidence.words import Words
from toolkit.model import Commune
from toolkit.verify.result import PASSED

# What an elected official asks, and the checks that answer; a question is good only when every one of them passed.
QUESTIONS = (
    (
        "tunnel",
        ("nothing-leaves-beside-the-tunnel", "nothing-leaves-while-the-tunnel-is-down", "peers-are-those-of-the-inventory"),
    ),
    ("outside", ("no-tcp-port-answers", "no-udp-port-answers", "drops-forged-tunnel-addresses")),
    (
        "rights",
        (
            "is-refused-application",
            "is-refused-other-desktops",
            "is-refused-administration",
            "is-closed-to-the-lan",
            "applications-are-as-the-matrix-says",
            "desktops-are-as-the-matrix-says",
            "the-gateway-is-as-the-matrix-says",
            "other-laptops-are-as-the-matrix-says",
            "forged-sources-do-not-pass",
            "profile-is-as-the-matrix-says",
        ),
    ),
    ("work", ("reaches-application", "reaches-own-desktop", "opens-the-desktop", "shakes-hands")),
    ("virus", ("blocks-an-infected-file", "puts-it-into-quarantine", "has-recent-signatures")),
    ("updates", ("updates-install-themselves",)),
)
SHOWN = 15


def summary(words: Words, commune: Commune, record: Record) -> Section:
    """The verdict, the questions of those who decide, and what is to be mended."""
    return Section("bilan", words("summary"), tuple(_blocks(words, commune, record)))


def _blocks(words: Words, commune: Commune, record: Record) -> Iterator[Block]:
    found, head = record.found, record.head
    yield Text(*verdict(words, record))
    counts = [words.some(head.passed, "passed"), words.some(head.failed, "failed"), words.some(head.not_checked, "unchecked")]
    if head.derogations:
        counts.append(words.some(head.derogations, "accepted"))
    yield Text(words("counts", checks=words.count(len(found.results), "check"), machines=words.count(head.machines, "machine"),
                     counts=", ".join(counts)))  # fmt: skip
    if not head.whole:
        yield Text(words("partial", machines=words.number(head.machines), of=words.number(head.of)), OPEN)
    yield Text(words("what_it_is", commune=commune.name))
    yield _questions(words, record)
    if found.failed:
        yield Head(words("to_mend"))
        yield Bullets(tuple(_to_mend(words, record)))


def verdict(words: Words, record: Record) -> tuple[str, str]:
    """One sentence, and its tone."""
    head = record.head
    if head.failed or head.unreachable:
        parts = [words.some(head.failed, "verdict_failed")] if head.failed else []
        parts += [words.some(head.unreachable, "verdict_silent")] if head.unreachable else []
        return f"{words('verdict_bad')} {' '.join(parts)}", BAD
    if not head.passed:
        return words("verdict_nothing"), OPEN
    return words("verdict_good") + (f" {words('verdict_accepted')}" if head.derogations else ""), GOOD


def _questions(words: Words, record: Record) -> Table:
    outcomes = outcomes_of(record)
    rows = tuple((Cell(words(f"question_{key}")), _answer(words, record, checks, outcomes)) for key, checks in QUESTIONS)
    return Table(words("questions"), (Column(words("question"), share=3), Column(words("answer"), share=2)), rows)


def _answer(words: Words, record: Record, checks: tuple[str, ...], outcomes: Mapping[str, Counter[str]]) -> Cell:
    """Yes only if everything was tried and passed; of a run of some machines alone, every check must have been made."""
    total = sum((outcomes.get(check, Counter()) for check in checks), Counter())
    missing = not record.head.whole and any(check not in outcomes for check in checks)
    if total["failed"]:
        return Cell(words.some(total["failed"], "answer_no"), BAD)
    if total["derogation"]:
        return Cell(words.some(total["derogation"], "answer_accepted"), OPEN)
    if not total[PASSED]:
        return Cell(words("answer_unknown"), OPEN)
    if total["not checked"]:
        return Cell(words("answer_partly", passed=words.number(total[PASSED]), of=words.number(total.total())), OPEN)
    return (
        Cell(words.some(total[PASSED], "answer_so_far"), OPEN) if missing else Cell(words.some(total[PASSED], "answer_yes"), GOOD)
    )


def _to_mend(words: Words, record: Record) -> Iterator[Item]:
    failed: dict[str, list[str]] = {}
    titles = {}
    for result in record.found.failed:
        failed.setdefault(result.check, []).append(result.machine)
        titles[result.check] = sentence(words, result)
    for check, machines in list(failed.items())[:SHOWN]:
        where = machines[0] if len(machines) == 1 else words.count(len(machines), "machine")
        yield Item(words("mend_line", title=titles[check], where=where), anchor(check), BAD)
    if len(failed) > SHOWN:
        yield Item(words.some(len(failed) - SHOWN, "more_checks"))
