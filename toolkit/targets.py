"""From a commune's machines to the engine's targets: which are meant, where they answer, what their recipes receive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import __version__
from toolkit.errors import UsageError
from toolkit.knownhosts import FILE
from toolkit.model import Commune, Machine, Role, Secret, SshAddress

if TYPE_CHECKING:
    from toolkit.engine import Options, Target
    from toolkit.secrets import Vault

# Minutes that one machine may take: for machines, or lines, that are slower than any should be.
DEADLINE = "TELEKIT_DEADLINE"
HOMELESS = "no address is known yet: give it `ssh` in commune.toml for its first time on the bench"


@dataclass(frozen=True)
class Job:
    """One command's work: a commune as its files say it now, the machines meant, and how to reach them.

    ask: gives the passphrase of a private key that has one, when somebody is there to be asked.
    """

    folder: Path
    commune: Commune
    machines: tuple[Machine, ...]
    identities: tuple[Path, ...]
    parallel: int = 50
    debug: bool = False
    ask: Callable[[Path], Secret] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(machine.name for machine in self.machines)

    def vault(self) -> Vault:
        """The commune's secrets, read anew; UsageError if no private key at hand opens them."""
        from toolkit.secrets import Vault

        operators = [operator.public_key for operator in self.commune.operators]
        return Vault.open(self.folder, operators, self.identities, self.ask)

    def options(self) -> Options:
        from toolkit.engine import Options

        return Options(
            known_hosts=self.folder / FILE, identities=self.identities, parallel=self.parallel, debug=self.debug,
            deadline_seconds=deadline_seconds(),
            memory=_cache() / f"{self.commune.slug}-{self.edition}.json",
        )  # fmt: skip

    @property
    def edition(self) -> str:
        """Another name for each folder and each version of telekit, which may ask otherwise than the one before."""
        return sha256(bytes(self.folder.resolve()) + __version__.encode()).hexdigest()[:16]


def deadline_seconds() -> float:
    """Seconds that one machine's plan or apply may take: half an hour, unless the environment names other minutes."""
    said = os.environ.get(DEADLINE, "30")
    try:
        minutes = float(said)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < inf:
        raise UsageError(f"${DEADLINE} is `{said}`", hint="how many minutes one machine may take, 30 if it is not set")
    return minutes * 60


def _cache() -> Path:
    """Where what may be lost is kept: questions that machines were asked, which save the next run round trips."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "telekit"


def select(commune: Commune, only: Sequence[str] = (), roles: Iterable[Role] = ()) -> tuple[Machine, ...]:
    """The machines named and of these roles, in the inventory's order; nothing given means all."""
    names = {machine.name for machine in commune.machines}
    for name in only:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(names)[:8])}{' …' * (len(names) > 8)}"
            raise UsageError(f"{commune.slug} has no machine `{name}`", hint=hint)
    wanted = frozenset(roles)
    found = tuple(m for m in commune.machines if (not only or m.name in only) and (not wanted or m.role in wanted))
    if not found:
        raise UsageError(f"no machine of {commune.slug} is both named and of that role", hint="drop --only or --role")
    return found


def ssh_of(machine: Machine) -> SshAddress | None:
    """Where the machine's sshd answers; None: a laptop without a bench address that never had a tunnel."""
    if machine.ssh is not None:
        return machine.ssh
    address = getattr(machine, "tunnel_address", None)
    return SshAddress(str(address)) if address is not None else None


def data_of(
    machine: Machine,
    commune: Commune,
    passwords: Mapping[str, Secret] | None = None,
    preshared: Mapping[str, Secret] | None = None,
) -> dict[str, object]:
    """What the machine's recipe receives as host.data: of preshared keys a laptop its own, a gateway all of them."""
    data: dict[str, object] = {"machine": machine, "commune": commune}
    if machine.role is Role.GATEWAY:
        return data | {"preshared": dict(preshared or {})}
    data["passwords"] = dict(passwords or {})
    if machine.role is Role.LAPTOP:
        data["preshared"] = (preshared or {}).get(machine.name)
    return data


def targets_of(job: Job, data: Mapping[str, Mapping[str, object]]) -> list[Target]:
    """The machines of the job that have an address; data: machine name → what its recipe receives."""
    from toolkit.engine import Target

    addressed = ((machine, ssh_of(machine)) for machine in job.machines)
    return [
        Target(machine.name, str(machine.role), ssh, job.commune.admin_user, data[machine.name])
        for machine, ssh in addressed
        if ssh is not None
    ]
