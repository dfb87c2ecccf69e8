"""Seeds, emergency codes, and the codes made of a seed."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from toolkit.model import Agent, Commune, Endpoint, Gateway, LocalNetwork, Profile, SecondFactor, Secret, SshAddress
from toolkit.second_factor import address, code, demanded, handed_out, known, renewed
from toolkit.secrets import Vault

ANNE = Agent("a.un", "Un", "Anne", "rh", desktop="bureau-1")


def town(policy: SecondFactor) -> Commune:
    return Commune(
        slug="essai",
        name="Mairie d'Été & fils",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(lan=(ip_network("10.77.0.0/20"),), tunnel=ip_network("10.177.0.0/24")),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), ip_address("10.77.0.1")),),
        profiles=(Profile("rh", second_factor=policy),),
        agents=(ANNE,),
    )


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path, [], [])


@pytest.mark.parametrize(
    ("at", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(at: int, expected: str) -> None:
    # RFC 6238, appendix B, the last six of its eight digits.
    assert code(Secret(base64.b32encode(b"12345678901234567890").decode()), at).reveal() == expected


def test_emergency_codes_are_such_as_the_desktops_module_knows(vault: Vault) -> None:
    for _ in range(50):
        codes = renewed(vault, ANNE).emergency.reveal().split()
        assert len(set(codes)) == 8
        assert all(re.fullmatch(r"[1-9][0-9]{7}", one) for one in codes)


def test_a_seed_has_the_160_bits_that_the_standard_recommends(vault: Vault) -> None:
    assert len(base64.b32decode(renewed(vault, ANNE).seed.reveal())) == 20


def test_where_it_is_required_the_desktop_asks_for_it_from_the_first_provision(vault: Vault) -> None:
    first = demanded(vault, ANNE, town(SecondFactor.REQUIRED))
    assert first is not None
    assert demanded(vault, ANNE, town(SecondFactor.REQUIRED)) == first == known(vault, ANNE)


def test_where_it_is_optional_the_desktop_asks_those_who_got_it_in_a_kit(vault: Vault) -> None:
    commune = town(SecondFactor.OPTIONAL)
    assert demanded(vault, ANNE, commune) is None
    given = handed_out(vault, ANNE, commune)
    assert given is not None
    assert demanded(vault, ANNE, commune) == given


def test_where_it_is_off_or_there_is_no_desktop_nobody_gets_one(vault: Vault) -> None:
    off, required = town(SecondFactor.OFF), town(SecondFactor.REQUIRED)
    homeless = replace(ANNE, desktop=None)
    for agent, commune in ((ANNE, off), (homeless, required)):
        assert demanded(vault, agent, commune) is None
        assert handed_out(vault, agent, commune) is None
    assert known(vault, ANNE) is None


def test_a_renewed_one_has_nothing_of_the_old(vault: Vault) -> None:
    old, new = renewed(vault, ANNE), renewed(vault, ANNE)
    assert old.seed != new.seed
    assert old.emergency != new.emergency
    assert known(vault, ANNE) == new


def test_what_the_telephone_reads_says_whose_it_is_and_survives_any_name(vault: Vault) -> None:
    factor = renewed(vault, ANNE)
    found = urlsplit(address(ANNE, town(SecondFactor.REQUIRED), factor.seed).reveal())
    assert (found.scheme, found.netloc) == ("otpauth", "totp")
    assert unquote(found.path) == "/Mairie d'Été & fils:a.un"
    assert parse_qs(found.query) == {"secret": [factor.seed.reveal()], "issuer": ["Mairie d'Été & fils"]}


def test_it_shows_itself_to_nobody(vault: Vault) -> None:
    factor = renewed(vault, ANNE)
    shown = f"{factor!r} {factor} {factor.whole!r}"
    assert factor.seed.reveal() not in shown
    assert not any(one in shown for one in factor.emergency.reveal().split())
