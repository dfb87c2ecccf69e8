"""The record for the data-protection officer: what it says, and that it is nobody else's to read."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import journal
from toolkit.journal import Entry
from toolkit.revocation import outcome, record
from toolkit.revocation.case import Case, Wish, open_case
from toolkit.revocation.desktop import Shut
from toolkit.revocation.gateway import NO_WAY, REFUSED, Closed
from toolkit.revocation.outcome import Outcome

KEY = "B" * 42 + "E="
SEEN = {"key": KEY, "handshake": 1764043200, "endpoint": "198.18.0.10:51503", "received": 2048, "sent": 10}


@pytest.fixture
def entry(folder: Path) -> Entry:
    with journal.run(folder, "agent revoke", "lab") as run:
        return replace(run.entry, user="claire", host="poste-admin")


@pytest.fixture
def case(folder: Path) -> Case:
    return open_case(folder, Wish("m.durand", stolen=True, reason="Vol dans le RER"))


def closed(**more: object) -> Closed:
    found = Closed("gw-mairie", seconds=0.5, moment="2026-11-25T07:12:13+00:00", elements=7, connections=2, seen=(SEEN,))
    return replace(found, left={"peers": []}, **more)


def test_it_says_what_the_cnil_asks_for_and_leaves_blanks_for_the_rest(folder: Path, case: Case, entry: Entry) -> None:
    done = Outcome(case, (closed(),), (Shut("bureau-finances-03", sessions=1, processes=40),), destroyed=2)
    text = record.write(folder, done, entry).read_text(encoding="utf-8")
    for said in (
        "Vol ou perte d'un appareil : Mélanie Durand (m.durand)", "claire (poste-admin)", "Vol dans le RER",
        "72 heures", "article 33, § 3 a", "article 33, § 3 b", "article 33, § 3 c", "article 33, § 3 d", "article 34",
        "Gestion financière (10.77.1.11, tcp/443, tcp/1521)", "bureau-finances-03 (tcp/3389)",
        "dernière connexion le 25/11/2025 à 05 h 00 min 00 s depuis 198.18.0.10:51503 ; 2 Kio reçus de lui",
        "25/11/2026 à 08 h 12 min 13 s : tunnel fermé sur gw-mairie, 0.5 s après la décision",
        "2 connexion(s) en cours coupée(s)", "compte verrouillé, 1 session(s) fermée(s)", "[à compléter",
    ):  # fmt: skip
        assert said in text
    assert KEY not in text


def test_it_and_its_folder_are_the_operators_alone(folder: Path, case: Case, entry: Entry) -> None:
    file = record.write(folder, Outcome(case, (), ()), entry)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_done_twice_on_a_day_both_are_told(folder: Path, case: Case, entry: Entry) -> None:
    first = record.write(folder, Outcome(case, (closed(),), ()), entry)
    second = record.write(folder, Outcome(case, (closed(elements=0),), ()), entry)
    text = second.read_text(encoding="utf-8")
    assert first == second
    assert text.index("7 autorisation(s)") < text.index("0 autorisation(s)")


def test_what_was_not_reached_is_not_said_to_be_done(folder: Path, case: Case, entry: Entry) -> None:
    silent = Shut("bureau-finances-03", "no answer in 10 s", unreachable=True)
    half = Outcome(case, (Closed("gw-mairie", "no answer in 10 s", unreachable=True),), (silent,))
    text = record.write(folder, half, entry).read_text(encoding="utf-8")
    assert "Rien n'a pu être vérifié." in text
    assert "tunnel fermé" not in text
    assert "- [ ] bureau-finances-03 : injoignable ; le prochain `telekit provision` qui l'atteint le fera" in text
    assert "- [ ] gw-mairie : injoignable" in text
    told = outcome.result(half, folder / "x.md")
    assert told.exit_code == 1
    assert told.next == "telekit provision --commune lab --only gw-mairie --only bureau-finances-03"


@pytest.mark.parametrize(
    ("came", "french", "english"),
    [
        (REFUSED, "tentée avec l'ancienne clé de portable-041, refusée par gw-mairie", "is refused, a welcome key was answered"),
        (NO_WAY, "n'a pas pu être tentée depuis l'extérieur", "not tried from outside"),
    ],
)
def test_a_handshake_is_refused_only_where_there_was_a_way(
    folder: Path, case: Case, entry: Entry, came: str, french: str, english: str
) -> None:
    found = Outcome(case, (closed(knocked={"portable-041": came}),), ())
    assert french in record.write(folder, found, entry).read_text(encoding="utf-8")
    assert english in outcome.result(found, folder / "x.md").machines[0].reason


def test_a_departure_is_no_breach(folder: Path, entry: Entry) -> None:
    case = open_case(folder, Wish("m.durand"))
    text = record.write(folder, Outcome(case, (closed(),), ()), entry).read_text(encoding="utf-8")
    assert "Retrait d'un accès" in text
    assert "article 33" not in text
    assert "CNIL" not in text
