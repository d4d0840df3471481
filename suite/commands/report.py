"""``report``: redraw everything under ``reports/`` that is computed."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.option(
    "--only",
    "parts",
    type=click.Choice(["tables", "figures", "page"]),
    multiple=True,
    help="Redraw this part alone; may be repeated [default: all].",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file differs from what the records give.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    help="Folder with records/ in it; README.md goes with the default alone [default: the repository's reports/].",
)
def command(parts: tuple[str, ...], check: bool, reports: Path | None) -> None:
    """Redraw tables, figures, README.md's results and the page reports/index.html from the committed records alone.

    README.md's results go with the tables of the repository's own reports/. The page is not kept in git, so --check
    leaves it out. Needs neither torch nor a dataset; the same records give the same bytes.
    """
    from suite.errors import RegressionError
    from suite.report.render import PARTS, render_report

    outcome = render_report(reports, parts or PARTS, check)
    for name in outcome.written:
        click.echo(f"{'differs' if check else 'wrote'} {name}")
    for name in outcome.stale:
        click.echo(f"nothing renders {name}: remove it if it is an old one")
    for line in outcome.left_out:
        click.echo(f"left out {line}")
    click.echo(f"{len(outcome.written)} {'differ' if check else 'written'}, {len(outcome.unchanged)} unchanged")
    if check and (outcome.written or outcome.stale):
        raise RegressionError("reports/ is not what records and claims give; run: python -m suite report")
