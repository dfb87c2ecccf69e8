"""The tests' SSH server, which also tells what it was asked: FOLDER/PORT.log, a word a line. Arguments as ssh_server.py."""

from __future__ import annotations

import sys
from pathlib import Path

import paramiko
import ssh_server


class TellingServer(ssh_server.Server):
    """One connection, each request of which is told."""

    def tell(self, word: str) -> None:
        with self.folder.with_suffix(".log").open("a") as log:
            log.write(f"{word}\n")

    def check_auth_none(self, username: str) -> int:
        self.tell("login without anything")
        return paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.tell("login")
        return super().check_auth_publickey(username, key)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.tell("channel")
        return super().check_channel_request(kind, chanid)

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        self.tell(kind)
        return False

    def check_channel_env_request(self, channel: paramiko.Channel, name: bytes, value: bytes) -> bool:
        self.tell("environment")
        return False

    def check_channel_pty_request(self, channel: paramiko.Channel, *details: object) -> bool:
        self.tell("terminal")
        return False

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self.tell(name)
        return False

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.tell("command")
        return super().check_channel_exec_request(channel, command)


if __name__ == "__main__":
    ssh_server.Server = TellingServer  # type: ignore[misc]  # a class in another's place
    Path(sys.argv[3]).mkdir(exist_ok=True)
    ssh_server.main(*sys.argv[1:])
