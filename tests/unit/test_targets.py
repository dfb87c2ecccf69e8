"""How long a machine may take is half an hour, or as many minutes as the environment says."""

import pytest

from toolkit.errors import UsageError
from toolkit.targets import DEADLINE, deadline_seconds


def test_a_machine_may_take_half_an_hour(monkeypatch):
    monkeypatch.delenv(DEADLINE, raising=False)
    assert deadline_seconds() == 1800


def test_a_slow_machine_may_take_longer(monkeypatch):
    monkeypatch.setenv(DEADLINE, "90")
    assert deadline_seconds() == 5400


@pytest.mark.parametrize("said", ["", "soon", "0", "-3", "nan", "inf"])
def test_what_is_no_number_of_minutes_is_refused(monkeypatch, said):
    monkeypatch.setenv(DEADLINE, said)
    with pytest.raises(UsageError, match="TELEKIT_DEADLINE"):
        deadline_seconds()
