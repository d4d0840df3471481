"""The latency rows of Tables 1 and 2 on ncnn, the closest well-kept relative of the paper's engine."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.host_ratio import clocked
from suite.report.table import Table
from suite.report.tables.prior_art import build_for

ENGINE = "ncnn"


def build(evidence: Evidence) -> Table:
    """Return the table of ncnn, empty until a run timed it; a row that ncnn or its converter refuses has the reason."""
    table = build_for(evidence, ENGINE, "prior_art_ncnn")
    return table if clocked(evidence, ENGINE) else replace(table, rows=())
