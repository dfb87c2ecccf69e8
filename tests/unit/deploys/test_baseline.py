"""What the baseline makes of what a machine answers."""

from __future__ import annotations

import os
import pwd
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from deploys import firewall_unit, sshd
from deploys.administrator import HEADER, INCUMBENT, AccountState, FormerKeys, key_body
from deploys.baseline import network_settings
from deploys.clock import ClockCanBeSet
from deploys.kernel import KernelSettings
from deploys.locality import LocalityOfMachine
from deploys.packages import PackageState
from deploys.service import Unit, UnitState
from toolkit.model import Endpoint, Gateway, Laptop, SshAddress


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def unit(time: str, *, reload: str = "no", text: str = "port 0\n") -> list[str]:
    return [
        "ActiveState=active",
        "UnitFileState=enabled",
        f"StateChangeTimestamp={time}",
        f"NeedDaemonReload={reload}",
        f"file 1795574134.500000 {digest(text)}  - /etc/chrony/chrony.conf",
    ]


@pytest.fixture
def passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An sshd whose configuration is in this folder, and what it says."""
    program = tmp_path / "bin" / "sshd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/effective\n")
    program.chmod(0o755)
    (tmp_path / "sshd_config.d").mkdir()
    (tmp_path / "sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication yes\n")
    (tmp_path / "sshd_config.d" / "00-telekit.conf").write_text("AuthenticationMethods publickey\n")
    (tmp_path / "effective").write_text("port 22\nauthenticationmethods publickey\n")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def opened(folder: Path) -> tuple[str, ...]:
    command = sshd.PasswordsOpenSsh().command().replace("/etc/ssh", str(folder))
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    return sshd.PasswordsOpenSsh().process(said.splitlines())


def test_passwords_that_sshd_never_hears_of_are_no_matter(passwords: Path) -> None:
    assert opened(passwords) == ()


def test_a_file_that_opens_ssh_to_passwords_before_ours_is_named(passwords: Path) -> None:
    (passwords / "sshd_config.d" / "00-cloud.conf").write_text("authenticationmethods ANY\n")
    (passwords / "effective").write_text("port 22\nauthenticationmethods any\n")
    assert opened(passwords) == (str(passwords / "sshd_config.d" / "00-cloud.conf"),)


def test_our_own_file_when_it_was_edited_is_simply_written_again(passwords: Path) -> None:
    (passwords / "sshd_config.d" / "00-telekit.conf").write_text("PasswordAuthentication yes\n")
    (passwords / "effective").write_text("port 22\nauthenticationmethods any\n")
    assert opened(passwords) == ()


FILES = {"/etc/chrony/chrony.conf": "port 0\n"}
BEFORE, AFTER = "Wed 2026-11-25 02:35:34.499999 UTC", "Wed 2026-11-25 02:35:34.600000 UTC"


def test_a_service_started_after_its_file_was_written_is_left_alone() -> None:
    assert UnitState().process(unit(AFTER)).runs_with(FILES)


@pytest.mark.parametrize(
    "lines",
    [unit(BEFORE), unit(AFTER, reload="yes"), unit(AFTER, text="port 123\n"), unit("")[:-1]],
    ids=["file is newer", "unit is newer", "file differs", "file is missing"],
)
def test_a_service_that_does_not_run_with_its_file_is_restarted(lines: list[str]) -> None:
    assert not UnitState().process(lines).runs_with(FILES)


def test_a_package_that_was_removed_but_not_purged_is_missing() -> None:
    fact = PackageState()
    fact.command(["chrony", "sudo", "nftables"])
    found = fact.process(["chrony installed", "sudo config-files", "lists 90000"])
    assert found.missing == ("sudo", "nftables")
    assert found.age == 90000


def test_a_key_counts_once_whatever_its_options_and_comment_are() -> None:
    assert key_body("ssh-ed25519 AAAAC3Nz admin@mairie") == "AAAAC3Nz"
    assert key_body('from="10.77.0.10",no-pty ssh-ed25519 AAAAC3Nz') == "AAAAC3Nz"
    assert key_body("sk-ssh-ed25519@openssh.com AAAAGnNr clé") == "AAAAGnNr"
    assert key_body("# ssh-ed25519 AAAAC3Nz") == ""
    assert key_body("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq") == ""


def test_an_account_says_which_keys_open_it_and_who_wrote_them() -> None:
    lines = ["home=/home/telekit", "groups=telekit sudo", f"key={HEADER}", "key=ssh-ed25519 AAAAC3Nz a=b"]
    found = AccountState().process(lines)
    assert found
    assert (found.home, found.groups, found.keys) == ("/home/telekit", {"telekit", "sudo"}, {"AAAAC3Nz"})
    assert found.managed


def former(folder: Path, incumbent: str, keys: str, account: str) -> str:
    """What the fact finds on this computer, where the incumbent's account is whoever runs this and their home is the folder."""
    (folder / ".ssh").mkdir(exist_ok=True)
    (folder / ".ssh" / "authorized_keys").write_text(keys, encoding="utf-8")
    (folder / "incumbent").write_text(f"{incumbent}\n", encoding="utf-8")
    script = FormerKeys().command(account).replace(INCUMBENT, str(folder / "incumbent"))
    here = f'getent() {{ command getent "$@" | awk -F: -v OFS=: "{{ \\$6 = \\"{folder}\\"; print }}"; }}\n'
    done = subprocess.run(["sh", "-s"], input=here + script, text=True, capture_output=True, check=True)
    return FormerKeys().process(done.stdout.splitlines())


def test_the_keys_of_the_account_before_are_found_and_no_others(tmp_path: Path) -> None:
    me, ours, theirs = pwd.getpwuid(os.geteuid()).pw_name, f"{HEADER}\nssh-ed25519 AAAA old\n", "ssh-ed25519 BBBB their own\n"
    assert former(tmp_path, me, ours, "telekit") == f"{tmp_path}/.ssh/authorized_keys"
    assert former(tmp_path, me, theirs, "telekit") == "", "telekit did not write it"
    assert former(tmp_path, me, ours, me) == "", "it is still the administrator's"
    assert former(tmp_path, "", ours, "telekit") == "", "there was none before"


def test_sshd_reads_no_keys_but_those_that_telekit_writes_and_lets_no_agent_in() -> None:
    lines = sshd.settings(root=False, jump=False).splitlines()
    assert "AuthorizedKeysFile .ssh/authorized_keys" in lines
    assert "DenyGroups telekit-agents" in lines


@pytest.mark.parametrize(
    ("digest_there", "reload", "expected"),
    [("", "no", 1), (digest(firewall_unit.TEXT), "yes", 1), (digest(firewall_unit.TEXT), "no", 0)],
    ids=["not written yet", "written and not read", "known"],
)
def test_systemd_learns_that_stopping_the_firewall_takes_no_rules_away(
    monkeypatch: pytest.MonkeyPatch, digest_there: str, reload: str, expected: int
) -> None:
    file = [f"file 1795574134.5 {digest_there}  - {firewall_unit.FILE}"] if digest_there else []

    class Machine:
        def get_fact(self, fact: type, **_: object) -> Unit:
            return UnitState().process(["ActiveState=active", f"NeedDaemonReload={reload}", *file])

    monkeypatch.setattr(firewall_unit, "host", Machine())
    assert list(firewall_unit._reread._inner()) == ["systemctl daemon-reload"] * expected
    assert "\nExecStop=\n" in firewall_unit.TEXT


def test_kernel_settings_that_a_container_cannot_set_are_left_out() -> None:
    found = KernelSettings().process(
        ["/proc/sys/net/ipv4/conf/all/rp_filter 0", "/proc/sys/net/ipv4/conf/eth0.100/rp_filter 2"],
    )
    assert not found.whole
    assert found.of("kernel.dmesg_restrict") == {}
    assert list(found.of("net.ipv4.conf.*.rp_filter").values()) == ["0", "2"]
    assert list(found.of("net/ipv4/conf/eth0.100/rp_filter").values()) == ["2"]


def test_only_laptops_check_reverse_paths_loosely() -> None:
    gateway = Gateway("gw", SshAddress("10.77.0.1"), Endpoint("vpn.essai.example", 51820))
    assert network_settings(gateway)["net.ipv4.conf.*.rp_filter"] == "1"
    assert network_settings(Laptop("portable-1"))["net.ipv4.conf.*.rp_filter"] == "2"


def test_a_container_is_known_by_the_capability_that_it_lacks() -> None:
    assert ClockCanBeSet().process(["000001ffffffffff"])
    assert not ClockCanBeSet().process(["00000000fdecbfff"])


def test_time_zone_and_language_are_read_as_debian_writes_them() -> None:
    found = LocalityOfMachine().process(
        ["zone=/usr/share/zoneinfo/Europe/Paris", "LANG=fr_FR.UTF-8", "has=C.utf8", "has=fr_FR.utf8"]
    )
    assert (found.timezone, found.language) == ("Europe/Paris", "fr_FR.UTF-8")
    assert "fr_FR.utf8" in found.generated
