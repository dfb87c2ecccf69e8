"""The command `telekit`: parse, call, report. What commands need is imported when they run, so that --help is quick."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from toolkit import __version__
from toolkit.cli import daily, small
from toolkit.cli.agent import access, agent
from toolkit.cli.init import init
from toolkit.cli.kit import kit
from toolkit.cli.lab import lab
from toolkit.cli.options import example
from toolkit.cli.report import report
from toolkit.cli.revoke import revoke
from toolkit.cli.rotate import agent_rotate, rotate
from toolkit.cli.second_factor import second_factor
from toolkit.cli.trust import trust
from toolkit.cli.verify import verify
from toolkit.errors import Problem, TelekitError
from toolkit.report import Report
from toolkit.result import Result

USAGE, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
# What an interruption leaves, where that is not nothing; provision says it machine by machine.
LEFT = {
    "trust": "the keys accepted so far are kept, and running it again goes on from there",
    "rotate": "no laptop is locked out, and `telekit status` says which keys are being replaced",
    "agent rotate": "no laptop is locked out, and `telekit status` says which keys are being replaced",
    "agent revoke": "running it again does what was left undone",
    "lab up": "running it again finishes it, and `telekit lab down` removes what is there",
    "lab down": "running it again finishes it",
}


class Commands(click.Group):
    """Lists its commands in the order of a commune's life, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=example("telekit provision --commune alfortville"),
)
@click.version_option(__version__, prog_name="telekit", message="%(prog)s %(version)s")
def telekit() -> None:
    """Remote access for a town hall: VPN gateway, remote desktops, laptops."""


for command in (
    init, daily.check, trust, daily.plan, daily.provision, verify, report, daily.drift, daily.status, agent, access,
    rotate, small.password, lab, small.completion,
):  # fmt: skip
    telekit.add_command(command)

agent.add_command(revoke)
agent.add_command(agent_rotate)
agent.add_command(kit)
agent.add_command(second_factor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 good, 1 a machine is in trouble, 2 usage, 3 changes pending or drift."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = given[: given.index("--")] if "--" in given else given
    report = Report(_name(options), json="--json" in options, debug="--debug" in options)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(given, report)
    except BrokenPipeError:
        # Whoever read us has read enough; Python must not complain while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    finally:
        report.quiet()


def _run(given: Sequence[str], report: Report) -> int:
    try:
        result = telekit.main(list(given), prog_name="telekit", standalone_mode=False, obj=report)
        if isinstance(result, Result):
            report.result(result)
            return result.exit_code
        return int(result or 0)
    except click.ClickException as error:
        _misused(error, report)
        return USAGE
    except TelekitError as error:
        report.error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        report.failure(Problem(f"interrupted; {LEFT.get(report.command, 'nothing is half done')}"), INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if report.debug:
            raise
        _bug(given, error, report)
        return 1


def _bug(given: Sequence[str], error: Exception, report: Report) -> None:
    from toolkit.cli.bug import record

    problem = Problem(f"this is a bug in telekit: {type(error).__name__}. What happened is in {record(given, error)}")
    report.failure(problem, 1)


def _misused(error: click.ClickException, report: Report) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not report.json:
        report.say(error.format_message())
        return
    context = getattr(error, "ctx", None)
    report.usage(error.format_message().rstrip("."), f"see {context.command_path if context else 'telekit'} --help")


def _name(options: Sequence[str]) -> str:
    """The command that is meant, for an error that comes before it is known."""
    command: click.Command = telekit
    found: list[str] = []
    for word in options:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
            found.append(word)
    return " ".join(found)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
