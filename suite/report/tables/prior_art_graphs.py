"""What the timed graphs of prior art are made of: operators per row, and how closely they follow PyTorch."""

from __future__ import annotations

from dataclasses import replace

from suite.records.schema import Series
from suite.report.counterparts import entries
from suite.report.evidence import Evidence
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import closing_notes, legend, number_column

SHOWN_OPERATORS = 6


def _newest(evidence: Evidence) -> dict[str, tuple[str, Series]]:
    """Return model -> (run, its operators), the newest run last to speak."""
    return {series.subject.model: (run.run_id, series) for run, series in evidence.series("graph_operators")}


def build(evidence: Evidence) -> Table:
    """Return one row per model and exported graph."""
    columns = (
        Column("model"),
        Column("graph"),
        number_column("nodes"),
        Column("operators, most frequent first"),
        number_column("largest difference from PyTorch"),
    )
    rows: list[tuple[TableCell, ...]] = []
    known = entries()
    for model, (run_id, series) in sorted(_newest(evidence).items()):
        if model not in known:
            continue
        graphs: dict[str, dict[str, int]] = {}
        for graph, operator, nodes in series.rows:
            if isinstance(nodes, int):
                graphs.setdefault(str(graph), {})[str(operator)] = nodes
        for graph, operators in graphs.items():
            shown = [f"{operator} {nodes}" for operator, nodes in list(operators.items())[:SHOWN_OPERATORS]]
            rest = len(operators) - len(shown)
            parity = evidence.find("parity_max_abs", model, {"graph": graph})
            rows.append(
                (
                    text_cell(model),
                    text_cell("network" if graph == "whole" else graph.replace("_", " ")),
                    TableCell(str(sum(operators.values())), float(sum(operators.values())), runs=(run_id,)),
                    text_cell(", ".join(shown) + (f", {rest} more kinds" if rest > 0 else "")),
                    TableCell(f"{parity[-1].value:.1e}", parity[-1].value) if parity else TableCell(),
                )
            )
    table = Table("prior_art_graphs", "Graphs of the re-measured rows as they were timed", columns, tuple(rows))
    notes = (
        "Differences are absolute, of any element of any output, and include the magnitude of outputs under random "
        "weights; every graph passed a relative limit of 1e-3 when it was exported.",
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
