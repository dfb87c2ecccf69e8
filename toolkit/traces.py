"""Who did something as root on a machine, as far as its own logs know: sudo, su, package runs, the audit log."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from toolkit.model import Operator

KEPT = 400
# The engine's own way in: a shell that reads a script.
ENGINE = re.compile(r"(?:\S*/timeout (?:-\S+ \S+ )*\S+ )?\S*\bsh -s\b|\S*/true$")
SUDO = re.compile(r"sudo\[\d+\]: +(?P<user>\S+) : .*?\bCOMMAND=(?P<command>.*)$")
SU = re.compile(r"su\[\d+\]: \(to (?P<target>\S+)\) (?P<user>\S+) on ")
LOGIN = re.compile(r"sshd(?:-session)?\[\d+\]: Accepted \S+ for (?P<user>\S+) from (?P<place>\S+) .*?(?P<print>SHA256:\S+)?$")
MOMENT = re.compile(r"(?P<moment>\d+)(?:\.\d+)? \S+ (?P<rest>.*)$")
APT = re.compile(r"(?P<moment>\d+)\t(?P<command>[^\t]*)\t(?P<by>.*)$")
WRITTEN = re.compile(r"(?P<moment>\d+) (?P<file>/.*)$")
# A file that was written by a command is as old as the command, or younger by what its author took: an hour in an editor.
EDITED = 3600

SCRIPT = r"""
since={since}
journalctl --quiet --no-pager --output=short-unix --since "@$since" \
  _COMM=sudo + _COMM=su + _COMM=sshd + _COMM=sshd-session 2>/dev/null |
  grep -E 'COMMAND=|\(to [^ ]+\) |: Accepted ' | tail -n {kept} | sed 's/^/log /'
awk 'BEGIN {{RS = ""; FS = "\n"}} {{
  start = command = by = ""
  for (i = 1; i <= NF; i++) {{
    if ($i ~ /^Start-Date: /) start = substr($i, 13)
    if ($i ~ /^Commandline: /) command = substr($i, 14)
    if ($i ~ /^Requested-By: /) by = substr($i, 15)
  }}
  if (command) print start "\t" command "\t" by
}}' /var/log/apt/history.log 2>/dev/null | tail -n {kept} | while IFS="$(printf '\t')" read -r start command by; do
  moment=$(date -d "$start" +%s) && [ "$moment" -gt "$since" ] && printf 'apt %s\t%s\t%s\n' "$moment" "$command" "$by"
done
for file in {files}; do stat -c "file %Y %n" -- "$file" 2>/dev/null; done
if command -v ausearch > /dev/null; then
  for file in {files}; do
    ausearch --start "$(date -d "@$since" +%x)" "$(date -d "@$since" +%X)" -f "$file" --format text < /dev/null 2>/dev/null |
      tail -n 1 | sed "s|^|audit $file\t|"
  done
fi
echo "clock $(date +%s)"
"""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that somebody did: seconds since 1970, who, what."""

    moment: int
    who: str
    what: str

    def __str__(self) -> str:
        return f"{_local(self.moment)} {self.who}: {self.what}"


@dataclass(frozen=True)
class Traces:
    """deeds: the oldest first. written: file → when it was last written. audited: file → what the audit log says of it."""

    deeds: tuple[Deed, ...] = ()
    written: Mapping[str, int] = field(default_factory=dict)
    audited: Mapping[str, str] = field(default_factory=dict)

    def of(self, files: Sequence[str]) -> str:
        """When these files were written and, where the logs know, by whom and how; "" when they do not even exist."""
        told = [self.audited[file] for file in files if file in self.audited]
        if told:
            return "; ".join(told)
        moments = [self.written[file] for file in files if file in self.written]
        if not moments:
            return self._by(files, None)
        by = self._by(files, max(moments))
        return f"written {_local(max(moments))}" + (f", {by}" if by else "")

    def _by(self, files: Sequence[str], moment: int | None) -> str:
        """Whoever named one of the files in a command, the last one before it was written."""
        named = [deed for deed in self.deeds if any(file in deed.what for file in files)]
        if moment is not None:
            named = [deed for deed in named if moment - EDITED <= deed.moment <= moment + 1]
        return f"by {named[-1].who}: {named[-1].what}" if named else ""


def script(since: datetime, files: Iterable[str]) -> str:
    """What to ask a machine about the time since then and about these files; it only reads."""
    return SCRIPT.format(since=int(since.timestamp()), files=shlex.join(sorted(set(files))) or "''", kept=KEPT)


def parse(text: str, administrator: str, operators: Sequence[Operator]) -> Traces:
    """What a machine answered; behind the administrator's account stands the operator whose key opened it last."""
    reading = _Reading(administrator, {_fingerprint(o): o.name for o in operators if o.public_key.startswith("ssh-")})
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        reading.take(kind, rest)
    return Traces(tuple(sorted(reading.deeds, key=lambda deed: deed.moment)), reading.written, reading.audited)


class _Reading:
    """An answer, as far as it was read."""

    def __init__(self, administrator: str, names: Mapping[str, str]) -> None:
        self.administrator, self.names = administrator, names
        self.behind = administrator
        self.deeds: list[Deed] = []
        self.written: dict[str, int] = {}
        self.audited: dict[str, str] = {}

    def take(self, kind: str, rest: str) -> None:
        """A line that is not what the script writes is left out."""
        if kind == "log" and (said := MOMENT.match(rest)):
            self._log(int(said["moment"]), said["rest"])
        elif kind == "apt" and (ran := APT.match(rest)):
            self.deeds.append(Deed(int(ran["moment"]), ran["by"] or "the system", ran["command"]))
        elif kind == "file" and (found := WRITTEN.match(rest)):
            self.written[found["file"]] = int(found["moment"])
        elif kind == "audit" and "\t" in rest:
            name, _, told = rest.partition("\t")
            self.audited[name] = told

    def _log(self, moment: int, said: str) -> None:
        if login := LOGIN.search(said):
            if login["user"] == self.administrator:
                known = self.names.get(login["print"] or "")
                self.behind = f"{self.administrator} ({known or 'from ' + login['place']})"
            else:
                self.deeds.append(Deed(moment, login["user"], f"logged in from {login['place']}"))
        elif (sudo := SUDO.search(said)) and not ENGINE.match(sudo["command"]):
            self.deeds.append(Deed(moment, self._who(sudo["user"]), f"sudo {sudo['command']}"))
        elif su := SU.search(said):
            self.deeds.append(Deed(moment, self._who(su["user"]), f"su to {su['target']}"))

    def _who(self, account: str) -> str:
        return self.behind if account == self.administrator else account


def _fingerprint(operator: Operator) -> str:
    """As sshd writes it."""
    blob = base64.b64decode(operator.public_key.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def _local(moment: int) -> str:
    """On the operator's clock."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def without_repeats(deeds: Iterable[Deed]) -> tuple[Deed, ...]:
    """What one person did again and again, once: the last time."""
    last = {(deed.who, deed.what): deed for deed in deeds}
    return tuple(sorted(last.values(), key=lambda deed: deed.moment))
