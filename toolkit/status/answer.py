"""What one machine says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SCRIPT = r"""
if [ -e /run/reboot-required ]; then echo reboot=yes; fi
systemctl list-units --failed --plain --no-legend 2>/dev/null | awk '{print "failed=" $1}'
df -Pk / /var | awk 'NR > 1 {sub("%", "", $5); print "disk=" $5}' | sort -t= -k2 -n | tail -n 1
for file in /etc/wireguard/wg0.conf /etc/wireguard/wg0-next.conf; do
  [ ! -e $file ] || wg show "$(basename $file .conf)" latest-handshakes 2>/dev/null | awk '{print "handshake=" $1 " " $2}'
done
if [ -e /var/lib/telekit/moved ]; then sed 's/^/moved=/' /var/lib/telekit/moved; fi
find /var/lib/clamav -maxdepth 1 -type f \( -name '*.c[lv]d' -o -name '*.[hnlm]db' -o -name '*.hsb' \) \
  -printf 'signatures=%T@\n' 2>/dev/null | sort -t= -k2 -n | tail -n 1
echo "clock=$(date +%s)"
"""


@dataclass(frozen=True)
class Answer:
    """What one machine said, by its own clock."""

    clock: float
    reboot: bool = False
    failed: tuple[str, ...] = ()
    disk_percent: int = 0
    signatures: float | None = None
    handshakes: Mapping[str, float] | None = None
    moved: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Answer | None:
        """None: the script did not reach its end."""
        said: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, _, value = line.partition("=")
            said.setdefault(key, []).append(value)
        if "clock" not in said:
            return None
        # A device may be at both interfaces of a gateway whose own key changes.
        pairs = sorted((key, float(moment)) for key, moment in map(str.split, said.get("handshake", ())))
        return cls(
            float(said["clock"][0]),
            reboot="reboot" in said,
            failed=tuple(said.get("failed", ())),
            disk_percent=int(said.get("disk", ["0"])[0]),
            signatures=float(said["signatures"][0]) if "signatures" in said else None,
            handshakes=dict(pairs),
            moved=frozenset(said.get("moved", ())),
        )
