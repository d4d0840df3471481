"""Accuracy measured here: what the main job's model scores on held-out data, and what each kind of error costs it."""

from __future__ import annotations

from collections.abc import Sequence

from suite.accuracy.error_analysis.kinds import AS_SCORED, IMAGE_KINDS, SPECIAL_KINDS, VIDEO_KINDS, Kind
from suite.records.cells import Cell, grouped
from suite.records.schema import METRICS
from suite.report.evidence import Evidence
from suite.report.table import Row, Table, TableCell, make_table, number_cell, points, record_cell
from suite.report.tables import table

METRIC_ORDER = tuple(
    name for name in METRICS if name.startswith(("mask_ap", "export_agreement", "export_mask_ap", "video_a"))
)
NOT_RECORDED = "no record holds it yet: python -m suite reproduce"
NO_OBJECT = "no object of this part is annotated"
ALONE = "AP50 points that undoing it alone brings"
LADDER = "AP50 with it and all above undone"
PARTS = {"part_ap": "AP", "part_ap50": "AP50"}
KINDS = tuple(dict.fromkeys((*VIDEO_KINDS[:1], IMAGE_KINDS[1], *VIDEO_KINDS[1:], *SPECIAL_KINDS)))
"""The kinds of images and of videos, each once, in the ladder's order."""
Errors = dict[tuple[int, str, str, str], Cell]
"""(T or 0 for images, metric without its first word, ``"error"`` or kind of part, its name) -> cell."""
IMAGES_AND_T1 = (0, 1)
"""What parts are shown of, and what is shown as not recorded where no record holds any errors."""


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
        rest = frozenset(item for item in cell.protocol.items() if item[0] not in ("association", "associate_on"))
        values = tuple((sample.seed, sample.value) for sample in cell.samples)
        return cell.metric, cell.model, cell.dataset, rest, values

    both = ", with and without association"
    return [(_task(first) + both * bool(rest), first) for first, *rest in grouped(cells, key).values()]


@table(2)
def embedded(evidence: Evidence) -> Table:
    """Return one row per metric and setting, AP in points."""
    cells = _ordered(evidence)
    known = {sample.seed for cell in cells for sample in cell.samples}
    seeds = sorted(known, key=lambda seed: (seed is None, seed or 0))
    rows: list[Row] = []
    for task, cell in _joined(cells):
        interval = TableCell()
        spread = TableCell() if cell.deviation is None else number_cell(cell.deviation, "fraction")
        if found := cell.interval:
            interval = TableCell(f"{points(found.low)} to {points(found.high)}", note=f"covers {found.covers}")
        row: dict[str, TableCell | str] = {
            "data": cell.where,
            "score": task,
            "metric": METRICS[cell.metric].label,
            "trained with": cell.setting,
            "AP points: mean": record_cell(cell, text=points(cell.value)),
            "AP points: ± over seeds": spread,
            "AP points: 95 % interval (one seed)": interval,
        }
        by_seed = {sample.seed: sample for sample in cell.samples}
        for seed in seeds:
            sample = by_seed.get(seed)
            shown = number_cell(sample.value, "fraction", (sample.run.run_id,)) if sample else ""
            row[f"AP points: {'no seed' if seed is None else f'seed {seed}'}"] = shown
        rows.append(row)
    notes = (
        "T = key-frame interval: instance kernels are computed on every T-th frame and reused between.",
        *evidence.cautions,
    )
    title = "Accuracy measured here: a model trained from nothing by the main job, on held-out data"
    return make_table(title, rows, notes)


def _recorded(evidence: Evidence) -> dict[tuple[str, str, str], Errors]:
    """Return errors and parts by (data, model, training setting), the embedded set first.

    Runs without association are left out: the kinds of their errors are those of T = 1.
    """
    groups: dict[tuple[str, str, str], Errors] = {}
    for metric in ("error_ap50", "ladder_ap50", *PARTS):
        for cell in (*evidence.accuracy(f"mask_{metric}"), *evidence.accuracy(f"video_{metric}")):
            key = next((key for key in ("error", "category", "size") if cell.get(key) is not None), None)
            if key is not None and cell.get("association") is not False:
                group = groups.setdefault((cell.where, cell.model, cell.setting), {})
                group[cell.frames, metric, key, str(cell.get(key))] = cell
    return groups


def _title(frames: int) -> str:
    return f"video T = {frames}" if frames else "images"


def _cost(errors: Errors, frames: int, metric: str, kind: Kind | None) -> TableCell:
    """Return what a kind of error costs, or the AP50 as scored where there is none."""
    own = VIDEO_KINDS if frames else IMAGE_KINDS
    shown: tuple[Kind | None, ...] = (None, *own) if metric == "ladder_ap50" else (*own, *SPECIAL_KINDS)
    if kind not in shown:
        return TableCell()
    return record_cell(errors.get((frames, metric, "error", kind.name if kind else AS_SCORED)), NOT_RECORDED)


def _error_rows(where: str, trained: str, errors: Errors, ways: list[int]) -> list[Row]:
    """Return the ladder's foot, one row per kind of error, one row per category and size."""
    first: dict[str, TableCell | str] = {"data": where, "trained with": trained}
    rows: list[Row] = []
    for kind in (None, *KINDS):
        costs = {f"{ALONE}: {_title(way)}": _cost(errors, way, "error_ap50", kind) for way in ways}
        ladder = {f"{LADDER}: {_title(way)}": _cost(errors, way, "ladder_ap50", kind) for way in ways}
        rows.append({**first, "error or part": kind.label if kind else "AP50 as scored", **costs, **ladder})
    for part, name in dict.fromkeys((key, name) for _, _, key, name in errors if key != "error"):
        found = {
            f"{_title(way)}: {title}": record_cell(errors.get((way, metric, part, name)), NO_OBJECT)
            for way in IMAGES_AND_T1
            for metric, title in PARTS.items()
        }
        label = f"category {name}" if part == "category" else f"{name} objects"
        rows.append({**first, "error or part": label, **found})
    return rows


@table(11)
def errors(evidence: Evidence) -> Table:
    """Return one row per kind of error and per part of the data, with a column per way of scoring."""
    groups = _recorded(evidence) or {("shapes val", "", ""): {}}
    found = {frames for group in groups.values() for frames, metric, *_ in group if metric not in PARTS}
    ways = sorted(found or IMAGES_AND_T1)
    rows = [row for (where, _, trained), group in groups.items() for row in _error_rows(where, trained, group, ways)]
    notes = (
        *(f"{kind.label}: {kind.meaning}." for kind in KINDS),
        "The last two are TIDE's special errors and no rungs: perfect precision or perfect recall alone.",
        "Sizes are the official ones: 32 and 96 pixels squared for images, 128 and 256 for videos.",
        *evidence.cautions,
    )
    title = "Errors by kind (TIDE's on mask IoU, and their kin on tracks, at IoU 0.5 and 0.1), and AP by part"
    return make_table(title, rows, notes)
