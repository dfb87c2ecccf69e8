"""What becomes of the accounts on a machine when the inventory changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError

from deploys import accounts
from deploys.accounts import AgentAccounts, Found, close_accounts, open_accounts
from toolkit.model import Agent, Secret

ANNE = Agent("a.un", "Un", "Anne", "rh")
SETTLED = "a.un\t1001\ta.un,telekit-agents\tset\t\t700\tAnne Un"


def commands(monkeypatch: pytest.MonkeyPatch, operation, output: list[str], **arguments: object) -> list[str | StringCommand]:
    """What an operation issues on a machine that answers the fact with this output."""

    class Machine:
        def get_fact(self, fact: type, **_: object) -> Found:
            return AgentAccounts().process(output)

    monkeypatch.setattr(accounts, "host", Machine())
    return list(operation._inner(**arguments))


def opened(
    monkeypatch: pytest.MonkeyPatch, output: list[str], agent: Agent = ANNE, passwords: Mapping[str, Secret] | None = None
):
    return commands(monkeypatch, open_accounts, output, agents=[agent], passwords=passwords or {})


def test_an_account_that_is_as_it_should_be_stays_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(monkeypatch, ["group", SETTLED], passwords={"a.un": Secret("s3cret")}) == []


def test_a_first_password_goes_to_standard_input_and_into_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(monkeypatch, [], passwords={"a.un": Secret("s3cret")})
    assert [str(command).split()[0] for command in found] == ["groupadd", "useradd", "chpasswd"]
    assert "s3cret" not in "".join(str(command) for command in found)
    assert found[-1].connector_arguments == {"_stdin": "a.un:s3cret\n"}


def test_a_password_that_the_agent_chose_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = SETTLED.replace("set", "locked")
    assert opened(monkeypatch, ["group", locked], passwords={"a.un": Secret("s3cret")}) == ["usermod --unlock a.un"]


def test_an_agent_does_not_stay_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    powerful = SETTLED.replace("a.un,", "a.un,audio,sudo,adm,", 1)
    assert opened(monkeypatch, ["group", powerful]) == [
        "gpasswd --delete a.un adm > /dev/null",
        "gpasswd --delete a.un sudo > /dev/null",
    ]


def test_an_agent_does_not_stay_where_the_antivirus_the_portal_or_the_desktops_key_are_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    powerful = SETTLED.replace("a.un,", "a.un,clamav,telekit-portal,video,xrdp,", 1)
    left = [str(command).split()[2:4] for command in opened(monkeypatch, ["group", powerful])]
    assert left == [["a.un", "clamav"], ["a.un", "telekit-portal"], ["a.un", "xrdp"]]


def test_an_account_that_was_there_before_joins_the_agents_and_becomes_private(monkeypatch: pytest.MonkeyPatch) -> None:
    before = "a.un\t1001\ta.un\tset\t\t755\tAnne"
    first, second = opened(monkeypatch, ["group", before])
    assert first == "usermod --append --groups telekit-agents --comment 'Anne Un' a.un"
    assert second == "chmod 700 ~a.un"


def test_an_account_ends_with_its_agents_last_day_even_if_nobody_provisions(monkeypatch: pytest.MonkeyPatch) -> None:
    leaving = replace(ANNE, ends=date(2027, 1, 31))
    until = (date(2027, 2, 1) - date(1970, 1, 1)).days
    assert opened(monkeypatch, ["group", SETTLED], leaving) == [f"usermod --expiredate {until} a.un"]
    assert opened(monkeypatch, ["group", SETTLED.replace("\t\t", f"\t{until}\t")], leaving) == []


def test_a_leaver_is_locked_before_anything_else_and_leaves_the_group_last(monkeypatch: pytest.MonkeyPatch) -> None:
    left = "b.deux\t1002\tb.deux,telekit-agents\tset\t\t700\tBasile Deux"
    (script,) = commands(monkeypatch, close_accounts, ["group", SETTLED, left], agents=[ANNE])
    lines = str(script).splitlines()
    assert lines[1] == "usermod --lock --expiredate 1 b.deux"
    assert "gpasswd --delete b.deux telekit-agents > /dev/null" in lines[-1]
    assert "userdel" not in str(script)


def test_a_thief_who_knows_the_password_does_not_come_back_with_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    left = "b.deux\t1002\tb.deux,telekit-agents\tset\t\t700\tBasile Deux"
    void, _ = commands(monkeypatch, close_accounts, ["group", SETTLED, left], agents=[ANNE], voided=["b.deux", "a.un"])
    assert str(void) == "usermod --password '!' b.deux"


def test_nobody_who_stays_is_closed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands(monkeypatch, close_accounts, ["group", SETTLED], agents=[ANNE]) == []


def test_an_account_of_the_system_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperationError, match="account of the system"):
        opened(monkeypatch, ["group", SETTLED.replace("1001", "33")])
