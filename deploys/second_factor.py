"""The second factor of a remote desktop: a code beside the password, for the agents whose profile asks for one.

It is xrdp's alone: SSH, sudo, the console and screen locks go on with the password.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from pyinfra.api.command import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations import files

from deploys.secret import write_secret
from deploys.template import render
from deploys.text import no_file, text_file
from toolkit.model import Agent, Commune, Desktop, SecondFactor, Secret

PACKAGE = "libpam-google-authenticator"
SERVICE = "/etc/pam.d/xrdp-sesman"
# One file an agent: the secret, what the module has to remember of codes that were used, the emergency codes that are left.
FOLDER = "/etc/telekit/totp"
EXEMPT = "/etc/telekit/password-alone"
FAILURES, WITHIN_SECONDS, LOCKED_SECONDS = 5, 900, 600
# A code is good for its half minute, the one before and the one after, and once.
OPTIONS = ('" WINDOW_SIZE 3', '" DISALLOW_REUSE', '" TOTP_AUTH')

LIST = """\
for file in {folder}/* {folder}/.[!.]*; do
    [ -f "$file" ] || continue
    digest=$(head -n 1 "$file" | tr -d '\\n' | sha256sum)
    printf '%s\\t%s\\t%s\\n' "$(stat -c %U:%G:%a "$file")" "${{digest%% *}}" "${{file##*/}}"
done
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the folder: owner and mode, and the digest of its secret."""

    access: str
    digest: str


@dataclass(slots=True)
class Found:
    """The files of the folder by name."""

    files: dict[str, Kept] = field(default_factory=dict)


class SecondFactors(FactBase[Found]):
    """Who has a second factor on this machine; of a secret, its digest alone is told."""

    default = Found

    def command(self) -> str:
        return LIST.format(folder=FOLDER)

    def process(self, output: list[str]) -> Found:
        rows = (line.split("\t", 2) for line in output if line.count("\t") >= 2)
        return Found({name: Kept(access, digest) for access, digest, name in rows})


def state(factor: Secret) -> Secret:
    """The file as the module expects it. factor: the seed, then the emergency codes, one a line."""
    seed, *codes = factor.reveal().split()
    return Secret("\n".join([seed, *OPTIONS, *codes, ""]))


@operation()
def know_factors(factors: Mapping[str, Secret]) -> Generator[StringCommand, None, None]:
    """Have a file for each agent with this secret: the rest of a file is the module's, which notes in it what was used."""
    found = host.get_fact(SecondFactors).files
    for name, factor in factors.items():
        digest = hashlib.sha256(factor.reveal().split()[0].encode()).hexdigest()
        if found.get(name) != Kept("root:root:400", digest):
            yield write_secret(f"{FOLDER}/{name}", state(factor), mode="400")


@operation()
def forget_factors(staying: Sequence[str]) -> Generator[str, None, None]:
    """Have no file of anybody else."""
    for name in sorted(set(host.get_fact(SecondFactors).files) - set(staying)):
        yield f"rm -f -- {shlex.quote(f'{FOLDER}/{name}')}"


def password_alone(me: Desktop, commune: Commune, enrolled: Mapping[str, Secret]) -> list[Agent]:
    """The agents of this desktop who come in without a code: never one of whom it is required, known or not."""
    agents = commune.agents_of(me)
    return [a for a in agents if commune.second_factor_of(a) is not SecondFactor.REQUIRED and a.identifier not in enrolled]


def service(*, second_factor: bool) -> str:
    """What xrdp asks of whoever wants a session."""
    return render(
        "pam/xrdp-sesman.j2", second_factor=second_factor, folder=FOLDER, exempt=EXEMPT,
        failures=FAILURES, within=WITHIN_SECONDS, locked=LOCKED_SECONDS,
    )  # fmt: skip


@deploy("second factors")
def factors() -> None:
    """Put new second factors in force and leave the rest as it is. host.data.second_factors: whose are meant."""
    known: Mapping[str, Secret] = host.data.get("second_factors") or {}
    files.directory(name="Have a folder for second factors", path=FOLDER, user="root", group="root", mode="700")
    know_factors(name="Write the second factors", factors=known)


def second_factor_packages(me: Desktop, commune: Commune) -> list[str]:
    """What asks for a code, where an agent of this desktop has one or must have one."""
    alone = password_alone(me, commune, host.data.get("second_factors") or {})
    return [PACKAGE] if len(alone) < len(commune.agents_of(me)) else []


def second_factor(me: Desktop, commune: Commune) -> None:
    """Ask for a code where a profile says so. Secrets: host.data.second_factors, identifier → seed and emergency codes."""
    enrolled: Mapping[str, Secret] = host.data.get("second_factors") or {}
    alone = password_alone(me, commune, enrolled)
    wanted = bool(second_factor_packages(me, commune))
    # In an order in which nobody gets in with less than they must, wherever it is cut short.
    if wanted:
        factors()
        text_file("Write who has no second factor", EXEMPT, "".join(f"{a.identifier}\n" for a in alone), mode="600")
    text_file("Write what a session asks for", SERVICE, service(second_factor=wanted))
    forget_factors(name="Forget other second factors", staying=sorted(enrolled))
    if not wanted:
        no_file([EXEMPT])
