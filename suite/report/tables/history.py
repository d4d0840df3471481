"""How the headline numbers moved over the commits that measured them."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.history import history_table, trends
from suite.report.table import Table
from suite.report.tables._parts import closing_notes


def build(evidence: Evidence) -> Table:
    """Return one row per headline number: AP of the default training, CPU time of networks and of whole frames."""
    table = history_table(trends(evidence.runs))
    notes = (
        "Numbers are joined over commits where metric, model, data, protocol and, for times, machine are the same. "
        "AP is the mean over the seeds that all of a number's commits have.",
        "Verdicts: better or worse where the 95 % interval excludes 0, undecided where it holds 0.",
    )
    return replace(table, notes=closing_notes(evidence, *notes))
