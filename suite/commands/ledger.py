"""``ledger``: every published number and its verdict."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import json_option, records_option, show


def show_ledger(records: Path, everything: bool = False, as_json: bool = False) -> None:
    """Print the ledger of a folder of records on standard output; with ``everything`` also each claim not run."""
    from suite.report.explain import ledger_to_json
    from suite.report.summary import plain_ledger
    from suite.report.verdicts import load_evidence

    evidence = load_evidence(records)
    show(as_json, ledger_to_json(evidence), plain_ledger(evidence, everything))


@click.command(name="ledger")
@click.option("--all", "everything", is_flag=True, help="List every claim instead of counting those not run.")
@json_option("text")
@records_option()
def command(everything: bool, as_json: bool, records: Path) -> None:
    """Print which published numbers hold, which do not, and what is missing, from the committed records alone.

    A verdict is reproduced, not reproduced, partly (with its rule), direction holds (a ratio misses the published
    size), undecided (lost in seed noise), estimated, or not run (with what it needs).
    """
    show_ledger(records, everything, as_json)
