"""A bare machine's first account: made once with a password, which is used and forgotten."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import TelekitError
from toolkit.knownhosts import HostKey
from toolkit.model import Secret, SshAddress

SECONDS = 10.0
INSTALL_SECONDS = 300.0

# Arrives on standard input. Everything is written beside its place and renamed, so that a cut line leaves nothing half done.
# The rule stands where the recipe keeps its own: sudo reads no file with a dot in its name, which an account may have.
SCRIPT = """\
set -eu
umask 077
command -v sudo >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq sudo >/dev/null
id -u {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}
home=$(getent passwd {user} | cut -d: -f6)
group=$(id -gn {user})
install -d -m 0700 -o {user} -g "$group" "$home/.ssh"
printf '%s' {keys} | base64 -d > "$home/.ssh/.authorized_keys.new"
chown {user}:"$group" "$home/.ssh/.authorized_keys.new"
mv "$home/.ssh/.authorized_keys.new" "$home/.ssh/authorized_keys"
printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\\n' {user} > /etc/sudoers.d/.telekit.new
chmod 0440 /etc/sudoers.d/.telekit.new
visudo -cqf /etc/sudoers.d/.telekit.new
mv /etc/sudoers.d/.telekit.new /etc/sudoers.d/telekit
echo telekit-bootstrapped
"""


def bootstrap(
    address: SshAddress,
    key: HostKey,
    login: str,
    password: Secret,
    *,
    user: str,
    operators: Sequence[str],
    identities: Sequence[Path],
) -> None:
    """Make `user` on the machine, with the operators' keys and sudo without a password, and prove that a key gets in.

    login: who may log in with the password: root, or an account that may use sudo.
    """
    keys = [line for line in operators if line.startswith(("ssh-", "ecdsa-", "sk-"))]
    if not keys:
        raise TelekitError("there is no SSH key to give the account", where="operators.keys", hint="add a line of ~/.ssh/*.pub")
    script = SCRIPT.format(user=shlex.quote(user), keys=base64.b64encode(("\n".join(keys) + "\n").encode()).decode("ascii"))
    refused = f"{login} may not log in with that password"
    with (
        _explained(refused, "does its sshd allow passwords for this account?"),
        _Shell(address, key, login, password=password) as shell,
    ):
        shell.as_root(script)
    refused = f"{user} is ready, but none of your private keys opens it"
    with _explained(refused, "is your public key in operators.keys?"), _Shell(address, key, user, identities=identities) as shell:
        shell.run("sudo -n true")


@contextmanager
def _explained(refused: str, hint: str) -> Iterator[None]:
    """paramiko's errors as sentences."""
    import paramiko

    try:
        yield
    except paramiko.AuthenticationException as error:
        raise TelekitError(refused, hint=hint) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise TelekitError(f"the connection ended: {error}") from error


class _Shell:
    """A connection to a machine that accepts its pinned key only."""

    def __init__(
        self, address: SshAddress, key: HostKey, user: str, *, password: Secret | None = None, identities: Sequence[Path] = ()
    ) -> None:
        import paramiko

        self.user, self.password = user, password
        self.client = paramiko.SSHClient()
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        pinned = paramiko.PKey.from_type_string(key.kind, base64.b64decode(key.blob))
        name = address.host if address.port == 22 else f"[{address.host}]:{address.port}"
        self.client.get_host_keys().add(name, key.kind, pinned)
        self.client.connect(
            address.host, address.port, user, password=password.reveal() if password else None,
            key_filename=[str(file) for file in identities],  # type: ignore[arg-type] # its stubs know of one file only
            look_for_keys=False, allow_agent=bool(identities),
            timeout=SECONDS, banner_timeout=SECONDS, auth_timeout=SECONDS,
        )  # fmt: skip

    def __enter__(self) -> _Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def as_root(self, script: str) -> None:
        """Run a script as root. sudo gets the password only if it will ask: the shell must never read it as a command."""
        if self.user == "root":
            self.run("sh -s", script)
        elif self._succeeds("sudo -n true"):
            self.run("sudo -n sh -s", script)
        elif self._succeeds("command -v sudo"):
            assert self.password is not None, "who has no password came with a key"
            self.run("sudo -S -k -p '' sh -s", f"{self.password.reveal()}\n{script}", secret=True)
        else:
            raise TelekitError(
                f"{self.user} has no sudo on this machine", hint="use --bootstrap root, or install sudo at its console"
            )

    def _succeeds(self, command: str) -> bool:
        return self._execute(command, "")[0] == 0

    def run(self, command: str, stdin: str = "", *, secret: bool = False) -> None:
        """Run a command that must succeed; secret: its input, and so perhaps its errors, must not be shown."""
        code, said = self._execute(command, stdin)
        if code != 0:
            why = "" if secret else "".join(said.strip().splitlines()[-1:])
            reason = why or ("is the password right, and may the account use sudo?" if secret else "no reason given")
            raise TelekitError(f"`{command}` as {self.user} failed (exit {code}): {reason}")

    def _execute(self, command: str, stdin: str) -> tuple[int, str]:
        channel_in, channel_out, channel_err = self.client.exec_command(command, timeout=INSTALL_SECONDS)
        channel_in.write(stdin)
        channel_in.channel.shutdown_write()
        channel_out.read()
        said = channel_err.read().decode("utf-8", "replace")
        return channel_out.channel.recv_exit_status(), said
