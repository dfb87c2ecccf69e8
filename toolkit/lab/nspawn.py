"""The lab that this program carries with it: systemd-nspawn machines in network namespaces."""

from __future__ import annotations

import json

from toolkit.lab import admission, base
from toolkit.lab.guest import IMAGES
from toolkit.lab.held import HeldLab
from toolkit.lab.provider import Say
from toolkit.lab.town import Town


class NspawnLab(HeldLab):
    """A lab whose machines share this computer's kernel."""

    provider = "nspawn"

    def _prepare(self, town: Town, wanted: list[str], say: Say) -> dict[str, str]:
        admission.enough_memory(admission.MEBIBYTES * len(wanted))
        images = base.ensure(town.release, {guest.role for guest in town.guests}, say)
        return {IMAGES: json.dumps({role: str(path) for role, path in images.items()})}
