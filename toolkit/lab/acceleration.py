"""Whether this computer's processor can run virtual machines: found out by having it run one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

KVM = "kvm"
EMULATION = "software emulation"
DEVICE = Path("/dev/kvm")
SECONDS = 30.0
# A kernel that has no file system to go on with has by then used everything that a machine needs of its processor.
END_OF_BOOT = "VFS: Unable to mount root fs"


def acceleration(kernel: Path) -> str:
    """KVM if a kernel really boots with it, else EMULATION; that there is a /dev/kvm means little inside a virtual machine."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return EMULATION
    command = [
        "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none",
        "-serial", "stdio", "-no-reboot", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return EMULATION
    return KVM if END_OF_BOOT in done.stdout.decode(errors="replace") else EMULATION
