"""The sheet says to this agent what to do with this device, on one page that anybody can read."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from toolkit.kit.days import spoken
from toolkit.kit.paper import ROOM, _fitting, pdf
from toolkit.kit.screen import html
from toolkit.kit.sheet import Sheet, Span, plain, sheet
from toolkit.kit.tunnel import code
from toolkit.kit.typography import drawable, style
from toolkit.model import Secret

EXPIRES = date(2026, 12, 2)
CODE = code(Secret("[Interface]\n" + "PrivateKey = x\n" * 24))
JARGON = re.compile(r"\b(VPN|IP|DNS|RDP|SSH|TLS|peer|WAN|LAN|MTU|proxy|certificat|chiffr\w+|authentifi\w+)\b", re.IGNORECASE)


@pytest.fixture
def sheets(town: Any) -> dict[str, Sheet]:
    """By agent, as their kits have them."""
    commune = town.job().commune
    found = {}
    for agent in commune.active_agents:
        if agent.laptop:
            laptop = commune.laptop_named[agent.laptop]
            shown = CODE if agent.identifier == "a.petit" else None
            found[agent.identifier] = sheet(agent, laptop, commune, None if laptop.managed else EXPIRES, shown)
    return found


def text_of(page: bytes) -> str:
    reader = PdfReader(io.BytesIO(page))
    assert len(reader.pages) == 1
    return re.sub(r"\s+", " ", reader.pages[0].extract_text())


def sizes_of(page: bytes) -> set[float]:
    found: set[float] = set()

    def visit(text: str, _: Any, matrix: Any, __: Any, size: float) -> None:
        if text.strip():
            found.add(round(size * abs(matrix[3]), 2))

    PdfReader(io.BytesIO(page)).pages[0].extract_text(visitor_text=visit)
    return found


class Tags(HTMLParser):
    """The tags of a page, each closed where it must be, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())
        self.text = re.sub(r"\s+", " ", self.text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "title"}:
            self.text += data


@pytest.mark.parametrize("agent", ["m.durand", "a.petit", "k.benali"])
def test_it_is_one_page_of_a4_without_a_letter_below_12_points(sheets: dict[str, Sheet], agent: str) -> None:
    page = pdf(sheets[agent])
    box = PdfReader(io.BytesIO(page)).pages[0].mediabox
    assert (round(box.width), round(box.height)) == (595, 842)
    assert min(sizes_of(page)) >= 12


@pytest.mark.parametrize("agent", ["m.durand", "a.petit", "k.benali"])
def test_paper_and_screen_say_the_same(sheets: dict[str, Sheet], agent: str) -> None:
    paper, screen = text_of(pdf(sheets[agent])), Tags(html(sheets[agent])).text
    page = sheets[agent]
    lines = [*page.steps, *page.lost, *page.habits, *([page.until] if page.until else [])]
    for words in [*map(plain, lines), page.agent, page.commune, page.contact, *(f"{value}" for _, value in page.facts)]:
        said = re.sub(r"\s+", " ", words)
        assert said in paper
        assert said in screen


def test_each_device_has_its_own_steps(sheets: dict[str, Sheet]) -> None:
    windows, phone, debian = (" ".join(map(plain, sheets[name].steps)) for name in ("m.durand", "a.petit", "k.benali"))
    assert "session Windows" in windows
    assert "bureau-finances-03.lhay.example" in windows
    assert "Presse-papiers" in windows
    assert "WireGuard" in phone
    assert "code QR" in phone
    assert "k.benali" in debian
    assert "WireGuard" not in windows + debian


def test_whoever_has_no_desktop_is_not_sent_to_one(sheets: dict[str, Sheet]) -> None:
    assert "Mon bureau" not in " ".join(map(plain, sheets["k.benali"].steps))
    assert "Mon bureau à la mairie" in " ".join(map(plain, sheets["m.durand"].steps))


def test_it_says_until_when_the_kit_is_good_where_it_holds_a_key(sheets: dict[str, Sheet]) -> None:
    assert "mercredi 2 décembre 2026" in plain(sheets["m.durand"].until)
    assert sheets["k.benali"].until == ()
    assert spoken(date(2027, 1, 1)) == "vendredi 1er janvier 2027"


def test_it_says_whom_to_call_and_what_to_do_when_the_device_is_lost(sheets: dict[str, Sheet]) -> None:
    assert sheets["m.durand"].contact == "Support informatique, poste\u00a04200"
    lost = " ".join(map(plain, sheets["m.durand"].lost))
    assert "tout de suite" in lost
    assert "portable-042" in lost


def test_without_a_contact_it_still_says_whom_to_call(town: Any) -> None:
    commune = replace(town.job().commune, contact="")
    agent = commune.agents[0]
    assert "service informatique" in sheet(agent, commune.laptops[0], commune, None, None).contact


@pytest.mark.parametrize("agent", ["m.durand", "a.petit", "k.benali"])
def test_it_speaks_no_jargon(sheets: dict[str, Sheet], agent: str) -> None:
    assert JARGON.findall(text_of(pdf(sheets[agent]))) == []


def test_no_secret_stands_on_a_sheet_in_clear(town: Any) -> None:
    for agent in ("m.durand", "a.petit"):
        kit = town.kit(agent)
        secret = town.private_key(kit)
        assert secret not in (kit / "fiche.html").read_text()
        assert secret not in text_of((kit / "fiche.pdf").read_bytes())


def test_only_a_telephones_sheet_has_the_code(town: Any) -> None:
    phone, windows = (Tags((town.kit(agent) / "fiche.html").read_bytes()) for agent in ("a.petit", "m.durand"))
    images = [attributes for tag, attributes in phone.seen if tag == "img"]
    assert len(images) == 1
    assert (images[0]["src"] or "").startswith("data:image/svg+xml")
    assert images[0]["alt"]
    assert [tag for tag, _ in windows.seen if tag == "img"] == []


def test_a_screen_reader_finds_its_way(sheets: dict[str, Sheet]) -> None:
    page = Tags(html(sheets["a.petit"]))
    tags = [tag for tag, _ in page.seen]
    assert ("html", {"lang": "fr"}) in page.seen
    assert (tags.count("h1"), tags.count("main"), tags.count("ol"), tags.count("title")) == (1, 1, 1, 1)
    assert tags.count("li") == len(sheets["a.petit"].steps)
    ids = {attributes["id"] for _, attributes in page.seen if "id" in attributes}
    assert {attributes["aria-labelledby"] for tag, attributes in page.seen if tag == "section"} == ids


def test_the_page_needs_nothing_from_elsewhere(sheets: dict[str, Sheet]) -> None:
    page = html(sheets["a.petit"]).decode()
    assert not re.search(r"<(script|link|iframe)|url\(|@import", page)
    assert {attributes.get("src", "data:")[:5] for _, attributes in Tags(page.encode()).seen} == {"data:"}


def test_the_pdf_says_its_title_and_its_language(sheets: dict[str, Sheet]) -> None:
    reader = PdfReader(io.BytesIO(pdf(sheets["m.durand"])))
    assert reader.metadata is not None
    assert reader.metadata.title == "Votre accès à distance : Mélanie Durand"
    assert reader.trailer["/Root"]["/Lang"] == "fr-FR"


def test_names_are_text_and_never_markup(town: Any) -> None:
    commune = replace(town.job().commune, name="<b>A & B</b>", contact='"><script>alert(1)</script>')
    agent = replace(commune.agents[0], first_name="<i>", last_name="&amp;")
    page = sheet(agent, commune.laptops[0], commune, None, None)
    assert "<script>" not in html(page).decode()
    for text in (Tags(html(page)).text, text_of(pdf(page))):
        assert "<i> &amp;" in text
        assert "<b>A & B</b>" in text


LONG = "L'Établissement public de coopération intercommunale du Val-de-Marne et des communes qui en sont voisines"


def longest(page: Sheet) -> Sheet:
    """The longest names that an inventory takes."""
    name = "a" * 63
    return replace(
        page,
        commune=LONG, agent="Marie-Antoinette Geneviève de La Rochefoucauld-Montbazon d'Estouteville",
        facts=tuple((label, name) for label, _ in page.facts),
        steps=(*page.steps, (Span("Vérifiez "), Span(f"{name}.{name}.example", strong=True))),
        applications=tuple(f"{LONG} {number}" for number in range(30)),
        contact="Direction des systèmes d'information et du numérique, 01 45 00 00 00, poste 4200, de 8 h à 18 h",
    )  # fmt: skip


@pytest.mark.parametrize("agent", ["m.durand", "a.petit"])
def test_the_longest_names_still_fit_the_page_and_nothing_overlaps(sheets: dict[str, Sheet], agent: str) -> None:
    assert _fitting(longest(sheets[agent])).height <= ROOM
    page = pdf(longest(sheets[agent]))
    assert min(sizes_of(page)) >= 12
    assert min(lowest(page)) > 10
    text = text_of(page)
    assert "Fiche établie le 25 novembre 2026" in text
    assert "gardez le récépissé" in text


def lowest(page: bytes) -> list[float]:
    """Where each piece of text stands, in points from the bottom."""
    heights: list[float] = []

    def visit(text: str, current: Any, matrix: Any, _: Any, __: float) -> None:
        if text.strip():
            heights.append(current[5] + matrix[5])

    PdfReader(io.BytesIO(page)).pages[0].extract_text(visitor_text=visit)
    return heights


def test_a_few_applications_are_named(sheets: dict[str, Sheet]) -> None:
    assert "Vos applications : Gestion financière, Messagerie." in text_of(pdf(sheets["m.durand"])).replace("\u00a0", " ")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_name_can_be_drawn(name: str) -> None:
    assert drawable(drawable(name)) == drawable(name)


def test_names_of_europe_are_drawn_as_they_are() -> None:
    for name in ("Łukasz Żółć", "Ștefan Țăran", "Gülşah Iğdır", "Ñuñez", "Đorđević", "Œdipe", "L’Haÿ"):
        assert drawable(name) == name
    assert drawable("Hạnh Đặng") == "Hanh Đang"


def test_letters_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        style(11.5)


def test_the_font_is_in_the_package_with_its_licence() -> None:
    import deploys.templates

    fonts = Path(next(iter(deploys.templates.__path__))) / "kit" / "fonts"
    assert {file.name for file in fonts.iterdir()} == {
        "AtkinsonHyperlegibleNext-Bold.ttf", "AtkinsonHyperlegibleNext-Regular.ttf", "OFL.txt",
    }  # fmt: skip
