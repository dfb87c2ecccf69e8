"""The kit of an agent whose desktop asks for a code."""

from __future__ import annotations

import io
import re
import stat
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader

from toolkit.kit.make import Wish, make
from toolkit.kit.paper import ROOM, _fitting
from toolkit.kit.sheet import second_page
from toolkit.kit.tunnel import code, image
from toolkit.model import Secret, System
from toolkit.second_factor import address, known


@pytest.fixture
def coded(town: Any) -> Any:
    """The town, where profiles require a code."""
    file: Path = town.folder / "commune.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("[profile.comptable]\n", '[profile.comptable]\nsecond_factor = "required"\n'), encoding="utf-8")
    return town


def agent_of(town: Any, identifier: str) -> Any:
    return next(a for a in town.job().commune.agents if a.identifier == identifier)


def pages(kit: Path) -> list[str]:
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(kit / "fiche.pdf").pages]


def test_the_sheets_second_page_has_the_code_and_the_emergency_codes_are_elsewhere(coded: Any) -> None:
    kit = coded.kit("m.durand")
    agent = agent_of(coded, "m.durand")
    factor = known(coded.vault(), agent)
    assert factor is not None
    drawn = code(address(agent, coded.job().commune, factor.seed))
    found = zxingcpp.read_barcode(Image.open(io.BytesIO(image(drawn))))
    assert found is not None
    assert found.text == address(agent, coded.job().commune, factor.seed).reveal()
    assert escape(drawn.svg_data_uri(scale=6, border=4)) in (kit / "fiche.html").read_text(encoding="utf-8")
    first, second = pages(kit)
    assert "suivi de votre code de connexion" in first
    assert "sans espace" in second
    codes = factor.emergency.reveal().split()
    shown = first + second + (kit / "fiche.html").read_text(encoding="utf-8")
    assert not any(one in shown.replace(" ", "") for one in (factor.seed.reveal(), *codes))
    file = kit / "codes-de-secours.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(one in file.read_text(encoding="utf-8-sig").replace(" ", "") for one in codes)


def test_a_kit_made_again_holds_the_same_second_factor(coded: Any) -> None:
    before = (coded.kit("m.durand") / "codes-de-secours.txt").read_bytes()
    assert (coded.kit("m.durand") / "codes-de-secours.txt").read_bytes() == before


def test_whoever_has_no_desktop_gets_none(coded: Any) -> None:
    kit = coded.kit("a.petit")
    assert not (kit / "codes-de-secours.txt").exists()
    assert len(pages(kit)) == 1


@pytest.mark.parametrize("system", list(System))
def test_the_second_page_fits_on_its_page_for_any_device(coded: Any, system: System) -> None:
    commune = coded.job().commune
    agent = replace(agent_of(coded, "m.durand"), last_name="Montmorency-Luxembourg-de-La-Rochefoucauld")
    laptop = replace(commune.laptops[0], system=system)
    page = second_page(agent, laptop, commune, code(address(agent, commune, Secret("A" * 32))))
    assert _fitting(page).height <= ROOM


def test_the_page_for_the_screen_names_both_codes_to_whoever_cannot_see_them(coded: Any) -> None:
    text = (coded.kit("m.durand") / "fiche.html").read_text(encoding="utf-8")
    assert "Code QR à viser avec l’application qui donne les codes" in text
    assert len(set(re.findall(r' id="([^"]+)"', text))) == len(re.findall(r' id="([^"]+)"', text))
    assert text.count("<h1>") == 1


def test_what_a_kit_promises_for_the_first_time_is_to_be_provisioned(coded: Any) -> None:
    csv = coded.folder / "agents.csv"
    text = csv.read_text(encoding="utf-8")
    csv.write_text(text.replace("portable-041;;;;", "portable-041;bureau-finances-03;;;"), encoding="utf-8")
    toml = coded.folder / "commune.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace('owner   = "m.durand"\n', ""), encoding="utf-8")
    first = make(coded.job(), Wish(("k.benali",), coded.kits))
    assert first.next == "telekit provision --commune lhay --role desktop --role laptop"
    assert "With a second factor inside" in first.closing
    assert make(coded.job(), Wish(("k.benali",), coded.kits)).next == ""
