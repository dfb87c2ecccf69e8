"""What the desktop's recipe makes of a commune."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from deploys.desktop import listener, rules, session_policy, sources
from toolkit.model import (
    Agent,
    Clipboard,
    Commune,
    Desktop,
    Endpoint,
    Gateway,
    Laptop,
    LocalNetwork,
    Policy,
    SshAddress,
)


def laptop(number: int) -> Laptop:
    return Laptop(f"portable-{number}", tunnel_address=ip_address(f"10.177.0.{number}"), public_key=f"{number:043}=")


SHARED = Desktop("bureau-partage", ip_address("10.77.2.2"), SshAddress("10.77.2.2"))
OTHER = Desktop("bureau-1", ip_address("10.77.2.1"), SshAddress("10.77.2.1"))


def town(*, nat: bool = False) -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(
            lan=(ip_network("10.77.0.0/20"),), tunnel=ip_network("10.177.0.0/24"), admin=(ip_network("10.77.0.10/32"),)
        ),
        gateways=(
            Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), ip_address("10.77.0.1"), nat=nat),
        ),
        desktops=(OTHER, SHARED),
        laptops=(laptop(2), laptop(3), laptop(4)),
        agents=(
            Agent("a.un", "Un", "Anne", "rh", laptop="portable-2", desktop="bureau-partage"),
            Agent("b.deux", "Deux", "Basile", "rh", laptop="portable-3", desktop="bureau-1"),
            Agent("c.trois", "Trois", "Chloé", "rh", laptop="portable-4", desktop="bureau-partage"),
        ),
    )


def values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith(";"))


def test_a_desktop_is_open_to_the_laptops_of_its_own_agents() -> None:
    assert [source.address for source in sources(SHARED, town())] == ["10.177.0.2", "10.177.0.4"]


def test_behind_address_translation_it_is_open_to_the_gateway() -> None:
    assert [source.address for source in sources(SHARED, town(nat=True))] == ["10.77.0.1"]


@pytest.mark.parametrize("nat", [False, True])
def test_a_desktop_without_agents_is_open_to_nobody(nat: bool) -> None:
    nobody = replace(town(nat=nat), agents=())
    assert sources(SHARED, nobody) == ()
    assert "elements" not in rules(SHARED, nobody, (22,)).partition("chain input")[0]


@pytest.mark.parametrize(
    ("clipboard", "channel", "to_desktop", "from_desktop"),
    [
        (Clipboard.BOTH, "true", "none", "none"),
        (Clipboard.TO_DESKTOP, "true", "none", "all"),
        (Clipboard.NONE, "false", "all", "all"),
    ],
)
def test_the_clipboard_goes_as_far_as_the_policy_says(
    clipboard: Clipboard, channel: str, to_desktop: str, from_desktop: str
) -> None:
    policy = Policy(clipboard=clipboard)
    assert values(listener(policy, "x"))["cliprdr"] == channel
    session = values(session_policy(policy))
    assert (session["RestrictInboundClipboard"], session["RestrictOutboundClipboard"]) == (to_desktop, from_desktop)


def test_drives_stay_outside_unless_the_policy_wants_them() -> None:
    assert values(listener(Policy(), "x"))["rdpdr"] == "false"
    assert values(session_policy(Policy()))["EnableFuseMount"] == "false"
    assert values(listener(Policy(drives=True), "x"))["rdpdr"] == "true"


def test_minutes_become_seconds_and_zero_means_never() -> None:
    session = values(session_policy(Policy(idle_minutes=0, disconnected_minutes=480)))
    assert (session["IdleTimeLimit"], session["KillDisconnected"], session["DisconnectedTimeLimit"]) == ("0", "true", "28800")
    assert values(session_policy(Policy(disconnected_minutes=0)))["KillDisconnected"] == "false"


def test_a_keyboard_that_windows_has_no_code_for_is_left_to_the_client() -> None:
    assert values(listener(Policy(keyboard="fr"), "x"))["xrdp.override_keylayout"] == "0x0000040C"
    assert "xrdp.override_keylayout" not in values(listener(Policy(keyboard="eo"), "x"))


def test_only_tls_from_1_2_on_is_spoken() -> None:
    found = values(listener(Policy(), "x"))
    assert (found["security_layer"], found["ssl_protocols"], found["crypt_level"]) == ("tls", "TLSv1.2, TLSv1.3", "high")
