"""The pyinfra connector of the batch engine: facts go through the wave, everything else over the link at once."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyinfra.api.command import FileUploadCommand, QuoteString, StringCommand
from pyinfra.api.util import get_file_io
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, make_unix_command_for_host, write_stdin
from pyinfra.context import ctx_host
from typing_extensions import override

from toolkit.engine.batch.facts import Answer, Facts, Judged, judged
from toolkit.engine.batch.link import Link
from toolkit.engine.batch.questions import Question, as_output, question_of
from toolkit.engine.batch.sudo import CONTROL
from toolkit.engine.batch.upload import upload_of
from toolkit.engine.batch.wave import Wave

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.state import State


class NotNowError(Exception):
    """A condition asks the machine something while the answer is still being changed."""


class BatchConnector(BaseConnector):
    """Runs a host's commands over a link.

    wave: set while operations are evaluated side by side. closed: whoever asks now asks too early. expected: what the
    operation that runs will issue, which tells an upload the owner and mode that its file will have.
    """

    handles_execution = True

    def __init__(self, state: State, host: Host, link: Link, facts: Facts) -> None:
        super().__init__(state, host)
        self.link = link
        self.facts = facts
        self.wave: Wave[Any] | None = None
        self.closed = False
        self.expected: Sequence[Any] = ()

    @override
    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        yield name, {}, []

    @override
    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        if self.closed:
            raise NotNowError
        if self.wave is not None and batchable(arguments):
            question = question_of(command, arguments)
            return judged(question, self.ask(question))
        # Whatever else runs may change what was read before.
        self.facts.forget()
        return self._run(command, arguments)

    def ask(self, question: Question) -> Answer:
        """The answer, which others wait for as well; only while operations are evaluated side by side."""
        assert self.wave is not None
        self.facts.remember(getattr(ctx_host.get(), "asker", ""), question)
        return self.wave.fetch(question)

    def _run(self, command: StringCommand, arguments: dict[str, Any]) -> Judged:
        shaping = {key: value for key, value in arguments.items() if key not in CONTROL}
        line = make_unix_command_for_host(self.state, self.host, command, **shaping).get_raw_value()
        stdin = [stdin_bytes(arguments["_stdin"])] if arguments.get("_stdin") else []
        completed = self.link.execute(line, stdin, timeout=arguments.get("_timeout") or None)
        codes = arguments.get("_success_exit_codes") or [0]
        return completed.code in codes, as_output(
            completed.stdout.decode(errors="replace"), completed.stderr.decode(errors="replace")
        )

    @override
    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        self.facts.forget()
        upload = upload_of(filename_or_io, remote_filename, self._following(remote_filename))
        line = self._line(upload.command(), arguments)
        completed = self.link.execute(line, upload.chunks())
        if completed.code:
            raise OSError(completed.complaint or f"the upload to {remote_filename} failed")
        return True

    def _following(self, dest: str) -> tuple[Any, ...]:
        for place, command in enumerate(self.expected):
            if isinstance(command, FileUploadCommand) and command.dest == dest:
                return tuple(self.expected[place + 1 :])
        return ()

    @override
    def get_file(
        self,
        remote_filename: str,
        filename_or_io: Any,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        # Straight through: a copy in /tmp that everybody may read, as SFTP needs, would give secrets away.
        line = self._line(StringCommand("cat", "--", QuoteString(remote_filename)), arguments)
        with get_file_io(filename_or_io, "wb") as file:
            completed = self.link.execute(line, on_stdout=file.write)
        if completed.code:
            raise OSError(completed.complaint or f"the download of {remote_filename} failed")
        return True

    def _line(self, command: StringCommand, arguments: dict[str, Any]) -> str:
        shaping = {key: value for key, value in arguments.items() if key not in CONTROL}
        return str(make_unix_command_for_host(self.state, self.host, command, **shaping).get_raw_value())


def batchable(arguments: Mapping[str, Any]) -> bool:
    """Whether a fact's command can be one of many in a script."""
    alone = ("_get_pty", "_stdin", "_timeout", "_sudo_password", "_su_password")
    return isinstance(arguments.get("_shell_executable"), str) and not any(arguments.get(key) for key in alone)


class _Kept(io.BytesIO):
    """A buffer that stays readable when pyinfra closes it."""

    @override
    def close(self) -> None:
        self.flush()


def stdin_bytes(stdin: str | Iterable[str]) -> bytes:
    """What pyinfra would write to a command's standard input."""
    buffer = _Kept()
    write_stdin(stdin, buffer)
    return buffer.getvalue()
