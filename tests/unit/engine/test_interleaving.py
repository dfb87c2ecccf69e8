"""Which facts may be read before an operation's first commands although it asks for them after."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from pyinfra.api.command import FileUploadCommand, StringCommand
from pyinfra.facts.files import File
from pyinfra.facts.server import TmpDir, Users

from toolkit.engine.batch.interleaving import is_untouched

UPLOAD = FileUploadCommand(StringIO("x"), "/etc/a")


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/etc/b", UPLOAD),
        ("/etc/new/file", StringCommand("mkdir", "-p", "/etc/new")),
        ("/etc/other", StringCommand("chmod", "640", "/etc/a")),
        ("/etc/ab", StringCommand("touch", "/etc/a")),
    ],
)
def test_a_path_that_no_command_touches_may_be_read_before(path: str, command: Any) -> None:
    assert is_untouched(File, (), {"path": path}, [command])


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/etc/a", UPLOAD),
        ("/etc", StringCommand("mkdir", "-p", "/etc/new")),
        ("/etc/a", StringCommand("chmod", "640", "/etc/a")),
        ("/etc/a/b", StringCommand("chown", "-R", "root", "/etc/a")),
        ("/etc/a/b", StringCommand("rm", "-rf", "/etc/a")),
        ("/home/agent", StringCommand("useradd", "agent")),
        ("/etc/a", StringCommand("unfinished 'quote")),
        ("/etc/a", object()),
    ],
)
def test_a_path_that_a_command_may_touch_must_be_read_after(path: str, command: Any) -> None:
    assert not is_untouched(File, (), {"path": path}, [command])


def test_a_fact_about_something_else_must_be_read_after() -> None:
    assert not is_untouched(Users, (), {}, [UPLOAD])
    assert is_untouched(TmpDir, (), {}, [UPLOAD])
