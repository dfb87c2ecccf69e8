"""Secrets at rest: opened by every operator and nobody else, never half written, never readable by others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from toolkit.errors import UsageError
from toolkit.model import Agent, Secret
from toolkit.secrets import Vault, identities_for, initial_password

AGENT = Agent("m.durand", "Durand", "Mélanie", "comptable")


def ssh_key(folder: Path, name: str, *options: str, passphrase: str = "") -> tuple[Path, str]:
    """A new pair: the private key's file and the public line."""
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", *(options or ("-t", "ed25519")), "-N", passphrase, "-C", name, "-f", file], check=True)
    return file, file.with_suffix(".pub").read_text().strip()


def age_key(folder: Path, name: str) -> tuple[Path, str]:
    identity = pyrage.x25519.Identity.generate()
    file = folder / name
    file.write_text(f"# created: 2026-11-25\n# public key: {identity.to_public()}\n{identity}\n")
    return file, str(identity.to_public())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("keys")
    return {
        "claire": ssh_key(folder, "claire"),
        "paul": ssh_key(folder, "paul", "-t", "rsa", "-b", "2048"),
        "age": age_key(folder, "identity.txt"),
        "stranger": ssh_key(folder, "stranger"),
        "locked": ssh_key(folder, "locked", passphrase="correct horse"),
        "ecdsa": ssh_key(folder, "ecdsa", "-t", "ecdsa"),
    }


def filled(folder: Path, public: list[str], private: Path) -> Vault:
    vault = Vault.open(folder, public, [private])
    vault.put("authority-key", Secret("-----BEGIN"))
    vault.put("password/m.durand", Secret("tr3s secret"))
    vault.save()
    return vault


def test_every_operator_opens_the_secrets_with_a_key_of_their_own(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    names = ["claire", "paul", "age"]
    filled(tmp_path, [keys[name][1] for name in names], keys["claire"][0])
    for name in names:
        vault = Vault.open(tmp_path, [], [keys["stranger"][0], keys[name][0]])
        assert vault.get("password/m.durand") == Secret("tr3s secret")
        assert vault.get("nothing") is None


def test_a_vault_that_was_never_saved_is_empty_and_needs_no_key(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, [], [])
    assert vault.get("authority-key") is None
    vault.save()
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_secret_shows(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    vault = filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    assert "secret" not in repr(vault.get("password/m.durand")) + f"{vault.get('password/m.durand')}".replace("Secret", "")
    assert "tr3s" not in repr(vault) + str(vars(vault).get("_file"))
    for file in tmp_path.iterdir():
        assert b"tr3s" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_the_last_good_file_is_kept_beside_and_nothing_else(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    vault = filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    first = (tmp_path / "secrets.age").read_bytes()
    vault.save()
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.age"], "what did not change is not written"
    vault.delete("password/m.durand")
    vault.delete("password/m.durand")
    vault.save()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["secrets.age", "secrets.age.old"]
    assert (tmp_path / "secrets.age.old").read_bytes() == first
    assert Vault.open(tmp_path, [], [keys["claire"][0]]).get("password/m.durand") is None


def test_of_what_is_destroyed_the_last_good_file_has_no_copy(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    vault = filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    file, last_good = tmp_path / "secrets.age", tmp_path / "secrets.age.old"
    first = file.read_bytes()
    vault.delete("password/m.durand")
    vault.keep_no_copy()
    vault.save()
    assert first != last_good.read_bytes() == file.read_bytes()
    # Cut off in between, it is done when it is asked for again, though the secrets themselves do not change.
    last_good.write_bytes(first)
    again = Vault.open(tmp_path, [keys["claire"][1]], [keys["claire"][0]])
    again.keep_no_copy()
    again.save()
    assert last_good.read_bytes() == file.read_bytes()


def test_an_operator_who_joins_can_open_and_one_who_left_cannot(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    Vault.open(tmp_path, [keys["paul"][1], keys["claire"][1]], [keys["claire"][0]]).save()
    assert Vault.open(tmp_path, [], [keys["paul"][0]]).get("authority-key")
    Vault.open(tmp_path, [keys["paul"][1]], [keys["paul"][0]]).save()
    with pytest.raises(UsageError, match="not encrypted to"):
        Vault.open(tmp_path, [], [keys["claire"][0]])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["stranger"], r"not encrypted to .*stranger \(the \.pub line of your key must be in operators\.keys"),
        (["locked"], r"locked: it has a passphrase \(use a key without one .* age-keygen -o ~/\.config/telekit/identity\.txt"),
        (["stranger", "locked"], r"not encrypted to .*stranger; .*locked: it has a passphrase"),
        (["ecdsa"], r"ecdsa: not an ed25519, RSA or age private key"),
        ([], r"none was found in ~/\.ssh"),
    ],
)
def test_the_wrong_private_key_is_named_with_advice(
    tmp_path: Path, keys: dict[str, tuple[Path, str]], names: list[str], told: str
) -> None:
    filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    with pytest.raises(UsageError, match=told):
        Vault.open(tmp_path, [], [keys[name][0] for name in names])


def test_a_private_key_that_is_missing_is_named(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    with pytest.raises(UsageError, match="nowhere: No such file or directory"):
        Vault.open(tmp_path, [], [tmp_path / "nowhere"])


def test_a_key_with_a_passphrase_opens_when_there_is_somebody_to_ask(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    filled(tmp_path, [keys["locked"][1], keys["claire"][1]], keys["claire"][0])
    vault = Vault.open(tmp_path, [], [keys["locked"][0]], lambda _: Secret("correct horse"))
    assert vault.get("authority-key")
    with pytest.raises(UsageError, match="wrong passphrase"):
        Vault.open(tmp_path, [], [keys["locked"][0]], lambda _: Secret("wrong"))


@pytest.mark.parametrize("length", [0, 10, 120, -40, -1])
def test_a_file_cut_short_is_told_as_damaged_with_the_last_good_one(
    tmp_path: Path, keys: dict[str, tuple[Path, str]], length: int
) -> None:
    filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    file = tmp_path / "secrets.age"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UsageError, match=r"damaged or cut short \(restore it from a backup, or from secrets\.age\.old"):
        Vault.open(tmp_path, [], [keys["claire"][0]])


def test_secrets_of_another_version_are_refused(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    recipient = pyrage.ssh.Recipient.from_str(keys["claire"][1])
    for content in (b"nonsense", b'{"version": 2, "secrets": {}}', b'{"version": 1, "secrets": [1]}', b"[]"):
        (tmp_path / "secrets.age").write_bytes(pyrage.encrypt(content, [recipient]))
        with pytest.raises(UsageError, match="another version of telekit"):
            Vault.open(tmp_path, [], [keys["claire"][0]])


def test_secrets_are_not_saved_for_nobody(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    with pytest.raises(UsageError, match=r"operators\.keys: no operator's key to encrypt the secrets to"):
        filled(tmp_path, [], keys["claire"][0])
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_not_saved_when_the_operator_could_not_open_them_again(
    tmp_path: Path, keys: dict[str, tuple[Path, str]]
) -> None:
    with pytest.raises(UsageError, match="not encrypted to"):
        filled(tmp_path, [keys["claire"][1]], keys["stranger"][0])
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_age_does_not_know_is_refused(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    with pytest.raises(UsageError, match="cannot be encrypted to `ecdsa"):
        filled(tmp_path, [keys["ecdsa"][1]], keys["claire"][0])


WRITER = """
import sys
from pathlib import Path
from toolkit.model import Secret
from toolkit.secrets import Vault
vault = Vault.open(Path(sys.argv[1]), [sys.argv[2]], [Path(sys.argv[3])])
for number in range(100_000):
    vault.put("authority-key", Secret(str(number) * 20_000))
    vault.save()
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_secrets_that_open_and_the_next_save_leaves_nothing_else(
    tmp_path: Path, keys: dict[str, tuple[Path, str]]
) -> None:
    private, public = keys["claire"]
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, public, private], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert Vault.open(tmp_path, [], [private]).get("authority-key")
    Vault.open(tmp_path, [public], [private]).save()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["secrets.age", "secrets.age.old"]


def test_the_operators_keys_are_the_named_one_or_the_labs_or_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert identities_for(tmp_path, None) == ()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".config/telekit").mkdir(parents=True)
    usual = (tmp_path / ".ssh/id_ed25519", tmp_path / ".config/telekit/identity.txt")
    for file in usual:
        file.touch()
    assert identities_for(tmp_path, None) == usual
    (tmp_path / "operator_ed25519").touch()
    assert identities_for(tmp_path, None) == (tmp_path / "operator_ed25519",)
    assert identities_for(tmp_path, tmp_path / "named") == (tmp_path / "named",)


def test_an_agents_first_password_is_made_once_and_no_two_are_alike(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, [], [])
    first = initial_password(vault, AGENT)
    assert initial_password(vault, AGENT) == first
    made = {initial_password(vault, Agent(f"a{number}", "A", "B", "c")).reveal() for number in range(500)}
    assert len(made) == 500
    assert all(len(password) == 16 and not set(password.lower()) & set("aqzwmoli0123456789") for password in made)


def test_a_secret_is_written_unreadable_for_others_from_the_first_byte(tmp_path: Path, keys: dict[str, tuple[Path, str]]) -> None:
    before = os.umask(0)
    try:
        filled(tmp_path, [keys["claire"][1]], keys["claire"][0])
    finally:
        os.umask(before)
    assert (tmp_path / "secrets.age").stat().st_mode & 0o777 == 0o600


def test_who_opens_secrets_leaves_no_image_of_them_when_it_crashes(tmp_path: Path) -> None:
    script = (
        "import resource; from pathlib import Path; from toolkit.secrets import Vault;"
        f" Vault.open(Path({str(tmp_path)!r}), (), ()); print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    done = subprocess.run(
        ["sh", "-c", 'ulimit -S -c 1024; exec "$@"', "-", sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.stdout == "0\n", done.stderr
