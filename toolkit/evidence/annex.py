"""What stands behind the checks: derogations, what was not checked, earlier runs, pictures, and the proof."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.evidence import signature
from toolkit.evidence.blocks import BAD, GOOD, OPEN, Block, Bullets, Cell, Column, Figure, Head, Item, Section, Table, Text
from toolkit.evidence.plot import plot, total
from toolkit.evidence.record import Record
from toolkit.evidence.signature import Signature
from toolkit.evidence.themes import sentence
from toolkit.evidence.words import Words
from toolkit.model import Commune, Derogation
from toolkit.verify.result import FAILED, PASSED

RUNS, REASONS = 12, 12


def derogations(words: Words, commune: Commune, record: Record) -> Section:
    """What somebody answers for, as it stood when the run was made, and whether it was needed."""
    if not record.derogations:
        return Section("derogations", words("derogations"), (Text(words("no_derogation")),))
    day = record.head.when.date()
    rows = tuple(_derogation(words, record, one, ended=one.until < day) for one in record.derogations)
    columns = (Column(words("check_column"), share=4), Column(words("machine"), share=3), Column(words("accepted_by"), share=3),
               Column(words("reason"), share=4), Column(words("until"), share=3), Column(words("standing"), share=3))  # fmt: skip
    return Section(
        "derogations", words("derogations"), (Text(words("derogations_are")), Table(words("derogations"), columns, rows))
    )


def _derogation(words: Words, record: Record, one: Derogation, *, ended: bool) -> tuple[Cell, ...]:
    mine = [r for r in record.found.results if one.covers(r.check, r.machine)]
    title = sentence(words, mine[0]) if mine else one.check
    if ended:
        state = Cell(words("derogation_ended"), BAD if any(r.outcome == FAILED for r in mine) else OPEN)
    elif mine and all(r.outcome == PASSED for r in mine):
        state = Cell(words("derogation_unneeded"), OPEN)
    else:
        state = Cell(words("derogation_used" if mine else "derogation_nothing"), OPEN)
    return (Cell(f"{title} ({one.check})"), Cell(one.machine or words("every_machine")), Cell(one.accepted_by), Cell(one.reason),
            Cell(words.day(one.until)), state)  # fmt: skip


def unchecked(words: Words, commune: Commune, record: Record) -> Section:
    """Grouped by reason: not checked is never passed."""
    reasons: dict[str, tuple[set[str], set[str]]] = {}
    for result in record.found.not_checked:
        reason = result.seen.removeprefix(f"{result.machine}: ")
        checks, machines = reasons.setdefault(reason, (set(), set()))
        checks.add(sentence(words, result))
        machines.add(result.machine)
    blocks: list[Block] = [Text(words("unchecked_are" if reasons else "all_checked"))]
    if reasons:
        ordered = sorted(reasons.items(), key=lambda item: -len(item[1][0]))
        rows = tuple(
            (Cell(reason, english=True), Cell(_some(words, checks)), Cell(_machines(words, record, machines)))
            for reason, (checks, machines) in ordered[:REASONS]
        )
        columns = (Column(words("why_not"), share=4), Column(words("checks_column"), share=5), Column(words("machines"), share=3))
        blocks.append(Table(words("unchecked"), columns, rows))
        if len(ordered) > REASONS:
            blocks.append(Text(words.some(len(ordered) - REASONS, "more_reasons")))
    blocks += [Head(words("never_checked")), Bullets(tuple(_never(words, commune)))]
    return Section("non-verifie", words("unchecked"), tuple(blocks))


def _some(words: Words, titles: set[str]) -> str:
    if len(titles) <= 3:
        return " · ".join(sorted(titles))
    return words.count(len(titles), "check")


def _machines(words: Words, record: Record, names: set[str]) -> str:
    if len(names) <= 3 and not names & set(record.found.unreachable):
        return ", ".join(sorted(names))
    return words.count(len(names), "machine")


def _never(words: Words, commune: Commune) -> Iterator[Item]:
    """What no check looks at, whatever the run."""
    for key in ("never_disk", "never_backup", "never_people", "never_ports", "never_applications"):
        yield Item(words(key))
    foreign = sum(not laptop.managed for laptop in commune.laptops)
    if foreign:
        yield Item(words.some(foreign, "never_foreign"))


def history(words: Words, record: Record) -> Section:
    """The runs that were kept, this one last."""
    runs = [head for head in record.history if head.began <= record.head.began] or [record.head]
    drawing = Figure(words("history_alt", runs=words.count(len(runs), "run")), words("history_caption"), plot(words, runs))
    rows = tuple(
        (
            Cell(words.moment(head.when)), Cell(words.number(head.machines) + ("" if head.whole else " *")),
            *(Cell(words.number(n)) for n in (total(head), head.passed, head.failed, head.not_checked, head.derogations)),
        )
        for head in reversed(runs[-RUNS:])
    )  # fmt: skip
    titles = ("when", "machines", "checks_column", "column_passed", "column_failed", "column_unchecked", "column_accepted")
    columns = tuple(Column(words(t), number=t != "when", share=4 if t == "when" else 2) for t in titles)
    blocks: list[Block] = [drawing, Table(words("runs"), columns, rows)]
    if any(not head.whole for head in runs[-RUNS:]):
        blocks.append(Text(words("partial_run")))
    return Section("historique", words("history"), tuple(blocks))


def pictures(words: Words, record: Record) -> Section:
    """The remote desktops as they looked from the laptops."""
    blocks: list[Block] = [Text(words("pictures_are" if record.pictures else "no_picture"))]
    for picture in record.pictures:
        said = words("picture", laptop=picture.laptop, desktop=picture.desktop)
        blocks.append(Figure(words("picture_alt", laptop=picture.laptop, desktop=picture.desktop), said, png=picture.png))
    if record.more_pictures:
        blocks.append(Text(words.some(record.more_pictures, "more_pictures")))
    return Section("bureaux", words("pictures"), tuple(blocks))


def proof(words: Words, record: Record, signed: Signature, *, changed: bool) -> Section:
    """Who made the run, with what, and how anybody can check that these are its results."""
    head = record.head
    blocks: list[Block] = [
        Text(words("proof_is", file=record.file.name, digest=signed.digest)),
        Text(*_signed(words, signed)),
        Text(words("made_by", user=head.user or "?", host=head.host or "?", when=words.moment(head.when),
                   version=head.version, seconds=words.number(round(head.seconds)))),
        Text(words("inventory_is", digest=head.inventory[:16], revision=head.revision or words("no_revision"))),
    ]  # fmt: skip
    if changed:
        blocks.append(Text(words("inventory_changed"), OPEN))
    blocks.append(Text(words("how_to_check")))
    lines = signature.commands(record.file)
    blocks += [Text(line, code=True) for line in (lines if signed.good else lines[:1])]
    return Section("preuve", words("proof_title"), tuple(blocks))


def _signed(words: Words, signed: Signature) -> tuple[str, str]:
    if signed.good:
        return words("signed", by=signed.by, fingerprint=signed.fingerprint), GOOD
    if signed.why:
        return f"{words('unsigned')} {words('unsigned_' + signed.why.replace('-', '_'))}", OPEN
    if signed.fingerprint:
        return words("signed_by_stranger", fingerprint=signed.fingerprint), BAD
    return words("signature_broken"), BAD
