"""``report``: redraw everything under ``reports/`` that is computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suite.report.redraw import redraw_command

if TYPE_CHECKING:
    from suite.report.render import Outcome


def _update(reports: Path, check: bool) -> Outcome:
    from suite.report.render import render_all

    return render_all(reports, check)


command = redraw_command(
    "report",
    "Redraw tables, figures, README.md's results and the page reports/index.html from the committed records alone.",
    _update,
)
