"""How a commune is now, from what machines answered and what the journal knows."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from toolkit import journal
from toolkit.enrolment import Enrolment
from toolkit.inventory import load
from toolkit.ledger import read, write
from toolkit.model import Derogation
from toolkit.result import MachineReport, Result, State
from toolkit.status.answer import SCRIPT, Answer
from toolkit.status.ending import ending, ending_derogations
from toolkit.status.picture import Picture
from toolkit.targets import Job

LAB = Path(__file__).parents[2] / "inventories" / "lab"
KEYS = {"gw-mairie": "A" * 42 + "E=", "portable-041": "B" * 42 + "E=", "portable-042": "C" * 42 + "E="}
DAY = 86400
NOW = 1_764_000_000


@pytest.fixture
def job(written: Path) -> Job:
    """The lab's commune after its machines were enrolled."""
    commune = load(written).commune
    ledger = read(written).allocated(commune)
    for name, key in KEYS.items():
        ledger = ledger.enrolled(name, key)
    write(written, ledger)
    return Enrolment(Job(written, commune, commune.machines, ())).job


def picture(job: Job, **answers: str) -> Result:
    parsed = {name.replace("_", "-"): Answer.parse(text) for name, text in answers.items()}
    return Picture(job, parsed, dict.fromkeys(job.names, "no answer in 10 s")).result()


def machine(result: Result, name: str) -> MachineReport:
    return next(machine for machine in result.machines if machine.name == name)


def gateway(**seconds_ago: int) -> str:
    names = {name.replace("_", "-"): ago for name, ago in seconds_ago.items()}
    lines = [f"handshake={KEYS[name]} {NOW - ago if ago >= 0 else 0}" for name, ago in names.items()]
    return "\n".join([*lines, "disk=12", f"clock={NOW}"])


def provisioned(job: Job, *names: str) -> None:
    """As if these machines had been provisioned just now."""
    with journal.run(job.folder, "provision", "lab") as run:
        run.finish(Result("provision", "lab", tuple(MachineReport(name, "laptop", State.CHANGED) for name in names)))


def test_tunnels_are_told_in_whole_days_and_never_by_the_hour(job: Job) -> None:
    result = picture(job, gw_mairie=gateway(portable_041=90, portable_042=3 * DAY + 5000))
    assert machine(result, "gw-mairie").details["tunnels"] == {"open": 1, "this week": 1}
    assert machine(result, "portable-041").details["tunnel"] == "open"
    assert machine(result, "portable-042").details["tunnel_days"] == 3


def test_a_tunnel_that_never_opened_is_said(job: Job) -> None:
    result = picture(job, gw_mairie=gateway(portable_041=-1))
    assert machine(result, "portable-041").details["tunnel"] == "never"


def test_without_the_gateways_answer_nothing_is_said_of_tunnels(job: Job) -> None:
    result = picture(job, portable_041=f"clock={NOW}")
    assert "tunnel" not in machine(result, "portable-041").details
    assert machine(result, "gw-mairie").state is State.UNREACHABLE
    assert result.exit_code == 1


def test_a_machine_whose_answer_was_cut_is_not_called_reachable(job: Job) -> None:
    assert machine(picture(job, gw_mairie="disk=12"), "gw-mairie").state is State.UNREACHABLE


def test_old_signatures_full_disks_and_failed_units_are_warned_of(job: Job) -> None:
    text = f"reboot=yes\nfailed=clamav-daemon.service\ndisk=95\nsignatures={NOW - 5 * DAY}.5\nclock={NOW}"
    found = machine(picture(job, portable_041=text), "portable-041")
    assert found.details["signatures_days"] == 4
    assert found.warnings == (
        "a reboot is due for its updates", "failed: clamav-daemon.service", "its disk is 95 % full",
        "its signatures are older than 3 days",
    )  # fmt: skip


def test_machines_that_were_never_provisioned_are_pending(job: Job) -> None:
    provisioned(job, *(name for name in job.names if name != "portable-042"))
    result = picture(job)
    assert result.summary["pending"] == ["portable-042"]
    assert "Pending on 1 machine: never provisioned." in result.closing


def test_an_edited_inventory_makes_every_machine_pending(job: Job) -> None:
    provisioned(job, *job.names)
    assert picture(job).summary["pending"] == []
    (job.folder / "agents.csv").write_text("identifiant;nom;prénom;profil;portable\n", encoding="utf-8")
    assert picture(job).summary["pending"] == sorted(job.names)


def test_an_access_that_ended_since_the_last_provision_is_pending(job: Job) -> None:
    provisioned(job, *job.names)
    agents = (replace(job.commune.agents[0], ends=job.commune.today), *job.commune.agents[1:])
    today = replace(job, commune=replace(job.commune, agents=agents))
    assert picture(today).summary["pending"] == []
    tomorrow = replace(job, commune=replace(job.commune, agents=agents, today=job.commune.today + timedelta(days=1)))
    assert "an access has begun or ended" in picture(tomorrow).closing


def test_accesses_that_end_within_thirty_days_are_listed_the_first_first(job: Job) -> None:
    first, second = job.commune.agents
    ends = [(first, date(2026, 1, 31)), (second, date(2026, 1, 3)), (first, date(2026, 2, 1))]
    agents = tuple(replace(agent, ends=day) for agent, day in ends)
    commune = replace(job.commune, today=date(2026, 1, 1), agents=agents)
    assert [str(agent.ends) for agent in ending(commune)] == ["2026-01-03", "2026-01-31"]


def test_a_run_that_goes_on_is_told(job: Job) -> None:
    code = "import sys, time; from pathlib import Path; from toolkit import journal\n"
    code += "with journal.run(Path(sys.argv[1]), 'provision', 'lab'): print('on', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(job.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        result = picture(job)
    finally:
        process.kill()
        process.wait()
    assert "At work now: telekit provision, by " in result.closing
    assert result.summary["running"] is not None


def test_the_script_is_one_that_a_plain_shell_runs_to_its_end() -> None:
    done = subprocess.run(["sh"], input=SCRIPT, text=True, check=False, capture_output=True)
    assert Answer.parse(done.stdout) is not None


def test_a_revocation_that_is_not_done_everywhere_is_told_until_it_is(job: Job) -> None:
    silent = MachineReport("bureau-finances-03", "desktop", State.UNREACHABLE)
    with journal.run(job.folder, "agent revoke", "lab") as run:
        run.finish(Result("agent revoke", "lab", (silent,)), note="m.durand; x.md")
    told = picture(job)
    assert "has not reached bureau-finances-03: telekit provision --only bureau-finances-03 does it." in told.closing
    unfinished = told.summary["unfinished_revocations"]
    assert isinstance(unfinished, list)
    (left,) = unfinished
    assert (left["agent"], left["machine"]) == ("m.durand", "bureau-finances-03")
    provisioned(job, "bureau-finances-03")
    assert picture(job).summary["unfinished_revocations"] == []


def test_derogations_that_end_soon_are_told_the_first_first() -> None:
    commune = load(Path(__file__).parents[2] / "inventories" / "lab", today=date(2026, 6, 1)).commune
    days = (date(2026, 6, 20), date(2026, 5, 31), date(2027, 1, 1), date(2026, 6, 1))
    found = replace(commune, derogations=tuple(Derogation(f"c{day}", "le maire", "en cours", day) for day in days))
    assert [one.until for one in ending_derogations(found)] == [date(2026, 6, 1), date(2026, 6, 20)]
