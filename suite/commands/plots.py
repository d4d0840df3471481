"""``plots``: redraw the figures from claims and records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suite.report.redraw import redraw_command

if TYPE_CHECKING:
    from suite.report.render import Outcome


def _update(reports: Path, check: bool) -> Outcome:
    from suite.report.render import update_figures

    return update_figures(reports, check)


command = redraw_command(
    "plots",
    "Redraw reports/figures/ as PNG and SVG from the committed records alone.",
    _update,
)
