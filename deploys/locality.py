"""Time zone and language of a machine."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from dataclasses import dataclass

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host


@dataclass(frozen=True, slots=True)
class Locality:
    """`generated`: the locales there are, as `locale -a` writes them."""

    timezone: str
    language: str
    generated: frozenset[str]


class LocalityOfMachine(FactBase[Locality]):
    """The machine's time zone, default language and locales."""

    def command(self) -> str:
        return (
            'echo "zone=$(readlink /etc/localtime)"; cat /etc/default/locale 2>/dev/null | grep "^LANG=";'
            ' locale -a 2>/dev/null | sed "s/^/has=/"'
        )

    def process(self, output: list[str]) -> Locality:
        pairs = [line.partition("=") for line in output]
        values = {key: value for key, _, value in pairs}
        generated = frozenset(value for key, _, value in pairs if key == "has")
        return Locality(values.get("zone", "").partition("zoneinfo/")[2], values.get("LANG", "").strip('"'), generated)


@operation()
def locality(timezone: str, locale: str) -> Generator[str, None, None]:
    """Have this time zone and this locale, generated and the default."""
    found = host.get_fact(LocalityOfMachine)
    if found.timezone != timezone:
        zone = shlex.quote(f"/usr/share/zoneinfo/{timezone}")
        yield f"test -f {zone} && ln -sfT {zone} /etc/localtime && echo {shlex.quote(timezone)} > /etc/timezone"
    name, _, charset = locale.partition(".")
    if f"{name}.{charset.lower().replace('-', '')}" not in found.generated:
        line = shlex.quote(f"{locale} {charset or 'UTF-8'}")
        yield f"grep -qxF {line} /etc/locale.gen || echo {line} >> /etc/locale.gen; locale-gen"
    if found.language != locale:
        yield f"update-locale LANG={shlex.quote(locale)}"
