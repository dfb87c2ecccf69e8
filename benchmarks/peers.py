"""The commands that are compared, each as its own users would start it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import ROOT
from benchmarks.measure import Cost, run

HERE = Path(__file__).parent
PYTHON = Path(sys.executable)
VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"


def install() -> None:
    """Have Ansible and Mitogen in a virtual environment of the benchmark's own, at the pinned versions."""
    stamp = VENV / "installed"
    if stamp.exists() and stamp.read_bytes() == REQUIREMENTS.read_bytes():
        return
    print("Installing ansible-core and mitogen (once)")
    base = sys._base_executable  # type: ignore[attr-defined]  # the stubs have no private names
    subprocess.run([base, "-m", "venv", "--clear", VENV], check=True)
    pip = [VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", REQUIREMENTS]
    subprocess.run(pip, check=True, stderr=subprocess.PIPE, text=True)
    stamp.write_bytes(REQUIREMENTS.read_bytes())


def versions() -> dict[str, str]:
    """Program → version, of everything that is compared and of what it runs on."""
    theirs = _python(VENV / "bin/python", ("ansible-core", "mitogen"))
    ours = _python(Path(sys.executable), ("pyinfra", "paramiko", "gevent"))
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0]
    return {**ours, **theirs, "python": sys.version.split()[0], "openssh": ssh.removeprefix("OpenSSH_")}


def _python(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    code = "import sys, importlib.metadata as m; print(*[m.version(p) for p in sys.argv[1:]])"
    out = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True).stdout
    return dict(zip(packages, out.split(), strict=True))


@contextmanager
def _ansible(folder: Path, *, mitogen: bool) -> Iterator[dict[str, str]]:
    """Ansible's environment; its ssh masters end with the block, so that each run makes its own connections, as all do."""
    sockets = folder / "cp"
    sockets.mkdir(exist_ok=True)
    env = {"ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets)}
    if mitogen:
        (plugins,) = (VENV / "lib").glob("python3*/site-packages/ansible_mitogen/plugins/strategy")
        env |= {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"}
    try:
        yield env
    finally:
        for socket in sockets.iterdir():
            subprocess.run(["ssh", "-F", "none", "-O", "exit", "-S", socket, "none"], capture_output=True, check=False)


def playbook(
    book: str, inventory: Path, *, mitogen: bool = False, memory: bool = False, env: Mapping[str, str] | None = None
) -> Cost:
    """Run a playbook."""
    command = [VENV / "bin/ansible-playbook", "-i", inventory, HERE / "ansible" / book]
    with _ansible(inventory.parent, mitogen=mitogen) as settings:
        return run(command, env={**settings, **(env or {})}, memory=memory)


def pyinfra(deploy: str, env: Mapping[str, str], *, memory: bool = False) -> Cost:
    """Run a deploy file with the pyinfra command as it comes; -y spares it the round of facts that its plan would take."""
    name = deploy.removesuffix(".py")
    command = [ROOT / ".venv/bin/pyinfra", "-y", HERE / "plain" / f"{name}_inventory.py", HERE / "plain" / deploy]
    return run(command, env=env, memory=memory)


def engine(*arguments: str | Path, memory: bool = False) -> Cost:
    """Run telekit's engine with the recipes alone."""
    return run([sys.executable, "-m", "benchmarks.engine", *arguments], memory=memory)


def telekit(*arguments: str | Path, memory: bool = False, codes: tuple[int, ...] = (0,)) -> Cost:
    """Run the telekit command."""
    return run([ROOT / ".venv/bin/telekit", *arguments], memory=memory, codes=codes)
