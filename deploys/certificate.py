"""A desktop's TLS key: made on the desktop, shown to the commune's authority as a signing request, never leaving."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from io import StringIO

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.facts.files import File
from pyinfra.operations import files

from toolkit.model import Desktop

KEY = "/etc/xrdp/telekit.key"
CERTIFICATE = "/etc/xrdp/telekit.pem"
ENROLMENT = "/etc/telekit/enrolment"

# A key, once there, stays: only a run that was cut before the rename makes another.
MAKE = f"""\
set -eu
umask 077
mkdir -p -m 755 /etc/xrdp /etc/telekit
if [ ! -s {KEY} ]; then
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {KEY}.new 2>/dev/null \\
        || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {KEY}.new
    mv -f {KEY}.new {KEY}
fi
openssl req -new -key {KEY} -subj {{subject}} -out {ENROLMENT}.new
chmod 644 {ENROLMENT}.new
mv -f {ENROLMENT}.new {ENROLMENT}
"""


class RequestIsReady(FactBase[bool]):
    """Whether the enrolment file holds a signing request for this machine's own key and this name."""

    def command(self, subject: str) -> str:
        wanted = shlex.quote(f"subject={subject}")
        return (
            f'[ "$(openssl pkey -in {KEY} -pubout 2>/dev/null)" = "$(openssl req -in {ENROLMENT} -noout -pubkey 2>/dev/null)" ]'
            f" && openssl req -in {ENROLMENT} -noout -subject 2>/dev/null | tr -d ' ' | grep -qx {wanted}"
            " && echo yes; true"
        )

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@operation()
def signing_request(common_name: str) -> Generator[str, None, None]:
    """Have a key made on this machine, and a signing request for it in the enrolment file."""
    if not host.get_fact(RequestIsReady, subject=f"CN={common_name}"):
        yield MAKE.format(subject=shlex.quote(f"/CN={common_name}"))


@operation()
def _hand_over() -> Generator[str, None, None]:
    """Let xrdp read the key, and nobody else but root."""
    found = host.get_fact(File, path=KEY)
    if found and (found["user"], found["group"], found["mode"]) != ("root", "xrdp", 640):
        yield f"chown root:xrdp {KEY} && chmod 640 {KEY}"


def server_certificate(me: Desktop) -> None:
    """Have the certificate that the authority issued, beside its key; before enrolment there is none to write."""
    _hand_over(name="Let xrdp read its key")
    if me.certificate:
        text = me.certificate.strip() + "\n"
        files.put(name="Write the certificate", src=StringIO(text), dest=CERTIFICATE, user="root", group="root", mode="644")
