"""What is written on this computer: before the network is touched, so that nothing that happens later forgets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from toolkit import ledger
from toolkit.errors import Problem, TelekitError
from toolkit.kit import device
from toolkit.model import Laptop, Secret
from toolkit.register.store import Edit
from toolkit.revocation.case import Case, decided
from toolkit.secrets import Vault
from toolkit.targets import Job


def decide(case: Case) -> tuple[Problem, ...]:
    """The keys are refused for good, the access is closed, a stolen device is out of the inventory; what could not be written.

    The ledger is first: with it alone, no provision opens the tunnel again.
    """
    ledger.write(case.register.folder, decided(case).book)
    try:
        edit = case.register.edit()
        noted = _edited(case, edit)
        return (*noted, *(edit.save() if edit.contents else ()))
    except TelekitError as error:
        return (Problem(f"the register could not be written: {error}", hint=f"telekit agent suspend {case.agent.identifier}"),)


def _edited(case: Case, edit: Edit) -> tuple[Problem, ...]:
    me, today = case.agent, case.commune.today
    fields: dict[str, object] = {}
    if case.closes and (me.suspended is None or me.suspended > today):
        fields["suspended"] = today
    stolen = {d.name for d in case.devices if not d.withdrawn} if case.wish.stolen else set()
    if me.laptop in stolen:
        fields["laptop"] = None
    if fields:
        edit.table.set(case.register.row(me.identifier).line, fields)
    if not stolen:
        return ()
    try:
        edit.document.remove_laptops(stolen)
    except TelekitError as error:
        return (Problem(f"remove {', '.join(sorted(stolen))} by hand: {error.problem.what}", "commune.toml", warning=True),)
    return ()


@dataclass
class Secrets:
    """The secrets of the case: the private keys that telekit holds, until they are destroyed."""

    case: Case
    job: Job
    opened: Vault | None = None

    @property
    def vault(self) -> Vault:
        if self.opened is None:
            self.opened = self.job.vault()
        return self.opened

    def private_keys(self) -> dict[str, Secret]:
        """Device → the private key that was in its kit, and the one in the kit that a rotation made."""
        devices = [Laptop(d.name) for d in self.case.devices if d.name]
        found = {laptop.name: self.vault.get(device.tunnel_key(laptop)) for laptop in devices}
        found |= {f"{laptop.name} (new key)": self.vault.get(device.next_tunnel_key(laptop)) for laptop in devices}
        return {name: key for name, key in found.items() if key is not None}

    def destroy(self) -> int:
        """What they opened opens nothing more; how many there were."""
        gone = [name for name in self._names() if self.vault.get(name) is not None]
        for name in gone:
            self.vault.delete(name)
        self.vault.keep_no_copy()
        self.vault.save()
        return len(gone)

    def _names(self) -> Iterator[str]:
        naming: tuple[Callable[[Laptop], str], ...] = (
            device.tunnel_key, device.preshared_key, device.next_tunnel_key, device.next_preshared_key,
        )  # fmt: skip
        yield from (name(Laptop(d.name)) for d in self.case.devices if d.name for name in naming)
        if self.case.closes:
            me = self.case.agent.identifier
            yield from (f"totp/{me}", f"totp-codes/{me}")
            if self.case.wish.stolen:
                yield f"password/{me}"
