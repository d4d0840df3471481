"""``tables``: redraw the tables from claims and records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suite.report.redraw import redraw_command

if TYPE_CHECKING:
    from suite.report.render import Outcome


def _update(reports: Path, check: bool) -> Outcome:
    from suite.report.render import update_tables

    return update_tables(reports, check)


command = redraw_command(
    "tables",
    "Redraw reports/ledger.*, reports/tables/ and README.md's results from the committed records alone.",
    _update,
)
