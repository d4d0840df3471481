"""``explain``: from a number back to its run."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import json_option, records_option, show


@click.command(name="explain")
@click.argument("cell", required=False)
@json_option("text")
@records_option()
def command(cell: str | None, as_json: bool, records: Path) -> None:
    """Print what is behind a CELL: claim, rule, record, command, commit, data digest, machine.

    CELL is the id of a claim (table1/mobileinst-topformer-base-640/ap) or of a measured cell, or any part of it that
    fits only one. Without CELL, all ids are listed.
    """
    import yaml

    from suite.report.explain import explain, find, names
    from suite.report.verdicts import load_evidence

    evidence = load_evidence(records)
    if cell is None:
        known = names(evidence)
        show(as_json, {"cells": known}, "\n".join(known))
        return
    found = explain(evidence, find(evidence, cell))
    show(as_json, found, yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100))
