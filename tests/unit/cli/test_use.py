"""What an operator meets: right answers, and errors that say what, where and what to do next."""

from __future__ import annotations

import os
import pty
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

Telekit = Callable[..., subprocess.CompletedProcess[str]]


def test_check_says_that_the_inventory_is_valid_and_how_big_it_is(telekit: Telekit) -> None:
    done = telekit("check", "--commune", "lab")
    assert done.returncode == 0
    assert done.stdout == (
        "The inventory of Mairie du laboratoire is valid: 2 agents, 1 gateway, 2 desktops, 2 laptops, 4 applications.\n"
    )
    assert done.stderr == ""


def test_check_reports_every_problem_with_its_line_and_ends_with_2(telekit: Telekit, inventories: Path) -> None:
    file = inventories / "lab" / "commune.toml"
    text = file.read_text(encoding="utf-8").replace("insee ", "inse ").replace("address = ", "adress = ", 1)
    file.write_text(text, encoding="utf-8")
    done = telekit("check", "--commune", "lab")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "commune.toml:5: " in done.stderr
    assert "did you mean `insee`?" in done.stderr
    assert "did you mean `address`?" in done.stderr
    assert "Refused: the inventory has" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check", "plan", "provision", "verify", "status", "trust"])
def test_without_a_commune_it_lists_those_there_are(telekit: Telekit, command: str) -> None:
    done = telekit(command, *(["--yes"] if command == "provision" else []))
    assert done.returncode == 2
    assert "say which commune: --commune NAME (in " in done.stderr
    assert done.stderr.rstrip().endswith("lab)")


def test_a_misspelt_commune_gets_a_guess(telekit: Telekit) -> None:
    done = telekit("plan", "--commune", "lav")
    assert done.returncode == 2
    assert "did you mean `lab`?" in done.stderr


def test_a_misspelt_machine_gets_a_guess(telekit: Telekit) -> None:
    done = telekit("plan", "--commune", "lab", "--only", "portable-041", "--only", "gw-marie")
    assert done.returncode == 2
    assert "lab has no machine `gw-marie` (did you mean `gw-mairie`?)" in done.stderr


def test_a_machine_that_is_not_of_the_role_is_said(telekit: Telekit) -> None:
    done = telekit("plan", "--commune", "lab", "--only", "portable-041", "--role", "gateway")
    assert done.returncode == 2
    assert "no machine of lab is both named and of that role" in done.stderr


def test_without_a_folder_of_inventories_it_says_how_to_start(telekit: Telekit, tmp_path: Path) -> None:
    done = telekit("check", "--inventories", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "telekit init" in done.stderr


@pytest.mark.parametrize(("wrong", "guess"), [("chek", "'check'"), ("provison", "'provision'")])
def test_a_misspelt_command_gets_a_guess(telekit: Telekit, wrong: str, guess: str) -> None:
    done = telekit(wrong)
    assert done.returncode == 2
    assert guess in done.stderr
    assert "telekit --help" in done.stderr


def test_a_misspelt_option_gets_a_guess(telekit: Telekit) -> None:
    done = telekit("plan", "--comune", "lab")
    assert done.returncode == 2
    assert "'--commune'" in done.stderr
    assert "telekit plan --help" in done.stderr


def test_provision_without_a_terminal_asks_for_yes_before_anything_else(telekit: Telekit, inventories: Path) -> None:
    done = telekit("provision", "--commune", "lab")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert not (inventories / "lab" / "journal").exists()


def test_machines_that_do_not_answer_are_unreachable_and_nothing_is_planned(telekit: Telekit) -> None:
    done = telekit("plan", "--commune", "lab", "--role", "gateway")
    assert done.returncode == 1
    assert "unreachable: 127.0.0.1:1 refuses the connection" in done.stdout
    assert "1 machine unreachable. Nothing was touched." in done.stdout
    assert "unchanged" not in done.stdout


def test_without_telekits_key_a_password_goes_nowhere(telekit: Telekit, tmp_path: Path) -> None:
    letter = tmp_path / "lettre.txt"
    done = telekit("password", "m.duran", "--commune", "lab", "--output", str(letter))
    assert done.returncode == 2
    assert "did you mean `m.durand`?" in done.stderr
    assert not letter.exists()


def test_a_bug_is_called_one_and_leaves_a_file_for_its_owner_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    code = "import toolkit.inventory as i; i.load = lambda folder: 1 / 0; from toolkit.cli import main; exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", "--commune", "lab"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert done.stderr.startswith("telekit: this is a bug in telekit: ZeroDivisionError. What happened is in ")
    assert "Traceback" not in done.stderr
    log = Path(done.stderr.split()[-1])
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "ZeroDivisionError: division by zero" in log.read_text(encoding="utf-8")


def test_debug_shows_the_traceback_of_a_bug(environment: dict[str, str]) -> None:
    code = "import toolkit.inventory as i; i.load = lambda folder: 1 / 0; from toolkit.cli import main; exit(main())"
    command = [sys.executable, "-c", code, "check", "--commune", "lab", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_error(environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "toolkit", "check", "--commune", "lab"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_with_130_and_a_sentence(environment: dict[str, str], tmp_path: Path, number: int) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "toolkit", "init", "--inventories", str(tmp_path / "new")]
    # Who runs the tests in the background has SIGINT ignored, and so would have all that they start.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True, preexec_fn=listening
    )
    os.close(slave)
    said = _read_until(master, b"Name of the commune")
    process.send_signal(number)
    said += _read_until(master, b"nothing is half done")
    assert process.wait(10) == 130
    assert b"Traceback" not in said
    assert not (tmp_path / "new").exists()
    os.close(master)


def _read_until(descriptor: int, words: bytes, seconds: float = 10) -> bytes:
    said, end = b"", time.monotonic() + seconds
    while words not in said:
        assert select.select([descriptor], [], [], max(0, end - time.monotonic()))[0], said
        said += os.read(descriptor, 4096)
    return said


def test_no_colour_is_written_where_there_is_no_terminal(telekit: Telekit) -> None:
    done = telekit("check", "--commune", "nowhere")
    assert "\x1b" not in done.stdout + done.stderr


def test_colour_is_for_terminals_and_no_color_turns_it_off(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "toolkit", "check", "--commune", "nowhere"]
    assert b"\x1b[31" in _on_terminal(command, environment | {"TERM": "xterm"})
    assert b"\x1b" not in _on_terminal(command, environment | {"TERM": "xterm", "NO_COLOR": "1"})
    assert b"\x1b" not in _on_terminal(command, environment | {"TERM": "dumb"})


def _on_terminal(command: list[str], environment: dict[str, str]) -> bytes:
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    said = b""
    try:
        while chunk := os.read(master, 4096):
            said += chunk
    except OSError:
        pass
    process.wait(10)
    os.close(master)
    return said


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")])
def test_completion_prints_a_script_for_the_shell(telekit: Telekit, shell: str, word: str) -> None:
    done = telekit("completion", shell)
    assert done.returncode == 0
    assert word in done.stdout


def test_the_shell_completes_communes_and_machines(environment: dict[str, str], tmp_path: Path) -> None:
    def complete(*words: str) -> set[str]:
        asked = {"_TELEKIT_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        command = [sys.executable, "-m", "toolkit"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment | asked, cwd=tmp_path)
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert complete("telekit", "plan", "--commune", "l") == {"lab"}
    assert complete("telekit", "plan", "--commune", "lab", "--only", "portable") == {"portable-041", "portable-042"}
    assert "provision" in complete("telekit", "pro")
