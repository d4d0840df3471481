"""``report``: redraw everything under ``reports/`` that is computed."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs from what the records give.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    help="Folder with records/ in it; default: the repository's reports/.",
)
def command(check: bool, reports: Path | None) -> None:
    """Redraw tables, figures, README.md's results and the page reports/index.html from the committed records alone.

    Needs neither torch nor a dataset; the same records give the same bytes.
    """
    from suite.report.outcome import finish, named_reports
    from suite.report.render import render_all

    finish(render_all(named_reports(reports), check), check)
