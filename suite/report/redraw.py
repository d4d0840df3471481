"""What the commands that redraw parts of ``reports/`` have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from suite.report.render import Outcome

Update = Callable[[Path, bool], "Outcome"]
COMMON_HELP = "Needs neither torch nor a dataset; the same records give the same bytes."


def redraw_command(name: str, what: str, update: Update) -> click.Command:
    """Return a command with ``--check`` and ``--reports`` that redraws and tells what it did.

    Args:
        name: the word a user types.
        what: first paragraph of its help.
        update: redraws the folder of reports, or with True only compares; it should import what it needs itself, so
            that asking for help stays fast.
    """

    @click.command(name=name, help=f"{what}\n\n{COMMON_HELP}")
    @click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs from what the records give.")
    @click.option(
        "--reports",
        type=click.Path(path_type=Path),
        help="Folder with records/ in it; default: the repository's reports/.",
    )
    def command(check: bool, reports: Path | None) -> None:
        from suite.report.outcome import finish, named_reports

        finish(update(named_reports(reports), check), check)

    return command
