"""A verification as JUnit and as a page."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

from toolkit.model import Commune
from toolkit.verify.junit import junit_xml
from toolkit.verify.page import french_date, page
from toolkit.verify.result import CheckResult, VerifyResult

STARTED = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)


def result(check: str, outcome: str, seen: str = "", machine: str = "gw", theme: str = "tunnel") -> CheckResult:
    return CheckResult(machine, check, theme, f"{check} is true", outcome, seen, 0.01, f"{check} est vrai", "t", "e", seen, "f")


def found(*results: CheckResult, **more: object) -> VerifyResult:
    return VerifyResult(results, ("gw", "poste-1"), started=STARTED, seconds=1.5, **more)  # type: ignore[arg-type]


MIXED = found(
    result("a", "passed", "seen"), result("b", "failed", "<b>\x00 & more"), result("c", "not checked", "no eyes", "poste-1")
)  # fmt: skip


def test_only_a_run_that_reached_and_passed_everything_is_good(commune: Commune) -> None:
    assert found(result("a", "passed")).exit_code == 0
    assert found(result("a", "passed"), result("c", "not checked")).exit_code == 0
    assert found(result("a", "passed"), result("b", "failed")).exit_code == 1
    assert found(result("a", "passed"), unreachable={"poste-1": "asleep"}).exit_code == 1
    assert found().exit_code == 1


def test_junit_counts_every_outcome_of_every_machine(commune: Commune) -> None:
    root = Xml.fromstring(junit_xml(commune, MIXED).encode())
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("skipped")) == ("testsuites", "3", "1", "1")
    assert [(s.get("name"), s.get("tests"), s.get("failures"), s.get("skipped")) for s in root] == [
        ("gw", "2", "1", "0"), ("poste-1", "1", "0", "1"),
    ]  # fmt: skip
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases["b"].find("failure").text == "b is true: <b>\ufffd & more"  # type: ignore[union-attr]
    assert cases["c"].find("skipped").get("message") == "c is true: no eyes"  # type: ignore[union-attr]
    assert all(case.get("classname") and case.get("time") for case in cases.values())


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

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_french_document_that_fetches_nothing(commune: Commune, tmp_path: Path) -> None:
    picture = tmp_path / "portable-1_poste-1.png"
    picture.write_bytes(b"\x89PNG")
    text = page(commune, found(*MIXED.results, screenshots=(picture,)))
    outline = Outline(text)
    assert outline.open == []
    names = [tag for tag, _ in outline.elements]
    assert ("html", {"lang": "fr"}) in outline.elements
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert not {"script", "link", "iframe"} & set(names)
    sources = [a.get("src") or a.get("href") or "" for _, a in outline.elements]
    assert all(s.startswith(("data:", "#")) for s in sources if s)
    assert all(a.get("alt") for tag, a in outline.elements if tag == "img")
    assert all(a.get("scope") for tag, a in outline.elements if tag == "th")
    assert names.count("caption") == names.count("table")


def test_the_page_leads_to_what_failed_and_escapes_what_machines_said(commune: Commune) -> None:
    text = page(commune, MIXED)
    outline = Outline(text)
    anchors = {a["id"] for _, a in outline.elements if a.get("id")}
    assert {a["href"] for tag, a in outline.elements if tag == "a"} == {"#r-gw-b"}
    assert "r-gw-b" in anchors
    assert "<b>" not in text
    assert "Tout n’est pas en ordre." in outline.text


def test_the_page_never_calls_good_what_was_not_checked(commune: Commune) -> None:
    text = page(commune, found(result("c", "not checked", "no eyes")))
    assert "Rien n’a pu être contrôlé." in text
    assert "est en ordre" not in Outline(page(commune, found(unreachable={"gw": "x", "poste-1": "x"}))).text


def test_dates_read_as_the_french_write_them() -> None:
    assert french_date(STARTED) == "1er mars 2026 à 14 h 05"
