"""How `tables` and `plots` tell what they did."""

from __future__ import annotations

from pathlib import Path

import click

from suite.errors import DataError, RegressionError
from suite.paths import reports_dir
from suite.report.render import Outcome


def named_reports(reports: Path | None) -> Path:
    """Return the folder of reports to work on.

    Raises:
        DataError: if a folder was named that does not exist or has no records: it may be a slip, and would be filled.
    """
    if reports is not None and not (reports / "records").is_dir():
        wrong = "has no records/" if reports.is_dir() else "no such folder"
        raise DataError(f"{reports}: {wrong}; name the folder that holds records/")
    return reports or reports_dir()


def finish(outcome: Outcome, check: bool) -> None:
    """Print one line per changed file and per record left out, then a summary.

    Raises:
        RegressionError: with ``check``, if anything differs from what the records and claims give.
    """
    for name in outcome.written:
        click.echo(f"{'differs' if check else 'wrote'} {name}")
    for name in outcome.stale:
        click.echo(f"{'stale' if check else 'removed'} {name}")
    for line in outcome.left_out:
        click.echo(f"left out {line}")
    click.echo(f"{len(outcome.written)} {'differ' if check else 'written'}, {len(outcome.unchanged)} unchanged")
    if check and outcome.differs:
        raise RegressionError("reports/ is not what records and claims give; run: python -m suite report")
