"""The report from its first line to its last, in the order in which its readers ask."""

from __future__ import annotations

from toolkit.evidence import annex, norms, summary, themes, town
from toolkit.evidence.blocks import Report
from toolkit.evidence.record import Record
from toolkit.evidence.signature import Signature
from toolkit.evidence.words import Words
from toolkit.model import Commune
from toolkit.report.harmless import harmless


def contents(language: str, commune: Commune, record: Record, signed: Signature, inventory: str) -> Report:
    """Everything that a page or a PDF shows; no character in it hides or turns around another.

    inventory: the digest of today's, which may not be that of the run any more.
    """
    words = Words(language)
    sections = (
        summary.summary(words, commune, record),
        town.town(words, commune),
        town.machines(words, commune, record),
        town.agents(words, commune),
        themes.themes(words, commune, record),
        norms.norms(words, commune, record),
        annex.derogations(words, commune, record),
        annex.unchecked(words, commune, record),
        annex.history(words, record),
        annex.pictures(words, record),
        annex.proof(words, record, signed, changed=inventory != record.head.inventory),
    )
    when = words("subtitle", when=words.moment(record.head.when), machines=words.count(record.head.machines, "machine"))
    return harmless(Report(language, words("title"), commune.name, when, sections, words.frame()))
