"""Open a connection to a machine, over jump hosts if ssh_config says so, and say precisely why when it fails."""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import paramiko

from toolkit.engine.batch import reach
from toolkit.engine.batch.identities import Identities
from toolkit.engine.batch.known_hosts import KnownHosts, fingerprint, host_key_name, signature_types
from toolkit.engine.batch.ssh import SshLink, tune

# A reader that nobody has anything for wakes up this often; paramiko's own 0.1 s keeps a processor busy at 1,000 machines.
READER_SECONDS = 15.0


FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 2.0


class Budget:
    """The time that a connection may take, from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, a little more than none: as a timeout, none would mean something else."""
        return max(self._end - time.monotonic(), 0.01)

    @property
    def spent(self) -> bool:
        return time.monotonic() >= self._end


@dataclass(frozen=True, slots=True)
class Hop:
    """An sshd and the account on it."""

    host: str
    port: int
    user: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if ":" not in self.host else f"[{self.host}]:{self.port}"


class Connector:
    """Opens connections with one set of host keys and identities.

    connect_seconds: how long a connection may take in all. An sshd that drops it before it says who it is (MaxStartups)
    is tried again within that time.
    ssh_config: where ProxyJump and HostName are looked up; None: nowhere.
    """

    def __init__(
        self,
        known_hosts: Path,
        identities: Sequence[Path] = (),
        *,
        agent: bool = True,
        connect_seconds: float = 10,
        silence_seconds: float = 15,
        ssh_config: Path | None = None,
    ) -> None:
        self.known_hosts = KnownHosts(known_hosts)
        self.identities = Identities(identities, agent=agent)
        self.connect_seconds = connect_seconds
        self.silence_seconds = silence_seconds
        self.ssh_config = ssh_config

    def open(self, host: str, port: int, user: str) -> SshLink:
        """A connection that is ready for commands; UnreachableError says why not."""
        route = self.route(Hop(host, port, user))
        budget = Budget(self.connect_seconds)
        pause = FIRST_PAUSE_SECONDS
        dropped: reach.DroppedError | None = None
        while True:
            try:
                *hops, transport = self._through(route, budget)
                return SshLink(transport, self.silence_seconds, hops)
            except reach.NoAnswerError:
                if dropped is None:
                    raise
                # That little was left for the last try says nothing about the machine.
                raise dropped from None
            except reach.DroppedError as error:
                dropped = error
                # Jitter, or the callers that were dropped together come back together.
                wait = random.uniform(0.5, 1.5) * pause  # noqa: S311 - not for cryptography
                if wait >= budget.left:
                    raise
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def route(self, target: Hop) -> list[Hop]:
        """The jump hosts on the way, then the target."""
        if self.ssh_config is None or not self.ssh_config.exists():
            return [target]
        settings = _ssh_config(self.ssh_config).lookup(target.host)
        jumps = settings.get("proxyjump", "none")
        hops = [] if jumps == "none" else [self._hop(jump, target.user) for jump in jumps.split(",")]
        return [*hops, Hop(settings.get("hostname", target.host), target.port, target.user)]

    def _hop(self, written: str, user: str) -> Hop:
        """A jump host as ProxyJump writes it: [user@]host[:port], looked up in ssh_config itself."""
        assert self.ssh_config is not None
        who, _, place = written.strip().rpartition("@")
        host, _, port = place.partition(":") if place.count(":") == 1 else (place.strip("[]"), "", "")
        settings = _ssh_config(self.ssh_config).lookup(host)
        return Hop(settings.get("hostname", host), int(port or settings.get("port", "22")), who or settings.get("user", user))

    def _through(self, route: list[Hop], budget: Budget) -> list[paramiko.Transport]:
        """A transport to each of the hops, every one but the first inside the one before."""
        transports: list[paramiko.Transport] = []
        try:
            for hop in route:
                beyond = transports[-1] if transports else None
                transports.append(self._login(hop, self._socket(hop, beyond, budget), budget))
        except BaseException:
            for transport in reversed(transports):
                transport.close()
            raise
        return transports

    def _socket(self, hop: Hop, beyond: paramiko.Transport | None, budget: Budget) -> socket.socket | paramiko.Channel:
        if beyond is None:
            return self._connected(hop, budget)
        try:
            return beyond.open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=budget.left)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise reach.NoAnswerError(str(hop), f"no way to {hop} from the jump host: {error}") from error

    def _connected(self, hop: Hop, budget: Budget) -> socket.socket:
        try:
            sock = socket.create_connection((hop.host, hop.port), timeout=budget.left)
        except TimeoutError as error:
            raise reach.NoAnswerError(str(hop), f"no answer from {hop} in {budget.seconds:g} s") from error
        except ConnectionRefusedError as error:
            raise reach.PortRefusedError(str(hop), f"{hop} refuses the connection: no sshd listens there") from error
        except socket.gaierror as error:
            raise reach.NameUnknownError(str(hop), f"the name {hop.host} does not resolve") from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                sentence = f"too many open files for a connection to {hop}: raise the limit (ulimit -n)"
                raise reach.TooManyFilesError(str(hop), sentence) from error
            raise reach.NoAnswerError(str(hop), f"no way to {hop}: {error.strerror or error}") from error
        tune(sock, self.silence_seconds)
        return sock

    def _login(self, hop: Hop, sock: socket.socket | paramiko.Channel, budget: Budget) -> paramiko.Transport:
        transport = paramiko.Transport(sock)
        try:
            self._greet(hop, transport, budget)
            transport.auth_timeout = budget.left
            self._authenticate(hop, transport)
        except BaseException as error:
            transport.close()
            if isinstance(error, paramiko.SSHException | ConnectionError | EOFError):
                raise self._explained(hop, error, budget) from error
            raise
        return transport

    def _explained(self, hop: Hop, error: Exception, budget: Budget) -> reach.UnreachableError:
        if isinstance(error, paramiko.AuthenticationException):
            return reach.AuthenticationRefusedError(str(hop), f"{hop} refuses to let {hop.user} in: {error}")
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer) and self.known_hosts.keys(hop.host, hop.port):
            return reach.HostKeyChangedError(str(hop), f"{hop} shows a host key of none of the pinned types ({error})")
        # Paramiko's thread meets the end of the stream, and says so in words of its own.
        hung_up = isinstance(error, EOFError | ConnectionError) or isinstance(error.__context__, EOFError | ConnectionError)
        if budget.spent and not hung_up:
            return reach.NoAnswerError(str(hop), f"{hop} accepts the connection, then says nothing for {budget.seconds:g} s")
        return reach.DroppedError(str(hop), f"{hop} closes the connection before it says who it is (sshd starting or overloaded)")

    def _greet(self, hop: Hop, transport: paramiko.Transport, budget: Budget) -> None:
        """Exchange keys, and go no further unless the machine is the one that was pinned."""
        pinned = self.known_hosts.keys(hop.host, hop.port)
        transport.banner_timeout = transport.handshake_timeout = budget.left
        sock = transport.sock
        sock.settimeout(READER_SECONDS)
        security = transport.get_security_options()
        # The others' checksums are compared byte by byte in Python.
        security.ciphers = sorted(security.ciphers, key=lambda cipher: "gcm" not in cipher)
        if pinned:
            security.key_types = signature_types(pinned, tuple(security.key_types)) or security.key_types
        transport.start_client(timeout=budget.left)
        shown = transport.get_remote_server_key()
        if not pinned:
            name = host_key_name(hop.host, hop.port)
            raise reach.HostKeyUnknownError(str(hop), f"no host key is pinned for {name}; it shows {fingerprint(shown)}")
        if shown not in pinned:
            sentence = f"the host key of {hop} is not the pinned one: it shows {fingerprint(shown)}"
            raise reach.HostKeyChangedError(str(hop), sentence)

    def _authenticate(self, hop: Hop, transport: paramiko.Transport) -> None:
        if self.identities.authenticate(transport, hop.user):
            return
        sentence = f"{hop} lets {hop.user} in with none of our keys"
        if self.identities.locked:
            locked = ", ".join(str(file) for file in self.identities.locked)
            sentence += f"; {locked} has a passphrase: add it to an agent (ssh-add)"
        raise reach.AuthenticationRefusedError(str(hop), sentence)


@cache
def _ssh_config(file: Path) -> paramiko.SSHConfig:
    return paramiko.SSHConfig.from_path(str(file))
