"""The script that opens a remote desktop on a laptop, as root, beside an agent who may wish to be root."""

from __future__ import annotations

import re

from toolkit.checks.screen import LOGIN


def test_the_agent_owns_no_folder_in_which_root_writes() -> None:
    assert re.findall(r"^ *(?:chown|install).*", LOGIN, re.MULTILINE) == ['chown {account}: "$work/home"']
    written = set(re.findall(r'(?:>\s*|-out )"?\$work/([a-z/.]+)', LOGIN))
    assert written >= {"client", "xvfb", "new.xwd"}
    assert not [name for name in written if name.startswith("home")]
