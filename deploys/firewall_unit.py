"""Rules stay in force while the firewall's own package is updated."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys.service import UnitState
from deploys.template import MANAGED
from deploys.text import text_file

UNIT = "nftables.service"
FILE = f"/etc/systemd/system/{UNIT}.d/telekit.conf"
# An update of the package restarts the unit, at night and unasked.
TEXT = f"""\
# {MANAGED}
[Service]
# Debian's would leave no rules at all between stop and start, and for good if the start fails. What starts replaces them in
# one step. To be without rules: nft flush ruleset
ExecStop=
"""


@operation()
def _reread() -> Generator[str, None, None]:
    found = host.get_fact(UnitState, unit=UNIT, files=[FILE])
    if found.stale_unit or found.digests.get(FILE) != hashlib.sha256(TEXT.encode()).hexdigest():
        yield "systemctl daemon-reload"


def standing_rules() -> None:
    """Have the unit that loads the rules never take them away; before its package is there, too."""
    text_file("Write how the firewall is restarted", FILE, TEXT)
    _reread(name="Have the firewall's restart known")
