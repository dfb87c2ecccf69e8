"""Why a machine cannot be reached: one class a cause, and its sentence."""

from __future__ import annotations


class UnreachableError(OSError):
    """No connection to a machine; str() is a sentence about `place`."""

    def __init__(self, place: str, sentence: str) -> None:
        self.place = place
        super().__init__(sentence)


class NoAnswerError(UnreachableError):
    """Nothing came back in time, or nothing leads there."""


class PortRefusedError(UnreachableError):
    """The machine is there and no sshd listens."""


class NameUnknownError(UnreachableError):
    """The host name does not resolve."""


class DroppedError(UnreachableError):
    """The connection was accepted and closed again: sshd is starting, or has too many callers at once."""


class HostKeyUnknownError(UnreachableError):
    """No key of this machine is pinned."""


class HostKeyChangedError(UnreachableError):
    """The machine shows another key than the pinned one."""


class AuthenticationRefusedError(UnreachableError):
    """The machine let none of our keys in."""


class TooManyFilesError(UnreachableError):
    """This process may not open another file."""
