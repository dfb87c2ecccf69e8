"""nftables: a whole ruleset, checked, loaded in one step, and known to be the one that runs."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Generator
from io import StringIO

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.facts.files import Sha256File
from pyinfra.operations import files

from deploys.service import UnitState

CANDIDATE = "/etc/telekit/nftables.conf"
BOOT = "/etc/nftables.conf"
VERSION = "@VERSION@"

# In one step or not at all; what is loaded at boot is replaced only by what nft accepted.
LOAD = f"nft --file {CANDIDATE}\n"
LOAD_WITH = f"further=$({{further}})\n{{{{ cat {CANDIDATE}; printf '%s\\n' \"$further\"; }}}} | nft --file -\n"
KEEP = f"""\
install -m 600 {CANDIDATE} {BOOT}.new
mv -f {BOOT}.new {BOOT}
"""


# The table without what comes and goes: counters' values, elements with a time limit or kept by a program, order within a set.
# Numeric: looking up thousands of names of ports takes as long as all the rest.
LISTING = (
    "nft --numeric --stateless list table inet telekit 2>/dev/null"
    " | awk '/^\\tset /{timed=/ varying_/} /flags .*timeout/{timed=1} /^\\t}/{timed=0} !timed'"
    " | tr -s '\\t ,' '\\n' | sort | sha256sum"
)
# The boot file, loaded into an empty network of its own, lists as what runs: else somebody has changed the rules by hand.
# Both are listed at the same time: with the accesses of 1,500 laptops each takes a moment.
LOADED = f"""\
listing={shlex.quote(LISTING)}
version=$(nft --terse list table inet telekit 2>/dev/null | sed -n 's/^\\tcomment "\\(.*\\)"/\\1/p')
if [ -n "$version" ]; then
    both=$({{
        unshare --net sh -c "nft --file {BOOT} && $listing" 2>/dev/null &
        sh -c "$listing"
        wait
    }})
    [ "$(echo "$both" | sort -u | wc -l)" = 1 ] || version="changed by hand"
fi
echo "$version"
"""


class LoadedVersion(FactBase[str]):
    """The version that the loaded ruleset says it is, in a comment of its table; "changed by hand" where it is not."""

    def command(self) -> str:
        return LOADED

    def process(self, output: list[str]) -> str:
        return output[0] if output else ""


def versioned(ruleset: str) -> str:
    """The ruleset with its own version in it: a digest of its text."""
    return ruleset.replace(VERSION, hashlib.sha256(ruleset.encode()).hexdigest()[:32])


def version(ruleset: str) -> str:
    """The version that `versioned` gave."""
    return ruleset.partition('comment "')[2].partition('"')[0]


@operation()
def _load(ruleset: str, further: str) -> Generator[str, None, None]:
    boots = host.get_fact(UnitState, unit="nftables.service", files=[])
    digest = hashlib.sha256(ruleset.encode()).hexdigest()
    if host.get_fact(Sha256File, path=BOOT) != digest or host.get_fact(LoadedVersion) != version(ruleset):
        load = LOAD_WITH.format(further=further) if further else LOAD
        yield f"set -eu\n{load}{KEEP}"
    if boots.enabled != "enabled":
        yield "systemctl enable --quiet nftables.service"


def firewall(ruleset: str, further: str = "") -> None:
    """Have this ruleset loaded, now and at boot. Its table `inet telekit` carries `comment "@VERSION@"`.

    further: a command that prints the elements of the sets `varying_…`, which are loaded in the same step.
    """
    ruleset = versioned(ruleset)
    files.put(name="Write the firewall", src=StringIO(ruleset), dest=CANDIDATE, user="root", group="root", mode="600")
    _load(name="Load the firewall", ruleset=ruleset, further=further)
