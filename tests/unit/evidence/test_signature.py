"""Whoever changed the results after they were signed is found out, without telekit too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.evidence.conftest import Keep, Key
from toolkit.evidence import signature
from toolkit.evidence.make import Wanted, make
from toolkit.model import Commune


def test_the_operators_signature_is_good_and_says_whose_it_is(keep: Keep, key: Key) -> None:
    file, (private, operator) = keep(), key()
    assert signature.sign(file, [private]) == ""
    found = signature.check(file, [key("other")[1], operator])
    assert (found.good, found.by) == (True, "c.martin@dsi")
    assert found.fingerprint.startswith("SHA256:")
    assert found.digest == subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]


def test_the_commands_of_the_report_check_it_without_telekit(keep: Keep, key: Key) -> None:
    file, (private, operator) = keep(), key()
    folder = file.parent.parent
    (folder / "operators.keys").write_text(f"# DSI\n{operator.public_key}\n", encoding="utf-8")
    signature.sign(file, [private])
    script = "set -e\n" + "\n".join(signature.commands(file))
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert 'Good "telekit" signature for operator' in done.stdout
    file.write_bytes(file.read_bytes() + b"x")
    assert subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, check=False).returncode != 0


def test_changed_results_break_the_signature(keep: Keep, key: Key) -> None:
    file, (private, operator) = keep(), key()
    signature.sign(file, [private])
    file.write_bytes(file.read_bytes() + b"x")
    found = signature.check(file, [operator])
    assert (found.good, found.why, found.fingerprint) == (False, "", "")


def test_a_strangers_signature_is_not_good_and_its_key_is_named(keep: Keep, key: Key) -> None:
    file, (private, _) = keep(), key("stranger")
    signature.sign(file, [private])
    found = signature.check(file, [key()[1]])
    assert not found.good
    assert found.fingerprint.startswith("SHA256:")


def test_without_a_key_or_with_a_locked_one_it_is_unsigned_and_says_why(keep: Keep, key: Key, tmp_path: Path) -> None:
    file = keep()
    (tmp_path / "age.txt").write_text("AGE-SECRET-KEY-1", encoding="utf-8")
    assert signature.sign(file, [tmp_path / "age.txt", tmp_path / "absent"]) == "no-key"
    assert signature.sign(file, [key("locked", "open sesame")[0]]) == "locked"
    assert signature.check(file, [], "locked").why == "locked"
    assert not signature.file_of(file).exists()


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_making_a_report_signs_what_nobody_signed(keep: Keep, key: Key, commune: Commune, passphrase: str) -> None:
    folder = keep().parent.parent
    private, _ = key(passphrase=passphrase)
    made = make(folder, commune, (private,), Wanted())
    assert made.signed.why == ("locked" if passphrase else "")
    assert signature.file_of(made.record.file).exists() is not bool(passphrase)
