"""Parameters, multiply-accumulates and operators of every model here, and how closely its graph follows torch."""

from __future__ import annotations

from suite.records.schema import Series
from suite.report.evidence import Evidence
from suite.report.models import display_name, entries
from suite.report.numbers import scaled
from suite.report.table import Row, Table, make_table, number_cell, record_cell

SHOWN_OPERATORS = 6


def _graph_rows(evidence: Evidence, model: str, run_id: str, series: Series) -> list[Row]:
    """Return one row per exported graph of a model: nodes, operators, largest difference from PyTorch."""
    graphs: dict[str, dict[str, int]] = {}
    for graph, operator, nodes in series.rows:
        if isinstance(nodes, int):
            graphs.setdefault(str(graph), {})[str(operator)] = nodes
    rows: list[Row] = []
    for graph, operators in graphs.items():
        shown = [f"{operator} {nodes}" for operator, nodes in list(operators.items())[:SHOWN_OPERATORS]]
        rest = len(operators) - len(shown)
        parity = evidence.find("parity_max_abs", model, {"graph": graph})
        rows.append(
            {
                "model": display_name(model),
                "graph": "network" if graph == "whole" else graph.replace("_", " "),
                "nodes": number_cell(sum(operators.values()), runs=(run_id,)),
                "operators, most frequent first": ", ".join(shown) + (f", {rest} more kinds" if rest > 0 else ""),
                "largest difference from PyTorch": number_cell(parity[-1].value, ".1e") if parity else "",
            }
        )
    return rows


def counts(evidence: Evidence) -> Table:
    """Return one row per model and input size, then one per graph of prior art as it was timed."""
    rows: list[Row] = []
    for cell in sorted(evidence.find("macs"), key=lambda cell: (cell.model, -cell.value)):
        parameters = evidence.find("parameters", cell.model)
        rows.append(
            {
                "model": display_name(cell.model),
                "input": cell.size,
                "params M": record_cell(parameters[-1], text=scaled(parameters[-1].value, 1e6)) if parameters else "",
                "MACs G": record_cell(cell, text=scaled(cell.value, 1e9)),
            }
        )
    newest = {series.subject.model: (run.run_id, series) for run, series in evidence.series("graph_operators")}
    for model, (run_id, series) in sorted(newest.items()):
        rows += _graph_rows(evidence, model, run_id, series) if model in entries() else []
    notes = (
        "MACs are those of convolutions, linear layers and matrix products for one image; the paper prints neither.",
        "Differences are absolute, of any element of any output, and include the magnitude of outputs under random "
        "weights; every graph passed a relative limit of 1e-3 when it was exported.",
    )
    title = "Parameters, multiply-accumulates and timed graphs of the models here"
    return make_table("counts", title, rows, notes, origin=evidence.origin)
