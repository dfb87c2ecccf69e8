"""What becomes of second factors on a desktop, whose files are the login module's as soon as they are there."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address, ip_network

import pytest

from deploys import second_factor
from deploys.second_factor import SecondFactors, forget_factors, know_factors, password_alone, service, state
from toolkit.model import (
    Agent,
    Commune,
    Desktop,
    Endpoint,
    Gateway,
    LocalNetwork,
    Profile,
    SecondFactor,
    Secret,
    SshAddress,
)

FACTOR = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n11112222\n33334444")
SHARED = Desktop("bureau-partage", ip_address("10.77.2.2"), SshAddress("10.77.2.2"))
DIGEST = hashlib.sha256(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").hexdigest()


def issued(monkeypatch: pytest.MonkeyPatch, operation, rows: list[str], **arguments: object) -> list:
    """What an operation issues on a machine that has these files."""

    class Machine:
        def get_fact(self, fact: type, **_: object) -> object:
            return SecondFactors().process(rows)

    monkeypatch.setattr(second_factor, "host", Machine())
    return list(operation._inner(**arguments))


def under(policy: SecondFactor) -> Commune:
    return Commune(
        slug="essai",
        name="Essai",
        insee="00000",
        domain="essai.example",
        network=LocalNetwork(lan=(ip_network("10.77.0.0/20"),), tunnel=ip_network("10.177.0.0/24")),
        gateways=(Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820), ip_address("10.77.0.1")),),
        desktops=(SHARED,),
        profiles=(Profile("rh", second_factor=policy),),
        agents=(
            Agent("a.un", "Un", "Anne", "rh", desktop="bureau-partage"),
            Agent("b.deux", "Deux", "Basile", "rh"),
            Agent("c.trois", "Trois", "Chloé", "rh", desktop="bureau-partage"),
        ),
    )


def test_a_known_seed_is_left_alone_whatever_the_module_noted_since(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"root:root:400\t{DIGEST}\ta.un"]
    assert issued(monkeypatch, know_factors, rows, factors={"a.un": FACTOR}) == []


@pytest.mark.parametrize(
    "row", [None, "root:root:400\t0000\ta.un", f"root:root:644\t{DIGEST}\ta.un", f"a.un:a.un:400\t{DIGEST}\ta.un"]
)
def test_another_seed_or_other_readers_mean_a_new_file(monkeypatch: pytest.MonkeyPatch, row: str | None) -> None:
    [command] = issued(monkeypatch, know_factors, [row] if row else [], factors={"a.un": FACTOR})
    assert "JBSWY3" not in str(command)
    assert "11112222" not in str(command)
    assert "chmod 400" in str(command)


def test_a_file_of_somebody_else_goes_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"root:root:400\t{DIGEST}\ta.un", "root:root:400\tx\tpartie; reboot", "root:root:600\tx\t.a.un.dj32"]
    found = issued(monkeypatch, forget_factors, rows, staying=["a.un"])
    assert found == ["rm -f -- /etc/telekit/totp/.a.un.dj32", "rm -f -- '/etc/telekit/totp/partie; reboot'"]


def test_the_modules_file_begins_with_the_seed_and_takes_a_code_once_half_a_minute_off_at_most() -> None:
    lines = state(FACTOR).reveal().splitlines()
    assert lines[0] == "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    assert lines[1:4] == ['" WINDOW_SIZE 3', '" DISALLOW_REUSE', '" TOTP_AUTH']
    assert lines[4:] == ["11112222", "33334444"]


@pytest.mark.parametrize(
    ("policy", "enrolled", "alone"),
    [
        (SecondFactor.REQUIRED, {}, []),
        (SecondFactor.REQUIRED, {"a.un": FACTOR}, []),
        (SecondFactor.OPTIONAL, {}, ["a.un", "c.trois"]),
        (SecondFactor.OPTIONAL, {"a.un": FACTOR}, ["c.trois"]),
        (SecondFactor.OFF, {}, ["a.un", "c.trois"]),
    ],
)
def test_nobody_of_whom_a_code_is_required_is_let_in_without(policy: SecondFactor, enrolled: dict, alone: list[str]) -> None:
    assert [agent.identifier for agent in password_alone(SHARED, under(policy), enrolled)] == alone


def test_an_attempt_is_counted_before_anything_is_looked_at_and_forgotten_after_all_was_good() -> None:
    lines = [line for line in service(second_factor=True).splitlines() if line and not line.startswith("#")]
    place = {
        word: next(i for i, line in enumerate(lines) if word in line) for word in ("preauth", "authfail", "listfile", "google")
    }
    common = lines.index("@include common-auth")
    assert place["preauth"] < place["authfail"] < place["listfile"] < place["google"] == common - 1
    assert lines.index("account  required  pam_faillock.so") < lines.index("@include common-account")
    # A missing secret must never open.
    assert "nullok" not in "".join(lines)


def test_without_second_factor_the_desktop_asks_what_debian_asks() -> None:
    lines = [line.split() for line in service(second_factor=False).splitlines() if line and not line.startswith("#")]
    modules = {word for words in lines for word in words if word.endswith(".so")}
    assert modules == {"pam_env.so", "pam_gnome_keyring.so", "pam_kwallet5.so"}
