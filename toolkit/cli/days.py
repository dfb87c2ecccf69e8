"""Days on the command line, as agents.csv has them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import click


class Day(click.ParamType[date]):
    """2026-01-31, 31/01/2026, today or yesterday."""

    name = "DAY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        from toolkit.inventory.problems import Refused
        from toolkit.inventory.values import day

        if isinstance(value, date):
            return value
        words = {"today": date.today(), "yesterday": date.today() - timedelta(days=1)}
        try:
            return words.get(value) or day(value)
        except Refused as refused:
            self.fail(f"{refused.what} ({refused.hint})", param, ctx)


DAY = Day()
