"""What uploads would change, shown as unified diffs: the machine's files are read in one more script."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from pyinfra.api.command import FileUploadCommand, QuoteString, StringCommand

from toolkit.engine.batch.machine import Operation, Run
from toolkit.engine.batch.questions import Question, question_of
from toolkit.engine.batch.script import arguments_of
from toolkit.engine.batch.upload import upload_of

FILE_BYTES = 65536
DIFF_LINES = 200
ABSENT = 44

# A file that somebody else wrote may hold what nobody should read over a shoulder: the value of a name in which one of
# these stands, whatever separates its words, or that has one of the short ones as a word.
_TELLING_NAMES = ("passw", "passphrase", "motdepasse", "secret", "token", "privatekey", "presharedkey", "apikey", "accesskey")
_SHORT_NAMES = frozenset({"pwd", "mdp", "psk", "pin"})
_SETTING = re.compile(r"""^([ +-]?\s*["']?)([\w.-]+)(["']?\s*[:=]\s*)(\S.*)$""")
# What is no secret by whatever name: a choice, a place, what is asked for when it is needed, a source of accounts.
_HARMLESS = frozenset({"yes", "no", "true", "false", "on", "off", "none", "ask", "files", "systemd", "compat", "sss", "ldap"})
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def uploads(operation: Operation) -> list[FileUploadCommand]:
    return [command for command in operation.commands if isinstance(command, FileUploadCommand)]


def read_remote(run: Run, operations: Sequence[Operation]) -> dict[str, str | None]:
    """The present content of every file that would be written; None: there is none. One script for all of them."""
    questions = {command.dest: _question(run, operation, command) for operation in operations for command in uploads(operation)}
    if not questions:
        return {}
    answers = run.facts.gather(list(questions.values()))
    return {dest: None if status == ABSENT else text for dest, (status, text, _) in zip(questions, answers, strict=True)}


def _question(run: Run, operation: Operation, command: FileUploadCommand) -> Question:
    dest = QuoteString(command.dest)
    read = StringCommand("[ -f", dest, "] || exit", str(ABSENT), ";", "head -c", str(FILE_BYTES + 1), dest)
    return question_of(read, arguments_of(operation, command))


def diff_of(operation: Operation, remote: dict[str, str | None]) -> str:
    """The unified diffs of an operation's uploads, with values that look secret masked."""
    return "\n".join(filter(None, (_diff(command, remote.get(command.dest)) for command in uploads(operation))))


def _diff(command: FileUploadCommand, old: str | None) -> str:
    upload = upload_of(command.src, command.dest)
    if upload.size > FILE_BYTES or len(old or "") > FILE_BYTES:
        return f"{command.dest}: too long to compare here ({upload.size} bytes to write)"
    new = upload.content().decode(errors="replace")
    if any(mark in text for text in (old or "", new) for mark in ("\0", "\ufffd")):
        return f"{command.dest}: not a text ({upload.size} bytes to write)"
    if _PEM.search(old or "") or _PEM.search(new):
        return f"{command.dest}: holds a private key, which is not shown"
    return _unified(command.dest, old, new)


def _unified(dest: str, old: str | None, new: str) -> str:
    before = (old or "").splitlines()
    source = dest if old is not None else "/dev/null"
    lines = list(difflib.unified_diff(before, new.splitlines(), source, dest, lineterm="", n=2))
    if len(lines) > DIFF_LINES:
        lines = [*lines[:DIFF_LINES], f"… {len(lines) - DIFF_LINES} more lines"]
    return "\n".join(_SETTING.sub(_masked, line) for line in lines)


def _masked(setting: re.Match[str]) -> str:
    before, name, between, value = setting.groups()
    return f"{before}{name}{between}***" if _is_secret(name) and not _is_harmless(value) else setting[0]


def _is_secret(name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    joined = "".join(words).lower()
    return any(word in joined for word in _TELLING_NAMES) or any(word.lower() in _SHORT_NAMES for word in words)


def _is_harmless(value: str) -> bool:
    words = [word.strip("\"',;") for word in value.split()]
    return all(word.lower() in _HARMLESS or re.fullmatch(r"/[\w./-]+", word) for word in words)


def detail_of(operation: Operation, remote: dict[str, str | None]) -> str:
    """What the operation's commands do, in a few words, where they are such that nothing secret can stand in them."""
    if written := uploads(operation):
        # A diff says the rest; owner and mode are set again whenever the content changes.
        return "; ".join(filter(None, (_new(operation, command) for command in written if remote.get(command.dest) is None)))
    told = [_brief(str(command)) for command in operation.commands if isinstance(command, StringCommand)]
    return "; ".join(dict.fromkeys(filter(None, told)))[:200]


def _new(operation: Operation, command: FileUploadCommand) -> str:
    following = operation.commands[operation.commands.index(command) + 1 :]
    upload = upload_of(command.src, command.dest, tuple(following))
    return " ".join(filter(None, ("new file", upload.owner, upload.mode)))


_TELLING = ("chmod", "chown", "chgrp", "mkdir", "ln", "rm", "touch", "systemctl")


def _brief(command: str) -> str:
    words = command.split()
    if any(mark in command for mark in ";|&<>\n"):
        return ""
    if "apt-get" in words and "install" in words:
        return "install " + " ".join(word for word in words[words.index("install") + 1 :] if not word.startswith("-"))
    return command if words and words[0] in _TELLING else ""
