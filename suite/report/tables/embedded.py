"""What the main job's trained model scores on held-out data: per seed, mean and spread, by reuse length T."""

from __future__ import annotations

from dataclasses import replace

from suite.records.schema import METRICS
from suite.report.evidence import Evidence
from suite.report.measured import accuracy_cells, cautions, setting, task_label
from suite.report.numbers import points
from suite.report.select import Cell
from suite.report.table import Column, Table, TableCell, text_cell, without_empty_columns
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell

METRIC_ORDER = tuple(
    name for name in METRICS if name.startswith(("mask_ap", "export_agreement", "export_mask_ap", "video_a"))
)


def _where(cell: Cell) -> str:
    return f"{cell.dataset.name} {cell.dataset.split}" if cell.dataset else ""


def _ordered(evidence: Evidence) -> list[Cell]:
    """Return all accuracy cells: by dataset and setting, images before videos, by T, then in the metrics' order."""
    cells = [cell for metric in METRIC_ORDER for cell in accuracy_cells(evidence, metric)]

    def order(cell: Cell) -> tuple[object, ...]:
        interval = cell.get("key_frame_interval")
        task = (cell.get("query_passing") is False, setting(cell), cell.get("association") is False)
        place = (_where(cell) != "shapes val", _where(cell), cell.model, *task)
        return (*place, interval if isinstance(interval, int) else 0, METRIC_ORDER.index(cell.metric))

    return sorted(cells, key=order)


def _seed_cells(cell: Cell, seeds: list[int | None]) -> list[TableCell]:
    by_seed = {sample.seed: sample for sample in cell.samples}
    found = []
    for seed in seeds:
        sample = by_seed.get(seed)
        if sample is None:
            found.append(TableCell())
        else:
            found.append(TableCell(points(sample.value), sample.value, runs=(sample.run.run_id,)))
    return found


def build(evidence: Evidence) -> Table:
    """Return one row per metric and setting, AP in points; columns without any value are left out."""
    cells = _ordered(evidence)
    seeds = sorted(
        {sample.seed for cell in cells for sample in cell.samples}, key=lambda seed: (seed is None, seed or 0)
    )
    columns = (
        Column("data"),
        Column("score"),
        Column("metric"),
        Column("trained with"),
        number_column("mean", "AP points"),
        number_column("± over seeds", "AP points"),
        number_column("95 % interval (one seed)", "AP points"),
        *(number_column("no seed" if seed is None else f"seed {seed}", "AP points") for seed in seeds),
    )
    rows = []
    for cell in cells:
        mean = replace(record_cell(cell), text=points(cell.value))
        spread = TableCell() if cell.deviation is None else TableCell(points(cell.deviation), cell.deviation)
        interval = cell.interval
        covers = (
            TableCell(f"{points(interval.low)} to {points(interval.high)}", note=f"covers {interval.covers}")
            if interval
            else TableCell()
        )
        rows.append(
            (
                text_cell(_where(cell)),
                text_cell(task_label(cell).replace("mask AP", "images").replace("video AP", "video")),
                text_cell(METRICS[cell.metric].label),
                text_cell(setting(cell)),
                mean,
                spread,
                covers,
                *_seed_cells(cell, seeds),
            )
        )
    title = "Accuracy measured here: a model trained from nothing by the main job, on held-out data"
    table = without_empty_columns(Table("embedded", title, columns, tuple(rows)))
    notes = (
        "T = key-frame interval: instance kernels are computed on every T-th frame and reused between.",
        *(f"{line}." for line in cautions(evidence)),
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
