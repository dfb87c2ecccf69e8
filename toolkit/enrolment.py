"""What telekit hands out to a commune's machines: addresses, keys, certificates, first passwords."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from toolkit import ledger
from toolkit.errors import TelekitError
from toolkit.model import Commune, Desktop, Machine, Secret
from toolkit.targets import Job, data_of

if TYPE_CHECKING:
    from toolkit.secrets import Vault

AUTHORITY = "ca.pem"
FILE = "/etc/telekit/enrolment"


class Enrolment:
    """The commune of a job with everything that the ledger and the vault know; nothing is written before `save`."""

    def __init__(self, job: Job) -> None:
        self.folder = job.folder
        self._written = job.commune
        self._names = job.names
        self.ledger = ledger.read(job.folder).allocated(job.commune)
        self.job = self._completed(job)

    def _completed(self, job: Job) -> Job:
        commune = replace(self.ledger.complete(self._written), authority=self._authority())
        machines = tuple(machine for machine in commune.machines if machine.name in self._names)
        return replace(job, commune=commune, machines=machines)

    def _authority(self) -> str | None:
        file = self.folder / AUTHORITY
        return file.read_text(encoding="ascii") if file.is_file() else None

    @cached_property
    def _vault(self) -> Vault:
        from toolkit.secrets import Vault

        operators = [operator.public_key for operator in self._written.operators]
        return Vault.open(self.folder, operators, self.job.identities)

    def save(self) -> None:
        """Keep what was handed out: the secrets first, since the ledger speaks of them."""
        if "_vault" in self.__dict__:
            self._vault.save()
        ledger.write(self.folder, self.ledger)

    # -- what recipes receive ----------------------------------------------------------------------------------------

    def data(self) -> dict[str, dict[str, object]]:
        """Machine name → its recipe's host.data, as things stand."""
        return {m.name: data_of(m, self.job.commune, self._passwords(m)) for m in self.job.machines}

    def _passwords(self, machine: Machine) -> Mapping[str, Secret]:
        from toolkit.secrets import initial_password

        if not isinstance(machine, Desktop):
            return {}
        return {a.identifier: initial_password(self._vault, a) for a in self.job.commune.agents_of(machine)}

    # -- what machines answered --------------------------------------------------------------------------------------

    def record(self, answers: Mapping[str, str]) -> dict[str, str]:
        """Enter the machines' public halves, issue certificates, save; machine name → why it cannot go on."""
        authority = self._ensured()
        refused = {}
        for machine in self.job.machines:
            if machine.name in answers:
                try:
                    self._enter(machine, answers[machine.name].strip(), authority)
                except TelekitError as error:
                    refused[machine.name] = str(error.problem.what)
        self.save()
        self.job = self._completed(self.job)
        return refused | self._incomplete(set(answers) - set(refused))

    def _ensured(self) -> str:
        present = self._authority()
        if present is not None and not any(isinstance(machine, Desktop) for machine in self.job.machines):
            return present
        from toolkit import authority

        return authority.ensure(self.folder, self._vault, self._written)

    def _enter(self, machine: Machine, public: str, authority: str) -> None:
        if isinstance(machine, Desktop):
            self._certify(machine, public, authority)
            return
        if not is_wireguard_key(public):
            raise TelekitError(f"{FILE} holds no WireGuard public key: {public[:60] or 'it is empty or missing'}")
        twin = next((m for m in self._keyed() if m.public_key == public and m.name != machine.name), None)
        if twin is not None:
            raise TelekitError(f"it has the same WireGuard key as {twin.name}: was one disk copied from the other?")
        self.ledger = self.ledger.enrolled(machine.name, public)

    def _keyed(self) -> tuple[Machine, ...]:
        commune: Commune = self.ledger.complete(self._written)
        return (*commune.gateways, *commune.laptops)

    def _certify(self, desktop: Desktop, csr: str, ca: str) -> None:
        from toolkit import authority

        commune = self.job.commune
        if desktop.certificate is None or authority.due(desktop.certificate, commune.today):
            self.ledger = self.ledger.certified(desktop.name, authority.issue(self._vault, ca, csr, desktop, commune))

    def _incomplete(self, answered: set[str]) -> dict[str, str]:
        """Without the gateway's key no laptop can have a tunnel: its recipe would write one that never opens."""
        gateway = self.job.commune.gateway
        if gateway.public_key:
            return {}
        reason = f"{gateway.name} has no key yet: provision it first or together"
        return {machine.name: reason for machine in self.job.commune.laptops if machine.name in answered}


def is_wireguard_key(text: str) -> bool:
    """32 bytes in base64, as `wg pubkey` writes them."""
    try:
        return len(text) == 44 and len(base64.b64decode(text, validate=True)) == 32
    except binascii.Error:
        return False
