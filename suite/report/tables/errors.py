"""What each kind of error costs: AP50 points that undoing it alone brings, and the ladder of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from suite.accuracy.error_analysis.kinds import AS_SCORED, IMAGE_KINDS, SPECIAL_KINDS, VIDEO_KINDS, Kind
from suite.report.error_cells import NOT_RECORDED, Group, Scored, error_groups
from suite.report.evidence import Evidence
from suite.report.measured import cautions
from suite.report.table import Column, Table, TableCell, missing, text_cell, without_empty_columns
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell

ALONE = "AP50 points that undoing it alone brings"
LADDER = "AP50 with it and all above undone"
ROWS = tuple(dict.fromkeys((*VIDEO_KINDS[:1], IMAGE_KINDS[1], *VIDEO_KINDS[1:], *SPECIAL_KINDS)))
"""The kinds of images and of videos, each once, in the ladder's order."""

EXPECTED = (Scored(None), Scored(1))
"""What is shown as not recorded where no record holds any errors."""


def _applies(kind: Kind, scored: Scored) -> bool:
    return kind in SPECIAL_KINDS or kind in (IMAGE_KINDS if scored.key_frame_interval is None else VIDEO_KINDS)


def _cell(group: Group, scored: Scored, metric: str, kind: Kind) -> TableCell:
    if not _applies(kind, scored) or (metric == "ladder_ap50" and kind in SPECIAL_KINDS):
        return TableCell()
    cell = group.get(scored, metric, "error", kind.name)
    return missing(NOT_RECORDED) if cell is None else record_cell(cell)


def _kind_rows(group: Group, ways: Sequence[Scored]) -> list[tuple[TableCell, ...]]:
    return [
        (
            text_cell(group.where),
            text_cell(group.trained),
            text_cell(kind.label),
            *(_cell(group, way, metric, kind) for metric in ("error_ap50", "ladder_ap50") for way in ways),
        )
        for kind in ROWS
    ]


def build(evidence: Evidence) -> Table:
    """Return one row per kind of error, with a column per way of scoring."""
    groups = error_groups(evidence, ("error_ap50", "ladder_ap50")) or [Group("shapes val", "", "")]
    ways = sorted({way for group in groups for way in group.scored() or EXPECTED}, key=lambda way: way.place)
    columns = (
        Column("data"),
        Column("trained with"),
        Column("error"),
        *(number_column(way.title, ALONE) for way in ways),
        *(number_column(way.title, LADDER) for way in ways),
    )
    rows = []
    for group in groups:
        feet = (group.get(way, "ladder_ap50", "error", AS_SCORED) for way in ways)
        start = (missing(NOT_RECORDED) if foot is None else record_cell(foot) for foot in feet)
        first = (text_cell(group.where), text_cell(group.trained), text_cell("AP50 as scored"))
        rows.append((*first, *(TableCell() for _ in ways), *start))
        rows += _kind_rows(group, ways)
    title = "Errors by kind: TIDE's on mask IoU, and their kin on tracks, at IoU 0.5 and 0.1"
    table = without_empty_columns(Table("errors", title, columns, tuple(rows)))
    notes = (
        *(f"{kind.label}: {kind.meaning}." for kind in ROWS),
        "The last two are TIDE's special errors and no rungs: perfect precision or perfect recall alone.",
        *(f"{line}." for line in cautions(evidence)),
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
