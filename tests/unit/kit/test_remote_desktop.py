"""The .rdp file connects to the agent's own desktop, to nothing that cannot prove it, and lends it what the policy says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolkit.kit.remote_desktop import connection
from toolkit.model import Agent, Clipboard, Commune


def settings(agent: Agent, commune: Commune) -> dict[str, str]:
    lines = connection(agent, commune).decode("ascii").split("\r\n")
    assert lines.pop() == ""
    found = {}
    for line in lines:
        name, kind, value = line.split(":", 2)
        assert kind in "is"
        assert kind == "s" or value.isdecimal()
        assert name not in found
        found[name] = value
    return found


def test_it_names_the_desktop_as_its_certificate_does_and_the_agent(agent: Agent, town: Any) -> None:
    found = settings(agent, town.job().commune)
    assert found["full address"] == "bureau-finances-03.lhay.example"
    assert found["username"] == "m.durand"


def test_a_desktop_that_cannot_prove_its_identity_is_not_connected_to(agent: Agent, town: Any) -> None:
    found = settings(agent, town.job().commune)
    assert found["authentication level"] == "1"
    assert found["enablecredsspsupport"] == "0"
    assert found["gatewayusagemethod"] == "0"


@pytest.mark.parametrize(
    ("clipboard", "drives"), [(Clipboard.BOTH, True), (Clipboard.TO_DESKTOP, False), (Clipboard.NONE, False)]
)
def test_clipboard_and_drives_are_lent_as_the_policy_says(agent: Agent, town: Any, clipboard: Clipboard, drives: bool) -> None:
    commune = replace(town.job().commune, policy=replace(town.job().commune.policy, clipboard=clipboard, drives=drives))
    found = settings(agent, commune)
    assert found["redirectclipboard"] == str(int(clipboard is not Clipboard.NONE))
    assert (found["redirectdrives"], found["drivestoredirect"]) == (("1", "*") if drives else ("0", ""))


def test_nothing_else_of_the_laptop_is_lent(agent: Agent, town: Any) -> None:
    found = settings(agent, town.job().commune)
    numbers = ("printers", "comports", "smartcards", "posdevices", "location", "webauthn")
    assert {found[f"redirect{name}"] for name in numbers} == {"0"}
    assert [found[name] for name in ("usbdevicestoredirect", "devicestoredirect", "camerastoredirect")] == ["", "", ""]
    assert found["audiocapturemode"] == "0"


def test_the_picture_fits_the_screen(agent: Agent, town: Any) -> None:
    found = settings(agent, town.job().commune)
    assert (found["smart sizing"], found["dynamic resolution"], found["screen mode id"]) == ("1", "1", "2")


def test_there_is_no_password_in_it(agent: Agent, town: Any) -> None:
    assert "password" not in connection(agent, town.job().commune).decode("ascii")
