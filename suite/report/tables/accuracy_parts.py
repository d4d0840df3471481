"""AP and AP50 of every category and of small, medium and large objects."""

from __future__ import annotations

from dataclasses import replace

from suite.report.error_cells import NOT_RECORDED, Group, Scored, error_groups
from suite.report.evidence import Evidence
from suite.report.measured import cautions
from suite.report.table import Column, Table, TableCell, missing, text_cell
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell

NO_OBJECT = "no object of this part is annotated"
METRICS = {"part_ap": "AP", "part_ap50": "AP50"}


def _cell(group: Group, way: Scored, metric: str, key: str, name: str) -> TableCell:
    cell = group.get(way, metric, key, name)
    return missing(NO_OBJECT) if cell is None else record_cell(cell)


def build(evidence: Evidence) -> Table:
    """Return one row per category and size, with AP and AP50 for each way of scoring; T = 1 only for videos."""
    groups = error_groups(evidence, tuple(METRICS))
    ways = [Scored(None), Scored(1)]
    columns = (
        Column("data"),
        Column("trained with"),
        Column("part"),
        *(number_column(title, way.title) for way in ways for title in METRICS.values()),
    )
    rows = [
        (
            text_cell(group.where),
            text_cell(group.trained),
            text_cell(f"{key} {name}" if key == "category" else f"{name} objects"),
            *(_cell(group, way, metric, key, name) for way in ways for metric in METRICS),
        )
        for group in groups
        for key in ("category", "size")
        for name in group.names(key)
    ]
    if not groups:
        empty = [missing(NOT_RECORDED)] * (len(columns) - 3)
        rows = [(text_cell("shapes val"), text_cell(""), text_cell("every category and size"), *empty)]
    table = Table("accuracy_parts", "AP by category and by size of the objects", columns, tuple(rows))
    notes = (
        "Sizes are the official ones: 32 and 96 pixels squared for images, 128 and 256 for videos.",
        *(f"{line}." for line in cautions(evidence)),
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
