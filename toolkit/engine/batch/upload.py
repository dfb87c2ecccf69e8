"""Write a file on a machine in one step: whoever reads it meanwhile sees the old content or the new, whole."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyinfra.api.command import FileUploadCommand, StringCommand
from pyinfra.api.util import get_file_io

CHUNK = 65536

# put DEST SIZE OWNER MODE < content. What `cp` onto the destination keeps is kept: a link is followed, an existing file's
# mode and owner stay, a device is written to. A new file is private until it has the owner and mode the operation gives it.
# Where a rename cannot be (a bind mount, a directory that is not ours, somebody else's file), it is written in place.
PUT = """\
p=
trap '[ -z "$p" ] || rm -f -- "$p"' EXIT
trap 'exit 129' HUP
trap 'exit 141' PIPE
trap 'exit 143' TERM
d=$1
if [ -L "$d" ]; then d=$(readlink -f -- "$d") || d=$1; fi
case $d in */*) b=${d%/*}/ ;; *) b=./ ;; esac
for s in "$b".pyinfra-batch.*; do
  [ -f "$s" ] && [ -O "$s" ] || continue
  o=${s##*/.pyinfra-batch.}
  kill -0 "${o%%.*}" 2>/dev/null || rm -f -- "$s"
done
if [ -e "$d" ] && { [ ! -f "$d" ] || { [ ! -O "$d" ] && [ "$(id -u)" != 0 ]; }; }; then
  cat >"$d"
  exit
fi
if ! p=$(mktemp "${b}.pyinfra-batch.$$.XXXXXXXX" 2>/dev/null); then
  p=
  cat >"$d"
  exit
fi
if [ -e "$d" ]; then cp -p -- "$d" "$p" || exit; n=; else n=1; fi
cat >"$p" || exit
c=$(wc -c <"$p")
if [ "$c" -ne "$2" ]; then
  echo "$1: $c bytes arrived of $2" >&2
  exit 1
fi
if [ -n "$n" ]; then
  if [ -n "$3$4" ]; then
    [ -z "$3" ] || chown -- "$3" "$p" 2>/dev/null || :
    [ -z "$4" ] || chmod -- "$4" "$p" 2>/dev/null || :
  else
    chmod =rw "$p" || exit
  fi
fi
if mv -f -- "$p" "$d" 2>/dev/null; then p=; else cat "$p" >"$d"; fi
"""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be written. owner, mode: what the same operation gives it right afterwards, if anything."""

    source: Any
    dest: str
    size: int
    owner: str = ""
    mode: str = ""

    def chunks(self) -> Iterator[bytes]:
        with get_file_io(self.source) as file:
            while chunk := file.read(CHUNK):
                yield chunk.encode() if isinstance(chunk, str) else chunk

    def content(self) -> bytes:
        return b"".join(self.chunks())

    @property
    def arguments(self) -> str:
        return " ".join(shlex.quote(word) for word in (self.dest, str(self.size), self.owner, self.mode))

    def command(self) -> StringCommand:
        """The program and its arguments for a command of its own, the content being its standard input."""
        return StringCommand(f"set -- {self.arguments}\n{PUT}")

    def __repr__(self) -> str:
        return f"Upload({self.size} bytes to {self.dest})"


def upload_of(source: Any, dest: str, following: tuple[Any, ...] = ()) -> Upload:
    """The upload of a pyinfra command; `following`: the operation's next commands, which may own and open the file."""
    size = 0
    with get_file_io(source) as file:
        while chunk := file.read(CHUNK):
            size += len(chunk.encode() if isinstance(chunk, str) else chunk)
    quoted = shlex.quote(dest)
    owner, mode = _argument("chown", following, quoted), _argument("chmod", following, quoted)
    return Upload(source, dest, size, owner, mode)


def _argument(program: str, commands: tuple[Any, ...], quoted: str) -> str:
    """What `chown OWNER DEST` or `chmod MODE DEST` among the commands would set."""
    for command in commands:
        if isinstance(command, FileUploadCommand):
            break
        words = str(command).split() if isinstance(command, StringCommand) else []
        if len(words) == 3 and words[0] == program and words[2] == quoted:
            return shlex.split(words[1])[0]
    return ""
