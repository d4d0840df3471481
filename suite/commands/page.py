"""``page``: redraw the page from claims and records."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="page")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs from what the records give.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    help="Folder with records/ in it; default: the repository's reports/.",
)
def command(check: bool, reports: Path | None) -> None:
    """Redraw reports/index.html, figures included, from the committed records alone.

    Needs neither torch nor a dataset; the same records give the same bytes.
    """
    from suite.report.outcome import finish, named_reports
    from suite.report.render import update_page

    finish(update_page(named_reports(reports), check), check)
