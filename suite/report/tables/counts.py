"""Parameters and multiply-accumulates of every model counted here."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.measured import size_text
from suite.report.numbers import scaled
from suite.report.select import Cell
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell


def _pixels(cell: Cell) -> int:
    height, width = cell.get("height_px"), cell.get("width_px")
    return height * width if isinstance(height, int) and isinstance(width, int) else 0


def build(evidence: Evidence) -> Table:
    """Return one row per model and input size."""
    columns = (Column("model"), number_column("input"), number_column("params M"), number_column("MACs G"))
    rows: list[tuple[TableCell, ...]] = []
    for cell in sorted(evidence.find("macs"), key=lambda cell: (cell.model, -_pixels(cell))):
        parameters = evidence.find("parameters", cell.model)
        rows.append(
            (
                text_cell(cell.model),
                text_cell(size_text(cell)),
                replace(record_cell(parameters[-1]), text=scaled(parameters[-1].value, 1e6))
                if parameters
                else TableCell(),
                replace(record_cell(cell), text=scaled(cell.value, 1e9)),
            )
        )
    table = Table("counts", "Parameters and multiply-accumulates of the models here", columns, tuple(rows))
    notes = (
        "MACs are those of convolutions, linear layers and matrix products for one image; the paper prints neither.",
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
