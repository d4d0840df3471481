"""What the main job's trained model scores on held-out data: per seed, mean and spread, by reuse length T."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from suite.records.schema import METRICS
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.numbers import points
from suite.report.table import Row, Table, TableCell, make_table, record_cell

METRIC_ORDER = tuple(
    name for name in METRICS if name.startswith(("mask_ap", "export_agreement", "export_mask_ap", "video_a"))
)


def _ordered(evidence: Evidence) -> list[Cell]:
    """Return all accuracy cells: by dataset and setting, images before videos, by T, then in the metrics' order."""

    def order(cell: Cell) -> tuple[object, ...]:
        task = (cell.get("query_passing") is False, cell.setting, cell.get("association") is False)
        return cell.where != "shapes val", cell.where, cell.model, *task, cell.frames, METRIC_ORDER.index(cell.metric)

    return sorted((cell for metric in METRIC_ORDER for cell in evidence.accuracy(metric)), key=order)


def _task(cell: Cell) -> str:
    """Name what was scored: ``"images"`` or ``"video, T = 3"``."""
    words = ("video" if cell.metric.startswith("video_") else "images") + (f", T = {cell.frames}" * bool(cell.frames))
    return words + (", no association" if cell.get("association") is False else "")


def _joined(cells: Sequence[Cell]) -> list[tuple[str, Cell]]:
    """Return (what was scored, cell); a cell that repeats another's numbers without association is joined with it."""

    def key(cell: Cell) -> tuple[object, ...]:
        rest = frozenset(item for item in cell.protocol.items() if item[0] != "association")
        values = tuple((sample.seed, sample.value) for sample in cell.samples)
        return cell.metric, cell.model, cell.dataset, rest, values

    counts = Counter(map(key, cells))
    rows = []
    for cell in cells:
        if counts[key(cell)] == 1:
            rows.append((_task(cell), cell))
        elif cell.get("association") is not False:
            rows.append((f"{_task(cell)}, with and without association", cell))
    return rows


def _points(fraction: float | None, *run_ids: str) -> TableCell:
    return TableCell() if fraction is None else TableCell(points(fraction), fraction, runs=run_ids)


def _interval(cell: Cell) -> TableCell:
    found = cell.interval
    if found is None:
        return TableCell()
    return TableCell(f"{points(found.low)} to {points(found.high)}", note=f"covers {found.covers}")


def embedded(evidence: Evidence) -> Table:
    """Return one row per metric and setting, AP in points."""
    cells = _ordered(evidence)
    seeds = sorted(
        {sample.seed for cell in cells for sample in cell.samples}, key=lambda seed: (seed is None, seed or 0)
    )
    rows: list[Row] = []
    for task, cell in _joined(cells):
        row: dict[str, TableCell | str] = {
            "data": cell.where,
            "score": task,
            "metric": METRICS[cell.metric].label,
            "trained with": cell.setting,
            "AP points: mean": record_cell(cell, text=points(cell.value)),
            "AP points: ± over seeds": _points(cell.deviation),
            "AP points: 95 % interval (one seed)": _interval(cell),
        }
        by_seed = {sample.seed: sample for sample in cell.samples}
        for seed in seeds:
            sample = by_seed.get(seed)
            shown = _points(sample.value, sample.run.run_id) if sample else ""
            row[f"AP points: {'no seed' if seed is None else f'seed {seed}'}"] = shown
        rows.append(row)
    notes = (
        "T = key-frame interval: instance kernels are computed on every T-th frame and reused between.",
        *evidence.cautions,
    )
    title = "Accuracy measured here: a model trained from nothing by the main job, on held-out data"
    return make_table("embedded", title, rows, notes, origin=evidence.origin)
