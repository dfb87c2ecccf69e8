"""What the engine asks of its own process: room for connections, quiet libraries, and Ctrl-C at a time that suits."""

from __future__ import annotations

import logging
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import gevent
from gevent.event import Event
from gevent.pool import Pool

from toolkit.errors import TelekitError

T = TypeVar("T")
# Files that this process opens besides connections, and those a connection needs while it is made.
FILES_BESIDE, FILES_A_MACHINE = 128, 2


@contextmanager
def interruptible() -> Iterator[Event]:
    """An event that Ctrl-C sets, instead of an exception wherever the program happens to be."""
    interrupted = Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)
    watcher = gevent.signal_handler(signal.SIGINT, interrupted.set)
    try:
        yield interrupted
    finally:
        watcher.cancel()
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def side_by_side(jobs: Mapping[str, Callable[[], T]], parallel: int, interrupted: Event) -> dict[str, T] | None:
    """Do all jobs, `parallel` at a time; name → what came of it. None: interrupted, and no job goes on."""
    pool = Pool(parallel)
    done: dict[str, T] = {}
    failures: list[Exception] = []

    def one(name: str, job: Callable[[], T]) -> None:
        try:
            done[name] = job()
        except Exception as error:  # noqa: BLE001 - raised again below, by whom it can be caught
            failures.append(error)

    def everything() -> None:
        gevent.joinall([pool.spawn(one, name, job) for name, job in jobs.items()])

    tasks = gevent.spawn(everything)
    try:
        gevent.wait([tasks, interrupted], count=1)
        if interrupted.is_set():
            return None
        if failures:
            raise failures[0]
        return {name: done[name] for name in jobs}
    finally:
        tasks.kill()
        pool.kill()


def route_logs(*, debug: bool) -> None:
    """Keep pyinfra and paramiko off the screen, where Python would print their errors; `debug` lets pyinfra's through."""
    for name, through in (("pyinfra", debug), ("paramiko", False)):
        log = logging.getLogger(name)
        log.propagate = through
        log.setLevel(logging.DEBUG if through else logging.ERROR)
        if not log.handlers:
            log.addHandler(logging.NullHandler())


def allow_files(machines: int) -> None:
    """Raise this process's own limit of open files as far as the machines need it."""
    wanted = FILES_BESIDE + FILES_A_MACHINE * machines
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    enough = hard == resource.RLIM_INFINITY or hard >= wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if enough else hard, hard))
    if not enough:
        raise TelekitError(
            f"this process may open {hard} files, and these machines need {wanted}",
            hint="raise the limit: ulimit -Hn, or LimitNOFILE= of the service",
        )
