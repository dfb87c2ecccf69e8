"""Operations of every common kind, for applying by the batch engine and by plain pyinfra; and the plain way, as a program.

    python engine_corpus.py HOST PORT USER KEY KNOWN_HOSTS VARIANT plan|apply

prints what would change, or what changed and what failed, as JSON.
"""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from pyinfra.operations import apt, crontab, files, git, python, server, systemd

from deploys.secret import secret_file
from deploys.stage import stage
from toolkit.model import Secret

ROOT = "/opt/corpus"
UNIT = "[Unit]\nDescription=Corpus {variant}\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGIu+O54pzrSsE+thRMYJ30eTmCWJBS8MHJYrtHH3wLf corpus"
# No condition and no idempotence: these change something every time.
ALWAYS = {"Run as another", "Run in a folder", "Try again", "Go on anyway", "Call Python"}


def corpus(variant: str = "one", *, broken: bool = False) -> None:
    """Have a bit of everything; another `variant` changes most of it; `broken` fails in the middle."""
    apt.packages(name="Install packages", packages=["git", "cron", "acl"])
    apt.packages(name="Remove a package", packages=["nano"], present=False)
    stage("packages are installed")
    _files(variant)
    _lines(variant)
    if broken:
        server.shell(name="Break", commands=["echo broken >&2; exit 3"])
    _people(variant)
    _system(variant)
    stage("people and services are there")
    _odd_ones(variant)


def _files(variant: str) -> None:
    files.directory(name="Make a folder", path=f"{ROOT}/folder", user="daemon", group="adm", mode="750")
    files.put(name="Write plainly", src=StringIO(f"plain {variant}\n"), dest=f"{ROOT}/new/plain")
    files.put(
        name="Write closely", src=StringIO(f"close {variant}\n"), dest=f"{ROOT}/close", user="daemon", group="adm", mode="640"
    )
    files.put(name="Keep the mode", src=StringIO(f"kept {variant}\n"), dest=f"{ROOT}/kept")
    files.file(name="Give a mode", path=f"{ROOT}/kept", mode="600" if variant == "one" else "604")
    files.put(name="Write without a line end", src=StringIO(f"é {variant}"), dest=f"{ROOT}/with space")
    files.template(name="Render", src=StringIO("{{ word }}\n"), dest=f"{ROOT}/rendered", mode="444", word=variant)
    files.link(name="Link", path=f"{ROOT}/link", target=f"{ROOT}/close" if variant == "one" else f"{ROOT}/kept")
    files.put(name="Write through a link", src=StringIO(f"through {variant}\n"), dest=f"{ROOT}/through/a")
    files.file(name="Touch", path=f"{ROOT}/touched", touch=False, mode="4755")
    files.file(name="Remove a file", path=f"{ROOT}/stale", present=False)
    files.directory(name="Remove a folder", path=f"{ROOT}/stale-folder", present=False)
    secret_file(name="Write a secret", dest=f"{ROOT}/secret", content=Secret(f"hush {variant}\n"), mode="600")


def _lines(variant: str) -> None:
    files.line(name="Add a line", path=f"{ROOT}/lines", line=f"added {variant}")
    files.line(name="Replace a line", path=f"{ROOT}/lines", line="^value = .*$", replace=f"value = {variant}")
    files.line(name="Remove a line", path=f"{ROOT}/lines", line="old", present=False)
    files.block(name="Have a block", path=f"{ROOT}/block", content=f"one\n{variant}\n")
    files.replace(name="Replace text", path=f"{ROOT}/text", text="before", replace="after")


def _people(variant: str) -> None:
    server.group(name="Have a group", group="corpus")
    groups = ["corpus"] if variant == "one" else ["corpus", "adm"]
    server.user(name="Have a user", user="corpus-a", groups=groups, shell="/bin/bash", create_home=True, public_keys=[KEY])
    server.user(name="Have no user", user="corpus-z", present=False)


def _system(variant: str) -> None:
    file, value = "/etc/sysctl.d/90-corpus.conf", 1 if variant == "one" else 0
    server.sysctl(name="Set a sysctl", key="net.ipv4.conf.lo.accept_redirects", value=value, persist=True, persist_file=file)
    unit = files.put(
        name="Write a unit", src=StringIO(UNIT.format(variant=variant)), dest="/etc/systemd/system/corpus.service", mode="644"
    )
    systemd.daemon_reload(name="Read units again", _if=unit.did_change)
    systemd.service(name="Run the unit", service="corpus", running=True, enabled=True)
    systemd.service(name="Restart the unit", service="corpus", restarted=True, _if=unit.did_change)
    systemd.service(name="Stop cron", service="cron", running=variant == "one", enabled=variant == "one")
    command = f"/bin/echo {variant}"
    crontab.crontab(name="Have a cron job", command=command, cron_name="corpus", minute="5", hour="4", user="root")


def _odd_ones(variant: str) -> None:
    server.shell(name="Run as another", commands=[f"id -un > /tmp/corpus-{variant}-whoami"], _sudo_user="corpus-a")
    server.shell(name="Run in a folder", commands=["pwd > where; echo $WORD >> where"], _chdir=ROOT, _env={"WORD": variant})
    server.shell(
        name="Try again", commands=[f"[ -e {ROOT}/tried ] || {{ touch {ROOT}/tried; exit 1; }}"], _retries=3, _retry_delay=0
    )
    server.shell(name="Go on anyway", commands=["false"], _ignore_errors=True)
    python.call(name="Call Python", function=_call)
    git.repo(name="Clone", src=f"{ROOT}/origin", dest=f"{ROOT}/clone")
    files.put(name="Write at last", src=StringIO("last\n"), dest=f"{ROOT}/last")


def _call() -> None:
    server.shell(name="Run inside", commands=[f"touch {ROOT}/from-python"])


# What must be there before: files in states that the corpus changes.
SEED = f"""\
rm -rf {ROOT}; mkdir -p {ROOT}/real {ROOT}/stale-folder; cd {ROOT}
ln -s real through; echo old > real/a; chmod 604 real/a
echo kept before > kept; chmod 601 kept; echo stale > stale
printf 'old\\nvalue = none\\nother\\n' > lines; echo 'before and behind' > text
id corpus-z >/dev/null 2>&1 || useradd corpus-z
"""
ORIGIN = f"""\
cd {ROOT}; git init -q -b main origin; cd origin
echo content > file; git add file
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
git -c user.name=c -c user.email=c@c commit -q -m c
"""


def plainly(host: str, port: str, user: str, key: str, known_hosts: str, variant: str, what: str) -> dict[str, Any]:
    """Plan or apply the corpus by pyinfra as it is."""
    from pyinfra.api import Config, Inventory, State
    from pyinfra.api.connect import connect_all, disconnect_all
    from pyinfra.api.deploy import add_deploy
    from pyinfra.api.exceptions import PyinfraError
    from pyinfra.api.operations import run_ops
    from pyinfra.api.state import StateStage

    data = {
        "ssh_hostname": host, "ssh_port": int(port), "ssh_user": user, "ssh_key": key,
        "ssh_known_hosts_file": known_hosts, "ssh_strict_host_key_checking": "yes",
    }  # fmt: skip
    inventory = Inventory((["machine"], data))
    state = State(inventory, Config(SUDO=True))
    state.set_stage(StateStage.Connect)
    connect_all(state)
    state.set_stage(StateStage.Prepare)
    name, _, broken = variant.partition("-")
    add_deploy(state, lambda: corpus(name, broken=bool(broken)))
    machine = inventory.get_host("machine")
    operations = [(next(iter(state.op_meta[h].names)), state.ops[machine][h].operation_meta) for h in machine.op_hash_order]
    found: dict[str, Any] = {"planned": [n for n, meta in operations if meta._maybe_is_change], "failed": None}
    if what == "apply":
        state.set_stage(StateStage.Execute)
        try:
            run_ops(state)
        except PyinfraError:
            found["failed"] = next(
                n for n, meta in operations if meta.is_complete() and not meta.did_succeed() and n not in ALWAYS
            )
        found["changed"] = [n for n, meta in operations if meta.is_complete() and meta.did_change()]
    disconnect_all(state)
    return found


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    print(json.dumps(plainly(*sys.argv[1:])))
