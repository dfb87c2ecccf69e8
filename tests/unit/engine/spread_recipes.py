"""Recipes for machines that are shared out among processes, where only functions of a module can go."""

from __future__ import annotations

from io import StringIO

from pyinfra.context import host
from pyinfra.operations import files, server

from deploys.secret import secret_file
from deploys.stage import stage


def write() -> None:
    """Two files and a secret; the machine that is `broken` fails in the middle."""
    folder = host.data.folder
    files.put(name="Write", src=StringIO(f"for {host.name}\n"), dest=f"{folder}/written")
    if host.data.broken:
        server.shell(name="Break", commands=["echo broken >&2; exit 3"])
    stage("the first file is there")
    secret_file(name="Hide", dest=f"{folder}/hidden", content=host.data.secret, user=host.data.user, group=host.data.group)


def in_turn() -> None:
    """Once over all machines, and one machine at a time."""
    log = host.data.log
    server.shell(name="Once", commands=[f"echo once >> {log}.once"], _run_once=True)
    server.shell(name="In turn", commands=[f"echo in >> {log}; sleep 0.1; echo out >> {log}"], _serial=True)


def linger() -> None:
    """Never come to an end by itself."""
    server.shell(name="Linger", commands=[f"touch {host.data.folder}/lingers; sleep 60"])


def vanish() -> None:
    """Kill the process that works on this machine, if it is the one that is `broken`."""
    import os
    import signal

    if host.data.broken:
        os.kill(os.getpid(), signal.SIGKILL)
