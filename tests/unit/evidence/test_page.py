"""The page: one document that fetches nothing, in which nothing that a machine said becomes markup."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.unit.evidence.conftest import SIGNED, Keep, Shown
from toolkit.checks.names import known
from toolkit.evidence import record
from toolkit.evidence.norms import table
from toolkit.evidence.record import Record
from toolkit.evidence.signature import Signature
from toolkit.evidence.words import LANGUAGES, Words, folder
from toolkit.model import Commune


class Outline(HTMLParser):
    """What a page consists of, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_one_document_that_fetches_nothing(shown: Shown, language: str) -> None:
    outline = Outline(shown(language=language))
    assert outline.open == []
    names = [tag for tag, _ in outline.elements]
    assert ("html", {"lang": language}) in outline.elements
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert not {"script", "link", "iframe", "object"} & set(names)
    sources = [a.get("src") or a.get("href") or "" for _, a in outline.elements]
    assert all(s.startswith(("data:", "#")) for s in sources if s)
    assert all(a.get("alt") for tag, a in outline.elements if tag == "img")
    assert all(a.get("scope") for tag, a in outline.elements if tag == "th")
    assert names.count("caption") == names.count("table")
    anchors = [a["id"] for _, a in outline.elements if a.get("id")]
    assert len(anchors) == len(set(anchors))
    assert {a["href"] for tag, a in outline.elements if tag == "a"} <= {f"#{anchor}" for anchor in anchors}


def test_no_character_of_a_machine_is_obeyed(shown: Shown) -> None:
    text = shown()
    assert "<script" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
    assert "le maire &lt;b&gt;" in text
    assert "alert(1)" in Outline(text).text


def test_a_hostile_inventory_stays_text_in_the_drawing_too(shown: Shown, commune: Commune) -> None:
    from toolkit.evidence.drawing import svg
    from toolkit.evidence.network import network

    gateway = replace(commune.gateways[0], name="</text><script>x</script>")
    drawing = network(Words("fr"), replace(commune, name='"><img onerror=x>', gateways=(gateway,)))
    names = [tag for tag, _ in Outline(svg(drawing, '"><script>')).elements]
    assert set(names) <= {"svg", "rect", "line", "text"}


def test_the_summary_leads_to_what_failed_and_every_check_says_what_was_tried(shown: Shown) -> None:
    outline = Outline(shown())
    assert "Tout n’est pas en ordre." in outline.text
    assert ("a", {"href": "#c-is-refused-application-paie"}) in outline.elements
    folded = [a for tag, a in outline.elements if tag == "details"]
    assert [a["id"] for a in folded if "open" in a] == ["c-is-refused-application-paie"]
    assert len(folded) == 6
    for word in ("Tenté", "Attendu", "Constaté (échec)", "Pour corriger", "Pourquoi (non vérifié)"):
        assert word in outline.text


def test_what_was_not_checked_is_never_called_good(keep: Keep, shown: Shown, kept: Record) -> None:
    nothing = record.read(keep("2026-03-03Z", results=kept.found.not_checked, unreachable={}))
    text = Outline(shown(nothing)).text
    assert "Rien n’a pu être contrôlé." in text
    assert "est en ordre" not in text
    assert "Oui" not in text


def test_a_run_of_some_machines_says_so(keep: Keep, shown: Shown, kept: Record) -> None:
    some = record.read(keep("2026-03-03Z", results=kept.found.results[:1], machines=("gw",), unreachable={}))
    text = Outline(shown(some)).text
    assert "n’a porté que sur 1 des 4 machines" in text
    assert "Oui pour le seul essai fait" in text and "Oui, " not in text


def test_people_are_numbers_and_laptops_that_are_off_have_no_name(shown: Shown) -> None:
    text = Outline(shown()).text
    for personal in ("a.un", "Alice", "b.deux", "203.0.113.9", "portable-2"):
        assert personal not in text


def test_an_unsigned_or_broken_proof_is_said_plainly(shown: Shown) -> None:
    assert "Signé par C. Martin" in shown()
    assert "Non signé" in shown(signed=Signature("ab", why="locked"))
    assert "ssh-add" in shown(signed=Signature("ab", why="locked"))
    assert "modifiés après avoir été signés" in shown(signed=Signature("ab"))
    assert "n’est pas dans operators.keys" in shown(signed=replace(SIGNED, good=False))
    assert "a changé depuis" in shown(inventory="other") and "a changé depuis" not in shown()


def test_the_page_says_that_wireguard_is_not_ipsec_and_who_accepted_what(shown: Shown) -> None:
    text = Outline(shown()).text
    assert "l’ANSSI recommande IPsec" in text
    assert "31 décembre 2026" in text and "panne & attente" in text


def test_every_check_that_a_norm_or_a_sentence_names_is_one() -> None:
    named = {check for norm in table() for point in norm.points for check in point.checks}
    named |= set(tomllib.loads((folder() / "checks.fr.toml").read_text(encoding="utf-8")))
    assert named <= set(known())


def test_norms_are_told_in_every_language() -> None:
    for norm in table():
        assert set(norm.title) == set(LANGUAGES)
        for point in norm.points:
            assert set(point.topic) == set(LANGUAGES)
            assert not point.gap or set(point.gap) == set(LANGUAGES)
            assert point.checks or point.gap


def test_both_languages_have_the_same_sentences_with_the_same_values() -> None:
    french, english = (tomllib.loads((folder() / f"{language}.toml").read_text(encoding="utf-8")) for language in LANGUAGES)
    assert {table: set(keys) for table, keys in french.items()} == {table: set(keys) for table, keys in english.items()}
    for key, sentence in french["sentences"].items():
        assert set(re.findall(r"\{\w+\}", sentence)) == set(re.findall(r"\{\w+\}", english["sentences"][key])), key


def test_numbers_and_dates_read_as_each_language_writes_them(kept: Record) -> None:
    french, english = Words("fr"), Words("en")
    assert french.moment(kept.head.when) == "1er mars 2026 à 14 h 05"
    assert english.moment(kept.head.when) == "1 March 2026 at 14:05"
    assert (french.count(0, "check"), french.count(1500, "machine")) == ("0 contrôle", "1\u202f500 machines")
    assert (english.count(0, "check"), english.count(1500, "machine")) == ("0 checks", "1,500 machines")
