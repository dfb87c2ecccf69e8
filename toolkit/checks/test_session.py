"""The whole way: from the laptop, through the tunnel, into the agent's session on the desktop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import gevent
import gevent.event

from toolkit.checks.declare import Case, NotCheckedError, Theme, check
from toolkit.checks.prompt import asks, typed
from toolkit.checks.screen import Attempt, Login, desktop_of, first_password, log_in, log_off, presence
from toolkit.checks.subject import Subject
from toolkit.model import Agent, Secret

# The client asks within a second or two, on a busy machine later.
IN_VAIN_SECONDS = 20
# PAM lets who guesses wait some two seconds for its no, which comes whether or not the client still listens.
REFUSAL_SECONDS = 4
REFUSALS = """\
for said in "cat /var/log/xrdp-sesman.log" "journalctl --quiet --unit xrdp-sesman --since -15min"; do $said; done 2>/dev/null |
  grep -c 'AUTHFAIL: user={account} '
true
"""


@contextmanager
def _free(subject: Subject) -> Iterator[Subject]:
    """The agent's desktop, while nobody uses it; a session that was not there before is ended."""
    desktop = subject.other(desktop_of(subject))
    before = presence(desktop, subject.agent, subject.laptop.tunnel_address)
    if before.connected:
        raise NotCheckedError(f"{subject.agent.identifier} is working on {desktop.name} now")
    try:
        yield desktop
    finally:
        if not before.session:
            log_off(desktop, subject.agent)


def _keep(subject: Subject, desktop: Subject, login: Login) -> Path | None:
    folder = subject.evidence.screenshots
    if folder is None or not login.picture:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{subject.name}_{desktop.name}.png"
    path.write_bytes(login.picture)
    subject.evidence.pictures.append(path)
    return path


@check(
    Theme.DESKTOP,
    "The agent opens the office desktop from the laptop, through the tunnel",
    titre="L’agent ouvre son bureau à distance depuis le portable, à travers le tunnel",
    tried="starting what the icon on {machine} starts, as the agent, on an invisible screen, and looking at it",
    expected="the desktop's certificate is the commune's, and the screen shows a desktop",
    fix="journalctl -u xrdp -u xrdp-sesman on the desktop; telekit provision renews a certificate that has ended",
    seconds=180,
    beside=True,
)
def test_opens_the_desktop(subject: Subject) -> str:
    with _free(subject) as desktop:
        password = first_password(desktop, subject.agent)
        login = log_in(subject, Attempt(subject.agent, typed(desktop, subject.agent, password)))
        kept = _keep(subject, desktop, login)
        assert login.desktop, str(login)
        assert presence(desktop, subject.agent, None).session, f"{login}, but {subject.agent.identifier} has no session there"
    return f"{login} on {desktop.name}" + (f", kept in {kept.name}" if kept else "")


@check(
    Theme.DESKTOP,
    "A desktop whose certificate another authority issued is refused",
    titre="Un poste dont le certificat ne vient pas de l’autorité de la mairie est refusé",
    tried="the same login from {machine} without the commune's authority among those it trusts",
    expected="the client refuses and sends no password",
    fix="telekit provision, for the icon's command on the laptop",
    seconds=60,
    beside=True,
)
def test_refuses_another_authority(subject: Subject) -> str:
    with _free(subject) as desktop:
        name = subject.commune.domain_name(desktop.name)
        if subject.run(f"timeout 5 getent ahosts {name} >/dev/null").code != 0:
            raise NotCheckedError(f"{name} does not resolve there: the client would see no certificate")
        login = log_in(subject, Attempt(subject.agent, Secret("not sent"), trusting=False, seconds=10))
        assert not login.alive, f"the client connected: {login}"
        assert login.code != 0, f"the client ended as if all were well: {login}"
    return str(login)


@check(
    Theme.DESKTOP,
    "A wrong password opens no session",
    titre="Un mauvais mot de passe n’ouvre aucune session",
    tried="the same login from {machine} with another password",
    expected="no desktop, and no session of the agent on the desktop",
    fix="look at /etc/pam.d/xrdp-sesman on the desktop",
    seconds=60,
    beside=True,
)
def test_refuses_a_wrong_password(subject: Subject) -> str:
    with _free(subject) as desktop:
        if presence(desktop, subject.agent, None).session:
            raise NotCheckedError(f"{subject.agent.identifier} has a session on {desktop.name}")
        # With the right code where one is asked for: it must not stand in for the password.
        login = _try_in_vain(subject, desktop, typed(desktop, subject.agent, Secret("certainly-not-this")))
    return f"no session; {login}"


def _try_in_vain(subject: Subject, desktop: Subject, password: Secret) -> Login:
    """A login that opens no session, because the desktop refused it."""
    before, over = _refusals(desktop, subject.agent), gevent.event.Event()
    attempt = Attempt(subject.agent, password, seconds=IN_VAIN_SECONDS, ended_by=f"/run/telekit-verify.{uuid4().hex}")
    watch = gevent.spawn(_end_when_refused, subject, desktop, attempt.ended_by, before, over)
    try:
        login = log_in(subject, attempt)
    finally:
        over.set()
        watch.join()
        subject.run(f"rm -f {attempt.ended_by}")
    refused = _refused_since(before, desktop, subject.agent)
    assert not presence(desktop, subject.agent, None).session, f"a session was opened: {login}"
    if not refused:
        raise NotCheckedError(f"the desktop was not asked: {login}")
    return login


def _end_when_refused(subject: Subject, desktop: Subject, file: str, before: int, over: gevent.event.Event) -> None:
    """End the try as soon as the desktop has said no; if that cannot be seen, it ends by itself."""
    with suppress(Exception):
        while not over.wait(0.5):
            if _refusals(desktop, subject.agent) > before:
                subject.run(f"touch {file}")
                return


def _refused_since(before: int, desktop: Subject, agent: Agent) -> bool:
    """Whether the desktop says no within its time."""
    deadline = time.monotonic() + REFUSAL_SECONDS * desktop.evidence.patience
    while _refusals(desktop, agent) <= before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _refusals(desktop: Subject, agent: Agent) -> int:
    """How often the desktop has refused this agent so far."""
    return int(desktop.output(REFUSALS.format(account=agent.identifier)))


def _asked_for_a_code(subject: Subject) -> list[Case]:
    """The agent's desktop, if it asks them for a code."""
    agent = subject.commune.agent_of.get(subject.name)
    return [Case(agent.desktop, agent.desktop)] if agent and agent.desktop and asks(subject, agent) else []


@check(
    Theme.DESKTOP,
    "The password alone does not open {case}: a code is asked for too",
    titre="Le mot de passe seul n’ouvre pas {case} : un code est demandé en plus",
    tried="the same login from {machine} with the right password and no code",
    expected="no desktop, and no session of the agent on the desktop",
    fix="telekit provision, for /etc/pam.d/xrdp-sesman and /etc/telekit/totp on the desktop",
    cases=_asked_for_a_code,
    seconds=60,
    beside=True,
)
def test_refuses_the_password_alone(subject: Subject, case: Case) -> str:
    with _free(subject) as desktop:
        if presence(desktop, subject.agent, None).session:
            raise NotCheckedError(f"{subject.agent.identifier} has a session on {desktop.name}")
        password = first_password(desktop, subject.agent)
        login = _try_in_vain(subject, desktop, password)
    return f"no session; {login}"
