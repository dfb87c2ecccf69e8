"""Who we are to a machine: private keys from files, read once, then the agent's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import paramiko
from paramiko.agent import Agent


class Identities:
    """The keys to offer, in order. `locked`: files whose key has a passphrase, which only an agent can use."""

    def __init__(self, files: Sequence[Path], *, agent: bool = True) -> None:
        self.keys: list[paramiko.PKey] = []
        self.locked: list[Path] = []
        self.agent = agent
        for file in files:
            try:
                self.keys.append(paramiko.PKey.from_path(file))
            except paramiko.PasswordRequiredException:
                self.locked.append(file)
            except TypeError:
                # cryptography's own word for a PEM or OpenSSH key whose passphrase was not given.
                self.locked.append(file)

    def authenticate(self, transport: paramiko.Transport, user: str) -> bool:
        """Log in as `user`; False: no key was let in."""
        for key in self.keys:
            if _accepted(transport, user, key):
                return True
        return self.agent and self._ask_agent(transport, user)

    def _ask_agent(self, transport: paramiko.Transport, user: str) -> bool:
        # An agent connection of one's own: two greenlets that sign over one would read each other's answers.
        with closing(Agent()) as agent:
            return any(_accepted(transport, user, key) for key in self._of(agent))

    def _of(self, agent: Agent) -> Iterator[paramiko.PKey]:
        offered = {key.asbytes() for key in self.keys}
        return (key for key in agent.get_keys() if key.asbytes() not in offered)


def _accepted(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    try:
        # What is left to be asked for after a key (a second factor) we cannot give: not accepted.
        return transport.is_active() and not transport.auth_publickey(user, key)
    except paramiko.AuthenticationException:
        return False
