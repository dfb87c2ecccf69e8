"""The connector `@batch` for the plain `pyinfra` command: the same SSH as `Machine` has, and facts that are asked together.

    pyinfra @batch/web1.example.org deploy.py

pyinfra evaluates one operation after the other, so facts can only be gathered by what the machine was asked the last time;
they are kept until a command runs. Commands go one by one, as with pyinfra's own SSH. Data are those of pyinfra's `@ssh`:
ssh_hostname, ssh_port, ssh_user, ssh_key, ssh_config_file, ssh_known_hosts_file; host keys must be known.
"""

from __future__ import annotations

import atexit
import getpass
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.base import DataMeta
from pyinfra.connectors.util import CommandOutput
from typing_extensions import TypedDict, override

from toolkit.engine.batch.connect import Connector
from toolkit.engine.batch.connector import BatchConnector, batchable
from toolkit.engine.batch.facts import Facts, judged
from toolkit.engine.batch.memory import Memory
from toolkit.engine.batch.questions import Question, question_of
from toolkit.engine.batch.reach import UnreachableError

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.state import State

# How many of the questions that followed last time go along with one that is asked after a change.
FOLLOWING = 20


class ConnectorData(TypedDict):
    ssh_hostname: str
    ssh_port: int
    ssh_user: str
    ssh_key: str
    ssh_config_file: str
    ssh_known_hosts_file: str
    batch_memory: str


class BatchedSsh(BatchConnector):
    """Facts in batches over one SSH connection, for pyinfra's own way of running operations."""

    data_cls = ConnectorData
    data_meta = {  # noqa: RUF012 - as pyinfra has it
        "ssh_hostname": DataMeta("SSH hostname"),
        "ssh_port": DataMeta("SSH port", 22),
        "ssh_user": DataMeta("SSH user"),
        "ssh_key": DataMeta("SSH key filename"),
        "ssh_config_file": DataMeta("SSH config filename", "~/.ssh/config"),
        "ssh_known_hosts_file": DataMeta("SSH known_hosts filename", "~/.ssh/known_hosts"),
        "batch_memory": DataMeta("File for what hosts were asked", "~/.cache/pyinfra-batch/questions.json"),
    }

    def __init__(self, state: State, host: Host) -> None:
        self._ask_host = host.get_fact
        self._asking = 0
        super().__init__(state, host, None, None)  # type: ignore[arg-type]  # they come with the connection
        self.data: ConnectorData
        # Commands and facts' commands look the same from here on.
        host.get_fact = self._get_fact  # type: ignore[method-assign]  # pyinfra has no other place

    @override
    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        yield f"@batch/{name}", {"ssh_hostname": name}, []

    @override
    def connect(self) -> None:
        data = self.data
        known_hosts, config = Path(data["ssh_known_hosts_file"]).expanduser(), Path(data["ssh_config_file"]).expanduser()
        identities = [Path(data["ssh_key"]).expanduser()] if data["ssh_key"] else _usual_keys()
        seconds = self.state.config.CONNECT_TIMEOUT
        try:
            connector = Connector(known_hosts, identities, connect_seconds=seconds, ssh_config=config)
            host, user = data["ssh_hostname"] or self.host.name, data["ssh_user"] or getpass.getuser()
            self.link = connector.open(host, int(data["ssh_port"]), user)
        except UnreachableError as error:
            raise ConnectError(str(error)) from error
        kept = _kept(Path(data["batch_memory"]).expanduser())
        self.facts = Facts(self.link, kept.memory.questions(self.host.name))
        kept.facts[self.host.name] = self.facts

    @override
    def disconnect(self) -> None:
        self.link.close()

    def _get_fact(self, *args: Any, **kwargs: Any) -> Any:
        self._asking += 1
        try:
            return self._ask_host(*args, **kwargs)
        finally:
            self._asking -= 1

    @override
    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        if not self._asking or not batchable(arguments):
            return super().run_shell_command(command, print_output, print_input, **arguments)
        question = question_of(command, arguments)
        self.facts.remember("", question)
        answer = self.facts.recall(question)
        if answer is None:
            questions = [question, *(other for other in self._next_after(question) if self.facts.recall(other) is None)]
            answers = dict(zip(questions, self.facts.gather(questions), strict=True))
            self.facts.keep(answers)
            answer = answers[question]
        return judged(question, answer)

    def _next_after(self, question: Question) -> list[Question]:
        if not self.facts.rounds:
            return [other for other in self.facts.expected if other != question]
        order = list(dict.fromkeys([*self.facts.expected, *self.facts.all_asked()]))
        place = order.index(question) + 1
        return order[place : place + FOLLOWING]


class _Kept:
    """The memory of one file for all hosts of this process, written when it ends."""

    def __init__(self, file: Path) -> None:
        self.memory = Memory(file)
        self.facts: dict[str, Facts] = {}
        atexit.register(self.keep)

    def keep(self) -> None:
        self.memory.keep({name: facts.all_asked() for name, facts in self.facts.items()})


@cache
def _kept(file: Path) -> _Kept:
    return _Kept(file)


def _usual_keys() -> list[Path]:
    folder = Path("~/.ssh").expanduser()
    return [file for name in ("id_ed25519", "id_ecdsa", "id_rsa") if os.access(file := folder / name, os.R_OK)]
