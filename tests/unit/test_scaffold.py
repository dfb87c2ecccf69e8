"""A new commune: asked for, valid from its first minute, and never written over another."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from toolkit.errors import UsageError
from toolkit.inventory import load
from toolkit.scaffold import answered, propose_tunnel, public_keys, write

GIVEN: dict[str, str | None] = {"name": "L'Haÿ-les-Roses", "insee": "94038", "domain": "lhay.example", "lan": "10.94.0.0/20"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDw2Gbuw3Yz1Rj0rTS7O0A8Z9bJ3y0oVqjWvBqJYx8Dm m.durand"


def test_what_it_writes_passes_check(tmp_path: Path) -> None:
    folder, warnings = write(tmp_path, answered(GIVEN, tmp_path, None), [KEY])
    assert folder.name == "l-hay-les-roses"
    assert [warning.what for warning in warnings] == ["names no agent: nobody has access"]
    commune = load(folder).commune
    assert commune.name == "L'Haÿ-les-Roses"
    assert str(commune.gateway.endpoint) == "vpn.lhay.example:51820"
    assert [operator.name for operator in commune.operators] == ["m.durand"]


def test_every_line_that_it_leaves_to_uncomment_is_right(tmp_path: Path) -> None:
    folder, _ = write(tmp_path, answered(GIVEN | {"dns": "10.94.0.53"}, tmp_path, None), [KEY])
    toml = folder / "commune.toml"
    lines = toml.read_text(encoding="utf-8").splitlines()
    codes = [line.removeprefix("# ") if _is_code(line) else line for line in lines]
    toml.write_text("\n".join(codes) + "\n", encoding="utf-8")
    (folder / "agents.csv").write_text(
        (folder / "agents.csv").read_text(encoding="utf-8") + "m.durand;Durand;Mélanie;Finances;comptable;portable-042;;;\n",
        encoding="utf-8",
    )
    commune = load(folder).commune
    assert len(commune.desktops) == len(commune.laptops) == len(commune.applications) == 1


def _is_code(line: str) -> bool:
    body = line.removeprefix("# ")
    return line.startswith("# ") and (body.startswith("[") or " = " in body)


def test_it_never_writes_over_a_commune(tmp_path: Path) -> None:
    answers = answered(GIVEN, tmp_path, None)
    write(tmp_path, answers, [])
    before = (tmp_path / "l-hay-les-roses" / "commune.toml").read_bytes()
    with pytest.raises(UsageError, match="stays as it is"):
        write(tmp_path, answers | {"name": "Another"}, [])
    assert (tmp_path / "l-hay-les-roses" / "commune.toml").read_bytes() == before


def test_two_communes_get_tunnels_apart(tmp_path: Path) -> None:
    write(tmp_path, answered(GIVEN, tmp_path, None), [])
    second = answered(GIVEN | {"slug": "thiais", "lan": "10.95.0.0/20"}, tmp_path, None)
    write(tmp_path, second, [])
    first = load(tmp_path / "l-hay-les-roses").commune.network.tunnel
    assert not first.overlaps(load(tmp_path / "thiais").commune.network.tunnel)


def test_a_tunnel_is_proposed_outside_the_lan(tmp_path: Path) -> None:
    assert propose_tunnel("10.128.0.0/9", tmp_path) == ""
    tunnel = IPv4Network(propose_tunnel("10.128.0.0/16, 10.129.0.0/22", tmp_path))
    assert tunnel == IPv4Network("10.129.4.0/22")


def test_a_wrong_answer_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    said: list[str] = []
    replies = iter(["9403", "94038"])

    def ask(words: str, proposal: str) -> str:
        said.append(words)
        return next(replies) if "INSEE" in words else proposal

    answers = answered({key: value for key, value in GIVEN.items() if key != "insee"}, tmp_path, ask)
    assert answers["insee"] == "94038"
    assert any("`9403` is not an INSEE code" in words for words in said)


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        ({"insee": "94"}, "--insee"),
        ({"lan": ""}, "--lan"),
        ({"endpoint": "vpn.lhay.example"}, "--endpoint"),
        ({"name": None}, "--name"),
    ],
)
def test_without_a_terminal_the_option_that_is_wrong_is_named(
    tmp_path: Path, changed: dict[str, str | None], option: str
) -> None:
    with pytest.raises(UsageError) as refused:
        answered(GIVEN | changed, tmp_path, None)
    assert refused.value.problem.where == option


def test_public_keys_that_can_open_the_vault_become_operators(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519.pub").write_text(KEY + "\n", encoding="utf-8")
    (tmp_path / "copy.pub").write_text(KEY + "\n", encoding="utf-8")
    (tmp_path / "id_ecdsa.pub").write_text("ecdsa-sha2-nistp256 AAAA x\n", encoding="utf-8")
    (tmp_path / "id_ed25519").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n", encoding="utf-8")
    assert public_keys(tmp_path) == (KEY,)
    assert public_keys(tmp_path / "nowhere") == ()


def test_quotes_in_a_name_are_written_as_toml_wants_them(tmp_path: Path) -> None:
    folder, _ = write(tmp_path, answered(GIVEN | {"name": 'Le "Bourg" \\ Haut', "slug": "bourg"}, tmp_path, None), [])
    assert load(folder).commune.name == 'Le "Bourg" \\ Haut'
