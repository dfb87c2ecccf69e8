"""Batched facts and staged apply for pyinfra: the same recipes, a few round trips a machine instead of hundreds.

    from gevent import monkey
    monkey.patch_all()

    from pyinfra.api import Config
    from toolkit.engine.batch import Connector, Machine

    connector = Connector(Path("known_hosts"), [Path("~/.ssh/id_ed25519").expanduser()])
    machine = Machine("web1", connector.open("web1.example.org", 22, "admin"), config=lambda: Config(SUDO=True))
    for operation in machine.plan([web_server]):
        print(operation.name, operation.diff)
    result = machine.apply([web_server])

This package knows pyinfra and nothing of telekit. docs/engine.md tells how it works.
"""

from toolkit.engine.batch.apply import Applied, Failure, Observer
from toolkit.engine.batch.connect import Connector
from toolkit.engine.batch.link import CommandTimeoutError, Completed, Link, LinkLostError, LocalLink
from toolkit.engine.batch.memory import Memory
from toolkit.engine.batch.plan import PlanFailedError, Planned
from toolkit.engine.batch.reach import UnreachableError
from toolkit.engine.batch.ssh import SshLink
from toolkit.engine.batch.together import Together
from toolkit.engine.batch.work import Machine

__all__ = [
    "Applied",
    "CommandTimeoutError",
    "Completed",
    "Connector",
    "Failure",
    "Link",
    "LinkLostError",
    "LocalLink",
    "Machine",
    "Memory",
    "Observer",
    "PlanFailedError",
    "Planned",
    "SshLink",
    "Together",
    "UnreachableError",
]
