"""The one way by which a secret reaches a machine: never shown, never an argument, never readable by others."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Generator
from pathlib import PurePosixPath

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.facts.files import File, Sha256File

from toolkit.model import Secret

# The digest travels with the content on standard input: a connection that breaks half-way changes nothing.
WRITE = """\
set -eu
umask 077
read -r digest
new=$(mktemp {beside})
trap 'rm -f -- "$new"' EXIT
base64 -d > "$new"
[ "$(sha256sum < "$new")" = "$digest  -" ] || {{ echo "the connection broke before the whole file had arrived" >&2; exit 1; }}
chown {owner} "$new"
chmod {mode} "$new"
mv -fT -- "$new" {dest}
trap - EXIT
"""


@operation()
def secret_file(
    dest: str, content: Secret, user: str = "root", group: str = "root", mode: str = "600"
) -> Generator[StringCommand, None, None]:
    """Make `dest` hold exactly `content`: private from its first byte, replaced in one step, compared by digest."""
    digest = hashlib.sha256(content.reveal().encode()).hexdigest()
    found = host.get_fact(File, path=dest)
    if (
        found
        and (found["user"], found["group"], found["mode"]) == (user, group, int(mode))
        and host.get_fact(Sha256File, path=dest) == digest
    ):
        host.noop(f"file {dest} is already as it should be")
        return
    yield write_secret(dest, content, user=user, group=group, mode=mode)


def write_secret(dest: str, content: Secret, *, user: str = "root", group: str = "root", mode: str = "600") -> StringCommand:
    """The command that writes it: its content comes on standard input."""
    data = content.reveal().encode()
    digest = hashlib.sha256(data).hexdigest()
    path = PurePosixPath(dest)
    script = WRITE.format(
        beside=shlex.quote(str(path.with_name(f".{path.name}.XXXXXXXXXX"))),
        owner=shlex.quote(f"{user}:{group}"),
        mode=shlex.quote(mode),
        dest=shlex.quote(dest),
    )
    return StringCommand(script, _stdin=f"{digest}\n{base64.encodebytes(data).decode()}")
