"""The configuration of a device is the gateway's counterpart, and its QR code says exactly the same."""

from __future__ import annotations

import configparser
import io
from dataclasses import replace
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from deploys.tunnel import addresses, allowed
from deploys.tunnel import configuration as managed_configuration
from toolkit.kit.tunnel import NAME, code, configuration, image
from toolkit.model import Commune, Mode, Secret

KEY, SHARED = Secret("a" * 43 + "="), Secret("c" * 43 + "=")


@pytest.fixture
def commune(town: Any) -> Commune:
    for agent in ("m.durand", "a.petit"):
        town.kit(agent)
    return town.commune()


def parsed(text: Secret) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(text.reveal())
    return parser


def test_everything_goes_through_the_tunnel_or_the_town_halls_networks_alone(commune: Commune) -> None:
    laptop = commune.laptop_named["portable-042"]
    full = parsed(configuration(laptop, commune, KEY, None))
    assert full["Peer"]["AllowedIPs"] == "0.0.0.0/0, ::/0"
    apart = replace(commune, network=replace(commune.network, mode=Mode.SPLIT))
    split = parsed(configuration(laptop, apart, KEY, None))
    assert split["Peer"]["AllowedIPs"] == "10.77.0.0/20, 10.177.0.0/22, fd77:77:77::/64"


def test_names_are_asked_of_the_gateway_and_short_ones_looked_for_in_the_communes_domains(commune: Commune) -> None:
    found = parsed(configuration(commune.laptop_named["portable-042"], commune, KEY, None))
    assert found["Interface"]["DNS"] == "10.177.0.1, fd77:77:77::1, lhay.example, metiers.example"
    assert found["Interface"]["MTU"] == "1420"
    assert found["Peer"]["Endpoint"] == "vpn.lhay.example:51820"
    assert found["Peer"]["PublicKey"] == commune.gateway.public_key


def test_the_preshared_key_is_there_when_the_vault_has_one_and_never_half(commune: Commune) -> None:
    laptop = commune.laptop_named["portable-042"]
    assert parsed(configuration(laptop, commune, KEY, SHARED))["Peer"]["PresharedKey"] == SHARED.reveal()
    assert "PresharedKey" not in configuration(laptop, commune, KEY, None).reveal()


def test_it_is_what_a_managed_laptop_would_have(commune: Commune) -> None:
    laptop = commune.laptop_named["portable-042"]
    ours, theirs = configuration(laptop, commune, KEY, None).reveal(), managed_configuration(laptop, commune)
    shared = {f"Address = {', '.join(addresses(laptop, commune))}", f"AllowedIPs = {', '.join(allowed(commune))}"}
    shared |= {f"MTU = {commune.network.mtu}", "PersistentKeepalive = 25", f"PublicKey = {commune.gateway.public_key}"}
    assert shared <= set(ours.splitlines())
    assert shared <= set(theirs.splitlines())


def test_the_qr_code_decodes_to_the_configuration(commune: Commune) -> None:
    text = configuration(commune.laptop_named["tel-007"], commune, KEY, SHARED)
    found = zxingcpp.read_barcode(Image.open(io.BytesIO(image(code(text)))))
    assert found is not None
    assert found.text == text.reveal()


def test_the_code_in_the_kit_is_of_the_file_beside_it(commune: Commune, town: Any) -> None:
    for agent in ("m.durand", "a.petit"):
        kit = town.kits / f"kit-{agent}"
        found = zxingcpp.read_barcode(Image.open(kit / "tunnel-mairie.png"))
        assert found is not None
        assert found.text == (kit / "tunnel-mairie.conf").read_text()


def test_windows_and_linux_accept_the_tunnels_name() -> None:
    assert len(NAME) <= 15
    assert NAME.replace("-", "").isalnum()
    assert NAME.isascii()
