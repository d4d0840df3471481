"""What the main job's trained model scores on held-out data: per seed, mean and spread, by reuse length T."""

from __future__ import annotations

from suite.records.schema import METRICS
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.measured import accuracy_cells, cautions, joined, setting
from suite.report.numbers import points
from suite.report.table import Row, Table, TableCell, make_table, record_cell
from suite.report.tables._parts import origin

METRIC_ORDER = tuple(
    name for name in METRICS if name.startswith(("mask_ap", "export_agreement", "export_mask_ap", "video_a"))
)


def _ordered(evidence: Evidence) -> list[Cell]:
    """Return all accuracy cells: by dataset and setting, images before videos, by T, then in the metrics' order."""
    cells = [cell for metric in METRIC_ORDER for cell in accuracy_cells(evidence, metric)]

    def order(cell: Cell) -> tuple[object, ...]:
        interval = cell.get("key_frame_interval")
        task = (cell.get("query_passing") is False, setting(cell), cell.get("association") is False)
        place = (cell.where != "shapes val", cell.where, cell.model, *task)
        return (*place, interval if isinstance(interval, int) else 0, METRIC_ORDER.index(cell.metric))

    return sorted(cells, key=order)


def _interval(cell: Cell) -> TableCell:
    found = cell.interval
    if found is None:
        return TableCell()
    return TableCell(f"{points(found.low)} to {points(found.high)}", note=f"covers {found.covers}")


def build(evidence: Evidence) -> Table:
    """Return one row per metric and setting, AP in points."""
    cells = _ordered(evidence)
    shown = joined(cells)
    seeds = sorted(
        {sample.seed for cell in cells for sample in cell.samples}, key=lambda seed: (seed is None, seed or 0)
    )
    rows: list[Row] = []
    for label, cell in shown:
        by_seed = {sample.seed: sample for sample in cell.samples}
        row: dict[str, TableCell | str] = {
            "data": cell.where,
            "score": label.replace("mask AP", "images").replace("video AP", "video"),
            "metric": METRICS[cell.metric].label,
            "trained with": setting(cell),
            "AP points: mean": record_cell(cell, text=points(cell.value)),
            "AP points: ± over seeds": (
                TableCell() if cell.deviation is None else TableCell(points(cell.deviation), cell.deviation)
            ),
            "AP points: 95 % interval (one seed)": _interval(cell),
        }
        for seed in seeds:
            sample = by_seed.get(seed)
            row[f"AP points: {'no seed' if seed is None else f'seed {seed}'}"] = (
                TableCell()
                if sample is None
                else TableCell(points(sample.value), sample.value, runs=(sample.run.run_id,))
            )
        rows.append(row)
    notes = (
        "T = key-frame interval: instance kernels are computed on every T-th frame and reused between.",
        *cautions(evidence),
    )
    title = "Accuracy measured here: a model trained from nothing by the main job, on held-out data"
    return make_table("embedded", title, rows, notes, origin=origin(evidence))
