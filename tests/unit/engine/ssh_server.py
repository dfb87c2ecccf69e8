"""An SSH server for tests, as a program: python ssh_server.py HOST_KEY CLIENT_KEY FOLDER COUNT

It listens on COUNT ports of this computer, prints them, and runs what it is asked for in a folder for each port.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko


class Server(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, client: paramiko.PKey, folder: Path) -> None:
        self.client, self.folder = client, folder

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key.asbytes() == self.client.asbytes() else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        return False

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self.run, args=(channel, command.decode()), daemon=True).start()
        return True

    def run(self, channel: paramiko.Channel, command: str) -> None:
        # Beside the folder, so that nobody finds it in there.
        with self.folder.with_suffix(".executions").open("a") as log:
            log.write("one\n")
        pipe = subprocess.PIPE
        process = subprocess.Popen(["sh", "-c", command], cwd=self.folder, stdin=pipe, stdout=pipe, stderr=pipe)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        pumps = [
            threading.Thread(target=pump, args=(process.stdout.fileno(), channel.sendall)),
            threading.Thread(target=pump, args=(process.stderr.fileno(), channel.sendall_stderr)),
        ]
        for thread in pumps:
            thread.start()
        while data := channel.recv(65536):
            try:
                process.stdin.write(data)
                process.stdin.flush()
            except BrokenPipeError:
                break
        process.stdin.close()
        for thread in pumps:
            thread.join()
        channel.send_exit_status(process.wait() & 0xFF)
        channel.close()


def pump(source: int, send: Callable[[bytes], object]) -> None:
    while data := os.read(source, 65536):
        send(data)


def serve(listener: socket.socket, host_key: paramiko.PKey, client: paramiko.PKey, folder: Path) -> None:
    while True:
        sock, _ = listener.accept()
        transport = paramiko.Transport(sock)
        transport.add_server_key(host_key)
        try:
            transport.start_server(server=Server(client, folder))
        except (paramiko.SSHException, EOFError, OSError):
            transport.close()


def main(host_key: str, client_key: str, folder: str, count: str) -> None:
    key, client = (paramiko.PKey.from_path(file) for file in (host_key, client_key))
    for _ in range(int(count)):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        place = Path(folder) / str(port)
        place.mkdir()
        threading.Thread(target=serve, args=(listener, key, client, place), daemon=True).start()
        print(port)
    print(flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
