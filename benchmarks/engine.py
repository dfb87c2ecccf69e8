"""The engine by itself, a process a run: connect, apply (or plan) recipes, say what changed. For light targets and for a town.

python -m benchmarks.engine light FOLDER COUNT [changed]
python -m benchmarks.engine town INVENTORY
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import toolkit.engine

T0 = time.monotonic()


def light(folder: Path, count: int, *, change: bool) -> None:
    from benchmarks.commune import changed, commune_of
    from benchmarks.light import FIRST_PORT, USER
    from benchmarks.recipe import light as recipe
    from toolkit.engine import Options, Session, Target

    commune = commune_of(tuple(range(FIRST_PORT, FIRST_PORT + count)))
    commune = changed(commune) if change else commune
    targets = [
        Target(m.name, "laptop", m.ssh, USER, {"machine": m, "commune": commune}) for m in commune.laptops if m.ssh is not None
    ]
    options = Options(folder / "known_hosts", (folder / "operator_ed25519",), memory=folder / "memory.json")

    with Session(targets, options, lambda _: None) as session:
        _run(session, lambda _: (recipe,))


def town(inventory: Path) -> None:
    from toolkit.engine import Session
    from toolkit.enrolment import Enrolment
    from toolkit.inventory import load
    from toolkit.model import Role
    from toolkit.roles import ROLES
    from toolkit.secrets import identities_for
    from toolkit.targets import Job, targets_of

    commune = load(inventory).commune
    enrolment = Enrolment(Job(inventory, commune, commune.machines, identities_for(inventory, None)))
    targets = targets_of(enrolment.job, enrolment.data())
    deploys = {role: (ROLES[Role(role)].deploy(),) for role in {t.role for t in targets}}
    with Session(targets, enrolment.job.options(), lambda _: None) as session:
        _run(session, lambda target: deploys[target.role])


def _run(session, deploys_of) -> None:
    loaded = time.monotonic()
    session.connect()
    connected = time.monotonic()
    results = session.apply(deploys_of)
    done = time.monotonic()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    summary = {
        "machines": len(session.targets),
        "unreachable": len(session.unreachable),
        "failed": sum(r.failed is not None for r in results.values()),
        "changes": sum(len(r.changed) for r in results.values()),
        "operations": max((len(r.changed) + r.unchanged for r in results.values()), default=0),
        "executions": max(session.executions.values(), default=0),
        "start": round(loaded - T0, 4),
        "connect": round(connected - loaded, 4),
        "apply": round(done - connected, 4),
        "cpu": round(usage.ru_utime + usage.ru_stime, 4),
    }
    print(json.dumps(summary))
    if summary["failed"] or summary["unreachable"]:
        sys.exit("\n".join([*session.unreachable.values(), *(f"{r.failed}" for r in results.values() if r.failed)]))


def _capture(folder: Path) -> None:
    """Leave a copy of every script that goes out: PORT-NUMBER."""
    from toolkit.engine.batch.ssh import SshLink

    plain = SshLink.execute

    def execute(link, command, stdin=(), **rest):
        chunks = list(stdin)
        port = link.transport.getpeername()[1]
        (folder / f"{port}-{link.executions:02d}").write_bytes(b"".join(chunks))
        return plain(link, command, chunks, **rest)

    SshLink.execute = execute


if __name__ == "__main__":
    # Asking for it makes gevent patch sockets, which must be before anybody takes hold of one.
    _ = toolkit.engine.Session
    if capture := os.environ.get("BENCH_CAPTURE"):
        _capture(Path(capture))
    if profile := os.environ.get("BENCH_PROFILE"):
        import cProfile

        profiler = cProfile.Profile()
        profiler.enable()
    match sys.argv[1:]:
        case ["light", folder, count, *rest]:
            light(Path(folder), int(count), change=rest == ["changed"])
        case ["town", inventory]:
            town(Path(inventory))
        case _:
            sys.exit(__doc__)
    if profile:
        profiler.disable()
        profiler.dump_stats(profile)
