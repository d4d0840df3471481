"""The longest layers of a network as the engine runs it, node by node."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.layer_evidence import MISSING, layer_evidence
from suite.report.numbers import milliseconds
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import closing_notes, number_column

LONGEST = 40


def build(evidence: Evidence) -> Table:
    """Return the `LONGEST` layers of each recorded breakdown, the longest first."""
    columns = (
        Column("model"),
        Column("layer"),
        Column("kernel"),
        number_column("ms"),
        number_column("% of time"),
        number_column("% so far"),
    )
    all_found = layer_evidence(evidence)
    rows: list[tuple[TableCell, ...]] = []
    left_out = []
    for found in all_found:
        runs, so_far = (found.run.run_id,), 0.0
        for node, kernel, time_ms in found.layers[:LONGEST]:
            share = 100 * time_ms / found.total_ms
            so_far += share
            rows.append(
                (
                    text_cell(found.model),
                    text_cell(node),
                    text_cell(kernel),
                    TableCell(milliseconds(time_ms), time_ms, runs=runs),
                    TableCell(f"{share:.1f}", share, runs=runs),
                    TableCell(f"{so_far:.1f}", so_far, runs=runs),
                )
            )
        rest = found.layers[LONGEST:]
        if rest:
            rest_ms = milliseconds(sum(item[2] for item in rest))
            left_out.append(f"{found.model} at {found.size}: {len(rest)} further layers take {rest_ms} ms together.")
    notes = (
        *left_out,
        *(() if all_found else (f"Nothing to show: {MISSING}.",)),
        "A layer is a node of the engine's own optimised graph, named by the module and operator it comes from; the "
        "record holds all of them.",
    )
    table = Table("layers", "The longest layers of a network: one core, node by node", columns, tuple(rows))
    return replace(table, notes=closing_notes(evidence, *notes))
