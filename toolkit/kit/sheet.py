"""What the sheet says: in French, for whoever holds the device, in the order in which they need it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import segno

from toolkit.kit.days import spoken, written
from toolkit.kit.remote_desktop import host
from toolkit.kit.tunnel import NAME
from toolkit.kit.windows import ICON
from toolkit.model import Agent, Commune, Laptop, System

TITLE = "Votre accès à distance"
# What French typography wants: no line breaks at these places, and its own apostrophe.
TIED = ((re.compile(r" ([:;!?»])"), "\u00a0\\1"), (re.compile("« "), "«\u00a0"), (re.compile("'"), "’"))
# "poste 100" and "01 45 00 00 00" are read in one piece.
NUMBER = re.compile(r"(?<=\w) (?=\d)")
DEVICES = {System.DEBIAN: "Ordinateur portable", System.WINDOWS: "Ordinateur portable", System.PHONE: "Téléphone"}


@dataclass(frozen=True, slots=True)
class Span:
    """A few words; strong: what the eye must find."""

    text: str
    strong: bool = False


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page. facts: (name, value). code: the QR code that a phone reads, named by caption, and nothing else that is secret."""

    commune: str
    agent: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[Line, ...]
    applications: tuple[str, ...]
    contact: str
    lost: tuple[Line, ...]
    habits: tuple[Line, ...]
    until: Line
    made: str
    code: segno.QRCode | None = None
    heading: str = "Votre première connexion"
    caption: str = "Code QR à viser avec l’application WireGuard du téléphone"


def sheet(
    agent: Agent,
    laptop: Laptop,
    commune: Commune,
    expires: date | None,
    code: segno.QRCode | None,
    *,
    second_factor: bool = False,
) -> Sheet:
    """The sheet of one agent and one device. expires: the last day for the kit's first use, None where it holds no key.

    second_factor: the desktop asks for a code too, which a second page explains.
    """
    return Sheet(
        commune=_typeset(commune.name),
        agent=agent.full_name,
        facts=tuple((name, _typeset(value)) for name, value in _facts(agent, laptop, commune)),
        steps=tuple(_steps(agent, laptop, commune, second_factor=second_factor)),
        applications=tuple(_typeset(application.title) for application in commune.applications_of(agent)),
        contact=NUMBER.sub("\u00a0", _typeset(commune.contact or "le service informatique de la mairie")),
        lost=tuple(_lost(laptop)),
        habits=tuple(_habits(laptop, commune)),
        until=_until(expires),
        made=f"Fiche établie le {written(commune.today)}",
        code=code,
    )


def _facts(agent: Agent, laptop: Laptop, commune: Commune) -> Iterator[tuple[str, str]]:
    yield "Identifiant", agent.identifier
    yield DEVICES[laptop.system], laptop.name
    if agent.desktop:
        yield "Bureau à la mairie", agent.desktop
    if agent.last_day:
        yield "Accès ouvert jusqu'au", written(agent.last_day)


def _steps(agent: Agent, laptop: Laptop, commune: Commune, *, second_factor: bool) -> Iterator[Line]:
    code = ", suivi de votre code de connexion, expliqué plus loin" if second_factor else ""
    match laptop.system:
        case System.PHONE:
            yield from _phone(agent, commune, code)
        case System.WINDOWS:
            yield _line("Allumez l'ordinateur et ouvrez votre session Windows.")
            yield from _network()
            yield from _windows_desktop(agent, commune, code) if agent.desktop else _no_desktop()
        case System.DEBIAN:
            yield _line("Allumez l'ordinateur et ouvrez votre session : identifiant ", _strong(agent.identifier), ".")
            yield from _network(" Dans un hôtel ou un train, ouvrez d'abord l'icône « Wi-Fi public ».")
            yield from _debian_desktop(code) if agent.desktop else _no_desktop()


def _network(more: str = "") -> Iterator[Line]:
    yield _line("Reliez-le à Internet, par le Wi-Fi ou par un câble." + more)
    yield _line("Attendez une minute : la liaison protégée avec la mairie s'ouvre ", _strong("toute seule"), ".")


def _debian_desktop(code: str) -> Iterator[Line]:
    yield _line("Ouvrez l'icône ", _strong(f"« {ICON} »"), f" et tapez le mot de passe de votre lettre personnelle{code}.")
    yield _line("Votre bureau s'affiche en plein écran. Pour finir, fermez votre session dans son menu.")


def _windows_desktop(agent: Agent, commune: Commune, code: str) -> Iterator[Line]:
    yield _line("Sur l'écran, ouvrez l'icône ", _strong(f"« {ICON} »"), ".")
    yield _line(
        "Windows demande confirmation : vérifiez le nom ", _strong(host(agent, commune)),
        *(_asked_for(commune)), " et acceptez. Un autre nom ? Refusez et appelez.",
    )  # fmt: skip
    password = f" et le mot de passe de votre lettre personnelle{code} : votre bureau s'affiche."
    yield _line("Tapez ", _strong(agent.identifier), password)


def _asked_for(commune: Commune) -> Iterator[str]:
    """Windows lets a file ask for no more than what is ticked each time."""
    wanted = [
        word
        for word, on in (("« Presse-papiers »", commune.policy.clipboard != "none"), ("« Lecteurs »", commune.policy.drives))
        if on
    ]
    if wanted:
        yield f", cochez {' et '.join(wanted)}"


def _phone(agent: Agent, commune: Commune, code: str) -> Iterator[Line]:
    yield _line("Installez l'application ", _strong("WireGuard"), " depuis le magasin d'applications du téléphone.")
    yield _line("Ouvrez-la, touchez ", _strong("+"), " puis ", _strong("« Scanner un code QR »"), ", et visez le code ci-contre.")
    yield _line("Donnez-lui le nom ", _strong(NAME), " et touchez son interrupteur : la liaison avec la mairie est ouverte.")
    if agent.desktop:
        yield _line("Installez l'application ", _strong("Windows App"), " de Microsoft ; touchez ", _strong("+"), " puis « PC ».")
        yield _line("Nom du PC : ", _strong(host(agent, commune)), " ; identifiant : ", _strong(agent.identifier),
                    f" ; le mot de passe est dans votre lettre personnelle{code}.")  # fmt: skip
    else:
        yield from _no_desktop()


def _no_desktop() -> Iterator[Line]:
    yield _line("Ouvrez vos applications comme à la mairie.")


def _lost(laptop: Laptop) -> Iterator[Line]:
    yield _line("Appelez ", _strong("tout de suite"), ", même si vous n'êtes pas sûr : mieux vaut un appel pour rien.")
    yield _line("Dites votre nom et celui de l'appareil : ", _strong(laptop.name), ". L'accès est coupé à l'instant.")
    yield _line("En cas de vol, déposez plainte et gardez le récépissé.")


def _habits(laptop: Laptop, commune: Commune) -> Iterator[Line]:
    if not laptop.managed and laptop.system is System.PHONE:
        yield _line(
            "Ce code est une clé : ni photo, ni copie. ", _strong("Détruisez cette feuille"), " une fois la liaison ouverte."
        )
    yield _line("Personne ne vous demandera votre mot de passe, pas même l'informatique.")
    if laptop.system is not System.PHONE:
        yield _line("Verrouillez l'écran dès que vous vous levez, même à la maison.")
    months = commune.policy.journal_months
    yield _line(f"Les heures de connexion sont gardées {months} mois, pour la sécurité du service.")


def _until(expires: date | None) -> Line:
    if expires is None:
        return ()
    return _line("Première connexion au plus tard le ", _strong(spoken(expires)), ". Passé ce jour, demandez un nouveau kit.")


def second_page(agent: Agent, laptop: Laptop, commune: Commune, code: segno.QRCode) -> Sheet:
    """What the agent does with the QR code of the second factor, and without it."""
    return Sheet(
        commune=_typeset(commune.name),
        agent=agent.full_name,
        facts=(("Identifiant", agent.identifier), ("Bureau à la mairie", agent.desktop or "")),
        steps=tuple(_codes(laptop)),
        applications=(),
        contact=_typeset(commune.contact or "le service informatique de la mairie"),
        lost=(
            _line("Appelez ", _strong("tout de suite"), " : l'ancien code est annulé, vous en recevez un autre."),
            _line("Téléphone oublié ? À la place des six chiffres, tapez un ", _strong("code de secours"), "."),
        ),
        habits=(
            _line("Ce code QR est une clé : ", _strong("détruisez cette feuille"), " une fois le téléphone prêt."),
            _line("Gardez les codes de secours loin de l'ordinateur : chacun ouvre une fois."),
            _line("Personne ne vous demandera un code, pas même l'informatique."),
        ),
        until=(),
        made=f"Fiche établie le {written(commune.today)}",
        code=code,
        heading="Un code à chaque connexion",
        caption="Code QR à viser avec l’application qui donne les codes",
    )  # fmt: skip


def _codes(laptop: Laptop) -> Iterator[Line]:
    yield _line("Sur votre téléphone, installez ", _strong("FreeOTP"), ", gratuite, ou l'application que la mairie vous indique.")
    yield _line("Touchez ", _strong("+"), " ou « Scanner un code QR », et visez le code ci-contre : votre compte apparaît.")
    digits = _strong("les six chiffres")
    if laptop.system is System.DEBIAN:
        yield _line("À chaque connexion, tapez votre mot de passe, puis dans l'autre case ", digits, " que montre l'application.")
    else:
        yield _line("À chaque connexion, tapez votre mot de passe ", _strong("et aussitôt, sans espace,"), " ", digits,
                    " que montre l'application.")  # fmt: skip
    yield _line("Un code sert une fois. Refusé ? Attendez le suivant. Après cinq erreurs, patientez dix minutes.")


def _strong(text: str) -> Span:
    return Span(_typeset(text), strong=True)


def _line(*parts: Span | str) -> Line:
    return tuple(part if isinstance(part, Span) else Span(_typeset(part)) for part in parts)


def _typeset(text: str) -> str:
    for pattern, tied in TIED:
        text = pattern.sub(tied, text)
    return text


def plain(line: Sequence[Span]) -> str:
    """A line without its emphasis."""
    return "".join(span.text for span in line)
