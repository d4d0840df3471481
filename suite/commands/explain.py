"""``explain``: from a number back to its run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from suite.command_options import json_option, records_option


@click.command(name="explain")
@click.argument("cell", required=False)
@json_option("text")
@records_option()
def command(cell: str | None, as_json: bool, records: Path | None) -> None:
    """Print what is behind a CELL: claim, rule, record, command, commit, data digest, machine.

    CELL is the id of a claim (table1/mobileinst-topformer-base-640/ap) or of a measured cell, or any part of it that
    fits only one. Without CELL, all ids are listed.
    """
    from suite.paths import records_dir
    from suite.report.explain import explain, explanation, find, names
    from suite.report.verdicts import load_evidence

    evidence = load_evidence(records or records_dir())
    if cell is None:
        known = names(evidence)
        click.echo(json.dumps({"cells": known}) if as_json else "\n".join(known))
        return
    cell_id = find(evidence, cell)
    click.echo(json.dumps(explain(evidence, cell_id)) if as_json else explanation(evidence, cell_id), nl=as_json)
